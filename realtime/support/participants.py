"""What the two sides of a support conversation have in common: how they are shown what is said.

A participant is one authenticated connection's. It listens before it reads what there is (so that
nothing falls between the two), shows that, and from then on what it hears.

After a gap it reads again what it would be shown if it authenticated now, and shows what of that it has not
been shown. It remembers that by the ids, not by the highest one: with several processes a lower id may be
committed after a higher one was shown. What was lost on the way here was committed before, and the gap is told
after: so one reading finds it, and if the database is away, the first one that succeeds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from realtime.accounts.store import User
from realtime.cluster.bus import Subscription
from realtime.cluster.catching_up import Told
from realtime.support import messages
from realtime.support.desk import Changed, Desk, Posted, as_customer_sees
from realtime.support.messages import Message, OperatorMessage, parameters
from realtime.support.store import LATEST
from realtime.websocket import frames

Said = TypeVar("Said", Message, "OperatorMessage | None")
Result = dict[str, Any]
Method = Callable[[Any, Any], Deferred[Result]]
"""Takes the participant and the parameters; raises `Refused`, at once or by its Deferred."""


class Refused(Exception):
    """A request is answered with an error of the table."""

    def __init__(self, error: messages.Error) -> None:
        super().__init__(error.message)
        self.error = error


class Pushes:
    """Builds the frames that are pushed: one for each form, however many connections get it.

    ``with_id`` makes the id of a push its message's, as the document's sample draws it; otherwise it
    is null, so that it can't be taken for the answer to a request.
    """

    def __init__(self, *, with_id: bool) -> None:
        self._with_id = with_id
        self._last: dict[str, tuple[object, bytes]] = {}

    def message(self, message: Message) -> bytes:
        """Return the push of a message, in the form that it has."""
        push_id = message.message_id if self._with_id else None
        return frames.text(messages.encode_push({"message": message}, push_id))

    def customer(self, posted: Posted) -> bytes:
        """Return the push of a message to its customer."""
        return self._once("customer", posted, lambda: self.message(as_customer_sees(posted.message)))

    def operator(self, posted: Posted) -> bytes:
        """Return the push of a message to an operator."""
        return self._once("operator", posted, lambda: self.message(posted.message))

    def changed(self, changed: Changed) -> bytes:
        """Return the push of a changed conversation to an operator."""
        conversation = {"conversation": changed.conversation}
        return self._once("changed", changed, lambda: frames.text(messages.encode_push(conversation, None)))

    def _once(self, form: str, event: object, build: Callable[[], bytes]) -> bytes:
        # An event goes to all its receivers in one turn, so remembering the last one is enough.
        last = self._last.get(form)
        if last is None or last[0] is not event:
            last = self._last[form] = event, build()
        return last[1]


class Outlet(Protocol):
    """The way to the client."""

    origin: str
    """Names the connection in what it says, so that it does not hear itself."""

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that others get as well."""


