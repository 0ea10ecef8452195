"""Originals that differ in case only, in domains that take them for one: as databases do that nobody told otherwise."""

from __future__ import annotations

from twisted.internet.defer import DeferredList, gatherResults

from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.mii import Mii
from tests.pseudonyms.asking import DOMAINS, AskingTestCase, asynchronous, domains, patient, patients
from tests.support.gpas import GpasStandIn
from tests.support.mii import MiiStandIn

ONE, OTHER = patient("Abc"), patient("ABC")


class GpasCaseTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.domain = self.service.domains["patients"]

    def ignore_case(self) -> None:
        self.domain.ignores_case = True

    @asynchronous
    async def test_asked_for_together_one_is_refused_at_least(self) -> None:
        self.ignore_case()
        source = self.source(self.service.url)
        results = await DeferredList([source.pseudonyms_of([each]) for each in (ONE, OTHER)], consumeErrors=True)
        self.assertIn(False, [is_given for is_given, _ in results])

    @asynchronous
    async def test_the_second_one_does_not_get_the_pseudonym_of_the_first(self) -> None:
        self.ignore_case()
        await self.source(self.service.url).pseudonyms_of([ONE])
        # Another process, or this one when it has forgotten.
        asking = self.source(self.service.url).pseudonyms_of([OTHER])
        self.says_nothing_of([ONE, OTHER], await self.fails_with(SourceRefused, asking))

    @asynchronous
    async def test_nor_where_it_is_asked_for_beside_others(self) -> None:
        self.ignore_case()
        await self.source(self.service.url).pseudonyms_of([ONE])
        source = self.source(self.service.url)
        asked = [source.pseudonyms_of([each]) for each in (*patients(5), OTHER)]
        results = await DeferredList(asked, consumeErrors=True)
        self.assertEqual([is_given for is_given, _ in results], [True] * 5 + [False])

    @asynchronous
    async def test_the_first_one_keeps_its_own(self) -> None:
        self.ignore_case()
        first = await self.source(self.service.url).pseudonyms_of([ONE])
        again = await self.source(self.service.url).pseudonyms_of([ONE])
        self.assertEqual(again.values, first.values)

    @asynchronous
    async def test_an_answer_about_the_first_one_refuses_the_second_alone(self) -> None:
        self.ignore_case()
        self.service.repeats_known = True
        await self.source(self.service.url).pseudonyms_of([ONE])
        source = self.source(self.service.url)
        asked = [source.pseudonyms_of([each]) for each in (*patients(5), OTHER)]
        results = await DeferredList(asked, consumeErrors=True)
        self.assertEqual([is_given for is_given, _ in results], [True] * 5 + [False])

    @asynchronous
    async def test_an_original_comes_back_as_it_is(self) -> None:
        self.ignore_case()
        [pseudonym] = (await self.source(self.service.url).pseudonyms_of([ONE])).values.values()
        back = await self.source(self.service.url).originals_of([patient(pseudonym)])
        self.assertEqual(back, {patient(pseudonym): "Abc"})

    @asynchronous
    async def test_a_pseudonym_in_another_case_is_not_given_to_others(self) -> None:
        self.ignore_case()
        [pseudonym] = (await self.source(self.service.url).pseudonyms_of([ONE])).values.values()
        source = self.source(self.service.url)
        await source.pseudonyms_of(patients(1))
        self.domain.originals[pseudonym.upper()] = "Abc"
        await source.originals_of([patient(pseudonym.upper())])
        self.assertEqual((await source.pseudonyms_of([ONE])).values, {ONE: pseudonym})

    @asynchronous
    async def test_a_domain_that_tells_them_apart_gives_each_its_own(self) -> None:
        source = self.source(self.service.url)
        answers = await gatherResults([source.pseudonyms_of([each]) for each in (ONE, OTHER)])
        self.assertEqual(len({*answers[0].values.values(), *answers[1].values.values()}), 2)

    @asynchronous
    async def test_it_is_looked_at_once(self) -> None:
        source = self.source(self.service.url)
        for each in patients(5):
            await source.pseudonyms_of([each])
        self.assertEqual(self.service.paths.count("$pseudonymize"), 1)
        self.assertNotIn("$dePseudonymize", self.service.paths)

    @asynchronous
    async def test_to_look_creates_no_pseudonym(self) -> None:
        await self.source(self.service.url).pseudonyms_of([ONE])
        self.assertEqual(list(self.domain.pseudonyms), ["Abc"])

    @asynchronous
    async def test_numbers_have_no_case(self) -> None:
        await self.source(self.service.url).pseudonyms_of([patient("4711")])
        self.assertEqual(self.service.paths, ["$pseudonymizeAllowCreate"])

    @asynchronous
    async def test_a_gateway_that_does_not_say_it_is_asked_back(self) -> None:
        service = GpasStandIn(*domains())
        service.operations = ("pseudonymizeAllowCreate", "dePseudonymize")
        self.serve(service)
        service.domains["patients"].ignores_case = True
        await self.source(service.url).pseudonyms_of([ONE])
        await self.fails_with(SourceRefused, self.source(service.url).pseudonyms_of([OTHER]))


class MiiCaseTests(AskingTestCase):
    @asynchronous
    async def test_the_second_one_does_not_get_the_pseudonym_of_the_first(self) -> None:
        service = MiiStandIn(*domains())
        self.serve(service)
        service.domains["patients"].ignores_case = True
        await self.source(service.url, Mii(), domains=DOMAINS).pseudonyms_of([ONE])
        source = self.source(service.url, Mii(), domains=DOMAINS)
        asked = [source.pseudonyms_of([each]) for each in (*patients(3), OTHER)]
        results = await DeferredList(asked, consumeErrors=True)
        self.assertEqual([is_given for is_given, _ in results], [True] * 3 + [False])
