"""Callers that no toolkit would make: odd titles, other address families, and those that stall."""

from __future__ import annotations

from typing import Any

from tests.e2e.base import EndToEnd
from tests.support.dcmtk import checked, scu, storescp
from tests.support.process import free_port
from tests.support.proxy import ProxyProcess, application, relay
from tests.support.pynetdicom_scp import PynetdicomScp, pynetdicom_scp
from tests.support.pynetdicom_scu import Refusal, refusal
from tests.support.raw import ABORT, ACCEPT, REJECT, answer, association_request, stall
from tests.support.threads import in_thread

ELSEWHERE = "203.0.113.9"
"""An address that no caller here has (RFC 5737)."""


STALLS = (
    b"",
    b"\x01\x00\x00",
    association_request(b"SHIELD", b"CALLER")[:26],
    b"\x01\x00\xff\xff\xff\xff",
    b"GET / HTTP/1.1\r\n\r\n",
)
"""What callers send before they stall: nothing, half a header, half a request, a huge length, another protocol."""

LOOK_ALIKES = (b"known", b"KNOWN\0X", b"KNOWN\\OTHER", b"KNO WN", b" " * 16, b"\0" * 16, b"*", b"KNOWN*")
"""Titles that differ from KNOWN in case, by a NUL, a backslash, a space, or are no title at all."""


class OddTitles(EndToEnd):
    """Only KNOWN may call, and only SHIELD may be called."""

    def setUp(self) -> None:
        self.needs_proxy()
        self.peer = pynetdicom_scp(self)

    async def answers(self, *titles: tuple[bytes, bytes]) -> list[int]:
        """The types of the PDUs that answer requests with called and calling titles."""
        front = await self.before(
            self.peer.port,
            self.peer.title,
            unknown_applications="refuse",
            applications={"KNOWN": application(104)},
            route={"called": "SHIELD"},
        )
        return [(await answer(front.port, association_request(*pair)))[0] for pair in titles]

    async def test_spaces_around_a_title_are_not_significant(self) -> None:
        self.assertEqual(
            [ACCEPT] * 3, await self.answers((b"SHIELD", b"KNOWN"), (b"SHIELD", b"  KNOWN"), (b" SHIELD", b"KNOWN"))
        )

    async def test_what_looks_like_a_known_calling_title_is_refused(self) -> None:
        answers = await self.answers(*((b"SHIELD", title) for title in LOOK_ALIKES))
        self.assertLessEqual(set(answers), {REJECT, ABORT})
        self.assertEqual([], self.peer.requests)

    async def test_what_looks_like_a_routed_called_title_is_refused(self) -> None:
        odd = (b"shield", b"SHIELD\\X", b"SHI ELD", b" " * 16, b"*")
        answers = await self.answers(*((title, b"KNOWN") for title in odd))
        self.assertLessEqual(set(answers), {REJECT, ABORT})
        self.assertEqual([], self.peer.requests)


class MappedAddresses(EndToEnd):
    """An IPv4 caller of a dual-stack listener is the same caller (``::ffff:127.0.0.1``)."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def listening(self, peer: PynetdicomScp, **settings: Any) -> int:
        port = free_port()
        config = relay(port, peer.port, peer.title, unknown_applications="refuse", **settings)
        config["inbound"]["clinic"]["dimse"]["listen"] = f"tcp6:{port}:interface=\\:\\:ffff\\:127.0.0.1"
        await ProxyProcess.start(self, config, port)
        return port

    async def test_a_title_at_its_address(self) -> None:
        port = await self.listening(pynetdicom_scp(self), applications={"KNOWN": application(104)})
        self.assertEqual(ACCEPT, (await answer(port, association_request(b"SHIELD", b"KNOWN")))[0])

    async def test_a_title_of_another_address(self) -> None:
        peer = pynetdicom_scp(self)
        port = await self.listening(peer, applications={"KNOWN": {"host": ELSEWHERE, "port": 104}})
        self.assertEqual(Refusal(1, 1, 3), await refusal(port, "SHIELD", "KNOWN"))


class Stalled(EndToEnd):
    """The PACS behind never notices a stalled caller: storescp alone serves nobody while one stalls."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def test_an_echo_succeeds_beside_callers_that_stall_everywhere(self) -> None:
        peer = await storescp(self)
        front = await self.before(peer.port, peer.title)
        for sent in STALLS * 5:
            connection = await in_thread(stall, front.port, sent)
            self.addCleanup(connection.close)
        await checked(self, scu("echoscu", front.port, front.title, "ECHOSCU", options=["-ta", "10"]))
