"""The place of a process among the others: its life, and what becomes of what it had.

A process has a name for each life. It says every two seconds that it lives, and who hasn't for seven is dead:
whoever notices takes back what the dead one had, in pieces; each piece is taken back once, however many notice.
So what a dead process had is free within nine seconds, as long as any process lives or starts.

A process that was cut off for longer finds itself dead when it comes back. It begins another life: what it had
entered is entered again, and `lost` is called, as its leases are another's or nobody's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from realtime.cluster.errors import ClusterUnavailable
from realtime.cluster.redis_address import RedisAddress
from realtime.cluster.redis_connection import Lost, RedisConnection
from realtime.cluster.redis_operations import Arguments, Operation, Operations
from realtime.cluster.redis_scripts import BURY, HEARTBEAT, JOIN, PROCESS_LENGTH, SCRIPTS, Names, Script
from realtime.cluster.redis_ticket_scripts import TICKET_SCRIPTS

HEARTBEAT_SECONDS: Final = 2.0
LIFE_SECONDS: Final = 7.0
"""After its last heartbeat a process is taken to live so long. With a heartbeat more, for somebody to notice,
that is below the ten seconds that are promised; and Redis may be away for five without anybody being buried."""

_STOP_SECONDS: Final = 2.0
"""For the last operations, and again to take back what is left, when the process ends."""

_REFUSALS: Final = {"OOM", "MISCONF", "BUSY", "LOADING", "MASTERDOWN", "NOREPLICAS"}
"""Kinds of answers of a Redis that does nothing for now, but may soon. (READONLY says that another is in
charge: it is looked for with a new connection.)"""


class Standing(Enum):
    """Where this process stands."""

    AWAY = "no connection"
    GREETING = "asking whether it still is a member"
    MEMBER = "operations are carried out"
    STALLED = "Redis refuses for now"
    LEAVING = "on its way out"


class RedisProcess:
    """A process among the others.

    Arguments:
        address: the Redis.
        names: of keys and channels.
        name: what Redis lists the connection as.
        reactor: connects, and is the clock.
        lost: called when everything this process had is lost; it is about to be entered again.
        restored: returns what Redis had of this process, as operations that enter it again.
        freed: called with the leases of a dead process, names and holders, that this process found.
        ready: called when there is a connection to publish on, or room in it again.
        missed: called with channels on which messages may not have arrived.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        address: RedisAddress,
        names: Names,
        name: str,
        reactor: Any,
        lost: Callable[[], None],
        restored: Callable[[], Iterable[tuple[Script, Arguments]]],
        freed: Callable[[dict[str, str]], None],
        ready: Callable[[], None],
        missed: Callable[[list[bytes]], None],
    ) -> None:
        self.name = ""
        self.standing = Standing.AWAY
        self._names = names
        self._clock = reactor
        self._on_lost = lost
        self._restored = restored
        self._freed = freed
        self._on_ready = ready
        self._missed = missed
        self._has_joined = False
        self._burying: set[str] = set()
        self._tick: IDelayedCall | None = None
        self._operations = Operations(reactor, self._run, self._refused)
        self._connection = RedisConnection(
            address=address,
            what="commands",
            name=name,
            reactor=reactor,
            make=self._make,
            prepare=self._load,
            ready=self._ready,
            lost=self._lost,
        )

    def start(self) -> None:
        """Connect, and live."""
        self._connection.start()
        self._tick = self._clock.callLater(HEARTBEAT_SECONDS, self._beat)

    def stop(self) -> Deferred[None]:
        """Give back all that is left, and end the connection; what still waits fails."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        was_member = self.is_member
        if was_member:
            await self._until(self._operations.drained())
        self.standing = Standing.LEAVING
        self._operations.end()
        if was_member:
            await self._until(Deferred.fromCoroutine(self._bury(self.name, alive=True)))
        await self._connection.stop()

    async def _until(self, deferred: Deferred[None]) -> None:
        try:
            await deferred.addTimeout(_STOP_SECONDS, self._clock)
        except Exception as error:
            self._log.debug("cluster: not all was given back: {kind}", kind=type(error).__name__)

    # -- for bus, presence and leases ----------------------------------------------------------

    @property
    def is_member(self) -> bool:
        """Whether operations are carried out."""
        return self.standing is Standing.MEMBER

    def publish(self, channel: bytes, payload: bytes) -> bool:
        """Publish a message; return whether it is on its way."""
        protocol = self._connection.protocol
        return protocol is not None and protocol.publish(channel, payload)

    def perform(
        self, script: Script, *arguments: str | bytes | int, patient: bool = False, undo: Script | None = None
    ) -> Deferred[Any]:
        """Carry out an operation that changes something, once. See `Operations.add`."""
        return self._operations.add(script, arguments, patient=patient, changes=True, undo=undo)

    def ask(self, script: Script, *arguments: str | bytes | int, patient: bool = False) -> Deferred[Any]:
        """Ask something, after all operations before. See `Operations.add`."""
        return self._operations.add(script, arguments, patient=patient, changes=False)

    # -- the connection ------------------------------------------------------------------------

    def _make(self, lost: Lost) -> Any:
        from realtime.cluster.redis_protocol import CommandProtocol

        return CommandProtocol(lost, lambda channel: self._missed([channel]), self._on_ready)

    async def _load(self, protocol: Any) -> None:
        scripts = (*SCRIPTS, *TICKET_SCRIPTS)
        loading = [protocol.execute_command(b"SCRIPT", b"LOAD", script.text) for script in scripts]
        for succeeded, result in await DeferredList(loading, consumeErrors=True):
            if not succeeded:
                result.raiseException()

    def _ready(self, _: Any) -> None:
        self._on_ready()
        if self.standing is not Standing.LEAVING:
            self._greet()

    def _lost(self, channels: list[bytes]) -> None:
        self._stand(Standing.AWAY)
        if channels:
            self._missed(channels)

    def _run(self, script: Script, *arguments: str | bytes | int) -> Deferred[Any]:
        protocol = self._connection.protocol
        if protocol is None:
            return fail(ClusterUnavailable("not connected"))
        asked: Deferred[Any] = protocol.execute_command(
            b"EVALSHA", script.digest, 1, self._names.root, *arguments
        )
        return asked

    def _stand(self, standing: Standing) -> None:
        if self.standing is not Standing.LEAVING:
            self.standing = standing
            if standing is Standing.MEMBER:
                self._operations.resume()
            else:
                self._operations.pause()

    def _refused(self, failure: Failure) -> bool:
        """Do what is due when Redis carries out nothing; return whether that is so."""
        kind = str(failure.value).partition(" ")[0]
        if kind == "NOLONGER":
            self._died()
        elif kind in ("NOSCRIPT", "READONLY"):
            self._abort()  # the next connection loads them, or finds who is in charge
        elif kind in _REFUSALS:
            if self.standing in (Standing.MEMBER, Standing.GREETING):
                self._log.warn("cluster: Redis refuses: {kind}", kind=kind)
                self._stand(Standing.STALLED)  # until the next heartbeat
        else:
            return False
        return True

    def _abort(self) -> None:
        if self._connection.protocol is not None:
            self._connection.protocol.abort()

    # -- life ----------------------------------------------------------------------------------

    def _greet(self) -> None:
        """Live on; or begin a life, the first one or after this process was taken for dead."""
        self._stand(Standing.GREETING)
        if self._has_joined:
            self._live()
        else:
            self._join()

    def _join(self, restoring: Iterable[Operation] = ()) -> None:
        self.name = secrets.token_hex(PROCESS_LENGTH // 2)
        self._operations.begin(self.name, restoring)
        joined = self._run(JOIN, self.name, int(LIFE_SECONDS * 1000))
        joined.addCallbacks(self._joined, self._not_alive, (self.name,), {}, (self.name,))

    def _joined(self, _: object, name: str) -> None:
        if name == self.name:
            self._has_joined = True
            # Who died before this process came is found at once, not at the first heartbeat.
            self._live()

    def _live(self) -> None:
        lived = self._run(HEARTBEAT, self.name, int(LIFE_SECONDS * 1000))
        lived.addCallbacks(self._lived, self._not_alive, (self.name,), {}, (self.name,))

    def _lived(self, dead: list[bytes], name: str) -> None:
        self._found_dead(dead)
        if self.standing is Standing.GREETING and name == self.name:
            self._stand(Standing.MEMBER)

    def _not_alive(self, failure: Failure, name: str) -> None:
        if failure.check(ClusterUnavailable) or name != self.name:
            return
        if not self._refused(failure):
            self._abort()  # to try again in a while, and not at once

    def _died(self) -> None:
        """Begin the next life: this process was taken for dead."""
        if self.standing is Standing.LEAVING or not self._has_joined:
            return
        self._log.warn("cluster: this process was cut off for too long, what it had was given up")
        self._has_joined = False
        self._stand(Standing.GREETING)
        self._join([Operation(script, arguments, restores=True) for script, arguments in self._restored()])
        self._call(self._on_lost)

    def _beat(self) -> None:
        self._tick = self._clock.callLater(HEARTBEAT_SECONDS, self._beat)
        if self.standing is Standing.STALLED:
            self._greet()
        if self.standing is Standing.MEMBER:
            self._live()
        else:
            self._operations.expire()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception:
            self._log.failure("cluster: who is told what was lost or freed failed")

    # -- the dead ------------------------------------------------------------------------------

    def _found_dead(self, processes: list[bytes]) -> None:
        for process in processes:
            name = process.decode()
            if name not in self._burying and name != self.name:
                self._burying.add(name)
                buried = Deferred.fromCoroutine(self._bury(name))
                buried.addErrback(lambda _: None)  # others do it, or this one at its next heartbeat
                buried.addBoth(lambda _, name: self._burying.discard(name), name)

    async def _bury(self, name: str, *, alive: bool = False) -> None:
        """Take back what a dead process had, and tell of its leases."""
        more = 1
        while more:
            more, *freed = await self._run(BURY, name, int(alive))
            texts = [each.decode() for each in freed]
            if texts:
                self._call(self._freed, dict(zip(texts[::2], texts[1::2], strict=True)))
