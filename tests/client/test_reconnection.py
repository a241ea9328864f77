"""When to connect again, and after how long."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from realtime.client.reconnection import Reconnection, is_status_worth_retrying, is_worth_retrying
from realtime.closing import CloseCode


class DelayTests(SynchronousTestCase):
    """Delays between attempts."""

    def test_grow_twofold_up_to_the_longest(self) -> None:
        """Each is drawn from nothing to twice the bound of the one before."""
        reconnection = Reconnection(first=1.0, longest=5.0)
        for failures, most in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (5000, 5.0)):
            delays = [reconnection.delay(failures, Random(seed)) or 0.0 for seed in range(400)]
            self.assertLess(max(delays), most)
            self.assertGreater(max(delays), 0.9 * most)
            self.assertLess(min(delays), 0.1 * most)

    def test_come_to_an_end(self) -> None:
        """After so many attempts in a row, if that was asked for."""
        reconnection = Reconnection(attempts=2)
        self.assertIsNotNone(reconnection.delay(1, Random(1)))
        self.assertIsNone(reconnection.delay(2, Random(1)))


class CodeTests(SynchronousTestCase):
    """Ends, and what they mean."""

    def test_ends_for_good(self) -> None:
        """What another attempt would only repeat."""
        for code in (1000, 1002, 1003, 1007, 1008, 1009, 4401, 4403, 4409, 4429, 4999):
            self.assertFalse(is_worth_retrying(code), code)

    def test_ends_of_the_moment(self) -> None:
        """A server that stops, is overloaded or gone, and proxies' ways to say so."""
        for code in (1001, 1005, 1006, 1011, 1012, 1013, 1014, 4408, 4430):
            self.assertTrue(is_worth_retrying(code), code)

    def test_the_table_decides(self) -> None:
        """The server's own codes are judged by its table."""
        for code in CloseCode:
            self.assertEqual(is_worth_retrying(int(code)), code.retry)

    def test_statuses(self) -> None:
        """Of a refused handshake."""
        self.assertEqual(
            [each for each in (400, 401, 404, 429, 500, 503) if is_status_worth_retrying(each)], [429, 500, 503]
        )
