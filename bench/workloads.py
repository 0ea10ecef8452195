"""The objects that are sent: valid DICOM files of a wanted size, made with pydicom."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from bench import ct_head

KIB = 1024
MIB = 1024 * KIB


@frozen
class Workload:
    """A number of objects of one size."""

    name: str
    objects: int
    pixel_bytes: int
    has_full_head: bool = False
    """Whether the objects carry what a scanner writes, not only what the standard requires."""

    @property
    def megabytes(self) -> float:
        """What is sent, in MB of 10**6 bytes, headers left out."""
        return self.objects * self.pixel_bytes / 1e6

    def write(self, parent: Path) -> Path:
        """Write the objects as files into a new directory beneath ``parent``, and return it."""
        directory = parent / self.name.replace(" ", "-").replace("'", "")
        directory.mkdir(parents=True)
        study, series = new_uid(), new_uid()
        # Not all zero, so that nothing on the way can be clever about it; the same in all, for speed.
        pixels = bytes(range(256)) * (self.pixel_bytes // 256)
        for index in range(self.objects):
            data_set = new_object(study, series, index, pixels)
            if self.has_full_head:
                ct_head.fill(data_set, index)
            data_set.save_as(directory / f"{index:05d}.dcm", enforce_file_format=True)
        return directory

    def scaled(self, divisor: int) -> Workload:
        """The same with fewer objects, at least one."""
        return Workload(self.name, max(1, self.objects // divisor), self.pixel_bytes, self.has_full_head)


CT = Workload("300 CT of 512 KiB", 300, 512 * KIB)
BIG = Workload("2 objects of 200 MiB", 2, 200 * MIB)
FULL_CT = Workload("300 CT of 512 KiB with a scanner's head", 300, 512 * KIB, has_full_head=True)
SMALL = Workload("500 small objects", 500, 12 * KIB)


def new_uid() -> str:
    """One that nobody has seen, with room for a number behind it."""
    return str(generate_uid(prefix=None))


def new_object(study: str, series: str, index: int, pixels: bytes) -> Dataset:
    """An image with what the standard requires of it: a CT, or where it is small, an MR.

    The instances of a series are numbered, as those of scanners are.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if len(pixels) >= 64 * KIB else MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{series}.{index + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set = Dataset()
    data_set.file_meta = meta
    data_set.SOPClassUID = meta.MediaStorageSOPClassUID
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data_set.Modality = "CT" if meta.MediaStorageSOPClassUID == CTImageStorage else "MR"
    data_set.PatientName = "Bench^Mark"
    data_set.PatientID = "BENCH"
    data_set.StudyInstanceUID = study
    data_set.SeriesInstanceUID = series
    data_set.InstanceNumber = index + 1
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.BitsAllocated = 16
    data_set.BitsStored = 12
    data_set.HighBit = 11
    data_set.PixelRepresentation = 0
    # Columns are fixed, so that 200 MiB fit: both values are 16 bits wide.
    data_set.Columns = 128 if len(pixels) < 64 * KIB else 512 if len(pixels) < MIB else 4096
    data_set.Rows = len(pixels) // (2 * data_set.Columns)
    data_set.PixelData = pixels
    return data_set
