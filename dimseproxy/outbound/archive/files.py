"""
The files of the archive, from the reactor: what blocks runs in threads of the archive's own.

A file is named by its content, so the same content may arrive again in the very moment in which nobody seems to need
it any longer.  That is why a file is taken away here only, why what arrives is held until the index knows it, and why
the index, which other processes share, has the last word: it lets nobody write while a file is taken away, and who
writes makes sure then that the file of the object is still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.outbound.archive.part10 import NoFile, data_set_offset
from dimseproxy.storage.blobs import Blob, Blobs, BlobWriter
from dimseproxy.storage.encryption import Damaged

log = Logger()

_T = TypeVar("_T")

#: Has a file taken away by the function, which says whether it did, while no object is in it and none can come to be;
#: not where there is one.  Whether it was taken away comes in the Deferred.
Release = Callable[[str, Callable[[], bool]], Deferred[bool]]

#: How much is read in one hop to a thread.  Each slow reader holds two such steps, or three; hopping costs as much as
#: reading some 100 KiB does.
READ_STEP: Final = 256 * 1024


class InThread(Protocol):
    """Calls something in a thread; its result, or what it raised, comes in a Deferred."""

    def __call__(self, work: Callable[[], _T], /) -> Deferred[_T]: ...


class DataSetReader:
    """
    The data set of a file, from its beginning, without what comes before it.  Made by `Files.read`.

    @ivar total: its length in bytes.
    """

    def __init__(self, pieces: Iterator[bytes], total: int) -> None:
        self._pieces = pieces
        self.total = total
        self.given = 0

    def step(self) -> list[bytes]:
        """
        The next `READ_STEP` bytes, more or less; nothing at the end.  This blocks.

        @raise OSError: the disk does not give it.
        @raise DimseProxyError: it is not what was written.
        """
        taken: list[bytes] = []
        length = 0
        while length < READ_STEP and (piece := next(self._pieces, b"")):
            taken.append(piece)
            length += len(piece)
        if not taken and not self.is_over:
            raise Damaged("a file is cut off")
        self.given += length
        return taken

    @property
    def is_over(self) -> bool:
        """Whether all of it was given."""
        return self.given >= self.total


class Incoming:
    """
    A file that is being received.  Made by `Files.incoming`; ends with `finish` or `discard`, which may follow each
    other.  All of it blocks.
    """

    def __init__(self, blobs: Blobs, head: bytes) -> None:
        self._blobs = blobs
        self._head = head
        self._writer: BlobWriter | None = None

    def write(self, piece: bytes | memoryview) -> None:
        """More of its data set."""
        if self._writer is None:
            self._writer = self._blobs.create(self._head)
        self._writer.write(piece)

    def finish(self) -> Blob:
        """Make it durable; its name is after `Files.keep_name`."""
        assert self._writer is not None
        writer, self._writer = self._writer, None
        return writer.place()

    def discard(self) -> None:
        """Nothing of it is wanted; a file that was finished stays."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()


class Files:
    """
    @param in_thread: where the work is done.
    """

    def __init__(self, blobs: Blobs, in_thread: InThread) -> None:
        self.blobs = blobs
        self.in_thread: InThread = in_thread
        self._held: Counter[str] = Counter()
        self._removing: dict[str, list[Deferred[None]]] = {}
        #: How many were taken away so far.
        self._removals = 0
        self._later: set[Deferred[bool | None]] = set()

    def incoming(self, head: bytes) -> Incoming:
        """
        A file to be received; nothing of it is on the disk yet.

        @param head: what comes before the data set.
        """
        return Incoming(self.blobs, head)

    async def finish(self, work: Callable[[], Blob | None]) -> Blob | None:
        """
        Go on with a file, and, when it is finished, keep it until `let_go`.

        @param work: done in a thread; finishes the file, or does not yet.
        @return: what it returned.
        @raise FileNotFoundError: the same content was taken away in that very moment.
        """
        removals = self._removals
        blob = await self.in_thread(work)
        if blob is None:
            return None
        self._held[blob.name] += 1
        try:
            waiting = self._removing.get(blob.name)
            if waiting is not None:
                removed: Deferred[None] = Deferred()
                waiting.append(removed)
                await removed
            if self._removals != removals and not await self.exists(blob.name):
                raise FileNotFoundError("the file was taken away")
        except BaseException:
            self.let_go(blob.name)
            raise
        return blob

    def keep_name(self, name: str) -> Deferred[None]:
        """
        Make the name of a finished file durable.

        @return: fails with `OSError` where the disk does not take it.
        """
        return self.in_thread(lambda: self.blobs.keep_name(name))

    def let_go(self, name: str) -> None:
        """The index knows of a file that `finish` gave, or never will."""
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]

    async def remove(self, name: str, release: Release) -> bool:
        """
        Take a file away, unless somebody needs it.

        @param release: that of the index.
        @return: whether it was taken away.
        """
        if self._held[name] or name in self._removing:
            return False
        waiting: list[Deferred[None]] = []
        self._removing[name] = waiting
        try:
            is_removed = await release(name, lambda: self._take_away(name))
            self._removals += is_removed
            return is_removed
        finally:
            del self._removing[name]
            for deferred in waiting:
                deferred.callback(None)

    def _take_away(self, name: str) -> bool:
        """This blocks."""
        # It may have arrived while the index was waited for.
        if self._held[name]:
            return False
        self.blobs.delete(name)
        return True

    def remove_later(self, name: str, release: Release) -> None:
        """The same, and nobody waits for it."""

        def done(result: bool | Failure | None) -> None:
            self._later.discard(removal)
            if isinstance(result, Failure):
                kind = getattr(result.type, "__name__", "unknown")
                log.warn("a file that nobody needs is left over: {kind}", kind=kind)

        removal: Deferred[bool | None] = Deferred.fromCoroutine(self.remove(name, release))
        self._later.add(removal)
        removal.addBoth(done)

    async def settled(self) -> None:
        """Wait for what nobody waits for."""
        while self._later:
            await DeferredList(tuple(self._later))

    async def exists(self, name: str) -> bool:
        """Whether there is such a file; what is in it is not looked at."""
        return await self.in_thread(lambda: self.blobs.exists(name))

    def is_as_long(self, name: str, size: int) -> bool:
        """
        Whether there is such a file, and as much of it as was written.  This blocks.

        @param size: of what was written, in bytes.
        @raise OSError: the disk does not say so.
        """
        return self.blobs.exists(name, size)

    def read(self, name: str, size: int) -> DataSetReader:
        """
        Begin to read the data set of a file.  This blocks.

        @param size: of what was written, in bytes.
        @raise OSError: the disk does not give it.
        @raise DimseProxyError: it is not what was written.
        """
        if self.blobs.size(name) != size:
            # An encrypted file shows that it is cut off, but only at its end; one in the clear does not at all.
            raise Damaged("a file is not as long as it was written")
        pieces = self.blobs.read(name)
        head = next(pieces, b"")
        offset = data_set_offset(head)
        # The head of a file of ours has a few hundred bytes.
        if offset > len(head) or offset > size:
            raise NoFile("the file meta information is cut short")
        return DataSetReader(_rest(head[offset:], pieces), size - offset)


def _rest(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from pieces
