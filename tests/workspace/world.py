"""Workspaces in memory: real SQL, real rooms, and clients that write down what they get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from twisted.internet.task import Clock

from realtime.accounts.store import AccountStore, User
from realtime.cluster.bus import MemoryBus
from realtime.cluster.presence import MemoryPresence
from realtime.workspace.administration import Administration
from realtime.workspace.hub import Hub
from realtime.workspace.membership import Membership
from realtime.workspace.parts import Parts
from realtime.workspace.session import Event, Session
from realtime.workspace.store import ChannelStore
from tests.accounts.fakes import FakeAuthenticator
from tests.databases import SynchronousDatabase

START = 1_790_000_000
UNAUTHENTICATED = 30.0

Said = tuple[str, Any]


class Client:
    """A connection that writes down what it is sent."""

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.is_over = False
        self.acknowledged: list[Any] = []
        self._world = world
        self._got: list[Said] = []
        self.session = Session(self, world.parts)

    def emit(self, event: str, payload: object) -> None:
        """See `parts.Peer`."""
        if not self.is_over:
            self._got.append((event, msgspec.to_builtins(msgspec.json.decode(msgspec.json.encode(payload)))))

    def join(self, room: str) -> None:
        """See `parts.Peer`."""
        self._world.rooms.setdefault(room, {})[self] = None

    def leave(self, room: str) -> None:
        """See `parts.Peer`."""
        del self._world.rooms[room][self]

    def disconnect(self) -> None:
        """See `parts.Peer`."""
        if not self.is_over:
            self._got.append(("disconnected", None))
            self.go()

    def identify(self, user_id: int) -> bool:
        """See `parts.Peer`."""
        self._world.identified.append(user_id)
        if self._world.too_many:
            self.disconnect()
        return not self._world.too_many

    def go(self) -> None:
        """Be gone."""
        if not self.is_over:
            self.is_over = True
            self.session.end()

    def send(self, event: str, payload: Any = None, acknowledge: bool = False, **more: Any) -> None:
        """Send an event."""
        data = payload if payload is not None else more
        give: Callable[[object], None] | None = self._acknowledged if acknowledge else None
        self.session.receive(Event(event, Raw(msgspec.json.encode(data)), give), 100)

    def _acknowledged(self, body: object) -> None:
        self.acknowledged.append(msgspec.json.decode(msgspec.json.encode(body)))

    def got(self) -> list[Said]:
        """What came since the last time."""
        self._world.clock.advance(0)
        got, self._got = self._got, []
        return got

    def one(self, event: str) -> Any:
        """The one event that came, which has this name."""
        ((name, payload),) = self.got()
        assert name == event, (name, payload)
        return payload


class World:
    """What the sessions share."""

    def __init__(self, *, is_open: bool = True, linger: float = 0) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.database = SynchronousDatabase()
        self.database.query("INSERT INTO workspaces (id, name, created) VALUES ('default', 'default', 0)")
        self.rooms: dict[str, dict[Client, None]] = {}
        self.identified: list[int] = []
        self.too_many = False
        self.authenticator = FakeAuthenticator()
        self.bus = MemoryBus()
        self.presence = MemoryPresence()
        authenticator: Any = self.authenticator
        database: Any = self.database
        self.accounts = AccountStore(database)
        membership = Membership(database, is_open=is_open)
        channels = ChannelStore(database, membership)
        self.hub = Hub(
            bus=self.bus,
            presence=self.presence,
            messages=channels,
            audience=self,
            clock=self.clock,
            linger=linger,
        )
        self.administration = Administration(
            membership=membership,
            channels=channels,
            hub=self.hub,
            presence=self.presence,
            clock=self.clock,
        )
        self.parts = Parts(
            authenticator=authenticator,
            membership=membership,
            channels=channels,
            administration=self.administration,
            hub=self.hub,
            presence=self.presence,
            clock=self.clock,
            unauthenticated_timeout=UNAUTHENTICATED,
        )
        self.clients: list[Client] = []

    def tell(self, room: str, event: str, payload: Raw) -> None:
        """See `hub.Audience`."""
        for client in list(self.rooms.get(room, ())):
            client.emit(event, payload)

    def user(self, name: str, *, is_admin: bool = False) -> User:
        """Make an account, whose token is its name."""
        users: list[User] = []
        self.accounts.add(name, "", is_admin=is_admin).addCallback(users.append)
        self.authenticator.users[name] = users[0]
        return users[0]

    def connect(self) -> Client:
        """A client that is connected."""
        client = Client(self, len(self.clients) + 1)
        self.clients.append(client)
        return client

    def enter(self, token: str, status: str = "online") -> Client:
        """A client that has authenticated, and has read that; so have all the others."""
        client = self.connect()
        client.send("auth", data=token, onlineStatus=status)
        assert client.got()[0][0] == "auth-success"
        for each in self.clients:
            each.got()
        return client

    def left_over(self) -> dict[str, int]:
        """What is still there when all clients have gone."""
        for client in self.clients:
            client.go()
        found = {
            "calls": len(self.clock.getDelayedCalls()),
            "topics": len(self.bus),
            "rooms": len(self.hub) + sum(map(len, self.rooms.values())),
            "present": len(self.presence._groups),
        }
        self.database.close()
        return {what: number for what, number in found.items() if number}
