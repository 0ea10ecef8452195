"""What is under way on an association, told from the messages that cross it (PS3.7 9.3 and 10.3)."""

from __future__ import annotations

from typing import Final

from dimseproxy.dimse.command_set import RESPONSE_BIT, CommandField
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import is_pending

_C_CANCEL_RQ: Final = int(CommandField.C_CANCEL_RQ)
_C_GET_RQ: Final = int(CommandField.C_GET_RQ)
_C_STORE_RQ: Final = int(CommandField.C_STORE_RQ)
_N_EVENT_REPORT_RQ: Final = int(CommandField.N_EVENT_REPORT_RQ)
#: What leaves nothing behind once it is answered.  A film session lives as long as its association (PS3.4 H.4.1.2), a
#: storage commitment may be reported on the association that asked for it (PS3.4 J.3.3), and an answer may cross a
#: C-CANCEL: whatever is not here may come back to the next caller.
_LEAVES_NOTHING: Final = frozenset(
    (
        int(CommandField.C_ECHO_RQ),
        _C_STORE_RQ,
        int(CommandField.C_FIND_RQ),
        _C_GET_RQ,
        int(CommandField.C_MOVE_RQ),
    )
)
#: The requests of DIMSE-N (PS3.7 10.1), the peer's report aside.
_OF_DIMSE_N: Final = frozenset(
    (
        int(CommandField.N_GET_RQ),
        int(CommandField.N_SET_RQ),
        int(CommandField.N_ACTION_RQ),
        int(CommandField.N_CREATE_RQ),
        int(CommandField.N_DELETE_RQ),
    )
)


class Conversation:
    """
    The messages of one user of an association.

    @ivar has_begun: whether anything was sent.
    @ivar is_stray: whether the peer sent something that nobody had asked for.
    """

    __slots__ = ("_asked", "_expects_reports", "_is_sending", "_leaves_something", "_owed", "has_begun", "is_stray")

    def __init__(self) -> None:
        self.has_begun = False
        self.is_stray = False
        self._leaves_something = False
        #: Requests that the peer has not answered: under each message id their command fields and contexts.
        self._asked: dict[int, list[tuple[int, int]]] = {}
        #: Whether there was a request on which the peer may report (PS3.7 10.1.1).
        self._expects_reports = False
        #: Requests of the peer that are not answered.
        self._owed: set[int] = set()
        self._is_sending = False

    @property
    def is_over(self) -> bool:
        """
        Whether everything was answered, and nothing can follow that belongs to it, but for the rest of a message that
        the peer is sending.
        """
        return not (self._asked or self._owed or self._is_sending or self._leaves_something or self.is_stray)

    @property
    def under_way(self) -> int:
        """How many requests the peer has not answered."""
        return sum(map(len, self._asked.values()))

    def sent(self, part: Part) -> None:
        """This goes to the peer."""
        self.has_begun = True
        if not isinstance(part, Command):
            self._is_sending = not part.is_last
            return
        command_set = part.command_set
        self._is_sending = command_set.has_data_set
        if command_set.is_response:
            if not is_pending(command_set.status):
                self._owed.discard(command_set.responds_to)
            return
        command_field = command_set.command_field
        if command_field not in _LEAVES_NOTHING:
            self._leaves_something = True
        if command_field == _C_CANCEL_RQ:
            return
        if command_field in _OF_DIMSE_N:
            self._expects_reports = True
        under_this_id = self._asked.setdefault(command_set.message_id, [])
        if under_this_id:
            # Whose answer the first one is, nobody can tell.
            self._leaves_something = True
        under_this_id.append((command_field, part.context_id))

    def received(self, part: Part) -> bool:
        """
        This came from the peer.

        @return: whether it is the last response to a request.
        """
        if not isinstance(part, Command):
            return False
        command_set = part.command_set
        if command_set.is_response:
            return self._answered(part)
        message_id = command_set.message_id
        if command_set.command_field != _C_STORE_RQ or message_id in self._owed:
            self._leaves_something = True
        elif not self._is_getting:
            self.is_stray = True
        if command_set.command_field == _N_EVENT_REPORT_RQ and not self._expects_reports:
            self.is_stray = True
        if command_set.command_field != _C_CANCEL_RQ:
            self._owed.add(message_id)
        return False

    @property
    def _is_getting(self) -> bool:
        return any(field == _C_GET_RQ for requests in self._asked.values() for field, _ in requests)

    def _answered(self, response: Command) -> bool:
        # It names its request by the message id, and has its operation and its context (PS3.7 9.3 and 10.3).
        command_set = response.command_set
        message_id = command_set.responds_to
        requests = self._asked.get(message_id, [])
        request = (command_set.command_field & ~RESPONSE_BIT, response.context_id)
        if request not in requests:
            self.is_stray = True
            return False
        if is_pending(command_set.status):
            return False
        requests.remove(request)
        if not requests:
            del self._asked[message_id]
        return True
