"""
`twistd dimseproxy`: options and service.  The only place that wires things together.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve
from twisted.application.service import IServiceCollection, MultiService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions

from dimseproxy import __version__
from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.handshake import TLSClientEndpoint, TLSServerEndpoint
from dimseproxy.association.interfaces import IOutbound
from dimseproxy.association.limits import Limits
from dimseproxy.association.tls import TLSSettingsError, client_creator, server_creator
from dimseproxy.config import ConfigurationError, Mistake, Settings, diff_reload, dump, load
from dimseproxy.config.endpoints import connect_address
from dimseproxy.config.tls_settings import ClientTLS
from dimseproxy.errors import DimseProxyError
from dimseproxy.inbound.dimse import DimseInbound
from dimseproxy.log import Log, open_log
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.relay.hosts import Hosts
from dimseproxy.relay.reception import Reception, Ways

if TYPE_CHECKING:
    from dimseproxy.keeping import Keeping

log = Logger()

#: How long, in seconds, an A-ABORT at the end of the drain may take to reach its peer.
_LAST_WORDS: Final = 1.0
_BACKLOG: Final = 1024
#: Those of Python, but for the last: a head of a hundred thousand elements is no reason to look through all that lives,
#: which stops everybody for as long as the head is long; a thousand associations that are over are one.
_GC_THRESHOLDS: Final = (700, 10, 50)
#: Seconds after which a thread gives the interpreter to another one.
_SWITCH_INTERVAL: Final = 0.0002


class Options(UsageOptions):
    """The command line of `twistd dimseproxy`."""

    synopsis = "[options]"
    longdesc = "Relays DICOM associations between callers and archives, as its configuration says."
    optParameters = [  # noqa: RUF012
        ["config", "c", None, "The configuration file; see docs/reference/configuration.md."],
        ["privacy-report", None, None, "Print what the privacy policy of this name does to each attribute, and exit."],
    ]
    optFlags = [  # noqa: RUF012
        ["check", None, "Say what is wrong with the configuration, all of it, and exit."],
        ["print-config", None, "Print the configuration in effect, defaults included, and exit."],
    ]
    settings: Settings

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"dimseproxy {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        path = self["config"]
        try:
            self.settings = load(Path(path) if path else None)
        except ConfigurationError as error:
            sys.exit(str(error))
        if self["check"]:
            print("The configuration is valid.")
            sys.exit(0)
        if self["print-config"]:
            print(dump(self.settings), end="")
            sys.exit(0)
        if self["privacy-report"] is not None:
            self._report(self["privacy-report"])

    def _report(self, name: str) -> None:
        from dimseproxy.policies import compiled
        from dimseproxy.privacy.report import privacy_report

        policies = self.settings.privacy
        if name not in policies:
            known = ", ".join(policies) or "none"
            sys.exit(f"dimseproxy: no privacy policy is called {name!r}; the configuration has: {known}")
        print(privacy_report(compiled(name, policies[name])), end="")
        sys.exit(0)


class ProxyService(MultiService):
    """
    The proxy.

    @param settings: what the configuration says.
    @param path: where it was read from, to read it again.
    @param logging: where the log goes; None leaves that to twistd.
    """

    def __init__(self, settings: Settings, path: Path | None, logging: Log | None, reactor: Any = _reactor) -> None:
        MultiService.__init__(self)
        self._settings = settings
        self._path = path
        self._logging = logging
        self._reactor = reactor
        self._deadlines = Deadlines(reactor)
        self._hosts = Hosts(reactor)
        self._keeping = self._keeping_of(settings)
        privacy = {} if self._keeping is None else self._keeping.privacy
        self._reception = Reception(settings, self._ways(settings), self._deadlines, privacy)
        self._listeners = {
            name: (
                self._server_endpoint(settings, name),
                DimseInbound(
                    name,
                    self._reception,
                    self._deadlines,
                    _limits(settings, inbound.max_pdu_length),
                    inbound.max_associations,
                ),
            )
            for name, inbound in settings.inbound.items()
        }
        self._ports: list[IListeningPort] = []
        self._is_stopping = False
        self._cuts: list[IDelayedCall] = []

    def setServiceParent(self, parent: object) -> None:
        """The application that twistd makes of us takes its log observer from here."""
        if self._logging is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._logging)
        MultiService.setServiceParent(self, IServiceCollection(parent))

    def privilegedStartService(self) -> None:
        """Listen, before twistd gives up its privileges."""
        MultiService.privilegedStartService(self)
        # Before anybody can see that it runs: unhandled, a SIGHUP would end it.
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.reload))
        failures: list[tuple[str, Failure]] = []

        def failed(failure: Failure, name: str) -> None:
            failures.append((name, failure))

        for name, (endpoint, factory) in self._listeners.items():
            listening = endpoint.listen(factory)
            listening.addCallback(self._listens, name)
            listening.addErrback(failed, name)
        for name, failure in failures:
            text = f"inbound {name} cannot listen on {self._settings.inbound[name].listen}: {_reason(failure)}"
            log.critical("{text}", text=text)
            sys.exit(f"dimseproxy: {text}")

    def startService(self) -> None:
        MultiService.startService(self)
        self._deadlines.start()
        self._hosts.start()
        self._reactor.callWhenRunning(self._open)
        # What is here now is here to stay: to look through it again and again would stop everybody, each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        # Who waits for the disk needs the interpreter for moments: nobody shall wait five milliseconds for that.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        # Twisted installs its own handlers when the reactor runs.
        self._reactor.callWhenRunning(self._take_signals)

    def _open(self) -> None:
        """Open what is kept; callers wait until it was tried."""
        opening: Deferred[None] = succeed(None) if self._keeping is None else self._keeping.start()
        opening.addErrback(self._cannot_open)
        opening.addCallback(lambda _: self._reception.open())

    def _cannot_open(self, failure: Failure) -> None:
        if failure.check(DimseProxyError, OSError):
            log.critical("{text}", text=failure.getErrorMessage())
        else:
            log.failure("what is kept cannot be opened", failure)
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        self._reactor.stop()

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._told_to_stop, signal.getsignal(number)))

    def _told_to_stop(self, stop: Any, number: int, frame: FrameType | None) -> None:
        """The first signal is Twisted's, and begins the drain; who asks again does not want to wait for it."""
        if self._is_stopping:
            self._reactor.callFromThread(self._cut, "told to stop again")
        else:
            stop(number, frame)

    def _listens(self, port: IListeningPort, name: str) -> None:
        self._ports.append(port)
        address = port.getHost()
        log.info(
            "inbound {name} listens on {host}:{port}{tls}",
            name=name,
            host=getattr(address, "host", address),
            port=getattr(address, "port", ""),
            tls=" with TLS" if self._settings.inbound[name].tls else "",
        )

    def stopService(self) -> Deferred[object]:
        """
        Take no new associations, let running messages finish, and stop at the latest when `timeouts.drain` is over.
        """
        self._is_stopping = True
        if not self._reception.expects_deliveries:
            self._stop_listening()
        factories = [factory for _, factory in self._listeners.values()]
        log.info("shutting down with {count} associations", count=sum(factory.count for factory in factories))
        drained: Deferred[Any] = gatherResults([factory.emptied() for factory in factories])
        self._reception.drain()
        seconds = self._settings.timeouts.drain
        self._cuts = [self._reactor.callLater(seconds, self._cut, f"they did not finish within {seconds:g} s")]
        return drained.addCallback(lambda _: self._stopped())

    def _stop_listening(self) -> None:
        for port in self._ports:
            port.stopListening()
        self._ports = []

    def _cut(self, why: str) -> None:
        log.warn("associations are cut: {why}", why=why)
        self._reception.abort_all("the proxy is shutting down")
        for _, factory in self._listeners.values():
            self._cuts.append(self._reactor.callLater(_LAST_WORDS, factory.cut_all))

    def _stopped(self) -> Deferred[object]:
        self._stop_listening()
        for call in self._cuts:
            if call.active():
                call.cancel()
        self._deadlines.stop()
        self._hosts.stop()
        closed: Deferred[None] = succeed(None) if self._keeping is None else self._keeping.stop()
        return closed.addCallback(lambda _: MultiService.stopService(self))

    def reload(self) -> None:
        """
        Read the configuration again (SIGHUP).  Routes, applications and the log level change for the associations to
        come; running ones go on as they began.  A mistake changes nothing.
        """
        try:
            settings = load(self._path)
            needs_restart = diff_reload(self._settings, settings)
            if needs_restart:
                log.warn("reload: a restart is needed for {changed}", changed=", ".join(needs_restart))
            merged = _reloaded(self._settings, settings)
            ways = self._ways(merged)
        except (ConfigurationError, TLSSettingsError) as error:
            log.error("reload: nothing is changed: {error}", error=str(error))
            return
        self._settings = merged
        self._reception.reconfigure(merged, ways)
        if self._logging is not None:
            self._logging.set_level(merged.log.level)
        log.info("reload: the configuration is in effect")

    # Wiring

    def _keeping_of(self, settings: Settings) -> Keeping | None:
        if not settings.privacy and not settings.archives:
            return None
        # Not at the top: a plain relay keeps nothing, and a database takes a while to load.
        from dimseproxy.keeping import Keeping

        return Keeping(settings, self._reactor, partial(self._peer, settings))

    def _ways(self, settings: Settings) -> Ways:
        outbound_hosts = {name: _host(outbound.connect) for name, outbound in settings.peers.items()}
        self._hosts.know([*outbound_hosts.values(), *(each.host for each in settings.applications.values())])
        outbounds: dict[str, IOutbound] = {name: self._peer(settings, name) for name in settings.peers}
        if self._keeping is not None:
            outbounds.update(self._keeping.outbounds)
        applications: Mapping[str, DimseOutbound] = {
            title: self._outbound(settings, f"tcp:{_escaped(each.host)}:{each.port}", each.tls, 131072)
            for title, each in settings.applications.items()
        }
        return Ways(outbounds, applications, outbound_hosts, self._hosts.addresses_of)

    def _peer(self, settings: Settings, name: str) -> DimseOutbound:
        outbound = settings.peers[name]
        return self._outbound(settings, outbound.connect, outbound.tls, outbound.max_pdu_length)

    def _outbound(self, settings: Settings, connect: str, tls: ClientTLS | None, max_pdu_length: int) -> DimseOutbound:
        endpoint: IStreamClientEndpoint = clientFromString(self._reactor, connect)
        if tls is not None:
            creator = client_creator(
                tls.server_name or _host(connect), tls.ca, tls.certificate, tls.key, tls.verify_host, tls.profile
            )
            endpoint = TLSClientEndpoint(endpoint, creator, self._reactor, settings.timeouts.connect)
        return DimseOutbound(endpoint, self._deadlines, _limits(settings, max_pdu_length), settings.timeouts.connect)

    def _server_endpoint(self, settings: Settings, name: str) -> IStreamServerEndpoint:
        inbound = settings.inbound[name]
        endpoint: IStreamServerEndpoint = serverFromString(self._reactor, with_backlog(inbound.listen))
        if inbound.tls is None:
            return endpoint
        tls = inbound.tls
        creator = server_creator(tls.certificate, tls.key, tls.client_ca, tls.profile)
        return TLSServerEndpoint(
            endpoint,
            creator,
            self._reactor,
            settings.timeouts.artim,
            inbound.max_associations,
        )


