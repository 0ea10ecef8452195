"""Every stack stores into the archive, queries it, and gets back byte by byte what it stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.e2e.test_services import commitment_request
from tests.support import pynetdicom_scu
from tests.support.archive import ArchiveCase, ArchiveProxy, archive_key
from tests.support.dcmjs import dcmjs_scu
from tests.support.dcmtk import Peer, checked, find, scu, store, storescp
from tests.support.objects import Sample, archive_samples, data_sets_in, distinct_samples, sample
from tests.support.orthanc import Orthanc, orthanc
from tests.support.process import executable, free_port, scratch
from tests.support.proxy import CALLED
from tests.support.pynetdicom_scp import pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

STUDY = archive_samples()[0].study
OBJECTS = [one for one in archive_samples() if one.study == STUDY]
UIDS = sorted(one.sop_instance for one in OBJECTS)
CT = sample("CT_small.dcm")

SUCCESS, WARNING, CANCELLED, NOT_WHAT_WAS_ANNOUNCED = 0x0000, 0xB000, 0xFE00, 0xA900
WITH_FAILURES, NO_SUCH_OBJECT = 2, 0x0112
"""The event type of a commitment that is not complete, and why (PS3.4 J.3.3.1, PS3.3 C.14)."""


def as_files(objects: Sequence[Sample]) -> list[tuple[str, bytes]]:
    """What a receiver of the objects has to have, byte by byte."""
    return sorted((one.sop_instance, one.data_set) for one in objects)


class Archiving(ArchiveCase, EndToEnd):
    """An archive, and a destination that its users may name."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def filled(self, objects: Sequence[Sample] = OBJECTS, **settings: Any) -> tuple[ArchiveProxy, Peer]:
        """The archive with objects in it."""
        destination = await storescp(self, title="CLIENT")
        archive = await self.archive_proxy(destinations={"CLIENT": destination.port}, **settings)
        await store(self, archive.port, CALLED, "STORESCU", objects)
        return archive, destination

    async def is_in_order(self, archive: ArchiveProxy, count: int) -> None:
        """`verify` finds so many whole files and nothing amiss."""
        result = await archive.command(self, "verify")
        self.assertEqual(0, result.code, result.output)
        self.assertRegex(result.output, rf"\b{count:,} files? (is|are) whole, 0 damaged, 0 missing")


class Dcmtk(Archiving):
    """DCMTK calls."""

    async def test_echo(self) -> None:
        archive = await self.archive_proxy()
        await checked(self, scu("echoscu", archive.port, CALLED, "ECHOSCU"))

    async def test_what_is_stored_is_kept(self) -> None:
        archive, _ = await self.filled()
        await self.is_in_order(archive, len(OBJECTS))

    async def test_find(self) -> None:
        archive, _ = await self.filled(archive_samples())
        keys = ("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientName")
        answers = await find(self, archive.port, CALLED, "FINDSCU", "-S", *keys)
        self.assertEqual(len({one.study for one in archive_samples()}), len(answers))

    async def test_get(self) -> None:
        archive, _ = await self.filled()
        folder = scratch(self)
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
        await checked(
            self, scu("getscu", archive.port, CALLED, "GETSCU", options=["-S", "+B", "-od", str(folder), *keys])
        )
        self.assertEqual(UIDS, [uid for uid, _ in data_sets_in(folder)])

    async def test_move(self) -> None:
        archive, destination = await self.filled()
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
        await checked(self, scu("movescu", archive.port, CALLED, "CLIENT", options=["-S", "-aem", "CLIENT", *keys]))
        self.assertEqual(as_files(OBJECTS), destination.received)


