"""What is compared: no proxy at all, HAProxy, dimseproxy, and any other proxy that a command line starts."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from bench.processes import BenchError, Server, free_port

DIRECT = "direct"
HAPROXY = "HAProxy"
HAPROXY_ONE = "HAProxy nbthread 1"
DIMSEPROXY = "dimseproxy"
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
CHECKOUT = Path(__file__).resolve().parent.parent

HAPROXY_CONFIGURATION = """\
global
    maxconn 4096
{threads}
defaults
    mode tcp
    timeout connect 10s
    timeout client 15m
    timeout server 15m
listen bench
    bind 127.0.0.1:{port}
    server sink 127.0.0.1:{sink}
"""

DIMSEPROXY_CONFIGURATION = """\
ae_title: DIMSEPROXY
inbound:
  bench:
    dimse: {{listen: "tcp:{port}:interface=127.0.0.1"}}
outbound:
  sink:
    dimse: {{connect: "tcp:127.0.0.1:{sink}", ae_title: SINK}}
routes:
  - {{outbound: sink}}
"""


@frozen
class Subject:
    """One running way to the sink: a port to call, and the process that relays, if there is one."""

    name: str
    port: int
    server: Server | None = field(default=None)

    def cpu(self) -> float:
        """Seconds of processor time that the relay has used; 0.0 where there is none."""
        return self.server.usage().cpu if self.server else 0.0

    def stop(self) -> None:
        """End the relay."""
        if self.server:
            self.server.stop()


def start(name: str, sink: int, directory: Path, others: dict[str, str] | None = None) -> Subject:
    """Start a subject that relays to the port ``sink``; its files go to the directory.

    ``others`` maps further names to command lines, in which ``{port}`` and ``{sink}`` are replaced.

    :raises BenchError: when it is not known, not installed or does not start
    """
    if name == DIRECT:
        return Subject(name, sink)
    port = free_port()
    if name in (HAPROXY, HAPROXY_ONE):
        return Subject(name, port, start_haproxy(port, sink, directory, one_thread=name == HAPROXY_ONE))
    if name == DIMSEPROXY:
        command = twistd_command(DIMSEPROXY_CONFIGURATION.format(port=port, sink=sink), port, directory)
    elif others and name in others:
        command = [word.format(port=port, sink=sink) for word in shlex.split(others[name])]
    else:
        raise BenchError(f"no such subject: {name}")
    return Subject(name, port, Server.start(name, command, port, directory, environment()))


def environment() -> dict[str, str]:
    """What makes a relay import this checkout, from whatever directory it is started in."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))}


def twistd_command(configuration: str, port: int, directory: Path, launcher: Sequence[str] = TWISTD) -> list[str]:
    """The command that serves under a configuration, which is written to the directory."""
    file = directory / f"dimseproxy.{port}.yaml"
    file.write_text(configuration)
    return [*launcher, "-n", "--pidfile=", "dimseproxy", "--config", str(file)]


def start_haproxy(port: int, sink: int, directory: Path, one_thread: bool = False) -> Server:
    """HAProxy in TCP mode, with its default number of threads or one.

    :raises BenchError: when it is not installed or does not start
    """
    executable = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if executable is None:
        raise BenchError("haproxy is not installed")
    configuration = directory / f"haproxy.{port}.cfg"
    threads = "    nbthread 1" if one_thread else ""
    configuration.write_text(HAPROXY_CONFIGURATION.format(port=port, sink=sink, threads=threads))
    return Server.start(HAPROXY, [executable, "-db", "-f", str(configuration)], port, directory)
