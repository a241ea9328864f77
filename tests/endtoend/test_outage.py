"""The database goes away under a running daemon, and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from tests.endtoend.accounts import add_user, sign_in
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.conftest import Start
from tests.endtoend.web import ask
from tests.reactor import in_reactor


@in_reactor
async def test_answered_while_it_is_away(start_daemon: Start, database_server: Any, tmp_path: Path) -> None:
    """Error 7 and 503 meanwhile, connections stay, and all works again by itself; nothing is lost."""
    url = database_server.fresh_database()
    await add_user(tmp_path, "alice", database_url=url)
    settings = {"REALTIME_DATABASE_URL": url, "REALTIME_DATABASE_TIMEOUT": "2"}
    daemon = await start_daemon(environment=settings)
    token = await sign_in(daemon.port, "alice")
    alice: SupportClient = await connect(daemon.port)
    await alice.request("message.auth", token)
    assert (await alice.request("message.send", "before"))["error"] is None

    await deferToThread(database_server.stop)
    assert (await alice.request("message.send", "meanwhile"))["error"]["code"] == 7
    newcomer: SupportClient = await connect(daemon.port)
    assert (await newcomer.request("message.auth", token))["error"]["code"] == 7
    body = b'{"user_name": "alice", "password": "alice"}'
    assert (await ask(daemon.port, "/v1/auth/", method="POST", body=body)).status == 503
    ready = await ask(daemon.operations_port, "/readyz")
    assert (ready.status, ready.body) == (503, b"database\n")
    assert (await ask(daemon.operations_port, "/healthz")).status == 200

    await deferToThread(database_server.start)
    while (await ask(daemon.operations_port, "/readyz")).status != 200:
        pass
    assert (await alice.request("message.send", "after"))["error"] is None
    shown = (await newcomer.request("message.auth", token))["result"]["messages"]
    assert [message["message_text"] for message in shown] == ["before", "after"]
    assert daemon.log.count("storage: writes fail") == 1
    await daemon.stop()
