"""Three users, a server that crashes, a database that goes away, lines that are cut: a script of steps.

A step is an action and a number that says whom it concerns, or how. What must hold at every moment is
asserted where it happens (in the client, and where a machine drives its session); what must hold in the end,
by `finish`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from realtime.messenger.delivery import Delivery
from tests.messenger.delivery_client import Client, Frame
from tests.messenger.delivery_server import Make, Server
from tests.messenger.delivery_table import FAILED, NOBODY, PENDING, Database, Table

USERS = ["alice", "bob", "carol"]
SIZES = [1, 20, 40, 60, 130]
"""Of dialogs; the window has 100 bytes."""

ENOUGH = 5_000
"""Rounds in which everything must have come to rest."""

ACTIONS = [
    *(["send"] * 7 + ["burst"] * 2 + ["resend", "resend_all"]),
    *(["down"] * 8 + ["up"] * 8 + ["answer_ping"] * 3 + ["flow"] * 8),
    *(["operation"] * 12 + ["all_database"] * 6 + ["news"] * 5 + ["all_news"] * 5),
    *(["login"] * 6 + ["cut", "cut", "notice"] + ["keepalive"] * 6 + ["retry"] * 3 + ["rest"] * 2),
    *("crash", "expire", "gap", "away", "away", "back", "back", "back"),
]


class World:
    """All of it. ``make`` builds the machines."""

    def __init__(self, make: Make = Delivery) -> None:
        self.make = make
        self.reached: Counter[str] = Counter()
        self.table = Table()
        self.database = Database()
        self.clients: dict[str, Client] = {}
        for user in USERS:
            self.clients[user] = Client(user, latest_only=user != "alice", everybody=self.clients)
        self.server = self.new_server()

    def new_server(self) -> Server:
        """Start the server."""
        return Server(self.make, self.table, self.database, self.reached)

    def run(self, steps: Iterable[tuple[str, int]]) -> None:
        """Carry out the steps, then let everything come to its end."""
        for action, number in steps:
            getattr(self, action)(number)
        self.finish()

    def client(self, number: int) -> Client:
        """Return whom a number concerns."""
        return self.clients[USERS[number % len(USERS)]]

    # -- steps: what clients do

    def send(self, number: int) -> None:
        """A client sends something to one of the three, or to nobody."""
        receiver = [*USERS, *USERS, NOBODY][number // 3 % 7]
        self.client(number).send(receiver, SIZES[number % len(SIZES)])

    def burst(self, number: int) -> None:
        """A client sends much."""
        for size in (10, 30, 60, 10, 10, 10):
            self.client(number).send(USERS[number // 3 % 3], size)

    def resend(self, number: int) -> None:
        """A client sends one of those again of which it knows no outcome, or the last of all."""
        client = self.client(number)
        known = client.unknown() or client.sent[-1:]
        if client.line is not None and known:
            client.line.up.append(known[number % len(known)])

    def resend_all(self, number: int) -> None:
        """A client sends all of those again."""
        client = self.client(number)
        if client.line is not None:
            client.line.up.extend(client.unknown())

    def login(self, number: int) -> None:
        """A client connects, if it is not connected as far as it knows."""
        client = self.client(number)
        if client.line is None:
            self.server.login(client)

    def answer_ping(self, number: int) -> None:
        """A client that answers the latest ping alone does so."""
        self.client(number).answer()

    # -- steps: what lines do

    def down(self, number: int) -> None:
        """A frame reaches a client."""
        self.client(number).take()

    def up(self, number: int) -> None:
        """A frame of a client reaches the server."""
        session = self.server.sessions.get(self.client(number).user)
        if session is not None:
            session.take()

    def flow(self, number: int) -> None:
        """Everything on a line arrives, both ways."""
        client = self.client(number)
        session = self.server.sessions.get(client.user)
        while client.take() or (session is not None and session.take()) or client.answer():
            pass

    def cut(self, number: int) -> None:
        """A client's line is cut; the server doesn't know yet."""
        line = self.client(number).line
        if line is not None:
            kinds = {frame.kind for frame in line.down}
            self.reached["a parcel lost"] += bool(kinds & {"dialog", "outcome"})
            self.reached["a ping lost"] += kinds == {"ping"}
            self.reached["a pong lost"] += any(frame.kind == "pong" for frame in line.up)
        self.client(number).lose()

    def notice(self, number: int) -> None:
        """The server finds out about the lines that are cut."""
        for user, session in list(self.server.sessions.items()):
            if session.line.is_cut:
                self.server.sessions.pop(user).end()

    # -- steps: what the server and the database do

    def operation(self, number: int) -> None:
        """Let one operation go on."""
        self.database.advance(number)

    def all_database(self, number: int) -> None:
        """All of them, and those that they lead to."""
        self._until_rest(lambda: self.database.advance(number))

    def news(self, number: int) -> None:
        """Some news arrives."""
        self.server.news(number)

    def all_news(self, number: int) -> None:
        """All of it."""
        self._until_rest(lambda: self.server.news(number))

    def gap(self, number: int) -> None:
        """News is lost."""
        self.server.gap()

    def retry(self, number: int) -> None:
        """What failed is tried again."""
        for session in list(self.server.sessions.values()):
            session.retry()

    def keepalive(self, number: int) -> None:
        """Keepalive asks a client."""
        session = self.server.sessions.get(self.client(number).user)
        if session is not None:
            session.down(Frame("ping"))

    def expire(self, number: int) -> None:
        """A dialog has waited too long."""
        waiting = [row for row in self.table.rows.values() if row.state == PENDING]
        if waiting:
            self.server.expire(waiting[number % len(waiting)])

    def away(self, number: int) -> None:
        """The database goes away."""
        self.database.away = True

    def back(self, number: int) -> None:
        """The database works again."""
        self.database.away = False

    def crash(self, number: int) -> None:
        """The server dies, and another is started; not too often, as it heals whatever else went wrong."""
        if number % 3:
            return
        self.reached["a crash with something under way"] += bool(self.database.under_way)
        self.database.crash(number)
        for client in self.clients.values():
            client.lose()
        self.server = self.new_server()

    # -- the end

    def _until_rest(self, step: Callable[[], bool]) -> None:
        for _ in range(ENOUGH):
            if not step():
                return
        raise AssertionError("it does not come to rest")

    def _step_of_all(self) -> bool:
        moved = False
        for user, client in self.clients.items():
            moved |= client.take() | client.answer()
            if user in self.server.sessions:
                session = self.server.sessions[user]
                session.retry()
                moved |= session.take()
        return moved | self.database.advance(0) | self.server.news(0)

    def rest(self, number: int) -> None:
        """The faults pause until nothing is under way: only what is for those who are away may wait."""
        self.database.away = False
        self.notice(0)
        self._until_rest(self._step_of_all)
        for row in self.table.rows.values():
            assert row.state != PENDING or row.receiver not in self.server.sessions, "has come to an end"
            assert row.told or row.state == PENDING or row.sender not in self.server.sessions, (
                "its sender knows"
            )

    def settle_down(self) -> None:
        """Let everybody log in, send again what has no outcome, and all of it arrive."""
        self.rest(0)
        for number in range(len(USERS)):
            self.login(number)
        self.rest(0)
        for number in range(len(USERS)):
            self.resend_all(number)
        self.rest(0)

    def finish(self) -> None:
        """End the faults: every dialog has arrived, and every sender knows what has become of each."""
        self.settle_down()
        self.check()
        losses = {user: client.losses for user, client in self.clients.items()}
        for client in self.clients.values():
            for receiver in USERS:
                client.send(receiver, 10)
        self.rest(0)
        self.check()
        assert losses == {user: client.losses for user, client in self.clients.items()}
        for client in self.clients.values():
            assert all(len(client.outcomes[frame.key]) == 1 for frame in client.sent[-3:]), "live, once"
        self.reached["redelivered"] += any(
            number > 1 for client in self.clients.values() for number in client.received.values()
        )
        self.reached["received though expired"] += any(
            self.clients[row.receiver].received[row.id]
            for row in self.table.rows.values()
            if row.state == FAILED and row.accepted
        )
        self.reached["told twice"] += any(
            len(outcomes) > 1 for client in self.clients.values() for outcomes in client.outcomes.values()
        )

    def check(self) -> None:
        """What holds when nothing is under way."""
        for row in self.table.rows.values():
            assert row.state != PENDING, "has come to an end"
            assert row.told, "its sender knows"
            assert row.state == FAILED or self.clients[row.receiver].received[row.id], "has arrived"
        for client in self.clients.values():
            keys = [row.key for row in self.table.rows.values() if row.sender == client.user]
            assert sorted(keys) == [frame.key for frame in client.sent], "each is stored once"
            for frame in client.sent:
                outcomes = len(client.outcomes[frame.key])
                assert 1 <= outcomes <= 1 + client.losses, "one outcome, but for connections lost"
