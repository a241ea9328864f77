"""Halls of several processes, and people in them who notice what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from realtime.cluster.heard import AT_ONCE
from realtime.messenger import messages
from realtime.messenger.hall import Hall, Member
from realtime.messenger.messages import Profile, ServerMessage
from realtime.messenger.store import PROFILES, RoomMessage
from realtime.messenger.visit import Visit
from realtime.storage.errors import StorageUnavailable
from tests.messenger.processes import Cluster

PROCESSES = 2


def profile_of(user: int, status: str = "") -> Profile:
    """A profile."""
    return Profile(str(user), f"user {user}", "", "", status, "", "")


class Profiles:
    """Profiles, and what was said: tables that answer at once, or when the test says so, or not at all."""

    def __init__(self) -> None:
        self.rows = {user: profile_of(user) for user in range(1, 200)}
        self.away = False
        self.held: list[tuple[Deferred[Profile | None], Profile | None]] | None = None
        self.asked = 0
        self.said: dict[int, RoomMessage] = {}

    def said_since(self, since: int) -> Deferred[list[int]]:
        """See `MessengerStore.said_since`."""
        if self.away:
            return fail(StorageUnavailable("away"))
        return succeed([each for each in self.said if self.said[each].sent >= since])

    def those_said(self, message_ids: Sequence[int]) -> Deferred[dict[int, RoomMessage]]:
        """See `MessengerStore.those_said`."""
        assert 0 < len(message_ids) <= AT_ONCE
        return succeed({each: self.said[each] for each in message_ids if each in self.said})

    def profiles(self, user_ids: Sequence[int]) -> Deferred[dict[int, Profile]]:
        """See `MessengerStore.profiles`."""
        assert 0 < len(user_ids) <= PROFILES
        if self.away:
            return fail(StorageUnavailable("away"))
        return succeed({each: self.rows[each] for each in user_ids if each in self.rows})

    def profile(self, user_id: int) -> Deferred[Profile | None]:
        """See `MessengerStore.profile`."""
        self.asked += 1
        if self.away:
            return fail(StorageUnavailable("away"))
        if self.held is None:
            return succeed(self.rows.get(user_id))
        answer: Deferred[Profile | None] = Deferred()
        self.held.append((answer, self.rows.get(user_id)))
        return answer

    def answer(self) -> None:
        """Answer what was asked first, with what was read when it was asked."""
        if self.held:
            answer, found = self.held.pop(0)
            if not answer.called:
                answer.callback(found)


class Guest:
    """A connection in the hall: it knows what its client would know, and finds what that would wonder about."""

    def __init__(self, house: House, number: int, process: int, user: int) -> None:
        self.user = user
        self.process = process
        self.visit = Visit(house.halls[process], user, self)
        self.is_in = False
        self.is_over = False
        self.shown: dict[str, dict[str, Any]] = {}
        self.heard: list[str] = []
        self.lists = 0
        self.events: list[str] = []
        self._house = house
        self._number = number

    async def come(self) -> None:
        """Do what a session does when its seat is taken."""
        await self.visit.count(self._house.profiles.rows[self.user])
        if not self.is_over and await self.visit.enter():
            assert not self.is_over
            for older in self._house.guests:
                if older is not self and (older.user, older.process) == (self.user, self.process):
                    older.is_in = False  # its seat is taken, and it is about to be cut
            self.is_in = True
            self.began = len(self._house.said)

    def go(self) -> None:
        """Do what a session does at its end."""
        self.is_over = True
        self.is_in = False
        self.visit.leave()

    def tell(self, message: ServerMessage) -> None:
        """See `Member`."""
        assert not self.is_over
        drawn = msgspec.json.decode(messages.encode(message))
        body = drawn["serverData"]
        match drawn["type"]:
            case "AUTH_MESSAGE":
                self._see_list(body["userList"])
            case "USER_CONNECTION_MESSAGE":
                assert self.lists == 1
                getattr(self, f"_see_{body.pop('connectionStatus').lower()}")(body)
            case "CHAT_MESSAGE":
                assert self.lists == 1
                self._hear(body["message"], int(body["sender"]))

    def _see_list(self, users: list[dict[str, Any]]) -> None:
        self.lists += 1
        self.shown = {user["userId"]: user for user in users}
        assert len(self.shown) == len(users), "somebody is listed twice"
        assert str(self.user) in self.shown, "one is not shown oneself"
        self.events.append("list " + " ".join(sorted(self.shown)))

    def _see_connect(self, user: dict[str, Any]) -> None:
        assert user["userId"] != str(self.user), "told of oneself"
        if user["userId"] in self.shown:
            assert user != self.shown[user["userId"]], "shown again who was there"
        self.shown[user["userId"]] = user
        self.events.append(f"+{user['userId']}{user['status']}")

    def _see_disconnect(self, user: dict[str, Any]) -> None:
        assert user["userId"] != str(self.user), "told of oneself"
        del self.shown[user["userId"]]
        self.events.append(f"-{user['userId']}")

    def _hear(self, text: str, sender: int) -> None:
        assert text not in self.heard, "heard twice"
        assert str(sender) in self.shown, "heard who was not seen"
        self.heard.append(text)
        self.events.append(f"{sender}: {text}")

    def read(self) -> list[str]:
        """Return what happened since the last time."""
        events, self.events = self.events, []
        return events


class Crowd:
    """An audience. See `hall.Audience`."""

    def __init__(self) -> None:
        self.members: dict[Member, None] = {}
        self.lists = 0

    def welcome(self, members: Sequence[Member], message: ServerMessage) -> None:
        """Tell newcomers."""
        self.lists += 1
        for member in members:
            member.tell(message)
            self.members[member] = None

    def leave(self, member: Member) -> None:
        """Forget one."""
        self.members.pop(member, None)

    def tell(self, message: ServerMessage, but: Member | None = None) -> None:
        """Tell all but one."""
        for member in list(self.members):
            if member is not but:
                member.tell(message)


class House:
    """Several processes, each with its hall."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self.clock = Clock()
        self.cluster = Cluster(0)
        self.profiles = Profiles()
        self.crowds: list[Crowd] = []
        self.halls: list[Hall] = []
        self.guests: list[Guest] = []
        self.said: list[tuple[tuple[int, int], str]] = []
        for _ in range(processes):
            self.start()

    def start(self) -> None:
        """Start another process."""
        process = self.cluster.add()
        crowd = Crowd()
        store: Any = self.profiles
        self.crowds.append(crowd)
        self.halls.append(
            Hall(
                presence=process.presence,
                bus=process.bus,
                store=store,
                audience=crowd,
                clock=self.clock,
                time=str,
            )
        )

    def come(self, user: int, process: int = 0, *, settle: bool = True) -> Guest:
        """Somebody connects."""
        guest = Guest(self, len(self.guests), process, user)
        self.guests.append(guest)
        Deferred.fromCoroutine(guest.come())
        if settle:
            self.settle()
        return guest

    def say(self, guest: Guest) -> str:
        """Somebody says something."""
        text = f"text {len(self.said)}"
        self.said.append(((guest.user, guest.process), text))
        said = RoomMessage(len(self.said), guest.user, text, int(self.clock.seconds() * 1000))
        self.profiles.said[said.id] = said
        self.halls[guest.process].say(said)
        return text

    def change(self, guest: Guest, status: str) -> None:
        """Somebody changes its profile."""
        profile = replace(self.profiles.rows[guest.user], status=status)
        self.profiles.rows[guest.user] = profile
        self.halls[guest.process].changed(profile)

    def settle(self) -> None:
        """Have everything arrive that is on its way, but for what the database holds back."""
        for _ in range(5):
            self.cluster.carry()
            self.clock.advance(0)

    def present(self) -> set[str]:
        """Who is there."""
        return {str(guest.user) for guest in self.guests if not guest.is_over}

    def check(self) -> None:
        """Everybody here knows who is there, and as what; and has heard all that was said since it came."""
        for guest in self.guests:
            if guest.is_in:
                assert guest.lists == 1
                assert set(guest.shown) == self.present(), (guest.shown, self.present())
                for user, shown in guest.shown.items():
                    if int(user) != guest.user:
                        row = msgspec.json.decode(messages.encode(self.profiles.rows[int(user)]))
                        assert shown == row, (shown, row)
                for where in {where for where, _ in self.said}:  # only what one process tells is in order
                    spoken = [text for each, text in self.said if each == where]
                    since = [text for each, text in self.said[guest.began :] if each == where]
                    heard = [text for text in guest.heard if text in spoken]
                    assert len(heard) >= len(since), (heard, since)
                    assert heard == spoken[len(spoken) - len(heard) :], (heard, spoken)

    def empty(self) -> None:
        """Everybody goes, and nothing is left."""
        for guest in self.guests:
            if not guest.is_over:
                guest.go()
        self.settle()
        assert not self.clock.getDelayedCalls()
        for crowd, hall in zip(self.crowds, self.halls, strict=True):
            assert not crowd.members
            for what in (hall._roster, hall._expected, hall._strangers, hall._members, hall._arrivals):
                assert not what
