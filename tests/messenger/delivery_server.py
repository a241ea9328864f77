"""A server around the real `Delivery`: sessions, the database's answers, and the news between sessions."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from realtime.messenger.delivery import Delivery, Parcel, Pings, Window, Wire
from tests.messenger.delivery_client import Client, Frame, Line
from tests.messenger.delivery_table import DELIVERED, FAILED, NOBODY, PENDING, Database, Row, Table

WINDOW = Window(parcels=3, size=100)

Make = Callable[[Wire, Pings, Window], Delivery]


class SessionWire:
    """What one machine of a session drives; holds it to what it promises."""

    def __init__(self, session: Session, kind: str) -> None:
        self.session = session
        self.server = session.server
        self.user = session.client.user
        self.kind = kind
        self.written: list[int] = []
        self.settled: set[int] = set()
        self.is_loading = False
        self.has_failed = False

    def row_to_frame(self, row: Row, kind: str = "") -> Frame:
        """Return what a row looks like on the line."""
        state = "" if self.kind == "dialog" else row.state
        return Frame(kind or self.kind, row.id, row.sender, row.receiver, row.key, row.size, state)

    def row_to_parcel(self, row: Row) -> Parcel:
        """Return a row as it is now."""
        return Parcel(row.id, row.size, self.row_to_frame(row))

    def write(self, parcel: Parcel) -> None:
        """What is committed, once, within the window."""
        frame = parcel.content
        assert isinstance(frame, Frame)
        row = self.server.table.rows[frame.id]
        assert self.kind == "dialog" or frame.state == row.state != PENDING, "what is stored"
        assert frame.id not in self.written, "once on a connection"
        if any(frame.id < each for each in self.written):
            self.server.reached["a lower id later"] += 1
        self.written.append(frame.id)
        self.session.down(frame)
        sizes = [each.size for each in self.session.log[self.session.proved :] if each.kind == self.kind]
        assert len(sizes) <= WINDOW.parcels, "parcels in the window"
        assert sum(sizes) <= WINDOW.size or len(sizes) == 1, "bytes in the window"

    def ping(self, name: bytes) -> None:
        """Behind what was written."""
        self.server.reached["asked again"] += self.session.log[-1].kind != self.kind
        self.session.down(Frame("ping", payload=name))

    def load(self, limit: int) -> None:
        """One at a time."""
        assert not self.is_loading
        self.is_loading = True
        table = self.server.table
        read = table.dialogs if self.kind == "dialog" else table.outcomes
        self.server.database.ask(partial(self._read, read, limit), self._loaded, self._not_loaded)

    def _read(self, read: Any, limit: int) -> tuple[list[Parcel], bool]:
        rows, complete = read(self.user, limit)
        return [self.row_to_parcel(row) for row in rows], complete

    def _loaded(self, answer: tuple[list[Parcel], bool]) -> None:
        self.is_loading = False
        ids = {parcel.id for parcel in answer[0]}
        self.server.reached["loaded what is on the wire"] += bool(ids & {*self.written} - self.settled)
        self.server.reached["loaded what is settled"] += bool(ids & self.settled)
        self.server.reached["loaded a part"] += not answer[1]
        self.machine.loaded(*answer)

    def _not_loaded(self) -> None:
        self.is_loading = False
        self.has_failed = True
        self.machine.not_loaded()

    def settle(self, ids: Sequence[int]) -> None:
        """What the client really has, and is not being settled already."""
        assert ids
        client, rows = self.session.client, self.server.table.rows
        for each in ids:
            if self.kind == "dialog":
                assert client.received[each], "confirmed is what has arrived"
            else:
                assert client.outcomes.get(rows[each].key), "confirmed is what has arrived"
        table = self.server.table
        work: Any = partial(table.end, ids, DELIVERED) if self.kind == "dialog" else partial(table.tell, ids)
        self.server.database.ask(work, partial(self._settled, ids), partial(self._not_settled, ids))

    def _settled(self, ids: Sequence[int], ended: list[Row] | None) -> None:
        self.settled |= {*ids}
        self.machine.settled(ids)
        for row in ended or ():
            self.server.publish_outcome(self.user, row)

    def _not_settled(self, ids: Sequence[int]) -> None:
        self.has_failed = True
        self.machine.not_settled(ids)
        if self.kind == "dialog":  # it may be stored nevertheless
            for each in ids:
                self.server.publish_gap(self.user, self.server.table.rows[each].sender)

    @property
    def machine(self) -> Delivery:
        """The one that drives this."""
        return self.session.machines[self.kind]

    def posted(self, row: Row) -> None:
        """Hand over news."""
        self.server.reached["posted while loading"] += self.is_loading
        self.server.reached["posted what is settled"] += row.id in self.settled
        self.machine.posted(self.row_to_parcel(row))


class Session:
    """One connection as the server sees it."""

    def __init__(self, server: Server, client: Client, line: Line) -> None:
        self.server = server
        self.client = client
        self.line = line
        self.log: list[Frame] = []
        self.proved = 0
        pings = Pings()
        self.wires = {kind: SessionWire(self, kind) for kind in ("dialog", "outcome")}
        self.machines = {kind: server.make(wire, pings, WINDOW) for kind, wire in self.wires.items()}
        for machine in self.machines.values():
            machine.start()

    def down(self, frame: Frame) -> None:
        """Write a frame. Nobody knows yet whether the line is cut."""
        self.log.append(frame)
        if not self.line.is_cut:
            self.line.down.append(frame)

    def take(self) -> bool:
        """Take the next frame from the line; return whether there was any."""
        if not self.line.up:
            return False
        frame = self.line.up.popleft()
        if frame.kind == "pong":
            self.take_pong(frame)
        else:
            self.server.post(self, frame)
        return True

    def take_pong(self, frame: Frame) -> None:
        """Both machines hear of every pong."""
        is_ours = frame.payload != b""
        if is_ours:
            place = [each.payload for each in self.log].index(frame.payload)
            self.proved = max(self.proved, place)
        heard = [machine.pong(frame.payload) for machine in self.machines.values()]
        assert heard == [is_ours] * 2

    def end(self) -> None:
        """The line is known to be cut."""
        self.line.cut()
        for machine in self.machines.values():
            machine.end()

    def retry(self) -> None:
        """Try again what has failed."""
        for kind, wire in self.wires.items():
            if wire.has_failed:
                wire.has_failed = False
                self.machines[kind].retry()


class Server:
    """Sessions, and the bus between them: in order for each publisher."""

    def __init__(self, make: Make, table: Table, database: Database, reached: Counter[str]) -> None:
        self.make = make
        self.table = table
        self.database = database
        self.reached = reached
        self.sessions: dict[str, Session] = {}
        self.bus: defaultdict[str, deque[Callable[[], None]]] = defaultdict(deque)

    def login(self, client: Client) -> None:
        """Admit a client; an older connection of its user is cut."""
        if client.user in self.sessions:
            self.reached["taken over"] += 1
            self.sessions.pop(client.user).end()
        self.sessions[client.user] = Session(self, client, client.connect())

    def post(self, session: Session, frame: Frame) -> None:
        """Store a dialog, and tell whom it concerns once it is."""
        row = Row(self.table.new_id(), frame.sender, frame.receiver, frame.key, frame.size)
        self.database.ask(
            partial(self.table.post, row),
            partial(self._post_answered, session),
            partial(self._post_failed, row),
            queue=frame.sender,
        )

    def _post_answered(self, session: Session, answer: tuple[Row, bool]) -> None:
        row, is_new = answer
        if is_new and row.accepted:
            self.publish(row.sender, row.receiver, "dialog", row)
        elif is_new:
            self.reached["unknown receiver" if row.receiver == NOBODY else "mailbox full"] += 1
            self.publish_outcome(row.sender, row)
        elif row.state != PENDING and row.told:
            self.reached["repeated"] += 1
            session.down(session.wires["outcome"].row_to_frame(row, "repeat"))

    def _post_failed(self, row: Row) -> None:
        """It may be stored nevertheless, and have failed at once."""
        self.publish_gap(row.sender, row.receiver)
        self.publish_gap(row.sender, row.sender)

    def expire(self, row: Row) -> None:
        """Give up a dialog, if it still waits."""

        def answer(ended: list[Row]) -> None:
            for each in ended:
                received = any(row.id in wire.written for wire in self._wires(row.receiver, "dialog"))
                self.reached["expired on the wire" if received else "expired"] += 1
                self.publish_outcome("expiry", each)

        self.database.ask(
            partial(self.table.end, [row.id], FAILED),
            answer,
            partial(self.publish_gap, "expiry", row.sender),
        )

    def publish_outcome(self, publisher: str, row: Row) -> None:
        """Tell a dialog's sender."""
        self.publish(publisher, row.sender, "outcome", row)

    def publish(self, publisher: str, user: str, kind: str, row: Row) -> None:
        """Send news to a user's session, if it has one by then."""

        def arrive() -> None:
            for wire in self._wires(user, kind):
                wire.posted(row)

        self.bus[publisher].append(arrive)

    def publish_gap(self, publisher: str, user: str) -> None:
        """Have a user's session look for what it was not told."""

        def arrive() -> None:
            if user in self.sessions:
                for machine in self.sessions[user].machines.values():
                    machine.missed()

        self.bus[publisher].append(arrive)

    def _wires(self, user: str, kind: str) -> list[SessionWire]:
        return [self.sessions[user].wires[kind]] if user in self.sessions else []

    def news(self, number: int) -> bool:
        """Let the next news of a publisher arrive; return whether there was any."""
        waiting = [queue for queue in self.bus.values() if queue]
        if waiting:
            waiting[number % len(waiting)].popleft()()
        return bool(waiting)

    def gap(self) -> None:
        """Lose all news that is under way, and know it."""
        self.reached["a gap with news"] += any(self.bus.values())
        self.bus.clear()
        for session in list(self.sessions.values()):
            for machine in session.machines.values():
                machine.missed()
