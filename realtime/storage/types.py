"""Column types which mean the same on SQLite, PostgreSQL and MariaDB/MySQL.

Each stays readable to whoever opens the database with another tool: times are the database's own dates,
not numbers; texts are texts. What needs converting is converted in SQL, in the compiled statement.
"""

from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import DDLCompiler, SQLCompiler, TypeCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text, TypeEngine, Unicode, UserDefinedType


def identifier() -> TypeEngine[int]:
    """An id: INT UNSIGNED on MariaDB/MySQL, and what holds all its values on the others."""
    return (
        Integer().with_variant(mysql.INTEGER(unsigned=True), "mysql").with_variant(BigInteger(), "postgresql")
    )


def long_text() -> TypeEngine[str]:
    """A text of up to 16 MB on MariaDB/MySQL, whose TEXT ends at 64 kB; of any length on the others."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql")


class ExactText(Unicode):
    """A VARCHAR of any Unicode text, equal only to the same code points, trailing spaces included.

    SQLite and PostgreSQL compare so by themselves. On MariaDB and MySQL it takes a binary collation that
    does not pad with spaces, which the two call by different names.
    """

    cache_ok = True


@compiles(ExactText, "mysql")
def _exact_text_mysql(type_: ExactText, compiler: TypeCompiler, **kwargs: Any) -> str:
    mariadb = getattr(compiler.dialect, "is_mariadb", False)
    collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
    return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


class UnixTime(UserDefinedType[int]):
    """A moment: a DATETIME in UTC to the database, whole Unix seconds (`int`) to Python.

    DATETIME on MariaDB/MySQL, TIMESTAMP WITHOUT TIME ZONE on PostgreSQL, and on SQLite the text
    `YYYY-MM-DD HH:MM:SS` which its date functions read and write. Neither the session's time zone nor
    the year 2038 matters. Compare columns with parameters as they are: an index stays usable.
    """

    cache_ok = True

    @property
    def python_type(self) -> type[int]:
        """Unix seconds."""
        return int

    def get_col_spec(self, **kwargs: Any) -> str:
        """The type's name in a CREATE TABLE."""
        return "DATETIME"

    def bind_expression(self, bindvalue: BindParameter[int]) -> ColumnElement[int]:
        """A parameter of Unix seconds as the database's date."""
        return _FromUnixTime(bindvalue)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """A date of the database as Unix seconds."""
        return _ToUnixTime(column)


@compiles(UnixTime, "postgresql")
def _unix_time_postgresql(type_: UnixTime, compiler: TypeCompiler, **kwargs: Any) -> str:
    return "TIMESTAMP WITHOUT TIME ZONE"


class _FromUnixTime(FunctionElement[int]):
    type = UnixTime()
    inherit_cache = True


@compiles(_FromUnixTime, "sqlite")
def _from_sqlite(element: _FromUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"datetime({compiler.process(element.clauses, **kwargs)}, 'unixepoch')"


@compiles(_FromUnixTime, "postgresql")
def _from_postgresql(element: _FromUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"(to_timestamp({compiler.process(element.clauses, **kwargs)}) AT TIME ZONE 'UTC')"


@compiles(_FromUnixTime, "mysql")
def _from_mysql(element: _FromUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    # Not FROM_UNIXTIME: it goes by the session's time zone and, in most versions, ends in 2038.
    seconds = compiler.process(element.clauses, **kwargs)
    return f"TIMESTAMPADD(SECOND, {seconds}, TIMESTAMP'1970-01-01 00:00:00')"


class _ToUnixTime(FunctionElement[int]):
    type = Integer()
    inherit_cache = True


@compiles(_ToUnixTime, "sqlite")
def _to_sqlite(element: _ToUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **kwargs)}) AS INTEGER)"


@compiles(_ToUnixTime, "postgresql")
def _to_postgresql(element: _ToUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    # Rounded down: now() has microseconds, and a cast would round to the nearest second.
    return f"CAST(floor(EXTRACT(EPOCH FROM {compiler.process(element.clauses, **kwargs)})) AS BIGINT)"


@compiles(_ToUnixTime, "mysql")
def _to_mysql(element: _ToUnixTime, compiler: SQLCompiler, **kwargs: Any) -> str:
    moment = compiler.process(element.clauses, **kwargs)
    return f"TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', {moment})"


class utc_now(FunctionElement[int]):  # noqa: N801 - it stands in SQL as functions do
    """The present moment as a default of a `UnixTime` column."""

    type = UnixTime()
    inherit_cache = True


@compiles(utc_now)
def _now(element: utc_now, compiler: DDLCompiler, **kwargs: Any) -> str:
    # SQLite's is in UTC; on MariaDB and MySQL it goes by the session, and every session here is in UTC.
    return "CURRENT_TIMESTAMP"


@compiles(utc_now, "postgresql")
def _now_postgresql(element: utc_now, compiler: DDLCompiler, **kwargs: Any) -> str:
    return "timezone('utc', now())"
