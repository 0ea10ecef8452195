"""The tables, version by version; each file in `versions` is a step that is never changed once it was released."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from dimseproxy.storage.errors import DatabaseRefused


def migrate(connection: Connection) -> None:
    """
    Bring the tables up to date, within the transaction of this connection: all of it, or nothing.

    @raise DatabaseRefused: the tables are those of a newer version of the proxy.
    """
    config = Config()
    # Alembic reads % as the beginning of a variable.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise DatabaseRefused("the database was made by a newer version of the proxy, or by something else") from None
