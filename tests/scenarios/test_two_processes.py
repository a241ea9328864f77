"""Several processes as one server: what holds whatever is spoken over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.endtoend.accounts import add_user, sign_in
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.daemon import DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor
from tests.scenarios.conftest import StartServer
from tests.services import RedisServer

_clock: Any = reactor


async def enter(daemon: DaemonProcess, token: str) -> SupportClient:
    """Open a connection and authenticate it."""
    client: SupportClient = await connect(daemon.port)
    answer = await client.request("message.auth", token)
    assert answer["error"] is None, answer
    return client


async def readiness(daemon: DaemonProcess, status: int) -> bytes:
    """Ask a daemon whether it is ready until it answers so; return what it says."""
    while (answer := await ask(daemon.operations_port, "/readyz")).status != status:
        await deferLater(_clock, 0.05)
    return answer.body


@in_reactor
async def test_one_server(start_server: StartServer, tmp_path: Path) -> None:
    """What is said at one process is heard at the other: one secret, one database, one bus."""
    one, two = await start_server()
    await gatherResults([add_user(tmp_path, "alice"), add_user(tmp_path, "operator", "--admin")])
    customer = await enter(one, await sign_in(two.port, "alice"))
    operator = await enter(two, await sign_in(one.port, "operator"))
    pushed = operator.next_push()
    assert (await customer.request("message.send", "Hello"))["error"] is None
    assert (await pushed)["message_text"] == "Hello"
    await gatherResults([one.stop(), two.stop()])


@in_reactor
async def test_redis_is_away(start_server: StartServer, redis: RedisServer, tmp_path: Path) -> None:
    """Processes start, say that they are not ready, serve their own clients, and find each other then."""
    await deferToThread(redis.stop)
    one, two = await start_server()
    assert await readiness(one, 503) == b"redis\n"
    await gatherResults([add_user(tmp_path, "alice"), add_user(tmp_path, "operator", "--admin")])
    token = await sign_in(one.port, "alice")
    customer: SupportClient = await connect(one.port)
    await deferToThread(redis.start)
    assert await readiness(one, 200) == await readiness(two, 200) == b"ready\n"
    await customer.request("message.auth", token)
    operator = await enter(two, await sign_in(two.port, "operator"))
    pushed = operator.next_push()
    assert (await customer.request("message.send", "Hello"))["error"] is None
    assert (await pushed)["message_text"] == "Hello"
    await gatherResults([one.stop(), two.stop()])
