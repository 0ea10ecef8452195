"""Several workers: what a PACS brings to one of them, and another has asked for."""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import Any

from pynetdicom import association as pynetdicom_association
from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE
from twisted.internet.defer import Deferred, ensureDeferred

from tests.e2e.base import EndToEnd, Front
from tests.e2e.test_move import OTHER_STUDY, STUDY, of_study
from tests.e2e.test_refusals import LOCAL_LIMIT_EXCEEDED
from tests.e2e.test_services import commitment_request, commitment_scu
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, dcmqrscp, scu, storescp
from tests.support.objects import archive_samples, sample
from tests.support.orthanc import orthanc
from tests.support.process import PATIENCE, at_once, free_port, until
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import COMMITMENT_INSTANCE, GETS, PynetdicomScp, everything, pynetdicom_scp
from tests.support.pynetdicom_scu import Refusal, Refused, associate, study_level
from tests.support.threads import in_thread

WORKERS = 3

AT_ONCE = 8
"""Callers at the same time: no object comes to another worker than was asked in one run of 6561."""

OBJECTS = of_study(STUDY)
UIDS = sorted(one.sop_instance for one in OBJECTS)
OTHER_UIDS = sorted(one.sop_instance for one in of_study(OTHER_STUDY))


def instances(destination: PynetdicomScp) -> list[str]:
    """What an application was sent, in order."""
    return sorted(it.sop_instance for it in destination.stored)


class Workers(EndToEnd):
    """A proxy of several workers before an archive."""

    async def workers(self, port: int, title: str, **settings: Any) -> Front:
        self.needs_proxy()
        front = await self.before(port, title, workers=WORKERS, **settings)
        await front.running.process.says(f"all {WORKERS} workers serve")
        return front

    async def move(self, front: Front, study: str, to: str, calling: str = "CALLER") -> pynetdicom_scu.Retrieve:
        return await pynetdicom_scu.move(front.port, front.title, calling, STUDY_MOVE, study_level(study), to)


