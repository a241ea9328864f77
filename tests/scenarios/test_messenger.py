"""The stories of messenger, between real connections to a real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.web.server import Site

from bench.process import resident_bytes
from tests.accounts.authorization import AuthorizationServer
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.web import ask
from tests.messenger.images import encoded, picture
from tests.reactor import in_reactor, wait_for
from tests.scenarios.messenger_client import Chatter, Message, add_users, enter, tokens

WINDOW = 64
UNLIMITED = {"REALTIME_LIMITS_MESSAGES_PER_SECOND": "100000", "REALTIME_LIMITS_KEEPALIVE_INTERVAL": "300"}


def secret(number: int, size: int = 0) -> dict[str, Any]:
    """What a client says to another."""
    return {"message": f"{PRIVATE} {number}\N{SNOWMAN}", "more": ["x" * size, None, 1.50]}


def came(body: dict[str, Any]) -> tuple[str, str]:
    """Who has come, or has changed its profile."""
    assert body["connectionStatus"] == "CONNECT"
    return body["userId"], body["nickname"]


@in_reactor
async def test_a_day(start_daemon: Start, database_url: str, tmp_path: Path) -> None:
    """Coming, talking, being away, receipts that wait; profile, picture and histories; and a kill."""
    await add_users(tmp_path, ("alice", "bob", "carol"), database_url)
    environment = {"REALTIME_DATABASE_URL": database_url}
    daemon = await start_daemon(environment=environment)
    for_alice, for_bob, for_carol = await tokens(daemon, ("alice", "bob", "carol"))

    # Alice's token is in the header. Bob is a browser: his is in the first message, and nothing counts before.
    alice = await enter(daemon.port, for_alice)
    assert await alice.entered() == ["alice"]
    bob = await enter(daemon.port, None)
    bob.emit("CHAT_MESSAGE", message="nobody hears this")
    bob.emit("AUTH_MESSAGE", token=for_bob)
    assert await bob.entered() == ["alice", "bob"]
    assert came(await alice.expect("USER_CONNECTION_MESSAGE")) == ("2", "bob")

    # The room hears everybody, also those who speak.
    for number, each in enumerate((alice, bob)):
        each.emit("CHAT_MESSAGE", message=f"{PRIVATE} {number}")
        for listener in (alice, bob):
            said = await listener.expect("CHAT_MESSAGE")
            assert (said["message"], said["sender"]) == (f"{PRIVATE} {number}", str(number + 1))

    # A dialog to somebody who is there, and to nobody.
    alice.send("2", secret(0), "first")
    (dialog,) = await bob.dialogs(1)
    assert (dialog["clientData"], dialog["serverData"]["sender"]) == (secret(0), "1")
    first = await alice.expect("DELIVERY_MESSAGE", "SUCCESS")
    assert first == {
        "messageId": dialog["serverData"]["messageId"],
        "receiver": "2",
        "clientMessageId": "first",
    }
    alice.send("77", secret(0))
    assert (await alice.expect("DELIVERY_MESSAGE", "ERROR"))["receiver"] == "77"
    alice.send("2", secret(0), "first")  # once more: nothing is sent, the outcome is said again
    assert await alice.expect("DELIVERY_MESSAGE", "SUCCESS") == first

    # To somebody who is away; then the sender goes, and the server is killed.
    for number in range(5):
        alice.send("3", secret(number), f"to carol {number}")
    await alice.stored()
    alice.emit("HISTORY", peer=3)
    kept = (await alice.expect("HISTORY", "SUCCESS"))["messages"]
    assert [line["clientData"] for line in kept] == [secret(number) for number in range(5)]
    alice.sendClose(1000)
    assert await bob.expect("USER_CONNECTION_MESSAGE") == {"connectionStatus": "DISCONNECT", "userId": "1"}
    await alice.closed
    await daemon.kill()
    await bob.closed
    daemon = await start_daemon(environment=environment)

    # She finds them in order, and nothing twice; the receipts wait for their sender.
    carol = await enter(daemon.port, for_carol)
    assert await carol.entered() == ["carol"]
    waited = await carol.dialogs(5)
    assert [message["clientData"] for message in waited] == [secret(number) for number in range(5)]
    ids = [message["serverData"]["messageId"] for message in waited]
    assert ids == [line["messageId"] for line in kept]
    await carol.stored()
    alice = await enter(daemon.port, for_alice)
    assert await alice.entered() == ["alice", "carol"]
    assert came(await carol.expect("USER_CONNECTION_MESSAGE")) == ("1", "alice")
    receipts = [await alice.expect("DELIVERY_MESSAGE", "SUCCESS") for _ in ids]
    assert [receipt["messageId"] for receipt in receipts] == ids
    assert [receipt["clientMessageId"] for receipt in receipts] == [f"to carol {number}" for number in range(5)]

    # A profile and a picture; others see them at once, and newcomers in the list.
    carol.emit("PROFILE", nickname="Карла", language="ru", status="here")
    assert await carol.expect("PROFILE", "SUCCESS") is None
    assert came(await alice.expect("USER_CONNECTION_MESSAGE")) == ("3", "Карла")
    image = picture("PNG", shade=7)
    carol.emit("SAVE_AVATAR", imageBase64="data:image/png;base64," + encoded(image))
    assert await carol.expect("SAVE_AVATAR", "SUCCESS") is None
    shown = await alice.expect("USER_CONNECTION_MESSAGE")
    assert (shown["nickname"], shown["language"], shown["status"]) == ("Карла", "ru", "here")
    answer = await ask(daemon.port, shown["avatar"])
    assert shown["avatar"].startswith("/avatars/")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "image/png", image)
    carol.emit("SAVE_AVATAR", imageBase64=encoded(b"GIF89a, but no more"))
    assert (await carol.expect("SAVE_AVATAR", "ERROR"))["errorCode"] == "2"
    bob = await enter(daemon.port, for_bob)
    assert await bob.entered() == ["alice", "bob", "Карла"]

    # What was said is kept.
    bob.emit("HISTORY")
    room = (await bob.expect("HISTORY", "SUCCESS"))["messages"]
    assert [(line["message"], line["sender"]) for line in room] == [
        (f"{PRIVATE} 0", "1"),
        (f"{PRIVATE} 1", "2"),
    ]
    bob.emit("HISTORY", before=room[1]["messageId"], limit=1)
    assert (await bob.expect("HISTORY", "SUCCESS"))["messages"] == room[:1]
    bob.emit("HISTORY", peer="3")
    assert (await bob.expect("HISTORY", "SUCCESS"))["messages"] == []
    for each in (alice, bob, carol):
        each.sendClose(1000)
    assert await gatherResults([each.closed for each in (alice, bob, carol)]) == [1000] * 3


@in_reactor
async def test_takeover(start_daemon: Start, tmp_path: Path) -> None:
    """A living connection keeps its place; one that answers no ping is cut, and nobody hears of it."""
    await add_users(tmp_path, ("alice", "bob"))
    daemon = await start_daemon(environment={"REALTIME_MESSENGER_TAKEOVER_TIMEOUT": "2"})
    for_alice, for_bob = await tokens(daemon, ("alice", "bob"))
    bob = await enter(daemon.port, for_bob)
    await bob.entered()
    alice = await enter(daemon.port, for_alice)
    await alice.entered()
    assert came(await bob.expect("USER_CONNECTION_MESSAGE")) == ("1", "alice")

    again = await enter(daemon.port, for_alice)
    assert (await again.expect("AUTH_MESSAGE", "ERROR"))["errorCode"] == "1"
    await again.expect_end(4409)

    alice.dumb = True
    bob.send("1", secret(1))  # is never confirmed by the older, and so goes to the newer as well
    (lost,) = await alice.dialogs(1)
    again = await enter(daemon.port, for_alice)
    assert await again.entered() == ["alice", "bob"]
    await alice.expect_end(4409)
    assert await again.dialogs(1) == [lost]
    assert (await bob.expect("DELIVERY_MESSAGE", "SUCCESS"))["receiver"] == "1"
    bob.emit("CHAT_MESSAGE", message="Who is there?")
    assert (await bob.expect("CHAT_MESSAGE"))["sender"] == "2"
    assert not bob.frames
    assert (await again.expect("CHAT_MESSAGE"))["sender"] == "2"


class Outside:
    """An outside authorization server that can go down and come back at the same address."""

    def __init__(self) -> None:
        self.server = AuthorizationServer()
        self._port: Any = None
        self._number = 0

    def start(self) -> None:
        """Serve."""
        from twisted.internet import reactor

        site: Any = Site(self.server)
        self._port = reactor.listenTCP(self._number, site, interface="127.0.0.1")
        self._number = self._port.getHost().port

    def stop(self) -> Deferred[None]:
        """Serve no more."""
        port, self._port = self._port, None
        stopped: Deferred[None] | None = None if port is None else port.stopListening()
        return stopped or succeed(None)

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which it is asked about every token, with little patience."""
        return {
            "REALTIME_AUTH_CHECK_TOKEN_URL": f"http://127.0.0.1:{self._number}/check",
            "REALTIME_AUTH_CHECK_TOKEN_TIMEOUT": "2",
            "REALTIME_AUTH_CHECK_TOKEN_CACHE_SECONDS": "0",
        }


