"""What is found in a folder, and what a file says of its object."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from struct import Struct

from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, MediaStorageDirectoryStorage
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.commands.dicom_files import BrokenFile, DicomFile, NoDicomFile, files_in, look_at

INSTANCE = UID("1.2.3.4")


def file_of(
    sop_class: UID = CTImageStorage, syntax: UID = ExplicitVRLittleEndian, instance: UID = INSTANCE, **meta: object
) -> bytes:
    """A small DICOM file, as pydicom writes it."""
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, instance
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = sop_class
    data_set.file_meta.MediaStorageSOPInstanceUID = instance
    for keyword, value in meta.items():
        setattr(data_set.file_meta, keyword, value)
    out = BytesIO()
    dcmwrite(out, data_set, enforce_file_format=True)
    return out.getvalue()


def wrapped(data_set: bytes, sop_instance: str) -> bytes:
    """The DICOM file of a data set, with what its file meta information says of the instance."""
    head = file_of(instance=UID(sop_instance))
    (length,) = Struct("<I").unpack_from(head, 140)
    return head[: 144 + length] + data_set


class LookAtTests(SynchronousTestCase):
    """One file."""

    def look_at(self, content: bytes) -> DicomFile:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return look_at(path)

    def assert_none(self, content: bytes, reason: str) -> None:
        self.assertIn(reason, str(self.assertRaises(NoDicomFile, self.look_at, content)))

    def assert_broken(self, content: bytes, reason: str) -> None:
        self.assertIn(reason, str(self.assertRaises(BrokenFile, self.look_at, content)))

    def test_it_says_what_it_is(self) -> None:
        found = self.look_at(file_of(syntax=JPEGBaseline8Bit))
        expected = (CTImageStorage, INSTANCE, JPEGBaseline8Bit)
        self.assertEqual((found.sop_class, found.sop_instance, found.transfer_syntax), expected)

    def test_the_data_set_follows(self) -> None:
        content = file_of()
        found = self.look_at(content)
        self.assertTrue(content[found.offset :].startswith(b"\x08\x00\x16\x00UI"))
        self.assertEqual(found.offset + found.length, len(content))

    def test_a_wrong_group_length_does_not_mislead(self) -> None:
        content = bytearray(file_of())
        content[140:144] = b"\xff\xff\xff\x7f"
        self.assertEqual(self.look_at(bytes(content)).offset, self.look_at(file_of()).offset)

    def test_private_information_is_stepped_over(self) -> None:
        content = file_of(PrivateInformationCreatorUID="1.2", PrivateInformation=b"\0" * 5000)
        self.assertTrue(content[self.look_at(content).offset :].startswith(b"\x08\x00\x16\x00UI"))

    def test_what_is_no_dicom_file_is_none(self) -> None:
        for content in (b"", b"DICM", b"\0" * 128, b"\0" * 128 + b"DICX" + b"\0" * 100, b"text\n" * 100):
            self.assert_none(content, "is no DICOM file")

    def test_a_dicomdir_is_none(self) -> None:
        self.assert_none(file_of(sop_class=MediaStorageDirectoryStorage), "is a DICOMDIR")

    def test_a_file_without_its_uids_is_broken(self) -> None:
        header = b"\0" * 128 + b"DICM"
        meta = b"\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\0\0"
        self.assert_broken(header + meta + b"\x08\x00\x16\x00UI\x00\x00", "does not say which object it is")

    def test_a_file_without_a_data_set_is_broken(self) -> None:
        content = file_of()
        self.assert_broken(content[: self.look_at(content).offset], "ends")

    @given(st.integers(0, 400))
    def test_a_file_cut_short_is_read_or_refused(self, length: int) -> None:
        content = file_of()[:length]
        try:
            found = self.look_at(content)
        except (NoDicomFile, BrokenFile):
            return
        self.assertLess(found.offset, length)

    @given(st.binary(max_size=200))
    def test_any_meta_information_is_read_or_refused(self, meta: bytes) -> None:
        try:
            found = self.look_at(b"\0" * 128 + b"DICM" + meta)
        except (NoDicomFile, BrokenFile):
            return
        self.assertGreater(found.length, 0)

    def test_it_does_not_show_whose_it_is(self) -> None:
        self.assertNotIn(INSTANCE, repr(self.look_at(file_of())))


class FilesInTests(SynchronousTestCase):
    """A folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        for name in ("b/2", "b/1", "a", "c/d/3"):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def test_all_of_it_is_found_in_order(self) -> None:
        found = [path.relative_to(self.folder).as_posix() for path in files_in(self.folder)]
        self.assertEqual(found, ["a", "b/1", "b/2", "c/d/3"])

    def test_a_link_back_does_not_lead_round(self) -> None:
        (self.folder / "c" / "back").symlink_to(self.folder)
        self.assertEqual(len(list(files_in(self.folder))), 4)

    def test_a_linked_file_is_found(self) -> None:
        (self.folder / "z").symlink_to(self.folder / "a")
        self.assertEqual([path.name for path in files_in(self.folder)][-1], "z")

    def test_a_link_to_nothing_is_no_file(self) -> None:
        (self.folder / "z").symlink_to(self.folder / "gone")
        self.assertEqual(len(list(files_in(self.folder))), 4)
