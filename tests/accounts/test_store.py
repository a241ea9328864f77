"""The users table, and what its token column may hold."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realtime.accounts.store import AccountStore
from realtime.storage.errors import Conflict
from tests.databases import SynchronousDatabase


class AccountStoreTests(SynchronousTestCase):
    """Accounts of our own."""

    def setUp(self) -> None:
        """Make an empty database."""
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)

    def add(self, name: str, **options: Any) -> int:
        """Add an account; its id is returned."""
        return self.successResultOf(self.accounts.add(name, "hash", **options)).id

    def test_what_was_added_is_found(self) -> None:
        """By name and by id, and in the list."""
        alice, olga = self.add("alice"), self.add("olga", is_admin=True)
        found = self.successResultOf(self.accounts.by_name("olga"))
        assert found is not None
        self.assertEqual((found.user.id, found.user.is_admin), (olga, True))
        self.assertEqual((found.password_hash, found.token), ("hash", None))
        self.assertEqual(self.successResultOf(self.accounts.by_id(olga)), found)
        listed = self.successResultOf(self.accounts.all())
        self.assertEqual([each.user.id for each in listed], [alice, olga])

    def test_what_is_not_there(self) -> None:
        """Is None."""
        for nobody in ("bob", "Alice", "alice ", "", "a\0b", "x" * 256):
            self.assertIsNone(self.successResultOf(self.accounts.by_name(nobody)))
        self.assertIsNone(self.successResultOf(self.accounts.by_id(1)))

    def test_names_are_unique(self) -> None:
        """Compared by code points."""
        self.add("alice")
        self.failureResultOf(self.accounts.add("alice", "hash"), Conflict)
        self.add("Alice")

    def test_names_that_can_not_be(self) -> None:
        """Are refused before the database is asked."""
        for name in ("", "a\0b", "x" * 256):
            self.assertRaises(ValueError, self.accounts.add, name, "hash")

    def test_the_token_id_stays(self) -> None:
        """Every sign-in finds the same one, until it is revoked."""
        alice = self.add("alice")
        first = self.successResultOf(self.accounts.token_for(alice))
        assert first is not None
        self.assertTrue(first.startswith("jti:"))
        self.assertEqual(self.successResultOf(self.accounts.token_for(alice)), first)
        self.successResultOf(self.accounts.revoke(alice))
        self.assertNotEqual(self.successResultOf(self.accounts.token_for(alice)), first)

    def test_a_bare_token_stays_too(self) -> None:
        """It is another system's."""
        alice = self.add("alice")
        self.database.query("UPDATE users SET token = 'QWERTYUIOP'")
        self.assertEqual(self.successResultOf(self.accounts.token_for(alice)), "QWERTYUIOP")
        self.successResultOf(self.accounts.set_password(alice, "other"))
        self.assertEqual(self.successResultOf(self.accounts.token_for(alice)), "QWERTYUIOP")

    def test_an_empty_column_holds_nothing(self) -> None:
        """Like one that is NULL."""
        alice = self.add("alice")
        self.database.query("UPDATE users SET token = ''")
        self.assertIn("jti:", str(self.successResultOf(self.accounts.token_for(alice))))

    def test_a_new_password_ends_our_tokens(self) -> None:
        """Who knew the old one is out."""
        alice = self.add("alice")
        self.successResultOf(self.accounts.token_for(alice))
        self.assertEqual(self.successResultOf(self.accounts.set_password(alice, "other")), 1)
        account = self.successResultOf(self.accounts.by_id(alice))
        assert account is not None
        self.assertEqual((account.password_hash, account.token), ("other", None))

    def test_a_bare_token_is_found(self) -> None:
        """As it is, and only so."""
        alice = self.add("alice")
        self.database.query("UPDATE users SET token = 'QWERTYUIOP'")
        found = self.successResultOf(self.accounts.by_bare_token("QWERTYUIOP"))
        assert found is not None
        self.assertEqual(found.user.id, alice)
        for other in ("qwertyuiop", "QWERTYUIO", "QWERTYUIOP ", "", "\0", "x" * 300):
            self.assertIsNone(self.successResultOf(self.accounts.by_bare_token(other)))

    def test_nobody_any_more(self) -> None:
        """A user who was deleted gets no token."""
        self.assertIsNone(self.successResultOf(self.accounts.token_for(17)))


class SubjectTests(SynchronousTestCase):
    """Accounts of an outside issuer's users."""

    def setUp(self) -> None:
        """Make an empty database."""
        self.database = SynchronousDatabase()
        self.addCleanup(self.database.close)
        database: Any = self.database
        self.accounts = AccountStore(database)

    def test_made_on_first_sight(self) -> None:
        """And found again by issuer and subject, whatever the name is by then."""
        first = self.successResultOf(self.accounts.add_subject("https://id", "7", "alice"))
        again = self.successResultOf(self.accounts.add_subject("https://id", "7", "alicia"))
        self.assertEqual((first, first.name), (again, "alice"))
        found = self.successResultOf(self.accounts.of_subject("https://id", "7"))
        assert found is not None
        self.assertEqual((found.user, found.password_hash), (first, ""))

    def test_a_name_that_is_taken(self) -> None:
        """Gets a number: the newcomer is never taken for who has the name."""
        own = self.successResultOf(self.accounts.add("alice", "hash"))
        first = self.successResultOf(self.accounts.add_subject("https://id", "7", "alice"))
        second = self.successResultOf(self.accounts.add_subject("https://other", "7", "alice"))
        self.assertEqual((first.name, second.name), ("alice-2", "alice-3"))
        self.assertEqual(len({own.id, first.id, second.id}), 3)

    def test_names_that_can_not_be(self) -> None:
        """Become ones that can."""
        long = self.successResultOf(self.accounts.add_subject("https://id", "1", "x" * 400))
        self.assertLessEqual(len(long.name), 255)
        empty = self.successResultOf(self.accounts.add_subject("https://id", "2", "\0"))
        self.assertEqual(empty.name, "user")
