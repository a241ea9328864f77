"""What processes ask each other: found, proved, asked, answered; and everything that may go wrong with that."""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realtime.cluster import peer_protocol
from realtime.cluster.peer_guest import Asked, Link, Unreachable
from realtime.cluster.peer_host import (
    MOST_STRANGERS,
    PING_SECONDS,
    PROVING_SECONDS,
    SILENCE_SECONDS,
    Hosting,
    Request,
)
from realtime.cluster.peer_protocol import CHANCE, GREETING, PROOF, Call, Ping, Through, derive, written
from realtime.cluster.peers import IDLE_SECONDS, NAME_LENGTH, OPENING_SECONDS, Peers
from tests.cluster.cables import SECRET, End, Endpoint, Processes, cable
from tests.logged import Logged


class Raw(Protocol):
    """Whoever connects, and what it is told."""

    def __init__(self) -> None:
        self.said = b""
        self.is_lost = False

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.said += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Note it."""
        self.is_lost = True


class PeersTests(SynchronousTestCase):
    """Three processes, of which the second answers."""

    def setUp(self) -> None:
        """Start them."""
        self.logged = Logged(self)
        self.clock = Clock()
        self.processes = Processes(self.clock)
        self.one, self.two, self.three = (self.processes.start() for _ in range(3))
        self.requests: list[Request] = []
        self.two.serve("echo", self.requests.append)
        self.addCleanup(self.end)

    def end(self) -> None:
        """Nothing is left when all have stopped."""
        self.processes.stop()
        self.clock.advance(OPENING_SECONDS)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.getTime() > 0], [])

    def ask(self, payload: bytes = b"hello", service: str = "echo", whom: str = "") -> Asked:
        """Have the first ask the second."""
        asked = self.one.ask(whom or self.two.name, service, payload)
        self.processes.settle()
        return asked

    def assert_unreachable(self, asked: Asked) -> None:
        """There is no answer."""
        self.failureResultOf(asked.answered, Unreachable)

    def test_answered(self) -> None:
        """What is asked gets there, and the answer back, each to what was asked; by one connection."""
        first, second = self.ask(b"1"), self.ask(b"2")
        self.assertEqual([request.payload for request in self.requests], [b"1", b"2"])
        for request in reversed(self.requests):
            request.answer(request.payload * 2)
            request.answer(b"again")
        self.processes.settle()
        self.assertEqual(self.successResultOf(first.answered), b"11")
        self.assertEqual(self.successResultOf(second.answered), b"22")
        self.assertEqual(len(self.processes.cables), 1)
        self.assertEqual(len(self.one.name), NAME_LENGTH)

    def test_more(self) -> None:
        """What is added comes behind, also if it was added before there was a connection."""
        asked = self.one.ask(self.two.name, "echo", b"1")
        asked.more(b"2")
        heard: list[bytes] = []
        self.two.serve("echo", lambda request: setattr(request, "more", heard.append))
        self.processes.settle()
        asked.more(b"3")
        self.processes.settle()
        self.assertEqual(heard, [b"2", b"3"])
        asked.drop()

    def test_dropped(self) -> None:
        """Who waits no more is not answered, and the other is told."""
        dropped: list[int] = []
        asked = self.ask()
        self.requests[0].dropped = lambda: dropped.append(1)
        asked.drop()
        self.processes.settle()
        self.requests[0].answer(b"too late")
        self.processes.settle()
        self.assertEqual(dropped, [1])
        self.assertNoResult(asked.answered)

    def test_dropped_before_it_is_asked(self) -> None:
        """What was dropped before there was a connection is never asked."""
        asked = self.one.ask(self.two.name, "echo", b"1")
        asked.drop()
        self.processes.settle()
        self.assertEqual(self.requests, [])

    def test_cancelled(self) -> None:
        """To cancel the answer is to drop it."""
        asked = self.ask()
        dropped: list[int] = []
        self.requests[0].dropped = lambda: dropped.append(1)
        asked.answered.addErrback(lambda _: None).cancel()
        self.processes.settle()
        self.assertEqual(dropped, [1])

    def test_failed(self) -> None:
        """A service that can't make anything of it, fails or isn't there gives no answer, and harms nothing."""

        def fault(request: Request) -> None:
            raise ZeroDivisionError

        def malformed(request: Request) -> None:
            raise ValueError

        self.two.serve("fault", fault)
        self.two.serve("malformed", malformed)
        for service in ("fault", "malformed", "nothing"):
            self.assert_unreachable(self.ask(service=service))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        asked = self.ask()
        self.requests[0].answer(b"still")
        self.processes.settle()
        self.assertEqual(self.successResultOf(asked.answered), b"still")

    def test_nobody(self) -> None:
        """A process that has never been there can't be asked; nor can one of which only the lease is left."""
        self.assert_unreachable(self.ask(whom="n" * NAME_LENGTH))
        self.processes.kill(1)
        self.assert_unreachable(self.ask())

    def test_dies(self) -> None:
        """What was asked of a process that dies has failed, and it has dropped what it was asked itself."""
        asked = self.ask()
        dropped: list[int] = []
        self.requests[0].dropped = lambda: dropped.append(1)
        self.processes.kill(1)
        self.assert_unreachable(asked)
        self.assertEqual(dropped, [1])

    def test_silent(self) -> None:
        """A process that stands still is taken for dead after some seconds, and not before."""
        asked = self.ask()
        for end in self.processes.cables[0]:
            end.stalled = True
        self.pass_seconds(SILENCE_SECONDS - PING_SECONDS)
        self.assertNoResult(asked.answered)
        self.pass_seconds(2 * PING_SECONDS)
        self.assert_unreachable(asked)

    def test_silent_from_the_first(self) -> None:
        """A process that does not even greet is given up."""
        self.one.ask(self.two.name, "echo", b"").drop()
        asked = self.one.ask(self.two.name, "echo", b"")
        for end in self.processes.cables[0]:
            end.stalled = True
        self.pass_seconds(OPENING_SECONDS)
        self.assert_unreachable(asked)

    def test_waits_long(self) -> None:
        """An answer may take its time, as long as both live; and a connection without use is closed."""
        asked = self.ask()
        self.pass_seconds(4 * IDLE_SECONDS)
        self.requests[0].answer(b"at last")
        self.processes.settle()
        self.assertEqual(self.successResultOf(asked.answered), b"at last")
        self.pass_seconds(IDLE_SECONDS)
        self.assertTrue(self.processes.cables[0][0].is_gone)
        again = self.ask()
        self.requests[1].answer(b"again")
        self.processes.settle()
        self.assertEqual(self.successResultOf(again.answered), b"again")

    def test_stood_still_itself(self) -> None:
        """A process that stood still reads what has come meanwhile before it takes anybody for dead."""
        asked = self.ask()
        self.clock.advance(10 * SILENCE_SECONDS)
        self.pass_seconds(2 * SILENCE_SECONDS)
        self.requests[0].answer(b"here")
        self.processes.settle()
        self.assertEqual(self.successResultOf(asked.answered), b"here")

    def test_wrong_secret(self) -> None:
        """Processes with different secrets don't serve each other, in either direction."""
        stranger = self.processes.start(secrets.token_bytes(32))
        stranger.serve("echo", self.requests.append)
        self.assert_unreachable(self.ask(whom=stranger.name))
        asked = stranger.ask(self.two.name, "echo", b"")
        self.processes.settle()
        self.assert_unreachable(asked)
        self.assertEqual(self.requests, [])

    def test_host_that_proves_nothing(self) -> None:
        """Who takes a proof and has none itself is asked nothing."""
        link, fake = Link(self.two.name, derive(SECRET), self.clock, lambda _: None), Raw()
        asked = Asked("echo", b"hello")
        link.ready.addCallbacks(lambda _: link.ask(asked), lambda failure: failure.trap(Unreachable))
        _, end = cable(self.clock, link, fake)
        end.write(GREETING + bytes(CHANCE) + bytes(PROOF))
        self.processes.settle()
        self.assertEqual(len(fake.said), CHANCE + PROOF)
        self.assertTrue(fake.is_lost)

    def test_another_has_its_port(self) -> None:
        """Who has taken the port of a process that is gone is not mistaken for it."""
        self.processes.cluster.leases.take(f"process.{self.two.name}", "127.0.0.1:9002")
        self.three.serve("echo", self.requests.append)
        self.assert_unreachable(self.ask())
        self.assertEqual(self.requests, [])

    def test_stopped(self) -> None:
        """A process that stops fails what it has asked, and asks nothing more."""
        asked = self.ask()
        self.processes.stop()
        self.assert_unreachable(asked)
        self.assert_unreachable(self.ask())
        self.assertIsNone(
            self.successResultOf(self.processes.cluster.leases.holder(f"process.{self.one.name}"))
        )

    def test_through(self) -> None:
        """A service is given a connection of its own, with all that is said on it."""
        taken = Raw()
        self.two.take("raw", lambda payload: taken if payload == b"for me" else None)
        opening = self.one.through(self.two.name, "raw", b"for me", lambda: None)
        self.processes.settle()
        transport = self.successResultOf(opening)
        near = Raw()
        transport.protocol = near
        transport.write(b"hello")
        self.processes.settle()
        self.assertEqual(taken.said, b"hello")
        taken.transport.write(b"and back")
        self.processes.settle()
        self.assertEqual(near.said, b"and back")
        self.pass_seconds(2 * SILENCE_SECONDS)
        self.assertFalse(near.is_lost, "no pings are awaited on it")
        transport.loseConnection()
        self.processes.settle()
        self.assertTrue(taken.is_lost)

    def test_through_to_a_process_that_dies(self) -> None:
        """Who has a connection through to a process is told that this is dead, unless it is not interested."""
        lost: list[str] = []
        self.two.take("raw", lambda _: Raw())
        for name in ("one", "two"):
            opening = self.one.through(self.two.name, "raw", b"", ends := _Told(lost, name))
            self.processes.settle()
            self.successResultOf(opening).protocol = Raw()
        self.one.forget_through(self.two.name, ends)
        for end in self.processes.cables[0]:
            end.stalled = True
        self.pass_seconds(SILENCE_SECONDS + PING_SECONDS)
        self.assertEqual(lost, ["one"])

    def test_no_way_through(self) -> None:
        """There is none to nobody, nor to a service that doesn't exist."""
        self.failureResultOf(self.one.through("n" * NAME_LENGTH, "raw", b"", lambda: None), Unreachable)
        near = Raw()
        opening = self.one.through(self.two.name, "nothing", b"", lambda: None)
        opening.addCallback(lambda transport: setattr(transport, "protocol", near))
        self.processes.settle()
        self.assertTrue(near.is_lost)

    def test_addresses(self) -> None:
        """What is advertised is what others are told; all interfaces are no address."""
        peers = self.processes.start(advertised="host.example:1")
        holder = self.processes.cluster.leases.holder(f"process.{peers.name}")
        self.assertEqual(self.successResultOf(holder), "host.example:1")
        everywhere = Peers(
            self.processes.cluster,
            Endpoint(1, "0.0.0.0"),  # type: ignore[arg-type]
            advertised="",
            secret=SECRET,
            reactor=self.clock,
        )
        self.assertIn("cluster.advertise", str(self.failureResultOf(everywhere.listen(), ValueError).value))

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass in small steps, as it does."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)
            self.processes.settle()


