"""
Files that no study is in any longer and that are still to be deleted: rows of the database, so that no restart forgets
any of them, and no rebuild brings their objects back.

What is here runs in a thread of the database, within a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from dimseproxy.outbound.archive.writing import chunks
from dimseproxy.storage.tables import ARCHIVE_INSTANCE, ARCHIVE_LEAVING

#: Names that are told at a time.
PAGE: Final = 500

_LEAVING: Final = ARCHIVE_LEAVING.c


def note(connection: Connection, blobs: Iterable[str]) -> None:
    """Files are to be deleted; to be called in the transaction that takes their objects out of the index."""
    for some in chunks(blobs):
        connection.execute(delete(ARCHIVE_LEAVING).where(_LEAVING.blob.in_(some)))
        connection.execute(insert(ARCHIVE_LEAVING), [{"blob": blob} for blob in some])


def page(connection: Connection, after: str = "") -> list[str]:
    """
    The names of files that are still to be deleted, at most `PAGE`, in their order.

    @param after: the last one of the page before.
    """
    return list(
        connection.scalars(select(_LEAVING.blob).where(_LEAVING.blob > after).order_by(_LEAVING.blob).limit(PAGE))
    )


def everything(connection: Connection) -> set[str]:
    """The names of all of them."""
    return set(connection.scalars(select(_LEAVING.blob)))


def forget(connection: Connection, deleted: Iterable[str]) -> None:
    """Files are gone."""
    for some in chunks(deleted):
        connection.execute(delete(ARCHIVE_LEAVING).where(_LEAVING.blob.in_(some)))


def forget_needed(connection: Connection) -> None:
    """Do not delete what an object is in again."""
    connection.execute(delete(ARCHIVE_LEAVING).where(_LEAVING.blob.in_(select(ARCHIVE_INSTANCE.c.blob))))
