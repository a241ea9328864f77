"""The lobby: what the talk connections of a process share, and where those who seek meet.

A user has one connection: a newer one replaces the older. Each listens to its user's topic and then says
there when it arrived; whoever hears of an arrival later than its own gives way, and whoever hears of an
earlier one, or may have missed something, says it again. That needs no memory of who is connected, and
holds for connections of other processes as well.

A pair may be of two processes: that of the first holds the conversation, the other waits for it to begin
(`remote`). If it doesn't, or one of a pair has just left, the other goes on looking, since when it has waited.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nextafter
from typing import NamedTuple

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from realtime.accounts.authentication import Authenticator
from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.talk import messages
from realtime.talk.conversation import Conversation, Timeouts
from realtime.talk.forwarding import Forwarding
from realtime.talk.pool import Pool, Seeker
from realtime.talk.remote import RemoteConversation, RemoteParticipant, Visitor
from realtime.talk.store import TalkStore


class Arrived(Struct, frozen=True, order=True):
    """A connection of a user was accepted; of two arrivals the greater is the newer.

    ``moment`` is in Unix seconds; ``process`` decides between two that came to two processes at once.
    """

    moment: float
    process: str


def _of_user(user_id: int) -> Topic[Arrived]:
    return Topic(f"talk.user.{user_id}", Arrived)


class _Search(NamedTuple):
    """Who looks for somebody, and since when."""

    seeker: Seeker
    visitor: Visitor
    since: float


class Lobby:
    """What all talk connections of a process share."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        store: TalkStore,
        bus: Bus,
        pool: Pool,
        forwarding: Forwarding,
        timeouts: Timeouts,
        clock: IReactorTime,
    ) -> None:
        self.authenticator = authenticator
        self.clock = clock
        self._store = store
        self._bus = bus
        self._pool = pool
        self._timeouts = timeouts
        self._forwarding = forwarding
        self._last_arrival = 0.0
        self._searches: dict[str, _Search] = {}
        self._expected: dict[str, RemoteConversation] = {}
        self._conversations: dict[str, Conversation] = {}
        pool.listen(self._paired, self._unmatched, self._unavailable)

    def __len__(self) -> int:
        """Return how many seek, and how many conversations and lines to other processes there are, together."""
        return len(self._searches) + len(self._expected) + len(self._conversations) + len(self._forwarding)

    # -- arriving ------------------------------------------------------------------------------

    def follow(self, user_id: int, arrived: Callable[[Arrived], None], gap: Callable[[], None]) -> Subscription:
        """Hear of the arrival of each connection of a user."""
        return self._bus.subscribe(_of_user(user_id), arrived, gap)

    def arrival(self) -> Arrived:
        """Return an arrival at this moment, later than all that were in this process, whatever the clock."""
        self._last_arrival = max(nextafter(self._last_arrival, inf), self.clock.seconds())
        return Arrived(self._last_arrival, self._forwarding.process)

    def announce(self, user_id: int, arrived: Arrived) -> None:
        """Tell a user's other connections."""
        self._bus.publish(_of_user(user_id), arrived)

    # -- seeking -------------------------------------------------------------------------------

    def name(self, connection: int) -> str:
        """Return the name of a connection that no other has in the cluster: process, dot, number."""
        return f"{self._forwarding.process}.{connection}"

    def seek(self, seeker: Seeker, visitor: Visitor) -> None:
        """Find somebody to talk to; the visitor joins a conversation, or is told that there is nobody."""
        self._searches[seeker.id] = _Search(seeker, visitor, self.clock.seconds())
        self._pool.enter(seeker)

    def leave(self, seeker_id: str) -> None:
        """Find nobody any more."""
        if (expected := self._expected.pop(seeker_id, None)) is not None:
            expected.leave(self._searches.pop(seeker_id).visitor)
        elif self._searches.pop(seeker_id, None) is not None:
            self._pool.leave(seeker_id)

    def _go_on(self, search: _Search) -> None:
        """Look for somebody else, as if nobody had been found."""
        self._searches[search.seeker.id] = search
        self._pool.enter(search.seeker, self.clock.seconds() - search.since)

    def _unmatched(self, seeker: Seeker) -> None:
        self._searches.pop(seeker.id).visitor.finish(messages.NO_MATCH)

    def _unavailable(self, seeker: Seeker) -> None:
        self._searches.pop(seeker.id).visitor.finish(messages.UNAVAILABLE)

    def _paired(self, match_id: str, first: Seeker, second: Seeker) -> None:
        one, other = (self._searches.pop(each.id, None) for each in (first, second))
        holder, partner = (each.id.partition(".")[0] for each in (first, second))
        here = self._forwarding.process
        if one is not None and other is not None:
            self._hold(match_id, one, (second, other.visitor))
        elif one is not None and partner != here:
            self._hold(match_id, one, (second, RemoteParticipant(self._forwarding, match_id, partner)))
        elif other is not None and holder != here:
            self._expect(match_id, other, holder)
        elif partner != here:
            self._forwarding.decline(match_id, partner)  # the first has just left: the second can't know
        else:
            for left_alone in filter(None, (one, other)):
                self._go_on(left_alone)

    def _hold(self, match_id: str, first: _Search, second: tuple[Seeker, Visitor]) -> None:
        conversation = Conversation(
            match_id,
            (first.seeker, first.visitor),
            second,
            timeouts=self._timeouts,
            clock=self.clock,
            save=self._store.save,
            over=self._over,
        )
        self._conversations[match_id] = conversation
        first.visitor.join(conversation)
        second[1].join(conversation)
        conversation.begin()

    def _expect(self, match_id: str, search: _Search, holder: str) -> None:
        seeker_id = search.seeker.id

        def forget() -> None:
            del self._searches[seeker_id], self._expected[seeker_id]

        def missed() -> None:
            forget()
            self._go_on(search)

        self._searches[seeker_id] = search
        self._expected[seeker_id] = RemoteConversation(
            *(search.visitor, self._forwarding, match_id, holder),
            clock=self.clock,
            begun=forget,
            missed=missed,
        )

    def _over(self, conversation: Conversation) -> None:
        del self._conversations[conversation.match_id]
        self._pool.parted(*conversation.users)
