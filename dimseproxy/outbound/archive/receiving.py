"""
C-STORE into the archive (PS3.4 B).

The data set is written as it comes, to a file that nobody sees; when it is whole, durable, and in the index, and not
before, its sender hears of success.  One thread at a time works on an object, with whatever has come by then, so that a
slow sender holds none, a quick one finds its object hashed and written when its last byte comes, and a small object
takes one hop for all of that.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.command_set import Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.association import ArchiveAssociation
from dimseproxy.outbound.archive.attributes import Attributes, read_attributes
from dimseproxy.outbound.archive.events import Events, InstanceStored
from dimseproxy.outbound.archive.files import Files, Incoming
from dimseproxy.outbound.archive.instances import Added, Instance, Outcome
from dimseproxy.outbound.archive.part10 import file_head
from dimseproxy.storage.blobs import Blob

log = Logger()

#: How much of an object may wait for the disk before no more is taken.
MAX_WAITING: Final = 1024 * 1024
#: How much of a data set is looked at for the attributes of the index: what lies behind is not found by them.
MAX_HEAD_LENGTH: Final = 256 * 1024


class StoresInstances(Protocol):
    """What is asked of the index."""

    @property
    def replaces(self) -> bool: ...

    def add(self, instance: Instance) -> Deferred[Added]: ...

    def release(self, blob: str, delete: Callable[[], bool]) -> Deferred[bool]: ...


class Receiving:
    """
    @param admit: called before anything is written; raises `OperationRefused` where there is no room.
    @param events: told of what is there that was not.
    """

    def __init__(
        self,
        files: Files,
        index: StoresInstances,
        clock: IReactorTime,
        admit: Callable[[], None],
        events: Events,
    ) -> None:
        self._files = files
        self._index = index
        self._clock = clock
        self._admit = admit
        self._events = events

    async def serve(self, association: ArchiveAssociation, request: Command) -> None:
        """
        @raise OperationRefused: the object is not kept.
        @raise DatabaseUnavailable: whether it is kept is not known; it has to be sent again.
        @raise AssociationOver: nobody waits for an answer.
        """
        command_set = request.command_set
        context = association.established.contexts[request.context_id]
        sop_class = command_set.text(Element.AFFECTED_SOP_CLASS_UID)
        encoding = encoding_of(context.transfer_syntax)
        if sop_class != context.abstract_syntax or encoding is None:
            raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "Not the SOP class of the presentation context")
        if not command_set.has_data_set:
            raise OperationRefused(Status.CANNOT_UNDERSTAND, "No data set")
        self._admit()
        sop_instance = command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
        sender = association.established.request.calling_ae_title
        arrival = _Arrival(
            self._files.incoming(file_head(sop_class, sop_instance, context.transfer_syntax, sender)),
            encoding,
            sop_class,
            sop_instance,
        )
        try:
            blob = await self._receive(association, arrival)
            attributes = arrival.attributes
            assert attributes is not None
            instance = Instance(
                attributes=attributes,
                transfer_syntax=context.transfer_syntax,
                blob=blob.name,
                size=blob.size,
                digest=blob.digest,
                sender=sender,
                received=self._clock.seconds(),
            )
            await self._add(instance)
        except OSError as error:
            raise _disk_refuses(error) from None
        await association.deliver([Command(request.context_id, response_to(command_set, Status.SUCCESS))])

    async def _receive(self, association: ArchiveAssociation, arrival: _Arrival) -> Blob:
        writing = _Writing(self._files, arrival)
        try:
            while not arrival.is_whole:
                arrival.take(await association.data_set())
                writing.go_on()
                if arrival.is_whole or arrival.waiting >= MAX_WAITING:
                    await writing.pause()
                writing.check()
            return writing.blob
        except Exception:
            await writing.pause()
            await self._files.in_thread(arrival.discard)
            raise

    async def _add(self, instance: Instance) -> None:
        naming = DeferredList([self._files.keep_name(instance.blob)], consumeErrors=True)
        named: Sequence[tuple[bool, object]] = ()
        try:
            if self._index.replaces:
                # What it may replace was acknowledged: a row must not let go of that for a name that may be lost.
                named = await naming
                _check(named)
            # Else side by side: each of them waits for the disk. What a power failure leaves was not acknowledged.
            added = await self._index.add(instance)
        finally:
            named = named or await naming
            self._files.let_go(instance.blob)
        if added.superseded is not None:
            self._files.remove_later(added.superseded, self._index.release)
        _check(named)
        if added.instead is not None:
            # It may have come in this very moment, and its sender not be answered yet.
            await self._files.keep_name(added.instead)
        if added.outcome is Outcome.REFUSED:
            raise OperationRefused(Status.DUPLICATE_SOP_INSTANCE, "There is another object of this SOP instance")
        if added.outcome is Outcome.GONE:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "Its file was taken away by another process: send it again")
        if added.outcome is Outcome.UNKNOWN:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "The disk does not say what is there: send it again")
        if added.outcome in (Outcome.NEW, Outcome.REPLACED):
            attributes = instance.attributes
            self._events.publish(
                InstanceStored(
                    sop_class=attributes.sop_class,
                    sop_instance=attributes.sop_instance,
                    study=attributes.study,
                    series=attributes.series,
                    size=instance.size,
                    sender=instance.sender,
                    received=instance.received,
                )
            )


def _check(named: Sequence[tuple[bool, object]]) -> None:
    """Raise what a name could not be kept for."""
    ((_, result),) = named
    if isinstance(result, Failure):
        result.raiseException()


class _Arrival:
    """
    An object on its way into a file: the reactor takes what comes, and a thread writes it.

    @ivar is_whole: whether all of it was taken.
    @ivar attributes: known when it is finished.
    """

    def __init__(self, incoming: Incoming, encoding: Encoding, sop_class: str, sop_instance: str) -> None:
        self._incoming = incoming
        self._encoding = encoding
        self._sop_class = sop_class
        self._sop_instance = sop_instance
        #: The reactor appends to it while a thread takes from it.
        self._pieces: deque[memoryview] = deque()
        self._head: list[memoryview] = []
        #: Bytes of the data set; the reactor alone counts the first, a thread alone the second.
        self._taken = 0
        self._written = 0
        self.is_whole = False
        self.attributes: Attributes | None = None

    @property
    def waiting(self) -> int:
        """How many bytes wait to be written."""
        return self._taken - self._written

    def take(self, fragment: DataSetFragment) -> None:
        """More of the data set."""
        for view in fragment.views:
            if self._taken < MAX_HEAD_LENGTH:
                self._head.append(view[: MAX_HEAD_LENGTH - self._taken])
            self._pieces.append(view)
            self._taken += len(view)
        # In the end: what a thread finds when it sees this is all.
        self.is_whole = fragment.is_last

    def go_on(self) -> Blob | None:
        """
        Write what waits; when that is all, make it durable.  This blocks.

        @return: the file, when it is finished.
        @raise OperationRefused: the object is not the announced one, or could never be found again.
        """
        while True:
            is_whole = self.is_whole
            if self.attributes is None and (is_whole or self._taken >= MAX_HEAD_LENGTH):
                self._read_attributes()
            while self._pieces:
                self._write(self._pieces.popleft())
            if is_whole:
                return self._incoming.finish()
            if not self._pieces and not self.is_whole:
                return None

    def discard(self) -> None:
        """Nothing of it is wanted.  This blocks."""
        self._incoming.discard()

    def _write(self, piece: memoryview) -> None:
        self._incoming.write(piece)
        self._written += len(piece)

    def _read_attributes(self) -> None:
        attributes = read_attributes(b"".join(self._head), self._encoding)
        if attributes.sop_instance != self._sop_instance or attributes.sop_class != self._sop_class:
            # PS3.4 B.2.3: data set does not match SOP class.
            raise OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, "The data set is not the announced object")
        self.attributes = attributes
        self._head.clear()


class _Writing:
    """What the reactor does to have an arrival written: one hop to a thread after the other."""

    def __init__(self, files: Files, arrival: _Arrival) -> None:
        self._files = files
        self._arrival = arrival
        self._is_under_way = False
        self._pause: Deferred[None] | None = None
        self._blob: Blob | None = None
        self._failure: Failure | None = None

    @property
    def blob(self) -> Blob:
        """The file; to be asked when all was taken, after a pause that was checked."""
        assert self._blob is not None
        return self._blob

    def go_on(self) -> None:
        """See that what was taken is written, unless it failed before."""
        if not self._is_under_way and self._failure is None:
            self._is_under_way = True
            Deferred.fromCoroutine(self._files.finish(self._arrival.go_on)).addBoth(self._done)

    def check(self) -> None:
        """Raise what it failed with, if it did."""
        if self._failure is not None:
            self._failure.raiseException()

    async def pause(self) -> None:
        """Wait until no thread has anything to do with it."""
        if self._is_under_way:
            self._pause = Deferred()
            await self._pause

    def _done(self, result: Blob | Failure | None) -> None:
        self._is_under_way = False
        if isinstance(result, Failure):
            self._failure = result
        elif result is not None:
            self._blob = result
        elif self._arrival.waiting > 0 or self._arrival.is_whole:
            # It came when the thread had just looked for it.
            self.go_on()
            return
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.callback(None)


def _disk_refuses(error: OSError) -> OperationRefused:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    log.error("an object cannot be written: {error}", error=name)
    return OperationRefused(Status.OUT_OF_RESOURCES, "The disk does not take it")
