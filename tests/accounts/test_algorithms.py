"""The list of accepted algorithms and its two halves."""

from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.algorithms import asymmetric, symmetric


class AlgorithmsTests(SynchronousTestCase):
    """One list in the settings, two kinds of keys."""

    def test_halves(self) -> None:
        """Each half holds the names of its kind, in the order of the settings."""
        names = ["RS256", "HS512", "EdDSA", "HS256"]
        self.assertEqual(symmetric(names), ["HS512", "HS256"])
        self.assertEqual(asymmetric(names), ["RS256", "EdDSA"])

    def test_none_is_refused(self) -> None:
        """`none` is refused in any spelling, and beside a good name too."""
        for name in ("none", "None", "NONE", ""):
            for half in (symmetric, asymmetric):
                with self.assertRaisesRegex(ValueError, "auth.algorithms"):
                    half(["HS256", "RS256", name])

    def test_unknown_is_refused(self) -> None:
        """A misspelt name is an error and not simply never used."""
        for name in ("hs256", "RS1", "ES256K", "A128KW"):
            with self.assertRaisesRegex(ValueError, name):
                symmetric(["HS256", name])

    def test_empty_half(self) -> None:
        """A kind of token for which no algorithm is left is an error."""
        with self.assertRaisesRegex(ValueError, "HS256"):
            symmetric(["RS256"])
        with self.assertRaisesRegex(ValueError, "RS256"):
            asymmetric(["HS256"])
