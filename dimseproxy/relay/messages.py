"""
The messages that cross a border.

- `Bare`: a command without a data set.
- `Query`: a command with an identifier, which is read as a whole.
- `Streamed`: a command whose data set is edited as it passes: objects, answers, failed lists, what N-services carry.
"""

from __future__ import annotations

from typing import Final

from dimseproxy.dimse.command_set import CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.dimse.status import Status, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifiers import read_identifier
from dimseproxy.pseudonyms.interfaces import Pseudonyms
from dimseproxy.relay.crossing import Message, Way, all_kept
from dimseproxy.relay.crossing_message import CrossingMessage, encoding_in
from dimseproxy.relay.streamed import Streamed

#: An identifier with a list of ten thousand UIDs; it is read in one go.
MAX_IDENTIFIER_LENGTH: Final = 512 * 1024

_IDENTIFIERS: Final = frozenset((CommandField.C_FIND_RQ, CommandField.C_MOVE_RQ, CommandField.C_GET_RQ))


def message_for(way: Way, command: Command) -> Message:
    """The message that a command begins."""
    command_set = command.command_set
    if not command_set.has_data_set:
        return Bare(way, command)
    if command_set.command_field in _IDENTIFIERS:
        return Query(way, command)
    return Streamed(way, command)


class Bare(CrossingMessage):
    """A command without a data set."""

    def begin(self) -> None:
        """See `Message`."""
        command_set = self._command.command_set
        if command_set.command_field == CommandField.C_CANCEL_RQ and (
            command_set.responds_to not in self._way.requests
        ):
            # What it cancels never crossed, or is answered: some peers abort at that.
            self.is_over = True
            return
        self._begin()
        if self._refusal is not None:
            return
        if self._request is not None and command_set.is_response:
            kept = self._request.kept
            if kept and not is_pending(command_set.status):
                self.is_waiting = True
                all_kept(kept).addCallbacks(lambda _: self._ask(self._identities()), self._failed)
                return
        self._ask(self._identities())

    def feed(self, fragment: DataSetFragment) -> None:
        """It has none."""

    def _found(self, answer: Pseudonyms) -> None:
        command = self._crossed_command(answer.values)
        self._leave_when_kept(answer, [command])


class Query(CrossingMessage):
    """A C-FIND-RQ, C-MOVE-RQ or C-GET-RQ with its identifier."""

    def __init__(self, way: Way, command: Command) -> None:
        super().__init__(way, command)
        self._data = bytearray()

    def begin(self) -> None:
        """See `Message`."""
        self._begin()

    def feed(self, fragment: DataSetFragment) -> None:
        """See `Message`."""
        if self._refusal is not None:
            self._swallow(fragment)
            return
        self._has_arrived = fragment.is_last
        for view in fragment.views:
            self._data += view
        self.held = len(self._data)
        if len(self._data) > MAX_IDENTIFIER_LENGTH:
            self._data.clear()
            self.refuse(Status.OUT_OF_RESOURCES, "The identifier is too long")
        elif fragment.is_last:
            self._read()

    def _read(self) -> None:
        way = self._way
        try:
            self._identifier = read_identifier(
                bytes(self._data),
                encoding_in(way, self._command),
                way.privacy.policy,
                way.direction,
                is_retrieve=self._command.command_set.command_field != CommandField.C_FIND_RQ,
            )
            wanted = self._identifier.wanted()
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
            return
        self._ask(wanted | self._identities())

    def _found(self, answer: Pseudonyms) -> None:
        resolved = self._identifier.resolve(answer.values, self._way.privacy.shift_of)
        command = self._crossed_command(answer.values)
        if resolved.matches_nothing:
            command_set = self._command.command_set
            del self._way.requests[command_set.message_id]
            self._way.answer(Command(self._command.context_id, _no_match(command_set)))
            self.is_over = True
            return
        if self._request is not None:
            self._request.answers = resolved.answers
        identifier = DataSetFragment(self._command.context_id, [memoryview(resolved.data)], True)
        self._leave_when_kept(answer, [command, identifier])


def _no_match(request: CommandSet) -> CommandSet:
    """The last response to what matches nothing (PS3.4 C.4.1.1.4, C.4.2.1.5)."""
    response = response_to(request, Status.SUCCESS)
    if request.command_field == CommandField.C_FIND_RQ:
        return response
    counters = (
        Element.COMPLETED_SUB_OPERATIONS,
        Element.FAILED_SUB_OPERATIONS,
        Element.WARNING_SUB_OPERATIONS,
    )
    return response.replace(dict.fromkeys(counters, 0))
