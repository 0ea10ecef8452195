"""
The index of the archive: which objects there are, what they are found by, and in which files they are.

Every method here is called in the reactor's thread, and its work is done in those of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, literal, select, update
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from dimseproxy.outbound.archive import leaving, writing
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.instances import (
    Added,
    BlobPage,
    Duplicates,
    Held,
    Instance,
    Outcome,
    Page,
    Stored,
    StoredPage,
    StudyPage,
    StudySummary,
)
from dimseproxy.outbound.archive.learning import learn
from dimseproxy.outbound.archive.narrowing import selected
from dimseproxy.outbound.archive.querying import Query, Selection
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.searching import collected_of, find
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused
from dimseproxy.storage.group_commit import Group, GroupCommit
from dimseproxy.storage.tables import ARCHIVE, ARCHIVE_INSTANCE, ARCHIVE_PATIENT, ARCHIVE_SERIES, ARCHIVE_STUDY

__all__ = ["Added", "Duplicates", "Index", "Instance", "Outcome", "Page", "Seal", "Selection", "Stored", "StoredPage"]

#: Objects, studies or names of files in a page.
PAGE: Final = 500

#: Objects that wait to be written, some 4 KiB each.
MOST_QUEUED: Final = 10_000

_STUDY: Final = ARCHIVE_STUDY.c
_SERIES: Final = ARCHIVE_SERIES.c
_INSTANCE: Final = ARCHIVE_INSTANCE.c
#: What the seal of the index says, where there is one.
_WITNESS: Final = b"the index of the archive"
_WITNESS_PLACE: Final = "archive seal"


class Index:
    """
    @param ae_title: that the archive is retrieved from by.
    @param has_file: called in a thread.
    @param duplicates: what becomes of another content under a SOP Instance UID that is there.
    @param seal: what the index is encrypted with; None: it is in the clear.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        ae_title: str,
        has_file: writing.HasFile,
        duplicates: Duplicates = Duplicates.KEEP,
        seal: Seal | None = None,
    ) -> None:
        self._database = database
        self._ae_title = ae_title
        self._has_file = has_file
        self._duplicates = duplicates
        self._seal = seal
        self._columns = Columns(seal)
        self._adding: GroupCommit[_Addition, list[Added]] = GroupCommit(
            database, clock, self._write, self._written, lambda additions: None, most_queued=MOST_QUEUED
        )

    def start(self) -> Deferred[None]:
        """
        See that the index is under the key that was given, and knows what one of this version does; to be called before
        anything else.

        @return: fails with `DatabaseRefused` where it is under another one, or is in the clear, or is not.
        """
        checked = self._database.run(self._check_seal)
        return checked.addCallback(lambda _: Deferred.fromCoroutine(learn(self._database, self._columns)))

    @property
    def replaces(self) -> bool:
        """Whether an object may take the place of another one."""
        return self._duplicates is Duplicates.REPLACE

    def add(self, instance: Instance) -> Deferred[Added]:
        """
        Write an object, together with what comes at the same time.

        @return: what became of it, when that is durable; fails with `DatabaseUnavailable`.
        """
        addition = _Addition(instance)
        try:
            group: Group[_Addition] = self._adding.add(addition)
        except Exception:
            failed: Deferred[Added] = Deferred()
            failed.errback()
            return failed
        return group.committed().addCallback(lambda _: addition.added)

    def add_many(self, instances: Sequence[Instance]) -> Deferred[list[Added]]:
        """Write objects in one transaction, in their order."""
        return self._database.run(lambda connection: self._add(connection, instances))

    def find(self, query: Query, after: int = 0, is_wanted: Callable[[], bool] = lambda: True) -> Deferred[Page]:
        """
        Answers to a query.

        @param after: what the page before told; 0 for the first.
        @param is_wanted: whether somebody still waits for them; asked in a thread.
        @return: fails with `OperationRefused` where the database takes too long to find any.
        """
        return self._database.read(
            lambda connection: find(connection, self._columns, query, self._ae_title, after, is_wanted)
        )

    def instances(self, selection: Selection, after: int = 0) -> Deferred[StoredPage]:
        """The objects that a retrieve is of; arguments as for `find`."""
        return self._database.read(lambda connection: self._instances(connection, selection, after))

    def stored_syntaxes(self, selection: Selection) -> Deferred[list[tuple[str, str, int]]]:
        """The SOP classes and transfer syntaxes of the objects that a retrieve is of, and how many have each."""

        def work(connection: Connection) -> list[tuple[str, str, int]]:
            what = (_INSTANCE.sop_class, _INSTANCE.transfer_syntax)
            statement = select(*what, func.count()).join_from(ARCHIVE_INSTANCE, ARCHIVE_SERIES).join(ARCHIVE_STUDY)
            grouped = selected(connection, statement, selection, self._columns).group_by(*what).order_by(*what)
            return [(row[0], row[1], row[2]) for row in connection.execute(grouped)]

        return self._database.read(work)

    def transfer_syntaxes(self, sop_classes: Collection[str]) -> Deferred[dict[str, tuple[str, ...]]]:
        """The transfer syntaxes that objects of SOP classes are stored in, the commonest first."""

        def work(connection: Connection) -> dict[str, tuple[str, ...]]:
            what = (_INSTANCE.sop_class, _INSTANCE.transfer_syntax)
            found: dict[str, tuple[str, ...]] = {}
            for asked in writing.chunks(sop_classes):
                statement = select(*what, func.count()).where(_INSTANCE.sop_class.in_(asked)).group_by(*what)
                rows = sorted(connection.execute(statement), key=lambda row: (-row[2], row[1]))
                for sop_class, transfer_syntax, _ in rows:
                    found[sop_class] = (*found.get(sop_class, ()), transfer_syntax)
            return found

        return self._database.read(work)

    def holds(self, pairs: Collection[tuple[str, str]]) -> Deferred[dict[tuple[str, str], Held]]:
        """
        Which objects are there.

        @param pairs: SOP class and SOP instance UIDs of each.
        @return: its file, for each that is there and of that class.
        """
        asked = {self._columns.uid(instance): (sop_class, instance) for sop_class, instance in pairs}

        def work(connection: Connection) -> dict[tuple[str, str], Held]:
            found = {}
            what = select(_INSTANCE.uid, _INSTANCE.sop_class, _INSTANCE.blob, _INSTANCE.size)
            for uids in writing.chunks(asked):
                for uid, sop_class, blob, size in connection.execute(what.where(_INSTANCE.uid.in_(uids))):
                    if (sop_class, asked[uid][1]) in wanted:
                        found[sop_class, asked[uid][1]] = Held(blob, size)
            return found

        wanted = frozenset(pairs)
        return self._database.read(work)

    def uses(self, blob: str) -> Deferred[bool]:
        """Whether an object is in the file of this name."""
        return self._database.read(lambda connection: _uses(connection, blob))

    def release(self, blob: str, delete: Callable[[], bool]) -> Deferred[bool]:
        """
        Have a file deleted, unless an object is in it; nobody writes one meanwhile, in this process or another.

        @param delete: deletes it, or does not; called in a thread.
        @return: whether it did.
        """

        def work(connection: Connection) -> bool:
            writing.lock(connection)
            return not _uses(connection, blob) and delete()

        return self._database.run(work)

    def remove_study(self, study: str) -> Deferred[list[str]]:
        """
        Take a study out.

        @return: the names of the files that its objects were in.
        """
        of_study = select(_INSTANCE.id).join_from(ARCHIVE_INSTANCE, ARCHIVE_SERIES).join(ARCHIVE_STUDY)
        return self._remove(lambda connection: [of_study.where(_STUDY.uid == self._columns.uid(study))])

    def remove_instances(self, sop_instances: Collection[str]) -> Deferred[list[str]]:
        """Take objects out; returns as `remove_study` does."""
        uids = [self._columns.uid(uid) for uid in sop_instances]
        return self._remove(
            lambda connection: [select(_INSTANCE.id).where(_INSTANCE.uid.in_(asked)) for asked in writing.chunks(uids)]
        )

    def studies(self, after: int = 0, limit: int = PAGE) -> Deferred[StudyPage]:
        """All studies; arguments as for `find`."""
        return self._database.read(lambda connection: self._studies(connection, after, limit))

    def blobs(self, after: int = 0) -> Deferred[BlobPage]:
        """The names of all files; arguments as for `find`."""

        def work(connection: Connection) -> BlobPage:
            statement = select(_INSTANCE.id, _INSTANCE.blob).where(_INSTANCE.id > after).order_by(_INSTANCE.id)
            rows = connection.execute(statement.limit(PAGE)).all()
            return BlobPage(tuple(row[1] for row in rows), _next(rows, PAGE))

        return self._database.read(work)

    def clear(self) -> Deferred[None]:
        """Take everything out, and be under the key that was given from now on: what is before a rebuild."""

        def work(connection: Connection) -> None:
            writing.lock(connection)
            # Whoever makes the index anew leaves out what is still to be deleted.
            leaving.forget_needed(connection)
            for table in (ARCHIVE_INSTANCE, ARCHIVE_SERIES, ARCHIVE_STUDY, ARCHIVE_PATIENT, ARCHIVE):
                connection.execute(delete(table))
            self._check_seal(connection)

        return self._database.run(work)

    def _write(self, connection: Connection, additions: Sequence[_Addition]) -> list[Added]:
        return self._add(connection, [addition.instance for addition in additions])

    def _add(self, connection: Connection, instances: Sequence[Instance]) -> list[Added]:
        return writing.add(connection, self._columns, self._duplicates, self._has_file, instances)

    def _written(self, additions: Sequence[_Addition], added: list[Added]) -> None:
        for addition, outcome in zip(additions, added, strict=True):
            addition.added = outcome

    def _remove(self, statements: Callable[[Connection], Sequence[Any]]) -> Deferred[list[str]]:
        def work(connection: Connection) -> list[str]:
            writing.lock(connection)
            numbers = [number for one in statements(connection) for number in connection.scalars(one)]
            return writing.remove(connection, numbers)

        return self._database.run(work)

    def _instances(self, connection: Connection, selection: Selection, after: int) -> StoredPage:
        what = select(
            *(_INSTANCE.id, _INSTANCE.sop_class, _INSTANCE.uid, _INSTANCE.transfer_syntax, _INSTANCE.blob),
            _INSTANCE.size,
            _INSTANCE.attributes if self._columns.is_sealed else literal(b""),
        )
        joined = what.join_from(ARCHIVE_INSTANCE, ARCHIVE_SERIES).join(ARCHIVE_STUDY)
        wanted = selected(connection, joined, selection, self._columns)
        ordered = wanted.where(_INSTANCE.id > after).order_by(_INSTANCE.id).limit(PAGE)
        rows = connection.execute(ordered).all()
        stored, spoilt = [], []
        for _, sop_class, found_by, transfer_syntax, blob, size, attributes in rows:
            uid = self._columns.uid_of(ARCHIVE_INSTANCE, found_by, attributes)
            if uid is None:
                spoilt.append(found_by)
            else:
                stored.append(Stored(sop_class, uid, transfer_syntax, blob, size))
        # Whoever asks for an object by its UID knows it.
        named = {self._columns.uid(uid): uid for uid in selection.instances or ()} if spoilt else {}
        unreadable = tuple(named.get(found_by, "") for found_by in spoilt)
        total = None
        if not after:
            counted = select(func.count()).select_from(ARCHIVE_INSTANCE).join(ARCHIVE_SERIES).join(ARCHIVE_STUDY)
            total = connection.scalar(selected(connection, counted, selection, self._columns))
        return StoredPage(tuple(stored), _next(rows, PAGE), total, unreadable)

    def _studies(self, connection: Connection, after: int, limit: int) -> StudyPage:
        numbered = select(_STUDY.id, _STUDY.uid, _STUDY.attributes).where(_STUDY.id > after)
        rows = connection.execute(numbered.order_by(_STUDY.id).limit(limit)).all()
        numbers = [row[0] for row in rows]
        totals = {
            row[0]: row[1:]
            for row in connection.execute(
                select(
                    *(_SERIES.study, func.count(), func.sum(_SERIES.instances), func.sum(_SERIES.size)),
                    *(func.min(_SERIES.first_received), func.max(_SERIES.last_received)),
                )
                .where(_SERIES.study.in_(numbers))
                .group_by(_SERIES.study)
            )
        }
        modalities, senders = (
            collected_of(connection, numbers, _SERIES.modality),
            collected_of(connection, numbers, _INSTANCE.sender),
        )
        studies, unreadable = [], []
        for number, found_by, attributes in rows:
            uid = self._columns.uid_of(ARCHIVE_STUDY, found_by, attributes)
            if uid is None:
                unreadable.append(number)
            elif number in totals:
                # Else it was taken out since the statement before.
                series, instances, size, first, last = totals[number]
                told = (tuple(modalities.get(number, ())), tuple(senders.get(number, ())))
                studies.append(StudySummary(uid, *told, series, int(instances), int(size), first, last))
        return StudyPage(tuple(studies), _next(rows, limit), tuple(unreadable))

    def _check_seal(self, connection: Connection) -> None:
        writing.lock(connection)
        seal = connection.scalar(select(ARCHIVE.c.seal))
        if seal is None:
            connection.execute(insert(ARCHIVE).values(id=1, seal=self._witness(), knows_values=True))
        elif bool(seal) != (self._seal is not None) or (self._seal and not self._is_ours(seal)):
            if connection.scalar(select(_INSTANCE.id).limit(1)) is not None:
                raise DatabaseRefused(
                    "the index of the archive was written with another key, or with none: give that key, or rebuild it"
                )
            connection.execute(update(ARCHIVE).values(seal=self._witness()))

    def _witness(self) -> bytes:
        return b"" if self._seal is None else self._seal.seal(self._seal_mark(self._seal), _WITNESS_PLACE)

    def _is_ours(self, sealed: bytes) -> bool:
        assert self._seal is not None
        try:
            return self._seal.open(sealed, _WITNESS_PLACE) == self._seal_mark(self._seal)
        except DatabaseRefused:
            return False

    @staticmethod
    def _seal_mark(seal: Seal) -> bytes:
        # What values are found by must be the same too.
        return _WITNESS + seal.exact("seal", "").encode()


class _Addition:
    """An object that waits to be written, and what became of it then."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.added = Added(Outcome.REFUSED)


def _uses(connection: Connection, blob: str) -> bool:
    return connection.scalar(select(_INSTANCE.id).where(_INSTANCE.blob == blob).limit(1)) is not None


def _next(rows: Sequence[Any], limit: int) -> int | None:
    return rows[-1][0] if len(rows) == limit else None
