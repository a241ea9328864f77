"""What messenger's sessions are built from, and the connection as they see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from realtime.accounts.authentication import Identity
from realtime.closing import CloseCode
from realtime.messenger.avatars import AvatarStore
from realtime.messenger.hall import Hall
from realtime.messenger.messages import ServerMessage
from realtime.messenger.post_office import PostOffice
from realtime.messenger.sealing import ClientKey, Sealer
from realtime.messenger.seat import Seats
from realtime.messenger.store import MessengerStore


class Peer(Protocol):
    """The connection, as far as a session needs it."""

    number: int

    def tell(self, message: ServerMessage) -> None:
        """Send a message; nothing once the connection is over."""

    def ping(self, name: bytes) -> None:
        """Send a WebSocket ping with this payload."""

    def seal_for(self, key: ClientKey) -> None:
        """From now on, seal what is sent to this key."""

    def close(self, code: CloseCode) -> None:
        """Close the connection, which ends the session before this returns."""

    def identify(self, user_id: int) -> bool:
        """Count the connection for its user; ``False``: one too many, and closed."""


class Authority(Protocol):
    """Who knows whose a token is: ourselves, or an outside server."""

    def authenticate(self, token: str | None) -> Deferred[Identity]:
        """See `Authenticator.authenticate`."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """What is sealed: what comes may be, or must be."""

    sealer: Sealer
    is_required: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """What the sessions of a process share. ``time`` writes Unix milliseconds as clients want them."""

    authority: Authority
    store: MessengerStore
    seats: Seats
    hall: Hall
    office: PostOffice
    avatars: AvatarStore
    sealing: Sealing | None
    clock: IReactorTime
    time: Callable[[int], str]
    process: str
    history_bytes: int
    discarded: Callable[[], None]
