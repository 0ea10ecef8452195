"""A pool before real peers: what callers see is what they would see without, and the PACS has less to do."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pydicom
from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE
from pynetdicom.sop_class import Verification
from twisted.internet.defer import ensureDeferred

from tests.e2e.base import EndToEnd, Front
from tests.e2e.test_tls import Secured, dcmtk_tls, tls_of
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, dcmqrscp, scu, store, storescp
from tests.support.objects import archive_samples, sample
from tests.support.planted import planted
from tests.support.planted_house import DESTINATION, house_before, policy
from tests.support.process import at_once, free_port, until
from tests.support.pynetdicom_scp import PynetdicomScp, pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

POOL: dict[str, Any] = {"pool": {"size": 4, "idle": 60}}
ECHO = [build_context(Verification)]
ONE = sample("CT_small.dcm")
STUDY = archive_samples()[0].study


class Pooled(EndToEnd):
    """The proxy before an acceptor that records."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def front(self, **outbound: Any) -> tuple[Front, PynetdicomScp]:
        peer = pynetdicom_scp(self)
        return await self.before(peer.port, peer.title, outbound=outbound or POOL), peer


class OneAssociationForEachObject(Pooled):
    """As many modalities and routers send them."""

    async def test_costs_the_peer_one(self) -> None:
        front, peer = await self.front()
        for _ in range(5):
            await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual((5, 1), (len(peer.stored), len(peer.requests)))

    async def test_costs_the_peer_one_each_without_a_pool(self) -> None:
        front, peer = await self.front(wait=5)
        for _ in range(5):
            await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual((5, 5), (len(peer.stored), len(peer.requests)))

    async def test_every_object_arrives_as_it_was(self) -> None:
        reference, behind = await storescp(self), await storescp(self)
        front = await self.before(behind.port, behind.title, outbound=POOL)
        for _ in range(3):
            await store(self, reference.port, reference.title, "STORESCU", [ONE])
            await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual(reference.received, behind.received)

    async def test_under_a_policy(self) -> None:
        one = planted("ct")
        house = await house_before(
            self, *await self.archive(), [one], outbound=POOL, privacy=policy(self, originals="inbound")
        )
        for _ in range(3):
            statuses = await pynetdicom_scu.store(house.port, house.title, DESTINATION, house.stored)
            self.assertEqual([0x0000], statuses)
        patients = {str(pydicom.dcmread(path).PatientID) for path in self.behind.folder.iterdir()}
        self.assertEqual((3, 1), (len(list(self.behind.folder.iterdir())), len(patients)))
        self.assertNotIn(str(one.dataset.PatientID), patients)
        self.assertEqual({}, house.leaks_outward())
        self.assertEqual(1, self.behind.process.output.count("Association Received"))

    async def archive(self) -> tuple[int, str]:
        self.behind = await storescp(self, "-v")
        return self.behind.port, self.behind.title


