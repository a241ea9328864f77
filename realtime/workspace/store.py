"""workspace's SQL of channels, and of what is said in them. Who belongs where is in `membership`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import bindparam, delete, exists, false, func, insert, or_, select, update
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.errors import TokenInvalid
from realtime.accounts.store import User
from realtime.cluster.heard import AT_ONCE, newest_since
from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from realtime.storage.places import filled, places
from realtime.storage.statements import Statement
from realtime.storage.tables import users, workspace_channel_members, workspace_channels, workspace_messages
from realtime.storage.transaction import Transaction
from realtime.workspace.membership import Joined, Membership, write_again
from realtime.workspace.messages import ChannelModel, Message, Person, SendMessage, id_of, iso_time

LATEST: Final = 2**32
"""Above every id."""

MOST_PRIVATE: Final = 1000
"""Private channels that one user may be in: each of its connections is in a room for each."""


class TooMany(Exception):
    """A user is in as many private channels as one may be."""


class Said(Struct, frozen=True):
    """A stored message, and where it was said. It is not new if its client's id was known."""

    message: Message
    channel: ChannelModel
    is_new: bool


_CHANNEL: Final = select(
    *(workspace_channels.c.id, workspace_channels.c.name, workspace_channels.c.is_private),
    *(workspace_channels.c.workspace_id, workspace_channels.c.creator_id, workspace_channels.c.created),
)
_IS_VISIBLE: Final = or_(
    workspace_channels.c.is_private == false(),
    exists().where(
        workspace_channel_members.c.channel_id == workspace_channels.c.id,
        workspace_channel_members.c.user_id == bindparam("viewer"),
    ),
)
_ONE: Final = Statement(_CHANNEL.where(workspace_channels.c.id == bindparam("channel"), _IS_VISIBLE))
_ANY: Final = Statement(_CHANNEL.where(workspace_channels.c.id == bindparam("channel")))
_LIST: Final = Statement(
    _CHANNEL.where(
        workspace_channels.c.workspace_id == bindparam("workspace"),
        workspace_channels.c.id < bindparam("id_before"),
        _IS_VISIBLE,
    )
    .order_by(workspace_channels.c.id.desc())
    .limit(bindparam("count"))
)
_CREATE: Final = Statement(
    insert(workspace_channels).values(
        workspace_id=bindparam("workspace"),
        name=bindparam("called"),
        is_private=bindparam("private"),
        creator_id=bindparam("creator"),
        created=bindparam("at"),
    )
)
_RENAME: Final = Statement(
    update(workspace_channels)
    .where(workspace_channels.c.id == bindparam("channel"))
    .values(name=bindparam("called"))
)
_HOLD: Final = Statement(
    select(workspace_channels.c.id).where(workspace_channels.c.id == bindparam("channel")).with_for_update()
)
_DELETE: Final = Statement(delete(workspace_channels).where(workspace_channels.c.id == bindparam("channel")))
_MEMBERS: Final = Statement(
    select(workspace_channel_members.c.user_id).where(
        workspace_channel_members.c.channel_id == bindparam("channel")
    )
)
_IS_IN: Final = Statement(
    select(workspace_channel_members.c.user_id).where(
        workspace_channel_members.c.channel_id == bindparam("channel"),
        workspace_channel_members.c.user_id == bindparam("user"),
    )
)
_HOW_MANY: Final = Statement(
    select(func.count())
    .select_from(workspace_channel_members)
    .where(workspace_channel_members.c.user_id == bindparam("user"))
)
_TAKE_IN: Final = Statement(
    insert(workspace_channel_members).values(channel_id=bindparam("channel"), user_id=bindparam("user"))
)
_PUT_OUT: Final = Statement(
    delete(workspace_channel_members).where(
        workspace_channel_members.c.channel_id == bindparam("channel"),
        workspace_channel_members.c.user_id == bindparam("user"),
    )
)
_USER: Final = Statement(select(users.c.id, users.c.user_name).where(users.c.id == bindparam("user")))
_MESSAGE: Final = select(
    *(workspace_messages.c.id, workspace_messages.c.channel_id, workspace_messages.c.user_id),
    *(workspace_messages.c.text, workspace_messages.c.created),
)
_KNOWN: Final = Statement(
    _MESSAGE.where(
        workspace_messages.c.channel_id == bindparam("channel"),
        workspace_messages.c.user_id == bindparam("user"),
        workspace_messages.c.client_id == bindparam("key"),
    )
)
_SAY: Final = Statement(
    insert(workspace_messages).values(
        channel_id=bindparam("channel"),
        user_id=bindparam("user"),
        text=bindparam("says"),
        client_id=bindparam("key"),
        created=bindparam("at"),
    )
)
_SAID: Final = Statement(
    _MESSAGE.where(
        workspace_messages.c.channel_id == bindparam("channel"),
        workspace_messages.c.id < bindparam("id_before"),
    )
    .order_by(workspace_messages.c.id.desc())
    .limit(bindparam("count"))
)


