"""A user of messenger that never gives up, and notes whatever contradicts what messenger promises.

It sends dialogs, each with a ``clientMessageId``; after each reconnect it sends again, in order, what has no
outcome. Its memory survives the daemon. Faults are:

- an outcome that changes, or is of another dialog; SUCCESS of what its receiver does not have;
- a dialog that comes a second time with another ``messageId``; the first time, out of its sender's order;
- in the end, what has no outcome, or has failed and arrived nonetheless.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall

from tests.endtoend.client import connect
from tests.scenarios.messenger_client import Chatter

if TYPE_CHECKING:
    from tests.scenarios.messenger_load import Load

_IN_FLIGHT = 12
"""Dialogs without an outcome, beside those for who is seldom there."""

_TO_SLEEPER = 25
_NOBODY = "999999"
_CUTS = {1006, 4409}
"""How connections may end: lost with the daemon or cut by us; refused, as the older one is still there."""

_LAZINESS = 0.005
"""Seconds after which a lazy user answers the latest of the pings that have come."""


@dataclass(slots=True)
class Sent:
    """A dialog as its sender knows it. ``data`` is its ``clientData``; ``outcome`` SUCCESS, ERROR or none."""

    number: int
    receiver: str
    data: dict[str, Any]
    outcome: str = ""
    message_id: int = 0


class Line(Chatter):
    """A connection of ``user``, who answers each ping at once or, if it is ``lazy``, the latest of many."""

    user: User | None = None
    _asked = b""
    _answering: IDelayedCall | None = None

    def onPing(self, payload: bytes) -> None:
        """Show that we live, and have what came before."""
        from twisted.internet import reactor

        if self.user is None or not self.user.lazy:
            super().onPing(payload)
            return
        self._asked = payload
        if self._answering is None:
            self._answering = reactor.callLater(_LAZINESS, self._answer)

    def _answer(self) -> None:
        self._answering = None
        self.sendPong(self._asked)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Give the user a message."""
        if self.user is not None:
            self.user.take(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Answer no more."""
        if self._answering is not None:
            self._answering.cancel()
        super().onClose(wasClean, code, reason)


class User:
    """One of the users; it lives as long as the load does."""

    def __init__(self, load: Load, name: str, user_id: str, token: str) -> None:
        self.name = name
        self.id = user_id
        self.lazy = int(user_id) % 2 == 0
        self.sent: list[Sent] = []
        self.unknown: dict[int, Sent] = {}
        self.received: dict[tuple[str, int], int] = {}
        self._latest: dict[str, tuple[int, int]] = {}
        self._load = load
        self._token = token
        self._line: Line | None = None
        self._is_in = False

    async def live(self) -> None:
        """Connect, again and again."""
        while True:
            port = await self._load.address(self)
            if not port:
                return
            with suppress(ConnectionError):
                line: Line = await connect(
                    port, "/messenger", protocol=Line, headers={"authToken": self._token}
                )
                self._line = line
                line.user = self
                code = await line.closed
                if code not in _CUTS and not self._load.is_over:
                    self._fault(f"was closed with {code}")
            self._line, self._is_in = None, False

    def cut(self) -> None:
        """Lose the connection."""
        if self._line is not None:
            self._line.cut()

    @property
    def is_done(self) -> bool:
        """Whether it is there and knows what has become of everything."""
        return self._is_in and not self.unknown

    # -- sending -------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Send something new while little is under way."""
        if not self._is_in or self._load.is_finishing:
            return
        to = Counter(sent.receiver for sent in self.unknown.values())
        sleeper = self._load.sleeper.id
        random = self._load.random
        while sum(to.values()) - to[sleeper] < _IN_FLIGHT:
            receiver = random.choice([*self._load.users, _NOBODY])
            if receiver == sleeper and to[sleeper] >= _TO_SLEEPER:
                continue
            number = len(self.sent)
            size = random.choice((10, 10, 10, 200, 30_000))
            sent = Sent(number, receiver, {"from": self.id, "number": number, "to": receiver, "x": "x" * size})
            self.sent.append(sent)
            self.unknown[number] = sent
            to[receiver] += 1
            self._send(sent)

    def _send(self, sent: Sent) -> None:
        head = {"receiver": sent.receiver, "clientMessageId": str(sent.number)}
        message = {"type": "DIALOG_MESSAGE", "clientData": sent.data, "serverData": head}
        if self._line is not None:
            self._line.sendMessage(json.dumps(message).encode())

    # -- receiving -----------------------------------------------------------------------------

    def take(self, message: dict[str, Any]) -> None:
        """Take a message of the server's."""
        kind, status = message["type"], message.get("status")
        if kind == "DIALOG_MESSAGE":
            self._take_dialog(message["serverData"], message["clientData"])
        elif kind == "DELIVERY_MESSAGE":
            self._take_outcome(status, message["serverData"])
        elif kind == "AUTH_MESSAGE" and status == "SUCCESS":
            self._is_in = True
            self._load.report.resent += len(self.unknown)
            for sent in list(self.unknown.values()):
                self._send(sent)
        elif kind != "USER_CONNECTION_MESSAGE" and not (
            kind == "AUTH_MESSAGE" and message["error"]["errorCode"] == "1"
        ):
            self._fault(f"got {kind} {status}")
        self._go_on()
        self._load.happened(self)

    def _take_dialog(self, head: dict[str, Any], data: dict[str, Any]) -> None:
        self._load.report.dialogs += 1
        message_id, sender, number = int(head["messageId"]), head["sender"], data["number"]
        if self._load.users[sender].sent[number].data != data or data["to"] != self.id:
            self._fault(f"got {message_id}, which was not sent so")
        known = self.received.get((sender, number))
        if known is not None:
            self._load.report.doubles += 1
            if known != message_id:
                self._fault(f"got {number} of {sender} as {known} and as {message_id}")
            return
        self.received[sender, number] = message_id
        latest_id, latest_number = self._latest.get(sender, (0, -1))
        if message_id <= latest_id or number <= latest_number:
            self._fault(f"got {number} of {sender} behind {latest_number}")
        self._latest[sender] = message_id, number

    def _take_outcome(self, status: Any, head: dict[str, Any]) -> None:
        self._load.report.outcomes += 1
        sent, message_id = self.sent[int(head["clientMessageId"])], int(head["messageId"])
        if sent.outcome and (sent.outcome, sent.message_id) != (status, message_id):
            self._fault(f"was told {sent.outcome} and {status} of {sent.number}")
        sent.outcome, sent.message_id = status, message_id
        self.unknown.pop(sent.number, None)
        for fault in self._contradictions(sent):
            self._fault(fault)

    def contradictions(self) -> list[str]:
        """What is wrong with what it was told, now that all is quiet."""
        return [f"{self.name} {fault}" for sent in self.sent for fault in self._contradictions(sent)]

    def _contradictions(self, sent: Sent) -> list[str]:
        receiver = self._load.users.get(sent.receiver)
        arrived = None if receiver is None else receiver.received.get((self.id, sent.number))
        if sent.outcome == "SUCCESS" and arrived != sent.message_id:
            return [f"was told SUCCESS of {sent.number}, which {sent.receiver} has as {arrived}"]
        if sent.outcome == "ERROR" and arrived is not None:
            return [f"was told ERROR of {sent.number}, which arrived"]
        if not sent.outcome:
            return [f"does not know what has become of {sent.number}"] if self._load.is_over else []
        return []

    def _fault(self, what: str) -> None:
        self._load.report.faults.append(f"{self.name} {what}")
