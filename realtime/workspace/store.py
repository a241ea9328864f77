"""workspace's SQL of channels, and of what is said in them. Who belongs where is in `membership`."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import bindparam, delete, exists, false, insert, or_, select, update
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from realtime.storage.statements import Statement
from realtime.storage.tables import users, workspace_channel_members, workspace_channels, workspace_messages
from realtime.storage.transaction import Transaction
from realtime.storage.upserts import upsert
from realtime.workspace.membership import Membership
from realtime.workspace.messages import ChannelModel, Message, Person, SendMessage, id_of, iso_time

LATEST: Final = 2**32
"""Above every id."""


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
_DELETE_MESSAGES: Final = Statement(
    delete(workspace_messages).where(workspace_messages.c.channel_id == bindparam("channel"))
)
_DELETE_MEMBERS: Final = Statement(
    delete(workspace_channel_members).where(workspace_channel_members.c.channel_id == bindparam("channel"))
)
_DELETE: Final = Statement(delete(workspace_channels).where(workspace_channels.c.id == bindparam("channel")))
_TAKE_IN: Final = Statement(
    upsert(
        workspace_channel_members,
        key=["channel_id", "user_id"],
        values=["channel_id", "user_id"],
        update=lambda new: {"user_id": workspace_channel_members.c.user_id},
    )
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
        """Store a channel, of whose members the creator is the first if it is private."""
        return self._database.write(self._create, creator, workspace, name, is_private, at)

    def all(self, viewer: User, workspace: str, before: int, count: int) -> Deferred[list[ChannelModel] | None]:
        """Fires with the newest channels whose ids are below ``before``, newest first."""
        return self._database.read(self._all, viewer, workspace, before, count)

    def one(self, viewer: User, workspace: str, channel_id: int) -> Deferred[ChannelModel | None]:
        """Fires with a channel. An administrator sees the private ones too."""
        return self._database.read(self._one, viewer, workspace, channel_id)

    def rename(self, channel: ChannelModel, name: str) -> Deferred[ChannelModel]:
        """Give a channel another name."""
        return self._database.write(_rename, channel, name)

    def delete(self, channel: ChannelModel) -> Deferred[int]:
        """Remove a channel with all that was said in it; fires with how many were removed, 0 or 1."""
        return self._database.write(_delete, int(channel.id))

    def take_in(self, channel: ChannelModel, user_id: int) -> Deferred[Person | None]:
        """Let a user belong to a private channel; ``None`` unless it belongs to the workspace."""
        return self._database.write(self._take_in, channel, user_id)

    def put_out(self, channel: ChannelModel, user_id: int) -> Deferred[int]:
        """End that; fires with how many were removed, 0 or 1."""
        return self._database.write(_put_out, int(channel.id), user_id)

    def say(self, user: User, send: SendMessage, at: int) -> Deferred[Said | None]:
        """Store a message; fires once it is committed. One with the same ``clientId`` is returned instead."""

        def again(failure: Failure) -> Deferred[Said | None]:
            failure.trap(Conflict)  # the same message came by another process at the same moment
            return self._database.write(self._say, user, send, at)

        return self._database.write(self._say, user, send, at).addErrback(again)

    def said(self, channel_id: int, before: int, count: int) -> Deferred[list[Message]]:
        """Fires with the newest messages whose ids are below ``before``, oldest first."""
        return self._database.read(_said, channel_id, before, count)

    # -- on a database thread ------------------------------------------------------------------

    def _create(
        self, transaction: Transaction, creator: User, workspace: str, name: str, is_private: bool, at: int
    ) -> ChannelModel | None:
        if not self._membership.may_see(transaction, workspace, creator):
            return None
        channel_id = transaction.insert(
            _CREATE, workspace=workspace, called=name, private=is_private, creator=creator.id, at=at
        )
        if is_private:
            transaction.execute(_TAKE_IN, channel_id=channel_id, user_id=creator.id)
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

    def _take_in(self, transaction: Transaction, channel: ChannelModel, user_id: int) -> Person | None:
        user = transaction.row(_USER, user=user_id)
        if user is None or not self._membership.belongs(transaction, channel.workspace_id, user_id):
            return None
        transaction.execute(_TAKE_IN, channel_id=int(channel.id), user_id=user_id)
        return Person(str(user[0]), user[1])

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


def _rename(transaction: Transaction, channel: ChannelModel, name: str) -> ChannelModel:
    transaction.execute(_RENAME, channel=int(channel.id), called=name)
    return ChannelModel(
        channel.id, name, channel.is_private, channel.workspace_id, channel.creator_id, channel.created_at
    )


def _delete(transaction: Transaction, channel_id: int) -> int:
    transaction.execute(_DELETE_MESSAGES, channel=channel_id)
    transaction.execute(_DELETE_MEMBERS, channel=channel_id)
    return transaction.execute(_DELETE, channel=channel_id)


def _put_out(transaction: Transaction, channel_id: int, user_id: int) -> int:
    return transaction.execute(_PUT_OUT, channel=channel_id, user=user_id)


def _said(transaction: Transaction, channel_id: int, before: int, count: int) -> list[Message]:
    rows = transaction.rows(_SAID, channel=channel_id, id_before=before, count=count)
    return [_message(*row) for row in reversed(rows)]