class _Told:
    def __init__(self, lost: list[str], name: str) -> None:
        self._lost = lost
        self._name = name

    def __call__(self) -> None:
        self._lost.append(self._name)


class StrangerTests(SynchronousTestCase):
    """What the listener makes of those who are no process of ours."""

    def setUp(self) -> None:
        """Have a host."""
        self.logged = Logged(self)
        self.clock = Clock()
        self.hosting = Hosting("12345678", derive(SECRET), self.clock)
        self.asked: list[Request] = []
        self.hosting.services["echo"] = self.asked.append

    def tearDown(self) -> None:
        """Nothing was logged of what they said, and nothing is left."""
        self.hosting.disconnect()
        self.settle()
        self.assertEqual(self.hosting.strangers, {})
        self.assertEqual(self.hosting.guests, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(10):
            self.clock.advance(0)

    def call(self) -> tuple[Raw, End, bytes]:
        """Connect; what the host has by chance said, behind its greeting."""
        raw = Raw()
        end, _ = cable(self.clock, raw, self.hosting.buildProtocol(None))
        self.settle()
        self.assertTrue(raw.said.startswith(GREETING))
        self.assertEqual(len(raw.said), len(GREETING) + CHANCE)
        return raw, end, raw.said[len(GREETING) :]

    def prove(self, of_host: bytes, name: str = "12345678", secret: bytes = SECRET) -> bytes:
        """What a guest says."""
        chance = bytes(CHANCE)
        return chance + peer_protocol.proof_of_guest(derive(secret), name, of_host, chance)

    def say(self, end: End, data: bytes) -> None:
        """Say something."""
        end.write(data)
        self.settle()

    def test_proved(self) -> None:
        """Who proves to know the secret gets the host's proof, and is served."""
        raw, end, chance = self.call()
        self.say(end, self.prove(chance))
        shown = raw.said[len(GREETING) + CHANCE :]
        self.assertEqual(shown, peer_protocol.proof_of_host(derive(SECRET), "12345678", chance, bytes(CHANCE)))
        self.say(end, written(Call(1, "echo", b"hello")))
        self.assertEqual([request.payload for request in self.asked], [b"hello"])

    def test_byte_by_byte(self) -> None:
        """However it is cut."""
        _, end, chance = self.call()
        for byte in self.prove(chance) + written(Ping()) + written(Call(1, "echo", b"hello")):
            self.say(end, bytes([byte]))
        self.assertEqual([request.payload for request in self.asked], [b"hello"])

    def test_refused(self) -> None:
        """No proof, that of another secret, for another process, or of another time: cut, without a word."""
        _, _, earlier = self.call()
        for wrong in (
            lambda chance: bytes(CHANCE + 32),
            lambda chance: self.prove(chance, secret=b"x" * 32),
            lambda chance: self.prove(chance, name="87654321"),
            lambda chance: self.prove(earlier),
            lambda chance: (
                bytes(CHANCE) + peer_protocol.proof_of_host(derive(SECRET), "12345678", chance, bytes(CHANCE))
            ),
            lambda chance: b"GET / HTTP/1.1\r\nHost: somebody\r\nUser-Agent: who looks for open ports\r\n\r\n",
        ):
            raw, end, chance = self.call()
            said = raw.said
            self.say(end, wrong(chance) + written(Call(1, "echo", b"hello")))
            self.assertTrue(raw.is_lost)
            self.assertEqual(raw.said, said)
        self.assertEqual(self.asked, [])

    def test_slow(self) -> None:
        """A stranger has some seconds."""
        raw, end, chance = self.call()
        self.say(end, self.prove(chance)[:-1])
        self.clock.advance(PROVING_SECONDS - 0.1)
        self.assertFalse(raw.is_lost)
        self.clock.advance(0.2)
        self.settle()
        self.assertTrue(raw.is_lost)

    def test_many(self) -> None:
        """Of too many strangers the oldest is cut; who is known is none."""
        known, end, chance = self.call()
        self.say(end, self.prove(chance))
        first, _, _ = self.call()
        for _ in range(MOST_STRANGERS - 1):
            self.call()
        self.assertFalse(first.is_lost)
        self.call()
        self.assertTrue(first.is_lost)
        self.assertFalse(known.is_lost)

    def test_garbage_of_one_who_is_known(self) -> None:
        """What is no frame, is too long by its head alone, or uses a number twice, ends the connection."""
        for wrong in (
            b"\x00\x00\x00\x01\xc1",
            (peer_protocol.LONGEST_FRAME + 1).to_bytes(4),
            written(Call(1, "echo", b"")) * 2,
        ):
            raw, end, chance = self.call()
            self.say(end, self.prove(chance))
            self.say(end, wrong)
            self.assertTrue(raw.is_lost, wrong)

    def test_silence_of_one_who_is_known(self) -> None:
        """A guest that says nothing for long is gone, and has dropped what it asked."""
        raw, end, chance = self.call()
        self.say(end, self.prove(chance) + written(Call(1, "echo", b"")))
        dropped: list[int] = []
        self.asked[0].dropped = lambda: dropped.append(1)
        for _ in range(4):
            self.clock.advance(PING_SECONDS)
            self.settle()
        self.assertTrue(raw.is_lost)
        self.assertEqual(dropped, [1])

    def test_reads_nothing(self) -> None:
        """A guest that does not read its answers is cut when too much waits for it."""
        raw, end, chance = self.call()
        self.say(end, self.prove(chance))
        end.other.stalled = True
        self.say(end, b"".join(written(Call(number, "echo", b"")) for number in range(4)))
        for request in self.asked:
            request.answer(bytes(30 * 1024 * 1024))
        self.settle()
        self.assertTrue(raw.is_lost)

    def test_through_nothing(self) -> None:
        """A way through to what isn't there is closed."""
        raw, end, chance = self.call()
        self.say(end, self.prove(chance) + written(Through("nothing", b"")))
        self.assertTrue(raw.is_lost)
