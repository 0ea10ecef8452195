"""
An association whose other end is the archive itself.

Requests are served one after the other, as a caller that negotiated no asynchronous operations window sends them.
What arrives waits in a queue of limited length, beyond which its sender is asked to wait; what the archive sends waits
while its user is paused.

Nothing is answered within the call that asks: as from a peer, answers come in a later turn of the reactor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.interfaces import Established, IAssociation, IAssociationUser, Peer
from dimseproxy.association.protocol import next_number
from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortReason, AbortSource, AssociationAborted, OperationRefused, RemoteProtocolError

log = Logger()

#: What may wait for the disk before its sender has to.
MAX_QUEUED_OCTETS: Final = 2 * 1024 * 1024
#: What a command counts for: some hundred bytes, and the objects around them.
_COMMAND_OCTETS: Final = 1024

#: Serves one request; what it raises ends the association.
Serve = Callable[["ArchiveAssociation", Command], Coroutine[Any, Any, None]]


class AssociationOver(Exception):
    """Nobody is at the other end any longer."""


@implementer(IAssociation)
class ArchiveAssociation:
    """
    @param serve: called with each request, in order; it reads the request's data set, and sends the responses.
    """

    def __init__(self, established: Established, serve: Serve, clock: IReactorTime) -> None:
        self.number = next_number()
        self.peer = Peer("", 0)
        self.established = established
        self._serve = serve
        self._clock = clock
        self._user: IAssociationUser | None = None
        self._queue: deque[Part] = deque()
        self._queued = 0
        self._is_holding = False
        self._arrival: Deferred[None] | None = None
        self._is_paused = False
        self._resumption: Deferred[None] | None = None
        self._serving: int | None = None
        self._cancelled: set[int] = set()
        #: None comes where no response will.
        self._responses: dict[int, Deferred[Command | None]] = {}
        self._shall_release = False
        #: Whether more is to come of the data set of the request that is being served.
        self._is_within = False
        self._is_over = False

    # What its user does

    def use(self, user: IAssociationUser) -> None:
        first, self._user = self._user is None, user
        if first:
            Deferred.fromCoroutine(self._run()).addErrback(self._broken)

    def send(self, parts: Sequence[Part]) -> None:
        if self._is_over:
            return
        for part in parts:
            if isinstance(part, Command) and self._is_for_the_running(part):
                continue
            self._queue.append(part)
            self._queued += _octets(part)
        self._balance()
        self._wake()

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        resumption, self._resumption = self._resumption, None
        if resumption is not None:
            self._clock.callLater(0.0, resumption.callback, None)

    def release(self) -> None:
        self._shall_release = True
        # Who wants to go owes no responses any longer.
        self._forget_responses()
        self._wake()

    def respond_release(self) -> None:
        """The archive never asks for release."""

    def abort(self, source: int, reason: int) -> None:
        self._end()

    # What those who serve need

    async def data_set(self) -> DataSetFragment:
        """
        The next fragment of the data set of the request that is being served.

        @raise AssociationOver: it will not come.
        """
        part = await self._next()
        if not isinstance(part, DataSetFragment):
            raise RemoteProtocolError("a command interrupts a data set", AbortReason.UNEXPECTED_PARAMETER)
        self._is_within = not part.is_last
        return part

    async def whole_data_set(self, limit: int) -> bytes:
        """
        The data set of the request that is being served.

        @param limit: in bytes.
        @raise OperationRefused: it is longer.
        @raise AssociationOver: it will not come.
        """
        data = bytearray()
        while self._is_within:
            fragment = await self.data_set()
            if len(data) + fragment.data_length > limit:
                raise OperationRefused(Status.OUT_OF_RESOURCES, "The data set is too long")
            for view in fragment.views:
                data += view
        return bytes(data)

    async def skip_data_set(self) -> None:
        """
        Read what is left of the data set of the request that is being served: whoever sends it hears nothing before.

        @raise AssociationOver: it will not come.
        """
        while self._is_within:
            await self.data_set()

    async def deliver(self, parts: Sequence[Part]) -> None:
        """
        Send to the user, when it takes something.

        @raise AssociationOver: it will take nothing any longer.
        """
        while self._is_paused and not self._is_over:
            self._resumption = Deferred()
            await self._resumption
        if self._is_over or self._user is None:
            raise AssociationOver
        self._user.received(parts)

    def expect(self, message_id: int) -> None:
        """A request of ours will be sent; its response may come before all of its data set is."""
        self._responses[message_id] = Deferred()
        if self._shall_release:
            # Who wants to go answers nothing any longer.
            self._forget_responses()

    async def response(self, message_id: int) -> Command:
        """
        The response to a request that is expected.

        @raise AssociationOver: it will not come.
        """
        waiting = self._responses.get(message_id)
        response = None if waiting is None or self._is_over else await waiting
        self._responses.pop(message_id, None)
        if response is None:
            raise AssociationOver
        return response

    def is_cancelled(self, message_id: int) -> bool:
        """Whether a C-CANCEL came for this."""
        return message_id in self._cancelled

    def is_wanted(self, message_id: int) -> bool:
        """Whether somebody still waits for what this asked for; to be asked in any thread."""
        return not (self._is_over or self._shall_release or message_id in self._cancelled)

    def check(self) -> None:
        """
        See that somebody is still there, before work that sends nothing.

        @raise AssociationOver: nobody waits for an answer any longer.
        """
        if self._is_over or self._shall_release:
            raise AssociationOver

    # The inner life

    async def _run(self) -> None:
        try:
            while True:
                part = await self._next()
                if not isinstance(part, Command):
                    raise RemoteProtocolError("a data set belongs to no message", AbortReason.UNEXPECTED_PARAMETER)
                self._serving = part.command_set.message_id
                self._is_within = part.command_set.has_data_set
                await self._serve(self, part)
                await self.skip_data_set()
                self._cancelled.discard(self._serving)
                self._serving = None
        except AssociationOver:
            if self._shall_release and not self._is_over:
                self._released()

    async def _next(self) -> Part:
        while not self._queue:
            if self._is_over or self._shall_release:
                raise AssociationOver
            self._arrival = Deferred()
            await self._arrival
        if self._is_over:
            raise AssociationOver
        part = self._queue.popleft()
        self._queued -= _octets(part)
        self._balance()
        return part

    def _is_for_the_running(self, command: Command) -> bool:
        """Whether this concerns a request that is being served, or waits for it; it is taken note of then."""
        command_set = command.command_set
        if command_set.command_field == CommandField.C_CANCEL_RQ:
            # Of nothing that is known, it comes too late (PS3.7 9.3.2.3).
            if command_set.responds_to == self._serving or any(
                isinstance(part, Command) and part.command_set.message_id == command_set.responds_to
                for part in self._queue
            ):
                self._cancelled.add(command_set.responds_to)
            return True
        if not command_set.is_response:
            return False
        waiting = self._responses.get(command_set.responds_to)
        if waiting is not None and not waiting.called:
            self._clock.callLater(0.0, _settle, waiting, command)
        return True

    def _balance(self) -> None:
        shall_hold = self._queued > MAX_QUEUED_OCTETS
        if self._user is not None and shall_hold != self._is_holding:
            self._is_holding = shall_hold
            if shall_hold:
                self._user.pause_sending()
            else:
                self._user.resume_sending()

    def _wake(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self._clock.callLater(0.0, arrival.callback, None)

    def _forget_responses(self) -> None:
        for waiting in self._responses.values():
            self._clock.callLater(0.0, _settle, waiting, None)

    def _released(self) -> None:
        self._end()
        if self._user is not None:
            self._user.released()

    def _end(self) -> None:
        self._is_over = True
        self._queue.clear()
        self._queued = 0
        self._forget_responses()
        self._wake()
        self.resume()

    def _broken(self, failure: Failure) -> None:
        """A request could not be served: the association ends as one to a peer would."""
        error = failure.value
        if isinstance(error, RemoteProtocolError):
            reason = error.reason
            log.info("association {number}: {error}", number=self.number, error=str(error))
        else:
            reason = AbortReason.NOT_SPECIFIED
            # Without the traceback: its values may be somebody's.
            log.error("association {number}: broken: {kind}", number=self.number, kind=type(error).__name__)
        was_over = self._is_over
        self._end()
        if self._user is not None and not was_over:
            self._user.ended(AssociationAborted(AbortSource.SERVICE_PROVIDER, reason, "the archive ended it"))


def _octets(part: Part) -> int:
    return part.octets if isinstance(part, DataSetFragment) else _COMMAND_OCTETS


def _settle(waiting: Deferred[Command | None], response: Command | None) -> None:
    if not waiting.called:
        waiting.callback(response)
