"""Where an association goes: the first route that matches."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from dimseproxy.config.settings import Route
from dimseproxy.dimse.sop_classes import service_of
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    NO_REASON_GIVEN,
    AssociationRejected,
)
from dimseproxy.relay.access import IPAddress
from dimseproxy.ul.pdu import AssociateRequest


def find_route(routes: Iterable[Route], inbound: str, request: AssociateRequest, address: IPAddress | None) -> Route:
    """
    @param inbound: the name of the inbound that was called.
    @param address: the caller's.
    @raise AssociationRejected: where no route matches, with the reason that the nearest miss gives.
    """
    rejection = CALLED_AE_TITLE_NOT_RECOGNIZED
    why = "no route has this called AE title"
    # Anybody may verify along any route: an echo proposed beside others says nothing about where to go.
    services = {service_of(context.abstract_syntax) for context in request.contexts} - {"echo"}
    for route in routes:
        if not fnmatchcase(inbound, route.inbound) or not fnmatchcase(request.called_ae_title, route.called):
            continue
        if not fnmatchcase(request.calling_ae_title, route.calling) or not _is_within(address, route):
            rejection, why = CALLING_AE_TITLE_NOT_RECOGNIZED, "no route to this called AE title is for this caller"
            continue
        if route.services and not services <= route.services:
            rejection, why = NO_REASON_GIVEN, "no route of this caller is for all proposed services"
            continue
        return route
    raise AssociationRejected(rejection, why)


def _is_within(address: IPAddress | None, route: Route) -> bool:
    if not route.from_:
        return True
    return address is not None and any(address in network for network in route.from_)
