"""Message parts to P-DATA-TF PDUs (PS3.8 9.3.5 and Annex E)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dimseproxy.dimse.parts import DataSetFragment, Part
from dimseproxy.ul.fragments import SINGLE_PDV_PREFIX
from dimseproxy.ul.framer import COMMAND, LAST
from dimseproxy.ul.pdu import PduType

#: The PDV's length field and its own two bytes, which a maximum length includes.
PDV_OVERHEAD: Final = 6
#: How long our PDUs get where the peer takes any length.
LONGEST_OWN_PDU: Final = 128 * 1024


def encode_parts(parts: Sequence[Part], maximum_length: int) -> list[bytes | memoryview]:
    """
    The PDUs of some parts, in order: as few pieces as possible, without copying.

    What was received one after the other, and may be sent as it is, is one piece.

    @param maximum_length: what the receiving peer announced; 0 is unlimited (PS3.8 D.1).
    """
    out: list[bytes | memoryview] = []
    data = b""
    start = end = 0
    for part in parts:
        longest = part.longest
        if longest and (longest <= maximum_length or not maximum_length):
            if part.data is data and part.start == end:
                end = part.end
                continue
            if data:
                out.append(_piece(data, start, end))
            data = part.data
            start = part.start
            end = part.end
        else:
            if data:
                out.append(_piece(data, start, end))
                data = b""
            _fragment(part, maximum_length, out)
    if data:
        out.append(_piece(data, start, end))
    return out


def _piece(data: bytes, start: int, end: int) -> bytes | memoryview:
    return data if end - start == len(data) else memoryview(data)[start:end]


def _fragment(part: Part, maximum_length: int, out: list[bytes | memoryview]) -> None:
    if isinstance(part, DataSetFragment):
        views = [view for view in part.views if view] or [memoryview(b"")]
        final = len(views) - 1
        for index, view in enumerate(views):
            _frame(part.context_id, 0, view, part.is_last and index == final, maximum_length, out)
    else:
        _frame(part.context_id, COMMAND, memoryview(part.command_set.encode()), True, maximum_length, out)


def _frame(
    context_id: int,
    control: int,
    data: memoryview,
    is_last: bool,
    maximum_length: int,
    out: list[bytes | memoryview],
) -> None:
    # Fragments have an even number of bytes, all but possibly the last (PS3.8 Annex E).
    room = ((maximum_length or LONGEST_OWN_PDU) - PDV_OVERHEAD) & ~1
    size, offset = len(data), 0
    if size > room:
        full = SINGLE_PDV_PREFIX.pack(PduType.P_DATA_TF, room + PDV_OVERHEAD, room + 2, context_id, control)
        while size - offset > room:
            end = offset + room
            out += (full, data[offset:end])
            offset = end
    if is_last:
        control |= LAST
    length = size - offset
    out.append(SINGLE_PDV_PREFIX.pack(PduType.P_DATA_TF, length + PDV_OVERHEAD, length + 2, context_id, control))
    if length:
        out.append(data[offset:] if offset else data)
