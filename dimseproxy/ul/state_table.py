"""
The state machine of the upper layer as data (PS3.8 9.2, Tables 9-1 to 9-10).

`next_action` answers each of the 247 cells of Table 9-10; the empty ones answer None: what then happens is up to who
asked.  The state that follows belongs to the action (Tables 9-6 to 9-9), so it is written once, in `NEXT_STATES`; two
actions have a choice, which depends on the PDU (AE-6) or on the role (AR-8).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class _Label(Enum):
    """A word of the standard; members are looked up often, and Enum's own hash is computed from the name each time."""

    __hash__ = object.__hash__


class State(_Label):
    """Tables 9-1 to 9-5."""

    IDLE = "Sta1"
    AWAITING_ASSOCIATE_RQ = "Sta2"
    AWAITING_LOCAL_ASSOCIATE_RESPONSE = "Sta3"
    AWAITING_TRANSPORT_CONNECTION = "Sta4"
    AWAITING_ASSOCIATE_AC_OR_RJ = "Sta5"
    ESTABLISHED = "Sta6"
    AWAITING_RELEASE_RP = "Sta7"
    AWAITING_LOCAL_RELEASE_RESPONSE = "Sta8"
    COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE = "Sta9"
    COLLISION_ACCEPTOR_AWAITING_RELEASE_RP = "Sta10"
    COLLISION_REQUESTOR_AWAITING_RELEASE_RP = "Sta11"
    COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE = "Sta12"
    AWAITING_TRANSPORT_CLOSE = "Sta13"


class Event(_Label):
    """The rows of Table 9-10, in its order."""

    A_ASSOCIATE_REQUEST = "Evt1"
    TRANSPORT_CONNECT_CONFIRMATION = "Evt2"
    A_ASSOCIATE_AC_PDU = "Evt3"
    A_ASSOCIATE_RJ_PDU = "Evt4"
    TRANSPORT_CONNECT_INDICATION = "Evt5"
    A_ASSOCIATE_RQ_PDU = "Evt6"
    A_ASSOCIATE_RESPONSE_ACCEPT = "Evt7"
    A_ASSOCIATE_RESPONSE_REJECT = "Evt8"
    P_DATA_REQUEST = "Evt9"
    P_DATA_TF_PDU = "Evt10"
    A_RELEASE_REQUEST = "Evt11"
    A_RELEASE_RQ_PDU = "Evt12"
    A_RELEASE_RP_PDU = "Evt13"
    A_RELEASE_RESPONSE = "Evt14"
    A_ABORT_REQUEST = "Evt15"
    A_ABORT_PDU = "Evt16"
    TRANSPORT_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    INVALID_PDU = "Evt19"


class Action(_Label):
    """Tables 9-6 (associate), 9-7 (data transfer), 9-8 (release) and 9-9 (abort)."""

    OPEN_TRANSPORT = "AE-1"
    SEND_ASSOCIATE_RQ = "AE-2"
    CONFIRM_ACCEPTANCE = "AE-3"
    CONFIRM_REJECTION = "AE-4"
    START_ARTIM = "AE-5"
    INDICATE_OR_REJECT_REQUEST = "AE-6"
    SEND_ASSOCIATE_AC = "AE-7"
    SEND_ASSOCIATE_RJ = "AE-8"
    SEND_P_DATA = "DT-1"
    INDICATE_P_DATA = "DT-2"
    SEND_RELEASE_RQ = "AR-1"
    INDICATE_RELEASE = "AR-2"
    CONFIRM_RELEASE_AND_CLOSE = "AR-3"
    SEND_RELEASE_RP = "AR-4"
    STOP_ARTIM = "AR-5"
    INDICATE_P_DATA_DURING_RELEASE = "AR-6"
    SEND_P_DATA_DURING_RELEASE = "AR-7"
    INDICATE_RELEASE_COLLISION = "AR-8"
    SEND_RELEASE_RP_IN_COLLISION = "AR-9"
    CONFIRM_RELEASE = "AR-10"
    SEND_USER_ABORT = "AA-1"
    CLOSE_TRANSPORT = "AA-2"
    INDICATE_ABORT_AND_CLOSE = "AA-3"
    INDICATE_PROVIDER_ABORT = "AA-4"
    FORGET_TRANSPORT = "AA-5"
    IGNORE_PDU = "AA-6"
    SEND_ABORT_AGAIN = "AA-7"
    SEND_PROVIDER_ABORT = "AA-8"


_S = State
_A = Action

