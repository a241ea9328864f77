"""The codec of talk: the document's payloads, limits, and whatever else may come."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from realtime.talk import messages
from realtime.talk.messages import (
    CLOSE_CODES,
    Answer,
    Answers,
    ChatStart,
    ChatStop,
    Confirm,
    Find,
    Malformed,
    Match,
    Message,
    Question,
    ServerMessage,
    decode,
    encode,
    from_event,
    payload_of,
)
from tests.documents import talk as document

MATCH_ID = "123e4567-e89b-12d3-a456-426655440000"
QUESTIONS = (
    Question(1, "Am I interesting?"),
    Question(2, "Am I boring?"),
    Question(3, "Did you like the talk?"),
)
ANSWERS = (Answer(1, "Yes."), Answer(2, "No."), Answer(3, "Yes."))

FROM_CLIENT = {
    ("find", document.FIND): Find(0.3, QUESTIONS),
    ("confirm", document.CONFIRM): Confirm(MATCH_ID),
    ("message", document.MESSAGE): Message("Hi, how are you?"),
    ("answers", document.ANSWERS): Answers(MATCH_ID, ANSWERS),
}
FROM_SERVER: dict[tuple[str, str], ServerMessage] = {
    ("match", document.MATCH): Match("viper", 5, MATCH_ID),
    ("message", document.MESSAGE): Message("Hi, how are you?"),
    ("chat-stop", document.CHAT_STOP): ChatStop(QUESTIONS),
    ("answers", document.ANSWERS): Answers(MATCH_ID, ANSWERS),
}


def frame(event: Any, **keys: Any) -> bytes:
    """A frame with these keys beside the event."""
    return json.dumps({"event": event, **keys}).encode()


def find(score: Any = 0.3, questions: Any = ()) -> Any:
    """What a ``find`` of this score and these questions is read as."""
    return decode(frame("find", payload={"score": score, "questions": list(questions)}))


def answers(*given: Any) -> Any:
    """What these answers are read as."""
    return decode(frame("answers", payload={"match_id": "m", "answers": list(given)}))


class DecodeTests(SynchronousTestCase):
    """What is read from a frame."""

    def test_the_documents_payloads(self) -> None:
        """Each is read as it is meant: in a frame, as an event, and as an event that holds a string."""
        for (event, payload), meant in FROM_CLIENT.items():
            whole = f'{{"event": "{event}", "payload": {payload}}}'
            self.assertEqual(decode(whole.encode()), meant)
            self.assertEqual(from_event(event, payload.encode()), meant)
            self.assertEqual(from_event(event, json.dumps(payload).encode()), meant)

    def test_data_is_an_alias_of_payload(self) -> None:
        """It is read where there is no payload, and passed over where there is one."""
        one, two = {"match_id": "one"}, {"match_id": "two"}
        self.assertEqual(decode(frame("confirm", data=one)), Confirm("one"))
        self.assertEqual(decode(frame("confirm", data=one, payload=None)), Confirm("one"))
        self.assertEqual(decode(frame("confirm", data=one, payload=two)), Confirm("two"))

    def test_unknown_keys_are_ignored(self) -> None:
        """Beside the event, in the payload, in a question and in an answer; the order of keys is free."""
        self.assertEqual(
            decode(b'{"x": [1], "payload": {"y": {}, "match_id": "m"}, "event": "confirm"}'), Confirm("m")
        )
        self.assertEqual(find(1, [{"z": 0, "id": 1, "question": "?"}]), Find(1, (Question(1, "?"),)))
        self.assertEqual(answers({"question_id": 1, "answer": "a", "z": 0}), Answers("m", (Answer(1, "a"),)))

    def test_id_is_an_alias_of_question_id(self) -> None:
        """It is read where there is no question_id; an answer that has neither is to nothing."""
        self.assertEqual(answers({"id": "x", "answer": "a"}), Answers("m", (Answer("x", "a"),)))
        self.assertEqual(answers({"id": 2, "question_id": 1, "answer": "a"}), Answers("m", (Answer(1, "a"),)))
        self.assertEqual(answers({"answer": "a"}), Malformed())
        self.assertEqual(answers({"id": None, "question_id": None, "answer": "a"}), Malformed())

    def test_scores(self) -> None:
        """A score is a finite number, whole ones too; nothing that only looks like one."""
        for score in (0, 1, -5, 0.3, -0.0, 1e308, -1e308, 5e-324, 2**70):
            self.assertEqual(find(score), Find(float(score), ()))
        wrong: Any
        for wrong in (True, False, "0.3", None, [], {}, math.nan, math.inf, -math.inf):
            self.assertEqual(find(wrong), Malformed(), wrong)
        for number in (b"1e309", b"-1e309", b"9" * 400, b"+1", b".5", b"0x1"):
            sent = b'{"event": "find", "payload": {"questions": [], "score": %s}}' % number
            self.assertEqual(decode(sent), Malformed(), number)

    def test_questions(self) -> None:
        """None to twenty, of 1 to 500 characters, with ids of their own: integers or strings."""
        self.assertEqual(find(0, []), Find(0, ()))
        twenty = [{"id": number, "question": "?"} for number in range(20)]
        self.assertEqual(len(find(0, twenty).questions), 20)
        self.assertEqual(find(0, [*twenty, {"id": 20, "question": "?"}]), Malformed())
        for identifier in (0, -1, 2**63 - 1, -(2**63), "a", "ф" * 255, "1"):
            found = find(0, [{"id": identifier, "question": "?"}])
            self.assertEqual(found.questions[0].id, identifier)
        wrong: Any
        for wrong in (2**63, -(2**63) - 1, 1.0, 1.5, True, None, "", "a" * 256, "a\0", [1], {}):
            self.assertEqual(find(0, [{"id": wrong, "question": "?"}]), Malformed(), wrong)
        for text in ("?", "\U0001f600" * 500, " "):
            self.assertIsInstance(find(0, [{"id": 1, "question": text}]), Find)
        for wrong in ("", "?" * 501, "a\0b", "\0\n", None, 1):
            self.assertEqual(find(0, [{"id": 1, "question": wrong}]), Malformed(), wrong)

    def test_ids_are_unique(self) -> None:
        """Two questions of one id are refused; 1 and "1" are two ids."""
        self.assertEqual(
            find(0, [{"id": 1, "question": "a"}, {"id": "1", "question": "b"}]),
            Find(0, (Question(1, "a"), Question("1", "b"))),
        )
        for identifier in (1, "1"):
            twice = [{"id": identifier, "question": "a"}, {"id": identifier, "question": "b"}]
            self.assertEqual(find(0, twice), Malformed())

    def test_what_can_be_said(self) -> None:
        """1 to 4000 characters, no NUL."""
        for text in ("a", " ", "\U0001f600" * 4000):
            self.assertEqual(decode(frame("message", payload={"message": text})), Message(text))
        for wrong in ("", "a" * 4001, "\0", "a\0\n", None, 1, ["a"]):
            self.assertEqual(decode(frame("message", payload={"message": wrong})), Malformed(), wrong)

    def test_what_can_be_answered(self) -> None:
        """Up to 4000 characters, or none, to no more questions than there can be; no NUL."""
        for text in ("", "a", "\U0001f600" * 4000):
            self.assertEqual(answers({"question_id": 1, "answer": text}), Answers("m", (Answer(1, text),)))
        for wrong in ("a" * 4001, "\0", None, 1):
            self.assertEqual(answers({"question_id": 1, "answer": wrong}), Malformed(), wrong)
        many = [{"question_id": number, "answer": ""} for number in range(21)]
        self.assertEqual(len(answers(*many[:20]).answers), 20)
        self.assertEqual(answers(*many), Malformed())
        self.assertEqual(answers(), Answers("m", ()))

    def test_what_is_no_event(self) -> None:
        """All else can't be read, and does no harm."""
        for sent in (
            *(b"", b"hello", b"[]", b"1", b"null", b"{}", b'"find"', b"{", b"{} {}", b"\xff", b"[" * 60_000),
            *(b'{"event": "confirm"}', b'{"event": "confirm", "payload": null}'),
            *(b'{"event": "confirm", "payload": []}', b'{"event": "confirm", "payload": {}}'),
            *(b'{"event": "confirm", "payload": {"match_id": 5}}', b'{"event": 1, "payload": {}}'),
            *(b'{"event": "chat-start"}', b'{"event": "error", "payload": {"message": "", "code": ""}}'),
            *(
                b'{"payload": {"match_id": "m"}}',
                b'{"event": "Find", "payload": {"score": 1, "questions": []}}',
            ),
            *(b'{"event": "message", "payload": {"message": "\xff"}}', b'{"payload":' * 6_000),
            *(b'{"event": "message", "payload": {"message": "\\ud800"}}',),
            *(b'{"event": "find", "payload": {"score": NaN, "questions": []}}',),
        ):
            self.assertEqual(decode(sent), Malformed(), sent[:60])

    def test_what_is_no_argument(self) -> None:
        """An event of another transport that is unknown, or without its payload, can't be read either."""
        good = b'{"match_id": "m"}'
        self.assertEqual(from_event("confirm", good), Confirm("m"))
        twice = json.dumps(json.dumps(good.decode())).encode()
        for name, payload in (
            *(
                ("", good),
                ("Confirm", good),
                ("match", good),
                ("confirm", b""),
                ("confirm", b'"'),
                ("confirm", b"[]"),
            ),
            *(("confirm", b"null"), ("confirm", b'""'), ("confirm", twice), ("confirm", b"[" * 60_000)),
        ):
            self.assertEqual(from_event(name, payload), Malformed(), (name, payload[:40]))


