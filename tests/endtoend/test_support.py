"""support as its users meet it: real sockets, two kinds of real clients, and one that breaks the rules.

Most tests share a daemon with the default settings, or one with small limits. Each gets an address of
its own by naming itself in ``X-Forwarded-For``. Both log at debug level, where a leak shows first.
"""

from __future__ import annotations

import json
import random
import socket
import ssl
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_in_thread
from websockets.typing import Subprotocol

from realtime.closing import CloseCode
from tests.endtoend.client import Client, SupportClient, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess, faults_in
from tests.endtoend.raw import BINARY, CONTINUATION, PATIENCE, PING, TEXT, RawClient, frame, request
from tests.endtoend.web import ask, sign_in_with
from tests.reactor import in_reactor, wait_for

_addresses = (f"10.0.{number // 200}.{number % 200 + 1}" for number in count())


class Demo:
    """A daemon with the demo accounts, and their tokens."""

    def __init__(self, process: DaemonProcess) -> None:
        self.process = process
        self.port = 0
        self.tokens: dict[str, str] = {}

    async def prepare(self) -> None:
        """Wait until the accounts are there, and sign in as each."""
        await self.process.start()
        self.port = self.process.port
        await self.process.logged("demo accounts")
        for name in ("alice", "bob", "carol", "operator"):
            answer = await sign_in_with(self.port, name, name)
            self.tokens[name] = json.loads(answer.body)["result"]["token"]

    async def look_at_log(self) -> None:
        """Make sure that everything logged until now was harmless."""
        mark = f"/end-{random.getrandbits(64):x}"
        await ask(self.port, mark)
        await self.process.logged(mark)
        assert not faults_in(self.process.log), self.process.log

    async def enter(self, name: str, headers: dict[str, str] | None = None) -> SupportClient:
        """A connection that has authenticated, from an address of its own unless ``headers`` say another."""
        client: SupportClient = await connect(self.port, headers=headers or alone())
        answer = await client.request("message.auth", self.tokens[name])
        assert answer["error"] is None, answer
        return client


def alone() -> dict[str, str]:
    """Headers that give a connection an address of its own."""
    return {"X-Forwarded-For": next(_addresses)}


def demo(folder: Path, **limits: object) -> Iterator[Demo]:
    """A daemon for the tests of this module, with some settings of ``[limits]``."""
    environment = {
        "REALTIME_OPERATIONS_LOG_LEVEL": "debug",
        "REALTIME_AUTH_SIGN_IN_FAILURES_PER_MINUTE": "1000",
        "REALTIME_AUTH_ORIGINS": "https://shop.example",
        "REALTIME_LIMITS_TRUSTED_PROXIES": "127.0.0.1",
        **{f"REALTIME_LIMITS_{name.upper()}": str(value) for name, value in limits.items()},
    }
    daemon = Demo(DaemonProcess(folder, "--demo", environment=environment))
    wait_for(Deferred.fromCoroutine(daemon.prepare()))
    yield daemon
    wait_for(daemon.process.kill())


@pytest.fixture(scope="module")
def shared_usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One daemon with the default limits."""
    yield from demo(tmp_path_factory.mktemp("usual"))


@pytest.fixture(scope="module")
def shared_strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One daemon with small limits."""
    yield from demo(
        tmp_path_factory.mktemp("strict"),
        message_bytes=1000,
        messages_per_second=1,
        connections_per_ip=3,
        connections_per_user=2,
        unauthenticated_timeout=1,
        handshake_timeout=1,
    )


@pytest.fixture
def usual(shared_usual: Demo) -> Iterator[Demo]:
    """A daemon with the default limits; its log is looked at when the test is over."""
    yield shared_usual
    wait_for(Deferred.fromCoroutine(shared_usual.look_at_log()))


@pytest.fixture
def strict(shared_strict: Demo) -> Iterator[Demo]:
    """A daemon with small limits; its log is looked at when the test is over."""
    yield shared_strict
    wait_for(Deferred.fromCoroutine(shared_strict.look_at_log()))


