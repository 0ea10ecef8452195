"""
What a certificate says of its owner, on real loopback sockets.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes

from dimseproxy.association.peer_names import carries_name, peer_names
from tests.association import certificates
from tests.association.certificates import Identity
from tests.association.handshaking import (
    HandshakeTestCase,
    Peer,
    asynchronous,
    our_client,
    our_server,
)


class PeerNameTests(HandshakeTestCase):
    async def caller(self, own: Identity | None) -> object:
        """The transport of an association that this client has called."""
        there, here = Peer(reply=b"pong"), Peer(first=b"ping")
        port = await self.listen(our_server(mutual=own is not None), there)
        await self.connect(our_client(own=own), port, here)
        await here.hears(b"pong")
        return there.transport

    @asynchronous
    async def test_every_name_and_the_fingerprint(self) -> None:
        own = certificates.issue("CT Room 1", dns=("CT1.example", "ct1"), ip=("192.0.2.9", "2001:db8::9"))
        fingerprint = own.signed.fingerprint(hashes.SHA256()).hex()
        self.assertEqual(
            peer_names(await self.caller(own)),
            {"ct room 1", "ct1.example", "ct1", "192.0.2.9", "2001:db8::9", f"sha256:{fingerprint}"},
        )

    @asynchronous
    async def test_none_without_a_certificate(self) -> None:
        self.assertEqual(peer_names(await self.caller(None)), frozenset())

    @asynchronous
    async def test_none_without_tls(self) -> None:
        here = Peer()
        await self.connect_plain(await self.listen_plain(Peer()), here)
        self.assertEqual(peer_names(here.transport), frozenset())

    @asynchronous
    async def test_name_that_poses_as_a_fingerprint_is_left_out(self) -> None:
        posing = certificates.issue("SHA256:" + "ab" * 28)
        self.assertFalse(carries_name(peer_names(await self.caller(posing)), ["sha256:" + "ab" * 28]))

    @asynchronous
    async def test_fingerprint_as_openssl_prints_it(self) -> None:
        own = certificates.client()
        printed = own.signed.fingerprint(hashes.SHA256()).hex(":").upper()
        self.assertTrue(carries_name(peer_names(await self.caller(own)), [f"sha256:{printed}"]))

    @asynchronous
    async def test_name_in_another_case(self) -> None:
        self.assertTrue(carries_name(peer_names(await self.caller(certificates.client())), ["Modality.Example"]))

    @asynchronous
    async def test_another_name(self) -> None:
        self.assertFalse(carries_name(peer_names(await self.caller(certificates.client())), ["other.example"]))
