"""Statements: what they compile to, and how parameters are put in order."""

from __future__ import annotations

from sqlalchemy import Integer, String, bindparam, insert, literal, select, update
from twisted.trial.unittest import SynchronousTestCase

from realtime.storage.mysql import MySQL
from realtime.storage.postgresql import PostgreSQL
from realtime.storage.sqlite import SQLite
from realtime.storage.statements import Compiled, Statement
from realtime.storage.tables import conversations, messages, users
from realtime.storage.upserts import upsert

DIALECTS = (SQLite, PostgreSQL, MySQL)


def compiled(statement: Statement, dialect: type[SQLite | PostgreSQL | MySQL] = SQLite) -> Compiled:
    """The statement for one of the databases."""
    return statement.compiled(dialect.name, dialect.compiler)


class StatementTests(SynchronousTestCase):
    """Statements for all three databases, without any."""

    def test_compiled_once(self) -> None:
        """A statement is compiled once for each database, and its clause built once for each."""
        built: list[str] = []

        def build(name: str) -> object:
            built.append(name)
            return select(literal(name))

        statement = Statement(build)  # type: ignore[arg-type]
        for dialect in DIALECTS * 2:
            self.assertIs(compiled(statement, dialect), compiled(statement, dialect))
        self.assertEqual(built, ["sqlite", "postgresql", "mysql"])

    def test_order(self) -> None:
        """Parameters are put in the order of the placeholders, not of their mention."""
        statement = Statement(
            update(users).where(users.c.id == bindparam("who")).values(token=bindparam("what"))
        )
        for dialect in DIALECTS:
            self.assertEqual(compiled(statement, dialect).arrange({"who": 7, "what": "t"}), ("t", 7))

    def test_used_twice(self) -> None:
        """A parameter that stands in two places is given once."""
        name = bindparam("name", type_=String)
        statement = Statement(select(users.c.id).where((users.c.user_name == name) | (users.c.token == name)))
        for dialect in DIALECTS:
            self.assertEqual(compiled(statement, dialect).arrange({"name": "x"}), ("x", "x"))

    def test_none_and_one(self) -> None:
        """A statement may have no parameter, or one."""
        self.assertEqual(compiled(Statement(select(users.c.id))).arrange({}), ())
        one = Statement(select(users.c.id).where(users.c.id == bindparam("id")))
        self.assertEqual(compiled(one).arrange({"id": 3}), (3,))

    def test_constants(self) -> None:
        """A constant of the clause needs no parameter, and is not one."""
        statement = Statement(select(users.c.id).where(users.c.user_name == "x").limit(bindparam("n")))
        arranged = compiled(statement, PostgreSQL).arrange({"n": 5})
        self.assertEqual(arranged, ("x", 5))
        self.assertRaises(TypeError, compiled(statement).arrange, {"n": 5, "user_name_1": "y"})

    def test_wrong_parameters(self) -> None:
        """Missing, unknown and superfluous parameters are refused, and their values not quoted."""
        statement = compiled(Statement(select(users.c.id).where(users.c.id == bindparam("id"))))
        for parameters in ({}, {"di": "s3cret"}, {"id": "s3cret", "x": "s3cret"}):
            error = self.assertRaises(TypeError, statement.arrange, parameters)
            self.assertNotIn("s3cret", str(error))

    def test_lists_are_refused(self) -> None:
        """An IN with a list of any length can't be compiled once: it is refused."""
        statement = Statement(select(users.c.id).where(users.c.id.in_(bindparam("ids", expanding=True))))
        self.assertRaises(TypeError, compiled, statement)

    def test_not_a_statement(self) -> None:
        """DDL is refused: it has no parameters and belongs in a migration."""
        from sqlalchemy.schema import CreateTable

        self.assertRaises(TypeError, compiled, Statement(CreateTable(users)))

    def test_returning(self) -> None:
        """An INSERT gets RETURNING on PostgreSQL alone, unless it has one."""
        plain = Statement(insert(users).values(user_name=bindparam("n"), user_password=""))
        own = Statement(
            insert(users).values(user_name=bindparam("n"), user_password="").returning(users.c.user_name)
        )
        self.assertTrue(compiled(plain, PostgreSQL).sql.endswith("RETURNING users.id"))
        self.assertNotIn("RETURNING", compiled(plain, SQLite).sql)
        self.assertNotIn("RETURNING", compiled(plain, MySQL).sql)
        self.assertTrue(compiled(own, PostgreSQL).sql.endswith("RETURNING users.user_name"))

    def test_booleans(self) -> None:
        """Booleans come back as booleans where the driver gives numbers; NULL stays None."""
        statement = Statement(select(users.c.id, users.c.is_admin))
        for dialect in (SQLite, MySQL):
            rows = compiled(statement, dialect).convert([(1, 0), (2, 1), (3, None)])
            self.assertEqual(rows, [(1, False), (2, True), (3, None)])
            self.assertIs(rows[1][1], True)

    def test_upsert(self) -> None:
        """One definition gives the statement of each database, with the same parameters."""
        statement = Statement(
            upsert(
                conversations,
                ["user_id"],
                {
                    "user_id": bindparam("customer", type_=Integer),
                    "last_message_id": bindparam("message", type_=Integer),
                    "is_open": True,
                },
                lambda new: {"last_message_id": new.last_message_id, "is_open": new.is_open},
            )
        )
        for dialect, words in (
            (SQLite, "ON CONFLICT (user_id) DO UPDATE SET last_message_id = excluded.last_message_id"),
            (PostgreSQL, "ON CONFLICT (user_id) DO UPDATE SET last_message_id = excluded."),
            (MySQL, "ON DUPLICATE KEY UPDATE last_message_id = VALUES(last_message_id)"),
        ):
            with_values = compiled(statement, dialect)
            self.assertIn(words, with_values.sql)
            self.assertEqual(with_values.arrange({"customer": 1, "message": 2}), (1, 2, True))

    def test_percent_signs(self) -> None:
        """A percent sign in the text of a statement survives the drivers' formatting."""
        statement = Statement(select(messages.c.id % 10))
        self.assertIn("%%", compiled(statement, MySQL).sql)
        self.assertNotIn("%%", compiled(statement, SQLite).sql)