class EncodeTests(SynchronousTestCase):
    """What is written to a frame."""

    def test_the_documents_payloads(self) -> None:
        """Each is what is written for it, keys and values and their order, and nothing else."""
        for (event, payload), message in FROM_SERVER.items():
            drawn = json.loads(payload)
            in_one_line = json.dumps({"event": event, "payload": drawn}, separators=(",", ":"))
            self.assertEqual(encode(message).decode(), in_one_line)
            self.assertEqual(payload_of(message), json.dumps(drawn, separators=(",", ":")).encode())
            self.assertEqual(message.event, event)

    def test_no_payload(self) -> None:
        """``chat-start`` has none, and no key for it."""
        self.assertEqual(encode(ChatStart()), b'{"event":"chat-start"}')
        self.assertIsNone(payload_of(ChatStart()))

    def test_an_error(self) -> None:
        """Has a text for people and a code for programs."""
        expected = b'{"event":"error","payload":{"message":"Your partner has left.","code":"partner-left"}}'
        self.assertEqual(encode(messages.PARTNER_LEFT), expected)

    def test_the_errors_of_the_contract(self) -> None:
        """Each code of the contract is there once, with its close code."""
        done, policy = CloseCode.DONE, CloseCode.POLICY_VIOLATION
        self.assertEqual(
            {error.code: code for error, code in CLOSE_CODES.items()},
            {
                "unauthorized": CloseCode.NOT_AUTHENTICATED,
                "bad-request": policy,
                "not-allowed": policy,
                "replaced": CloseCode.REPLACED,
                "unavailable": CloseCode.TRY_AGAIN_LATER,
                **dict.fromkeys(("no-match", "confirm-timeout", "partner-left", "answer-timeout"), done),
            },
        )
        self.assertEqual(len({error.message for error in CLOSE_CODES}), 9)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
