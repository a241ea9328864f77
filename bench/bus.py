"""One of two processes that measure the bus over Redis: ``python -m bench.bus ROLE URL SECONDS MESSAGES``.

The ``publisher`` publishes so many messages in a turn, as fast as the ``listener`` gets them: each of a few
batches that are on their way is answered by one message, and makes room for the next. Both print what they saw
as a line of JSON; the publisher's latencies are of there and back.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

from msgspec import Struct
from twisted.internet import reactor

from realtime.cluster.bus import Topic
from realtime.cluster.redis_cluster import RedisCluster

_BATCHES: Final = 4
"""On their way at once, of more than one message; a single one is waited for."""

_WARM_UP: Final = 0.5


class _Message(Struct, frozen=True):
    """A message of a hundred bytes; ``last`` is when its batch was published, if it ends one."""

    text: str
    last: float = 0.0


_THERE: Final = Topic("bench.there", _Message)
_BACK: Final = Topic("bench.back", _Message)
_TEXT: Final = "x" * 100
_clock: Any = reactor


class _Role:
    """What both have in common."""

    def __init__(self, url: str, seconds: float, batch: int) -> None:
        self.seconds = seconds
        self.batch = batch
        self.messages = 0
        self.latencies: list[float] = []
        self._cpu = 0.0
        self.cluster = RedisCluster(url, reactor, prefix="bench")
        self.cluster.start()

    def begin(self) -> None:
        """Look from now on."""
        self.messages = 0
        self.latencies.clear()
        self._cpu = time.process_time()
        _clock.callLater(self.seconds, self.end)

    def end(self) -> None:
        """Tell what was seen."""
        cpu = time.process_time() - self._cpu
        print(json.dumps({"messages": self.messages, "cpu": cpu, "latencies": self.latencies[:200_000]}))
        sys.stdout.flush()
        self.cluster.stop().addBoth(lambda _: _clock.stop())


class _Publisher(_Role):
    def start(self) -> None:
        back = self.cluster.bus.subscribe(_BACK, self._answered)
        back.active.addCallback(lambda _: self._knock())

    def _knock(self) -> None:
        """Find the listener: what nobody hears is not answered."""
        if not self.messages:
            self.cluster.bus.publish(_THERE, _Message("", time.perf_counter()))
            _clock.callLater(0.1, self._knock)
            return
        _clock.callLater(_WARM_UP, self.begin)
        for _ in range(1 if self.batch == 1 else _BATCHES):
            self._publish()

    def _publish(self) -> None:
        for _ in range(self.batch - 1):
            self.cluster.bus.publish(_THERE, _Message(_TEXT))
        self.cluster.bus.publish(_THERE, _Message(_TEXT, time.perf_counter()))

    def _answered(self, message: _Message) -> None:
        if message.text:
            self.latencies.append(time.perf_counter() - message.last)
            _clock.callLater(0, self._publish)
        self.messages += self.batch


class _Listener(_Role):
    is_begun = False

    def start(self) -> None:
        self.cluster.bus.subscribe(_THERE, self._heard)

    def _heard(self, message: _Message) -> None:
        if message.text and not self.is_begun:
            self.is_begun = True
            _clock.callLater(_WARM_UP, self.begin)
        self.messages += 1
        if message.last:
            self.cluster.bus.publish(_BACK, message)


def main() -> None:
    """Play a role."""
    role, url, seconds, batch = sys.argv[1:]
    kind = _Publisher if role == "publisher" else _Listener
    player = kind(url, float(seconds), int(batch))
    _clock.callWhenRunning(player.start)
    _clock.run()


if __name__ == "__main__":
    main()
