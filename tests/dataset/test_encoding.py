"""Which transfer syntax encodes a data set how, and which VR a tag has."""

from __future__ import annotations

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dataset.vr import SEQUENCES, dictionary_vr, private_vr

#: What is no data set of PS3.5 (real-time video, MIME, XML), and one that was never the standard's.
NO_DATA_SETS = ("1.2.840.10008.1.2.6", "1.2.840.10008.1.2.7", "1.2.840.10008.1.20")


class EncodingTests(SynchronousTestCase):
    def test_every_transfer_syntax_of_the_standard_is_known_as_pydicom_knows_it(self) -> None:
        syntaxes = [UID(uid) for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"]
        self.assertGreater(len(syntaxes), 50)
        for syntax in syntaxes:
            encoding = encoding_of(syntax)
            if syntax.startswith(NO_DATA_SETS):
                self.assertIsNone(encoding, syntax)
                continue
            assert encoding is not None, syntax
            self.assertEqual(
                (encoding.is_implicit, encoding.is_little_endian),
                (syntax.is_implicit_VR, syntax.is_little_endian),
                syntax,
            )

    def test_what_is_deflated_as_a_whole(self) -> None:
        deflated = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
        for syntax in (*deflated, "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.4.94"):
            encoding = encoding_of(syntax)
            assert encoding is not None, syntax
            self.assertEqual(encoding.is_deflated, syntax in deflated, syntax)

    def test_a_private_one_is_not_known(self) -> None:
        self.assertIsNone(encoding_of("1.2.840.113619.5.2"))


class DictionaryTests(SynchronousTestCase):
    def test_known_tags(self) -> None:
        for tag, vr in ((0x00100010, "PN"), (0x00081110, "SQ"), (0x0040A730, "SQ"), (0x00080018, "UI")):
            self.assertEqual(dictionary_vr(tag), vr)

    def test_a_choice_is_made(self) -> None:
        for tag, vr in ((0x00280106, "US"), (0x7FE00010, "OW"), (0x00283006, "OW")):
            self.assertEqual(dictionary_vr(tag), vr)

    def test_repeating_groups(self) -> None:
        for tag, vr in ((0x60003000, "OW"), (0x60FE0010, "US"), (0x50022600, "SQ"), (0x00203102, "CS")):
            self.assertEqual(dictionary_vr(tag), vr)
        self.assertTrue({0x50002600, 0x50FE2600} <= SEQUENCES)

    def test_unknown_tags(self) -> None:
        for tag in (0x00090010, 0x12340010, 0x00100011, 0xFFFEE000):
            self.assertIsNone(dictionary_vr(tag))

    def test_private_ones_by_their_creator(self) -> None:
        self.assertEqual(private_vr(0x2001105F, "Philips Imaging DD 001"), "SQ")
        self.assertIsNone(private_vr(0x2001105F, "ACME"))
