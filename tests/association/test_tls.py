"""
TLS settings: profiles, contexts from files, resumption and renegotiation.  In memory, without sockets.
"""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import cast

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.association.tls import (
    PROFILES,
    TLSSettingsError,
    client_creator,
    openssl_text,
    server_creator,
)
from tests.association import certificates
from tests.association.certificates import Identity

ECDHE_GCM = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
]
TLS_1_3 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"]

# The creators have no use for it.
NO_TRANSPORT = cast(TLSMemoryBIOProtocol, None)


def server(
    identity: Identity | None = None, client_ca: Path | None = None, profile: str = "bcp195"
) -> IOpenSSLServerConnectionCreator:
    identity = identity or certificates.server()
    return server_creator(identity.certificate, identity.key, client_ca, profile)


def client(
    host: str = "localhost", identity: Identity | None = None, profile: str = "bcp195"
) -> IOpenSSLClientConnectionCreator:
    return client_creator(
        host,
        certificates.authority().certificate,
        identity.certificate if identity else None,
        identity.key if identity else None,
        True,
        profile,
    )


def server_end(creator: IOpenSSLServerConnectionCreator) -> SSL.Connection:
    connection = creator.serverConnectionForTLS(NO_TRANSPORT)
    connection.set_accept_state()
    return connection


def client_end(creator: IOpenSSLClientConnectionCreator) -> SSL.Connection:
    connection = creator.clientConnectionForTLS(NO_TRANSPORT)
    connection.set_connect_state()
    return connection


def legacy_client(suites: str = "DEFAULT", highest: int = SSL.TLS1_3_VERSION) -> SSL.Connection:
    """A client with settings of its own that verifies nothing."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(suites.encode("ascii"))
    context.set_max_proto_version(highest)
    connection = SSL.Connection(context)
    connection.set_connect_state()
    return connection


def tls_1_2_server() -> SSL.Connection:
    """A server with settings of its own."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate(certificates.server().signed)
    context.use_privatekey(certificates.server().private)
    connection = SSL.Connection(context)
    connection.set_accept_state()
    return connection


def move(source: SSL.Connection, target: SSL.Connection) -> None:
    with contextlib.suppress(SSL.WantReadError):  # Nothing to say.
        target.bio_write(source.bio_read(1 << 16))


def shake(one: SSL.Connection, other: SSL.Connection) -> None:
    """Let two ends in memory shake hands; raises what either of them raises."""
    for _ in range(6):
        for here, there in ((one, other), (other, one)):
            try:
                here.do_handshake()
            except SSL.WantReadError:
                pass
            finally:
                move(here, there)


class ProfileTests(SynchronousTestCase):
    """The suites and versions of each profile, as its clause of PS3.15 lists them."""

    def suites_of(self, profile: str) -> list[str]:
        offered = client_end(client(profile=profile)).get_cipher_list()
        self.assertEqual(offered, server_end(server(profile=profile)).get_cipher_list())
        return offered

    def test_the_names_are_those_of_the_configuration(self) -> None:
        self.assertEqual(sorted(PROFILES), ["bcp195", "bcp195-extended", "modified-bcp195"])

    def test_suites_of_bcp195(self) -> None:
        """PS3.15 B.12."""
        self.assertEqual(self.suites_of("bcp195"), TLS_1_3 + ECDHE_GCM)

    def test_suites_of_bcp195_extended(self) -> None:
        """PS3.15 B.11."""
        finite_field = ["DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"]
        self.assertEqual(self.suites_of("bcp195-extended"), TLS_1_3 + ECDHE_GCM + finite_field)

    def test_suites_of_modified_bcp195(self) -> None:
        """PS3.15 B.13, as far as OpenSSL has them."""
        self.assertEqual(
            self.suites_of("modified-bcp195"),
            [
                *TLS_1_3,
                "TLS_AES_128_CCM_SHA256",
                *ECDHE_GCM,
                "ECDHE-ECDSA-CHACHA20-POLY1305",
                "ECDHE-RSA-CHACHA20-POLY1305",
                "ECDHE-ECDSA-AES256-CCM",
                "ECDHE-ECDSA-AES128-CCM",
            ],
        )

    def test_every_profile_prefers_tls_1_3(self) -> None:
        for profile in PROFILES:
            here, there = client_end(client(profile=profile)), server_end(server(profile=profile))
            shake(here, there)
            self.assertEqual(here.get_protocol_version_name(), "TLSv1.3", profile)

    def test_every_profile_serves_a_tls_1_2_client(self) -> None:
        for profile in PROFILES:
            here, there = legacy_client(highest=SSL.TLS1_2_VERSION), server_end(server(profile=profile))
            shake(here, there)
            self.assertEqual(there.get_protocol_version_name(), "TLSv1.2", profile)

    def test_cbc_suites_are_refused(self) -> None:
        here = legacy_client("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", SSL.TLS1_2_VERSION)
        self.assertRaises(SSL.Error, shake, here, server_end(server()))

    def test_an_rsa_certificate_serves_too(self) -> None:
        here, there = client_end(client()), server_end(server(certificates.rsa_server()))
        shake(here, there)
        self.assertEqual(here.get_protocol_version_name(), "TLSv1.3")


