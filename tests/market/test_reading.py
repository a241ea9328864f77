"""How clients write their bodies: ids, prices, texts and aliases, at their bounds."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realtime.market.codec import BadPacket, Form, decode
from realtime.market.messages import (
    BAD_REQUEST,
    AskConversations,
    CreateMessage,
    CreateService,
    EndNegotiation,
    Offer,
    OpenConversation,
    OpenDispute,
    ReportMessage,
    SubmitNote,
    TerminateService,
    is_sayable,
    key_of,
)
from realtime.market.opcodes import Opcode
from realtime.market.reading import price_of


def read(opcode: Opcode, **body: Any) -> Any:
    """What a body is read as, or ``None`` for a bad request."""
    try:
        return decode(Form.MSGPACK, bytes((opcode,)) + msgspec.msgpack.encode(body))
    except BadPacket as bad:
        if bad.fault is not BAD_REQUEST:
            raise
        return None


class IdTests(SynchronousTestCase):
    """Numbers, and objects that have one."""

    def test_bounds(self) -> None:
        """Whole numbers of 32 bits but zero; nothing that only looks like one."""
        for number in (1, 3, 2**32 - 1):
            self.assertEqual(read(Opcode.OPENED_CONVERSATION, conversation=number), OpenConversation(number))
        for wrong in (0, -1, 2**32, 2**63, 1.0, 1.5, "1", True, None, [1], b"1"):
            self.assertIsNone(read(Opcode.OPENED_CONVERSATION, conversation=wrong), wrong)

    def test_whole_objects(self) -> None:
        """Their id is what counts."""
        whole = {"id": 3, "with": {"id": 9}, "messages": []}
        self.assertEqual(read(Opcode.OPENED_CONVERSATION, conversation=whole), OpenConversation(3))
        self.assertEqual(read(Opcode.REPORT_MESSAGE, message=whole), ReportMessage(3))
        self.assertEqual(
            read(Opcode.SERVICE_TERMINATED, conversation=whole, service={"id": 5}), TerminateService(3, 5)
        )
        self.assertEqual(read(Opcode.CREATE_MESSAGE, msg="Hi", to=whole), CreateMessage("Hi", None, 3))
        for wrong in ({}, {"id": None}, {"id": 0}, {"id": "3"}, {"id": {"id": 3}}):
            self.assertIsNone(read(Opcode.OPENED_CONVERSATION, conversation=wrong), wrong)

    def test_a_service_without_an_id(self) -> None:
        """Is the newest, in each of its steps; one with a wrong id is wrong."""
        rest: dict[Opcode, dict[str, Any]] = {
            Opcode.NOTE_SUBMITTED: {"grade": 4},
            Opcode.LITIGE_CREATED: {},
            Opcode.SERVICE_TERMINATED: {},
            Opcode.PRICE_EDITED: {"price": 1},
            Opcode.NEGOTIATION_END: {},
        }
        unnamed: tuple[dict[str, Any], ...] = (
            {},
            {"service": None},
            {"service": {}},
            {"service": {"id": None, "title": "x"}},
        )
        for opcode, keys in rest.items():
            for service in unnamed:
                self.assertIsNone(read(opcode, conversation=3, **service, **keys).service)
            for wrong in (0, "5", {"id": "5"}, [5], True):
                self.assertIsNone(read(opcode, conversation=3, service=wrong, **keys), (opcode, wrong))


class PriceTests(SynchronousTestCase):
    """Amounts of money."""

    def price(self, value: Any) -> Decimal | None:
        """What a price is read as, or ``None``."""
        found = read(Opcode.PRICE_EDITED, conversation=3, price=value)
        return None if found is None else found.price

    def test_what_is_one(self) -> None:
        """Numbers and texts of digits, two places, zero and the highest."""
        for value, text in (
            *((0, "0.00"), (-0.0, "0.00"), (40, "40.00"), (0.1, "0.10"), (12.5, "12.50"), (19.99, "19.99")),
            *(("0", "0.00"), ("12.5", "12.50"), ("007.10", "7.10"), ("1.500", "1.50"), (1e3, "1000.00")),
            *((9_999_999_999.99, "9999999999.99"), ("9999999999.99", "9999999999.99")),
        ):
            self.assertEqual(str(self.price(value)), text)

    def test_what_is_none(self) -> None:
        """All else."""
        for wrong in (
            *(-1, -0.01, "-1", "+1", 10_000_000_000, "10000000000", 1e300, 2**64 - 1, math.nan, math.inf),
            *("1e3", "NaN", "Infinity", "1_0", " 1", "1\n", "", ".5", "5.", "1,5", "١", "0x1", "9" * 10_000),
            *(0.001, "1.505", 1.005, 1e-7, True, None, [1], {"x": 1}, "1." + "0" * 60_000),
        ):
            self.assertIsNone(self.price(wrong), str(wrong)[:20])

    def test_numbers_without_end(self) -> None:
        """JSON has numbers that no type holds."""
        for number in (b"9" * 400, b"9" * 6_000, b"1e400", b"-1e400", b"0." + b"1" * 400):
            with self.assertRaises(BadPacket):
                decode(Form.BINARY, b'\xe5{"conversation": 3, "price": %b}' % number)

    @given(st.integers(0, 10**12 - 1))
    def test_every_price(self, hundredths: int) -> None:
        """Is the same as a text, as a number and as a decimal."""
        exact = Decimal(hundredths).scaleb(-2)
        for value in (str(exact), float(exact), exact):
            price = price_of(value)
            self.assertEqual((price, price.as_tuple().exponent), (exact, -2))

    @given(st.floats() | st.text() | st.decimals() | st.integers())
    def test_any_value(self, value: Any) -> None:
        """Is a price with two places, or a ``ValueError``."""
        try:
            price = price_of(value)
        except ValueError:
            return
        self.assertEqual(price.as_tuple().exponent, -2)
        self.assertFalse(price.is_signed())
        self.assertEqual(price, Decimal(repr(value) if isinstance(value, float) else value))


class MessageTests(SynchronousTestCase):
    """CREATE MSG."""

    def test_aliases(self) -> None:
        """Of the id and of the text; the first counts."""
        for keys in (
            {"id": 1},
            {"ref": 1},
            {"fakeId": 1},
            {"id": 1, "ref": 2},
            {"id": None, "ref": 1, "fakeId": 3},
        ):
            for text in ({"msg": "a"}, {"text": "a"}, {"message": "a"}, {"message": "b", "text": "a"}):
                found = read(Opcode.CREATE_MESSAGE, conversation=3, **keys, **text)
                self.assertEqual(found, CreateMessage("a", 3, None, 1))
        self.assertEqual(
            read(Opcode.CREATE_MESSAGE, conversation=3, to=8, msg="", text="b"), CreateMessage("", 3)
        )

    def test_what_is_missing(self) -> None:
        """A text and a place are asked for."""
        self.assertIsNone(read(Opcode.CREATE_MESSAGE, conversation=3))
        self.assertIsNone(read(Opcode.CREATE_MESSAGE, conversation=3, msg=None))
        self.assertIsNone(read(Opcode.CREATE_MESSAGE, msg="a"))
        self.assertIsNone(read(Opcode.CREATE_MESSAGE, conversation=3, msg=5))

    def test_temporary_ids(self) -> None:
        """Numbers and texts, and nothing that could not go back, or be stored."""
        for given_ in (0, -1, 2**63 - 1, 0.5, "a", "ф" * 200):
            found = read(Opcode.CREATE_MESSAGE, conversation=3, msg="a", id=given_)
            self.assertEqual(found.temporary_id, given_)
        for wrong in (2**63, math.nan, math.inf, "", "a\0", "a" * 201, True, [1], {"x": 1}):
            self.assertIsNone(read(Opcode.CREATE_MESSAGE, conversation=3, msg="a", id=wrong), wrong)

    def test_stored_ids(self) -> None:
        """Two that differ are stored as two."""
        given_ = (1, "1", "1.5", 1.5, '"1', -1, "", "a" * 200)
        keys = [key_of(each) for each in given_]
        self.assertEqual(len(set(keys)), len(given_))
        self.assertLessEqual(max(map(len, keys)), 201)

    def test_what_can_be_said(self) -> None:
        """1 to 4000 characters, no NUL; what can't is read all the same, for its answer names its id."""
        for text in ("a", " ", "\U0001f600" * 4_000):
            self.assertTrue(is_sayable(text))
        for text in ("", "a" * 4_001, "\0", "a\0\n"):
            self.assertFalse(is_sayable(text))
            found = read(Opcode.CREATE_MESSAGE, conversation=3, msg=text, id=1)
            self.assertEqual(found, CreateMessage(text, 3, None, 1))


