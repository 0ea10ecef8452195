"""Any bytes as a data set: what the fuzzer asks of the rewriter."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Element, Level, Limits, Treatment
from dimseproxy.errors import OperationRefused
from tests.dataset.editing import DROP, EDIT, ENCODINGS, KEEP, SWAP, Driver, Scripted, encoded, inflated

_NAME: Final = 0x00100010
_PATIENT_ID: Final = 0x00100020
_INSTANCE: Final = 0x00081155
_STUDIES: Final = 0x00081110
_PIXELS: Final = 0x7FE00010
#: The second byte of an input chooses one.
PLANS: Final[tuple[dict[int, Treatment], ...]] = (
    {},
    {_NAME: EDIT, _PATIENT_ID: DROP, _INSTANCE: EDIT},
    {_STUDIES: DROP, _NAME: SWAP, 0x00091001: EDIT},
    {_STUDIES: SWAP, _PIXELS: DROP, _PATIENT_ID: EDIT},
    {_PIXELS: EDIT, 0x00090010: DROP, _STUDIES: EDIT},
)
_LIMITS: Final = Limits(head=1 << 16, nesting=8, edited_value=1 << 10, inflated=1 << 18, inflation=16)
_REFUSED: Final = b"refused"
_ANSWER: Final = b"CHANGED!"


def data_set(data: bytes) -> None:
    """The first byte chooses the encoding; the outcome is the same however the rest arrives, and as planned."""
    if len(data) < 2:
        return
    encoding, plan, data = ENCODINGS[data[0] % len(ENCODINGS)], PLANS[data[1] % len(PLANS)], data[2:]
    whole = _outcome(encoding, plan, [data])
    if whole != _outcome(encoding, plan, [data[at : at + 1] for at in range(len(data))] or [b""]):
        raise AssertionError("byte by byte is not the same")
    if whole != _outcome(
        encoding, plan, [data[at : at + 7] for at in range(0, len(data), 7)] or [b""], uses_opaque=True
    ):
        raise AssertionError("what went past is not the same")
    if whole != _REFUSED:
        _check_outcome(Encoding(encoding.is_implicit, encoding.is_little_endian), plan, whole)


def seeds() -> list[bytes]:
    """A nested data set in each encoding, native, encapsulated and private."""
    out = []
    for index, encoding in enumerate(ENCODINGS):
        for plan in range(len(PLANS)):
            for undefined in (True, False):
                out.append(
                    bytes((index, plan))
                    + encoded(_example(undefined, undefined and encoding.is_little_endian), encoding)
                )
    return out


def _example(undefined: bool, is_encapsulated: bool) -> Dataset:
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3.4"
    inner.is_undefined_length_sequence_item = undefined
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.ReferencedStudySequence = Sequence([inner, inner])
    data_set["ReferencedStudySequence"].is_undefined_length = undefined
    data_set.private_block(0x0009, "ACME", create=True).add_new(0x01, "UN", b"abcdefgh")
    data_set.PatientName = "DOE^JOHN"
    data_set.PatientID = "4711"
    data_set.PatientComments = "x"
    if is_encapsulated:
        item = b"\xfe\xff\x00\xe0\x04\x00\x00\x00abcd"
        data_set.add_new(_PIXELS, "OB", item + item)
        data_set[_PIXELS].is_undefined_length = True
    else:
        data_set.add_new(_PIXELS, "OW", b"abcdefgh")
    data_set.add_new(0xFFFCFFFC, "OB", b"\0\0")
    return data_set


def _outcome(
    encoding: Encoding, plan: dict[int, Treatment], chunks: list[bytes], *, uses_opaque: bool = False
) -> bytes:
    driver = Driver(encoding, Scripted(plan, lambda element: b"" if element.vr == "SQ" else _ANSWER), _LIMITS)
    try:
        out = driver.feed_all(chunks, uses_opaque=uses_opaque)
    except OperationRefused:
        return _REFUSED
    return inflated(out) if encoding.is_deflated else out


class _Witness(Scripted):
    """Sees every element that the plan speaks of, once more."""

    def __init__(self, plan: dict[int, Treatment]) -> None:
        super().__init__({tag: EDIT for tag in plan if tag not in (_STUDIES, _PIXELS)}, lambda element: element.value)
        self._planned = plan

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        return self.plan.get(tag, KEEP)

    def edit(self, element: Element) -> None:
        super().edit(element)
        if self._planned[element.tag] is DROP or element.value.rstrip(b" \0") not in (_ANSWER, b""):
            raise AssertionError("an element crossed that must not")


def _check_outcome(encoding: Encoding, plan: dict[int, Treatment], out: bytes) -> None:
    # The limit does not hold for what the answers have made longer.
    if Driver(encoding, _Witness(plan), Limits()).feed_all([out]) != out:
        raise AssertionError("what left does not cross as it is")