class OverTls(Secured):
    """A PACS that is called by TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.needs_proxy()

    async def test_costs_the_peer_one(self) -> None:
        peer = await storescp(self, "-v", *dcmtk_tls(self.pacs, self.ca))
        outbound = {"tls": tls_of(self.proxys, ca=self.ca), **POOL}
        front = await self.before(peer.port, peer.title, outbound=outbound)
        for _ in range(3):
            await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual((3, 1), (len(peer.received), peer.process.output.count("Association Received")))


class Idle(Pooled):
    async def test_is_released_at_the_end(self) -> None:
        front, peer = await self.front()
        await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual([], peer.ended)
        front.running.process.signal("TERM")
        self.assertEqual(-signal.SIGTERM, (await front.running.ended()).code)
        self.assertEqual(["released"], peer.ended)

    async def test_is_released_after_its_time(self) -> None:
        front, peer = await self.front(pool={"idle": 0.5})
        await store(self, front.port, front.title, "STORESCU", [ONE])
        await until(lambda: peer.ended, "the release")
        self.assertEqual(["released"], peer.ended)

    async def test_a_peer_that_was_restarted(self) -> None:
        first = await storescp(self)
        front = await self.before(first.port, first.title, outbound=POOL)
        await store(self, front.port, front.title, "STORESCU", [ONE])
        await first.process.kill()
        second = await storescp(self, title=first.title, port=first.port)
        await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual(1, len(second.received))

    async def test_a_reload_keeps_it(self) -> None:
        front, peer = await self.front()
        await store(self, front.port, front.title, "STORESCU", [ONE])
        front.running.process.signal("HUP")
        await front.running.process.says("reload: the configuration is in effect")
        await store(self, front.port, front.title, "STORESCU", [ONE])
        self.assertEqual((2, 1), (len(peer.stored), len(peer.requests)))


class Retrieve(Pooled):
    async def test_a_c_move_after_another(self) -> None:
        destination = pynetdicom_scp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        archive = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples(), "-v")
        applications = self.applications(known)
        front = await self.before(archive.port, archive.title, at=at, applications=applications, outbound=POOL)
        found = [
            await pynetdicom_scu.move(front.port, front.title, "CLIENT", STUDY_MOVE, study_level(STUDY), "CLIENT")
            for _ in range(3)
        ]
        wanted = sorted(one.sop_instance for one in archive_samples() if one.study == STUDY)
        self.assertEqual([(0x0000, (len(wanted), 0, 0))] * 3, [(it.final.Status, it.counters) for it in found])
        self.assertEqual(sorted(wanted * 3), sorted(it.sop_instance for it in destination.stored))
        self.assertEqual(1, archive.process.output.count("Association Received"))


class Limits(Pooled):
    """`max_associations` and `max_operations`."""

    async def test_callers_wait_for_an_association(self) -> None:
        front, peer = await self.front(max_associations=1)
        callers = [
            checked(self, scu("storescu", front.port, front.title, f"SCU{number}", str(ONE.path)))
            for number in range(6)
        ]
        await at_once(*callers)
        self.assertEqual((6, 6), (len(peer.stored), len(peer.requests)))

    async def test_they_wait_no_longer_than_they_may(self) -> None:
        front, _ = await self.front(max_associations=1, wait=0.5)
        opened, close = threading.Event(), threading.Event()
        self.addCleanup(close.set)

        def hold(association: Any) -> None:
            opened.set()
            close.wait(30)

        holding = ensureDeferred(pynetdicom_scu.conversation(front.port, front.title, "HOLDS", ECHO, hold))
        await until(opened.is_set, "the association")
        refusal = await pynetdicom_scu.refusal(front.port, front.title, "WAITS")
        close.set()
        await holding
        self.assertEqual(pynetdicom_scu.Refusal(2, 3, 1), refusal)

    async def test_all_workers_count_together(self) -> None:
        peer = pynetdicom_scp(self)
        outbound = {"max_associations": 2, "wait": 0.5}
        front = await self.before(peer.port, peer.title, outbound=outbound, workers=3)
        await front.running.process.says("all 3 workers serve")
        close = threading.Event()
        self.addCleanup(close.set)
        holding = []
        for number in range(2):
            opened = threading.Event()

            def hold(association: Any, opened: threading.Event = opened) -> None:
                opened.set()
                close.wait(30)

            talk = pynetdicom_scu.conversation(front.port, front.title, f"HOLDS{number}", ECHO, hold)
            holding.append(ensureDeferred(talk))
            await until(opened.is_set, "the association")
        refusals = [await pynetdicom_scu.refusal(front.port, front.title, f"WAITS{number}") for number in range(4)]
        close.set()
        for each in holding:
            await each
        self.assertEqual({pynetdicom_scu.Refusal(2, 3, 1)}, set(refusals))

    async def test_requests_of_many_callers(self) -> None:
        front, peer = await self.front(max_operations=1, **POOL)
        callers = [pynetdicom_scu.store(front.port, front.title, f"SCU{number}", [ONE] * 5) for number in range(6)]
        self.assertEqual([[0x0000] * 5] * 6, await at_once(*callers))
        self.assertEqual(30, len(peer.stored))