_NEWEST: Final = Statement(
    select(workspace_messages.c.id, workspace_messages.c.created)
    .where(workspace_messages.c.id < bindparam("id_before"))
    .order_by(workspace_messages.c.id.desc())
    .limit(bindparam("count"))
)
_THOSE_SAID: Final = Statement(
    select(*_MESSAGE.selected_columns, *_CHANNEL.selected_columns)
    .join(workspace_channels, workspace_channels.c.id == workspace_messages.c.channel_id)
    .where(workspace_messages.c.id.in_(places(AT_ONCE)))
)


class ChannelStore:
    """Reads and writes channels. All Deferreds may fail with `StorageUnavailable`.

    ``None`` stands for what is not there, or not for this user. Times are Unix milliseconds.
    """

    def __init__(self, database: Database, membership: Membership) -> None:
        self._database = database
        self._membership = membership

    def create(
        self, creator: User, workspace: str, name: str, is_private: bool, at: int
    ) -> Deferred[ChannelModel | None]:
        """Store a channel, of whose members the creator is the first if it is private.

        An administrator may make one where it doesn't belong; then it is not in it. Fails with `TooMany`, and
        with `TokenInvalid` if the creator's account is gone.
        """
        created = write_again(self._database, self._create, creator, workspace, name, is_private, at)
        return created.addErrback(_gone)

    def all(self, viewer: User, workspace: str, before: int, count: int) -> Deferred[list[ChannelModel] | None]:
        """Fires with the newest channels whose ids are below ``before``, newest first."""
        return self._database.read(self._all, viewer, workspace, before, count)

    def one(self, viewer: User, workspace: str, channel_id: int) -> Deferred[ChannelModel | None]:
        """Fires with a channel. An administrator sees the private ones too."""
        return self._database.read(self._one, viewer, workspace, channel_id)

    def rename(self, channel: ChannelModel, name: str) -> Deferred[ChannelModel | None]:
        """Give a channel another name."""
        return self._database.write(_rename, channel, name)

    def delete(self, channel: ChannelModel) -> Deferred[list[int] | None]:
        """Remove a channel with all that was said in it; fires with its own members, if it was private."""
        return self._database.write(_delete, int(channel.id))

    def take_in(self, channel: ChannelModel, user_id: int) -> Deferred[Joined | None]:
        """Let a user belong to a private channel; ``None`` unless it belongs to the workspace.

        Fails with `TooMany`.
        """
        return write_again(self._database, self._take_in, channel, user_id)

    def put_out(self, channel: ChannelModel, user_id: int) -> Deferred[int]:
        """End that; fires with how many were removed, 0 or 1."""
        return self._database.write(_put_out, int(channel.id), user_id)

    def say(self, user: User, send: SendMessage, at: int) -> Deferred[Said | None]:
        """Store a message; fires once it is committed. One with the same ``clientId`` is returned instead.

        Fails with `TokenInvalid` if the user's account is gone.
        """
        return write_again(self._database, self._say, user, send, at).addErrback(_gone)

    def said(self, channel_id: int, before: int, count: int) -> Deferred[list[Message]]:
        """Fires with the newest messages whose ids are below ``before``, oldest first."""
        return self._database.read(_said, channel_id, before, count)

    def said_since(self, since: int) -> Deferred[list[int]]:
        """Fires with the ids of what was said since a time; of the newest. See `Heard`."""
        return self._database.read(_said_since, since)

    def those_said(self, message_ids: Sequence[int]) -> Deferred[dict[int, Said]]:
        """Fires with messages by their ids, of which there are at most `AT_ONCE`."""
        return self._database.read(_those_said, message_ids)

    # -- on a database thread ------------------------------------------------------------------

    def _create(
        self, transaction: Transaction, creator: User, workspace: str, name: str, is_private: bool, at: int
    ) -> ChannelModel | None:
        if not self._membership.may_see(transaction, workspace, creator):
            return None
        is_in = is_private and self._membership.stays(transaction, workspace, creator.id)
        if is_in:
            _expect_room(transaction, creator.id)
        channel_id = transaction.insert(
            _CREATE, workspace=workspace, called=name, private=is_private, creator=creator.id, at=at
        )
        if is_in:
            transaction.execute(_TAKE_IN, channel=channel_id, user=creator.id)
        return _model(channel_id, name, is_private, workspace, creator.id, at)

    def _all(
        self, transaction: Transaction, viewer: User, workspace: str, before: int, count: int
    ) -> list[ChannelModel] | None:
        if not self._membership.may_see(transaction, workspace, viewer):
            return None
        rows = transaction.rows(_LIST, workspace=workspace, viewer=viewer.id, id_before=before, count=count)
        return [_model(*row) for row in rows]

    def _one(
        self, transaction: Transaction, viewer: User, workspace: str, channel_id: int
    ) -> ChannelModel | None:
        if viewer.is_admin:
            row = transaction.row(_ANY, channel=channel_id)
        else:
            row = transaction.row(_ONE, channel=channel_id, viewer=viewer.id)
        channel = None if row is None else _model(*row)
        if channel is None or channel.workspace_id != workspace:
            return None
        return channel if self._membership.may_see(transaction, workspace, viewer) else None

    def _take_in(self, transaction: Transaction, channel: ChannelModel, user_id: int) -> Joined | None:
        channel_id = int(channel.id)
        user = transaction.row(_USER, user=user_id)
        if user is None or not self._membership.stays(transaction, channel.workspace_id, user_id):
            return None
        if transaction.row(_ANY, channel=channel_id) is None:
            return None
        person = Person(str(user[0]), user[1])
        if transaction.row(_IS_IN, channel=channel_id, user=user_id) is not None:
            return Joined(person, is_new=False)
        _expect_room(transaction, user_id)
        transaction.execute(_TAKE_IN, channel=channel_id, user=user_id)
        return Joined(person, is_new=True)

    def _say(self, transaction: Transaction, user: User, send: SendMessage, at: int) -> Said | None:
        channel_id = id_of(send.channel_id)
        row = None if channel_id is None else transaction.row(_ONE, channel=channel_id, viewer=user.id)
        if row is None:
            return None
        channel = _model(*row)
        if not self._membership.belongs(transaction, channel.workspace_id, user.id):
            return None
        if send.client_id is not None:
            known = transaction.row(_KNOWN, channel=channel_id, user=user.id, key=send.client_id)
            if known is not None:
                return Said(_message(*known), channel, is_new=False)
        message_id = transaction.insert(
            _SAY, channel=channel_id, user=user.id, says=send.text, key=send.client_id, at=at
        )
        return Said(_message(message_id, channel_id, user.id, send.text, at), channel, is_new=True)


