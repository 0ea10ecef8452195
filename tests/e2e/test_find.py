"""C-FIND: the answers are those that the archive gives without the proxy."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import Peer, dcmqrscp, find, store, wlmscpfs, worklist_step
from tests.support.objects import archive_samples
from tests.support.orthanc import orthanc
from tests.support.process import free_port
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import pynetdicom_scp

STUDY = archive_samples()[0].study
SERIES = archive_samples()[0].series
PATIENT = archive_samples()[0].patient


class FindInDcmtk(EndToEnd):
    """dcmqrscp answers findscu."""

    async def same(self, model: str, expected: int, *keys: str) -> None:
        """The identifiers, as bytes, are the same on both ways, and as many as they should be."""
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(archive.port, archive.title)
        direct = await find(self, archive.port, archive.title, "FINDSCU", model, *keys)
        through = await find(self, front.port, front.title, "FINDSCU", model, *keys)
        self.assertEqual(expected, len(through))
        self.assertEqual(without_titles(direct), without_titles(through))

    async def test_patient_level(self) -> None:
        await self.same("-P", 1, "QueryRetrieveLevel=PATIENT", f"PatientID={PATIENT}", "PatientName", "PatientSex")

    async def test_study_level(self) -> None:
        await self.same(
            "-S",
            2,
            "QueryRetrieveLevel=STUDY",
            f"PatientID={PATIENT}",
            "StudyInstanceUID",
            "StudyDate",
            "StudyDescription",
        )

    async def test_series_level(self) -> None:
        await self.same(
            "-S", 3, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", "SeriesInstanceUID", "Modality"
        )

    async def test_image_level(self) -> None:
        await self.same(
            "-S",
            1,
            "QueryRetrieveLevel=IMAGE",
            f"StudyInstanceUID={STUDY}",
            f"SeriesInstanceUID={SERIES}",
            "SOPInstanceUID",
            "InstanceNumber",
        )

    async def test_no_match(self) -> None:
        await self.same("-S", 0, "QueryRetrieveLevel=STUDY", "PatientID=NOBODY", "StudyInstanceUID")


class FindInOrthanc(EndToEnd):
    """Orthanc, which knows the proxy only, answers."""

    async def test_study_level(self) -> None:
        port = free_port()
        archive = await orthanc(self, {TITLE: port})
        front = await self.before(archive.port, archive.title, at=port)
        await archive.upload(archive_samples())
        keys = ("QueryRetrieveLevel=STUDY", f"PatientID={PATIENT}", "StudyInstanceUID", "StudyDate")
        direct = await find(self, archive.port, archive.title, "FINDSCU", "-S", *keys)
        through = await find(self, front.port, front.title, "FINDSCU", "-S", *keys)
        self.assertEqual(2, len(through))
        self.assertCountEqual(without_titles(direct), without_titles(through))


class Cancel(EndToEnd):
    """C-CANCEL reaches the outbound (PS3.7 9.3.2.3)."""

    async def test_a_find_is_cancelled_in_the_archive(self) -> None:
        scp = pynetdicom_scp(self, holdings=archive_samples(), slow=True)
        front = await self.before(scp.port, scp.title)
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.SOPInstanceUID = ""
        answers = await pynetdicom_scu.find(front.port, front.title, "FINDER", STUDY_FIND, query, cancel_after=3)
        self.assertEqual(0xFE00, answers[-1][0])
        self.assertEqual([5], scp.cancelled)


class Worklist(EndToEnd):
    """Modality worklist, answered by wlmscpfs."""

    async def worklist(self) -> Peer:
        return await wlmscpfs(
            self,
            [
                worklist_step("Doe^Jane", "W1"),
                worklist_step("Doe^John", "W2"),
                worklist_step("Müller^Jörg", "W3", station="OTHER"),
            ],
        )

    async def same(self, expected: int, *keys: str) -> None:
        peer = await self.worklist()
        front = await self.before(peer.port, peer.title)
        direct = await find(self, peer.port, peer.title, "MODALITY", "-W", *keys)
        through = await find(self, front.port, front.title, "MODALITY", "-W", *keys)
        self.assertEqual(expected, len(through))
        self.assertCountEqual(without_titles(direct), without_titles(through))

    async def test_every_step(self) -> None:
        await self.same(3, "PatientName", "PatientID", "ScheduledProcedureStepSequence[0].Modality")

    async def test_the_steps_of_one_station(self) -> None:
        await self.same(
            2,
            "PatientName",
            "AccessionNumber",
            "ScheduledProcedureStepSequence[0].ScheduledStationAETitle=MODALITY",
            "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20240101-20240131",
        )

    async def test_a_name_with_umlauts(self) -> None:
        await self.same(1, "PatientName=M*", "PatientID", "SpecificCharacterSet=ISO_IR 192")


class StoreThenFind(EndToEnd):
    """What was stored through the proxy is found through it."""

    async def test_in_dcmqrscp(self) -> None:
        archive = await dcmqrscp(self, {})
        front = await self.before(archive.port, archive.title)
        await store(self, front.port, front.title, "STORESCU", archive_samples())
        answers = await find(
            self,
            front.port,
            front.title,
            "FINDSCU",
            "-S",
            "QueryRetrieveLevel=SERIES",
            f"StudyInstanceUID={STUDY}",
            "SeriesInstanceUID",
        )
        self.assertEqual(3, len(answers))


def without_titles(identifiers: list[bytes]) -> list[bytes]:
    """Retrieve AE Title (0008,0054) is the title that was called, which differs by intention."""
    stripped = []
    for identifier in identifiers:
        ds = dcmread(BytesIO(identifier), force=True)
        if "RetrieveAETitle" in ds:
            del ds.RetrieveAETitle
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = False, True
        write_dataset(buffer, ds)
        stripped.append(buffer.getvalue())
    return stripped
