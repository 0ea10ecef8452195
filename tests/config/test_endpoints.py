"""Endpoint strings: what they point at, and what is wrong with those that cannot be used."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.config.endpoints import Address, BadEndpoint, connect_address, listen_address


class ListenTests(TestCase):
    def refused(self, description: str) -> str:
        return str(self.assertRaises(BadEndpoint, listen_address, description))

    def test_tcp(self) -> None:
        self.assertEqual(listen_address("tcp:104:interface=10.0.0.1"), Address("10.0.0.1", 104))

    def test_tcp_on_all_interfaces(self) -> None:
        self.assertEqual(listen_address("tcp:104"), Address("", 104))

    def test_ipv6(self) -> None:
        self.assertEqual(listen_address(r"tcp6:104:interface=\:\:1"), Address("::1", 104))

    def test_unix(self) -> None:
        self.assertEqual(listen_address("unix:/run/dicom:mode=660"), Address(path="/run/dicom"))

    def test_behind_a_load_balancer(self) -> None:
        expected = Address("10.0.0.1", 104, proxied=True)
        self.assertEqual(listen_address("haproxy:tcp:104:interface=10.0.0.1"), expected)

    def test_systemd_is_not_asked_for_the_socket(self) -> None:
        self.assertEqual(listen_address("systemd:domain=INET:name=dicom"), Address())

    def test_systemd_needs_to_know_which_socket(self) -> None:
        self.assertIn("systemd:domain=INET:index=0", self.refused("systemd:domain=INET"))

    def test_tls_belongs_under_tls(self) -> None:
        for description in ("ssl:443:privateKey=k.pem", "tls:/certs:2762", "haproxy:ssl:443", "haproxy:tls:/c"):
            self.assertIn("the key `tls`", self.refused(description))

    def test_a_bare_port_gets_an_example(self) -> None:
        self.assertIn("`tcp:11112:interface=127.0.0.1`", self.refused("11112"))

    def test_what_twisted_cannot_read_gets_an_example(self) -> None:
        for description in ("tcp", "tcp:", "tcp:dicom", "tcp:104:face=lo", "tcp:1:2:3:4", "tcp:104\\", "haproxy:tcp"):
            self.assertIn("`tcp:11112:interface=127.0.0.1`", self.refused(description), description)

    def test_a_port_is_below_65536(self) -> None:
        self.assertIn("port 65536", self.refused("tcp:65536"))

    def test_an_interface_is_an_address(self) -> None:
        self.assertIn("not an IP address", self.refused("tcp:104:interface=eth0"))

    @settings(deadline=None)
    @given(st.text(st.sampled_from("tcp:6=\\[]haproxyunis/.,0123456789 "), max_size=40) | st.text(max_size=40))
    def test_anything_else_is_refused_not_raised(self, description: str) -> None:
        for prefix in ("", "tcp:", "haproxy:tcp6:"):
            try:
                address = listen_address(prefix + description)
            except BadEndpoint:
                continue
            self.assertIsInstance(address, Address)


class ConnectTests(TestCase):
    def refused(self, description: str) -> str:
        return str(self.assertRaises(BadEndpoint, connect_address, description))

    def test_tcp(self) -> None:
        self.assertEqual(connect_address("tcp:pacs.example.org:104"), Address("pacs.example.org", 104))

    def test_tcp_with_names(self) -> None:
        self.assertEqual(connect_address("tcp:port=104:host=pacs:timeout=5"), Address("pacs", 104))

    def test_ipv6(self) -> None:
        self.assertEqual(connect_address(r"tcp:\:\:1:104"), Address("::1", 104))

    def test_ipv6_is_told_how_to_escape(self) -> None:
        for description in ("tcp:[::1]:104", "tcp:::1:104"):
            self.assertIn(r"`tcp:\:\:1:104`", self.refused(description))

    def test_unix(self) -> None:
        self.assertEqual(connect_address("unix:/run/dicom"), Address(path="/run/dicom"))

    def test_tls_belongs_under_tls(self) -> None:
        for description in ("ssl:pacs:2762", "tls:pacs:2762", "TLS:pacs:2762"):
            self.assertIn("the key `tls`", self.refused(description))

    def test_a_server_endpoint_gets_an_example(self) -> None:
        for description in ("tcp:104", "tcp:104:interface=10.0.0.1", "systemd:domain=INET:index=0", "pacs:104"):
            self.assertIn("`tcp:192.0.2.10:104`", self.refused(description), description)

    def test_a_port_is_above_zero(self) -> None:
        self.assertIn("port 0", self.refused("tcp:pacs:0"))

    def test_a_host_is_named(self) -> None:
        self.assertIn("names no host", self.refused("tcp::104"))

    def test_what_is_no_host_is_refused(self) -> None:
        for host in (" pacs", "999.1.1.1", "foo_bar!"):
            self.assertIn("is neither a host name nor an IP address", self.refused(f"tcp:{host}:104"))

    def test_all_addresses_are_not_one_to_call(self) -> None:
        for host in ("0.0.0.0", r"\:\:"):
            self.assertIn("name the one host that is meant", self.refused(f"tcp:{host}:104"))

    @settings(deadline=None)
    @given(st.text(st.sampled_from("tcp:6=\\[]hostunix/.,0123456789 "), max_size=40) | st.text(max_size=40))
    def test_anything_else_is_refused_not_raised(self, description: str) -> None:
        for prefix in ("", "tcp:", "unix:"):
            try:
                address = connect_address(prefix + description)
            except BadEndpoint:
                continue
            self.assertIsInstance(address, Address)
