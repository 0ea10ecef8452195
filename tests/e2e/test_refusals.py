"""Who may not: the right A-ASSOCIATE-RJ (PS3.8 9.3.4) or status, at once, and nothing reaches the PACS."""

from __future__ import annotations

from pynetdicom import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE
from pynetdicom.sop_class import Verification

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.dcmtk import dcmqrscp, scu, storescp
from tests.support.objects import archive_samples, sample
from tests.support.process import free_port, run, until
from tests.support.proxy import application
from tests.support.pynetdicom_scp import PynetdicomScp, pynetdicom_scp
from tests.support.pynetdicom_scu import Refusal, Refused, associate, refusal, study_level
from tests.support.threads import in_thread

CALLING_NOT_RECOGNISED = Refusal(1, 1, 3)
CALLED_NOT_RECOGNISED = Refusal(1, 1, 7)
TEMPORARY_CONGESTION = Refusal(2, 3, 1)
LOCAL_LIMIT_EXCEEDED = Refusal(2, 3, 2)
TRANSIENT, BY_PRESENTATION_PROVIDER = 2, 3

ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
USER_REJECTION = 1
REFUSED_DESTINATION_UNKNOWN = 0xA801

ELSEWHERE = "203.0.113.9"
"""An address that no caller here has (RFC 5737)."""

KNOWN = {"KNOWN": application(104)}


class Refusals(EndToEnd):
    """Between pynetdicom's two ends, so that the rejection can be read and the PACS asked."""

    def setUp(self) -> None:
        self.needs_proxy()

    def peer(self) -> PynetdicomScp:
        return pynetdicom_scp(self)


class Titles(Refusals):
    """Unknown titles."""

    async def test_an_unknown_calling_title(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, applications=KNOWN, unknown_applications="refuse")
        self.assertEqual(CALLING_NOT_RECOGNISED, await refusal(front.port, front.title, "STRANGER"))
        self.assertEqual([], peer.requests)

    async def test_a_known_calling_title(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, applications=KNOWN, unknown_applications="refuse")
        statuses = await pynetdicom_scu.store(front.port, front.title, "KNOWN", [sample("CT_small.dcm")])
        self.assertEqual([0x0000], statuses)

    async def test_the_case_of_a_title_counts(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, applications=KNOWN, unknown_applications="refuse")
        self.assertEqual(CALLING_NOT_RECOGNISED, await refusal(front.port, front.title, "known"))

    async def test_an_unknown_called_title(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, route={"called": "SHIELD"})
        self.assertEqual(CALLED_NOT_RECOGNISED, await refusal(front.port, "OTHER", "CALLER"))
        self.assertEqual([], peer.requests)

    async def test_a_title_from_another_address(self) -> None:
        peer = self.peer()
        front = await self.before(
            peer.port,
            peer.title,
            unknown_applications="refuse",
            applications={"KNOWN": {"host": ELSEWHERE, "port": 104}},
        )
        self.assertEqual(CALLING_NOT_RECOGNISED, await refusal(front.port, front.title, "KNOWN"))

    async def test_accepting_the_unknown_does_not_free_a_known_title_from_its_address(self) -> None:
        peer = self.peer()
        front = await self.before(
            peer.port,
            peer.title,
            unknown_applications="accept",
            applications={"KNOWN": {"host": ELSEWHERE, "port": 104}},
        )
        self.assertEqual(CALLING_NOT_RECOGNISED, await refusal(front.port, front.title, "KNOWN"))

    async def test_further_addresses_of_a_title(self) -> None:
        peer = self.peer()
        front = await self.before(
            peer.port,
            peer.title,
            unknown_applications="refuse",
            applications={"KNOWN": {"host": ELSEWHERE, "port": 104, "from": ["127.0.0.0/8"]}},
        )
        statuses = await pynetdicom_scu.store(front.port, front.title, "KNOWN", [sample("CT_small.dcm")])
        self.assertEqual([0x0000], statuses)


