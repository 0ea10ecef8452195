"""
Storage commitment by the archive (PS3.4 J.3).

The request is answered, and then reported on, on the same association: what the archive said yes to when it was stored
it can say yes to at once.  Who has released the association by then asks again.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from typing import Final, Protocol

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.dimse.sop_classes import STORAGE_COMMITMENT_PUSH
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.association import ArchiveAssociation
from dimseproxy.outbound.archive.files import Files
from dimseproxy.outbound.archive.instances import Held

log = Logger()

#: The one instance that there is of the push model (PS3.4 J.3.5).
_PUSH_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
_REQUEST_COMMITMENT: Final = 1
_COMPLETE: Final = 1
_FAILURES_EXIST: Final = 2
#: Some twenty thousand references.
MAX_REQUEST_LENGTH: Final = 4 * 1024 * 1024

#: SOP class and SOP instance.
Reference = tuple[str, str]


class Holds(Protocol):
    """What is asked of the index."""

    def holds(self, pairs: Collection[Reference]) -> Deferred[dict[Reference, Held]]: ...


class Committing:
    """
    @param index: knows what is kept, and in which files.
    @param files: has them.
    """

    def __init__(self, index: Holds, files: Files) -> None:
        self._index = index
        self._files = files

    async def serve(self, association: ArchiveAssociation, request: Command) -> None:
        """
        @raise OperationRefused: this is no request for storage commitment.
        @raise DatabaseUnavailable: not now.
        @raise AssociationOver: nobody waits for an answer.
        """
        command_set = request.command_set
        context = association.established.contexts[request.context_id]
        encoding = encoding_of(context.transfer_syntax)
        if context.abstract_syntax != STORAGE_COMMITMENT_PUSH or encoding is None:
            raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "Not for this SOP class")
        if command_set.text(Element.REQUESTED_SOP_INSTANCE_UID) != _PUSH_INSTANCE:
            raise OperationRefused(Status.NO_SUCH_SOP_INSTANCE, "Not the instance of storage commitment")
        if command_set.number(Element.ACTION_TYPE_ID) != _REQUEST_COMMITMENT:
            raise OperationRefused(Status.NO_SUCH_ACTION, "Not a request for storage commitment")
        data = await association.whole_data_set(MAX_REQUEST_LENGTH)
        transaction, references = await self._files.in_thread(lambda: _read(data, encoding))
        failures = await self._failures(references)
        await association.deliver([Command(request.context_id, response_to(command_set, Status.SUCCESS))])
        report = await self._files.in_thread(lambda: _report(transaction, references, failures, encoding))
        message_id = command_set.message_id or 1
        association.expect(message_id)
        event = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: STORAGE_COMMITMENT_PUSH,
                Element.COMMAND_FIELD: CommandField.N_EVENT_REPORT_RQ,
                Element.MESSAGE_ID: message_id,
                Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS,
                Element.AFFECTED_SOP_INSTANCE_UID: _PUSH_INSTANCE,
                Element.EVENT_TYPE_ID: _FAILURES_EXIST if failures else _COMPLETE,
            }
        )
        fragment = DataSetFragment(request.context_id, (memoryview(report),), True)
        await association.deliver([Command(request.context_id, event), fragment])
        answer = await association.response(message_id)
        log.info(
            "association {number}: storage commitment of {count} objects, {failed} of them not, reported: {status:04X}",
            number=association.number,
            count=len(references),
            failed=len(failures),
            status=answer.command_set.status,
        )

    async def _failures(self, references: Sequence[Reference]) -> dict[Reference, int]:
        """Why some cannot be committed to (PS3.3 C.14.1.1)."""
        held = await self._index.holds(references)
        failures: dict[Reference, int] = {}
        for reference in references:
            failure = await self._failure(held.get(reference))
            if failure is not None:
                failures[reference] = failure
        return failures

    async def _failure(self, file: Held | None) -> int | None:
        """Why a file cannot be committed to, as far as can be told without reading it."""
        if file is None:
            return Status.NO_SUCH_SOP_INSTANCE
        try:
            is_there = await self._files.in_thread(lambda: self._files.is_as_long(file.blob, file.size))
        except OSError as error:
            log.error("a file cannot be committed to: {error}", error=errno.errorcode.get(error.errno or 0, "unknown"))
            return Status.PROCESSING_FAILURE
        return None if is_there else Status.NO_SUCH_SOP_INSTANCE


def _read(data: bytes, encoding: Encoding) -> tuple[str, list[Reference]]:
    """
    The transaction UID, and what is referred to, each once.

    @raise OperationRefused: this cannot be read.
    """
    try:
        data_set = read_dataset(
            BytesIO(data), is_implicit_VR=encoding.is_implicit, is_little_endian=encoding.is_little_endian
        )
        transaction = str(data_set.TransactionUID)
        items = data_set.ReferencedSOPSequence
        references = dict.fromkeys(
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in items
        )
    except Exception:
        # Whatever pydicom finds wrong with it; its words may quote it.
        raise OperationRefused(Status.PROCESSING_FAILURE, "The request cannot be read") from None
    if not references:
        raise OperationRefused(Status.PROCESSING_FAILURE, "The request refers to nothing")
    return transaction, list(references)


def _report(
    transaction: str, references: Sequence[Reference], failures: Mapping[Reference, int], encoding: Encoding
) -> bytes:
    data_set = Dataset()
    data_set.TransactionUID = transaction
    kept = [_item(reference) for reference in references if reference not in failures]
    if kept:
        data_set.ReferencedSOPSequence = kept
    if failures:
        data_set.FailedSOPSequence = [_item(reference, reason) for reference, reason in failures.items()]
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.is_implicit
    out.is_little_endian = encoding.is_little_endian
    write_dataset(out, data_set)
    return out.getvalue()


def _item(reference: Reference, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
    if reason is not None:
        item.FailureReason = int(reason)
    return item
