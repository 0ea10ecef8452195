"""What the configuration says of the two sides, made into endpoints."""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.handshake import TLSClientEndpoint, TLSServerEndpoint
from dimseproxy.association.limits import Limits
from dimseproxy.association.proxied import ProxiedServerEndpoint
from dimseproxy.association.tls import client_creator, server_creator
from dimseproxy.config import Settings
from dimseproxy.config.endpoints import connect_address
from dimseproxy.config.settings import Application
from dimseproxy.config.tls_settings import ClientTLS, ServerTLS
from dimseproxy.endpoints import PROXIED, with_backlog
from dimseproxy.outbound.dimse import DimseOutbound

#: What an application is asked to send at most, in bytes.
_APPLICATION_PDU: Final = 131072


@frozen
class Wiring:
    """
    @ivar reactor: connects, and is the clock.
    @ivar listening: listens; the reactor, unless the sockets are there already.
    @ivar deadlines: who looks after the associations' deadlines.
    """

    reactor: Any = field(repr=False)
    listening: Any = field(repr=False)
    deadlines: Deadlines = field(repr=False)

    def listener(self, settings: Settings, name: str) -> IStreamServerEndpoint:
        """
        Where an inbound listens.

        @raise TLSSettingsError: its certificate or key cannot be used.
        """
        inbound = settings.inbound[name]
        listen = with_backlog(inbound.listen)
        # What a load balancer says is read by our own endpoint instead of Twisted's: see `proxied`.
        endpoint: IStreamServerEndpoint = serverFromString(self.listening, listen.removeprefix(PROXIED))
        if listen.startswith(PROXIED):
            endpoint = ProxiedServerEndpoint(endpoint, self.reactor, settings.timeouts.artim)
        if inbound.tls is None:
            return endpoint
        return TLSServerEndpoint(
            endpoint,
            creator_of_server(inbound.tls),
            self.reactor,
            settings.timeouts.artim,
            inbound.max_associations,
        )

    def peer(self, settings: Settings, name: str) -> DimseOutbound:
        """
        How an outbound that is a DICOM peer is reached.

        @raise TLSSettingsError: its certificates cannot be used.
        """
        outbound = settings.peers[name]
        return self._outbound(settings, outbound.connect, outbound.tls, outbound.max_pdu_length)

    def application(self, settings: Settings, application: Application) -> DimseOutbound:
        """
        How an application is reached that takes objects.

        @raise TLSSettingsError: its certificates cannot be used.
        """
        connect = f"tcp:{_escaped(application.host)}:{application.port}"
        return self._outbound(settings, connect, application.tls, _APPLICATION_PDU)

    def _outbound(self, settings: Settings, connect: str, tls: ClientTLS | None, max_pdu_length: int) -> DimseOutbound:
        endpoint: IStreamClientEndpoint = clientFromString(self.reactor, connect)
        if tls is not None:
            creator = creator_of_client(tls, host_of(connect))
            endpoint = TLSClientEndpoint(endpoint, creator, self.reactor, settings.timeouts.connect)
        return DimseOutbound(endpoint, self.deadlines, limits_of(settings, max_pdu_length), settings.timeouts.connect)


def creator_of_server(tls: ServerTLS) -> IOpenSSLServerConnectionCreator:
    """
    TLS towards callers.

    @raise TLSSettingsError: its certificate or key cannot be used.
    """
    return server_creator(tls.certificate, tls.key, tls.client_ca, tls.profile)


def creator_of_client(tls: ClientTLS, host: str) -> IOpenSSLClientConnectionCreator:
    """
    TLS towards a host that is called.

    @raise TLSSettingsError: its certificates cannot be used.
    """
    return client_creator(tls.server_name or host, tls.ca, tls.certificate, tls.key, tls.verify_host, tls.profile)


def limits_of(settings: Settings, max_pdu_length: int) -> Limits:
    """What an association of one leg may cost."""
    timeouts = settings.timeouts
    return Limits(timeouts.artim, timeouts.pdu, timeouts.stall, max_pdu_length)


def host_of(connect: str) -> str:
    """The host of a client endpoint string, empty where it has none."""
    return connect_address(connect).host or ""


def _escaped(host: str) -> str:
    """A host as a part of an endpoint string, where a colon separates."""
    return host.replace("\\", "\\\\").replace(":", "\\:")
