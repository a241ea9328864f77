"""What a protocol says of itself, for documents, pages and the tests that replay them. Pure.

A description holds no schema by hand: where a message has a shape, an `Of` names the type that the server
decodes into or encodes from. Its examples are the steps of its stories: conversations that a test replays
against a real daemon, word for word. Texts may hold `` `code` ``, lists (lines that begin with ``- ``) and
paragraphs (an empty line between them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from inspect import cleandoc
from typing import Any, Final

import msgspec

from realtime.closing import CloseCode

# -- shapes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Of:
    """Stands in a JSON Schema for the schema of a type."""

    kind: Any


def constant(value: str | int | None) -> dict[str, Any]:
    """Return the schema of one value."""
    return {"const": value}


def record(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of an object with these keys; others are passed over."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def listed(items: Any) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def or_null(schema: Any) -> dict[str, Any]:
    """Return the schema of something that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def as_json(value: object) -> Any:
    """Return a typed message as the JSON that it is written as."""
    return msgspec.json.decode(msgspec.json.encode(value))


def summary_of(kind: type) -> str:
    """Return the first paragraph of a type's docstring as one line, in the marks of descriptions."""
    first = cleandoc(kind.__doc__ or "").split("\n\n")[0]
    return " ".join(first.replace("``", "`").split())


# -- messages --------------------------------------------------------------------------------------


class Direction(Enum):
    """Who sends a message. The value begins its key."""

    FROM_CLIENT = "client"
    TO_CLIENT = "server"


def key_of(direction: Direction, name: str) -> str:
    """Return the key of the message that is called ``name``."""
    return f"{direction.value}.{re.sub(r'[^A-Za-z0-9.-]+', '_', name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One kind of message.

    ``name`` is what the protocol calls it; ``payload`` is a JSON Schema with `Of` in it.

    ``replies`` are the keys of what may come as the answer, ``correlation`` is where in the payload stands what
    an answer is known by. An ``extension`` goes beyond what a client must know. ``opcode`` is market's.
    """

    name: str
    direction: Direction
    summary: str
    payload: Any
    description: str = ""
    replies: tuple[str, ...] = ()
    correlation: str = ""
    extension: bool = False
    opcode: int | None = None

    @property
    def key(self) -> str:
        """The name in documents and addresses: unique, letters and dots alone."""
        return key_of(self.direction, self.name)


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """A way to fail, as a client sees it. ``close`` is the code of the close behind it, if there is one."""

    code: str
    text: str
    close: CloseCode | None = None


# -- stories ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Enters:
    """``who`` (the name of a connection) connects; ``headers`` are the handshake's."""

    who: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Says:
    """A client sends a message. ``key`` is that of the `Message`."""

    who: str
    key: str
    payload: Any
    text: str = ""


@dataclass(frozen=True, slots=True)
class Hears:
    """A client gets one: the next that comes to it."""

    who: str
    key: str
    payload: Any
    text: str = ""


@dataclass(frozen=True, slots=True)
class Asks:
    """A client makes an HTTP request of an endpoint. ``values`` fill its path and query, in its order.

    ``body`` is sent as JSON, ``answer`` is JSON too; ``None`` for none.
    """

    who: str
    endpoint: str
    values: Mapping[str, str | int] = field(default_factory=dict)
    body: Any = None
    status: int = 200
    answer: Any = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """The server closes a connection. Over Socket.IO, where there is no code, it is disconnected."""

    who: str
    code: CloseCode


@dataclass(frozen=True, slots=True)
class Leaves:
    """A client closes its connection."""

    who: str


Step = Enters | Says | Hears | Asks | Closed | Leaves


@dataclass(frozen=True, slots=True)
class Story:
    """A conversation, from nothing: what each step of it says is an example."""

    title: str
    steps: tuple[Step, ...]


PEOPLE: Final = ("alice", "bob", "carol", "operator")
"""Who the stories are about: their ids count from 1, their tokens are `token_of` them. The last one is an
administrator."""


def token_of(name: str) -> str:
    """Return the token of somebody in the stories."""
    return f"token-of-{name}"


# -- states ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Transition:
    """An arrow of a diagram."""

    source: str
    target: str
    label: str


@dataclass(frozen=True, slots=True)
class Diagram:
    """States, the first one first, and what leads from one to another."""

    title: str
    states: tuple[str, ...]
    transitions: tuple[Transition, ...]


