"""
Statements that are run for every object.

SQLAlchemy takes longer to look at a statement, and at its result, than SQLite takes to run it.  These are compiled once
for each kind of database, and given to its driver as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from sqlalchemy import Column, Connection, Executable, bindparam, select
from sqlalchemy.sql import ClauseElement

from dimseproxy.storage.errors import as_of_sqlalchemy, driver_errors

#: So few values are asked for one after the other, which is cheaper than a statement for that number of them.
_FEW: Final = 8
#: Values in one condition; SQLite takes some 32,000.
MOST_ASKED: Final = 1_000


class Statement:
    """
    A statement whose parameters have no types that a driver would not know: texts, numbers, bytes.

    @param statement: each value in it is a `bindparam` with a name, or a column to be inserted.
    @param columns: the names of the columns, where it inserts some.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        assert isinstance(statement, ClauseElement)
        self._statement = statement
        self._columns = None if columns is None else list(columns)
        #: By the name of the dialect: the text, and the order of its parameters where they have no names there.
        self._compiled: dict[str, tuple[str, Sequence[str] | None]] = {}

    def run(self, connection: Connection, *rows: Mapping[str, object]) -> Sequence[Any]:
        """
        Run it, once with each of these values.

        @return: the rows that it gives, if it gives any; those of one run only.
        @raise DBAPIError: the driver does not do it, as elsewhere in SQLAlchemy.
        """
        text, order = self._compiled_for(connection)
        values: list[Any] = [row if order is None else tuple([row[name] for name in order]) for row in rows]
        with closing(connection.connection.cursor()) as cursor:
            try:
                if len(values) == 1:
                    cursor.execute(text, values[0])
                else:
                    cursor.executemany(text, values)
                return cursor.fetchall() if cursor.description else ()
            except driver_errors(connection) as error:
                raise as_of_sqlalchemy(connection, error) from None

    def _compiled_for(self, connection: Connection) -> tuple[str, Sequence[str] | None]:
        found = self._compiled.get(connection.dialect.name)
        if found is None:
            compiled: Any = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            found = self._compiled[connection.dialect.name] = (str(compiled), compiled.positiontup)
        return found


class Lookup:
    """Finds rows by what tells them apart."""

    def __init__(self, key: Column[Any], *columns: Column[Any]) -> None:
        self._key = key
        self._columns = columns
        self._one = Statement(select(key, *columns).where(key == bindparam("value")))

    def find(self, connection: Connection, values: Iterable[str]) -> dict[str, tuple[Any, ...]]:
        """What is in the columns of those that are there."""
        asked = sorted(set(values))
        rows: list[Any] = []
        if len(asked) <= _FEW:
            for value in asked:
                rows += self._one.run(connection, {"value": value})
        else:
            for start in range(0, len(asked), MOST_ASKED):
                some = asked[start : start + MOST_ASKED]
                rows += connection.execute(select(self._key, *self._columns).where(self._key.in_(some)))
        return {row[0]: tuple(row[1:]) for row in rows}
