"""Nothing that a server knows is missing from its document, and nothing in it is unknown to the server."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args
from unittest.mock import Mock

import msgspec
from msgspec import Raw, Struct
from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import realtime
from realtime.closing import CloseCode
from realtime.documents.asyncapi import asyncapi
from realtime.documents.model import Asks, Description, Direction, Hears, Says
from realtime.market import codec as market_codec
from realtime.market import messages as market
from realtime.market.codec import Form
from realtime.market.opcodes import Opcode
from realtime.messenger import messages as messenger
from realtime.protocols.documents import DESCRIBED
from realtime.support import document as support_document
from realtime.support import messages as support
from realtime.support.customer import Customer
from realtime.support.operator import Operator
from realtime.support.participants import Refused
from realtime.talk import messages as talk
from realtime.workspace import messages as workspace

ROOT = Path(realtime.__file__).parent

_INTERNAL = {
    "talk": {"Malformed", "ChatStart"},
    "support": {"Request"},
    "messenger": {"Envelope", "ServerMessage", "History"},
    "workspace": set(),
    # What a client means stands in these; what it writes, in the shapes of `reading`.
    "market": {
        "Fault",
        "Ping",
        "ReturnConversations",
        *(kind.__name__ for kind in get_args(market.ClientMessage)),
        "Offer",
    },
}
"""Types of messages that have no schema: they never cross the wire as they are, have no body (`ChatStart`), or
are drawn in parts (`History`, `ReturnConversations`)."""


def names(description: Description, direction: Direction) -> set[str]:
    """What a document names in a direction."""
    return {message.name for message in description.said(direction)}


def nodes(protocol: str) -> Iterator[ast.expr]:
    """Every expression in a slice's code."""
    for path in (ROOT / protocol).glob("*.py"):
        if path.name != "document.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (each for each in ast.walk(tree) if isinstance(each, ast.expr))


def literals(arguments: Iterable[ast.expr]) -> set[str]:
    """The texts among some arguments; of one put together, with its parts in braces."""
    found = set()
    for each in arguments:
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            found.add(each.value)
        elif isinstance(each, ast.JoinedStr):
            found.add(
                "".join(str(part.value) if isinstance(part, ast.Constant) else "{…}" for part in each.values)
            )
    return found


def called(function: ast.expr) -> str:
    """The last name of what is called."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


class EveryProtocolTests(SynchronousTestCase):
    """What holds for all five."""

    def setUp(self) -> None:
        """Describe them all."""
        self.described = {name: describe() for name, describe in DESCRIBED.items()}

    def test_all_are_described(self) -> None:
        """Each protocol that can be served has a description of its name."""
        from realtime import protocols

        self.assertEqual(list(DESCRIBED), list(protocols._BUILDERS))
        self.assertEqual(list(DESCRIBED), [each.name for each in self.described.values()])

    def test_every_type(self) -> None:
        """Each type of messages is among the schemas."""
        modules: list[ModuleType] = [talk, workspace, market, messenger, support]
        for name, module in zip(DESCRIBED, modules, strict=True):
            own = {
                kind.__name__
                for kind in vars(module).values()
                if isinstance(kind, type) and issubclass(kind, Struct) and kind.__module__ == module.__name__
            }
            own = {kind for kind in own if not kind.startswith("_")}
            self.assertLessEqual(_INTERNAL[name], own | {"Request"})
            schemas = asyncapi(self.described[name])["components"]["schemas"]
            self.assertEqual(own - _INTERNAL[name] - set(schemas), set(), name)

    def test_every_close_code(self) -> None:
        """Each close code that a slice's code names is explained."""
        for name, description in self.described.items():
            for path in (ROOT / name).glob("*.py"):
                for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(each, ast.Attribute) and called(each.value) == "CloseCode":
                        self.assertIn(CloseCode[each.attr], description.closes, f"{name}: {path.name}")

    def test_every_transition(self) -> None:
        """Each arrow of a diagram says what brings it about, and no two of one pair say the same."""
        for name, description in self.described.items():
            self.assertTrue(description.diagrams, name)
            for diagram in description.diagrams:
                for each in diagram.transitions:
                    self.assertTrue(each.label, f"{name}: {each}")
                self.assertEqual(len(set(diagram.transitions)), len(diagram.transitions))

    def test_every_message_is_shown(self) -> None:
        """Each message has an example."""
        for name, description in self.described.items():
            without = {each.key for each in description.messages if not description.examples(each.key)}
            self.assertEqual(without, set(), name)

    def test_keys(self) -> None:
        """Keys are unique; replies, steps and the background name messages, requests name endpoints."""
        for name, description in self.described.items():
            keys = [message.key for message in description.messages]
            self.assertEqual(len(keys), len(set(keys)), name)
            steps = [step for story in description.stories for step in story.steps]
            named = {step.key for step in steps if isinstance(step, Says | Hears)} | description.background
            replies = {key for message in description.messages for key in message.replies}
            self.assertLessEqual(named | replies, set(keys), name)
            asked = {step.endpoint for step in steps if isinstance(step, Asks)}
            self.assertLessEqual(asked, {each.key for each in description.endpoints}, name)


