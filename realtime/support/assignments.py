"""Who has which conversation, and which operators are there: in all processes.

A conversation that an operator has taken is a lease. It ends when the operator gives it back, or another takes
it, or when the operator's last connection has ended, wherever that was:

- it was closed, or its process has died: presence says that the operator has gone, every process hears that,
  and the one that finds the leases frees them;
- the process has died that took the lease: `when_freed`. If the operator is there by another process it keeps
  its conversations, as no connection of its own has anything to do with which process took them.

Whoever frees one returns it to the pool, once, and again until the database has told what is unanswered in it.

A process that was cut off so long that its leases were given up takes again those that are free (`when_lost`),
and tells of each how it stands now. So it remembers what its operators took. That is also the best guess when
Redis does not say in time who has a conversation: one that is not known to be somebody's is everybody's.

Whoever changes something tells it, and then looks whether it still is so: of two changes at the same moment
the last that is told is the one that holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Final, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from realtime.cluster.bus import Subscription
from realtime.cluster.catching_up import CatchingUp
from realtime.cluster.cluster import Cluster
from realtime.cluster.errors import ClusterUnavailable

T = TypeVar("T")

_OPERATORS: Final = "support.operators"
_LEASE: Final = "support.conversation."

SOON: Final = 1.0
"""Seconds that a message to operators waits for who has its conversation. A Redis that answers does so in
milliseconds; what waits for it longer would be late for whoever is there."""

PATIENCE: Final = 5.0
"""Seconds until a request is answered that Redis does not carry out; as long as any other waits for it."""

_UNKNOWN: Final = 0
"""Nobody's id: what is told of a conversation of which nothing true was told."""


def _lease(customer: int) -> str:
    return f"{_LEASE}{customer}"


