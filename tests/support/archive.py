"""The proxy with an archive of its own behind it, as its users run it, and the commands that look after it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from sqlalchemy import Engine, create_engine, select, text
from twisted.trial.unittest import TestCase

from dimseproxy.storage.tables import METADATA
from tests.support.postgresql import postgresql
from tests.support.process import Result, free_port, run, scratch
from tests.support.proxy import CALLED, TITLE, ProxyProcess, application, environment

SQLITE: Final = "sqlite"
"""The address of a database that is a file in `data_dir`."""

LOCAL: Final = "local"
"""The name of the outbound that is the archive."""


@attrs.define
class ArchiveProxy:
    """
    A running proxy that answers from its own disk.

    @ivar port: where callers call.
    @ivar data_dir: where it keeps what it keeps.
    @ivar database: a connection to its index, beside its own.
    """

    proxy: ProxyProcess
    port: int
    data_dir: Path
    database: Engine
    title: str = CALLED

    async def command(self, case: TestCase, *words: str) -> Result:
        """Run one of the commands, such as `verify`, on the configuration of the proxy."""
        return await command(case, self.proxy.file, *words)

    def rows(self, statement: str) -> list[Any]:
        """What is in its database."""
        with self.database.connect() as connection:
            return list(connection.execute(text(statement)))

    def change(self, statement: str) -> None:
        """Write into its database, as nothing but the proxy should."""
        is_file = self.database.dialect.name == "sqlite"
        engine = create_engine(f"sqlite:///{self.data_dir / 'dimseproxy.db'}") if is_file else self.database
        with engine.begin() as connection:
            connection.execute(text(statement))
        if is_file:
            engine.dispose()

    def database_content(self) -> bytes:
        """Every value in its database."""
        with self.database.connect() as connection:
            rows = [row for table in METADATA.sorted_tables for row in connection.execute(select(table))]
        return b"\0".join(
            bytes(value) if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
        )

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
    address = settings.get("database", SQLITE)
    engine = create_engine(
        f"sqlite:///file:{data_dir / 'dimseproxy.db'}?mode=ro&uri=true" if address == SQLITE else address
    )
    case.addCleanup(engine.dispose)
    return ArchiveProxy(proxy, port, data_dir, engine)


class ArchiveCase(TestCase):
    """A test whose archives are on SQLite."""

    def address(self) -> str:
        """The address of a new database, as the configuration writes it."""
        return SQLITE

    @functools.cached_property
    def database(self) -> str:
        """That of this test."""
        return self.address()

    async def archive_proxy(self, **settings: Any) -> ArchiveProxy:
        """Start a proxy with an archive; `settings` are those of the function."""
        return await archive_proxy(self, database=self.database, **settings)


class OnPostgreSQL(ArchiveCase):
    """The same on PostgreSQL; to be put before the class whose tests are meant."""

    def address(self) -> str:
        return postgresql().url()


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
