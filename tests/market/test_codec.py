"""The three forms of a packet: golden frames, round trips, and whatever else may come."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, get_args

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.market import messages
from realtime.market.codec import (
    SUBPROTOCOLS,
    BadPacket,
    Form,
    Undecodable,
    decode,
    encode,
    form_of_frame,
    is_pong,
)
from realtime.market.messages import (
    AskConversations,
    ClientMessage,
    CreateMessage,
    OpenConversation,
    Ping,
    Pong,
    ReportMessage,
)
from realtime.market.opcodes import Direction, Opcode
from tests.market import packets

BINARY, MSGPACK, TEXT = Form
CLIENT_OPCODES = [opcode for opcode in Opcode if opcode.direction is Direction.FROM_CLIENT]
BODIES = {int(opcode): opcode.body for opcode in CLIENT_OPCODES}
MEANINGS = get_args(ClientMessage)


def packet(form: Form, number: int, body: Any) -> bytes:
    """A packet with any body at all."""
    if form is TEXT:
        return json.dumps({"type": number, "data": body}).encode("utf-8", "surrogatepass")
    if form is BINARY:
        return bytes((number,)) + json.dumps(body).encode("utf-8", "surrogatepass")
    return bytes((number,)) + msgspec.msgpack.encode(body)


def read(form: Form, payload: bytes) -> Any:
    """What is read: a message, or the opcode and the code of the fault, or ``None`` for what is no packet."""
    try:
        return decode(form, payload)
    except BadPacket as bad:
        return bad.opcode, bad.fault.code
    except Undecodable:
        return None


class FormTests(SynchronousTestCase):
    """Which form is spoken."""

    def test_subprotocols(self) -> None:
        """Those of the contract."""
        self.assertEqual(SUBPROTOCOLS, ("market.binary", "market.msgpack", "market.json"))

    def test_the_form_of_a_frame(self) -> None:
        """The subprotocol's, or none where it excludes that kind of frame; else the kind says it."""
        for subprotocol, binary, text in (
            ("market.binary", BINARY, None),
            ("market.msgpack", MSGPACK, None),
            ("market.json", None, TEXT),
            (None, BINARY, TEXT),
            ("bearer", BINARY, TEXT),
        ):
            self.assertIs(form_of_frame(subprotocol, True), binary)
            self.assertIs(form_of_frame(subprotocol, False), text)


class GoldenTests(SynchronousTestCase):
    """Each opcode in each form, to the byte."""

    def test_from_the_server(self) -> None:
        """What is written, keys and their order too; a list of conversations is bare in the text form."""
        for number, body, message in packets.FROM_SERVER:
            self.assertEqual(encode(BINARY, message), bytes((number,)) + body.encode())
            data = body[len('{"conversations":') : -1] if number == 0x06 else body
            self.assertEqual(encode(TEXT, message).decode(), f'{{"type":{number},"data":{data}}}')
            packed = msgspec.msgpack.encode(json.loads(body))
            self.assertEqual(encode(MSGPACK, message), bytes((number,)) + packed)

    def test_ping(self) -> None:
        """Is its opcode alone, but in the text form."""
        self.assertEqual(encode(BINARY, Ping()), b"\x01")
        self.assertEqual(encode(MSGPACK, Ping()), b"\x01")
        self.assertEqual(encode(TEXT, Ping()), b'{"type":1,"data":"ping"}')

    def test_from_the_client(self) -> None:
        """What is read."""
        for number, body, message in packets.FROM_CLIENT:
            self.assertEqual(read(BINARY, bytes((number,)) + body.encode()), message)
            self.assertEqual(read(TEXT, f'{{"type": {number}, "data": {body}}}'.encode()), message)
            packed = msgspec.msgpack.encode(json.loads(body))
            self.assertEqual(read(MSGPACK, bytes((number,)) + packed), message)

    def test_every_opcode_is_here(self) -> None:
        """No opcode is without its golden frames."""
        numbers = {number for number, _, _ in (*packets.FROM_SERVER, *packets.FROM_CLIENT)}
        self.assertEqual(numbers | {Opcode.PING}, set(Opcode))

    def test_unicode(self) -> None:
        """Goes out as UTF-8, not in escapes."""
        said = messages.AlertNewMessage(3, msgspec.structs.replace(packets.MESSAGE, content="é\U0001f600"))
        for form in Form:
            self.assertIn("é\U0001f600".encode(), encode(form, said))


