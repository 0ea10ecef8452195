"""
C-MOVE towards an outbound that only has C-GET (`retrieve: get`).

The application is asked first which objects it takes, on an association of its own; then the outbound is asked for
C-GET and exactly those contexts, on another one.  Both use the same context ids, so the sub-operations cross as they
are.  The caller's own association only carries the C-MOVE and its responses.

Where the outbound knows what the C-GET will bring, the application is asked for that, in each transfer syntax that the
objects have; else for all storage SOP classes, each in one transfer syntax of the application's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociation, IAssociationUser, IForesees, IOutbound
from dimseproxy.dataset.head import failed_list
from dimseproxy.dimse.command_set import (
    DATA_SET_FOLLOWS,
    NO_DATA_SET,
    CommandField,
    CommandSet,
    Element,
    response_to,
)
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import GET_OF_MOVE
from dimseproxy.dimse.status import Status, is_pending
from dimseproxy.errors import AbortSource, AssociationAborted, AssociationFailed, OperationRefused
from dimseproxy.relay.destinations import ApplicationDestination, ApplicationLeg
from dimseproxy.relay.filters import Answer, Refusing
from dimseproxy.relay.storage_contexts import all_contexts, foreseen_contexts
from dimseproxy.relay.sub_operations import SubOperations
from dimseproxy.ul.negotiation import own_request
from dimseproxy.ul.pdu import ProposedContext
from dimseproxy.ul.user_information import RoleSelection

log = Logger()

#: Each takes two associations.
MAX_RETRIEVES_OF_A_CALLER: Final = 8
#: An identifier with a list of some thousand UIDs.
MAX_IDENTIFIER_LENGTH: Final = 1024 * 1024
#: A UID for every sub-operation that can be counted, with a delimiter each.
MAX_FAILED_LIST_LENGTH: Final = 65 * 65535 + 12


@frozen
class Originator:
    """
    Who asked for the move, and on what it is answered.

    @ivar progress: called whenever something of the move comes through.
    """

    association: IAssociation
    ae_title: str
    answer: Answer
    progress: Callable[[], None]


class MovesByGet(Refusing):
    """
    C-MOVE, carried out by a C-GET.

    @param find_application: the destination of an AE title.
    @param outbound: where the C-GET goes, under these AE titles.
    """

    def __init__(
        self,
        originator: Originator,
        find_application: Callable[[str], ApplicationDestination | None],
        outbound: IOutbound,
        called_ae_title: str,
        calling_ae_title: str,
    ) -> None:
        super().__init__(originator.answer)
        self._originator = originator
        self._find_application = find_application
        self._outbound = outbound
        self._called_ae_title = called_ae_title
        self._calling_ae_title = calling_ae_title
        self._running: dict[int, _Get] = {}
        self._collecting: _Get | None = None

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment):
            return self.swallow(part) if self.is_refusing else self._collect(part)
        command_set = part.command_set
        if command_set.command_field == CommandField.C_CANCEL_RQ:
            running = self._running.get(command_set.responds_to)
            if running is None:
                return (part,)
            running.cancel()
            return ()
        if command_set.command_field != CommandField.C_MOVE_RQ:
            return (part,)
        destination = self._find_application(command_set.text(Element.MOVE_DESTINATION))
        if destination is None:
            return self.refuse(part, Status.MOVE_DESTINATION_UNKNOWN, "Move destination unknown")
        if not command_set.has_data_set or command_set.sop_class not in GET_OF_MOVE:
            return self.refuse(part, Status.IDENTIFIER_DOES_NOT_MATCH, "No identifier for a retrieve")
        if command_set.message_id in self._running:
            return self.refuse(part, Status.DUPLICATE_INVOCATION, "Message id in use")
        if len(self._running) >= MAX_RETRIEVES_OF_A_CALLER:
            return self.refuse(part, Status.OUT_OF_RESOURCES, "Too many retrieves")
        context = self._originator.association.established.contexts[part.context_id]
        get = _Get(part, context.transfer_syntax, self._originator, destination, self._finished)
        self._running[command_set.message_id] = get
        self._collecting = get
        self.wants_outward = True
        return ()

    def over(self) -> None:
        for get in tuple(self._running.values()):
            get.cut()

    def _collect(self, fragment: DataSetFragment) -> Sequence[Part]:
        get = self._collecting
        if get is None:
            return (fragment,)
        get.identifier += bytes(fragment)
        if len(get.identifier) > MAX_IDENTIFIER_LENGTH:
            get.identifier.clear()
            get.is_too_long = True
        if fragment.is_last:
            self._collecting = None
            self.wants_outward = False
            get.begin(self._outbound, self._called_ae_title, self._calling_ae_title)
        return ()

    def _finished(self, get: _Get) -> None:
        self._running.pop(get.request.command_set.message_id, None)


class _Get:
    """One C-MOVE and the C-GET that carries it out."""

    def __init__(
        self,
        request: Command,
        transfer_syntax: str,
        originator: Originator,
        destination: ApplicationDestination,
        finished: Callable[[_Get], None],
    ) -> None:
        self.request = request
        self.identifier = bytearray()
        self.is_too_long = False
        self._transfer_syntax = transfer_syntax
        self._originator = originator
        self._destination = destination
        self._finished = finished
        self._application: ApplicationLeg | None = None
        self._outbound: IAssociation | None = None
        self._get_context = 0
        self._sub_operations = SubOperations()
        #: A response of the outbound, and what there is of its data set, until that is whole.
        self._response: CommandSet | None = None
        self._data_set = bytearray()
        self._is_over = False
        self._is_cancelled = False

    # Setting up

    def begin(self, outbound: IOutbound, called: str, calling: str) -> Deferred[None]:
        """Open both associations and send the C-GET."""
        opening: Deferred[None] = self._open(outbound, called, calling)
        opening.addErrback(self._failed)
        return opening

    @inlineCallbacks
    def _open(self, outbound: IOutbound, called: str, calling: str):  # type: ignore[no-untyped-def]
        if self.is_too_long:
            raise AssociationFailed("the identifier is too long")
        wanted = yield self._wanted(outbound)
        storage = tuple(
            ProposedContext(2 * index + 3, sop_class, syntaxes) for index, (sop_class, syntaxes) in enumerate(wanted)
        )
        if self._is_over:
            return
        accepted: tuple[ProposedContext, ...] = ()
        # Where nothing will come, nobody has to be there to take it.
        if storage:
            self._application = yield self._destination.open(own_request(storage, (), "", ""))
            if self._is_over:
                self._application.cut()
                return
            self._application.use(self)
            accepted = tuple(
                ProposedContext(each.context_id, each.abstract_syntax, (self._application.accepted[each.context_id],))
                for each in storage
                if each.context_id in self._application.accepted
            )
        self._get_context = 1
        get = ProposedContext(1, GET_OF_MOVE[self.request.command_set.sop_class], (self._transfer_syntax,))
        taken = dict.fromkeys(each.abstract_syntax for each in accepted)
        roles = tuple(RoleSelection(abstract_syntax, False, True) for abstract_syntax in taken)
        self._outbound = yield outbound.associate(own_request((get, *accepted), roles, called, calling))
        if self._is_over:
            self._outbound.abort(AbortSource.SERVICE_USER, 0)
            return
        if self._get_context not in self._outbound.established.contexts:
            raise AssociationFailed("the outbound does not accept C-GET")
        self._outbound.use(_OutboundUser(self, self._outbound))
        command = self.request.command_set.replace(
            {
                Element.COMMAND_FIELD: CommandField.C_GET_RQ,
                Element.AFFECTED_SOP_CLASS_UID: get.abstract_syntax,
                Element.MOVE_DESTINATION: None,
            }
        )
        identifier = memoryview(bytes(self.identifier))
        self._outbound.send([Command(1, command), DataSetFragment(1, (identifier,), True)])
        if self._is_cancelled:
            self.cancel()

    def _wanted(self, outbound: IOutbound) -> Deferred[Sequence[tuple[str, tuple[str, ...]]]]:
        """What the application is asked for: abstract syntaxes, each with transfer syntaxes."""
        foreseeing = IForesees(outbound, None)
        if foreseeing is None:
            return succeed(all_contexts())
        foreseen: Deferred[Sequence[tuple[str, str]]] = foreseeing.foresee(
            GET_OF_MOVE[self.request.command_set.sop_class], self._transfer_syntax, bytes(self.identifier)
        )
        return foreseen.addCallback(foreseen_contexts)

    def _failed(self, failure: Failure) -> None:
        number = self._originator.association.number
        if failure.check(AssociationFailed):
            error = failure.getErrorMessage()
            log.info("association {number}: C-MOVE by C-GET failed: {error}", number=number, error=error)
        elif isinstance(failure.value, OperationRefused):
            self._fail(failure.value.status)
            return
        else:
            # Without the traceback: its values may be somebody's.
            kind = "" if failure.type is None else failure.type.__name__
            log.error("association {number}: C-MOVE by C-GET broke: {kind}", number=number, kind=kind)
        self._fail()

    # From the outbound

    def outbound_received(self, parts: Sequence[Part]) -> None:
        """Sub-operations for the application, responses for the caller."""
        self._originator.progress()
        for part in parts:
            if self._is_over:
                return
            if part.context_id == self._get_context:
                self._take(part)
            elif self._application is not None:
                self._store(self._application, part)

    def _store(self, application: ApplicationLeg, part: Part) -> None:
        if isinstance(part, Command):
            self._sub_operations.asked(part.command_set)
            part = Command(
                part.context_id,
                part.command_set.replace(
                    {
                        Element.MOVE_ORIGINATOR_AE_TITLE: self._originator.ae_title,
                        Element.MOVE_ORIGINATOR_MESSAGE_ID: self.request.command_set.message_id,
                    }
                ),
            )
        application.send([part])

    def _take(self, part: Part) -> None:
        """A response for the caller, who gets it whole: no message may come between it and its data set (Annex E)."""
        if isinstance(part, Command):
            self._response, self._data_set = part.command_set, bytearray()
            if not part.command_set.has_data_set:
                self._answer(part.command_set)
        elif self._response is not None:
            self._data_set += bytes(part)
            if len(self._data_set) > MAX_FAILED_LIST_LENGTH:
                self._answer_without_list()
            elif part.is_last:
                self._answer(self._response)

    @property
    def _is_answered(self) -> bool:
        """Whether the last response is there, if perhaps not all of its Failed SOP Instance UID List."""
        return self._response is not None and not is_pending(self._response.status)

    def _answer_without_list(self) -> None:
        if self._response is not None and self._outbound is not None:
            self._outbound.abort(AbortSource.SERVICE_USER, 0)
            self._data_set.clear()
            self._answer(self._response.replace({Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET}))

    def _answer(self, response: CommandSet) -> None:
        self._response = None
        context_id = self.request.context_id
        data_set = bytes(self._data_set) if response.has_data_set else b""
        answer = self._sub_operations.reconcile(response).replace(
            {
                Element.COMMAND_FIELD: CommandField.C_MOVE_RSP,
                Element.AFFECTED_SOP_CLASS_UID: self.request.command_set.sop_class,
            }
        )
        failed = self._sub_operations.failed
        if answer.status != response.status and failed and not response.has_data_set:
            # The outbound takes this for a success; the caller is told which objects it is not true of.
            data_set = failed_list(self._transfer_syntax, failed)
            answer = answer.replace({Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS})
        parts: list[Part] = [Command(context_id, answer)]
        if answer.has_data_set:
            parts.append(DataSetFragment(context_id, (memoryview(data_set),), True))
        if not is_pending(response.status):
            self._close()
        self._originator.answer(parts)

    def _close(self) -> None:
        self._is_over = True
        self._finished(self)
        if self._outbound is not None:
            self._outbound.release()
        if self._application is not None:
            self._application.finish()

    # From the application

    def leg_received(self, leg: object, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Command) and part.command_set.is_response:
                self._sub_operations.answered(part.command_set)
        if self._outbound is not None and not self._is_over:
            self._outbound.send(parts)

    def leg_ended(self, leg: object) -> None:
        if not self._is_over and not self._is_answered:
            self._fail()

    def leg_pauses(self, leg: object) -> None:
        if self._outbound is not None:
            self._outbound.pause()

    def leg_resumes(self, leg: object) -> None:
        if self._outbound is not None:
            self._outbound.resume()

    # The end

    def cancel(self) -> None:
        """C-CANCEL (PS3.7 9.3.3.3)."""
        self._is_cancelled = True
        if self._outbound is not None and not self._is_over:
            cancel = CommandSet.of(
                {
                    Element.COMMAND_FIELD: CommandField.C_CANCEL_RQ,
                    Element.MESSAGE_ID_BEING_RESPONDED_TO: self.request.command_set.message_id,
                    Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
                }
            )
            self._outbound.send([Command(self._get_context, cancel)])

    def outbound_ended(self) -> None:
        """The outbound aborted, or released too early."""
        if self._is_over:
            return
        if self._is_answered:
            self._answer_without_list()
        else:
            self._fail()

    def cut(self) -> None:
        """Nobody waits for it any longer."""
        self._is_over = True
        self._finished(self)
        if self._outbound is not None:
            self._outbound.abort(AbortSource.SERVICE_USER, 0)
        if self._application is not None:
            self._application.cut()

    def _fail(self, status: int = Status.UNABLE_TO_PERFORM_SUB_OPERATIONS) -> None:
        if self._is_over:
            return
        failure = response_to(self.request.command_set, status).replace(self._sub_operations.counters())
        self.cut()
        self._originator.answer([Command(self.request.context_id, failure)])


@implementer(IAssociationUser)
class _OutboundUser:
    """Serves the association that carries the C-GET."""

    def __init__(self, get: _Get, association: IAssociation) -> None:
        self._get = get
        self._association = association

    def received(self, parts: Sequence[Part]) -> None:
        self._get.outbound_received(parts)

    def release_requested(self) -> None:
        self._get.outbound_ended()
        # Where both ends asked, each is answered (PS3.8 7.2.2.7); where it came too early, the association is aborted.
        self._association.respond_release()

    def released(self) -> None:
        """As asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        self._get.outbound_ended()

    def pause_sending(self) -> None:
        """What goes to the outbound is a few bytes for each object that comes from it."""

    def resume_sending(self) -> None:
        """See `pause_sending`."""
