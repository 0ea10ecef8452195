"""
`Association`: the upper layer and DIMSE on a Twisted transport.

The pure machines say what shall happen; this carries it out and keeps the deadlines:

- ARTIM, and as long a wait for an answer to A-ASSOCIATE-RQ and A-RELEASE-RQ,
- a PDU once begun is complete in time,
- a peer for whom something waits takes it at a minimum rate.

Back-pressure: `pause` stops reading the socket, so that TCP slows the peer down.  What arrives nevertheless (TLS hands
on what it had decrypted) is held until `resume`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, cast

from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines, IWatched
from dimseproxy.association.handshake import why
from dimseproxy.association.interfaces import (
    Established,
    IAssociation,
    IAssociationUser,
    Peer,
)
from dimseproxy.association.limits import MINIMUM_RATE, Limits
from dimseproxy.association.peer_names import peer_names
from dimseproxy.association.stream import ByteStream, stream_over
from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.fragmenter import encode_parts
from dimseproxy.dimse.parts import DataSetFragment, Part
from dimseproxy.errors import (
    AbortReason,
    AbortSource,
    AssociationAborted,
    RemoteProtocolError,
)
from dimseproxy.ul.fragments import CommandFragment
from dimseproxy.ul.machine import Indication, UpperLayer
from dimseproxy.ul.pdu import (
    Abort,
    AssociateAccept,
    AssociateRequest,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.state_table import State

_Fragment = CommandFragment | DataSetFragment
# The layer may be ahead of what the user was told, by what came in the same piece.
_ENDED: Final = frozenset((State.IDLE, State.AWAITING_TRANSPORT_CLOSE))

_numbers = count(1)


def next_number() -> int:
    """The number of a new association, by which the log tells it from all others."""
    return next(_numbers)


@implementer(IAssociation, IWatched)
class Association(Protocol):
    """
    One end of an association; `IncomingAssociation` and `RequestedAssociation` are the two ends there are.
    """

    log = Logger()
    established: Established
    request: AssociateRequest
    peer: Peer
    _stream: ByteStream

    def __init__(self, deadlines: IDeadlines, limits: Limits, *, is_requestor: bool) -> None:
        self.number = next_number()
        self._deadlines = deadlines
        self._clock = deadlines.clock
        self._limits = limits
        self._layer = UpperLayer(is_requestor=is_requestor, max_pdu_length=limits.max_pdu_length, artim=limits.artim)
        self._assembler = Assembler(())
        self._user: IAssociationUser | None = None
        self._paused = False
        self._held: deque[Part | ReleaseRequest | ReleaseResponse] = deque()
        self._is_over = False
        self._ending: AssociationAborted | None = None
        self._closing = False
        self._releases_when_asked = False
        self._responds_when_confirmed = False
        self._is_confirmed = False
        #: The maximum length that the peer announced, 0 for any.
        self._peer_maximum = 0
        #: Whether the peer owes the rest of a message.
        self.is_within_message = False
        #: By when the peer must have answered, or closed.
        self._answer_due: float | None = None
        self._partial: tuple[int, float] | None = None
        self._unsent: tuple[int, float] | None = None
        #: Called once when the transport is gone.
        self.when_gone: Callable[[], None] | None = None

    # The joint

    def use(self, user: IAssociationUser) -> None:
        self._user = user
        if self._ending is not None:
            user.ended(self._ending)
        else:
            self._deliver_held()

    def send(self, parts: Sequence[Part]) -> None:
        if not self._is_over and self._layer.may_send_data:
            self._stream.write(encode_parts(parts, self._peer_maximum))

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._partial = None
            self._stream.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._deliver_held()
            if not self._paused and not self._closing:
                self._stream.resume_reading()

    def release(self) -> None:
        if self._is_over:
            return
        if self._layer.state is State.ESTABLISHED:
            self._layer.request_release(self._clock.seconds())
            self._answer_due = self._clock.seconds() + self._limits.artim
            self._carry_out()
        elif self._layer.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
            # The peer asked first, and the user is still to be told.
            self._releases_when_asked = True

    def respond_release(self) -> None:
        if self._is_over:
            return
        match self._layer.state:
            case State.COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE:
                self._layer.respond_release(self._clock.seconds())
            case State.COLLISION_ACCEPTOR_AWAITING_RELEASE_RP | State.COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE if (
                not self._is_confirmed
            ):
                # Both ends asked: the requestor's response comes first (PS3.8 7.2.2.7).
                self._responds_when_confirmed = True
            case State.AWAITING_LOCAL_RELEASE_RESPONSE | State.COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE:
                self._is_over = True
                self._layer.respond_release(self._clock.seconds())
        self._carry_out()

    def abort(self, source: int = AbortSource.SERVICE_USER, reason: int = 0) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._held.clear()
        self._abort_layer(Abort(source, reason))

    def cut(self) -> None:
        """Close the connection at once, whatever waits."""
        self._is_over = True
        self._closing = True
        self._held.clear()
        self._stream.abort()

    # The transport

    def connectionMade(self) -> None:
        self._stream = stream_over(cast(ITransport, self.transport), self, self._clock)
        self._deadlines.watch(self)
        self._connected(self._clock.seconds())
        self._carry_out()

    @property
    def is_at_rest(self) -> bool:
        """Whether it is established, with nothing on its way: not to the peer, not from it, not to the user."""
        return (
            self._layer.state is State.ESTABLISHED
            and not self._is_over
            and not self._closing
            and not self._held
            and not self.is_within_message
            and not self._stream.waiting
        )

    def read_size(self, limit: int) -> int:
        """How many bytes to read at most, so that they end with a PDU if that can be known."""
        return self._layer.aligned(limit) if self.is_within_message else limit

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        layer = self._layer
        now = self._clock.seconds()
        indications: list[Any] = layer.receive_data(data, now)
        if layer.is_data_only:
            # The machine has nothing to say of its own.
            if self._receive(indications, now):
                return
        else:
            is_broken = False
            for indication in indications:
                if not isinstance(indication, (CommandFragment, DataSetFragment)):
                    self._indicated(indication)
                elif not is_broken and not self._is_over:
                    is_broken = not self._receive([indication], now)
            self.is_within_message = layer.has_partial_pdu or self._assembler.is_within_message
        self._carry_out()
        self._answered_itself()

    def _receive(self, fragments: Sequence[_Fragment], now: float) -> bool:
        """
        Deliver what these complete.

        @return: whether the peer may send what it sent.
        """
        parts: list[Part] = []
        violation = None
        try:
            self._assembler.receive(fragments, parts)
        except RemoteProtocolError as error:
            violation = error
        self.is_within_message = self._layer.has_partial_pdu or self._assembler.is_within_message
        if parts and not self._is_over:
            if self._paused or self._user is None or self._held:
                self._held.extend(parts)
            else:
                self._user.received(parts)
        if violation is None:
            return True
        # The layer may have ended by what came behind it, and has nothing to say: it is no message either.
        for abort in self._layer.protocol_violation(violation, now):
            self._indicated(abort)
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadlines.forget(self)
        self._closing = True
        # As the layer does with a PDU: see `Framer.let_go`.
        self._assembler = Assembler(())
        try:
            for indication in self._layer.transport_closed(self._clock.seconds()):
                if isinstance(indication, Abort):
                    self._end(AssociationAborted(indication.source, indication.reason, why(reason)))
        finally:
            # Whatever its user makes of the end: it takes up no place any longer.
            if self.when_gone is not None:
                self.when_gone()

    def pause_sending(self) -> None:
        """The stream has enough."""
        if self._user is not None and not self._is_over:
            self._user.pause_sending()

    def resume_sending(self) -> None:
        """The stream is empty."""
        if self._user is not None and not self._is_over:
            self._user.resume_sending()

    # Deadlines

    def check(self, now: float) -> None:
        if self._answer_due is not None and now >= self._answer_due:
            self._answer_due = None
            self._miss_deadline("no answer in time")
        if self._layer.deadline is not None and now >= self._layer.deadline:
            if self._layer.state is State.AWAITING_ASSOCIATE_RQ:
                self._read_peer()
                self._log_end(f"from {self.peer.host}: no A-ASSOCIATE-RQ in time")
            self._layer.handle_timer(now)
            # Whoever has not closed by now does not read either.
            self._closing = True
            self._stream.abort()
            return
        self._check_partial_pdu(now)
        self._check_stall(now)

    def _check_partial_pdu(self, now: float) -> None:
        if not self._layer.has_partial_pdu or self._paused or self._closing:
            self._partial = None
        elif self._partial is None or self._partial[0] != self._layer.partial_serial:
            self._partial = (self._layer.partial_serial, now)
        elif now - self._partial[1] >= self._limits.pdu and self._layer.is_established:
            self._miss_deadline("a PDU was not completed in time")

    def _check_stall(self, now: float) -> None:
        if not self._stream.waiting:
            self._unsent = None
        elif self._unsent is None:
            self._unsent = (self._stream.progress, now)
        elif now - self._unsent[1] >= self._limits.stall:
            taken = self._stream.progress - self._unsent[0]
            if taken >= MINIMUM_RATE * self._limits.stall:
                self._unsent = (self._stream.progress, now)
            else:
                self._end(AssociationAborted(AbortSource.SERVICE_PROVIDER, 0, "the peer takes no data"))
                # An A-ABORT would wait behind what the peer does not take.
                self._closing = True
                self._stream.abort()

    def _miss_deadline(self, text: str) -> None:
        reason = AssociationAborted(AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED, text)
        if self._is_over or self._closing:
            # It was told the end before and did not close.
            self._closing = True
            self._stream.abort()
            return
        self._abort_layer(Abort(reason.source, reason.reason))
        self._end(reason)

    # Inside

    def _connected(self, now: float) -> None:
        raise NotImplementedError

    def _establish(self, request: AssociateRequest, accept: AssociateAccept, peer_maximum: int) -> None:
        self.established = Established(request, accept)
        self._peer_maximum = peer_maximum
        self._assembler = Assembler(self.established.contexts)

    def _read_peer(self) -> None:
        address = self.transport.getPeer()  # type: ignore[union-attr]
        self.peer = Peer(
            str(getattr(address, "host", "")), int(getattr(address, "port", 0)), peer_names(self.transport)
        )

    def _answered_itself(self) -> None:
        """The layer may have rejected or aborted what there is no user for yet."""

    def _deliver_held(self) -> None:
        while self._held and not self._paused and self._user is not None and not self._is_over:
            first = self._held.popleft()
            if isinstance(first, (ReleaseRequest, ReleaseResponse)):
                self._deliver_release(first)
            else:
                self._user.received([first])

    def _deliver_release(self, pdu: ReleaseRequest | ReleaseResponse) -> None:
        if self._user is None:
            return
        if isinstance(pdu, ReleaseRequest):
            if not self._releases_when_asked:
                self._user.release_requested()
                return
            self.respond_release()
        self._answer_due = None
        self._is_confirmed = True
        if self._responds_when_confirmed:
            self.respond_release()
        # An acceptor whose request crossed the requestor's still owes its own response.
        self._is_over = self._layer.state is not State.COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE
        self._user.released()

    def _indicated(self, indication: Indication) -> None:
        if isinstance(indication, (ReleaseRequest, ReleaseResponse)):
            self._held.append(indication)
            self._deliver_held()
        elif isinstance(indication, Abort):
            if self._layer.violation is None:
                self._end(AssociationAborted(indication.source, indication.reason))
            else:
                self._end(AssociationAborted(indication.source, indication.reason, str(self._layer.violation)))

    def _end(self, reason: AssociationAborted) -> None:
        """Tell the user the bad end, once."""
        if self._is_over:
            return
        self._is_over = True
        self._held.clear()
        self._answer_due = None
        self._log_end(str(reason))
        self._ending = reason
        if self._user is not None:
            self._user.ended(reason)

    def _log_end(self, text: str) -> None:
        self.log.info("association {number}: {text}", number=self.number, text=text)

    def _abort_layer(self, abort: Abort) -> None:
        if self._layer.state not in _ENDED:
            self._layer.abort(self._clock.seconds(), abort)
        self._carry_out()

    def _carry_out(self) -> None:
        """Send what the machine has to say, and close if it says so."""
        data = self._layer.data_to_send()
        if data:
            self._stream.write([data])
        if self._closing:
            return
        if self._layer.close_transport:
            self._closing = True
            self._answer_due = self._clock.seconds() + self._limits.artim
            self._stream.close()
        elif self._layer.state is State.AWAITING_TRANSPORT_CLOSE:
            # Only who reads sees the peer close.
            self._paused = False
            self._stream.resume_reading()