def _model(
    channel_id: int, name: str, is_private: bool, workspace: str, creator: int, created: int
) -> ChannelModel:
    return ChannelModel(
        id=str(channel_id),
        name=name,
        is_private=bool(is_private),
        workspace_id=workspace,
        creator_id=str(creator),
        created_at=iso_time(created),
    )


def _message(message_id: int, channel_id: Any, user_id: int, text: str, created: int) -> Message:
    return Message(str(message_id), str(channel_id), str(user_id), text, iso_time(created))


def _gone(failure: Failure) -> NoReturn:
    failure.trap(Conflict)
    raise TokenInvalid("the account is gone")


def _expect_room(transaction: Transaction, user_id: int) -> None:
    ((count,),) = transaction.rows(_HOW_MANY, user=user_id)
    if count >= MOST_PRIVATE:
        raise TooMany


def _rename(transaction: Transaction, channel: ChannelModel, name: str) -> ChannelModel | None:
    if not transaction.execute(_RENAME, channel=int(channel.id), called=name):
        return None
    return replace(channel, name=name)


def _delete(transaction: Transaction, channel_id: int) -> list[int] | None:
    # Who writes into it now, or takes somebody in, is done before this, or finds nothing.
    if transaction.row(_HOLD, channel=channel_id) is None:
        return None
    members = [user_id for (user_id,) in transaction.rows(_MEMBERS, channel=channel_id)]
    transaction.execute(_DELETE, channel=channel_id)  # and by the foreign keys all that was in it
    return members


def _put_out(transaction: Transaction, channel_id: int, user_id: int) -> int:
    return transaction.execute(_PUT_OUT, channel=channel_id, user=user_id)


def _said(transaction: Transaction, channel_id: int, before: int, count: int) -> list[Message]:
    rows = transaction.rows(_SAID, channel=channel_id, id_before=before, count=count)
    return [_message(*row) for row in reversed(rows)]


def _said_since(transaction: Transaction, since: int) -> list[int]:
    def page(before: int, count: int) -> Sequence[tuple[int, ...]]:
        return transaction.rows(_NEWEST, id_before=before, count=count)

    return newest_since(page, since, LATEST)


def _those_said(transaction: Transaction, message_ids: Sequence[int]) -> dict[int, Said]:
    rows = transaction.rows(_THOSE_SAID, **filled(message_ids, AT_ONCE))
    return {row[0]: Said(_message(*row[:5]), _model(*row[5:]), is_new=False) for row in rows}
