"""What goes out when, rule by rule, against a wire that records it."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from realtime.messenger.delivery import WINDOW, Delivery, Pings, Window
from tests.messenger.delivery_wire import (
    DeliveryTestCase,
    PromptWire,
    RecordingWire,
    machine,
    parcel,
    parcels,
)


class WayTests(DeliveryTestCase):
    """Posted, written, confirmed, settled."""

    def test_live(self) -> None:
        """A parcel is written with a ping behind it; its pong has it settled; then it is forgotten."""
        self.machine.posted(parcel(5))
        self.assert_calls("write 5", "ping delivery-1")
        self.pong(1)
        self.assert_calls("settle 5")
        self.machine.settled([5])
        self.pong(1)
        self.assert_calls()

    def test_what_waits_goes_out_at_login(self) -> None:
        """In order, with one ping for all of it."""
        self.begin()
        self.machine.loaded(parcels(3, 5), True)
        self.assert_calls("write 3", "write 4", "write 5", "ping delivery-1")
        self.pong(1)
        self.assert_calls("settle 3 4 5")

    def test_nothing_before_login(self) -> None:
        """Before the start nothing is written: the first load will find it."""
        self.wire = RecordingWire()
        self.machine = machine(self.wire)
        self.machine.posted(parcel(1))
        self.machine.missed()
        self.assert_calls()
        self.machine.start()
        self.machine.start()
        self.assert_calls("load 64")

    def test_the_latest_pong_proves_what_was_before(self) -> None:
        """A client may pass over all pings but the latest."""
        self.post(parcels(1, 4))
        self.wire.take()
        self.pong(3)
        self.assert_calls("settle 1 2 3")
        self.pong(2)
        self.assert_calls()
        self.pong(4)
        self.assert_calls("settle 4")

    def test_a_lower_id_is_written_too(self) -> None:
        """Two senders' ids may be committed in any order."""
        self.post([parcel(7), parcel(6)])
        self.assert_calls("write 7", "ping delivery-1", "write 6", "ping delivery-2")

    def test_the_end(self) -> None:
        """After it nothing is asked for, whatever comes."""
        self.post(parcels(1, 3))
        self.pong(1)
        self.machine.not_settled([1])
        self.machine.missed()
        self.wire.take()
        self.machine.end()
        self.machine.loaded([parcel(4)], False)
        self.machine.not_loaded()
        self.machine.settled([1])
        self.machine.not_settled([2])
        self.pong(3)
        self.assertFalse(self.machine.pong(b""))
        self.machine.posted(parcel(5))
        self.machine.missed()
        self.machine.retry()
        self.machine.start()
        self.machine.end()
        self.assert_calls()


