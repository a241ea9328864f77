"""Socket.IO over real sockets: thousands who come back at once, and clients that break every rule."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from bench.process import resident_bytes
from tests.endtoend.accounts import sign_in
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.programs import Program, run
from tests.endtoend.programs import programs as programs
from tests.endtoend.raw import TEXT, RawClient, frame
from tests.endtoend.test_support import Demo
from tests.endtoend.web import ask
from tests.reactor import in_reactor, wait_for

CROWD = 2000
SPARE = 16 * 1024 * 1024
"""Bytes that the daemon may have kept of a second crowd, for which the first has made room."""

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
LONGEST = 1_000_000
"""Bytes of a message, by default."""

CHUNK = b"4" * 65_536
ENDLESS = 16 * 1024 * 1024
"""Bytes of a body that the daemon reads, and throws away, before it cuts the connection."""


async def sessions_of(daemon: DaemonProcess) -> float:
    """How many sessions are open, as the daemon counts them."""
    answer = await ask(daemon.operations_port, "/metrics")
    found = re.search(rb'^realtime_connections\{protocol="socketio"\} ([0-9.]+)', answer.body, re.MULTILINE)
    assert found is not None
    return float(found[1])


@in_reactor
async def test_reconnect_storm(start_daemon: Start, programs: list[Program]) -> None:
    """Two thousand at once come, are cut, come back to what they missed, and leave nothing behind."""
    daemon = await start_daemon(
        "--demo",
        environment={"REALTIME_LIMITS_CONNECTIONS_PER_USER": "0", "REALTIME_WORKSPACE_RECOVERY_SECONDS": "30"},
    )
    await daemon.logged("demo accounts")
    tokens = [await sign_in(daemon.port, name) for name in ("alice", "bob", "carol")]
    body = json.dumps({"name": "everybody"}).encode()
    bearer: dict[str, Any] = {"Authorization": f"Bearer {tokens[0]}"}
    made = await ask(daemon.port, "/v1/workspaces/default/channels", method="POST", body=body, **bearer)
    channel = json.loads(made.body)["id"]
    process: Any = daemon.transport
    taken = []
    for _ in range(2):
        crowd = run(
            [sys.executable, "-m", "tests.endtoend.socketio_crowd"], Path(__file__).parent.parent.parent
        )
        programs.append(crowd)
        told = {"port": daemon.port, "tokens": tokens, "size": CROWD, "channel": channel}
        crowd.tell({**told, "text": PRIVATE, "missed": 5})
        for _ in range(2):
            assert await crowd.next() == {"ready": True}
            assert await sessions_of(daemon) == CROWD + 1
            crowd.tell({})
        assert await crowd.next() == {"over": True}
        await crowd.ended
        while await sessions_of(daemon):
            pass
        taken.append(resident_bytes(process.pid))
    assert taken[1] < taken[0] + SPARE, taken


# -- clients that break the rules ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One daemon for all of them, which logs everything."""
    environment = {
        "REALTIME_OPERATIONS_LOG_LEVEL": "debug",
        "REALTIME_AUTH_ORIGINS": "https://shop.example",
        "REALTIME_LIMITS_TRUSTED_PROXIES": "127.0.0.1",
        "REALTIME_SOCKETIO_UPGRADE_TIMEOUT": "0.5",
    }
    daemon = Demo(DaemonProcess(tmp_path_factory.mktemp("socketio"), "--demo", environment=environment))
    wait_for(Deferred.fromCoroutine(daemon.prepare()))
    yield daemon
    wait_for(daemon.process.kill())


@pytest.fixture
def demo(shared_demo: Demo) -> Iterator[Demo]:
    """That daemon; afterwards all sessions are gone, and its log is harmless."""
    yield shared_demo
    wait_for(Deferred.fromCoroutine(_look(shared_demo)))


async def _look(demo: Demo) -> None:
    while await sessions_of(demo.process):
        pass
    await demo.look_at_log()


def in_thread(talk: Callable[[int], None]) -> Callable[[Demo], Deferred[None]]:
    """Make a test of a function that talks to a port and blocks."""

    @in_reactor
    async def test(demo: Demo) -> None:
        await deferToThread(talk, demo.port)

    test.__doc__ = talk.__doc__
    return test


