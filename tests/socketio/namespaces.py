"""A Socket.IO server in memory, and clients of it that speak packets by hand."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.closing import CloseCode
from realtime.socketio.engine_context import Reason
from realtime.socketio.engine_session import Session
from realtime.socketio.namespace import Acknowledge, Namespace, Refused
from realtime.socketio.packets import Event
from realtime.socketio.server import Server
from realtime.socketio.socket import Socket
from realtime.websocket.handshake import Handshake
from tests.socketio.world import EngineTestCase
from tests.websocket.peers import BINARY, TEXT, Peer


class Say(Struct):
    """What "say" has as its argument."""

    text: str


class Handler:
    """Does as the official suite wants it, and as tests ask; writes down what it is told."""

    events = {"say": [Say]}  # noqa: RUF012
    says_goodbye = True

    def __init__(self) -> None:
        self.sockets: list[Socket] = []
        self.got: list[tuple[str | int, tuple[Any, ...], bool]] = []
        self.beyond: list[str | int] = []
        self.reasons: list[str] = []
        self.admitting: list[Deferred[None]] = []

    def connect(self, socket: Socket) -> Deferred[None] | None:
        """Greet, refuse, fail or wait, as the client asks for."""
        self.sockets.append(socket)
        how = socket.auth.get("how")
        if how == "refuse":
            raise Refused("nope")
        if how == "refuse-with-data":
            raise Refused("nope", {"code": 42})
        if how == "raise":
            raise ZeroDivisionError
        if how == "anew":
            socket.begin_anew()
        if how == "kick":
            socket.disconnect(CloseCode.FORBIDDEN)
        if how != "quiet" and not socket.is_recovered:
            socket.emit("auth", socket.auth)
        if how != "wait":
            return None
        self.admitting.append(Deferred())
        return self.admitting[-1]

    def received(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """Note it, and answer."""
        self.got.append((event.name, event.arguments, event.is_fitting))
        if event.name == "raise":
            raise ZeroDivisionError
        if event.name == "message":
            socket.emit("message-back", *event.arguments)
        if event.name == "kick":
            socket.disconnect()
        if event.name == "join":
            socket.join(*event.arguments)
        if acknowledge is not None and event.name != "never":
            acknowledge(*event.arguments)
            acknowledge("only once")

    def exceeded(self, socket: Socket, event: Event, acknowledge: Acknowledge | None) -> None:
        """Note it."""
        self.beyond.append(event.name)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Note it, and try to send, which must do nothing."""
        self.reasons.append(reason)
        if self.says_goodbye:
            socket.emit("too late")


class WatchedServer(Server):
    """Writes down its sessions and how they ended."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.sessions: list[Session] = []
        self.reasons: list[Reason] = []

    def opened(self, session: Session, handshake: Handshake) -> None:
        """Note it."""
        self.sessions.append(session)
        super().opened(session, handshake)

    def ended(self, session: Session, reason: Reason) -> None:
        """Note it."""
        self.reasons.append(reason)
        super().ended(session, reason)


class ServerTestCase(EngineTestCase):
    """Has a server with the namespaces ``/`` and ``/custom``."""

    recovery_seconds = 0.0
    connect_timeout = 45.0

    def make_application(self) -> Any:
        """A server for them."""
        self.root, self.custom = Handler(), Handler()
        self.namespaces = {
            name: Namespace(name, handler, clock=self.clock, recovery_seconds=self.recovery_seconds)
            for name, handler in (("/", self.root), ("/custom", self.custom))
        }
        return WatchedServer(self.namespaces.values(), clock=self.clock, connect_timeout=self.connect_timeout)

    def tearDown(self) -> None:
        """Let all clients go, and the time pass in which they may come back."""
        for peer in self.peers:
            peer.go()
        for _ in range(300 if self.recovery_seconds else 0):
            self.clock.advance(1)
        super().tearDown()
        for namespace in self.namespaces.values():
            self.assertEqual((len(namespace), namespace._sockets, len(namespace._greetings)), (0, {}, 0))
            if namespace._returning is not None:
                log = namespace._returning.log
                self.assertEqual((len(log), log.held), (0, (0, 0)))
                self.assertEqual(namespace._returning._coming, {})
        self.assertEqual(len(self.application._unused), 0)

    def connect(self, packet: str = "0", version: int = 4) -> Player:
        """A client that has joined a namespace; what has come is not read."""
        player = self.player(version)
        player.say(packet)
        return player

    def player(self, version: int = 4) -> Player:
        """A client with a session."""
        return Player(self, self.on_websocket(version)[0])

    def assert_ended(self, player: Player, reason: Reason = Reason.PARSE_ERROR) -> None:
        """A client was closed at once, for this reason."""
        self.clock.advance(0)
        *_, last = player.peer.frames()
        self.assertEqual(last.opcode, 8)
        self.assertEqual(self.application.reasons[-1:], [reason])


class Player:
    """A client on a WebSocket that speaks Socket.IO by hand."""

    def __init__(self, test: ServerTestCase, peer: Peer) -> None:
        self.test = test
        self.peer = peer

    def say(self, *messages: str | bytes) -> None:
        """Send packets: texts without Engine.IO's part of them, and attachments."""
        for message in messages:
            if isinstance(message, str):
                self.peer.text(f"4{message}".encode())
            else:
                self.peer.binary(message)

    def heard(self) -> list[str | bytes]:
        """What has come since this was last asked; nothing but messages."""
        for _ in range(2):
            self.test.clock.advance(0.01)
        found: list[str | bytes] = []
        for frame in self.peer.frames():
            if frame.opcode == BINARY:
                found.append(frame.payload)
            elif frame != (TEXT, b"2"):
                assert (frame.opcode, frame.payload[:1]) == (TEXT, b"4"), frame
                found.append(frame.payload[1:].decode())
        return found

    def ask(self, *messages: str | bytes) -> list[str | bytes]:
        """Send packets; what comes."""
        self.heard()
        self.say(*messages)
        return self.heard()
