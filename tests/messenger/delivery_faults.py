"""Machines with a fault each: what the simulation must find, or it shows nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from realtime.messenger.delivery import Delivery, Parcel


class ConfirmsBeforeThePong(Delivery):
    """Takes what is written for received."""

    def _write(self, parcels: Sequence[Parcel]) -> None:
        super()._write(parcels)
        self.pong(self._pings.name(self._bursts[-1].ping))


class ConfirmsOneTooMany(Delivery):
    """Takes any pong for that of the latest ping."""

    def pong(self, payload: bytes) -> bool:
        """Confirm everything."""
        if self._bursts and self._pings.number(payload) is not None:
            payload = self._pings.name(self._bursts[-1].ping)
        return super().pong(payload)


class HasACursor(Delivery):
    """Takes what is not beyond the last for known."""

    def posted(self, parcel: Parcel) -> None:
        """Pass over what is lower."""
        if parcel.id > max(self._loaded_to, *self._held, 0, 0):
            super().posted(parcel)


class LoadsBeyondACursor(Delivery):
    """Takes what a load brings for known, if it is not beyond what was written."""

    def loaded(self, parcels: Sequence[Parcel], complete: bool) -> None:
        """Pass over what is lower."""
        last = max(self._loaded_to, *self._held, 0, 0)
        super().loaded([each for each in parcels if each.id > last], complete)


class ForgetsWhatWasSettledMeanwhile(Delivery):
    """Trusts a load that is older than a settle."""

    def settled(self, ids: Collection[int]) -> None:
        """Forget."""
        super().settled(ids)
        self._settled_meanwhile.clear()


class ForgetsWhatIsBeingSettled(Delivery):
    """Knows no more of what is confirmed."""

    def pong(self, payload: bytes) -> bool:
        """Forget."""
        answer = super().pong(payload)
        on_the_wire = {each for burst in self._bursts for each in burst.ids}
        self._held = {each: None for each in self._held if each in on_the_wire}
        return answer


class ForgetsWhatWasPostedMeanwhile(Delivery):
    """Trusts a load that is older than a parcel."""

    def loaded(self, parcels: Sequence[Parcel], complete: bool) -> None:
        """Forget."""
        self._again = False
        super().loaded(parcels, complete)


class WritesWhileLoading(Delivery):
    """Lets what is new overtake what waits."""

    def posted(self, parcel: Parcel) -> None:
        """Write at once."""
        if parcel.id not in self._held and self._how_many_fit([parcel]):
            self._write([parcel])


class BelievesLateNews(Delivery):
    """Writes what is posted, though a load has brought it before."""

    def posted(self, parcel: Parcel) -> None:
        """Forget what loads have brought."""
        self._loaded_to = 0
        super().posted(parcel)


class KnowsNoWindow(Delivery):
    """Writes whatever there is."""

    def _how_many_fit(self, parcels: Sequence[Parcel]) -> int:
        return len(parcels)


class LeavesOutTheLarge(Delivery):
    """Never writes what is larger than the window."""

    def _how_many_fit(self, parcels: Sequence[Parcel]) -> int:
        count = super()._how_many_fit(parcels)
        large = (number for number, each in enumerate(parcels[:count]) if each.size > self._window.size)
        return next(large, count)


class NeverLoadsTheRest(Delivery):
    """Takes one page for all there is."""

    def loaded(self, parcels: Sequence[Parcel], complete: bool) -> None:
        """Believe that these are all."""
        super().loaded(parcels, True)


class IsDeafToStrangers(Delivery):
    """Doesn't ask again when a client has answered another ping instead."""

    def pong(self, payload: bytes) -> bool:
        """Look for a name of ours alone."""
        return self._pings.number(payload) is not None and super().pong(payload)


class AsksAgainByTheOldName(Delivery):
    """Asks again with a name that proves less than the other machine's, behind which it comes."""

    def pong(self, payload: bytes) -> bool:
        """Use the old name."""
        if self._pings.number(payload) is not None:
            return super().pong(payload)
        if self._bursts:
            self._wire.ping(self._pings.name(self._bursts[-1].ping))
        return False


class GivesUp(Delivery):
    """Doesn't try again to settle."""

    def not_settled(self, ids: Collection[int]) -> None:
        """Leave it."""


class DoesNotLookAgain(Delivery):
    """Doesn't try again to load."""

    def not_loaded(self) -> None:
        """Leave it."""
        super().not_loaded()
        self.end()


FAULTS: list[type[Delivery]] = [
    *(ConfirmsBeforeThePong, ConfirmsOneTooMany, HasACursor, LoadsBeyondACursor),
    *(ForgetsWhatWasSettledMeanwhile, ForgetsWhatIsBeingSettled, ForgetsWhatWasPostedMeanwhile),
    *(WritesWhileLoading, BelievesLateNews, KnowsNoWindow, LeavesOutTheLarge, NeverLoadsTheRest),
    *(IsDeafToStrangers, AsksAgainByTheOldName, GivesUp, DoesNotLookAgain),
]
