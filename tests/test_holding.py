"""What is held until it can be taken."""

from twisted.trial.unittest import SynchronousTestCase

from realtime.holding import Held


class HeldTests(SynchronousTestCase):
    """A bounded queue that is emptied at once."""

    def test_in_order_and_once(self) -> None:
        """What was held comes back in the order it came, one time."""
        held: Held[bytes] = Held()
        self.assertEqual(held.take(), [])
        self.assertTrue(held.add(b"one", 3))
        self.assertTrue(held.add(b"two", 3))
        self.assertEqual(held.take(), [b"one", b"two"])
        self.assertEqual(held.take(), [])

    def test_the_bound_itself(self) -> None:
        """65 536 bytes are held, and not one more; taking them makes room again."""
        held: Held[str] = Held()
        self.assertTrue(held.add("large", 65_535))
        self.assertTrue(held.add("small", 1))
        self.assertFalse(held.add("more", 1))
        self.assertEqual(held.take(), ["large", "small"])
        self.assertTrue(held.add("again", 65_536))

    def test_empty_ones_are_bounded(self) -> None:
        """However small its parts, what is held does not grow for ever."""
        held: Held[bytes] = Held()
        added = sum(held.add(b"", 0) for _ in range(70_000))
        self.assertEqual((added, len(held.take())), (65_536, 65_536))
