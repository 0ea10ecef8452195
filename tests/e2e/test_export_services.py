"""The services beside storage through an export gateway, and a worklist through a shield."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from tests.e2e.base import EndToEnd
from tests.e2e.test_services import COMMITTED, commitment_request
from tests.support import pynetdicom_scu
from tests.support.dcmtk import find, wlmscpfs
from tests.support.planted import JAPANESE, Planted, planted, planted_step
from tests.support.planted_house import House, house_before, policy
from tests.support.planted_markers import found
from tests.support.pynetdicom_scp import PynetdicomScp, everything, pynetdicom_scp

CT = planted("ct")
SCHEDULED = planted_step()


class Services(EndToEnd):
    """pynetdicom as the registry."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def gateway(self, *objects: Planted, **changes: Any) -> tuple[House, PynetdicomScp]:
        registry = pynetdicom_scp(self, contexts=everything())
        settings = policy(self, originals="inbound", **changes)
        return await house_before(self, registry.port, registry.title, objects, privacy=settings), registry


class Commitment(Services):
    """Storage commitment: the registry is asked for what it has, and its report is of what the caller has."""

    async def committed(self) -> tuple[House, PynetdicomScp, Dataset, list[tuple[int, Dataset]]]:
        gateway, registry = await self.gateway(CT)
        await pynetdicom_scu.store(gateway.port, gateway.title, "MODALITY", gateway.stored)
        (one,) = gateway.stored
        request = commitment_request((one.sop_class, one.sop_instance))
        reports = await pynetdicom_scu.commit(gateway.port, gateway.title, "MODALITY", request)
        return gateway, registry, request, reports

    async def test_the_registry_is_not_told_an_original(self) -> None:
        gateway, _, _, _ = await self.committed()
        self.assertEqual({}, gateway.leaks_outward())

    async def test_it_is_asked_for_what_it_was_sent(self) -> None:
        gateway, registry, _, _ = await self.committed()
        self.assertIn(registry.stored[0].sop_instance.encode(), gateway.outbound.to_target.split(b"PYNETDICOM")[-1])

    async def test_the_report_is_of_the_original(self) -> None:
        gateway, _, request, reports = await self.committed()
        self.assertEqual(
            [(COMMITTED, request.TransactionUID, gateway.stored[0].sop_instance)],
            [(kind, ds.TransactionUID, ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for kind, ds in reports],
        )


class PerformedStep(Services):
    """MPPS: a step and its references leave under pseudonyms."""

    async def performed(self) -> tuple[House, PynetdicomScp, str, list[Dataset]]:
        gateway, registry = await self.gateway()
        uid, created = generate_uid(), SCHEDULED.dataset
        step = Dataset()
        step.PerformedProcedureStepStatus = "IN PROGRESS"
        step.Modality = "CT"
        for keyword in ("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
            step[keyword] = created[keyword]
        scheduled = Dataset()
        for keyword in ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription"):
            scheduled[keyword] = created[keyword]
        step.ScheduledStepAttributesSequence = [scheduled]

        def talk(association: Association) -> list[Dataset]:
            made, _ = association.send_n_create(step, ModalityPerformedProcedureStep, uid)
            done = Dataset()
            done.PerformedProcedureStepStatus = "COMPLETED"
            changed, _ = association.send_n_set(done, ModalityPerformedProcedureStep, uid)
            return [made, changed]

        statuses = await pynetdicom_scu.conversation(
            gateway.port, gateway.title, "MODALITY", [build_context(ModalityPerformedProcedureStep)], talk
        )
        return gateway, registry, uid, statuses

    async def test_it_is_created_and_completed(self) -> None:
        _, registry, _, statuses = await self.performed()
        self.assertEqual([0x0000, 0x0000], [status.Status for status in statuses])
        self.assertEqual(registry.created.keys(), registry.changed.keys())

    async def test_nothing_of_the_patient_leaves(self) -> None:
        gateway, _, _, _ = await self.performed()
        self.assertEqual({}, gateway.leaks_outward(SCHEDULED.markers))

    async def test_its_own_uid_does_not_leave(self) -> None:
        gateway, _, uid, _ = await self.performed()
        self.assertNotIn(uid.encode(), gateway.outbound.to_target)


class Worklist(EndToEnd):
    """A worklist behind a shield."""

    steps = (planted_step(), planted_step(JAPANESE, subject="subject 2"))

    def setUp(self) -> None:
        self.needs_proxy()

    async def shield(self, **changes: Any) -> House:
        peer = await wlmscpfs(self, [step.dataset.copy() for step in self.steps])
        return await house_before(self, peer.port, peer.title, privacy=policy(self, **changes))

    def markers(self) -> list[Any]:
        return [marker for step in self.steps for marker in step.markers]

    async def ask(self, shield: House, *keys: str) -> list[Dataset]:
        answers = await find(self, shield.port, shield.title, "MODALITY", "-W", *keys)
        self.assertEqual([], found(self.markers(), b"".join(answers)))
        return [pydicom.dcmread(BytesIO(answer), force=True) for answer in answers]

    async def test_every_step_shows_nobody(self) -> None:
        shield = await self.shield()
        keys = ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber", "ScheduledProcedureStepSequence[0]")
        self.assertEqual(2, len(await self.ask(shield, *keys)))
        self.assertEqual({}, shield.leaks(self.markers()))

    async def test_a_pseudonym_finds_its_step(self) -> None:
        shield = await self.shield()
        patients = [ds.PatientID for ds in await self.ask(shield, "PatientID")]
        self.assertEqual(2, len(set(patients)))
        again = [[ds.PatientID for ds in await self.ask(shield, f"PatientID={one}")] for one in patients]
        self.assertEqual([[one] for one in patients], again)

    async def test_a_name_finds_nothing(self) -> None:
        shield = await self.shield()
        self.assertEqual([], await self.ask(shield, "PatientName=*", f"PatientID={self.steps[0].dataset.PatientID}"))
        self.assertEqual([], await self.ask(shield, "PatientName=Z*", "PatientID"))

    async def test_a_performing_physician_is_no_key_within_the_step(self) -> None:
        shield = await self.shield()
        key = "ScheduledProcedureStepSequence[0].ScheduledPerformingPhysicianName=A*"
        self.assertEqual([], await self.ask(shield, key, "PatientID"))
        self.assertEqual(0, shield.outbound.requests)

    async def test_the_modality_is(self) -> None:
        shield = await self.shield()
        modality = "ScheduledProcedureStepSequence[0].Modality"
        counts = [len(await self.ask(shield, f"{modality}={value}", "PatientID")) for value in ("CT", "MR")]
        self.assertEqual([2, 0], counts)
