"""
Associations in memory: what peers say, and the two ends of an association on a string and a clock.

    end = Acceptor()
    end.hears(a_request(), echo(1))
    end.says()        # -> [AssociateAccept(...), ...], what was sent since it was asked last
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import LOOK_EVERY, Deadlines
from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.association.interfaces import Established, IAssociation, IAssociationUser
from dimseproxy.association.limits import Limits
from dimseproxy.association.protocol import Association
from dimseproxy.association.requested import RequestedAssociation
from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.fragmenter import encode_parts
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AssociationAborted
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.framer import ControlPdu, Framer, InvalidPdu
from dimseproxy.ul.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    Pdu,
    ProposedContext,
)
from dimseproxy.ul.user_information import RoleSelection, UserInformation
from tests.dimse.messages import parts_of

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
COMMITMENT = "1.2.840.10008.1.20.1"
PRIVATE = "1.2.3.4.5"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

#: Deadlines that tests wait for on a clock of their own.
LIMITS = Limits(artim=30.0, pdu=60.0, stall=60.0, max_pdu_length=131072)

# What peers propose and answer


def contexts(*abstract_syntaxes: str, syntaxes: tuple[str, ...] = (IMPLICIT,)) -> tuple[ProposedContext, ...]:
    """One presentation context each, under the ids 1, 3, 5, ..."""
    return tuple(ProposedContext(2 * index + 1, each, syntaxes) for index, each in enumerate(abstract_syntaxes))


def a_request(
    *abstract_syntaxes: str,
    called: str = "CALLED",
    calling: str = "CALLING",
    maximum: int = 0,
    roles: Sequence[RoleSelection] = (),
    syntaxes: tuple[str, ...] = (IMPLICIT,),
) -> AssociateRequest:
    """An A-ASSOCIATE-RQ, for verification where nothing else is said."""
    information = UserInformation(maximum_length=maximum, implementation_class_uid="1.2.3", roles=tuple(roles))
    return AssociateRequest(
        called, calling, contexts(*abstract_syntaxes or (VERIFICATION,), syntaxes=syntaxes), information
    )


def an_accept(
    request: AssociateRequest, *, refused: Sequence[str] = (), maximum: int = 0, syntax: str | None = None
) -> AssociateAccept:
    """All contexts accepted in their first transfer syntax, but those of some abstract syntaxes."""
    answers = tuple(
        AnsweredContext(
            context.context_id,
            3 if context.abstract_syntax in refused else 0,
            syntax or context.transfer_syntaxes[0],
        )
        for context in request.contexts
    )
    information = UserInformation(maximum_length=maximum, implementation_class_uid="1.2.4")
    return AssociateAccept(request.called_ae_title, request.calling_ae_title, answers, information)


# What they say then


def command(
    field: CommandField,
    message_id: int | None = 1,
    *,
    context_id: int = 1,
    has_data_set: bool = False,
    sop_class: str = VERIFICATION,
    more: dict[Element, int | str | None] | None = None,
) -> Command:
    """A request."""
    elements: dict[Element, int | str | None] = {
        Element.AFFECTED_SOP_CLASS_UID: sop_class,
        Element.COMMAND_FIELD: field,
        Element.MESSAGE_ID: message_id,
        Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS if has_data_set else NO_DATA_SET,
        **(more or {}),
    }
    return Command(context_id, CommandSet.of(elements))


def response(
    field: CommandField,
    responds_to: int = 1,
    status: int = 0,
    *,
    context_id: int = 1,
    has_data_set: bool = False,
    more: dict[Element, int | str | None] | None = None,
) -> Command:
    """A response."""
    elements: dict[Element, int | str | None] = {
        Element.COMMAND_FIELD: field,
        Element.MESSAGE_ID_BEING_RESPONDED_TO: responds_to,
        Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS if has_data_set else NO_DATA_SET,
        Element.STATUS: status,
        **(more or {}),
    }
    return Command(context_id, CommandSet.of(elements))


def echo(message_id: int = 1, context_id: int = 1) -> Command:
    return command(CommandField.C_ECHO_RQ, message_id, context_id=context_id)


def echoed(message_id: int = 1, context_id: int = 1) -> Command:
    return response(CommandField.C_ECHO_RSP, message_id, context_id=context_id)


def fragment(data: bytes, *, context_id: int = 1, is_last: bool = True) -> DataSetFragment:
    return DataSetFragment(context_id, (memoryview(data),), is_last)


def store(
    message_id: int = 1,
    data: bytes = b"object",
    *,
    context_id: int = 1,
    more: dict[Element, int | str | None] | None = None,
) -> list[Part]:
    """A C-STORE-RQ with its data set."""
    request = command(
        CommandField.C_STORE_RQ, message_id, context_id=context_id, has_data_set=True, sop_class=CT, more=more
    )
    return [request, fragment(data, context_id=context_id)]


def wire(what: Pdu | Part | bytes | Sequence[Part]) -> bytes:
    """The bytes of a PDU, or of message parts in PDUs as long as the other end may like."""
    if isinstance(what, bytes):
        return what
    if isinstance(what, (Command, DataSetFragment)):
        return b"".join(encode_parts([what], 0))
    if isinstance(what, (list, tuple)):
        return b"".join(encode_parts(what, 0))
    assert isinstance(what, Pdu)
    return encode(what)


def read(data: bytes) -> list[Pdu | Part]:
    """What a peer makes of bytes; data sets come whole."""
    found: list[Pdu | Part] = []
    assembler = Assembler(range(256))
    collected: list[bytes] = []
    for frame in Framer(1 << 30).receive_data(data):
        if isinstance(frame, InvalidPdu):
            raise frame.error
        if isinstance(frame, ControlPdu):
            found.append(decode(frame.pdu_type, frame.body))
            continue
        for part in parts_of(assembler, frame):
            if isinstance(part, Command):
                found.append(part)
                continue
            collected.append(bytes(part))
            if part.is_last:
                found.append(fragment(b"".join(collected), context_id=part.context_id))
                collected.clear()
    return found


@implementer(IAssociationUser)
class User:
    """A service user that keeps what it is told, in order, and may do something about it."""

    def __init__(self) -> None:
        self.told: list[object] = []
        #: Called with what was just told.
        self.then: Callable[[object], None] = lambda _: None

    def does(self, action: Callable[[], None], on: object) -> None:
        """What to do when it is told this."""
        self.then = lambda what: action() if what == on else None

    def _tell(self, what: object) -> None:
        self.told.append(what)
        self.then(what)

    def received(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._tell(part)

    def release_requested(self) -> None:
        self._tell("release requested")

    def released(self) -> None:
        self._tell("released")

    def ended(self, reason: AssociationAborted) -> None:
        self._tell((reason.source, reason.reason))

    def pause_sending(self) -> None:
        self._tell("pause sending")

    def resume_sending(self) -> None:
        self._tell("resume sending")


class Wire(StringTransport):
    """What one end has sent, read like its peer would."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.7", 104), lenient=True)

    def take(self) -> list[Pdu | Part]:
        data: bytes = self.value()
        self.clear()
        return read(data)


