"""The head of the files that objects are kept in."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmread
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.part10 import NoFile, data_set_offset, file_head
from tests.association.playing import CT, EXPLICIT

HEAD = file_head(CT, "1.2.3", EXPLICIT, "MODALITY")


class FileHeadTests(TestCase):
    def test_pydicom_reads_it(self) -> None:
        read = dcmread(BytesIO(HEAD + b"\x08\x00\x60\x00CS\x02\x00CT"))
        meta = read.file_meta
        self.assertEqual(
            (
                meta.MediaStorageSOPClassUID,
                meta.MediaStorageSOPInstanceUID,
                meta.TransferSyntaxUID,
                meta.SourceApplicationEntityTitle,
                meta.FileMetaInformationVersion,
                read.Modality,
            ),
            (CT, "1.2.3", EXPLICIT, "MODALITY", b"\0\x01", "CT"),
        )

    def test_no_title_no_element(self) -> None:
        meta = dcmread(BytesIO(file_head(CT, "1.2.3", EXPLICIT, ""))).file_meta
        self.assertNotIn("SourceApplicationEntityTitle", meta)

    def test_the_data_set_begins_behind_it(self) -> None:
        self.assertEqual(data_set_offset(HEAD + b"data set"), len(HEAD))

    def test_nothing_else_is_a_file(self) -> None:
        for data in (b"", HEAD[:140], b"x" * 400, HEAD[:136] + b"US" + HEAD[138:]):
            self.assertRaises(NoFile, data_set_offset, data)
