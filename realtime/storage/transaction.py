"""What a unit of work sees of the database: statements in, rows out, on a database thread."""

from typing import Any, NoReturn

from realtime.storage.dialect import Dialect
from realtime.storage.errors import StorageError
from realtime.storage.statements import Compiled, Row, Statement


class Transaction:
    """Runs statements inside the transaction of one unit of work.

    A statement that the database refuses ends the work: the exception it raises is the work's answer,
    even if the work catches it and goes on, for on PostgreSQL nothing more can be done in the
    transaction then. Where a row may be there already, use an upsert.

    Attributes:
        failure: the first statement's error since the transaction or its last savepoint began.
    """

    __slots__ = ("_compiler", "_cursor", "_dialect", "_driver_error", "_execute", "_name", "failure")

    def __init__(self, dialect: Dialect, cursor: Any) -> None:
        self._dialect = dialect
        self._cursor = cursor
        # Looked up once, for there is a call for each row.
        self._name = dialect.name
        self._compiler = dialect.compiler
        self._execute = cursor.execute
        self._driver_error = dialect.errors
        self.failure: StorageError | None = None

    def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows of the result.

        Raises:
            StorageError: the database refused the statement; `Conflict` if a constraint did.
            TypeError: the parameters are not the statement's.
        """
        compiled = self._run(statement, parameters)
        try:
            return compiled.convert(list(self._cursor.fetchall()))
        except self._driver_error as error:
            self._fail(error, compiled)

    def row(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row of the result, or None. Raises as `rows` does."""
        rows = self.rows(statement, **parameters)
        return rows[0] if rows else None

    def execute(self, statement: Statement, **parameters: Any) -> int:
        """The number of rows affected; an UPDATE counts those it matched. Raises as `rows` does."""
        self._run(statement, parameters)
        return int(self._cursor.rowcount)

    def insert(self, statement: Statement, **parameters: Any) -> int:
        """Runs the INSERT of one row into a table with a generated id.

        Returns:
            The id of the new row. (Of an upsert it means nothing: use `execute`.) Raises as `rows` does.
        """
        compiled = self._run(statement, parameters)
        try:
            return self._dialect.inserted_id(self._cursor)
        except self._driver_error as error:
            self._fail(error, compiled)

    def _run(self, statement: Statement, parameters: dict[str, Any]) -> Compiled:
        compiled = statement.compiled(self._name, self._compiler)
        arguments = compiled.arrange(parameters)
        try:
            self._execute(compiled.sql, arguments)
        except self._driver_error as error:
            self._fail(error, compiled)
        return compiled

    def _fail(self, error: Exception, compiled: Compiled) -> NoReturn:
        failure = self._dialect.explain(error, compiled.sql)
        if self.failure is None:
            self.failure = failure
        # Not `from error`: the driver's text may quote a row.
        raise failure from None
