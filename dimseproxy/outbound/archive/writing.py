"""
How objects come into the index and leave it; what is here runs in a thread of the database, within a transaction.

One transaction at a time writes, also where several proxies share a PostgreSQL: with one writer no count is lost, no
two wait for each other, and rows are numbered in the order in which they can be seen.  It is no bottleneck, for each
transaction writes whatever objects came while the one before it was written.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from attrs import define, field
from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    case,
    delete,
    insert,
    select,
    text,
    update,
)
from twisted.logger import Logger

from dimseproxy.outbound.archive import further
from dimseproxy.outbound.archive.attributes import Attributes
from dimseproxy.outbound.archive.columns import Columns, Row
from dimseproxy.outbound.archive.instances import Added, Duplicates, Instance, Outcome
from dimseproxy.outbound.archive.levels import Level
from dimseproxy.outbound.archive.statements import MOST_ASKED, Lookup, Statement
from dimseproxy.storage.tables import ARCHIVE_INSTANCE, ARCHIVE_PATIENT, ARCHIVE_SERIES, ARCHIVE_STUDY

log = Logger()

#: An advisory lock of ours; the number means nothing, but is the same in every version.
_WRITING: Final = 0x64696D7366

# What every object takes.
_THERE: Final = Lookup(
    ARCHIVE_INSTANCE.c.uid, ARCHIVE_INSTANCE.c.digest, ARCHIVE_INSTANCE.c.blob, ARCHIVE_INSTANCE.c.size
)
_PATIENTS: Final = Lookup(ARCHIVE_PATIENT.c.key, ARCHIVE_PATIENT.c.id)
_STUDIES: Final = Lookup(ARCHIVE_STUDY.c.uid, ARCHIVE_STUDY.c.id)
_SERIES: Final = Lookup(ARCHIVE_SERIES.c.uid, ARCHIVE_SERIES.c.id)
_INSERT: Final = Statement(
    insert(ARCHIVE_INSTANCE), [column.name for column in ARCHIVE_INSTANCE.c if not column.primary_key]
)
_RECEIVED: Final[BindParameter[float]] = bindparam("received", type_=ARCHIVE_SERIES.c.last_received.type)
_COUNT: Final = Statement(
    update(ARCHIVE_SERIES)
    .where(ARCHIVE_SERIES.c.id == bindparam("number"))
    .values(
        instances=ARCHIVE_SERIES.c.instances + bindparam("count"),
        size=ARCHIVE_SERIES.c.size + bindparam("octets"),
        last_received=case(
            (ARCHIVE_SERIES.c.last_received < _RECEIVED, _RECEIVED), else_=ARCHIVE_SERIES.c.last_received
        ),
    )
)


class HasFile(Protocol):
    """
    Says whether a file is there; where its size is given, whether it is as long as that, in bytes.  This blocks, and
    may raise `OSError`.
    """

    def __call__(self, blob: str, size: int | None = None, /) -> bool: ...


def lock(connection: Connection) -> None:
    """Wait until nobody else writes; the lock is let go with the transaction."""
    # A transaction of SQLite that may write has that lock from its beginning.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _WRITING})


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Values, sorted, as many at a time as may be in one statement."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), MOST_ASKED):
        yield ordered[start : start + MOST_ASKED]


def add(
    connection: Connection,
    columns: Columns,
    duplicates: Duplicates,
    has_file: HasFile,
    instances: Sequence[Instance],
) -> list[Added]:
    """
    Write objects, in their order.

    @param has_file: asked while nobody else can write: no file is taken away meanwhile.
    @return: what became of each.
    """
    lock(connection)
    return _Adding(connection, columns, duplicates, has_file).add(instances)


def remove(connection: Connection, instances: Collection[int]) -> list[str]:
    """
    Take objects out by their numbers, and what is empty then.

    @return: the names of their files.
    """
    blobs: list[str] = []
    changed: dict[int, tuple[int, int]] = {}
    table = ARCHIVE_INSTANCE.c
    for asked in _batches(instances):
        which = table.id.in_(asked)
        for series, blob, size in connection.execute(select(table.series, table.blob, table.size).where(which)):
            blobs.append(blob)
            count, octets = changed.get(series, (0, 0))
            changed[series] = (count - 1, octets - size)
        connection.execute(delete(ARCHIVE_INSTANCE).where(which))
    _count(connection, changed, {})
    _prune(connection, _Left(set(changed)))
    return blobs


class _Adding:
    """One group of objects."""

    def __init__(self, connection: Connection, columns: Columns, duplicates: Duplicates, has_file: HasFile) -> None:
        self._connection = connection
        self._columns = columns
        self._duplicates = duplicates
        self._has_file = has_file
        #: By what each instance is found by: the instance as it will be.
        self._wanted: dict[str, Instance] = {}
        #: Digest, file and size of each that is there, or will be.
        self._there: dict[str, tuple[bytes, str, int]] = {}
        self._replacing: set[str] = set()

    def add(self, instances: Sequence[Instance]) -> list[Added]:
        uids = [self._columns.uid(instance.attributes.sop_instance) for instance in instances]
        for uid, (digest, blob, size) in _THERE.find(self._connection, uids).items():
            self._there[uid] = (digest, blob, size)
        present = set(self._there)
        added = [self._decided(uid, instance) for uid, instance in zip(uids, instances, strict=True)]
        self._replacing = present.intersection(self._wanted)
        if self._wanted:
            self._write()
        return added

    def _decided(self, uid: str, instance: Instance) -> Added:
        try:
            return self._decide(uid, instance)
        except OSError as error:
            # It is that object's fault, and no other's of the group.
            log.error("a file cannot be looked at: {error}", error=errno.errorcode.get(error.errno or 0, "unknown"))
            return Added(Outcome.UNKNOWN, instance.blob)

    def _decide(self, uid: str, instance: Instance) -> Added:
        there = self._there.get(uid)
        # Where the power failed before its sender was answered, a row may have outlived the name of its file: then
        # there is nothing to be identical with, or to keep.
        if there is not None:
            digest, blob, size = there
            mine = None if instance.blob == blob else instance.blob
            if digest == instance.digest:
                if self._is_as_long(blob, size):
                    return Added(Outcome.IDENTICAL, mine, None if mine is None else blob)
            elif self._has_file(blob):
                # Also where it is damaged: what is left of that content may be all there is.
                if self._duplicates is Duplicates.KEEP:
                    return Added(Outcome.KEPT, mine, blob)
                if self._duplicates is Duplicates.REFUSE:
                    return Added(Outcome.REFUSED, mine)
        if not self._has_file(instance.blob):
            return Added(Outcome.GONE)
        self._there[uid] = (instance.digest, instance.blob, instance.size)
        self._wanted[uid] = instance
        if there is None:
            return Added(Outcome.NEW)
        return Added(Outcome.REPLACED, None if there[1] == instance.blob else there[1])

    def _is_as_long(self, blob: str, size: int) -> bool:
        """Whether a file has the length that it was written with; to read all of it would cost too much."""
        try:
            return self._has_file(blob, size)
        except OSError:
            # Its very content has come once more: nothing is lost where that takes its place.
            return False

    def _write(self) -> None:
        columns = self._columns
        left = _Left()
        series_of = self._authorities(self._wanted.values(), lambda one: columns.uid(one.series))
        series = _numbers(self._connection, _SERIES, series_of)
        series_of = self._to_write(series_of, series)
        study_of = self._authorities(series_of.values(), lambda one: columns.uid(one.study))
        studies = _numbers(self._connection, _STUDIES, study_of)
        study_of = self._to_write(study_of, studies)
        patient_of = self._authorities(study_of.values(), columns.patient_key)
        patients = _numbers(self._connection, _PATIENTS, patient_of)
        patient_of = self._to_write(patient_of, patients)

        patient_rows = {key: columns.patient(one.attributes) for key, one in patient_of.items()}
        patients |= self._upsert(ARCHIVE_PATIENT, _PATIENTS, patient_rows, patients)
        self._write_further(ARCHIVE_PATIENT, patient_of, patients, (Level.PATIENT,))
        study_rows = {
            uid: {**columns.study(one.attributes), "patient": patients[columns.patient_key(one.attributes)]}
            for uid, one in study_of.items()
        }
        left.patients |= _parents(self._connection, ARCHIVE_STUDY.c.patient, study_rows, studies)
        studies |= self._upsert(ARCHIVE_STUDY, _STUDIES, study_rows, studies)
        self._write_further(ARCHIVE_STUDY, study_of, studies, (Level.PATIENT, Level.STUDY))
        series_rows = {
            uid: {**columns.series(one.attributes), "study": studies[columns.uid(one.attributes.study)]}
            for uid, one in series_of.items()
        }
        left.studies |= _parents(self._connection, ARCHIVE_SERIES.c.study, series_rows, series)
        for uid, row in series_rows.items():
            if uid not in series:
                received = series_of[uid].received
                row |= {"instances": 0, "size": 0, "first_received": received, "last_received": received}
        series |= self._upsert(ARCHIVE_SERIES, _SERIES, series_rows, series)
        self._write_further(ARCHIVE_SERIES, series_of, series, (Level.SERIES,))
        left.series |= self._write_instances(series)
        _prune(self._connection, left)

    def _write_further(
        self, table: Table, found: Mapping[str, Instance], numbers: Mapping[str, int], levels: Sequence[Level]
    ) -> None:
        """Write the further values of patients, studies or series that are new or written anew."""
        values = {
            numbers[key]: pairs
            for key, one in found.items()
            if (pairs := {pair for level in levels for pair in self._columns.further(one.attributes.values[level])})
        }
        rewritten = [numbers[key] for key in found] if self._replacing else ()
        further.write(self._connection, table, values, rewritten)

    def _write_instances(self, series: Mapping[str, int]) -> set[int]:
        """Write the rows of instances; the series that some were taken out of."""
        changed = self._forget()
        emptier = set(changed)
        latest: dict[int, float] = {}
        rows = []
        for uid, instance in self._wanted.items():
            number = series[self._columns.uid(instance.attributes.series)]
            count, size = changed.get(number, (0, 0))
            changed[number] = (count + 1, size + instance.size)
            latest[number] = max(latest.get(number, 0.0), instance.received)
            rows.append(self._row(uid, number, instance))
        _INSERT.run(self._connection, *rows)
        _count(self._connection, changed, latest)
        return emptier

    def _row(self, uid: str, series: int, instance: Instance) -> Row:
        return {
            "uid": uid,
            "series": series,
            "sop_class": instance.attributes.sop_class,
            "transfer_syntax": instance.transfer_syntax,
            "blob": instance.blob,
            "size": instance.size,
            "digest": instance.digest,
            "sender": instance.sender,
            "received": instance.received,
            "attributes": self._columns.instance_attributes(instance.attributes),
        }

    def _forget(self) -> dict[int, tuple[int, int]]:
        """Take out the rows of instances that are replaced; how many, and what size, each series has less."""
        table = ARCHIVE_INSTANCE.c
        changed: dict[int, tuple[int, int]] = {}
        for asked in chunks(self._replacing):
            rows = self._connection.execute(select(table.series, table.size).where(table.uid.in_(asked)))
            for series, size in rows:
                count, octets = changed.get(series, (0, 0))
                changed[series] = (count - 1, octets - size)
            self._connection.execute(delete(ARCHIVE_INSTANCE).where(table.uid.in_(asked)))
        return changed

    # What objects belong to is as the first object said, or as one said that replaced another: that corrects it.

    def _authorities(self, instances: Iterable[Instance], key: Callable[[Attributes], str]) -> dict[str, Instance]:
        """For each patient, study or series, the object that says what it is."""
        found: dict[str, Instance] = {}
        for instance in instances:
            known = found.setdefault(key(instance.attributes), instance)
            if known is not instance and self._is_replacing(instance):
                found[key(instance.attributes)] = instance
        return found

    def _to_write(self, found: Mapping[str, Instance], there: Mapping[str, int]) -> dict[str, Instance]:
        return {key: one for key, one in found.items() if key not in there or self._is_replacing(one)}

    def _is_replacing(self, instance: Instance) -> bool:
        return bool(self._replacing) and self._columns.uid(instance.attributes.sop_instance) in self._replacing

    def _upsert(
        self, table: Table, lookup: Lookup, rows: Mapping[str, Row], there: Mapping[str, int]
    ) -> dict[str, int]:
        """Write rows; the numbers of the new ones."""
        for value, row in rows.items():
            if value in there:
                self._connection.execute(update(table).where(table.c.id == there[value]).values(**row))
        missing = {value: row for value, row in rows.items() if value not in there}
        if not missing:
            return {}
        self._connection.execute(insert(table), list(missing.values()))
        return _numbers(self._connection, lookup, missing)


@define
class _Left:
    """What may have nothing in it any more, by number."""

    series: set[int] = field(factory=set)
    studies: set[int] = field(factory=set)
    patients: set[int] = field(factory=set)


def _numbers(connection: Connection, lookup: Lookup, values: Iterable[str]) -> dict[str, int]:
    return {value: number for value, (number,) in lookup.find(connection, values).items()}


def _count(connection: Connection, changed: Mapping[int, tuple[int, int]], latest: Mapping[int, float]) -> None:
    """
    Instances and octets that came to series, or went.

    @param latest: when the last of what came was received, by series.
    """
    if not changed:
        return
    _COUNT.run(
        connection,
        *(
            {"number": number, "count": count, "octets": octets, "received": latest.get(number, 0.0)}
            for number, (count, octets) in changed.items()
        ),
    )


def _parents(connection: Connection, parent: Column[Any], rows: Iterable[str], there: Mapping[str, int]) -> set[int]:
    """What the rows that are about to be written anew belong to until then."""
    numbers = [there[key] for key in rows if key in there]
    found: set[int] = set()
    for asked in _batches(numbers):
        found.update(connection.scalars(select(parent).where(parent.table.c.id.in_(asked))))
    return found


def _prune(connection: Connection, left: _Left) -> None:
    """Take out what has nothing in it any more."""
    if not (left.series or left.studies or left.patients):
        return
    series, study, patient = ARCHIVE_SERIES.c, ARCHIVE_STUDY.c, ARCHIVE_PATIENT.c
    studies = left.studies | _take_empty(connection, series.study, left.series, series.instances == 0)
    has_series = select(series.id).where(series.study == study.id).exists()
    patients = left.patients | _take_empty(connection, study.patient, studies, ~has_series)
    has_studies = select(study.id).where(study.patient == patient.id).exists()
    _take_empty(connection, patient.id, patients, ~has_studies)


def _take_empty(
    connection: Connection, parent: Column[Any], numbers: Iterable[int], is_empty: ColumnElement[bool]
) -> set[int]:
    """Take out the empty ones of some rows; what they belonged to."""
    table = parent.table
    parents: set[int] = set()
    for asked in _batches(numbers):
        empty = connection.execute(select(table.c.id, parent).where(table.c.id.in_(asked), is_empty)).all()
        if empty:
            connection.execute(delete(table).where(table.c.id.in_([row[0] for row in empty])))
            parents.update(row[1] for row in empty)
    return parents


def _batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(numbers)
    for start in range(0, len(ordered), MOST_ASKED):
        yield ordered[start : start + MOST_ASKED]
