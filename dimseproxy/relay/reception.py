"""
What becomes of a caller's request.

A delivery is told from a call first; then the caller is identified, a route is found, the outbound is asked for what
the caller may have, and the caller is answered with what came back.  Nothing is opened for a caller that may not call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.interfaces import (
    IAssociation,
    ICallers,
    IIncomingAssociation,
    IOutbound,
)
from dimseproxy.config.settings import DimseOutbound, Settings
from dimseproxy.errors import LOCAL_LIMIT_EXCEEDED, AssociationRejected
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.relay.access import HostAddresses, identify, is_from, parse_address
from dimseproxy.relay.border import across
from dimseproxy.relay.call import Call
from dimseproxy.relay.deliveries import Delivery
from dimseproxy.relay.destinations import ApplicationDestination
from dimseproxy.relay.elsewhere import Elsewhere, Nowhere
from dimseproxy.relay.filters import Filter
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.relay import Relay
from dimseproxy.relay.retrieves import Commitments, Outbounds, Retrieve, Retrieves
from dimseproxy.relay.routing import find_route

log = Logger()


@frozen
class Ways:
    """
    How the others are reached.

    @ivar outbounds: by name.
    @ivar applications: by AE title.
    @ivar outbound_hosts: the host of each outbound, by name.
    @ivar addresses_of: what is known of a host's addresses.
    """

    outbounds: Mapping[str, IOutbound]
    applications: Mapping[str, IOutbound]
    outbound_hosts: Mapping[str, str]
    addresses_of: HostAddresses


@implementer(ICallers)
class Reception:
    """
    @param settings: in effect; `reconfigure` replaces them for the associations to come.
    @param privacy: the policies, by name.
    @param elsewhere: the other workers, if there are any.
    """

    def __init__(
        self,
        settings: Settings,
        ways: Ways,
        deadlines: IDeadlines,
        privacy: Mapping[str, Privacy] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._privacy = privacy or {}
        self._settings = settings
        self._ways = ways
        self._deadlines = deadlines
        self._elsewhere = Nowhere() if elsewhere is None else elsewhere
        self._retrieves = Retrieves(self._elsewhere)
        self._commitments = Commitments(self._elsewhere)
        self._running: set[Relay | Delivery] = set()
        self._is_draining = False
        #: Callers that came before `open`.
        self._waiting: list[IIncomingAssociation] | None = []

    def open(self) -> None:
        """Answer callers from now on, those first who came already."""
        waiting, self._waiting = self._waiting, None
        for association in waiting or ():
            self.incoming(association)

    def reconfigure(self, settings: Settings, ways: Ways) -> None:
        """Routes, applications and what belongs to them change for the associations to come."""
        self._settings = settings
        self._ways = ways

    @property
    def expects_deliveries(self) -> bool:
        """Whether a C-MOVE is under way whose objects have to come back through here."""
        return bool(self._retrieves)

    def drain(self) -> None:
        """End each association as soon as no operation is under way on it."""
        self._is_draining = True
        for each in tuple(self._running):
            each.drain()

    def abort_all(self, text: str) -> None:
        """End all associations, whatever they do."""
        for each in tuple(self._running):
            each.abort(text)

    def incoming(self, association: IIncomingAssociation) -> None:
        if self._waiting is not None:
            self._waiting.append(association)
            return
        try:
            outbounds = self._delivering_outbounds(association)
            if outbounds:
                self._deliver(association, outbounds, self._elsewhere)
            elif self._is_draining:
                association.reject(LOCAL_LIMIT_EXCEEDED, "the proxy is shutting down")
            else:
                self._call(association)
        except AssociationRejected as error:
            association.reject(error.rejection, str(error))

    def _delivering_outbounds(self, association: IIncomingAssociation) -> Outbounds:
        """
        The outbound that this is a delivery of, if it is one.

        A PACS may be several outbounds, and bring on one association what several of them were asked for.
        """
        request = association.request
        address = parse_address(association.peer.host)
        return tuple(
            name
            for name, outbound in self._settings.outbound.items()
            if isinstance(outbound, DimseOutbound)
            and request.calling_ae_title == outbound.ae_title
            and request.called_ae_title in self._titles(outbound)
            and is_from(address, self._ways.outbound_hosts[name], outbound.from_, self._ways.addresses_of)
        )

    def outbounds_alike(self, name: str) -> Outbounds:
        """Other outbounds that may be the same PACS as this one: they have its AE title."""
        outbounds = self._settings.peers
        if name not in outbounds:
            return ()
        title = outbounds[name].ae_title
        return tuple(each for each, outbound in outbounds.items() if each != name and outbound.ae_title == title)

    def passed_on(self, association: IIncomingAssociation, outbound: str) -> None:
        """
        Another worker has a delivery of this outbound for us: a part of one that came to it.

        It is not passed on again.
        """
        self._deliver(association, (outbound,), None)

    def _deliver(self, association: IIncomingAssociation, outbounds: Outbounds, elsewhere: Elsewhere | None) -> None:
        delivery = Delivery(
            association,
            outbounds,
            self._retrieves,
            self._commitments,
            elsewhere,
            self._deadlines,
            self._settings.timeouts.idle,
            lambda: self._running.discard(delivery),
        )
        self._running.add(delivery)
        delivery.begin()
        if self._is_draining:
            delivery.drain()

    def _titles(self, outbound: DimseOutbound) -> tuple[str, ...]:
        """The titles under which the outbound knows the proxy."""
        return (self._settings.ae_title, *outbound.move_titles)

    def _call(self, association: IIncomingAssociation) -> None:
        request = association.request
        settings = self._settings
        application = identify(
            request,
            association.peer,
            settings.applications,
            settings.unknown_applications,
            self._ways.addresses_of,
        )
        address = parse_address(association.peer.host)
        route = find_route(settings.routes, association.inbound, request, address)
        may = None if application is None else application.may
        privacy = None if route.privacy is None else self._privacy[route.privacy]
        Call(self, association, route.outbound, may, privacy).begin()

    # What a call needs, and the other workers

    @property
    def settings(self) -> Settings:
        """Those in effect."""
        return self._settings

    @property
    def clock(self) -> IReactorTime:
        """The time."""
        return self._deadlines.clock

    def destination_under(self, title: str, known_as: str, policy: str) -> ApplicationDestination | None:
        """
        The same destination that another worker has found.

        @param policy: the name of the policy that lies between; empty for none.
        """
        return self.destination(title, known_as, self._privacy[policy] if policy else None)

    def destination(self, title: str, known_as: str, privacy: Privacy | None) -> ApplicationDestination | None:
        """
        The application of this AE title, as a destination.

        @param known_as: the title of the proxy that the request came to: applications know it by that.
        @param privacy: the policy of the request's route.
        """
        outbound = self._ways.applications.get(title)
        if outbound is None:
            return None
        if privacy is not None:
            # The objects come from the outbound: as originals if that is where they are, else as pseudonyms.
            sends = Direction.TO_PSEUDONYMS if privacy.outbound_holds_originals else Direction.TO_ORIGINALS
            outbound = across(outbound, privacy, sends, self.clock)
        return ApplicationDestination(title, known_as, outbound, "" if privacy is None else privacy.policy.name)

    def outbound(self, name: str) -> IOutbound:
        """How an outbound is reached."""
        return self._ways.outbounds[name]

    def join(
        self,
        association: IAssociation,
        outbound: IAssociation,
        filters_for: Callable[[Relay], list[Filter]],
    ) -> None:
        """Relay between these two."""
        relay = Relay(
            association, outbound, self._deadlines, self._settings.timeouts, lambda: self._running.discard(relay)
        )
        self._running.add(relay)
        relay.join(filters_for(relay))
        if self._is_draining:
            relay.drain()

    def open_retrieve(
        self, name: str, titles: tuple[str, ...], originator: str, relay: Relay
    ) -> Callable[..., Retrieve]:
        """What a filter opens its retrieves with."""
        return lambda message_id, destination: self._retrieves.open(
            name,
            titles,
            originator,
            message_id,
            destination,
            relay.silence.broken,
            relay.callers_own,
            self.outbounds_alike(name),
        )

    @property
    def retrieves(self) -> Retrieves:
        """Those under way."""
        return self._retrieves

    @property
    def commitments(self) -> Commitments:
        """Those asked for."""
        return self._commitments
