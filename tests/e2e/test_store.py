"""C-ECHO and C-STORE: what arrives through the proxy is what arrives without it, byte for byte."""

from __future__ import annotations

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import build_context
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, scu, store, storescp
from tests.support.objects import Sample, distinct_samples, sample, samples, samples_for_dcmtk
from tests.support.orthanc import orthanc
from tests.support.process import free_port
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import pynetdicom_scp


class SampleObjects(EndToEnd):
    """The premise of this file."""

    def test_the_samples_are_in_twelve_transfer_syntaxes(self) -> None:
        syntaxes = {one.transfer_syntax for one in samples()}
        self.assertEqual(12, len(syntaxes))
        self.assertLessEqual(syntaxes, {str(uid) for uid in AllTransferSyntaxes})


class Echo(EndToEnd):
    """C-ECHO (PS3.7 9.1.5)."""

    async def test_dcmtk_to_dcmtk(self) -> None:
        peer = await storescp(self, "-v")
        front = await self.before(peer.port, peer.title)
        await checked(self, scu("echoscu", front.port, front.title, "ECHOSCU"))
        await peer.process.says("Received Echo Request")

    async def test_many_on_one_association(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title)
        result = await checked(
            self, scu("echoscu", front.port, front.title, "ECHOSCU", options=["-v", "--repeat", "20"])
        )
        self.assertEqual(20, result.output.count("Received Echo Response (Success)"))


class StoreWithDcmtk(EndToEnd):
    """storescu sends, storescp writes what it read."""

    async def test_every_sample_arrives_as_without_the_proxy(self) -> None:
        reference = await storescp(self)
        await store(self, reference.port, reference.title, "STORESCU", samples_for_dcmtk())
        behind = await storescp(self)
        front = await self.before(behind.port, behind.title)
        await store(self, front.port, front.title, "STORESCU", samples_for_dcmtk())
        self.assertEqual(len(samples_for_dcmtk()), len(behind.received))
        self.assertEqual(reference.received, behind.received)

    async def test_small_pdus_on_the_near_leg(self) -> None:
        one = sample("CT_small.dcm")
        reference, behind = await storescp(self), await storescp(self, "-pdu", "131072")
        await store(self, reference.port, reference.title, "STORESCU", [one])
        front = await self.before(behind.port, behind.title, inbound={"max_pdu_length": 4096})
        await store(self, front.port, front.title, "STORESCU", [one])
        self.assertEqual(reference.received, behind.received)

    async def test_small_pdus_on_the_far_leg(self) -> None:
        one = sample("CT_small.dcm")
        reference, behind = await storescp(self), await storescp(self, "-pdu", "4096")
        await store(self, reference.port, reference.title, "STORESCU", [one])
        front = await self.before(behind.port, behind.title)
        await store(self, front.port, front.title, "STORESCU", [one], "--max-send-pdu", "131072")
        self.assertEqual(reference.received, behind.received)


class StoreWithPynetdicom(EndToEnd):
    """pynetdicom sends the bytes of the file; the acceptor keeps the bytes that it got."""

    def arrived(self, objects: tuple[Sample, ...]) -> list[tuple[str, str, str, bytes]]:
        return [(one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set) for one in objects]

    async def test_every_sample_arrives_as_its_file_holds_it(self) -> None:
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title)
        statuses = await pynetdicom_scu.store(front.port, front.title, "SENDER", samples())
        self.assertEqual([0x0000] * len(samples()), statuses)
        self.assertEqual(
            self.arrived(samples()),
            [(it.sop_class, it.sop_instance, it.transfer_syntax, it.data_set) for it in scp.stored],
        )

    async def test_unlimited_pdu_length_on_both_legs(self) -> None:
        scp = pynetdicom_scp(self, maximum=0)
        front = await self.before(scp.port, scp.title)
        await pynetdicom_scu.store(front.port, front.title, "SENDER", samples(), maximum=0)
        self.assertEqual([one.data_set for one in samples()], [it.data_set for it in scp.stored])

    async def test_the_status_of_the_outbound_reaches_the_caller(self) -> None:
        scp = pynetdicom_scp(self, store_status=0xA700)
        front = await self.before(scp.port, scp.title)
        one = sample("CT_small.dcm")
        statuses = await pynetdicom_scu.store(front.port, front.title, "SENDER", [one])
        self.assertEqual([0xA700], statuses)

    async def test_the_outbound_is_called_under_the_proxys_title(self) -> None:
        self.needs_proxy()
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title)
        await pynetdicom_scu.store(front.port, front.title, "SENDER", [sample("CT_small.dcm")])
        self.assertEqual([(TITLE, "PYNETDICOM")], [(it.calling, it.called) for it in scp.stored])

    async def test_the_callers_title_is_kept_where_configured(self) -> None:
        scp = pynetdicom_scp(self)
        front = await self.before(scp.port, scp.title, outbound={"calling_ae_title": "same"})
        await pynetdicom_scu.store(front.port, front.title, "SENDER", [sample("CT_small.dcm")])
        self.assertEqual([("SENDER", "PYNETDICOM")], [(it.calling, it.called) for it in scp.stored])

    async def test_context_ids_and_their_results_are_mirrored(self) -> None:
        scp = pynetdicom_scp(self, contexts=[build_context(Verification)])
        front = await self.before(scp.port, scp.title)
        contexts = [build_context(Verification), build_context(ModalityPerformedProcedureStep)]

        answer = await pynetdicom_scu.conversation(
            front.port,
            front.title,
            "SENDER",
            contexts,
            lambda association: (
                [context.context_id for context in association.accepted_contexts],
                [(context.context_id, context.result) for context in association.rejected_contexts],
            ),
        )
        abstract_syntax_not_supported = 3
        self.assertEqual(([1], [(3, abstract_syntax_not_supported)]), answer)


class StoreWithOrthanc(EndToEnd):
    """Orthanc as the sender, and as the archive."""

    async def test_orthanc_sends_as_it_does_without_the_proxy(self) -> None:
        reference, behind = await storescp(self), await storescp(self)
        front = await self.before(behind.port, behind.title)
        source = await orthanc(self, {"REFERENCE": reference.port, "BEHIND": front.port})
        known = await source.upload(distinct_samples())
        await source.rest("POST", "/modalities/REFERENCE/store", known)
        await source.rest("POST", "/modalities/BEHIND/store", known)
        self.assertEqual(len(known), len(behind.received))
        self.assertEqual(reference.received, behind.received)

    async def test_orthanc_keeps_what_it_would_keep_without_the_proxy(self) -> None:
        port = free_port()
        archive = await orthanc(self, {TITLE: port})
        front = await self.before(archive.port, archive.title, at=port)
        sent = [sample("CT_small.dcm"), sample("MR_small_RLE.dcm"), sample("ExplVR_BigEnd.dcm")]
        kept = []
        for way in (archive.port, archive.title), (front.port, front.title):
            await store(self, *way, "STORESCU", sent)
            instances = await archive.rest("GET", "/instances")
            kept.append(sorted([await archive.attachment(identifier) for identifier in instances]))
            for identifier in instances:
                await archive.rest("DELETE", f"/instances/{identifier}")
        without, through = kept
        self.assertEqual(len(sent), len(through))
        self.assertEqual(without, through)
