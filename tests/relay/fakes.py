"""Associations and outbounds in memory: they keep what they are told, and do what a test says."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from dimseproxy.association.deadlines import LOOK_EVERY, Deadlines
from dimseproxy.association.interfaces import (
    Established,
    IAssociation,
    IAssociationUser,
    IIncomingAssociation,
    IOutbound,
    Peer,
)
from dimseproxy.config.settings import Application, DimseInbound, DimseOutbound, Route, Settings
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.errors import AssociationAborted, Rejection
from dimseproxy.relay.access import parse_address
from dimseproxy.relay.elsewhere import Elsewhere
from dimseproxy.relay.reception import Reception, Ways
from dimseproxy.ul.pdu import AssociateAccept, AssociateRequest
from tests.association.playing import a_request, an_accept

PACS_HOST = "192.0.2.1"
CALLER_HOST = "192.0.2.7"


@implementer(IAssociation)
class FakeAssociation:
    """Keeps what its user did to it in `told`, in order; `sent` has the parts only, `sends` those of each time."""

    def __init__(self, request: AssociateRequest | None = None, accept: AssociateAccept | None = None) -> None:
        self.number = 1
        self.peer = Peer(CALLER_HOST, 104)
        self.request = request or a_request()
        self.established = Established(self.request, accept or an_accept(self.request))
        self.user: IAssociationUser
        self.sent: list[Part] = []
        self.sends: list[Sequence[Part]] = []
        self.told: list[object] = []
        self.is_paused = False
        self.is_over = False

    def use(self, user: IAssociationUser) -> None:
        self.user = user

    def send(self, parts: Sequence[Part]) -> None:
        if not self.is_over:
            self.sent.extend(parts)
            self.sends.append(parts)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def release(self) -> None:
        self.told.append("release")

    def respond_release(self) -> None:
        self.is_over = True
        self.told.append("respond release")

    def abort(self, source: int = 0, reason: int = 0) -> None:
        if not self.is_over:
            self.is_over = True
            self.told.append((source, reason))

    # What its peer does

    def hears(self, *parts: Part | Sequence[Part]) -> None:
        """All of them in one piece."""
        flat: list[Part] = []
        for part in parts:
            flat.extend(part if isinstance(part, Sequence) else [part])
        self.user.received(flat)

    def ends(self, source: int = 0, reason: int = 0) -> None:
        self.is_over = True
        self.user.ended(AssociationAborted(source, reason))

    def takes(self) -> list[Part]:
        """What was sent since this was asked last."""
        sent, self.sent = self.sent, []
        return sent

    @property
    def commands(self) -> list[str]:
        return [part.command_set.name for part in self.sent if isinstance(part, Command)]


@implementer(IIncomingAssociation)
class FakeIncoming(FakeAssociation):
    """A caller that waits for an answer: `rejection`, or `established` once it is accepted."""

    def __init__(self, request: AssociateRequest, host: str = CALLER_HOST, names: frozenset[str] = frozenset()) -> None:
        super().__init__(request)
        del self.established
        self.peer = Peer(host, 104, names)
        self.inbound = "clinic"
        self.rejection: Rejection | None = None
        self.is_accepted = False

    def accept(self, accept: AssociateAccept, max_pdu_length: int) -> bool:
        if not self.is_over:
            self.is_accepted = True
            self.established = Established(self.request, accept)
        return not self.is_over

    def reject(self, rejection: Rejection, why: str) -> None:
        if not self.is_over:
            self.is_over = True
            self.rejection = rejection


@implementer(IOutbound)
class FakeOutbound:
    """Keeps what it is asked for; the test answers, or it does by itself."""

    def __init__(self, *, answers: bool = True) -> None:
        self.requests: list[AssociateRequest] = []
        self.waiting: list[Deferred[IAssociation]] = []
        self.associations: list[FakeAssociation] = []
        self.given_up = 0
        self.refused: tuple[str, ...] = ()
        self.error: Exception | None = None
        self._answers = answers

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        self.requests.append(request)
        deferred: Deferred[IAssociation] = Deferred(self._give_up)
        self.waiting.append(deferred)
        if self.error is not None:
            self.waiting.pop().errback(self.error)
        elif self._answers:
            self.accepts()
        return deferred

    def accepts(self) -> FakeAssociation:
        request = self.requests[-1]
        association = FakeAssociation(request, an_accept(request, refused=self.refused, maximum=16384))
        self.associations.append(association)
        self.waiting.pop().callback(association)
        return association

    def _give_up(self, _: Deferred[IAssociation]) -> None:
        self.given_up += 1


@define(eq=False)
class House:
    """A reception with one PACS behind it, and whoever else is configured."""

    settings: Settings = field(
        factory=lambda: Settings(
            inbound={"clinic": DimseInbound()},
            outbound={"pacs": DimseOutbound(connect=f"tcp:{PACS_HOST}:104", ae_title="PACS")},
            routes=(Route(outbound="pacs"),),
            applications={
                "CLIENT": Application(host=CALLER_HOST, port=104),
                "OTHER": Application(host="192.0.2.8", port=104),
            },
        )
    )
    clock: Clock = field(factory=Clock)
    pacs: FakeOutbound = field(factory=FakeOutbound)
    elsewhere: Elsewhere | None = None
    applications: dict[str, FakeOutbound] = field(init=False)
    deadlines: Deadlines = field(init=False)
    reception: Reception = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.applications = {title: FakeOutbound() for title in self.settings.applications}
        self.reception = Reception(self.settings, self.ways(), self.deadlines, elsewhere=self.elsewhere)
        self.reception.open()

    @classmethod
    def with_pacs(cls, **changes: object) -> House:
        """One whose outbound is configured another way."""
        house = cls()
        pacs = evolve(house.settings.outbound["pacs"], **changes)  # type: ignore[arg-type]
        return cls(settings=evolve(house.settings, outbound={"pacs": pacs}))

    def ways(self) -> Ways:
        names = self.settings.outbound
        return Ways(
            {name: self.pacs for name in names}, self.applications, {name: PACS_HOST for name in names}, known_addresses
        )

    def call(
        self, *abstract_syntaxes: str, calling: str = "CLIENT", called: str = "SHIELD", host: str = CALLER_HOST
    ) -> FakeIncoming:
        """A caller, already answered where the PACS answers by itself."""
        caller = FakeIncoming(a_request(*abstract_syntaxes, calling=calling, called=called), host)
        self.reception.incoming(caller)
        return caller

    def deliver(self, *abstract_syntaxes: str, called: str = "DIMSEPROXY") -> FakeIncoming:
        """An association from the PACS to the proxy itself."""
        caller = FakeIncoming(a_request(*abstract_syntaxes, calling="PACS", called=called), PACS_HOST)
        self.reception.incoming(caller)
        return caller

    def waits(self, seconds: float) -> None:
        for _ in range(int(seconds / LOOK_EVERY) + 1):
            self.clock.advance(LOOK_EVERY)


def known_addresses(host: str) -> frozenset:  # type: ignore[type-arg]
    address = parse_address(host)
    return frozenset() if address is None else frozenset((address,))
