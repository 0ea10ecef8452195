"""`dimseproxy import`: the DICOM files of a folder, put into the archive by the same way as what callers store."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import define, field

from dimseproxy.archives import archive_of
from dimseproxy.association.interfaces import IOutbound
from dimseproxy.commands.dicom_files import BrokenFile, DicomFile, NoDicomFile, files_in, look_at
from dimseproxy.commands.progress import Progress
from dimseproxy.commands.task import ExitStatus, Task, counted, side_by_side
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AssociationFailed
from dimseproxy.outbound.archive.sending import Outcome, Parcel, Sender

#: Files on one association: each may need a presentation context of its own, and there are 128.
_BATCH: Final = 64
#: How much of a file is read at a time, in bytes.
STEP: Final = 1024 * 1024


#: Why the archive does not take an object, by the status that it gives.
_REASONS: Final = {
    int(Status.DUPLICATE_SOP_INSTANCE): "another object of its SOP Instance UID is there",
    int(Status.IDENTIFIER_DOES_NOT_MATCH): "its data set is not of the SOP instance that the file names",
    int(Status.CANNOT_UNDERSTAND): "it has no valid SOP Class, SOP Instance, Study or Series Instance UID",
    int(Status.OUT_OF_RESOURCES): "the archive has no room, or no database",
}


class FileDataSet:
    """The data set of a file, in steps; the file is open during a step only, so that none is left open."""

    def __init__(self, file: DicomFile) -> None:
        self._path = file.path
        self._at = file.offset
        self._end = file.offset + file.length
        self.total = file.length

    @property
    def is_over(self) -> bool:
        """Whether all of it was given."""
        return self._at >= self._end

    def step(self) -> list[bytes]:
        """
        The next of it.  This blocks.

        @raise OSError: the disk does not give it.
        @raise EOFError: the file is shorter than it was.
        """
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._at)
            data = file.read(min(STEP, self._end - self._at))
        if not data:
            raise EOFError
        self._at += len(data)
        return [data]


@define
class _Counts:
    """What became of the files."""

    taken: int = 0
    refused: int = 0
    others: int = 0


@define(eq=False)
class _Import:
    """One run over a folder."""

    task: Task
    folder: Path
    is_quiet: bool
    outbound: IOutbound
    progress: Progress
    counts: _Counts = field(factory=_Counts)

    async def batch(self, paths: list[Path]) -> None:
        """
        Send the objects of some files, on one association.

        @raise AssociationFailed: the archive takes no more.
        """
        files = [file for path in paths if (file := await self._look_at(path)) is not None]
        parcels = {Parcel(*_named(file), partial(FileDataSet, file)): file.path for file in files}

        def told(parcel: Parcel, outcome: Outcome) -> None:
            if outcome.is_delivered:
                self.counts.taken += 1
                self.progress.advance()
            else:
                self._refused(parcels[parcel], _reason(outcome))

        if parcels:
            title = self.task.settings.ae_title
            sender = Sender(self.outbound, title, title, self.task.reactor, self.task.in_thread)
            await sender.send(list(parcels), told)

    async def _look_at(self, path: Path) -> DicomFile | None:
        """The object in a file, if there is one; if not, that is noted."""
        try:
            return await self.task.in_thread(lambda: look_at(path))
        except NoDicomFile:
            self.counts.others += 1
            self.progress.advance()
        except BrokenFile as error:
            self._refused(path, str(error))
        except OSError as error:
            self._refused(path, error.strerror or "cannot be read")
        return None

    def _refused(self, path: Path, why: str) -> None:
        self.counts.refused += 1
        if not self.is_quiet:
            # Only where it lies in the folder: the operator knows which folder it was.
            self.progress.say(f"{_printable(path.relative_to(self.folder))}: {why}", self.task.errors)
        self.progress.advance()


async def import_folder(task: Task, options: Namespace) -> ExitStatus:
    """
    Put every DICOM file of a folder, and of those below it, into the archive.

    What is there already counts as taken, so it can be repeated.  Files that are not DICOM are left alone.
    """
    folder: Path = options.folder.absolute()
    paths = await task.in_thread(lambda: list(files_in(folder)))
    archive = archive_of(task.holdings, task.reactor)
    ended = ""
    try:
        # What fails here has threads already, for which the process would wait.
        await archive.start()
        with task.progress("importing", len(paths)) as progress:
            run = _Import(task, folder, options.quiet, archive.outbound, progress)
            try:
                await side_by_side(_batches(paths), run.batch)
            except AssociationFailed as error:
                ended = str(error)
    finally:
        await archive.stop()
    counts = run.counts
    task.say(
        f"{counted(counts.taken, 'object', 'objects')} taken, {counts.refused:,} refused, "
        f"{counted(counts.others, 'other file', 'other files')}"
    )
    if ended:
        print(f"dimseproxy: the import ended early: {ended}", file=task.errors)
        return ExitStatus.NOT_DONE
    return ExitStatus.NOT_WELL if counts.refused else ExitStatus.WELL


def _named(file: DicomFile) -> tuple[str, str, str]:
    return file.sop_class, file.sop_instance, file.transfer_syntax


def _reason(outcome: Outcome) -> str:
    if outcome.status is None:
        return outcome.why
    return f"{_REASONS.get(outcome.status, 'it is refused')} (status {outcome.status:04X})"


def _batches(paths: list[Path]) -> Iterator[list[Path]]:
    left = iter(paths)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _printable(path: Path) -> str:
    """A path on one line of a terminal, which nothing in it can control."""
    return "".join(character if character.isprintable() else "?" for character in str(path))
