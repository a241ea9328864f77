"""The exchange: what the market connections of a process share, and how one hears what another did.

Every connection of a user listens to the user's topic. What is told there once goes to all of them, in one
order, and is built once for each form that they speak. It only makes things fast: what was said and done is in
the database first. After a gap of the bus each connection looks there for what it has missed (`catching_up`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Final

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from realtime.cluster.bus import Bus, Subscription, Topic
from realtime.cluster.catching_up import CatchingUp
from realtime.market import codec
from realtime.market.codec import Form
from realtime.market.messages import (
    AlertNewMessage,
    MessageSeen,
    ServerMessage,
    UpdateConversation,
)
from realtime.market.showing import in_html
from realtime.market.store import Created, MarketStore, Seen, Step
from realtime.websocket import frames

SEEN_AT_ONCE: Final = 100
"""Notices of one conversation in one turn of the reactor: one that is long is no reason to stand still."""


class Told(Struct, frozen=True):
    """What a user's connections are told, in this order; but not the one that is its ``origin``."""

    origin: str = ""
    alert: AlertNewMessage | None = None
    update: UpdateConversation | None = None
    seen: tuple[MessageSeen, ...] = ()

    def messages(self) -> Iterator[ServerMessage]:
        """Yield them."""
        if self.alert is not None:
            yield self.alert
        if self.update is not None:
            yield self.update
        yield from self.seen


def _of_user(user_id: int) -> Topic[Told]:
    return Topic(f"market.user.{user_id}", Told)


class Packets:
    """Builds frames. What is told to many is built once for each form."""

    def __init__(self, *, escape_html: bool) -> None:
        self._escape_html = escape_html
        self._last: dict[Form, tuple[Told, list[bytes]]] = {}

    def frame(self, form: Form, message: ServerMessage) -> bytes:
        """Return the frame of a message."""
        payload = codec.encode(form, in_html(message) if self._escape_html else message)
        return frames.binary(payload) if form.is_binary else frames.text(payload)

    def told(self, form: Form, told: Told) -> list[bytes]:
        """Return the frames of what is told."""
        # It goes to all its receivers in one turn, so remembering the last is enough.
        last = self._last.get(form)
        if last is None or last[0] is not told:
            last = self._last[form] = told, [self.frame(form, message) for message in told.messages()]
        return last[1]


class Exchange:
    """What all market connections of a process share."""

    def __init__(
        self, *, store: MarketStore, bus: Bus, packets: Packets, clock: IReactorTime, history_bytes: int
    ) -> None:
        self.store = store
        self.packets = packets
        self.clock = clock
        self.history_bytes = history_bytes
        self.catching_up = CatchingUp(clock)
        self._bus = bus
        self._process = token_hex(8)

    def origin(self, connection: int) -> str:
        """Return the name of a connection that no other in the cluster has."""
        return f"{self._process}.{connection}"

    def now(self) -> int:
        """Return the time in Unix milliseconds."""
        return int(self.clock.seconds() * 1000)

    def follow(self, user_id: int, told: Callable[[Told], None], gap: Callable[[], None]) -> Subscription:
        """Hear what a user is told."""
        return self._bus.subscribe(_of_user(user_id), told, gap)

    def said(self, author: int, created: Created, origin: str) -> None:
        """Tell of a message that was stored, the other party and the author's other connections."""
        told = Told(origin, alert=AlertNewMessage(created.message.conversation, created.message))
        for user_id in (created.other, author):
            self._bus.publish(_of_user(user_id), told)

    def stepped(self, step: Step) -> None:
        """Tell both parties of a step: what the system says of it, then how the services stand."""
        told = Told(
            alert=AlertNewMessage(step.conversation, step.message),
            update=UpdateConversation(step.conversation, tuple(step.services)),
        )
        for user_id in step.parties:
            self._bus.publish(_of_user(user_id), told)

    def seen(self, conversation: int, seen: Seen) -> None:
        """Tell an author which messages were seen; so many in a turn."""
        ids, rest = seen.message_ids[:SEEN_AT_ONCE], seen.message_ids[SEEN_AT_ONCE:]
        if ids:
            notices = tuple(MessageSeen(conversation, message_id) for message_id in ids)
            self._bus.publish(_of_user(seen.author), Told(seen=notices))
        if rest:
            self.clock.callLater(0, self.seen, conversation, Seen(seen.author, rest))
