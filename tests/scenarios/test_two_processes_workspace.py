"""workspace as several processes: what is done at one is heard at the other, also what a gap has kept back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from tests.endtoend.web import Answer, ask
from tests.reactor import in_reactor
from tests.scenarios.conftest import StartServer
from tests.scenarios.socketio_world import add_people
from tests.scenarios.test_two_processes import readiness
from tests.scenarios.workspace_client import Colleague, join
from tests.services import RedisServer

_clock: Any = reactor

PROMISE = 10.0
"""Seconds within which everything is made good."""

ALICE, BOB = "1", "2"


async def both_hear(alice: Colleague, bob: Colleague, name: str) -> Any:
    """The payload of an event that both hear next."""
    payload = await alice.expect(name)
    assert await bob.expect(name) == payload
    return payload


@in_reactor
async def test_one_server(start_server: StartServer, redis: RedisServer, tmp_path: Path) -> None:
    """Channels, messages, members and statuses, by events and HTTP; what a gap kept back comes late, once."""
    one, two = await start_server()
    people = add_people(tmp_path, "1", ["alice", "bob"])
    alice_token, bob_token = (people[name]["token"] for name in ("alice", "bob"))

    async def rest(method: str, path: str, body: Any = None) -> Answer:
        """A request of alice's to the process where she is."""
        return await ask(
            one.port,
            f"/v1/workspaces/default/{path}",
            method=method,
            body=None if body is None else json.dumps(body).encode(),
            Authorization=f"Bearer {alice_token}",
        )

    alice = await join(one.port, alice_token)
    assert await alice.expect("online-status-updated") == {"userId": ALICE, "onlineStatus": "online"}
    bob = await join(two.port, bob_token)
    assert (await both_hear(alice, bob, "online-status-updated"))["userId"] == BOB
    assert (await rest("POST", "channels", {"name": "general"})).status == 201
    general = (await both_hear(alice, bob, "channel-created"))["id"]
    for colleague in (alice, bob):
        said = await colleague.ask("message-send", channelId=general, text="hello")
        assert await both_hear(alice, bob, "message-created") == said
    await bob.ask("online-status", onlineStatus="idle")
    assert (await both_hear(alice, bob, "online-status-updated"))["onlineStatus"] == "idle"
    members = json.loads((await rest("GET", "members")).body)["members"]
    assert [each["onlineStatus"] for each in members] == ["online", "idle"]

    secret = json.loads((await rest("POST", "channels", {"name": "secret", "isPrivate": True})).body)
    assert await alice.expect("channel-created") == secret
    secrets = f"channels/{secret['id']}/members/{BOB}"
    assert (await rest("PUT", secrets)).status == 204
    assert await bob.expect("channel-created") == secret
    assert (await both_hear(alice, bob, "user-joined"))["channelId"] == secret["id"]
    await alice.ask("message-send", channelId=secret["id"], text="psst")
    await both_hear(alice, bob, "message-created")

    redis.pause()
    await readiness(one, 503)
    await readiness(two, 503)
    for channel in (general, secret["id"]):
        said = await alice.ask("message-send", channelId=channel, text="is anybody there?")
        assert await alice.expect("message-created") == said
    refused: Any = bob.ask("online-status", onlineStatus="online")
    assert (await rest("GET", "members")).status == 503
    assert await refused == {"error": "Temporarily unavailable"}
    await bob.expect("socket-api-error")
    mine = await bob.ask("message-send", channelId=general, text="I am")
    assert await bob.expect("message-created") == mine
    redis.resume()
    back = _clock.seconds()
    heard = [await bob.event() for _ in range(3)]
    late = [payload["text"] for name, payload in heard if name == "message-created"]
    assert late == ["is anybody there?"] * 2
    statuses = [payload for name, payload in heard if name == "online-status-updated"]
    assert statuses == [{"userId": BOB, "onlineStatus": "online"}]
    heard = [await alice.event() for _ in range(2)]
    assert sorted(heard, key=lambda event: event[0]) == [
        ("message-created", mine),
        ("online-status-updated", {"userId": BOB, "onlineStatus": "online"}),
    ]
    assert _clock.seconds() - back < PROMISE
    assert (await rest("DELETE", secrets)).status == 204
    await both_hear(alice, bob, "user-leaved-workspace")
