"""
Retrieves whose objects come back through the proxy, and commitments whose report does.

A C-MOVE to a known application is sent on as a C-MOVE to ourselves; the outbound needs to know no other destination.
Where the outbound lacks C-GET (`retrieve: move`), a C-GET is sent on the same way, and its objects go to the caller as
the C-STORE sub-operations that it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final

from pydicom.tag import BaseTag

from dimseproxy.dataset.head import STUDY_INSTANCE_UID, TRANSACTION_UID, Head, failed_list
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import GET_OF_MOVE, MOVE_OF_GET, STORAGE_COMMITMENT_PUSH
from dimseproxy.dimse.status import Status, is_done, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.relay.destinations import CallerDestination, Destination, FindApplication
from dimseproxy.relay.filters import Answer, Refusing
from dimseproxy.relay.retrieves import Commitments, Outbounds, Retrieve, Retrieves

#: How many C-MOVEs or C-GETs may be under way on one association.
MAX_RETRIEVES_OF_A_CALLER: Final = 64
#: Opens a retrieve of this association: originator's message id and destination in, the entry out.
OpenRetrieve = Callable[[int, Destination], Retrieve]


class _Peek:
    """Reads a value or two of a data set that passes by."""

    def __init__(self, transfer_syntax: str, tag: BaseTag, found: Callable[[tuple[str, ...]], None]) -> None:
        self._head = Head(transfer_syntax, [tag])
        self._tag = tag
        self._found = found

    def feed(self, fragment: DataSetFragment) -> bool:
        """
        @return: whether more is wanted.
        """
        self._head.feed(fragment.views, fragment.is_last)
        if self._head.is_complete:
            self._found(self._head.values.get(self._tag, ()))
        return not self._head.is_complete


class MovesThrough(Refusing):
    """
    C-MOVE, with ourselves as its destination.

    @param transfer_syntaxes: of the accepted contexts, by id.
    @param find_application: the destination of an AE title.
    """

    def __init__(
        self,
        open_retrieve: OpenRetrieve,
        retrieves: Retrieves,
        transfer_syntaxes: Mapping[int, str],
        find_application: FindApplication,
        answer: Answer,
    ) -> None:
        super().__init__(answer)
        self._open_retrieve = open_retrieve
        self._retrieves = retrieves
        self._transfer_syntaxes = transfer_syntaxes
        self._find_application = find_application
        self._by_own_id: dict[int, Retrieve] = {}
        self._peek: _Peek | None = None

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment):
            if self.is_refusing:
                return self.swallow(part)
            if self._peek is not None and not self._peek.feed(part):
                self._peek = None
                self.wants_outward = False
            return (part,)
        command_set = part.command_set
        if command_set.command_field == CommandField.C_CANCEL_RQ:
            cancel = self._outward_cancel(command_set)
            return () if cancel is None else (Command(part.context_id, cancel),)
        if self._concerns(command_set.command_field):
            return self._retrieve(part)
        if command_set.message_id in self._by_own_id and not command_set.is_response:
            # The outbound would be asked for two things under one message id (PS3.7 9.1.4.1.1).
            return self.refuse(part, Status.DUPLICATE_INVOCATION, "Message id in use")
        return (part,)

    def inward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment) or part.command_set.command_field != CommandField.C_MOVE_RSP:
            return (part,)
        retrieve = self._by_own_id.get(part.command_set.responds_to)
        if retrieve is None:
            return (part,)
        response = self._retrieves.reconcile(retrieve, part.command_set).replace(
            {Element.MESSAGE_ID_BEING_RESPONDED_TO: retrieve.originator_message_id}
        )
        if is_pending(response.status):
            return (Command(part.context_id, self._inward_response(response)),)
        self._close(retrieve)
        if response.status == part.command_set.status or response.has_data_set or not retrieve.failed:
            return (Command(part.context_id, self._inward_response(response)),)
        # The outbound takes this for a success; the caller is told which objects it is not true of (PS3.4 C.4.2.1.4).
        response = response.replace({Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS})
        failed = failed_list(self._transfer_syntaxes.get(part.context_id, ""), retrieve.failed)
        return (
            Command(part.context_id, self._inward_response(response)),
            DataSetFragment(part.context_id, (memoryview(failed),), True),
        )

    def over(self) -> None:
        for retrieve in tuple(self._by_own_id.values()):
            self._close(retrieve)

    def _concerns(self, command_field: int) -> bool:
        return command_field == CommandField.C_MOVE_RQ

    def _destination(self, command_set: CommandSet) -> Destination | None:
        return self._find_application(command_set.text(Element.MOVE_DESTINATION))

    def _outward_request(self, command_set: CommandSet, retrieve: Retrieve) -> CommandSet:
        return command_set.replace({Element.MESSAGE_ID: retrieve.message_id, Element.MOVE_DESTINATION: retrieve.title})

    def _inward_response(self, response: CommandSet) -> CommandSet:
        return response

    def _retrieve(self, request: Command) -> Sequence[Part]:
        command_set = request.command_set
        destination = self._destination(command_set)
        if destination is None:
            return self.refuse(request, Status.MOVE_DESTINATION_UNKNOWN, "Move destination unknown")
        if len(self._by_own_id) >= MAX_RETRIEVES_OF_A_CALLER:
            return self.refuse(request, Status.OUT_OF_RESOURCES, "Too many retrieves")
        try:
            retrieve = self._open_retrieve(command_set.message_id, destination)
        except OperationRefused as error:
            return self.refuse(request, error.status, error.comment)
        self._by_own_id[retrieve.message_id] = retrieve

        def found(studies: tuple[str, ...]) -> None:
            self._retrieves.asks_for(retrieve, frozenset(studies))

        if command_set.has_data_set:
            syntax = self._transfer_syntaxes.get(request.context_id, "")
            self._peek = _Peek(syntax, STUDY_INSTANCE_UID, found)
            self.wants_outward = True
        return (Command(request.context_id, self._outward_request(command_set, retrieve)),)

    def _outward_cancel(self, command_set: CommandSet) -> CommandSet | None:
        """As it goes out; None for one that came too late, and would meet a retrieve that it does not mean."""
        for retrieve in self._by_own_id.values():
            if retrieve.originator_message_id == command_set.responds_to:
                return command_set.replace({Element.MESSAGE_ID_BEING_RESPONDED_TO: retrieve.message_id})
        return None if command_set.responds_to in self._by_own_id else command_set

    def _close(self, retrieve: Retrieve) -> None:
        self._retrieves.close(retrieve)
        self._by_own_id.pop(retrieve.message_id, None)


class GetsByMove(MovesThrough):
    """
    C-GET, sent on as a C-MOVE with ourselves as its destination; the caller is where the objects go.

    @param own_contexts: the ids of those that we accepted for the objects, and the outbound was not asked for.
    """

    def __init__(
        self,
        open_retrieve: OpenRetrieve,
        retrieves: Retrieves,
        transfer_syntaxes: Mapping[int, str],
        caller: CallerDestination,
        own_contexts: Container[int],
        answer: Answer,
    ) -> None:
        super().__init__(open_retrieve, retrieves, transfer_syntaxes, lambda _: caller, answer)
        self._caller = caller
        self._own_contexts = own_contexts

    def outward(self, part: Part) -> Sequence[Part]:
        if (
            isinstance(part, Command)
            and part.command_set.command_field == CommandField.C_STORE_RSP
            and self._caller.answered(part)
        ):
            return ()
        if isinstance(part, Command) and part.context_id in self._own_contexts and not part.command_set.is_response:
            # The outbound has never heard of this context.
            return self.refuse(part, Status.SOP_CLASS_NOT_SUPPORTED, "For objects of a C-GET only")
        return super().outward(part)

    def over(self) -> None:
        super().over()
        self._caller.over()

    def _concerns(self, command_field: int) -> bool:
        return command_field == CommandField.C_GET_RQ

    def _outward_request(self, command_set: CommandSet, retrieve: Retrieve) -> CommandSet:
        return (
            super()
            ._outward_request(command_set, retrieve)
            .replace(
                {
                    Element.COMMAND_FIELD: CommandField.C_MOVE_RQ,
                    Element.AFFECTED_SOP_CLASS_UID: MOVE_OF_GET.get(command_set.sop_class),
                }
            )
        )

    def _inward_response(self, response: CommandSet) -> CommandSet:
        return response.replace(
            {
                Element.COMMAND_FIELD: CommandField.C_GET_RSP,
                Element.AFFECTED_SOP_CLASS_UID: GET_OF_MOVE.get(response.sop_class),
            }
        )


class CommitmentsThrough(Refusing):
    """
    Notes the storage commitments that an application asks for, so that a report on another association finds it.

    A request waits here until its Transaction UID is known, for it may be another's.

    @param transfer_syntaxes: of the accepted contexts, by id.
    @param outbound: the name of the one that is asked; `alike` those of others that may be the same PACS.
    @param destination: the application.
    """

    def __init__(
        self,
        transfer_syntaxes: Mapping[int, str],
        outbound: str,
        alike: Outbounds,
        destination: Destination,
        commitments: Commitments,
        answer: Answer,
    ) -> None:
        super().__init__(answer)
        self._transfer_syntaxes = transfer_syntaxes
        self._outbound = outbound
        self._alike = alike
        self._destination = destination
        self._commitments = commitments
        #: A request, and what there is of its data set, until `_head` knows whose it is.
        self._held: list[Part] = []
        self._head: Head | None = None
        self._inward_peek: _Peek | None = None
        #: Those that are not answered, by message id.
        self._asked: dict[int, str] = {}

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, Command):
            if not self._concerns(part, CommandField.N_ACTION_RQ):
                return (part,)
            self._held = [part]
            self._head = Head(self._transfer_syntaxes.get(part.context_id, ""), [TRANSACTION_UID])
            self.wants_outward = True
            return ()
        if self._head is None:
            return self.swallow(part) if self.is_refusing else (part,)
        self._held.append(part)
        self._head.feed(part.views, part.is_last)
        if not self._head.is_complete:
            return ()
        transaction = self._head.first(TRANSACTION_UID)
        held, self._held, self._head = self._held, [], None
        self.wants_outward = False
        request = held[0]
        assert isinstance(request, Command)
        try:
            self._note(request.command_set.message_id, transaction)
        except OperationRefused as error:
            self.refuse(request, error.status, error.comment)
            return self.swallow(part)
        return held

    def inward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, Command):
            self._inward_peek = None
            if self._concerns(part, CommandField.N_EVENT_REPORT_RQ):
                syntax = self._transfer_syntaxes.get(part.context_id, "")
                self._inward_peek = _Peek(syntax, TRANSACTION_UID, self._reported)
            elif part.command_set.command_field == CommandField.N_ACTION_RSP:
                transaction = self._asked.pop(part.command_set.responds_to, "")
                if not is_done(part.command_set.status):
                    # The outbound will not report on it.
                    self._forget(transaction)
        elif self._inward_peek is not None and not self._inward_peek.feed(part):
            self._inward_peek = None
        self.wants_inward = self._inward_peek is not None
        return (part,)

    def _concerns(self, part: Command, field: CommandField) -> bool:
        command_set = part.command_set
        return (
            command_set.command_field == field
            and command_set.sop_class == STORAGE_COMMITMENT_PUSH
            and command_set.has_data_set
        )

    def _note(self, message_id: int, transaction: str) -> None:
        if transaction:
            self._commitments.open(self._outbound, transaction, self._destination, self._alike)
            self._asked[message_id] = transaction

    def _reported(self, transaction: tuple[str, ...]) -> None:
        for uid in transaction:
            self._forget(uid)

    def _forget(self, transaction: str) -> None:
        destination = self._commitments.find((self._outbound,), transaction)
        if destination is not None and destination.key == self._destination.key:
            self._commitments.close((self._outbound,), transaction)
