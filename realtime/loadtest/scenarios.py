"""Who takes part in a load test, and what one of them sends to another: a scenario for each protocol.

========== ==================================================================================================
talk       strangers find each other, talk until their time is over, and find others
workspace  pairs, each in a private channel of its own
market     pairs, each in a conversation of its own
messenger  pairs, by dialogs (all are in one room, and hear of each who comes)
support    customers write to operators; of ten messages one is an answer, while the operators may send more
========== ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct
from twisted.internet.defer import Deferred

from realtime.client import (
    Client,
    ClientError,
    ConnectionEnded,
    Disconnected,
    MarketClient,
    MessengerClient,
    Options,
    SupportClient,
    SupportOperator,
    TalkClient,
    WorkspaceClient,
)
from realtime.client.asking import address_of, ask
from realtime.client.market import AlertNewMessage
from realtime.client.messenger import Dialog
from realtime.client.support import Message, OperatorMessage
from realtime.client.talk import Answer, Question
from realtime.client.talk import Message as Words
from realtime.client.workspace import Message as Posted
from realtime.limiting import Rate
from realtime.loadtest.people import Person

Received = Callable[[str], None]
"""Told the text of each message that has arrived where it should."""

CUSTOMERS_OF_AN_OPERATOR: Final = 1000
_ANSWERS: Final = 10
_ANSWERS_A_SECOND: Final = 40.0
"""Of one operator: a server closes connections that send 50."""


class Participant(Protocol):
    """One client of a test, which sends when it is told to."""

    @property
    def client(self) -> Client:
        """What it connects with."""

    @property
    def is_ready(self) -> bool:
        """Whether it can send, and be heard."""

    def start(self) -> Deferred[Any]:
        """Connect, and do what comes before the first message."""

    def send(self, text: str) -> Deferred[Any] | None:
        """Send a message; fires when the server has it, if the protocol says so. May raise `ClientError`."""


class Cast(Struct, frozen=True):
    """All who take part. Helpers are there before the first of the others, and send nothing of their own."""

    participants: Sequence[Participant]
    helpers: Sequence[Client] = ()


class Parts(Struct, frozen=True):
    """What a cast is made of."""

    url: str
    options: Options
    people: Sequence[Person]
    admins: Sequence[Person]
    received: Received
    reactor: Any


class _Partner:
    """One of two who write to each other. One without another writes to itself."""

    def __init__(self, client: Any, person: Person) -> None:
        self.client = client
        self.person = person
        self.other: Any = self

    @property
    def is_ready(self) -> bool:
        return bool(self.client.is_connected and self.other.client.is_connected)

    def start(self) -> Deferred[Any]:
        started: Deferred[Any] = self.client.start()
        return started

    def send(self, text: str) -> Deferred[Any] | None:
        raise NotImplementedError


def _paired(partners: list[Any]) -> Cast:
    for one, two in zip(partners[::2], partners[1::2], strict=False):
        one.other, two.other = two, one
    return Cast(partners)


class _Trader(_Partner):
    def send(self, text: str) -> Deferred[Any] | None:
        said: Deferred[Any] = self.client.say(text, to=self.other.person.id)
        return said


def _market(parts: Parts) -> Cast:
    traders = []
    for person in parts.people:
        client = MarketClient(parts.url, person.token, options=parts.options)
        client.listen(AlertNewMessage, lambda alert: parts.received(alert.message.content))
        traders.append(_Trader(client, person))
    return _paired(traders)


class _Correspondent(_Partner):
    def send(self, text: str) -> Deferred[Any] | None:
        sent: Deferred[Any] = self.client.send(str(self.other.person.id), text)
        return sent


def _messenger(parts: Parts) -> Cast:
    correspondents = []
    for person in parts.people:
        client = MessengerClient(parts.url, person.token, options=parts.options)
        client.listen(Dialog, lambda dialog: parts.received(str(dialog.data)))
        correspondents.append(_Correspondent(client, person))
    return _paired(correspondents)


class _Colleague(_Partner):
    """A partner in a channel, which the later one of the two makes."""

    def __init__(self, client: WorkspaceClient, person: Person, parts: Parts) -> None:
        super().__init__(client, person)
        self._parts = parts
        self._channel = ""

    @property
    def is_ready(self) -> bool:
        return bool(self._channel) and super().is_ready

    def start(self) -> Deferred[Any]:
        return super().start().addCallback(lambda _: Deferred.fromCoroutine(self._meet()))

    async def _meet(self) -> None:
        other = self.other
        if not other.client.is_connected or other._channel:
            return
        channel = await self.client.create_channel("loadtest", is_private=True)
        if other is not self:
            path = f"/v1/workspaces/{channel.workspace_id}/channels/{channel.id}/members/{other.person.id}"
            address = address_of(self._parts.url, path)
            answer = await ask(self._parts.reactor, "PUT", address, token=self.person.token)
            if answer.status >= 300:
                raise ClientError(f"no member could be added: HTTP status {answer.status}")
        self._channel = other._channel = channel.id

    def send(self, text: str) -> Deferred[Any] | None:
        said: Deferred[Any] = self.client.say(self._channel, text)
        return said


def _workspace(parts: Parts) -> Cast:
    colleagues = []
    for person in parts.people:
        client = WorkspaceClient(parts.url, person.token, options=parts.options)
        client.listen(Posted, _from_others(parts.received, str(person.id), is_alone=len(parts.people) == 1))
        colleagues.append(_Colleague(client, person, parts))
    return _paired(colleagues)


def _from_others(received: Received, own_id: str, *, is_alone: bool) -> Callable[[Posted], None]:
    def hear(message: Posted) -> None:
        if is_alone or message.user_id != own_id:  # authors hear themselves too
            received(message.text)

    return hear


class _Stranger:
    """Somebody who talks, and then to another."""

    def __init__(self, client: TalkClient, score: float) -> None:
        self.client = client
        self.is_ready = False
        self._score = score

    def start(self) -> Deferred[Any]:
        return self.client.start().addCallback(self._begin)

    def _begin(self, _: object) -> None:
        # It goes on until the client is closed.
        Deferred.fromCoroutine(self._talk())

    async def _talk(self) -> None:
        while True:
            try:
                if self.client.match is not None:  # an error that ends nothing; the server will
                    await self.client.next(Disconnected)
                await self.client.find(self._score, [Question(1, "loadtest?")])
                await self.client.confirm()
                self.is_ready = True
                stop = await self.client.stopped()
                self.is_ready = False
                await self.client.answer([Answer(question.id, "loadtest") for question in stop.questions])
            except ConnectionEnded:
                return
            except ClientError:
                continue  # nobody was found, or the partner has left
            finally:
                self.is_ready = False

    def send(self, text: str) -> Deferred[Any] | None:
        self.client.say(text)
        return None


def _talk(parts: Parts) -> Cast:
    strangers = []
    for number, person in enumerate(parts.people):
        client = TalkClient(parts.url, person.token, options=parts.options)
        client.listen(Words, lambda words: parts.received(words.message))
        strangers.append(_Stranger(client, (number // 2) / max(1, len(parts.people))))
    return Cast(strangers)


class _Desk:
    """The operators, who answer in turn."""

    def __init__(self, operators: Sequence[SupportOperator], reactor: Any) -> None:
        self._operators = operators
        self._rate = Rate(_ANSWERS_A_SECOND * len(operators), burst=1)
        self._drained = 0.0
        self._reactor = reactor
        self._count = 0

    @property
    def is_ready(self) -> bool:
        return all(operator.is_connected for operator in self._operators)

    def answer(self, text: str, customer: int) -> Deferred[Any] | None:
        """Answer a customer, unless that would be too many answers."""
        drained = self._rate.use(self._drained, self._reactor.seconds())
        if drained is None:
            return None
        self._drained = drained
        self._count += 1
        return self._operators[self._count % len(self._operators)].answer(text, customer)


class _Customer:
    def __init__(self, client: SupportClient, person: Person, desk: _Desk, count: int) -> None:
        self.client = client
        self._person = person
        self._desk = desk
        self._count = count

    @property
    def is_ready(self) -> bool:
        return self.client.is_connected and self._desk.is_ready

    def start(self) -> Deferred[Any]:
        return self.client.start()

    def send(self, text: str) -> Deferred[Any] | None:
        self._count += 1
        answered = self._desk.answer(text, self._person.id) if self._count % _ANSWERS == 0 else None
        return self.client.send(text) if answered is None else answered


def _support(parts: Parts) -> Cast:
    operators = []
    for person in parts.admins:
        operator = SupportOperator(parts.url, person.token, options=parts.options)
        operator.listen(OperatorMessage, lambda message: parts.received(message.message_text))
        operators.append(operator)
    desk = _Desk(operators, parts.reactor)
    customers: list[Participant] = []
    for number, person in enumerate(parts.people):
        client = SupportClient(parts.url, person.token, options=parts.options)
        client.listen(Message, lambda message: parts.received(message.message_text))
        customers.append(_Customer(client, person, desk, number))
    return Cast(customers, operators)


class Scenario(Struct, frozen=True):
    """The path of a protocol, how the cast is made, and for how many users it takes an operator."""

    path: str
    cast: Callable[[Parts], Cast]
    users_of_an_operator: int | None = None

    def admins(self, users: int) -> int:
        """Return how many administrators take part."""
        return 0 if self.users_of_an_operator is None else -(-users // self.users_of_an_operator)


SCENARIOS: Final = {
    "talk": Scenario("/talk", _talk),
    "workspace": Scenario("/socket.io/", _workspace),
    "market": Scenario("/market", _market),
    "messenger": Scenario("/messenger", _messenger),
    "support": Scenario("/support", _support, CUSTOMERS_OF_AN_OPERATOR),
}
