"""Two processes that are one desk: what holds when one of them dies, is cut off, or forgets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realtime.closing import CloseCode
from realtime.cluster.catching_up import AGAIN_SECONDS
from realtime.support.assignments import PATIENCE, SOON
from tests.cluster.separable import Shared
from tests.logged import Logged
from tests.support.world import RecordingPeer, World, result_of

UNAVAILABLE = 7


class ProcessesTestCase(SynchronousTestCase):
    """Alice, Bob and Olga at the first process, Otto, who has the list, and a tab of Alice's at the second."""

    def setUp(self) -> None:
        """Start both, and enter."""
        self.shared = Shared()
        self.one, self.two = self.shared.process(), self.shared.process()
        self.first = World(cluster=self.one)
        self.second = World(cluster=self.two, beside=self.first)
        self.logged = Logged(self)
        self.alice, self.bob = self.first.user("alice"), self.first.user("bob")
        self.olga, self.otto = (self.first.user(name, is_admin=True) for name in ("olga", "otto"))
        self.a, self.b = self.first.enter(self.alice), self.first.enter(self.bob)
        self.o, self.p = self.first.enter(self.olga), self.second.enter(self.otto)
        self.tab = self.second.enter(self.alice)
        self.p.ask("message.conversations")

    def tearDown(self) -> None:
        """All go; nothing is left, and nobody was told of a fault."""
        for process in self.shared.processes:
            if process.is_cut:
                process.heal()
        for peer in (self.a, self.b, self.o, self.p, self.tab):
            peer.close(CloseCode.DONE)
        self.first.clock.advance(2 * AGAIN_SECONDS)
        for process in self.shared.processes:
            self.assertEqual(len(process), 0)
        self.assertEqual(self.shared.held, {})
        self.assertEqual(self.first.clock.getDelayedCalls(), [])
        self.assertEqual(self.logged.above_debug(), [])
        self.first.database.close()

    def take(self, peer: RecordingPeer | None = None) -> None:
        """Alice asks something that all see, Olga takes the conversation, and something comes for her alone."""
        self.a.ask("message.send", "one")
        (peer or self.o).ask("message.assign", self.alice.id)
        self.a.ask("message.send", "two")
        for each in (self.o, self.p, self.tab):
            each.heard()
        self.told()

    def told(self, peer: RecordingPeer | None = None) -> list[int | None]:
        """Who has Alice's conversation, as somebody (Otto) was told since this was last asked."""
        changes = (peer or self.p).pushed("conversation")
        return [each["assigned_to"] for each in changes if each["user_id"] == self.alice.id]

    def holder(self) -> str | None:
        """Who has Alice's conversation."""
        held = self.shared.held.get(f"support.conversation.{self.alice.id}")
        return held[1] if held else None

    def later(self, seconds: float = AGAIN_SECONDS) -> None:
        """Let time pass."""
        self.first.clock.advance(seconds)


class StoryTests(ProcessesTestCase):
    """While all is well nobody can tell which process it is on."""

    def test_across(self) -> None:
        """Messages, assignment, its changes and its end are the same from wherever."""
        self.a.ask("message.send", "one")
        self.assertEqual((self.tab.heard(), self.o.heard(), self.p.heard()), (["one"], ["one"], ["one"]))
        self.p.ask("message.assign", self.alice.id)
        self.a.ask("message.send", "two")
        self.assertEqual((self.o.heard(), self.p.heard()), ([], ["two"]))
        self.p.ask("message.operatorSend", "three")
        self.assertEqual((self.a.heard(), self.tab.heard(), self.o.heard()), (["three"], ["two", "three"], []))
        self.o.ask("message.assign", self.alice.id)
        self.assertEqual(self.told(), [self.olga.id])
        self.tab.ask("message.send", "four")
        self.assertEqual((self.o.heard(), self.p.heard()), (["four"], []))
        self.o.close(CloseCode.DONE)
        self.assertEqual((self.p.heard(), self.told()), (["four"], [None]))

    def test_both_take_it(self) -> None:
        """Of two changes at the same moment the one that holds is told last."""
        self.a.ask("message.send", "one")
        self.o.ask("message.conversations")
        take, is_first = self.one.take, [True]

        def take_in_between(name: str, holder: str) -> Any:
            taken = take(name, holder)
            if is_first.pop():
                self.p.ask("message.assign", self.alice.id)
            return taken

        self.patch(self.one, "take", take_in_between)
        taken = self.o.ask("message.assign", self.alice.id)["conversation"]
        self.assertEqual(taken["assigned_to"], self.olga.id)
        self.assertEqual(self.holder(), str(self.otto.id))
        self.assertEqual((self.told()[-1], self.told(self.o)[-1]), (self.otto.id, self.otto.id))