class PongTests(SynchronousTestCase):
    """The packet that comes most often."""

    def test_seen_at_once(self) -> None:
        """Its opcode in a binary frame, whatever follows; the browser client's text."""
        for payload in (b"\x02", b"\x02pong", b"\x02{", b"\x02\xc1\xff"):
            self.assertTrue(is_pong(payload, True))
            self.assertEqual(read(BINARY, payload), Pong())
            self.assertEqual(read(MSGPACK, payload), Pong())
        self.assertTrue(is_pong(b'{"type":2,"data":"pong"}', False))

    def test_another_spelling(self) -> None:
        """Is a PONG when it is decoded."""
        for payload in (b'{"type": 2}', b'{"data": [1, {}], "type": 2}', b'{"type": 2, "data": null}'):
            self.assertFalse(is_pong(payload, False))
            self.assertEqual(read(TEXT, payload), Pong())

    def test_no_pong(self) -> None:
        """Anything else."""
        for payload, binary in ((b"", True), (b"\x01", True), (b"2", True), (b"\x02", False), (b"", False)):
            self.assertFalse(is_pong(payload, binary))


class LiberalTests(SynchronousTestCase):
    """What is read beside the golden frames."""

    def test_ask_with_anything(self) -> None:
        """Nothing, null, an empty object, and whatever is no object."""
        for payload in (
            b"\x05",
            b"\x05{}",
            b"\x05hello",
            b'\x05"x"',
            b"\x05[",
            b"\x05null",
            b"\x05\xff",
            b"\x05 ",
        ):
            self.assertEqual(read(BINARY, payload), AskConversations(), payload)
        for payload in (
            b"\x05",
            b"\x05\x80",
            b"\x05hello",
            b"\x05\xa2hi",
            b"\x05\xc0",
            b"\x05\xc1",
            b"\x05\x91",
        ):
            self.assertEqual(read(MSGPACK, payload), AskConversations(), payload)
        for data in ("", ', "data": null', ', "data": {}', ', "data": "x"', ', "data": 5', ', "data": []'):
            self.assertEqual(read(TEXT, b'{"type": 5%b}' % data.encode()), AskConversations(), data)

    def test_ask_with_an_object(self) -> None:
        """An object counts, behind spaces too; and what is in it."""
        self.assertEqual(read(BINARY, b'\x05 \n{"limit": 5}'), AskConversations(5))
        for packed in (b"\x81", b"\xde\x00\x01", b"\xdf\x00\x00\x00\x01"):
            self.assertEqual(read(MSGPACK, b"\x05" + packed + b"\xa5limit\x05"), AskConversations(5))
        for form in Form:
            self.assertEqual(read(form, packet(form, 5, {"limit": "5"})), (5, "bad-request"))
        self.assertIsNone(read(BINARY, b"\x05{"))
        self.assertIsNone(read(MSGPACK, b"\x05\x81"))

    def test_conversation_beside_the_type(self) -> None:
        """It counts where the data names none; a whole object too."""
        for payload in (
            b'{"type": 9, "conv": 3}',
            b'{"conv": {"id": 3, "with": {}}, "type": 9, "data": null}',
            b'{"type": 9, "conv": 3, "data": {"x": 1}}',
            b'{"type": 9, "conv": 3, "data": {"conversation": null}}',
            b'{"type": 9, "conv": 4, "data": {"conversation": 3}}',
            b'{"type": 9, "conv": null, "data": {"conversation": 3}}',
        ):
            self.assertEqual(read(TEXT, payload), OpenConversation(3), payload)
        said = b'{"type": 7, "conv": 3, "data": {"msg": "Hi", "id": 1.5}}'
        self.assertEqual(read(TEXT, said), CreateMessage("Hi", 3, None, 1.5))
        for payload in (b'{"type":9,"conv":"3"}', b'{"type":9,"conv":3,"data":"x"}', b'{"type":9,"conv":null}'):
            self.assertEqual(read(TEXT, payload), (9, "bad-request"), payload)
        self.assertEqual(read(TEXT, b'{"type": 5, "conv": 3, "data": "x"}'), AskConversations())

    def test_a_bare_report(self) -> None:
        """Is a text that names no message."""
        for form in Form:
            self.assertEqual(read(form, packet(form, 255, "spam")), ReportMessage(None, "spam"))
            self.assertEqual(read(form, packet(form, 255, "s" * 1_001)), (255, "bad-request"))
            self.assertEqual(read(form, packet(form, 255, "\0")), (255, "bad-request"))

    def test_no_body(self) -> None:
        """Nothing, null and an empty object are the same: a bad request where something is asked for."""
        for opcode in CLIENT_OPCODES:
            if opcode not in (Opcode.PONG, Opcode.ASK_CONVERSATIONS):
                expected = (opcode, "bad-request")
                for payload in (bytes((opcode,)), packet(BINARY, opcode, None), packet(BINARY, opcode, {})):
                    self.assertEqual(read(BINARY, payload), expected)
                for payload in (bytes((opcode,)), packet(MSGPACK, opcode, None), packet(MSGPACK, opcode, {})):
                    self.assertEqual(read(MSGPACK, payload), expected)
                for payload in (b'{"type":%d}' % opcode, packet(TEXT, opcode, None), packet(TEXT, opcode, {})):
                    self.assertEqual(read(TEXT, payload), expected)