@pytest.fixture
def outside() -> Iterator[Outside]:
    """An outside authorization server, until the test ends."""
    server = Outside()
    server.start()
    yield server
    wait_for(server.stop())


@in_reactor
async def test_outside_accounts(start_daemon: Start, outside: Outside) -> None:
    """Users of an authorization server: good and bad tokens; it is slow, ill, down, and back again."""
    users = outside.server.users
    users["theirs"] = {"userId": "b-2", "nickname": "Bob"}
    daemon = await start_daemon(environment=outside.environment)
    alice = await enter(daemon.port, "good")
    (shown,) = (await alice.expect("AUTH_MESSAGE", "SUCCESS"))["userList"]
    assert (shown["userId"], shown["nickname"], shown["language"]) == ("1", "Алиса", "ru")
    assert (shown["avatar"], shown["status"]) == ("https://pictures.example/17.png", "на связи")
    assert shown["registerDate"] == "2017-05-01T12:00:00Z"
    bob = await enter(daemon.port, "theirs")
    assert await bob.entered() == ["Bob", "Алиса"]
    alice.send((await alice.expect("USER_CONNECTION_MESSAGE"))["userId"], secret(1))
    assert [message["clientData"] for message in await bob.dialogs(1)] == [secret(1)]
    await alice.expect("DELIVERY_MESSAGE", "SUCCESS")
    await refused(daemon, "wrong", 4401)
    bob.sendClose(1000)
    assert (await alice.expect("USER_CONNECTION_MESSAGE"))["connectionStatus"] == "DISCONNECT"

    # It can't be known whose a token is: that is no reason to throw it away. Who is in stays.
    outside.server.held = True
    await refused(daemon, "theirs", 1013)
    outside.server.held, outside.server.ill = False, True
    await refused(daemon, "theirs", 1013)
    await outside.stop()
    await refused(daemon, "theirs", 1013)
    alice.emit("CHAT_MESSAGE", message="still here")
    await alice.expect("CHAT_MESSAGE")

    outside.server.ill = False
    outside.start()
    bob = await enter(daemon.port, "theirs")
    assert await bob.entered() == ["Bob", "Алиса"]
    for each in (alice, bob):
        each.sendClose(1000)
        await each.closed


