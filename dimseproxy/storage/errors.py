"""What can be wrong with a database.  No message carries a value: no statement, no parameter, no password."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dimseproxy.errors import DimseProxyError


class DatabaseUnavailable(DimseProxyError):
    """The database did not do what it was asked, and nothing of it is done; asking again later may help."""


class DatabaseRefused(DimseProxyError):
    """The database cannot be used as it is: asking again does not help."""


def state_of(error: SQLAlchemyError) -> str | None:
    """The code of what happened: SQLite's name for it, or an SQLSTATE."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)


def unavailable(error: SQLAlchemyError) -> DatabaseUnavailable:
    """
    What a failed statement, or a failed connection, is to those who asked for it.

    The driver's own text is left out, for PostgreSQL writes the values of a row into it; its code says what happened.
    """
    if not isinstance(error, DBAPIError):
        return DatabaseUnavailable(f"the database is unavailable: {type(error).__name__}")
    state = state_of(error)
    if state is None:
        return DatabaseUnavailable(f"the database is unavailable: no connection ({type(error.orig).__name__})")
    return DatabaseUnavailable(f"the database is unavailable: {state}")


def driver_errors(connection: Connection) -> type[Any]:
    """What the driver of a connection raises."""
    driver = connection.dialect.loaded_dbapi
    assert driver is not None
    return driver.Error


def as_of_sqlalchemy(connection: Connection, error: Any) -> DBAPIError:
    """
    What SQLAlchemy would make of an error, for who asks a driver itself; a connection that is lost is given up.

    @param error: one of `driver_errors`.
    """
    if connection.dialect.is_disconnect(error, connection.connection, None):
        connection.invalidate(error)
    return DBAPIError("a statement", None, error, hide_parameters=True)
