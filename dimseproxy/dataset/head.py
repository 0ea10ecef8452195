"""
A few values from the beginning of a data set that is still arriving, and the few data sets that we write.

Elements come in ascending order (PS3.5 7.1), so a value near the top is known long before the pixel data arrive.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag, Tag

from dimseproxy.dataset.encoding import Encoding, encoding_of

#: How much of a data set is kept while a value is looked for.
MAX_HEAD_LENGTH: Final = 256 * 1024
#: Looking again is worth it only when the head has grown by this factor: the cost stays linear.
_GROWTH: Final = 2

#: Of a transfer syntax that is not the standard's: most private ones differ in the pixel data only.
_LIKELY: Final = Encoding(is_implicit=False)

TRANSACTION_UID: Final = Tag(0x0008, 0x1195)
STUDY_INSTANCE_UID: Final = Tag(0x0020, 0x000D)
FAILED_SOP_INSTANCE_UID_LIST: Final = Tag(0x0008, 0x0058)


class Head:
    """
    Collects the beginning of a data set until some top-level values are known.

    @param transfer_syntax: the UID of the data set's transfer syntax.
    @param tags: the elements that are looked for.
    """

    def __init__(self, transfer_syntax: str, tags: Iterable[BaseTag]) -> None:
        self._encoding = encoding_of(transfer_syntax) or _LIKELY
        self._tags = sorted(tags)
        self._data = bytearray()
        self._next_look = 0
        self._is_over = False
        #: The values found so far by tag, text without padding, several values as a tuple.
        self.values: Mapping[BaseTag, tuple[str, ...]] = {}
        #: Whether no further value can be found: all seen, end of the data set, or the limit.
        self.is_complete = False

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        """More of the data set."""
        if self.is_complete:
            return
        for view in views:
            self._data += view
        self._is_over = is_last
        is_last_look = is_last or len(self._data) >= MAX_HEAD_LENGTH
        if is_last_look or len(self._data) >= self._next_look:
            self._next_look = len(self._data) * _GROWTH
            self._look()
        if is_last_look or self.is_complete:
            self.is_complete = True
            self._data.clear()

    def first(self, tag: BaseTag) -> str:
        """The first value of an element, empty where there is none."""
        return next(iter(self.values.get(tag, ())), "")

    def _look(self) -> None:
        passed = False

        def beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
            nonlocal passed
            passed = passed or tag > self._tags[-1]
            return passed

        data = self._inflated() if self._encoding.is_deflated else bytes(self._data)
        try:
            with warnings.catch_warnings():
                # A cut or strange value is no reason to say anything about it.
                warnings.simplefilter("ignore")
                head = read_dataset(
                    BytesIO(data),
                    is_implicit_VR=self._encoding.is_implicit,
                    is_little_endian=self._encoding.is_little_endian,
                    stop_when=beyond,
                    specific_tags=list(self._tags),
                )
                values = {
                    tag: tuple(str(value) for value in _values(head[tag].value)) for tag in self._tags if tag in head
                }
        except Exception:
            # Cut within an element, or not readable at all: the same as not found.
            return
        if passed or self._is_over:
            self.values = values
            self.is_complete = True

    def _inflated(self) -> bytes:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(bytes(self._data), MAX_HEAD_LENGTH)
        except zlib.error:
            return b""


def failed_list(transfer_syntax: str, sop_instances: Sequence[str]) -> bytes:
    """A data set with nothing but a Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2)."""
    data_set = Dataset()
    data_set.FailedSOPInstanceUIDList = list(sop_instances)
    return _encoded(transfer_syntax, data_set)


def identifier(transfer_syntax: str, keys: Mapping[BaseTag, str]) -> bytes:
    """The identifier of a C-FIND (PS3.4 C.4.1.1.3) with these keys, of which those without a value are asked for."""
    data_set = Dataset()
    for tag, value in keys.items():
        data_set.add_new(tag, dictionary_VR(tag), value)
    return _encoded(transfer_syntax, data_set)


def _encoded(transfer_syntax: str, data_set: Dataset) -> bytes:
    encoding = encoding_of(transfer_syntax) or _LIKELY
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.is_implicit
    out.is_little_endian = encoding.is_little_endian
    write_dataset(out, data_set)
    encoded = out.getvalue()
    if not encoding.is_deflated:
        return encoded
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(encoded) + deflate.flush()
    return deflated + bytes(len(deflated) & 1)


def _values(value: object) -> Iterable[object]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, Iterable) else (value,)
