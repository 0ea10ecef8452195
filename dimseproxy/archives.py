"""
The archive of the configuration, put together: where its files and its index are, and with which keys.

The service runs an archive on it; the commands look after it, also while the service runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import astuple, field, frozen

from dimseproxy.config import SQLITE, ArchiveSettings, Secret, Settings
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.archive import Archive
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.instances import Duplicates
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.pseudonyms.keys import keys_from_environment, keys_from_file
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.database import Database
from dimseproxy.storage.encryption import FileKeys


def database_of(settings: Settings, reactor: Any) -> Database:
    """
    The database of a configuration.

    @raise DatabaseRefused: its address is none.
    """
    address = settings.database
    return Database(sqlite_file(settings) if address == SQLITE else address, reactor, reactor)


def sqlite_file(settings: Settings) -> Path:
    """Where the database is, unless it is PostgreSQL."""
    return settings.data_dir / "dimseproxy.db"


def folder_of(settings: Settings, archive: ArchiveSettings) -> Path:
    """Where the files of an archive are."""
    return archive.folder or settings.data_dir / "archive"


@frozen
class Holdings:
    """What an archive has: files, and an index of them.  The database is started and stopped by who made it."""

    settings: ArchiveSettings
    folder: Path
    database: Database = field(repr=False)
    blobs: Blobs = field(repr=False)
    index: Index = field(repr=False)


def holdings_of(settings: Settings, archive: ArchiveSettings, database: Database, reactor: Any) -> Holdings:
    """
    The holdings of an archive; nothing is opened.

    @raise SourceRefused: its key cannot be used.
    """
    materials = () if archive.key is None else _materials(archive.key)
    folder = folder_of(settings, archive)
    return Holdings(
        archive,
        folder,
        database,
        Blobs(folder, FileKeys(materials) if materials else None),
        Index(
            database,
            reactor,
            settings.ae_title,
            duplicates=Duplicates(archive.duplicates),
            seal=Seal(materials) if materials else None,
        ),
    )


def archive_of(holdings: Holdings, reactor: Any, **told: Any) -> Archive:
    """
    An archive on its holdings, to be started when their database is open.

    @param told: who is told of what becomes of objects, as `Archive` takes it.
    """
    settings = holdings.settings
    return Archive(
        holdings.blobs,
        holdings.index,
        reactor,
        reactor,
        sop_classes=settings.sop_classes,
        admit=lambda: _admit(holdings.blobs, settings.watermark.refuse_below),
        **told,
    )


def _admit(blobs: Blobs, least: int) -> None:
    """
    @raise OperationRefused: there is no room for another object.
    """
    if blobs.free_space() < least:
        raise OperationRefused(Status.OUT_OF_RESOURCES, "There is too little space on the disk")


def _materials(secret: Secret) -> Sequence[bytes]:
    """
    @raise SourceRefused: there is no key there that could be used.
    """
    if secret.environment is not None:
        keys = keys_from_environment(secret.environment, os.environ)
    else:
        keys = keys_from_file(secret.file or Path())
    # What a key is made of is all that it holds.
    return [material for key in keys.all for material in astuple(key)]
