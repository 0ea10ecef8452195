"""What is compared: no proxy at all, HAProxy, dimseproxy, what one would write, and any proxy of a command line."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from bench.processes import CHECKOUT, BenchError, Server, environment, free_port
from bench.shields import EXPORT
from tests.support.certificates import Authority, Identity

DIRECT = "direct"
HAPROXY = "HAProxy"
HAPROXY_ONE = "HAProxy nbthread 1"
HAPROXY_TLS = "HAProxy TLS"
BLIND = "blind relay in Twisted"
PYNETDICOM = "pynetdicom proxy"
PYNETDICOM_PSEUDONYMS = "pynetdicom proxy, pseudonyms"
DIMSEPROXY = "dimseproxy"
GATEWAY = "dimseproxy, pseudonyms"
"""What callers store leaves under pseudonyms."""
DIMSEPROXY_TLS = "dimseproxy TLS"
GATEWAY_TLS = "dimseproxy TLS, pseudonyms"
OURS = (DIMSEPROXY, GATEWAY, DIMSEPROXY_TLS, GATEWAY_TLS)
OVER_TLS = (HAPROXY_TLS, DIMSEPROXY_TLS, GATEWAY_TLS)
"""TLS towards the caller; what is behind is called plain."""
PSEUDONYMISING = (GATEWAY, GATEWAY_TLS, PYNETDICOM_PSEUDONYMS)

TITLE = "DIMSEPROXY"
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")

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
    bind 127.0.0.1:{port}{tls}
    server sink 127.0.0.1:{sink}
"""


@frozen
class Subject:
    """One running way to the sink: a port to call, and the process that relays, if there is one."""

    name: str
    port: int
    server: Server | None = field(default=None)
    ca: Path | None = None
    """Who has signed its certificate, where it speaks TLS."""
    sink: Server | None = None
    """Where the objects of a subject go that answers before it has delivered them: it must have one of its own."""

    def cpu(self) -> float:
        """Seconds of processor time that the relay has used; 0.0 where there is none."""
        return self.server.usage().cpu if self.server else 0.0

    def stop(self) -> None:
        """End the relay."""
        if self.server:
            self.server.stop()
        if self.sink:
            self.sink.stop()


def start(
    name: str, sink: int, directory: Path, others: Mapping[str, str] | None = None, checkout: Path = CHECKOUT
) -> Subject:
    """Start a subject that relays to the port ``sink``; its files go to the directory.

    ``others`` maps further names to command lines, in which ``{port}`` and ``{sink}`` are replaced. One of ours runs
    the code of ``checkout``.

    :raises BenchError: when it is not known, not installed or does not start
    """
    if name == DIRECT:
        return Subject(name, sink)
    certificates = Certificates.within(directory) if name in OVER_TLS else None
    if name in OURS:
        privacy = EXPORT if name in PSEUDONYMISING else None
        return start_proxy(name, sink, directory, privacy, certificates=certificates, checkout=checkout)
    port = free_port()
    ca = certificates.ca if certificates else None
    if name in (HAPROXY, HAPROXY_ONE, HAPROXY_TLS):
        server = start_haproxy(port, sink, directory, one_thread=name == HAPROXY_ONE, certificates=certificates)
        return Subject(name, port, server, ca)
    if name == BLIND:
        command = [sys.executable, "-m", "bench.blind", str(port), str(sink)]
    elif name in (PYNETDICOM, PYNETDICOM_PSEUDONYMS):
        database = [str(directory / f"pynetdicom.{port}.sqlite")] if name in PSEUDONYMISING else []
        command = [sys.executable, "-m", "bench.pynetdicom_proxy", str(port), str(sink), *database]
    elif others and name in others:
        command = [word.format(port=port, sink=sink) for word in shlex.split(others[name])]
    else:
        raise BenchError(f"no such subject: {name}")
    return Subject(name, port, Server.start(name, command, port, directory, environment()))


