from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import EventLoggingObserver
from twisted.python.failure import Failure

from realtime.config import load
from realtime.operations.health import Health
from realtime.supervision.messages import (
    Alive,
    Ask,
    Begin,
    Drain,
    Failing,
    FromWorker,
    Measured,
    Ready,
    ToParent,
    ToWorker,
    frame,
)
from realtime.supervision.worker import NotStartedByParent, Worker
from tests.reactor import TestCase

reactor: Any = _reactor
BEGIN = Begin(slot=2, settings=load(), endpoints=(), demo=False)


class Stopped:
    """The reactor, but that to stop it is only counted."""

    def __init__(self) -> None:
        self.stopped = 0

    def stop(self) -> None:
        """Count."""
        self.stopped += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


class WorkerTests(TestCase):
    """The parent as a worker sees it, over real pipes."""

    def setUp(self) -> None:
        """Have pipes."""
        self.incoming, self.parents_out = os.pipe()
        self.parents_in, self.outgoing = os.pipe()
        os.set_blocking(self.parents_in, False)
        self.ends = {self.incoming, self.parents_out, self.parents_in, self.outgoing}
        self.frames = FromWorker()
        self.reactor = Stopped()
        self.worker: Worker | None = None
        self.patch(_signals(), "handle", lambda *_: None)

        self.addCleanup(self.close)

    def close(self) -> None:
        """Leave nothing open."""
        if self.worker is not None:
            channel: Any = self.worker._channel
            self.worker._alive.stop()
            if not channel.disconnected:
                channel.connectionLost(Failure(ConnectionDone()))
            self.ends -= {self.incoming, self.outgoing}
        for end in self.ends:
            os.close(end)

    def start(self, *more: ToWorker) -> Worker:
        """A worker to whom its parent has said these."""
        os.write(self.parents_out, b"".join(map(frame, (BEGIN, *more))))
        self.worker = worker = Worker(self.incoming, self.outgoing)
        worker.attach(self.reactor)
        self.health = Health(reactor)
        self.registry = CollectorRegistry()
        worker.answer_from(self.health, self.registry)
        worker._talk()
        return worker

    async def hear(self, kind: type[ToParent]) -> Any:
        """Wait for the next message of a kind."""
        for _ in range(500):
            try:
                for message in self.frames.feed(os.read(self.parents_in, 1 << 16)):
                    if isinstance(message, kind):
                        return message
            except BlockingIOError:
                await deferLater(reactor, 0.002)
        raise AssertionError(f"no {kind}")

    def say(self, message: ToWorker) -> None:
        """Say something as the parent."""
        os.write(self.parents_out, frame(message))

    async def until_stopped(self) -> None:
        """Wait until it ends."""
        for _ in range(500):
            if self.reactor.stopped:
                return
            await deferLater(reactor, 0.002)
        raise AssertionError("it goes on")

    async def test_who_it_is(self) -> None:
        """It is told its slot and settings, then says that it lives, and when it serves."""
        worker = self.start()
        self.assertEqual((worker.begin, worker.is_first), (BEGIN, False))
        await self.hear(Alive)
        events = EventLoggingObserver.createWithCleanup(self, _publisher())
        worker.ready()
        await self.hear(Ready)
        self.assertEqual([event["slot"] for event in events], [2])

    async def test_questions(self) -> None:
        """It answers with the number of the question, also what was asked before it could."""
        worker = self.start(Ask(5, "readiness"))
        self.assertEqual(await self.hear(Failing), Failing(5, ()))
        self.health.add_check("redis", lambda: fail(OSError()))
        Gauge("x", "What.", registry=self.registry).set(3)
        self.say(Ask(6, "readiness"))
        self.assertEqual(await self.hear(Failing), Failing(6, ("redis",)))
        self.say(Ask(7, "metrics"))
        answer = await self.hear(Measured)
        self.assertEqual((answer.number, answer.families[0].samples), (7, (("x", {}, 3.0, None),)))
        self.assertEqual(self.reactor.stopped, 0)
        self.assertIs(worker, self.worker)

    async def test_asked_to_end(self) -> None:
        """It ends once, however often it is asked."""
        worker = self.start()
        self.say(Drain())
        await self.until_stopped()
        worker.stop()
        worker.failed()
        self.assertEqual(self.reactor.stopped, 1)

    async def test_the_parent_is_gone(self) -> None:
        """The end of the pipe is the parent's end: it ends as well."""
        self.start()
        os.close(self.parents_out)
        self.ends.discard(self.parents_out)
        await self.until_stopped()

    async def test_no_parent(self) -> None:
        """Without pipes, with an end or nonsense on them, or with another first word, nobody has started it."""
        with self.assertRaises(NotStartedByParent):
            Worker(self.incoming, 999)
        with open(os.devnull) as null, self.assertRaises(NotStartedByParent):
            Worker(null.fileno(), self.outgoing)
        for said in (frame(Drain()), b"\0\0\0\1\xc1"):
            os.write(self.parents_out, said)
            with self.assertRaises(NotStartedByParent):
                Worker(self.incoming, self.outgoing)
        os.close(self.parents_out)
        self.ends.discard(self.parents_out)
        with self.assertRaises(NotStartedByParent):
            Worker(self.incoming, self.outgoing)

    async def test_accepts_when_ready(self) -> None:
        """Its ports wait until it is: others may have time."""
        worker = self.start()
        port = _Port()
        endpoint: Any = _Endpoint(port)
        self.patch(_module(), "inherited_endpoint", lambda *_: endpoint)
        worker.begin = Begin(slot=2, settings=BEGIN.settings, endpoints=((5, 2),), demo=False)
        await worker.endpoint(0, "tcp:0").listen(None)  # type: ignore[arg-type]
        self.assertEqual(port.did, ["stop"])
        worker.ready()
        self.assertEqual(port.did, ["stop", "start"])


class _Port:
    def __init__(self) -> None:
        self.did: list[str] = []

    def stopReading(self) -> None:
        self.did.append("stop")

    def startReading(self) -> None:
        self.did.append("start")


class _Endpoint:
    def __init__(self, port: _Port) -> None:
        self._port = port

    def listen(self, factory: Any) -> Deferred[_Port]:
        ready: Deferred[_Port] = Deferred()
        ready.callback(self._port)
        return ready


def _module() -> Any:
    from realtime.supervision import worker

    return worker


_signals = _module


def _publisher() -> Any:
    from twisted.logger import globalLogPublisher

    return globalLogPublisher
