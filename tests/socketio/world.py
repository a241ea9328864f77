"""An Engine.IO server in memory, and clients of it: polling, on a WebSocket, or going over to one."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.limiting import Rate
from realtime.socketio import engine_packets
from realtime.socketio.engine import Engine
from realtime.socketio.engine_context import EngineRules, Reason
from realtime.socketio.engine_packets import Form
from realtime.socketio.engine_session import Session
from realtime.socketio.polling import EngineResource
from realtime.socketio.websocket import EngineFactory
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound, WebSite, tree
from realtime.websocket.factory import Rules
from realtime.websocket.front_door import FrontDoorFactory
from realtime.websocket.handshake import Handshake
from tests.logged import Logged
from tests.web.requests import Response
from tests.websocket.peers import CLOSE, Frame, Peer, Settings, surroundings

PATH = "/socket.io/"
HANDSHAKE = "EIO=4&transport=polling"


class Echo:
    """Sends every message back, and writes down what it is told."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.handshakes: list[Handshake] = []
        self.got: list[str | bytes] = []
        self.beyond: list[str | bytes] = []
        self.reasons: list[Reason] = []
        self.greeting = ""
        self.silent = False

    def opened(self, session: Session, handshake: Handshake) -> None:
        """Note it, and greet."""
        self.sessions.append(session)
        self.handshakes.append(handshake)
        if self.greeting == "raise":
            raise ZeroDivisionError
        if self.greeting == "close":
            session.close()
        elif self.greeting:
            session.send(engine_packets.message(self.greeting))

    def received(self, session: Session, data: str | bytes) -> None:
        """Note it, and obey or send it back."""
        self.got.append(data)
        if data == "raise":
            raise ZeroDivisionError
        if data == "close":
            session.close()
        elif not self.silent:
            session.send(engine_packets.message(data))

    def exceeded(self, session: Session, data: str | bytes) -> None:
        """Note it, and send an error."""
        self.beyond.append(data)
        session.send(engine_packets.message("too many"))

    def ended(self, session: Session, reason: Reason) -> None:
        """Note it, and try to send, which must do nothing."""
        self.reasons.append(reason)
        session.send(engine_packets.message("too late"))
        session.close()


