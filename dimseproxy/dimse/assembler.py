"""Message fragments to message parts (PS3.7 6.3, PS3.8 Annex E)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.fragments import CommandFragment

#: No presentation context has this id, not even where a peer sends 0.
_NONE: Final = -1
#: Command sets are a few hundred bytes; an N-GET of every attribute of a large IOD stays far below this.
MAX_COMMAND_SET_LENGTH: Final = 64 * 1024


class Assembler:
    """
    Puts command sets together and passes data set fragments through.

    A message is a command set, then, if it says so, a data set, both in one context and not interleaved with another
    message (PS3.8 E.1).

    @param contexts: the ids of the accepted presentation contexts.
    """

    def __init__(self, contexts: Container[int]) -> None:
        self._contexts = contexts
        self._command: list[bytes] = []
        self._command_length = 0
        #: The context of the command that is arriving in fragments, and that in which a data set is due.
        self._command_context = _NONE
        self._data_set_context = _NONE
        #: Whether the peer owes the rest of a message.
        self.is_within_message = False

    def receive(self, fragments: Sequence[CommandFragment | DataSetFragment], parts: list[Part]) -> None:
        """
        Append the parts that these complete to those.

        @raise RemoteProtocolError: where no message could continue like this; what came before it was appended.
        """
        for fragment in fragments:
            if isinstance(fragment, CommandFragment):
                command = self._receive_command(fragment)
                if command is not None:
                    parts.append(command)
                continue
            if fragment.context_id != self._data_set_context:
                raise self._unexpected(fragment.context_id)
            if fragment.is_last:
                self._data_set_context = _NONE
                self.is_within_message = False
            parts.append(fragment)

    def _receive_command(self, fragment: CommandFragment) -> Command | None:
        context_id = fragment.context_id
        if fragment.is_last and not self.is_within_message and context_id in self._contexts:
            # Nearly always: the whole command set in one PDV.
            return self._whole_command(context_id, fragment.value, fragment)
        if self._data_set_context != _NONE or self._command_context not in (_NONE, context_id):
            raise RemoteProtocolError("a command interrupts a message", AbortReason.UNEXPECTED_PARAMETER)
        if context_id not in self._contexts:
            raise self._unexpected(context_id)
        self._command_length += len(fragment.value)
        if self._command_length > MAX_COMMAND_SET_LENGTH:
            raise RemoteProtocolError(f"a command set is longer than {MAX_COMMAND_SET_LENGTH} bytes")
        if fragment.value:
            # Fragments without data cost nothing, however many come.
            self._command.append(fragment.value)
        self._command_context = context_id
        self.is_within_message = True
        if not fragment.is_last:
            return None
        value = b"".join(self._command)
        self._command = []
        self._command_length = 0
        self._command_context = _NONE
        return self._whole_command(context_id, value)

    def _whole_command(self, context_id: int, value: bytes, fragment: CommandFragment | None = None) -> Command:
        if len(value) > MAX_COMMAND_SET_LENGTH:
            raise RemoteProtocolError(f"a command set is longer than {MAX_COMMAND_SET_LENGTH} bytes")
        command = Command(context_id, CommandSet.decode(value), fragment)
        self.is_within_message = not command.is_last
        if self.is_within_message:
            self._data_set_context = context_id
        return command

    def _unexpected(self, context_id: int) -> RemoteProtocolError:
        if context_id not in self._contexts:
            text = f"presentation context {context_id} was not accepted"
        else:
            text = f"a data set fragment in context {context_id} belongs to no message"
        return RemoteProtocolError(text, AbortReason.UNEXPECTED_PARAMETER)
