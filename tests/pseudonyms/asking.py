"""Sources that ask stand-ins over real sockets, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.gpas import Gpas
from dimseproxy.pseudonyms.remote import IDialect, RemotePseudonyms
from dimseproxy.pseudonyms.services import service_source
from tests.support.fhir import Domain, FhirStandIn
from tests.support.gpas import GpasStandIn

_T = TypeVar("_T")

DOMAINS: Mapping[Kind, str] = {
    Kind.PATIENT: "patients",
    Kind.ACCESSION: "numbers",
    Kind.STUDY: "uids",
    Kind.SERIES: "uids",
    Kind.INSTANCE: "uids",
    Kind.UID: "uids",
}


def domains() -> tuple[Domain, ...]:
    """Of a stand-in: what `DOMAINS` names."""
    return Domain("patients"), Domain("numbers", "short"), Domain("uids", "uid")


def patient(value: str) -> Identity:
    return Identity(Kind.PATIENT, value)


def patients(count: int, prefix: str = "PID") -> list[Identity]:
    return [patient(f"{prefix}{number}") for number in range(count)]


@implementer(ILogObserver)
class Keeping:
    """Keeps what is logged, as text and with all values."""

    def __init__(self, logged: list[str]) -> None:
        self._logged = logged

    def __call__(self, event: LogEvent) -> None:
        self._logged.append(eventAsText(event) + repr(event))


class AskingTestCase(TestCase):
    """
    @ivar logged: the texts of all log events.
    """

    timeout = 30

    def setUp(self) -> None:
        self.logged: list[str] = []
        observer = Keeping(self.logged)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def serve(self, stand_in: FhirStandIn, **options: Any) -> None:
        """Start a stand-in, and stop it after the test without a violation of its interface."""
        stand_in.start(**options)
        self.addCleanup(stand_in.stop)
        self.addCleanup(lambda: self.assertEqual(stand_in.violations, []))

    def gpas(self, **options: Any) -> GpasStandIn:
        stand_in = GpasStandIn(*domains())
        self.serve(stand_in, **options)
        return stand_in

    def source(self, url: str, dialect: IDialect | None = None, **options: Any) -> RemotePseudonyms:
        """A source that has not been started; it is stopped after the test."""
        options.setdefault("domains", DOMAINS)
        # Long enough for a busy machine, where the test is not about waiting.
        options.setdefault("seconds", 20.0)
        options.setdefault("retries", 0)
        source = service_source(reactor, dialect or Gpas(), url, **options)
        self.addCleanup(source.stop)
        return source

    async def fails_with(self, expected: type[Exception], asking: Deferred[Any]) -> str:
        """The text of the error that this fails with."""
        try:
            await asking
        except expected as error:
            return str(error)
        raise self.failureException(f"this did not fail with {expected.__name__}")

    def says_nothing_of(self, values: list[Identity], *texts: str) -> None:
        """Neither these texts nor the log hold an identity."""
        for each in values:
            # Within a longer number it is an address in memory, a port or a time, and none of ours.
            by_itself = re.compile(rf"(?<![0-9a-f]){re.escape(each.value)}(?![0-9a-f])")
            for text in (*texts, *self.logged):
                self.assertNotRegex(text, by_itself)


def asynchronous(test: Callable[[Any], Coroutine[Any, Any, _T]]) -> Callable[[Any], Deferred[_T]]:
    """A test that awaits."""

    def run(self: Any) -> Deferred[_T]:
        return Deferred.fromCoroutine(test(self))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
