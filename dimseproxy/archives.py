"""
The archive of the configuration, put together: where its files and its index are, and with which keys.

The service runs an archive on it; the commands look after it, also while the service runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import random
from typing import Any

from attrs import field, frozen

from dimseproxy.association.interfaces import IOutbound
from dimseproxy.config import SQLITE, ArchiveSettings, Settings
from dimseproxy.config.archive_settings import DispatchSettings
from dimseproxy.outbound.archive.archive import Archive
from dimseproxy.outbound.archive.dispatch import Destination
from dimseproxy.outbound.archive.events import Events
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.instances import Duplicates
from dimseproxy.outbound.archive.part10 import head_length
from dimseproxy.outbound.archive.retention import Watermark
from dimseproxy.outbound.archive.schedule import Hours, Retries
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.upkeep import Upkeep
from dimseproxy.secrets import keys_of
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
    seal: Seal | None = field(repr=False)


def holdings_of(settings: Settings, archive: ArchiveSettings, database: Database, reactor: Any) -> Holdings:
    """
    The holdings of an archive; nothing is opened.

    @raise SourceRefused: its key cannot be used.
    """
    materials = () if archive.key is None else keys_of(archive.key).materials
    folder = folder_of(settings, archive)
    seal = Seal(materials) if materials else None
    blobs = Blobs(folder, FileKeys(materials) if materials else None, head_length)
    return Holdings(
        archive,
        folder,
        database,
        blobs,
        Index(
            database,
            reactor,
            settings.ae_title,
            blobs.exists,
            duplicates=Duplicates(archive.duplicates),
            seal=seal,
        ),
        seal,
    )


def archive_of(holdings: Holdings, reactor: Any) -> Archive:
    """An archive on its holdings, to be started when their database is open."""
    settings = holdings.settings
    events = Events()
    watermark = Watermark(holdings.blobs.free_space, settings.watermark.refuse_below, reactor, events)
    return Archive(
        holdings.blobs,
        holdings.index,
        reactor,
        reactor,
        sop_classes=settings.sop_classes,
        admit=watermark.admit,
        events=events,
    )


def upkeep_of(holdings: Holdings, archive: Archive, reactor: Any, destinations: Sequence[Destination]) -> Upkeep:
    """What goes on in an archive by itself, to be started after it, and stopped before it."""
    settings = holdings.settings
    return Upkeep(
        holdings.database,
        archive.files,
        holdings.index.release,
        holdings.seal,
        archive.events,
        reactor,
        study_timeout=settings.study_timeout,
        destinations=destinations,
        days=settings.retention.days,
        size=settings.retention.size,
    )


def destination_of(settings: DispatchSettings, outbound: IOutbound, called: str, calling: str) -> Destination:
    """Where complete studies are sent."""
    hours = None if settings.schedule is None else Hours(*settings.schedule)
    retries = Retries(settings.retries, settings.backoff, settings.longest_backoff, random)
    return Destination(
        settings.to,
        outbound,
        called,
        calling,
        retries,
        hours=hours,
        pause=settings.pause or 0.0,
        lanes=settings.associations,
    )
