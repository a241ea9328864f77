"""Who is told of a dialog and of its outcome, and who is told to look into the database."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import AccountStore, User
from realtime.cluster.bus import MemoryBus, Subscription
from realtime.messenger.delivery import Window
from realtime.messenger.dialog_store import Dialog, Outcome
from realtime.messenger.mailbox import Mailbox
from realtime.messenger.messages import Send, ServerMessage
from realtime.messenger.post_office import Post, PostOffice
from realtime.messenger.store import MessengerStore
from realtime.storage.errors import StorageUnavailable
from tests.databases import SynchronousDatabase

DAY = 86_400
LOOK = Post()


class OfficeTestCase(SynchronousTestCase):
    """Two users, and an office."""

    def setUp(self) -> None:
        """Open the office."""
        self.clock = Clock()
        self.clock.advance(1_790_000_000)
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        accounts = AccountStore(database)
        self.store = MessengerStore(database, 5_000)
        self.bus = MemoryBus()
        self.office = PostOffice(
            store=self.store, bus=self.bus, clock=self.clock, mailbox_days=7, window=Window(8)
        )
        self.alice: User = self.successResultOf(accounts.add("alice", ""))
        self.bob: User = self.successResultOf(accounts.add("bob", ""))

    def tearDown(self) -> None:
        """Nothing is left of those who listened."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.bus), 0)

    def send(self, receiver: str, key: str | None = None) -> None:
        """Alice sends a dialog."""
        sent = self.office.send(self.alice.id, Send(receiver, key, "1"))
        self.successResultOf(Deferred.fromCoroutine(sent))

    def waiting(self) -> list[Dialog]:
        """What waits for bob."""
        return self.successResultOf(self.office.waiting(self.bob.id, 5_000))


class ToldTests(OfficeTestCase):
    """What is told of each event."""

    def setUp(self) -> None:
        """Both listen."""
        super().setUp()
        self.to_alice: list[Post] = []
        self.to_bob: list[Post] = []
        self.subscriptions: list[Subscription] = [
            self.office.follow(user.id, told.append, lambda: None)
            for user, told in ((self.alice, self.to_alice), (self.bob, self.to_bob))
        ]
        self.clock.advance(0)

    def tearDown(self) -> None:
        """Both go."""
        for subscription in self.subscriptions:
            self.office.unfollow(subscription)
        super().tearDown()

    def take(self) -> tuple[list[Post], list[Post]]:
        """What alice and bob were told since the last time."""
        found = list(self.to_alice), list(self.to_bob)
        self.to_alice.clear()
        self.to_bob.clear()
        return found

    def delivered(self, *dialogs: Dialog) -> None:
        """Bob has some dialogs."""
        outcomes = [each.outcome(is_delivered=True) for each in dialogs]
        self.successResultOf(Deferred.fromCoroutine(self.office.delivered(self.bob.id, outcomes)))

    def test_sent(self) -> None:
        """The receiver is told; of the same again it is to look: it may have had it, and not know."""
        self.send(str(self.bob.id), "a")
        (dialog,) = self.waiting()
        self.assertEqual(self.take(), ([], [Post(dialog=dialog)]))
        self.send(str(self.bob.id), "a")
        self.assertEqual(self.take(), ([], [LOOK]))
        self.delivered(dialog)
        self.take()
        self.send(str(self.bob.id), "a")
        self.assertEqual(self.take(), ([Post(outcome=dialog.outcome(is_delivered=True))], []))

    def test_failed(self) -> None:
        """The sender is told, each time it asks."""
        for _ in range(2):
            self.send("nobody", "a")
            ((told,), to_bob) = self.take()
            self.assertEqual(to_bob, [])
            self.assertEqual(told, Post(outcome=Outcome(1, self.alice.id, "nobody", "a", False)))

    def test_delivered(self) -> None:
        """The sender is told what is new by it; of the rest it is to look, once."""
        for _ in range(3):
            self.send(str(self.bob.id))
        dialogs = self.waiting()
        self.take()
        self.delivered(dialogs[0])
        self.assertEqual(self.take(), ([Post(outcome=dialogs[0].outcome(is_delivered=True))], []))
        self.delivered(*dialogs)
        new = [Post(outcome=each.outcome(is_delivered=True)) for each in dialogs[1:]]
        self.assertEqual(self.take(), ([*new, LOOK], []))
        self.delivered(*dialogs)
        self.assertEqual(self.take(), ([LOOK], []))

    def test_swept(self) -> None:
        """What is too old is given up in parts, soon after each other, and then once a minute."""
        for number in range(1_200):
            self.send(str(self.bob.id), f"{number}")
        self.take()
        self.clock.advance(7 * DAY + 1)
        self.assertEqual(len(self.take()[0]), 500)
        for pause, number in ((0.5, 0), (0.5, 500), (1, 200), (1, 0)):
            self.clock.advance(pause)
            self.assertEqual(len(self.take()[0]), number)
        self.send(str(self.bob.id))
        self.take()
        self.clock.pump([60] * (7 * 24 * 60 + 1))
        ((told,), _) = self.take()
        assert told.outcome is not None
        self.assertFalse(told.outcome.is_delivered)

    def test_sweep_fails(self) -> None:
        """It is tried again a minute later; only a fault of ours is logged."""
        self.send(str(self.bob.id))
        self.take()
        self.database.away = True
        self.clock.advance(7 * DAY + 60)
        self.database.away = False
        self.patch(self.store, "expire", lambda *_: fail(ZeroDivisionError()))
        self.clock.advance(60)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.take(), ([], []))
        del self.store.expire
        self.clock.advance(60)
        self.assertEqual(len(self.take()[0]), 1)


