"""The proxy as a service: what is put together and started, reloaded, drained and stopped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import MultiService
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, TimeoutError, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.interfaces import IAssociation, IOutbound
from dimseproxy.association.tls import TLSSettingsError
from dimseproxy.config import ConfigurationError, Settings
from dimseproxy.endpoints import cannot_listen
from dimseproxy.errors import DimseProxyError
from dimseproxy.inbound.dimse import DimseInbound
from dimseproxy.log import Log, logged_by
from dimseproxy.outbound.sharing import SharedOutbounds
from dimseproxy.process import CannotStart, fail, on_hangup, on_stop
from dimseproxy.relay.hosts import Hosts
from dimseproxy.relay.reception import Reception, Ways
from dimseproxy.reloading import read_again
from dimseproxy.ul.pdu import AssociateRequest
from dimseproxy.wiring import Wiring, host_of, limits_of
from dimseproxy.workers.part import Part
from dimseproxy.workers.siblings import Siblings

if TYPE_CHECKING:
    from dimseproxy.keeping import Keeping

log = Logger()

#: How long, in seconds, what is kept may take to close: a disk or a server that gives no answer keeps nobody longer.
LONGEST_CLOSE: Final = 20.0
#: How long, in seconds, an A-ABORT at the end of the drain may take to reach its peer.
LAST_WORDS: Final = 1.0
#: Those of Python, but for the last: a head of a hundred thousand elements is no reason to look through all that lives,
#: which stops everybody for as long as the head is long; a thousand associations that are over are one.
_GC_THRESHOLDS: Final = (700, 10, 50)
#: Seconds after which a thread gives the interpreter to another one.
_SWITCH_INTERVAL: Final = 0.0002


@implementer(IOutbound)
class _AsConfigured:
    """
    An outbound as the configuration in effect has it, for who keeps it longer than that.

    @param find: how it is reached now.
    """

    def __init__(self, find: Callable[[], IOutbound]) -> None:
        self._find = find

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        asking: Deferred[IAssociation] = self._find().associate(request)
        return asking


class ProxyService(MultiService):
    """
    The proxy, or with a part one of several that share its listening ports.

    @param settings: what the configuration says.
    @param path: where it was read from, to read it again.
    @param logging: where the log goes; None leaves that to twistd.
    @param part: which of several workers it is; None: there is only one.  A worker is told by its parent what the
        others are told by signals.
    @param listening: listens; None: the reactor does.
    """

    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        logging: Log | None,
        reactor: Any = _reactor,
        part: Part | None = None,
        listening: Any = None,
    ) -> None:
        MultiService.__init__(self)
        self._settings = settings
        self._path = path
        self._logging = logging
        self._reactor = reactor
        self._part = part
        self._deadlines = Deadlines(reactor)
        self._hosts = Hosts(reactor)
        self._wiring = Wiring(reactor, reactor if listening is None else listening, self._deadlines)
        self._siblings = self._siblings_of(settings, part)
        self._shared = SharedOutbounds() if self._siblings is None else SharedOutbounds(self._siblings.slots)
        self._keeping = self._keeping_of(settings)
        privacy = {} if self._keeping is None else self._keeping.privacy
        elsewhere = None if self._siblings is None else self._siblings.elsewhere
        self._reception = Reception(settings, self._ways(settings), self._deadlines, privacy, elsewhere)
        self._listeners = {
            name: (
                self._wiring.listener(settings, name),
                DimseInbound(
                    name,
                    self._reception,
                    self._deadlines,
                    limits_of(settings, inbound.max_pdu_length),
                    inbound.max_associations,
                    None if self._siblings is None else self._siblings.places(name),
                ),
            )
            for name, inbound in settings.inbound.items()
        }
        self._ports: list[IListeningPort] = []
        self._is_stopping = False
        self._cuts: list[IDelayedCall] = []
        #: Fires when callers are served.
        self.opened: Deferred[None] = Deferred()

    def setServiceParent(self, parent: object) -> None:
        MultiService.setServiceParent(self, logged_by(self._logging, parent))

    def privilegedStartService(self) -> None:
        """
        Listen, before twistd gives up its privileges.

        @raise CannotStart: a port is in use, or is not for this user.
        """
        MultiService.privilegedStartService(self)
        if self._part is None:
            # Before anybody can see that it runs: unhandled, a SIGHUP would end it.
            on_hangup(self._reactor, self.reload)
        failures: list[tuple[str, BaseException]] = []

        def failed(failure: Failure, name: str) -> None:
            assert failure.value is not None
            failures.append((name, failure.value))

        for name, (endpoint, factory) in self._listeners.items():
            listening = endpoint.listen(factory)
            listening.addCallback(self._listens, name)
            listening.addErrback(failed, name)
        for name, error in failures:
            text = cannot_listen(self._settings, name, error)
            log.critical("{text}", text=text)
            raise CannotStart(text)

    def startService(self) -> None:
        MultiService.startService(self)
        self._deadlines.start()
        self._hosts.start()
        if self._siblings is not None:
            self._siblings.start(self._reception)
        self._reactor.callWhenRunning(self._open)
        # What is here now is here to stay: to look through it again and again would stop everybody, each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        # Who waits for the disk needs the interpreter for moments: nobody shall wait five milliseconds for that.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        if self._part is None:
            again = partial(self.cut, "told to stop again")
            # Twisted installs its own signal handlers when the reactor runs.
            self._reactor.callWhenRunning(on_stop, self._reactor, lambda: self._is_stopping, again)

    def _open(self) -> None:
        """Open what is kept; callers wait until it was tried."""
        opening: Deferred[None] = succeed(None) if self._keeping is None else self._keeping.start()
        tried: Deferred[bool] = opening.addCallbacks(lambda _: True, self._cannot_open)
        tried.addCallback(self._serve)

    def _serve(self, is_open: bool) -> None:
        self._reception.open()
        if is_open:
            self.opened.callback(None)

    def _cannot_open(self, failure: Failure) -> bool:
        if failure.check(DimseProxyError, OSError):
            log.critical("{text}", text=failure.getErrorMessage())
        else:
            log.failure("what is kept cannot be opened", failure)
        fail(self._reactor)
        return False

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
        count = sum(factory.count for factory in factories)
        log.info("shutting down with {count} {what}", count=count, what="association" if count == 1 else "associations")
        drained: Deferred[Any] = gatherResults([*(each.emptied() for each in factories), self._shared.close()])
        siblings = self._siblings
        if siblings is not None:
            # What the others bring here is for associations of ours, and ends with them.
            drained.addCallback(lambda _: siblings.emptied())
        self._reception.drain()
        seconds = self._settings.timeouts.drain
        self._cuts = [self._reactor.callLater(seconds, self.cut, f"they did not finish within {seconds:g} s")]
        return drained.addCallback(lambda _: self._stopped())

    def _stop_listening(self) -> None:
        for port in self._ports:
            port.stopListening()
        self._ports = []

    def cut(self, why: str) -> None:
        """Abort what still drains."""
        log.warn("associations are cut: {why}", why=why)
        self._reception.abort_all("the proxy is shutting down")
        for _, factory in self._listeners.values():
            self._cuts.append(self._reactor.callLater(LAST_WORDS, factory.cut_all))
        if self._siblings is not None:
            self._cuts.append(self._reactor.callLater(LAST_WORDS, self._siblings.cut_all))

    def _stopped(self) -> Deferred[object]:
        self._stop_listening()
        for call in self._cuts:
            if call.active():
                call.cancel()
        self._deadlines.stop()
        self._hosts.stop()
        closing: list[Deferred[Any]] = []
        if self._siblings is not None:
            closing.append(self._siblings.stop())
        if self._keeping is not None:
            kept = self._keeping.stop().addTimeout(LONGEST_CLOSE, self._reactor)
            closing.append(kept.addErrback(self._cannot_close))
        return gatherResults(closing).addCallback(lambda _: MultiService.stopService(self))

    def _cannot_close(self, failure: Failure) -> None:
        if failure.check(TimeoutError):
            why = f"it did not end within {LONGEST_CLOSE:g} s"
        else:
            # Without its words: its values may be somebody's.
            why = getattr(failure.type, "__name__", "unknown")
        log.error("what is kept cannot be closed: {why}", why=why)

    def reload(self) -> None:
        """
        Read the configuration again (SIGHUP).  Routes, applications and the log level change for the associations to
        come; running ones go on as they began.  A mistake changes nothing.
        """
        try:
            self.reconfigure(read_again(self._settings, self._path))
        except (ConfigurationError, TLSSettingsError) as error:
            log.error("reload: nothing is changed: {error}", error=str(error))

    def reconfigure(self, settings: Settings) -> None:
        """
        Bring settings into effect that a reload has merged with those until now.

        @raise TLSSettingsError: a certificate cannot be used; nothing is changed.
        """
        ways = self._ways(settings)
        self._settings = settings
        self._reception.reconfigure(settings, ways)
        if self._logging is not None:
            self._logging.set_level(settings.log.level)
        log.info("reload: the configuration is in effect")

    # Wiring

    def _siblings_of(self, settings: Settings, part: Part | None) -> Siblings | None:
        if part is None:
            return None
        # As long as those that come from outside: then nothing is fragmented anew on the way to another worker.
        longest = max(inbound.max_pdu_length for inbound in settings.inbound.values())
        return Siblings(part, settings, self._reactor, self._deadlines, limits_of(settings, longest))

    def _keeping_of(self, settings: Settings) -> Keeping | None:
        if not settings.privacy and not settings.archives:
            return None
        # Not at the top: a plain relay keeps nothing, and a database takes a while to load.
        from dimseproxy.keeping import Keeping

        return Keeping(settings, self._reactor, lambda name: _AsConfigured(lambda: self._reception.outbound(name)))

    def _peer(self, settings: Settings, name: str) -> IOutbound:
        return self._shared.shared(name, settings.peers[name], self._wiring.peer(settings, name))

    def _ways(self, settings: Settings) -> Ways:
        outbound_hosts = {name: host_of(outbound.connect) for name, outbound in settings.peers.items()}
        self._hosts.know([*outbound_hosts.values(), *(each.host for each in settings.applications.values())])
        outbounds: dict[str, IOutbound] = {name: self._peer(settings, name) for name in settings.peers}
        if self._keeping is not None:
            outbounds.update(self._keeping.outbounds)
        applications = {
            title: self._wiring.application(settings, each) for title, each in settings.applications.items()
        }
        return Ways(outbounds, applications, outbound_hosts, self._hosts.addresses_of)
