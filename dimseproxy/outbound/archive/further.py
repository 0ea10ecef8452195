"""
Further values of attributes that should have one: Patient ID, Accession Number, Study Date and Modality.

Some devices send several, and any of them matches (PS3.4 C.2.2.2.1).  A row of the index is found by the first one in a
column of its own; the others, which few objects have, are in a table beside it.  What is here runs in a thread of the
database, within a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, delete, insert, or_, select

from dimseproxy.outbound.archive.columns import Further
from dimseproxy.storage.tables import (
    ARCHIVE_PATIENT,
    ARCHIVE_PATIENT_VALUE,
    ARCHIVE_SERIES,
    ARCHIVE_SERIES_VALUE,
    ARCHIVE_STUDY,
    ARCHIVE_STUDY_VALUE,
)

#: The tables whose rows have further values, and where these are.
TABLES: Final = {
    ARCHIVE_PATIENT: ARCHIVE_PATIENT_VALUE,
    ARCHIVE_STUDY: ARCHIVE_STUDY_VALUE,
    ARCHIVE_SERIES: ARCHIVE_SERIES_VALUE,
}

#: Rows that are told to the database by their numbers.
MOST_NUMBERED: Final = 1_000


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


def is_any(
    connection: Connection,
    column: Column[Any],
    kind: str,
    is_asked: Callable[[ColumnElement[Any]], ColumnElement[bool]],
) -> ColumnElement[bool]:
    """
    Whether one of the values of a row is asked for.

    @param column: that the first one is in.
    @param is_asked: whether one of them is, by its column.
    """
    beside = TABLES[column.table]
    having = select(beside.c.owner).where(beside.c.kind == kind, is_asked(beside.c.value)).distinct()
    numbers = connection.scalars(having.limit(MOST_NUMBERED + 1)).all()
    if not numbers:
        return is_asked(column)
    # Not what finds them, unless it must be: for one condition or such a one PostgreSQL reads the whole table.
    return or_(is_asked(column), column.table.c.id.in_(numbers if len(numbers) <= MOST_NUMBERED else having))


def modalities_of(studies: Collection[int]) -> Select[Any]:
    """The number of the study, and a further modality, of the series of studies."""
    series, beside = ARCHIVE_SERIES.c, ARCHIVE_SERIES_VALUE.c
    return (
        select(series.study, beside.value)
        .join_from(ARCHIVE_SERIES, ARCHIVE_SERIES_VALUE)
        .where(series.study.in_(studies), beside.kind == "modality")
    )
