"""What is kept of profiles, of the room and of dialogs, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import Struct
from twisted.internet.defer import gatherResults

from realtime.accounts.check_token import OutsideProfile
from realtime.accounts.store import AccountStore, User
from realtime.cluster import heard
from realtime.messenger.dialog_store import Dialog, Outcome, Posted
from realtime.messenger.messages import ChangeProfile, Profile, Send
from realtime.messenger.store import MessengerStore, RoomMessage
from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from tests.reactor import in_reactor
from tests.storage.works import opened

NOW = 1_790_000_000_123
NOBODY = 4_294_967_295
NEWEST = 2**62
FULL = "\U0001f600" * 255
LIMIT = 1000

TEXTS = (
    "Hello",
    " ends with spaces  ",
    "''; DROP TABLE users; --",
    "%s ? :name {0} \\ \" ' ` \n\r\t\x01\x7f",
    "e\u0301 is not \u00e9, \u212b is not \u00c5",
    "\u202e\u200b\ufeff\ufffe\uffff\U0010ffff",
    "\U0001f600" * 16_000,
    "x" * 65_000,
)
"""Any Unicode but U+0000, up to what fits into a frame."""

JSON = (
    "1",
    '"text"',
    "null",
    '{ "b":1,\n\t"a" : [1.0, 1e5, -0.0, 100000000000000000000000001], "b":2 }',
    '"\\u0000 \\ud800 \\/ \\u00e9 \u00e9 \U0001f600"',
    f'{{"{"x" * 60_000}":[]}}',
)
"""Values that come out otherwise from whoever reads and writes them again."""


class House(Struct, frozen=True):
    """A messenger's store with three users."""

    database: Database
    store: MessengerStore
    alice: User
    bob: User
    carol: User

    async def post(
        self, sender: User, to: User | str | int, key: str | None = None, at: int = NOW, data: str = "1"
    ) -> Posted:
        """Post a dialog."""
        receiver = str(to.id) if isinstance(to, User) else to
        return await self.store.post(sender.id, Send(receiver, key, data), at)

    async def send(self, sender: User, to: User, key: str | None = None, at: int = NOW) -> Dialog:
        """Post a dialog that is accepted."""
        posted = await self.post(sender, to, key, at)
        assert posted.dialog is not None
        assert posted == Posted(dialog=posted.dialog)
        return posted.dialog

    async def refused(self, sender: User, to: User | str | int, key: str | None = None) -> Outcome:
        """Post a dialog that is not accepted."""
        posted = await self.post(sender, to, key)
        assert posted.outcome is not None
        assert posted == Posted(outcome=posted.outcome)
        return posted.outcome

    async def deliver(self, *dialogs: Dialog, at: User | None = None) -> list[Outcome]:
        """Note that the receiver, or somebody else, has some dialogs."""
        receiver = dialogs[0].receiver_id if at is None else at.id
        return await self.store.delivered(receiver, [each.outcome(is_delivered=True) for each in dialogs])

    async def mailbox(self, user: User) -> list[Dialog]:
        """Return all that waits for a user."""
        return await self.store.waiting(user.id, 0, 10_000)

    async def untold(self, user: User) -> list[Outcome]:
        """Return all outcomes that a user does not know."""
        return await self.store.outcomes(user.id, 10_000)


@asynccontextmanager
async def house(url: str, limit: int = LIMIT) -> AsyncIterator[House]:
    """A messenger's store on a new database."""
    async with opened(url) as database:
        accounts = AccountStore(database)
        alice, bob, carol = await gatherResults([accounts.add(name, "") for name in ("alice", "bob", "carol")])
        yield House(database, MessengerStore(database, limit), alice, bob, carol)


# -- profiles --------------------------------------------------------------------------------------


def shown(profile: Profile | None) -> tuple[str, ...]:
    """Return what a profile says, but for whose it is and since when."""
    assert profile is not None
    return profile.nickname, profile.avatar, profile.language, profile.status, profile.last_online


