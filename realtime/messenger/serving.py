"""What an authenticated messenger connection asks for, and what it gets. No I/O.

Decisions where the document and messenger.md are silent:

- Of one's own profile's change one is told by SUCCESS alone; the others by CONNECT.
- One picture at a time is taken from a connection; a second one meanwhile is error "3", try again.
- A history holds the newest messages that fit into ``history_bytes``; the rest by asking again.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from msgspec import Raw
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.messenger import messages
from realtime.messenger.dialog_store import Dialog
from realtime.messenger.messages import (
    AskHistory,
    Authenticate,
    ChangeProfile,
    ClientMessage,
    DialogLine,
    Error,
    Said,
    SaveAvatar,
    Say,
    Send,
    ServerMessage,
)
from realtime.messenger.parts import Parts, Peer
from realtime.messenger.pictures import PictureRefused
from realtime.messenger.store import LATEST, RoomMessage
from realtime.storage.errors import Conflict, StorageUnavailable


class Faults(Protocol):
    """What is done about what can't be done."""

    def discard(self) -> None:
        """Pass over a message of the peer's, and count it."""

    def not_stored(self, failure: Failure) -> None:
        """Close: what was asked for can't be done."""

    def note(self, failure: Failure) -> None:
        """Log a fault that is ours."""


class Serving:
    """Serves ``user_id`` at one connection."""

    __slots__ = ("_faults", "_is_saving", "_parts", "_peer", "_user_id")

    def __init__(self, peer: Peer, parts: Parts, user_id: int, faults: Faults) -> None:
        self._peer = peer
        self._parts = parts
        self._user_id = user_id
        self._faults = faults
        self._is_saving = False

    def obey(self, message: ClientMessage) -> None:
        """Do what a message asks for."""
        match message:
            case Say():
                self._store(self._say(message))
            case Send():
                self._store(self._parts.office.send(self._user_id, message))
            case SaveAvatar():
                self._save_avatar(message)
            case ChangeProfile():
                self._store(self._change_profile(message))
            case AskHistory():
                self._store(self._history(message))
            case Authenticate():
                self._faults.discard()

    async def _say(self, say: Say) -> None:
        said = await self._parts.store.say(self._user_id, say.message, self._parts.office.now())
        self._parts.hall.say(said)

    async def _change_profile(self, change: ChangeProfile) -> None:
        profile = await self._parts.store.change_profile(self._user_id, change)
        if profile is not None:
            self._peer.tell(messages.succeeded("PROFILE"))
            self._parts.hall.changed(profile)

    async def _history(self, ask: AskHistory) -> None:
        before = LATEST if ask.before is None else messages.user_id_of(ask.before)
        peer = None if ask.peer is None else messages.user_id_of(ask.peer)
        if before is None or (ask.peer is not None and peer is None):
            self._faults.discard()
            return
        count = min(ask.limit, messages.HISTORY_AT_MOST)
        if peer is None:
            said = await self._parts.store.said(before, count)
            self._peer.tell(self._fitting([self._said(each) for each in said], None))
        else:
            dialogs = await self._parts.store.between(self._user_id, peer, before, count)
            self._peer.tell(self._fitting([self._line(each) for each in dialogs], str(peer)))

    def _said(self, said: RoomMessage) -> Said:
        return Said(said.message, str(said.sender), self._parts.time(said.sent), str(said.id))

    def _line(self, dialog: Dialog) -> DialogLine:
        data = Raw(dialog.client_data.encode())
        time = self._parts.time(dialog.sent)
        return DialogLine(str(dialog.id), str(dialog.sender), str(dialog.receiver_id), time, data)

    def _fitting(self, lines: list[Any], peer: str | None) -> ServerMessage:
        """Return a history with the newest lines that fit."""
        room = self._parts.history_bytes
        count = 0
        for line in reversed(lines):
            room -= len(messages.encode(line)) + 1
            if room < 0:
                break
            count += 1
        return messages.history(lines[len(lines) - count :], peer)

    # -- pictures ------------------------------------------------------------------------------

    def _save_avatar(self, save: SaveAvatar) -> None:
        if self._is_saving:
            self._peer.tell(messages.failed("SAVE_AVATAR", messages.UNAVAILABLE))
            return
        self._is_saving = True
        Deferred.fromCoroutine(self._saved(save)).addErrback(self._not_saved)

    async def _saved(self, save: SaveAvatar) -> None:
        try:
            await self._parts.avatars.save(save.image_base64, self._use)
        finally:
            self._is_saving = False

    def _use(self, address: str) -> Deferred[str]:
        return Deferred.fromCoroutine(self._change_avatar(address))

    async def _change_avatar(self, address: str) -> str:
        profile, before = await self._parts.store.change_avatar(self._user_id, address)
        if profile is None:
            raise Conflict("the account is gone")
        self._peer.tell(messages.succeeded("SAVE_AVATAR"))
        self._parts.hall.changed(profile)
        return before or ""

    def _not_saved(self, failure: Failure) -> None:
        refused = failure.value
        if isinstance(refused, PictureRefused):
            error = Error(refused.code, refused.text)
        else:
            if not failure.check(StorageUnavailable):
                self._faults.note(failure)
            error = messages.UNAVAILABLE
        self._peer.tell(messages.failed("SAVE_AVATAR", error))

    def _store(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what needs the database."""
        Deferred.fromCoroutine(work).addErrback(self._faults.not_stored)