class DeathTests(ProcessesTestCase):
    """A process dies."""

    def test_the_operators_process(self) -> None:
        """Its conversation returns to the pool: what is unanswered is shown, once, and who has it now."""
        self.take()
        self.one.die()
        self.assertEqual((self.p.heard(), self.told()), (["two"], [None]))
        self.tab.ask("message.send", "three")
        self.assertEqual(self.p.heard(), ["three"])

    def test_the_operator_is_there_by_another(self) -> None:
        """It keeps its conversation, whichever process had taken it, and the others hear nothing."""
        desk = self.second.enter(self.olga)
        self.take()
        self.one.die()
        self.assertEqual((self.p.heard(), self.told(), self.holder()), ([], [], str(self.olga.id)))
        self.tab.ask("message.send", "three")
        self.assertEqual((self.p.heard(), desk.heard()), ([], ["one", "two", "three"]))
        desk.close(CloseCode.DONE)
        self.assertEqual((self.p.heard(), self.told()), (["two", "three"], [None]))

    def test_the_process_that_took_it_lives(self) -> None:
        """What counts is where the operator is, not which process took the lease."""
        self.two, second = self.shared.process(), self.second
        third = World(cluster=self.two, beside=self.first)
        desk = third.enter(self.olga)
        self.take()
        self.o.close(CloseCode.DONE)
        self.assertEqual((self.p.heard(), self.holder()), ([], str(self.olga.id)))
        self.two.die()
        self.assertEqual((self.p.heard(), self.told()), (["two"], [None]))
        desk.close(CloseCode.DONE)
        self.assertIs(second, self.second)

    def test_while_the_database_is_away(self) -> None:
        """The conversation is free at once, and shown when the database is back."""
        self.take()
        self.first.database.away = True
        self.one.die()
        self.assertEqual((self.holder(), self.p.heard()), (None, []))
        self.later()
        self.first.database.away = False
        self.later()
        self.assertEqual((self.p.heard(), self.told()), (["two"], [None]))


class CutOffTests(ProcessesTestCase):
    """The first process does not reach Redis."""

    def test_work_goes_on(self) -> None:
        """What is said is stored, acknowledged and heard here, and at the other process afterwards."""
        self.take()
        self.one.cut()
        self.assertIn("message", self.a.ask("message.send", "three"))
        self.assertIn("message", self.o.ask("message.operatorSend", "four"))
        self.assertIn("message", self.tab.ask("message.send", "five"))
        self.assertEqual((self.a.heard(), self.o.heard()), (["four"], ["three"]))
        self.assertEqual((self.tab.heard(), self.p.heard()), ([], []))
        self.one.heal()
        self.assertEqual(
            (self.a.heard(), self.o.heard(), self.tab.heard()), (["five"], ["five"], ["three", "four"])
        )
        self.assertEqual(self.p.heard(), [], "it is Olga's")

    def test_what_needs_redis(self) -> None:
        """Is error 7; the list shows what the process knows, and what was wrong in it is pushed."""
        self.take()
        self.b.ask("message.send", "hello")
        self.one.cut()
        self.assertEqual(self.o.ask("message.assign", self.bob.id), UNAVAILABLE)
        self.p.ask("message.assign", self.bob.id)
        listed = self.o.ask("message.conversations")["conversations"]
        self.assertEqual([each["assigned_to"] for each in listed], [None, self.olga.id])
        seen = self.o.ask("message.seen", self.alice.id)["conversation"]
        self.assertEqual((seen["unread"], seen["assigned_to"]), (0, self.olga.id))
        self.told()
        self.one.heal()
        self.later(2 * AGAIN_SECONDS)
        changes = self.o.pushed("conversation")
        self.assertIn((self.bob.id, self.otto.id), [(each["user_id"], each["assigned_to"]) for each in changes])
        self.assertIn(0, [each["unread"] for each in self.p.pushed("conversation")])

    def test_given_back(self) -> None:
        """To give something back waits for a while, is error 7 then, and is done and told when it can be."""
        self.take()
        self.one.cut()
        request = self.o.request("message.release", self.alice.id)
        self.later(PATIENCE)
        (answer,) = [each for each in self.o.sent if each["id"] == request]
        self.assertEqual(answer["error"]["code"], UNAVAILABLE)
        self.one.heal()
        self.later()
        self.assertEqual((self.holder(), self.told()[-1]), (None, None))

    def test_redis_stands_still(self) -> None:
        """A message waits a second for who has its conversation, in its order, and is pushed then."""
        self.take()
        asked: list[Deferred[Any]] = []

        def stand_still(_: str) -> Deferred[Any]:
            asked.append(Deferred())
            return asked[-1]

        self.patch(self.one, "holder", stand_still)
        self.assertIn("message", self.a.ask("message.send", "three"))
        self.assertIn("message", self.b.ask("message.send", "hello"))
        self.assertEqual((self.tab.heard(), self.o.heard()), (["three"], []))
        self.later(SOON)
        self.assertEqual((self.o.heard(), self.p.heard()), (["three", "hello"], ["hello"]))

    def test_an_operator_comes_and_goes(self) -> None:
        """It is served; the others learn of it when they can be told."""
        self.one.cut()
        late = self.first.connect()
        self.assertIn("messages", late.ask("message.auth", self.first.token(self.otto)))
        gone = self.first.enter(self.olga)
        gone.close(CloseCode.DONE)
        self.o.close(CloseCode.DONE)
        self.one.heal()
        self.later()
        members = result_of(self.two.members("support.operators"))
        self.assertEqual(members, {str(self.otto.id)})
        self.p.close(CloseCode.DONE)
        self.assertEqual(result_of(self.two.members("support.operators")), {str(self.otto.id)})
        late.close(CloseCode.DONE)
        self.assertEqual(result_of(self.two.members("support.operators")), frozenset())


