"""
Who may call.

An application is its AE title, compared exactly, at its address, with its certificate where one is bound to it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from dimseproxy.association.interfaces import Peer
from dimseproxy.association.peer_names import carries_name
from dimseproxy.config.settings import Application
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    AssociationRejected,
)
from dimseproxy.ul.pdu import AssociateRequest

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The addresses of a host name or address, as far as they are known now.
HostAddresses = Callable[[str], frozenset[IPAddress]]


@lru_cache(1024)
def parse_address(host: str) -> IPAddress | None:
    """An address in one form: an IPv4-mapped IPv6 address is the IPv4 address, a zone is left out."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_from(address: IPAddress | None, host: str, networks: Iterable[IPNetwork], addresses_of: HostAddresses) -> bool:
    """Whether an address is the host's, or in one of the networks."""
    if address is None:
        return False
    return address in addresses_of(host) or any(address in network for network in networks)


def is_title(title: str) -> bool:
    """Whether this is an AE title at all: 1 to 16 printable ASCII characters, no backslash (PS3.5 6.2)."""
    return 0 < len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title


def identify(
    request: AssociateRequest,
    peer: Peer,
    applications: Mapping[str, Application],
    accept_unknown: bool,
    addresses_of: HostAddresses,
) -> Application | None:
    """
    The application that calls; None for one that is not configured, where such may call.

    @raise AssociationRejected: where it may not.
    """
    if not is_title(request.called_ae_title):
        raise AssociationRejected(CALLED_AE_TITLE_NOT_RECOGNIZED, "the called AE title is not valid")
    title = request.calling_ae_title
    if not is_title(title):
        raise _refused("the calling AE title is not valid")
    application = applications.get(title)
    if application is None:
        if accept_unknown:
            return None
        raise _refused("the calling AE title is not configured")
    # A known title never passes as an unknown one, even where those may call.
    if not is_from(parse_address(peer.host), application.host, application.from_, addresses_of):
        raise _refused("the calling AE title belongs to another address")
    if application.certificate and not carries_name(peer.names, application.certificate):
        raise _refused("the certificate is not the application's")
    return application


def _refused(why: str) -> AssociationRejected:
    return AssociationRejected(CALLING_AE_TITLE_NOT_RECOGNIZED, why)
