"""Data sets as bytes, and an editor that does what a test tells it."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from typing import Final, Literal

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Element, Level, Limits, Overlay, Plan, Rewriter, Treatment

IMPLICIT: Final = Encoding(True)
EXPLICIT: Final = Encoding(False)
BIG_ENDIAN: Final = Encoding(False, is_little_endian=False)
DEFLATED: Final = Encoding(False, is_deflated=True)
ENCODINGS: Final = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)

KEEP, DROP, EDIT, SWAP = Treatment


def deflated(data: bytes) -> bytes:
    """Raw deflate, of even length."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    out = compressor.compress(data) + compressor.flush()
    return out + bytes(len(out) & 1)


def inflated(data: bytes) -> bytes:
    """The inverse."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    return decompressor.decompress(data) + decompressor.flush()


def encoded(data_set: Dataset, encoding: Encoding) -> bytes:
    """A data set as it crosses the network."""
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = DicomIO(stream)
        out.is_implicit_VR = encoding.is_implicit
        out.is_little_endian = encoding.is_little_endian
        write_dataset(out, data_set)
    data = stream.getvalue()
    return deflated(data) if encoding.is_deflated else data


def decoded(data: bytes, encoding: Encoding) -> Dataset:
    """What pydicom reads."""
    if encoding.is_deflated:
        data = inflated(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data_set = read_dataset(BytesIO(data), encoding.is_implicit, encoding.is_little_endian)
        # Values are decoded when they are asked for.
        for _ in data_set.iterall():
            pass
    return data_set


class Scripted:
    """
    An editor that records what it is asked.

    @param treatments: by tag, at every depth; others are kept.
    @param answers: what an edited element becomes.
    """

    def __init__(
        self,
        treatments: dict[int, Treatment] | None = None,
        answers: Callable[[Element], bytes | None] = lambda element: b"CHANGED",
        *,
        insertions: Sequence[tuple[int, bytes]] = (),
        private: Treatment = KEEP,
        drops_private: bool = False,
        within: Callable[[int], Plan | None] | None = None,
    ) -> None:
        self.plan = Plan(treatments or {})
        self.insertions = insertions
        self.drops_private = drops_private
        self.edited: list[Element] = []
        self.asked: list[tuple[int, str, int, Level]] = []
        self.entered: list[tuple[int, Level]] = []
        self._answers = answers
        self._private = private
        self._within = within

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        self.asked.append((tag, vr, length, level))
        return self.plan.get(tag, self._private)

    def plan_within(self, element_tag: int, level: Level) -> Plan | None:
        self.entered.append((element_tag, level))
        return self.plan if self._within is None else self._within(element_tag)

    def edit(self, element: Element) -> None:
        self.edited.append(element)
        element.replace(self._answers(element))


class Driver:
    """Feeds a rewriter and collects what leaves."""

    def __init__(
        self,
        encoding: Encoding,
        editor: Scripted | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        overlay: Overlay | None = None,
    ) -> None:
        self.rewriter = Rewriter(encoding, editor or Scripted(), limits)
        self.rewriter.overlay = overlay
        #: What each flush let go of besides bulk, as it was to be seen before.
        self.seen: list[bytes] = []
        self.out: list[bytes] = []
        self.flushes: list[list[bytes | memoryview]] = []
        self.passed = 0

    def feed(self, *pieces: bytes, is_last: bool = False) -> Driver:
        """So many pieces at once, and all that follows from them."""
        self.rewriter.feed([memoryview(piece) for piece in pieces], is_last)
        while True:
            while self.rewriter.work():
                pass
            if not self.rewriter.waits:
                return self
            seen = self.rewriter.written()
            if seen:
                self.seen.append(seen)
            flushed = self.rewriter.flush()
            self.flushes.append(flushed)
            self.out.extend(map(bytes, flushed))

    def feed_all(self, chunks: Iterable[bytes], *, uses_opaque: bool = False) -> bytes:
        """A whole data set."""
        chunks = list(chunks)
        for chunk in chunks[:-1]:
            if uses_opaque and 0 < len(chunk) <= self.rewriter.opaque:
                self.rewriter.pass_opaque(len(chunk))
                self.passed += len(chunk)
                self.out.append(chunk)
            else:
                self.feed(chunk)
        self.feed(*chunks[-1:], is_last=True)
        assert self.rewriter.is_complete
        return self.written

    @property
    def written(self) -> bytes:
        """What left so far."""
        return b"".join(self.out)


def rewritten(
    data: bytes,
    encoding: Encoding,
    editor: Scripted | None = None,
    *,
    size: int = 0,
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> bytes:
    """
    A data set after its editor.

    @param size: of the pieces that it comes in; 0 for all at once.
    """
    size = size or len(data) or 1
    return Driver(encoding, editor, limits).feed_all(data[at : at + size] for at in range(0, len(data) or 1, size))


def element(tag: int, vr: str, value: bytes, encoding: Encoding = EXPLICIT, length: int | None = None) -> bytes:
    """An element, byte by byte; `length` is what its header says where that is not the truth."""
    order: Literal["little", "big"] = "little" if encoding.is_little_endian else "big"
    length = len(value) if length is None else length
    head = (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)
    if not encoding.is_implicit:
        head += vr.encode()
        if vr not in ("OB", "OW", "SQ", "UN", "UT", "ZZ"):
            return head + length.to_bytes(2, order) + value
        head += b"\0\0"
    return head + length.to_bytes(4, order) + value


def item(content: bytes, *, is_defined: bool = True, is_little_endian: bool = True) -> bytes:
    """An item of a sequence."""
    encoding = Encoding(True, is_little_endian)
    if is_defined:
        return element(0xFFFEE000, "", content, encoding)
    return element(0xFFFEE000, "", content, encoding, 0xFFFFFFFF) + element(0xFFFEE00D, "", b"", encoding)


SEQUENCE_DELIMITER: Final = element(0xFFFEE0DD, "", b"", IMPLICIT)
