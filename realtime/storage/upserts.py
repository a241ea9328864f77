"""Insert or update in one statement, on all three databases."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Table, bindparam
from sqlalchemy.dialects import mysql, postgresql, sqlite

from realtime.storage.statements import ClauseFor

Changes = Callable[[Any], Mapping[str, Any]]
"""From the row that was to be inserted (`new.column`) to what is set in the row that exists."""


def upsert(
    table: Table,
    key: Iterable[str],
    values: Iterable[str] | Mapping[str, Any],
    update: Iterable[str] | Changes,
) -> ClauseFor:
    """Builds an INSERT that updates the row instead if its key exists.

    ON CONFLICT … DO UPDATE on SQLite and PostgreSQL, ON DUPLICATE KEY UPDATE on MariaDB/MySQL. There any
    unique key of the table counts, so use it for tables with one. The number of rows that `execute`
    returns for it means nothing: MariaDB counts an update twice. Hand the result to `Statement`.

    Arguments:
        table: where to.
        key: the columns of the unique key.
        values: the columns that are inserted, each with the parameter of its name, or a mapping from
            column to expression.
        update: the columns that take the new row's value if the key exists, or a function from the
            new row to a mapping from column to expression.
    """
    row = dict(values) if isinstance(values, Mapping) else {name: bindparam(name) for name in values}
    key = list(key)
    update = update if callable(update) else list(update)

    def changes(new: Any) -> dict[str, ColumnElement[Any]]:
        if callable(update):
            return dict(update(new))
        return {name: new[name] for name in update}

    def build(name: str) -> ClauseElement:
        if name == "mysql":
            statement = mysql.insert(table).values(row)
            return statement.on_duplicate_key_update(changes(statement.inserted))
        insert = sqlite.insert if name == "sqlite" else postgresql.insert
        # The two are of different classes that share nothing but these methods.
        conflicting: Any = insert(table).values(row)
        built: ClauseElement = conflicting.on_conflict_do_update(
            index_elements=key, set_=changes(conflicting.excluded)
        )
        return built

    return build
