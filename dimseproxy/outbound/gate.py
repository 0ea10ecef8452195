"""The requests of one association, of which each waits until its peer may be asked for one more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from dimseproxy.association.stream import HIGH_WATER
from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.outbound.conversation import Conversation
from dimseproxy.outbound.limits import Operations

_C_CANCEL_RQ: Final = int(CommandField.C_CANCEL_RQ)
#: What a command that waits counts for: some hundred bytes, and the objects around them.
_COMMAND_OCTETS: Final = 1024


class Gate:
    """
    Messages pass, or wait as a whole: another may not begin within one (PS3.8 Annex E).  Responses overtake requests
    that wait, since the peer may need them before it can end what it works on.

    A user whose request waits is asked to wait, too.  It is not while the peer works on another request of its, whose
    sub-operations it may have to answer; then what waits may be as much as `HIGH_WATER` first.

    @param caller: who has turns.
    @param conversation: of the association; it is told by `send` what went out.
    @param hold: asks the user to wait; `let_go` to go on.
    """

    def __init__(
        self,
        operations: Operations,
        caller: Hashable,
        conversation: Conversation,
        send: Callable[[Sequence[Part]], None],
        hold: Callable[[], None],
        let_go: Callable[[], None],
    ) -> None:
        self._operations = operations
        self._caller = caller
        self._conversation = conversation
        self._send = send
        self._hold = hold
        self._let_go = let_go
        self._waiting: deque[list[Part]] = deque()
        self._octets = 0
        #: Where the rest of the message goes that is arriving; None: it passes.
        self._into: list[Part] | None = None
        #: Whether the rest of a message is to come of which the beginning has passed.
        self._is_within = False
        self._taken = 0
        #: Whether one of those that are taken is for the first that waits, and waits for the end of that message.
        self._has_turn = False
        self._is_holding = False
        self._when_empty: Callable[[], None] | None = None

    def take(self, parts: Sequence[Part]) -> None:
        """Parts from the user, in order."""
        passing: list[Part] = []
        for part in parts:
            if isinstance(part, Command):
                self._into = None if self._passes(part) else []
                if self._into is not None:
                    self._waiting.append(self._into)
            if self._into is None:
                passing.append(part)
            else:
                self._into.append(part)
                self._octets += _octets(part)
        if passing:
            self._pass(passing)
        if self._has_turn and not self._is_within:
            self._use_turn()
        else:
            self._balance()

    def answered(self) -> None:
        """The peer has answered a request."""
        if self._taken:
            self._taken -= 1
            self._operations.give()
            self._balance()

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call this as soon as nothing waits, at once if so it is."""
        if self._waiting:
            self._when_empty = call
        else:
            call()

    def close(self) -> None:
        """The association is over; what waits goes nowhere."""
        self._waiting.clear()
        self._has_turn = False
        self._when_empty = None
        self._operations.withdraw(self._caller, self._go_on)
        taken, self._taken = self._taken, 0
        for _ in range(taken):
            self._operations.give()

    def _passes(self, command: Command) -> bool:
        command_set = command.command_set
        if command_set.is_response:
            return True
        if command_set.command_field == _C_CANCEL_RQ:
            return not any(_is_request(message, command_set.responds_to) for message in self._waiting)
        if self._waiting:
            return False
        return self._ask()

    def _ask(self) -> bool:
        if self._operations.take(self._caller, self._go_on):
            self._taken += 1
            return True
        return False

    def _go_on(self) -> None:
        """There is room for the first of those that wait."""
        self._taken += 1
        self._has_turn = True
        if not self._is_within:
            self._use_turn()

    def _use_turn(self) -> None:
        self._has_turn = False
        self._send_first()
        while self._waiting and (_is_cancel(self._waiting[0]) or self._ask()):
            self._send_first()
        self._balance()
        if not self._waiting and self._when_empty is not None:
            when_empty, self._when_empty = self._when_empty, None
            when_empty()

    def _send_first(self) -> None:
        message = self._waiting.popleft()
        if message is self._into:
            # The rest follows it at once.
            self._into = None
        self._octets -= sum(map(_octets, message))
        self._pass(message)

    def _pass(self, parts: Sequence[Part]) -> None:
        last = parts[-1]
        self._is_within = last.command_set.has_data_set if isinstance(last, Command) else not last.is_last
        self._send(parts)

    def _balance(self) -> None:
        # Never within a message that passes: what waits could not go before the rest of it.
        may_hold = bool(self._waiting) and not self._is_within
        holds = may_hold and (self._octets > HIGH_WATER or not self._conversation.under_way)
        if holds != self._is_holding:
            self._is_holding = holds
            if holds:
                self._hold()
            else:
                self._let_go()


def _octets(part: Part) -> int:
    return part.octets if isinstance(part, DataSetFragment) else _COMMAND_OCTETS


def _is_cancel(message: Sequence[Part]) -> bool:
    first = message[0]
    return isinstance(first, Command) and first.command_set.command_field == _C_CANCEL_RQ


def _is_request(message: Sequence[Part], message_id: int) -> bool:
    first = message[0]
    return not _is_cancel(message) and isinstance(first, Command) and first.command_set.message_id == message_id