class FaultTests(SynchronousTestCase):
    """What can't be read."""

    def test_opcodes_that_a_client_may_not_send(self) -> None:
        """The server's, and those that there are not: told with their number, their body unread."""
        for number in {*range(256)} - set(CLIENT_OPCODES):
            for body in (b"", b"{}", b"\xff\xc1"):
                for form in (BINARY, MSGPACK):
                    self.assertEqual(read(form, bytes((number,)) + body), (number, "unknown-opcode"))
        for number in (0, 1, 3, 224, 256, 300, -1, 2**63 - 1, -(2**63)):
            self.assertEqual(read(TEXT, b'{"type": %d, "data": []}' % number), (number, "unknown-opcode"))

    def test_no_opcode_can_be_told(self) -> None:
        """That is no packet."""
        for form in (BINARY, MSGPACK):
            self.assertIsNone(read(form, b""))
        for payload in (
            *(b"", b"hello", b"[]", b"7", b"null", b"{}", b"{", b'"x"', b'{"data": {}}', b'{"type": null}'),
            *(b'{"type": "7"}', b'{"type": 7.0}', b'{"type": true}', b'{"type": [7]}', b'{"type": 1e400}'),
            *(b'{"type": 9223372036854775808}', b'{"type": 7} {}', b'{"type": 7, "data": NaN}', b"\xff"),
            *(b'\xef\xbb\xbf{"type": 2}', b'{"type": 7, "data": {', b'{"x":' * 60_000, b"[" * 60_000),
        ):
            self.assertIsNone(read(TEXT, payload), payload[:60])

    def test_a_body_that_is_none(self) -> None:
        """That is no packet either, for each opcode, also where something in front was wrong already."""
        bad_json = (b"{", b'{"conversation": 3', b'{"conversation": "x", ]', b"{} {}", b"NaN", b"nul", b"\xff")
        deep = b'{"message": ' + b"[" * 60_000, b'{"message": ' + b"[" * 60_000 + b"]" * 60_000 + b"}"
        bad_msgpack = (b"\x81", b"\xc1", b"\x80\x80", b"\x81\xacconversation", b"\x91" * 60_000)
        for opcode in CLIENT_OPCODES:
            if opcode not in (Opcode.PONG, Opcode.ASK_CONVERSATIONS):
                for body in (*bad_json, *deep):
                    self.assertIsNone(read(BINARY, bytes((opcode,)) + body), (opcode, body[:60]))
                for body in bad_msgpack:
                    self.assertIsNone(read(MSGPACK, bytes((opcode,)) + body), (opcode, body[:60]))

    def test_a_text_that_is_not_utf_8(self) -> None:
        """Nor is one with bytes that are no text, or halves of a character."""
        self.assertIsNone(read(BINARY, b'\x07{"conversation": 3, "msg": "\xff"}'))
        self.assertIsNone(read(BINARY, b'\x07{"conversation": 3, "msg": "\\ud800"}'))
        self.assertIsNone(read(MSGPACK, b"\x07\x82\xacconversation\x03\xa3msg\xa1\xff"))

    def test_a_body_of_the_wrong_shape(self) -> None:
        """Is a bad request, for each opcode in each form."""
        for opcode in CLIENT_OPCODES:
            if opcode in (Opcode.PONG, Opcode.ASK_CONVERSATIONS):
                continue
            wrong: tuple[Any, ...] = ([], 5, True, {"x": 1}, {"conversation": "3", "message": "120"}, [[[]]])
            for body, form in product(wrong, Form):
                self.assertEqual(read(form, packet(form, opcode, body)), (opcode, "bad-request"), body)
            bare = "x" if opcode is not Opcode.REPORT_MESSAGE else 1.5
            self.assertEqual(read(BINARY, packet(BINARY, opcode, bare)), (opcode, "bad-request"))

    def test_keys_that_are_no_texts(self) -> None:
        """A map may have any keys in MessagePack; ours has texts."""
        self.assertEqual(read(MSGPACK, packet(MSGPACK, 9, {1: 2, "conversation": 3})), (9, "bad-request"))
        self.assertEqual(read(MSGPACK, b"\x09\xd6\xff\x00\x00\x00\x01"), (9, "bad-request"))