class LostTests(ProcessesTestCase):
    """The first process was cut off for so long that its leases were given up."""

    def cut(self) -> None:
        """Be cut off, and taken for dead."""
        self.take()
        self.o.ask("message.conversations")
        self.one.cut()
        self.one.give_up()
        self.assertEqual((self.p.heard(), self.told(), self.holder()), (["two"], [None], None))

    def test_still_free(self) -> None:
        """It takes again what is free, and the others are told."""
        self.cut()
        self.one.heal()
        self.assertEqual((self.holder(), self.told()), (str(self.olga.id), [self.olga.id]))
        self.tab.ask("message.send", "three")
        self.assertEqual((self.o.heard(), self.p.heard()), (["three"], []))

    def test_anothers(self) -> None:
        """What is another's stays so, and who had it learns that."""
        self.cut()
        self.p.ask("message.assign", self.alice.id)
        self.one.heal()
        self.assertEqual((self.holder(), self.told(self.o)[-1]), (str(self.otto.id), self.otto.id))
        self.tab.ask("message.send", "three")
        self.assertEqual((self.o.heard(), self.p.heard()), ([], ["three"]))

    def test_the_operator_has_gone(self) -> None:
        """It does not come back."""
        self.cut()
        self.o.close(CloseCode.DONE)
        self.one.heal()
        self.assertIsNone(self.holder())
        self.assertEqual((self.p.heard(), set(self.told())), ([], {None}))

    def test_given_back_before(self) -> None:
        """What was given back, or taken by another, was not lost."""
        self.take()
        self.o.ask("message.release", self.alice.id)
        self.b.ask("message.send", "hello")
        self.o.ask("message.assign", self.bob.id)
        self.p.ask("message.assign", self.bob.id)
        self.p.ask("message.release", self.bob.id)
        self.shared.forget()
        self.assertEqual(self.shared.held, {})

    def test_redis_was_restarted(self) -> None:
        """All processes take again what their operators had."""
        self.take()
        self.b.ask("message.send", "hello")
        self.p.ask("message.assign", self.bob.id)
        self.shared.forget()
        holders = {name.rpartition(".")[2]: held[1] for name, held in self.shared.held.items()}
        self.assertEqual(holders, {str(self.alice.id): str(self.olga.id), str(self.bob.id): str(self.otto.id)})
        self.assertEqual((self.p.heard(), self.told()[-1]), (["hello"], self.olga.id))

    def test_restarted_while_the_operator_went(self) -> None:
        """Nobody else knows of what was forgotten: its own process returns it to the pool."""
        self.take()
        self.one.cut()
        self.o.close(CloseCode.DONE)
        self.shared.held.clear()
        self.shared.entered.clear()
        self.one._was_buried = True
        self.one.heal()
        self.assertEqual((self.holder(), self.p.heard()), (None, ["two"]))
