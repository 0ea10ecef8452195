"""What our own code costs for one small object, when it runs hot and when the process has just slept.

Everything but the sockets: the bytes of a C-STORE of 12 KiB and of its response go through two associations and a
relay, which write into nothing.  The difference between the rows is caches and predictors that were lost meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from bench.options import Options
from bench.samples import summarise
from bench.table import Report, markdown, number, spread
from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.association.limits import Limits
from dimseproxy.association.requested import RequestedAssociation
from dimseproxy.config import Timeouts
from dimseproxy.dimse.command_set import CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.fragmenter import encode_parts
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.relay.filters import Permissions
from dimseproxy.relay.relay import Relay
from dimseproxy.ul.codec import encode
from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, AssociateRequest, ProposedContext

PAUSES = (0.0, 0.0001, 0.001, 0.005)
"""How long the process sleeps before each object, in seconds."""

_MR = "1.2.840.10008.5.1.4.1.1.4"
_EXPLICIT = "1.2.840.10008.1.2.1"


class _Nowhere(StringTransport):
    """Keeps nothing of what is written."""

    def __init__(self) -> None:
        StringTransport.__init__(self)

    def write(self, data: bytes) -> None:
        """Into nothing."""

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Into nothing."""


class _Exchange:
    """Two associations and the relay between them, in memory."""

    def __init__(self) -> None:
        deadlines = Deadlines(Clock())
        request = AssociateRequest("PACS", "MR", (ProposedContext(1, _MR, (_EXPLICIT,)),))
        accept = AssociateAccept("PACS", "MR", (AnsweredContext(1, 0, _EXPLICIT),))
        self._caller = IncomingAssociation(deadlines, Limits(), "clinic", lambda _: None)
        self._outbound = RequestedAssociation(deadlines, Limits(), request)
        for association in (self._caller, self._outbound):
            Protocol.makeConnection(association, _Nowhere())
        self._caller.dataReceived(encode(request))
        self._outbound.dataReceived(encode(accept))
        self._caller.accept(accept, 0)
        relay = Relay(self._caller, self._outbound, deadlines, Timeouts())
        relay.join([Permissions(None, {1: _MR}, relay.answer_caller)])
        store = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: _MR,
                Element.COMMAND_FIELD: CommandField.C_STORE_RQ,
                Element.MESSAGE_ID: 1,
                Element.PRIORITY: 0,
                Element.COMMAND_DATA_SET_TYPE: 1,
                Element.AFFECTED_SOP_INSTANCE_UID: "2.25.1",
            }
        )
        data = DataSetFragment(1, (memoryview(bytes(12 * 1024)),), True)
        self._command = b"".join(encode_parts([Command(1, store)], 16384))
        self._data = b"".join(encode_parts([data], 16384))
        self._response = b"".join(encode_parts([Command(1, response_to(store, 0))], 16384))

    def relay_one(self) -> None:
        """As it arrives from a peer that writes PDU by PDU."""
        self._caller.dataReceived(self._command)
        self._caller.dataReceived(self._data)
        self._outbound.dataReceived(self._response)


def run_cold(options: Options, directory: Path) -> list[Report]:
    """CPU time of one small object, for each pause before it."""
    rounds = options.rounds or (2 if options.quick else 9)
    exchange = _Exchange()
    measured: dict[float, list[float]] = {pause: [] for pause in PAUSES}
    for _ in range(rounds):
        for pause in PAUSES:
            measured[pause].append(_microseconds(exchange, pause, 100 if options.quick else 500))
    hot = summarise(measured[0.0]).median
    rows = [
        [f"{pause * 1000:g} ms", spread(summarise(values)), number(summarise(values).median / hot)]
        for pause, values in measured.items()
    ]
    header = ("sleep before each", "CPU us: median (min..max)", "x hot")
    return [Report("One small object through our own code", (("", markdown(header, rows)),))]


def _microseconds(exchange: _Exchange, pause: float, objects: int) -> float:
    spent = 0
    for _ in range(objects):
        if pause:
            time.sleep(pause)
        started = time.thread_time_ns()
        exchange.relay_one()
        spent += time.thread_time_ns() - started
    return spent / objects / 1000