@in_reactor
async def test_profiles(database_url: str) -> None:
    """Everybody has one, of which nothing need be known; each value is changed alone and kept exactly."""
    async with house(database_url) as messenger:
        store, alice = messenger.store, messenger.alice
        assert await store.profile(NOBODY) is None
        first = await store.profile(alice.id)
        assert first is not None
        assert (first.user_id, *shown(first)) == (str(alice.id), "alice", "", "", "", "")
        for change, expected in (
            (ChangeProfile(nickname=FULL), (FULL, "", "", "", "")),
            (ChangeProfile(), (FULL, "", "", "", "")),
            (ChangeProfile(language="fr ", status="e\u0301"), (FULL, "", "fr ", "e\u0301", "")),
            (ChangeProfile(status=""), (FULL, "", "fr ", "", "")),
        ):
            changed = await store.change_profile(alice.id, change)
            assert shown(changed) == expected
            assert await store.profile(alice.id) == changed
        assert await store.change_profile(NOBODY, ChangeProfile(nickname="x")) is None
        assert shown(await store.profile(messenger.bob.id)) == ("bob", "", "", "", "")


@in_reactor
async def test_came_and_went(database_url: str) -> None:
    """Both say when a user was there last, in whatever year."""
    async with house(database_url) as messenger:
        store, alice = messenger.store, messenger.alice
        profile, picture = await store.came(alice.id, 1_790_000_000, None)
        assert shown(profile) == ("alice", "", "", "", "2026-09-21T14:13:20Z")
        assert not picture
        await store.went(alice.id, 4_102_444_799)
        assert shown(await store.profile(alice.id)) == ("alice", "", "", "", "2099-12-31T23:59:59Z")
        assert await store.came(NOBODY, 1_790_000_000, None) == (None, None)
        await store.went(NOBODY, 1_790_000_000)


@in_reactor
async def test_outside_profile(database_url: str) -> None:
    """What an outside server says is taken over, what it does not say is kept, and the old picture named."""
    async with house(database_url) as messenger:
        store, alice = messenger.store, messenger.alice
        await store.change_profile(alice.id, ChangeProfile("Al", "fr", "busy"))
        assert (await store.change_avatar(alice.id, "/avatars/1"))[1] is None
        said = OutsideProfile(None, "https://example.org/a.png", None, "free", 86_400)
        profile, picture = await store.came(alice.id, 1_790_000_000, said)
        assert profile == Profile(
            str(alice.id),
            "Al",
            "https://example.org/a.png",
            "fr",
            "free",
            "2026-09-21T14:13:20Z",
            "1970-01-02T00:00:00Z",
        )
        assert picture == "/avatars/1"
        profile, picture = await store.came(alice.id, 1_790_000_001, OutsideProfile())
        assert profile is not None
        assert (profile.avatar, profile.register_date) == ("https://example.org/a.png", "1970-01-02T00:00:00Z")
        assert picture == "https://example.org/a.png"
        assert await store.came(NOBODY, 1_790_000_000, said) == (None, None)


@in_reactor
async def test_pictures(database_url: str) -> None:
    """A change names the picture before; one is used as long as anybody has it."""
    async with house(database_url) as messenger:
        store, alice, bob = messenger.store, messenger.alice, messenger.bob
        assert not await store.is_avatar_used("/avatars/a")
        profile, before = await store.change_avatar(alice.id, "/avatars/a")
        assert profile is not None
        assert (profile.avatar, before) == ("/avatars/a", None)
        await store.change_avatar(bob.id, "/avatars/a")
        assert (await store.change_avatar(alice.id, "/avatars/b"))[1] == "/avatars/a"
        assert await store.is_avatar_used("/avatars/a")
        assert not await store.is_avatar_used("/avatars/A")
        assert not await store.is_avatar_used("/avatars/a ")
        await store.change_avatar(bob.id, "/avatars/b")
        assert not await store.is_avatar_used("/avatars/a")
        assert await store.change_avatar(NOBODY, "/avatars/a") == (None, None)
        assert not await store.is_avatar_used("/avatars/a")


# -- the room --------------------------------------------------------------------------------------


@in_reactor
async def test_room(database_url: str) -> None:
    """What is said is kept exactly, and read page by page: the newest, oldest first."""
    async with house(database_url) as messenger:
        store, users = messenger.store, (messenger.alice, messenger.bob)
        assert await store.said(NEWEST, 50) == []
        said = await gatherResults(
            [store.say(users[number % 2].id, text, NOW + number) for number, text in enumerate(TEXTS)]
        )
        assert said == [
            RoomMessage(number + 1, users[number % 2].id, text, NOW + number)
            for number, text in enumerate(TEXTS)
        ]
        assert await store.said(NEWEST, 50) == said
        assert await store.said(NEWEST, 3) == said[-3:]
        assert await store.said(said[-3].id, 2) == said[-5:-3]
        assert await store.said(said[0].id, 2) == []
        with pytest.raises(Conflict):
            await store.say(NOBODY, "Hello", NOW)
        assert await store.said(NEWEST, 50) == said


