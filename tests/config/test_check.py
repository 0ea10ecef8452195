"""What only the file as a whole shows."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.config import Route
from tests.config.support import PACS, mistakes_of, settings_of

TWO = """\
outbound:
  a: {dimse: {connect: "tcp:h:1", ae_title: A}}
  b: {dimse: {connect: "tcp:h:2", ae_title: B}}
"""


def inbounds(*listen: str) -> str:
    sides = ", ".join(f'n{number}: {{dimse: {{listen: "{text}"}}}}' for number, text in enumerate(listen))
    return f"{PACS}unknown_applications: refuse\ninbound: {{{sides}}}\n"


class WorkersTests(TestCase):
    """Several processes share TCP listeners only."""

    def mistakes(self, workers: int, *listen: str) -> list[str]:
        return list(mistakes_of(f"{inbounds(*listen)}workers: {workers}\n"))

    def test_tcp_listeners_are_shared(self) -> None:
        listen = "tcp:104:interface=127.0.0.1", "haproxy:tcp:105", "tcp6:106"
        settings = settings_of(f"{inbounds(*listen)}workers: 4\n")
        self.assertEqual(settings.workers, 4)

    def test_other_listeners_are_not(self) -> None:
        for listen in "unix:/run/a", "systemd:domain=INET:index=0":
            self.assertEqual(self.mistakes(2, "tcp:104", listen), ["inbound.n1.dimse.listen"], listen)

    def test_one_process_listens_on_whatever_there_is(self) -> None:
        self.assertEqual(settings_of(inbounds("unix:/run/a") + "workers: 1\n").workers, 1)

    def test_there_is_one_by_default(self) -> None:
        self.assertEqual(settings_of(PACS).workers, 1)


class RouteTests(TestCase):
    def test_one_outbound_gets_everything(self) -> None:
        self.assertEqual(settings_of(PACS).routes, (Route(outbound="pacs"),))

    def test_several_outbounds_need_routes(self) -> None:
        self.assertIn("are left out", mistakes_of(TWO)["routes"])

    def test_the_routes_that_are_written_are_the_routes(self) -> None:
        settings = settings_of(TWO + "routes: [{outbound: b}]\n")
        self.assertEqual(settings.routes, (Route(outbound="b"),))

    def test_an_empty_list_of_routes_is_refused(self) -> None:
        self.assertIn("is empty", mistakes_of(PACS + "routes: []\n")["routes"])

    def test_an_outbound_that_is_not_there_gets_the_nearest(self) -> None:
        found = mistakes_of(PACS + "routes: [{called: A, outbound: pacs}, {outbound: pasc}]\n")
        self.assertEqual(found, {"routes[1].outbound": "no outbound is called `pasc`: did you mean `pacs`?"})

    def test_an_outbound_with_a_mistake_is_there_all_the_same(self) -> None:
        found = mistakes_of("outbound: {pacs: {dimse: {connect: 5, ae_title: A}}}\nroutes: [{outbound: pacs}]\n")
        self.assertEqual(list(found), ["outbound.pacs.dimse.connect"])

    def test_a_mistake_in_one_route_does_not_hide_another(self) -> None:
        found = mistakes_of(PACS + "routes: [{outbound: pacs, called: 5}, {outbound: nowhere}]\n")
        self.assertEqual(set(found), {"routes[0].called", "routes[1].outbound"})

    def hidden(self, *routes: str) -> dict[str, str]:
        written = ", ".join(f"{{{route}outbound: pacs}}" for route in routes)
        two = 'inbound: {a: {dimse: {}}, b: {dimse: {listen: "tcp:1:interface=127.0.0.1"}}}\n'
        return mistakes_of(f"{PACS}{two}routes: [{written}]\n")

    def test_a_route_behind_one_that_takes_everything_is_never_reached(self) -> None:
        for first, second in (
            ("", ""),
            ("", "called: SHIELD, "),
            ("called: '*', ", "calling: CT1, from: [10.0.0.1], services: [find], "),
            ("called: 'CT*', ", "called: 'CT1*', "),
            ("called: 'CT[12]', ", "called: CT1, "),
            ("inbound: '?', ", ""),
            ("from: [10.0.0.0/8, 192.0.2.0/24], ", "from: [10.1.0.0/16], "),
            ("services: [find, move], ", "services: [move], "),
        ):
            found = self.hidden(first, second)
            self.assertEqual(list(found), ["routes[1]"], (first, second))
            self.assertIn("routes[0] takes all", found["routes[1]"])

    def test_a_route_that_takes_something_of_its_own_is_reached(self) -> None:
        for first, second in (
            ("called: SHIELD, ", ""),
            ("called: 'CT?', ", "called: 'CT*', "),
            ("called: 'CT[12]', ", "called: 'CT[13]', "),
            ("inbound: a, ", "inbound: '?', "),
            ("calling: A, ", "called: A, "),
            ("from: [10.0.0.0/8], ", ""),
            ("from: [10.0.0.0/8], ", "from: ['fd00::/8'], "),
            ("services: [find], ", "services: [find, move], "),
            ("services: [find], ", ""),
        ):
            self.assertEqual(self.hidden(first, second), {}, (first, second))

    def test_a_caller_of_a_route_may_call(self) -> None:
        routes = "routes: [{calling: CT9, outbound: pacs}, {calling: 'CT*', outbound: pacs}]\n"
        found = mistakes_of(PACS + routes + "applications: {CT1: {host: h, port: 1}}\n")
        self.assertEqual(
            found, {"routes[0].calling": "`CT9` is no application, and others are refused: did you mean `CT1`?"}
        )

    def test_anybody_may_be_the_caller_of_a_route_where_anybody_may_call(self) -> None:
        routes = "routes: [{calling: CT9, outbound: pacs}]\n"
        accept = "applications: {CT1: {host: h, port: 1}}\nunknown_applications: accept\n"
        self.assertEqual(mistakes_of(PACS + routes), {})
        self.assertEqual(mistakes_of(PACS + routes + accept), {})

    def test_a_pattern_for_inbounds_matches_one(self) -> None:
        found = mistakes_of(PACS + "routes: [{inbound: 'def*', outbound: pacs}, {inbound: 'x*', outbound: pacs}]\n")
        self.assertEqual(list(found), ["routes[1].inbound"])


class PortTests(TestCase):
    def test_two_inbounds_on_one_port_are_refused(self) -> None:
        found = mistakes_of(inbounds("tcp:104:interface=10.0.0.1", "haproxy:tcp:104:interface=10.0.0.1"))
        self.assertEqual(found, {"inbound.n1.dimse.listen": "port 104 is taken by the inbound `n0`: give it another"})

    def test_all_interfaces_include_each(self) -> None:
        for everywhere in ("tcp:104", "tcp6:104", "tcp:104:interface=0.0.0.0"):
            found = mistakes_of(inbounds("tcp:104:interface=10.0.0.1", everywhere))
            self.assertEqual(list(found), ["inbound.n1.dimse.listen"], everywhere)

    def test_localhost_is_127_0_0_1(self) -> None:
        found = mistakes_of(inbounds("tcp:104:interface=127.0.0.1", "tcp:104:interface=localhost"))
        self.assertEqual(list(found), ["inbound.n1.dimse.listen"])

    def test_one_port_on_two_interfaces_is_two(self) -> None:
        self.assertEqual(mistakes_of(inbounds("tcp:104:interface=10.0.0.1", "tcp:104:interface=10.0.0.2")), {})

    def test_any_free_port_is_another_each_time(self) -> None:
        self.assertEqual(mistakes_of(inbounds("tcp:0", "tcp:0")), {})

    def test_one_unix_socket_is_taken_once(self) -> None:
        self.assertIn("`/run/a`", mistakes_of(inbounds("unix:/run/a", "unix:/run/a"))["inbound.n1.dimse.listen"])

    def test_the_default_address_is_taken_too(self) -> None:
        found = mistakes_of(PACS + "inbound: {a: {dimse: {}}, b: {dimse: {}}}\n")
        self.assertEqual(list(found), ["inbound.b"])

    def test_a_wrong_address_takes_no_port(self) -> None:
        found = mistakes_of(PACS + "inbound: {a: {dimse: {listen: 5}}, b: {dimse: {}}}\n")
        self.assertEqual(list(found), ["inbound.a.dimse.listen"])


class LoopTests(TestCase):
    """An outbound that is the proxy itself."""

    def loops(self, listen: str, connect: str) -> bool:
        listening = f'inbound: {{a: {{dimse: {{listen: "{listen}"}}}}}}\nunknown_applications: refuse\n'
        found = mistakes_of(f'{listening}outbound: {{p: {{dimse: {{connect: "{connect}", ae_title: P}}}}}}\n')
        self.assertTrue(
            not found or found == {"outbound.p.dimse.connect": "is the inbound `a` of this proxy: name the PACS"}
        )
        return bool(found)

    def test_what_a_listener_hears_is_refused(self) -> None:
        for listen, connect in (
            ("tcp:104:interface=127.0.0.1", "tcp:127.0.0.1:104"),
            ("tcp:104:interface=127.0.0.1", "tcp:localhost:104"),
            ("haproxy:tcp:104:interface=10.0.0.1", "tcp:10.0.0.1:104"),
            ("tcp:104", "tcp:localhost:104"),
            ("tcp6:104", "tcp:127.0.0.1:104"),
            ("unix:/run/a", "unix:/run/a"),
        ):
            self.assertTrue(self.loops(listen, connect), (listen, connect))

    def test_what_it_does_not_hear_is_a_pacs(self) -> None:
        for listen, connect in (
            ("tcp:104:interface=127.0.0.1", "tcp:127.0.0.1:105"),
            ("tcp:104:interface=127.0.0.1", "tcp:10.0.0.1:104"),
            ("tcp:104", "tcp:pacs.example.org:104"),
            ("tcp:0", "tcp:127.0.0.1:104"),
        ):
            self.assertFalse(self.loops(listen, connect), (listen, connect))

    def test_the_listener_of_a_file_without_one_is_heard_too(self) -> None:
        found = mistakes_of(PACS.replace("127.0.0.1:4242", "localhost:11112"))
        self.assertIn("the inbound `default`", found["outbound.pacs.dimse.connect"])


class WhoMayCallTests(TestCase):
    def unset(self, listen: str) -> str:
        return f'{PACS}inbound: {{a: {{dimse: {{listen: "{listen}"}}}}}}\n'

    def test_on_this_machine_everybody_may(self) -> None:
        for listen in ("tcp:1:interface=127.0.0.1", "tcp6:1:interface=\\\\:\\\\:1", "unix:/run/a"):
            self.assertTrue(settings_of(self.unset(listen)).unknown_applications, listen)

    def test_from_other_machines_somebody_must_be_named(self) -> None:
        for listen in ("tcp:1", "tcp6:1", "tcp:1:interface=10.0.0.1", "systemd:domain=INET:index=0"):
            self.assertIn("inbound a", mistakes_of(self.unset(listen)).get("applications", ""), listen)

    def test_a_load_balancer_brings_other_machines(self) -> None:
        self.assertIn("applications", mistakes_of(self.unset("haproxy:tcp:1:interface=127.0.0.1")))

    def test_an_empty_list_of_applications_names_nobody(self) -> None:
        self.assertIn("applications", mistakes_of(self.unset("tcp:1") + "applications: {}\n"))

    def test_once_somebody_is_named_others_are_refused(self) -> None:
        settings = settings_of(PACS + "applications: {A: {host: h, port: 1}}\n")
        self.assertFalse(settings.unknown_applications)

    def test_what_is_written_stands(self) -> None:
        self.assertTrue(settings_of(self.unset("tcp:1") + "unknown_applications: accept\n").unknown_applications)
        self.assertFalse(settings_of(PACS + "unknown_applications: refuse\n").unknown_applications)


class TitleTests(TestCase):
    def titles(self, written: str) -> dict[str, str]:
        return mistakes_of(
            f'outbound: {{p: {{dimse: {{connect: "tcp:h:1", ae_title: P, move_titles: [{written}]}}}}}}\n'
            "ae_title: OWN\napplications: {A: {host: h, port: 1}}\n"
        )

    def test_further_titles_are_the_proxys_alone(self) -> None:
        found = self.titles("OWN1, A, OWN, OWN1")
        self.assertEqual(set(found), {f"outbound.p.dimse.move_titles[{index}]" for index in (1, 2, 3)})

    def test_further_titles_are_accepted(self) -> None:
        self.assertEqual(self.titles("OWN1, OWN2"), {})


class CertificateBindingTests(TestCase):
    def test_a_certificate_that_nobody_asks_for_is_refused(self) -> None:
        found = mistakes_of(PACS + "applications: {A: {host: h, port: 1, certificate: [a.example.org]}}\n")
        self.assertIn("no inbound asks", found["applications.A.certificate"])
