"""The client's address behind proxies, some of which lie."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.http.address import TrustedProxies

CLIENT = "203.0.113.9"


class TrustedProxiesTests(SynchronousTestCase):
    """Whose word is taken."""

    def setUp(self) -> None:
        """Trust a network of each kind, and one address."""
        self.proxies = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])

    def test_trusts(self) -> None:
        """Addresses of the networks are trusted, in whatever form they are written."""
        for address in (
            *("10.1.2.3", "192.0.2.1", "2001:db8::1", "2001:0DB8:0:0::1"),
            *("::ffff:10.1.2.3", "::ffff:0a01:0203"),
        ):
            self.assertTrue(self.proxies.trusts(address), address)

    def test_does_not_trust(self) -> None:
        """Other addresses are not, nor what is no address."""
        for address in (
            *("11.1.2.3", "192.0.2.2", "2001:db9::1", "::ffff:11.1.2.3", "::10.1.2.3"),
            *("", "10.1.2", "10.0.0.0/8", "proxy", "10.1.2.3:80", "010.1.2.3"),
        ):
            self.assertFalse(self.proxies.trusts(address), address)

    def test_nobody_is_trusted_by_default(self) -> None:
        """Without the setting nobody's header counts."""
        self.assertEqual(TrustedProxies().client("127.0.0.1", CLIENT), "127.0.0.1")

    def test_not_a_network(self) -> None:
        """A setting that is no network is refused when it is read."""
        with self.assertRaises(ValueError):
            TrustedProxies(["proxy.example"])

    def test_stranger(self) -> None:
        """A stranger's header is not looked at."""
        self.assertEqual(self.proxies.client("198.51.100.7", CLIENT), "198.51.100.7")

    def test_no_header(self) -> None:
        """A proxy's own request is the proxy's."""
        for header in (None, "", " "):
            self.assertEqual(self.proxies.client("10.0.0.1", header), "10.0.0.1")

    def test_one_proxy(self) -> None:
        """What the proxy says is the client's address."""
        self.assertEqual(self.proxies.client("10.0.0.1", CLIENT), CLIENT)
        self.assertEqual(self.proxies.client("::ffff:10.0.0.1", CLIENT), CLIENT)
        self.assertEqual(self.proxies.client("2001:db8::1", "2001:DB9::7"), "2001:db9::7")

    def test_chain_of_proxies(self) -> None:
        """Proxies between are passed over, the last address that is none of them is the client."""
        self.assertEqual(self.proxies.client("10.0.0.1", f"{CLIENT}, 10.0.0.3,2001:db8::2"), CLIENT)

    def test_spoofed_list(self) -> None:
        """What a client wrote into the header itself changes nothing."""
        for spoofed in ("127.0.0.1", "10.0.0.9", "1.2.3.4, 10.0.0.9", "unknown", "<script>", ",,"):
            header = f"{spoofed}, {CLIENT}, 10.0.0.3"
            self.assertEqual(self.proxies.client("10.0.0.1", header), CLIENT)

    def test_only_proxies(self) -> None:
        """If everyone is a proxy, the one farthest away is held responsible."""
        self.assertEqual(self.proxies.client("10.0.0.1", "10.0.0.2, 10.0.0.3"), "10.0.0.2")

    def test_ports(self) -> None:
        """Some proxies append the port; it is no part of the address."""
        for entry, address in (
            (f"{CLIENT}:50123", CLIENT),
            ("[2001:db9::7]:50123", "2001:db9::7"),
            ("[2001:db9::7]", "2001:db9::7"),
            ("2001:db9::7", "2001:db9::7"),
        ):
            self.assertEqual(self.proxies.client("10.0.0.1", entry), address)

    def test_junk(self) -> None:
        """At what is no address the search ends with the last that was believed."""
        self.assertEqual(self.proxies.client("10.0.0.1", f"{CLIENT}, junk"), "10.0.0.1")
        self.assertEqual(self.proxies.client("10.0.0.1", f"{CLIENT}, junk, 10.0.0.2"), "10.0.0.2")
        self.assertEqual(self.proxies.client("10.0.0.1", f"{CLIENT},, 10.0.0.2"), "10.0.0.2")

    @given(header=st.text(st.sampled_from("0123456789.:,[]f x%/"), max_size=60))
    def test_any_header(self, header: str) -> None:
        """Whatever the header holds, the answer is an address, without a port or a space."""
        self.assertRegex(self.proxies.client("10.0.0.1", header), r"\A[0-9a-f.:%x]+\Z")

    @given(
        spoofed=st.text(st.characters(codec="latin-1"), max_size=30),
    )
    def test_no_header_moves_the_client(self, spoofed: str) -> None:
        """Whatever a client prepends, it stays who the proxy saw."""
        self.assertEqual(self.proxies.client("10.0.0.1", f"{spoofed}, {CLIENT}"), CLIENT)


class IsSecureTests(SynchronousTestCase):
    """Whether the client's own connection is encrypted."""

    def setUp(self) -> None:
        """Trust one proxy."""
        self.proxies = TrustedProxies(["10.0.0.1"])

    def test_own_connection(self) -> None:
        """Without a proxy our own connection is the client's."""
        for secure in (True, False):
            self.assertIs(self.proxies.is_secure("10.0.0.1", None, secure=secure), secure)
            self.assertIs(self.proxies.is_secure("10.0.0.2", "https", secure=secure), secure)

    def test_proxy(self) -> None:
        """A trusted proxy knows; of several values its own, the last, counts."""
        for header, secure in (
            *(("https", True), ("HTTPS", True), ("wss", True), ("http, https", True)),
            *(("http", False), ("https, http", False), ("junk", False)),
        ):
            self.assertIs(self.proxies.is_secure("10.0.0.1", header, secure=not secure), secure)