class PongTests(DeliveryTestCase):
    """Whose pong it is."""

    def test_strange_pongs(self) -> None:
        """What was not asked confirms nothing."""
        for payload in (
            *(b"", b"1", b"delivery-", b"delivery-0", b"delivery-2", b"delivery--1", b"delivery-1 "),
            *(b"delivery-\xb2", b"delivery-x", b"DELIVERY-1", b"delivery-" + b"9" * 116, b"\xff\x00"),
        ):
            self.setUp()
            self.machine.posted(parcel(1))
            self.wire.take()
            self.assertFalse(self.machine.pong(payload), payload)
            self.assertNotIn("settle 1", self.wire.take())

    def test_what_a_strange_pong_passed_over(self) -> None:
        """The client may have answered keepalive's ping instead of ours: it is asked again."""
        self.assertFalse(self.machine.pong(b""))
        self.assert_calls()
        self.post(parcels(1, 2))
        self.wire.take()
        self.assertFalse(self.machine.pong(b""))
        self.assert_calls("ping delivery-3")
        self.pong(2)
        self.assert_calls("settle 1 2")
        self.pong(3)
        self.assertFalse(self.machine.pong(b""))
        self.assert_calls()
        self.machine.posted(parcel(3))
        self.assertFalse(self.machine.pong(b""))
        self.wire.take()
        self.pong(5)
        self.assert_calls("settle 3")

    def test_what_both_ask_again(self) -> None:
        """The client answers the latest of these pings alone: it proves what both have written."""
        pings = Pings()
        wires = RecordingWire(), RecordingWire()
        machines = [machine(wire, pings=pings) for wire in wires]
        for each in machines:
            each.start()
            each.loaded([], True)
        machines[1].posted(parcel(5))
        machines[0].posted(parcel(11))
        self.assertEqual([each.pong(b"") for each in machines], [False, False])
        self.assertEqual([wire.take()[-1] for wire in wires], ["ping delivery-3", "ping delivery-4"])
        self.assertEqual([each.pong(b"delivery-4") for each in machines], [True, True])
        self.assertEqual([wire.take() for wire in wires], [["settle 11"], ["settle 5"]])

    def test_two_machines(self) -> None:
        """A pong proves what the other machine wrote before its ping too, and nothing behind it."""
        pings = Pings()
        wires = RecordingWire(), RecordingWire()
        machines = [machine(wire, pings=pings) for wire in wires]
        for each in machines:
            each.start()
            each.loaded([], True)
        machines[0].posted(parcel(11))
        machines[1].posted(parcel(5))
        machines[0].posted(parcel(12))
        first, second = (wire.take() for wire in wires)
        self.assertEqual(first[1:], ["write 11", "ping delivery-1", "write 12", "ping delivery-3"])
        self.assertEqual(second[1:], ["write 5", "ping delivery-2"])
        self.assertEqual([each.pong(b"delivery-2") for each in machines], [True, True])
        self.assertEqual([wire.take() for wire in wires], [["settle 11"], ["settle 5"]])
        self.assertEqual([each.pong(b"delivery-3") for each in machines], [True, True])
        self.assertEqual([wire.take() for wire in wires], [["settle 12"], []])


class LoadTests(DeliveryTestCase):
    """What the database shows, and what happens meanwhile."""

    def test_posted_while_loading(self) -> None:
        """The load may not have seen it: there is another, before anything is written at once again."""
        self.begin()
        self.machine.posted(parcel(2))
        self.assert_calls()
        self.machine.loaded([parcel(1)], True)
        self.assert_calls("write 1", "ping delivery-1", "load 65")
        self.machine.posted(parcel(3))
        self.machine.loaded(parcels(1, 3), True)
        self.assert_calls("write 2", "write 3", "ping delivery-2", "load 67")
        self.machine.loaded(parcels(1, 3), True)
        self.machine.posted(parcel(4))
        self.assert_calls("write 4", "ping delivery-3")

    def test_on_the_wire_confirmed_or_settled(self) -> None:
        """None of them is written again."""
        self.post(parcels(1, 3))
        self.pong(2)
        self.machine.settled([1])
        self.machine.missed()
        self.wire.take()
        self.machine.settled([2])
        self.machine.loaded(parcels(2, 4), True)
        self.assert_calls("write 4", "ping delivery-4")

    def test_late_news(self) -> None:
        """Who is posted after a load has found it, or beside it, is looked up."""
        self.begin()
        self.machine.loaded(parcels(3, 5), True)
        self.wire.take()
        self.machine.posted(parcel(4))
        self.assert_calls()
        self.pong(1)
        self.machine.settled([3, 4, 5])
        self.wire.take()
        self.machine.posted(parcel(4))
        self.assert_calls("load 64")
        self.machine.loaded([parcel(2)], True)
        self.assert_calls("write 2", "ping delivery-2")
        self.machine.posted(parcel(6))
        self.assert_calls("write 6", "ping delivery-3")

    def test_a_gap_in_the_bus(self) -> None:
        """What was not posted is found."""
        self.machine.missed()
        self.assert_calls("load 64")
        self.machine.missed()
        self.machine.loaded([parcel(1)], True)
        self.assert_calls("write 1", "ping delivery-1", "load 65")

    def test_the_database_is_away(self) -> None:
        """Nothing more is written, nor asked for, until it is tried again."""
        self.machine.missed()
        self.machine.not_loaded()
        self.wire.take()
        self.machine.posted(parcel(1))
        self.machine.missed()
        self.machine.loaded([parcel(1)], True)
        self.assert_calls()
        self.machine.retry()
        self.machine.retry()
        self.assert_calls("load 64")
        self.machine.loaded([parcel(1)], True)
        self.assert_calls("write 1", "ping delivery-1")

    def test_not_settled(self) -> None:
        """It is settled with the next pong, or when it is tried again, and not written again."""
        self.post(parcels(1, 3))
        self.pong(1)
        self.machine.not_settled([1])
        self.wire.take()
        self.machine.missed()
        self.machine.loaded(parcels(1, 3), True)
        self.assert_calls("load 67")
        self.pong(2)
        self.assert_calls("settle 1 2")
        self.machine.not_settled([1, 2])
        self.machine.retry()
        self.assert_calls("settle 1 2")
        self.machine.retry()
        self.assert_calls()
        self.machine.settled([1, 2])
        self.machine.not_settled([1, 2])
        self.machine.retry()
        self.pong(3)
        self.assert_calls("settle 3")


