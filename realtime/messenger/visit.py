"""One connection's stay in the hall."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.messenger.hall import GROUP, Hall, Member
from realtime.messenger.messages import Profile


class Visit:
    """The stay of ``member``, a connection of ``user_id``."""

    _log = Logger()
    __slots__ = ("_hall", "_is_counted", "_is_over", "_waiting", "member", "profile", "user_id")

    def __init__(self, hall: Hall, user_id: int, member: Member) -> None:
        self.user_id = user_id
        self.member = member
        self.profile: Profile | None = None
        self._hall = hall
        self._is_counted = False
        self._is_over = False
        self._waiting: Deferred[bool] | None = None

    async def count(self, profile: Profile) -> None:
        """Be there for presence: from now on the user is online. Raises `ClusterUnavailable`."""
        self.profile = profile
        self._hall.expect(self)
        await self._hall.presence.enter(GROUP, str(self.user_id))
        self._is_counted = True
        if self._is_over:
            self._uncount()

    def enter(self) -> Deferred[bool]:
        """Fires when the member was shown who is there, and hears what is told; ``False``: it has left."""
        waiting: Deferred[bool] = Deferred()
        if self._is_over:
            waiting.callback(False)
        else:
            self._waiting = waiting
            self._hall.arrive(self)
        return waiting

    def let_in(self) -> None:
        """Be in."""
        self._answer(True)

    def leave(self) -> None:
        """Go."""
        self._is_over = True
        self._hall.depart(self)
        if self._is_counted:
            self._uncount()
        self._answer(False)

    def _answer(self, is_in: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(is_in)

    def _uncount(self) -> None:
        self._is_counted = False
        left = self._hall.presence.leave(GROUP, str(self.user_id))
        left.addErrback(self._not_left)

    def _not_left(self, failure: Failure) -> None:
        # Who leaves has left; only whether it was the last is not known when the process ends first.
        if not failure.check(ClusterUnavailable):
            self._log.failure("messenger: it is not known who has left", failure)
