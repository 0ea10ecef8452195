"""Every caller's stack against every service it has, and dcmjs-dimse as the one that answers.

The archive is dcmqrscp. What a stack gets is compared with what the archive holds; byte identity is the claim
of other files.
"""

from __future__ import annotations

from tests.e2e.base import EndToEnd, Front
from tests.support import pynetdicom_scu
from tests.support.dcmjs import dcmjs_scp, dcmjs_scu
from tests.support.dcmtk import Peer, checked, dcmqrscp, scu, store, storescp
from tests.support.objects import archive_samples, sample
from tests.support.process import executable, free_port

STUDY = archive_samples()[0].study
UIDS = sorted(one.sop_instance for one in archive_samples() if one.study == STUDY)
CT = sample("CT_small.dcm")


class Stack(EndToEnd):
    """The archive with the proxy before it, and a storage SCP that a C-MOVE may name."""

    async def archive(self) -> tuple[Front, Peer]:
        destination = await storescp(self, title="CLIENT")
        at, known = free_port(), {"CLIENT": destination.port}
        peer = await dcmqrscp(self, self.known_to_peer(at, known), archive_samples())
        front = await self.before(peer.port, peer.title, at=at, applications=self.applications(known))
        return front, destination

    async def storage(self) -> tuple[Front, Peer]:
        peer = await storescp(self)
        return await self.before(peer.port, peer.title), peer


class Dcmjs(Stack):
    """dcmjs-dimse calls."""

    async def test_echo(self) -> None:
        front, _ = await self.storage()
        answers = await dcmjs_scu(self, "echo", front.port, front.title, "DCMJS")
        self.assertEqual([0x0000], [answer["status"] for answer in answers])

    async def test_store(self) -> None:
        front, peer = await self.storage()
        await dcmjs_scu(self, "store", front.port, front.title, "DCMJS", str(CT.path))
        self.assertEqual([CT.sop_instance], [uid for uid, _ in peer.received])

    async def test_find(self) -> None:
        front, _ = await self.archive()
        answers = await dcmjs_scu(self, "find", front.port, front.title, "DCMJS", STUDY)
        self.assertEqual([STUDY], [answer["study"] for answer in answers if answer.get("study")])

    async def test_move(self) -> None:
        front, destination = await self.archive()
        answers = await dcmjs_scu(self, "move", front.port, front.title, "DCMJS", STUDY, "CLIENT")
        self.assertEqual((0x0000, len(UIDS), 0), tuple(answers[-1][key] for key in ("status", "completed", "failed")))
        self.assertEqual(UIDS, [uid for uid, _ in destination.received])

    async def test_get(self) -> None:
        front, _ = await self.archive()
        answers = await dcmjs_scu(self, "get", front.port, front.title, "DCMJS", STUDY)
        self.assertEqual(UIDS, sorted(answer["received"] for answer in answers if "received" in answer))


class Odil(Stack):
    """odil calls; it has no C-MOVE on its command line, and its C-GET there fails by itself (odil 0.12)."""

    async def odil(self, operation: str, front: Front, *words: str) -> str:
        result = await checked(
            self, [executable("odil"), operation, "127.0.0.1", str(front.port), "ODIL", front.title, *words]
        )
        return result.output

    async def test_echo(self) -> None:
        peer = await storescp(self, "-v")
        front = await self.before(peer.port, peer.title)
        await self.odil("echo", front)
        await peer.process.says("Received Echo Request")

    async def test_store(self) -> None:
        front, peer = await self.storage()
        await self.odil("store", front, str(CT.path))
        self.assertEqual([CT.sop_instance], [uid for uid, _ in peer.received])

    async def test_find(self) -> None:
        front, _ = await self.archive()
        output = await self.odil(
            "find", front, "study", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={STUDY}", "PatientID"
        )
        self.assertIn(archive_samples()[0].patient, output)


class DcmtkToDcmjs(EndToEnd):
    """dcmjs-dimse answers."""

    async def test_echo(self) -> None:
        peer = await dcmjs_scp(self)
        front = await self.before(peer.port, peer.title)
        result = await checked(self, scu("echoscu", front.port, front.title, "ECHOSCU", options=["-v"]))
        self.assertIn("Received Echo Response (Success)", result.output)

    async def test_store(self) -> None:
        peer = await dcmjs_scp(self)
        front = await self.before(peer.port, peer.title)
        sent = [CT, sample("MR_small_RLE.dcm"), sample("JPEG2000.dcm")]
        await store(self, front.port, front.title, "STORESCU", sent)
        await peer.has_received(len(sent))
        self.assertCountEqual([one.sop_instance for one in sent], peer.received)

    async def test_find(self) -> None:
        peer = await dcmjs_scp(self)
        front = await self.before(peer.port, peer.title)
        result = await checked(
            self,
            scu(
                "findscu",
                front.port,
                front.title,
                "FINDSCU",
                options=["-v", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"],
            ),
        )
        self.assertIn("[1.2.34]", result.output)


class PynetdicomToDcmjs(EndToEnd):
    """Two stacks that share nothing with DCMTK."""

    async def test_store_of_several_transfer_syntaxes_on_one_association(self) -> None:
        peer = await dcmjs_scp(self)
        front = await self.before(peer.port, peer.title)
        sent = [CT, sample("MR_small.dcm"), sample("MR_small_RLE.dcm")]
        statuses = await pynetdicom_scu.store(front.port, front.title, "SENDER", sent)
        self.assertEqual([0x0000] * 3, statuses)
        await peer.has_received(len(sent))
        self.assertEqual([one.sop_instance for one in sent], peer.received)
