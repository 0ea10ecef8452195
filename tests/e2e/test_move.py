"""C-MOVE through the proxy: the PACS knows the proxy alone, and the objects come to whom the caller named."""

from __future__ import annotations

from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, dcmqrscp, scu, storescp
from tests.support.objects import Sample, archive_samples, sample
from tests.support.orthanc import orthanc
from tests.support.process import at_once, free_port, until
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

STUDY = archive_samples()[0].study
OTHER_STUDY = next(one.study for one in archive_samples() if one.study != STUDY)

REFUSED_DESTINATION_UNKNOWN = 0xA801
CANCELLED = 0xFE00


def of_study(study: str) -> list[Sample]:
    """The archive's objects of one study."""
    return [one for one in archive_samples() if one.study == study]


class MoveFromDcmtk(EndToEnd):
    """dcmqrscp is the archive."""

    async def test_movescu_gets_the_objects_that_it_gets_without_the_proxy(self) -> None:
        destination, reference = await storescp(self, title="CLIENT"), await storescp(self, title="REFERENCE")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(
            self, {**self.known_to_peer(at, known), "REFERENCE": reference.port}, archive_samples()
        )
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        for port, called, to in ((archive.port, archive.title, "REFERENCE"), (front.port, front.title, "CLIENT")):
            await checked(
                self,
                scu(
                    "movescu",
                    port,
                    called,
                    "CLIENT",
                    options=["-S", "-aem", to, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"],
                ),
            )
        self.assertEqual(len(of_study(STUDY)), len(destination.received))
        self.assertEqual(reference.received, destination.received)

    async def test_the_counters_are_those_of_the_deliveries(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        count = len(of_study(STUDY))
        self.assertEqual((0x0000, (count, 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertCountEqual(
            [one.sop_instance for one in of_study(STUDY)], [it.sop_instance for it in destination.stored]
        )

    async def test_the_destination_is_told_who_asked_and_how(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        await pynetdicom_scu.move(front.port, front.title, "WORKPLACE", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual({("WORKPLACE", 7)}, {(it.move_originator, it.move_message_id) for it in destination.stored})

    async def test_two_callers_at_once_get_each_their_own(self) -> None:
        first, second = pynetdicom_scp(self, title="FIRST"), pynetdicom_scp(self, title="SECOND")
        at, known = free_port(), {"FIRST": first.port, "SECOND": second.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        # Both use message id 7, so that the id alone tells nothing.
        outcomes = await at_once(
            *(
                pynetdicom_scu.move(front.port, front.title, title, STUDY_MOVE, study_level(study), title)
                for title, study in (("FIRST", STUDY), ("SECOND", OTHER_STUDY)) * 3
            )
        )
        self.assertEqual([0x0000] * 6, [outcome.final.Status for outcome in outcomes])
        self.assertEqual({one.sop_instance for one in of_study(STUDY)}, {it.sop_instance for it in first.stored})
        self.assertEqual({one.sop_instance for one in of_study(OTHER_STUDY)}, {it.sop_instance for it in second.stored})

    async def test_one_study_to_two_destinations_at_once(self) -> None:
        first, second = pynetdicom_scp(self, title="FIRST"), pynetdicom_scp(self, title="SECOND")
        at, known = free_port(), {"FIRST": first.port, "SECOND": second.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        await at_once(
            *(
                pynetdicom_scu.move(front.port, front.title, title, STUDY_MOVE, study_level(STUDY), title)
                for title in ("FIRST", "SECOND")
            )
        )
        wanted = sorted(one.sop_instance for one in of_study(STUDY))
        self.assertEqual([wanted, wanted], [sorted(it.sop_instance for it in scp.stored) for scp in (first, second)])

    async def test_an_unknown_destination_is_refused(self) -> None:
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(archive.port, archive.title)
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "NOBODY")
        self.assertEqual(REFUSED_DESTINATION_UNKNOWN, outcome.final.Status)

    async def test_the_proxys_own_title_is_no_destination(self) -> None:
        self.needs_proxy()
        at = free_port()
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.before(archive.port, archive.title, at=at)
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), TITLE)
        self.assertEqual(REFUSED_DESTINATION_UNKNOWN, outcome.final.Status)


class MoveThatFails(EndToEnd):
    """Never a false success: counters and the failed list tell what was delivered."""

    async def test_a_destination_that_is_down(self) -> None:
        at, known = free_port(), {"CLIENT": free_port()}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertNotEqual(0x0000, outcome.final.Status)
        self.assertEqual(0, outcome.counters[0])

    async def test_a_destination_that_is_down_leaves_every_object_on_the_failed_list(self) -> None:
        self.needs_proxy()  # dcmqrscp itself answers A801 and no list when it reaches nobody
        at, known = free_port(), {"CLIENT": free_port()}
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual(
            (0, len(of_study(STUDY)), sorted(one.sop_instance for one in of_study(STUDY))),
            (*outcome.counters[:2], outcome.failed_list),
        )

    async def test_a_destination_that_refuses_every_object(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT", store_status=0xA700)
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertNotEqual(0x0000, outcome.final.Status)
        self.assertEqual((0, len(of_study(STUDY)), 0), outcome.counters)
        self.assertEqual(sorted(one.sop_instance for one in of_study(STUDY)), outcome.failed_list)

    async def test_a_cancelled_move_is_cancelled_in_the_archive(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = pynetdicom_scp(
            self, holdings=archive_samples(), destinations=self.known_to_peer(at, known), slow=True
        )
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        outcome = await pynetdicom_scu.move(
            front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT", cancel_after=2
        )
        self.assertEqual((CANCELLED, 1), (outcome.final.Status, len(archive.cancelled)))


class MoveFromOrthanc(EndToEnd):
    """Orthanc is the archive, with one modality in its configuration."""

    async def test_a_study_arrives_whole(self) -> None:
        destination = await storescp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await orthanc(self, self.known_to_peer(at, known))
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        await archive.upload(archive_samples())
        await checked(
            self,
            scu(
                "movescu",
                front.port,
                front.title,
                "CLIENT",
                options=["-S", "-aem", "CLIENT", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"],
            ),
        )
        self.assertEqual(sorted(one.sop_instance for one in of_study(STUDY)), [uid for uid, _ in destination.received])

    async def test_two_callers_at_once_get_each_their_own(self) -> None:
        first, second = pynetdicom_scp(self, title="FIRST"), pynetdicom_scp(self, title="SECOND")
        at, known = free_port(), {"FIRST": first.port, "SECOND": second.port}
        archive = await orthanc(self, self.known_to_peer(at, known))
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        await archive.upload(archive_samples())
        outcomes = await at_once(
            *(
                pynetdicom_scu.move(front.port, front.title, title, STUDY_MOVE, study_level(study), title)
                for title, study in (("FIRST", STUDY), ("SECOND", OTHER_STUDY))
            )
        )
        self.assertEqual([0x0000] * 2, [outcome.final.Status for outcome in outcomes])
        self.assertEqual(
            [sorted(one.sop_instance for one in of_study(study)) for study in (STUDY, OTHER_STUDY)],
            [sorted(it.sop_instance for it in scp.stored) for scp in (first, second)],
        )

    async def test_a_compressed_object_crosses_in_its_transfer_syntax(self) -> None:
        one = sample("MR_small_RLE.dcm")
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await orthanc(self, self.known_to_peer(at, known))
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))
        await archive.upload([one])
        await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(one.study), "CLIENT")
        self.assertEqual([one.transfer_syntax], [it.transfer_syntax for it in destination.stored])


class MoveDirect(EndToEnd):
    """`deliver: direct`: the PACS knows the destination and calls it itself."""

    async def test_the_archive_delivers(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        archive = await dcmqrscp(self, {"CLIENT": destination.port}, archive_samples())
        front = await self.before(
            archive.port,
            archive.title,
            outbound={"deliver": "direct"},
            applications=self.applications({"CLIENT": destination.port}),
        )
        outcome = await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
        self.assertEqual((0x0000, len(of_study(STUDY))), (outcome.final.Status, len(destination.stored)))
        self.assertEqual({archive.title}, {it.calling for it in destination.stored})


class CallerThatLeaves(EndToEnd):
    """A caller that aborts its C-MOVE ends it in the archive, too."""

    async def test_the_archives_association_is_aborted(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = pynetdicom_scp(
            self, holdings=archive_samples(), destinations=self.known_to_peer(at, known), slow=True
        )
        front = await self.before(archive.port, archive.title, at=at, applications=self.applications(known))

        def talk(association: Association) -> None:
            next(association.send_c_move(study_level(STUDY), "CLIENT", STUDY_MOVE, msg_id=7))
            association.abort()

        await pynetdicom_scu.conversation(front.port, front.title, "CLIENT", [build_context(STUDY_MOVE)], talk)
        await until(lambda: "aborted" in archive.ended, "the abort in the archive")
