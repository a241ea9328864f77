"""The lobby: what the talk connections of a process share, and where those who seek meet.

A user has one connection: a newer one replaces the older. Each listens to its user's topic and then says
there when it arrived; whoever hears of an arrival later than its own gives way, and whoever hears of an
earlier one, or may have missed something, says it again. That needs no memory of who is connected, and
holds for connections of other processes as well.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nextafter
from secrets import token_hex
from typing import Protocol
from uuid import uuid4

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from realtime.accounts.authentication import Authenticator
from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.talk import messages
from realtime.talk.conversation import Conversation, Participant, Timeouts
from realtime.talk.pool import Pool, Seeker
from realtime.talk.store import TalkStore


class Arrived(Struct, frozen=True, order=True):
    """A connection of a user was accepted; of two arrivals the greater is the newer.

    ``moment`` is in Unix seconds; ``process`` decides between two that came to two processes at once.
    """

    moment: float
    process: str


def _of_user(user_id: int) -> Topic[Arrived]:
    return Topic(f"talk.user.{user_id}", Arrived)


class Visitor(Participant, Protocol):
    """A session, as far as the lobby needs it."""

    def join(self, conversation: Conversation) -> None:
        """Take part in a conversation."""


class Lobby:
    """What all talk connections of a process share."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        store: TalkStore,
        bus: Bus,
        pool: Pool,
        timeouts: Timeouts,
        clock: IReactorTime,
    ) -> None:
        self.authenticator = authenticator
        self.clock = clock
        self._store = store
        self._bus = bus
        self._pool = pool
        self._timeouts = timeouts
        self._process = token_hex(8)
        self._last_arrival = 0.0
        self._seeking: dict[str, Visitor] = {}
        self._conversations: dict[str, Conversation] = {}
        pool.listen(self._paired, self._unmatched)

    def __len__(self) -> int:
        """Return how many seek and how many conversations there are, together."""
        return len(self._seeking) + len(self._conversations)

    # -- arriving ------------------------------------------------------------------------------

    def follow(self, user_id: int, arrived: Callable[[Arrived], None], gap: Callable[[], None]) -> Subscription:
        """Hear of the arrival of each connection of a user."""
        return self._bus.subscribe(_of_user(user_id), arrived, gap)

    def arrival(self) -> Arrived:
        """Return an arrival at this moment, later than all that were in this process, whatever the clock."""
        self._last_arrival = max(nextafter(self._last_arrival, inf), self.clock.seconds())
        return Arrived(self._last_arrival, self._process)

    def announce(self, user_id: int, arrived: Arrived) -> None:
        """Tell a user's other connections."""
        self._bus.publish(_of_user(user_id), arrived)

    # -- seeking -------------------------------------------------------------------------------

    def name(self, connection: int) -> str:
        """Return the name of a connection that no other in the cluster has."""
        return f"{self._process}.{connection}"

    def seek(self, seeker: Seeker, visitor: Visitor) -> None:
        """Find somebody to talk to; the visitor joins a conversation, or is told that there is nobody."""
        self._seeking[seeker.id] = visitor
        self._pool.enter(seeker)

    def leave(self, seeker_id: str) -> None:
        """Find nobody any more."""
        if self._seeking.pop(seeker_id, None) is not None:
            self._pool.leave(seeker_id)

    def _unmatched(self, seeker: Seeker) -> None:
        self._seeking.pop(seeker.id).finish(messages.NO_MATCH)

    def _paired(self, first: Seeker, second: Seeker) -> None:
        one, other = self._seeking.pop(first.id), self._seeking.pop(second.id)
        conversation = Conversation(
            str(uuid4()),
            (first, one),
            (second, other),
            timeouts=self._timeouts,
            clock=self.clock,
            save=self._store.save,
            over=self._over,
        )
        self._conversations[conversation.match_id] = conversation
        one.join(conversation)
        other.join(conversation)
        conversation.begin()

    def _over(self, conversation: Conversation) -> None:
        del self._conversations[conversation.match_id]
        self._pool.parted(*conversation.users)
