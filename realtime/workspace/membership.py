"""workspace's SQL of who belongs where.

With ``[workspace] open`` every account belongs to the first workspace, and no row says so. Otherwise, and to
any other workspace, one belongs by invitation. A channel that is not private is open to all who belong to its
workspace; a private one to those who were taken into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.storage.database import Database
from realtime.storage.errors import Conflict
from realtime.storage.places import filled, places
from realtime.storage.statements import Statement
from realtime.storage.tables import (
    users,
    workspace_channel_members,
    workspace_channels,
    workspace_members,
    workspaces,
)
from realtime.storage.transaction import Transaction
from realtime.workspace.messages import DEFAULT_WORKSPACE, Person

T = TypeVar("T")

_MANY: Final = 50
"""Users that are asked about in one statement."""


class Workspace(Struct, frozen=True):
    """A workspace as its members see it."""

    id: str
    name: str


class Places(Struct, frozen=True):
    """Where a user belongs: ids of workspaces and of private channels."""

    workspaces: list[str]
    channels: list[int]


class Joined(Struct, frozen=True):
    """Somebody who belongs somewhere. It is not new if that was so already."""

    person: Person
    is_new: bool


_USER: Final = Statement(select(users.c.id, users.c.user_name).where(users.c.id == bindparam("user")))
_EVERYBODY: Final = Statement(
    select(users.c.id, users.c.user_name)
    .where(users.c.id > bindparam("after"))
    .order_by(users.c.id)
    .limit(bindparam("count"))
)
_WORKSPACE: Final = Statement(
    select(workspaces.c.id, workspaces.c.name).where(workspaces.c.id == bindparam("workspace"))
)
_ALL: Final = Statement(select(workspaces.c.id, workspaces.c.name).order_by(workspaces.c.id))
_OWN: Final = Statement(
    select(workspaces.c.id, workspaces.c.name)
    .join(workspace_members, workspace_members.c.workspace_id == workspaces.c.id)
    .where(workspace_members.c.user_id == bindparam("user"))
    .order_by(workspaces.c.id)
)
_CREATE: Final = Statement(
    insert(workspaces).values(id=bindparam("workspace"), name=bindparam("called"), created=bindparam("at"))
)
_IS_MEMBER: Final = Statement(
    select(workspace_members.c.user_id).where(
        workspace_members.c.workspace_id == bindparam("workspace"),
        workspace_members.c.user_id == bindparam("user"),
    )
)
_MEMBERS: Final = Statement(
    select(users.c.id, users.c.user_name)
    .join(workspace_members, workspace_members.c.user_id == users.c.id)
    .where(workspace_members.c.workspace_id == bindparam("workspace"), users.c.id > bindparam("after"))
    .order_by(users.c.id)
    .limit(bindparam("count"))
)
_THOSE: Final = Statement(
    select(workspace_members.c.user_id).where(
        workspace_members.c.workspace_id == bindparam("workspace"),
        workspace_members.c.user_id.in_(places(_MANY)),
    )
)
_STAYS: Final = Statement(
    select(workspace_members.c.user_id)
    .where(
        workspace_members.c.workspace_id == bindparam("workspace"),
        workspace_members.c.user_id == bindparam("user"),
    )
    .with_for_update()
)
"""While this transaction lasts, who belongs there is not put out."""
_ADD: Final = Statement(
    insert(workspace_members).values(workspace_id=bindparam("workspace"), user_id=bindparam("user"))
)
_REMOVE: Final = Statement(
    delete(workspace_members).where(
        workspace_members.c.workspace_id == bindparam("workspace"),
        workspace_members.c.user_id == bindparam("user"),
    )
)
_REMOVE_FROM_CHANNEL: Final = Statement(
    delete(workspace_channel_members).where(
        workspace_channel_members.c.channel_id == bindparam("channel"),
        workspace_channel_members.c.user_id == bindparam("user"),
    )
)
_OWN_CHANNELS: Final = Statement(
    select(workspace_channels.c.id, workspace_channels.c.workspace_id)
    .join(workspace_channel_members, workspace_channel_members.c.channel_id == workspace_channels.c.id)
    .where(workspace_channel_members.c.user_id == bindparam("user"))
    .order_by(workspace_channels.c.id)
)


def write_again(database: Database, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
    """Write; once more after a `Conflict`: another process did the same, or took away what it builds on.

    The second time it sees that. If there is a `Conflict` again the user is gone who asks for it.
    """

    def again(failure: Failure) -> Deferred[T]:
        failure.trap(Conflict)
        return database.write(work, *arguments)

    return database.write(work, *arguments).addErrback(again)


class Membership:
    """Reads and writes who belongs where. All Deferreds may fail with `StorageUnavailable`."""

    def __init__(self, database: Database, *, is_open: bool) -> None:
        self._database = database
        self._is_open = is_open

    def everybody_belongs(self, workspace: str) -> bool:
        """Whether a workspace is the open one."""
        return self._is_open and workspace == DEFAULT_WORKSPACE

    def create(self, workspace: str, name: str, at: int) -> Deferred[Workspace]:
        """Store a workspace; fails with `Conflict` if there is one of this id."""
        return self._database.write(_create, workspace, name, at)

    def is_visible(self, user: User, workspace: str) -> Deferred[bool]:
        """Fires with whether there is such a workspace for a user; an administrator sees all."""
        return self._database.read(self.may_see, workspace, user)

    def those_of(self, workspace: str, user_ids: Sequence[int]) -> Deferred[list[int]]:
        """Fires with those of some users who belong to a workspace."""
        return self._database.read(self._those_of, workspace, user_ids)

    def workspaces(self, user: User) -> Deferred[list[Workspace]]:
        """Fires with the workspaces that a user belongs to; an administrator sees all."""
        return self._database.read(self._workspaces, user)

    def places(self, user: User) -> Deferred[Places]:
        """Fires with where a user belongs."""
        return self._database.read(self._places, user)

    def members(self, workspace: str, after: int, count: int) -> Deferred[list[Person]]:
        """Fires with ``count`` members of a workspace whose ids are above ``after``."""
        return self._database.read(self._members, workspace, after, count)

    def add(self, workspace: str, user_id: int) -> Deferred[Joined | None]:
        """Let a user belong to a workspace; ``None`` if there is no such user or workspace."""
        return write_again(self._database, self._add, workspace, user_id)

    def remove(self, workspace: str, user_id: int) -> Deferred[list[int] | None]:
        """End that, in its private channels too; fires with those, or ``None`` if the user did not belong."""
        return self._database.write(self._remove, workspace, user_id)

    # -- on a database thread, for this room and that of the channels --------------------------

    def belongs(self, transaction: Transaction, workspace: str, user_id: int) -> bool:
        """Whether a user belongs to a workspace."""
        if self.everybody_belongs(workspace):
            return True
        return transaction.row(_IS_MEMBER, workspace=workspace, user=user_id) is not None

    def stays(self, transaction: Transaction, workspace: str, user_id: int) -> bool:
        """Whether a user belongs to a workspace, and will until the transaction ends."""
        if self.everybody_belongs(workspace):
            return True
        return transaction.row(_STAYS, workspace=workspace, user=user_id) is not None

    def may_see(self, transaction: Transaction, workspace: str, user: User) -> bool:
        """Whether there is such a workspace for a user; an administrator sees all."""
        if "\0" in workspace or transaction.row(_WORKSPACE, workspace=workspace) is None:
            return False  # PostgreSQL can't even be asked for the former
        return user.is_admin or self.belongs(transaction, workspace, user.id)

    def _those_of(self, transaction: Transaction, workspace: str, user_ids: Sequence[int]) -> list[int]:
        asked = list(dict.fromkeys(user_ids))
        if self.everybody_belongs(workspace):
            return asked
        found: set[int] = set()
        for first in range(0, len(asked), _MANY):
            some = filled(asked[first : first + _MANY], _MANY)
            found.update(user_id for (user_id,) in transaction.rows(_THOSE, workspace=workspace, **some))
        return [each for each in asked if each in found]

    def _workspaces(self, transaction: Transaction, user: User) -> list[Workspace]:
        if user.is_admin:
            return [Workspace(*row) for row in transaction.rows(_ALL)]
        found = {row[0]: Workspace(*row) for row in transaction.rows(_OWN, user=user.id)}
        if self._is_open and DEFAULT_WORKSPACE not in found:
            for row in transaction.rows(_WORKSPACE, workspace=DEFAULT_WORKSPACE):
                found[row[0]] = Workspace(*row)
        return sorted(found.values(), key=lambda workspace: workspace.id)

    def _places(self, transaction: Transaction, user: User) -> Places:
        own = [row[0] for row in transaction.rows(_OWN, user=user.id)]
        if self._is_open and DEFAULT_WORKSPACE not in own:
            own.append(DEFAULT_WORKSPACE)
        # Private channels of the first workspace outlast its being open; who is in them may not belong there.
        channels = transaction.rows(_OWN_CHANNELS, user=user.id)
        return Places(own, [channel for channel, workspace in channels if workspace in own])

    def _members(self, transaction: Transaction, workspace: str, after: int, count: int) -> list[Person]:
        if self.everybody_belongs(workspace):
            rows = transaction.rows(_EVERYBODY, after=after, count=count)
        else:
            rows = transaction.rows(_MEMBERS, workspace=workspace, after=after, count=count)
        return [Person(str(user_id), name) for user_id, name in rows]

    def _add(self, transaction: Transaction, workspace: str, user_id: int) -> Joined | None:
        user = transaction.row(_USER, user=user_id)
        if user is None or transaction.row(_WORKSPACE, workspace=workspace) is None:
            return None
        person = Person(str(user[0]), user[1])
        if transaction.row(_IS_MEMBER, workspace=workspace, user=user_id) is not None:
            return Joined(person, is_new=False)
        transaction.execute(_ADD, workspace=workspace, user=user_id)
        return Joined(person, is_new=True)

    def _remove(self, transaction: Transaction, workspace: str, user_id: int) -> list[int] | None:
        if not transaction.execute(_REMOVE, workspace=workspace, user=user_id):
            return None
        channels = [
            channel for channel, where in transaction.rows(_OWN_CHANNELS, user=user_id) if where == workspace
        ]
        for channel in channels:
            transaction.execute(_REMOVE_FROM_CHANNEL, channel=channel, user=user_id)
        return channels


def _create(transaction: Transaction, workspace: str, name: str, at: int) -> Workspace:
    transaction.execute(_CREATE, workspace=workspace, called=name, at=at)
    return Workspace(workspace, name)
