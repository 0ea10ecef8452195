"""Where the proxy keeps things: its folder and its database."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Kind, Text
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import SECRET

SQLITE: Final = "sqlite"
_SCHEME: Final = "postgresql+psycopg"
_EXAMPLE: Final = f"{_SCHEME}://user@host:5432/database"
_SECRETS: Final = frozenset(("password", "sslpassword"))


@frozen
class FolderPath(Kind[Path]):
    """A folder, which need not be there yet. A relative path counts from the configuration's folder."""

    label: str = "a folder"

    def read(self, node: Node, reading: Reading) -> Path:
        path = reading.folder / Text(self.label).read(node, reading)
        if path.exists() and not path.is_dir():
            reading.refuse(node, f"`{path}` is no folder")
        return path

    def write(self, value: Path) -> object:
        return str(value)


@frozen
class DatabaseAddress(Text):
    """
    `sqlite`, or the address of a PostgreSQL database.

    It may hold a password, so no message shows what is written, and it is printed without.
    """

    label: str = f"`{SQLITE}` or `{_SCHEME}://...`"

    def not_text(self, node: Node) -> str:
        return f"must be {self.label}"

    def check(self, node: Node, reading: Reading) -> str:
        if node.text == SQLITE:
            return SQLITE
        try:
            parts = urlsplit(node.text)
            named = parts.port != 0 and bool(parts.path.strip("/"))
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError:
            reading.refuse(node, f"is no address of a database: write it as `{_EXAMPLE}`")
        if parts.scheme in ("postgresql", "postgres"):
            reading.refuse(node, f"names another driver than the one that is used: write `{_SCHEME}://...`")
        if parts.scheme != _SCHEME:
            reading.refuse(node, f"is no database that the proxy knows: write `{SQLITE}` or `{_EXAMPLE}`")
        if not named or parts.fragment:
            reading.refuse(node, f"names no database: write it as `{_EXAMPLE}`")
        if _SECRETS.intersection(options):
            reading.refuse(
                node, f"holds a password after the `?`: write it before the host, `{_SCHEME}://user:...@host`"
            )
        return node.text

    def write(self, value: str) -> object:
        """The address without its password."""
        if value == SQLITE:
            return value
        parts = urlsplit(value)
        user, colon, _ = parts.netloc.rpartition("@")[0].partition(":")
        if not colon:
            return value
        return parts._replace(netloc=f"{user}:{SECRET}@{parts.netloc.rpartition('@')[2]}").geturl()