class EngineTestCase(SynchronousTestCase):
    """Has a server behind a front door; at the end of each test nothing may be left of any session."""

    def setUp(self) -> None:
        """Build the server with the usual settings."""
        self.logged = Logged(self)
        self.configure()

    def configure(
        self,
        *,
        message_bytes: int = 1000,
        per_second: float = 1000.0,
        send_buffer_bytes: int = 10_000,
        connections: dict[str, Any] | None = None,
        **rules: Any,
    ) -> None:
        """Build it with other settings; ``connections`` are those of `Settings`."""
        settings = Settings(interval=10_000, **(connections or {}))
        self.clock = settings.clock
        self.parts = surroundings(settings)
        self.rules = EngineRules(
            connections=Rules(
                message_bytes=message_bytes,
                rate=Rate(per_second, 2 * per_second),
                send_buffer_bytes=send_buffer_bytes,
                handshake_timeout=10,
                unauthenticated_timeout=30,
            ),
            **{"ping_interval": 25.0, "ping_timeout": 20.0, **rules},
        )
        self.application: Any = self.make_application()
        self.factory = EngineFactory("workspace", self.parts, self.rules, self.application)
        self.engine: Engine = self.factory.engine
        self.resource = EngineResource(self.factory, Sharing(self.parts.handshakes.origins))
        site = WebSite(
            tree({"socket.io": self.resource}, NotFound()), self.clock, bodies={"socket.io": self.resource}
        )
        self.door = FrontDoorFactory({"/socket.io": self.factory}, site, self.clock, timeout=10, longest=16_384)
        self.peers: list[Peer] = []

    def make_application(self) -> Any:
        """What the sessions are for; it has ``sessions`` and ``reasons`` as `Echo` has."""
        return Echo()

    def tearDown(self) -> None:
        """Let all clients go, and the time pass in which a session may linger."""
        for peer in self.peers:
            peer.go()
        for _ in range(100):
            self.clock.advance(1)
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        """No session, nobody admitted, no timer, no request, and as many ends as beginnings."""
        self.assertEqual(len(self.engine), 0)
        self.assertEqual(len(self.parts.admission), 0)
        self.assertEqual(len(self.factory.admission), 0)
        self.assertEqual(self.resource._posts, {})
        self.assertEqual(self.engine._silent, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.application.reasons), len(self.application.sessions))
        self.assertEqual(self.sample("realtime_connections", protocol="workspace") or 0, 0)

    def sample(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        return self.parts.metrics.registry.get_sample_value(name, labels)

    def refusals(self, reason: str) -> float:
        """How often something was refused for a reason."""
        return self.sample("realtime_refused_total", reason=reason) or 0.0

    # -- clients -------------------------------------------------------------------------------

    def peer(self, address: Any = "192.0.2.1") -> Peer:
        """A client that has not said anything yet."""
        peer = Peer(self.door, self.clock, address)
        self.peers.append(peer)
        return peer

    def request(
        self,
        method: str,
        query: str,
        *headers: str,
        body: bytes | None = None,
        path: str = PATH,
        address: Any = "192.0.2.1",
    ) -> Peer:
        """A client that has sent a request, whose answer may come later."""
        peer = self.peer(address)
        lines = [f"{method} {path}?{query} HTTP/1.1", "Host: chat.example", *headers]
        if body is not None or method == "POST":
            lines.append(f"Content-Length: {len(body or b'')}")
        peer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return peer

    def ask(self, method: str, query: str, *headers: str, **more: Any) -> Response:
        """The answer to a request."""
        return answer(self.request(method, query, *headers, **more))

    def polling(self, *, version: int = 4, query: str = "", address: str = "192.0.2.1") -> Client:
        """A client that polls."""
        client = Client(self, version, query, address)
        client.open()
        return client

    def websocket(
        self, query: str = "EIO=4&transport=websocket", *headers: str, path: str = PATH, **more: Any
    ) -> Peer:
        """A client whose WebSocket is open; what has come on it is not read."""
        peer = self.peer(**more).shake(f"{path}?{query}", *headers)
        self.assertEqual(peer.status, 101, peer.response)
        for _ in range(2):
            self.clock.advance(0.01)
        return peer

    def on_websocket(self, version: int = 4) -> tuple[Peer, Session]:
        """A client whose session began on a WebSocket, and has read so."""
        peer = self.websocket(f"EIO={version}&transport=websocket")
        self.assertEqual(peer.texts()[0][:1], b"0")
        return peer, self.application.sessions[-1]

    def assert_closed(self, peer: Peer, code: int) -> list[Frame]:
        """A WebSocket was closed with this code; what came before."""
        *before, last = peer.frames()
        self.assertEqual((last.opcode, last.code), (CLOSE, code))
        return before


class Client:
    """A client that polls, each request on a connection of its own."""

    def __init__(self, test: EngineTestCase, version: int, query: str, address: str) -> None:
        self.test = test
        self.version = version
        self.address = address
        self.query = f"EIO={version}&transport=polling{query}"
        self.sid = ""

    def open(self) -> str:
        """Open a session; the text of the first answer."""
        response = self.test.ask("GET", self.query, address=self.address)
        self.test.assertEqual(response.status, 200, response.body)
        packets = list(engine_packets.read_payload(response.body, self.version))
        self.sid = json.loads(packets[0].data)["sid"]
        self.session = self.test.application.sessions[-1]
        return response.body.decode()

    @property
    def named(self) -> str:
        """The query that names the session."""
        return f"{self.query}&sid={self.sid}"

    def poll(self, *headers: str) -> Peer:
        """A request that waits for packets, or is answered already."""
        return self.test.request("GET", self.named, *headers, address=self.address)

    def get(self) -> Response:
        """The answer to a request for packets, which must be there."""
        return answer(self.poll())

    def post(self, body: bytes, *headers: str) -> Response:
        """The answer to a request that brings packets."""
        return self.test.ask("POST", self.named, *headers, body=body, address=self.address)

    def send(self, *packets: str) -> None:
        """Bring packets."""
        groups = [engine_packets.Group(packet.encode()) for packet in packets]
        form = Form.POLLING_4 if self.version == 4 else Form.POLLING_3
        response = self.post(engine_packets.payload(groups, form))
        self.test.assertEqual((response.status, response.body), (200, b"ok"))

    def probe(self) -> Peer:
        """A WebSocket that asks to take over, and is answered."""
        peer = self.test.websocket(
            f"EIO={self.version}&transport=websocket&sid={self.sid}", address=self.address
        )
        peer.text(b"2probe")
        self.test.assertEqual(peer.texts(), [b"3probe"])
        return peer

    def upgrade(self) -> Peer:
        """A WebSocket that has taken over."""
        peer = self.probe()
        peer.text(b"5")
        return peer


def answer(peer: Peer) -> Response:
    """The answer to a client's request, whole; it can be asked for once."""
    data = peer.wire.value()
    assert data, "there is no answer yet"
    peer.wire.clear()
    response = Response(data)
    length = int(response.headers.get("content-length", "0"))
    assert len(response.body) == length, data
    return response


def error(code: int, message: str) -> bytes:
    """The body of an error."""
    return f'{{"code":{code},"message":"{message}"}}'.encode()


def is_waiting(peer: Peer) -> bool:
    """Whether a client's request waits."""
    return not peer.wire.value() and not peer.wire.gone
