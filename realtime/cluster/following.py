"""Who is in a group, for who needs to know all of them: those who are there already, and each change.

After a gap it may look for a moment as if many had gone: a Redis that lost its data learns from one process
after the other who is there, and whoever comes back first finds the others dead. So for some seconds after one
departures are kept back; who is there again by then has never gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.presence import Presence, Watcher

SETTLE_SECONDS: Final = 6.0
"""How long departures are kept back: all processes have connected again by then, even if an attempt fails."""

_RETRY: Final = 2.0


class Following:
    """Follows a group.

    Arguments:
        presence: whose group it is.
        group: which.
        changed: called with a member and whether it is there now; perhaps again with what it knows.
        found: called with each member that was there before; ``changed``, if there is none.
        clock: for what is kept back, and asked again.
    """

    __slots__ = (
        *("_changed", "_clock", "_end", "_found", "_gone", "_group", "_kept_back"),
        *("_presence", "_retry", "_settling"),
    )
    _log = Logger()

    def __init__(
        self,
        *,
        presence: Presence,
        group: str,
        changed: Watcher,
        found: Callable[[str], object] | None = None,
        clock: IReactorTime,
    ) -> None:
        self._presence = presence
        self._group = group
        self._changed = changed
        self._found = found
        self._clock = clock
        # Who has gone since it was first asked who is there; None: that is known.
        self._gone: set[str] | None = set()
        self._kept_back: dict[str, None] = {}
        self._settling: IDelayedCall | None = None
        self._retry: IDelayedCall | None = None
        self._end: Callable[[], None] | None = presence.watch(group, self._seen)
        self._ask()

    def stop(self) -> None:
        """Follow no more; once is enough, again does nothing."""
        end, self._end = self._end, None
        if end is not None:
            end()
        for timer in (self._settling, self._retry):
            if timer is not None:
                timer.cancel()
        self._settling = self._retry = None
        self._kept_back = {}

    def unsettle(self) -> None:
        """Keep departures back for a while: there was a gap, or this process was cut off."""
        if self._settling is not None:
            self._settling.reset(SETTLE_SECONDS)
        elif self._end is not None:
            self._settling = self._clock.callLater(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._settling = None
        gone, self._kept_back = self._kept_back, {}
        for member in gone:
            self._changed(member, False)

    def _seen(self, member: str, present: bool) -> None:
        if self._gone is not None:
            (self._gone.discard if present else self._gone.add)(member)
        if present:
            self._kept_back.pop(member, None)
            self._changed(member, True)
        elif self._settling is not None:
            self._kept_back[member] = None
        else:
            self._changed(member, False)

    # -- the beginning -------------------------------------------------------------------------

    def _ask(self) -> None:
        self._retry = None
        self._presence.members(self._group).addCallback(self._known).addErrback(self._not_known)

    def _known(self, members: frozenset[str]) -> None:
        gone, self._gone = self._gone or set(), None
        if self._end is not None:
            for member in members - gone:
                if self._found is not None:
                    self._found(member)
                else:
                    self._changed(member, True)

    def _not_known(self, failure: Failure) -> None:
        if not failure.check(ClusterUnavailable):
            self._log.failure("cluster: it is not known who is in {group}", failure, group=self._group)
            self._gone = None
        elif self._end is not None:
            self._retry = self._clock.callLater(_RETRY, self._ask)
