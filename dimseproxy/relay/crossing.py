"""
One direction across a border: messages, in order, each with its identities replaced.

Several messages may be on their way at once, so that a thousand answers do not wait for a thousand lookups one after
the other; they leave in the order in which they came.  A message leaves when its identities are known, and not before:
where one cannot be replaced, nothing of its data set leaves, and the operation gets a failure status.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import is_pending
from dimseproxy.privacy.answer_form import AnswerForms
from dimseproxy.privacy.identifiers import AnswerFilter, Direction
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.replay import HeadMemory
from dimseproxy.pseudonyms.interfaces import Pseudonyms
from dimseproxy.relay.privacy import Privacy

#: What may wait on its way across before the sender is made to wait: a read or two, or this many messages, which want
#: more pseudonyms than a service is asked for at once.
MAX_HELD_OCTETS: Final = 1024 * 1024
MAX_HELD_MESSAGES: Final = 512
_SEVERAL: Final = 2

_RETRIEVES: Final = frozenset((CommandField.C_FIND_RQ, CommandField.C_MOVE_RQ, CommandField.C_GET_RQ))


@define(eq=False)
class CrossedRequest:
    """
    A request that crossed, for as long as it may be answered.

    @ivar command_set: as its sender sent it.
    @ivar answers: what its answers must pass.
    @ivar kept: what has to be durable before success is reported.
    @ivar is_refused: it was answered from here: what still comes for it is nobody's.
    """

    command_set: CommandSet
    context_id: int
    answers: AnswerFilter | None = None
    kept: list[Deferred[None]] = Factory(list)
    is_refused: bool = False


class Message(Protocol):
    """
    A message on its way.

    @ivar ready: what of it may leave.
    @ivar is_over: whether nothing of it comes after that.
    @ivar is_waiting: whether something else than its sender is waited for.
    @ivar has_left: whether some of it has left.
    @ivar held: how many bytes of it are kept back.
    @ivar behind: how many came while it stood behind another message: they are here until that is over.
    @ivar is_void: whether nobody waits for it any longer.
    """

    ready: list[Part]
    is_over: bool
    is_waiting: bool
    has_left: bool
    held: int
    behind: int

    @property
    def is_void(self) -> bool: ...

    def begin(self) -> None:
        """The command is there."""

    def feed(self, fragment: DataSetFragment) -> None:
        """More of the data set."""

    def let_through(self, fragment: DataSetFragment) -> bool:
        """
        Let more of the data set leave just as it came, where everything before it has left.

        @return: false where it has to be fed.
        """


class Own:
    """A command of our own."""

    is_over = True
    is_waiting = False
    has_left = False
    is_void = False
    held = 0
    behind = 0

    def __init__(self, command: Command) -> None:
        self.ready: list[Part] = [command]

    def begin(self) -> None:
        """It is ready."""

    def feed(self, fragment: DataSetFragment) -> None:
        """It has no data set."""

    def let_through(self, fragment: DataSetFragment) -> bool:
        """It has no data set."""
        return False


class Way:
    """
    @param message_for: makes the message that a command begins.
    @param direction: what happens to the identities.
    @param transfer_syntaxes: of the accepted contexts, by id.
    @param clock: for what is done in slices.
    @param onward: takes what has crossed.
    @param cut: ends both associations, for this reason: half a message cannot be taken back.
    @param hold: the sender shall wait; `let_go` when it may go on.
    """

    #: The way in the other direction.
    other: Way

    def __init__(
        self,
        message_for: Callable[[Way, Command], Message],
        privacy: Privacy,
        direction: Direction,
        transfer_syntaxes: dict[int, str],
        number: int,
        clock: IReactorTime,
        onward: Callable[[Sequence[Part]], None],
        cut: Callable[[str], None],
        hold: Callable[[], None],
        let_go: Callable[[], None],
    ) -> None:
        self._message_for = message_for
        self.privacy = privacy
        self.maps_instances = privacy.maps_instances
        self.direction = direction
        self.transfer_syntaxes = transfer_syntaxes
        self.number = number
        self.clock = clock
        self.requests: dict[int, CrossedRequest] = {}
        self._memories: dict[int, HeadMemory] = {}
        self._forms: dict[int, AnswerForms] = {}
        self.cut = cut
        self._onward = onward
        self._hold = hold
        self._let_go = let_go
        self._messages: deque[Message] = deque()
        #: Of all messages but the first: to add it up again and again would cost the more the more wait.
        self._behind = 0
        self._current: Message | None = None
        self._is_holding = False
        self.is_stopped = False
        self._is_busy = False
        self._when_empty: Callable[[], None] | None = None
        self._together: IDelayedCall | None = None
        self.is_closed = False

    # What comes

    def take(self, parts: Sequence[Part]) -> None:
        """Parts from the sender, in order."""
        if len(parts) == 1 and self._let_through(parts[0]):
            self._is_busy = True
            try:
                self._onward(parts)
            finally:
                self._is_busy = False
            if self._messages and self._messages[0].ready:
                self.advance()
            return
        was_busy, self._is_busy = self._is_busy, True
        try:
            for part in parts:
                if isinstance(part, Command):
                    message = self._message_for(self, part)
                    self._messages.append(message)
                    if part.command_set.has_data_set:
                        self._current = message
                    message.begin()
                elif self._current is not None:
                    message = self._current
                    if part.is_last:
                        self._current = None
                    if not message.is_over and message is not self._messages[0]:
                        message.behind += part.octets
                        self._behind += part.octets
                    message.feed(part)
                if self.is_closed:
                    return
        finally:
            self._is_busy = was_busy
        self.advance()

    def _let_through(self, part: Part) -> bool:
        """
        Let a part leave just as it came, where nothing has to wait: the middle of pixel data, most of what crosses.

        @return: false where it is to be taken as any other.
        """
        message = self._current
        return (
            message is not None
            and isinstance(part, DataSetFragment)
            and message.has_left
            and not (message.ready or message.is_over)
            and not (self._is_busy or self.is_stopped or self.is_closed)
            and message is self._messages[0]
            and message.let_through(part)
        )

    def inject(self, message: Message) -> None:
        """A message of our own, after those that are on their way."""
        self._messages.append(message)
        self.advance()

    # What leaves

    def advance(self) -> None:
        """Let go on what is ready."""
        if self._is_busy or self.is_closed:
            return
        self._is_busy = True
        messages = self._messages
        try:
            while messages and (messages[0].ready or messages[0].is_over) and not self.is_stopped:
                ready = self._ready()
                if ready:
                    self._onward(ready)
                if self.is_closed:
                    return
        finally:
            self._is_busy = False
        self._balance()
        if not messages and self._when_empty is not None and not self.is_stopped:
            when_empty, self._when_empty = self._when_empty, None
            when_empty()

    def advance_together(self) -> None:
        """
        Let go on what is ready: where several messages are on their way, when others had their chance to be ready, too.

        A service answers for many at once; each on its own would be sent on its own.
        """
        if len(self._messages) < _SEVERAL:
            self.advance()
        elif self._together is None and not self._is_busy and not self.is_closed:
            self._together = self.clock.callLater(0, self._advance_now)

    def _advance_now(self) -> None:
        self._together = None
        self.advance()

    def _ready(self) -> list[Part]:
        ready: list[Part] = []
        messages = self._messages
        while messages:
            first = messages[0]
            if first.ready:
                parts, first.ready = first.ready, []
                if not first.is_void:
                    ready += parts
                    first.has_left = True
            if not first.is_over:
                break
            messages.popleft()
            if messages:
                self._behind -= messages[0].behind
        return ready

    def _balance(self) -> None:
        """
        Make the sender wait, or go on.  It waits only while the first message waits for something else than for the
        sender: all others wait for the first.
        """
        messages = self._messages
        shall_hold = bool(messages) and (
            (messages[0].is_waiting or self.is_stopped)
            and (len(messages) > MAX_HELD_MESSAGES or self._behind + messages[0].held > MAX_HELD_OCTETS)
        )
        if shall_hold != self._is_holding:
            self._is_holding = shall_hold
            if shall_hold:
                self._hold()
            else:
                self._let_go()

    def stop(self) -> None:
        """The receiver takes nothing until `go_on`."""
        self.is_stopped = True

    def go_on(self) -> None:
        """See `stop`."""
        self.is_stopped = False
        self.advance()

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call this as soon as nothing is on its way any longer, at once if so it is."""
        if self._messages or self.is_stopped:
            self._when_empty = call
        else:
            call()

    def close(self) -> None:
        """Nothing crosses any longer."""
        self.is_closed = True
        if self._together is not None:
            self._together.cancel()
            self._together = None
        self._messages.clear()
        self._behind = 0
        self._current = None
        for request in self.requests.values():
            for kept in request.kept:
                # Nobody waits for it any longer, whatever becomes of it.
                kept.addErrback(lambda _: None)
        self.requests.clear()
        self._memories.clear()
        self._forms.clear()

    # What messages need

    def look_up(self, wanted: Collection[Identity]) -> Deferred[Pseudonyms]:
        """What stands for these on the other side."""
        if self.direction is Direction.TO_PSEUDONYMS:
            return self.privacy.source.pseudonyms_of(wanted)
        return self.privacy.source.originals_of(wanted).addCallback(Pseudonyms)

    def memory(self, context_id: int, encoding: Encoding) -> HeadMemory:
        """What remembers the heads of the objects of a presentation context, for as long as the association lasts."""
        memory = self._memories.get(context_id)
        if memory is None:
            memory = self._memories[context_id] = self.privacy.memory(encoding)
        return memory

    def forms(self, context_id: int, encoding: Encoding) -> AnswerForms:
        """What remembers the forms of the answers of a presentation context, likewise."""
        forms = self._forms.get(context_id)
        if forms is None:
            forms = self._forms[context_id] = self.privacy.forms(encoding)
        return forms

    def crossed(self, command: Command) -> CrossedRequest:
        """Note a request that goes on."""
        request = CrossedRequest(command.command_set, command.context_id)
        self.requests[command.command_set.message_id] = request
        return request

    def answered(self, response: CommandSet) -> CrossedRequest | None:
        """The request that a response on this way answers; forgotten with its last one."""
        message_id = response.responds_to
        request = self.other.requests.get(message_id)
        if request is not None and not is_pending(response.status):
            del self.other.requests[message_id]
        return request

    def give_up(self, request: CrossedRequest) -> None:
        """Whoever works on this need not go on: it was answered with a failure."""
        request.is_refused = True
        if request.command_set.command_field not in _RETRIEVES:
            return
        cancel = CommandSet.of(
            {
                Element.COMMAND_FIELD: CommandField.C_CANCEL_RQ,
                Element.MESSAGE_ID_BEING_RESPONDED_TO: request.command_set.message_id,
                Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            }
        )
        self.answer(Command(request.context_id, cancel))

    def answer(self, command: Command) -> None:
        """Send this back to whoever sends on this way."""
        self.other.inject(Own(command))


def all_kept(kept: Sequence[Deferred[None]]) -> Deferred[None]:
    """Fires when all of these have, or fails as the first that does."""
    if len(kept) == 1:
        return kept[0]
    return Deferred.fromCoroutine(_each_kept(kept))


async def _each_kept(kept: Sequence[Deferred[None]]) -> None:
    for index, each in enumerate(kept):
        try:
            await each
        except BaseException:
            for rest in kept[index + 1 :]:
                rest.addErrback(lambda _: None)
            raise


def as_fragment(context_id: int, pieces: Sequence[bytes | memoryview], is_last: bool) -> DataSetFragment:
    """
    Edited bytes as a fragment.  Each view becomes PDUs of its own, so small pieces are put together.
    """
    views: list[memoryview] = []
    run: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) < _LARGE:
            run.append(piece)
            continue
        if run:
            views.append(memoryview(b"".join(run)))
            run = []
        views.append(memoryview(piece))
    if run:
        views.append(memoryview(b"".join(run)))
    return DataSetFragment(context_id, views, is_last)


#: From here on a PDU of its own costs less than the copying.
_LARGE: Final = 32 * 1024
