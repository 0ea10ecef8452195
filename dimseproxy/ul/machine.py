"""
The upper layer of one association, pure (PS3.8 9.2).

The caller feeds what happens (bytes, primitives, the passing of time) and carries out what follows:

- the returned indications, in order,
- `data_to_send()`, the bytes for the peer,
- `close_transport`, set when the transport connection shall be closed,
- `deadline`, the time at which ARTIM expires.

Time is any clock in seconds; it is only compared with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dimseproxy.errors import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AbortReason,
    AbortSource,
    LocalProtocolError,
    Rejection,
    RemoteProtocolError,
)
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment
from dimseproxy.ul.framer import ControlPdu, Framer, InvalidPdu
from dimseproxy.ul.pdu import (
    DICOM_APPLICATION_CONTEXT,
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Pdu,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.state_table import NEXT_STATES, Action, Event, State, next_action

#: What the user of the upper layer is told.
Indication = Pdu | CommandFragment | DataSetFragment

_PDU_EVENTS: Final[dict[type, Event]] = {
    AssociateRequest: Event.A_ASSOCIATE_RQ_PDU,
    AssociateAccept: Event.A_ASSOCIATE_AC_PDU,
    AssociateReject: Event.A_ASSOCIATE_RJ_PDU,
    ReleaseRequest: Event.A_RELEASE_RQ_PDU,
    ReleaseResponse: Event.A_RELEASE_RP_PDU,
    Abort: Event.A_ABORT_PDU,
}

# A plain name, for what is asked of every PDU.
_ESTABLISHED: Final = State.ESTABLISHED
_SENDING: Final = frozenset((State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE_RESPONSE))
_PROVIDER_ABORT = Abort(AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED)


class UpperLayer:
    """
    @param is_requestor: which end of the association this is.
    @param max_pdu_length: the longest P-DATA-TF that is read, counted as the maximum length is.
    @param artim: ARTIM in seconds (PS3.8 9.1.5).
    """

    def __init__(self, *, is_requestor: bool, max_pdu_length: int, artim: float) -> None:
        self._is_requestor = is_requestor
        self._artim = artim
        self._framer = Framer(max_pdu_length)
        #: See `Framer`.
        self.aligned = self._framer.aligned
        self._out: list[bytes] = []
        self._indications: list[Indication] = []
        self.state = State.IDLE
        self.deadline: float | None = None
        self.close_transport = False
        #: Whether a P-DATA request has an action now (DT-1, AR-7).  The PDUs themselves are built by the caller, who
        #: owns their bytes.
        self.may_send_data = False
        #: Whether the peer owes the rest of a PDU.
        self.has_partial_pdu = False
        #: Whether the indications that were last returned are fragments, all of them, and nothing else came of it.
        self.is_data_only = False
        #: What a peer did wrong, where it did: for the log.
        self.violation: RemoteProtocolError | None = None
        #: The request that was rejected here, its user not asked, and why: for the log.
        self.rejected: tuple[AssociateRequest, str] | None = None

    # What happens on the transport

    def transport_connected(self, now: float, request: AssociateRequest | None = None) -> None:
        """
        The transport connection is there.

        @param request: what a requestor asks for.
        """
        if self._is_requestor:
            self._fire(Event.A_ASSOCIATE_REQUEST, now)
            self._fire(Event.TRANSPORT_CONNECT_CONFIRMATION, now, request)
        else:
            self._fire(Event.TRANSPORT_CONNECT_INDICATION, now)

    def receive_data(self, data: bytes, now: float) -> list[Indication]:
        """Bytes from the peer, cut anywhere."""
        framer = self._framer
        frames: list[Any] = framer.receive_data(data)
        self.has_partial_pdu = framer.has_partial_pdu
        self.is_data_only = framer.is_data_only and self.state is _ESTABLISHED
        if self.is_data_only:
            # DT-2 without the table: this is where the megabytes pass.
            return frames
        for frame in frames:
            if isinstance(frame, (CommandFragment, DataSetFragment)):
                self._fire(Event.P_DATA_TF_PDU, now, frame)
            elif isinstance(frame, InvalidPdu):
                self._invalid(frame.error, now)
            else:
                self._control(frame, now)
        return self._take_indications()

    def transport_closed(self, now: float) -> list[Indication]:
        """The transport connection is gone."""
        self._framer.let_go()
        self._fire(Event.TRANSPORT_CLOSED, now)
        return self._take_indications()

    def handle_timer(self, now: float) -> None:
        """To be called when `deadline` has passed; early calls do nothing."""
        if self.deadline is not None and now >= self.deadline:
            self._fire(Event.ARTIM_EXPIRED, now)

    # Primitives of the service user

    def accept(self, accept: AssociateAccept, now: float) -> None:
        """A-ASSOCIATE response, accepting."""
        self._fire(Event.A_ASSOCIATE_RESPONSE_ACCEPT, now, accept)

    def reject(self, rejection: Rejection, now: float) -> None:
        """A-ASSOCIATE response, rejecting."""
        self._fire(Event.A_ASSOCIATE_RESPONSE_REJECT, now, AssociateReject(rejection))

    def request_release(self, now: float) -> None:
        """A-RELEASE request."""
        self._fire(Event.A_RELEASE_REQUEST, now)

    def respond_release(self, now: float) -> None:
        """A-RELEASE response."""
        self._fire(Event.A_RELEASE_RESPONSE, now)

    def abort(self, now: float, abort: Abort) -> None:
        """
        A-ABORT request.

        @param abort: what the peer is told; an abort that crosses from another leg keeps its source and reason.
        """
        self._fire(Event.A_ABORT_REQUEST, now, abort)

    def protocol_violation(self, error: RemoteProtocolError, now: float) -> list[Indication]:
        """A layer above found that the peer sent what it must not."""
        self._invalid(error, now)
        return self._take_indications()

    # What the caller carries out, and may ask

    def data_to_send(self) -> bytes:
        """The PDUs that are due, once."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def partial_serial(self) -> int:
        """Tells one partial PDU from the next (see `Framer`)."""
        return self._framer.partial_serial

    @property
    def is_established(self) -> bool:
        """Whether data may flow, in at least one direction."""
        return self.state in (State.ESTABLISHED, State.AWAITING_LOCAL_RELEASE_RESPONSE, State.AWAITING_RELEASE_RP)

    def _take_indications(self) -> list[Indication]:
        indications, self._indications = self._indications, []
        return indications

    # The machine

    def _control(self, frame: ControlPdu, now: float) -> None:
        try:
            pdu = decode(frame.pdu_type, frame.body)
        except RemoteProtocolError as error:
            self._invalid(error, now)
        else:
            self._fire(_PDU_EVENTS[type(pdu)], now, pdu)

    def _invalid(self, error: RemoteProtocolError, now: float) -> None:
        if self.violation is None and self.state is not State.AWAITING_TRANSPORT_CLOSE:
            self.violation = error
        self._fire(Event.INVALID_PDU, now, Abort(AbortSource.SERVICE_PROVIDER, error.reason))

    def _fire(self, event: Event, now: float, payload: Indication | None = None) -> None:
        action = next_action(event, self.state)
        if action is None:
            self._answer_empty_cell(event)
            return
        states = NEXT_STATES[action]
        choice = _PERFORMING[action](self, event, payload, now)
        self.state = states[choice or 0]
        self.may_send_data = self.state in _SENDING

    def _answer_empty_cell(self, event: Event) -> None:
        """
        A cell without an action.  Bytes that trail behind the end, and a timer that lost a race, mean nothing; anything
        else is a mistake of ours.
        """
        if event in _PDU_EVENTS.values() or event in (
            Event.P_DATA_TF_PDU,
            Event.INVALID_PDU,
            Event.TRANSPORT_CLOSED,
            Event.ARTIM_EXPIRED,
        ):
            return
        raise LocalProtocolError(f"{event.name} has no action in {self.state.value}")

    # The actions: each returns which of its next states follows, nothing for the first

    def _do_nothing(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-6; and AE-1, DT-1 and AR-7, which the caller carries out."""

    def _send_what_is_given(self, event: Event, payload: Indication | None, now: float) -> None:
        """AE-2, AE-7."""
        self._send(payload)

    def _send_rejection(self, event: Event, payload: Indication | None, now: float) -> None:
        """AE-8."""
        self._send(payload)
        self._start_artim(now)

    def _send_release_rq(self, event: Event, payload: Indication | None, now: float) -> None:
        """AR-1."""
        self._send(ReleaseRequest())

    def _send_release_rp(self, event: Event, payload: Indication | None, now: float) -> None:
        """AR-4."""
        self._send(ReleaseResponse())
        self._start_artim(now)

    def _send_release_rp_in_collision(self, event: Event, payload: Indication | None, now: float) -> None:
        """AR-9."""
        self._send(ReleaseResponse())

    def _indicate_what_came(self, event: Event, payload: Indication | None, now: float) -> None:
        """AE-3, DT-2, AR-2, AR-6, AR-10."""
        self._indicate(payload)

    def _indicate_and_close(self, event: Event, payload: Indication | None, now: float) -> None:
        """AE-4, AR-3, AA-3."""
        self._indicate(payload)
        self.close_transport = True

    def _indicate_collision(self, event: Event, payload: Indication | None, now: float) -> int:
        """AR-8."""
        self._indicate(payload)
        return 0 if self._is_requestor else 1

    def _wait_for_request(self, event: Event, payload: Indication | None, now: float) -> None:
        """AE-5."""
        self._start_artim(now)

    def _forget_artim(self, event: Event, payload: Indication | None, now: float) -> None:
        """AR-5, AA-5."""
        self.deadline = None

    def _close(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-2."""
        self.deadline = None
        self.close_transport = True

    def _send_user_abort(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-1."""
        # What the peer sent wrong before there was an association is answered by the user part.
        self._send(payload if event is Event.A_ABORT_REQUEST else Abort(AbortSource.SERVICE_USER, 0))
        self._start_artim(now)

    def _indicate_provider_abort(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-4."""
        self._indicate(_PROVIDER_ABORT)

    def _send_abort_again(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-7."""
        self._send(self._provider_abort(event, payload))

    def _send_provider_abort(self, event: Event, payload: Indication | None, now: float) -> None:
        """AA-8."""
        abort = self._provider_abort(event, payload)
        self._send(abort)
        self._indicate(abort)
        self._start_artim(now)

    def _indicate_or_reject(self, event: Event, payload: Indication | None, now: float) -> int:
        """AE-6."""
        if not isinstance(payload, AssociateRequest):
            raise LocalProtocolError("AE-6 without an A-ASSOCIATE-RQ")
        self.deadline = None
        if not payload.protocol_version & 1:
            rejection, why = PROTOCOL_VERSION_NOT_SUPPORTED, "the protocol version is not 1"
        elif payload.application_context != DICOM_APPLICATION_CONTEXT:
            rejection, why = APPLICATION_CONTEXT_NOT_SUPPORTED, "the application context is not that of DICOM"
        else:
            self._indicate(payload)
            return 0
        self.rejected = payload, why
        self._send(AssociateReject(rejection))
        self._start_artim(now)
        return 1

    def _provider_abort(self, event: Event, payload: Indication | None) -> Abort:
        if event is Event.INVALID_PDU and isinstance(payload, Abort):
            return payload
        if self.violation is None:
            self.violation = RemoteProtocolError(f"{event.name} in {self.state.value}", AbortReason.UNEXPECTED_PDU)
        return Abort(AbortSource.SERVICE_PROVIDER, AbortReason.UNEXPECTED_PDU)

    def _start_artim(self, now: float) -> None:
        self.deadline = now + self._artim

    def _send(self, payload: Indication | None) -> None:
        if payload is None or isinstance(payload, (CommandFragment, DataSetFragment)):
            raise LocalProtocolError("there is no PDU to send")
        self._out.append(encode(payload))

    def _indicate(self, payload: Indication | None) -> None:
        if payload is None:
            raise LocalProtocolError("there is nothing to indicate")
        self._indications.append(payload)


_PERFORMING: Final[dict[Action, Callable[[UpperLayer, Event, Indication | None, float], int | None]]] = {
    Action.OPEN_TRANSPORT: UpperLayer._do_nothing,
    Action.SEND_ASSOCIATE_RQ: UpperLayer._send_what_is_given,
    Action.CONFIRM_ACCEPTANCE: UpperLayer._indicate_what_came,
    Action.CONFIRM_REJECTION: UpperLayer._indicate_and_close,
    Action.START_ARTIM: UpperLayer._wait_for_request,
    Action.INDICATE_OR_REJECT_REQUEST: UpperLayer._indicate_or_reject,
    Action.SEND_ASSOCIATE_AC: UpperLayer._send_what_is_given,
    Action.SEND_ASSOCIATE_RJ: UpperLayer._send_rejection,
    Action.SEND_P_DATA: UpperLayer._do_nothing,
    Action.INDICATE_P_DATA: UpperLayer._indicate_what_came,
    Action.SEND_RELEASE_RQ: UpperLayer._send_release_rq,
    Action.INDICATE_RELEASE: UpperLayer._indicate_what_came,
    Action.CONFIRM_RELEASE_AND_CLOSE: UpperLayer._indicate_and_close,
    Action.SEND_RELEASE_RP: UpperLayer._send_release_rp,
    Action.STOP_ARTIM: UpperLayer._forget_artim,
    Action.INDICATE_P_DATA_DURING_RELEASE: UpperLayer._indicate_what_came,
    Action.SEND_P_DATA_DURING_RELEASE: UpperLayer._do_nothing,
    Action.INDICATE_RELEASE_COLLISION: UpperLayer._indicate_collision,
    Action.SEND_RELEASE_RP_IN_COLLISION: UpperLayer._send_release_rp_in_collision,
    Action.CONFIRM_RELEASE: UpperLayer._indicate_what_came,
    Action.SEND_USER_ABORT: UpperLayer._send_user_abort,
    Action.CLOSE_TRANSPORT: UpperLayer._close,
    Action.INDICATE_ABORT_AND_CLOSE: UpperLayer._indicate_and_close,
    Action.INDICATE_PROVIDER_ABORT: UpperLayer._indicate_provider_abort,
    Action.FORGET_TRANSPORT: UpperLayer._forget_artim,
    Action.IGNORE_PDU: UpperLayer._do_nothing,
    Action.SEND_ABORT_AGAIN: UpperLayer._send_abort_again,
    Action.SEND_PROVIDER_ABORT: UpperLayer._send_provider_abort,
}
