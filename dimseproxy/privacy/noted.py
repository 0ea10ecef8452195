"""Values of the data set itself that something else depends on, and that are looked at for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dimseproxy.dataset.element import Element
from dimseproxy.privacy import values
from dimseproxy.privacy.burned_in import Image
from dimseproxy.privacy.plans import PATIENT_BIRTH_DATE, PATIENT_ID, SOP_INSTANCE_UID
from dimseproxy.privacy.policy import Action, Policy

SOP_CLASS_UID: Final = 0x00080016

PATIENT_AGE: Final = 0x00101010
#: Study, Acquisition, Series and Content Date: an age is that on the first one there is.
DATES: Final = (0x00080020, 0x00080022, 0x00080021, 0x00080023)
BURNED_IN_ANNOTATION: Final = 0x00280301
PIXEL_DATA_PROVIDER_URL: Final = 0x00287FE0
#: Basic Grayscale and Basic Color Image Sequence: the pixels of a film, of which nothing says what text they show.
IMAGE_BOXES: Final = frozenset((0x20200110, 0x20200111))

_MODALITY: Final = 0x00080060
_MANUFACTURER: Final = 0x00080070
_MODEL: Final = 0x00081090
_SAMPLES: Final = 0x00280002
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_PLANAR_CONFIGURATION: Final = 0x00280006
_FRAMES: Final = 0x00280008
_ROWS: Final = 0x00280010
_COLUMNS: Final = 0x00280011
_BITS_ALLOCATED: Final = 0x00280100
_IMAGE: Final = frozenset(
    (
        _MODALITY,
        _MANUFACTURER,
        _MODEL,
        _SAMPLES,
        _PHOTOMETRIC_INTERPRETATION,
        _PLANAR_CONFIGURATION,
        _FRAMES,
        _ROWS,
        _COLUMNS,
        _BITS_ALLOCATED,
    )
)


def noted_tags(policy: Policy, is_object: bool) -> frozenset[int]:
    """
    What must be looked at under a policy.

    @param is_object: a composite instance, which may have text in its pixels.
    """
    noted = {PATIENT_ID, SOP_INSTANCE_UID}
    if policy.rule(PATIENT_AGE).action is Action.AGE:
        noted |= {PATIENT_BIRTH_DATE, *DATES}
    elif policy.guard != "off":
        noted |= {tag for tag in DATES if policy.rule(tag).action is Action.KEEP}
    if is_object and policy.rule(PIXEL_DATA_PROVIDER_URL).action is Action.REMOVE:
        noted.add(PIXEL_DATA_PROVIDER_URL)
    if policy.burned_in != "pass":
        noted |= {tag for tag in IMAGE_BOXES if policy.rule(tag).action is Action.KEEP}
    if is_object and policy.burned_in != "pass":
        noted |= {SOP_CLASS_UID, BURNED_IN_ANNOTATION}
        if policy.blanks:
            noted |= _IMAGE
    return frozenset(noted)


class Noted(dict[int, Element]):
    """The elements by tag, with the values they came with."""

    def text(self, tag: int) -> str:
        """A value to compare: characters beyond ASCII are not decoded; empty where there is none."""
        element = self.get(tag)
        return "" if element is None else element.value.decode("latin-1").strip(" \0")

    def identity(self, tag: int) -> str | None:
        """A value as it is mapped; None where there is none, or it is not readable."""
        element = self.get(tag)
        if element is None:
            return None
        try:
            return values.texts_of(element.value, "LO", element.level.character_sets)[0] or None
        except values.Unreadable:
            return None

    def is_born_on(self, kept: Iterable[int]) -> bool:
        """Whether the patient was examined on the day of birth, as one of these dates says, which cross as they are."""
        birth = self.text(PATIENT_BIRTH_DATE)
        return birth != "" and birth in map(self.text, kept)

    def number(self, tag: int, default: int = 0) -> int:
        """A value of VR US."""
        element = self.get(tag)
        if element is None or len(element.value) != 2:
            return default
        return int.from_bytes(element.value, "little" if element.encoding.is_little_endian else "big")

    def image(self) -> Image:
        """What the data set says of its pixel data."""
        frames = self.text(_FRAMES) or "1"
        return Image(
            sop_class=self.text(SOP_CLASS_UID),
            modality=self.text(_MODALITY),
            manufacturer=self.text(_MANUFACTURER),
            model=self.text(_MODEL),
            rows=self.number(_ROWS),
            columns=self.number(_COLUMNS),
            samples=self.number(_SAMPLES, 1),
            is_planar=self.number(_PLANAR_CONFIGURATION) == 1,
            bits_allocated=self.number(_BITS_ALLOCATED),
            frames=int(frames) if frames.isdecimal() and frames.isascii() else 0,
            photometric_interpretation=self.text(_PHOTOMETRIC_INTERPRETATION),
        )
