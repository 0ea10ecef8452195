"""
C-STORE into the archive (PS3.4 B).

The data set is written as it comes, in steps, to a file that nobody sees; when it is whole, durable, and in the index,
and not before, its sender hears of success.  A small object takes one hop to a thread for all of that.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.command_set import Element, response_to
from dimseproxy.dimse.parts import Command
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

#: How much is written in one hop to a thread.
WRITE_STEP: Final = 1024 * 1024
#: How much of a data set is looked at for the attributes of the index: what lies behind is not found by them.
MAX_HEAD_LENGTH: Final = 256 * 1024


class StoresInstances(Protocol):
    """What is asked of the index."""

    def add(self, instance: Instance) -> Deferred[Added]: ...

    def uses(self, blob: str) -> Deferred[bool]: ...


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
        incoming = self._files.incoming()
        arrival = _Arrival(
            incoming,
            file_head(sop_class, sop_instance, context.transfer_syntax, sender),
            encoding,
            sop_class,
            sop_instance,
        )
        try:
            blob = await self._receive(association, arrival)
        except BaseException as error:
            await self._files.in_thread(incoming.discard)
            if isinstance(error, OSError):
                raise _disk_refuses(error) from None
            raise
        attributes = arrival.attributes
        assert attributes is not None
        instance = Instance(
            attributes=attributes,
            transfer_syntax=context.transfer_syntax,
            blob=blob.name,
            size=blob.size,
            digest=arrival.digest,
            sender=sender,
            received=self._clock.seconds(),
        )
        await self._add(instance)
        await association.deliver([Command(request.context_id, response_to(command_set, Status.SUCCESS))])

    async def _receive(self, association: ArchiveAssociation, arrival: _Arrival) -> Blob:
        while True:
            fragment = await association.data_set()
            for view in fragment.views:
                arrival.take(view)
            if fragment.is_last:
                return await self._files.finish(arrival.finish)
            if arrival.waiting >= WRITE_STEP:
                await self._files.in_thread(arrival.write)

    async def _add(self, instance: Instance) -> None:
        try:
            added = await self._index.add(instance)
        finally:
            self._files.let_go(instance.blob)
        if added.superseded is not None:
            self._files.remove_later(added.superseded, self._index.uses)
        if added.outcome is Outcome.REFUSED:
            raise OperationRefused(Status.DUPLICATE_SOP_INSTANCE, "There is another object of this SOP instance")
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


class _Arrival:
    """An object on its way into a file."""

    def __init__(
        self, incoming: Incoming, file_head: bytes, encoding: Encoding, sop_class: str, sop_instance: str
    ) -> None:
        self._incoming = incoming
        self._encoding = encoding
        self._sop_class = sop_class
        self._sop_instance = sop_instance
        self._file_head = file_head
        self._pieces: list[bytes | memoryview] = []
        self._head = bytearray()
        #: Of the data set alone: the same object from another sender is the same object.
        self._digest = hashlib.sha256()
        #: How many bytes wait to be written.
        self.waiting = 0
        self.attributes: Attributes | None = None

    def take(self, view: memoryview) -> None:
        """More of the data set."""
        self._pieces.append(view)
        self.waiting += len(view)
        missing = MAX_HEAD_LENGTH - len(self._head)
        if missing > 0:
            self._head += view[:missing]

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was written of the data set."""
        return self._digest.digest()

    def write(self) -> None:
        """Write what waits.  This blocks."""
        pieces, self._pieces = self._pieces, []
        self.waiting = 0
        for piece in pieces:
            self._digest.update(piece)
        if self._file_head:
            pieces.insert(0, self._file_head)
            self._file_head = b""
        self._incoming.write(pieces)

    def finish(self) -> Blob:
        """Write the rest, see who the object is, and make it durable.  This blocks."""
        attributes = read_attributes(bytes(self._head), self._encoding)
        if attributes.sop_instance != self._sop_instance or attributes.sop_class != self._sop_class:
            # PS3.4 B.2.3: data set does not match SOP class.
            raise OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, "The data set is not the announced object")
        self.attributes = attributes
        self.write()
        return self._incoming.finish()


def _disk_refuses(error: OSError) -> OperationRefused:
    name = errno.errorcode.get(error.errno or 0, "unknown")
    log.error("an object cannot be written: {error}", error=name)
    return OperationRefused(Status.OUT_OF_RESOURCES, "The disk does not take it")
