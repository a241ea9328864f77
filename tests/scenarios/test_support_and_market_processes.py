"""support and market on two processes: one of them is killed, Redis and the database go away and come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy import update
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from realtime.accounts.store import AccountStore
from realtime.storage.statements import Statement
from realtime.storage.tables import users
from tests import services
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.daemon import PRIVATE, DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor
from tests.scenarios.conftest import StartServer
from tests.scenarios.test_market import (
    ALERT,
    CREATE,
    OPENED,
    PROPOSE,
    SEEN,
    STATUS,
    UPDATE,
    BinaryTrader,
    TextTrader,
    Trader,
)
from tests.services import RedisServer
from tests.storage.works import opened

_clock: Any = reactor

PROMISED = 10.0
"""Seconds within which a death is noticed and all is reconciled."""

ALICE, OLGA, OTTO = 1, 2, 3

_GIVE_TOKENS = Statement(update(users).values(token=PRIVATE + users.c.user_name))


async def people(url: str) -> None:
    """Add Alice, and the operators Olga and Otto, with bare tokens."""
    async with opened(url) as database:
        accounts = AccountStore(database)
        for name in ("alice", "olga", "otto"):
            await accounts.add(name, "", is_admin=name != "alice")
        await database.write(lambda transaction: transaction.execute(_GIVE_TOKENS))


def file_in(folder: Path) -> str:
    """The URL of the database that daemons have there if they are given none."""
    return f"sqlite:///{folder}/var/realtime.db"


async def enter(daemon: DaemonProcess, name: str) -> SupportClient:
    """Open a connection of support and authenticate it."""
    client: SupportClient = await connect(daemon.port)
    answer = await client.request("message.auth", PRIVATE + name)
    assert answer["error"] is None, answer
    return client


async def trade(daemon: DaemonProcess, name: str, kind: type[Trader]) -> Any:
    """Open a connection of market."""
    headers = {"Authorization": f"Bearer {PRIVATE}{name}"}
    return await connect(daemon.port, "/market", protocol=kind, headers=headers, subprotocols=[kind.form])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again, for as long as is promised at most."""
    begin = _clock.seconds()
    while not await holds():
        assert _clock.seconds() - begin < PROMISED, "it takes too long"
        await deferLater(_clock, 0.05)


async def readiness(status: int, *daemons: DaemonProcess) -> None:
    """Wait until these daemons say so of themselves."""

    async def say_so() -> bool:
        return {(await ask(each.operations_port, "/readyz")).status for each in daemons} == {status}

    await until(say_so)


async def heard(client: SupportClient, *texts: str) -> None:
    """Wait until this is what was pushed, in whatever order; and nothing else, as the next answer shows."""

    async def has_heard() -> bool:
        return sorted(each["message_text"] for each in client.pushed) == sorted(texts)

    try:
        await until(has_heard)
    except AssertionError:
        raise AssertionError([each["message_text"] for each in client.pushed]) from None
    await client.request("message.history", ALICE)
    assert await has_heard()
    client.pushed.clear()


async def assigned(client: SupportClient) -> int | None:
    """Who has Alice's conversation, as an operator is shown."""
    (listed,) = (await client.request("message.conversations"))["result"]["conversations"]
    holder: int | None = listed["assigned_to"]
    return holder


async def said(client: SupportClient, method: str, *params: Any) -> None:
    """Say something, and see it acknowledged."""
    answer = await client.request(method, *params)
    assert answer["error"] is None, answer


def soon(waits: Coroutine[Any, Any, Any]) -> Deferred[Any]:
    """Wait for as long as is promised at most."""
    return Deferred.fromCoroutine(waits).addTimeout(PROMISED, _clock)


@in_reactor
async def test_a_process_is_killed(start_server: StartServer, tmp_path: Path) -> None:
    """Its operator's conversation is in the other operator's pool, what is unanswered is shown; in time."""
    one, two = await start_server()
    await people(file_in(tmp_path))
    alice, otto = await enter(two, "alice"), await enter(two, "otto")
    olga = await enter(one, "olga")
    seller, buyer = await trade(one, "olga", BinaryTrader), await trade(two, "alice", TextTrader)

    await said(alice, "message.send", "one")
    await gatherResults([Deferred.fromCoroutine(heard(each, "one")) for each in (olga, otto)])
    await said(olga, "message.assign", ALICE)
    await said(alice, "message.send", "two")
    await heard(olga, "two")
    assert (await assigned(otto), otto.pushed) == (OLGA, [])

    # Market, on the same two: a message, its notice, and a step, each heard at the other process.
    buyer.emit(CREATE, {"msg": "Is it free?", "to": OLGA})
    conversation = (await buyer.expect(STATUS))["conversation"]
    assert (await seller.expect(ALERT))["json"]["content"] == "Is it free?"
    seller.emit(OPENED, {"conversation": conversation})
    assert (await buyer.expect(SEEN))["conversation"] == conversation
    seller.emit(PROPOSE, {"conversation": conversation, "service": {"price": 3, "client": ALICE}})
    for each in (buyer, seller):
        assert await each.expect(ALERT)
        assert (await each.expect(UPDATE))["services"][0]["price"] == "3.00"

    await one.kill()
    await heard(otto, "two")
    assert await assigned(otto) is None
    await said(alice, "message.send", "three")
    await heard(otto, "three")
    await two.stop()


