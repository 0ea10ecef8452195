"""
C-STORE as an SCU (PS3.4 B): sends objects to whatever answers associations.

Objects are read in steps, in threads, and sent one after the other; each step waits until the association takes it.
An object goes as it is where that is accepted; one without compression may go in another uncompressed transfer syntax.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociation, IAssociationUser, IOutbound
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import is_done
from dimseproxy.errors import AbortSource, AssociationAborted, AssociationFailed
from dimseproxy.outbound.archive.conversion import Conversion
from dimseproxy.outbound.archive.files import InThread
from dimseproxy.outbound.archive.negotiation import UNCOMPRESSED
from dimseproxy.ul.negotiation import own_request
from dimseproxy.ul.pdu import ProposedContext

#: Context ids are odd and have eight bits (PS3.8 9.3.2.2).
MAX_CONTEXTS: Final = 128
#: Seconds that an application may take from the end of an object to its response.
RESPONSE: Final = 300.0
_MAX_MESSAGE_ID: Final = 0xFFFF
_MEDIUM: Final = 0
#: The high byte of "refused: out of resources" (PS3.4 B.2.3).
_OUT_OF_RESOURCES: Final = 0xA7


class Reads(Protocol):
    """A data set that is read in steps.  All of it blocks."""

    @property
    def is_over(self) -> bool:
        """Whether all of it was given."""

    @property
    def total(self) -> int:
        """Its length in bytes."""

    def step(self) -> list[bytes]:
        """The next of it."""


@frozen
class Parcel:
    """
    An object to be sent.

    @ivar read: begins to read its data set; called in a thread.
    """

    sop_class: str
    sop_instance: str = field(repr=False)
    transfer_syntax: str
    read: Callable[[], Reads] = field(repr=False)


@frozen
class Outcome:
    """
    What became of an object.

    @ivar status: of the response; None where there was none, since it was not sent.
    @ivar why: it did not arrive; empty where it did.
    """

    status: int | None
    why: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether the application has it now: success, or a warning."""
        return self.status is not None and is_done(self.status)


class Sender:
    """
    Sends objects, on as many associations as that takes, one after the other.

    @param called: the AE title of the application.
    @param calling: that of ours.
    @param in_thread: where objects are read.
    @param response: seconds that the application may take to answer.
    """

    def __init__(
        self,
        outbound: IOutbound,
        called: str,
        calling: str,
        clock: IReactorTime,
        in_thread: InThread,
        response: float = RESPONSE,
    ) -> None:
        self._outbound = outbound
        self._called = called
        self._calling = calling
        self._clock = clock
        self._in_thread = in_thread
        self._response = response
        self._asking: Deferred[IAssociation] | None = None
        self._line: _Line | None = None
        self._is_over = False

    async def send(self, parcels: Iterable[Parcel], told: Callable[[Parcel, Outcome], Deferred[None] | None]) -> None:
        """
        Send objects in their order.

        @param told: what became of each; the next one waits for what it returns.  Those that it is not told of when
            this fails may have arrived, or not.
        @raise AssociationFailed: there is no association, it ended, or the application has no room for any more.
        """
        waiting = deque(parcels)
        while waiting:
            line = await self._open(_that_fit(waiting))
            try:
                while waiting and line.is_open and line.was_asked_for(waiting[0]):
                    parcel = waiting.popleft()
                    outcome = await line.send(parcel)
                    telling = told(parcel, outcome)
                    if telling is not None:
                        await telling
                    if outcome.status is not None and outcome.status >> 8 == _OUT_OF_RESOURCES:
                        raise AssociationFailed(f"the application is out of resources (status {outcome.status:04X})")
                await line.close()
            except Exception:
                # Not where nobody waits for this any longer, and it is let go of as it is.
                line.abort()
                raise
            finally:
                self._line = None

    def abort(self) -> None:
        """Send no more, and at once: `send` fails."""
        self._is_over = True
        if self._asking is not None:
            self._asking.cancel()
        if self._line is not None:
            self._line.abort()

    async def _open(self, contexts: Sequence[ProposedContext]) -> _Line:
        if self._is_over:
            raise AssociationFailed("sending was ended")
        request = own_request(contexts, (), self._called, self._calling)
        self._asking = self._outbound.associate(request)
        try:
            association = await self._asking
        except CancelledError:
            raise AssociationFailed("sending was ended") from None
        finally:
            self._asking = None
        line = self._line = _Line(association, contexts, self._clock, self._in_thread, self._response)
        association.use(line)
        return line