async def refused(daemon: DaemonProcess, token: str, code: int) -> None:
    """Somebody is not let in; with 1013 without a word that the token is not good."""
    stranger = await enter(daemon.port, token)
    if code == 4401:
        assert (await stranger.expect("AUTH_MESSAGE", "ERROR"))["errorCode"] == "2"
    await stranger.expect_end(code)


@in_reactor
async def test_peers_faults(start_daemon: Start, tmp_path: Path) -> None:
    """Wrong tokens and frames that are no messages: passed over, counted, and closed when they are many."""
    await add_users(tmp_path, ("alice", "bob"))
    daemon = await start_daemon(environment={**UNLIMITED, "REALTIME_LIMITS_UNAUTHENTICATED_TIMEOUT": "5"})
    for_alice, for_bob = await tokens(daemon, ("alice", "bob"))
    await refused(daemon, "wrong", 4401)
    silent = await enter(daemon.port, None)
    silent.emit("CHAT_MESSAGE", message="before the token")

    bob = await enter(daemon.port, for_bob)
    await bob.entered()
    bad = [
        *(b"", b"no JSON", b"[]", b'"CHAT_MESSAGE"', b"{}", b"[" * 60_000),
        *(b'{"type": "CHAT_MESSAGE"}', b'{"type": "CHAT_MESSAGE", "serverData": null}'),
        *(b'{"type": "DANCE", "serverData": {}}', b'{"type": "CHAT_MESSAGE", "serverData": {"message": 5}}'),
        *(b'{"type": "CHAT_MESSAGE", "serverData": {"message": "\\u0000"}}',),
        *(b'{"type": "DIALOG_MESSAGE", "clientData": {}, "serverData": {}}',),
        *(b'{"type": "DIALOG_MESSAGE", "serverData": {"receiver": "2"}}',),
        *(b'{"type": "DIALOG_MESSAGE", "clientData": NaN, "serverData": {"receiver": "2"}}',),
        *(b'{"type": "HISTORY", "serverData": {"before": "x"}}', b'{"type": "AUTH_MESSAGE", "serverData": {}}'),
    ]
    alice = await enter(daemon.port, for_alice)
    await alice.entered()
    came(await bob.expect("USER_CONNECTION_MESSAGE"))
    for frame in bad:
        alice.sendMessage(frame)
    alice.sendMessage(b"binary", isBinary=True)
    alice.emit("CHAT_MESSAGE", message="still here")
    for each in (alice, bob):
        assert (await each.expect("CHAT_MESSAGE"))["message"] == "still here"
    for _ in range(50 - len(bad) - 1):
        alice.sendMessage(b"no JSON")
    await alice.expect_end(1008)
    assert (await bob.expect("USER_CONNECTION_MESSAGE"))["connectionStatus"] == "DISCONNECT"

    for frame in (b" " * 65_537, json.dumps(chat("x" * 65_536)).encode()):
        alice = await enter(daemon.port, for_alice)
        await alice.entered()
        alice.sendMessage(frame)
        await alice.expect_end(1009)
    assert (await silent.expect("AUTH_MESSAGE", "ERROR"))["errorCode"] == "2"
    await silent.expect_end(4401)
    metrics = (await ask(daemon.operations_port, "/metrics")).body.decode()
    assert 'refused_total{reason="discarded"} ' in metrics
    bob.sendClose(1000)
    await bob.closed


