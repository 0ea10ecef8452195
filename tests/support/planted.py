"""Planted objects: data sets with a marker of its own in every place where identity hides.

`planted` makes an object of a kind, in a transfer syntax and a character set; its markers are what must not be on the
side of the pseudonyms. Two objects of one subject share patient and study, as those of an archive do.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import attrs
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.support.objects import Sample
from tests.support.objects import sample as bundled
from tests.support.planted_kinds import COLUMNS, KINDS, ROWS, Kind
from tests.support.planted_markers import (
    CHARACTER_SETS,
    CHINESE,
    CYRILLIC,
    JAPANESE,
    LATIN,
    UNICODE,
    CharacterSet,
    Marker,
    Mint,
    found,
    of_keywords,
)
from tests.support.planted_places import (
    INSTANCE,
    PATIENT,
    SERIES,
    STUDY,
    declare,
    identify,
    item,
    plant,
    plant_behind_pixels,
    plant_groups,
    plant_icon,
    plant_private,
    plant_sequences,
    plant_table,
    plant_unknown,
)

__all__ = [
    "CHARACTER_SETS",
    "CHINESE",
    "CYRILLIC",
    "JAPANESE",
    "KINDS",
    "LATIN",
    "SYNTAXES",
    "UNICODE",
    "CharacterSet",
    "Marker",
    "Planted",
    "combinations",
    "every_object",
    "found",
    "of_keywords",
    "planted",
    "planted_answer",
    "planted_step",
    "planted_table",
]

RAW_DATA_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66"

SYNTAXES: Final = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "jpeg": JPEGBaseline8Bit,
    "rle": RLELossless,
}
"""A transfer syntax of each class, by name."""

_ENCAPSULATED: Final = frozenset(("jpeg", "rle"))

#: How many bytes of a value one PackBits run copies at most (PS3.5 G.3.1).
_LONGEST_RUN: Final = 128
_RLE_HEADER: Final = 64
#: Where the file meta information begins to count its length (PS3.10 7.1).
_FILE_META: Final = 144


@attrs.frozen
class Planted:
    """An object, and the markers in it."""

    kind: str
    syntax: str
    character_set: CharacterSet
    dataset: Dataset = attrs.field(repr=False)
    markers: tuple[Marker, ...] = attrs.field(repr=False)

    @property
    def content(self) -> bytes:
        """The DICOM file (PS3.10 7.1)."""
        buffer = io.BytesIO()
        # BE and implicit VR go by the transfer syntax of the file meta information.
        self.dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    def write(self, folder: Path) -> Sample:
        """Write the file, for peers that send files."""
        ds = self.dataset
        path = folder / f"{ds.SOPInstanceUID}.dcm"
        path.write_bytes(self.content)
        return Sample(
            path,
            str(ds.SOPClassUID),
            str(ds.SOPInstanceUID),
            str(ds.file_meta.TransferSyntaxUID),
            str(ds.PatientID),
            str(ds.StudyInstanceUID),
            str(ds.SeriesInstanceUID),
        )

    @property
    def data_set(self) -> bytes:
        """The encoded data set alone, as it crosses the wire."""
        content = self.content
        length = int.from_bytes(content[_FILE_META - 4 : _FILE_META], "little")
        return content[_FILE_META + length :]

    def except_for(self, *keywords: str) -> list[Marker]:
        """The markers but for those in elements of some keywords, which a policy keeps."""
        kept = set(keywords)
        return [marker for marker in self.markers if marker.keyword not in kept]


def combinations() -> Iterator[tuple[str, str]]:
    """The names of every kind with every transfer syntax in which there are objects of it."""
    for kind in KINDS.values():
        for syntax in SYNTAXES:
            if kind.bits or syntax not in _ENCAPSULATED:
                yield kind.name, syntax


def every_object() -> Iterator[Planted]:
    """Each kind in each transfer syntax, the character sets taking turns."""
    for (kind, syntax), character_set in zip(combinations(), itertools.cycle(CHARACTER_SETS), strict=False):
        yield planted(kind, syntax, character_set)


def planted(
    kind: str = "ct",
    syntax: str = "explicit",
    character_set: CharacterSet = LATIN,
    *,
    subject: str = "subject 1",
    number: int = 1,
) -> Planted:
    """
    An object with a marker in every place that its kind has.

    @param kind: of `KINDS`.
    @param syntax: of `SYNTAXES`.
    @param subject: whose it is; each subject has one study.
    @param number: of the object within the study; each kind has a series of its own.
    """
    ds, mint = _begun(KINDS[kind], subject, character_set, number)
    KINDS[kind].contents(ds, mint)
    plant_sequences(ds, mint)
    plant_private(ds, mint)
    plant_unknown(ds, mint)
    plant_icon(ds, mint)
    plant_groups(ds, mint)
    plant_behind_pixels(ds, mint)
    _add_pixels(ds, KINDS[kind], syntax)
    _add_file_meta(ds, mint, syntax)
    return Planted(kind, syntax, character_set, ds, tuple(mint.markers))


def planted_table(
    tags: Sequence[int], syntax: str = "explicit", character_set: CharacterSet = LATIN, *, subject: str = "subject 1"
) -> Planted:
    """An object with markers for all attributes of a table, at the top and three sequences deep."""
    kind = Kind("table", RAW_DATA_STORAGE, "OT", lambda ds, mint: None)
    ds, mint = _begun(kind, subject, character_set, 1)
    plant_table(ds, mint, tags)
    deepest, middle, outer = Dataset(), Dataset(), Dataset()
    groups = mint.within("SharedFunctionalGroupsSequence")
    plant_table(deepest, groups.within("CTAcquisitionTypeSequence").within("CTAcquisitionDetailsSequence"), tags)
    middle.CTAcquisitionDetailsSequence = [deepest]
    outer.CTAcquisitionTypeSequence = [middle]
    ds.SharedFunctionalGroupsSequence = [outer]
    _add_file_meta(ds, mint, syntax)
    return Planted("table", syntax, character_set, ds, tuple(mint.markers))


def planted_answer(level: str, character_set: CharacterSet = LATIN, *, subject: str = "subject 1") -> Planted:
    """What a C-FIND at a level may be answered, with more than was asked for (PS3.4 C.6)."""
    mint = Mint(subject, character_set)
    ds = Dataset()
    declare(ds, character_set)
    ds.QueryRetrieveLevel = level
    plant(ds, mint, PATIENT)
    plant(ds, mint, STUDY)
    if level != "PATIENT":
        plant(ds, mint, ["StudyInstanceUID"])
    if level in ("SERIES", "IMAGE"):
        series = mint.of(f"{subject} answer")
        plant(ds, series, ["SeriesInstanceUID", *SERIES])
    if level == "IMAGE":
        plant(ds, mint.of(f"{subject} answer 1"), ["SOPInstanceUID", *INSTANCE])
    plant_sequences(ds, mint)
    plant_private(ds, mint)
    return Planted(f"answer at {level}", "explicit", character_set, ds, tuple(mint.markers))


def planted_step(character_set: CharacterSet = LATIN, *, subject: str = "subject 1") -> Planted:
    """A scheduled procedure step of a worklist (PS3.4 K.6.1.2.2)."""
    mint = Mint(subject, character_set)
    ds = Dataset()
    declare(ds, character_set)
    plant(ds, mint, ("PatientName", "PatientID", "PatientBirthDate", "PatientWeight", "MedicalAlerts", "Allergies"))
    plant(ds, mint, ("AccessionNumber", "ReferringPhysicianName", "RequestingPhysician", "StudyInstanceUID"))
    plant(ds, mint, ("RequestedProcedureID", "RequestedProcedureDescription", "AdmissionID", "CurrentPatientLocation"))
    ds.PatientSex = "O"
    step = item(
        mint.within("ScheduledProcedureStepSequence"),
        *("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),
        *("ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID"),
        *("ScheduledStationName", "ScheduledProcedureStepLocation"),
    )
    step.Modality = "CT"
    ds.ScheduledProcedureStepSequence = [step]
    return Planted("step", "explicit", character_set, ds, tuple(mint.markers))


def _begun(kind: Kind, subject: str, character_set: CharacterSet, number: int) -> tuple[Dataset, Mint]:
    """The patient, the study and the series, in an order that gives each the same dates in all objects."""
    study = Mint(subject, character_set)
    ds = Dataset()
    declare(ds, character_set)
    plant(ds, study, PATIENT)
    plant(ds, study, STUDY)
    series, instance = study.of(f"{subject} {kind.name}"), study.of(f"{subject} {kind.name} {number}")
    plant(ds, series, SERIES)
    plant(ds, instance, INSTANCE)
    identify(ds, study, series, instance, kind.sop_class)
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = kind.modality, "MAKER", "MODEL", "1"
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.PatientSex = "O"
    return ds, instance


def _add_file_meta(ds: Dataset, mint: Mint, syntax: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(SYNTAXES[syntax])
    file_meta = mint.within("FileMeta")
    meta.SourceApplicationEntityTitle = file_meta.value("AE", "SourceApplicationEntityTitle")
    meta.PrivateInformationCreatorUID = UID("1.2.826.0.1.3680043.10.1234.9")
    meta.PrivateInformation = file_meta.value("OB", "PrivateInformation")
    ds.file_meta = meta
    ds.preamble = mint.value("OB", "Preamble").ljust(128, b"\0")


def _add_pixels(ds: Dataset, kind: Kind, syntax: str) -> None:
    if not kind.bits:
        return
    frames = [_frame(kind.bits, number) for number in range(kind.frames or 1)]
    if syntax == "jpeg":
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "YBR_FULL", 0
        ds.Rows = ds.Columns = 3
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        frames = [_jpeg()] * len(frames)
    elif syntax == "rle":
        frames = [_rle(frame, kind.bits) for frame in frames]
    elif syntax == "big-endian" and kind.bits == 16:
        frames = [
            b"".join(frame[at + 1 : at + 2] + frame[at : at + 1] for at in range(0, len(frame), 2)) for frame in frames
        ]
    encapsulated = syntax in _ENCAPSULATED
    value = encapsulate(frames, fragments_per_frame=2) if encapsulated else b"".join(frames)
    ds.add_new(0x7FE00010, "OB" if encapsulated or kind.bits == 8 else "OW", value)
    ds[0x7FE00010].is_undefined_length = encapsulated


def _frame(bits: int, number: int) -> bytes:
    """A gradient, little endian; no letters occur in it."""
    size = bits // 8
    return b"".join(((at + number) % 32).to_bytes(size, "little") for at in range(ROWS * COLUMNS))


def _rle(frame: bytes, bits: int) -> bytes:
    """RLE as PS3.5 Annex G has it, in runs that copy: a segment for each byte of a sample, the highest first."""
    size = bits // 8
    segments = []
    for at in reversed(range(size)):
        plane = frame[at::size]
        runs = (plane[start : start + _LONGEST_RUN] for start in range(0, len(plane), _LONGEST_RUN))
        segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets, offset = [], _RLE_HEADER
    for segment in segments:
        offsets.append(offset)
        offset += len(segment)
    header = b"".join(number.to_bytes(4, "little") for number in (len(segments), *offsets))
    return header.ljust(_RLE_HEADER, b"\0") + b"".join(segments)


@cache
def _jpeg() -> bytes:
    """A frame of JPEG baseline, the only one of a small bundled file."""
    ds = pydicom.dcmread(bundled("SC_rgb_small_odd_jpeg.dcm").path)
    return next(generate_frames(ds.PixelData, number_of_frames=1))
