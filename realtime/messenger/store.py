"""messenger's SQL: profiles, and what is said in the room. Dialogs are in `dialog_store`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import bindparam, func, insert, literal, select, update
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.check_token import OutsideProfile
from realtime.cluster.heard import AT_ONCE, newest_since
from realtime.messenger import dialog_store
from realtime.messenger.dialog_store import Dialog, Outcome, Posted
from realtime.messenger.messages import ChangeProfile, Profile, Send, iso_time
from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from realtime.storage.places import filled, places
from realtime.storage.statements import Statement
from realtime.storage.tables import messenger_messages, users
from realtime.storage.transaction import Transaction


class RoomMessage(Struct, frozen=True):
    """What was said in the room. ``sent`` is in Unix milliseconds."""

    id: int
    sender: int
    message: str
    sent: int


LATEST: Final = 2**62
"""Above every id."""

PROFILES: Final = 50
"""Profiles in one read."""

_COLUMNS: Final = select(
    *(users.c.id, users.c.user_name, users.c.nickname, users.c.avatar, users.c.language, users.c.status),
    *(users.c.last_online, users.c.registered),
)
_PROFILE: Final = Statement(_COLUMNS.where(users.c.id == bindparam("user")))
_PROFILES: Final = Statement(_COLUMNS.where(users.c.id.in_(places(PROFILES))))


def _changing(*names: str) -> Statement:
    """Change columns of a user; a NULL leaves its column as it is."""
    values: dict[str, Any] = {name: func.coalesce(bindparam(f"new_{name}"), users.c[name]) for name in names}
    return Statement(update(users).where(users.c.id == bindparam("user")).values(values))


_CHANGE: Final = _changing("nickname", "avatar", "language", "status")
_REGISTERED: Final = Statement(
    update(users).where(users.c.id == bindparam("user")).values(registered=bindparam("at"))
)
_LAST_ONLINE: Final = Statement(
    update(users).where(users.c.id == bindparam("user")).values(last_online=bindparam("at"))
)
_AVATAR: Final = Statement(select(users.c.avatar).where(users.c.id == bindparam("user")).with_for_update())
_USES: Final = Statement(select(literal(1)).where(users.c.avatar == bindparam("address")).limit(1))
_SAY: Final = Statement(
    insert(messenger_messages).values(
        sender_id=bindparam("sender"), message=bindparam("text"), sent=bindparam("at")
    )
)
_MESSAGE: Final = select(
    *(messenger_messages.c.id, messenger_messages.c.sender_id),
    *(messenger_messages.c.message, messenger_messages.c.sent),
)
_SAID: Final = Statement(
    _MESSAGE.where(messenger_messages.c.id < bindparam("id_before"))
    .order_by(messenger_messages.c.id.desc())
    .limit(bindparam("count"))
)


_NEWEST_SAID: Final = Statement(
    select(messenger_messages.c.id, messenger_messages.c.sent)
    .where(messenger_messages.c.id < bindparam("id_before"))
    .order_by(messenger_messages.c.id.desc())
    .limit(bindparam("count"))
)
_THOSE_SAID: Final = Statement(_MESSAGE.where(messenger_messages.c.id.in_(places(AT_ONCE))))


class MessengerStore:
    """Reads and writes what messenger keeps. All Deferreds may fail with `StorageUnavailable`.

    If the user's account is gone, profiles are ``None``, and what is said or posted fails with `Conflict`.
    Times are Unix milliseconds, but for those of profiles.
    """

    def __init__(self, database: Database, mailbox_limit: int) -> None:
        self._database = database
        self._mailbox_limit = mailbox_limit

    # -- profiles ------------------------------------------------------------------------------

    def profile(self, user_id: int) -> Deferred[Profile | None]:
        """Fires with what others are shown of a user."""
        return self._database.read(_profile, user_id)

    def profiles(self, user_ids: Sequence[int]) -> Deferred[dict[int, Profile]]:
        """Fires with the same of several users, of whom there are at most `PROFILES`."""
        return self._database.read(_profiles, user_ids)

    def came(
        self, user_id: int, at: int, outside: OutsideProfile | None
    ) -> Deferred[tuple[Profile | None, str | None]]:
        """Note that a user is online at ``at``, in Unix seconds.

        What an outside server says of the user is taken over, as far as it says something. Fires with the
        profile, and the address of the picture before.
        """
        return self._database.write(_came, user_id, at, outside)

    def change_profile(self, user_id: int, change: ChangeProfile) -> Deferred[Profile | None]:
        """Change what is given; fires with the profile as it is then."""
        outside = OutsideProfile(change.nickname, None, change.language, change.status)
        return self._database.write(_change, user_id, outside)

    def change_avatar(self, user_id: int, address: str) -> Deferred[tuple[Profile | None, str | None]]:
        """Change a user's picture; fires with the profile, and the address of the picture before."""
        return self._database.write(_change_avatar, user_id, address)

    def is_avatar_used(self, address: str) -> Deferred[bool]:
        """Fires with whether anybody has this picture."""
        return self._database.read(_is_used, address)

    def went(self, user_id: int, at: int) -> Deferred[int]:
        """Note that a user was online until ``at``, in Unix seconds."""
        return self._database.write(_went, user_id, at)

    # -- the room ------------------------------------------------------------------------------

    def say(self, user_id: int, text: str, at: int) -> Deferred[RoomMessage]:
        """Store what is said; fires once it is committed."""
        return self._database.write(_say, user_id, text, at)

    def said(self, before: int, count: int) -> Deferred[list[RoomMessage]]:
        """Fires with the newest ``count`` messages whose ids are below ``before``, oldest first."""
        return self._database.read(_said, before, count)

    def said_since(self, since: int) -> Deferred[list[int]]:
        """Fires with the ids of what was said since a time; of the newest. See `Heard`."""
        return self._database.read(_said_since, since)

    def those_said(self, message_ids: Sequence[int]) -> Deferred[dict[int, RoomMessage]]:
        """Fires with messages by their ids, of which there are at most `AT_ONCE`."""
        return self._database.read(_those_said, message_ids)

    # -- dialogs -------------------------------------------------------------------------------

    def post(self, sender: int, send: Send, at: int) -> Deferred[Posted]:
        """Store a dialog, or find the one that has the same ``clientMessageId``; fires once committed.

        It has failed at once if there is no such receiver, or its mailbox is full. (Several processes that
        write into one mailbox at the same moment may exceed its limit by what they have under way.)
        """
        arguments = (sender, send, at, self._mailbox_limit)

        def again(failure: Failure) -> Deferred[Posted]:
            failure.trap(Conflict)  # the same message came by another process at the same moment
            return self._database.write(dialog_store.post, *arguments)

        return self._database.write(dialog_store.post, *arguments).addErrback(again)

    def waiting(self, receiver: int, sent_since: int, count: int) -> Deferred[list[Dialog]]:
        """Fires with the first dialogs, not sent before, that a receiver has not confirmed, in order."""
        return self._database.read(dialog_store.waiting, receiver, sent_since, count)

    def delivered(self, receiver: int, outcomes: Sequence[Outcome]) -> Deferred[list[Outcome]]:
        """Store that a receiver has the dialogs of these outcomes; fires with those that are new by that.

        The others had an outcome before: another connection of the receiver's had them too, or this was asked
        before and the answer was lost, or they were given up.
        """
        return self._database.write(dialog_store.delivered, receiver, outcomes)

    def outcomes(self, sender: int, count: int) -> Deferred[list[Outcome]]:
        """Fires with the first outcomes that a sender has not confirmed, in order."""
        return self._database.read(dialog_store.outcomes, sender, count)

    def told(self, sender: int, dialog_ids: Sequence[int]) -> Deferred[None]:
        """Store that the sender has these outcomes."""
        return self._database.write(dialog_store.told, sender, dialog_ids)

    def expire(self, sent_before: int, count: int) -> Deferred[list[Outcome]]:
        """Give up as many of the oldest dialogs that were sent before; fires with their outcomes."""
        return self._database.write(dialog_store.expire, sent_before, count)

    def between(self, user_id: int, peer: int, before: int, count: int) -> Deferred[list[Dialog]]:
        """Fires with the newest dialogs of two whose ids are below ``before``, oldest first; none failed."""
        return self._database.read(dialog_store.between, user_id, peer, before, count)


