"""Values that say nothing."""

from __future__ import annotations

import warnings

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.dummies import dummy
from dimseproxy.privacy.values import TEXT


class Dummy(SynchronousTestCase):
    def test_pydicom_takes_it_for_a_valid_value(self) -> None:
        for vr in ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"):
            data_set = Dataset()
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                data_set.add_new(0x00091001, vr, dummy(0x00091001, vr).decode("ascii"))

    def test_numbers_have_the_width_of_their_vr(self) -> None:
        widths = {"US": 2, "SS": 2, "OW": 2, "UL": 4, "FL": 4, "AT": 4, "FD": 8, "SV": 8, "OB": 2, "UN": 2, "??": 2}
        self.assertEqual({vr: len(dummy(0x00091001, vr)) for vr in widths}, widths)

    def test_there_are_as_many_values_as_there_must_be(self) -> None:
        self.assertEqual(dummy(0x00700014, "FL"), bytes(8))
        self.assertEqual(dummy(0x00080008, "CS"), b"ANONYMIZED\\ANONYMIZED")
        self.assertEqual(dummy(0x00200037, "DS"), b"0\\0\\0\\0\\0\\0")

    def test_of_every_text_of_the_dictionary(self) -> None:
        wrong = []
        for tag, (vr, multiplicity, *_) in DicomDictionary.items():
            least = int(multiplicity.partition("-")[0])
            if vr in TEXT - {"UI"} and dummy(tag, vr).count(b"\\") + 1 < least:
                wrong.append(hex(tag))
        self.assertEqual([], wrong)

    def test_another_vr_than_that_of_the_dictionary_is_what_counts(self) -> None:
        self.assertEqual(dummy(0x00700022, "OF"), bytes(4))

    def test_numbers_are_in_the_byte_order_of_their_data_set(self) -> None:
        both = [dummy(0x00700021, "US", is_little_endian) for is_little_endian in (True, False)]
        self.assertEqual(both, [b"\6\0", b"\0\6"])
