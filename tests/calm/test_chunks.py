"""However an exchange is cut into pieces, the same arrives at both ends (field note A7)."""

from __future__ import annotations

import random

from twisted.internet.task import cooperate

from dimseproxy.ul.pdu import ReleaseRequest, ReleaseResponse
from tests.association.handshaking import asynchronous
from tests.association.playing import CT, VERIFICATION, a_request, echo, fragment, store, wire
from tests.calm.house import CalmTestCase, Socket, until

REQUEST = wire(a_request(VERIFICATION, CT, called="SHIELD", maximum=16384))
OBJECTS = [random.Random(size).randbytes(size) for size in (1, 100, 3001, 70000)]
EXCHANGE = b"".join(
    [
        wire(echo(1)),
        *(wire(store(index + 2, data, context_id=3)) for index, data in enumerate(OBJECTS)),
        # A data set in tiny pieces, one of them empty, odd ones between.
        wire(store(90, context_id=3)[0]),
        *(
            wire(fragment(piece, context_id=3, is_last=index == 3))
            for index, piece in enumerate((b"odd", b"", b"even", b"end!!"))
        ),
        wire(ReleaseRequest()),
    ]
)


class ChunkTests(CalmTestCase):
    async def _exchange(self, cut: list[bytes]) -> Socket:
        socket = await self.connects(REQUEST)
        await until(lambda: socket.heard)
        await cooperate(map(socket.says, cut)).whenDone()
        await until(lambda: socket.pdus[-1] == ReleaseResponse())
        return socket

    async def _the_same(self, cut: list[bytes]) -> None:
        whole = await self._exchange([EXCHANGE])
        objects, self.pacs.objects = self.pacs.objects, []
        pieces = await self._exchange(cut)
        self.assertEqual(objects, [*OBJECTS, b"oddevenend!!"])
        self.assertEqual((self.pacs.objects, pieces.pdus), (objects, whole.pdus))

    @asynchronous
    async def test_a_byte_at_a_time(self) -> None:
        small = EXCHANGE[:4000]
        await self._the_same([*(small[i : i + 1] for i in range(len(small))), EXCHANGE[4000:]])

    @asynchronous
    async def test_random_pieces(self) -> None:
        for seed in range(5):
            source, offset, cut = random.Random(seed), 0, []
            while offset < len(EXCHANGE):
                size = source.choice((1, 5, 11, 12, 13, 1000, 16384))
                cut.append(EXCHANGE[offset : offset + size])
                offset += size
            self.pacs.objects.clear()
            await self._the_same(cut)

    @asynchronous
    async def test_header_and_body_apart(self) -> None:
        cut, offset = [], 0
        while offset < len(EXCHANGE):
            length = int.from_bytes(EXCHANGE[offset + 2 : offset + 6], "big")
            cut += [EXCHANGE[offset : offset + 6], EXCHANGE[offset + 6 : offset + 6 + length]]
            offset += 6 + length
        await self._the_same(cut)
