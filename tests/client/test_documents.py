"""The examples of docs/clients.md and of the package's docstring, as they stand there, with a real daemon."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

import realtime.client
from tests.client.stories import serve, token
from tests.endtoend.accounts import add_user
from tests.endtoend.conftest import Start
from tests.reactor import in_reactor

_clock: Any = reactor
_PAGE = Path(realtime.client.__file__).parents[2] / "docs" / "clients.md"


def examples() -> dict[str, Any]:
    """What the page's examples define, by name; those marked ``no-run`` are compiled at least."""
    defined: dict[str, Any] = {}
    for mark, code in re.findall(
        r"^```python *(.*?)\n(.*?)^```", _PAGE.read_text(encoding="utf-8"), re.M | re.S
    ):
        compiled = compile(code, str(_PAGE), "exec")
        if mark != "no-run":
            own: dict[str, Any] = {}  # several protocols have a Message
            exec(compiled, own)
            defined.update(own)
    return defined


def both(*stories: Any) -> Deferred[list[Any]]:
    """Fires with what several coroutines return that run at the same time, and soon."""
    told = gatherResults([Deferred.fromCoroutine(story) for story in stories], consumeErrors=True)
    return told.addTimeout(20, _clock)


@in_reactor
async def test_the_page(start_daemon: Start) -> None:
    """Each example does what it says."""
    server = await serve(start_daemon, talk_talk_duration="0.2")
    url = server.url("").rstrip("/")
    await add_user(server.folder, "dora")
    example = examples()
    told, _ = await both(example["ask"](url, "dora", "dora"), example["answer_one"](url, token("olga")))
    assert told.message_text == "Dear dora, it is on its way."
    store: list[object] = []
    enough: Deferred[None] = Deferred()
    reading = both(example["read"](url, token("bob"), store, enough))
    (outcome,) = await both(example["write"](url, token("alice"), "2"))
    enough.callback(None)
    await reading
    assert (outcome.receiver, store) == ("2", [{"text": "Are you there?"}])
    service = await example["offer"](url, token("alice"), 2)
    said, system = await example["read_newest"](url, token("bob"))
    assert (said.content, str(service.price)) == ("Shall I do your garden?", "40.00")
    assert system.sender.username == "system"
    answers = await both(example["talk"](url, token("alice")), example["talk"](url, token("bob")))
    assert [len(each.answers) for each in answers] == [1, 1]
    assert [each.text for each in await example["announce"](url, token("alice"))] == ["Hello"]


@in_reactor
async def test_the_docstring(start_daemon: Start) -> None:
    """The package's own example."""
    server = await serve(start_daemon)
    await add_user(server.folder, "dora")
    code = (realtime.client.__doc__ or "").partition("::\n")[2].partition("\nA connection")[0]
    defined: dict[str, Any] = {}
    printed: list[Any] = []
    exec(textwrap.dedent(code), {"print": lambda *words: printed.append(words)}, defined)
    say_hello = defined["say_hello"]
    say_hello.__globals__.update(defined)
    await say_hello(server.url("support"), "dora", "dora")
    assert printed == [(1,)]
