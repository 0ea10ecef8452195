"""What the index knows of an object: who it is, and the attributes that it is found by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.heads import Values, read_head
from dimseproxy.outbound.archive.levels import (
    LEVELS,
    PATIENT_ID,
    SERIES_INSTANCE,
    SOP_CLASS,
    SOP_INSTANCE,
    STUDY_INSTANCE,
    Level,
    name_of,
)

#: PS3.5 9.1, and what devices make of it: components with leading zeros cost nobody anything.
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)
_MAX_UID: Final = 64
#: Bytes of what is kept of an object for each of the levels. Hundreds of rows are looked at together, and what is
#: deflated could be a thousand times as long as it was when it came.
MAX_KEPT: Final = 64 * 1024
#: Bytes of the name of an attribute, and of what is around its values.
_AROUND: Final = 16
_LEVEL_OF_NAME: Final = {name_of(tag): level for tag, level in LEVELS.items()}


@frozen
class Attributes:
    """
    The attributes of an object that queries may name.

    @ivar sop_class: SOP Class UID.
    @ivar sop_instance: SOP Instance UID.
    @ivar study: Study Instance UID.
    @ivar series: Series Instance UID.
    @ivar patient_id: empty where the object has none.
    @ivar values: by the level that they belong to, then by name.
    """

    sop_class: str
    sop_instance: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    patient_id: str = field(repr=False)
    values: Mapping[Level, Values] = field(repr=False)


def read_attributes(head: bytes, encoding: Encoding) -> Attributes:
    """
    The attributes at the beginning of an object.

    What cannot be read is empty: an odd value is no reason not to keep an object.

    @param head: the data set up to its pixel data, or as much of it as there is.
    @raise OperationRefused: it has no valid SOP Class, SOP Instance, Study Instance or Series Instance UID: it could
        never be found again.
    """
    values: dict[Level, Values] = {level: {} for level in Level}
    for name, value in read_head(head, encoding, LEVELS).items():
        values[_LEVEL_OF_NAME[name]][name] = value
    for of_level in values.values():
        _bound(of_level)
    return Attributes(
        sop_class=_uid(values, SOP_CLASS, "SOP Class UID"),
        sop_instance=_uid(values, SOP_INSTANCE, "SOP Instance UID"),
        study=_uid(values, STUDY_INSTANCE, "Study Instance UID"),
        series=_uid(values, SERIES_INSTANCE, "Series Instance UID"),
        patient_id=first_text(values[Level.PATIENT], PATIENT_ID),
        values=values,
    )


def first_text(values: Values, tag: int) -> str:
    """The first value of an attribute, empty where there is none."""
    texts = values.get(name_of(tag))
    return texts[0] if texts and isinstance(texts[0], str) else ""


def _bound(values: Values) -> None:
    """Leave out what is more than may be kept: sequences first, the largest ones first."""
    sizes = {name: _size(value) for name, value in values.items()}
    excess = sum(sizes.values()) - MAX_KEPT
    if excess <= 0:
        return
    for name in sorted(values, key=lambda name: (_is_sequence(values[name]), sizes[name]), reverse=True):
        if excess <= 0:
            return
        del values[name]
        excess -= sizes[name]


def _size(value: list[str] | list[Values]) -> int:
    """How long values are as they are kept, roughly, in bytes."""
    size = _AROUND
    for part in value:
        if isinstance(part, dict):
            size += sum(map(_size, part.values()))
        else:
            size += len(part) if part.isascii() else len(part.encode("utf-8", "replace"))
    return size


def _is_sequence(value: list[str] | list[Values]) -> bool:
    return bool(value) and isinstance(value[0], dict)


def _uid(values: Mapping[Level, Values], tag: int, what: str) -> str:
    texts = values[LEVELS[tag]].get(name_of(tag)) or [""]
    if len(texts) == 1 and isinstance(texts[0], str):
        text = texts[0]
        if len(text) <= _MAX_UID and _UID.fullmatch(text):
            return text
    raise OperationRefused(Status.CANNOT_UNDERSTAND, f"the object has no valid {what}")
