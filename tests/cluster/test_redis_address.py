"""What `[redis] url` may say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.redis_address import RedisAddress, parse


class AddressTests(SynchronousTestCase):
    """URLs, right and wrong."""

    def test_read(self) -> None:
        """What is left out is Redis's default."""
        for url, address in {
            "redis://localhost": RedisAddress(host="localhost"),
            "redis://localhost/": RedisAddress(host="localhost"),
            "redis://10.0.0.1:7000/3": RedisAddress(host="10.0.0.1", port=7000, database=3),
            "redis://[::1]:7000": RedisAddress(host="::1", port=7000),
            "redis://:p%40ss@h": RedisAddress(host="h", password="p@ss"),
            "redis://me:pa:ss@h": RedisAddress(host="h", username="me", password="pa:ss"),
            "rediss://h/1": RedisAddress(host="h", tls=True, database=1),
            "rediss://h?ca_file=/etc/ca.pem": RedisAddress(host="h", tls=True, ca_file="/etc/ca.pem"),
            "unix:///run/redis.sock": RedisAddress(path="/run/redis.sock"),
            "unix://:word@/run/redis.sock?database=2": RedisAddress(
                path="/run/redis.sock", database=2, password="word"
            ),
        }.items():
            self.assertEqual(parse(url), address, url)

    def test_refused(self) -> None:
        """Anything else is refused in words that hold nothing of it."""
        for url in (
            "",
            "localhost",
            "http://s3cret",
            "redis://",
            "redis:///1",
            "redis://s3cret:0",
            "redis://s3cret:70000",
            "redis://s3cret:x",
            "redis://me@s3cret",
            "redis://:@s3cret",
            "redis://h/s3cret",
            "redis://h/-1",
            "redis://h/1/2",
            "redis://h/１",
            "redis://h?s3cret=1",
            "redis://h?ca_file=/s3cret",
            "rediss://h?ca_file=/a&ca_file=/s3cret",
            "redis://:s3cret#x@h",
            "redis://:s3 cret@h",
            "unix://s3cret",
            "unix://s3cret/run/redis.sock",
            "unix:///run/redis.sock?database=s3cret",
        ):
            error = self.assertRaises(ValueError, parse, url)
            self.assertNotIn("cret", str(error), url)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever stands there is an address or a ValueError."""
        for url in (text, f"redis://{text}", f"redis://:{text}@h/1", f"unix:///{text}"):
            try:
                parse(url)
            except ValueError:
                continue

    def test_no_secret_is_shown(self) -> None:
        """An address can be logged."""
        for url, shown in {
            "redis://me:s3cret@h/3": "redis://h:6379/3",
            "rediss://:s3cret@[::1]:7000": "rediss://[::1]:7000/0",
            "unix://:s3cret@/run/redis.sock": "unix:/run/redis.sock",
        }.items():
            address = parse(url)
            self.assertEqual(str(address), shown)
            self.assertNotIn("s3cret", repr(address))
