"""
TLS handshakes on real loopback sockets: who gets in, who is refused and why, and by when.
"""

from __future__ import annotations

import re

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.task import deferLater

from dimseproxy.association.handshake import (
    HandshakeError,
)
from dimseproxy.association.stream import socket_transport
from dimseproxy.association.tls import client_creator
from tests.association import certificates
from tests.association.certificates import Identity
from tests.association.handshaking import (
    LONG,
    SHORT,
    HandshakeTestCase,
    Peer,
    ProxiedTLS,
    asynchronous,
    our_client,
    our_server,
)

A_ASSOCIATE_RQ = bytes.fromhex("010000000044 0001 0000") + b"CALLED".ljust(16) + b"CALLING".ljust(16) + bytes(32)
A_ABORT = bytes.fromhex("0700000000040000 0201")


def record(kind: int, body: bytes) -> bytes:
    """A TLS record of version 1.0, as first flights carry it."""
    return bytes([kind, 3, 1]) + len(body).to_bytes(2, "big") + body


def handshake_message(kind: int, body: bytes) -> bytes:
    return record(0x16, bytes([kind]) + len(body).to_bytes(3, "big") + body)


# Written out, because today's OpenSSL no longer speaks these: TLS 1.1 with TLS_RSA_WITH_AES_128_CBC_SHA.
CLIENT_HELLO_1_1 = handshake_message(1, b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00")
CLIENT_HELLO_1_0 = handshake_message(1, b"\x03\x01" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00")
SERVER_HELLO_1_1 = handshake_message(2, b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x2f" + b"\x00")


class AcceptedTests(HandshakeTestCase):
    """Who gets in, and what the association then has."""

    async def accepted(
        self,
        server: IOpenSSLServerConnectionCreator,
        client: IOpenSSLClientConnectionCreator,
    ) -> tuple[Peer, Peer]:
        """Both ends, after a byte each way."""
        there, here = Peer(reply=b"pong"), Peer(first=b"ping")
        await self.connect(client, await self.listen(server, there), here)
        await here.hears(b"pong")
        return there, here

    @asynchronous
    async def test_bytes_cross_both_ways(self) -> None:
        there, here = await self.accepted(our_server(), our_client())
        self.assertEqual((there.heard, here.heard), (b"ping", b"pong"))

    @asynchronous
    async def test_each_association_is_connected_once(self) -> None:
        there, here = await self.accepted(our_server(), our_client())
        self.assertEqual((there.connections, here.connections), (1, 1))

    @asynchronous
    async def test_host_that_is_an_address(self) -> None:
        _, here = await self.accepted(our_server(), our_client("127.0.0.1"))
        self.assertEqual(here.heard, b"pong")

    @asynchronous
    async def test_wrong_host_where_it_is_not_verified(self) -> None:
        _, here = await self.accepted(our_server(certificates.wrong_host()), our_client(verify_host=False))
        self.assertEqual(here.heard, b"pong")

    @asynchronous
    async def test_self_signed_certificate_that_is_trusted_by_name(self) -> None:
        own = certificates.self_signed()
        _, here = await self.accepted(our_server(own), our_client(trusted=own))
        self.assertEqual(here.heard, b"pong")

    @asynchronous
    async def test_intermediate_authority_alone_can_be_trusted(self) -> None:
        trusted = certificates.intermediate_authority()
        own = certificates.below_intermediate()
        _, here = await self.accepted(our_server(own), our_client(trusted=trusted))
        self.assertEqual(here.heard, b"pong")

    @asynchronous
    async def test_client_with_a_certificate_of_the_authority(self) -> None:
        there, _ = await self.accepted(our_server(mutual=True), our_client(own=certificates.client()))
        self.assertEqual(there.heard, b"ping")

    @asynchronous
    async def test_the_socket_is_below_tls(self) -> None:
        there, _ = await self.accepted(our_server(), our_client())
        self.assertTrue(hasattr(socket_transport(there.transport), "socket"))

    @asynchronous
    async def test_completed_handshakes_do_not_count_as_in_progress(self) -> None:
        port = await self.listen(our_server(), Peer(reply=b"pong"), Peer(reply=b"pong"), limit=1)
        for _ in range(2):
            here = Peer(first=b"ping")
            await self.connect(our_client(), port, here)
            await here.hears(b"pong")
        self.assertEqual(self.refusals, [])


class ServerRefusedTests(HandshakeTestCase):
    """Servers that we refuse: each association never is connected, and the error says why."""

    async def refused(self, identity: Identity, why: str, host: str = "localhost", verify_host: bool = True) -> None:
        port = await self.listen(our_server(identity), Peer())
        await self.fails(our_client(host, verify_host=verify_host), port, why)

    async def fails(self, client: IOpenSSLClientConnectionCreator, port: int, why: str, seconds: float = LONG) -> None:
        here = Peer()
        with self.assertRaisesRegex(HandshakeError, f"^{re.escape(why)}$"):
            await self.connect(client, port, here, seconds)
        self.assertEqual(here.connections, 0)

    @asynchronous
    async def test_expired(self) -> None:
        await self.refused(certificates.expired(), "certificate has expired")

    @asynchronous
    async def test_not_yet_valid(self) -> None:
        await self.refused(certificates.not_yet_valid(), "certificate is not yet valid")

    @asynchronous
    async def test_wrong_host(self) -> None:
        await self.refused(certificates.wrong_host(), "certificate is not for the host that was called")

    @asynchronous
    async def test_wrong_address(self) -> None:
        await self.refused(
            certificates.wrong_host(), "certificate is not for the host that was called", host="127.0.0.1"
        )

    @asynchronous
    async def test_common_name_alone_is_no_host_name(self) -> None:
        nameless = certificates.issue("localhost")
        await self.refused(nameless, "certificate is not for the host that was called")

    @asynchronous
    async def test_wrong_authority(self) -> None:
        await self.refused(certificates.wrong_authority(), "certificate's issuer is not known here")

    @asynchronous
    async def test_wrong_authority_where_the_host_is_not_verified(self) -> None:
        await self.refused(certificates.wrong_authority(), "certificate's issuer is not known here", verify_host=False)

    @asynchronous
    async def test_self_signed(self) -> None:
        await self.refused(certificates.self_signed(), "certificate is self-signed and not trusted here")

    @asynchronous
    async def test_private_authority_by_the_roots_of_the_system(self) -> None:
        port = await self.listen(our_server(), Peer())
        by_the_system = client_creator("localhost", None, None, None, True, "bcp195")
        await self.fails(by_the_system, port, "certificate's issuer is not known here")

    @asynchronous
    async def test_tls_1_1_only(self) -> None:
        port = await self.listen_plain(Peer(reply=SERVER_HELLO_1_1))
        await self.fails(our_client(), port, "no TLS version in common: 1.2 or 1.3 is needed")

    @asynchronous
    async def test_plain_dicom(self) -> None:
        """Which answers our first flight with an A-ABORT."""
        port = await self.listen_plain(Peer(reply=A_ABORT))
        await self.fails(our_client(), port, "the peer does not speak TLS")

    @asynchronous
    async def test_silence_is_cut_at_the_deadline(self) -> None:
        there = Peer()
        port = await self.listen_plain(there)
        await self.fails(our_client(), port, "no TLS handshake within 0.1 s", SHORT)
        await there.lost

    @asynchronous
    async def test_cancelled_connect_cuts_the_connection(self) -> None:
        there = Peer()
        port = await self.listen_plain(there)
        connecting = self.connecting(our_client(), port, Peer())
        while not there.heard:  # Until our first flight has arrived.
            await deferLater(reactor, 0)
        connecting.cancel()
        with self.assertRaises(CancelledError):
            await connecting
        await there.lost


class ClientRefusedTests(HandshakeTestCase):
    """Callers that we refuse: the association behind never hears of them, and the log says why."""

    async def refused(self, own: Identity | None, why: str) -> None:
        there = Peer()
        port = await self.listen(our_server(mutual=True), there)
        refusal = self.refusal()
        # In TLS 1.3 the client is done before the server has seen its certificate.
        here = Peer()
        await self.connect(our_client(own=own), port, here)
        self.assertEqual(await refusal, why)
        await here.lost
        self.assertEqual(there.connections, 0)

    async def refused_plain(self, caller: Peer, why: str, seconds: float = LONG) -> None:
        there = Peer()
        port = await self.listen(our_server(), there, seconds=seconds)
        refusal = self.refusal()
        await self.connect_plain(port, caller)
        self.assertEqual(await refusal, why)
        await caller.lost
        self.assertEqual(there.connections, 0)

    @asynchronous
    async def test_no_certificate(self) -> None:
        await self.refused(None, "the peer has sent no certificate")

    @asynchronous
    async def test_expired(self) -> None:
        await self.refused(certificates.expired(), "certificate has expired")

    @asynchronous
    async def test_not_yet_valid(self) -> None:
        await self.refused(certificates.not_yet_valid(), "certificate is not yet valid")

    @asynchronous
    async def test_wrong_authority(self) -> None:
        await self.refused(certificates.wrong_authority(), "certificate's issuer is not known here")

    @asynchronous
    async def test_self_signed(self) -> None:
        await self.refused(certificates.self_signed(), "certificate is self-signed and not trusted here")

    @asynchronous
    async def test_the_refused_client_learns_it_from_connection_lost(self) -> None:
        port = await self.listen(our_server(mutual=True), Peer())
        here = Peer()
        await self.connect(our_client(), port, here)
        self.assertEqual(await here.lost, "TLS: tlsv13 alert certificate required")

    @asynchronous
    async def test_tls_1_0_only(self) -> None:
        await self.refused_plain(Peer(CLIENT_HELLO_1_0), "no TLS version in common: 1.2 or 1.3 is needed")

    @asynchronous
    async def test_tls_1_1_only(self) -> None:
        await self.refused_plain(Peer(CLIENT_HELLO_1_1), "no TLS version in common: 1.2 or 1.3 is needed")

    @asynchronous
    async def test_plain_dicom_is_refused_at_once(self) -> None:
        """Not by the deadline, which is longer than a test may take."""
        await self.refused_plain(Peer(A_ASSOCIATE_RQ), "the peer does not speak TLS")

    @asynchronous
    async def test_http_is_refused_at_once(self) -> None:
        await self.refused_plain(Peer(b"GET / HTTP/1.1\r\n\r\n"), "the peer does not speak TLS")

    @asynchronous
    async def test_silence_is_cut_at_the_deadline(self) -> None:
        await self.refused_plain(Peer(), "no TLS handshake within 0.1 s", SHORT)

    @asynchronous
    async def test_half_a_first_flight_is_cut_at_the_deadline(self) -> None:
        await self.refused_plain(Peer(CLIENT_HELLO_1_1[:20]), "no TLS handshake within 0.1 s", SHORT)

    @asynchronous
    async def test_the_oldest_handshake_makes_room_for_one_beyond_the_limit(self) -> None:
        first, second = Peer(), Peer()
        port = await self.listen(our_server(), Peer(), Peer(), limit=1)
        await self.connect_plain(port, first)
        refusal = self.refusal()
        await self.connect_plain(port, second)
        self.assertEqual(await refusal, "others wait to be let in")

    @asynchronous
    async def test_connection_that_nobody_wants_is_cut_at_once(self) -> None:
        """A factory of associations that gives None."""
        port = await self.listen(our_server())
        refusal = self.refusal()
        await self.connect_plain(port, Peer())
        self.assertEqual(await refusal, "refused before the handshake")

    @asynchronous
    async def test_caller_that_goes_away(self) -> None:
        port = await self.listen(our_server(), Peer())
        caller = Peer(CLIENT_HELLO_1_1[:20])
        refusal = self.refusal()
        await self.connect_plain(port, caller)
        assert caller.transport is not None
        caller.transport.loseConnection()
        self.assertEqual(await refusal, "the peer closed the connection")


class PROXYTests(HandshakeTestCase):
    """The PROXY header comes before TLS."""

    @asynchronous
    async def test_the_association_sees_the_real_caller(self) -> None:
        there = Peer(reply=b"pong")
        port = await self.listen(our_server(), there, is_proxied=True)
        here = ProxiedTLS(our_client())
        await self.connect_plain(port, here)
        await here.hears(b"pong")
        self.assertEqual(getattr(there.caller, "host", None), "192.0.2.7")

    @asynchronous
    async def test_tls_without_the_header_is_refused(self) -> None:
        there = Peer()
        port = await self.listen(our_server(), there, is_proxied=True)
        with self.assertRaises(HandshakeError):
            await self.connect(our_client(), port, Peer())
        self.assertEqual(there.connections, 0)

    @asynchronous
    async def test_connection_that_nobody_wants_is_cut_without_an_error(self) -> None:
        port = await self.listen(our_server(), is_proxied=True)
        refusal = self.refusal()
        await self.connect_plain(port, Peer(b"PROXY UNKNOWN\r\n"))
        self.assertEqual(await refusal, "refused before the handshake")
