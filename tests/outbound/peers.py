"""A peer in memory that takes any number of associations, and what callers find who share them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import LOOK_EVERY, Deadlines
from dimseproxy.association.interfaces import IAssociation
from dimseproxy.association.requested import RequestedAssociation
from dimseproxy.dimse.parts import Part
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.outbound.limits import Count, Operations, Slots
from dimseproxy.outbound.pool import SharedOutbound, Sharing
from dimseproxy.ul.pdu import AssociateReject, AssociateRequest, Pdu, ReleaseRequest, ReleaseResponse
from tests.association.playing import CT, GET, LIMITS, VERIFICATION, User, Wire, a_request, an_accept, wire

#: What callers ask for where the test does not say.
REQUEST = a_request(VERIFICATION, CT, GET)


class Line:
    """One transport connection to the peer, seen from there."""

    association: RequestedAssociation
    request: AssociateRequest
    is_gone: bool

    def __init__(self, factory: IProtocolFactory) -> None:
        self.transport = Wire()
        protocol = factory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(protocol, RequestedAssociation)
        self.association = protocol
        protocol.makeConnection(self.transport)
        [request] = self.transport.take()
        assert isinstance(request, AssociateRequest)
        self.request = request
        self.is_gone = False

    def says(self, *what: Pdu | Part | bytes | Sequence[Part]) -> None:
        """All of it in one piece."""
        self.association.dataReceived(b"".join(map(wire, what)))

    def hears(self) -> list[Pdu | Part]:
        """What was sent since this was asked last."""
        return self.transport.take()

    def accepts(self, *, refused: Sequence[str] = ()) -> None:
        self.says(an_accept(self.request, refused=refused))

    def closes(self) -> None:
        """The transport connection is gone."""
        if not self.is_gone:
            self.is_gone = True
            self.association.connectionLost(Failure(ConnectionDone()))

    def is_released(self) -> None:
        """Take the release that it was asked for."""
        assert self.hears()[-1:] == [ReleaseRequest()], "it was not asked for release"
        self.says(ReleaseResponse())
        self.closes()


@implementer(IStreamClientEndpoint)
class Peer:
    """A peer; `lines` are the connections to it, the oldest first."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        #: Whether it accepts at once, or the test does.
        self.accepts = True
        self.refused: tuple[str, ...] = ()
        self.rejects: AssociateReject | None = None
        self.is_down = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.is_down:
            return fail(ConnectionRefusedError())
        line = Line(protocolFactory)
        self.lines.append(line)
        connected: Deferred[IProtocol] = succeed(line.association)
        if self.rejects is not None:
            line.says(self.rejects)
        elif self.accepts:
            line.accepts(refused=self.refused)
        return connected

    @property
    def last(self) -> Line:
        return self.lines[-1]


class Caller(User):
    """
    A caller, with the association that it asked for.

    @ivar failures: why it has none.
    """

    association: IAssociation

    def __init__(self, asking: Deferred[IAssociation]) -> None:
        super().__init__()
        self.failures: list[BaseException | None] = []
        self.asking = asking
        asking.addCallbacks(self._use, lambda failure: self.failures.append(failure.value))

    def _use(self, association: IAssociation) -> None:
        self.association = association
        association.use(self)

    @property
    def is_waiting(self) -> bool:
        return not self.failures and not hasattr(self, "association")

    def sends(self, *what: Part | Sequence[Part]) -> None:
        for each in what:
            self.association.send(each if isinstance(each, (list, tuple)) else [each])  # type: ignore[list-item]

    @property
    def has_ended(self) -> bool:
        return any(isinstance(each, tuple) for each in self.told)


class House:
    """A shared outbound before a peer."""

    def __init__(
        self,
        *,
        size: int = 2,
        idle: float = 10.0,
        wait: float = 5.0,
        associations: Slots | int | None = None,
        operations: int | None = None,
    ) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.peer = Peer()
        places = Count(associations) if associations is None or isinstance(associations, int) else associations
        self.operations = None if operations is None else Count(operations)
        self.outbound = SharedOutbound(
            DimseOutbound(self.peer, self.deadlines, LIMITS, 10.0),
            Sharing(size, idle, wait),
            places,
            None if self.operations is None else Operations(self.operations),
        )

    def call(self, request: AssociateRequest = REQUEST, caller: Hashable = "somebody") -> Caller:
        """Somebody asks for an association."""
        return Caller(self.outbound.on_behalf_of(caller).associate(request))

    def waits(self, seconds: float) -> None:
        """Time passes, and the deadlines are looked at meanwhile."""
        for _ in range(round(seconds / LOOK_EVERY)):
            self.clock.advance(LOOK_EVERY)
