"""The addresses of the hosts that the configuration names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dimseproxy.relay.access import IPAddress, parse_address

log = Logger()

#: How often names are looked up, in seconds: often enough for an address that changes.
_LOOK_UP_EVERY: Final = 60.0
#: Seconds that one look-up may take.
_LOOKING_UP: Final = _LOOK_UP_EVERY / 2


class Hosts:
    """
    Answers at once, from the last look-up: nobody's association waits for a name server.

    @param reactor: with a name resolver.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._names: frozenset[str] = frozenset()
        self._addresses: dict[str, frozenset[IPAddress]] = {}
        self._call = LoopingCall(self._look_up)
        self._call.clock = reactor

    def know(self, hosts: Iterable[str]) -> None:
        """Keep the addresses of these hosts; names are looked up while started."""
        names = set()
        for host in hosts:
            address = parse_address(host)
            if address is None:
                names.add(host)
            else:
                self._addresses[host] = frozenset((address,))
        self._names = frozenset(names - {""})
        if self._call.running:
            self._look_up()

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """What is known now; empty before the first look-up has answered."""
        return self._addresses.get(host, frozenset())

    def start(self) -> Deferred[list[tuple[bool, None]]]:
        """
        Begin to look up.

        @return: fires when the first look-up is done.
        """
        self._call.start(_LOOK_UP_EVERY, now=False)
        return self._look_up()

    def stop(self) -> None:
        """Look up no more."""
        if self._call.running:
            self._call.stop()

    def _look_up(self) -> Deferred[list[tuple[bool, None]]]:
        return DeferredList([self._resolve(name) for name in self._names])

    def _resolve(self, name: str) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        found: set[IPAddress] = set()
        hosts = self

        class Receiver:
            """Collects the addresses of one name."""

            def resolutionBegan(self, resolution: object) -> None:
                """Nothing to do."""

            def addressResolved(self, address: object) -> None:
                """One of them."""
                parsed = parse_address(getattr(address, "host", ""))
                if parsed is not None:
                    found.add(parsed)

            def resolutionComplete(self) -> None:
                """That was all; a failed look-up keeps what was known."""
                if found:
                    hosts._addresses[name] = frozenset(found)
                else:
                    log.warn("the address of host {name} is not known", name=name)
                done.callback(None)

        self._reactor.nameResolver.resolveHostName(Receiver(), name)  # type: ignore[attr-defined]
        # Of what it cannot even ask, for want of a descriptor or because the name is none, the resolver says nothing.
        return done.addTimeout(_LOOKING_UP, self._reactor).addErrback(lambda _: None)
