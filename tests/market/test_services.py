"""The machine of a service: every status, every step, every user."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from realtime.market.messages import (
    EditPrice,
    EndNegotiation,
    Note,
    Offer,
    OpenDispute,
    Service,
    ServiceStep,
    SubmitNote,
    TerminateService,
)
from realtime.market.services import UNFINISHED, Change, Deal, NotAllowed, Status, propose, take

CLIENT, RECIPIENT, STRANGER = 7, 8, 9
TEN, TWELVE = Decimal("10.00"), Decimal("12.00")
STEPS: dict[str, ServiceStep] = {
    "accept": EndNegotiation(3, 1),
    "decline": EndNegotiation(3, 1, accepted=False),
    "edit": EditPrice(3, 1, TWELVE),
    "terminate": TerminateService(3, 1),
    "dispute": OpenDispute(3, 1, "It rained."),
    "note": SubmitNote(3, 1, 4, "Good."),
}

# What the contract says, written out: status, step, who, and the status it leads to.
BOTH = (CLIENT, RECIPIENT)
LEGAL: dict[tuple[str, str, int, int], str] = {}
for _named, _user in product(BOTH, BOTH):
    if _user != _named:
        LEGAL["negotiating", "accept", _user, _named] = "agreed"
    LEGAL["negotiating", "decline", _user, _named] = "declined"
    LEGAL["negotiating", "edit", _user, _named] = "negotiating"
    LEGAL["agreed", "dispute", _user, _named] = "disputed"
    LEGAL["terminated", "dispute", _user, _named] = "disputed"
    LEGAL["terminated", "note", _user, _named] = "terminated"
    LEGAL["disputed", "note", _user, _named] = "disputed"
    LEGAL["agreed", "terminate", CLIENT, _named] = "terminated"


def deal(status: str = "negotiating", priced_by: int = CLIENT, *notes: Note, title: str = "Garden") -> Deal:
    """A service between the two."""
    return Deal(Service(1, title, "Home", TEN, CLIENT, RECIPIENT, status, notes, 1_000), priced_by)


class StepTests(SynchronousTestCase):
    """What each step makes of a service."""

    def test_the_whole_table(self) -> None:
        """Legal is what the contract says, for every status, step, user and who named the price."""
        tried = 0
        for status, step, user, named in product(Status, STEPS, (*BOTH, STRANGER), BOTH):
            before = deal(status, named)
            after = LEGAL.get((str(status), step, user, named))
            tried += 1
            if after is None:
                with self.assertRaises(NotAllowed):
                    take(before, user, STEPS[step])
            else:
                change = take(before, user, STEPS[step])
                self.assertEqual(change.deal.service.status, after)
                self.assertTrue(change.said)
                unchanged = replace(
                    change.deal.service, status=before.service.status, notes=(), price=before.service.price
                )
                self.assertEqual(unchanged, before.service)
        self.assertEqual(tried, 5 * 6 * 3 * 2)

    def test_a_price(self) -> None:
        """It is the new one, of who named it: the other may accept it, also where nothing but this changed."""
        for price in (TWELVE, TEN):
            change = take(deal(priced_by=CLIENT), RECIPIENT, EditPrice(3, 1, price))
            self.assertEqual((change.deal.service.price, change.deal.priced_by), (price, RECIPIENT))
            with self.assertRaises(NotAllowed):
                take(change.deal, RECIPIENT, EndNegotiation(3, 1))
            self.assertEqual(take(change.deal, CLIENT, EndNegotiation(3, 1)).deal.service.price, price)

    def test_other_steps_leave_the_price(self) -> None:
        """And who named it."""
        for name, status in (("accept", "negotiating"), ("dispute", "agreed"), ("note", "terminated")):
            change = take(deal(status, CLIENT), RECIPIENT, STEPS[name])
            self.assertEqual((change.deal.service.price, change.deal.priced_by), (TEN, CLIENT))

    def test_notes(self) -> None:
        """Once by each, also where a dispute came between; the new one is last, and told apart."""
        first = take(deal("terminated"), CLIENT, SubmitNote(3, 1, 0, "Bad."))
        self.assertEqual(first.note, Note(CLIENT, 0, "Bad."))
        self.assertEqual(first.deal.service.notes, (first.note,))
        disputed = take(first.deal, RECIPIENT, OpenDispute(3, 1))
        self.assertIsNone(disputed.note)
        with self.assertRaises(NotAllowed):
            take(disputed.deal, CLIENT, SubmitNote(3, 1, 5))
        second = take(disputed.deal, RECIPIENT, SubmitNote(3, 1, 5))
        self.assertEqual(second.deal.service.notes, (first.note, Note(RECIPIENT, 5, "")))

    def test_what_is_said(self) -> None:
        """A line in the conversation for each step."""
        for status, step, said in (
            ("negotiating", "accept", "Accepted: Garden, 10.00."),
            ("negotiating", "decline", "Declined: Garden, 10.00."),
            ("negotiating", "edit", "Price changed: Garden, 12.00."),
            ("agreed", "terminate", "Terminated: Garden, 10.00."),
            ("agreed", "dispute", "Disputed: Garden, 10.00.\nIt rained."),
            ("terminated", "note", "Noted by the client: Garden, 4 of 5."),
        ):
            self.assertEqual(take(deal(status, RECIPIENT), CLIENT, STEPS[step]).said, said)
        self.assertEqual(take(deal("agreed"), CLIENT, OpenDispute(3)).said, "Disputed: Garden, 10.00.")
        untitled = deal("terminated", title="")
        self.assertEqual(take(untitled, RECIPIENT, STEPS["note"]).said, "Noted by the recipient: 4 of 5.")

    def test_what_is_said_can_be_stored(self) -> None:
        """The longest is shorter than the longest message."""
        longest = take(deal("agreed", title="t" * 255), CLIENT, OpenDispute(3, 1, "r" * 1_000))
        self.assertLess(len(longest.said), 4_000)

    def test_statuses_are_plain_texts(self) -> None:
        """Database drivers take no members of an enum."""
        self.assertIs(type(propose(Offer(TEN), 1, 2).status), str)
        self.assertIs(type(take(deal(), RECIPIENT, EndNegotiation(3)).deal.service.status), str)

    def test_unfinished(self) -> None:
        """Unfinished is what has a step ahead that leads on to its end."""
        self.assertEqual(UNFINISHED, {"negotiating", "agreed"})


class ProposalTests(SynchronousTestCase):
    """How a service begins."""

    def test_who_pays(self) -> None:
        """Who proposes, unless the offer says otherwise; one who is named decides both."""
        for client, recipient, expected in (
            (None, None, (1, 2)),
            (1, None, (1, 2)),
            (2, None, (2, 1)),
            (None, 1, (2, 1)),
            (None, 2, (1, 2)),
            (2, 1, (2, 1)),
        ):
            proposal = propose(Offer(TEN, client=client, recipient=recipient), 1, 2)
            self.assertEqual((proposal.client, proposal.recipient), expected)
            self.assertEqual((proposal.priced_by, proposal.status), (1, "negotiating"))

    def test_only_the_two(self) -> None:
        """Nobody else can be named, and nobody twice."""
        for client, recipient in ((1, 1), (2, 2), (3, None), (None, 3), (1, 3), (3, 1), (3, 4)):
            with self.assertRaises(NotAllowed):
                propose(Offer(TEN, client=client, recipient=recipient), 1, 2)

    def test_what_is_said(self) -> None:
        """With the title, if there is one."""
        self.assertEqual(propose(Offer(TEN, "Garden"), 1, 2).said, "Proposed: Garden, 10.00.")
        self.assertEqual(propose(Offer(TEN), 1, 2).said, "Proposed: 10.00.")


steps = st.lists(st.tuples(st.sampled_from((*BOTH, STRANGER)), st.sampled_from(sorted(STEPS))), max_size=25)


class SequenceTests(SynchronousTestCase):
    """Whatever the two do, in whatever order."""

    @given(st.sampled_from(BOTH), steps)
    def test_what_always_holds(self, proposer: int, tried: list[tuple[int, str]]) -> None:
        """An end is an end, agreement is the other's, done is the client's, and nobody notes twice."""
        now = deal(priced_by=proposer)
        history: list[tuple[int, str]] = []
        for user, step in tried:
            try:
                change: Change = take(now, user, STEPS[step])
            except NotAllowed:
                continue
            history.append((user, step))
            now = change.deal
        taken = [step for _, step in history]
        status = now.service.status
        self.assertNotIn(STRANGER, [user for user, _ in history])
        self.assertLessEqual(taken.count("accept") + taken.count("decline"), 1)
        self.assertLessEqual(taken.count("terminate"), 1)
        self.assertLessEqual(taken.count("dispute"), 1)
        if "decline" in taken:
            self.assertEqual((taken[-1], status), ("decline", "declined"))
        if "accept" in taken:
            at = taken.index("accept")
            namers = [proposer, *(user for user, step in history[:at] if step == "edit")]
            self.assertNotEqual(history[at][0], namers[-1])
            self.assertNotIn("edit", taken[at:])
        self.assertLessEqual({user for user, step in history if step == "terminate"}, {CLIENT})
        authors = [note.author for note in now.service.notes]
        self.assertEqual(len(authors), len(set(authors)))
        self.assertEqual(status == "disputed", "dispute" in taken)
        self.assertEqual(now.service.price, TWELVE if "edit" in taken else TEN)
