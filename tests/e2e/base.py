"""What the end-to-end tests share: the proxy between a caller and a peer, or nothing between them.

With ``DIMSEPROXY_E2E=direct`` in the environment every scenario that can runs without the proxy. That proves
the peers and the expectations; what then fails through the proxy is the proxy's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import attrs
from twisted.trial.unittest import SkipTest, TestCase

from tests.support.process import free_port
from tests.support.proxy import CALLED, TITLE, ProxyProcess, application, relay

DIRECT = os.environ.get("DIMSEPROXY_E2E") == "direct"


@attrs.frozen
class Front:
    """Where callers call: a port, the title to use, and the proxy that is there (None: the peer itself)."""

    port: int
    title: str
    proxy: ProxyProcess | None

    @property
    def running(self) -> ProxyProcess:
        """The proxy, in tests that make no sense without one."""
        assert self.proxy is not None
        return self.proxy


class EndToEnd(TestCase):
    """A test with real peers."""

    timeout = 90

    def needs_proxy(self) -> None:
        """Skip the test where the scenarios run without the proxy."""
        if DIRECT:
            raise SkipTest("is about the proxy itself")

    async def before(self, port: int, title: str, *, at: int = 0, **settings: Any) -> Front:
        """Put the proxy before a peer; `settings` are those of `tests.support.proxy.relay`."""
        if DIRECT:
            return Front(port, title, None)
        at = at or free_port()
        proxy = await ProxyProcess.start(self, relay(at, port, title, **settings), at)
        return Front(at, CALLED, proxy)

    def known_to_peer(self, at: int, destinations: Mapping[str, int]) -> dict[str, int]:
        """The move destinations that a PACS must know: the proxy alone, or without it all of them."""
        return dict(destinations) if DIRECT else {TITLE: at}

    @staticmethod
    def applications(destinations: Mapping[str, int]) -> dict[str, Any]:
        """The `applications` of the proxy for titles that listen on loopback ports."""
        return {title: application(port) for title, port in destinations.items()}
