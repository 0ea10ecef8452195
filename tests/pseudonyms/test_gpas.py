from __future__ import annotations

from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.gpas import Gpas, Operations
from dimseproxy.pseudonyms.interfaces import IPseudonyms, SourceRefused
from tests.pseudonyms.asking import AskingTestCase, asynchronous, domains, patient, patients
from tests.support.gpas import GpasStandIn


class GpasTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()

    def test_is_a_source(self) -> None:
        verifyObject(IPseudonyms, self.source(self.service.url))

    @asynchronous
    async def test_starts_with_a_service_that_has_all(self) -> None:
        await self.source(self.service.url).start()

    @asynchronous
    async def test_takes_a_url_with_a_slash_at_its_end(self) -> None:
        await self.source(self.service.url + "/").start()

    @asynchronous
    async def test_the_start_creates_no_pseudonym(self) -> None:
        await self.source(self.service.url).start()
        self.assertEqual([domain.pseudonyms for domain in self.service.domains.values()], [{}, {}, {}])

    @asynchronous
    async def test_gives_pseudonyms(self) -> None:
        asked = patients(5)
        answer = await self.source(self.service.url).pseudonyms_of(asked)
        domain = self.service.domains["patients"]
        self.assertEqual(answer.values, {each: domain.pseudonym(each.value) for each in asked})

    @asynchronous
    async def test_they_are_kept_already(self) -> None:
        self.assertIsNone((await self.source(self.service.url).pseudonyms_of(patients(1))).kept)

    @asynchronous
    async def test_creates_what_is_not_there(self) -> None:
        await self.source(self.service.url).pseudonyms_of(patients(1, "47"))
        self.assertEqual(self.service.paths, ["$pseudonymizeAllowCreate"])

    @asynchronous
    async def test_gives_originals(self) -> None:
        domain = self.service.domains["patients"]
        pseudonym = patient(domain.pseudonym("Müller"))
        self.assertEqual(await self.source(self.service.url).originals_of([pseudonym]), {pseudonym: "Müller"})

    @asynchronous
    async def test_nobodys_pseudonym_is_not_in_the_answer(self) -> None:
        known = patient(self.service.domains["patients"].pseudonym("PID"))
        answer = await self.source(self.service.url).originals_of([known, patient("psn_nobody")])
        self.assertEqual(answer, {known: "PID"})

    @asynchronous
    async def test_what_cannot_be_a_pseudonym_is_not_asked_for(self) -> None:
        self.assertEqual(await self.source(self.service.url).originals_of([patient("a\\b"), patient("*")]), {})
        self.assertEqual(self.service.asked, [])

    @asynchronous
    async def test_each_kind_has_its_domain(self) -> None:
        asked = [patient("1.2.3"), Identity(Kind.STUDY, "1.2.3"), Identity(Kind.ACCESSION, "1.2.3")]
        answer = await self.source(self.service.url).pseudonyms_of(asked)
        names = ("patients", "uids", "numbers")
        expected = [self.service.domains[name].pseudonym("1.2.3") for name in names]
        self.assertEqual([answer.values[each] for each in asked], expected)

    @asynchronous
    async def test_kinds_of_one_domain_share_their_pseudonyms(self) -> None:
        asked = [Identity(Kind.STUDY, "1.2.3"), Identity(Kind.UID, "1.2.3")]
        answer = await self.source(self.service.url).pseudonyms_of(asked)
        self.assertEqual(len(set(answer.values.values())), 1)
        self.assertEqual(self.service.asked, [("1.2.3",)])

    @asynchronous
    async def test_a_kind_without_a_domain_is_refused(self) -> None:
        await self.fails_with(SourceRefused, self.source(self.service.url).pseudonyms_of([Identity(Kind.OTHER, "x")]))

    @asynchronous
    async def test_what_is_known_is_not_asked_for_again(self) -> None:
        source = self.source(self.service.url)
        await source.pseudonyms_of(patients(3))
        known = source.pseudonyms_of(patients(3))
        self.assertEqual(len(self.successResultOf(known).values), 3)
        self.assertEqual(len(self.service.asked), 1)

    @asynchronous
    async def test_what_is_known_is_known_both_ways(self) -> None:
        source = self.source(self.service.url)
        [(original, pseudonym)] = (await source.pseudonyms_of(patients(1))).values.items()
        self.assertEqual(
            self.successResultOf(source.originals_of([patient(pseudonym)])), {patient(pseudonym): original.value}
        )

    @asynchronous
    async def test_an_original_is_known_both_ways(self) -> None:
        source = self.source(self.service.url)
        pseudonym = self.service.domains["patients"].pseudonym("PID0")
        await source.originals_of([patient(pseudonym)])
        self.assertEqual(self.successResultOf(source.pseudonyms_of(patients(1))).values, {patient("PID0"): pseudonym})

    @asynchronous
    async def test_what_is_unknown_is_asked_for_again(self) -> None:
        source = self.source(self.service.url)
        new = patient("psn_new")
        self.assertEqual(await source.originals_of([new]), {})
        self.service.domains["patients"].put("PID", "psn_new")
        self.assertEqual(await source.originals_of([new]), {new: "PID"})

    @asynchronous
    async def test_many_questions_of_one_turn_are_few_requests(self) -> None:
        source = self.source(self.service.url)
        await gatherResults([source.pseudonyms_of([each]) for each in patients(1000)])
        self.assertEqual([len(values) for values in self.service.asked], [100] * 10)

    @asynchronous
    async def test_no_more_requests_at_once_than_allowed(self) -> None:
        self.service.delay = 0.02
        await self.source(self.service.url, concurrency=3).pseudonyms_of(patients(1000))
        self.assertLessEqual(self.service.most_at_once, 3)

    @asynchronous
    async def test_a_value_that_many_ask_for_is_asked_for_once(self) -> None:
        source = self.source(self.service.url)
        await gatherResults([source.pseudonyms_of(patients(1)) for _ in range(50)])
        self.assertEqual(self.service.asked, [("PID0",)])

    @asynchronous
    async def test_a_value_that_the_gateway_cannot_take_does_not_cost_the_others(self) -> None:
        self.service.refused = {"PID7"}
        source = self.source(self.service.url)
        asked = [source.pseudonyms_of([each]) for each in patients(20)]
        for number, asking in enumerate(asked):
            if number == 7:
                self.says_nothing_of(patients(20), await self.fails_with(SourceRefused, asking))
            else:
                self.assertEqual(len((await asking).values), 1)

    @asynchronous
    async def test_an_unknown_domain_is_named(self) -> None:
        source = self.source(self.service.url, domains={Kind.PATIENT: "nowhere"})
        self.assertIn("'nowhere'", await self.fails_with(SourceRefused, source.pseudonyms_of(patients(2))))

    @asynchronous
    async def test_an_unknown_domain_stops_the_start(self) -> None:
        source = self.source(self.service.url, domains={Kind.PATIENT: "patients", Kind.STUDY: "nowhere"})
        self.assertIn("'nowhere'", await self.fails_with(SourceRefused, source.start()))

    @asynchronous
    async def test_stops_after_what_is_under_way(self) -> None:
        source = self.source(self.service.url)
        asking = source.pseudonyms_of(patients(1))
        await source.stop()
        self.assertEqual(len(self.successResultOf(asking).values), 1)


class HyphenatedTests(AskingTestCase):
    class OldStandIn(GpasStandIn):
        operations = ("pseudonymize-allow-create", "pseudonymize", "de-pseudonymize")

    def setUp(self) -> None:
        super().setUp()
        self.service = self.OldStandIn(*domains())
        self.serve(self.service)

    @asynchronous
    async def test_an_older_gateway_is_asked_by_its_own_names(self) -> None:
        source = self.source(self.service.url, Gpas(Operations.HYPHENATED))
        await source.start()
        [pseudonym] = (await source.pseudonyms_of(patients(1))).values.values()
        other = self.source(self.service.url, Gpas(Operations.HYPHENATED))
        self.assertEqual(await other.originals_of([patient(pseudonym)]), {patient(pseudonym): "PID0"})

    @asynchronous
    async def test_a_service_without_the_operations_is_refused_at_the_start(self) -> None:
        told = await self.fails_with(SourceRefused, self.source(self.service.url).start())
        self.assertIn("$dePseudonymize and $pseudonymizeAllowCreate", told)
