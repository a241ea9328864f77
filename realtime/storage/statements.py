"""SQL statements: written once with SQLAlchemy Core, compiled at most once for each database.

A slice's `store.py` builds its statements at module level::

    ADD_MESSAGE = Statement(insert(messages).values(user_id=bindparam("user_id"), …))

and runs them by name of parameter inside a unit of work, `transaction.insert(ADD_MESSAGE, user_id=7, …)`.
What a request costs is then putting values in order and one call of the driver.
"""

from collections.abc import Callable, Mapping
from operator import itemgetter
from threading import Lock
from typing import Any

from sqlalchemy import ClauseElement, Double, Insert
from sqlalchemy.engine.interfaces import Dialect as Compiler
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Row = tuple[Any, ...]
"""One row of a result, in the order of the statement's columns."""

ClauseFor = Callable[[str], ClauseElement]
"""Builds a clause for the database of that name: `sqlite`, `postgresql` or `mysql`."""


class Compiled:
    """One statement as text for one database, and how its parameters are put in order.

    Attributes:
        sql: the text, with the placeholders of the driver.
    """

    __slots__ = ("_constants", "_convert", "_count", "_pick", "sql")

    def __init__(self, compiled: SQLCompiler, clause: ClauseElement) -> None:
        binds = compiled.binds
        # An expanding IN would need another text for each length of its list.
        if any(bind.expanding for bind in binds.values()):
            raise TypeError("a statement compiled once can't hold a list of varying length")
        names = list(compiled.positiontup or ())
        self.sql: str = compiled.string
        self._constants: dict[str, Any] = {
            name: binds[name].effective_value for name in names if not binds[name].required
        }
        self._count = len(set(names) - self._constants.keys())
        self._pick: Callable[[Mapping[str, Any]], Row] = _picker(names)
        self._convert = _converters(clause, compiled.dialect)

    def arrange(self, parameters: dict[str, Any]) -> Row:
        """The values in the order of the placeholders.

        Raises:
            TypeError: a parameter is missing, or one was given that the statement does not have.
        """
        if len(parameters) == self._count:
            try:
                if self._constants:
                    return self._pick({**self._constants, **parameters})
                return self._pick(parameters)
            except KeyError:
                pass
        raise TypeError(f"wrong parameters {sorted(parameters)} for: {self.sql}")

    def convert(self, rows: list[Row]) -> list[Row]:
        """The driver's rows with the types that the columns promise (a `bool` for a Boolean)."""
        if not self._convert:
            return rows
        return [
            tuple(
                value if convert is None else convert(value)
                for convert, value in zip(self._convert, row, strict=True)
            )
            for row in rows
        ]


class Statement:
    """A clause of SQLAlchemy Core that is compiled at most once for each database.

    All its values are `bindparam`s named by the caller, or constants. An INSERT names its columns with
    `.values()`. Lists of varying length (`IN`) are not possible.

    Arguments:
        clause: the clause, or a function that builds it for a database of the name it is given.
    """

    __slots__ = ("_clause", "_compiled", "_lock")

    def __init__(self, clause: ClauseElement | ClauseFor) -> None:
        self._clause = clause
        self._compiled: dict[str, Compiled] = {}
        self._lock = Lock()

    def compiled(self, name: str, compiler: Compiler) -> Compiled:
        """The statement for one database: `name` is what the work of compiling is remembered by."""
        try:
            return self._compiled[name]
        except KeyError:
            return self._compile(name, compiler)

    def _compile(self, name: str, compiler: Compiler) -> Compiled:
        with self._lock:
            if name not in self._compiled:
                clause = self._clause if isinstance(self._clause, ClauseElement) else self._clause(name)
                if isinstance(clause, Insert):
                    clause = _returning_id(clause, compiler)
                text = clause.compile(dialect=compiler)
                if not isinstance(text, SQLCompiler):
                    raise TypeError(f"not a statement that is run with parameters: {text}")
                self._compiled[name] = Compiled(text, clause)
            return self._compiled[name]


def _returning_id(clause: Insert, compiler: Compiler) -> Insert:
    """The insert with RETURNING where that is the only way to learn the new row's id."""
    # `inline` keeps SQLAlchemy from adding a RETURNING by its own rules.
    clause = clause.inline()
    if getattr(compiler, "postfetch_lastrowid", False) or clause.exported_columns:
        return clause
    return clause.returning(*clause.table.primary_key)


def _picker(names: list[str]) -> Callable[[Mapping[str, Any]], Row]:
    if not names:
        return lambda parameters: ()
    if len(names) == 1:
        (name,) = names
        return lambda parameters: (parameters[name],)
    return itemgetter(*names)


def _converters(clause: ClauseElement, compiler: Compiler) -> list[Callable[[Any], Any] | None]:
    """What SQLAlchemy's types do to each column of the result; empty if they do nothing."""
    columns = getattr(clause, "exported_columns", ())
    converters = [_converter(column.type, compiler) for column in columns]
    return converters if any(converters) else []


def _converter(type_: TypeEngine[Any], compiler: Compiler) -> Callable[[Any], Any] | None:
    if isinstance(type_, Double):
        return None  # all drivers give a float, and for PostgreSQL it would ask which kind of number came
    return type_.dialect_impl(compiler).result_processor(compiler, None)
