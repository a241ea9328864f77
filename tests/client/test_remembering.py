"""The ids of what has come lately."""

from twisted.trial.unittest import SynchronousTestCase

from realtime.client.remembering import Seen


class SeenTests(SynchronousTestCase):
    """Ten of them."""

    def test_known(self) -> None:
        """What comes a second time is known, in whatever order it came."""
        seen = Seen(10)
        self.assertEqual([seen.add(number) for number in (3, 1, 3, 2, 1)], [True, True, False, True, False])
        self.assertIn(3, seen)
        self.assertNotIn(4, seen)

    def test_bounded(self) -> None:
        """The oldest are forgotten, and below the floor from then on: nothing there is missed."""
        seen = Seen(10)
        for number in range(1, 101):
            seen.add(number)
        self.assertLessEqual(len(seen._ids), 20)
        self.assertGreaterEqual(seen.floor, 80)
        self.assertFalse(any(seen.is_missed(number) for number in range(1, 101)))
        self.assertTrue(seen.is_missed(101))

    def test_a_beginning(self) -> None:
        """What is older is not missed; but it is new, if it comes."""
        seen = Seen(10)
        seen.begin_above(7)
        self.assertFalse(seen.is_missed(6))
        self.assertTrue(seen.add(6))
        seen.begin_above(5)
        self.assertEqual(seen.floor, 7)
