"""`dimseproxy verify` and `dimseproxy rebuild`: whether files and index agree, and an index made from the files."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Final

from dimseproxy.commands.dicom_files import BrokenFile, meta_of
from dimseproxy.commands.task import ExitStatus, Task, counted, reason_of, side_by_side
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.errors import DimseProxyError
from dimseproxy.outbound.archive import leaving
from dimseproxy.outbound.archive.attributes import read_attributes
from dimseproxy.outbound.archive.instances import Instance, Outcome
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.encryption import KeyMissing

#: How much of a data set is looked at for its attributes, in bytes.
_HEAD: Final = 1024 * 1024
#: Objects that are put into the index at a time.
_BATCH: Final = 200


class NoFolder(DimseProxyError):
    """There is nothing to compare the index with."""


class _State(Enum):
    WHOLE = "whole"
    DAMAGED = "damaged"
    MISSING = "missing"
    #: Nobody knows what is in it: the disk does not give it, or its key is not there.
    UNREADABLE = "unreadable"


async def verify(task: Task, options: Namespace) -> ExitStatus:
    """
    Read every file that the index refers to, and tell which are damaged, missing or cannot be read.

    A file that nothing refers to is what is left of a store that was not acknowledged: it is counted, and no fault.
    """
    index, blobs = task.holdings.index, task.holdings.blobs
    known = await _known(task)
    found: Counter[_State] = Counter()
    with task.progress("verifying", len(known)) as progress:

        async def look(name: str) -> None:
            state, why = await task.in_thread(lambda: _state_of(blobs, name))
            # What is missing may have been deleted since, by the proxy that runs.
            if state is not _State.MISSING or await index.uses(name):
                found[state] += 1
                if state is not _State.WHOLE:
                    progress.say(f"{state.value}: {name}{why}", task.out)
            progress.advance()

        await side_by_side(sorted(known), look)
    unknown = 0
    for name in await task.in_thread(lambda: list(blobs.names())):
        if name not in known and not await index.uses(name):
            unknown += 1
    task.say(
        f"{counted(found[_State.WHOLE], 'file is', 'files are')} whole, {found[_State.DAMAGED]:,} damaged, "
        f"{found[_State.MISSING]:,} missing, {found[_State.UNREADABLE]:,} unreadable; "
        f"{unknown:,} more that the index does not know"
    )
    return ExitStatus.WELL if found.total() == found[_State.WHOLE] else ExitStatus.NOT_WELL


async def rebuild(task: Task, options: Namespace) -> ExitStatus:
    """
    Put the object of every file into the index that is not there.  What is in the index stays as it is, unless it is to
    be made anew.  A file that retention could not delete yet stays out of it.

    When an object came is not in its file; it counts as received now.
    """
    index, blobs = task.holdings.index, task.holdings.blobs
    if options.anew:
        await index.clear()
    known = await _known(task)
    passed = known | await task.holdings.database.read(leaving.everything)
    names = [name for name in await task.in_thread(lambda: list(blobs.names())) if name not in passed]
    outcomes: Counter[Outcome] = Counter()
    unreadable = 0
    with task.progress("rebuilding", len(names)) as progress:

        def pass_over(name: str, why: str) -> None:
            nonlocal unreadable
            unreadable += 1
            progress.say(f"unreadable: {name}: {why}", task.out)

        async def take(batch: list[str]) -> None:
            now = task.reactor.seconds()
            instances: list[Instance] = []
            for name in batch:
                try:
                    instances.append(await task.in_thread(lambda name=name: _instance(blobs, name, now)))  # type: ignore[misc]
                except (DimseProxyError, OSError) as error:
                    # Whatever is wrong with one file: the others are in no index until this has come to its end.
                    pass_over(name, reason_of(error))
            for instance, added in zip(instances, await index.add_many(instances), strict=True):
                outcomes[added.outcome] += 1
                if added.outcome is Outcome.UNKNOWN:
                    pass_over(instance.blob, "the disk does not say what is there")
            progress.advance(len(batch))

        await side_by_side(_batches(names), take)
    others = outcomes.total() - outcomes[Outcome.NEW] - outcomes[Outcome.GONE] - outcomes[Outcome.UNKNOWN]
    task.say(
        f"{counted(outcomes[Outcome.NEW], 'object', 'objects')} added, {len(known):,} known before, {unreadable:,} "
        f"unreadable, {others:,} whose SOP Instance UID is there already"
    )
    return ExitStatus.NOT_WELL if unreadable else ExitStatus.WELL


def look_for_folder(folder: Path) -> None:
    """
    See that there is something to compare the index with, before there is one.

    @param folder: of the archive.
    @raise NoFolder: there are no files, or their disk is not there.
    """
    if not folder.is_dir():
        raise NoFolder(f"there is no folder {folder}: nothing was stored yet, or its disk is not mounted")


async def _known(task: Task) -> set[str]:
    """The names of all files that the index refers to."""
    known: set[str] = set()
    after: int | None = 0
    while after is not None:
        page = await task.holdings.index.blobs(after)
        known.update(page.blobs)
        after = page.next
    return known


def _batches(names: list[str]) -> Iterator[list[str]]:
    left = iter(names)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _state_of(blobs: Blobs, name: str) -> tuple[_State, str]:
    """How a file is, and why nobody knows that."""
    try:
        if blobs.verify(name):
            return _State.WHOLE, ""
        blobs.size(name)
    except FileNotFoundError:
        return _State.MISSING, ""
    except (OSError, KeyMissing) as error:
        return _State.UNREADABLE, f": {reason_of(error)}"
    return _State.DAMAGED, ""


def _instance(blobs: Blobs, name: str, now: float) -> Instance:
    """
    The object in a file.

    @raise NoDicomFile, BrokenFile: there is none in it.
    @raise OperationRefused: it lacks what it could be found by.
    @raise Damaged: it is not what was written.
    """
    pieces = blobs.read(name)
    first = next(pieces, b"")
    meta = meta_of(first)
    encoding = encoding_of(meta.transfer_syntax)
    if encoding is None:
        raise BrokenFile("is in a transfer syntax that nobody can read")
    head = first[meta.offset :]
    digest = hashlib.sha256(head)
    size = len(first)
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        if len(head) < _HEAD:
            head += piece
    return Instance(
        read_attributes(head[:_HEAD], encoding),
        meta.transfer_syntax,
        name,
        size,
        digest.digest(),
        meta.source,
        now,
    )