def _that_fit(parcels: Iterable[Parcel]) -> list[ProposedContext]:
    """
    The contexts for the first of these objects, as many as an association has room for.

    Each transfer syntax has its own, so that the application cannot choose one that an object is not in; what has no
    compression has another for the other ways to write that.
    """
    wanted: dict[tuple[str, tuple[str, ...]], None] = {}
    for parcel in parcels:
        more: list[tuple[str, tuple[str, ...]]] = [(parcel.sop_class, (parcel.transfer_syntax,))]
        if parcel.transfer_syntax in UNCOMPRESSED:
            others = tuple(syntax for syntax in UNCOMPRESSED if syntax != parcel.transfer_syntax)
            more.append((parcel.sop_class, others))
        if len(wanted.keys() | set(more)) > MAX_CONTEXTS:
            break
        wanted.update(dict.fromkeys(more))
    return [ProposedContext(2 * index + 1, *each) for index, each in enumerate(wanted)]


class _Message:
    """One object on its way, from its first bytes on.  Its methods block."""

    def __init__(self, context_id: int, reads: Callable[[], Reads | Conversion]) -> None:
        self.context_id = context_id
        self._source = reads()
        self.pieces = self._source.step()

    @property
    def is_over(self) -> bool:
        """Whether `pieces` are the last."""
        return self._source.is_over

    def go_on(self) -> None:
        """Read on."""
        self.pieces = self._source.step()