nonempty = texts.filter(bool)
identifiers = st.integers(-(2**63), 2**63 - 1) | nonempty
client_messages = st.one_of(
    st.builds(
        Find,
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(st.builds(Question, identifiers, nonempty), max_size=20, unique_by=lambda each: each.id).map(
            tuple
        ),
    ),
    st.builds(Confirm, texts),
    st.builds(Message, nonempty),
    st.builds(Answers, texts, st.lists(st.builds(Answer, identifiers, texts), max_size=20).map(tuple)),
)
EVENTS: dict[type, str] = {Find: "find", Confirm: "confirm", Message: "message", Answers: "answers"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: (
        st.lists(children)
        | st.dictionaries(
            st.sampled_from(
                ["score", "questions", "id", "question", "match_id", "answers", "answer", "message", "x"]
            ),
            children,
        )
    ),
    max_leaves=10,
)


class RoundTripTests(SynchronousTestCase):
    """Every message there can be, and every frame."""

    @given(client_messages)
    def test_whatever_a_client_means(self, meant: Any) -> None:
        """It is read in each of the forms in which it may come."""
        payload = json.dumps(builtin(meant))
        event = EVENTS[type(meant)]
        for key in ("payload", "data"):
            self.assertEqual(decode(f'{{"{key}": {payload}, "event": "{event}"}}'.encode()), meant)
        self.assertEqual(from_event(event, payload.encode()), meant)
        self.assertEqual(from_event(event, json.dumps(payload).encode()), meant)

    @given(client_messages.filter(lambda each: isinstance(each, Message | Answers)))
    def test_what_is_passed_on(self, meant: Any) -> None:
        """A message and answers go out as they came in."""
        self.assertEqual(decode(encode(meant)), meant)
        payload = payload_of(meant)
        assert payload is not None
        self.assertEqual(from_event(meant.event, payload), meant)

    @given(
        st.sampled_from([*EVENTS.values(), "x"]) | st.text(max_size=3),
        json_values,
        st.sampled_from(["payload", "data", "x"]),
    )
    def test_any_shape(self, event: str, payload: Any, key: str) -> None:
        """A frame is a message or malformed, whatever its shape, and nothing else happens."""
        sent = json.dumps({"event": event, key: payload})
        read = decode(sent.encode("utf-8", "surrogatepass"))
        self.assertIsInstance(read, (Malformed, *EVENTS))
        if key != "x":
            self.assertEqual(from_event(event, json.dumps(payload).encode()), read)

    @given(
        st.binary()
        | st.binary().map(lambda noise: b'{"event": "message", "payload": {"message": "%s"}}' % noise)
    )
    @example(b'{"event": "message", "payload": {"message": "\xff"}}')
    def test_any_bytes_at_all(self, sent: bytes) -> None:
        """Bytes are a message or malformed."""
        self.assertIsInstance(decode(sent), (Malformed, *EVENTS))
        self.assertIsInstance(from_event("message", sent), (Malformed, Message))


def builtin(message: Any) -> Any:
    """A message's payload, as `json` writes it."""
    return json.loads(
        json.dumps(message, default=lambda each: {k: getattr(each, k) for k in each.__struct_fields__})
    )