class TalkTests(SynchronousTestCase):
    """talk's events."""

    def setUp(self) -> None:
        """Describe it."""
        self.description = DESCRIBED["talk"]()

    def test_events(self) -> None:
        """Those that can be read, and those that can be sent."""
        self.assertEqual(names(self.description, Direction.FROM_CLIENT), set(talk.CLIENT_EVENTS))
        sent = {kind.event for kind in get_args(talk.ServerMessage)}
        self.assertEqual(names(self.description, Direction.TO_CLIENT), sent)

    def test_errors(self) -> None:
        """Each error, with the code of its close."""
        described = {(each.code, each.close) for each in self.description.errors}
        every = {each for each in vars(talk).values() if isinstance(each, talk.Error)}
        self.assertEqual(described, {(each.code, talk.CLOSE_CODES[each]) for each in every})

    def test_examples_can_be_read(self) -> None:
        """What a client sends in them, the server reads."""
        for message in self.description.said(Direction.FROM_CLIENT):
            for _, payload in self.description.examples(message.key):
                self.assertNotIsInstance(talk.decode(msgspec.json.encode(payload)), talk.Malformed)


class MarketTests(SynchronousTestCase):
    """market's opcodes."""

    def setUp(self) -> None:
        """Describe it."""
        self.description = DESCRIBED["market"]()

    def test_opcodes(self) -> None:
        """Every one, by its number and name, in its direction."""
        described = {(each.opcode, each.name, each.direction.name) for each in self.description.messages}
        self.assertEqual(described, {(int(each), each.title, each.direction.name) for each in Opcode})

    def test_errors(self) -> None:
        """Every fault."""
        faults = {each.code for each in vars(market).values() if isinstance(each, market.Fault)}
        self.assertEqual({each.code for each in self.description.errors}, faults)

    def test_examples_can_be_read(self) -> None:
        """What a client sends in them, the server reads, in all three forms."""
        bodies = {int(opcode): opcode.body for opcode in Opcode}
        for message in self.description.said(Direction.FROM_CLIENT):
            assert message.opcode is not None
            for _, payload in self.description.examples(message.key):
                opcode = bytes([message.opcode])
                read = market_codec.decode(Form.TEXT, msgspec.json.encode(payload))
                self.assertIs(bodies[message.opcode], type(read))
                in_json = opcode + msgspec.json.encode(payload["data"])
                in_msgpack = opcode + msgspec.msgpack.encode(payload["data"])
                self.assertEqual(market_codec.decode(Form.BINARY, in_json), read)
                self.assertEqual(market_codec.decode(Form.MSGPACK, in_msgpack), read)


class MessengerTests(SynchronousTestCase):
    """messenger's messages."""

    def setUp(self) -> None:
        """Describe it."""
        self.description = DESCRIBED["messenger"]()

    def test_from_client(self) -> None:
        """Every type that can be read."""
        self.assertEqual(names(self.description, Direction.FROM_CLIENT), set(messenger._SHAPES))

    def test_to_client(self) -> None:
        """Every type, with its status, that the code makes."""
        makers = {"ServerMessage", "succeeded", "failed"}
        made = set()
        for each in nodes("messenger"):
            if isinstance(each, ast.Call) and called(each.func) in makers:
                made |= {text for text in literals(each.args) if text.isupper()} - {"SUCCESS", "ERROR"}
        described = {name.partition(" ")[0] for name in names(self.description, Direction.TO_CLIENT)}
        self.assertEqual(described, made)

    def test_examples_can_be_read(self) -> None:
        """What a client sends in them, the server reads."""
        for message in self.description.said(Direction.FROM_CLIENT):
            for _, payload in self.description.examples(message.key):
                envelope = messenger.open_envelope(msgspec.json.encode(payload))
                messenger.decode(envelope, envelope.server_data)

    def test_errors(self) -> None:
        """Every error that has a name."""
        every = {each.message for each in vars(messenger).values() if isinstance(each, messenger.Error)}
        avatars = {messenger.AVATAR_TOO_LARGE.message, messenger.NOT_A_PICTURE.message}  # worded in `pictures`
        texts = {each.text for each in self.description.errors}
        self.assertLessEqual(every - avatars - {messenger.UNAVAILABLE.message}, texts)