class Blocking:
    """A client on the `websockets` library; each step is taken in a thread."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = count(1)

    @classmethod
    def connect(cls, port: int, **how: Any) -> Deferred[Self]:
        """Fires with an open connection; fails with `InvalidStatus` if it is refused."""
        # Left by `leave` or by the server, not at the end of a block: it goes from thread to thread.
        opening = connect_in_thread(f"ws://127.0.0.1:{port}/support", proxy=None, **how)
        return deferToThread(lambda: cls(opening.__enter__()))

    @property
    def subprotocol(self) -> str | None:
        """What the server chose."""
        return self._connection.subprotocol

    def request(self, method: str, *params: Any) -> Deferred[dict[str, Any]]:
        """Send a request; fires with the next frame that has its id."""
        return deferToThread(self._request, method, *params)

    def next_push(self) -> Deferred[dict[str, Any]]:
        """Fires with the message of the next frame, which must be a push."""
        return deferToThread(self._next_push)

    def close_code(self) -> Deferred[int]:
        """Read to the end; fires with the code that the server closed with."""
        return deferToThread(self._close_code)

    def leave(self) -> Deferred[None]:
        """Close in the polite way."""
        return deferToThread(self._connection.close)

    def _receive(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self._connection.recv(PATIENCE))
        return received

    def _request(self, method: str, *params: Any) -> dict[str, Any]:
        request_id = f"request {next(self._ids)}"
        self._connection.send(json.dumps({"method": method, "params": params, "id": request_id}))
        while (received := self._receive())["id"] != request_id:
            pass
        return received

    def _next_push(self) -> dict[str, Any]:
        received = self._receive()
        assert received["id"] is None
        assert received["error"] is None
        message: dict[str, Any] = received["result"]["message"]
        return message

    def _close_code(self) -> int:
        try:
            while True:
                self._connection.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006


# -- a talk --------------------------------------------------------------------------------------


@in_reactor
async def test_a_talk(usual: Demo) -> None:
    """Customer and operator, each with another library, talk; the customer's other tab sees it all."""
    alice, tab = await usual.enter("alice"), await usual.enter("alice")
    operator = await Blocking.connect(usual.port)
    assert (await operator.request("message.auth", usual.tokens["operator"]))["result"] == {"messages": None}

    shown = tab.next_push()
    sent = (await alice.request("message.send", f"Is a {PRIVATE} striped? ☃"))["result"]["message"]
    assert list(sent) == ["message_id", "message_text", "invader_name", "is_from_support", "created"]
    assert (sent["message_text"], sent["invader_name"]) == (f"Is a {PRIVATE} striped? ☃", "")
    assert await shown == sent
    pushed = await operator.next_push()
    assert pushed == {**sent, "user_id": pushed["user_id"], "user_name": "alice"}

    both = gatherResults([alice.next_push(), tab.next_push()])
    reply = await operator.request("message.operatorSend", f"A {PRIVATE} is.")
    pushes = await both
    assert pushes[0] == pushes[1]
    assert (pushes[0]["invader_name"], pushes[0]["is_from_support"]) == ("operator", True)
    assert reply["result"]["message"] == {**pushes[0], "user_id": pushed["user_id"], "user_name": "alice"}

    said = (await alice.request("message.history"))["result"]["messages"]
    assert said == [sent, pushes[0]]
    listed = (await operator.request("message.conversations"))["result"]["conversations"]
    assert [(each["user_name"], each["unread"]) for each in listed] == [("alice", 0)]
    await operator.leave()
    for client in (alice, tab):
        client.sendClose(1000)
        assert await client.closed == 1000


@in_reactor
async def test_what_was_said_waits(usual: Demo) -> None:
    """What a customer says while no operator is there is shown to the next one that comes."""
    bob = await usual.enter("bob")
    await bob.request("message.send", f"Anybody with a {PRIVATE}?")
    bob.sendClose(1000)
    await bob.closed
    operator = await Blocking.connect(usual.port)
    waiting = (await operator.request("message.auth", usual.tokens["operator"]))["result"]["messages"]
    assert [(each["user_name"], each["message_text"]) for each in waiting] == [
        ("bob", f"Anybody with a {PRIVATE}?")
    ]
    await operator.request("message.operatorSend", f"Me, with a {PRIVATE}.")
    await operator.leave()
    bob = await usual.enter("bob")
    said = (await bob.request("message.auth", usual.tokens["bob"]))["result"]["messages"]
    assert [each["is_from_support"] for each in said] == [False, True]
    bob.sendClose(1000)
    await bob.closed


# -- signing in ----------------------------------------------------------------------------------