@in_reactor
async def test_redis_goes_away(start_server: StartServer, redis: RedisServer, tmp_path: Path) -> None:
    """It stands still, then loses all: what is said is stored and heard; who had a conversation has it."""
    one, two = await start_server()
    await people(file_in(tmp_path))
    alice, olga = await enter(one, "alice"), await enter(one, "olga")
    tab, otto = await enter(two, "alice"), await enter(two, "otto")
    seller, buyer = await trade(one, "olga", BinaryTrader), await trade(two, "alice", TextTrader)
    phone = await trade(one, "alice", BinaryTrader)
    await said(alice, "message.send", "one")
    await said(olga, "message.assign", ALICE)
    for each in (olga, tab, otto):
        await heard(each, "one")

    redis.pause()
    # Before anybody has noticed, and afterwards.
    await said(alice, "message.send", "two")
    await readiness(503, one, two)
    await said(tab, "message.send", "three")
    await said(olga, "message.operatorSend", "four")
    buyer.emit(CREATE, {"msg": "Is it free?", "to": OLGA})
    status = await buyer.expect(STATUS)
    conversation = status["conversation"]
    seller.emit(OPENED, {"conversation": conversation})
    redis.resume()
    await readiness(200, one, two)
    await heard(alice, "three", "four")
    await heard(tab, "two", "four")
    await heard(olga, "two", "three")
    assert await assigned(otto) == OLGA
    assert (await soon(seller.expect(ALERT)))["json"]["id"] == status["json"]["id"]
    assert (await soon(buyer.expect(SEEN)))["message"] == status["json"]["id"]
    # At the phone's process it was seen before anybody knew of it.
    packets = dict([await soon(phone.packet()), await soon(phone.packet())])
    assert packets[ALERT]["json"]["content"] == "Is it free?"
    assert packets[SEEN]["message"] == status["json"]["id"]

    # It comes back with nothing in it.
    await deferToThread(redis.kill)
    await said(alice, "message.send", "five")
    await deferToThread(redis.start)
    await readiness(200, one, two)
    await heard(tab, "five")
    await heard(olga, "five")

    async def is_olgas() -> bool:
        return await assigned(otto) == OLGA

    await until(is_olgas)
    otto.pushed.clear()  # while it could not be known whose it is, it was everybody's
    await said(tab, "message.send", "six")
    await heard(olga, "six")
    await heard(otto)
    await gatherResults([one.stop(), two.stop()])


@in_reactor
async def test_the_database_goes_away(start_server: StartServer) -> None:
    """Nothing that was acknowledged is lost, and what could not be stored can be said again."""
    database = services.postgresql()
    server, url = services.private(database), database.fresh_database()
    one, two = await start_server(database_url=url)
    await people(url)
    alice, otto = await enter(one, "alice"), await enter(two, "otto")
    seller, buyer = await trade(two, "otto", BinaryTrader), await trade(one, "alice", TextTrader)
    await said(alice, "message.send", "one")
    try:
        await deferToThread(server.kill)
        assert (await alice.request("message.send", "lost"))["error"]["code"] == 7
        buyer.emit(CREATE, {"msg": "lost", "to": OTTO})
        assert (await buyer.expect(STATUS))["error"] == "unavailable"
    finally:
        await deferToThread(server.ensure_running)

    async def is_stored() -> bool:
        return bool((await alice.request("message.send", "two"))["error"] is None)

    await until(is_stored)
    await heard(otto, "one", "two")
    buyer.emit(CREATE, {"msg": "Is it free?", "to": OTTO})
    assert (await buyer.expect(STATUS))["sent"]
    assert (await seller.expect(ALERT))["json"]["content"] == "Is it free?"
    history = (await otto.request("message.history", ALICE))["result"]["messages"]
    assert [each["message_text"] for each in history] == ["one", "two"]
    await gatherResults([one.stop(), two.stop()])
    database.drop_database(url)
