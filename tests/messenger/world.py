"""A listening messenger in memory, and clients of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from realtime.accounts.store import AccountStore, User
from realtime.cluster.bus import MemoryBus
from realtime.cluster.leases import MemoryLeases
from realtime.cluster.presence import MemoryPresence
from realtime.limiting import Rate
from realtime.messenger import pictures
from realtime.messenger.avatars import AvatarStore
from realtime.messenger.delivery import WINDOW, Window
from realtime.messenger.hall import Hall
from realtime.messenger.messages import IN_UNIT
from realtime.messenger.parts import Parts, Sealing
from realtime.messenger.post_office import PostOffice
from realtime.messenger.protocol import MessengerFactory, RoomAudience
from realtime.messenger.seat import Seats
from realtime.messenger.store import MessengerStore
from realtime.websocket.factory import Rules
from tests.accounts.fakes import FakeAuthenticator
from tests.databases import SynchronousDatabase
from tests.websocket.peers import CLOSE, PING, PONG, TEXT, Peer, Settings, client_frame, surroundings

START = 1_790_000_000
TAKEOVER = 3.0
DAY = 86_400

Message = dict[str, Any]


class SavedAtOnce(AvatarStore):
    """Judges a picture as the real store does, but keeps none."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] | None = None
        self.removed: list[str] = []

    def remove_unless_used(self, address: str) -> Deferred[bool]:
        """Note it."""
        self.removed.append(address)
        return succeed(True)

    def save(self, text: str, use: Callable[[str], Deferred[str]]) -> Deferred[str]:
        """Use an address at once; while something is ``waiting``, when the test says so."""
        try:
            pictures.read(text)
        except pictures.PictureRefused as refused:
            return fail(refused)
        saved: Deferred[str] = Deferred()
        address = f"/avatars/{len(text):064x}"

        def go() -> None:
            use(address).chainDeferred(saved)

        if self.waiting is None:
            go()
        else:
            self.waiting.append(go)
        return saved


class Person:
    """A client. It answers pings when it reads, unless it is told not to."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.answers = True
        self.pings: list[bytes] = []

    def send(self, kind: str, server_data: Any = None, **more: Any) -> None:
        """Send a message."""
        message = {"type": kind, **more}
        if server_data is not None:
            message["serverData"] = server_data
        self.raw(json.dumps(message))

    def raw(self, text: str) -> None:
        """Send a text frame."""
        self.peer.text(text.encode())

    def pong(self, name: bytes) -> None:
        """Answer a ping."""
        self.peer.write(client_frame(PONG, name))

    def read(self) -> list[Message]:
        """What came since the last time; a close as ``{"closed": code}``."""
        found: list[Message] = []
        while True:
            self.peer.clock.advance(0)
            frames = self.peer.frames()
            if not frames:
                return found
            for frame in frames:
                if frame.opcode == TEXT:
                    found.append(json.loads(frame.payload))
                elif frame.opcode == CLOSE:
                    found.append({"closed": frame.code})
                elif frame.opcode == PING:
                    if self.answers:
                        self.pong(frame.payload)
                    else:
                        self.pings.append(frame.payload)

    def one(self, kind: str = "") -> Message:
        """The one message that came, or the one of a kind."""
        (message,) = [each for each in self.read() if not kind or each.get("type") == kind]
        return message

    def go(self) -> None:
        """Be gone without a word."""
        self.peer.go()


class Messenger:
    """The server."""

    def __init__(
        self,
        *,
        per_user: int = 0,
        mailbox_limit: int = 1000,
        window: Window = WINDOW,
        sealing: Sealing | None = None,
        time_unit: str = "seconds",
        history_bytes: int = 524_288,
        per_second: float = 1000,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.database = SynchronousDatabase()
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.authenticator = FakeAuthenticator()
        self.bus = MemoryBus()
        self.leases = MemoryLeases()
        self.presence = MemoryPresence()
        self.avatars = SavedAtOnce()
        self.discarded = 0
        self.surroundings = surroundings(
            Settings(clock=self.clock, interval=10_000, timeout=5_000, per_user=per_user)
        )
        self.store = MessengerStore(database, mailbox_limit)
        sent = self.surroundings.metrics.messages_sent_total.of("messenger")
        parts = Parts(
            authority=self.authenticator,
            store=self.store,
            seats=Seats(leases=self.leases, bus=self.bus, clock=self.clock, takeover_timeout=TAKEOVER),
            hall=Hall(
                presence=self.presence,
                bus=self.bus,
                store=self.store,
                audience=RoomAudience(sent),
                clock=self.clock,
                time=IN_UNIT[time_unit],
            ),
            office=PostOffice(store=self.store, bus=self.bus, clock=self.clock, mailbox_days=7, window=window),
            avatars=self.avatars,
            sealing=sealing,
            clock=self.clock,
            time=IN_UNIT[time_unit],
            process="process",
            history_bytes=history_bytes,
            discarded=self._discarded,
        )
        rules = Rules(
            message_bytes=4_194_304,
            rate=Rate(per_second, 2 * per_second),
            send_buffer_bytes=10_000_000,
            handshake_timeout=10,
            unauthenticated_timeout=30,
        )
        self.factory = MessengerFactory(self.surroundings, rules, parts)
        self.topics = len(self.bus)
        self.people: list[Person] = []

    def _discarded(self) -> None:
        self.discarded += 1

    def user(self, name: str) -> User:
        """Make an account, whose token is its name."""
        users: list[User] = []
        self.accounts.add(name, "").addCallback(users.append)
        self.authenticator.users[name] = users[0]
        return users[0]

    def connect(self, token: str | None = None, *headers: str) -> Person:
        """A client that is connected; with a token, in the document's header."""
        lines = [*headers] if token is None else [f"authToken: {token}", *headers]
        peer = Peer(self.factory, self.clock).shake("/messenger", *lines)
        assert peer.status == 101, peer.response
        person = Person(peer)
        self.people.append(person)
        return person

    def enter(self, token: str) -> Person:
        """A client that has been let in, and has read that."""
        person = self.connect(token)
        messages = person.read()
        assert [(each["type"], each["status"]) for each in messages[:1]] == [("AUTH_MESSAGE", "SUCCESS")], (
            messages
        )
        return person

    def left_over(self) -> dict[str, int]:
        """What is still there when all clients have gone."""
        for person in self.people:
            person.go()
        self.clock.advance(0)
        found = {
            "calls": len(self.clock.getDelayedCalls()),
            "topics": len(self.bus) - self.topics,
            "connections": len(self.surroundings.admission),
            "seats": len(self.leases._holders),
            "present": len(self.presence._groups),
        }
        self.database.close()
        return {what: number for what, number in found.items() if number}