class SettingsErrorTests(SynchronousTestCase):
    """What is wrong with the files is said when a creator is made."""

    def error(self, certificate: Path, key: Path, client_ca: Path | None = None) -> str:
        with self.assertRaises(TLSSettingsError) as raised:
            server_creator(certificate, key, client_ca, "bcp195")
        return str(raised.exception)

    def test_key_of_another_certificate(self) -> None:
        good, other = certificates.server(), certificates.client()
        self.assertEqual(
            self.error(good.certificate, other.key),
            f"{other.key} is not the private key of the first certificate in {good.certificate}",
        )

    def test_missing_file(self) -> None:
        good = certificates.server()
        missing = good.key.with_name("missing.key")
        self.assertEqual(self.error(good.certificate, missing), f"{missing} cannot be read: No such file or directory")

    def test_file_without_a_certificate(self) -> None:
        good = certificates.server()
        self.assertEqual(self.error(good.key, good.key), f"{good.key} has no usable PEM certificate")

    def test_file_without_a_key(self) -> None:
        good = certificates.server()
        self.assertEqual(
            self.error(good.certificate, good.certificate),
            f"{good.certificate} has no usable PEM private key",
        )

    def test_encrypted_key_is_refused_without_asking_the_terminal(self) -> None:
        good = certificates.server()
        locked = certificates.encrypted_key(good)
        self.assertEqual(
            self.error(good.certificate, locked),
            f"{locked} is encrypted: the private key must not have a pass phrase",
        )

    def test_file_without_an_authority(self) -> None:
        good = certificates.server()
        self.assertEqual(self.error(good.certificate, good.key, good.key), f"{good.key} has no usable PEM certificate")

    def test_key_too_small_for_the_profiles(self) -> None:
        small = certificates.issue("small", rsa_bits=1024)
        self.assertEqual(
            self.error(small.certificate, small.key), f"{small.certificate} cannot be used: ee key too small"
        )

    def test_unknown_profile(self) -> None:
        with self.assertRaises(TLSSettingsError) as raised:
            server(profile="basic")
        self.assertEqual(
            str(raised.exception),
            "unknown TLS profile 'basic': one of bcp195, bcp195-extended, modified-bcp195",
        )

    def test_client_certificate_without_its_key(self) -> None:
        self.assertRaises(
            TLSSettingsError,
            client_creator,
            "localhost",
            None,
            certificates.client().certificate,
            None,
            True,
            "bcp195",
        )

    def test_host_that_is_no_name(self) -> None:
        self.assertRaises(TLSSettingsError, client, "no name")


