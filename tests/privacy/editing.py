"""Data sets through an editor, as the relay takes them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from hashlib import sha256
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.pseudonymisation import Pseudonymisation
from dimseproxy.privacy.reidentification import Reidentification

KEY: Final = b"0123456789abcdef0123456789abcdef"
IMPLICIT: Final = Encoding(True)
EXPLICIT: Final = Encoding(False)
BIG_ENDIAN: Final = Encoding(False, is_little_endian=False)
DEFLATED: Final = Encoding(False, is_deflated=True)
ENCODINGS: Final = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)


def encoded(data_set: Dataset, encoding: Encoding) -> bytes:
    """A data set as pydicom writes it."""
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = encoding.is_little_endian, encoding.is_implicit
    write_dataset(out, data_set)
    if not encoding.is_deflated:
        return out.getvalue()
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(out.getvalue()) + deflate.flush()


def plain(data: bytes, encoding: Encoding) -> bytes:
    """The bytes of a data set, inflated if they were deflated."""
    return zlib.decompress(data, wbits=-zlib.MAX_WBITS) if encoding.is_deflated else data


def decoded(data: bytes, encoding: Encoding) -> Dataset:
    """A data set as pydicom reads it, to the last element."""
    data_set = read_dataset(
        BytesIO(plain(data, encoding)),
        is_implicit_VR=encoding.is_implicit,
        is_little_endian=encoding.is_little_endian,
    )
    data_set.walk(lambda _, element: element.value)
    return data_set


def pseudonym_of(original: Identity) -> str:
    """A pseudonym that is valid wherever a value of its kind may stand."""
    digest = sha256(f"{original.kind.is_uid or original.kind.value}{original.value}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:12], 'big')}" if original.kind.is_uid else f"P{digest.hex()[:15].upper()}"


class Source:
    """Pseudonyms that remember their originals."""

    def __init__(self) -> None:
        self.originals: dict[tuple[bool, str], str] = {}

    def pseudonyms_of(self, originals: set[Identity]) -> Mapping[Identity, str]:
        pseudonyms = {original: pseudonym_of(original) for original in originals}
        for original, pseudonym in pseudonyms.items():
            self.originals[original.kind.is_uid, pseudonym] = original.value
        return pseudonyms

    def originals_of(self, pseudonyms: set[Identity]) -> Mapping[Identity, str]:
        known = self.originals
        return {found: known[key] for found in pseudonyms if (key := (found.kind.is_uid, found.value)) in known}


def through(
    editor: Pseudonymisation | Reidentification,
    data: bytes,
    encoding: Encoding,
    answer: Callable[[set[Identity]], Mapping[Identity, str]],
    step: int = 0,
    budget: int | None = None,
) -> bytes:
    """
    What comes of a data set.

    @param answer: the source, asked before each flush.
    @param step: how many bytes come at a time; 0: all.
    @param budget: how many elements are answered at a time; the source is asked for one value at a time, too.
    """
    rewriter = Rewriter(encoding, editor)
    left: list[bytes] = []
    step = step or max(len(data), 1)
    for at in range(0, max(len(data), 1), step):
        rewriter.feed([memoryview(data)[at : at + step]], at + step >= len(data))
        while True:
            while rewriter.work():
                pass
            if not rewriter.waits:
                break
            if budget is None:
                editor.resolve(answer(editor.wanted()))
            else:
                for identity in editor.wanted():
                    editor.learn(answer({identity}))
                while editor.resolve({}, budget):
                    pass
            if editor.overlay is not None:
                rewriter.overlay = editor.overlay.apply
            left.extend(bytes(piece) for piece in rewriter.flush())
    assert rewriter.is_complete
    return b"".join(left)
