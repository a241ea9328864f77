"""What is done to messages before they are written."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from realtime.market import messages
from realtime.market.messages import Conversation, Message, Note, Service, User
from realtime.market.showing import in_html, newest_that_fit
from tests.market import packets

RAW, ESCAPED = "<b>&'\"", "&lt;b&gt;&amp;'\""


def message(text: str) -> Message:
    """A message."""
    return Message(1, User(7, text), text, False, 0, 3)


def service(text: str) -> Service:
    """A service with a note."""
    return Service(5, text, text, Decimal("1.00"), 7, 8, "terminated", (Note(7, 4, text),), 0)


def conversation(text: str) -> Conversation:
    """A conversation with both."""
    return Conversation(3, User(8, text), 0, True, (message(text),), (service(text),))


class HtmlTests(SynchronousTestCase):
    """Texts as HTML."""

    def test_wherever_users_wrote(self) -> None:
        """Contents, titles, categories, comments and names."""
        for made in (
            lambda text: messages.ReturnConversations((conversation(text),)),
            lambda text: messages.stored(message(text), RAW),
            lambda text: messages.AlertNewMessage(3, message(text)),
            lambda text: messages.UpdateConversation(3, (service(text),)),
        ):
            self.assertEqual(in_html(made(RAW)), made(ESCAPED))

    def test_all_else(self) -> None:
        """Is as it was."""
        refused = messages.StatusMessage(False, 3, temporary_id="<", error="not-found")
        for each in (messages.Ping(), messages.MessageSeen(3, 1), messages.NOT_FOUND.of(7), refused):
            self.assertEqual(in_html(each), each)


class FittingTests(SynchronousTestCase):
    """As much as fits."""

    @given(st.lists(st.integers(0, 4), max_size=5), st.integers(0, 4_000))
    def test_what_fits(self, counts: list[int], most_bytes: int) -> None:
        """The first ones; as many as fit, and no more; one at least, with one message at least."""
        whole = tuple(
            replace(packets.CONVERSATION, id=number + 1, messages=(packets.MESSAGE,) * count)
            for number, count in enumerate(counts)
        )
        found = newest_that_fit(whole, most_bytes)
        size = len(msgspec.json.encode(found))
        if len(found) > 1 or found == whole[:1]:
            self.assertEqual(found, whole[: len(found)])
        if found != whole and found == whole[: len(found)]:
            self.assertGreater(len(msgspec.json.encode(whole[: len(found) + 1])), most_bytes)
        if whole:
            self.assertTrue(found)
            self.assertGreaterEqual(len(found[0].messages), min(1, counts[0]))
        if found and (len(found) > 1 or len(found[0].messages) > 1):
            self.assertLessEqual(size, most_bytes + 1)

    def test_the_first_alone_is_too_long(self) -> None:
        """It keeps the newest of its messages."""
        said = tuple(replace(packets.MESSAGE, id=number) for number in range(10, 20))
        long = replace(packets.CONVERSATION, messages=said)
        size = len(msgspec.json.encode(replace(long, messages=said[-3:]))) + 3
        (found,) = newest_that_fit((long, packets.CONVERSATION), size)
        self.assertEqual(found, replace(long, messages=said[-3:]))