def diagram(title: str, table: Mapping[Any, Iterable[Any]], labels: Mapping[tuple[Any, Any], str]) -> Diagram:
    """Return the diagram of a session's table of transitions; ``labels`` say what brings each about."""
    states = tuple(_state_name(state) for state in table)
    transitions = tuple(
        Transition(_state_name(source), _state_name(target), labels.get((source, target), ""))
        for source, targets in table.items()
        for target in table
        if target in targets
    )
    return Diagram(title, states, transitions)


def _state_name(state: Any) -> str:
    return str(state.name).replace("_", " ").lower()


# -- HTTP ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a path, or of a query; ``schema`` is JSON Schema."""

    name: str
    text: str
    schema: Any
    in_path: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """What a request may be answered with. ``schema`` is that of a JSON body; ``media_type`` of any other."""

    text: str
    schema: Any = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A method of a path. ``path`` may hold parameters (``/v1/reports/{id}/resolve``)."""

    method: str
    path: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    responses: Mapping[int, Response]
    is_open: bool = False
    """Whether it needs no token."""
    is_for_operations: bool = False
    """Whether it is served by the listener of ``[operations]``."""

    @property
    def key(self) -> str:
        """What steps name it by."""
        return f"{self.method} {self.path}"


# -- a protocol ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credential:
    """A place for the token. ``scheme`` is a Security Scheme of AsyncAPI."""

    name: str
    scheme: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """Some text with a heading, and a table under it."""

    title: str
    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A protocol. ``address`` is where it is served; over Socket.IO, ``namespace`` is its own.

    ``background`` are the keys of messages that come between any others.
    """

    name: str
    title: str
    text: str
    address: str
    namespace: str = ""
    credentials: tuple[Credential, ...] = ()
    messages: tuple[Message, ...]
    errors: tuple[ErrorCase, ...]
    closes: Mapping[CloseCode, str]
    stories: tuple[Story, ...]
    diagrams: tuple[Diagram, ...] = ()
    sections: tuple[Section, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    background: frozenset[str] = frozenset()

    def said(self, direction: Direction) -> Iterator[Message]:
        """Yield the messages of a direction."""
        return (message for message in self.messages if message.direction is direction)

    def examples(self, key: str) -> list[tuple[str, Any]]:
        """Return what the stories hold of a message, each once: what is said of it, and its payload."""
        told = (
            (story, step)
            for story in self.stories
            for step in story.steps
            if isinstance(step, Says | Hears) and step.key == key
        )
        found: list[tuple[str, Any]] = []
        for story, step in told:
            if step.payload not in [payload for _, payload in found]:
                found.append((step.text or story.title, step.payload))
        return found


BEARER: Final = Credential(
    "header",
    {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer <token>`, or the bare token, in the handshake.",
    },
)
SUBPROTOCOL: Final = Credential(
    "subprotocol",
    {
        "type": "httpApiKey",
        "name": "Sec-WebSocket-Protocol",
        "in": "header",
        "description": "`Sec-WebSocket-Protocol: bearer, <token>`: for browsers, which can set no other "
        "header.",
    },
)
COOKIE: Final = Credential(
    "cookie",
    {
        "type": "httpApiKey",
        "name": "token",
        "in": "cookie",
        "description": "The cookie that `[auth] cookie_name` names, from pages that are allowed by name.",
    },
)
QUERY: Final = Credential(
    "query",
    {
        "type": "httpApiKey",
        "name": "token",
        "in": "query",
        "description": "`?token=…`, unless `[auth] query_tokens` is off. Proxies may write it to their logs.",
    },
)
EVERYWHERE: Final = (BEARER, SUBPROTOCOL, COOKIE, QUERY)
"""Where a handshake may hold a token, the first place that holds one first."""

COMMON_CLOSES: Final[Mapping[CloseCode, str]] = {
    CloseCode.GOING_AWAY: "The server is stopping. Connect again, after a moment of your own choosing.",
    CloseCode.INVALID_PAYLOAD: "A text frame was not UTF-8.",
    CloseCode.MESSAGE_TOO_BIG: "A message was longer than allowed.",
    CloseCode.TRY_AGAIN_LATER: "Something that the server needs is away, or it has too many connections.",
    CloseCode.NOT_AUTHENTICATED: "No token was accepted, or not in time.",
    CloseCode.NO_PONG: "A WebSocket ping was not answered in time.",
    CloseCode.TOO_MANY_REQUESTS: "More messages or connections than the limits allow.",
    CloseCode.SLOW_READER: "Too much was waiting to be read.",
}
"""What any connection may be closed with."""