@implementer(IAssociationUser)
class _Line:
    """
    One association.

    @param contexts: what was proposed.
    """

    def __init__(
        self,
        association: IAssociation,
        contexts: Collection[ProposedContext],
        clock: IReactorTime,
        in_thread: InThread,
        response: float,
    ) -> None:
        self._association = association
        self._asked_for = {(each.abstract_syntax, syntax) for each in contexts for syntax in each.transfer_syntaxes}
        self._contexts = {
            (context.abstract_syntax, context.transfer_syntax): context_id
            for context_id, context in association.established.contexts.items()
        }
        self._clock = clock
        self._in_thread = in_thread
        self._response = response
        self._last_message_id = 0
        self._error: AssociationFailed | None = None
        self._is_paused = False
        #: The status of the response to the message on its way; it may come before the end of that.
        self._status: int | None = None
        #: Fires when anything changes that something waits for.
        self._change: Deferred[None] | None = None
        self._is_released = False

    @property
    def is_open(self) -> bool:
        """Whether more can be sent."""
        return self._error is None

    def was_asked_for(self, parcel: Parcel) -> bool:
        """Whether the application was asked about objects like this one."""
        return (parcel.sop_class, parcel.transfer_syntax) in self._asked_for

    async def send(self, parcel: Parcel) -> Outcome:
        """
        @raise AssociationFailed: it is over; nobody knows whether the object arrived.
        """
        way = self._way(parcel)
        if way is None:
            return Outcome(None, "its SOP class or transfer syntax is not accepted")
        context_id, transfer_syntax = way
        try:
            message = await self._in_thread(lambda: _opened(parcel, context_id, transfer_syntax))
        except Exception as error:
            # No path and no value.
            return Outcome(None, f"it cannot be read: {type(error).__name__}")
        message_id = self._last_message_id = self._last_message_id % _MAX_MESSAGE_ID + 1
        self._status = None
        request = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: parcel.sop_class,
                Element.COMMAND_FIELD: CommandField.C_STORE_RQ,
                Element.MESSAGE_ID: message_id,
                Element.PRIORITY: _MEDIUM,
                Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS,
                Element.AFFECTED_SOP_INSTANCE_UID: parcel.sop_instance,
            }
        )
        parts: list[Part] = [Command(context_id, request)]
        while True:
            # A peer that takes nothing is the association's to give up.
            await self._until(lambda: not self._is_paused, None)
            views = [memoryview(piece) for piece in message.pieces]
            parts.append(DataSetFragment(context_id, views, message.is_over))
            self._association.send(parts)
            if message.is_over:
                break
            parts = []
            try:
                await self._in_thread(message.go_on)
            except Exception as error:
                # What has begun to leave cannot be taken back, nor may it end here as if it were whole.
                self.abort()
                return Outcome(None, f"it cannot be read: {type(error).__name__}")
        await self._until(lambda: self._status is not None, self._response)
        status = self._status
        assert status is not None
        return Outcome(status, "" if is_done(status) else f"status {status:04X}")

    def _way(self, parcel: Parcel) -> tuple[int, str] | None:
        """The context that it goes in, and the transfer syntax it has to have there."""
        syntaxes = [parcel.transfer_syntax]
        if parcel.transfer_syntax in UNCOMPRESSED:
            syntaxes += UNCOMPRESSED
        for syntax in syntaxes:
            context_id = self._contexts.get((parcel.sop_class, syntax))
            if context_id is not None:
                return context_id, syntax
        return None

    async def close(self) -> None:
        """Release it, or find that it is over."""
        if self._error is None:
            self._association.release()
            # It answers within a deadline of its own, or ends.
            await self._wait(lambda: self._is_released or self._error is not None, None)

    def abort(self) -> None:
        """End it now."""
        if self._error is None:
            self._error = AssociationFailed("sending was ended")
            self._association.abort(AbortSource.SERVICE_USER, 0)
            self._changed()

    # What the association tells

    def received(self, parts: Sequence[Part]) -> None:
        for part in parts:
            # Nothing else was agreed on; what comes nonetheless is not for us.
            if isinstance(part, Command) and self._is_awaited(part.command_set):
                self._status = part.command_set.status
        self._changed()

    def _is_awaited(self, response: CommandSet) -> bool:
        is_last = response.responds_to == self._last_message_id
        return is_last and self._status is None and response.command_field == CommandField.C_STORE_RSP

    def release_requested(self) -> None:
        self._association.respond_release()
        self._end(AssociationFailed("the application released the association"))

    def released(self) -> None:
        self._is_released = True
        self._changed()

    def ended(self, reason: AssociationAborted) -> None:
        self._end(reason)

    def pause_sending(self) -> None:
        self._is_paused = True

    def resume_sending(self) -> None:
        self._is_paused = False
        self._changed()

    def _end(self, reason: AssociationFailed) -> None:
        if self._error is None:
            self._error = reason
            self._changed()

    def _changed(self) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.callback(None)

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> None:
        """
        Wait for something.

        @param seconds: no longer than that; None: for as long as the association lasts.
        @raise AssociationFailed: the association is over, or is ended for having kept us waiting.
        """
        await self._wait(lambda: condition() or self._error is not None, seconds)
        if self._error is None and not condition():
            self.abort()
            raise AssociationFailed("the application did not answer in time")
        if self._error is not None:
            raise self._error

    async def _wait(self, condition: Callable[[], bool], seconds: float | None) -> None:
        late: IDelayedCall | None = None
        is_late = False

        def give_up() -> None:
            nonlocal is_late
            is_late = True
            self._changed()

        if seconds is not None and not condition():
            late = self._clock.callLater(seconds, give_up)
        try:
            while not condition() and not is_late:
                self._change = Deferred()
                await self._change
        finally:
            if late is not None and late.active():
                late.cancel()


def _opened(parcel: Parcel, context_id: int, transfer_syntax: str) -> _Message:
    """Begin to read an object.  This blocks."""
    if transfer_syntax == parcel.transfer_syntax:
        return _Message(context_id, parcel.read)
    source, target = encoding_of(parcel.transfer_syntax), encoding_of(transfer_syntax)
    assert source is not None and target is not None
    # It is converted twice: what has begun to leave must be whole.
    Conversion(parcel.read(), source, target).check()
    return _Message(context_id, lambda: Conversion(parcel.read(), source, target))
