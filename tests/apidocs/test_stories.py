"""Every example of every document, played against a real daemon."""

from __future__ import annotations

import pytest
from twisted.internet.task import deferLater

from realtime.documents import yaml
from realtime.documents.asyncapi import asyncapi
from realtime.protocols.documents import DESCRIBED, openapi_of
from realtime.web import document as web
from tests.apidocs.player import Player, add_people
from tests.apidocs.validation import Validator
from tests.endtoend.conftest import Start
from tests.endtoend.conftest import start_daemon as start_daemon
from tests.endtoend.daemon import DaemonProcess
from tests.endtoend.web import ask
from tests.reactor import in_reactor

_SETTINGS = {
    "REALTIME_TALK_TALK_DURATION": "0.2",
    "REALTIME_TALK_REMATCH_AFTER": "0",
    "REALTIME_MARKET_PING_INTERVAL": "0.3",
    "REALTIME_WORKSPACE_RECOVERY_SECONDS": "0",
}
"""Nobody waits for a talk to end, or for a PING; and who goes is gone."""


async def nobody_is_there(daemon: DaemonProcess) -> None:
    """Wait until the server has noticed that everybody has left."""
    from twisted.internet import reactor

    for _ in range(200):
        metrics = (await ask(daemon.operations_port, "/metrics")).body.decode()
        open_ones = [line for line in metrics.splitlines() if line.startswith("realtime_connections{")]
        if all(line.endswith(" 0.0") for line in open_ones):
            return
        await deferLater(reactor, 0.02)
    raise AssertionError(open_ones)


@pytest.mark.parametrize("name", DESCRIBED)
@in_reactor
async def test_stories(name: str, start_daemon: Start) -> None:
    """The stories of a protocol, and signing in; and the daemon serves the document of them."""
    daemon = await start_daemon(environment=_SETTINGS)
    add_people(daemon)
    description = DESCRIBED[name]()
    player = Player(daemon, description, Validator(description, openapi_of([description])))
    for story in (*web.STORIES, *description.stories):
        await player.play(story)
        await nobody_is_there(daemon)
    served = await ask(daemon.port, f"/asyncapi/{name}.yaml")
    assert (served.status, served.body.decode()) == (200, yaml.dump(asyncapi(description)))