def _reloaded(old: Settings, new: Settings) -> Settings:
    """
    What a reload brings into effect.

    @raise ConfigurationError: where a new route leads to an outbound, or under a policy, that a restart would bring.
    """
    mistakes = tuple(
        Mistake(f"routes[{index}].outbound", f"{route.outbound!r} is new and needs a restart first")
        for index, route in enumerate(new.routes)
        if route.outbound not in old.outbound
    ) + tuple(
        Mistake(f"routes[{index}].privacy", f"{route.privacy!r} is new and needs a restart first")
        for index, route in enumerate(new.routes)
        if route.privacy is not None and route.privacy not in old.privacy
    )
    if mistakes:
        raise ConfigurationError(mistakes)
    return evolve(
        old,
        routes=new.routes,
        applications=new.applications,
        unknown_applications=new.unknown_applications,
        log=evolve(old.log, level=new.log.level),
    )


def _limits(settings: Settings, max_pdu_length: int) -> Limits:
    timeouts = settings.timeouts
    return Limits(timeouts.artim, timeouts.pdu, timeouts.stall, max_pdu_length)


def with_backlog(listen: str) -> str:
    """
    The endpoint string of a TCP listener, with a backlog for bursts of callers unless it names one.

    With Twisted's 50, some of a thousand callers at once are accepted only after seconds.
    """
    is_tcp = listen.removeprefix("haproxy:").startswith("tcp")
    return f"{listen}:backlog={_BACKLOG}" if is_tcp and ":backlog=" not in listen else listen


def _host(connect: str) -> str:
    """The host of a client endpoint string, empty where it has none."""
    return connect_address(connect).host or ""


def _escaped(host: str) -> str:
    """A host as a part of an endpoint string, where a colon separates."""
    return host.replace("\\", "\\\\").replace(":", "\\:")


def _reason(failure: Failure) -> str:
    """Why a port cannot be listened on, in words."""
    error = failure.value
    if isinstance(error, CannotListenError):
        return getattr(error.socketError, "strerror", None) or str(error.socketError)
    return failure.getErrorMessage()


def makeService(options: Options) -> ProxyService:
    """What twistd runs."""
    path = Path(options["config"]).absolute() if options["config"] else None
    settings = options.settings
    logging = None
    if (twistd := options.parent) is not None and not twistd.get("logger") and not twistd.get("syslog"):
        out = open_log(twistd.get("logfile"), bool(twistd.get("nodaemon")))
        logging = Log(out, settings.log.format, settings.log.level)
    try:
        return ProxyService(settings, path, logging)
    except (DimseProxyError, TLSSettingsError, OSError) as error:
        sys.exit(f"dimseproxy: {error}")
