"""Short stories of workspace and talk with python-socketio's asyncio client, in a process of its own.

``python -m tests.scenarios.python_socketio``; told one line of JSON, a list of worlds as the scripts in
``tests/clients`` are, it answers a line for each, and one at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections import deque
from collections.abc import Mapping
from typing import Any

import socketio

_PATIENCE = 20.0
_TRANSPORTS = {"upgrade": ["polling", "websocket"], "websocket": ["websocket"], "polling": ["polling"]}
_QUESTIONS = [{"id": 1, "question": "Am I boring?"}]

World = Mapping[str, Any]


class User:
    """One user's client, in one namespace."""

    def __init__(self, world: World, namespace: str) -> None:
        self._world = world
        self._namespace = namespace
        self._heard: deque[tuple[str, Any]] = deque()
        self._came = asyncio.Event()
        self.client = socketio.AsyncClient(reconnection_delay=0.2, reconnection_delay_max=0.4)
        self.client.on("*", self._keep, namespace=namespace)
        self.client.on("disconnect", self._lost, namespace=namespace)

    async def connect(
        self, auth: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Connect, and be where the world wants it to be in the end."""
        await self.client.connect(
            f"http://127.0.0.1:{self._world['port']}",
            transports=_TRANSPORTS[self._world["transport"]],
            namespaces=[self._namespace],
            auth=auth,
            headers=dict(headers or {}),
        )
        wanted = "polling" if self._world["transport"] == "polling" else "websocket"
        assert self.client.transport() == wanted

    async def emit(self, name: str, payload: Any) -> None:
        """Send an event."""
        await self.client.emit(name, payload, namespace=self._namespace)

    async def request(self, name: str, payload: Any) -> Any:
        """What an event is acknowledged with."""
        return await self.client.call(name, payload, namespace=self._namespace, timeout=_PATIENCE)

    async def next(self, name: str) -> Any:
        """The first argument of the next event, which must have this name."""
        async with asyncio.timeout(_PATIENCE):
            while not self._heard:
                self._came.clear()
                await self._came.wait()
        found, payload = self._heard.popleft()
        assert found == name, (found, payload)
        return payload

    async def take(self, name: str) -> Any:
        """The first argument of the next event of this name; others are passed over."""
        while True:
            async with asyncio.timeout(_PATIENCE):
                while not self._heard:
                    self._came.clear()
                    await self._came.wait()
            found, payload = self._heard.popleft()
            if found == name:
                return payload

    async def leave(self) -> None:
        """Disconnect."""
        await self.client.disconnect()

    async def _keep(self, name: str, *arguments: Any) -> None:
        self._heard.append((name, arguments[0] if arguments else None))
        self._came.set()

    async def _lost(self, reason: str) -> None:
        await self._keep("disconnect", reason)


async def workspace(world: World) -> None:
    """A channel by an event, messages, an error and its pair."""
    people, place = world["people"], world["workspace"]
    alice, bob = User(world, "/"), User(world, "/")
    for user, name in ((alice, "alice"), (bob, "bob")):
        await user.connect()
        await user.emit("auth", {"transaction": "t1", "data": people[name]["token"]})
        assert await user.next("auth-success") == {"transaction": "t1", "userId": people[name]["id"]}
        assert (await user.next("online-status-updated"))["userId"] == people[name]["id"]
    assert (await alice.next("online-status-updated"))["userId"] == people["bob"]["id"]
    channel = await alice.request("channel-create", {"name": "general", "workspaceId": place})
    for user in (alice, bob):
        assert await user.next("channel-created") == channel
    for number in range(10):
        text = f"{world['private']} {number} \N{SNOWMAN}"
        said = await bob.request("message-send", {"channelId": channel["id"], "text": text})
        for user in (alice, bob):
            assert await user.next("message-created") == said
    answer = await alice.request("message-send", {"transaction": "t2", "channelId": "7", "text": 7})
    message = 'Invalid data format for "message-send" event'
    assert answer == {"error": message}
    assert await alice.next("socket-api-error-t2") == message
    assert await alice.next("socket-api-error") == {"event": "message-send", "message": message}
    await bob.leave()
    assert (await alice.next("online-status-updated"))["onlineStatus"] == "offline"
    await alice.leave()


async def talk(world: World) -> None:
    """A whole talk, in both forms of payload."""
    people, namespace = world["people"], world["path"] or "/"
    for is_text in (False, True):

        def form(**payload: Any) -> Any:
            return json.dumps(payload) if is_text else payload  # noqa: B023 - called within the round

        def read(payload: Any) -> Any:
            assert isinstance(payload, str) is is_text  # noqa: B023
            return json.loads(payload) if is_text else payload  # noqa: B023

        alice, bob = User(world, namespace), User(world, namespace)
        await alice.connect(auth={"token": people["alice"]["token"]})
        await bob.connect(headers={"Authorization": f"Bearer {people['bob']['token']}"})
        both = (alice, bob)
        for user in both:
            await user.emit("find", form(score=world["score"], questions=_QUESTIONS))
        match_id = read(await alice.next("match"))["match_id"]
        assert read(await bob.next("match"))["username"] == people["alice"]["name"]
        for user in both:
            await user.emit("confirm", form(match_id=match_id))
        for user in both:
            assert await user.next("chat-start") is None
        await alice.emit("message", form(message=world["private"]))
        assert read(await bob.next("message")) == {"message": world["private"]}
        for user in both:
            assert read(await user.next("chat-stop")) == {"questions": _QUESTIONS}
            answers = [{"question_id": 1, "answer": world["private"]}]
            await user.emit("answers", form(match_id=match_id, answers=answers))
        for user in both:
            assert read(await user.next("answers"))["match_id"] == match_id
            await user.next("disconnect")
            await user.leave()
    stranger = User(world, namespace)
    await stranger.connect(auth={"token": "nobody's"})
    assert (await stranger.next("error"))["code"] == "unauthorized"
    await stranger.next("disconnect")
    await stranger.leave()


async def meeting(world: World) -> None:
    """Two members of a workspace; what two processes tell may come in either order."""
    people = world["people"]
    alice, bob = User(world, "/"), User(world, "/")
    for user, name in ((alice, "alice"), (bob, "bob")):
        await user.connect()
        assert await user.request("auth", {"data": people[name]["token"]}) == {"userId": people[name]["id"]}
    channel = await alice.request("channel-create", {"name": "general", "workspaceId": world["workspace"]})
    said = []
    for number in range(10):
        text = f"{world['private']} {number}"
        message = {"channelId": channel["id"], "text": text}
        said.append(await (alice, bob)[number % 2].request("message-send", message))
    for user in (alice, bob):
        heard = [await user.take("message-created") for _ in said]
        assert sorted(heard, key=lambda message: int(message["id"])) == said
        await user.leave()


_STORIES = {"workspace": workspace, "talk": talk, "meeting": meeting}


def _say(thing: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(thing) + "\n")
    sys.stdout.flush()


async def _tell(world: World) -> None:
    fault = None
    try:
        await _STORIES[world["story"]](world)
    except BaseException:
        fault = traceback.format_exc()
    _say({"story": f"python-socketio, {world['transport']}", "fault": fault})


async def main() -> None:
    """Tell all stories at once."""
    worlds = json.loads(sys.stdin.readline())
    await asyncio.gather(*map(_tell, worlds))
    _say({"over": True})


if __name__ == "__main__":
    asyncio.run(main())
