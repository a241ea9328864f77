"""Who is in a group of presence, as its watchers in this process were told."""

from __future__ import annotations

from typing import Final

from msgspec import DecodeError, ValidationError, msgpack
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.presence import Watcher
from realtime.cluster.redis_channels import Channel
from realtime.cluster.redis_process import RedisProcess
from realtime.cluster.redis_scripts import SNAPSHOT

_change = msgpack.Decoder(tuple[int, str, bool])

_KEPT: Final = 10_000
"""Changes that are kept while a snapshot is waited for; with more, another is asked for instead."""


class Roster(Channel):
    """The members of a group that is watched here.

    Snapshots come by one connection, changes by another: either may overtake the other. Both have the number of
    the last change they know, so while a snapshot is on its way changes are kept, and those that it does not
    show are told after it.

    The first snapshot, as of the moment when watching began, is where changes are counted from; the next, when
    the channel is carried, shows what happened in between.
    """

    __slots__ = ("_asked", "_group", "_kept", "_last", "_present", "_process", "_watchers")

    _log = Logger()

    def __init__(self, name: bytes, group: str, process: RedisProcess) -> None:
        super().__init__(name)
        self._group = group
        self._process = process
        self._watchers: dict[object, Watcher] = {}
        self._present: set[str] | None = None
        self._last = 0
        self._asked = 0
        self._kept: list[tuple[int, str, bool]] | None = []

    def begin(self) -> None:
        """Ask who is there before anything changes."""
        asked = self._process.ask(SNAPSHOT, self._group)
        asked.addCallbacks(self._begun, self._not_begun)

    def _begun(self, snapshot: tuple[int, list[bytes]]) -> None:
        self._last = snapshot[0]
        self._present = {each.decode() for each in snapshot[1]}

    def _not_begun(self, _: Failure) -> None:
        # Who asks now is answered as little: everybody is told of as coming, when that is known.
        self._present = set()

    def add(self, watcher: Watcher) -> object:
        """Tell a watcher of changes from now on; returns its place."""
        place = object()
        self._watchers[place] = watcher
        return place

    def remove(self, place: object) -> bool:
        """Tell a watcher no more; return whether it was the last, and was there."""
        return self._watchers.pop(place, None) is not None and not self._watchers

    def carried(self, *, after_gap: bool) -> None:
        """Ask for all: something may have happened."""
        self._ask()

    def _ask(self) -> None:
        self._asked += 1
        if self._kept is None:
            self._kept = []
        asked = self._process.ask(SNAPSHOT, self._group, patient=True)
        asked.addCallbacks(self._found, lambda _: None, (self._asked,))

    def heard(self, payload: bytes) -> None:
        """Take a change."""
        try:
            change = _change.decode(payload)
        except (DecodeError, ValidationError):
            return  # of another version; Redis's own word counts, at the next gap
        if self._kept is None:
            self._apply(change)
        elif len(self._kept) < _KEPT:
            self._kept.append(change)
        elif self.is_carried:
            self._kept = []
            self._ask()

    def _found(self, snapshot: tuple[int, list[bytes]], asked: int) -> None:
        if asked != self._asked or not self.is_carried:
            return  # a later one is on its way, or comes with the connection
        kept, self._kept = self._kept or [], None
        number, members = snapshot
        present = {each.decode() for each in members}
        before = self._present or set()
        self._last, self._present = number, present
        for member in before - present:
            self._tell(member, present=False)
        for member in present - before:
            self._tell(member, present=True)
        for change in kept:
            self._apply(change)

    def _apply(self, change: tuple[int, str, bool]) -> None:
        number, member, is_present = change
        if number <= self._last:
            return
        self._last = number
        assert self._present is not None
        if is_present is not (member in self._present):
            (self._present.add if is_present else self._present.discard)(member)
            self._tell(member, present=is_present)

    def _tell(self, member: str, *, present: bool) -> None:
        for place, watcher in list(self._watchers.items()):
            if place in self._watchers:  # not ended by what an earlier one did
                try:
                    watcher(member, present)
                except Exception:
                    self._log.failure("cluster: a watcher of {group} failed", group=self._group)
