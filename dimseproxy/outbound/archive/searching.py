"""
Answers to queries, page by page; what is here runs in a thread of the database, within a transaction.

A page begins behind the number of the last row that the one before it looked at: no answer is told twice, what comes
meanwhile comes at the end, and nothing is kept between pages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Final

from attrs import evolve, field, frozen
from sqlalchemy import Column, Connection, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive import further
from dimseproxy.outbound.archive.answers import Answer, Answering
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.heads import Values
from dimseproxy.outbound.archive.instances import Page
from dimseproxy.outbound.archive.levels import (
    AVAILABLE_TRANSFER_SYNTAX,
    COUNTS,
    DERIVED,
    MODALITIES_IN_STUDY,
    Level,
    name_of,
)
from dimseproxy.outbound.archive.narrowing import numbers_of, statement_of
from dimseproxy.outbound.archive.querying import Query
from dimseproxy.storage.errors import DatabaseRefused, state_of
from dimseproxy.storage.sqlite import given_up
from dimseproxy.storage.tables import ARCHIVE_INSTANCE, ARCHIVE_PATIENT, ARCHIVE_SERIES, ARCHIVE_STUDY

_STUDY: Final = ARCHIVE_STUDY.c
_SERIES: Final = ARCHIVE_SERIES.c
_INSTANCE: Final = ARCHIVE_INSTANCE.c

#: Answers in a page: some milliseconds of work, and a megabyte with everything that may be asked for.
PAGE: Final = 200

#: Rows that are looked at for a page where few of them match.
MOST_LOOKED_AT: Final = 2_000

#: Bytes of attributes after which a page ends, as soon as the rows that are looked at together are.
MOST_OCTETS: Final = 16 * 1024 * 1024

#: Seconds after which a page ends with the row that is looked at: a row may cost a third of one. What waits for the
#: thread has its turn then.
LONGEST_PAGE: Final = 0.5

#: Seconds after which SQLite gives up: less than a transaction may take. PostgreSQL has a limit of its own.
LONGEST_STATEMENT: Final = 10.0

#: What is said of a query that takes too long.
TOO_LONG: Final = "To look for answers takes too long: ask for less"
_GIVEN_UP: Final = "SQLITE_INTERRUPT"

#: Studies that are told to the database by their numbers.
MOST_NUMBERED: Final = 1_000


@frozen
class _Candidate:
    """
    A row that matches as far as its attributes go.

    @ivar patient: its number, of a patient.
    @ivar study: its number, of anything from a study on.
    """

    number: int
    values: Values = field(repr=False)
    patient: int = 0
    study: int = 0
    instances: int = 0
    transfer_syntax: str = ""


def find(
    connection: Connection, columns: Columns, query: Query, ae_title: str, after: int, is_wanted: Callable[[], bool]
) -> Page:
    """
    A page of answers.

    @param after: the number after which to begin.
    @param is_wanted: whether somebody still waits for it: where nobody does, there is no more in it.
    @raise OperationRefused: SQLite takes too long to find any row.
    """
    began = monotonic()

    def is_over(longest: float) -> bool:
        return monotonic() - began >= longest or not is_wanted()

    try:
        with given_up(connection, lambda: is_over(LONGEST_STATEMENT)):
            page = _page(connection, columns, query, ae_title, after, lambda: is_over(LONGEST_PAGE))
    except SQLAlchemyError as error:
        if state_of(error) != _GIVEN_UP:
            raise
        if is_wanted():
            raise OperationRefused(Status.OUT_OF_RESOURCES, TOO_LONG) from None
        page = Page((), after)
    return evolve(page, seconds=monotonic() - began)


def _page(
    connection: Connection, columns: Columns, query: Query, ae_title: str, after: int, is_over: Callable[[], bool]
) -> Page:
    """The same; it ends with the row after which it is over."""
    is_universal = not query.matches and not query.derived
    limit = PAGE if is_universal else MOST_LOOKED_AT
    among = _few(connection, query, columns)
    # One step of the rows after the other: those of a few large objects are not in memory all at once.
    statement = statement_of(connection, query, columns, after, limit, among)
    rows = connection.execute(statement.execution_options(stream_results=True))
    reading, deriving, answering = _reading(query.level, columns), _Deriving(query), Answering(query, ae_title)
    answers: list[Answer] = []
    looked_at = octets = unreadable = 0
    last, ends = after, False
    while not ends and len(answers) < PAGE and octets < MOST_OCTETS and (some := rows.fetchmany(PAGE)):
        # What is counted is counted for many at a time.
        candidates = []
        for row in some:
            if ends := looked_at > 0 and is_over():
                break
            last = row[0]
            looked_at += 1
            octets += _octets(row)
            try:
                one = reading(row)
            except DatabaseRefused:
                # Nobody knows whether it matches.
                unreadable += 1
                continue
            if all(match.is_met(one.values) for match in query.matches):
                candidates.append(one)
        deriving.derive(connection, candidates)
        answers += [
            answering.answer(one.values)
            for one in candidates
            if all(match.is_met(one.values) for match in query.derived)
        ]
    is_last = not ends and looked_at < limit and rows.fetchone() is None
    rows.close()
    return Page(tuple(answers), None if is_last else last, unreadable)


def _octets(row: Sequence[Any]) -> int:
    return sum(len(column) for column in row if isinstance(column, bytes))


def _few(connection: Connection, query: Query, columns: Columns) -> Sequence[int] | None:
    """What `numbers_of` gives, where that is little."""
    statement = numbers_of(connection, query, columns)
    if statement is None:
        return None
    numbers = connection.scalars(statement.limit(MOST_NUMBERED + 1)).all()
    return numbers if len(numbers) <= MOST_NUMBERED else None


def _reading(level: Level, columns: Columns) -> Callable[[Sequence[Any]], _Candidate]:
    """How the rows of `statement_of` are read; those of a study or a series come one after the other."""
    read = columns.read

    def patient(row: Sequence[Any]) -> _Candidate:
        number, key, attributes = row
        return _Candidate(number, read(ARCHIVE_PATIENT, key, attributes), patient=number)

    def study(row: Sequence[Any]) -> _Candidate:
        number, uid, attributes = row
        return _Candidate(number, read(ARCHIVE_STUDY, uid, attributes), study=number)

    @lru_cache(maxsize=16)
    def outer_study(uid: str, attributes: bytes) -> Values:
        return read(ARCHIVE_STUDY, uid, attributes)

    @lru_cache(maxsize=16)
    def outer_series(uid: str, attributes: bytes) -> Values:
        return read(ARCHIVE_SERIES, uid, attributes)

    def series(row: Sequence[Any]) -> _Candidate:
        number, study_uid, outer, uid, attributes, study, instances = row
        values = outer_study(study_uid, outer) | read(ARCHIVE_SERIES, uid, attributes)
        return _Candidate(number, values, study=study, instances=instances)

    def instance(row: Sequence[Any]) -> _Candidate:
        number, study_uid, outer, series_uid, inner, study, instances, uid, attributes, transfer_syntax = row
        values = outer_study(study_uid, outer) | outer_series(series_uid, inner)
        values |= read(ARCHIVE_INSTANCE, uid, attributes)
        return _Candidate(number, values, study=study, instances=instances, transfer_syntax=transfer_syntax)

    return {Level.PATIENT: patient, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}[level]


class _Deriving:
    """What is counted, or collected, of what is below: as far as it is asked for."""

    def __init__(self, query: Query) -> None:
        self._level = query.level
        asked = {wanted.tag for wanted in query.wanted}
        self._tags = [tag for tag in DERIVED if tag in asked]

    def derive(self, connection: Connection, candidates: Sequence[_Candidate]) -> None:
        """Put it among the values of candidates."""
        if not candidates:
            return
        for tag in self._tags:
            name = name_of(tag)
            if tag == AVAILABLE_TRANSFER_SYNTAX:
                for one in candidates:
                    one.values[name] = [one.transfer_syntax]
            elif tag in COUNTS:
                level, counted = COUNTS[tag]
                counts = self._counts(connection, candidates, level, counted)
                for one in candidates:
                    one.values[name] = [counts(one)]
            else:
                column = _SERIES.modality if tag == MODALITIES_IN_STUDY else _INSTANCE.sop_class
                collected = collected_of(connection, {one.study for one in candidates}, column)
                for one in candidates:
                    one.values[name] = collected.get(one.study, [])

    def _counts(
        self, connection: Connection, candidates: Sequence[_Candidate], level: Level, counted: Level
    ) -> Callable[[_Candidate], str]:
        if level is Level.SERIES:
            return lambda one: str(one.instances)
        if level is Level.STUDY:
            of_studies = _counts_of_studies(connection, {one.study for one in candidates}, counted)
            return lambda one: str(of_studies.get(one.study, 0))
        if self._level is Level.PATIENT:
            of_patients = _counts_of_patients(connection, {one.patient for one in candidates}, counted)
            return lambda one: str(of_patients.get(one.patient, 0))
        studies = {one.study for one in candidates}
        patients = _mapping(connection, select(_STUDY.id, _STUDY.patient).where(_STUDY.id.in_(studies)))
        of_patients = _counts_of_patients(connection, set(patients.values()), counted)
        return lambda one: str(of_patients.get(patients.get(one.study, 0), 0))


def _counts_of_studies(connection: Connection, studies: Collection[int], counted: Level) -> Mapping[int, int]:
    number = func.count() if counted is Level.SERIES else func.sum(_SERIES.instances)
    statement = select(_SERIES.study, number).where(_SERIES.study.in_(studies)).group_by(_SERIES.study)
    return _mapping(connection, statement)


def _counts_of_patients(connection: Connection, patients: Collection[int], counted: Level) -> Mapping[int, int]:
    if counted is Level.STUDY:
        statement = select(_STUDY.patient, func.count())
    else:
        number = func.count() if counted is Level.SERIES else func.sum(_SERIES.instances)
        statement = select(_STUDY.patient, number).join_from(ARCHIVE_STUDY, ARCHIVE_SERIES)
    return _mapping(connection, statement.where(_STUDY.patient.in_(patients)).group_by(_STUDY.patient))


def _mapping(connection: Connection, statement: Select[Any]) -> dict[int, int]:
    return {key: value for key, value in connection.execute(statement)}


def collected_of(connection: Connection, studies: Collection[int], column: Column[Any]) -> Mapping[int, list[str]]:
    """The different values of a column that each study has, sorted; of modalities, further ones too."""
    statement = select(_SERIES.study, column).where(_SERIES.study.in_(studies)).distinct()
    if column.table is ARCHIVE_INSTANCE:
        statement = statement.join_from(ARCHIVE_SERIES, ARCHIVE_INSTANCE)
    found = {(row[0], row[1]) for row in connection.execute(statement)}
    if column is _SERIES.modality:
        found.update((row[0], row[1]) for row in connection.execute(further.modalities_of(studies)))
    collected: dict[int, list[str]] = {}
    for study, value in sorted(found):
        if value:
            collected.setdefault(study, []).append(value)
    return collected