class Moves(Workers):
    """The PACS knows one title and one port, behind which there are several processes."""

    async def test_every_object_of_orthanc_goes_to_whom_the_caller_named(self) -> None:
        first, second = pynetdicom_scp(self, title="FIRST"), pynetdicom_scp(self, title="SECOND")
        at, known = free_port(), {"FIRST": first.port, "SECOND": second.port}
        archive = await orthanc(self, {TITLE: at})
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        await archive.upload(archive_samples())
        asked = ((STUDY, "FIRST"), (OTHER_STUDY, "SECOND")) * (AT_ONCE // 2)
        outcomes = await at_once(*(self.move(front, study, to) for study, to in asked))
        wanted = [(0x0000, (len(UIDS), 0, 0)), (0x0000, (len(OTHER_UIDS), 0, 0))] * (AT_ONCE // 2)
        self.assertEqual(wanted, [(outcome.final.Status, outcome.counters) for outcome in outcomes])
        self.assertEqual(
            (sorted(UIDS * (AT_ONCE // 2)), sorted(OTHER_UIDS * (AT_ONCE // 2))), (instances(first), instances(second))
        )

    async def test_so_it_does_from_an_archive_that_names_no_move_originator(self) -> None:
        store = pynetdicom_association.Association.send_c_store

        def send(association: Association, dataset: Any, **named: Any) -> Any:
            return store(association, dataset, **{**named, "originator_aet": None, "originator_id": None})

        self.patch(pynetdicom_association.Association, "send_c_store", send)
        first, second = pynetdicom_scp(self, title="FIRST"), pynetdicom_scp(self, title="SECOND")
        at, known = free_port(), {"FIRST": first.port, "SECOND": second.port}
        archive = pynetdicom_scp(self, holdings=archive_samples(), destinations={TITLE: at})
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        # Two that ask for the same at the same time cannot be told apart then.
        asked = ((STUDY, "FIRST"), (OTHER_STUDY, "SECOND"))
        rounds = [await at_once(*(self.move(front, study, to) for study, to in asked)) for _ in range(AT_ONCE // 2)]
        self.assertEqual(
            (sorted(UIDS * (AT_ONCE // 2)), sorted(OTHER_UIDS * (AT_ONCE // 2))), (instances(first), instances(second))
        )
        self.assertEqual(
            {(len(UIDS), 0, 0), (len(OTHER_UIDS), 0, 0)}, {each.counters for two in rounds for each in two}
        )

    async def test_the_destination_is_told_who_asked_and_how(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        await at_once(*(self.move(front, STUDY, "CLIENT", "WORKPLACE") for _ in range(AT_ONCE)))
        self.assertEqual({("WORKPLACE", 7)}, {(it.move_originator, it.move_message_id) for it in destination.stored})

    async def test_an_application_that_takes_one_association_at_a_time(self) -> None:
        destination = await storescp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        keys = ["-S", "-aem", "CLIENT", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"]
        await at_once(
            *(checked(self, scu("movescu", front.port, front.title, "CLIENT", options=keys)) for _ in range(AT_ONCE))
        )
        self.assertEqual(sorted(UIDS * AT_ONCE), [uid for uid, _ in destination.received])

    async def test_an_object_that_is_refused_counts_and_is_named_whichever_worker_it_came_to(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT", store_status=0xA700)
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        outcomes = await at_once(*(self.move(front, STUDY, "CLIENT") for _ in range(AT_ONCE)))
        self.assertEqual(
            [((0, len(UIDS), 0), UIDS)] * AT_ONCE, [(outcome.counters, outcome.failed_list) for outcome in outcomes]
        )

    async def test_objects_of_a_get_come_to_its_caller(self) -> None:
        at = free_port()
        archive = pynetdicom_scp(
            self, holdings=archive_samples(), contexts=everything(without=GETS), destinations={TITLE: at}
        )
        front = await self.workers(archive.port, archive.title, at=at, outbound={"retrieve": "move"})
        outcomes = await at_once(
            *(
                pynetdicom_scu.get(front.port, front.title, "GETTER", STUDY_GET, study_level(STUDY), OBJECTS)
                for _ in range(AT_ONCE)
            )
        )
        got = [(each.final.Status, each.counters, sorted(uid for uid, *_ in each.received)) for each in outcomes]
        self.assertEqual([(0x0000, (len(UIDS), 0, 0), UIDS)] * AT_ONCE, got)
        self.assertIn("passed on to worker", front.running.log)


class Stop(Workers):
    """Told to end, the workers end when nothing of any of them is under way."""

    async def test_what_is_being_moved_arrives(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        destination = pynetdicom_scp(self, title="CLIENT", store_gate=gate)
        at, known = free_port(), {"CLIENT": destination.port}
        archive = pynetdicom_scp(self, holdings=archive_samples(), destinations={TITLE: at})
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        moves = [ensureDeferred(self.move(front, STUDY, "CLIENT")) for _ in range(AT_ONCE)]
        await until(lambda: len(destination.stored) == AT_ONCE, "the first object of each")
        front.running.process.signal("TERM")
        await front.running.process.says(f"worker {WORKERS - 1}: shutting down")
        gate.set()
        self.assertEqual([(len(UIDS), 0, 0)] * AT_ONCE, [(await move).counters for move in moves])
        self.assertEqual(-signal.SIGTERM, (await front.running.ended()).code)


class Commitments(Workers):
    """A report that comes on an association of its own comes to any worker."""

    async def ask(self, front: Front, transaction: Any) -> int:
        def talk(association: Association) -> int:
            status, _ = association.send_n_action(transaction, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
            return int(status.Status)

        return await pynetdicom_scu.conversation(
            front.port, front.title, "MODALITY", [build_context(StorageCommitmentPushModel)], talk
        )

    async def test_all_reports_come_to_who_asked(self) -> None:
        modality = commitment_scu(self, free_port())
        at = free_port()
        archive = pynetdicom_scp(self, commit_on_new_association=at)
        front = await self.workers(
            archive.port, archive.title, at=at, applications=self.applications({"MODALITY": modality.port})
        )
        asked = [commitment_request(("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")) for _ in range(AT_ONCE)]
        await at_once(*(self.ask(front, each) for each in asked))
        await until(lambda: len(modality.reports) == AT_ONCE, "the reports")
        self.assertEqual(
            sorted(each.TransactionUID for each in asked), sorted(ds.TransactionUID for _, ds in modality.reports)
        )


class Limits(Workers):
    """What is limited is limited for all workers together."""

    most = 5

    async def test_associations_are_as_many_as_configured_whichever_worker_has_them(self) -> None:
        peer = pynetdicom_scp(self)
        front = await self.workers(peer.port, peer.title, inbound={"max_associations": self.most})
        held: list[Association] = []
        self.addCleanup(lambda: in_thread(lambda: [each.release() for each in held]))

        def crowd() -> list[Refusal | None]:
            refusals = []
            for _ in range(4 * self.most):
                try:
                    held.append(associate(front.port, front.title, "CALLER", [build_context(Verification)]))
                except Refused as error:
                    refusals.append(error.refusal)
            return refusals

        self.assertEqual([LOCAL_LIMIT_EXCEEDED] * 3 * self.most, await in_thread(crowd))
        self.assertEqual(self.most, len(held))

    async def test_those_of_a_dead_worker_do_not_count(self) -> None:
        peer = pynetdicom_scp(self)
        front = await self.workers(peer.port, peer.title, inbound={"max_associations": 1})
        log = front.running.process
        association = await in_thread(associate, front.port, front.title, "CALLER", [build_context(Verification)])
        self.addCleanup(lambda: in_thread(association.abort))
        await log.says("from 'CALLER'")
        found = re.search(r"worker (\d): association \d+ from 'CALLER'", front.running.log)
        assert found is not None
        os.kill(pids(front)[int(found[1])], signal.SIGKILL)
        await log.says("another one is started")
        await pynetdicom_scu.conversation(
            front.port, front.title, "CALLER", [build_context(Verification)], lambda each: each.send_c_echo()
        )
        self.assertEqual(2, len(peer.requests))


class Death(Workers):
    """A worker is killed while others transfer."""

    async def test_only_what_it_carried_ends(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        peer = pynetdicom_scp(self, store_gate=gate)
        front = await self.workers(peer.port, peer.title)
        callers = [f"CALLER{number}" for number in range(AT_ONCE)]
        storing = {calling: self.storing(front, calling) for calling in callers}
        await until(lambda: len(peer.stored) == AT_ONCE, "the objects in the PACS")
        by = {
            calling: int(number)
            for number, calling in re.findall(r"worker (\d): association \d+ from '(CALLER\d)'", front.running.log)
        }
        os.kill(pids(front)[by["CALLER0"]], signal.SIGKILL)
        await front.running.process.says("another one is started")
        gate.set()
        stored = {calling: await outcome for calling, outcome in storing.items()}
        self.assertEqual({calling: by[calling] != by["CALLER0"] for calling in callers}, stored)

    def storing(self, front: Front, calling: str) -> Deferred[bool]:
        one = sample("CT_small.dcm")

        def whole() -> bool:
            association = associate(front.port, front.title, calling, pynetdicom_scu.contexts_for([one]))
            try:
                return bool(association.send_c_store(one.path).get("Status", -1) == 0x0000)
            except (RuntimeError, ValueError):
                return False
            finally:
                if association.is_established:
                    association.release()

        return in_thread(whole)

    async def test_its_successor_moves_as_it_did(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, {TITLE: at}, archive_samples())
        front = await self.workers(archive.port, archive.title, at=at, applications=self.applications(known))
        before = pids(front)
        os.kill(before[1], signal.SIGKILL)
        await until(lambda: pids(front)[1] != before[1], "another worker", PATIENCE)
        outcomes = await at_once(*(self.move(front, STUDY, "CLIENT") for _ in range(AT_ONCE)))
        self.assertEqual([(len(UIDS), 0, 0)] * AT_ONCE, [outcome.counters for outcome in outcomes])


def pids(front: Front) -> dict[int, int]:
    """The processes of the workers, as they are now, by their numbers."""
    found = re.findall(r"worker (\d+) serves, as process (\d+)", front.running.log)
    return {int(number): int(pid) for number, pid in found}
