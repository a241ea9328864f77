"""A day at the support desk, over every database: nothing that was acknowledged is ever lost.

Two customers with two tabs each, two operators. One operator takes a conversation and drops; the server
is killed while messages flow, and started again, more than once.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from tests.endtoend.accounts import add_user, sign_in
from tests.endtoend.client import SupportClient, connect
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import DaemonProcess
from tests.reactor import in_reactor

IN_FLIGHT = 5
"""Messages that a sender has sent and not seen acknowledged."""

KILLS = 3


class Sender:
    """Says one thing after the other over one connection, and notes what is acknowledged."""

    def __init__(self, name: str, *addressee: int) -> None:
        self.name = name
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self._method = "message.operatorSend" if addressee else "message.send"
        self._addressee = addressee
        self._numbers = count(1)
        self.enough: Deferred[None] = Deferred()
        self._left = 0

    def begin(self, client: SupportClient, how_many: int) -> None:
        """Go on over a new connection; `enough` fires after ``how_many`` acknowledgements."""
        self.enough = Deferred()
        self._left = how_many
        for _ in range(IN_FLIGHT):
            self._say(client)

    def _say(self, client: SupportClient) -> None:
        text = f"{self.name} {next(self._numbers)}"
        self.sent.append(text)
        answer = client.request(self._method, text, *self._addressee)
        answer.addCallbacks(self._answered, lambda _: None, (client, text))

    def _answered(self, answer: dict[str, Any], client: SupportClient, text: str) -> None:
        assert answer["error"] is None, answer
        self.acknowledged.append(text)
        self._left -= 1
        if self._left == 0:
            self.enough.callback(None)
        self._say(client)


async def enter(daemon: DaemonProcess, name: str) -> SupportClient:
    """Open a connection and authenticate it."""
    client: SupportClient = await connect(daemon.port)
    answer = await client.request("message.auth", await sign_in(daemon.port, name))
    assert answer["error"] is None, answer
    return client


async def everything_said(client: SupportClient, customer: int) -> list[str]:
    """Read a whole conversation, page by page, oldest first."""
    texts: list[str] = []
    before = None
    while True:
        answer = await client.request("message.history", customer, before, 300)
        page = answer["result"]["messages"]
        if not page:
            return texts
        texts[:0] = [message["message_text"] for message in page]
        before = page[0]["message_id"]


@in_reactor
async def test_nothing_acknowledged_is_lost(start_daemon: Start, database_url: str, tmp_path: Path) -> None:
    """After each kill every acknowledged message is there, once, and in order."""
    for name, *options in (("alice",), ("bob",), ("olga", "--admin"), ("otto", "--admin")):
        await add_user(tmp_path, name, *options, database_url=database_url)
    alice_id, bob_id = 1, 2
    settings = {
        "REALTIME_DATABASE_URL": database_url,
        "REALTIME_LIMITS_MESSAGES_PER_SECOND": "1000000",
    }
    senders = {
        "alice": Sender("alice"),
        "bob": Sender("bob"),
        "olga": Sender("olga", alice_id),
        "otto": Sender("otto", bob_id),
    }
    for _ in range(KILLS):
        daemon = await start_daemon(environment=settings)
        clients = {name: await enter(daemon, name) for name in senders}
        tabs = [await enter(daemon, "alice"), await enter(daemon, "bob")]
        for name, client in clients.items():
            senders[name].begin(client, 100)
        await gatherResults([sender.enough for sender in senders.values()])
        await daemon.kill()
        await gatherResults([client.closed for client in (*clients.values(), *tabs)])
        for client in (*clients.values(), *tabs):
            client.dropConnection(abort=True)

    daemon = await start_daemon(environment=settings)
    olga = await enter(daemon, "olga")
    for customer, names in ((alice_id, ("alice", "olga")), (bob_id, ("bob", "otto"))):
        said = await everything_said(olga, customer)
        assert len(said) == len(set(said)), "each once"
        for name in names:
            own = [text for text in said if text.startswith(f"{name} ")]
            acknowledged = set(senders[name].acknowledged)
            assert len(acknowledged) >= KILLS * 100
            assert [text for text in own if text in acknowledged] == senders[name].acknowledged
            assert set(own) <= set(senders[name].sent), "nothing that nobody said"
    assert "Traceback" not in daemon.log


@in_reactor
async def test_an_operator_drops(start_daemon: Start, database_url: str, tmp_path: Path) -> None:
    """What the customer then says, and what was unanswered, is the other operator's."""
    for name, *options in (("alice",), ("olga", "--admin"), ("otto", "--admin")):
        await add_user(tmp_path, name, *options, database_url=database_url)
    daemon = await start_daemon(environment={"REALTIME_DATABASE_URL": database_url})
    alice, tab = await enter(daemon, "alice"), await enter(daemon, "alice")
    olga, otto = await enter(daemon, "olga"), await enter(daemon, "otto")

    await alice.request("message.send", "one")
    await olga.request("message.assign", 1)
    await alice.request("message.send", "two")
    await otto.request("message.conversations")  # answered after what was pushed before it
    assert [message["message_text"] for message in otto.pushed] == ["one"]

    pushed = otto.next_push()
    olga.dropConnection(abort=True)
    assert (await pushed)["message_text"] == "two"
    pushed = otto.next_push()
    await alice.request("message.send", "three")
    assert (await pushed)["message_text"] == "three"
    await otto.request("message.operatorSend", "four")
    await tab.request("message.history")
    for client, texts in ((alice, ["four"]), (tab, ["one", "two", "three", "four"])):
        assert [message["message_text"] for message in client.pushed] == texts
    assert "Traceback" not in daemon.log
