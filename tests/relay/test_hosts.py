from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.relay.hosts import Hosts


class Resolver:
    """A name resolver whose answers a test gives, or keeps back."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.is_slow = False

    def resolveHostName(self, receiver: object, hostName: str, *args: object, **options: object) -> object:
        self.asked.append(hostName)
        if not self.is_slow:
            for host in self.known.get(hostName, ()):
                kind = IPv6Address if ":" in host else IPv4Address
                receiver.addressResolved(kind("TCP", host, 0))  # type: ignore[attr-defined]
            receiver.resolutionComplete()  # type: ignore[attr-defined]
        return receiver


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.nameResolver = Resolver()


class HostsTests(TestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.resolver = self.reactor.nameResolver
        self.resolver.known["pacs.example.org"] = ["192.0.2.1", "2001:db8::1"]
        self.hosts = Hosts(self.reactor)
        self.addCleanup(self.hosts.stop)

    def test_an_address_is_known_at_once(self) -> None:
        self.hosts.know(["192.0.2.7"])
        self.assertEqual(self.hosts.addresses_of("192.0.2.7"), {ip_address("192.0.2.7")})

    def test_an_address_is_not_looked_up(self) -> None:
        self.hosts.know(["192.0.2.7", "::1", ""])
        self.hosts.start()
        self.assertEqual(self.resolver.asked, [])

    def test_a_mapped_address_is_the_ipv4_address(self) -> None:
        self.hosts.know(["::ffff:192.0.2.7"])
        self.assertEqual(self.hosts.addresses_of("::ffff:192.0.2.7"), {ip_address("192.0.2.7")})

    def test_a_name_has_no_address_before_it_is_looked_up(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.assertEqual(self.hosts.addresses_of("pacs.example.org"), frozenset())

    def test_a_name_has_all_its_addresses_then(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.hosts.start()
        self.assertEqual(
            self.hosts.addresses_of("pacs.example.org"), {ip_address("192.0.2.1"), ip_address("2001:db8::1")}
        )

    def test_starting_waits_for_the_names(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.resolver.is_slow = True
        self.assertNoResult(self.hosts.start())

    def test_a_new_name_is_looked_up_at_once(self) -> None:
        self.hosts.start()
        self.hosts.know(["pacs.example.org"])
        self.assertEqual(len(self.hosts.addresses_of("pacs.example.org")), 2)

    def test_a_name_that_moves(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.hosts.start()
        self.resolver.known["pacs.example.org"] = ["192.0.2.2"]
        self.reactor.advance(60)
        self.assertEqual(self.hosts.addresses_of("pacs.example.org"), {ip_address("192.0.2.2")})

    def test_a_look_up_that_fails_keeps_what_was_known(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.hosts.start()
        self.resolver.known.clear()
        self.reactor.advance(60)
        self.assertEqual(len(self.hosts.addresses_of("pacs.example.org")), 2)

    def test_a_look_up_that_never_answers_is_not_the_last_one(self) -> None:
        self.hosts.know(["pacs.example.org"])
        self.resolver.is_slow = True
        starting = self.hosts.start()
        self.reactor.pump([30, 30])
        self.successResultOf(starting)
        self.resolver.is_slow = False
        self.reactor.pump([30, 30])
        self.assertEqual(len(self.hosts.addresses_of("pacs.example.org")), 2)

    def test_an_unknown_host(self) -> None:
        self.assertEqual(self.hosts.addresses_of("elsewhere.example.org"), frozenset())

    def test_stops(self) -> None:
        self.hosts.start()
        self.hosts.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
