"""Objects whose pixels are blanked on their way across a border."""

from __future__ import annotations

from struct import pack

from dimseproxy.dimse.parts import DataSetFragment
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.policy import Blank, compile_policy
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.relay.test_border import AtABorder, an_object, read, storing

PIXEL_DATA = b"\xe0\x7f\x10\0"


def an_image(table: bytes, pixels: bytes) -> bytes:
    """One of ten by ten pixels of a byte, with a look-up table if there is one."""
    described = {0x0010: b"\x0a\0", 0x0011: b"\x0a\0", 0x0100: b"\x08\0", 0x1201: table}
    elements = b"".join(pack("<HHI", 0x0028, tag, len(value)) + value for tag, value in described.items() if value)
    return an_object(pixels=pixels).replace(PIXEL_DATA, elements + PIXEL_DATA)


class BlankingTests(AtABorder):
    def setUp(self) -> None:
        super().setUp()
        policy = compile_policy(burned_in="blank", blanks=[Blank(((0, 0, 10, 2),))])
        privacy = Privacy(policy, self.names, lambda: b"k" * 32)
        self.border = Border(self.peer, privacy, Direction.TO_PSEUDONYMS, self.clock)
        self.border.use(self.user)

    def test_a_region_is_blanked(self) -> None:
        self.border.send(storing(data=an_image(b"", b"\1" * 100)))
        self.assertEqual(read(self.peer.sent).PixelData, bytes(20) + b"\1" * 80)

    def test_behind_a_long_look_up_table_too(self) -> None:
        self.border.send(storing(data=an_image(bytes(131_072), b"\1" * 100)))
        self.assertEqual(read(self.peer.sent).PixelData, bytes(20) + b"\1" * 80)

    def test_pixel_data_that_are_not_as_long_as_the_image_do_not_leave(self) -> None:
        for table in (b"", bytes(131_072)):
            self.border.send(storing(data=an_image(table, b"\1" * 90)))
            left = b"".join(bytes(part) for part in self.peer.sent if isinstance(part, DataSetFragment))
            self.assertNotIn(b"\1" * 20, left)
