"""Sessions of support that talk to each other through a real desk, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from realtime.accounts.authentication import Authenticator, token_of
from realtime.accounts.store import AccountStore, User
from realtime.accounts.tokens import TokenSigner
from realtime.closing import CloseCode
from realtime.cluster.cluster import MemoryCluster
from realtime.cluster.leases import Leases
from realtime.cluster.presence import Presence
from realtime.support.desk import Desk
from realtime.support.participants import Pushes
from realtime.support.session import Parts, Session
from realtime.support.store import SupportStore
from tests.databases import SynchronousDatabase
from tests.websocket.peers import server_frames

START = 1_678_794_555
"""The moment of the document's samples."""


class RecordingPeer:
    """A connection that keeps what it is told. ``client`` drives the session at its other end."""

    def __init__(self, number: int, world: World, token: str | None) -> None:
        self.number = number
        self.sent: list[dict[str, Any]] = []
        self.closed: CloseCode | None = None
        self.full = False
        self.session = Session(self, world.parts, token)
        self._ids = count(1)

    def send(self, payload: bytes) -> None:
        """Keep a message."""
        if self.closed is None:
            self.sent.append(json.loads(payload))

    def send_frame(self, frame: bytes) -> None:
        """Keep the message in a frame."""
        ((_, payload),), rest = server_frames(frame)
        assert not rest
        self.send(payload)

    def close(self, code: CloseCode) -> None:
        """Close, which ends the session, once."""
        if self.closed is None:
            self.closed = code
            self.session.end()

    def identify(self, user_id: int) -> bool:
        """Count the connection, or refuse it."""
        if self.full:
            self.close(CloseCode.TOO_MANY_REQUESTS)
        return not self.full

    def say(self, frame: bytes | str) -> None:
        """The client sends a frame."""
        if self.closed is None:
            self.session.receive(frame.encode() if isinstance(frame, str) else frame)

    def request(self, method: str, *params: Any) -> int:
        """The client sends a request; its id is returned."""
        request_id = next(self._ids)
        self.say(json.dumps({"method": method, "params": params, "id": request_id}))
        return request_id

    def ask(self, method: str, *params: Any) -> Any:
        """The client sends a request and gets its answer, which is taken out of ``sent``."""
        request_id = self.request(method, *params)
        (answer,) = [each for each in self.sent if each["id"] == request_id]
        self.sent.remove(answer)
        return answer["result"] if answer["error"] is None else answer["error"]["code"]

    def pushed(self, kind: str) -> list[dict[str, Any]]:
        """What was pushed so far, of one kind ("message", "conversation"), taken out of ``sent``."""
        pushes = [each for each in self.sent if each["id"] is None and kind in (each["result"] or ())]
        for push in pushes:
            self.sent.remove(push)
        return [push["result"][kind] for push in pushes]

    def heard(self) -> list[str]:
        """The texts of the messages that were pushed so far, taken out of ``sent``."""
        return [message["message_text"] for message in self.pushed("message")]


class World:
    """A process's support, with its clock and its database: both are those of the one it stands ``beside``."""

    def __init__(
        self,
        *,
        with_id: bool = False,
        history_bytes: int = 524_288,
        cluster: Any = None,
        beside: World | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.database = SynchronousDatabase()
        if beside is not None:
            self.clock, self.database = beside.clock, beside.database
        database: Any = self.database
        self.accounts = AccountStore(database)
        self.signer = TokenSigner(b"s" * 32, algorithms=["HS256"], ttl=3600, leeway=0, now=self.clock.seconds)
        self.cluster: Any = MemoryCluster() if cluster is None else cluster
        self.bus: Any = self.cluster.bus
        self.presence: Presence = self.cluster.presence
        self.leases: Leases = self.cluster.leases
        self.desk = Desk(store=SupportStore(database), cluster=self.cluster, clock=self.clock)
        self.parts = Parts(
            authenticator=Authenticator(accounts=self.accounts, signer=self.signer),
            desk=self.desk,
            pushes=Pushes(with_id=with_id),
            clock=self.clock,
            history_bytes=history_bytes,
        )
        self._numbers: Iterator[int] = count(1)

    def user(self, name: str, *, is_admin: bool = False) -> User:
        """Make an account."""
        made: User = result_of(self.accounts.add(name, "", is_admin=is_admin))
        return made

    def token(self, user: User) -> str:
        """Sign a token."""
        value = result_of(self.accounts.token_for(user.id))
        assert value is not None
        return token_of(user, value, self.signer)

    def connect(self, token: str | None = None) -> RecordingPeer:
        """Open a connection, ``token`` in its handshake."""
        return RecordingPeer(next(self._numbers), self, token)

    def enter(self, user: User) -> RecordingPeer:
        """Open a connection and authenticate it; what it is shown is thrown away."""
        peer = self.connect()
        peer.ask("message.auth", self.token(user))
        return peer


def result_of(deferred: Deferred[Any]) -> Any:
    """Return what a Deferred has fired with."""
    results: list[Any] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result
