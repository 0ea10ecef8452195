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

from dimseproxy.commands.dicom_files import BrokenFile, NoDicomFile, meta_of
from dimseproxy.commands.task import ExitStatus, Task, counted, side_by_side
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.errors import DimseProxyError, OperationRefused
from dimseproxy.outbound.archive.attributes import read_attributes
from dimseproxy.outbound.archive.instances import Instance, Outcome
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.encryption import Damaged

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


async def verify(task: Task, options: Namespace) -> ExitStatus:
    """
    Read every file that the index refers to, and tell which are damaged or missing.

    A file that nothing refers to is what is left of a store that was not acknowledged: it is counted, and no fault.
    """
    index, blobs = task.holdings.index, task.holdings.blobs
    known = await _known(task)
    found: Counter[_State] = Counter()
    with task.progress("verifying", len(known)) as progress:

        async def look(name: str) -> None:
            state = await task.in_thread(lambda: _state_of(blobs, name))
            # What is missing may have been deleted since, by the proxy that runs.
            if state is not _State.MISSING or await index.uses(name):
                found[state] += 1
                if state is not _State.WHOLE:
                    progress.say(f"{state.value}: {name}", task.out)
            progress.advance()

        await side_by_side(sorted(known), look)
    unknown = 0
    for name in await task.in_thread(lambda: list(blobs.names())):
        if name not in known and not await index.uses(name):
            unknown += 1
    task.say(
        f"{counted(found[_State.WHOLE], 'file is', 'files are')} whole, {found[_State.DAMAGED]:,} damaged, "
        f"{found[_State.MISSING]:,} missing; {unknown:,} more that the index does not know"
    )
    return ExitStatus.NOT_WELL if found[_State.DAMAGED] or found[_State.MISSING] else ExitStatus.WELL


async def rebuild(task: Task, options: Namespace) -> ExitStatus:
    """
    Put the object of every file into the index that is not there.  What is in the index stays as it is, unless it is to
    be made anew.

    When an object came is not in its file; it counts as received now.
    """
    index, blobs = task.holdings.index, task.holdings.blobs
    if options.anew:
        await index.clear()
    known = await _known(task)
    names = [name for name in await task.in_thread(lambda: list(blobs.names())) if name not in known]
    outcomes: Counter[Outcome] = Counter()
    unreadable = 0
    with task.progress("rebuilding", len(names)) as progress:

        async def take(batch: list[str]) -> None:
            nonlocal unreadable
            now = task.reactor.seconds()
            instances: list[Instance] = []
            for name in batch:
                try:
                    instances.append(await task.in_thread(lambda name=name: _instance(blobs, name, now)))  # type: ignore[misc]
                except (BrokenFile, NoDicomFile, OperationRefused, Damaged, FileNotFoundError) as error:
                    unreadable += 1
                    progress.say(f"unreadable: {name}: {error}", task.out)
            outcomes.update(added.outcome for added in await index.add_many(instances))
            progress.advance(len(batch))

        await side_by_side(_batches(names), take)
    others = sum(outcomes.values()) - outcomes[Outcome.NEW] - outcomes[Outcome.GONE]
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


def _state_of(blobs: Blobs, name: str) -> _State:
    if blobs.verify(name):
        return _State.WHOLE
    try:
        blobs.size(name)
    except FileNotFoundError:
        return _State.MISSING
    return _State.DAMAGED


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
