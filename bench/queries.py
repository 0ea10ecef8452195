"""C-FIND and C-MOVE as the raw peers speak them: study root, implicit VR little endian (PS3.4 C.4, PS3.7 9.1.2, 9.1.4).

An original is known by its marker, which every identifying value of an answer carries, so that a caller can count the
answers that show one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from bench import wire

STUDY_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = b"1.2.840.10008.5.1.4.1.2.2.2"
FIND_CONTEXT, MOVE_CONTEXT = 5, 7
CONTEXTS = {**wire.CONTEXTS, FIND_CONTEXT: STUDY_ROOT_FIND, MOVE_CONTEXT: STUDY_ROOT_MOVE}
"""What the raw SCU proposes to find and to move."""

C_FIND_RQ, C_MOVE_RQ = 0x0020, 0x0021
SUCCESS, PENDING = 0x0000, 0xFF00
PENDING_STATUSES = frozenset((PENDING, 0xFF01))

LEVEL, STUDY_DATE, STUDY_DESCRIPTION, STUDY_INSTANCE = 0x00080052, 0x00080020, 0x00081030, 0x0020000D
MARKER: Final = b"Bench"
"""Begins every original text, and is in no pseudonym by chance: no source writes both upper and lower case."""
UID_MARKER: Final = b"2.999.77077"
"""Begins every original UID, below the arc for examples: pseudonyms begin with 2.25."""

_NUMBER: Final = b"@" * 10
"""Stands where the number of an answer goes: as long, so that no length changes."""
_RUN = 100
"""Answers that are encoded before they are sent."""


def identifier(keys: Mapping[int, bytes]) -> bytes:
    """The data set of a query, of values by tag."""
    return b"".join(wire.data_element(tag, _padded(tag, keys[tag])) for tag in sorted(keys))


def _padded(tag: int, value: bytes) -> bytes:
    filler = b"\0" if tag == STUDY_INSTANCE else b" "
    return value + filler * (len(value) % 2)


def studies(description: bytes) -> bytes:
    """The identifier that asks for everything about the studies of a description."""
    asked = dict.fromkeys(_STUDY, b"")
    return identifier({**asked, LEVEL: b"STUDY", STUDY_DESCRIPTION: description})


def study(instance: bytes) -> bytes:
    """The identifier that names one study, for a C-MOVE."""
    return identifier({LEVEL: b"STUDY", STUDY_INSTANCE: instance})


def find_rq(message_id: int, keys: bytes) -> bytes:
    """A C-FIND request and its identifier."""
    elements = wire.element(0x0002, wire.uid(STUDY_ROOT_FIND)) + wire.us(0x0100, C_FIND_RQ)
    elements += wire.us(0x0110, message_id) + wire.us(0x0700, 0) + wire.us(0x0800, wire.DATA_SET)
    return wire.command(FIND_CONTEXT, elements) + _data_set(FIND_CONTEXT, keys)


def move_rq(message_id: int, destination: bytes, keys: bytes) -> bytes:
    """A C-MOVE request and its identifier."""
    elements = wire.element(0x0002, wire.uid(STUDY_ROOT_MOVE)) + wire.us(0x0100, C_MOVE_RQ)
    elements += wire.us(0x0110, message_id) + wire.element(0x0600, destination + b" " * (len(destination) % 2))
    elements += wire.us(0x0700, 0) + wire.us(0x0800, wire.DATA_SET)
    return wire.command(MOVE_CONTEXT, elements) + _data_set(MOVE_CONTEXT, keys)


def find_rsp(message_id: int, status: int, context: int = FIND_CONTEXT) -> bytes:
    """A C-FIND response; a pending one is followed by a data set."""
    elements = wire.element(0x0002, wire.uid(STUDY_ROOT_FIND)) + wire.us(0x0100, C_FIND_RQ | wire.RESPONSE)
    follows = wire.DATA_SET if status in PENDING_STATUSES else wire.NO_DATA_SET
    elements += wire.us(0x0120, message_id) + wire.us(0x0800, follows) + wire.us(0x0900, status)
    return wire.command(context, elements)


def _data_set(context: int, content: bytes) -> bytes:
    return wire.pdu(wire.P_DATA, wire.pdv(context, wire.LAST, content))


_STUDY = {
    STUDY_DATE: b"20240229",
    0x00080030: b"101112.0",
    0x00080050: b"Bench_" + _NUMBER,
    LEVEL: b"STUDY",
    0x00080090: b"Bench^Referring",
    STUDY_DESCRIPTION: b"CT of the thorax",
    0x00100010: b"Bench^" + _NUMBER,
    0x00100020: b"Bench-" + _NUMBER,
    0x00100030: b"19700101",
    0x00100040: b"O",
    STUDY_INSTANCE: UID_MARKER + _NUMBER,
    0x00200010: b"Bench." + _NUMBER,
}
"""What an answer of the raw SCP says: every answer is another patient, and no two answers ever are alike."""


def study_answer(number: int) -> bytes:
    """The data set of one answer at the level of studies."""
    return _ANSWER.replace(_NUMBER, b"%010d" % number)


_ANSWER = identifier(_STUDY)


def answers(message_id: int, first: int, count: int, context: int = FIND_CONTEXT) -> Iterator[bytes]:
    """The messages of ``count`` answers, numbered from ``first``, and the final response; some at a time."""
    pending = find_rsp(message_id, PENDING, context)
    for start in range(first, first + count, _RUN):
        end = min(start + _RUN, first + count)
        yield b"".join(pending + _data_set(context, study_answer(number)) for number in range(start, end))
    yield find_rsp(message_id, SUCCESS, context)


def value_of(content: bytes, tag: int) -> bytes:
    """The value of a top-level element of an implicit VR little endian data set, without padding.

    :raises ValueError: when it is not there
    """
    at = 0
    while at + 8 <= len(content):
        found = int.from_bytes(content[at : at + 2], "little") << 16 | int.from_bytes(
            content[at + 2 : at + 4], "little"
        )
        length = int.from_bytes(content[at + 4 : at + 8], "little")
        if found == tag:
            return content[at + 8 : at + 8 + length].rstrip(b"\0 ")
        at += 8 + length
    raise ValueError(f"no element ({tag >> 16:04X},{tag & 0xFFFF:04X})")
