"""The table of close codes."""

from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode


class CloseCodeTests(SynchronousTestCase):
    """What goes into a close frame."""

    def test_the_codes_of_the_contract(self) -> None:
        """Every code that common.md names is there, and nothing but RFC 6455's 1002 beside them."""
        named = {1000, 1001, 1003, 1007, 1008, 1009, 1013, 4401, 4403, 4408, 4409, 4429, 4430}
        self.assertEqual({int(code) for code in CloseCode}, named | {1002})

    def test_a_code_is_a_number(self) -> None:
        """A code is the number that goes on the wire, and is found by it."""
        self.assertEqual(CloseCode.SLOW_READER, 4430)
        self.assertIs(CloseCode(4401), CloseCode.NOT_AUTHENTICATED)  # type: ignore[call-arg]

    def test_reasons_fit_into_a_frame(self) -> None:
        """Every reason is a text, its own, of at most the 123 bytes that a close frame has room for."""
        reasons = [code.reason for code in CloseCode]
        self.assertEqual(len(set(reasons)), len(reasons))
        for reason in reasons:
            self.assertTrue(0 < len(reason.encode()) <= 123, reason)

    def test_who_may_come_back(self) -> None:
        """A client may reconnect by itself where the fault was not in what it said."""
        self.assertEqual({int(code) for code in CloseCode if code.retry}, {1001, 1013, 4408, 4430})
