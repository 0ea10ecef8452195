"""The statuses that dimseproxy itself gives or must understand (PS3.7 Annex C, PS3.4 C.4)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Status(IntEnum):
    """(0000,0900)."""

    SUCCESS = 0x0000
    CANCEL = 0xFE00
    PENDING = 0xFF00
    PENDING_WITH_WARNING = 0xFF01
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_SOP_INSTANCE = 0x0111
    NO_SUCH_SOP_INSTANCE = 0x0112
    INVALID_ARGUMENT_VALUE = 0x0115
    DUPLICATE_INVOCATION = 0x0210
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    UNABLE_TO_PERFORM_SUB_OPERATIONS = 0xA702
    MOVE_DESTINATION_UNKNOWN = 0xA801
    IDENTIFIER_DOES_NOT_MATCH = 0xA900
    SUB_OPERATIONS_WITH_FAILURES = 0xB000
    CANNOT_UNDERSTAND = 0xC000


_PENDING: Final = frozenset((0xFF00, 0xFF01))
_WARNINGS: Final = frozenset((0x0001, 0x0107, 0x0116))


def is_pending(status: int) -> bool:
    """Whether further responses to the same request follow (PS3.7 C.1.3)."""
    return status in _PENDING


def is_done(status: int) -> bool:
    """Whether the operation was carried out: success, or a warning (PS3.7 C.1.1, C.1.4)."""
    return status == Status.SUCCESS or status in _WARNINGS or status >> 12 == 0xB
