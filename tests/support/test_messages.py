"""The codec of support: the document's frames, and whatever else may come."""

import json

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.support import messages
from realtime.support.messages import Message, OperatorMessage, ParseError, decode, parameters
from tests.documents import support as document

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


class DecodeTests(SynchronousTestCase):
    """What is read from a frame."""

    def test_the_documents_requests(self) -> None:
        """Each request of the document is read as it is meant."""
        for text, method, params in (
            (document.AUTH_REQUEST, "message.auth", ["QWERTYUIOP"]),
            (document.SEND_REQUEST, "message.send", ["message"]),
            (document.OPERATOR_SEND_REQUEST, "message.operatorSend", ["message"]),
        ):
            request = decode(text.encode())
            self.assertEqual((request.method, request.params), (method, params))
            self.assertEqual(bytes(request.id), b"1")

    def test_unknown_keys_are_ignored(self) -> None:
        """A client may send more than is asked for."""
        request = decode(b'{"jsonrpc": "2.0", "method": "message.send", "params": ["a"], "id": 4}')
        self.assertEqual(request.method, "message.send")

    def test_the_id_stays_as_it_was_written(self) -> None:
        """Any scalar can be an id, and comes back byte for byte."""
        for written in ("1", "1.50", "1e2", '"a\\u0062"', "true", "null", "9" * 40, "-0"):
            request = decode(f'{{"method": "x", "id": {written}}}'.encode())
            reply = messages.encode_error(messages.UNKNOWN_METHOD, request.id)
            self.assertTrue(reply.endswith(f'"id":{written}}}'.encode()), reply)

    def test_a_request_without_an_id(self) -> None:
        """It is answered with null."""
        self.assertEqual(bytes(decode(b'{"method": "message.send"}').id), b"null")

    def test_what_is_no_request(self) -> None:
        """Everything that is not a JSON object with a scalar id is a parse error."""
        for frame in (
            b"",
            b"hello",
            b"[]",
            b"1",
            b"null",
            b'"message.auth"',
            b"{",
            b"{} {}",
            b'{"id": {}}',
            b'{"id": [1]}',
            b'{"params": [NaN]}',
            b'{"params": [1e999]}',
            b'{"params": ["\\ud800"]}',
            b"\xff",
            b"[" * 60_000,
            b'{"params":' * 6_000,
        ):
            self.assertRaises(ParseError, decode, frame)

    @given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
    @example(b'{"id":\x00}')
    def test_any_bytes_at_all(self, frame: bytes) -> None:
        """A frame is a request or a parse error, and nothing else happens."""
        try:
            request = decode(frame)
        except ParseError:
            return
        reply = json.loads(messages.encode_error(messages.UNKNOWN_METHOD, request.id))
        self.assertEqual(reply["id"], json.loads(frame).get("id"))


