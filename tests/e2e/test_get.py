"""C-GET, whose sub-operations come back on the caller's own association, and its translation from and to C-MOVE."""

from __future__ import annotations

from collections.abc import Sequence

from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, dcmqrscp, scu
from tests.support.objects import Sample, archive_samples, data_sets_in
from tests.support.orthanc import orthanc
from tests.support.process import free_port, scratch
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import GETS, MOVES, everything, pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

STUDY = archive_samples()[0].study
OBJECTS = [one for one in archive_samples() if one.study == STUDY]
UIDS = sorted(one.sop_instance for one in OBJECTS)

CANCELLED = 0xFE00


class Get(EndToEnd):
    """C-GET as it is."""

    async def getscu(self, port: int, called: str) -> list[tuple[str, bytes]]:
        folder = scratch(self)
        await checked(
            self,
            scu(
                "getscu",
                port,
                called,
                "GETSCU",
                options=[
                    "-S",
                    "+B",
                    "-od",
                    str(folder),
                    "-k",
                    "QueryRetrieveLevel=STUDY",
                    "-k",
                    f"StudyInstanceUID={STUDY}",
                ],
            ),
        )
        return data_sets_in(folder)

    async def test_getscu_gets_from_dcmqrscp_what_it_gets_without_the_proxy(self) -> None:
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(archive.port, archive.title)
        through = await self.getscu(front.port, front.title)
        self.assertEqual(UIDS, [uid for uid, _ in through])
        self.assertEqual(await self.getscu(archive.port, archive.title), through)

    async def test_getscu_gets_from_orthanc_what_it_gets_without_the_proxy(self) -> None:
        at = free_port()
        archive = await orthanc(self, {TITLE: at})
        front = await self.before(archive.port, archive.title, at=at)
        await archive.upload(archive_samples())
        through = await self.getscu(front.port, front.title)
        self.assertEqual(UIDS, [uid for uid, _ in through])
        self.assertEqual(await self.getscu(archive.port, archive.title), through)

    async def test_pynetdicom_gets_from_dcmqrscp(self) -> None:
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(archive.port, archive.title)
        outcome = await pynetdicom_scu.get(front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS)
        self.assertEqual(
            (0x0000, (len(UIDS), 0, 0), UIDS),
            (outcome.final.Status, outcome.counters, sorted(uid for uid, _ in outcome.received)),
        )

    async def test_a_caller_that_refuses_the_objects_is_counted(self) -> None:
        archive = pynetdicom_scp(self, holdings=archive_samples())
        front = await self.before(archive.port, archive.title)
        outcome = await pynetdicom_scu.get(
            front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS, status=0xA700
        )
        self.assertEqual(((0, len(UIDS), 0), UIDS), (outcome.counters, outcome.failed_list))

    async def test_a_cancelled_get_is_cancelled_in_the_archive(self) -> None:
        archive = pynetdicom_scp(self, holdings=archive_samples(), slow=True)
        front = await self.before(archive.port, archive.title)
        outcome = await pynetdicom_scu.get(
            front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS, cancel_after=1
        )
        self.assertEqual((CANCELLED, 1), (outcome.final.Status, len(archive.cancelled)))


class Translated(EndToEnd):
    """`retrieve: get` and `retrieve: move`: for a PACS that lacks the other."""

    def received(self, arrived: Sequence[tuple[str, bytes]]) -> list[str]:
        return sorted(uid for uid, _ in arrived)

    def expected(self, objects: Sequence[Sample]) -> list[tuple[str, bytes]]:
        return sorted((one.sop_instance, one.data_set) for one in objects)

    async def test_a_move_from_an_archive_that_only_gets(self) -> None:
        self.needs_proxy()
        destination = pynetdicom_scp(self, title="CLIENT")
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(
            archive.port,
            archive.title,
            outbound={"retrieve": "get"},
            applications=self.applications({"CLIENT": destination.port}),
        )
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual((0x0000, (len(UIDS), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(UIDS, sorted(it.sop_instance for it in destination.stored))

    async def test_the_translated_move_tells_the_destination_who_asked(self) -> None:
        self.needs_proxy()
        destination = pynetdicom_scp(self, title="CLIENT")
        archive = pynetdicom_scp(self, holdings=archive_samples(), contexts=everything(without=MOVES))
        front = await self.before(
            archive.port,
            archive.title,
            outbound={"retrieve": "get"},
            applications=self.applications({"CLIENT": destination.port}),
        )
        await pynetdicom_scu.move(front.port, front.title, "WORKPLACE", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual({("WORKPLACE", 7)}, {(it.move_originator, it.move_message_id) for it in destination.stored})

    async def test_a_translated_move_to_a_destination_that_is_down(self) -> None:
        self.needs_proxy()
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(
            archive.port,
            archive.title,
            outbound={"retrieve": "get"},
            applications=self.applications({"CLIENT": free_port()}),
        )
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertNotEqual(0x0000, outcome.final.Status)
        self.assertEqual(0, outcome.counters[0])

    async def test_a_get_from_an_archive_that_only_moves(self) -> None:
        self.needs_proxy()
        at = free_port()
        archive = pynetdicom_scp(
            self, holdings=archive_samples(), contexts=everything(without=GETS), destinations={TITLE: at}
        )
        front = await self.before(archive.port, archive.title, at=at, outbound={"retrieve": "move"})
        outcome = await pynetdicom_scu.get(front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS)
        self.assertEqual((0x0000, (len(UIDS), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(UIDS, self.received(outcome.received))

    async def test_a_get_from_orthanc_that_is_asked_to_move(self) -> None:
        self.needs_proxy()
        at = free_port()
        archive = await orthanc(self, {TITLE: at})
        front = await self.before(archive.port, archive.title, at=at, outbound={"retrieve": "move"})
        await archive.upload(archive_samples())
        outcome = await pynetdicom_scu.get(front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS)
        self.assertEqual((0x0000, UIDS), (outcome.final.Status, self.received(outcome.received)))

    async def test_getscu_from_dcmqrscp_without_get(self) -> None:
        self.needs_proxy()
        at, folder = free_port(), scratch(self)
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples(), "--disable-get")
        front = await self.before(archive.port, archive.title, at=at, outbound={"retrieve": "move"})
        await checked(
            self,
            scu(
                "getscu",
                front.port,
                front.title,
                "GETSCU",
                options=[
                    "-S",
                    "+B",
                    "-od",
                    str(folder),
                    "-k",
                    "QueryRetrieveLevel=STUDY",
                    "-k",
                    f"StudyInstanceUID={STUDY}",
                ],
            ),
        )
        self.assertEqual(self.expected(OBJECTS), data_sets_in(folder))
