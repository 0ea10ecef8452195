from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import Route
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    NO_REASON_GIVEN,
    AssociationRejected,
    Rejection,
)
from dimseproxy.relay.access import parse_address
from dimseproxy.relay.routing import find_route
from tests.association.playing import CT, FIND, PRIVATE, VERIFICATION, a_request


def for_service(service: str, outbound: str) -> Route:
    return Route(services=frozenset({service}), outbound=outbound)  # type: ignore[arg-type]


def routed(
    *routes: Route,
    inbound: str = "clinic",
    called: str = "SHIELD",
    calling: str = "CLIENT",
    host: str = "192.0.2.7",
    asks: tuple[str, ...] = (VERIFICATION,),
) -> str:
    request = a_request(*asks, called=called, calling=calling)
    return find_route(routes, inbound, request, parse_address(host)).outbound


class RoutingTests(TestCase):
    def _rejection(self, *routes: Route, **options: object) -> Rejection:
        error = self.assertRaises(AssociationRejected, routed, *routes, **options)
        rejection: Rejection = error.rejection
        return rejection

    def test_the_first_that_matches(self) -> None:
        self.assertEqual(routed(Route(outbound="a"), Route(outbound="b")), "a")

    def test_by_inbound(self) -> None:
        self.assertEqual(routed(Route(inbound="other", outbound="a"), Route(inbound="cl*", outbound="b")), "b")

    def test_by_called_title(self) -> None:
        self.assertEqual(routed(Route(called="PACS", outbound="a"), Route(called="SH?ELD", outbound="b")), "b")

    def test_by_calling_title(self) -> None:
        self.assertEqual(routed(Route(calling="CT[12]", outbound="a"), Route(outbound="b"), calling="CT2"), "a")

    def test_by_address(self) -> None:
        route = Route(from_=(ip_network("192.0.2.0/28"),), outbound="a")
        self.assertEqual(routed(route, host="::ffff:192.0.2.7"), "a")

    def test_by_service(self) -> None:
        routes = for_service("find", "a"), for_service("store", "b")
        self.assertEqual(routed(*routes, asks=(CT,)), "b")

    def test_an_echo_says_nothing_about_the_service(self) -> None:
        routes = for_service("find", "a"), for_service("store", "b")
        self.assertEqual(routed(*routes, asks=(VERIFICATION, CT)), "b")

    def test_an_unknown_sop_class_is_another_service(self) -> None:
        routes = (
            for_service("store", "a"),
            for_service("other", "b"),
        )
        self.assertEqual(routed(*routes, asks=(PRIVATE,)), "b")

    def test_case_counts(self) -> None:
        self.assertEqual(self._rejection(Route(called="shield", outbound="a")), CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_a_title_is_no_pattern(self) -> None:
        self.assertEqual(
            self._rejection(Route(called="SHIELD", outbound="a"), called="SH*"), CALLED_AE_TITLE_NOT_RECOGNIZED
        )

    def test_no_route(self) -> None:
        self.assertEqual(self._rejection(), CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_not_for_this_caller(self) -> None:
        self.assertEqual(self._rejection(Route(calling="CT*", outbound="a")), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_not_from_this_address(self) -> None:
        route = Route(from_=(ip_network("10.0.0.0/8"),), outbound="a")
        self.assertEqual(self._rejection(route), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_not_from_an_address_that_cannot_be_read(self) -> None:
        route = Route(from_=(ip_network("0.0.0.0/0"),), outbound="a")
        self.assertEqual(self._rejection(route, host="somewhere"), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_no_route_for_all_the_services(self) -> None:
        routes = for_service("find", "a"), for_service("store", "b")
        self.assertEqual(self._rejection(*routes, asks=(CT, FIND)), NO_REASON_GIVEN)