class ConnectionTests(SynchronousTestCase):
    """What a connection between two contexts of ours does and does not do."""

    def test_server_name_is_sent(self) -> None:
        here, there = client_end(client("localhost")), server_end(server())
        shake(here, there)
        self.assertEqual(there.get_servername(), b"localhost")

    def test_international_server_name_is_sent_in_ascii(self) -> None:
        here, there = client_end(client("münchen.example")), server_end(server())
        self.assertRaises(SSL.Error, shake, here, there)
        self.assertEqual(there.get_servername(), b"xn--mnchen-3ya.example")

    def test_address_is_not_sent_as_server_name(self) -> None:
        here, there = client_end(client("127.0.0.1")), server_end(server())
        shake(here, there)
        self.assertIsNone(there.get_servername())

    def test_the_chain_is_sent(self) -> None:
        here, there = client_end(client()), server_end(server(certificates.below_intermediate()))
        shake(here, there)
        chain = here.get_peer_cert_chain() or []
        self.assertEqual([each.get_subject().CN for each in chain], ["below", "intermediate"])

    def test_renegotiation_is_refused(self) -> None:
        """Asked for by the server: OpenSSL allows it to clients anyway."""
        there = tls_1_2_server()
        here = client_end(client())
        shake(here, there)
        there.renegotiate()
        there.do_handshake()
        move(there, here)
        self.assertRaises(SSL.WantReadError, here.recv, 1)
        move(here, there)
        with self.assertRaises(SSL.Error) as raised:
            there.recv(1)
        self.assertEqual(openssl_text(raised.exception), "no renegotiation")

    def test_session_of_a_mutual_handshake_is_not_resumed(self) -> None:
        self.assertEqual(self.resumed(certificates.authority().certificate), [False, False])

    def test_session_without_client_certificates_is_resumed(self) -> None:
        self.assertEqual(self.resumed(None), [False, True])

    def resumed(self, client_ca: Path | None) -> list[bool]:
        """Whether each of two handshakes of one client was a resumption: by Python's own TLS, not by ours."""
        creator = server(client_ca=client_ca)
        context = ssl.create_default_context(cafile=str(certificates.authority().certificate))
        own = certificates.client()
        context.load_cert_chain(own.certificate, own.key)
        session: ssl.SSLSession | None = None
        outcomes = []
        for _ in range(2):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            here = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
            there = server_end(creator)
            for _ in range(6):
                for step in (here.do_handshake, there.do_handshake):
                    with contextlib.suppress(ssl.SSLWantReadError, SSL.WantReadError):
                        step()
                if outgoing.pending:
                    there.bio_write(outgoing.read())
                with contextlib.suppress(SSL.WantReadError):
                    incoming.write(there.bio_read(1 << 16))
            # TLS 1.3 sends its tickets behind the handshake: read on to get them.
            self.assertRaises(ssl.SSLWantReadError, here.read, 1)
            session = here.session
            outcomes.append(bool(here.session_reused))
        return outcomes


class ReadingTests(SynchronousTestCase):
    """What is handed over of the records that have come."""

    def connected(self) -> tuple[SSL.Connection, SSL.Connection]:
        here, there = client_end(client()), server_end(server())
        shake(here, there)
        # The tickets that TLS 1.3 sends behind the handshake.
        self.assertRaises(SSL.WantReadError, here.recv, 1)
        return here, there

    def test_records_that_are_here_come_together(self) -> None:
        """The header and the body of a PDU, which a peer has written one by one."""
        here, there = self.connected()
        here.send(b"header")
        here.send(b"body")
        move(here, there)
        self.assertEqual(there.recv(1 << 15), b"headerbody")

    def test_after_the_records_there_is_nothing_to_read(self) -> None:
        here, there = self.connected()
        here.send(b"header")
        move(here, there)
        there.recv(1 << 15)
        self.assertRaises(SSL.WantReadError, there.recv, 1 << 15)

    def test_what_comes_later_is_read_later(self) -> None:
        here, there = self.connected()
        for content in (b"first", b"second"):
            here.send(content)
            move(here, there)
            self.assertEqual(there.recv(1 << 15), content)
            self.assertRaises(SSL.WantReadError, there.recv, 1 << 15)

    def test_what_came_before_the_end_is_not_lost_by_it(self) -> None:
        here, there = self.connected()
        here.send(b"last words")
        here.shutdown()
        move(here, there)
        self.assertEqual(there.recv(1 << 15), b"last words")
        self.assertRaises(SSL.ZeroReturnError, there.recv, 1 << 15)

    def test_what_came_before_a_broken_record_is_not_lost_by_it(self) -> None:
        """And the error is told, though OpenSSL may not repeat it."""
        here, there = self.connected()
        here.send(b"whole")
        move(here, there)
        here.send(b"broken")
        record = bytearray(here.bio_read(1 << 16))
        record[-1] ^= 1
        there.bio_write(bytes(record))
        self.assertEqual(there.recv(1 << 15), b"whole")
        with self.assertRaises(SSL.Error) as raised:
            there.recv(1 << 15)
        self.assertIs(type(raised.exception), SSL.Error)

    def test_no_more_is_joined_than_the_limit_and_a_record(self) -> None:
        """A peer that sends without end does not keep everybody else waiting, nor is all of it held."""
        here, there = self.connected()
        record = bytes(1 << 14)
        for _ in range(10):
            here.send(record)
            move(here, there)
        self.assertEqual(len(there.recv(1 << 15)), 7 * len(record))
        self.assertEqual(len(there.recv(1 << 15)), 3 * len(record))