class Participant(ABC):
    """What customers and operators have in common."""

    __slots__ = (
        *("_collected", "_desk", "_has_gap", "_history_bytes", "_outlet", "_pushes", "_saying", "_shown"),
        *("_subscriptions", "user"),
    )
    methods: ClassVar[Mapping[str, Method]]
    _remembered: ClassVar[int]

    def __init__(self, user: User, outlet: Outlet, desk: Desk, pushes: Pushes, history_bytes: int) -> None:
        self.user = user
        self._outlet = outlet
        self._desk = desk
        self._pushes = pushes
        self._history_bytes = history_bytes
        self._shown = Told(self._remembered)
        self._saying = 0
        self._has_gap = False
        self._collected: list[Posted] | None = []
        self._subscriptions: tuple[Subscription, ...] = ()

    # -- for each side to say ------------------------------------------------------------------

    @abstractmethod
    def _listen(self) -> Subscription:
        """Subscribe to what is said."""

    @abstractmethod
    def _read(self) -> Deferred[Any]:
        """Read the messages that a client is shown when it authenticates."""

    @abstractmethod
    async def _read_lately(self) -> list[Any]:
        """Read what a client should have been shown by now, in order of time."""

    @abstractmethod
    def _is_own(self, message: Any) -> bool:
        """Whether a message may have come by this connection."""

    @abstractmethod
    def _concerns(self, posted: Posted) -> bool:
        """Take note of a message; whether it is to be shown here."""

    @abstractmethod
    def _encode(self, posted: Posted) -> bytes:
        """Return the frame that pushes a message."""

    # -- the same for both ---------------------------------------------------------------------

    async def follow(self) -> list[Message]:
        """Begin to listen, then read what there is; what is heard meanwhile is collected.

        While Redis is away that waits for two seconds, and goes on with what is said at this process.
        """
        subscription = self._listen()
        self._subscriptions += (subscription,)
        await subscription.active
        return await self.read()

    async def read(self) -> list[Message]:
        """Return what a client is shown when it authenticates, in order of time."""
        return messages.newest_that_fit(await self._read(), self._history_bytes)

    def begin(self, found: list[Message]) -> None:
        """``found`` has been shown: go on with what was collected, then with what is heard."""
        for message in found:
            self._shown.add(message.message_id)
        collected, self._collected = self._collected or [], None
        for posted in collected:
            self._heard(posted)

    def end(self) -> None:
        """Hear nothing more."""
        for subscription in self._subscriptions:
            subscription.cancel()
        self._subscriptions = ()
        self._collected = None

    def _heard(self, posted: Posted) -> None:
        if self._collected is not None:
            self._collected.append(posted)
        elif posted.message.message_id not in self._shown and self._concerns(posted):
            # (Shown already: what was read can be newer than what has been heard.)
            self._shown.add(posted.message.message_id)
            self._outlet.send_frame(self._encode(posted))

    def _say(self, sent: Deferred[Said]) -> Deferred[Said]:
        """Note what this connection says itself: its client has it by the answer."""
        self._saying += 1

        def said(message: Said) -> Said:
            self._saying -= 1
            if message is not None:
                self._shown.add(message.message_id)
            return message

        def not_said(failure: Failure) -> Failure:
            self._saying -= 1
            return failure

        return sent.addCallbacks(said, not_said)

    def _gap(self) -> None:
        """Messages may have been lost on the way here: look into the database for them."""
        if not self._has_gap:
            self._has_gap = True
            self._desk.catching_up.run(self._catch_up)

    async def _catch_up(self) -> bool:
        if not self._subscriptions:
            return True
        if self._collected is not None:
            return False  # not shown yet what there is, or still looking after an earlier gap
        self._has_gap = False
        self._collected = []
        try:
            found = messages.newest_that_fit(await self._read_lately(), self._history_bytes)
        except Exception:
            self._has_gap = True
            self.begin([])
            raise
        if not self._subscriptions:
            return True
        missed = [message for message in found if self._shown.is_news(message.message_id)]
        # What it is just saying itself can be stored and not answered yet.
        certain = [message for message in missed if not (self._saying and self._is_own(message))]
        for message in certain:
            self._outlet.send_frame(self._pushes.message(message))
        self.begin(certain)
        return len(certain) == len(missed)

    def _history_limits(self, before: int | None, count: int | None) -> tuple[int, int]:
        before = LATEST if before is None else before
        count = messages.MESSAGES_AT_ONCE if count is None else count
        if before < 1 or count < 1:
            raise Refused(messages.INCORRECT_ARGUMENT)
        return min(before, LATEST), min(count, messages.MESSAGES_AT_ONCE)

    def forbidden(self, params: Any) -> Deferred[Result]:
        """What only the other side may ask for."""
        raise Refused(messages.PERMISSION_DENIED)

    def _as_result(self, found: list[Any]) -> Result:
        return {"messages": messages.newest_that_fit(found, self._history_bytes) or None}


def expect(params: Any, *types: type, optional: int = 0) -> list[Any]:
    """Return the parameters of a request (see `messages.parameters`), or refuse it."""
    values = parameters(params, *types, optional=optional)
    if values is None:
        raise Refused(messages.INCORRECT_ARGUMENT)
    return values
