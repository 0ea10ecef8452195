"""The services beyond store and query: MPPS, storage commitment, print, and what nobody has heard of."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import _config, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (
    BasicGrayscalePrintManagementMeta,
    ModalityPerformedProcedureStep,
    Printer,
    PrinterInstance,
    StorageCommitmentPushModel,
)

from tests.e2e.base import DIRECT, EndToEnd
from tests.support import pynetdicom_scu
from tests.support.objects import archive_samples, sample
from tests.support.orthanc import orthanc
from tests.support.printing import print_image, printer
from tests.support.process import free_port, until
from tests.support.proxy import CALLED
from tests.support.pynetdicom_scp import COMMITMENT_INSTANCE, PynetdicomScp, pynetdicom_scp

PRIVATE_SOP_CLASS = "1.2.826.0.1.3680043.10.1234.1"
PRIVATE_TRANSFER_SYNTAX = "1.2.826.0.1.3680043.10.1234.2"

COMMITTED = 1
"""The event type of a commitment without failures (PS3.4 J.3.3.1)."""


class PerformedProcedureStep(EndToEnd):
    """MPPS: N-CREATE and N-SET (PS3.4 F.7)."""

    def step(self) -> Dataset:
        ds = Dataset()
        ds.PerformedProcedureStepStatus = "IN PROGRESS"
        ds.PerformedProcedureStepID = "P1"
        ds.PatientName = "Doe^Jane"
        ds.Modality = "CT"
        return ds

    async def test_a_step_is_created_and_completed(self) -> None:
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title)
        uid, completed = generate_uid(), Dataset()
        completed.PerformedProcedureStepStatus = "COMPLETED"

        def talk(association: Association) -> list[int]:
            created, _ = association.send_n_create(self.step(), ModalityPerformedProcedureStep, uid)
            changed, _ = association.send_n_set(completed, ModalityPerformedProcedureStep, uid)
            return [created.Status, changed.Status]

        statuses = await pynetdicom_scu.conversation(
            front.port, front.title, "MODALITY", [build_context(ModalityPerformedProcedureStep)], talk
        )
        self.assertEqual([0x0000, 0x0000], statuses)
        self.assertEqual(({uid: self.step()}, {uid: completed}), (scp.created, scp.changed))


def commitment_request(*objects: tuple[str, str]) -> Dataset:
    """The action information of a storage commitment request (PS3.4 J.3.2.1)."""
    ds = Dataset()
    ds.TransactionUID = generate_uid()
    ds.ReferencedSOPSequence = []
    for sop_class, sop_instance in objects:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class
        item.ReferencedSOPInstanceUID = sop_instance
        ds.ReferencedSOPSequence.append(item)
    return ds


def commitment_scu(case: EndToEnd, at: int) -> PynetdicomScp:
    """The application that asks for commitment, listening for the report."""
    return pynetdicom_scp(case, title="MODALITY", port=at, contexts=[build_context(StorageCommitmentPushModel)])


class StorageCommitment(EndToEnd):
    """N-ACTION, and the N-EVENT-REPORT in both manners of PS3.4 J.3.3."""

    asked = ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")

    async def ask(self, port: int, called: str, request: Dataset, calling: str = "MODALITY") -> int:
        def talk(association: Association) -> int:
            status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
            return int(status.Status)

        return await pynetdicom_scu.conversation(
            port, called, calling, [build_context(StorageCommitmentPushModel)], talk
        )

    async def test_the_report_comes_on_the_same_association(self) -> None:
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title)
        request = commitment_request(self.asked)
        reports = await pynetdicom_scu.commit(front.port, front.title, "MODALITY", request)
        self.assertEqual([(COMMITTED, request.TransactionUID)], [(kind, ds.TransactionUID) for kind, ds in reports])

    async def test_the_report_comes_on_an_association_of_its_own(self) -> None:
        modality = commitment_scu(self, free_port())
        at = free_port()
        # The PACS calls the proxy, which is all that it knows; without the proxy, the modality.
        back = self.known_to_peer(at, {"MODALITY": modality.port})
        scp = pynetdicom_scp(self, commit_on_new_association=next(iter(back.values())))
        front = await self.before(
            scp.port, scp.title, at=at, applications=self.applications({"MODALITY": modality.port})
        )
        request = commitment_request(self.asked)
        self.assertEqual(0x0000, await self.ask(front.port, front.title, request))
        await until(lambda: modality.reports, "the N-EVENT-REPORT")
        self.assertEqual(
            [(COMMITTED, request.TransactionUID)], [(kind, ds.TransactionUID) for kind, ds in modality.reports]
        )

    async def test_two_modalities_get_each_their_own_report(self) -> None:
        self.needs_proxy()
        first = pynetdicom_scp(self, title="FIRST", contexts=[build_context(StorageCommitmentPushModel)])
        second = pynetdicom_scp(self, title="SECOND", contexts=[build_context(StorageCommitmentPushModel)])
        at = free_port()
        scp = pynetdicom_scp(self, commit_on_new_association=at)
        front = await self.before(
            scp.port, scp.title, at=at, applications=self.applications({"FIRST": first.port, "SECOND": second.port})
        )
        asked = {}
        for title in ("FIRST", "SECOND"):
            asked[title] = commitment_request(self.asked)
            self.assertEqual(0x0000, await self.ask(front.port, front.title, asked[title], title))
        await until(lambda: first.reports and second.reports, "both reports")
        self.assertEqual(
            ([asked["FIRST"].TransactionUID], [asked["SECOND"].TransactionUID]),
            ([ds.TransactionUID for _, ds in first.reports], [ds.TransactionUID for _, ds in second.reports]),
        )

    async def test_orthanc_commits_to_what_it_holds(self) -> None:
        modality = commitment_scu(self, free_port())
        at = free_port()
        archive = await orthanc(self, self.known_to_peer(at, {"MODALITY": modality.port}))
        front = await self.before(
            archive.port, archive.title, at=at, applications=self.applications({"MODALITY": modality.port})
        )
        held = archive_samples()[0]
        await archive.upload([held])
        request = commitment_request((held.sop_class, held.sop_instance))
        self.assertEqual(0x0000, await self.ask(front.port, front.title, request))
        await until(lambda: modality.reports, "Orthanc's N-EVENT-REPORT")
        self.assertEqual(
            [(COMMITTED, request.TransactionUID)], [(kind, ds.TransactionUID) for kind, ds in modality.reports]
        )

    async def test_orthanc_asks_and_gets_its_report(self) -> None:
        at = free_port()
        scp = pynetdicom_scp(self)
        called = scp.title if DIRECT else CALLED
        source = await orthanc(self, {called: scp.port if DIRECT else at}, DicomAet="MODALITY")
        scp.commit_on_new_association = source.port if DIRECT else at
        await self.before(scp.port, scp.title, at=at, applications=self.applications({"MODALITY": source.port}))
        held = archive_samples()[0]
        answer = await source.rest(
            "POST",
            f"/modalities/{called}/storage-commitment",
            {"DicomInstances": [{"SOPClassUID": held.sop_class, "SOPInstanceUID": held.sop_instance}]},
        )
        self.assertEqual("Success", await source.commitment(answer["ID"]))


class Print(EndToEnd):
    """Basic grayscale print management: N-GET, N-CREATE, N-SET, N-ACTION, N-DELETE (PS3.4 H)."""

    async def test_the_film_shows_what_it_shows_without_the_proxy(self) -> None:
        image = sample("MR_small.dcm")
        reference, behind = await printer(self), await printer(self)
        front = await self.before(behind.port, behind.title)
        await print_image(self, reference.port, reference.title, "PRINTSCU", image)
        await print_image(self, front.port, front.title, "PRINTSCU", image)
        self.assertEqual(1, len(behind.films))
        self.assertEqual(reference.films, behind.films)

    async def test_the_printer_tells_its_status(self) -> None:
        peer = await printer(self)
        front = await self.before(peer.port, peer.title)
        status, attributes = await pynetdicom_scu.conversation(
            front.port,
            front.title,
            "PRINTSCU",
            [build_context(BasicGrayscalePrintManagementMeta)],
            lambda association: association.send_n_get(
                [], Printer, PrinterInstance, meta_uid=BasicGrayscalePrintManagementMeta
            ),
        )
        self.assertEqual((0x0000, "NORMAL"), (status.Status, attributes.PrinterStatus))


class Unheard(EndToEnd):
    """SOP classes and transfer syntaxes that no standard lists cross like any other."""

    def setUp(self) -> None:
        # Lets pynetdicom take a SOP class that it has not heard of for storage.
        self.patch(_config, "UNRESTRICTED_STORAGE_SERVICE", True)

    async def store(self, sop_class: str, transfer_syntax: str) -> None:
        context = build_context(sop_class, [transfer_syntax])
        scp = pynetdicom_scp(self, contexts=[context])
        front = await self.before(scp.port, scp.title)
        payload = bytes(range(256)) * 200

        def talk(association: Association) -> int:
            request = C_STORE()
            request.MessageID = 1
            request.AffectedSOPClassUID = UID(sop_class)
            request.AffectedSOPInstanceUID = UID("1.2.3")
            request.Priority = 2
            request.DataSet = BytesIO(payload)
            association._reactor_checkpoint.clear()
            association.dimse.send_msg(request, 1)
            _, answer = association.dimse.get_msg(block=True)
            association._reactor_checkpoint.set()
            return int(answer.Status)

        status = await pynetdicom_scu.conversation(front.port, front.title, "SENDER", [context], talk)
        self.assertEqual(0x0000, status)
        self.assertEqual(
            [(sop_class, transfer_syntax, payload)],
            [(it.sop_class, it.transfer_syntax, it.data_set) for it in scp.stored],
        )

    async def test_a_private_sop_class(self) -> None:
        await self.store(PRIVATE_SOP_CLASS, "1.2.840.10008.1.2.1")

    async def test_a_private_transfer_syntax(self) -> None:
        await self.store("1.2.840.10008.5.1.4.1.1.7", PRIVATE_TRANSFER_SYNTAX)

    async def test_both(self) -> None:
        await self.store(PRIVATE_SOP_CLASS, PRIVATE_TRANSFER_SYNTAX)


class RolesAndIdentity(EndToEnd):
    """Negotiation items beyond the contexts cross, too."""

    async def test_role_selection_is_answered_by_the_outbound(self) -> None:
        scp = pynetdicom_scp(self, contexts=[build_context(StorageCommitmentPushModel)])
        front = await self.before(scp.port, scp.title)

        def talk(association: Association) -> list[tuple[bool | None, bool | None]]:
            answered = association.acceptor.role_selection.values()
            return [(item.scu_role, item.scp_role) for item in answered]

        roles = await pynetdicom_scu.conversation(
            front.port,
            front.title,
            "MODALITY",
            [build_context(StorageCommitmentPushModel)],
            talk,
            roles=[StorageCommitmentPushModel],
        )
        self.assertEqual([(True, True)], roles)