class Services(Refusals):
    """`may`: what an application is entitled to."""

    async def results(self, may: list[str]) -> list[tuple[int, int]]:
        """Context ids and results of an association that asks for echo and find."""
        peer = self.peer()
        front = await self.before(
            peer.port, peer.title, unknown_applications="refuse", applications={"KNOWN": application(104, may=may)}
        )
        contexts = [build_context(Verification), build_context(STUDY_FIND)]
        return await pynetdicom_scu.conversation(
            front.port,
            front.title,
            "KNOWN",
            contexts,
            lambda association: sorted(
                (context.context_id, context.result)
                for context in (*association.accepted_contexts, *association.rejected_contexts)
            ),
        )

    async def test_a_context_beyond_may_is_refused(self) -> None:
        (_, echo), (_, find) = await self.results(["echo"])
        self.assertEqual(0, echo)
        self.assertIn(find, (USER_REJECTION, ABSTRACT_SYNTAX_NOT_SUPPORTED))

    async def test_a_context_within_may_is_accepted(self) -> None:
        self.assertEqual([(1, 0), (3, 0)], await self.results(["echo", "find"]))

    async def test_a_refused_context_is_not_even_offered_to_the_pacs(self) -> None:
        peer = self.peer()
        front = await self.before(
            peer.port, peer.title, unknown_applications="refuse", applications={"KNOWN": application(104, may=["echo"])}
        )
        contexts = [build_context(Verification), build_context(STUDY_FIND)]
        await pynetdicom_scu.conversation(front.port, front.title, "KNOWN", contexts, lambda association: None)
        offered = [
            str(context.abstract_syntax)
            for request in peer.requests
            for context in request.presentation_context_definition_list
        ]
        self.assertEqual([str(Verification)], offered)

    async def test_a_move_to_an_application_that_is_not_listed(self) -> None:
        archive = await dcmqrscp(self, {}, archive_samples())
        front = await self.before(archive.port, archive.title, unknown_applications="refuse", applications=KNOWN)
        outcome = await pynetdicom_scu.move(
            front.port, front.title, "KNOWN", STUDY_MOVE, study_level(archive_samples()[0].study), "UNLISTED"
        )
        self.assertEqual(REFUSED_DESTINATION_UNKNOWN, outcome.final.Status)


class Limits(Refusals):
    """Local limits and what is behind."""

    async def test_one_association_too_many(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, inbound={"max_associations": 2})

        def crowd() -> Refusal | None:
            held = [associate(front.port, front.title, "CALLER", [build_context(Verification)]) for _ in range(2)]
            try:
                associate(front.port, front.title, "CALLER", [build_context(Verification)]).release()
            except Refused as error:
                return error.refusal
            finally:
                for association in held:
                    association.release()
            return None

        self.assertEqual(LOCAL_LIMIT_EXCEEDED, await in_thread(crowd))

    async def test_the_limit_recovers(self) -> None:
        peer = self.peer()
        front = await self.before(peer.port, peer.title, inbound={"max_associations": 1})
        for _ in range(3):
            await pynetdicom_scu.conversation(
                front.port,
                front.title,
                "CALLER",
                [build_context(Verification)],
                lambda association: association.send_c_echo(),
            )
            await until(lambda: len(peer.ended) == len(peer.requests), "the end of the association")
        self.assertEqual(3, len(peer.requests))

    async def test_an_outbound_that_is_down(self) -> None:
        front = await self.before(free_port(), "NOBODY")
        answer = await refusal(front.port, front.title, "CALLER")
        assert answer is not None
        self.assertEqual((TRANSIENT, BY_PRESENTATION_PROVIDER), (answer.result, answer.source))

    async def test_the_outbounds_own_rejection_reaches_the_caller_as_a_rejection(self) -> None:
        archive = await dcmqrscp(self, {}, title="QRSCP")
        front = await self.before(archive.port, "WRONG")
        self.assertIsInstance(await refusal(front.port, front.title, "CALLER"), Refusal)


class Ends(EndToEnd):
    """Release and abort cross, each as what it is, in both directions."""

    async def test_a_release_reaches_the_outbound(self) -> None:
        peer = pynetdicom_scp(self)
        front = await self.before(peer.port, peer.title)
        await pynetdicom_scu.conversation(
            front.port, front.title, "CALLER", [build_context(Verification)], lambda association: None
        )
        await until(lambda: peer.ended, "the end of the outbound association")
        self.assertEqual(["released"], peer.ended)

    async def test_an_abort_reaches_the_outbound(self) -> None:
        peer = pynetdicom_scp(self)
        front = await self.before(peer.port, peer.title)
        await pynetdicom_scu.conversation(
            front.port, front.title, "CALLER", [build_context(Verification)], lambda association: association.abort()
        )
        await until(lambda: peer.ended, "the end of the outbound association")
        self.assertEqual(["aborted"], peer.ended)

    async def test_an_abort_of_the_outbound_reaches_the_caller(self) -> None:
        peer = await storescp(self, "--abort-after")
        front = await self.before(peer.port, peer.title)
        result = await run(
            self, scu("storescu", front.port, front.title, "STORESCU", str(sample("CT_small.dcm").path), options=["-v"])
        )
        self.assertNotEqual(0, result.code)
        self.assertIn("Abort", result.output)

    async def test_an_abort_in_the_middle_of_an_object_leaves_others_undisturbed(self) -> None:
        peer = await storescp(self, "--abort-during")
        front = await self.before(peer.port, peer.title)
        await run(self, scu("storescu", front.port, front.title, "STORESCU", str(sample("CT_small.dcm").path)))
        echo = await run(self, scu("echoscu", front.port, front.title, "ECHOSCU"))
        self.assertEqual(0, echo.code)
