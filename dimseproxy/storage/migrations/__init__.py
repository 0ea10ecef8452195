"""The tables, version by version; each file in `versions` is a step that is never changed once it was released."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from dimseproxy.storage.errors import DatabaseRefused

_HERE: Final = Path(__file__).parent


def migrate(connection: Connection) -> None:
    """
    Bring the tables up to date, within the transaction of this connection: all of it, or nothing.

    @raise DatabaseRefused: the tables are those of a newer version of the proxy.
    """
    if _version(connection) != newest():
        _upgrade(connection)


def newest() -> str:
    """The version that the tables have when all steps are done: the number in the name of the last file."""
    return max(path.name[1:5] for path in (_HERE / "versions").glob("v*.py"))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _upgrade(connection: Connection) -> None:
    # Not at the top: nearly every start finds the tables as they should be, and Alembic takes a while to load.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # Alembic reads % as the beginning of a variable.
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise DatabaseRefused("the database was made by a newer version of the proxy, or by something else") from None
