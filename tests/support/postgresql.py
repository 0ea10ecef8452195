"""PostgreSQL as the database of several proxies: a server on a Unix socket of its own, with nothing to log in for."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg

from tests.support.process import needed

_PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian has the programs of each version; few of them are in PATH."""

_SETTINGS = {
    "listen_addresses": "",
    # As durable as the operating system: a crash of the server loses nothing, and a disk does not slow the tests.
    "fsync": "off",
    "max_connections": "50",
    "autovacuum": "off",
}

_STARTS_AGAIN = 30
"""Seconds that a server may take."""

_TAKES_TIME = 120
"""Seconds that any of its programs may take."""


class PostgreSQL:
    """A server in a folder of its own, which is deleted with the process that asked for it."""

    def __init__(self) -> None:
        self._programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="dimseproxy-postgresql-"))
        # A proxy in a namespace of its own is nobody who may pass by its owner's rights.
        self.folder.chmod(0o711)
        atexit.register(shutil.rmtree, self.folder, True)
        self._data = self.folder / "data"
        self._databases = itertools.count(1)
        self._as_somebody: list[str] = []
        if os.getuid() == 0:
            # It refuses to run as root.
            user = _somebody()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_somebody = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username=dimseproxy"])

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {**_SETTINGS, "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = str(self.folder / "log")
        self._run("pg_ctl", ["--wait", f"--timeout={_STARTS_AGAIN}", f"--log={log}", f"--options={options}", "start"])
        atexit.register(self.stop)

    def stop(self) -> None:
        """End it as a crash would: nobody is waited for, and nothing is written but what was committed."""
        atexit.unregister(self.stop)
        self._run("pg_ctl", ["--wait", "--mode=immediate", "stop"])

    def url(self) -> str:
        """The address of a new database, as the configuration writes it."""
        name = f"test{next(self._databases)}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://dimseproxy@/{name}?host={self.folder}"

    def _address(self, database: str) -> str:
        return f"host={self.folder} user=dimseproxy dbname={database}"

    def _run(self, program: str, arguments: Sequence[str]) -> None:
        subprocess.run(
            [*self._as_somebody, str(self._programs / program), f"--pgdata={self._data}", *arguments],
            check=True,
            timeout=_TAKES_TIME,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@functools.cache
def postgresql() -> PostgreSQL:
    """The server that the tests of this process share; it ends with the process."""
    server = PostgreSQL()
    server.start()
    return server


def _programs() -> Path:
    versions = [path.parent for path in _PACKAGED.glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)
    found = shutil.which("initdb")
    if found is None:
        raise needed("the program 'initdb' of PostgreSQL")
    return Path(found).parent


def _somebody() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise needed("a user other than root, for PostgreSQL")