@in_reactor
async def test_sign_in(usual: Demo) -> None:
    """Three answers: a token, 403 and nothing, 404 and nothing."""
    right = await sign_in_with(usual.port, "alice", "alice", id=7)
    assert right.status == 200
    assert json.loads(right.body) == {"error": None, "result": {"token": usual_token(right.body)}, "id": 7}
    for name, password in (("alice", PRIVATE), (PRIVATE, "alice"), ("alice", PRIVATE * 20), ("", "")):
        wrong = await sign_in_with(usual.port, name, password)
        assert (wrong.status, wrong.body) == (403, b"")
    for method, body in (
        ("GET", None),
        ("PUT", b'{"user_name": "alice", "password": "alice"}'),
        ("POST", b'{"user_name": "alice", "password": 1}'),
        ("POST", b'{"user_name": "alice"}'),
        ("POST", f'"{PRIVATE}'.encode()),
        ("POST", b"\xff" * 100_000),
        ("POST", None),
    ):
        other = await ask(usual.port, "/v1/auth/", method=method, body=body)
        assert (other.status, other.body) == (404, b"")


def usual_token(body: bytes) -> str:
    """The token of an answer, which must be a JWT."""
    token: str = json.loads(body)["result"]["token"]
    assert token.count(".") == 2
    return token


@in_reactor
async def test_sign_in_from_a_page(usual: Demo) -> None:
    """A page of an allowed origin may read the answer, another one may not."""
    for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
        answer = await ask(usual.port, "/v1/auth", method="OPTIONS", Origin=origin)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers.get("access-control-allow-origin") == allowed


@in_reactor
async def test_guessing_is_throttled(start_daemon: Start) -> None:
    """After some failures even the right password is refused, with the time to wait."""
    daemon = await start_daemon("--demo", environment={"REALTIME_AUTH_SIGN_IN_FAILURES_PER_MINUTE": "3"})
    await daemon.logged("demo accounts")
    for _ in range(3):
        answer = await sign_in_with(daemon.port, "alice", f"{PRIVATE}")
        assert (answer.status, answer.body, answer.headers.get("retry-after")) == (403, b"", None)
    for name in ("alice", "bob"):  # the name's failures, and the address's
        answer = await sign_in_with(daemon.port, name, name)
        assert (answer.status, answer.body) == (403, b"")
        assert 0 < int(answer.headers["retry-after"]) <= 20


PLACES = ["message", "bearer header", "bare header", "subprotocol", "cookie", "query"]


def place(name: str, token: str) -> tuple[list[str], dict[str, Any], str]:
    """Where a token goes: parameters of message.auth, options of a client, and the query."""
    if name == "message":
        return [token], {}, ""
    if name == "query":
        return [], {}, f"?token={token}"
    if name == "subprotocol":
        return [], {"subprotocols": ["bearer", token]}, ""
    header = {
        "bearer header": {"Authorization": f"Bearer {token}"},
        "bare header": {"Authorization": token},
        "cookie": {"Cookie": f"theme=dark; token={token}"},
    }[name]
    return [], {"headers": header}, ""


@pytest.mark.parametrize("name", PLACES)
@in_reactor
async def test_places_of_a_token(usual: Demo, name: str) -> None:
    """A token counts in each place where one may stand."""
    params, options, query = place(name, usual.tokens["carol"])
    client = await connect(usual.port, f"/support{query}", **options)
    assert client.websocket_protocol_in_use == ("bearer" if name == "subprotocol" else None)
    answer = await client.request("message.auth", *params)
    assert answer == {"error": None, "result": {"messages": None}, "id": 1}
    client.sendClose(1000)
    assert await client.closed == 1000


@in_reactor
async def test_places_with_another_library(usual: Demo) -> None:
    """The same in the way in which `websockets` writes subprotocols and headers."""
    token = usual.tokens["carol"]
    offered = await Blocking.connect(usual.port, subprotocols=[Subprotocol("bearer"), Subprotocol(token)])
    assert offered.subprotocol == "bearer"
    named = await Blocking.connect(usual.port, additional_headers={"Authorization": f"Bearer {token}"})
    for client in (offered, named):
        assert (await client.request("message.auth"))["result"] == {"messages": None}
        await client.leave()


@pytest.mark.parametrize("name", PLACES)
@in_reactor
async def test_a_wrong_token(usual: Demo, name: str) -> None:
    """A token that is none closes with 4401, wherever it stood, and is told to nobody."""
    params, options, query = place(name, f"eyJhbGciOiJub25lIn0.{PRIVATE}.{PRIVATE}")
    client = await connect(usual.port, f"/support{query}", **options)
    answer = client.request("message.auth", *params)
    answer.addErrback(lambda failure: failure.trap(ConnectionError))
    assert await client.closed == CloseCode.NOT_AUTHENTICATED
    await answer


