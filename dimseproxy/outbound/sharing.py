"""The outbounds of a process whose associations are shared, by name: what its settings say, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, gatherResults

from dimseproxy.association.interfaces import IOutbound
from dimseproxy.config.settings import DimseOutbound as DimseSettings
from dimseproxy.config.tls_settings import ClientTLS
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.outbound.limits import Count, Operations, Slots
from dimseproxy.outbound.pool import SharedOutbound, Sharing

#: What is counted.
ASSOCIATIONS: Final = "associations"
OPERATIONS: Final = "operations"

#: Makes the places of an outbound: what is counted, the outbound's name, and how many there are.
MakeSlots = Callable[[str, str, int], Slots]


def of_this_process(what: str, name: str, limit: int) -> Slots:
    """Places that nobody else counts."""
    return Count(limit)


class SharedOutbounds:
    """
    They outlive a reload, and with them their counts and turns, and their associations unless the peer is then reached
    in another way.

    @param slots: where other processes share the limits, too, what counts for all of them.
    """

    def __init__(self, slots: MakeSlots = of_this_process) -> None:
        self._slots = slots
        self._shared: dict[str, SharedOutbound] = {}
        self._ways: dict[str, tuple[str, ClientTLS | None]] = {}

    def shared(self, name: str, settings: DimseSettings, outbound: DimseOutbound) -> IOutbound:
        """
        The outbound of this name, or itself where nothing is shared.

        @param outbound: how it is reached from now on.
        """
        if settings.pool is None and settings.max_associations is None and settings.max_operations is None:
            return outbound
        known = self._shared.get(name)
        if known is None:
            known = self._shared[name] = self._made(name, settings, outbound)
        # With TLS the certificates were read again, and an old association may stand on one that is no longer trusted.
        way = settings.connect, settings.tls
        is_another_way = settings.tls is not None or way != self._ways.get(name)
        self._ways[name] = way
        known.reach(outbound, is_another_way=is_another_way)
        return known

    def close(self) -> Deferred[None]:
        """
        Keep no association any longer.

        @return: fires when those are gone that were idle.
        """
        return gatherResults([each.close() for each in self._shared.values()]).addCallback(lambda _: None)

    def _made(self, name: str, settings: DimseSettings, outbound: DimseOutbound) -> SharedOutbound:
        pool, most = settings.pool, settings.max_associations
        sharing = Sharing(0 if pool is None else pool.size, 0.0 if pool is None else pool.idle, settings.wait)
        places = Count(None) if most is None else self._slots(ASSOCIATIONS, name, most)
        operations = None
        if settings.max_operations is not None:
            operations = Operations(self._slots(OPERATIONS, name, settings.max_operations))
        return SharedOutbound(outbound, sharing, places, operations)
