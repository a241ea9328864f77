"""A client of messenger (docs/messenger.md).

- **What it sends arrives once.** Each dialog has a ``clientMessageId``; what has no outcome when a connection
  is lost is sent again over the next one, in order, and the server knows it again. `MessengerClient.send` fires
  with the outcome, however many connections later.
- **What it receives is confirmed when the listeners are done with it.** The server's pings ask whether what
  came before them has arrived; they are answered when the Deferreds of the listeners have fired. So a dialog
  that was being stored when the process died comes again. What comes again to the same client is confirmed, and
  not given to the listeners a second time. A listener that fails is logged, and counts as done: what it can't
  take would block all that comes behind it.
- What was said in the room and not heard back before the connection was lost fails with `ConnectionLost`.

Listeners: `Said`, `Dialog`, `Came` (or has changed its profile), `Went`.
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from itertools import count
from typing import Any, Literal
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct
from twisted.internet.defer import Deferred, DeferredList

from realtime.client.client import Client
from realtime.client.errors import ClientError, RequestFailed
from realtime.client.line import Opening
from realtime.client.remembering import Seen
from realtime.client.requests import Requests
from realtime.messenger.messages import (
    HISTORY_USUALLY,
    LONGEST_MESSAGE,
    DialogHead,
    DialogLine,
    Disconnected,
    Error,
    OutcomeBody,
    Profile,
    Said,
    Undecodable,
    decode,
    open_envelope,
    user_id_of,
)

__all__ = [
    "Came",
    "Dialog",
    "DialogLine",
    "MessengerClient",
    "NotDelivered",
    "OutcomeBody",
    "Profile",
    "Said",
    "Went",
]


class Dialog(Struct, frozen=True):
    """A private message: what the server says of it, and what its sender has put into it, as JSON."""

    head: DialogHead
    client_data: Raw

    @property
    def data(self) -> Any:
        """What the sender has put into it."""
        return msgspec.json.decode(self.client_data)


class Came(Struct, frozen=True):
    """Somebody came, or has another profile."""

    profile: Profile


class Went(Struct, frozen=True):
    """Somebody went."""

    user_id: str


class NotDelivered(RequestFailed):
    """A dialog was not delivered, and will not be; ``outcome`` says which."""

    def __init__(self, outcome: OutcomeBody) -> None:
        super().__init__("ERROR", "not delivered")
        self.outcome = outcome


class _Envelope(Struct, rename="camel"):
    type: str
    status: Literal["SUCCESS", "ERROR"] | None = None
    client_data: Raw = Raw(b"null")
    server_data: Raw = Raw(b"{}")
    error: Error | None = None


class _UserList(Struct, rename="camel"):
    user_list: list[Profile]


class _Change(Struct, rename="camel"):
    connection_status: Literal["CONNECT", "DISCONNECT"]


class _HistoryOf(Struct):
    messages: list[Raw]
    peer: str | None = None


_read_envelope = msgspec.json.Decoder(_Envelope).decode
_read_user_list = msgspec.json.Decoder(_UserList).decode
_read_change = msgspec.json.Decoder(_Change).decode
_read_profile = msgspec.json.Decoder(Profile).decode
_read_gone = msgspec.json.Decoder(Disconnected).decode
_read_said = msgspec.json.Decoder(Said).decode
_read_head = msgspec.json.Decoder(DialogHead).decode
_read_outcome = msgspec.json.Decoder(OutcomeBody).decode
_read_history = msgspec.json.Decoder(_HistoryOf).decode
_read_line = msgspec.json.Decoder(DialogLine).decode
_write = msgspec.json.Encoder().encode


class MessengerClient(Client):
    """A user in messenger. ``online`` has the profiles of all who are there, by user id, oneself included."""

    def _prepare(self) -> None:
        self.online: dict[str, Profile] = {}
        self._numbers = count(1)
        self._dialogs: Requests[str, OutcomeBody] = Requests(self._most_pending)
        self._said: Requests[tuple[str, int], Said] = Requests(self._most_pending)
        self._others: Requests[tuple[str, int], Any] = Requests(self._most_pending, window=1)
        self._seen = Seen()
        self._taking: deque[Deferred[Any] | bytes] = deque()

    # -- for users -----------------------------------------------------------------------------

    def send(self, receiver: str, data: Any, *, client_message_id: str | None = None) -> Deferred[OutcomeBody]:
        """Send a dialog to a user; ``data`` is anything that JSON can hold, the receiver's alone to understand.

        Fires when it is delivered, which may take days; fails with `NotDelivered`. With a ``client_message_id``
        of one's own (1 to 128 characters) another client of the user's can send the same dialog again: it
        arrives once. Raises ``ValueError`` for what messenger would pass over.
        """
        key = uuid4().hex if client_message_id is None else client_message_id
        head = {"receiver": receiver, "clientMessageId": key}
        frame = _frame_of({"type": "DIALOG_MESSAGE", "clientData": data, "serverData": head})
        return self._dialogs.add(key, frame, again=True)

    def say(self, message: str) -> Deferred[Said]:
        """Say something in the room; fires when it is heard (or the same from somebody else)."""
        frame = _frame_of({"type": "CHAT_MESSAGE", "serverData": {"message": message}})
        return self._said.add((message, next(self._numbers)), frame)

    def save_avatar(self, picture: bytes) -> Deferred[None]:
        """Have a PNG, JPEG, GIF or WebP picture shown with one's profile."""
        body = {"imageBase64": b64encode(picture).decode()}
        return self._ask("SAVE_AVATAR", _write({"type": "SAVE_AVATAR", "serverData": body}))

    def change_profile(
        self, *, nickname: str | None = None, language: str | None = None, status: str | None = None
    ) -> Deferred[None]:
        """Change what is given of one's profile. Raises ``ValueError`` for what can't be part of one."""
        named = {"nickname": nickname, "language": language, "status": status}
        given = {name: value for name, value in named.items() if value is not None}
        return self._ask("PROFILE", _frame_of({"type": "PROFILE", "serverData": given}))

    def room_history(self, before: str | None = None, limit: int = HISTORY_USUALLY) -> Deferred[list[Said]]:
        """Fires with what was said in the room, or before one of its messages; oldest first."""
        return self._history(None, before, limit).addCallback(lambda found: [*map(_read_said, found)])

    def history(
        self, peer: str, before: str | None = None, limit: int = HISTORY_USUALLY
    ) -> Deferred[list[DialogLine]]:
        """Fires with one's dialogs with a user, or those before one of them; oldest first."""
        return self._history(peer, before, limit).addCallback(lambda found: [*map(_read_line, found)])

    def _history(self, peer: str | None, before: str | None, limit: int) -> Deferred[list[Raw]]:
        for number in (peer, before):
            if number is not None and user_id_of(number) is None:
                raise ValueError("no id")
        body = {"peer": peer, "before": before, "limit": limit}
        return self._ask("HISTORY", _frame_of({"type": "HISTORY", "serverData": body}))

    def _ask(self, kind: str, frame: bytes) -> Deferred[Any]:
        return self._others.add((kind, next(self._numbers)), frame)

    # -- the connection ------------------------------------------------------------------------

    def _opening(self, token: str) -> Opening:
        return Opening(self.url, {"authToken": token})

    def _received(self, payload: bytes, binary: bool) -> None:
        message = _read_envelope(payload)
        match message.type:
            case "DIALOG_MESSAGE":
                self._take_dialog(Dialog(_read_head(message.server_data), message.client_data))
            case "DELIVERY_MESSAGE":
                self._take_outcome(_read_outcome(message.server_data), message.status == "SUCCESS")
            case "CHAT_MESSAGE":
                self._take_said(_read_said(message.server_data))
            case "USER_CONNECTION_MESSAGE":
                self._take_change(message.server_data)
            case "AUTH_MESSAGE" if message.status == "SUCCESS":
                there = _read_user_list(message.server_data).user_list
                self.online = {profile.user_id: profile for profile in there}
                self._serve()
            case "AUTH_MESSAGE" if message.error is not None:
                self._connection.fail(_failure(message.error))
            case kind:
                self._take_answer(kind, message)

    def _take_dialog(self, dialog: Dialog) -> None:
        if self._seen.add(int(dialog.head.message_id)):
            taking = self._tell(dialog)
            if taking:
                self._taking.append(DeferredList(taking).addBoth(lambda _: self._confirm()))

    def _take_outcome(self, outcome: OutcomeBody, is_delivered: bool) -> None:
        key = outcome.client_message_id
        if key is UNSET:
            return  # sent by somebody who does not want to know
        if is_delivered:
            self._dialogs.answered(key, outcome)
        else:
            self._dialogs.failed(key, NotDelivered(outcome))

    def _take_said(self, said: Said) -> None:
        for key in self._said:
            if key[0] == said.message:
                self._said.answered(key, said)
                break
        self._tell(said)

    def _take_change(self, body: Raw) -> None:
        if _read_change(body).connection_status == "CONNECT":
            profile = _read_profile(body)
            self.online[profile.user_id] = profile
            self._tell(Came(profile))
        else:
            user_id = _read_gone(body).user_id
            self.online.pop(user_id, None)
            self._tell(Went(user_id))

    def _take_answer(self, kind: str, message: _Envelope) -> None:
        oldest = self._others.oldest
        if oldest is None or oldest[0] != kind:
            return
        if message.error is not None:
            self._others.failed(oldest, _failure(message.error))
        elif kind == "HISTORY":
            self._others.answered(oldest, _read_history(message.server_data).messages)
        else:
            self._others.answered(oldest, None)

    # -- confirming ----------------------------------------------------------------------------

    def line_pinged(self, payload: bytes) -> None:
        """Answer when the listeners are done with what came before."""
        self._taking.append(payload)
        self._confirm()

    def _confirm(self) -> None:
        taking = self._taking
        while taking:
            first = taking[0]
            if isinstance(first, bytes):
                self._connection.pong(first)
            elif not first.called:
                return
            taking.popleft()

    def _served(self) -> None:
        for requests in (self._dialogs, self._said, self._others):
            requests.opened(self._connection.send)

    def _lost(self) -> None:
        # The pings of a connection that is over are nobody's. What listeners are still at comes again, and the
        # next one's pings are to wait for it.
        self._taking = deque(each for each in self._taking if not isinstance(each, bytes))
        for requests in (self._dialogs, self._said, self._others):
            requests.lost()

    def _ended(self, error: ClientError) -> None:
        for requests in (self._dialogs, self._said, self._others):
            requests.ended(error)


def _frame_of(message: dict[str, Any]) -> bytes:
    """Return a message as JSON. Raises ``ValueError`` for what messenger would pass over, or close for."""
    frame = _write(message)
    if len(frame) > LONGEST_MESSAGE:
        raise ValueError(f"a message has at most {LONGEST_MESSAGE} bytes")
    try:
        envelope = open_envelope(frame)
        decode(envelope, envelope.server_data)
    except Undecodable:
        raise ValueError(f"this can't be a {message['type']}") from None
    return frame


def _failure(error: Error) -> RequestFailed:
    return RequestFailed(error.error_code, error.message)