class EncodeTests(SynchronousTestCase):
    """What is written to a frame."""

    def test_the_documents_replies(self) -> None:
        """Each reply of the document is what is written for it, keys and values and their order."""
        first = Message(1, "Message from Client", "", False, 1678794555)
        second = Message(2, "Message from Operator", "Operator1", True, 1678794555)
        third = Message(3, "Message from Client", "", False, 1678794555)
        pushed = Message(3, "Message from Client", "", True, 1678794555)
        one, three = msgspec.Raw(b"1"), msgspec.Raw(b"3")
        for reply, drawn in (
            (messages.encode_result({"messages": [first, second]}, one), document.AUTH_REPLY),
            (messages.encode_result({"messages": None}, one), document.AUTH_REPLY_EMPTY),
            (messages.encode_result({"message": third}, three), document.SEND_REPLY),
            (messages.encode_push({"message": pushed}, 3), document.PUSH),
            (
                messages.encode_error(messages.INCORRECT_ARGUMENT, one),
                document.INCORRECT_ARGUMENT_REPLY,
            ),
        ):
            in_one_line = json.dumps(json.loads(drawn), separators=(",", ":"))
            self.assertEqual(reply.decode(), in_one_line)

    def test_operators_are_told_whose_message_it_is(self) -> None:
        """An operator's message has two keys more, after the document's."""
        message = OperatorMessage(1, "a", "", False, 5, 7, "alice")
        self.assertEqual(
            list(json.loads(msgspec.json.encode(message))),
            [
                *("message_id", "message_text", "invader_name", "is_from_support", "created"),
                *("user_id", "user_name"),
            ],
        )

    def test_the_errors_of_the_contract(self) -> None:
        """Codes and texts are those of the contract."""
        self.assertEqual(
            [
                (error.code, error.message)
                for error in (
                    messages.INCORRECT_ARGUMENT,
                    messages.NO_CONVERSATION,
                    messages.PERMISSION_DENIED,
                    messages.UNKNOWN_METHOD,
                    messages.PARSE_ERROR,
                    messages.TOO_MANY_REQUESTS,
                    messages.TEMPORARILY_UNAVAILABLE,
                )
            ],
            [
                (1, "Incorrect argument."),
                (2, "No conversation."),
                (3, "Permission denied."),
                (4, "Unknown method."),
                (5, "Parse error."),
                (6, "Too many requests."),
                (7, "Temporarily unavailable."),
            ],
        )


class ParametersTests(SynchronousTestCase):
    """What a method's parameters may be."""

    def test_exact_types(self) -> None:
        """The number and the types must be the method's; true is no number."""
        self.assertEqual(parameters(["a"], str), ["a"])
        for wrong in (None, "a", {}, {"0": "a"}, [], [1], ["a", "b"], [None], [["a"]]):
            self.assertIsNone(parameters(wrong, str), wrong)
        self.assertIsNone(parameters([True], int))
        self.assertIsNone(parameters([1.0], int))

    def test_optional_ones(self) -> None:
        """They may be left out from the end, or be null; the others may not."""
        self.assertEqual(parameters(["a"], str, int, optional=1), ["a", None])
        self.assertEqual(parameters(["a", None], str, int, optional=1), ["a", None])
        self.assertEqual(parameters([None, 5], int, int, optional=2), [None, 5])
        self.assertIsNone(parameters([None, 5], str, int, optional=1))
        self.assertIsNone(parameters(["a", "5"], str, int, optional=1))


class TextTests(SynchronousTestCase):
    """What can be said."""

    def test_blank_long_and_unstorable(self) -> None:
        """A message has something in it, at most 10 000 characters, and no NUL."""
        for good in ("a", " a ", "ф" * 10_000, "\U0001f600" * 10_000):
            self.assertTrue(messages.is_sayable(good))
        for bad in ("", " ", "\n\t\u2003", "a" * 10_001, "a\0b"):
            self.assertFalse(messages.is_sayable(bad))


class FittingTests(SynchronousTestCase):
    """How much of a list is sent."""

    def test_the_newest_that_fit(self) -> None:
        """The end of the list, as much as fits, and the last one in any case."""
        found = ["aaaa", "bbbb", "cccc"]  # seven bytes each, with quotes and comma
        self.assertEqual(messages.newest_that_fit(found, 21), found)
        self.assertEqual(messages.newest_that_fit(found, 20), ["bbbb", "cccc"])
        self.assertEqual(messages.newest_that_fit(found, 1), ["cccc"])
        self.assertEqual(messages.newest_that_fit([], 1), [])

    def test_the_first_that_fit(self) -> None:
        """The beginning of the list, as much as fits, and the first one in any case."""
        found = ["aaaa", "bbbb", "cccc"]
        self.assertEqual(messages.first_that_fit(found, 20), ["aaaa", "bbbb"])
        self.assertEqual(messages.first_that_fit(found, 1), ["aaaa"])
        self.assertEqual(messages.first_that_fit([], 1), [])
