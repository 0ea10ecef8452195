"""
Further values of attributes that should have one: Patient ID and Accession Number.

Some devices send several, and any of them matches (PS3.4 C.2.2.2.1).  A row of the index is found by the first one in a
column of its own; the others, which few objects have, are in a table beside it.  What is here runs in a thread of the
database, within a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, insert, select, union

from dimseproxy.outbound.archive.columns import Further
from dimseproxy.storage.tables import ARCHIVE_PATIENT, ARCHIVE_PATIENT_VALUE, ARCHIVE_STUDY, ARCHIVE_STUDY_VALUE

#: The tables whose rows have further values, and where these are.
TABLES: Final = {ARCHIVE_PATIENT: ARCHIVE_PATIENT_VALUE, ARCHIVE_STUDY: ARCHIVE_STUDY_VALUE}


def write(connection: Connection, table: Table, values: Mapping[int, Further], rewritten: Collection[int] = ()) -> None:
    """
    Say what rows have.

    @param table: of the rows.
    @param values: by the number of the row.
    @param rewritten: the numbers of rows that were there before: what was said of them is not so any longer.
    """
    beside = TABLES[table]
    for number in rewritten:
        connection.execute(delete(beside).where(beside.c.owner == number))
    rows = [
        {"owner": number, "kind": kind, "value": value} for number, pairs in values.items() for kind, value in pairs
    ]
    if rows:
        connection.execute(insert(beside), rows)


def is_any(column: Column[Any], kind: str, values: Sequence[str]) -> ColumnElement[bool]:
    """
    Whether one of the values of a row is among these.

    @param column: that the first one is in.
    @param values: what they are found by.
    """
    # By another name: it has nothing to do with the row that a statement is about.
    first = column.table.alias()
    beside = TABLES[column.table]
    # Not as one condition or the other, for which PostgreSQL would read the whole table.
    return column.table.c.id.in_(
        union(
            select(first.c.id).where(first.c[column.name].in_(values)),
            select(beside.c.owner).where(beside.c.kind == kind, beside.c.value.in_(values)),
        )
    )
