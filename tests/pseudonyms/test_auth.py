from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from dimseproxy.pseudonyms.auth import RENEW_BEFORE, Anonymous, Basic, ClientCredentials, IAuthentication
from dimseproxy.pseudonyms.http import Http
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.services import Client
from tests.pseudonyms.asking import AskingTestCase, asynchronous, patients
from tests.support.fhir import ISSUER, Mode
from tests.support.process import free_port

_PASSWORD = "pässword:with a colon"


class BasicTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.service.basic = ("user", _PASSWORD)

    @asynchronous
    async def test_the_right_password_is_let_in(self) -> None:
        source = self.source(self.service.url, credentials=Basic("user", _PASSWORD))
        await source.start()
        self.assertEqual(len((await source.pseudonyms_of(patients(1))).values), 1)

    @asynchronous
    async def test_a_wrong_one_stops_the_start(self) -> None:
        source = self.source(self.service.url, credentials=Basic("user", "wrong"))
        self.assertIn("credentials (HTTP 401)", await self.fails_with(SourceRefused, source.start()))

    @asynchronous
    async def test_so_does_none(self) -> None:
        await self.fails_with(SourceRefused, self.source(self.service.url).start())

    @asynchronous
    async def test_a_password_that_has_changed_refuses(self) -> None:
        source = self.source(self.service.url, credentials=Basic("user", _PASSWORD))
        self.service.basic = ("user", "another")
        await self.fails_with(SourceRefused, source.pseudonyms_of(patients(1)))

    def test_is_in_no_repr(self) -> None:
        self.assertNotIn(_PASSWORD, repr(Basic("user", _PASSWORD)) + repr(Client("", "", _PASSWORD)))


class ClientCredentialsTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.service.bearer = "none yet"
        self.service.client = ("dimseproxy", "secret")

    def _client(self, secret: str = "secret") -> Client:
        return Client(self.service.origin + ISSUER, "dimseproxy", secret)

    @asynchronous
    async def test_a_client_is_let_in(self) -> None:
        source = self.source(self.service.url, credentials=self._client())
        await source.start()
        self.assertEqual(len((await source.pseudonyms_of(patients(1))).values), 1)

    @asynchronous
    async def test_a_bearer_serves_many_requests(self) -> None:
        source = self.source(self.service.url, credentials=self._client(), batch=1)
        await source.pseudonyms_of(patients(20))
        self.assertEqual(self.service.bearers_given, 1)

    @asynchronous
    async def test_a_bearer_that_was_withdrawn_is_renewed(self) -> None:
        source = self.source(self.service.url, credentials=self._client())
        await source.pseudonyms_of(patients(1))
        self.service.bearer = "withdrawn"
        self.assertEqual(len((await source.pseudonyms_of(patients(1, "other"))).values), 1)
        self.assertEqual(self.service.bearers_given, 2)

    @asynchronous
    async def test_a_wrong_secret_is_refused(self) -> None:
        source = self.source(self.service.url, credentials=self._client("wrong"))
        told = await self.fails_with(SourceRefused, source.pseudonyms_of(patients(1)))
        self.assertIn("credentials (HTTP 401)", told)
        self.assertNotIn("wrong", told)

    @asynchronous
    async def test_a_service_that_takes_no_bearer_is_asked_twice_and_no_more(self) -> None:
        self.service.basic = ("another", "way")
        source = self.source(self.service.url, credentials=self._client())
        await self.fails_with(SourceRefused, source.pseudonyms_of(patients(1)))
        self.assertEqual(self.service.bearers_given, 2)

    @asynchronous
    async def test_an_issuer_that_is_away_makes_the_source_unavailable(self) -> None:
        away = Client(f"http://127.0.0.1:{free_port()}", "dimseproxy", "secret")
        source = self.source(self.service.url, credentials=away)
        await self.fails_with(SourceUnavailable, source.pseudonyms_of(patients(1)))

    @asynchronous
    async def test_an_issuer_that_is_something_else_is_refused(self) -> None:
        other = self.gpas()
        source = self.source(self.service.url, credentials=Client(other.url + "/metadata", "dimseproxy", "secret"))
        other.mode = Mode.HTML
        await self.fails_with(SourceRefused, source.pseudonyms_of(patients(1)))


class RenewalTests(AskingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.service = self.gpas()
        self.clock = Clock()
        http = Http(reactor)
        self.addCleanup(http.stop)
        self.authentication = ClientCredentials(self.clock, http, self.service.origin + ISSUER, "dimseproxy", "secret")

    def test_are_authentications(self) -> None:
        for each in (self.authentication, Anonymous(), Basic("", "")):
            verifyObject(IAuthentication, each)

    @asynchronous
    async def test_one_renewal_serves_all(self) -> None:
        bearers = await gatherResults([self.authentication.authorization(20.0) for _ in range(10)])
        self.assertEqual(set(bearers), {"Bearer bearer-1"})

    @asynchronous
    async def test_a_bearer_is_renewed_before_its_end(self) -> None:
        self.service.bearer_seconds = 300
        await self.authentication.authorization(20.0)
        self.clock.advance(300 - RENEW_BEFORE - 1)
        self.assertEqual(await self.authentication.authorization(20.0), "Bearer bearer-1")
        self.clock.advance(1)
        self.assertEqual(await self.authentication.authorization(20.0), "Bearer bearer-2")

    @asynchronous
    async def test_a_bearer_of_few_seconds_is_used_for_half_of_them(self) -> None:
        self.service.bearer_seconds = 10
        await self.authentication.authorization(20.0)
        self.clock.advance(4)
        self.assertEqual(await self.authentication.authorization(20.0), "Bearer bearer-1")

    @asynchronous
    async def test_an_older_bearer_that_is_refused_does_not_cost_the_new_one(self) -> None:
        await self.authentication.authorization(20.0)
        self.assertTrue(self.authentication.was_refused("Bearer bearer-0"))
        self.assertEqual(await self.authentication.authorization(20.0), "Bearer bearer-1")
