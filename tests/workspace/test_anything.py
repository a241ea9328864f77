"""Whatever is done to a workspace, its channels and their members: nobody hears what it may not."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.web.api import Refused
from realtime.workspace.messages import ChannelModel
from tests.workspace.world import Client, World

NAMES = ("alice", "bob", "carol")
WHO = st.sampled_from(NAMES)
WHERE = st.integers(0, 2)
STEPS = st.one_of(
    *(st.tuples(st.sampled_from(["invite", "remove", "come", "go"]), WHO, WHERE),),
    *(st.tuples(st.sampled_from(["create", "take in", "put out", "delete", "say"]), WHO, WHERE),),
)

BEGINNING = [
    *(("invite", "alice", 0), ("invite", "bob", 0), ("come", "alice", 0), ("come", "bob", 0)),
    *(("come", "carol", 0), ("create", "alice", 0), ("take in", "bob", 0), ("create", "bob", 0)),
]


class Story:
    """A closed workspace, and what should be true of it."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.world = World(is_open=False)
        self.users = {name: self.world.user(name) for name in NAMES}
        self.admin = self.world.user("admin", is_admin=True)
        self.here: dict[str, list[Client]] = {name: [] for name in NAMES}
        self.invited: set[str] = set()
        self.channels: list[tuple[ChannelModel, set[str]]] = []

    def take(self, step: str, name: str, number: int) -> None:
        """Do something, if it can be done."""
        administration, user = self.world.administration, self.users[name]
        channel, members = self.channels[number] if number < len(self.channels) else (None, set[str]())
        match step:
            case "come":
                self.here[name].append(self.world.enter(name))
            case "go":
                for client in self.here[name]:
                    client.go()
                self.here[name].clear()
            case "invite":
                self.do(administration.invite(self.admin, "default", user.id), 200)
                self.invited.add(name)
            case "remove":
                answer = 200 if name in self.invited else 404
                self.do(administration.remove(self.admin, "default", user.id), answer)
                self.invited.discard(name)
                for _, inside in self.channels:
                    inside.discard(name)
            case "create" if len(self.channels) < 3:
                answer = 200 if name in self.invited else 404
                made = self.do(administration.create_channel(user, "default", "secret", True), answer)
                if made is not None:
                    self.channels.append((made, {name}))
            case "delete" if channel is not None:
                self.do(administration.delete_channel(channel), 200)
                del self.channels[number]
            case "take in" if channel is not None:
                answer = 200 if name in self.invited else 404
                self.do(administration.take_in(channel, user.id), answer)
                members |= {name} & self.invited
            case "put out" if channel is not None:
                self.do(administration.put_out(channel, user.id), 200 if name in members else 404)
                members.discard(name)
            case "say" if channel is not None and self.here[name]:
                for clients in self.here.values():
                    for client in clients:
                        client.got()
                self.here[name][0].send("message-send", channelId=channel.id, text="hello")
                for each, clients in self.here.items():
                    for client in clients:
                        heard = "message-created" in [event for event, _ in client.got()]
                        self.test.assertEqual(heard, name in members and each in members)

    def do(self, work: Any, answer: int) -> Any:
        """Have something done, which has this answer."""
        doing = Deferred.fromCoroutine(work)
        if answer == 200:
            return self.test.successResultOf(doing)
        refused: Any = self.test.failureResultOf(doing, Refused).value
        self.test.assertEqual(refused.status, answer)
        return None

    def check(self) -> None:
        """Everybody is where it belongs."""
        for name, clients in self.here.items():
            rooms = {f"user.{self.users[name].id}"}
            rooms |= {"workspace.default"} if name in self.invited else set()
            rooms |= {f"channel.{channel.id}" for channel, members in self.channels if name in members}
            for client in clients:
                self.test.assertEqual(client.session.rooms, rooms)
                in_them = {room for room, members in self.world.rooms.items() if client in members}
                self.test.assertEqual(in_them, rooms)


class AnythingTests(SynchronousTestCase):
    """Whatever is done."""

    @settings(deadline=None)
    @given(st.lists(STEPS, max_size=40))
    def test_rooms(self, steps: list[tuple[str, str, int]]) -> None:
        """Everybody is where it belongs, and hears what is said there and nothing else."""
        story = Story(self)
        for step, name, number in [*BEGINNING, *steps]:
            story.take(step, name, number)
            story.check()
        self.assertEqual(story.world.left_over(), {})
