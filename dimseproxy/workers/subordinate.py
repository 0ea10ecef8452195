"""A worker's end of what binds it to its parent: it carries out orders, and says when it serves."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from twisted.application.service import IServiceCollection, Service
from twisted.internet import reactor as _reactor
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from dimseproxy.association.tls import TLSSettingsError
from dimseproxy.config import ConfigurationError, Settings
from dimseproxy.log import Log
from dimseproxy.service import ProxyService
from dimseproxy.workers.listening import Adopting
from dimseproxy.workers.orders import ORDERS, READY, Kind, Order, Orders, settings_in
from dimseproxy.workers.part import Part

log = Logger()


def worker_service(settings: Settings, part: Part, logging: Log | None, reactor: Any = _reactor) -> ProxyService:
    """
    The proxy in a worker.

    @raise DimseProxyError, TLSSettingsError, OSError: as `ProxyService`.
    """
    # In the order in which they are listened on.
    listening = Adopting.of([part.listeners[name] for name in settings.inbound], reactor)
    proxy = ProxyService(settings, None, logging, reactor, part, listening)
    # Stopped with it, when it has drained: orders are taken until then.
    IServiceCollection(proxy).addService(Subordinate(proxy, part.sockets, reactor))
    return proxy


class Subordinate(Service):
    """
    @param proxy: what the orders are for.
    @param sockets: the folder of the sockets at which workers call one another.
    @param orders: the pipe that they come through.
    @param ready: the pipe to say in that it serves.
    """

    def __init__(
        self, proxy: ProxyService, sockets: Path, reactor: Any = _reactor, orders: int = ORDERS, ready: int = READY
    ) -> None:
        self._proxy = proxy
        self._sockets = sockets
        self._reactor = reactor
        self._orders = Orders(orders, self._carry_out, self._orphaned)
        self._ready = ready
        self._is_draining = False
        self._has_parent = True

    def startService(self) -> None:
        Service.startService(self)
        self._proxy.opened.addCallback(self._serves)
        self._reactor.callWhenRunning(self._obey)

    def stopService(self) -> None:
        Service.stopService(self)
        self._reactor.removeReader(self._orders)
        if not self._has_parent:
            self._tidy()

    def drain(self) -> None:
        """Begin to end; to be told so more than once, by the parent and by an init system, is to be told once."""
        if not self._is_draining:
            self._is_draining = True
            with suppress(ReactorNotRunning):
                self._reactor.stop()

    def _obey(self) -> None:
        # Instead of Twisted's own, which cannot be told twice.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.drain))
        self._reactor.addReader(self._orders)

    def _serves(self, _: None) -> None:
        with suppress(BrokenPipeError):
            os.write(self._ready, b".")

    def _carry_out(self, order: Order) -> None:
        if order.kind is Kind.SETTINGS:
            self._reconfigure(order.text)
        elif order.kind is Kind.DRAIN:
            self.drain()
        else:
            self._proxy.cut(order.text)

    def _reconfigure(self, text: str) -> None:
        try:
            self._proxy.reconfigure(settings_in(text))
        except (ConfigurationError, TLSSettingsError) as error:
            log.error("reload: nothing is changed: {error}", error=str(error))

    def _tidy(self) -> None:
        """Remove what the parent would have, if this is the last worker to leave."""
        with suppress(OSError):
            if not any(path.is_socket() for path in self._sockets.iterdir()):
                rmtree(self._sockets)

    def _orphaned(self) -> None:
        self._has_parent = False
        if not self._is_draining:
            log.error("the parent is gone: this worker ends, too")
            self.drain()
