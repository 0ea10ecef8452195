"""
Texts of which only known words stay: Clean Graphics, Structured Content and Descriptors (PS3.15 E.3.3 to E.3.5).

Nobody can list the words that identify somebody; so the words are listed that do not.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

#: Words of letters; and numbers, as in "T2", "L5/S1", "3D", "1.5mm".
_PIECE: Final = re.compile(r"([^\W\d_]+|\d+(?:[.,]\d+)?)")
#: A number with more digits may be a date, a telephone number or somebody's number.
MAX_DIGITS: Final = 3


def clean(text: str, vocabulary: Container[str]) -> str:
    """
    A text without the words that the vocabulary does not know.

    Single letters stay (sides, weightings, vertebrae), and short numbers that stand alone: one beside another may be
    a part of a date.

    @param vocabulary: words in lower case.
    @return: the words that stay, in their order, a single space where something was taken out.
    """
    # What is between at even places, words and numbers at odd ones.
    pieces = _PIECE.split(text)
    kept: list[str] = []
    is_hole = False
    for place in range(1, len(pieces), 2):
        piece = pieces[place]
        if piece[0].isdecimal():
            stays = sum(map(str.isdecimal, piece)) <= MAX_DIGITS and not _is_beside_number(pieces, place)
        else:
            stays = (len(piece) == 1 and piece.isascii()) or piece.lower() in vocabulary
        if not stays:
            is_hole = True
            continue
        if kept:
            kept.append(" " if is_hole else pieces[place - 1])
        kept.append(piece)
        is_hole = False
    return "".join(kept)


def _is_beside_number(pieces: list[str], place: int) -> bool:
    return any(0 < neighbour < len(pieces) and pieces[neighbour][0].isdecimal() for neighbour in (place - 2, place + 2))
