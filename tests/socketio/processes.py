"""Two processes that serve Socket.IO, in memory: sessions at one, clients that come to the other."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from realtime.socketio.elsewhere import Elsewhere
from realtime.socketio.polling import EngineResource
from realtime.socketio.websocket import EngineFactory
from realtime.web.sharing import Sharing
from realtime.web.site import NotFound, WebSite, tree
from realtime.websocket.front_door import FrontDoorFactory
from tests.cluster.cables import Processes
from tests.socketio.world import Echo, EngineTestCase
from tests.websocket.peers import Peer, Settings, Wire, surroundings


class PatientClock(Clock):
    """A clock after whose every step everything has arrived, from process to process."""

    def advance(self, amount: float) -> None:
        """Go on."""
        super().advance(amount)
        for _ in range(12):
            super().advance(0)


class ElsewhereTestCase(EngineTestCase):
    """Sessions begin at the first process; whatever names a session comes to the second.

    Everything of `EngineTestCase` is the first's; ``second`` is the second's door, ``second_parts`` what its
    connections use.
    """

    def configure(self, **more: Any) -> None:
        """Build both."""
        more["connections"] = {"clock": PatientClock(), **more.get("connections", {})}
        super().configure(**more)
        before = getattr(self, "processes", None)
        if before is not None:
            before.stop()
        self.processes: Processes = Processes(self.clock)
        self.one, self.two = self.processes.start(), self.processes.start()
        self.factory, self.resource, self.door = self._build(self.parts, self.application, Elsewhere(self.one))
        self.engine = self.factory.engine
        self.second_parts = surroundings(Settings(interval=10_000, **more["connections"]))
        self.second_factory, self.second_resource, self.second = self._build(
            self.second_parts, Echo(), Elsewhere(self.two)
        )
        self.logged.events.clear()  # of the start

    def _build(
        self, parts: Any, application: Any, elsewhere: Elsewhere
    ) -> tuple[EngineFactory, EngineResource, FrontDoorFactory]:
        factory = EngineFactory("workspace", parts, self.rules, application, elsewhere)
        resource = EngineResource(factory, Sharing(parts.handshakes.origins))
        site = WebSite(tree({"socket.io": resource}, NotFound()), self.clock, bodies={"socket.io": resource})
        door = FrontDoorFactory({"/socket.io": factory}, site, self.clock, timeout=10, longest=16_384)
        return factory, resource, door

    def tearDown(self) -> None:
        """Nothing is left at the second either."""
        for peer in self.peers:
            peer.go()
        self.processes.settle()
        self.processes.stop()
        super().tearDown()
        self.assertEqual(len(self.second_parts.admission), 0)
        self.assertEqual(len(self.second_factory.admission), 0)
        self.assertEqual(len(self.second_factory.engine), 0)
        self.assertEqual((self.second_resource._posts, self.second_resource._passed_on), ({}, {}))

    def peer(self, address: Any = "192.0.2.1") -> Peer:
        """A client at the first process, until it names a session."""
        peer = Switching(self, address)
        self.peers.append(peer)
        return peer


class PatientWire(Wire):
    """A wire that is looked at when everything has arrived."""

    def value(self) -> bytes:
        """See `StringTransport.value`."""
        self.clock.advance(0)
        return bytes(super().value())


class Switching(Peer):
    """A client that is at the second process if its first bytes name a session."""

    def __init__(self, test: ElsewhereTestCase, address: Any) -> None:
        self._test = test
        self._address = address
        self._has_written = False
        self._begin(test.door)

    def _begin(self, door: FrontDoorFactory) -> None:
        super().__init__(door, self._test.clock, self._address)
        self.wire.__class__ = PatientWire

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._has_written:
            self._has_written = True
            if b"sid=" in data.partition(b"\r\n")[0]:
                super().go()
                self._begin(self._test.second)
        super().write(data)

    def go(self) -> None:
        """Be gone, also for the first process."""
        super().go()
        self.clock.advance(0)
