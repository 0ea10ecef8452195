from __future__ import annotations

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.mii import Mii
from dimseproxy.pseudonyms.remote import RemotePseudonyms
from tests.pseudonyms.asking import AskingTestCase, asynchronous, domains, patient, patients
from tests.support.fhir import Mode
from tests.support.mii import MiiStandIn


class MiiTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = MiiStandIn(*domains())
        self.serve(self.service)

    def _source(self, **options: object) -> RemotePseudonyms:
        return self.source(self.service.url, Mii(system="https://example.org/originals"), **options)

    def _known(self, *originals: str) -> list[Identity]:
        return [patient(self.service.domains["patients"].pseudonym(each)) for each in originals]

    @asynchronous
    async def test_starts_with_a_service_that_has_all(self) -> None:
        await self._source().start()

    @asynchronous
    async def test_one_value_is_one_operation(self) -> None:
        answer = await self._source().pseudonyms_of([patient("4711")])
        self.assertEqual(answer.values, {patient("4711"): self.service.domains["patients"].pseudonym("4711")})
        self.assertEqual(self.service.paths, ["$pseudonymize"])

    @asynchronous
    async def test_many_values_are_batches(self) -> None:
        answer = await self._source().pseudonyms_of(patients(250, "47"))
        domain = self.service.domains["patients"]
        self.assertEqual(answer.values, {each: domain.pseudonym(each.value) for each in patients(250, "47")})
        self.assertEqual(self.service.bundles, 3)

    @asynchronous
    async def test_whose_pseudonyms_with_letters_are_is_asked_back(self) -> None:
        self.assertEqual(len((await self._source().pseudonyms_of(patients(250))).values), 250)
        self.assertEqual(self.service.bundles, 6)

    @asynchronous
    async def test_a_service_without_batches_is_asked_one_by_one(self) -> None:
        await self._source(batch=1).pseudonyms_of(patients(5, "47"))
        self.assertEqual((len(self.service.asked), self.service.bundles), (5, 0))

    @asynchronous
    async def test_identifiers_need_no_system(self) -> None:
        source = self.source(self.service.url, Mii())
        self.assertEqual(len((await source.pseudonyms_of(patients(2))).values), 2)

    @asynchronous
    async def test_gives_originals(self) -> None:
        known = self._known("a", "b")
        self.assertEqual(await self._source().originals_of(known), dict(zip(known, "ab", strict=True)))

    @asynchronous
    async def test_gives_one_original(self) -> None:
        [known] = self._known("a")
        self.assertEqual(await self._source().originals_of([known]), {known: "a"})

    @asynchronous
    async def test_nobodys_pseudonym_is_not_in_the_answer(self) -> None:
        [known] = self._known("a")
        self.assertEqual(await self._source().originals_of([patient("psn_1"), known, patient("psn_2")]), {known: "a"})

    @asynchronous
    async def test_nobodys_pseudonym_alone_is_not_either(self) -> None:
        self.assertEqual(await self._source().originals_of([patient("psn_1")]), {})

    @asynchronous
    async def test_answers_need_not_repeat_the_question(self) -> None:
        self.service.repeats = False
        source = self._source()
        self.assertEqual(len((await source.pseudonyms_of(patients(1))).values), 1)
        self.assertEqual(len((await source.pseudonyms_of(patients(3))).values), 3)

    @asynchronous
    async def test_but_must_repeat_that_question(self) -> None:
        self.service.mode = Mode.FOREIGN
        for count in (1, 3):
            told = await self.fails_with(SourceRefused, self._source().pseudonyms_of(patients(count)))
            self.assertIn("not asked for", told)

    @asynchronous
    async def test_a_batch_with_an_answer_too_few_is_refused(self) -> None:
        self.service.mode = Mode.PARTIAL
        await self.fails_with(SourceRefused, self._source().pseudonyms_of(patients(3)))

    @asynchronous
    async def test_an_unknown_context_is_named(self) -> None:
        for count in (1, 3):
            source = self._source(domains={Kind.PATIENT: "nowhere"})
            self.assertIn("'nowhere'", await self.fails_with(SourceRefused, source.pseudonyms_of(patients(count))))

    @asynchronous
    async def test_an_unknown_context_is_not_an_unknown_pseudonym(self) -> None:
        for count in (1, 3):
            source = self._source(domains={Kind.PATIENT: "nowhere"})
            await self.fails_with(SourceRefused, source.originals_of(patients(count, "psn_")))

    @asynchronous
    async def test_an_unknown_context_stops_the_start(self) -> None:
        source = self._source(domains={Kind.PATIENT: "nowhere"})
        self.assertIn("'nowhere'", await self.fails_with(SourceRefused, source.start()))

    @asynchronous
    async def test_a_service_that_fails_is_unavailable(self) -> None:
        self.service.mode = Mode.FAILS
        for count in (1, 3):
            told = await self.fails_with(SourceUnavailable, self._source().pseudonyms_of(patients(count)))
            self.says_nothing_of(patients(count), told)

    @asynchronous
    async def test_a_page_of_html_is_refused(self) -> None:
        self.service.mode = Mode.HTML
        await self.fails_with(SourceRefused, self._source().pseudonyms_of(patients(3)))