class Pynetdicom(Archiving):
    """pynetdicom calls."""

    async def test_every_sample_in_every_transfer_syntax_comes_back_as_it_was(self) -> None:
        objects = distinct_samples()
        archive = await self.archive_proxy()
        stored = await pynetdicom_scu.store(archive.port, CALLED, "SENDER", objects)
        kept = [one for one, status in zip(objects, stored, strict=True) if status == SUCCESS]
        received: list[tuple[str, bytes]] = []
        for study in sorted({one.study for one in kept}):
            outcome = await pynetdicom_scu.get(
                archive.port,
                CALLED,
                "GETTER",
                STUDY_GET,
                study_level(study),
                [one for one in kept if one.study == study],
            )
            received += outcome.received
        # Two of the samples have another SOP Instance UID in their data set than in their file meta information.
        self.assertEqual([SUCCESS] * (len(objects) - 2) + [NOT_WHAT_WAS_ANNOUNCED] * 2, sorted(stored))
        self.assertEqual(as_files(kept), sorted(received))

    async def test_find_at_each_level(self) -> None:
        archive, _ = await self.filled(archive_samples())
        counts = []
        for level, model, unique in (
            ("PATIENT", PATIENT_FIND, "PatientID"),
            ("STUDY", STUDY_FIND, "StudyInstanceUID"),
        ):
            identifier = Dataset()
            identifier.QueryRetrieveLevel = level
            setattr(identifier, unique, "")
            counts.append(await self.count(archive, identifier, model))
        identifier = study_level(STUDY)
        identifier.QueryRetrieveLevel = "SERIES"
        identifier.SeriesInstanceUID = ""
        counts.append(await self.count(archive, identifier, STUDY_FIND))
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.SeriesInstanceUID = OBJECTS[0].series
        identifier.SOPInstanceUID = ""
        counts.append(await self.count(archive, identifier, STUDY_FIND))
        wanted = [
            len({one.patient for one in archive_samples()}),
            len({one.study for one in archive_samples()}),
            len({one.series for one in OBJECTS}),
            len([one for one in OBJECTS if one.series == OBJECTS[0].series]),
        ]
        self.assertEqual(wanted, counts)

    async def count(self, archive: ArchiveProxy, identifier: Dataset, model: str) -> int:
        answers = await pynetdicom_scu.find(archive.port, CALLED, "FINDER", model, identifier)
        self.assertEqual(SUCCESS, answers[-1][0])
        return len(answers) - 1

    async def test_get_of_a_patient_that_is_not_there_is_an_empty_success(self) -> None:
        archive, _ = await self.filled()
        outcome = await pynetdicom_scu.get(archive.port, CALLED, "GETTER", STUDY_GET, study_level("2.25.1"), OBJECTS)
        self.assertEqual((SUCCESS, (0, 0, 0)), (outcome.final.Status, outcome.counters))

    async def test_the_counters_of_a_move_are_those_of_the_deliveries(self) -> None:
        archive, _ = await self.filled()
        outcome = await pynetdicom_scu.move(archive.port, CALLED, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual((SUCCESS, (len(OBJECTS), 0, 0)), (outcome.final.Status, outcome.counters))

    async def test_a_destination_that_refuses_every_object_is_a_failed_list(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT", store_status=0xA700)
        archive = await self.archive_proxy(destinations={"CLIENT": destination.port})
        await store(self, archive.port, CALLED, "STORESCU", OBJECTS)
        outcome = await pynetdicom_scu.move(archive.port, CALLED, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertNotEqual(SUCCESS, outcome.final.Status)
        self.assertEqual(((0, len(OBJECTS), 0), UIDS), (outcome.counters, outcome.failed_list))

    async def test_a_row_that_cannot_be_read_is_a_failure_of_its_object_alone(self) -> None:
        archive, _ = await self.filled(archive={"key": {"file": str(archive_key(self))}})
        archive.change("UPDATE archive_instance SET attributes = '' WHERE id = (SELECT min(id) FROM archive_instance)")
        most, by_name = (len(OBJECTS) - 1, 1, 0), study_level(STUDY)
        by_name.QueryRetrieveLevel, by_name.SOPInstanceUID = "IMAGE", UIDS
        for identifier, named in ((study_level(STUDY), 0), (by_name, 1)):
            got = await pynetdicom_scu.get(archive.port, CALLED, "GETTER", STUDY_GET, identifier, OBJECTS)
            moved = await pynetdicom_scu.move(archive.port, CALLED, "CLIENT", STUDY_MOVE, identifier, "CLIENT")
            self.assertEqual((most, most, len(OBJECTS) - 1), (got.counters, moved.counters, len(got.received)))
            for outcome in (got, moved):
                self.assertEqual((WARNING, named), (outcome.final.Status, len(outcome.failed_list)))
        archive.change("UPDATE archive_study SET attributes = ''")
        listed = await archive.command(self, "list")
        self.assertEqual(1, listed.code, listed.output)
        self.assertIn("unreadable: row 1 of archive_study\n", listed.output)

    async def test_a_cancelled_get_ends_as_one(self) -> None:
        archive, _ = await self.filled()
        outcome = await pynetdicom_scu.get(
            archive.port, CALLED, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS, cancel_after=1
        )
        self.assertEqual(CANCELLED, outcome.final.Status)
        self.assertLess(len(outcome.received), len(OBJECTS))

    async def test_the_same_object_again_is_a_success_and_kept_once(self) -> None:
        archive = await self.archive_proxy()
        self.assertEqual([SUCCESS] * 3, await pynetdicom_scu.store(archive.port, CALLED, "SENDER", [CT, CT, CT]))
        await self.is_in_order(archive, 1)

    async def test_storage_commitment_tells_what_is_kept_from_what_is_not(self) -> None:
        archive, _ = await self.filled()
        one = OBJECTS[0]
        request = commitment_request((one.sop_class, one.sop_instance), (one.sop_class, "2.25.1"))
        [(kind, report)] = await pynetdicom_scu.commit(archive.port, CALLED, "MODALITY", request)
        self.assertEqual(
            (WITH_FAILURES, [one.sop_instance], [("2.25.1", NO_SUCH_OBJECT)]),
            (
                kind,
                [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence],
                [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence],
            ),
        )


class Dcmjs(Archiving):
    """dcmjs-dimse calls."""

    async def test_store(self) -> None:
        archive = await self.archive_proxy()
        answers = await dcmjs_scu(self, "store", archive.port, CALLED, "DCMJS", *(str(one.path) for one in OBJECTS))
        self.assertEqual([SUCCESS] * len(OBJECTS), [answer["status"] for answer in answers])
        await self.is_in_order(archive, len(OBJECTS))

    async def test_find(self) -> None:
        archive, _ = await self.filled()
        answers = await dcmjs_scu(self, "find", archive.port, CALLED, "DCMJS", STUDY)
        self.assertEqual([STUDY], [answer["study"] for answer in answers if answer.get("study")])

    async def test_get(self) -> None:
        archive, _ = await self.filled()
        answers = await dcmjs_scu(self, "get", archive.port, CALLED, "DCMJS", STUDY)
        self.assertEqual(UIDS, sorted(answer["received"] for answer in answers if "received" in answer))

    async def test_move(self) -> None:
        archive, destination = await self.filled()
        answers = await dcmjs_scu(self, "move", archive.port, CALLED, "DCMJS", STUDY, "CLIENT")
        self.assertEqual((SUCCESS, len(UIDS), 0), tuple(answers[-1][key] for key in ("status", "completed", "failed")))
        self.assertEqual(as_files(OBJECTS), destination.received)


class Odil(Archiving):
    """odil calls; it has no C-MOVE on its command line."""

    async def odil(self, operation: str, archive: ArchiveProxy, *words: str) -> str:
        argv = [executable("odil"), operation, "127.0.0.1", str(archive.port), "ODIL", CALLED, *words]
        return (await checked(self, argv)).output

    async def test_store(self) -> None:
        archive = await self.archive_proxy()
        await self.odil("store", archive, str(CT.path))
        await self.is_in_order(archive, 1)

    async def test_find(self) -> None:
        archive, _ = await self.filled()
        output = await self.odil(
            "find", archive, "study", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}", "PatientID"
        )
        self.assertIn(OBJECTS[0].patient, output)


class FromOrthanc(Archiving):
    """Orthanc calls: it sends, queries, and has moved to itself what it found."""

    async def both(self) -> tuple[ArchiveProxy, Orthanc]:
        """The archive, and an Orthanc that knows it and is known to it."""
        at = free_port()
        caller = await orthanc(self, {CALLED: at})
        return await self.archive_proxy(port=at, destinations={caller.title: caller.port}), caller

    async def test_store(self) -> None:
        archive, caller = await self.both()
        sent = await caller.upload(OBJECTS)
        answer = await caller.rest("POST", f"/modalities/{CALLED}/store", sent)
        self.assertEqual((len(OBJECTS), 0), (answer["InstancesCount"], answer["FailedInstancesCount"]))
        await self.is_in_order(archive, len(OBJECTS))

    async def test_query_and_retrieve(self) -> None:
        archive, caller = await self.both()
        await store(self, archive.port, CALLED, "STORESCU", archive_samples())
        query = await caller.rest(
            "POST", f"/modalities/{CALLED}/query", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY}}
        )
        found = await caller.rest("GET", f"{query['Path']}/answers")
        await caller.rest("POST", f"{query['Path']}/retrieve", {"TargetAet": caller.title, "Synchronous": True})
        kept = await caller.rest("GET", "/instances?expand")
        self.assertEqual(1, len(found))
        self.assertEqual(UIDS, sorted(one["MainDicomTags"]["SOPInstanceUID"] for one in kept))
