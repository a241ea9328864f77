"""Who is connected, and how many of one address or user."""

from twisted.trial.unittest import SynchronousTestCase

from realtime.websocket.admission import Admission


class Guest:
    """A connection, as far as admission cares."""

    def close_going_away(self) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""


class AdmissionTests(SynchronousTestCase):
    """Counting."""

    def test_unlimited(self) -> None:
        """With no limit set everybody may come."""
        admission = Admission()
        for _ in range(100):
            self.assertTrue(admission.admit(Guest(), "a"))
            self.assertTrue(admission.identify(1))
        self.assertEqual(len(admission), 100)

    def test_addresses(self) -> None:
        """An address may have as many as the limit, and another once one has left."""
        admission, first = Admission(per_address=2), Guest()
        self.assertTrue(admission.admit(first, "a"))
        self.assertTrue(admission.admit(Guest(), "a"))
        self.assertFalse(admission.admit(Guest(), "a"))
        self.assertTrue(admission.admit(Guest(), "b"))
        self.assertEqual(len(admission), 3)
        admission.leave(first, "a")
        self.assertTrue(admission.admit(Guest(), "a"))
        self.assertFalse(admission.admit(Guest(), "a"))

    def test_users(self) -> None:
        """A user may have as many as the limit, from whatever addresses."""
        admission = Admission(per_user=2)
        self.assertTrue(admission.identify(7))
        self.assertTrue(admission.identify(7))
        self.assertFalse(admission.identify(7))
        self.assertTrue(admission.identify(8))
        admission.forget(7)
        self.assertTrue(admission.identify(7))

    def test_refused_ones_are_not_counted(self) -> None:
        """Attempts that were refused take no place."""
        admission, first = Admission(per_address=1, per_user=1), Guest()
        admission.admit(first, "a")
        admission.identify(7)
        for _ in range(5):
            admission.admit(Guest(), "a")
            admission.identify(7)
        admission.forget(7)
        admission.leave(first, "a")
        self.assertTrue(admission.admit(Guest(), "a"))
        self.assertTrue(admission.identify(7))

    def test_nothing_is_kept(self) -> None:
        """Addresses and users are forgotten with their last connection."""
        admission = Admission(per_address=5, per_user=5)
        for number in range(1000):
            guest = Guest()
            admission.admit(guest, f"address {number}")
            admission.identify(number)
            admission.forget(number)
            admission.leave(guest, f"address {number}")
        self.assertEqual((len(admission), list(admission)), (0, []))
        kept = [value for value in vars(admission).values() if isinstance(value, dict)]
        self.assertEqual(len(kept), 3)
        self.assertTrue(all(not each for each in kept), kept)

    def test_leaving_while_all_are_gone_through(self) -> None:
        """Whoever stops the server may have connections leave while it goes through them."""
        admission, guests = Admission(), [Guest() for _ in range(5)]
        for guest in guests:
            admission.admit(guest, "a")
        seen = []
        for each in admission:
            seen.append(each)
            admission.leave(each, "a")
        self.assertEqual(seen, guests)
