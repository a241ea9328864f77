"""What the tests of connections have in common."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.websocket.peers import Frame, Peer, Recording, Settings, recording_factory


class ConnectionTestCase(SynchronousTestCase):
    """Has a factory; at the end of each test everything that was opened must be gone without a trace."""

    def setUp(self) -> None:
        """Build a factory with the usual settings."""
        self.configure()

    def configure(self, **changes: Any) -> None:
        """Build the factory with other settings."""
        settings = Settings(**changes)
        self.clock = settings.clock
        self.factory = recording_factory(settings)
        self.peers: list[Peer] = []

    def tearDown(self) -> None:
        """Nothing may be left of a connection, however it ended, and it ended once."""
        for peer in self.peers:
            peer.go()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.factory.admission), 0)
        self.assertEqual([each.ends for each in self.factory.opened], [1] * len(self.factory.opened))
        self.assertEqual(self.sample("realtime_connections", protocol="support") or 0, 0)

    def peer(self, address: Any = "192.0.2.1") -> Peer:
        """A client that has not said anything yet."""
        peer = Peer(self.factory, self.clock, address)
        self.peers.append(peer)
        return peer

    def open(self, path: str = "/support", *headers: str, address: Any = "192.0.2.1") -> Peer:
        """A client whose handshake is done."""
        peer = self.peer(address).shake(path, *headers)
        self.assertEqual(peer.status, 101, peer.response)
        return peer

    def told(self, peer: Peer) -> list[Any]:
        """What a client's connection was told."""
        connection: Recording = peer.connection
        return connection.told

    def sample(self, name: str, **labels: str) -> float | None:
        """The value of a metric."""
        value: float | None = self.factory._metrics.registry.get_sample_value(name, labels)
        return value

    def refusals(self, reason: str) -> float:
        """How often something was refused for a reason."""
        return self.sample("realtime_refused_total", reason=reason) or 0.0

    def closings(self, code: str) -> float:
        """How many connections were closed with a code."""
        label = {"protocol": "support", "code": code}
        return self.sample("realtime_connections_closed_total", **label) or 0.0

    def assert_closed(self, peer: Peer, code: int) -> list[Frame]:
        """The last that came is a close frame with this code; what came before it."""
        *before, last = peer.frames()
        self.assertEqual((last.opcode, last.code), (8, code))
        self.assertEqual(self.told(peer)[-1], "ended")
        self.assertEqual(self.closings(str(code)), 1)
        return before
