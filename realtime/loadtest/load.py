"""A load test while it runs: clients come, messages go at their times, and what arrives is counted.

A message's latency runs from the moment at which it was to be sent until its addressee has it. ``lateness`` is
the part of it that is ours: how much later than that it was sent. Where it is large, this process, and not the
server, was what could do no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from realtime.client import Client, ClientError, ConnectionEnded, Ended, RequestFailed
from realtime.loadtest.scenarios import Cast, Participant
from realtime.loadtest.schedule import Schedule
from realtime.loadtest.statistics import Latencies, Summary

_POLL: Final = 0.02
"""Seconds between two looks at whether the last messages have arrived."""

_CLOSE_AT_ONCE: Final = 200


class Second(Struct, frozen=True):
    """What happened in one second, which ended ``at`` so many from the beginning. Latencies in milliseconds."""

    at: float
    connected: int
    sent: int
    received: int
    errors: int
    latency: Summary


class Result(Struct, frozen=True):
    """What came of a test. Latencies, lateness and rates are of the messages due after the ramp.

    ``lost`` were sent and did not arrive, ``unsent`` could not be sent: there was no connection, or no partner.
    """

    connected: int
    sent: int
    received: int
    lost: int
    unsent: int
    errors: dict[str, int]
    received_a_second: float
    latency: Summary
    lateness: Summary
    seconds: list[Second]


class Load:
    """One test; `run` does it. ``told`` is called with each second as it is over."""

    def __init__(
        self, schedule: Schedule, reactor: Any, told: Callable[[Second], None], grace: float = 5.0
    ) -> None:
        self._schedule = schedule
        self._reactor = reactor
        self._told = told
        self._grace = grace
        self._name = token_hex(4)
        self._begin = 0.0
        self._number = 0
        self._turn = 0
        self._under_way: dict[int, float] = {}
        self._started = 0
        self._next: IDelayedCall | None = None
        self._participants: Sequence[Participant] = ()
        self._sent = self._received = self._unsent = self._errors_before = 0
        self._errors: Counter[str] = Counter()
        self._latency, self._lateness, self._latency_now = Latencies(), Latencies(), Latencies()
        self._seconds: list[Second] = []
        self._before = (0, 0)

    async def run(self, cast: Cast) -> Result:
        """Do it, and close all clients. Raises `ClientError` if the helpers can't connect."""
        self._participants = cast.participants
        clients = [*cast.helpers, *(each.client for each in cast.participants)]
        try:
            for helper in cast.helpers:
                await helper.start()
            for participant in cast.participants:
                participant.client.listen(Ended, self._ended)
            await self._drive()
            connected = self._connected()
        finally:
            await self._close(clients)
        latency = self._latency.summary()
        return Result(
            connected,
            self._sent,
            self._received,
            len(self._under_way),
            self._unsent,
            dict(self._errors),
            round(latency.count / self._schedule.duration, 1),
            latency,
            self._lateness.summary(),
            self._seconds,
        )

    def received(self, text: str) -> None:
        """Count a message that has arrived. What is not of this test is passed over."""
        name, _, number = text.partition(" ")
        if name != self._name or not number.isdigit():
            return
        due = self._under_way.pop(int(number), None)
        if due is not None:
            latency = self._now() - due
            self._received += 1
            self._latency_now.add(latency)
            if due >= self._schedule.ramp:
                self._latency.add(latency)

    # -- driving -------------------------------------------------------------------------------

    async def _drive(self) -> None:
        self._begin = self._reactor.seconds()
        counting = LoopingCall(self._second)
        counting.clock = self._reactor
        counting.start(1.0, now=False)
        self._go_on()
        try:
            await deferLater(self._reactor, self._schedule.end)
            deadline = self._now() + self._grace
            while self._now() < deadline and (self._next is not None or self._under_way):
                await deferLater(self._reactor, _POLL)
        finally:
            counting.stop()
            if self._next is not None:
                self._next.cancel()

    def _go_on(self) -> None:
        """Do what is due, and wait for what is due next."""
        self._next = None
        start = self._schedule.start_of(self._started)
        while start is not None and start <= self._now():
            participant = self._participants[self._started]
            self._started += 1
            participant.start().addErrback(self._not_started, participant)
            start = self._schedule.start_of(self._started)
        due = self._schedule.time_of(self._number + 1)
        while due is not None and due <= self._now():
            self._number += 1
            self._send(self._number, due)
            due = self._schedule.time_of(self._number + 1)
        moments = [each for each in (start, due) if each is not None]
        if moments:
            self._next = self._reactor.callLater(max(0.0, min(moments) - self._now()), self._go_on)

    def _send(self, number: int, due: float) -> None:
        participant = self._next_ready()
        if participant is None:
            self._unsent += 1
            return
        # Before it is sent: what goes round in this process may be back at once.
        self._under_way[number] = due
        if due >= self._schedule.ramp:
            self._lateness.add(self._now() - due)
        try:
            sent = participant.send(f"{self._name} {number}")
        except ClientError:
            self._failed(Failure(), number)
            return
        self._sent += 1
        if sent is not None:
            sent.addErrback(self._failed, number)

    def _next_ready(self) -> Participant | None:
        for _ in range(self._started):
            self._turn = (self._turn + 1) % self._started
            if self._participants[self._turn].is_ready:
                return self._participants[self._turn]
        return None

    def _failed(self, failure: Failure, number: int | None = None) -> None:
        error = failure.value
        if isinstance(error, ConnectionEnded) and error.code == 1000:
            return  # closed by us
        if number is not None:
            self._under_way.pop(number, None)
        name = type(error).__name__
        self._errors[
            f"{name} {error.code}" if isinstance(error, RequestFailed | ConnectionEnded) else name
        ] += 1

    def _not_started(self, failure: Failure, participant: Participant) -> None:
        if participant.client.is_connected:  # if it is not, `_ended` is told
            self._failed(failure)

    def _ended(self, ended: Ended) -> None:
        self._failed(Failure(ended.error))

    # -- counting ------------------------------------------------------------------------------

    def _second(self) -> None:
        sent, received = self._before
        self._before = self._sent, self._received
        errors = self._errors.total()
        second = Second(
            round(self._now(), 1),
            self._connected(),
            self._sent - sent,
            self._received - received,
            errors - self._errors_before,
            self._latency_now.summary(),
        )
        self._errors_before = errors
        self._latency_now = Latencies()
        self._seconds.append(second)
        self._told(second)

    def _connected(self) -> int:
        return sum(each.client.is_connected for each in self._participants)

    def _now(self) -> float:
        now: float = self._reactor.seconds() - self._begin
        return now

    async def _close(self, clients: Sequence[Client]) -> None:
        for begin in range(0, len(clients), _CLOSE_AT_ONCE):
            closing: list[Deferred[None]] = [each.close() for each in clients[begin : begin + _CLOSE_AT_ONCE]]
            await DeferredList(closing)
