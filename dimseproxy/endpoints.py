"""What an inbound listens on, in words: for Twisted, and for who reads that it cannot."""

from __future__ import annotations

from typing import Final

from twisted.internet.error import CannotListenError

from dimseproxy.config import Settings

#: Connections that wait to be accepted: with Twisted's 50, some of a thousand callers at once are accepted only after
#: seconds.
BACKLOG: Final = 1024
#: What begins the endpoint string of a listener behind a load balancer.
PROXIED: Final = "haproxy:"


def with_backlog(listen: str) -> str:
    """The endpoint string of a TCP listener, with a backlog for bursts of callers unless it names one."""
    is_tcp = listen.removeprefix(PROXIED).startswith("tcp")
    return f"{listen}:backlog={BACKLOG}" if is_tcp and ":backlog=" not in listen else listen


def cannot_listen(settings: Settings, name: str, error: BaseException) -> str:
    """Which inbound cannot listen, and why."""
    reason = str(error)
    if isinstance(error, CannotListenError):
        reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return f"inbound {name} cannot listen on {settings.inbound[name].listen}: {reason}"
