"""A wire that records what a machine asks for, and answers only when a test says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.delivery import WINDOW, Delivery, Parcel, Pings, Window


def parcel(number: int, size: int = 100) -> Parcel:
    """Return a parcel with this id."""
    return Parcel(number, size, f"content of {number}")


def parcels(first: int, last: int, size: int = 100) -> list[Parcel]:
    """Return those with the ids from ``first`` to ``last``."""
    return [parcel(number, size) for number in range(first, last + 1)]


class RecordingWire:
    """Notes every call as a string: ``"write 5"``, ``"ping delivery-1"``, ``"load 64"``, ``"settle 5 6"``."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def write(self, parcel: Parcel) -> None:
        """See `Wire.write`."""
        self.calls.append(f"write {parcel.id}")

    def ping(self, name: bytes) -> None:
        """See `Wire.ping`."""
        self.calls.append(f"ping {name.decode()}")

    def load(self, limit: int) -> None:
        """See `Wire.load`."""
        self.calls.append(f"load {limit}")

    def settle(self, ids: Sequence[int]) -> None:
        """See `Wire.settle`."""
        self.calls.append("settle " + " ".join(map(str, ids)))

    def take(self) -> list[str]:
        """Return the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls

    def written(self) -> list[int]:
        """Return the ids that were written since the last time, and forget the other calls."""
        return [int(call.split()[1]) for call in self.take() if call.startswith("write")]


class PromptWire(RecordingWire):
    """One whose database answers within the call, and whose client answers each ping so."""

    def __init__(self, waiting: Sequence[Parcel]) -> None:
        super().__init__()
        self.waiting = list(waiting)
        self.machine: Delivery

    def ping(self, name: bytes) -> None:
        """Answer."""
        super().ping(name)
        self.machine.pong(name)

    def load(self, limit: int) -> None:
        """Answer."""
        super().load(limit)
        self.machine.loaded(self.waiting[:limit], len(self.waiting) <= limit)

    def settle(self, ids: Sequence[int]) -> None:
        """Answer."""
        super().settle(ids)
        self.waiting = [each for each in self.waiting if each.id not in ids]
        self.machine.settled(ids)


def machine(wire: RecordingWire, window: Window = WINDOW, pings: Pings | None = None) -> Delivery:
    """Return a machine that drives this wire."""
    return Delivery(wire, pings or Pings(), window)


class DeliveryTestCase(SynchronousTestCase):
    """A machine whose client has logged in with nothing waiting."""

    window = WINDOW

    def setUp(self) -> None:
        """Log in."""
        self.begin()
        self.machine.loaded([], True)
        self.assert_calls()

    def begin(self) -> None:
        """Log in anew, and have the first load asked for."""
        self.wire = RecordingWire()
        self.machine = machine(self.wire, self.window)
        self.machine.start()
        self.assert_calls(f"load {self.window.parcels}")

    def assert_calls(self, *calls: str) -> None:
        """The wire has been asked for this, in this order, and for nothing else."""
        self.assertEqual(self.wire.take(), list(calls))

    def pong(self, number: int) -> None:
        """The client answers this ping."""
        self.assertTrue(self.machine.pong(b"delivery-%d" % number))

    def post(self, several: Iterable[Parcel]) -> None:
        """These are committed."""
        for each in several:
            self.machine.posted(each)
