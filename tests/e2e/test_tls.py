"""TLS with DCMTK on both legs (PS3.15 B.9, B.10), and the caller's address behind a load balancer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.base import EndToEnd
from tests.support.certificates import Authority, Identity
from tests.support.dcmtk import checked, scu, storescp
from tests.support.haproxy import haproxy
from tests.support.objects import sample
from tests.support.process import Result, free_port, run, scratch
from tests.support.proxy import ProxyProcess, application, relay
from tests.support.pynetdicom_scp import pynetdicom_scp
from tests.support.pynetdicom_scu import Refusal, refusal
from tests.support.raw import ACCEPT, REJECT, answer, association_request

CT = sample("CT_small.dcm")


def dcmtk_tls(identity: Identity, ca: Path, *more: str) -> list[str]:
    """DCMTK's options for TLS with a certificate of one's own."""
    return ["+tls", str(identity.key), str(identity.certificate), "+cf", str(ca), *more]


def tls_of(identity: Identity, **more: Any) -> dict[str, str]:
    """The proxy's `tls` setting for a certificate of its own."""
    return {
        "certificate": str(identity.certificate),
        "key": str(identity.key),
        **{key: str(value) for key, value in more.items()},
    }


class Secured(EndToEnd):
    """Certificates of one authority for the proxy, the caller and the PACS."""

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.authority = Authority(self.folder)
        self.ca = self.authority.file
        self.proxys = self.authority.issue("proxy.example")
        self.callers = self.authority.issue("caller.example")
        self.pacs = self.authority.issue("pacs.example")

    async def store(self, port: int, called: str, *options: str) -> Result:
        return await run(self, scu("storescu", port, called, "STORESCU", str(CT.path), options=options))


