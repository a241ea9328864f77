"""What workspace's sessions are built from, and the connection as they see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from realtime.accounts.authentication import Authenticator
from realtime.cluster.presence import Presence
from realtime.workspace.administration import Administration
from realtime.workspace.hub import Hub
from realtime.workspace.membership import Membership
from realtime.workspace.store import ChannelStore


class Peer(Protocol):
    """The connection, as far as a session needs it."""

    number: int

    def emit(self, event: str, payload: object) -> None:
        """Send an event; nothing once the connection is over."""

    def join(self, room: str) -> None:
        """Get what is told to a room from now on."""

    def leave(self, room: str) -> None:
        """Get no more of it."""

    def disconnect(self) -> None:
        """Send a DISCONNECT, and close if nothing else is in use; ends the session before this returns."""

    def identify(self, user_id: int) -> bool:
        """Count the connection for its user; ``False``: one too many, and disconnected."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the sessions of a process share."""

    authenticator: Authenticator
    membership: Membership
    channels: ChannelStore
    administration: Administration
    hub: Hub
    presence: Presence
    clock: IReactorTime
    unauthenticated_timeout: float
