"""The proxy with an archive of its own behind it, as its users run it, and the commands that look after it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.trial.unittest import TestCase

from tests.support.process import Result, free_port, run, scratch
from tests.support.proxy import CALLED, TITLE, ProxyProcess, application, environment

LOCAL: Final = "local"
"""The name of the outbound that is the archive."""


@attrs.define
class ArchiveProxy:
    """
    A running proxy that answers from its own disk.

    @ivar port: where callers call.
    @ivar data_dir: where it keeps what it keeps.
    """

    proxy: ProxyProcess
    port: int
    data_dir: Path
    title: str = CALLED

    async def command(self, case: TestCase, *words: str) -> Result:
        """Run one of the commands, such as `verify`, on the configuration of the proxy."""
        return await command(case, self.proxy.file, *words)

    def blobs(self) -> list[Path]:
        """The files of objects that are finished."""
        folder = self.data_dir / "archive"
        return sorted(
            path for path in folder.rglob("*") if path.is_file() and "incoming" not in path.relative_to(folder).parts
        )


def configuration(
    port: int,
    data_dir: Path,
    *,
    archive: Mapping[str, Any] | None = None,
    outbound: Mapping[str, Any] | None = None,
    destinations: Mapping[str, int] | None = None,
    route: Mapping[str, Any] | None = None,
    **top: Any,
) -> dict[str, Any]:
    """
    A configuration with one inbound and the archive behind it.

    @param archive: settings of the archive.
    @param outbound: further outbounds.
    @param destinations: titles that a C-MOVE may name, and the loopback ports on which they listen.
    """
    watermark = {"watermark": {"refuse_below": "1 MiB"}}
    return {
        "ae_title": TITLE,
        "data_dir": str(data_dir),
        "inbound": {"clinic": {"dimse": {"listen": f"tcp:{port}:interface=127.0.0.1"}}},
        "outbound": {LOCAL: {"archive": {**watermark, **(archive or {})}}, **(outbound or {})},
        "applications": {title: application(where) for title, where in (destinations or {}).items()},
        "unknown_applications": "accept",
        "routes": [{"inbound": "clinic", "called": "*", "outbound": LOCAL, **(route or {})}],
        "log": {"format": "text", "level": "info"},
        **top,
    }


async def archive_proxy(
    case: TestCase, *, port: int = 0, data_dir: Path | None = None, within: Sequence[str] = (), **settings: Any
) -> ArchiveProxy:
    """
    Start a proxy with an empty archive, or with the one that is in `data_dir`.

    @param within: a command that starts it.
    @param settings: as of `configuration`.
    """
    port, data_dir = port or free_port(), data_dir or scratch(case)
    proxy = await ProxyProcess.start(case, configuration(port, data_dir, **settings), port, within=within)
    return ArchiveProxy(proxy, port, data_dir)


async def command(case: TestCase, file: Path, *words: str) -> Result:
    """Run one of the commands that look after an archive."""
    name, *more = words
    argv = [sys.executable, "-m", "dimseproxy.commands", name, "--config", str(file), *more]
    return await run(case, argv, environment=environment(), patience=120)


def archive_key(case: TestCase) -> Path:
    """A file with a key for files at rest."""
    path = scratch(case) / "archive.key"
    path.write_text("YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCBsb25nLg==\n")
    path.chmod(0o600)
    return path
