"""The archive as an outbound: what answers associations, and each of their requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from dimseproxy.association.interfaces import Established, IAssociation, IForesees, IOutbound
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dimse.command_set import CommandField, response_to
from dimseproxy.dimse.parts import Command
from dimseproxy.dimse.status import Status
from dimseproxy.errors import TEMPORARY_CONGESTION, AssociationRejected, OperationRefused, OutboundUnreachable
from dimseproxy.outbound.archive.association import ArchiveAssociation
from dimseproxy.outbound.archive.levels import root_of
from dimseproxy.outbound.archive.negotiation import Kept, Offer, taken
from dimseproxy.outbound.archive.querying import Selection, read_selection
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.ul.pdu import AssociateRequest

log = Logger()

#: What is answered while the database is not there, where it is not A700 (PS3.4 C.4.3.1.4, PS3.7 C.5.24).
_WITHOUT_DATABASE: Final[Mapping[int, int]] = {
    CommandField.C_GET_RQ: Status.UNABLE_TO_PERFORM_SUB_OPERATIONS,
    CommandField.N_ACTION_RQ: Status.RESOURCE_LIMITATION,
}

#: Serves requests of one kind.
Service = Callable[[ArchiveAssociation, Command], Coroutine[Any, Any, None]]


class KnowsSyntaxes(Protocol):
    """What is asked of the index."""

    def transfer_syntaxes(self, sop_classes: Collection[str]) -> Deferred[dict[str, tuple[str, ...]]]: ...

    def stored_syntaxes(self, selection: Selection) -> Deferred[list[tuple[str, str, int]]]: ...


@implementer(IOutbound, IForesees)
class ArchiveOutbound:
    """
    @param offer: what it says to presentation contexts.
    @param services: what serves requests, by their command field; C-ECHO is served anyway.
    @param refused: told of each object that was refused: its SOP class, and the status.
    """

    def __init__(
        self,
        offer: Offer,
        index: KnowsSyntaxes,
        services: Mapping[int, Service],
        clock: IReactorTime,
        refused: Callable[[str, int], None],
    ) -> None:
        self._offer = offer
        self._index = index
        self._services: Final = {CommandField.C_ECHO_RQ: _echo, **services}
        self._clock = clock
        self._refused = refused
        #: Nobody is answered before `open` and after `close`.
        self.is_open = False

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        if not self.is_open:
            return fail(OutboundUnreachable("the archive is not open"))
        associated: Deferred[IAssociation] = Deferred.fromCoroutine(self._associate(request))
        return associated

    def foresee(self, sop_class: str, transfer_syntax: str, identifier: bytes) -> Deferred[Sequence[tuple[str, str]]]:
        foreseen: Deferred[Sequence[tuple[str, str]]] = Deferred.fromCoroutine(
            self._foresee(sop_class, transfer_syntax, identifier)
        )
        return foreseen

    async def _foresee(self, sop_class: str, transfer_syntax: str, identifier: bytes) -> Sequence[tuple[str, str]]:
        root, encoding = root_of(sop_class), encoding_of(transfer_syntax)
        if root is None or encoding is None:
            raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "Not for this SOP class")
        selection = read_selection(root, identifier, encoding)
        try:
            counted = await self._index.stored_syntaxes(selection)
        except DatabaseUnavailable as error:
            log.error("nothing can be retrieved: {error}", error=str(error))
            raise OperationRefused(Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, "The database is unavailable") from None
        return [(uid, syntax) for uid, syntax, _ in sorted(counted, key=lambda each: -each[2])]

    async def _associate(self, request: AssociateRequest) -> IAssociation:
        sop_classes = taken(request, self._offer)
        kept: Kept = {}
        if sop_classes:
            try:
                kept = await self._index.transfer_syntaxes(sorted(sop_classes))
            except DatabaseUnavailable as error:
                raise AssociationRejected(TEMPORARY_CONGESTION, str(error)) from None
        established = Established(request, self._offer.answer(request, kept))
        return ArchiveAssociation(established, self._serve, self._clock)

    async def _serve(self, association: ArchiveAssociation, request: Command) -> None:
        command_set = request.command_set
        service = self._services.get(command_set.command_field)
        try:
            if request.context_id not in association.established.contexts:
                raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "Not a presentation context of this association")
            if service is None:
                raise OperationRefused(Status.UNRECOGNIZED_OPERATION, "The archive does not do that")
            await service(association, request)
            return
        except OperationRefused as error:
            status, comment = error.status, error.comment
        except DatabaseRefused as error:
            # Nothing that helps when it is asked once more.
            log.error("association {number}: {error}", number=association.number, error=str(error))
            is_action = command_set.command_field == CommandField.N_ACTION_RQ
            status = Status.PROCESSING_FAILURE if is_action else Status.CANNOT_UNDERSTAND
            comment = "The index cannot be read"
        except DatabaseUnavailable as error:
            log.error("association {number}: {error}", number=association.number, error=str(error))
            status = _WITHOUT_DATABASE.get(command_set.command_field, Status.OUT_OF_RESOURCES)
            comment = "The database is unavailable"
        await association.skip_data_set()
        if command_set.command_field == CommandField.C_STORE_RQ:
            self._refused(command_set.sop_class, status)
        log.info(
            "association {number}: {name} refused with {status:04X}: {comment}",
            number=association.number,
            name=command_set.name,
            status=status,
            comment=comment,
        )
        await association.deliver([Command(request.context_id, response_to(command_set, status, comment))])


async def _echo(association: ArchiveAssociation, request: Command) -> None:
    """C-ECHO (PS3.4 A)."""
    await association.deliver([Command(request.context_id, response_to(request.command_set, Status.SUCCESS))])