class End:
    """One end of an association in memory, with a clock of its own."""

    association: Association

    def __init__(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.transport = Wire()
        self.user = User()

    def hears(self, *what: Pdu | Part | bytes | Sequence[Part]) -> None:
        """All of it in one piece."""
        self.association.dataReceived(b"".join(map(wire, what)))

    def says(self) -> list[Pdu | Part]:
        """What was sent since this was asked last."""
        return self.transport.take()

    def waits(self, seconds: float) -> None:
        """Time passes, and the deadlines are looked at meanwhile."""
        for _ in range(int(seconds / LOOK_EVERY) + 1):
            self.clock.advance(LOOK_EVERY)

    def is_cut_off(self) -> None:
        """The transport is gone."""
        self.transport.connected = False
        self.association.connectionLost(Failure(ConnectionDone()))

    def is_full(self) -> None:
        """The peer takes no more."""
        assert self.transport.producer is not None
        self.transport.producer.pauseProducing()

    def is_empty(self) -> None:
        """The peer has taken all."""
        assert self.transport.producer is not None
        self.transport.producer.resumeProducing()

    @property
    def is_closed(self) -> bool:
        """Whether the transport was closed in good order."""
        return self.transport.disconnecting and not self.transport.disconnected

    @property
    def is_cut(self) -> bool:
        """Whether it was cut, whatever waited."""
        return self.transport.disconnected

    @property
    def is_reading(self) -> bool:
        return bool(self.transport.producerState == "producing")


class Acceptor(End):
    """The end that a caller reaches; `requested` keeps what it asked for."""

    association: IncomingAssociation

    def __init__(self, limits: Limits = LIMITS) -> None:
        super().__init__()
        self.requested: list[AssociateRequest] = []
        #: Called when a request is there.
        self.then: Callable[[IncomingAssociation], None] = lambda _: None
        self.association = IncomingAssociation(self.deadlines, limits, "clinic", self._requested)
        self.association.makeConnection(self.transport)

    def _requested(self, association: IncomingAssociation) -> None:
        self.requested.append(association.request)
        self.then(association)

    def establish(self, request: AssociateRequest | None = None) -> None:
        """Up to data transfer, with its user."""
        self.hears(request or a_request(VERIFICATION, CT))
        self.association.use(self.user)
        self.association.accept(an_accept(self.association.request), 0)
        self.says()


class Requestor(End):
    """The end that asks; `answers` keeps what came of it."""

    association: RequestedAssociation

    def __init__(self, request: AssociateRequest | None = None, limits: Limits = LIMITS) -> None:
        super().__init__()
        self.answers: list[object] = []
        self.association = RequestedAssociation(self.deadlines, limits, request or a_request(VERIFICATION, CT))
        self.association.answered.addBoth(
            lambda result: self.answers.append(result.value if isinstance(result, Failure) else result)
        )
        self.association.makeConnection(self.transport)

    def establish(self) -> None:
        """Up to data transfer, with its user."""
        self.hears(an_accept(self.association.request))
        self.association.use(self.user)
        self.says()


def established(request: AssociateRequest, accept: AssociateAccept | None = None) -> Established:
    """What two ends agreed on."""
    return Established(request, accept or an_accept(request))


def is_association(thing: object) -> bool:
    return bool(IAssociation.providedBy(thing))
