"""
What is shown of the archive on SQLite, on a real PostgreSQL.

Only what has no database in it is not here: what other archives answer, and a full disk of the SQLite file.
"""

from __future__ import annotations

from tests.e2e import (
    test_archive,
    test_archive_agreement,
    test_archive_disk,
    test_archive_dispatch,
    test_archive_shield,
)
from tests.support.archive import OnPostgreSQL


class Dcmtk(OnPostgreSQL, test_archive.Dcmtk):
    """DCMTK calls."""


class Pynetdicom(OnPostgreSQL, test_archive.Pynetdicom):
    """pynetdicom calls."""


class Dcmjs(OnPostgreSQL, test_archive.Dcmjs):
    """dcmjs-dimse calls."""


class Odil(OnPostgreSQL, test_archive.Odil):
    """odil calls."""


class FromOrthanc(OnPostgreSQL, test_archive.FromOrthanc):
    """Orthanc calls."""


class Answering(OnPostgreSQL, test_archive_agreement.Answering):
    """200 queries about 500 objects."""


class Shield(OnPostgreSQL, test_archive_shield.Shield):
    """Callers see pseudonyms of what the archive holds."""


class Export(OnPostgreSQL, test_archive_shield.Export):
    """The archive holds pseudonyms of what callers store."""


class Dispatch(OnPostgreSQL, test_archive_dispatch.Dispatch):
    """Complete studies go to an outbound that comes and goes."""


class FullDisk(OnPostgreSQL, test_archive_disk.FullDisk):
    """The disk of the files is full; the database has another one."""
