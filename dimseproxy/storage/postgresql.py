"""PostgreSQL as the database of several proxies, by psycopg."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.pool import ConnectionPoolEntry

from dimseproxy.storage.errors import DatabaseRefused

DRIVER: Final = "postgresql+psycopg"

#: Seconds for a connection to come about.
_CONNECT: Final = 5

#: Seconds of silence after which a server is asked whether it is still there, by default of Linux two hours, and until
#: it is asked again.
_ALIVE_AFTER: Final = 10
_ALIVE_AGAIN: Final = 5

#: Seconds for the server to take note that a statement is not wanted any longer.
_CANCEL: Final = 2.0

#: An advisory lock of ours; the number means nothing, but is the same in every version.
_STARTING: Final = 0x64696D7365


def postgresql_engine(url: URL, connections: int, deadline: float) -> Engine:
    """
    An engine for a server.

    @param deadline: seconds that a statement may take; the server itself ends it then.
    @raise DatabaseRefused: psycopg is not installed.
    """
    try:
        engine = create_engine(
            url.set(drivername=DRIVER),
            pool_size=connections,
            max_overflow=0,
            # One round trip, for the sake of a server that was restarted since.
            pool_pre_ping=True,
            hide_parameters=True,
            # Whatever the role's default is: who has waited for a lock must see what was committed meanwhile.
            isolation_level="READ COMMITTED",
            connect_args={
                "connect_timeout": _CONNECT,
                "tcp_user_timeout": int(deadline * 1000),
                # Who waits for an answer sends nothing for which there could be such a timeout, but these.
                "keepalives_idle": _ALIVE_AFTER,
                "keepalives_interval": _ALIVE_AGAIN,
                "application_name": "dimseproxy",
                # No prepared statements: a plan that was made for an empty table would be kept when it is large.
                "prepare_threshold": None,
            },
        )
    except ImportError:
        raise DatabaseRefused("PostgreSQL needs the package psycopg, which is not installed") from None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", (f"{int(deadline * 1000)}ms",))
            # A role may have it off, and then what is committed may be lost; a stricter one is left as it is.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    return engine


class InUse:
    """
    The connections of an engine that somebody works with, in whatever thread.

    @param engine: as `postgresql_engine` makes one.
    """

    def __init__(self, engine: Engine) -> None:
        self._records: set[ConnectionPoolEntry] = set()
        driver = engine.dialect.loaded_dbapi
        assert driver is not None
        self._error: type[Exception] = driver.Error
        event.listen(engine, "checkout", lambda connection, record, proxy: self._records.add(record))
        event.listen(engine, "checkin", lambda connection, record: self._records.discard(record))

    def cancel(self) -> None:
        """
        Have the server end the statements that run on them now, with the SQLSTATE 57014; what follows on the same
        connection runs.  It blocks, where the server does not answer for `_CANCEL` seconds a connection.
        """
        for record in tuple(self._records):
            connection: Any = record.driver_connection
            # It may have been lost, or may be now; and then its statement has ended.
            if connection is not None:
                with suppress(self._error):
                    connection.cancel_safe(timeout=_CANCEL)


def wait_for_starters(connection: Connection, patience: float) -> None:
    """
    One process at a time migrates: the others wait here, until the end of their transaction.

    @param patience: seconds to wait, and for each statement that follows in this transaction.
    """
    connection.execute(text("SELECT set_config('statement_timeout', :patience, true)"), {"patience": f"{patience:g}s"})
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _STARTING})