class WorkspaceTests(SynchronousTestCase):
    """workspace's events."""

    def setUp(self) -> None:
        """Describe it."""
        self.description = DESCRIBED["workspace"]()

    def test_from_client(self) -> None:
        """Every event that can be read, each with its acknowledgement."""
        described = names(self.description, Direction.FROM_CLIENT)
        self.assertEqual(described, set(workspace.SHAPES))
        acknowledged = {f"{name} acknowledged" for name in described}
        self.assertLessEqual(acknowledged, names(self.description, Direction.TO_CLIENT))

    def test_to_client(self) -> None:
        """Every event that the code names: they all look alike."""
        given = literals(
            [each for each in nodes("workspace") if isinstance(each, ast.Constant | ast.JoinedStr)]
        )
        told = {text for text in given if re.fullmatch(r"[a-z]+(-[a-z]+)+(-\{…\})?", text)}
        events = {
            name.replace("{transaction}", "{…}")
            for name in names(self.description, Direction.TO_CLIENT)
            if not name.endswith(" acknowledged")
        }
        self.assertEqual(events, told - {"bad-request", "not-found", *workspace.SHAPES})

    def test_errors(self) -> None:
        """Every text."""
        tree = ast.parse(inspect.getsource(workspace))
        constants = [
            getattr(workspace, each.target.id)
            for each in tree.body
            if isinstance(each, ast.AnnAssign)
            and isinstance(each.target, ast.Name)
            and each.target.id.isupper()
        ]
        texts = {text for text in constants if isinstance(text, str) and text != workspace.DEFAULT_WORKSPACE}
        described = {each.code for each in self.description.errors}
        self.assertEqual(described, texts | {workspace.invalid_format("<event>")})

    def test_examples_can_be_read(self) -> None:
        """What a client sends in them, the server reads."""
        for message in self.description.said(Direction.FROM_CLIENT):
            for _, payload in self.description.examples(message.key):
                workspace.decode(message.name, Raw(msgspec.json.encode(payload)))


class SupportTests(SynchronousTestCase):
    """support's methods."""

    def setUp(self) -> None:
        """Describe it."""
        self.description = DESCRIBED["support"]()

    def test_methods(self) -> None:
        """Those that both sides have, and the one before them."""
        methods = {*Customer.methods, *Operator.methods, "message.auth"}
        self.assertEqual(set(support_document.METHODS), methods)
        self.assertEqual(names(self.description, Direction.FROM_CLIENT), methods)

    def test_results(self) -> None:
        """Every key that a result has in the code."""
        keys = set()
        for each in nodes("support"):
            if isinstance(each, ast.Dict) and len(each.keys) == 1:
                keys |= literals(key for key in each.keys if key is not None)
        self.assertEqual(keys, names(self.description, Direction.TO_CLIENT) - {"error"})

    def test_errors(self) -> None:
        """Every error."""
        errors = {str(each.code) for each in vars(support).values() if isinstance(each, support.Error)}
        self.assertEqual({each.code for each in self.description.errors}, errors)

    def test_parameters(self) -> None:
        """The methods themselves take what the table says, and nothing else."""
        for name, method in support_document.METHODS.items():
            if name == "message.auth":
                continue  # a session's own: it closes, and refuses nothing
            kinds = list(method.parameters.values())
            least = len(kinds) - method.optional
            good = [{str: "text", int: 1}[kind] for kind in kinds]
            for count in range(len(kinds) + 2):
                params = [*good, 1][:count]
                self.assertEqual(self.takes(name, params), least <= count <= len(kinds), (name, params))
            for position in range(len(kinds)):
                others: list[Any] = [None, True, 1.5, [], {}, "text" if kinds[position] is int else 1]
                for wrong in others:
                    params = [*good]
                    params[position] = wrong
                    may_be_null = wrong is None and position >= least
                    self.assertEqual(self.takes(name, params), may_be_null, (name, params))

    def takes(self, name: str, params: list[Any]) -> bool:
        """Whether a method gets further than its parameters: whoever may use it is asked."""
        side = Operator if Customer.methods.get(name) == Customer.forbidden else Customer
        asker: Any = object.__new__(side)  # what it goes on to use, it does not have
        asker._desk = Mock()
        failures: list[Failure] = []
        maybeDeferred(side.methods[name], asker, params).addErrback(failures.append)
        refusals = [each.value.error for each in failures if isinstance(each.value, Refused)]
        return support.INCORRECT_ARGUMENT not in refusals

    def test_examples_can_be_read(self) -> None:
        """What a client sends in them, the server reads as its method."""
        for message in self.description.said(Direction.FROM_CLIENT):
            for _, payload in self.description.examples(message.key):
                request = support.decode(json.dumps(payload).encode())
                self.assertEqual(request.method, message.name)
