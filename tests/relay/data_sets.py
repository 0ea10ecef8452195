"""Small data sets in implicit VR little endian."""

from __future__ import annotations

from struct import pack

STUDY = (0x0020, 0x000D)
TRANSACTION = (0x0008, 0x1195)


def data_set(values: dict[tuple[int, int], str], tail: bytes = b"") -> bytes:
    """The elements in order, text with its padding; then whatever a test wants behind them."""
    out = b""
    for (group, element), value in sorted(values.items()):
        encoded = value.encode("ascii")
        encoded += b"\0" * (len(encoded) % 2)
        out += pack("<HHI", group, element, len(encoded)) + encoded
    return out + tail


def identifier(study: str) -> bytes:
    """What a C-MOVE asks for: one study."""
    return data_set({(0x0008, 0x0052): "STUDY ", STUDY: study})


def an_object(study: str, size: int = 2000) -> bytes:
    """An object of a study, with pixel data behind."""
    return data_set({(0x0008, 0x0060): "CT", STUDY: study, (0x7FE0, 0x0010): "x" * size})


def report(transaction: str) -> bytes:
    """A storage commitment's request or result."""
    return data_set({TRANSACTION: transaction})
