"""HAProxy in TCP mode: a load balancer that tells the proxy the caller's address (PROXY protocol)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.support.process import Process, executable, free_port, scratch

_CONFIGURATION = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen dicom
    bind 127.0.0.1:{front}
    server proxy 127.0.0.1:{back} {version}
"""


async def haproxy(case: TestCase, back: int, version: str = "send-proxy-v2") -> int:
    """Start it before a port; the port that callers use. `version` is HAProxy's server option."""
    folder = scratch(case)
    front = free_port()
    file = folder / "haproxy.cfg"
    file.write_text(_CONFIGURATION.format(front=front, back=back, version=version))
    process = Process.spawn(case, [executable("haproxy"), "-db", "-f", str(file)])
    await process.listens(front)
    return front
