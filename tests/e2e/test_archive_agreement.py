"""
The archive, Orthanc and dcmqrscp answer 200 queries about the same 500 objects, and all three answer the same.

What they answer is held against what the standard says, which `tests.support.query_house` works out. Where one of the
others differs, and how, is listed here with the clause that lets it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.archive import ArchiveCase
from tests.support.dcmtk import dcmqrscp
from tests.support.objects import Sample
from tests.support.orthanc import orthanc
from tests.support.process import scratch
from tests.support.proxy import CALLED
from tests.support.query_house import (
    NONE,
    OBJECTS,
    QUERIES,
    Answers,
    Liberties,
    Query,
    answered,
    expected,
    generated,
    queries,
    written,
)

PENDING = (0xFF00, 0xFF01)

DCMQRSCP = Liberties(
    # PS3.4 C.2.2.1.3: an SCP ignores optional keys that it does not support, and does not return them.
    unsupported=frozenset(
        {
            *("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
            *("SeriesDescription", "NumberOfSeriesRelatedInstances", "SOPClassUID"),
            *("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances"),
        }
    ),
    # PS3.4 C.2.2.2.1 and C.2.2.2.4: matching is by case, except that for names an SCP may ignore it.
    minds_case=True,
)
"""Where dcmqrscp differs from the archive."""

ORTHANC = NONE
"""Where Orthanc differs from the archive: nowhere."""


class Asking(ArchiveCase, EndToEnd):
    """The objects and the queries, and what they are answered."""

    timeout = 300

    def setUp(self) -> None:
        self.needs_proxy()
        self.objects = generated()
        self.files: list[Sample] = written(self.objects, scratch(self))
        self.queries = queries(self.objects)

    async def ask(self, port: int, title: str) -> list[Answers]:
        """What an archive answers to each of the queries."""

        def talk(association: Association) -> list[list[Dataset]]:
            return [found(association, query) for query in self.queries]

        def found(association: Association, query: Query) -> list[Dataset]:
            pynetdicom_scu.rest(association)
            answers = list(association.send_c_find(query.identifier, query.model))
            if answers[-1][0].get("Status") != 0x0000:
                raise AssertionError(f"query {query.number} ended with {answers[-1][0]}")
            return [match for status, match in answers if status.Status in PENDING and match is not None]

        contexts = [build_context(model) for model in sorted({query.model for query in self.queries})]
        told = await pynetdicom_scu.conversation(port, title, "FINDER", contexts, talk)
        return [answered(query, answers) for query, answers in zip(self.queries, told, strict=True)]

    def agree(self, told: Sequence[Answers], liberties: Liberties = NONE) -> None:
        """Every answer to every query, with every value of it, is the expected one."""
        self.assertEqual(QUERIES, len(told))
        for query, answers in zip(self.queries, told, strict=True):
            self.assertEqual(expected(query, self.objects, liberties), answers, query)


class Answering(Asking):
    """The archive is asked."""

    async def test_it_answers_what_the_standard_says(self) -> None:
        archive = await self.archive_proxy()
        self.assertEqual([0] * OBJECTS, await pynetdicom_scu.store(archive.port, CALLED, "SENDER", self.files))
        self.agree(await self.ask(archive.port, CALLED))


class Agreement(Asking):
    """Others are asked the same."""

    async def test_orthanc_answers_the_same(self) -> None:
        peer = await orthanc(self, {})
        await peer.upload(self.files)
        self.agree(await self.ask(peer.port, peer.title), ORTHANC)

    async def test_dcmqrscp_answers_the_same_but_for_what_it_may_leave_out(self) -> None:
        peer = await dcmqrscp(self, {}, self.files)
        self.agree(await self.ask(peer.port, peer.title), DCMQRSCP)

    def test_each_of_its_differences_shows(self) -> None:
        for liberties in (Liberties(unsupported=DCMQRSCP.unsupported), Liberties(minds_case=True)):
            differing = [
                query
                for query in self.queries
                if set(expected(query, self.objects)) != set(expected(query, self.objects, liberties))
            ]
            self.assertLess(0, len(differing))

    def test_most_queries_find_something_and_few_everything(self) -> None:
        counts = [len(expected(query, self.objects)) for query in self.queries]
        self.assertLess(QUERIES * 3 // 4, len([count for count in counts if count]))
        self.assertLess(QUERIES // 2, len([count for count in counts if 0 < count < 30]))
