"""
What all messages that cross a border have in common: their command set, the question to the source, and their ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import FILTERED_SUBSCRIPTION, INVENTORY_CREATION
from dimseproxy.dimse.status import Status, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind, is_identifying
from dimseproxy.privacy.new_uids import new_uid
from dimseproxy.pseudonyms.interfaces import Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.relay.crossing import CrossedRequest, Way

log = Logger()

_INSTANCE_UIDS: Final = (Element.AFFECTED_SOP_INSTANCE_UID, Element.REQUESTED_SOP_INSTANCE_UID)
#: What a command may carry across without a look: none of it says anything about a patient.
_HARMLESS: Final = frozenset(int(element) for element in Element) - {*_INSTANCE_UIDS, Element.ERROR_COMMENT}
_NOTHING: Final = Pseudonyms({})


class CrossingMessage:
    """What all messages have in common: their command, and the ways in which they end."""

    # How each begins.
    is_over = False
    is_waiting = False
    has_left = False
    held = 0
    behind = 0
    _has_begun = False
    _is_working = False
    _refusal: tuple[int, str] | None = None
    _request: CrossedRequest | None = None
    _mapped: dict[Element, str] | None = None

    def __init__(self, way: Way, command: Command) -> None:
        self.ready: list[Part] = []
        self._way = way
        self._command = command
        self._has_arrived = not command.command_set.has_data_set

    @property
    def is_void(self) -> bool:
        """See `Message`."""
        return (
            self._request is not None
            and self._request.is_refused
            and self._command.command_set.is_response
            and not self.has_left
            and self._refusal is None
        )

    def let_through(self, fragment: DataSetFragment) -> bool:
        """See `Message`."""
        return False

    # The command set

    def _begin(self) -> None:
        """Find the request that this answers, or note it as one."""
        command_set = self._command.command_set
        if command_set.is_response:
            self._request = self._way.answered(command_set)
        elif command_set.command_field != CommandField.C_CANCEL_RQ:
            if command_set.message_id in self._way.requests:
                # What is known of the other one decides what its answers may show (PS3.7 C.5.3).
                self.refuse(Status.DUPLICATE_INVOCATION, "The message id is in use")
                return
            if self._is_query_by_action and self._way.direction is Direction.TO_ORIGINALS:
                self.refuse(Status.NOT_AUTHORIZED, "Matching keys in an action")
                return
            self._request = self._way.crossed(self._command)

    @property
    def _is_query_by_action(self) -> bool:
        """Whether this is an N-ACTION with matching keys, which are no identifier and are not read as one."""
        command_set = self._command.command_set
        return command_set.command_field == CommandField.N_ACTION_RQ and (
            command_set.text(Element.REQUESTED_SOP_INSTANCE_UID) == FILTERED_SUBSCRIPTION
            or command_set.sop_class == INVENTORY_CREATION
        )

    @property
    def _instances(self) -> dict[Element, str]:
        """The SOP instance UIDs of the command that stand for something else on the other side."""
        # `cached_property` of Python 3.11 takes a lock each time.
        if self._mapped is None:
            self._mapped = self._mapped_instances()
        return self._mapped

    def _mapped_instances(self) -> dict[Element, str]:
        found: dict[Element, str] = {}
        if not self._way.maps_instances:
            return found
        command_set = self._command.command_set
        elements = command_set.elements
        for element in _INSTANCE_UIDS:
            if element in elements:
                uid = command_set.text(element)
                if is_identifying(Kind.INSTANCE, uid):
                    found[element] = uid
        return found

    def _identities(self) -> set[Identity]:
        """What has to be looked up for the command."""
        if not self._instances or self._asked_for:
            return set()
        return {Identity(Kind.INSTANCE, uid) for uid in self._instances.values()}

    @property
    def _asked_for(self) -> str:
        """The SOP instance UID of the request that this answers, as it was sent: its sender is told no other."""
        if self._request is None or not self._command.command_set.is_response:
            return ""
        asked = self._request.command_set
        return asked.text(Element.AFFECTED_SOP_INSTANCE_UID) or asked.text(Element.REQUESTED_SOP_INSTANCE_UID)

    def _crossed_command(self, values: Mapping[Identity, str]) -> Command:
        """The command for the other side."""
        command_set = self._command.command_set
        if command_set.elements <= _HARMLESS:
            return self._command
        changes: dict[Element, int | str | None] = {Element.ERROR_COMMENT: None}
        asked_for = self._asked_for
        for element, uid in self._instances.items():
            changes[element] = asked_for or self._counterpart(Identity(Kind.INSTANCE, uid), values)
        return Command(self._command.context_id, command_set.replace(changes).known())

    def _counterpart(self, instance: Identity, values: Mapping[Identity, str]) -> str:
        if instance in values:
            return values[instance]
        privacy = self._way.privacy
        if self._way.direction is Direction.TO_ORIGINALS and privacy.lets_unknown_instances_pass:
            # As the editor of the data set has it.
            return new_uid(privacy.key(), instance.value) if privacy.outbound_holds_originals else instance.value
        is_store = self._command.command_set.command_field == CommandField.C_STORE_RQ
        raise OperationRefused(
            Status.NOT_AUTHORIZED if is_store else Status.NO_SUCH_SOP_INSTANCE, "Unknown SOP instance"
        )

    # Asking the source

    def _ask(self, wanted: Set[Identity]) -> None:
        """Look these up and go on with `_found`."""
        if not wanted:
            self._answered(_NOTHING)
            return
        self.is_waiting = True
        try:
            asking = self._way.look_up(wanted)
        except Exception:
            self._failed(Failure())
            return
        if asking.called and isinstance(asking.result, Pseudonyms):
            # Known already, as most are: nobody has to be called back.
            self._answered(asking.result)
        else:
            asking.addCallbacks(self._answered, self._failed)

    def _answered(self, answer: Pseudonyms) -> None:
        if self.is_over or self._way.is_closed:
            return
        self.is_waiting = False
        try:
            self._found(answer)
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        if not self._is_working:
            self._way.advance_together()

    def _failed(self, failure: Failure) -> None:
        if self.is_over or self._way.is_closed:
            return
        is_composite = self._command.command_set.command_field & 0x0FFF < CommandField.N_EVENT_REPORT_RQ
        if failure.check(SourceUnavailable):
            status = Status.OUT_OF_RESOURCES if is_composite else Status.RESOURCE_LIMITATION
            self.refuse(status, "Pseudonyms are not available")
        elif failure.check(SourceRefused):
            self.refuse(Status.PROCESSING_FAILURE, "No pseudonym that could be used")
        else:
            # Without the traceback: its values may be somebody's.
            log.error(
                "association {number}: broken within {place}: {kind}",
                number=self._way.number,
                place=_place_of(failure),
                kind=failure.type.__name__ if failure.type is not None else "",
            )
            self.refuse(Status.PROCESSING_FAILURE, "Cannot be processed")
        if not self._is_working:
            self._way.advance_together()

    def _found(self, answer: Pseudonyms) -> None:
        raise NotImplementedError

    def _leave_when_kept(self, answer: Pseudonyms, parts: Sequence[Part]) -> None:
        """Leave as these parts when the pseudonyms are durable: there is no response that would wait for them."""
        if answer.kept is None:
            self._leave(parts)
            return
        self.is_waiting = True
        answer.kept.addCallbacks(lambda _: self._leave_late(parts), self._failed)

    def _leave_late(self, parts: Sequence[Part]) -> None:
        if self.is_over or self._way.is_closed:
            return
        self.is_waiting = False
        self._leave(parts)
        self._way.advance_together()

    def _leave(self, parts: Sequence[Part]) -> None:
        self._emit(parts)
        self.is_over = True

    # The end

    def _emit(self, parts: Iterable[Part]) -> None:
        self._has_begun = True
        self.held = 0
        self.ready += parts

    def refuse(self, status: int, comment: str) -> None:
        """Nothing more of this leaves; whoever waits for it is told that it failed."""
        if self._refusal is not None:
            return
        if self.is_void:
            self._refusal = (status, comment)
            self.is_over = True
            return
        log.info(
            "association {number}: {message} refused by policy {policy}: {comment} ({status:04X})",
            number=self._way.number,
            message=self._command.command_set.name,
            policy=self._way.privacy.policy.name,
            comment=comment,
            status=status,
        )
        self._refusal = (status, comment)
        self.is_waiting = False
        self.held = 0
        self.ready = []
        if self.has_left:
            self.is_over = True
            self._way.cut("a data set could not be edited to its end")
        elif self._has_arrived:
            self._answer_refusal(status, comment)

    def _answer_refusal(self, status: int, comment: str) -> None:
        self.is_over = True
        command, request = self._command, self._request
        command_set = command.command_set
        if command_set.is_response:
            failure = command_set.replace(
                {
                    Element.STATUS: status,
                    Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
                    Element.ERROR_COMMENT: comment[:64],
                    Element.AFFECTED_SOP_INSTANCE_UID: None,
                    Element.REQUESTED_SOP_INSTANCE_UID: None,
                }
            )
            self.ready = [Command(command.context_id, failure.known())]
            if is_pending(command_set.status) and request is not None:
                self._way.give_up(request)
            return
        if request is not None and self._way.requests.get(command_set.message_id) is request:
            del self._way.requests[command_set.message_id]
        if command_set.command_field != CommandField.C_CANCEL_RQ:
            self._way.answer(Command(command.context_id, response_to(command_set, status, comment)))

    def _swallow(self, fragment: DataSetFragment) -> None:
        """The rest of what was refused."""
        if fragment.is_last:
            self._has_arrived = True
            if not self.is_over and self._refusal is not None:
                self._answer_refusal(*self._refusal)


def encoding_in(way: Way, command: Command) -> Encoding:
    """
    @raise OperationRefused: for a transfer syntax that is not of the standard: what cannot be read is not let through.
    """
    encoding = encoding_of(way.transfer_syntaxes.get(command.context_id, ""))
    if encoding is None:
        raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "The transfer syntax cannot be read")
    return encoding


def _place_of(failure: Failure) -> str:
    """Where it happened, without any value."""
    frames = failure.frames
    return f"{frames[-1][0]} ({frames[-1][1].rpartition('/')[2]}:{frames[-1][2]})" if frames else "nowhere"