class WindowTests(DeliveryTestCase):
    """At most eight parcels or 1000 bytes unconfirmed."""

    window = Window(8, 1000)

    def test_as_documented(self) -> None:
        """64 parcels and 256 KiB."""
        self.assertEqual(WINDOW, (64, 256 * 1024))

    def test_parcels(self) -> None:
        """The ninth waits in the database; it is read when half of the window is free."""
        self.post(parcels(1, 10, 1))
        self.assertEqual(self.wire.written(), [1, 2, 3, 4, 5, 6, 7, 8])
        self.pong(3)
        self.assert_calls("settle 1 2 3")
        self.machine.posted(parcel(11, 1))
        self.assert_calls()
        self.pong(4)
        self.assert_calls("settle 4", "load 16")
        self.machine.loaded(parcels(4, 11, 1), True)
        self.assert_calls("write 9", "write 10", "write 11", "ping delivery-9")
        self.machine.posted(parcel(12, 1))
        self.assert_calls("write 12", "ping delivery-10")

    def test_a_page_that_does_not_fit(self) -> None:
        """As many as fit are written; the others are forgotten."""
        self.begin()
        self.machine.loaded(parcels(1, 9, 1), False)
        self.assertEqual(self.wire.written(), [1, 2, 3, 4, 5, 6, 7, 8])
        self.pong(1)
        self.assert_calls("settle 1 2 3 4 5 6 7 8", "load 16")
        self.machine.settled(range(1, 9))
        self.machine.loaded(parcels(9, 20, 1), True)
        self.assertEqual(self.wire.written(), list(range(9, 17)))

    def test_a_page_that_is_not_all(self) -> None:
        """The next is asked for at once while there is room."""
        self.begin()
        self.machine.loaded(parcels(1, 3, 1), False)
        self.assert_calls("write 1", "write 2", "write 3", "ping delivery-1", "load 11")
        self.machine.loaded(parcels(1, 6, 1), False)
        self.assert_calls("write 4", "write 5", "write 6", "ping delivery-2")

    def test_bytes(self) -> None:
        """What would exceed them waits, and whatever comes after it, however small."""
        self.post([parcel(1, 600), parcel(2, 401), parcel(3, 1)])
        self.assertEqual(self.wire.written(), [1])
        self.pong(1)
        self.assert_calls("settle 1", "load 9")
        self.machine.loaded([parcel(2, 401), parcel(3, 1), parcel(4, 599), parcel(5, 1)], True)
        self.assertEqual(self.wire.written(), [2, 3])

    def test_the_bound_itself(self) -> None:
        """Exactly so many bytes are within the window."""
        self.post([parcel(1, 600), parcel(2, 400), parcel(3, 1)])
        self.assertEqual(self.wire.written(), [1, 2])

    def test_one_alone_may_be_larger(self) -> None:
        """A parcel larger than the window goes out when nothing else is on the wire."""
        self.post([parcel(1, 1), parcel(2, 5000), parcel(3, 1)])
        self.assertEqual(self.wire.written(), [1])
        self.pong(1)
        self.machine.loaded(
            [parcel(1, 1), parcel(2, 5000), parcel(3, 1)],
            True,
        )
        self.assertEqual(self.wire.written(), [2])
        self.pong(2)
        self.machine.loaded([parcel(3, 1), parcel(4, 5000)], True)
        self.assertEqual(self.wire.written(), [3])

    def test_few_are_read_where_few_fit(self) -> None:
        """Large ones are not read eight at a time to write two; small ones are again, after a while."""
        self.begin()
        self.machine.loaded(parcels(1, 8, 500), True)
        self.pong(1)
        self.machine.settled([1, 2])
        self.assert_calls("write 1", "write 2", "ping delivery-1", "settle 1 2", "load 6")
        self.machine.loaded([*parcels(3, 4, 500), *parcels(5, 8, 1)], False)
        self.pong(2)
        self.machine.settled([3, 4])
        self.assertEqual(self.wire.take()[-1], "load 6")
        self.machine.loaded(parcels(5, 8, 1), False)
        self.assertEqual(self.wire.take()[-1], "load 12")

    def test_a_slow_database_slows_the_wire(self) -> None:
        """No more than twice the window is kept in memory, though the client confirms."""
        last = 0
        for _ in range(5):
            self.post(parcels(last + 1, last + 4, 1))
            written = self.wire.take()
            last += 4
            for call in written:
                if call.startswith("ping"):
                    self.machine.pong(call.split()[1].encode())
        self.wire.take()
        self.machine.settled([1, 2, 3])
        self.assert_calls()
        self.machine.settled([4])
        self.assert_calls("load 20")
        self.machine.loaded(parcels(5, 20, 1), True)
        self.assertEqual(self.wire.written(), [17, 18, 19, 20])

    def test_the_page_always_brings_something_new(self) -> None:
        """A load is longer than all that is held."""
        self.post(parcels(1, 9, 1))
        self.pong(8)
        self.assertEqual(self.wire.take()[-1], "load 16")
        self.machine.loaded(parcels(1, 16, 1), False)
        self.assertEqual(self.wire.written(), list(range(9, 17)))