# -- dialogs ---------------------------------------------------------------------------------------


@in_reactor
async def test_missed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which messages there are since a time, the newest of very many; and they themselves."""
    monkeypatch.setattr(heard, "_PAGE", 3)
    async with house(database_url) as world:
        said = [await world.store.say(world.alice.id, f"{number}", NOW + number) for number in range(8)]
        ids = [each.id for each in said]
        assert await world.store.said_since(0) == ids[::-1]
        assert await world.store.said_since(NOW + 5) == ids[:4:-1]
        assert await world.store.said_since(NOW + 9) == []
        monkeypatch.setattr(heard, "NEWEST", 5)
        assert await world.store.said_since(0) == ids[:1:-1]
        assert await world.store.those_said(ids[2:4]) == {ids[2]: said[2], ids[3]: said[3]}
        assert await world.store.those_said([ids[-1] + 1]) == {}


@in_reactor
async def test_several_profiles(database_url: str) -> None:
    """They are what each is by itself; who is not there is left out."""
    async with house(database_url) as world:
        await world.store.change_profile(world.bob.id, ChangeProfile(status="busy"))
        found = await world.store.profiles([world.bob.id, NOBODY, world.alice.id])
        assert found == {user.id: await world.store.profile(user.id) for user in (world.bob, world.alice)}
        assert await world.store.profiles([NOBODY]) == {}


@in_reactor
async def test_mailbox(database_url: str) -> None:
    """What was posted waits for its receiver alone, in order and byte for byte, until it is there."""
    async with house(database_url) as messenger:
        alice, bob, carol = messenger.alice, messenger.bob, messenger.carol
        posted = []
        for number, data in enumerate(JSON):
            sender = (alice, carol, bob)[number % 3]
            found = await messenger.post(sender, bob, str(number), NOW + number, data)
            assert found.dialog is not None
            expected = Dialog(found.dialog.id, sender.id, str(bob.id), bob.id, str(number), data, NOW + number)
            assert found.dialog == expected
            posted.append(expected)
        other = await messenger.send(bob, alice)
        assert [each.id for each in posted] == sorted({each.id for each in posted})
        assert await messenger.mailbox(bob) == posted
        assert await messenger.mailbox(carol) == []
        assert await messenger.store.waiting(bob.id, 0, 2) == posted[:2]
        assert await messenger.store.waiting(bob.id, NOW + 1, 2) == posted[1:3]
        # Not in order: of what was written in several parts, any may be confirmed.
        assert await messenger.deliver(posted[1], posted[0]) == [
            each.outcome(is_delivered=True) for each in (posted[1], posted[0])
        ]
        assert await messenger.mailbox(bob) == posted[2:]
        assert await messenger.mailbox(alice) == [other]
        with pytest.raises(Conflict):
            await messenger.store.post(NOBODY, Send(str(bob.id), "x", "1"), NOW)
        assert await messenger.mailbox(bob) == posted[2:]


@in_reactor
async def test_delivered(database_url: str) -> None:
    """A dialog is delivered once, by its receiver alone; only what is new by that is told."""
    async with house(database_url) as messenger:
        alice, bob, carol = messenger.alice, messenger.bob, messenger.carol
        first, second = [await messenger.send(alice, bob) for _ in range(2)]
        for stranger in (alice, carol):
            assert await messenger.deliver(first, at=stranger) == []
        assert await messenger.untold(alice) == []
        assert await messenger.mailbox(bob) == [first, second]
        told = first.outcome(is_delivered=True)
        assert await messenger.deliver(first) == [told]
        assert await messenger.deliver(first, second, first) == [second.outcome(is_delivered=True)]
        assert await messenger.store.delivered(bob.id, [Outcome(NOBODY, alice.id, "x", None, True)]) == []
        assert await messenger.store.delivered(bob.id, []) == []
        assert await messenger.untold(alice) == [told, second.outcome(is_delivered=True)]


@in_reactor
async def test_outcomes(database_url: str) -> None:
    """They wait for the sender, in order, until it has them; what only waits has none."""
    async with house(database_url) as messenger:
        store, alice, bob, carol = messenger.store, messenger.alice, messenger.bob, messenger.carol
        dialogs = [await messenger.send(alice, to, f"{n}") for n, to in enumerate((bob, carol, bob, carol))]
        failed = await messenger.refused(alice, "nobody", "\U0001f600")
        assert await messenger.untold(alice) == [failed]
        await messenger.deliver(dialogs[2], dialogs[0])
        await messenger.deliver(dialogs[3])
        outcomes = [dialogs[number].outcome(is_delivered=True) for number in (0, 2, 3)] + [failed]
        assert await messenger.untold(alice) == outcomes
        assert await store.outcomes(alice.id, 2) == outcomes[:2]
        assert await messenger.untold(bob) == []
        everything = [each.id for each in outcomes]
        await store.told(bob.id, everything)
        assert await messenger.untold(alice) == outcomes
        await store.told(alice.id, [everything[1], everything[3]])
        assert await messenger.untold(alice) == [outcomes[0], outcomes[2]]
        await store.told(alice.id, everything)
        await store.told(alice.id, everything)
        assert await messenger.untold(alice) == []
        await messenger.deliver(dialogs[1])
        assert await messenger.untold(alice) == [dialogs[1].outcome(is_delivered=True)]


@in_reactor
async def test_told_before_its_end(database_url: str) -> None:
    """Who says that it was told of what has no outcome yet is told of it nonetheless."""
    async with house(database_url) as messenger:
        dialog = await messenger.send(messenger.alice, messenger.bob)
        await messenger.store.told(messenger.alice.id, [dialog.id])
        await messenger.deliver(dialog)
        assert await messenger.untold(messenger.alice) == [dialog.outcome(is_delivered=True)]


@in_reactor
async def test_again(database_url: str) -> None:
    """The same id of the same sender is stored once, whatever else is sent, and its outcome repeated."""
    async with house(database_url) as messenger:
        alice, bob, carol = messenger.alice, messenger.bob, messenger.carol
        dialog = await messenger.send(alice, bob, "a")
        for receiver in (bob, carol, "nobody"):
            assert await messenger.post(alice, receiver, "a", NOW + 1, "2") == Posted(waits_for=bob.id)
        assert await messenger.mailbox(bob) == [dialog]
        assert await messenger.untold(alice) == []
        await messenger.deliver(dialog)
        delivered = dialog.outcome(is_delivered=True)
        failed = await messenger.refused(alice, "nobody", "b")
        for told in (delivered, failed):
            for is_told in (True, True, False):
                assert (await messenger.untold(alice))[:1] == [delivered]
                if is_told:
                    await messenger.store.told(alice.id, [told.id])
                assert await messenger.post(alice, bob, told.client_message_id) == Posted(outcome=told)
        assert await messenger.untold(alice) == [delivered, failed]
        assert await messenger.mailbox(bob) == []
        assert await messenger.mailbox(carol) == []


@in_reactor
async def test_client_message_ids(database_url: str) -> None:
    """Any other id, the same of another sender, and none at all are other dialogs."""
    async with house(database_url) as messenger:
        alice, bob = messenger.alice, messenger.bob
        longest = "\U0001f600" * 128
        keys = ("a", "A", "a ", " a", "\u00e9", "e\u0301", "\u0101", longest, longest[:-1], None, None)
        sent = [await messenger.send(alice, bob, key) for key in keys]
        sent.append(await messenger.send(bob, bob, "a"))
        assert await messenger.mailbox(bob) == sent
        assert [each.client_message_id for each in sent[:-1]] == list(keys)
        for key in keys[:-2]:
            assert await messenger.post(alice, bob, key) == Posted(waits_for=bob.id)


@in_reactor
async def test_unknown_receivers(database_url: str) -> None:
    """Whatever names nobody has failed at once, and so it is kept: for its sender, in nobody's mailbox."""
    async with house(database_url) as messenger:
        alice = messenger.alice
        unknown: tuple[str | int, ...] = (
            "nobody",
            "0",
            str(NOBODY),
            NOBODY,
            -1,
            2**32,
            " 1",
            "\u0661",
            "\U0001f600" * 64,
        )
        failed = []
        for number, receiver in enumerate(unknown):
            outcome = await messenger.refused(alice, receiver, str(number))
            assert outcome == Outcome(outcome.id, alice.id, str(receiver), str(number), False)
            failed.append(outcome)
        # A number may have any number of digits.
        outcome = await messenger.refused(alice, 10**100, "long")
        assert (outcome.receiver, outcome.is_delivered) == (str(10**100)[:64], False)
        assert await messenger.untold(alice) == [*failed, outcome]
        for user in (alice, messenger.bob, messenger.carol):
            assert await messenger.mailbox(user) == []
            assert await messenger.store.between(alice.id, user.id, NEWEST, 50) == []
        assert await messenger.store.expire(NOW + 1, 50) == []


