"""The pynetdicom proxy of the benchmarks takes out what it must, or its speed says nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage
from twisted.trial.unittest import TestCase

from bench import ct_head
from bench.pynetdicom_proxy import Pseudonyms, pseudonymise
from bench.workloads import KIB, new_object

MARKERS = [text.encode() for text in ("Bench", "BENCH", *ct_head.MARKERS, ct_head.UID_ROOT)]


def encoded(data_set: Dataset) -> bytes:
    """A data set in explicit VR little endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data_set)
    return buffer.getvalue()


class Pseudonymising(TestCase):
    """One object with a scanner's head."""

    def setUp(self) -> None:
        self.pseudonyms = Pseudonyms(Path(self.mktemp()))
        self.object = new_object(f"{ct_head.UID_ROOT}7", f"{ct_head.UID_ROOT}8", 0, bytes(64 * KIB))
        ct_head.fill(self.object, 0)

    def test_the_object_shows_originals_before(self) -> None:
        """The search of the next test could find something."""
        for marker in MARKERS:
            self.assertIn(marker, encoded(self.object))

    def test_no_original_is_left(self) -> None:
        """At any depth, and in private attributes."""
        pseudonymise(self.object, self.pseudonyms)
        for marker in MARKERS:
            self.assertNotIn(marker, encoded(self.object))

    def test_the_same_original_has_one_pseudonym(self) -> None:
        """A study stays a study."""
        other = new_object(f"{ct_head.UID_ROOT}7", f"{ct_head.UID_ROOT}8", 1, b"")
        pseudonymise(self.object, self.pseudonyms)
        pseudonymise(other, self.pseudonyms)
        self.assertEqual(self.object.StudyInstanceUID, other.StudyInstanceUID)
        self.assertNotEqual(self.object.SOPInstanceUID, other.SOPInstanceUID)

    def test_what_the_standard_defines_is_no_identity(self) -> None:
        """The SOP class is left as it is."""
        pseudonymise(self.object, self.pseudonyms)
        self.assertEqual(self.object.SOPClassUID, CTImageStorage)

    def test_the_table_keeps_each_original_once_and_not_in_the_clear(self) -> None:
        """As the vault of dimseproxy does."""
        file = Path(self.mktemp())
        pseudonyms = Pseudonyms(file)
        first = pseudonyms.text("Bench")
        pseudonyms.text("Bench")
        pseudonyms.keep()
        pseudonyms.keep()
        with sqlite3.connect(file) as database:
            rows = database.execute("SELECT pseudonym, original FROM originals").fetchall()
        self.assertEqual([row[0] for row in rows], [first])
        self.assertNotIn(b"Bench", rows[0][1])
