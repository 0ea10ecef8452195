"""Studies that are generated, all different: put into the index of an archive, or written as files.

``python -m bench.studies CONFIGURATION COUNT`` fills the index of an archive with them. There are no files to them, for
a C-FIND reads none: this is how 100,000 studies come into being in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from dimseproxy.archives import database_of, holdings_of
from dimseproxy.config import load
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.outbound.archive.attributes import read_attributes
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.instances import Instance

BATCH = 1000
FIRST_DAY = date(2010, 1, 1)
DAYS = 5000
FAMILIES = 5000
UID = "2.999.77078"


def study(number: int) -> Dataset:
    """The only object of a study, of a patient of its own."""
    chance = Random(number)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{UID}.{number}.1.1"
    ds.StudyDate = f"{FIRST_DAY + timedelta(chance.randrange(DAYS)):%Y%m%d}"
    ds.StudyTime = f"{chance.randrange(24):02}{chance.randrange(60):02}00"
    ds.AccessionNumber = f"A{number:07}"
    ds.Modality = "CT"
    ds.StudyDescription = chance.choice(("CT Thorax", "CT Abdomen", "CT Head", "CT Spine"))
    ds.PatientName = f"Family{chance.randrange(FAMILIES):04}^Given{number}"
    ds.PatientID = f"P{number:07}"
    ds.PatientBirthDate = f"{date(1930, 1, 1) + timedelta(chance.randrange(30_000)):%Y%m%d}"
    ds.PatientSex = chance.choice("FMO")
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{UID}.{number}", f"{UID}.{number}.1"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = f"S{number}", 1, 1
    return ds


def write_files(count: int, folder: Path) -> Path:
    """The objects of so many studies as files, for an archive that has to be sent them."""
    folder.mkdir()
    for number in range(count):
        ds = study(number)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.save_as(folder / f"{number:06}.dcm", enforce_file_format=True)
    return folder


def _instances(count: int) -> Iterator[Instance]:
    for number in range(count):
        out = DicomBytesIO()
        out.is_implicit_VR, out.is_little_endian = False, True
        write_dataset(out, study(number))
        head = out.getvalue()
        digest = sha256(head)
        yield Instance(
            read_attributes(head, Encoding(is_implicit=False)),
            str(ExplicitVRLittleEndian),
            digest.hexdigest(),
            len(head),
            digest.digest(),
            "BENCH",
            1.7e9 + number,
        )


async def _fill(reactor: Any, configuration: Path, count: int) -> None:
    settings = load(configuration)
    [archive] = settings.archives.values()
    database = database_of(settings, reactor)
    await database.start()
    try:
        seal = holdings_of(settings, archive, database, reactor).seal
        index = Index(database, reactor, settings.ae_title, lambda *name: True, seal=seal)
        await index.start()
        batch: list[Instance] = []
        for instance in _instances(count):
            batch.append(instance)
            if len(batch) == BATCH:
                await index.add_many(batch)
                batch = []
        if batch:
            await index.add_many(batch)
    finally:
        await database.stop()


def main() -> None:
    """Fill the archive of a configuration, which nobody may be serving."""
    configuration, count = Path(sys.argv[1]), int(sys.argv[2])

    def work(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(_fill(reactor, configuration, count))

    react(work)


if __name__ == "__main__":
    main()