@frozen
class Certificates:
    """A certificate for 127.0.0.1 and who has signed it."""

    ca: Path
    identity: Identity

    @classmethod
    def within(cls, directory: Path) -> Certificates:
        """New ones, in a folder beneath the directory; the next subject gets the same."""
        folder = directory / "certificates"
        identity = Identity(folder / "bench.pem", folder / "bench.key")
        ca = folder / "Bench-CA.pem"
        if not folder.exists():
            folder.mkdir()
            ca, identity = (authority := Authority(folder, "Bench CA")).file, authority.issue("bench")
        return cls(ca, identity)

    def in_one_file(self) -> Path:
        """The certificate and its key, as HAProxy wants them."""
        file = self.ca.with_name("bench-and-key.pem")
        file.write_bytes(self.identity.certificate.read_bytes() + self.identity.key.read_bytes())
        return file


def start_proxy(
    name: str,
    outbound: int,
    directory: Path,
    privacy: Mapping[str, Any] | None = None,
    *,
    called: str = "SINK",
    applications: Mapping[str, int] | None = None,
    port: int = 0,
    certificates: Certificates | None = None,
    max_associations: int | None = None,
    workers: int | None = None,
    launcher: Sequence[str] = TWISTD,
    checkout: Path = CHECKOUT,
) -> Subject:
    """A dimseproxy in front of a port of the loopback, under a privacy policy or none.

    :param called: the AE title of what listens there, and delivers what a C-MOVE asked for
    :param applications: the titles that a C-MOVE may name, and the ports they listen on
    :param port: where it listens; 0 for any
    :param certificates: for TLS towards the callers
    :param max_associations: None leaves it at what it is without being configured, as None does for ``workers``
    :param checkout: whose code it runs
    :raises BenchError: when it does not start
    """
    port = port or free_port()
    inbound: dict[str, Any] = {"listen": f"tcp:{port}:interface=127.0.0.1"}
    if certificates:
        identity = certificates.identity
        inbound["tls"] = {"certificate": str(identity.certificate), "key": str(identity.key)}
    if max_associations is not None:
        inbound["max_associations"] = max_associations
    configuration: dict[str, Any] = {
        "ae_title": TITLE,
        "data_dir": str(directory / f"data.{port}"),
        "inbound": {"bench": {"dimse": inbound}},
        "outbound": {"sink": {"dimse": {"connect": f"tcp:127.0.0.1:{outbound}", "ae_title": called}}},
        "applications": {title: {"host": "127.0.0.1", "port": where} for title, where in (applications or {}).items()},
        "unknown_applications": "accept",
        "routes": [{"outbound": "sink", **({"privacy": "bench"} if privacy else {})}],
        **({"privacy": {"bench": dict(privacy)}} if privacy else {}),
        **({"workers": workers} if workers is not None else {}),
    }
    command = twistd_command(json.dumps(configuration, indent=1), port, directory, launcher=launcher)
    server = Server.start(name, command, port, directory, environment(checkout))
    return Subject(name, port, server, certificates.ca if certificates else None)


def process_of(subject: Subject) -> Server:
    """The process of a subject that has one.

    :raises BenchError: when it has none
    """
    if subject.server is None:
        raise BenchError(f"{subject.name} has no process to measure")
    return subject.server


def twistd_command(configuration: str, port: int, directory: Path, launcher: Sequence[str] = TWISTD) -> list[str]:
    """The command that serves under a configuration, which is written to the directory."""
    file = directory / f"dimseproxy.{port}.yaml"
    file.write_text(configuration)
    return [*launcher, "-n", "--pidfile=", "dimseproxy", "--config", str(file)]


def start_haproxy(
    port: int, sink: int, directory: Path, one_thread: bool = False, certificates: Certificates | None = None
) -> Server:
    """HAProxy in TCP mode, with its default number of threads or one; with certificates it ends TLS.

    :raises BenchError: when it is not installed or does not start
    """
    executable = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if executable is None:
        raise BenchError("haproxy is not installed")
    configuration = directory / f"haproxy.{port}.cfg"
    threads = "    nbthread 1" if one_thread else ""
    tls = f" ssl crt {certificates.in_one_file()}" if certificates else ""
    configuration.write_text(HAPROXY_CONFIGURATION.format(port=port, sink=sink, threads=threads, tls=tls))
    return Server.start(HAPROXY, [executable, "-db", "-f", str(configuration)], port, directory)