class Poller(RawClient):
    """A polling client, one request after the other on one connection."""

    def ask(self, query: str = "", body: bytes | None = None) -> tuple[int, str]:
        """Status and body of an answer."""
        self.request(query, body)
        return self.answer()

    def request(self, query: str = "", body: bytes | None = None, *headers: str) -> None:
        """Send a request."""
        method = "GET" if body is None else "POST"
        more = headers if body is None else (f"Content-Length: {len(body)}", *headers)
        lines = (f"{method} {POLLING}{query} HTTP/1.1", "Host: localhost", *more, "", "")
        self.send("\r\n".join(lines).encode() + (body or b""))

    def begin_post(self, query: str, header: str) -> None:
        """Send the head of a POST."""
        self.send(f"POST {POLLING}{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())

    def leave(self, sid: str) -> None:
        """End the session."""
        assert self.ask(sid, b"1") == (200, "ok")

    def answer(self) -> tuple[int, str]:
        """Status and body of the answer to the oldest request that was not answered yet."""
        head = self.read_head()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), self.read_exactly(length).decode()

    def open(self) -> str:
        """Begin a session, join ``/``; returns the sid as part of a query."""
        status, body = self.ask()
        assert status == 200, body
        sid = f"&sid={json.loads(body[1:])['sid']}"
        assert self.ask(sid, b"40") == (200, "ok")
        status, body = self.ask(sid)
        assert (status, body[:3]) == (200, "40{")
        return sid

    def read_exactly(self, length: int) -> bytes:
        """So many bytes."""
        while len(self._received) < length:
            assert self._read_more(), "the server has closed"
        data, self._received = self._received[:length], self._received[length:]
        return data


def refusal(status: int, body: str) -> tuple[int, int]:
    """Status and Engine.IO's code of an answer that refuses."""
    return status, json.loads(body)["code"]


def websocket(client: RawClient) -> RawClient:
    """Begin a session on a WebSocket, and join ``/``."""
    assert client.shake_hands(WEBSOCKET).startswith("HTTP/1.1 101")
    assert read_text(client).startswith("0{")
    client.send(frame(TEXT, b"40"))
    assert read_text(client).startswith("40{")
    return client


def read_text(client: RawClient) -> str:
    """The next frame, which is text."""
    found = client.read_frame()
    assert found is not None
    assert found[0] == TEXT
    return found[1].decode()


@in_thread
def test_two_requests_at_once(port: int) -> None:
    """A second GET ends the session: the first is told so, the second refused; so does a second POST."""
    with Poller(port) as first, Poller(port) as second:
        sid = first.open()
        first.request(sid)
        assert refusal(*second.ask(sid)) == (400, 3)
        assert first.answer() == (200, "1")
        assert refusal(*first.ask(sid)) == (400, 1)
        sid = first.open()
        first.begin_post(sid, "Content-Length: 9")
        while True:  # until the server has seen its head, the second is the first
            status, body = second.ask(sid, b"3")
            if status != 200:
                break
        assert refusal(status, body)[0] == 400
        assert refusal(*second.ask(sid)) == (400, 1)


@in_thread
def test_foreign_sids(port: int) -> None:
    """An unknown sid is refused on either transport, as is polling after the upgrade."""
    with Poller(port) as poller:
        for sid in ("&sid=nobodys", "&sid=%00%ff", "&sid=" + "x" * 5000):
            assert refusal(*poller.ask(sid)) == (400, 1)
            assert refusal(*poller.ask(sid, b"40")) == (400, 1)
            with RawClient(port) as other:
                assert other.shake_hands(f"{WEBSOCKET}{sid}").startswith("HTTP/1.1 400")
        assert refusal(*poller.ask("", b"40")) == (400, 2)
        sid = poller.open()
        with RawClient(port) as upgraded:
            assert upgraded.shake_hands(f"{WEBSOCKET}{sid}").startswith("HTTP/1.1 101")
            upgraded.send(frame(TEXT, b"2probe"))
            assert read_text(upgraded) == "3probe"
            upgraded.send(frame(TEXT, b"5"))
            upgraded.send(frame(TEXT, b'42["auth",{}]'))
            assert read_text(upgraded).startswith('42["socket-api-error"')
            assert refusal(*poller.ask(sid)) == (400, 3)
            # Somebody who knows the sid gets a WebSocket, which is closed, and the session lives on.
            with RawClient(port) as second:
                assert second.shake_hands(f"{WEBSOCKET}{sid}").startswith("HTTP/1.1 101")
                assert second.read_close_code() == 1008
            upgraded.send(frame(TEXT, b'42["auth",{}]'))
            assert read_text(upgraded).startswith('42["socket-api-error"')


@in_thread
def test_a_probe_that_is_never_finished(port: int) -> None:
    """The WebSocket is closed in time, and polling goes on; meanwhile no request waits."""
    with Poller(port) as poller, RawClient(port) as prober:
        sid = poller.open()
        assert prober.shake_hands(f"{WEBSOCKET}{sid}").startswith("HTTP/1.1 101")
        prober.send(frame(TEXT, b"2probe"))
        assert read_text(prober) == "3probe"
        assert poller.ask(sid) == (200, "6")
        assert prober.read_close_code() == 1000
        assert poller.ask(sid, b'421["auth",{}]') == (200, "ok")
        assert poller.ask(sid)[1].startswith('42["socket-api-error"')
        poller.leave(sid)