@in_reactor
async def test_mailbox_limit(database_url: str) -> None:
    """Exactly as many as the limit says wait for one receiver, also of what is committed together."""
    async with house(database_url, limit=20) as messenger:
        store, alice, bob, carol = messenger.store, messenger.alice, messenger.bob, messenger.carol
        posted = await gatherResults(
            [
                store.post((alice, carol)[number % 2].id, Send(str(bob.id), str(number), "1"), NOW + number)
                for number in range(23)
            ]
        )
        accepted = [each.dialog for each in posted if each.dialog is not None]
        assert accepted == [each.dialog for each in posted[:20]]
        assert [each.outcome is not None for each in posted] == [False] * 20 + [True] * 3
        assert await messenger.mailbox(bob) == accepted
        # It is the receiver's limit, and what has an outcome does not count.
        await messenger.send(alice, carol)
        await messenger.send(bob, alice)
        await messenger.deliver(accepted[0])
        await messenger.send(alice, bob, "room for one")
        await messenger.refused(alice, bob, "but not for two")
        assert len(await store.expire(NOW + 3, 50)) == 5
        waiting = await messenger.mailbox(bob)
        assert len(waiting) == 17
        for number in range(3):
            await messenger.send(carol, bob, f"after the sweep {number}", NOW + 50)
        await messenger.refused(carol, bob)
        # What is known already needs no room.
        assert await messenger.post(carol, bob, waiting[0].client_message_id) == Posted(waits_for=bob.id)