class Assignments:
    """The operators and their conversations, seen from one process.

    Arguments:
        cluster: holds them.
        clock: for what is waited for.
        returned: shows the operators what is unanswered in a conversation that is nobody's any more, and tells
            that it is; may raise `StorageUnavailable`.
        changed: tells how a conversation stands now, has that confirmed, and returns whether there is one; may
            raise `StorageUnavailable` and `ClusterUnavailable`.
        follow: has a function called with each change that is told, a customer and who has its conversation.

    All that asks Redis may raise `ClusterUnavailable`.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: IReactorTime,
        *,
        returned: Callable[[int], Awaitable[None]],
        changed: Callable[[int], Awaitable[bool]],
        follow: Callable[[Callable[[int, int | None], None]], Subscription],
    ) -> None:
        self._presence = cluster.presence
        self._leases = cluster.leases
        self._clock = clock
        self._returned = returned
        self._changed = changed
        self._follow = follow
        self._tasks = CatchingUp(clock)
        self._here: Counter[int] = Counter()
        self._entered: set[int] = set()
        self._settling: set[int] = set()
        self._taken: dict[int, int] = {}
        self._told: dict[int, int | None] = {}
        self._following: Subscription | None = None
        cluster.when_freed(_LEASE, self._were_freed)
        cluster.when_lost(self._were_lost)
        self._presence.watch(_OPERATORS, self._came_or_went)

    # -- operators -----------------------------------------------------------------------------

    def entered(self, operator: int) -> None:
        """Count an operator's connection. While Redis is away the others learn of it later."""
        self._here[operator] += 1
        self._settle(operator)

    def left(self, operator: int) -> None:
        """Take an operator's connection back."""
        self._here[operator] -= 1
        if not self._here[operator]:
            del self._here[operator]
        self._settle(operator)

    def _settle(self, operator: int) -> None:
        if operator not in self._settling and (operator in self._here) != (operator in self._entered):
            self._settling.add(operator)
            self._tasks.run(partial(self._enter_or_leave, operator))

    async def _enter_or_leave(self, operator: int) -> bool:
        while (operator in self._here) != (operator in self._entered):
            if operator in self._here:
                await self._presence.enter(_OPERATORS, str(operator))
                self._entered.add(operator)
            else:
                self._entered.discard(operator)
                await self._presence.leave(_OPERATORS, str(operator))
        self._settling.discard(operator)
        return True

    async def _is_present(self, operator: int) -> bool:
        return operator in self._here or await self._presence.is_present(_OPERATORS, str(operator))

    # -- who has what --------------------------------------------------------------------------

    async def holders(self, customers: Collection[int]) -> Mapping[int, int]:
        """Return who has each of some conversations; those that nobody has are left out."""
        return _operators(await self._leases.holders(map(_lease, customers)))

    async def holder(self, customer: int) -> int | None:
        """Return who has a conversation."""
        return (await self.holders([customer])).get(customer)

    def holder_soon(self, customer: int) -> Deferred[int | None]:
        """Fires with the same, or with what this process knows if Redis does not say in time."""
        asked = _soon(self._leases.holder(_lease(customer)), self._clock)

        def guess(failure: Failure) -> int | None:
            failure.trap(ClusterUnavailable)
            return self._taken.get(customer)

        return asked.addCallbacks(lambda holder: None if holder is None else int(holder), guess)

    async def holders_soon(self, customers: Collection[int]) -> tuple[Mapping[int, int], bool]:
        """Return the same of some conversations, and whether it is known."""
        try:
            found = await _soon(self._leases.holders(map(_lease, customers)), self._clock)
        except ClusterUnavailable:
            return {each: self._taken[each] for each in customers if each in self._taken}, False
        return _operators(found), True

    async def take(self, customer: int, operator: int) -> bool:
        """Give a conversation to an operator of this process, whoever has it; ``False``: it has just left."""
        try:
            await self._leases.take(_lease(customer), str(operator))
        except ClusterUnavailable:
            # Perhaps it was done all the same: whatever holds in the end is told.
            self.tell(customer)
            raise
        return await self._keep_if_present(customer, operator)

    async def release(self, customer: int, operator: int) -> bool:
        """Free a conversation if an operator has it; return whether it had.

        What is not carried out in time is carried out later, and told then.
        """
        self._forget(customer, operator)
        released = self._leases.release(_lease(customer), str(operator))
        try:
            return await _soon(released, self._clock, PATIENCE)
        except ClusterUnavailable:
            self.tell(customer)
            raise

    async def _keep_if_present(self, customer: int, operator: int) -> bool:
        """Remember what an operator was given, or free it again: nobody who isn't there has a conversation."""
        if await self._is_present(operator):
            self._remember(customer, operator)
            return True
        await self._leases.release(_lease(customer), str(operator))
        return False

    def tell(self, customer: int) -> None:
        """Tell how a conversation stands, as soon as that can be known."""
        self.confirm(customer, _UNKNOWN)

    def confirm(self, customer: int, told: int | None) -> None:
        """See to it that what was told last of who has a conversation is so, or tell how it stands."""
        is_waiting = customer in self._told
        self._told[customer] = told
        if not is_waiting:
            self._tasks.run(partial(self._confirm, customer))

    async def _confirm(self, customer: int) -> bool:
        while await self.holder(customer) != self._told[customer]:
            if not await self._changed(customer):
                break
        del self._told[customer]
        return True

    # -- what this process remembers -----------------------------------------------------------

    def _remember(self, customer: int, operator: int) -> None:
        self._taken[customer] = operator
        if self._following is None:
            self._following = self._follow(self._was_told)

    def _forget(self, customer: int, operator: int) -> None:
        if self._taken.get(customer) == operator:
            del self._taken[customer]
        if not self._taken and self._following is not None:
            self._following.cancel()
            self._following = None

    def _was_told(self, customer: int, holder: int | None) -> None:
        taken_by = self._taken.get(customer)
        if taken_by is not None and holder != taken_by:
            self._forget(customer, taken_by)

    # -- when operators and processes go -------------------------------------------------------

    def _came_or_went(self, member: str, is_present: bool) -> None:
        if not is_present:
            self._tasks.run(partial(self._free_all, int(member)))

    async def _free_all(self, operator: int) -> bool:
        if not await self._is_present(operator):  # not back already, as after a page was loaded again
            for name in await self._leases.release_all(str(operator)):
                self._tasks.run(partial(self._inherit, _customer(name), operator))
        return True

    def _were_freed(self, freed: Mapping[str, str]) -> None:
        for name, holder in freed.items():
            self._tasks.run(partial(self._inherit, _customer(name), int(holder)))

    async def _inherit(self, customer: int, operator: int) -> bool:
        """Leave a freed conversation to its operator who is there, or return it to the pool."""
        holder = await self._claim(customer, operator) if await self._is_present(operator) else None
        if holder != operator:
            self._forget(customer, operator)
        if holder is None:
            await self._returned(customer)
        return True

    def _were_lost(self) -> None:
        for customer, operator in list(self._taken.items()):
            self._tasks.run(partial(self._regain, customer, operator))

    async def _regain(self, customer: int, operator: int) -> bool:
        if self._taken.get(customer) == operator:  # and not given back, or another's, meanwhile
            await self._inherit(customer, operator)
            self.tell(customer)
        return True

    async def _claim(self, customer: int, operator: int) -> int | None:
        """Give a conversation to an operator if it is free; return who has it then, of those who are there."""
        holder = int(await self._leases.claim(_lease(customer), str(operator)))
        if holder == operator and not await self._keep_if_present(customer, operator):
            return None
        return holder


def _customer(lease: str) -> int:
    return int(lease.removeprefix(_LEASE))


def _operators(found: Mapping[str, str]) -> dict[int, int]:
    return {_customer(name): int(holder) for name, holder in found.items()}


def _soon(asked: Deferred[T], clock: IReactorTime, seconds: float = SOON) -> Deferred[T]:
    """Wait for an answer of Redis no longer than that; what was asked for is done all the same."""
    return asked if asked.called else asked.addTimeout(seconds, clock, _too_late)


def _too_late(_: object, seconds: float) -> NoReturn:
    raise ClusterUnavailable(f"Redis does not answer in {seconds} s")
