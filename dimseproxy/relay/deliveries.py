"""
Deliveries: associations from an outbound to the proxy's own AE title (PS3.4 C.4.2, J.3).

They bring the C-STORE sub-operations of C-MOVEs that the proxy asked for, and the N-EVENT-REPORTs of storage
commitments.  Each message goes to the application whose request it answers and to nobody else: by Move Originator, or
else by the title that was leased to the request and by study; a report goes by its transaction UID.

The destinations of objects are asked first, as on every association: the delivery is answered with what they accept.
The application that a report is for is known only when the report is there, and is called then; no report waits for
another application.

What another worker has asked for is delivered from here just the same, with that worker's C-MOVE accounted for there.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Final

from attrs import evolve
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines, IWatched
from dimseproxy.association.interfaces import IAssociationUser, IIncomingAssociation
from dimseproxy.dataset.head import STUDY_INSTANCE_UID, TRANSACTION_UID, Head
from dimseproxy.dimse.command_set import CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import STORAGE_COMMITMENT_PUSH, VERIFICATION
from dimseproxy.dimse.status import Status, is_done
from dimseproxy.errors import (
    NO_REASON_GIVEN,
    TEMPORARY_CONGESTION,
    AbortSource,
    AssociationAborted,
    AssociationFailed,
    OperationRefused,
)
from dimseproxy.relay.delivery_message import DeliveryMessage
from dimseproxy.relay.destinations import Destination, DestinationLeg, restricted
from dimseproxy.relay.elsewhere import FIRST_MESSAGE_ID, Asked, Elsewhere
from dimseproxy.relay.retrieves import Commitments, Outbounds, Retrieves
from dimseproxy.relay.silence import Silence
from dimseproxy.ul.negotiation import inward_accept, refuse
from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, ContextResult
from dimseproxy.ul.user_information import UserInformation

log = Logger()

#: A delivery for these alone brings no object.
_WITHOUT_OBJECTS: Final = frozenset((VERIFICATION, STORAGE_COMMITMENT_PUSH))


@implementer(IAssociationUser, IWatched)
class Delivery:
    """
    @param association: from the outbound.
    @param outbounds: the names of those that it may be from.
    @param elsewhere: the other workers; None where one of them passes on what is ours.
    @param idle_seconds: how long it may lie idle, or wait for a destination's answer.
    @param when_over: called once at the end.
    """

    def __init__(
        self,
        association: IIncomingAssociation,
        outbounds: Outbounds,
        retrieves: Retrieves,
        commitments: Commitments,
        elsewhere: Elsewhere | None,
        deadlines: IDeadlines,
        idle_seconds: float,
        when_over: Callable[[], None],
    ) -> None:
        self._association = association
        self._deadlines = deadlines
        self._idle_seconds = idle_seconds
        self._when_over = when_over
        self._silence = Silence(deadlines.clock.seconds())
        self._is_draining = False
        self._outbounds = outbounds
        self._title = association.request.called_ae_title
        self._retrieves = retrieves
        self._commitments = commitments
        self._elsewhere = elsewhere
        self._legs: dict[object, DestinationLeg] = {}
        self._asked_first: set[object] = set()
        self._dead: set[DestinationLeg] = set()
        #: Those whose last response was to nothing.
        self._unasked: set[DestinationLeg] = set()
        self._reasons_to_wait: set[object] = set()
        self._current: DeliveryMessage | None = None
        self._asked: dict[int, DeliveryMessage] = {}
        self._is_over = False
        self._delivered = 0
        self._refused = 0

    # Negotiation

    def begin(self) -> Deferred[None]:
        """Ask the destinations, then answer the outbound."""
        # First: who called before the start may be gone already, and is forgotten then.
        self._deadlines.watch(self)
        self._association.use(self)
        negotiation: Deferred[None] = self._negotiate()
        return negotiation.addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        """A mistake of ours must not leave the outbound waiting."""
        log.failure("association {number}: broken", failure, number=self._association.number)
        self.abort("broken")

    @inlineCallbacks
    def _negotiate(self):  # type: ignore[no-untyped-def]
        request = self._association.request
        for destination in self._destinations():
            self._asked_first.add(destination.key)
            try:
                leg = yield destination.open(request)
            except AssociationFailed as error:
                log.info(
                    "association {number}: the destination cannot take a delivery: {error}",
                    number=self._association.number,
                    error=str(error),
                )
                continue
            if self._is_over:
                leg.finish()
                return
            self._legs[destination.key] = leg
            request = restricted(request, leg)
        accept = self._answer()
        if not any(context.accepted for context in accept.contexts):
            pending = bool(self._destinations())
            self._over()
            for leg in self._legs.values():
                leg.finish()
            self._association.reject(
                TEMPORARY_CONGESTION if pending else NO_REASON_GIVEN,
                "no destination takes the delivery" if pending else "nobody asked for this delivery",
            )
            return
        self._association.accept(accept, 0)
        for leg in tuple(self._legs.values()):
            leg.use(self)

    def _destinations(self) -> list[Destination]:
        """Who may get objects, each once, in the order in which they asked; nobody where none can come."""
        found: dict[object, Destination] = {}
        if all(context.abstract_syntax in _WITHOUT_OBJECTS for context in self._association.request.contexts):
            return []
        for retrieve in self._awaited():
            found.setdefault(retrieve.destination.key, retrieve.destination)
        return list(found.values())

    def _awaited(self) -> list[Asked]:
        """The C-MOVEs whose objects may come here."""
        return self._retrieves.candidates(self._outbounds, self._title, self._elsewhere)

    def _answer(self) -> AssociateAccept:
        """
        Each context as the first destination accepted it that did; verification is answered here, and reports are
        taken for those who wait for some.
        """
        request = self._association.request
        own = {VERIFICATION}
        if self._commitments.are_awaited_from(self._outbounds, self._elsewhere):
            own.add(STORAGE_COMMITMENT_PUSH)
        answers = []
        for context in request.contexts:
            syntaxes = [
                leg.accepted[context.context_id] for leg in self._legs.values() if context.context_id in leg.accepted
            ]
            if not syntaxes and context.abstract_syntax in own:
                syntaxes = list(context.transfer_syntaxes)
            if syntaxes:
                answers.append(AnsweredContext(context.context_id, ContextResult.ACCEPTANCE, syntaxes[0]))
            else:
                answers.append(refuse(context))
        roles = {role.abstract_syntax: role for role in request.user_information.roles if role.abstract_syntax in own}
        roles.update({role.abstract_syntax: role for leg in self._legs.values() for role in leg.roles})
        accept = AssociateAccept("", "", tuple(answers), UserInformation(roles=tuple(roles.values())))
        return inward_accept(request, accept)

    # From the outbound

    def received(self, parts: Sequence[Part]) -> None:
        self._silence.broken()
        for part in parts:
            if isinstance(part, Command):
                self._begin_message(part)
            elif self._current is not None:
                self._continue_message(self._current, part)

    def _begin_message(self, command: Command) -> None:
        command_set = command.command_set
        if command_set.is_response or command_set.command_field == CommandField.C_CANCEL_RQ:
            # Nothing was asked here.
            return
        message = DeliveryMessage(command)
        self._current = message if command_set.has_data_set else None
        if command_set.command_field == CommandField.C_STORE_RQ:
            originator = command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID)
            retrieve = self._retrieves.find(self._outbounds, self._title, originator, self._elsewhere)
            if retrieve is not None:
                self._direct_to_retrieve(message, retrieve)
            elif originator is None or originator < FIRST_MESSAGE_ID:
                self._look_into(message)
            # Else it is of a retrieve of ours that is over: what its caller gave up is nobody else's.
        elif command_set.command_field == CommandField.N_EVENT_REPORT_RQ:
            self._look_into(message)
        elif command_set.command_field == CommandField.C_ECHO_RQ:
            message.refusal = Status.SUCCESS
        else:
            message.refusal = Status.UNRECOGNIZED_OPERATION
        if not command_set.has_data_set and message.leg is None and not message.is_calling:
            self._refuse(message)

    def _continue_message(self, message: DeliveryMessage, fragment: DataSetFragment) -> None:
        if fragment.is_last:
            self._current = None
        if message.retrieve is not None:
            message.retrieve.progress()
        if message.leg is not None:
            if message.leg not in self._dead:
                message.leg.send([fragment])
            return
        if message.is_calling:
            message.held.append(fragment)
        elif message.head is not None:
            message.held.append(fragment)
            message.head.feed(fragment.views, fragment.is_last)
            if message.head.is_complete:
                self._direct_by_head(message, message.head)
                # Whoever was called may have answered at once.
                if message.held and not message.is_calling:
                    self._send_held(message)
        elif fragment.is_last:
            self._refuse(message)

    def _send_held(self, message: DeliveryMessage) -> None:
        """It is known now where the message goes, or that it goes nowhere."""
        held, message.held, message.head = message.held, [], None
        if message.leg is not None:
            if held:
                message.leg.send(held)
        elif not message.command.command_set.has_data_set or (held and held[-1].is_last):
            self._refuse(message)

    def _look_into(self, message: DeliveryMessage) -> None:
        """Hold the message until its data set says whose it is."""
        context = self._association.established.contexts[message.command.context_id]
        is_store = message.command.command_set.command_field == CommandField.C_STORE_RQ
        message.head = Head(context.transfer_syntax, [STUDY_INSTANCE_UID if is_store else TRANSACTION_UID])

    def _direct_by_head(self, message: DeliveryMessage, head: Head) -> None:
        if message.command.command_set.command_field == CommandField.C_STORE_RQ:
            study = head.first(STUDY_INSTANCE_UID)
            retrieve = self._retrieves.find_by_study(self._outbounds, self._title, study, self._elsewhere)
            if retrieve is not None:
                self._direct_to_retrieve(message, retrieve)
            return
        message.transaction = head.first(TRANSACTION_UID)
        destination = self._commitments.find(self._outbounds, message.transaction, self._elsewhere)
        if destination is not None:
            context_id = message.command.context_id
            key = (destination.key, context_id)
            if key in self._legs and self._legs[key] not in self._dead:
                self._direct(message, key, message.command.command_set)
            else:
                self._call(message, key, destination, message.command.command_set, {context_id})

    def _call(
        self,
        message: DeliveryMessage,
        key: object,
        destination: Destination,
        command_set: CommandSet,
        context_ids: Container[int],
    ) -> None:
        """Call the application that a message is for; nothing more is read meanwhile."""
        established = self._association.established.contexts
        request = self._association.request
        contexts = tuple(
            evolve(context, transfer_syntaxes=(established[context.context_id].transfer_syntax,))
            for context in request.contexts
            if context.context_id in context_ids
        )
        message.is_calling = True
        self._pause(message)

        def called(leg: DestinationLeg) -> None:
            if self._is_over:
                leg.cut()
                return
            self._legs[key] = leg
            leg.use(self)
            self._direct(message, key, command_set)

        def failed(failure: Failure) -> None:
            failure.trap(AssociationFailed)
            message.refusal = Status.PROCESSING_FAILURE

        def go_on(_: object) -> None:
            message.is_calling = False
            if not self._is_over:
                self._send_held(message)
                self._resume(message)

        calling = destination.open(evolve(request, contexts=contexts))
        calling.addCallbacks(called, failed).addCallback(go_on).addErrback(self._broken)

    def _direct_to_retrieve(self, message: DeliveryMessage, retrieve: Asked) -> None:
        message.retrieve = retrieve
        command_set = message.command.command_set
        if retrieve.originator:
            # The destination is told who asked for the move, not who carried it out (PS3.7 9.1.1.1).
            command_set = command_set.replace(
                {
                    Element.MOVE_ORIGINATOR_AE_TITLE: retrieve.originator,
                    Element.MOVE_ORIGINATOR_MESSAGE_ID: retrieve.originator_message_id,
                }
            )
        elif retrieve.originator_message_id:
            # Another worker knows who that is.
            command_set = command_set.replace({Element.MOVE_ORIGINATOR_MESSAGE_ID: retrieve.originator_message_id})
        key = retrieve.destination.key
        if key in self._legs or key in self._asked_first:
            self._direct(message, key, command_set)
        else:
            # Of a C-MOVE that came after the delivery: its outbound keeps an association for several.
            self._call(message, key, retrieve.destination, command_set, self._association.established.contexts)

    def _direct(self, message: DeliveryMessage, key: object, command_set: CommandSet) -> None:
        leg = self._legs.get(key)
        context_id = message.command.context_id
        if leg is None or leg in self._dead:
            message.refusal = Status.PROCESSING_FAILURE
        elif leg.accepted.get(context_id) != self._association.established.contexts[context_id].transfer_syntax:
            message.refusal = Status.SOP_CLASS_NOT_SUPPORTED
        else:
            try:
                leg.send([Command(context_id, command_set)])
            except OperationRefused as error:
                message.refusal = error.status
            else:
                message.leg = leg
                self._asked[message.command.command_set.message_id] = message

    def _refuse(self, message: DeliveryMessage) -> None:
        """Answer it ourselves; what nobody asked for is not authorized."""
        status = Status.NOT_AUTHORIZED if message.refusal is None else message.refusal
        if status != Status.SUCCESS:
            self._refused += 1
        if message.retrieve is not None:
            message.retrieve.account(status, message.sop_instance)
        if not self._is_over:
            command = message.command
            self._association.send([Command(command.context_id, response_to(command.command_set, status))])

    # From the destinations

    def leg_received(self, leg: DestinationLeg, parts: Sequence[Part]) -> None:
        self._silence.broken()
        for part in parts:
            if isinstance(part, DataSetFragment):
                if leg in self._unasked:
                    continue
            elif part.command_set.is_response:
                self._unasked.discard(leg)
                message = self._asked.get(part.command_set.responds_to)
                if message is None or message.leg is not leg:
                    # Nothing was asked of this one: it answers for no other, nor does the data set that may follow.
                    self._unasked.add(leg)
                    continue
                del self._asked[part.command_set.responds_to]
                self._account(message, part.command_set.status)
            if not self._is_over:
                self._association.send([part])

    def leg_ended(self, leg: DestinationLeg) -> None:
        if leg in self._dead:
            return
        self._dead.add(leg)
        self.leg_resumes(leg)
        for message_id, message in tuple(self._asked.items()):
            if message.leg is leg:
                del self._asked[message_id]
                message.refusal = Status.PROCESSING_FAILURE
                if message is self._current:
                    # The rest of its data set is still to come.
                    message.leg = None
                else:
                    self._refuse(message)

    def leg_pauses(self, leg: DestinationLeg) -> None:
        self._pause(leg)

    def leg_resumes(self, leg: DestinationLeg) -> None:
        self._resume(leg)

    def _pause(self, reason: object) -> None:
        self._reasons_to_wait.add(reason)
        self._association.pause()

    def _resume(self, reason: object) -> None:
        self._reasons_to_wait.discard(reason)
        if not self._reasons_to_wait:
            self._association.resume()

    def _account(self, message: DeliveryMessage, status: int) -> None:
        self._delivered += 1
        if message.retrieve is not None:
            message.retrieve.account(status, message.sop_instance)
        elif message.transaction and is_done(status):
            # Else the outbound may report again.
            self._commitments.close(self._outbounds, message.transaction)

    # The end

    def pause_sending(self) -> None:
        # What it sends is answered by us, too.
        self._pause(self)
        for leg in self._legs.values():
            leg.pause()

    def resume_sending(self) -> None:
        self._resume(self)
        for leg in self._legs.values():
            leg.resume()

    def release_requested(self) -> None:
        within = None if self._current is None else self._current.leg
        self._log("released")
        self._over()
        for leg in self._living():
            if leg is within:
                leg.cut()
            else:
                leg.finish()
        self._association.respond_release()

    def released(self) -> None:
        """Never asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        self._log(str(reason))
        self._over()
        for leg in self._living():
            leg.cut()

    def abort(self, text: str) -> None:
        """End it now, towards everybody."""
        self._association.abort(AbortSource.SERVICE_PROVIDER, 0)
        self.ended(AssociationAborted(AbortSource.SERVICE_PROVIDER, 0, text))

    def drain(self) -> None:
        """End as soon as nothing is under way."""
        self._is_draining = True
        if self._is_idle:
            self.abort("the proxy is shutting down")

    def check(self, now: float) -> None:
        if self._is_draining and self._is_idle:
            self.abort("the proxy is shutting down")
        elif self._silence.lasts(now) >= self._idle_seconds:
            self.abort(f"silent for {self._idle_seconds:g} s")

    @property
    def _is_idle(self) -> bool:
        return not self._asked and self._current is None and not self._awaited()

    def _living(self) -> list[DestinationLeg]:
        return [leg for leg in self._legs.values() if leg not in self._dead]

    def _over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._deadlines.forget(self)
            self._when_over()

    def _log(self, text: str) -> None:
        log.info(
            "association {number}: delivery {text}; {delivered} delivered, {refused} refused",
            number=self._association.number,
            text=text,
            delivered=self._delivered,
            refused=self._refused,
        )
