"""
C-GET from the archive (PS3.4 C.4.3): one C-STORE sub-operation after the other, on the association that asks.

Objects go as they are kept where the receiver accepted that; one without compression may go in another uncompressed
transfer syntax.  All others fail, and are named at the end, if the index can still tell who they are.  While one object
is on its way, the next is opened.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dataset.head import failed_list
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status, is_done
from dimseproxy.outbound.archive.association import ArchiveAssociation
from dimseproxy.outbound.archive.conversion import Conversion
from dimseproxy.outbound.archive.files import DataSetReader, Files
from dimseproxy.outbound.archive.finding import MAX_IDENTIFIER_LENGTH, model_of
from dimseproxy.outbound.archive.instances import Stored, StoredPage
from dimseproxy.outbound.archive.negotiation import UNCOMPRESSED
from dimseproxy.outbound.archive.querying import Selection, read_selection

log = Logger()

#: How many UIDs surely fit into a value whose length has 16 bits: each has 64 characters and a separator at most.
_MAX_FAILED: Final = 0xFFFE // 65
#: The longest number in a command set.
_MAX_COUNT: Final = 0xFFFF


class Selects(Protocol):
    """What is asked of the index."""

    def instances(self, selection: Selection, after: int = 0) -> Deferred[StoredPage]: ...


@frozen
class _Way:
    """A context that an object can go in, and the transfer syntax that it has to have there."""

    context_id: int
    transfer_syntax: str


class _Opened:
    """An object that can be sent.  Its methods block."""

    def __init__(self, way: _Way, source: DataSetReader | Conversion) -> None:
        self.way = way
        self._source = source
        self.pieces = source.step()

    @property
    def is_over(self) -> bool:
        """Whether `pieces` are the last."""
        return self._source.is_over

    def go_on(self) -> None:
        """Read on."""
        self.pieces = self._source.step()


class Retrieving:
    """
    @param index: knows what is asked for.
    @param files: has it.
    """

    def __init__(self, index: Selects, files: Files) -> None:
        self._index = index
        self._files = files

    async def serve(self, association: ArchiveAssociation, request: Command) -> None:
        """
        @raise OperationRefused: this cannot be answered.
        @raise DatabaseUnavailable: not now.
        @raise AssociationOver: nobody waits for an answer.
        """
        root, encoding = model_of(association, request)
        selection = read_selection(root, await association.whole_data_set(MAX_IDENTIFIER_LENGTH), encoding)
        page = await self._index.instances(selection)
        retrieve = _Retrieve(association, request, self._files, page.total or len(page.stored) + len(page.unreadable))
        ahead: deque[tuple[Stored, Deferred[_Opened | None]]] = deque()
        async for stored in self._from(page, selection, retrieve):
            ahead.append((stored, retrieve.open(stored)))
            if len(ahead) > 1:
                await retrieve.send(*ahead.popleft())
            if association.is_cancelled(request.command_set.message_id):
                break
        else:
            while ahead and not association.is_cancelled(request.command_set.message_id):
                await retrieve.send(*ahead.popleft())
        await retrieve.end()

    async def _from(self, page: StoredPage, selection: Selection, retrieve: _Retrieve) -> AsyncIterator[Stored]:
        """What can be sent; all else is said to have failed."""
        while True:
            retrieve.cannot_read(page.unreadable)
            for stored in page.stored:
                yield stored
            if page.next is None:
                return
            page = await self._index.instances(selection, page.next)


class _Retrieve:
    """One C-GET."""

    def __init__(self, association: ArchiveAssociation, request: Command, files: Files, total: int) -> None:
        self._association = association
        self._request = request
        self._files = files
        self._remaining = total
        self._counts: Counter[Element] = Counter()
        self._failed: list[str] = []
        self._unreadable = 0
        self._last_message_id = 0
        self._ways: dict[str, list[_Way]] = {}
        established = association.established
        takes = {role.abstract_syntax for role in established.accept.user_information.roles if role.scp}
        for context_id, context in established.contexts.items():
            if context.abstract_syntax in takes:
                ways = self._ways.setdefault(context.abstract_syntax, [])
                ways.append(_Way(context_id, context.transfer_syntax))

    def open(self, stored: Stored) -> Deferred[_Opened | None]:
        """Open an object, up to its first bytes; None where it cannot be sent.  This does not fail."""
        way = self._way(stored)
        if way is None:
            return succeed(None)
        opened = self._files.in_thread(lambda: self._open(stored, way))
        opened.addErrback(self._cannot_open)
        return opened

    def _open(self, stored: Stored, way: _Way) -> _Opened | None:
        if way.transfer_syntax == stored.transfer_syntax:
            return _Opened(way, self._files.read(stored.blob, stored.size))
        source, target = encoding_of(stored.transfer_syntax), encoding_of(way.transfer_syntax)
        assert source is not None and target is not None
        # It is converted twice: what has begun to leave must be whole.
        Conversion(self._files.read(stored.blob, stored.size), source, target).check()
        return _Opened(way, Conversion(self._files.read(stored.blob, stored.size), source, target))

    def _way(self, stored: Stored) -> _Way | None:
        ways = self._ways.get(stored.sop_class, ())
        for way in ways:
            if way.transfer_syntax == stored.transfer_syntax:
                return way
        if stored.transfer_syntax in UNCOMPRESSED:
            for syntax in UNCOMPRESSED:
                for way in ways:
                    if way.transfer_syntax == syntax:
                        return way
        return None

    def _cannot_open(self, failure: Failure) -> None:
        # No path and no value.
        log.error("an object cannot be sent: {kind}", kind=getattr(failure.type, "__name__", "unknown"))

    async def send(self, stored: Stored, opening: Deferred[_Opened | None]) -> None:
        """One sub-operation, and word of it."""
        opened = await opening
        status = int(Status.PROCESSING_FAILURE) if opened is None else await self._stored(stored, opened)
        self._remaining = max(self._remaining - 1, 0)
        if status == Status.SUCCESS:
            self._counts[Element.COMPLETED_SUB_OPERATIONS] += 1
        elif is_done(status):
            self._counts[Element.WARNING_SUB_OPERATIONS] += 1
        else:
            self._fail(stored.sop_instance)
        if self._remaining:
            await self._association.deliver([self._response(Status.PENDING)])

    def cannot_read(self, sop_instances: Sequence[str]) -> None:
        """Objects whose rows cannot be read: sub-operations that failed, without a response of their own."""
        self._unreadable += len(sop_instances)
        self._remaining = max(self._remaining - len(sop_instances), 0)
        for sop_instance in sop_instances:
            self._fail(sop_instance)

    def _fail(self, sop_instance: str) -> None:
        self._counts[Element.FAILED_SUB_OPERATIONS] += 1
        if sop_instance and len(self._failed) < _MAX_FAILED:
            self._failed.append(sop_instance)

    async def _stored(self, stored: Stored, opened: _Opened) -> int:
        association = self._association
        context_id = opened.way.context_id
        message_id = self._last_message_id = self._last_message_id % _MAX_COUNT + 1
        request = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: stored.sop_class,
                Element.COMMAND_FIELD: CommandField.C_STORE_RQ,
                Element.MESSAGE_ID: message_id,
                Element.PRIORITY: self._request.command_set.number(Element.PRIORITY) or 0,
                Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS,
                Element.AFFECTED_SOP_INSTANCE_UID: stored.sop_instance,
            }
        )
        association.expect(message_id)
        parts: list[Part] = [Command(context_id, request)]
        while True:
            parts.append(DataSetFragment(context_id, [memoryview(piece) for piece in opened.pieces], opened.is_over))
            await association.deliver(parts)
            if opened.is_over:
                break
            parts = []
            await self._files.in_thread(opened.go_on)
        return (await association.response(message_id)).command_set.status

    async def end(self) -> None:
        """The last response."""
        if self._unreadable:
            log.error(
                "association {number}: rows of the index that cannot be read: {count}",
                number=self._association.number,
                count=self._unreadable,
            )
        failed = self._counts[Element.FAILED_SUB_OPERATIONS]
        done = self._counts[Element.COMPLETED_SUB_OPERATIONS] + self._counts[Element.WARNING_SUB_OPERATIONS]
        if self._association.is_cancelled(self._request.command_set.message_id):
            status = Status.CANCEL
        elif failed and not done:
            status = Status.UNABLE_TO_PERFORM_SUB_OPERATIONS
        elif failed or self._counts[Element.WARNING_SUB_OPERATIONS]:
            status = Status.SUB_OPERATIONS_WITH_FAILURES
        else:
            status = Status.SUCCESS
        parts: list[Part] = [self._response(status)]
        if self._failed:
            context_id = self._request.context_id
            syntax = self._association.established.contexts[context_id].transfer_syntax
            identifier = memoryview(failed_list(syntax, self._failed))
            parts.append(DataSetFragment(context_id, (identifier,), True))
        await self._association.deliver(parts)

    def _response(self, status: int) -> Command:
        is_pending = status == Status.PENDING
        counts: Sequence[Element] = (
            Element.COMPLETED_SUB_OPERATIONS,
            Element.FAILED_SUB_OPERATIONS,
            Element.WARNING_SUB_OPERATIONS,
        )
        # What remains is said while something does (PS3.7 9.1.3.1.6).
        remaining = min(self._remaining, _MAX_COUNT) if is_pending or status == Status.CANCEL else None
        response = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: self._request.command_set.sop_class,
                Element.COMMAND_FIELD: CommandField.C_GET_RSP,
                Element.MESSAGE_ID_BEING_RESPONDED_TO: self._request.command_set.message_id,
                Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS if self._failed and not is_pending else NO_DATA_SET,
                Element.STATUS: status,
                Element.REMAINING_SUB_OPERATIONS: remaining,
                **{element: min(self._counts[element], _MAX_COUNT) for element in counts},
            }
        )
        return Command(self._request.context_id, response)
