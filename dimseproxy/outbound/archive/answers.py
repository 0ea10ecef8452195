"""
The answers to a C-FIND, and how they are encoded.

An answer has a value, or an empty one, for each key that the archive knows (PS3.4 C.4.1.1.3.2).  Text that is not ASCII
is told in UTF-8, whatever the character set of the question was: it is kept as text, and every script may be in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, Literal, cast

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.vr import FORMS, dictionary_vr
from dimseproxy.outbound.archive.heads import Values
from dimseproxy.outbound.archive.levels import (
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
    name_of,
)
from dimseproxy.outbound.archive.querying import Query, Wanted

#: The values of an answer by tag, in the order of tags: texts, or the items of a sequence.
Answer = Mapping[int, "Sequence[str] | Sequence[Answer]"]

_UTF_8: Final = "ISO_IR 192"
_MAX_SHORT: Final = 0xFFFE
_ITEM: Final = 0xFFFEE000
_NUMBERS: Final = {"US": 2, "UL": 4}


class Answering:
    """
    What is the same in all answers to a query.

    @param ae_title: by which the archive is called to retrieve.
    """

    def __init__(self, query: Query, ae_title: str) -> None:
        constants = {
            QUERY_RETRIEVE_LEVEL: [query.level.name],
            RETRIEVE_AE_TITLE: [ae_title],
            INSTANCE_AVAILABILITY: ["ONLINE"],
        }
        level = Wanted(QUERY_RETRIEVE_LEVEL, name_of(QUERY_RETRIEVE_LEVEL))
        self._wanted = sorted((level, *query.wanted), key=lambda wanted: wanted.tag)
        self._constants: Values = {name_of(tag): texts for tag, texts in constants.items()}

    def answer(self, values: Values) -> Answer:
        """
        One answer.

        @param values: of one patient, study, series or instance, and of all that it is in.
        """
        answer: dict[int, Sequence[str] | Sequence[Answer]] = {}
        for wanted in self._wanted:
            name = wanted.name
            found = self._constants.get(name)
            if found is None:
                found = values.get(name, [])
                if wanted.within or (found and isinstance(found[0], dict)):
                    answer[wanted.tag] = [_item(item, wanted.within) for item in cast("list[Values]", found)]
                    continue
            answer[wanted.tag] = cast("list[str]", found)
        return answer


def encode_answer(answer: Answer, encoding: Encoding) -> bytes:
    """The identifier of an answer, as it is sent."""
    encoded = _encoded(answer, encoding)
    # Lengths may have other bytes than ASCII too, but rarely: most answers need no closer look.
    if not encoded.isascii() and any(_is_beyond_ascii(values) for values in answer.values()):
        encoded = _encoded({SPECIFIC_CHARACTER_SET: [_UTF_8]}, encoding) + encoded
    if not encoding.is_deflated:
        return encoded
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(encoded) + deflate.flush()
    return deflated + bytes(len(deflated) & 1)


def _item(values: Values, within: Sequence[Wanted]) -> Answer:
    if not within:
        return {tag: _inner(tag, values[name_of(tag)], ()) for tag in sorted(int(name, 16) for name in values)}
    return {wanted.tag: _inner(wanted.tag, values.get(wanted.name, []), wanted.within) for wanted in within}


def _inner(tag: int, values: list[str] | list[Values], within: Sequence[Wanted]) -> Sequence[str] | Sequence[Answer]:
    if not values or not isinstance(values[0], dict):
        return cast("list[str]", values)
    if dictionary_vr(tag) != "SQ":
        # A row of an older version may have a sequence that the standard does not know: nobody can be told one.
        return []
    return [_item(item, within) for item in values]


def _is_beyond_ascii(values: Sequence[str] | Sequence[Answer]) -> bool:
    for value in values:
        if isinstance(value, str):
            if not value.isascii():
                return True
        elif any(map(_is_beyond_ascii, value.values())):
            return True
    return False


def _encoded(answer: Answer, encoding: Encoding) -> bytes:
    out = []
    forms = _forms(encoding)
    order: Literal["little", "big"] = "little" if encoding.is_little_endian else "big"
    for tag, values in answer.items():
        head, vr, padding, is_short = forms[tag]
        if vr == "SQ":
            value = b"".join(_encoded_item(cast(Answer, item), encoding) for item in values)
        elif vr in _NUMBERS:
            value = b"".join(_number(cast(str, text), vr, encoding) for text in values)
        else:
            value = "\\".join(cast("Sequence[str]", values)).encode("utf-8", "replace")
            if len(value) & 1:
                value += padding
        if is_short and len(value) > _MAX_SHORT:
            # No VR with a short length has values that long: what the archive collects, such as all SOP classes of a
            # study, may be too much to tell, and is then not told.
            value = b""
        out.append(head + len(value).to_bytes(2 if is_short else 4, order) + value)
    return b"".join(out)


def _encoded_item(item: Answer, encoding: Encoding) -> bytes:
    content = _encoded(item, encoding)
    return _tag(_ITEM, encoding) + len(content).to_bytes(4, "little" if encoding.is_little_endian else "big") + content


def _number(text: str, vr: str, encoding: Encoding) -> bytes:
    number, size = int(text or 0), _NUMBERS[vr]
    return (number & (1 << 8 * size) - 1).to_bytes(size, "little" if encoding.is_little_endian else "big")


class _Forms(dict[int, tuple[bytes, str, bytes, bool]]):
    """By tag: what comes before the length, VR, padding, and whether the length has two bytes."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self._encoding = encoding

    def __missing__(self, tag: int) -> tuple[bytes, str, bytes, bool]:
        vr = dictionary_vr(tag) or "UN"
        code, header, padding = FORMS[vr]
        begin = _tag(tag, self._encoding)
        if not self._encoding.is_implicit:
            begin += code if header == 8 else code + bytes(2)
        # The tags of answers are those of the archive, and of items that it keeps: all of them in the dictionary.
        form = self[tag] = (begin, vr, padding, not self._encoding.is_implicit and header == 8)
        return form


@cache
def _forms(encoding: Encoding) -> _Forms:
    return _Forms(encoding)


def _tag(tag: int, encoding: Encoding) -> bytes:
    order = "little" if encoding.is_little_endian else "big"
    return (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order)  # type: ignore[arg-type]
