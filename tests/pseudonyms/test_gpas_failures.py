"""A service that fails in every way that services were seen to: nothing passes as a pseudonym that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock, deferLater

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.breaker import FAILURES, FIRST_PAUSE, Breaker
from dimseproxy.pseudonyms.fhir import FhirService
from dimseproxy.pseudonyms.gpas import Gpas
from dimseproxy.pseudonyms.http import Http
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.remote import RemotePseudonyms
from tests.association.certificates import authority, expired, other_authority, self_signed, server, wrong_host
from tests.pseudonyms.asking import DOMAINS, AskingTestCase, asynchronous, patient, patients
from tests.support.fhir import Domain, Mode
from tests.support.gpas import GpasStandIn
from tests.support.process import free_port

_SECRETS = [Identity(Kind.PATIENT, "Erika^Mustermann"), Identity(Kind.PATIENT, "4711-0815")]


class BadAnswerTests(AskingTestCase):
    """Each mode has its test, made below."""

    async def refuses(self, mode: Mode, expected: type[Exception], told: str) -> None:
        service = self.gpas()
        source = self.source(service.url, seconds=2.0 if mode is Mode.HANGS else 20.0)
        known = [patient(service.domains["patients"].pseudonym(each.value)) for each in _SECRETS]
        service.mode = mode
        text = await self.fails_with(expected, source.pseudonyms_of(_SECRETS))
        self.assertIn(told, text)
        self.says_nothing_of([*_SECRETS, *known], text)
        # Nothing of it is remembered.
        service.mode = Mode.WELL
        expected_values = {each: pseudonym.value for each, pseudonym in zip(_SECRETS, known, strict=True)}
        self.assertEqual((await source.pseudonyms_of(_SECRETS)).values, expected_values)

    async def refuses_originals(self, mode: Mode, expected: type[Exception]) -> None:
        service = self.gpas()
        source = self.source(service.url, seconds=2.0 if mode is Mode.HANGS else 20.0)
        known = [patient(service.domains["patients"].pseudonym(each.value)) for each in _SECRETS]
        service.mode = mode
        text = await self.fails_with(expected, source.originals_of(known))
        self.says_nothing_of([*_SECRETS, *known], text)
        service.mode = Mode.WELL
        self.assertEqual(set((await source.originals_of(known)).values()), {each.value for each in _SECRETS})


_UNUSABLE: dict[Mode, tuple[type[Exception], str]] = {
    Mode.HANGS: (SourceUnavailable, "did not"),
    Mode.FAILS: (SourceUnavailable, "HTTP 500"),
    Mode.AWAY: (SourceUnavailable, "HTTP 503"),
    Mode.CUT: (SourceUnavailable, "broke off"),
    Mode.HTML: (SourceRefused, "text/html"),
    Mode.REDIRECT: (SourceRefused, "HTTP 307"),
    Mode.WRONG_TYPE: (SourceRefused, "gave no"),
    Mode.PARTIAL: (SourceRefused, "left a value out"),
    Mode.GARBAGE: (SourceRefused, "no FHIR resource"),
    Mode.DEEP: (SourceRefused, "no FHIR resource"),
    Mode.LIST: (SourceRefused, "no FHIR resource"),
    Mode.OVERSIZE: (SourceRefused, "too long"),
    Mode.ERROR_TEXT: (SourceRefused, "text of an error"),
    Mode.ECHO: (SourceRefused, "itself"),
    Mode.FOREIGN: (SourceRefused, "not asked for"),
    Mode.OTHER_DOMAIN: (SourceRefused, "not asked for"),
    Mode.ERRORS: (SourceRefused, "gives no"),
}
_NO_PSEUDONYMS: dict[Mode, tuple[type[Exception], str]] = {
    Mode.COLLISION: (SourceRefused, "another original's"),
    Mode.INVALID: (SourceRefused, "characters"),
    Mode.DOUBLE: (SourceRefused, "two answers"),
}


def _add_tests() -> None:
    def add(name: str, *arguments: Any) -> None:
        method = getattr(BadAnswerTests, name)
        test = asynchronous(lambda self: method(self, *arguments))
        test.__name__ = f"test_{name}_{arguments[0].name.lower()}"
        setattr(BadAnswerTests, test.__name__, test)

    for mode, (expected, told) in (_UNUSABLE | _NO_PSEUDONYMS).items():
        add("refuses", mode, expected, told)
    for mode, (expected, _) in _UNUSABLE.items():
        add("refuses_originals", mode, expected)


_add_tests()


class ValueTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()

    async def _gives(self, kind: Kind, pseudonym: str) -> str:
        self.service.domains[DOMAINS[kind]].put("original", pseudonym)
        source = self.source(self.service.url)
        return await self.fails_with(SourceRefused, source.pseudonyms_of([Identity(kind, "original")]))

    @asynchronous
    async def test_a_uid_must_be_one(self) -> None:
        self.assertIn("no valid UID", await self._gives(Kind.STUDY, "psn_4711"))

    @asynchronous
    async def test_a_uid_has_no_leading_zero(self) -> None:
        self.assertIn("no valid UID", await self._gives(Kind.INSTANCE, "2.25.07"))

    @asynchronous
    async def test_an_accession_number_has_sixteen_characters(self) -> None:
        self.assertIn("longer", await self._gives(Kind.ACCESSION, "psn_1234567890123"))

    @asynchronous
    async def test_an_empty_one_is_none(self) -> None:
        await self._gives(Kind.PATIENT, "")

    @asynchronous
    async def test_a_bad_value_is_refused_alone(self) -> None:
        self.service.domains["patients"].put("PID3", "a\\b")
        source = self.source(self.service.url)
        asked = [source.pseudonyms_of([each]) for each in patients(6)]
        results = await DeferredList(asked, consumeErrors=True)
        self.assertEqual([index for index, (is_given, _) in enumerate(results) if not is_given], [3])
        self.assertEqual(len(self.service.asked), 1)

    @asynchronous
    async def test_the_pseudonym_of_another_is_refused_in_a_later_answer_too(self) -> None:
        source = self.source(self.service.url)
        [pseudonym] = (await source.pseudonyms_of(patients(1))).values.values()
        self.service.domains["patients"].put("other", pseudonym)
        told = await self.fails_with(SourceRefused, source.pseudonyms_of([patient("other")]))
        self.assertIn("another original's", told)


class OriginalTests(AskingTestCase):
    """A pseudonym that is an original, too: of whomever, it must not leave."""

    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.domain = self.service.domains["patients"]
        self.domain.put("4711", "0815")
        self.asking = self.source(self.service.url)

    @asynchronous
    async def test_one_that_was_asked_for_before_is_refused(self) -> None:
        await self.asking.pseudonyms_of([patient("0815")])
        told = await self.fails_with(SourceRefused, self.asking.pseudonyms_of([patient("4711")]))
        self.assertIn("is an original", told)
        self.says_nothing_of([patient("4711"), patient("0815")], told)

    @asynchronous
    async def test_one_that_is_asked_for_beside_it_is_refused(self) -> None:
        asked = [self.asking.pseudonyms_of([patient(each)]) for each in ("4711", "0815")]
        results = await DeferredList(asked, consumeErrors=True)
        self.assertEqual([is_given for is_given, _ in results], [False, True])

    @asynchronous
    async def test_one_that_came_back_is_refused(self) -> None:
        await self.asking.originals_of([patient(self.domain.pseudonym("0815"))])
        await self.fails_with(SourceRefused, self.asking.pseudonyms_of([patient("4711")]))

    @asynchronous
    async def test_one_that_turns_out_to_be_an_original_is_used_no_more(self) -> None:
        await self.asking.pseudonyms_of([patient("4711")])
        self.assertEqual(len((await self.asking.pseudonyms_of([patient("0815")])).values), 1)
        await self.fails_with(SourceRefused, self.asking.pseudonyms_of([patient("4711")]))

    @asynchronous
    async def test_what_comes_back_is_no_way_round(self) -> None:
        await self.asking.pseudonyms_of([patient("0815")])
        await self.asking.originals_of([patient("0815")])
        await self.fails_with(SourceRefused, self.asking.pseudonyms_of([patient("4711")]))

    @asynchronous
    async def test_a_uid_may_be_that_of_another_kind(self) -> None:
        domains = {Kind.STUDY: "studies", Kind.SERIES: "uids"}
        service = GpasStandIn(Domain("studies", "uid"), Domain("uids", "uid"))
        self.serve(service)
        service.domains["studies"].put("1.2.3", "1.2.4")
        source = self.source(service.url, domains=domains)
        await source.pseudonyms_of([Identity(Kind.SERIES, "1.2.4")])
        await self.fails_with(SourceRefused, source.pseudonyms_of([Identity(Kind.STUDY, "1.2.3")]))

    @asynchronous
    async def test_as_a_pseudonym_it_means_its_own_original(self) -> None:
        await self.asking.pseudonyms_of([patient("0815")])
        self.assertEqual(await self.asking.originals_of([patient("0815")]), {patient("0815"): "4711"})


class AwayTests(AskingTestCase):
    @asynchronous
    async def test_a_service_that_is_away_does_not_stop_the_start(self) -> None:
        source = self.source(f"http://127.0.0.1:{free_port()}/fhir")
        await source.start()
        self.assertIn("starting without it", "".join(self.logged))

    @asynchronous
    async def test_but_gives_no_pseudonyms(self) -> None:
        source = self.source(f"http://127.0.0.1:{free_port()}/fhir")
        await source.start()
        told = await self.fails_with(SourceUnavailable, source.pseudonyms_of(patients(1)))
        # It was found to be away a moment ago, and nobody waits to find that out again.
        self.assertIn("is not asked", told)
        self.says_nothing_of(patients(1), told)

    @asynchronous
    async def test_a_page_of_html_is_what_gateways_answer_while_a_service_starts(self) -> None:
        service = self.gpas()
        service.mode = Mode.HTML
        source = self.source(service.url)
        await source.start()
        self.assertIn("starting without it", "".join(self.logged))
        await self.fails_with(SourceUnavailable, source.pseudonyms_of(patients(1)))

    @asynchronous
    async def test_a_wrong_url_stops_the_start(self) -> None:
        url = self.gpas().origin + "/somewhere"
        await self.fails_with(SourceRefused, self.source(url).start())


class ByClock(AskingTestCase):
    """A source that waits by a clock in memory, and asks over a real socket."""

    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.clock = Clock()

    def waiting_source(self, retries: int) -> RemotePseudonyms:
        http = Http(reactor)
        fhir = FhirService(
            self.clock,
            http,
            Breaker(self.clock, "the service"),
            self.service.url,
            seconds=1000.0,
            retries=retries,
            chance=lambda: 0.5,
        )
        source = RemotePseudonyms(self.clock, http, fhir, Gpas(), DOMAINS)
        self.addCleanup(source.stop)
        return source

    async def settle(self, asking: Any) -> None:
        """Let time pass in memory until there is an answer."""
        while not asking.called:
            self.clock.advance(0.05)
            await _turn()


async def _turn() -> None:
    await deferLater(IReactorTime(reactor), 0)


class RetryTests(ByClock):
    @asynchronous
    async def test_asks_again_after_a_failure(self) -> None:
        self.service.fail_next = 2
        asking = self.waiting_source(retries=2).pseudonyms_of(patients(1))
        await self.settle(asking)
        self.assertEqual(len(self.successResultOf(asking).values), 1)

    @asynchronous
    async def test_gives_up_after_some_attempts(self) -> None:
        self.service.fail_next = 3
        asking = self.waiting_source(retries=2).pseudonyms_of(patients(1))
        await self.settle(asking)
        self.failureResultOf(asking, SourceUnavailable)
        self.assertEqual(self.service.fail_next, 0)

    @asynchronous
    async def test_does_not_ask_again_where_that_does_not_help(self) -> None:
        self.service.mode = Mode.ECHO
        asking = self.waiting_source(retries=2).pseudonyms_of(patients(1))
        await self.settle(asking)
        self.failureResultOf(asking, SourceRefused)
        self.assertEqual(len(self.service.asked), 1)


class RecoveryTests(ByClock):
    async def _fails(self, source: RemotePseudonyms) -> None:
        asking = source.pseudonyms_of(patients(1))
        await self.settle(asking)
        self.failureResultOf(asking, SourceUnavailable)

    @asynchronous
    async def test_is_not_asked_after_failures_in_a_row(self) -> None:
        source = self.waiting_source(retries=0)
        self.service.fail_next = FAILURES + 1
        for _ in range(FAILURES + 3):
            asking = source.pseudonyms_of(patients(1))
            # Time stands still, apart from the end of the turn.
            while not asking.called:
                self.clock.advance(0)
                await _turn()
            self.failureResultOf(asking, SourceUnavailable)
        self.assertEqual(self.service.fail_next, 1)

    @asynchronous
    async def test_recovers(self) -> None:
        source = self.waiting_source(retries=0)
        self.service.fail_next = FAILURES
        for _ in range(FAILURES):
            await self._fails(source)
        self.clock.advance(FIRST_PAUSE)
        asking = source.pseudonyms_of(patients(1))
        await self.settle(asking)
        self.assertEqual(len(self.successResultOf(asking).values), 1)


class TlsTests(AskingTestCase):
    async def _fails(self, identity: Any, **options: Any) -> str:
        service = self.gpas(identity=identity)
        source = self.source(service.url, **options)
        return await self.fails_with(SourceUnavailable, source.pseudonyms_of(patients(1)))

    @asynchronous
    async def test_a_certificate_of_the_authority_is_good(self) -> None:
        source = self.source(self.gpas(identity=server()).url, ca=authority().certificate)
        self.assertEqual(len((await source.pseudonyms_of(patients(1))).values), 1)

    @asynchronous
    async def test_a_certificate_of_another_authority_is_not(self) -> None:
        self.assertIn("certificate", await self._fails(server(), ca=other_authority().certificate))

    @asynchronous
    async def test_an_unknown_authority_is_not_trusted_by_default(self) -> None:
        await self._fails(server())

    @asynchronous
    async def test_nor_a_certificate_without_one(self) -> None:
        await self._fails(self_signed(), ca=authority().certificate)

    @asynchronous
    async def test_nor_one_of_the_past(self) -> None:
        await self._fails(expired(), ca=authority().certificate)

    @asynchronous
    async def test_nor_one_of_another_host(self) -> None:
        await self._fails(wrong_host(), ca=authority().certificate)

    def test_a_file_without_certificates_is_named(self) -> None:
        path = self.mktemp()
        Path(path).write_text("nothing")
        error = self.assertRaises(SourceRefused, self.source, "https://127.0.0.1/", ca=Path(path))
        self.assertIn(path, str(error))

    def test_a_file_that_is_not_there_is_named(self) -> None:
        path = self.mktemp()
        error = self.assertRaises(SourceRefused, self.source, "https://127.0.0.1/", ca=Path(path))
        self.assertIn(path, str(error))
