"""
Tables of originals and pseudonyms that somebody else made: one file of two columns for each kind of value.

    original,pseudonym
    4711,STUDY-0001

The first line may name the columns.  A file is checked whole before any of it is believed, and read again when it has
changed; write it beside its place and rename it, so that it is never seen half written.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Mapping
from io import StringIO
from itertools import permutations
from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused
from dimseproxy.pseudonyms.validity import Use, fault_of_original, fault_of_pseudonym, use_of

log = Logger()

#: Seconds between two looks at the files.
LOOK_EVERY: Final = 1.0
#: Bytes; some two million rows, read in seconds and held in about ten times as much memory.
LONGEST_FILE: Final = 64 << 20

_HEADER: Final = ("original", "pseudonym")
_T = TypeVar("_T")


@frozen
class Table:
    """What a file says, both ways."""

    pseudonyms: Mapping[str, str] = field(repr=False)
    originals: Mapping[str, str] = field(repr=False)


def read_table(path: Path, use: Use) -> Table:
    """
    Read a file and check all of it.

    @param use: where its pseudonyms will stand.
    @raise SourceRefused: it cannot be read, or a line of it cannot be used; the message has the line, not the value.
    """
    pseudonyms: dict[str, str] = {}
    originals: dict[str, str] = {}
    rows = list(_rows(path))
    for line, original, pseudonym in rows:
        fault = None
        if original in pseudonyms:
            fault = "the original is in the table already"
        elif pseudonym in originals:
            fault = "the pseudonym is in the table already"
        elif wrong := fault_of_original(use, original):
            fault = f"the original {wrong}"
        elif wrong := fault_of_pseudonym(use, pseudonym):
            fault = f"the pseudonym {wrong}"
        if fault is not None:
            raise SourceRefused(f"{path}, line {line}: {fault}")
        pseudonyms[original] = pseudonym
        originals[pseudonym] = original
    for line, _, pseudonym in rows:
        if pseudonym in pseudonyms:
            raise SourceRefused(f"{path}, line {line}: the pseudonym is an original, too")
    return Table(pseudonyms, originals)


def check_together(tables: Mapping[Path, Table]) -> None:
    """
    Whether tables of UIDs go with one another: UIDs are of one name space, whatever they name (PS3.5 9).

    @raise SourceRefused: a pseudonym in one of them is an original in another, or another original's pseudonym there.
    """
    for (path, one), (beside, other) in permutations(tables.items(), 2):
        if not one.originals.keys().isdisjoint(other.pseudonyms):
            raise SourceRefused(f"{path}: a pseudonym is an original in {beside}")
        if any(other.originals.get(pseudonym, original) != original for pseudonym, original in one.originals.items()):
            raise SourceRefused(f"{path}: a pseudonym is that of another original in {beside}")


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """The rows of a file after the numbers of their lines, without its header."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise SourceRefused(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LONGEST_FILE:
        raise SourceRefused(f"{path} is longer than {LONGEST_FILE >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceRefused(f"{path}, line {line}: this is not UTF-8") from None
    # Spreadsheets write semicolons where a comma separates decimals.
    first = text.partition("\n")[0]
    delimiter = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    is_first = True
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise SourceRefused(f"{path}, line {reader.line_num}: this is no line of a table") from None
        if not row:
            continue
        if len(row) != 2:
            raise SourceRefused(f"{path}, line {reader.line_num}: two columns are needed, here are {len(row)}")
        original, pseudonym = (each.strip(" ") for each in row)
        if not (is_first and (original.lower(), pseudonym.lower()) == _HEADER):
            yield reader.line_num, original, pseudonym
        is_first = False


class _File:
    """A file and what it said when it was last good."""

    def __init__(self, path: Path, use: Use) -> None:
        self.path = path
        self.use = use
        self.table = Table({}, {})
        self._seen: object = None

    def has_changed(self) -> bool:
        """Whether it is another one than at the last look; a file that is away has not changed."""
        seen = self._state()
        changed = seen is not None and seen != self._seen
        self._seen = seen if seen is not None else self._seen
        return changed

    def _state(self) -> object:
        try:
            state = self.path.stat()
        except OSError:
            return None
        # Rights that are mended change the time of the inode alone.
        return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino


@implementer(IPseudonyms)
class CsvTables:
    """
    @param clock: the reactor, or a clock in memory.
    @param files: by kind.
    @param in_thread: runs what waits for a disk.
    """

    def __init__(
        self,
        clock: IReactorTime,
        files: Mapping[Kind, Path],
        in_thread: Callable[..., Deferred[Any]] = deferToThread,
    ) -> None:
        self._clock = clock
        self._in_thread = in_thread
        # One file may serve several kinds, of several uses.
        each = {(path, use_of(kind)): _File(path, use_of(kind)) for kind, path in files.items()}
        self._files = {kind: each[path, use_of(kind)] for kind, path in files.items()}
        self._each = tuple(each.values())
        self._next_look = 0.0
        self._reading: list[Deferred[None]] | None = None

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        return self._when_fresh(lambda: Pseudonyms({each: self._pseudonym(each) for each in originals}))

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        def known() -> Mapping[Identity, str]:
            found = ((each, self._file(each.kind).table.originals.get(each.value)) for each in pseudonyms)
            return {each: original for each, original in found if original is not None}

        return self._when_fresh(known)

    def _pseudonym(self, original: Identity) -> str:
        file = self._file(original.kind)
        pseudonym = file.table.pseudonyms.get(original.value)
        if pseudonym is None:
            raise SourceRefused(f"{file.path} has no pseudonym for a value")
        return pseudonym

    def _file(self, kind: Kind) -> _File:
        file = self._files.get(kind)
        if file is None:
            raise SourceRefused(f"there is no table for {kind.value}")
        return file

    async def _start(self) -> None:
        tables: dict[_File, Table] = {}
        for file in self._each:
            file.has_changed()
            tables[file] = await self._in_thread(read_table, file.path, file.use)
        await self._use(tables)
        self._next_look = self._clock.seconds() + LOOK_EVERY

    def _when_fresh(self, answer: Callable[[], _T]) -> Deferred[_T]:
        """Answer from the tables as they are now."""
        if self._reading is None and self._clock.seconds() >= self._next_look:
            self._look()
        if self._reading is None:
            return succeed(None).addCallback(lambda _: answer())
        waiting: Deferred[None] = Deferred()
        self._reading.append(waiting)
        return waiting.addCallback(lambda _: answer())

    def _look(self) -> None:
        self._next_look = self._clock.seconds() + LOOK_EVERY
        changed = [file for file in self._each if file.has_changed()]
        if changed:
            self._reading = []
            Deferred.fromCoroutine(self._read(changed)).addBoth(self._has_read)

    async def _use(self, tables: Mapping[_File, Table]) -> None:
        """
        Put tables in the place of those before them.

        @raise SourceRefused: they do not go with one another, or with the others.
        """
        beside = {file.path: tables.get(file, file.table) for file in self._each if file.use is Use.UID}
        if len(beside) > 1:
            await self._in_thread(check_together, beside)
        for file, table in tables.items():
            file.table = table

    async def _read(self, files: Collection[_File]) -> None:
        tables: dict[_File, Table] = {}
        for file in files:
            try:
                tables[file] = await self._in_thread(read_table, file.path, file.use)
            except SourceRefused as error:
                _is_not_used(error)
        try:
            await self._use(tables)
        except SourceRefused as error:
            _is_not_used(error)
            return
        for file in tables:
            log.info("{path} has changed and is in use", path=str(file.path))

    def _has_read(self, result: object) -> None:
        if isinstance(result, Failure):
            log.error("a changed table could not be read: {kind}", kind=type(result.value).__name__)
        waiting, self._reading = self._reading or [], None
        for each in waiting:
            each.callback(None)


def _is_not_used(error: SourceRefused) -> None:
    log.error("a changed table is not used, the one before it still is: {error}", error=str(error))