class OtherTests(SynchronousTestCase):
    """The other bodies."""

    def test_ask(self) -> None:
        """Never more than fifty, never none."""
        self.assertEqual(read(Opcode.ASK_CONVERSATIONS, limit=None, before=None), AskConversations(50))
        self.assertEqual(read(Opcode.ASK_CONVERSATIONS, limit=1, before={"id": 3}), AskConversations(1, 3))
        self.assertEqual(read(Opcode.ASK_CONVERSATIONS, limit=10**9), AskConversations(50))
        for wrong in ({"limit": 0}, {"limit": -1}, {"limit": 1.5}, {"limit": "x"}, {"before": 0}):
            self.assertIsNone(read(Opcode.ASK_CONVERSATIONS, **wrong), wrong)

    def test_offers(self) -> None:
        """Only the price is asked for; null is as if left out."""
        bare = CreateService(3, Offer(Decimal("1.00")))
        nothing = dict.fromkeys(("title", "category", "client", "recipient"))
        self.assertEqual(read(Opcode.SERVICE_CREATED, conversation=3, service={"price": 1}), bare)
        self.assertEqual(read(Opcode.SERVICE_CREATED, conversation=3, service={"price": "1", **nothing}), bare)
        for key in ("title", "category"):
            for text, good in (("t" * 255, True), ("t" * 256, False), ("\0", False), (5, False)):
                found = read(Opcode.SERVICE_CREATED, conversation=3, service={"price": 1, key: text})
                self.assertEqual(found is not None, good)
        for wrong in ({}, {"title": "x"}, {"price": None}, {"price": 1, "client": "7"}, 5, None):
            self.assertIsNone(read(Opcode.SERVICE_CREATED, conversation=3, service=wrong), wrong)

    def test_notes(self) -> None:
        """Grades of 0 to 5, in either of two places; a comment is not asked for."""
        for grade in range(6):
            for body in (
                {"grade": grade},
                {"opinion": {"grade": grade}},
                {"grade": grade, "opinion": {"grade": 3}},
            ):
                found = read(Opcode.NOTE_SUBMITTED, conversation=3, service=5, **body)
                self.assertEqual(found, SubmitNote(3, 5, grade))
        whole = read(Opcode.NOTE_SUBMITTED, conversation=3, opinion={"grade": 2, "description": "So so."})
        self.assertEqual(whole, SubmitNote(3, None, 2, "So so."))
        for wrong in (-1, 6, 4.5, "4", True, None):
            self.assertIsNone(read(Opcode.NOTE_SUBMITTED, conversation=3, grade=wrong), wrong)
            self.assertIsNone(read(Opcode.NOTE_SUBMITTED, conversation=3, opinion={"grade": wrong}), wrong)
        self.assertIsNone(read(Opcode.NOTE_SUBMITTED, conversation=3, grade=4, comment="c" * 1_001))

    def test_ends(self) -> None:
        """Accepted, unless it is said that it is not."""
        for accepted, meant in ((True, True), (None, True), (False, False)):
            found = read(Opcode.NEGOTIATION_END, conversation=3, accepted=accepted)
            self.assertEqual(found, EndNegotiation(3, None, meant))
        for wrong in (0, 1, "false", [False]):
            self.assertIsNone(read(Opcode.NEGOTIATION_END, conversation=3, accepted=wrong), wrong)

    def test_reasons(self) -> None:
        """Up to 1000 characters, no NUL, or none."""
        for opcode in (Opcode.LITIGE_CREATED, Opcode.REPORT_CONVERSATION, Opcode.REPORT_MESSAGE):
            for text, good in (("r" * 1_000, True), ("r" * 1_001, False), ("\0", False), (5, False)):
                found = read(opcode, conversation=3, message=3, reason=text)
                self.assertEqual(found is not None, good)
            self.assertEqual(read(opcode, conversation=3, message=3, reason=None).reason, "")
        self.assertEqual(read(Opcode.LITIGE_CREATED, conversation=3, reason="r"), OpenDispute(3, None, "r"))