class CostTests(SynchronousTestCase):
    """A database that answers at once, and memory."""

    def test_answers_within_the_call(self) -> None:
        """A full mailbox goes out once, in order, though every answer comes before the call has returned."""
        wire = PromptWire(parcels(1, 1000))
        wire.machine = machine(wire)
        wire.machine.start()
        self.assertEqual([each.id for each in wire.waiting], [])
        wire.machine.posted(parcel(1001))
        self.assertEqual(wire.written(), list(range(1, 1002)))

    def test_an_idle_machine_is_small(self) -> None:
        """After a thousand parcels it has what it had at first: less than half a KiB."""
        wire = PromptWire(parcels(1, 1000))
        wire.machine = machine(wire)
        at_first = self.size(wire.machine)
        wire.machine.start()
        self.assertEqual(len(wire.written()), 1000)
        self.assertEqual(self.size(wire.machine), at_first)
        self.assertLess(at_first, 512)

    def size(self, machine: Delivery) -> int:
        """Return the bytes of a machine with its tables."""
        self.assertFalse(hasattr(machine, "__dict__"))
        fields = (getattr(machine, name) for name in Delivery.__slots__)
        return sys.getsizeof(machine) + sum(
            sys.getsizeof(field) for field in fields if isinstance(field, list | dict)
        )
