"""Who may call (field note A18)."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import TestCase

from dimseproxy.association.interfaces import Peer
from dimseproxy.config.settings import Application
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    AssociationRejected,
    Rejection,
)
from dimseproxy.relay.access import identify, is_title, parse_address
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.pdu import AssociateRequest
from tests.association.playing import a_request
from tests.relay.fakes import known_addresses

HOST = "192.0.2.7"
APPLICATIONS = {
    "CLIENT": Application(host=HOST, port=104),
    "NETWORKED": Application(host="", port=104, from_=(ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"))),
    "BOUND": Application(host=HOST, port=104, certificate=("modality.example.org",)),
}


def requested(calling: bytes, called: bytes = b"SHIELD") -> AssociateRequest:
    """A request with titles that no toolkit would send, as it comes off the wire."""
    encoded = bytearray(encode(a_request()))
    encoded[10:26] = called.ljust(16)
    encoded[26:42] = calling.ljust(16)
    request = decode(1, bytes(encoded[6:]))
    assert isinstance(request, AssociateRequest)
    return request


class IdentifyingTests(TestCase):
    def _identify(
        self,
        calling: bytes,
        host: str = HOST,
        *,
        called: bytes = b"SHIELD",
        names: tuple[str, ...] = (),
        accept_unknown: bool = False,
    ) -> Application | None:
        peer = Peer(host, 104, frozenset(names))
        return identify(requested(calling, called), peer, APPLICATIONS, accept_unknown, known_addresses)

    def _rejection(self, *args: bytes | str, **options: object) -> Rejection:
        error = self.assertRaises(AssociationRejected, self._identify, *args, **options)
        rejection: Rejection = error.rejection
        return rejection

    def test_its_title_from_its_host(self) -> None:
        self.assertIs(self._identify(b"CLIENT"), APPLICATIONS["CLIENT"])

    def test_spaces_around_a_title_are_padding(self) -> None:
        self.assertIs(self._identify(b"  CLIENT"), APPLICATIONS["CLIENT"])

    def test_its_host_as_an_ipv6_address(self) -> None:
        self.assertIs(self._identify(b"CLIENT", f"::ffff:{HOST}"), APPLICATIONS["CLIENT"])

    def test_from_its_networks(self) -> None:
        for host in ("198.51.100.77", "::ffff:198.51.100.77", "2001:db8::1", "2001:db8::1%eth0"):
            self.assertIs(self._identify(b"NETWORKED", host), APPLICATIONS["NETWORKED"])

    def test_titles_that_are_not_quite_its_own(self) -> None:
        for title in (
            b"client",
            b"Client",
            b"CLIENT\0",
            b"\0CLIENT",
            b"CLIENT\t",
            b"CLIENT\\",
            b"CLI\\ENT",
            b"CLI ENT",
            b"CLIENT\xa0",
            b"CL\xcfENT",
            b"CLIENT2",
            b"CLIEN",
            b"*",
            b"CLI*",
        ):
            self.assertEqual(self._rejection(title), CALLING_AE_TITLE_NOT_RECOGNIZED, title)

    def test_no_title(self) -> None:
        for title in (b" " * 16, b"\0" * 16):
            self.assertEqual(self._rejection(title), CALLING_AE_TITLE_NOT_RECOGNIZED, title)

    def test_its_title_from_elsewhere(self) -> None:
        for host in ("192.0.2.8", "::ffff:192.0.2.8", "::1", "", "not an address", "192.0.2.7.example.org"):
            self.assertEqual(self._rejection(b"CLIENT", host), CALLING_AE_TITLE_NOT_RECOGNIZED, host)

    def test_its_title_from_elsewhere_where_unknown_ones_may_call(self) -> None:
        self.assertEqual(self._rejection(b"CLIENT", "192.0.2.8", accept_unknown=True), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_an_address_next_to_its_networks(self) -> None:
        self.assertEqual(self._rejection(b"NETWORKED", "198.51.101.1"), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_no_called_title(self) -> None:
        for called in (b" " * 16, b"SHIELD\0", b"SHI\\ELD", b"SH\xcfELD"):
            self.assertEqual(self._rejection(b"CLIENT", called=called), CALLED_AE_TITLE_NOT_RECOGNIZED, called)

    def test_an_unknown_one_where_they_may_call(self) -> None:
        self.assertIsNone(self._identify(b"STRANGER", "203.0.113.1", accept_unknown=True))

    def test_an_unknown_one_without_a_proper_title(self) -> None:
        for title in (b"", b"STRANGER\0", b"STR\\ANGER"):
            self.assertEqual(self._rejection(title, accept_unknown=True), CALLING_AE_TITLE_NOT_RECOGNIZED, title)

    def test_its_certificate(self) -> None:
        self.assertIs(self._identify(b"BOUND", names=("modality.example.org",)), APPLICATIONS["BOUND"])

    def test_no_certificate(self) -> None:
        self.assertEqual(self._rejection(b"BOUND"), CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_another_certificate(self) -> None:
        self.assertEqual(self._rejection(b"BOUND", names=("other.example.org",)), CALLING_AE_TITLE_NOT_RECOGNIZED)


class AddressTests(TestCase):
    def test_mapped_addresses_are_ipv4_addresses(self) -> None:
        self.assertEqual(parse_address("::ffff:192.0.2.7"), parse_address("192.0.2.7"))

    def test_what_is_none(self) -> None:
        self.assertIsNone(parse_address("example.org"))


class TitleTests(TestCase):
    def test_sixteen_characters(self) -> None:
        self.assertTrue(is_title("A" * 16))

    def test_seventeen_characters(self) -> None:
        self.assertFalse(is_title("A" * 17))
