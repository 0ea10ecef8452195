"""The DICOM objects that the tests send: the ones that pydicom brings along, none from the network."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import attrs
import pydicom

_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"

_PREAMBLE = 132
_GROUP_LENGTH_ELEMENT = 12

UNREADABLE_BY_DCMTK = frozenset(
    {"MR_truncated.dcm", "SC_rgb_jpeg.dcm", "rtdose_rle.dcm", "rtdose_rle_1frame.dcm", "rtplan_truncated.dcm"}
)
"""Samples that DCMTK, and Orthanc with it, refuse to read from their files."""


@attrs.frozen
class Sample:
    """One sendable file. In some the file meta information and the data set name different SOP instances."""

    path: Path
    sop_class: str
    sop_instance: str
    """As the file meta information has it."""
    transfer_syntax: str
    patient: str
    study: str
    series: str

    @property
    def data_set(self) -> bytes:
        """The encoded data set as the file holds it, without preamble and file meta information."""
        return data_set_of(self.path)


def data_set_of(path: Path) -> bytes:
    """The encoded data set of a DICOM file, untouched (PS3.10 7.1)."""
    content = path.read_bytes()
    length = int.from_bytes(content[_PREAMBLE + 8 : _PREAMBLE + _GROUP_LENGTH_ELEMENT], "little")
    return content[_PREAMBLE + _GROUP_LENGTH_ELEMENT + length :]


def data_sets_in(folder: Path) -> list[tuple[str, bytes]]:
    """What a storage SCP wrote into a folder: SOP Instance UIDs and encoded data sets, sorted."""
    written = []
    for path in folder.rglob("*"):
        if path.is_file():
            meta = pydicom.filereader.read_file_meta_info(path)
            written.append((str(meta.MediaStorageSOPInstanceUID), data_set_of(path)))
    return sorted(written)


def _sample(path: Path) -> Sample | None:
    content = path.read_bytes()
    if content[128:136] != b"DICM\x02\x00\x00\x00":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, force=False)
            meta = ds.file_meta
            if not ds.SOPClassUID or not ds.SOPInstanceUID:
                return None
            return Sample(
                path,
                str(meta.MediaStorageSOPClassUID),
                str(meta.MediaStorageSOPInstanceUID),
                str(meta.TransferSyntaxUID),
                str(ds.get("PatientID", "")),
                str(ds.get("StudyInstanceUID", "")),
                str(ds.get("SeriesInstanceUID", "")),
            )
        except Exception:  # several bundled files are broken on purpose
            return None


@cache
def samples() -> tuple[Sample, ...]:
    """Every sendable file that pydicom bundles, in 12 transfer syntaxes; some share a SOP Instance UID."""
    found = (_sample(path) for path in sorted(_FOLDER.glob("*.dcm")))
    return tuple(one for one in found if one is not None)


@cache
def samples_for_dcmtk() -> tuple[Sample, ...]:
    """The samples that DCMTK can send."""
    return tuple(one for one in samples() if one.path.name not in UNREADABLE_BY_DCMTK)


@cache
def distinct_samples() -> tuple[Sample, ...]:
    """Of those, the ones an archive files: with study and series, the first of each SOP Instance UID."""
    return tuple(
        {
            one.sop_instance: one for one in reversed(samples_for_dcmtk()) if one.study and one.series and one.patient
        }.values()
    )


def sample(name: str) -> Sample:
    """The bundled object of one file name."""
    return next(one for one in samples() if one.path.name == name)


@cache
def archive_samples() -> tuple[Sample, ...]:
    """A small patient with several series of one study, as a PACS would hold: pydicom's DICOMDIR example."""
    found = [_sample(path) for path in sorted((_FOLDER / "dicomdirtests" / "77654033").rglob("*")) if path.is_file()]
    return tuple(one for one in found if one is not None)
