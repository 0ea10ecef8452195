"""
The upper layer as a machine: every cell of Table 9-10 is played.

A cell's test brings a machine into the state by a history of bytes and primitives, lets the event happen, and compares
all that can be seen with what Tables 9-6 to 9-9 say of the action: bytes sent, indications, closing, ARTIM, next state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.errors import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AbortReason,
    LocalProtocolError,
    Rejection,
    RemoteProtocolError,
)
from dimseproxy.ul.codec import encode
from dimseproxy.ul.fragments import DataSetFragment
from dimseproxy.ul.machine import Indication, UpperLayer
from dimseproxy.ul.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.state_table import Event, State
from tests.ul.test_state_table import AFTER, typed_table
from tests.ul.vectors import VECTORS
from tests.ul.wire import RELEASE_RP, RELEASE_RQ, abort, associate_rq, p_data, pdv, proposed, reject

ARTIM: Final = 30.0
_NOW: Final = 1000.0
_LATER: Final = 1007.0

_request = VECTORS["A-ASSOCIATE-RQ, minimal"].value
_accept = VECTORS["A-ASSOCIATE-AC"].value
assert isinstance(_request, AssociateRequest)
assert isinstance(_accept, AssociateAccept)
REQUEST: Final[AssociateRequest] = _request
ACCEPT: Final[AssociateAccept] = _accept
RQ_PDU: Final = VECTORS["A-ASSOCIATE-RQ, minimal"].encoded
AC_PDU: Final = VECTORS["A-ASSOCIATE-AC"].encoded
RJ_PDU: Final = reject(1, 1, 7)
DATA_PDU: Final = p_data(pdv(1, 2, b"data"))
INVALID: Final = b"\x99"
REJECTED: Final = AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED)


def layer(*, is_requestor: bool = False) -> UpperLayer:
    return UpperLayer(is_requestor=is_requestor, max_pdu_length=16384, artim=ARTIM)


# Histories: how a machine gets into each state.


def _idle() -> UpperLayer:
    return layer()


def _awaiting_request() -> UpperLayer:
    machine = layer()
    machine.transport_connected(_NOW)
    return machine


def _awaiting_response() -> UpperLayer:
    machine = _awaiting_request()
    machine.receive_data(RQ_PDU, _NOW)
    return machine


def _awaiting_transport() -> UpperLayer:
    machine = layer(is_requestor=True)
    # The machine's caller connects first; the state is passed through within `transport_connected`.
    machine._fire(Event.A_ASSOCIATE_REQUEST, _NOW)
    return machine


def _awaiting_answer() -> UpperLayer:
    machine = layer(is_requestor=True)
    machine.transport_connected(_NOW, REQUEST)
    return machine


def _established() -> UpperLayer:
    machine = _awaiting_response()
    machine.accept(ACCEPT, _NOW)
    return machine


def _requestor_established() -> UpperLayer:
    machine = _awaiting_answer()
    machine.receive_data(AC_PDU, _NOW)
    return machine


def _releasing() -> UpperLayer:
    machine = _established()
    machine.request_release(_NOW)
    return machine


def _asked_for_release() -> UpperLayer:
    machine = _established()
    machine.receive_data(RELEASE_RQ, _NOW)
    return machine


def _requestor_collision() -> UpperLayer:
    machine = _requestor_established()
    machine.request_release(_NOW)
    machine.receive_data(RELEASE_RQ, _NOW)
    return machine


def _acceptor_collision() -> UpperLayer:
    machine = _releasing()
    machine.receive_data(RELEASE_RQ, _NOW)
    return machine


def _requestor_collision_answered() -> UpperLayer:
    machine = _requestor_collision()
    machine.respond_release(_NOW)
    return machine


def _acceptor_collision_confirmed() -> UpperLayer:
    machine = _acceptor_collision()
    machine.receive_data(RELEASE_RP, _NOW)
    return machine


def _awaiting_close() -> UpperLayer:
    machine = _awaiting_response()
    machine.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, _NOW)
    return machine


HISTORIES: Final[Mapping[str, Callable[[], UpperLayer]]] = {
    "Sta1": _idle,
    "Sta2": _awaiting_request,
    "Sta3": _awaiting_response,
    "Sta4": _awaiting_transport,
    "Sta5": _awaiting_answer,
    "Sta6": _established,
    "Sta7": _releasing,
    "Sta8": _asked_for_release,
    "Sta9": _requestor_collision,
    "Sta10": _acceptor_collision,
    "Sta11": _requestor_collision_answered,
    "Sta12": _acceptor_collision_confirmed,
    "Sta13": _awaiting_close,
}

#: In which states ARTIM runs.
TIMED: Final = frozenset(("Sta2", "Sta13"))

# Events: what happens to a machine, and what its caller is told.

_Happening = Callable[[UpperLayer], "list[Indication] | None"]


def _request_data(machine: UpperLayer) -> None:
    """The one primitive that the caller carries out itself, if it may."""
    if not machine.may_send_data:
        raise LocalProtocolError("no data now")


#: The first two and the fifth are parts of `transport_connected`, which fires them where they belong.
EVENTS: Final[Mapping[str, _Happening]] = {
    "Evt1": lambda machine: machine._fire(Event.A_ASSOCIATE_REQUEST, _LATER),
    "Evt2": lambda machine: machine._fire(Event.TRANSPORT_CONNECT_CONFIRMATION, _LATER, REQUEST),
    "Evt3": lambda machine: machine.receive_data(AC_PDU, _LATER),
    "Evt4": lambda machine: machine.receive_data(RJ_PDU, _LATER),
    "Evt5": lambda machine: machine._fire(Event.TRANSPORT_CONNECT_INDICATION, _LATER),
    "Evt6": lambda machine: machine.receive_data(RQ_PDU, _LATER),
    "Evt7": lambda machine: machine.accept(ACCEPT, _LATER),
    "Evt8": lambda machine: machine.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, _LATER),
    "Evt9": lambda machine: _request_data(machine),
    "Evt10": lambda machine: machine.receive_data(DATA_PDU, _LATER),
    "Evt11": lambda machine: machine.request_release(_LATER),
    "Evt12": lambda machine: machine.receive_data(RELEASE_RQ, _LATER),
    "Evt13": lambda machine: machine.receive_data(RELEASE_RP, _LATER),
    "Evt14": lambda machine: machine.respond_release(_LATER),
    "Evt15": lambda machine: machine.abort(_LATER, Abort(2, 5)),
    "Evt16": lambda machine: machine.receive_data(abort(2, 1), _LATER),
    "Evt17": lambda machine: machine.transport_closed(_LATER),
    "Evt18": lambda machine: machine.handle_timer(_NOW + ARTIM),
    "Evt19": lambda machine: machine.receive_data(INVALID, _LATER),
}

#: The events that a peer or the clock causes: in an empty cell they mean nothing. Others are a mistake of our own.
FROM_OUTSIDE: Final = frozenset(("Evt3", "Evt4", "Evt6", "Evt10", "Evt12", "Evt13", "Evt16", "Evt17", "Evt18", "Evt19"))


@frozen
class Effect:
    """
    What an action does to the outside.

    @ivar artim: "start", "stop", or "" where it stays as it was.
    """

    sent: bytes = b""
    indicated: tuple[str, ...] = ()
    closes: bool = False
    artim: str = ""


#: Tables 9-6 to 9-9. What AA-1, AA-7 and AA-8 send depends on the event, see `expected`.
EFFECTS: Final[Mapping[str, Effect]] = {
    "AE-1": Effect(),
    "AE-2": Effect(sent=RQ_PDU),
    "AE-3": Effect(indicated=("AssociateAccept",)),
    "AE-4": Effect(indicated=("AssociateReject",), closes=True),
    "AE-5": Effect(artim="start"),
    "AE-6": Effect(indicated=("AssociateRequest",), artim="stop"),
    "AE-7": Effect(sent=AC_PDU),
    "AE-8": Effect(sent=RJ_PDU, artim="start"),
    "DT-1": Effect(),
    "DT-2": Effect(indicated=("DataSetFragment",)),
    "AR-1": Effect(sent=RELEASE_RQ),
    "AR-2": Effect(indicated=("ReleaseRequest",)),
    "AR-3": Effect(indicated=("ReleaseResponse",), closes=True),
    "AR-4": Effect(sent=RELEASE_RP, artim="start"),
    "AR-5": Effect(artim="stop"),
    "AR-6": Effect(indicated=("DataSetFragment",)),
    "AR-7": Effect(),
    "AR-8": Effect(indicated=("ReleaseRequest",)),
    "AR-9": Effect(sent=RELEASE_RP),
    "AR-10": Effect(indicated=("ReleaseResponse",)),
    "AA-1": Effect(sent=abort(0, 0), artim="start"),
    "AA-2": Effect(closes=True, artim="stop"),
    "AA-3": Effect(indicated=("Abort",), closes=True),
    "AA-4": Effect(indicated=("Abort",)),
    "AA-5": Effect(artim="stop"),
    "AA-6": Effect(),
    "AA-7": Effect(sent=abort(2, 2)),
    "AA-8": Effect(sent=abort(2, 2), indicated=("Abort",), artim="start"),
}

_NEXT: Final = {action: states.split(",") for action, _, states in (word.partition(":") for word in AFTER.split())}


def expected(action: str, event: str) -> Effect:
    """The effect of an action that this event leads to."""
    effect = EFFECTS[action]
    if action == "AA-1" and event == "Evt15":
        return evolve(effect, sent=abort(2, 5))
    if action in ("AA-7", "AA-8") and event == "Evt19":
        return evolve(effect, sent=abort(2, AbortReason.UNRECOGNIZED_PDU))
    return effect


def next_state(action: str, machine_is_requestor: bool) -> str:
    """The state that follows; the second of two is for an acceptor (AR-8), or for a refused request (AE-6)."""
    states = _NEXT[action]
    return f"Sta{states[1] if action == 'AR-8' and not machine_is_requestor else states[0]}"


class CellTests(SynchronousTestCase):
    """One test a cell is made below: 247."""

    def play(self, event: str, state: str) -> None:
        machine = HISTORIES[state]()
        self.assertEqual(machine.state.value, state)
        machine.data_to_send()
        deadline = machine.deadline
        self.assertEqual(deadline is not None, state in TIMED)
        action = typed_table().get((event, state))
        if action is None:
            self.play_empty(machine, event, state)
            return
        is_requestor = state in ("Sta4", "Sta5", "Sta9", "Sta11")
        effect = expected(action, event)
        indications = EVENTS[event](machine) or []
        self.assertEqual(machine.data_to_send().hex(), effect.sent.hex())
        self.assertEqual(tuple(type(each).__name__ for each in indications), effect.indicated)
        self.assertEqual(machine.close_transport, effect.closes)
        deadlines = {"start": _LATER + ARTIM, "stop": None, "": deadline}
        self.assertEqual(machine.deadline, deadlines[effect.artim])
        self.assertEqual(machine.state.value, next_state(action, is_requestor))

    def play_empty(self, machine: UpperLayer, event: str, state: str) -> None:
        deadline = machine.deadline
        if event in FROM_OUTSIDE:
            self.assertFalse(EVENTS[event](machine))
        else:
            self.assertRaises(LocalProtocolError, EVENTS[event], machine)
        seen = (machine.state.value, machine.data_to_send(), machine.close_transport, machine.deadline)
        self.assertEqual(seen, (state, b"", False, deadline))


def _cell_tests() -> None:
    for state in HISTORIES:
        for event in EVENTS:

            def play(self: CellTests, event: str = event, state: str = state) -> None:
                self.play(event, state)

            setattr(CellTests, f"test_{event}_in_{state}", play)


_cell_tests()


class PlaybookTests(SynchronousTestCase):
    def test_every_cell_is_played(self) -> None:
        self.assertEqual(len([name for name in dir(CellTests) if name.startswith("test_Evt")]), 247)

    def test_an_expired_artim_is_no_mistake_where_it_does_not_run(self) -> None:
        for state, history in HISTORIES.items():
            if state not in TIMED:
                machine = history()
                machine._fire(Event.ARTIM_EXPIRED, _LATER)
                self.assertEqual(machine.state.value, state)


class AssociateTests(SynchronousTestCase):
    def test_the_request_is_indicated_as_decoded(self) -> None:
        self.assertEqual(_awaiting_request().receive_data(RQ_PDU, _NOW), [REQUEST])

    def test_the_answer_is_indicated_as_decoded(self) -> None:
        self.assertEqual(_awaiting_answer().receive_data(AC_PDU, _NOW), [ACCEPT])

    def test_a_rejection_is_indicated_as_decoded(self) -> None:
        self.assertEqual(_awaiting_answer().receive_data(RJ_PDU, _NOW), [REJECTED])

    def assert_rejects(self, request: AssociateRequest, rejection: Rejection) -> None:
        machine = _awaiting_request()
        self.assertEqual(machine.receive_data(encode(request), _LATER), [])
        self.assertEqual(machine.data_to_send(), encode(AssociateReject(rejection)))
        self.assertEqual((machine.state, machine.deadline), (State.AWAITING_TRANSPORT_CLOSE, _LATER + ARTIM))

    def test_another_protocol_version_is_rejected(self) -> None:
        self.assert_rejects(evolve(REQUEST, protocol_version=2), PROTOCOL_VERSION_NOT_SUPPORTED)

    def test_a_further_protocol_version_beside_ours_is_not(self) -> None:
        self.assertEqual(len(_awaiting_request().receive_data(encode(evolve(REQUEST, protocol_version=3)), _NOW)), 1)

    def test_another_application_context_is_rejected(self) -> None:
        self.assert_rejects(evolve(REQUEST, application_context="1.2.3"), APPLICATION_CONTEXT_NOT_SUPPORTED)

    def test_no_application_context_is_rejected(self) -> None:
        self.assert_rejects(evolve(REQUEST, application_context=""), APPLICATION_CONTEXT_NOT_SUPPORTED)


class ReleaseTests(SynchronousTestCase):
    def test_a_collision_at_the_requestor(self) -> None:
        machine = _requestor_established()
        machine.request_release(_NOW)
        machine.receive_data(RELEASE_RQ, _NOW)
        self.assertIs(machine.state, State.COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE)

    def test_a_collision_between_two_machines_ends_both(self) -> None:
        requestor, acceptor = _requestor_established(), _established()
        for machine in (requestor, acceptor):
            machine.data_to_send()
            machine.request_release(_NOW)
        crossing = requestor.data_to_send(), acceptor.data_to_send()
        self.assertEqual(requestor.receive_data(crossing[1], _NOW), [ReleaseRequest()])
        self.assertEqual(acceptor.receive_data(crossing[0], _NOW), [ReleaseRequest()])
        requestor.respond_release(_NOW)
        self.assertEqual(acceptor.receive_data(requestor.data_to_send(), _NOW), [ReleaseResponse()])
        acceptor.respond_release(_NOW)
        self.assertEqual(requestor.receive_data(acceptor.data_to_send(), _NOW), [ReleaseResponse()])
        self.assertTrue(requestor.close_transport)
        acceptor.transport_closed(_NOW)
        self.assertEqual((requestor.state, acceptor.state), (State.IDLE, State.IDLE))

    def test_data_before_the_release_come_first(self) -> None:
        first, second = _established().receive_data(DATA_PDU + RELEASE_RQ, _NOW)
        self.assertIsInstance(first, DataSetFragment)
        self.assertEqual(second, ReleaseRequest())


class AbortTests(SynchronousTestCase):
    def test_an_abort_keeps_its_source_and_reason(self) -> None:
        for source, reason in ((0, 0), (2, 0), (2, 6)):
            machine = _established()
            machine.data_to_send()
            machine.abort(_NOW, Abort(source, reason))
            self.assertEqual(machine.data_to_send(), abort(source, reason))

    def test_a_peers_abort_is_indicated_as_it_is(self) -> None:
        self.assertEqual(_established().receive_data(abort(2, 4), _NOW), [Abort(2, 4)])

    def test_a_lost_transport_is_an_abort_by_the_provider(self) -> None:
        self.assertEqual(_established().transport_closed(_NOW), [Abort(2, 0)])

    def test_what_was_begun_is_not_kept_when_the_transport_is_gone(self) -> None:
        machine, begun = _established(), bytes(DATA_PDU[:-1])
        unheld = sys.getrefcount(begun)
        machine.receive_data(begun, _NOW)
        self.assertGreater(sys.getrefcount(begun), unheld)
        machine.transport_closed(_NOW)
        self.assertEqual(sys.getrefcount(begun), unheld)

    def test_the_abort_says_what_was_wrong(self) -> None:
        machine = _established()
        machine.data_to_send()
        (indication,) = machine.receive_data(b"\x04\x00\xff\xff\xff\xfe", _NOW)
        self.assertEqual(indication, Abort(2, AbortReason.INVALID_PARAMETER_VALUE))
        self.assertEqual(machine.data_to_send(), abort(2, 6))

    def test_a_layer_above_may_find_the_fault(self) -> None:
        machine = _established()
        machine.data_to_send()
        error = RemoteProtocolError("a command interrupts a message", AbortReason.UNEXPECTED_PARAMETER)
        self.assertEqual(machine.protocol_violation(error, _NOW), [Abort(2, 5)])
        self.assertEqual((machine.data_to_send(), machine.violation), (abort(2, 5), error))

    def test_the_first_violation_is_kept(self) -> None:
        machine = _established()
        machine.receive_data(RQ_PDU, _NOW)
        machine.receive_data(INVALID, _NOW)
        self.assertEqual(str(machine.violation), "A_ASSOCIATE_RQ_PDU in Sta6")

    def test_no_violation_without_one(self) -> None:
        machine = _established()
        machine.receive_data(DATA_PDU + RELEASE_RQ, _NOW)
        self.assertIsNone(machine.violation)

    def test_an_undecodable_request_is_answered_before_there_is_an_association(self) -> None:
        machine = _awaiting_request()
        machine.receive_data(associate_rq(proposed(2)), _NOW)
        self.assertEqual((machine.data_to_send(), machine.state), (abort(0, 0), State.AWAITING_TRANSPORT_CLOSE))

    def test_an_undecodable_answer_aborts(self) -> None:
        machine = _awaiting_answer()
        machine.data_to_send()
        self.assertEqual(machine.receive_data(AC_PDU[:2] + b"\0\0\0\x05short", _NOW), [Abort(2, 6)])


class SurfaceTests(SynchronousTestCase):
    def test_bytes_are_given_once(self) -> None:
        machine = _awaiting_answer()
        self.assertEqual((machine.data_to_send(), machine.data_to_send()), (RQ_PDU, b""))

    def test_an_early_look_at_the_timer_does_nothing(self) -> None:
        machine = _awaiting_request()
        machine.handle_timer(_NOW + ARTIM - 0.001)
        self.assertIs(machine.state, State.AWAITING_ASSOCIATE_RQ)

    def test_data_may_flow_while_a_release_is_under_way(self) -> None:
        flowing = {state for state, history in HISTORIES.items() if history().is_established}
        self.assertEqual(flowing, {"Sta6", "Sta7", "Sta8"})

    def test_a_partial_pdu_shows(self) -> None:
        machine = _established()
        machine.receive_data(DATA_PDU[:9], _NOW)
        self.assertTrue(machine.has_partial_pdu)

    def test_bytes_behind_an_abort_are_ignored(self) -> None:
        machine = _established()
        machine.data_to_send()
        machine.receive_data(abort() + DATA_PDU + RQ_PDU + INVALID, _NOW)
        self.assertEqual((machine.data_to_send(), machine.state), (b"", State.IDLE))
