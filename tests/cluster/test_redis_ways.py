"""The ways to a Redis: TLS and a Unix socket, with a password; and nothing of them before one connects."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
import sys
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster.redis_cluster import RedisCluster
from tests.cluster.kinds import OverRedis
from tests.logged import Logged
from tests.services import RedisServer, _free_port


def write_certificate(folder: Path, days: int = 1) -> None:
    """Write a certificate for 127.0.0.1 that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    for each in ("cert.pem", "key.pem"):
        (folder / each).chmod(0o644)


class GuardedRedis(RedisServer):
    """A Redis that asks for a password, by TLS and a Unix socket too."""

    def prepare(self) -> None:
        """Make its certificate."""
        self.tls_port = _free_port()
        write_certificate(self.folder)

    def command(self) -> list[str]:
        """With all its ways."""
        certificate, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        return [
            *super().command(),
            *(
                "--requirepass",
                "s3cret",
                "--unixsocket",
                str(self.folder / "socket"),
                "--unixsocketperm",
                "777",
            ),
            *("--tls-port", str(self.tls_port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate),
        ]

    def answers(self) -> bool:
        """Whether its socket is there: a PING would need the password."""
        return (self.folder / "socket").exists()


@cache
def guarded() -> GuardedRedis:
    """The one of this test run."""
    return GuardedRedis()


class WaysTests(OverRedis):
    """Each way, to one Redis."""

    def setUp(self) -> None:
        """Have it run."""
        super().setUp()
        self.server = guarded()
        self.folder = self.server.folder

    def connect(self, url: str) -> RedisCluster:
        """Start a process at some URL."""
        from twisted.internet import reactor

        cluster = RedisCluster(url, reactor, prefix=self.prefix)
        self.clusters.append(cluster)
        cluster.start()
        return cluster

    def test_all_ways(self) -> None:
        """Processes that come by different ways share what is there."""
        assert isinstance(self.server, GuardedRedis)
        (self.folder / "bundle.pem").write_bytes(b"# ours\n" + (self.folder / "cert.pem").read_bytes())
        ways = [
            f"redis://:s3cret@127.0.0.1:{self.server.port}",
            f"rediss://:s3cret@127.0.0.1:{self.server.tls_port}?ca_file={self.folder}/bundle.pem",
            f"unix://:s3cret@{self.folder}/socket",
        ]
        for number, url in enumerate(ways):
            cluster = self.connect(url)
            self.until(lambda cluster=cluster: cluster.is_available)  # type: ignore[misc]
            before = self.carry_out(cluster.leases.take("n", str(number)))
            self.assertEqual(before, str(number - 1) if number else None)

    def test_a_stranger(self) -> None:
        """A Redis whose certificate nobody vouches for is not told the password."""
        assert isinstance(self.server, GuardedRedis)
        logged = Logged(self)
        cluster = self.connect(f"rediss://:s3cret@127.0.0.1:{self.server.tls_port}")
        self.until(lambda: len(logged.above_debug()) >= 2)
        self.turn(0.3)
        self.assertFalse(cluster.is_available)
        self.assertEqual(len(logged.above_debug()), 2)
        self.assertEqual(logged.holding("s3cret"), [])

    def test_no_authority(self) -> None:
        """What is no certificate is refused before anything is begun."""
        from twisted.internet import reactor

        with self.assertRaises(ValueError):
            RedisCluster(f"rediss://127.0.0.1?ca_file={self.folder}/key.pem", reactor)


class ImportTests(SynchronousTestCase):
    """What txredisapi does to who imports it."""

    def test_no_reactor_is_installed(self) -> None:
        """Who builds a cluster's parts has not chosen a reactor yet."""
        code = (
            "import sys, realtime.cluster.redis_cluster;"
            "sys.exit('twisted.internet.reactor' in sys.modules or 'txredisapi' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=False)
        self.assertEqual(done.returncode, 0)
