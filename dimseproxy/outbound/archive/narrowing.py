"""
How the database is asked: what it can tell from its columns narrows what is looked at, and never leaves out anything
that matches.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, or_, select

from dimseproxy.outbound.archive import further
from dimseproxy.outbound.archive.columns import Columns, plain
from dimseproxy.outbound.archive.levels import (
    ACCESSION_NUMBER,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_INSTANCE,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY_DATE,
    STUDY_INSTANCE,
    Level,
)
from dimseproxy.outbound.archive.matching import Condition, Exactly, Name
from dimseproxy.outbound.archive.querying import MAX_UIDS, Query, Selection, day_range
from dimseproxy.storage.tables import ARCHIVE_INSTANCE, ARCHIVE_PATIENT, ARCHIVE_SERIES, ARCHIVE_STUDY

_PATIENT: Final = ARCHIVE_PATIENT.c
_STUDY: Final = ARCHIVE_STUDY.c
_SERIES: Final = ARCHIVE_SERIES.c
_INSTANCE: Final = ARCHIVE_INSTANCE.c

#: The table whose rows a level's answers are.
TABLES: Final = {
    Level.PATIENT: ARCHIVE_PATIENT,
    Level.STUDY: ARCHIVE_STUDY,
    Level.SERIES: ARCHIVE_SERIES,
    Level.IMAGE: ARCHIVE_INSTANCE,
}
#: Beyond every character of a name.
_LAST: Final = "\U0010ffff"
_WILDCARD: Final = re.compile(r"[*?]")


def numbers_of(connection: Connection, query: Query, columns: Columns) -> Select[Any] | None:
    """
    The numbers of the studies (at the level of patients: of those) that the days and names which are asked for leave,
    in no order.  None where these do not narrow it, or something else leaves fewer.

    Who asks for the first rows in their order has SQLite read them in that order, up to the last one if few match.  The
    numbers alone come from an index, and say whether these are few.
    """
    if any(isinstance(query.conditions.get(tag), Exactly) for tag in (PATIENT_ID, STUDY_INSTANCE, ACCESSION_NUMBER)):
        return None
    conditions = tuple(_ranges(connection, query, columns))
    table = TABLES[min(query.level, Level.STUDY)]
    return select(table.c.id).where(*conditions) if conditions else None


def statement_of(
    connection: Connection,
    query: Query,
    columns: Columns,
    after: int,
    limit: int,
    among: Collection[int] | None = None,
) -> Select[Any]:
    """
    The rows that may be answers, in the order of their numbers: the number, and for each level from the study (or of
    the patient alone) what its row is found by and its attributes; then what is counted and told of it.

    @param after: the number after which to begin.
    @param among: all that `numbers_of` gives, if that is known.
    """
    level = query.level
    table = TABLES[level]
    if level is Level.PATIENT:
        statement = select(_PATIENT.id, _PATIENT.key, _PATIENT.attributes)
    elif level is Level.STUDY:
        statement = select(_STUDY.id, _STUDY.uid, _STUDY.attributes)
    elif level is Level.SERIES:
        statement = select(
            _SERIES.id, _STUDY.uid, _STUDY.attributes, _SERIES.uid, _SERIES.attributes, _SERIES.study, _SERIES.instances
        ).join_from(ARCHIVE_SERIES, ARCHIVE_STUDY)
    else:
        statement = (
            select(
                *(_INSTANCE.id, _STUDY.uid, _STUDY.attributes, _SERIES.uid, _SERIES.attributes, _SERIES.study),
                *(_SERIES.instances, _INSTANCE.uid, _INSTANCE.attributes, _INSTANCE.transfer_syntax),
            )
            .join_from(ARCHIVE_INSTANCE, ARCHIVE_SERIES)
            .join(ARCHIVE_STUDY)
        )
    for condition in _narrowed(connection, query, columns):
        statement = statement.where(condition)
    if among is None:
        statement = statement.where(*_ranges(connection, query, columns))
    else:
        statement = statement.where(TABLES[min(level, Level.STUDY)].c.id.in_(among))
    return statement.where(table.c.id > after).order_by(table.c.id).limit(limit)


def selected(connection: Connection, statement: Select[Any], selection: Selection, columns: Columns) -> Select[Any]:
    """A statement on instances joined with series and studies, for what a retrieve is of."""
    for values, kind, column in (
        (selection.patients, "patient", _STUDY.patient_id),
        (selection.studies, "uid", _STUDY.uid),
        (selection.series, "uid", _SERIES.uid),
        (selection.instances, "uid", _INSTANCE.uid),
    ):
        if values is not None:
            found_by = [columns.exact(kind, value) for value in values]
            statement = statement.where(_is_any(connection, column, kind, found_by))
    return statement


def _narrowed(connection: Connection, query: Query, columns: Columns) -> Iterable[ColumnElement[bool]]:
    """All but `_ranges`."""
    asked, level = query.conditions, query.level

    def exactly(tag: int, column: Column[Any], kind: str) -> Iterable[ColumnElement[bool]]:
        condition = asked.get(tag)
        if isinstance(condition, Exactly) and len(condition.texts) <= MAX_UIDS:
            found_by = sorted(columns.found_by(kind, text) for text in condition.texts)
            yield _is_any(connection, column, kind, found_by)

    yield from exactly(PATIENT_ID, (_PATIENT if level is Level.PATIENT else _STUDY).patient_id, "patient")
    if level >= Level.STUDY:
        yield from exactly(STUDY_INSTANCE, _STUDY.uid, "uid")
        yield from exactly(ACCESSION_NUMBER, _STUDY.accession, "accession")
        for is_modality in exactly(MODALITIES_IN_STUDY, _SERIES.modality, "modality"):
            yield (
                select(_SERIES.id).where(_SERIES.study == _STUDY.id, is_modality).correlate(ARCHIVE_STUDY).exists()
                if level is Level.STUDY
                else _STUDY.id.in_(select(_SERIES.study).where(is_modality))
            )
    if level >= Level.SERIES:
        yield from exactly(SERIES_INSTANCE, _SERIES.uid, "uid")
        yield from exactly(MODALITY, _SERIES.modality, "modality")
    if level is Level.IMAGE:
        yield from exactly(SOP_INSTANCE, _INSTANCE.uid, "uid")
        sop_class = asked.get(SOP_CLASS)
        if isinstance(sop_class, Exactly):
            yield _INSTANCE.sop_class.in_(sorted(map(plain, sop_class.texts)))


def _ranges(connection: Connection, query: Query, columns: Columns) -> Iterable[ColumnElement[bool]]:
    """Names and days; nobody finds them in an index that is encrypted."""
    if columns.is_sealed:
        return
    yield from _name(query.conditions.get(PATIENT_NAME), (_PATIENT if query.level is Level.PATIENT else _STUDY).name)
    days = day_range(query.conditions.get(STUDY_DATE)) if query.level >= Level.STUDY else None
    if days is not None:
        first, last = days
        yield further.is_any(connection, _STUDY.date, "date", lambda date: and_(date >= first, date <= last))


def _is_any(connection: Connection, column: Column[Any], kind: str, values: Collection[str]) -> ColumnElement[bool]:
    if kind == "uid":
        return column.in_(values)
    return further.is_any(connection, column, kind, lambda one: one.in_(values))


def _name(condition: Condition | None, column: Column[Any]) -> Iterable[ColumnElement[bool]]:
    """A name whose beginning is known is in a range of names; what a pattern says further on is somewhere in it."""
    if not isinstance(condition, Name):
        return
    asked = condition.groups[0]
    if not asked:
        return
    asked = plain(asked)
    prefix, *further = _WILDCARD.split(asked)
    if not further:
        yield or_(column == asked, column.is_(None))
        return
    # DOE^* is the pattern of DOE too.
    prefix = prefix.rstrip("^")
    if prefix:
        yield or_(and_(column >= prefix, column < prefix + _LAST), column.is_(None))
    for part in further:
        part = part.strip("^")
        if part:
            yield or_(column.contains(part, autoescape=True), column.is_(None))