@pytest.mark.parametrize(
    "first",
    [
        ("message.auth",),
        ("message.auth", ""),
        ("message.auth", None),
        ("message.auth", 1),
        ("message.auth", "jti:1"),
        ("message.auth", "x", "y"),
        ("message.send", PRIVATE),
        ("message.nonsense",),
    ],
    ids=repr,
)
@in_reactor
async def test_nothing_before_authentication(usual: Demo, first: tuple[Any, ...]) -> None:
    """Without a token, or with another method first, there is no frame, only 4401."""
    client = await connect(usual.port, protocol=Client)
    client.sendMessage(json.dumps({"method": first[0], "params": first[1:], "id": 1}).encode())
    assert await client.closed == CloseCode.NOT_AUTHENTICATED
    assert not client.frames


@in_reactor
async def test_origins(usual: Demo) -> None:
    """A page of another site is refused; a listed one, the host itself and a program are not."""
    token = usual.tokens["carol"]
    for origin in ("https://evil.example", "null"):
        with pytest.raises(ConnectionError):
            await connect(usual.port, headers={"Origin": origin})
    for origin in ("https://shop.example", f"http://127.0.0.1:{usual.port}"):
        client = await connect(usual.port, headers={"Origin": origin, "Cookie": f"token={token}"})
        assert (await client.request("message.auth"))["error"] is None
        client.sendClose(1000)
        await client.closed


@in_reactor
async def test_a_cookie_on_a_foreign_page(start_daemon: Start) -> None:
    """Where every origin is allowed, a cookie is passed over on a page of another site."""
    daemon = await start_daemon("--demo")
    await daemon.logged("demo accounts")
    token = json.loads((await sign_in_with(daemon.port, "alice", "alice")).body)["result"]["token"]
    client = await connect(
        daemon.port, protocol=Client, headers={"Origin": "https://evil.example", "Cookie": f"token={token}"}
    )
    client.sendMessage(b'{"method": "message.auth", "params": [], "id": 1}')
    assert await client.closed == CloseCode.NOT_AUTHENTICATED


# -- broken rules --------------------------------------------------------------------------------

