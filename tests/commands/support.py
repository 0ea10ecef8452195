"""An archive for the commands to look after."""

from __future__ import annotations

import builtins
import errno
from argparse import Namespace
from collections.abc import Awaitable, Callable
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from dimseproxy.archives import Holdings, database_of, holdings_of
from dimseproxy.commands.task import ExitStatus, Task
from dimseproxy.config import ArchiveSettings, Settings
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.outbound.archive.attributes import read_attributes
from dimseproxy.outbound.archive.instances import Instance
from dimseproxy.outbound.archive.part10 import file_head, head_length
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.encryption import FileKeys

#: What identifies a patient in every object here, and must never be shown.
NAME = "Musterfrau^Erika"
PATIENT = "PAT-4711"


def encoded(number: int, *, study: int = 1, comment: str = "") -> bytes:
    """The data set of a small CT object."""
    data_set = Dataset()
    data_set.SOPClassUID = CTImageStorage
    data_set.SOPInstanceUID = UID(f"1.2.3.{number}")
    data_set.StudyInstanceUID = UID(f"1.2.4.{study}")
    data_set.SeriesInstanceUID = UID(f"1.2.5.{study}")
    data_set.PatientName, data_set.PatientID, data_set.Modality = NAME, PATIENT, "CT"
    data_set.ImageComments = comment
    out = BytesIO()
    dcmwrite(out, data_set, implicit_vr=False, little_endian=True)
    return out.getvalue()


def file_of(number: int, *, study: int = 1, comment: str = "") -> bytes:
    """The same as a file of the archive."""
    head = file_head(CTImageStorage, f"1.2.3.{number}", ExplicitVRLittleEndian, "CT1")
    return head + encoded(number, study=study, comment=comment)


class ArchiveCase(TestCase):
    """A test with an archive of its own, in SQLite."""

    async def setUp(self) -> None:  # type: ignore[override]
        self.folder = Path(self.mktemp()).absolute()
        self.settings = Settings(data_dir=self.folder)
        self.holdings = await self.open(ArchiveSettings())

    async def open(self, archive: ArchiveSettings) -> Holdings:
        database = database_of(self.settings, reactor)
        holdings = holdings_of(self.settings, archive, database, reactor)
        await database.start()
        self.addCleanup(database.stop)
        await holdings.index.start()
        return holdings

    def write(self, content: bytes, blobs: Blobs | None = None) -> str:
        """A file in the archive that the index does not know; its name."""
        blobs = blobs or self.holdings.blobs
        blobs.open()
        head = head_length(content)
        writer = blobs.create(content[:head])
        writer.write(content[head:])
        return writer.finish().name

    def write_under_a_lost_key(self, content: bytes) -> str:
        """The same, encrypted with a key that is none of the archive's."""
        return self.write(content, Blobs(self.holdings.folder, FileKeys([b"lost" * 8])))

    def break_disk(self, name: str) -> None:
        """The disk does not give a file any longer."""
        really = open

        def broken(path: Any, *rest: Any, **more: Any) -> Any:
            if str(path).endswith(name):
                raise OSError(errno.EIO, "Input/output error", path)
            return really(path, *rest, **more)

        self.patch(builtins, "open", broken)

    async def store(self, number: int, *, study: int = 1) -> str:
        """An object in the archive; the name of its file."""
        name = self.write(file_of(number, study=study))
        await self.add(number, name, study=study)
        return name

    async def add(self, number: int, name: str, *, study: int = 1) -> None:
        """An object in the index, whose file is there."""
        data_set = encoded(number, study=study)
        encoding = encoding_of(ExplicitVRLittleEndian)
        assert encoding is not None
        attributes = read_attributes(data_set, encoding)
        digest = sha256(data_set).digest()
        size = len(file_of(number, study=study))
        instance = Instance(attributes, ExplicitVRLittleEndian, name, size, digest, "CT1", 1_700_000_000.0 + number)
        await self.holdings.index.add(instance)

    def path_of(self, name: str) -> Path:
        """Where a file of the archive is on the disk."""
        (path,) = self.holdings.folder.rglob(name)
        return path

    async def run_command(
        self, work: Callable[[Task, Namespace], Awaitable[ExitStatus]], **options: object
    ) -> tuple[ExitStatus, str, str]:
        """Carry out a command: its exit status, what it says, and what it says of errors."""
        out, errors = StringIO(), StringIO()
        task = Task(reactor, self.settings, self.holdings, out, errors)
        status = await work(task, Namespace(anew=False, **options) if "anew" not in options else Namespace(**options))
        for said in (out.getvalue(), errors.getvalue()):
            self.assertNotIn(NAME, said)
            self.assertNotIn(PATIENT, said)
        return status, out.getvalue(), errors.getvalue()
