"""
C-FIND in the archive (PS3.4 C.4.1): answers go out page by page, as their receiver takes them, until a C-CANCEL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.answers import encode_answer
from dimseproxy.outbound.archive.association import ArchiveAssociation
from dimseproxy.outbound.archive.instances import Page
from dimseproxy.outbound.archive.levels import Root, root_of
from dimseproxy.outbound.archive.negotiation import combines_date_and_time
from dimseproxy.outbound.archive.querying import Query, read_query
from dimseproxy.outbound.archive.searching import TOO_LONG

log = Logger()

#: A list of some thousand UIDs.
MAX_IDENTIFIER_LENGTH: Final = 1024 * 1024
#: Seconds of looking from one answer to the next: nobody waits longer for a response.
LONGEST_SEARCH: Final = 60.0
#: Answers that are sent at once; a C-CANCEL is noticed in between.
_TOGETHER: Final = 50


class Finds(Protocol):
    """What is asked of the index."""

    def find(self, query: Query, after: int, is_wanted: Callable[[], bool]) -> Deferred[Page]: ...


class Finding:
    """
    @param index: knows the answers.
    """

    def __init__(self, index: Finds) -> None:
        self._index = index

    async def serve(self, association: ArchiveAssociation, request: Command) -> None:
        """
        @raise OperationRefused: this cannot be answered, or not all of it could be.
        @raise DatabaseUnavailable: not now.
        @raise AssociationOver: nobody waits for an answer.
        """
        message_id = request.command_set.message_id
        root, encoding = model_of(association, request)
        identifier = await association.whole_data_set(MAX_IDENTIFIER_LENGTH)
        combines = combines_date_and_time(association.established.accept, request.command_set.sop_class)
        query = read_query(root, identifier, encoding, combines)
        status = Status.PENDING_WITH_WARNING if query.has_unsupported_keys else Status.PENDING
        pending = Command(request.context_id, _response(request, status, DATA_SET_FOLLOWS))
        unreadable, looked = 0, 0.0
        after: int | None = 0
        while after is not None and not association.is_cancelled(message_id):
            # Where nothing matches nothing is sent, which would show it.
            association.check()
            page = await self._index.find(query, after, lambda: association.is_wanted(message_id))
            unreadable += page.unreadable
            looked = 0.0 if page.answers else looked + page.seconds
            if looked > LONGEST_SEARCH and page.next is not None:
                raise OperationRefused(Status.OUT_OF_RESOURCES, TOO_LONG)
            for first in range(0, len(page.answers), _TOGETHER):
                if association.is_cancelled(message_id):
                    break
                parts: list[Part] = []
                for answer in page.answers[first : first + _TOGETHER]:
                    encoded = memoryview(encode_answer(answer, encoding))
                    parts += (pending, DataSetFragment(request.context_id, (encoded,), True))
                await association.deliver(parts)
            after = page.next
        if unreadable:
            log.error(
                "association {number}: rows of the index that cannot be read: {count}",
                number=association.number,
                count=unreadable,
            )
            if not association.is_cancelled(message_id):
                # No warning ends a C-FIND (PS3.4 Table C.4-1), and success would say that these are all answers.
                raise OperationRefused(Status.CANNOT_UNDERSTAND, f"Rows of the index that cannot be read: {unreadable}")
        final = Status.CANCEL if association.is_cancelled(message_id) else Status.SUCCESS
        await association.deliver([Command(request.context_id, _response(request, final))])


def model_of(association: ArchiveAssociation, request: Command) -> tuple[Root, Encoding]:
    """
    The information model that a query or a retrieve is about, and how its identifier is encoded.

    @raise OperationRefused: there is none.
    """
    context = association.established.contexts[request.context_id]
    root = root_of(context.abstract_syntax)
    encoding = encoding_of(context.transfer_syntax)
    if root is None or encoding is None or request.command_set.sop_class != context.abstract_syntax:
        raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "Not the SOP class of the presentation context")
    if not request.command_set.has_data_set:
        raise OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, "No identifier")
    return root, encoding


def _response(request: Command, status: int, data_set: int = NO_DATA_SET) -> CommandSet:
    return CommandSet.of(
        {
            Element.AFFECTED_SOP_CLASS_UID: request.command_set.sop_class,
            Element.COMMAND_FIELD: CommandField.C_FIND_RSP,
            Element.MESSAGE_ID_BEING_RESPONDED_TO: request.command_set.message_id,
            Element.COMMAND_DATA_SET_TYPE: data_set,
            Element.STATUS: status,
        }
    )