KEYS = (
    *("id", "ref", "fakeId", "msg", "text", "message", "conversation", "to", "service", "price", "title"),
    *("client", "recipient", "grade", "comment", "opinion", "description", "reason", "accepted", "limit"),
    *("before", "category", "x"),
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.integers(0, 6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["1.00", "1e5", "NaN", "\0", "12.345"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner), max_leaves=12
)
bodies = st.dictionaries(st.sampled_from(KEYS), values, max_size=6) | values


class FuzzTests(SynchronousTestCase):
    """Driven from the table: each opcode with whatever body."""

    @given(st.sampled_from([*Opcode, 0x03, 0x7F]), bodies)
    def test_any_shape(self, number: int, body: Any) -> None:
        """It is that opcode's message or its fault, the same in each form, and nothing else happens."""
        found = [read(form, packet(form, number, body)) for form in Form]
        self.assertEqual(found, found[:1] * 3)
        if number in BODIES:
            if found[0] != (number, "bad-request"):
                self.assertIs(type(found[0]), BODIES[number])
        else:
            self.assertEqual(found[0], (number, "unknown-opcode"))

    @given(st.sampled_from(list(Form)), st.binary())
    @example(BINARY, b"\x07{")
    def test_any_bytes(self, form: Form, payload: bytes) -> None:
        """A frame is a message, a fault or no packet."""
        self.assertIsInstance(read(form, payload), (tuple, type(None), *MEANINGS))

    @given(st.sampled_from(packets.FROM_CLIENT), st.sampled_from(list(Form)), st.data())
    def test_broken_frames(self, golden: tuple[int, str, Any], form: Form, data: st.DataObject) -> None:
        """A golden frame with a byte changed, or cut off, does no harm either."""
        number, body, _ = golden
        payload = bytearray(packet(form, number, json.loads(body)))
        place = data.draw(st.integers(0, len(payload) - 1))
        payload[place] = data.draw(st.integers(0, 255))
        for broken in (bytes(payload), bytes(payload[:place])):
            self.assertIsInstance(read(form, broken), (tuple, type(None), *MEANINGS))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.integers(1, 2**32 - 1)
times = st.integers(0, 2**53)
prices = st.decimals(0, 9_999_999_999, places=2)
users = st.builds(messages.User, st.integers(0, 2**32 - 1), texts)
said = st.builds(messages.Message, ids, users, texts, st.booleans(), times, ids)
notes = st.builds(messages.Note, ids, st.integers(0, 5), texts)
services = st.builds(
    messages.Service, ids, texts, texts, prices, ids, ids, texts, st.lists(notes, max_size=2).map(tuple), times
)
conversations = st.builds(
    messages.Conversation,
    *(ids, users, times, st.booleans()),
    *(st.lists(said, max_size=2).map(tuple), st.lists(services, max_size=2).map(tuple)),
)
temporary_ids = (
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
server_messages = st.one_of(
    st.builds(messages.Error, st.integers(0, 255), texts, texts),
    st.builds(messages.ReturnConversations, st.lists(conversations, max_size=2).map(tuple)),
    st.builds(messages.stored, said, temporary_ids),
    st.builds(messages.AlertNewMessage, ids, said),
    st.builds(messages.MessageSeen, ids, ids),
    st.builds(messages.UpdateConversation, ids, st.lists(services, max_size=2).map(tuple)),
)


class RoundTripTests(SynchronousTestCase):
    """Whatever the server says can be read back from each form."""

    @given(server_messages)
    def test_from_the_server(self, message: Any) -> None:
        """The opcode, and the body whole."""
        kind, number = type(message), next(opcode for opcode in Opcode if opcode.body is type(message))
        for form, decoder in ((BINARY, msgspec.json.decode), (MSGPACK, msgspec.msgpack.decode)):
            payload = encode(form, message)
            self.assertEqual(payload[0], number)
            self.assertEqual(decoder(payload[1:], type=kind), message)
        envelope = msgspec.json.decode(encode(TEXT, message))
        self.assertEqual(list(envelope), ["type", "data"])
        self.assertEqual(envelope["type"], number)
        bare = number is Opcode.RETURN_CONVERSATIONS
        body = {"conversations": envelope["data"]} if bare else envelope["data"]
        self.assertEqual(msgspec.convert(body, kind), message)

    @given(temporary_ids, texts, ids)
    def test_a_temporary_id(self, temporary_id: Any, content: str, conversation: int) -> None:
        """Goes back as it came, its type too, or is refused."""
        for form in Form:
            sent = {"id": temporary_id, "msg": content, "conversation": conversation}
            found = read(form, packet(form, 7, sent))
            if isinstance(temporary_id, str) and (not temporary_id or "\0" in temporary_id):
                self.assertEqual(found, (7, "bad-request"))
                continue
            self.assertEqual(found, CreateMessage(content, conversation, None, temporary_id))
            self.assertIs(type(found.temporary_id), type(temporary_id))
            answer = encode(form, messages.not_stored(found, messages.NOT_FOUND))
            body = json.loads(answer)["data"] if form is TEXT else None
            body = msgspec.msgpack.decode(answer[1:]) if form is MSGPACK else body or json.loads(answer[1:])
            self.assertEqual(body["fakeId"], temporary_id)
