"""PDVs to message parts (PS3.7 6.3, PS3.8 Annex E)."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.framer import Framed, Pdv, PdvRun

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

    def receive(self, pdvs: Pdv | PdvRun) -> Part | None:
        """
        The part that this completes, if any.

        @raise RemoteProtocolError: where no message could continue like this.
        """
        if isinstance(pdvs, Pdv) and pdvs.is_command:
            return self._receive_command(pdvs)
        context_id, is_last = pdvs.context_id, pdvs.is_last
        if context_id != self._data_set_context:
            raise self._unexpected(context_id)
        if is_last:
            self._data_set_context = _NONE
            self.is_within_message = False
        if isinstance(pdvs, PdvRun):
            return DataSetFragment(context_id, (), is_last, pdvs.framed)
        return DataSetFragment(context_id, (pdvs.data,), is_last)

    def _receive_command(self, pdv: Pdv) -> Command | None:
        if pdv.is_last and not self.is_within_message and pdv.context_id in self._contexts:
            # Nearly always: the whole command set in one PDV.
            return self._whole_command(pdv, bytes(pdv.data), pdv.framed)
        if self._data_set_context != _NONE or self._command_context not in (_NONE, pdv.context_id):
            raise RemoteProtocolError("a command interrupts a message", AbortReason.UNEXPECTED_PARAMETER)
        if pdv.context_id not in self._contexts:
            raise self._unexpected(pdv.context_id)
        self._command_length += len(pdv.data)
        if self._command_length > MAX_COMMAND_SET_LENGTH:
            raise RemoteProtocolError(f"a command set is longer than {MAX_COMMAND_SET_LENGTH} bytes")
        if pdv.data:
            # Fragments without data cost nothing, however many come.
            self._command.append(bytes(pdv.data))
        self._command_context = pdv.context_id
        self.is_within_message = True
        if not pdv.is_last:
            return None
        data = b"".join(self._command)
        self._command = []
        self._command_length = 0
        self._command_context = _NONE
        return self._whole_command(pdv, data, None)

    def _whole_command(self, pdv: Pdv, data: bytes, framed: Framed | None) -> Command:
        if len(data) > MAX_COMMAND_SET_LENGTH:
            raise RemoteProtocolError(f"a command set is longer than {MAX_COMMAND_SET_LENGTH} bytes")
        command_set = CommandSet.decode(data)
        self.is_within_message = command_set.has_data_set
        if command_set.has_data_set:
            self._data_set_context = pdv.context_id
        return Command(pdv.context_id, command_set, framed)

    def _unexpected(self, context_id: int) -> RemoteProtocolError:
        if context_id not in self._contexts:
            text = f"presentation context {context_id} was not accepted"
        else:
            text = f"a data set fragment in context {context_id} belongs to no message"
        return RemoteProtocolError(text, AbortReason.UNEXPECTED_PARAMETER)