BROKEN = {
    "binary": (frame(BINARY, PRIVATE.encode()), CloseCode.UNSUPPORTED_FRAME),
    "not UTF-8": (frame(TEXT, b"\xff\xfe"), CloseCode.INVALID_PAYLOAD),
    "half a letter": (frame(TEXT, b'"\xe2\x98"'), CloseCode.INVALID_PAYLOAD),
    "a lone surrogate": (frame(TEXT, b"\xed\xa0\x80"), CloseCode.INVALID_PAYLOAD),
    "too big": (frame(TEXT, b"x" * 70_000), CloseCode.MESSAGE_TOO_BIG),
    "too big in parts": (
        frame(TEXT, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000),
        CloseCode.MESSAGE_TOO_BIG,
    ),
    "too big to be true": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), CloseCode.MESSAGE_TOO_BIG),
    "unmasked": (frame(TEXT, PRIVATE.encode(), masked=False), CloseCode.PROTOCOL_ERROR),
    "reserved bits": (frame(TEXT, b"{}", rsv=4), CloseCode.PROTOCOL_ERROR),
    "reserved opcode": (frame(3, b"{}"), CloseCode.PROTOCOL_ERROR),
    "continued nothing": (frame(CONTINUATION, b"{}"), CloseCode.PROTOCOL_ERROR),
    "a new message in the middle": (
        frame(TEXT, b"{", fin=False) + frame(TEXT, b"{}"),
        CloseCode.PROTOCOL_ERROR,
    ),
    "a ping in parts": (frame(PING, fin=False), CloseCode.PROTOCOL_ERROR),
    "a ping too long": (frame(PING, b"x" * 126), CloseCode.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("name", BROKEN)
@in_reactor
async def test_broken_frames(usual: Demo, name: str) -> None:
    """Each has its close code, before authentication and after it."""
    broken, code = BROKEN[name]

    def run() -> list[int]:
        codes = []
        for opening in (b"", request("message.auth", usual.tokens["carol"])):
            with RawClient(usual.port) as client:
                client.shake_hands()
                if opening:
                    client.send(opening)
                    assert client.read_answer()["error"] is None
                client.send(broken)
                codes.append(client.read_close_code())
        return codes

    assert await deferToThread(run) == [code, code]


@in_reactor
async def test_bad_requests(usual: Demo) -> None:
    """Each has its error, and none closes the connection."""
    client = await usual.enter("carol")
    for method, params, code in (
        ("message.send", [], 1),
        ("message.send", [f" \n{'x' * 10_001}"], 1),
        ("message.send", ["  "], 1),
        ("message.send", {"text": PRIVATE}, 1),
        ("message.operatorSend", [PRIVATE], 3),
        ("message.nonsense", [PRIVATE], 4),
        (f"{PRIVATE}", [], 4),
        (["message.send"], [], 4),
    ):
        client.sendMessage(json.dumps({"method": method, "params": params, "id": "mine"}).encode())
        answer: Deferred[dict[str, Any]] = Deferred()
        client._answers["mine"] = answer  # type: ignore[index]
        assert (await answer)["error"]["code"] == code
    client.sendClose(1000)
    await client.closed


@in_reactor
async def test_parse_errors(usual: Demo) -> None:
    """What is no request is answered with error 5 and no id; fifty faults in a minute close with 1008."""

    def run() -> tuple[set[str], int]:
        with RawClient(usual.port) as client:
            client.shake_hands()
            client.send(request("message.auth", usual.tokens["carol"]))
            assert client.read_answer()["error"] is None
            bad = [
                PRIVATE.encode(),
                b"",
                b"[]",
                b'"x"',
                b"NaN",
                b'{"method": NaN}',
                b'{"id": -Infinity}',
                b'{"id": {}}',
                b"[" * 50_000,
                b'{"method": "message.send", "params": [' + b"[" * 30_000,
            ]
            answers = set()
            for number in range(50):
                client.send(frame(TEXT, bad[number % len(bad)]))
                answers.add(json.dumps(client.read_answer()))
            return answers, client.read_close_code()

    answers, code = await deferToThread(run)
    expected = {"error": {"code": 5, "message": "Parse error."}, "result": None, "id": None}
    assert answers == {json.dumps(expected)}
    assert code == CloseCode.POLICY_VIOLATION


@in_reactor
async def test_one_fault_harms_one_connection(usual: Demo) -> None:
    """While others break every rule, or vanish, a customer is served as if they were not there."""
    alice = await usual.enter("alice")

    def misbehave(name: str) -> None:
        with RawClient(usual.port) as client:
            client.shake_hands()
            client.send(request("message.auth", usual.tokens["carol"]) + BROKEN[name][0])
            # Closed with bytes unread: the other side gets a reset.

    badly = [deferToThread(misbehave, name) for name in BROKEN]
    for number in range(10):
        answer = await alice.request("message.send", f"{PRIVATE} {number}")
        assert answer["error"] is None
    await gatherResults(badly)
    assert (await alice.request("message.history"))["error"] is None
    alice.sendClose(1000)
    await alice.closed


def garbage() -> dict[str, bytes]:
    """What comes to an open port."""
    noise = random.Random(4).randbytes(4000).replace(b"\r\n\r\n", b"")
    hello = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return {
        "nothing": b"",
        "noise": noise,
        "noise with an end": noise + b"\r\n\r\n",
        "a TLS hello": hello.read(),
        "half a request": b"GET /support HTTP/1.1\r\nHost: x\r\nUpgrade: websock",
        "an endless header": b"GET /support HTTP/1.1\r\nX: " + b"x" * 20_000,
        "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
        "no version": b"GET /support\r\nUpgrade: websocket\r\n\r\n",
        "another method": b"POST /support HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        "no key": b"GET /support HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    }


@in_reactor
async def test_half_open_and_garbage(strict: Demo) -> None:
    """What is no handshake is answered or cut, all of it within the handshake's time."""

    def run(data: bytes) -> bytes:
        with RawClient(strict.port) as client:
            client.send(data)
            return client.read_to_end()

    all_garbage = garbage()
    answers = await gatherResults([deferToThread(run, data) for data in all_garbage.values()])
    status = {
        name: int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0
        for name, answer in zip(all_garbage, answers, strict=True)
    }
    assert status["an endless header"] == 431
    assert {status[name] for name in ("another method", "no key")} <= {400, 405, 426}
    for name in ("nothing", "a TLS hello", "half a request", "another protocol"):
        assert status[name] == 0
    for answer in answers:
        assert b"101 Switching" not in answer


# -- limits --------------------------------------------------------------------------------------


@in_reactor
async def test_too_fast(strict: Demo) -> None:
    """Beyond the rate a request is answered with error 6 and its id, and not done."""
    alice = await strict.enter("alice")
    answers = await gatherResults([alice.request("message.send", PRIVATE) for _ in range(4)])
    assert [answer["id"] for answer in answers] == [2, 3, 4, 5]
    assert answers[0]["error"] is None
    assert answers[-1] == {
        "error": {"code": 6, "message": "Too many requests."},
        "result": None,
        "id": 5,
    }
    alice.sendClose(1000)
    await alice.closed


@in_reactor
async def test_a_limit_of_the_settings(strict: Demo) -> None:
    """[limits] message_bytes is the longest message: one byte more closes with 1009."""

    def run() -> list[int]:
        codes = []
        for length in (1000, 1001):
            with RawClient(strict.port) as client:
                client.shake_hands("/support", *(f"{key}: {value}" for key, value in alone().items()))
                client.send(frame(TEXT, b'{"method":"message.nonsense"}'.ljust(length)))
                codes.append(client.read_close_code())
        return codes

    assert await deferToThread(run) == [CloseCode.NOT_AUTHENTICATED, CloseCode.MESSAGE_TOO_BIG]


@in_reactor
async def test_connections_of_a_user(strict: Demo) -> None:
    """One too many is closed with 4429; when another has gone there is room again."""
    first, second = await strict.enter("bob"), await strict.enter("bob")
    third = await connect(strict.port, protocol=Client, headers=alone())
    third.sendMessage(json.dumps({"method": "message.auth", "params": [strict.tokens["bob"]]}).encode())
    assert await third.closed == CloseCode.TOO_MANY_REQUESTS
    first.sendClose(1000)
    await first.closed
    fourth = await strict.enter("bob")
    for client in (second, fourth):
        client.sendClose(1000)
        await client.closed


@in_reactor
async def test_connections_of_an_address(strict: Demo) -> None:
    """One too many is refused with 429 in the handshake; another address is not."""
    here = alone()
    there = [await strict.enter(name, here) for name in ("alice", "bob", "carol")]
    with pytest.raises(InvalidStatus) as refused:
        await Blocking.connect(strict.port, additional_headers=here)
    assert refused.value.response.status_code == 429
    there.append(await strict.enter("operator"))
    for client in there:
        client.sendClose(1000)
        await client.closed


@in_reactor
async def test_unauthenticated_time(strict: Demo) -> None:
    """Who says nothing, or nothing but pings, is closed with 4401 when its time is up."""
    silent = await Blocking.connect(strict.port, additional_headers=alone())
    pinging = await connect(strict.port, headers=alone())
    pinging.sendPing()
    served = await strict.enter("carol")
    assert await silent.close_code() == CloseCode.NOT_AUTHENTICATED
    assert await pinging.closed == CloseCode.NOT_AUTHENTICATED
    assert (await served.request("message.history"))["error"] is None
    served.sendClose(1000)
    await served.closed


@in_reactor
async def test_a_slow_reader(usual: Demo) -> None:
    """Who doesn't read is closed with 4430, and loses no frame in its middle; others are served."""
    bob, carol = usual.tokens["bob"], await usual.enter("carol")
    text = PRIVATE.ljust(10_000, "☃")

    def ask_and_not_read() -> RawClient:
        client = RawClient(usual.port, receive_buffer=4096)
        client.shake_hands()
        client.send(request("message.auth", bob))
        client.read_answer()
        for _ in range(20):
            client.send(request("message.send", text))
            client.read_answer()
        for _ in range(40):
            client.send(request("message.history"))
        return client

    slow = await deferToThread(ask_and_not_read)
    try:
        assert (await carol.request("message.send", PRIVATE))["error"] is None
        await usual.process.logged(f"closed with {CloseCode.SLOW_READER:d}")
        assert await deferToThread(slow.read_close_code) == CloseCode.SLOW_READER
    finally:
        slow.socket.close()
    assert (await carol.request("message.history"))["error"] is None
    carol.sendClose(1000)
    await carol.closed


@in_reactor
async def test_who_hangs_up_is_forgotten(strict: Demo) -> None:
    """A connection that is lost without a word makes room for its user's next one."""

    def run() -> None:
        with RawClient(strict.port) as client:
            client.shake_hands("/support", *(f"{key}: {value}" for key, value in alone().items()))
            client.send(request("message.auth", strict.tokens["operator"]))
            assert client.read_answer()["error"] is None
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))

    for _ in range(5):
        await deferToThread(run)