@in_reactor
async def test_no_mailbox(database_url: str) -> None:
    """With a limit of none nothing is accepted."""
    async with house(database_url, limit=0) as messenger:
        await messenger.refused(messenger.alice, messenger.bob)
        assert await messenger.mailbox(messenger.bob) == []


@in_reactor
async def test_expiry(database_url: str) -> None:
    """The oldest are given up first, once, and never delivered then; what has an outcome keeps it."""
    async with house(database_url) as messenger:
        store, alice, bob = messenger.store, messenger.alice, messenger.bob
        times = (NOW + 3, NOW, NOW + 1, NOW + 2, NOW)
        dialogs = [await messenger.send(alice, bob, str(number), at) for number, at in enumerate(times)]
        await messenger.deliver(dialogs[4])
        assert await store.expire(NOW, 50) == []
        given_up = [dialogs[number].outcome(is_delivered=False) for number in (1, 2, 3)]
        assert await store.expire(NOW + 3, 2) == given_up[:2]
        assert await store.expire(NOW + 3, 2) == given_up[2:]
        assert await store.expire(NOW + 3, 2) == []
        assert await messenger.mailbox(bob) == dialogs[:1]
        assert await messenger.deliver(dialogs[1]) == []
        assert await messenger.untold(alice) == [*given_up, dialogs[4].outcome(is_delivered=True)]
        assert await messenger.post(alice, bob, "1") == Posted(outcome=given_up[0])


@in_reactor
async def test_history(database_url: str) -> None:
    """It holds what either sent to the other, oldest first and page by page, but nothing that failed."""
    async with house(database_url) as messenger:
        store, alice, bob, carol = messenger.store, messenger.alice, messenger.bob, messenger.carol
        pairs = [(alice, bob), (bob, alice), (bob, alice), (alice, bob), (bob, alice), (alice, bob)]
        dialogs = [await messenger.send(one, other, at=NOW + 1) for one, other in pairs]
        for one, other in ((alice, carol), (carol, bob), (alice, alice), (bob, bob)):
            await messenger.send(one, other, at=NOW + 1)
        await messenger.send(alice, bob, at=NOW)
        await store.expire(NOW + 1, 50)
        await messenger.deliver(dialogs[0])
        for one, other in ((alice, bob), (bob, alice)):
            assert await store.between(one.id, other.id, NEWEST, 50) == dialogs
            assert await store.between(one.id, other.id, NEWEST, 4) == dialogs[-4:]
            assert await store.between(one.id, other.id, dialogs[-4].id, 1) == dialogs[1:2]
            assert await store.between(one.id, other.id, dialogs[0].id, 1) == []
        assert [each.sender for each in await store.between(alice.id, alice.id, NEWEST, 50)] == [alice.id]
        assert await store.between(alice.id, NOBODY, NEWEST, 50) == []
