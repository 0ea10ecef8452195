"""The proxy as its users run it: ``twistd -n --pidfile= dimseproxy --config FILE``."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import TestCase

from tests.support.process import Process, Result, scratch

TITLE = "DIMSEPROXY"
"""The proxy's own AE title in every test."""

CALLED = "SHIELD"
"""The title that callers use for the proxy."""

_COMPLAINTS = ("Traceback", "Unhandled")


def environment() -> dict[str, str]:
    """Lets the child find the very package that the tests import, installed or not."""
    spec = find_spec("dimseproxy")
    if spec is None or spec.origin is None:
        raise AssertionError("the package dimseproxy is not importable")
    return {"PYTHONPATH": str(Path(spec.origin).parent.parent), "PYTHONUNBUFFERED": "1"}


def _twistd() -> list[str]:
    script = Path(sys.executable).with_name("twistd")
    if script.exists():
        return [sys.executable, str(script)]
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


@attrs.define
class ProxyProcess:
    """A running proxy. Its log must be clean of exceptions when the test ends."""

    process: Process
    file: Path

    @classmethod
    def launch(
        cls, case: TestCase, config: Mapping[str, Any] | str, *options: str, within: Sequence[str] = ()
    ) -> ProxyProcess:
        """Write the configuration file and start the proxy, `within` another command, without waiting for it."""
        file = scratch(case) / "dimseproxy.yaml"
        _write(file, config)
        argv = [*within, *_twistd(), "-n", "--pidfile=", "dimseproxy", "--config", str(file), *options]
        # Added before the process is: it runs when the process has ended and its log is complete.
        launched: list[ProxyProcess] = []

        def check() -> None:
            for proxy in launched:
                proxy.check_log()

        case.addCleanup(check)
        process = Process.spawn(case, argv, environment=environment(), folder=file.parent)
        launched.append(cls(process, file))
        return launched[0]

    @classmethod
    async def start(
        cls, case: TestCase, config: Mapping[str, Any] | str, *ports: int, within: Sequence[str] = ()
    ) -> ProxyProcess:
        """Start the proxy and wait until it listens on all of the ports."""
        proxy = cls.launch(case, config, within=within)
        for port in ports:
            await proxy.process.listens(port)
        return proxy

    def configure(self, config: Mapping[str, Any] | str) -> None:
        """Replace the configuration file; SIGHUP makes the proxy read it."""
        _write(self.file, config)

    @property
    def log(self) -> str:
        """What the proxy has logged so far."""
        return self.process.output

    async def ended(self) -> Result:
        """Wait for the proxy to end by itself."""
        return await self.process.finished()

    def check_log(self) -> None:
        """Raise AssertionError with the log if it tells of an exception."""
        if any(word in self.log for word in _COMPLAINTS):
            raise AssertionError(f"the proxy's log tells of an exception:\n{self.log}")


def _write(file: Path, config: Mapping[str, Any] | str) -> None:
    """JSON is YAML 1.2, so a mapping needs no YAML library here."""
    file.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))


def relay(
    port: int,
    peer: int,
    peer_title: str,
    *,
    inbound: Mapping[str, Any] | None = None,
    outbound: Mapping[str, Any] | None = None,
    applications: Mapping[str, Any] | None = None,
    route: Mapping[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """A configuration with one inbound, one outbound and one route; anything more is given by keyword."""
    config: dict[str, Any] = {
        "ae_title": TITLE,
        "inbound": {"clinic": {"dimse": {"listen": f"tcp:{port}:interface=127.0.0.1", **(inbound or {})}}},
        "outbound": {
            "pacs": {"dimse": {"connect": f"tcp:127.0.0.1:{peer}", "ae_title": peer_title, **(outbound or {})}}
        },
        "applications": dict(applications or {}),
        "unknown_applications": "accept",
        "routes": [{"inbound": "clinic", "called": "*", "outbound": "pacs", **(route or {})}],
        "log": {"format": "text", "level": "debug"},
    }
    config.update(top)
    return config


def application(port: int, **more: Any) -> dict[str, Any]:
    """An entry of `applications` for a title that listens on a loopback port."""
    return {"host": "127.0.0.1", "port": port, **more}