class NearLeg(Secured):
    """Callers come by TLS."""

    def setUp(self) -> None:
        self.needs_proxy()
        super().setUp()

    async def test_storescu_stores(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        result = await self.store(front.port, front.title, *dcmtk_tls(self.callers, self.ca))
        self.assertEqual((0, 1), (result.code, len(peer.received)), result.output)

    async def test_every_bcp_195_profile_of_dcmtk_is_served(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        for profile in "+py", "+px", "+pz":
            await checked(
                self,
                scu("echoscu", front.port, front.title, "ECHOSCU", options=dcmtk_tls(self.callers, self.ca, profile)),
            )

    async def test_a_caller_without_a_certificate(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        result = await self.store(front.port, front.title, "+tla", "+cf", str(self.ca))
        self.assertEqual((True, []), (result.code != 0, peer.received))

    async def test_a_caller_of_another_authority(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        stranger = Authority(scratch(self), "Other CA").issue("caller.example")
        result = await self.store(front.port, front.title, *dcmtk_tls(stranger, self.ca))
        self.assertEqual((True, []), (result.code != 0, peer.received))

    async def test_a_caller_whose_certificate_has_expired(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        expired = self.authority.issue("expired.example", valid_from_days=-1, valid_for_days=0)
        result = await self.store(front.port, front.title, *dcmtk_tls(expired, self.ca))
        self.assertEqual((True, []), (result.code != 0, peer.received))

    async def test_a_caller_without_tls(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, inbound={"tls": tls_of(self.proxys, client_ca=self.ca)})
        result = await self.store(front.port, front.title)
        self.assertEqual((True, []), (result.code != 0, peer.received))

    async def test_a_title_bound_to_a_certificate(self) -> None:
        peer = await storescp(self)
        front = await self.before(
            peer.port,
            peer.title,
            unknown_applications="refuse",
            inbound={"tls": tls_of(self.proxys, client_ca=self.ca)},
            applications={"STORESCU": application(104, certificate=["caller.example"])},
        )
        result = await self.store(front.port, front.title, *dcmtk_tls(self.callers, self.ca))
        self.assertEqual((0, 1), (result.code, len(peer.received)), result.output)

    async def test_a_title_with_the_certificate_of_another(self) -> None:
        peer = await storescp(self)
        front = await self.before(
            peer.port,
            peer.title,
            unknown_applications="refuse",
            inbound={"tls": tls_of(self.proxys, client_ca=self.ca)},
            applications={"STORESCU": application(104, certificate=["caller.example"])},
        )
        result = await self.store(front.port, front.title, *dcmtk_tls(self.pacs, self.ca))
        self.assertIn("Calling AE Title Not Recognized", result.output)
        self.assertEqual([], peer.received)


class FarLeg(Secured):
    """The PACS is called by TLS; a title that answers is not enough."""

    async def test_storescp_stores(self) -> None:
        peer = await storescp(self, *dcmtk_tls(self.pacs, self.ca))
        front = await self.before(peer.port, peer.title, outbound={"tls": tls_of(self.proxys, ca=self.ca)})
        options = [] if front.proxy else dcmtk_tls(self.callers, self.ca)
        result = await self.store(front.port, front.title, *options)
        self.assertEqual((0, 1), (result.code, len(peer.received)), result.output)

    async def test_both_legs(self) -> None:
        peer = await storescp(self, *dcmtk_tls(self.pacs, self.ca))
        front = await self.before(
            peer.port,
            peer.title,
            outbound={"tls": tls_of(self.proxys, ca=self.ca)},
            inbound={"tls": tls_of(self.proxys, client_ca=self.ca)},
        )
        result = await self.store(front.port, front.title, *dcmtk_tls(self.callers, self.ca))
        self.assertEqual((0, 1), (result.code, len(peer.received)), result.output)

    async def test_a_pacs_of_another_authority(self) -> None:
        self.needs_proxy()
        stranger = Authority(scratch(self), "Other CA").issue("pacs.example")
        peer = await storescp(self, *dcmtk_tls(stranger, self.ca, "-ic"))
        front = await self.before(peer.port, peer.title, outbound={"tls": tls_of(self.proxys, ca=self.ca)})
        result = await self.store(front.port, front.title)
        self.assertEqual((True, []), (result.code != 0, peer.received))
        self.assertIn("Association Rejected", result.output)

    async def test_a_pacs_without_tls(self) -> None:
        self.needs_proxy()
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title, outbound={"tls": tls_of(self.proxys, ca=self.ca)})
        result = await self.store(front.port, front.title)
        self.assertIn("Association Rejected", result.output)


class BehindALoadBalancer(EndToEnd):
    """HAProxy tells where the caller is (PROXY protocol, Twisted's `haproxy:` endpoints)."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def balanced(self, port: int, title: str, version: str, **settings: Any) -> int:
        _, at = await self.behind(port, title, **settings)
        return await haproxy(self, at, version)

    async def behind(self, port: int, title: str, **settings: Any) -> tuple[ProxyProcess, int]:
        """The proxy, and where only a balancer should call."""
        at = free_port()
        config = relay(at, port, title, **settings)
        config["inbound"]["clinic"]["dimse"]["listen"] = f"haproxy:tcp:{at}:interface=127.0.0.1"
        return await ProxyProcess.start(self, config, at), at

    async def test_an_object_crosses_both(self) -> None:
        for version in "send-proxy", "send-proxy-v2":
            peer = await storescp(self)
            front = await self.balanced(peer.port, peer.title, version)
            await checked(self, scu("storescu", front, "SHIELD", "STORESCU", str(CT.path)))
            self.assertEqual([CT.sop_instance], [uid for uid, _ in peer.received])

    async def test_the_callers_address_is_the_one_that_counts(self) -> None:
        # HAProxy calls the proxy from 127.0.0.1, and is called from there: a title of another host is refused.
        peer = pynetdicom_scp(self)
        front = await self.balanced(
            peer.port,
            peer.title,
            "send-proxy-v2",
            unknown_applications="refuse",
            applications={"ECHOSCU": {"host": "127.0.0.2", "port": 104}},
        )
        self.assertEqual(Refusal(1, 1, 3), await refusal(front, "SHIELD", "ECHOSCU"))

    async def test_a_caller_at_no_address_is_not_whoever_is_where_the_balancer_is(self) -> None:
        peer = pynetdicom_scp(self)
        here = {"ECHOSCU": {"host": "127.0.0.1", "port": 104}}
        _, at = await self.behind(peer.port, peer.title, unknown_applications="refuse", applications=here)
        request = association_request(b"SHIELD", b"ECHOSCU")
        known = await answer(at, b"PROXY TCP4 127.0.0.1 127.0.0.1 1024 104\r\n" + request)
        unknown = await answer(at, b"PROXY UNKNOWN\r\n" + request)
        self.assertEqual((ACCEPT, REJECT), (known[0], unknown[0]))

    async def test_a_malformed_header_is_one_line_of_the_log(self) -> None:
        peer = pynetdicom_scp(self)
        proxy, at = await self.behind(peer.port, peer.title)
        self.assertEqual(b"", await answer(at, b"PROXY TCP4 127.0.0.1 127.0.0.1 DOE 104\r\n"))
        self.assertIn("info connection from 127.0.0.1: cut, its PROXY header is malformed\n", proxy.log)
        self.assertNotIn("DOE", proxy.log)