#: The state after each action; where there are two, the first is the usual one.
NEXT_STATES: Final[Mapping[Action, tuple[State, ...]]] = MappingProxyType(
    {
        _A.OPEN_TRANSPORT: (_S.AWAITING_TRANSPORT_CONNECTION,),
        _A.SEND_ASSOCIATE_RQ: (_S.AWAITING_ASSOCIATE_AC_OR_RJ,),
        _A.CONFIRM_ACCEPTANCE: (_S.ESTABLISHED,),
        _A.CONFIRM_REJECTION: (_S.IDLE,),
        _A.START_ARTIM: (_S.AWAITING_ASSOCIATE_RQ,),
        _A.INDICATE_OR_REJECT_REQUEST: (_S.AWAITING_LOCAL_ASSOCIATE_RESPONSE, _S.AWAITING_TRANSPORT_CLOSE),
        _A.SEND_ASSOCIATE_AC: (_S.ESTABLISHED,),
        _A.SEND_ASSOCIATE_RJ: (_S.AWAITING_TRANSPORT_CLOSE,),
        _A.SEND_P_DATA: (_S.ESTABLISHED,),
        _A.INDICATE_P_DATA: (_S.ESTABLISHED,),
        _A.SEND_RELEASE_RQ: (_S.AWAITING_RELEASE_RP,),
        _A.INDICATE_RELEASE: (_S.AWAITING_LOCAL_RELEASE_RESPONSE,),
        _A.CONFIRM_RELEASE_AND_CLOSE: (_S.IDLE,),
        _A.SEND_RELEASE_RP: (_S.AWAITING_TRANSPORT_CLOSE,),
        _A.STOP_ARTIM: (_S.IDLE,),
        _A.INDICATE_P_DATA_DURING_RELEASE: (_S.AWAITING_RELEASE_RP,),
        _A.SEND_P_DATA_DURING_RELEASE: (_S.AWAITING_LOCAL_RELEASE_RESPONSE,),
        _A.INDICATE_RELEASE_COLLISION: (
            _S.COLLISION_REQUESTOR_AWAITING_LOCAL_RESPONSE,
            _S.COLLISION_ACCEPTOR_AWAITING_RELEASE_RP,
        ),
        _A.SEND_RELEASE_RP_IN_COLLISION: (_S.COLLISION_REQUESTOR_AWAITING_RELEASE_RP,),
        _A.CONFIRM_RELEASE: (_S.COLLISION_ACCEPTOR_AWAITING_LOCAL_RESPONSE,),
        _A.SEND_USER_ABORT: (_S.AWAITING_TRANSPORT_CLOSE,),
        _A.CLOSE_TRANSPORT: (_S.IDLE,),
        _A.INDICATE_ABORT_AND_CLOSE: (_S.IDLE,),
        _A.INDICATE_PROVIDER_ABORT: (_S.IDLE,),
        _A.FORGET_TRANSPORT: (_S.IDLE,),
        _A.IGNORE_PDU: (_S.AWAITING_TRANSPORT_CLOSE,),
        _A.SEND_ABORT_AGAIN: (_S.AWAITING_TRANSPORT_CLOSE,),
        _A.SEND_PROVIDER_ABORT: (_S.AWAITING_TRANSPORT_CLOSE,),
    }
)

#: The columns Sta1 to Sta13.
_COLUMNS: Final = tuple(State)

#: Table 9-10, one row an event, one word a column, "-" for an empty cell.
_ROWS: Final[Mapping[Event, str]] = MappingProxyType(
    {
        #                                       1    2    3    4    5    6    7    8    9    10   11   12   13
        Event.A_ASSOCIATE_REQUEST:            "AE-1 -    -    -    -    -    -    -    -    -    -    -    -",
        Event.TRANSPORT_CONNECT_CONFIRMATION: "-    -    -    AE-2 -    -    -    -    -    -    -    -    -",
        Event.A_ASSOCIATE_AC_PDU:             "-    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
        Event.A_ASSOCIATE_RJ_PDU:             "-    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
        Event.TRANSPORT_CONNECT_INDICATION:   "AE-5 -    -    -    -    -    -    -    -    -    -    -    -",
        Event.A_ASSOCIATE_RQ_PDU:             "-    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7",
        Event.A_ASSOCIATE_RESPONSE_ACCEPT:    "-    -    AE-7 -    -    -    -    -    -    -    -    -    -",
        Event.A_ASSOCIATE_RESPONSE_REJECT:    "-    -    AE-8 -    -    -    -    -    -    -    -    -    -",
        Event.P_DATA_REQUEST:                 "-    -    -    -    -    DT-1 -    AR-7 -    -    -    -    -",
        Event.P_DATA_TF_PDU:                  "-    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
        Event.A_RELEASE_REQUEST:              "-    -    -    -    -    AR-1 -    -    -    -    -    -    -",
        Event.A_RELEASE_RQ_PDU:               "-    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-6",
        Event.A_RELEASE_RP_PDU:               "-    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6",
        Event.A_RELEASE_RESPONSE:             "-    -    -    -    -    -    -    AR-4 AR-9 -    -    AR-4 -",
        Event.A_ABORT_REQUEST:                "-    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1 -",
        Event.A_ABORT_PDU:                    "-    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-3 AA-2",
        Event.TRANSPORT_CLOSED:               "-    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AR-5",
        Event.ARTIM_EXPIRED:                  "-    AA-2 -    -    -    -    -    -    -    -    -    -    AA-2",
        Event.INVALID_PDU:                    "-    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-8 AA-7",
    }
)  # fmt: skip


def _cells() -> dict[tuple[Event, State], Action | None]:
    return {
        (event, state): None if word == "-" else Action(word)
        for event, row in _ROWS.items()
        for state, word in zip(_COLUMNS, row.split(), strict=True)
    }


#: All 247 cells.
TABLE: Final[Mapping[tuple[Event, State], Action | None]] = MappingProxyType(_cells())


def next_action(event: Event, state: State) -> Action | None:
    """The cell of Table 9-10 for this event in this state."""
    return TABLE[event, state]
