"""messenger as several processes: one room, one seat for each user, dialogs that arrive whatever goes away."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests import services
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.reactor import in_reactor
from tests.scenarios.conftest import StartServer
from tests.scenarios.messenger_client import Chatter, enter
from tests.scenarios.test_two_processes import readiness
from tests.scenarios.workspace_client import join
from tests.services import RedisServer

_clock: Any = reactor

PROMISE = 10.0
"""Seconds within which everything is noticed, and made good."""

TOKENS = tuple(f"{PRIVATE}-{name}" for name in ("alice", "bob", "carol"))
USERS = "INSERT INTO users (user_name, user_password, token, is_admin) VALUES " + ", ".join(
    f"('{token.removeprefix(f'{PRIVATE}-')}', '', '{token}', false)" for token in TOKENS
)

QUICK = {"REALTIME_MESSENGER_TAKEOVER_TIMEOUT": "0.5"}


async def meet(one: DaemonProcess, two: DaemonProcess, alice: str, bob: str) -> tuple[Chatter, Chatter]:
    """Alice at one process, bob at the other; they have seen each other."""
    first = await enter(one.port, alice)
    assert await first.entered() == ["alice"]
    second = await enter(two.port, bob)
    assert await second.entered() == ["alice", "bob"]
    assert (await first.expect("USER_CONNECTION_MESSAGE", None))["connectionStatus"] == "CONNECT"
    return first, second


async def dialog(sender: Chatter, receiver: Chatter, text: str) -> None:
    """A dialog arrives, and its sender is told."""
    sender.send("2", text)
    (arrived,) = await receiver.dialogs(1)
    assert arrived["clientData"] == text
    assert (await sender.expect("DELIVERY_MESSAGE", "SUCCESS"))["receiver"] == "2"


@in_reactor
async def test_one_server_and_a_process_is_killed(start_server: StartServer, tmp_path: Path) -> None:
    """All see, hear and write to each other; who dies is shown to go, and its dialogs come elsewhere."""
    one, two = await start_server(environment=QUICK)
    with closing(sqlite3.connect(tmp_path / "var" / "realtime.db", timeout=30)) as connection, connection:
        connection.execute(USERS)
    alice_token, bob_token, carol_token = TOKENS
    alice, bob = await meet(two, one, alice_token, bob_token)
    bob.emit("CHAT_MESSAGE", message="hello")
    assert await bob.expect("CHAT_MESSAGE") == await alice.expect("CHAT_MESSAGE")
    alice.emit("PROFILE", status="busy")
    await alice.expect("PROFILE", "SUCCESS")
    assert (await bob.expect("USER_CONNECTION_MESSAGE"))["status"] == "busy"
    for number in range(20):
        await dialog(alice, bob, f"{number}")

    refused = await enter(two.port, bob_token)
    assert (await refused.expect("AUTH_MESSAGE", "ERROR"))["errorCode"] == "1"
    await refused.expect_end(4409)
    for daemon in (two, one):
        bob.dumb = True
        older, bob = bob, await enter(daemon.port, bob_token)
        assert await bob.entered() == ["alice", "bob"]
        assert await older.closed == 4409
        await dialog(alice, bob, "from elsewhere")

    # Bob and Carol are at the process that dies; Alice is at the other, by workspace as well.
    colleague = await join(two.port, alice_token)
    assert (await colleague.expect("online-status-updated"))["userId"] == "1"
    await join(one.port, carol_token)
    assert await colleague.expect("online-status-updated") == {"userId": "3", "onlineStatus": "online"}
    await enter(one.port, carol_token)
    assert (await alice.expect("USER_CONNECTION_MESSAGE"))["nickname"] == "carol"
    await bob.expect("USER_CONNECTION_MESSAGE")
    bob.dumb = True
    alice.send("2", "on the wire", "1")
    await bob.dialogs(1)
    killed = _clock.seconds()
    await one.kill()
    alice.send("2", "meanwhile", "2")
    bob = await enter(two.port, bob_token)
    assert await bob.entered() == ["alice", "bob", "carol"]
    assert [each["clientData"] for each in await bob.dialogs(2)] == ["on the wire", "meanwhile"]
    for key in "12":
        assert (await alice.expect("DELIVERY_MESSAGE", "SUCCESS"))["clientMessageId"] == key
    gone = await alice.expect("USER_CONNECTION_MESSAGE")
    assert gone == {"connectionStatus": "DISCONNECT", "userId": "3"}
    assert await colleague.expect("online-status-updated") == {"userId": "3", "onlineStatus": "offline"}
    assert _clock.seconds() - killed < PROMISE
    await bob.expect("USER_CONNECTION_MESSAGE")
    await dialog(alice, bob, "nothing else came")


@in_reactor
async def test_redis_and_database_go_away(
    start_server: StartServer, redis: RedisServer, tmp_path: Path
) -> None:
    """What was sent meanwhile comes afterwards, once; nobody seems to have gone, or sits twice."""
    database = services.postgresql()
    server = services.private(database)
    url = database.fresh_database()
    one, two = await start_server(database_url=url, environment=QUICK)
    database.run_sql(url, USERS)
    alice_token, bob_token, _ = TOKENS
    alice, bob = await meet(one, two, alice_token, bob_token)

    # Redis stands still.
    redis.pause()
    await readiness(one, 503)
    await readiness(two, 503)
    for number in range(3):
        alice.send("2", number, f"{number}")
    alice.emit("CHAT_MESSAGE", message="is anybody there?")
    assert (await alice.expect("CHAT_MESSAGE"))["message"] == "is anybody there?"
    redis.resume()
    back = _clock.seconds()
    came = [await bob.message() for _ in range(4)]
    assert sorted(each["type"] for each in came) == ["CHAT_MESSAGE", *["DIALOG_MESSAGE"] * 3]
    assert [each["clientData"] for each in came if "clientData" in each] == [0, 1, 2]
    for number in range(3):
        assert (await alice.expect("DELIVERY_MESSAGE", "SUCCESS"))["clientMessageId"] == str(number)
    assert _clock.seconds() - back < PROMISE

    # Redis loses everything.
    for daemon in (one, two):
        await readiness(daemon, 200)
    await deferToThread(redis.kill)
    for daemon in (one, two):
        await readiness(daemon, 503)
    await deferToThread(redis.start)
    for daemon in (one, two):
        await readiness(daemon, 200)
    again = await enter(two.port, alice_token)
    assert (await again.expect("AUTH_MESSAGE", "ERROR"))["errorCode"] == "1"
    await dialog(alice, bob, "nobody was shown to go")

    # The database is away when a dialog arrives, and when one is sent.
    bob.dumb = True
    alice.send("2", "stored", "3")
    await bob.dialogs(1)
    await deferToThread(server.stop)
    try:
        bob.send("1", "not stored")
        assert await bob.closed == 1013
    finally:
        await deferToThread(server.start)
    back = _clock.seconds()
    await readiness(two, 200)
    bob = await enter(two.port, bob_token)
    assert await bob.entered() == ["alice", "bob"]
    assert (await bob.dialogs(1))[0]["clientData"] == "stored"
    assert _clock.seconds() - back < PROMISE
