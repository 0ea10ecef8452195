"""
Text in the pixels: which objects are said to have it, and regions of native pixel data that are blanked.

Clean Pixel Data (PS3.15 E.3.1) is not claimed: nothing here looks at a pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import field, frozen

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.policy import Blank

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
#: SOP classes whose pixels usually show text, unless Burned In Annotation says NO; each with those below it.
_SUSPECT: Final = (
    f"{_STORAGE}3",  # Ultrasound Multi-frame
    f"{_STORAGE}6",  # Ultrasound
    f"{_STORAGE}7",  # Secondary Capture, also multi-frame
    f"{_STORAGE}77.1.1",  # VL Endoscopic, also video
    f"{_STORAGE}77.1.2.1",  # Video Microscopic
    f"{_STORAGE}77.1.4.1",  # Video Photographic
    "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale Image
    "1.2.840.10008.5.1.1.30",  # Hardcopy Color Image
)
#: Documents: text is what they are made of, whatever an attribute says.
_DOCUMENTS: Final = (f"{_STORAGE}104",)


def says_burned_in(sop_class: str, burned_in_annotation: str) -> bool:
    """
    Whether an object is said to show text that may name somebody.

    @param burned_in_annotation: the value of (0028,0301), empty where there is none.
    """
    if burned_in_annotation.upper() == "YES" or _is_below(sop_class, _DOCUMENTS):
        return True
    return burned_in_annotation.upper() != "NO" and _is_below(sop_class, _SUSPECT)


@frozen
class Image:
    """
    What an object says of its pixel data; what it does not say is empty or 0.

    @ivar samples: per pixel.
    @ivar is_planar: each sample has a plane of its own.
    """

    sop_class: str = ""
    modality: str = ""
    manufacturer: str = field(default="", repr=False)
    model: str = field(default="", repr=False)
    rows: int = 0
    columns: int = 0
    samples: int = 1
    is_planar: bool = False
    bits_allocated: int = 0
    frames: int = 1
    photometric_interpretation: str = ""


def regions_of(blanks: Iterable[Blank], image: Image) -> tuple[tuple[int, int, int, int], ...]:
    """The regions of every rule that matches an image; text matches without regard to case."""
    return tuple(region for blank in blanks if _matches(blank, image) for region in blank.regions)


class Blanking:
    """
    Native pixel data, with regions of each frame set to zero bytes: what crosses goes through C{apply}.

    @ivar length: of all frames, in bytes; the value field may have one more of padding.
    """

    def __init__(self, image: Image, regions: Sequence[tuple[int, int, int, int]]) -> None:
        if image.bits_allocated % 8 or not image.bits_allocated:
            raise _cannot_blank("its pixels are no whole bytes")
        if image.photometric_interpretation.endswith(("_422", "_420")):
            # The samples of neighbouring pixels share bytes.
            raise _cannot_blank("its chrominance is subsampled")
        if min(image.rows, image.columns, image.samples, image.frames) < 1:
            raise _cannot_blank("it does not say its size")
        pixel = image.bits_allocated // 8
        planes = image.samples if image.is_planar else 1
        pixel *= 1 if image.is_planar else image.samples
        self._line = image.columns * pixel
        self._plane = image.rows * self._line
        self.length = self._plane * planes * image.frames
        self._spans = _spans(regions, image.rows, image.columns, pixel)
        if not self._spans:
            # Whoever named them meant another size: what they hide is somewhere.
            raise _cannot_blank("no region is in it")

    def apply(self, offset: int, view: memoryview) -> bytes | memoryview:
        """
        A piece of the value, blanked.

        @param offset: of the piece in the value, in bytes.
        @return: as many bytes as the piece has; itself where no region touches it.
        @raise OperationRefused: the value is longer than its frames: they are not what the object says.
        """
        if offset + len(view) > self.length + 1:
            raise _cannot_blank("it has another size than it says")
        blanked: bytearray | None = None
        for start, end in self._touched(offset, offset + len(view)):
            if blanked is None:
                blanked = bytearray(view)
            blanked[start - offset : end - offset] = bytes(end - start)
        return view if blanked is None else bytes(blanked)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """All ranges that are blanked: first byte, and the one behind the last."""
        return self._touched(0, self.length)

    def _touched(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of the regions between two offsets."""
        end = min(end, self.length)
        line, plane = self._line, self._plane
        for number in range(start // line, -(-end // line)):
            row = number * line % plane // line
            for left, right in self._spans.get(row, ()):
                first, last = max(number * line + left, start), min(number * line + right, end)
                if first < last:
                    yield first, last


def _spans(
    regions: Sequence[tuple[int, int, int, int]], rows: int, columns: int, pixel: int
) -> dict[int, list[tuple[int, int]]]:
    """For each row that a region touches, the bytes of it within a line."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for x, y, width, height in regions:
        left, right = max(x, 0), min(x + width, columns)
        if left >= right:
            continue
        for row in range(max(y, 0), min(y + height, rows)):
            spans.setdefault(row, []).append((left * pixel, right * pixel))
    return spans


def _matches(blank: Blank, image: Image) -> bool:
    texts = (
        (blank.sop_class, image.sop_class),
        (blank.modality, image.modality),
        (blank.manufacturer, image.manufacturer),
        (blank.model, image.model),
    )
    return all(wanted is None or wanted.upper() == found.upper() for wanted, found in texts) and all(
        wanted is None or wanted == found
        for wanted, found in ((blank.rows, image.rows), (blank.columns, image.columns))
    )


def _is_below(sop_class: str, roots: Iterable[str]) -> bool:
    return any(sop_class == root or sop_class.startswith(f"{root}.") for root in roots)


def _cannot_blank(why: str) -> OperationRefused:
    return OperationRefused(Status.PROCESSING_FAILURE, f"burned-in text cannot be blanked: {why}"[:64])
