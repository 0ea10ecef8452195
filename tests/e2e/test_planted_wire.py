"""The recording relay keeps what crosses, and sees a marker wherever it lies in it."""

from __future__ import annotations

import zlib
from struct import pack

from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.support import pynetdicom_scu
from tests.support.dcmtk import storescp
from tests.support.planted_markers import Mint, found
from tests.support.planted_wire import Wire, messages, seen
from tests.support.process import free_port

_LAST, _COMMAND = 2, 1


def pdv(data: bytes, flags: int, context: int = 1) -> bytes:
    """A P-DATA-TF of one PDV (PS3.8 9.3.5)."""
    value = pack(">IBB", len(data) + 2, context, flags) + data
    return pack(">BxI", 4, len(value)) + value


class Reading(SynchronousTestCase):
    """What is seen in a recorded stream."""

    def setUp(self) -> None:
        mint = Mint("somebody")
        self.word = str(mint.value("SH", "AccessionNumber")).encode()
        self.markers = mint.markers

    def test_a_marker_in_one_piece(self) -> None:
        self.assertEqual(["AccessionNumber"], found(self.markers, seen(pdv(b"x" + self.word, _LAST))))

    def test_a_marker_across_two_pdus(self) -> None:
        stream = pdv(self.word[:3], 0) + pdv(self.word[3:], _LAST)
        self.assertEqual([], found(self.markers, stream))
        self.assertEqual(["AccessionNumber"], found(self.markers, seen(stream)))

    def test_a_marker_in_a_message_that_was_cut(self) -> None:
        self.assertEqual(["AccessionNumber"], found(self.markers, seen(pdv(self.word[:3], 0) + pdv(self.word[3:], 0))))

    def test_a_marker_that_is_deflated(self) -> None:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflate.compress(b"before " + self.word * 3) + deflate.flush()
        stream = pdv(data[:9], 0) + pdv(data[9:], _LAST)
        self.assertEqual(["AccessionNumber"], found(self.markers, seen(stream)))

    def test_data_sets_of_two_contexts_do_not_mix(self) -> None:
        stream = pdv(b"a", 0) + pdv(b"b", _LAST, context=3) + pdv(b"c", _LAST) + pdv(b"d", _LAST | _COMMAND)
        self.assertEqual([(False, b"b"), (False, b"ac"), (True, b"d")], list(messages(stream)))


class Relaying(TestCase):
    """The relay between two peers."""

    async def test_an_association_crosses_and_is_kept(self) -> None:
        peer = await storescp(self)
        wire = Wire.before(self, peer.port)
        await pynetdicom_scu.conversation(wire.port, peer.title, "CALLER", verification(), lambda it: it.send_c_echo())
        self.assertIn(b"CALLER", wire.to_target)
        self.assertEqual((1, 1), (wire.requests, len(wire.conversations)))

    async def test_a_target_that_is_not_there_ends_the_connection(self) -> None:
        wire = Wire.before(self, free_port())
        with self.assertRaises(pynetdicom_scu.Refused):
            await pynetdicom_scu.conversation(wire.port, "ANY", "CALLER", verification(), lambda it: None)


def verification() -> list[PresentationContext]:
    """The context of a C-ECHO."""
    return [build_context(Verification)]