def _profile(transaction: Transaction, user_id: int) -> Profile | None:
    row = transaction.row(_PROFILE, user=user_id)
    return None if row is None else _drawn(*row)


def _profiles(transaction: Transaction, user_ids: Sequence[int]) -> dict[int, Profile]:
    rows = transaction.rows(_PROFILES, **filled(user_ids, PROFILES))
    return {row[0]: _drawn(*row) for row in rows}


def _drawn(
    user_id: int,
    name: str,
    nickname: str | None,
    avatar: str | None,
    language: str | None,
    status: str | None,
    last_online: int | None,
    registered: int | None,
) -> Profile:
    return Profile(
        user_id=str(user_id),
        nickname=nickname or name,
        avatar=avatar or "",
        language=language or "",
        status=status or "",
        last_online=iso_time(last_online),
        register_date=iso_time(registered),
    )


def _came(
    transaction: Transaction, user_id: int, at: int, outside: OutsideProfile | None
) -> tuple[Profile | None, str | None]:
    transaction.execute(_LAST_ONLINE, user=user_id, at=at)
    before = _profile(transaction, user_id)
    profile = before if outside is None else _change(transaction, user_id, outside)
    return profile, None if before is None else before.avatar


def _change(transaction: Transaction, user_id: int, new: OutsideProfile) -> Profile | None:
    values: dict[str, Any] = {
        f"new_{name}": getattr(new, name) for name in ("nickname", "avatar", "language", "status")
    }
    transaction.execute(_CHANGE, user=user_id, **values)
    if new.registered is not None:
        transaction.execute(_REGISTERED, user=user_id, at=new.registered)
    return _profile(transaction, user_id)


def _change_avatar(transaction: Transaction, user_id: int, address: str) -> tuple[Profile | None, str | None]:
    row = transaction.row(_AVATAR, user=user_id)
    return _change(transaction, user_id, OutsideProfile(avatar=address)), None if row is None else row[0]


def _is_used(transaction: Transaction, address: str) -> bool:
    return transaction.row(_USES, address=address) is not None


def _went(transaction: Transaction, user_id: int, at: int) -> int:
    return transaction.execute(_LAST_ONLINE, user=user_id, at=at)


def _say(transaction: Transaction, user_id: int, text: str, at: int) -> RoomMessage:
    return RoomMessage(transaction.insert(_SAY, sender=user_id, text=text, at=at), user_id, text, at)


def _said(transaction: Transaction, before: int, count: int) -> list[RoomMessage]:
    rows = transaction.rows(_SAID, id_before=before, count=count)
    return [RoomMessage(*row) for row in reversed(rows)]


def _said_since(transaction: Transaction, since: int) -> list[int]:
    def page(before: int, count: int) -> Sequence[tuple[int, ...]]:
        return transaction.rows(_NEWEST_SAID, id_before=before, count=count)

    return newest_since(page, since, LATEST)


def _those_said(transaction: Transaction, message_ids: Sequence[int]) -> dict[int, RoomMessage]:
    rows = transaction.rows(_THOSE_SAID, **filled(message_ids, AT_ONCE))
    return {row[0]: RoomMessage(*row) for row in rows}