def chat(text: str) -> Message:
    """Something for the room."""
    return {"type": "CHAT_MESSAGE", "serverData": {"message": text}}


@in_reactor
async def test_slow_reader(start_daemon: Start, tmp_path: Path) -> None:
    """Who reads nothing has a window's dialogs on the wire, costs no memory, and misses nothing."""
    await add_users(tmp_path, ("alice", "bob", "carol"))
    daemon = await start_daemon(environment=UNLIMITED)
    for_alice, for_bob, for_carol = await tokens(daemon, ("alice", "bob", "carol"))
    alice = await enter(daemon.port, for_alice)
    await alice.entered()
    bob = await enter(daemon.port, for_bob, dumb=True)
    await bob.entered()
    carol = await enter(daemon.port, for_carol, dumb=True)
    await carol.entered()
    for each, comes in ((alice, "2"), (alice, "3"), (bob, "3")):
        assert came(await each.expect("USER_CONNECTION_MESSAGE"))[0] == comes
    pause(bob)
    pause(carol)
    process: Any = daemon.transport
    before = resident_bytes(process.pid)
    count, size = 600, 50_000  # 30 MB each
    for number in range(count):
        alice.send("2", secret(number))
        alice.send("3", secret(number, size))
        if number % 50 == 49:
            await alice.stored()  # or it is what was not stored that takes the memory
    assert resident_bytes(process.pid) - before < count * size / 2

    # What was on the wire comes now, and no more without a pong.
    for reader, fitting in ((bob, WINDOW), (carol, 262_144 // size)):
        resume(reader)
        on_the_wire = await reader.dialogs(fitting)
        reader.emit("HISTORY", limit=1)  # answered behind whatever would have been sent
        await reader.expect("HISTORY", "SUCCESS")
        assert numbers_in(on_the_wire) == list(range(fitting))
    for reader in (bob, carol):
        assert not reader.frames
        reader.cut()
    for _ in range(2):
        assert (await alice.expect("USER_CONNECTION_MESSAGE"))["connectionStatus"] == "DISCONNECT"

    # Nothing was confirmed: everything comes, in order, to who reads.
    for number, token in enumerate((for_bob, for_carol), 2):
        reader = await enter(daemon.port, token)
        await reader.entered()
        await alice.expect("USER_CONNECTION_MESSAGE")
        assert numbers_in(await reader.dialogs(count)) == list(range(count))
        receipts = [await alice.expect("DELIVERY_MESSAGE", "SUCCESS") for _ in range(count)]
        assert {receipt["receiver"] for receipt in receipts} == {str(number)}
        ids = [int(receipt["messageId"]) for receipt in receipts]
        assert ids == sorted(set(ids))
        reader.sendClose(1000)
        await alice.expect("USER_CONNECTION_MESSAGE")
        await reader.closed
    alice.sendClose(1000)
    await alice.closed


def pause(reader: Chatter) -> None:
    """Read nothing from now on."""
    transport: Any = reader.transport
    transport.pauseProducing()


def resume(reader: Chatter) -> None:
    """Read again."""
    transport: Any = reader.transport
    transport.resumeProducing()


def numbers_in(dialogs: list[Message]) -> list[int]:
    """The numbers of dialogs, by what their clients say to each other."""
    return [int(message["clientData"]["message"].split()[1].rstrip("\N{SNOWMAN}")) for message in dialogs]
