"""What is kept of talks, on each database."""

from __future__ import annotations

from msgspec import structs
from twisted.internet.defer import gatherResults

from realtime.accounts.store import AccountStore, User
from realtime.storage.database import Database
from realtime.talk.messages import Answer, Question
from realtime.talk.store import LATEST, Seat, StoredTalk, Talk, TalkStore
from tests.reactor import in_reactor
from tests.storage.works import opened

QUESTIONS = (Question(1, "Am I interesting?"), Question("1", "Am I boring? \U0001f600"))
ANSWERS = (Answer(1, "Yes."), Answer("1", ""))


async def users(database: Database, *names: str) -> list[User]:
    """Make accounts."""
    accounts = AccountStore(database)
    return await gatherResults([accounts.add(name, "") for name in names])


def matched(first: User, second: User, match_id: str = "match") -> Talk:
    """A talk that has just begun."""
    seats = Seat(first.id, first.name, 0.1, QUESTIONS, None), Seat(second.id, second.name, -1e308, (), None)
    return Talk(match_id, seats, 1000.9, None, None, None, None)


def swapped(talk: Talk) -> Talk:
    """The talk as the other of the two sees it."""
    return structs.replace(talk, seats=(talk.seats[1], talk.seats[0]))


def as_kept(talk: Talk) -> Talk:
    """The talk with its moments as they are kept, in whole seconds."""
    moments = {name: getattr(talk, name) for name in ("matched", "started", "stopped", "ended")}
    return structs.replace(
        talk, **{name: None if moment is None else int(moment) for name, moment in moments.items()}
    )


@in_reactor
async def test_each_step(database_url: str) -> None:
    """After each save both find the talk as it is then, each itself first."""
    async with opened(database_url) as database:
        store = TalkStore(database)
        alice, bob = await users(database, "alice", "bob")
        talk = matched(alice, bob)
        answered = structs.replace(talk.seats[0], answers=()), structs.replace(talk.seats[1], answers=ANSWERS)
        for change in (
            {},
            {"started": 1010.5},
            {"stopped": 1190.0},
            {"ended": 1200.0, "outcome": "answered", "seats": answered},
        ):
            talk = structs.replace(talk, **change)
            await store.save(talk)
            assert await store.of_user(alice.id, LATEST, 10) == [StoredTalk(1, as_kept(talk))]
            assert await store.of_user(bob.id, LATEST, 10) == [StoredTalk(1, swapped(as_kept(talk)))]


@in_reactor
async def test_a_missed_save_is_made_good(database_url: str) -> None:
    """What is saved first may be the end; the same again changes nothing."""
    async with opened(database_url) as database:
        store = TalkStore(database)
        alice, bob = await users(database, "alice", "bob")
        talk = structs.replace(matched(alice, bob), started=1010.0, ended=1020.0, outcome="partner-left")
        for _ in range(2):
            await store.save(talk)
        assert [each.talk for each in await store.of_user(alice.id, LATEST, 10)] == [as_kept(talk)]


@in_reactor
async def test_pages(database_url: str) -> None:
    """A user's own talks alone, newest first, so many and below an id."""
    async with opened(database_url) as database:
        store = TalkStore(database)
        alice, bob, carol = await users(database, "alice", "bob", "carol")
        for number in range(5):
            await store.save(matched(alice, carol if number == 2 else bob, f"match {number}"))
        found = await store.of_user(bob.id, LATEST, 3)
        assert [each.talk.match_id for each in found] == ["match 4", "match 3", "match 1"]
        older = await store.of_user(bob.id, found[-1].talk_id, 3)
        assert [each.talk.match_id for each in older] == ["match 0"]
        assert [each.talk.match_id for each in await store.of_user(carol.id, LATEST, 3)] == ["match 2"]