@in_thread
def test_oversized_posts(port: int) -> None:
    """Too long a POST is refused, by its length or by its chunks; the session stays, and takes the longest."""
    with Poller(port) as poller:
        sid = poller.open()
        assert refusal(*poller.ask(sid, b"4" * (LONGEST + 1))) == (413, 3)
        with Poller(port) as other:
            other.begin_post(sid, "Transfer-Encoding: chunked")
            for _ in range(LONGEST // len(CHUNK) + 1):
                other.send(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
            other.send(b"0\r\n\r\n")
            assert refusal(*other.answer()) == (413, 3)
        text = b'42["auth","' + b"x" * (LONGEST - 13) + b'"]'
        assert len(text) == LONGEST
        assert poller.ask(sid, text) == (200, "ok")
        assert poller.ask(sid)[1].startswith('42["socket-api-error"')
        poller.leave(sid)


@in_reactor
async def test_endless_posts(demo: Demo) -> None:
    """Nothing is kept of a body that is too long, and the connection that goes on with it is cut."""

    def go_on(head: str, chunk: bytes) -> int:
        with Poller(demo.port) as poller:
            poller.begin_post(poller.open(), head)
            sent = 0
            try:
                while sent < 10 * ENDLESS:
                    poller.send(chunk)
                    sent += len(chunk)
            except ConnectionError:
                return sent
        raise AssertionError("it takes everything")

    process: Any = demo.process.transport
    before = resident_bytes(process.pid)
    for head, chunk in (
        (f"Content-Length: {10**12}", CHUNK),
        ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK)),
    ):
        assert await deferToThread(go_on, head, chunk) < 2 * ENDLESS
    assert resident_bytes(process.pid) < before + ENDLESS // 2


@in_thread
def test_packets_that_are_none(port: int) -> None:
    """Attachments without number, endless names, depths and ids end the session, on either transport."""
    event = b'["message-send",{"_placeholder":true,"num":0}]'
    for packet in (
        b"451000000000-" + event,
        b"45" + b"9" * 5000 + b"-" + event,
        b"45-1-" + event,
        b"40/" + b"n" * (LONGEST - 100),
        b"42/" + b"n" * 5000 + b',["auth"]',
        b"42" + b"9" * 5000 + b'["auth"]',
        b"42" + b"[" * 100_000,
        b'42["auth",NaN]',
        b"42",
        b"4",
        b"9",
        b"",
        b'44{"message":"no"}',
        b"40",  # a second time
    ):
        with RawClient(port) as client:
            websocket(client).send(frame(TEXT, packet))
            assert client.read_close_code() == 1008, packet[:20]
        with Poller(port) as poller:
            sid = poller.open()
            status, _ = poller.ask(sid, packet)
            assert status in (200, 400)
            assert refusal(*poller.ask(sid))[0] == 400, packet[:20]


@in_thread
def test_attachments_that_never_come(port: int) -> None:
    """Who announces attachments and sends something else is cut; who acknowledges nothing is not."""
    with RawClient(port) as client:
        websocket(client).send(frame(TEXT, b'452-["auth",{"_placeholder":true,"num":0}]'))
        client.send(frame(TEXT, b'42["auth",{}]'))
        assert client.read_close_code() == 1008
    with RawClient(port) as client:
        websocket(client)
        for number in range(50):
            client.send(frame(TEXT, b"43%d[]" % number))
        client.send(frame(TEXT, b'42["auth",{}]'))
        assert read_text(client).startswith('42["socket-api-error"')
        # Acknowledgements that are asked for and never read: each is given once.
        for number in range(20):
            client.send(frame(TEXT, b'42%d["dance"]' % number))
        texts = [read_text(client) for _ in range(40)]
        assert [text for text in texts if text.startswith("43")] == [
            f'43{number}[{{"error":"Not authenticated"}}]' for number in range(20)
        ]


@in_reactor
async def test_origins(demo: Demo) -> None:
    """Pages of a listed origin may ask, with cookies too; others are refused, and may read that."""
    preflight = await ask(
        demo.port,
        POLLING,
        method="OPTIONS",
        Origin="https://shop.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type",
    )
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    opened = await ask(demo.port, POLLING, Origin="https://shop.example")
    assert opened.status == 200
    assert opened.headers["access-control-allow-origin"] == "https://shop.example"
    assert opened.headers["cache-control"] == "no-store"
    unknown = await ask(demo.port, f"{POLLING}&sid=x", Origin="https://shop.example")
    assert (unknown.status, json.loads(unknown.body)["code"]) == (400, 1)
    assert unknown.headers["access-control-allow-origin"] == "https://shop.example"
    foreign = await ask(demo.port, POLLING, Origin="https://evil.example")
    assert (foreign.status, json.loads(foreign.body)["code"]) == (403, 4)
    assert "access-control-allow-origin" not in foreign.headers

    def shake_hands() -> str:
        with RawClient(demo.port) as client:
            return client.shake_hands(WEBSOCKET, "Origin: https://evil.example")

    assert (await deferToThread(shake_hands)).startswith("HTTP/1.1 403")
    sid = json.loads(opened.body[1:])["sid"]
    assert (await ask(demo.port, f"{POLLING}&sid={sid}", method="POST", body=b"1")).body == b"ok"
