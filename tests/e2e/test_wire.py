"""An independent reading of both legs: tshark's DICOM dissector objects to nothing."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.sop_class import ModalityPerformedProcedureStep
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, dcmqrscp, find, scu, store, storescp
from tests.support.objects import archive_samples, sample
from tests.support.process import free_port
from tests.support.pynetdicom_scp import pynetdicom_scp
from tests.support.pynetdicom_scu import study_level
from tests.support.tshark import Capture

STUDY = archive_samples()[0].study

READABLE = [sample(name) for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "rtplan.dcm")]
"""tshark's dissector stumbles over the data sets of others, RLE and deflated ones, wherever it sees them."""


class Wire(EndToEnd):
    """One capture for each kind of exchange."""

    async def unobjectionable(self, capture: Capture, at_least: int) -> None:
        await capture.stop()
        self.assertGreaterEqual(await capture.pdus(), at_least)
        self.assertEqual([], await capture.objections())

    async def test_echo_and_store(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title)
        capture = await Capture.start(self, *{front.port, peer.port})
        await checked(self, scu("echoscu", front.port, front.title, "ECHOSCU"))
        await store(self, front.port, front.title, "STORESCU", READABLE)
        await self.unobjectionable(capture, 20)

    async def test_store_with_unequal_pdu_lengths(self) -> None:
        peer = await storescp(self, "-pdu", "4096")
        front = await self.before(peer.port, peer.title)
        capture = await Capture.start(self, *{front.port, peer.port})
        await store(self, front.port, front.title, "STORESCU", [sample("CT_small.dcm")])
        await self.unobjectionable(capture, 6)

    async def test_query_and_retrieve(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        capture = await Capture.start(self, *{front.port, archive.port, destination.port})
        await find(self, front.port, front.title, "CLIENT", "-S", "QueryRetrieveLevel=STUDY", "StudyInstanceUID")
        await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        await pynetdicom_scu.get(front.port, front.title, "CLIENT", STUDY_GET, study_level(STUDY), archive_samples())
        await self.unobjectionable(capture, 30)

    async def test_procedure_step(self) -> None:
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title)
        capture = await Capture.start(self, *{front.port, scp.port})
        step = Dataset()
        step.PerformedProcedureStepStatus = "IN PROGRESS"
        await pynetdicom_scu.conversation(
            front.port,
            front.title,
            "MODALITY",
            [build_context(ModalityPerformedProcedureStep)],
            lambda association: association.send_n_create(step, ModalityPerformedProcedureStep, "1.2.3"),
        )
        await self.unobjectionable(capture, 6)