class Reader:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[ServerMessage] = []
        self.pings: list[bytes] = []

    def tell(self, message: ServerMessage) -> None:
        """See `Recipient`."""
        self.told.append(message)

    def ping(self, name: bytes) -> None:
        """See `Recipient`."""
        self.pings.append(name)


class MailboxTests(OfficeTestCase):
    """The same as connections see it."""

    def setUp(self) -> None:
        """Nobody is there."""
        super().setUp()
        self.mailboxes: list[Mailbox] = []

    def tearDown(self) -> None:
        """Everybody goes."""
        for mailbox in self.mailboxes:
            mailbox.end()
        super().tearDown()

    def open(self, user: User) -> tuple[Mailbox, Reader]:
        """A user's connection."""
        reader = Reader()
        mailbox = Mailbox(self.office, user.id, reader, str)
        self.mailboxes.append(mailbox)
        self.successResultOf(Deferred.fromCoroutine(mailbox.start()))
        return mailbox, reader

    def test_two_connections_of_the_receiver(self) -> None:
        """Both had it and confirm it: the sender is told once, whether it has confirmed that or not."""
        for confirms in (True, False):
            sender, alice = self.open(self.alice)
            older, first = self.open(self.bob)
            self.send(str(self.bob.id))
            newer, second = self.open(self.bob)
            older.pong(first.pings[-1])
            if confirms:
                sender.pong(alice.pings[-1])
            newer.pong(second.pings[-1])
            self.assertEqual([each.type for each in first.told + second.told], 2 * ["DIALOG_MESSAGE"])
            self.assertEqual([each.status for each in alice.told], ["SUCCESS"])
            sender.pong(alice.pings[-1])
            for mailbox in (sender, older, newer):
                mailbox.end()

    def test_nobody_was_told(self) -> None:
        """What was stored while nobody could be told is found when its sender asks again."""
        _, bob = self.open(self.bob)
        send = Send(str(self.bob.id), "a", "1")
        self.successResultOf(self.store.post(self.alice.id, send, self.office.now()))
        self.assertEqual(bob.told, [])
        self.send(str(self.bob.id), "a")
        self.send(str(self.bob.id), "a")
        self.assertEqual([each.type for each in bob.told], ["DIALOG_MESSAGE"])

    def test_answer_lost(self) -> None:
        """What was stored as delivered, though the answer was lost, is told when it is stored again."""
        sender, alice = self.open(self.alice)
        receiver, bob = self.open(self.bob)
        self.send(str(self.bob.id))
        (dialog,) = self.waiting()
        delivered = self.store.delivered
        stored: list[Any] = []

        def loses(user_id: int, outcomes: list[Outcome]) -> Deferred[list[Outcome]]:
            delivered(user_id, outcomes).addCallback(stored.append)
            self.database.away = True
            try:
                return delivered(user_id, outcomes)
            finally:
                self.database.away = False

        self.patch(self.store, "delivered", loses)
        receiver.pong(bob.pings[-1])
        self.assertEqual(stored, [[dialog.outcome(is_delivered=True)]])
        self.assertEqual(alice.told, [])
        self.patch(self.store, "delivered", delivered)
        self.clock.advance(2)
        self.assertEqual([each.status for each in alice.told], ["SUCCESS"])
        sender.pong(alice.pings[-1])

    def test_not_all_read_at_once(self) -> None:
        """After a gap all mailboxes of a process are read, some at a time."""
        asked: list[Deferred[list[Any]]] = []

        def waiting(*_: int) -> Deferred[list[Any]]:
            asked.append(Deferred())
            return asked[-1]

        self.patch(self.store, "waiting", waiting)
        read = [self.office.waiting(1, 10) for _ in range(100)]
        self.assertEqual(len(asked), 64)
        asked[0].errback(StorageUnavailable("away"))
        self.failureResultOf(read[0], StorageUnavailable)
        self.assertEqual(len(asked), 65)
        for number in range(1, 100):
            asked[number].callback([])
            self.assertEqual(self.successResultOf(read[number]), [])

    def test_nothing_is_remembered(self) -> None:
        """Of what is confirmed nothing is kept."""
        receiver, bob = self.open(self.bob)
        for _ in range(20):
            self.send(str(self.bob.id))
            receiver.pong(bob.pings[-1])
        self.assertEqual(len(bob.told), 20)
        wire: Any = receiver._dialogs._wire
        self.assertEqual(wire._written, {})
