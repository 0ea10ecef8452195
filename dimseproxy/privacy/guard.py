"""
The last look at what is about to leave: does a value in it that this patient is known by?

It finds what no rule sees: a name in a comment that is kept, a patient's number in a private element. It knows only the
values that the very same data set gave away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import values
from dimseproxy.privacy.plans import GUARDED_NAMES, PATIENT_BIRTH_DATE

#: Shorter values are everywhere.
MIN_LENGTH: Final = 4
MIN_NAME_LENGTH: Final = 3
#: So are shorter numbers: a repetition time, a rescale intercept. Their VRs are not known here.
MIN_NUMBER_LENGTH: Final = 5
#: Up to here a value is found as a whole word or number only: "ANN" is not in "SCANNER", "123456" not in long UIDs.
MAX_WORD_LENGTH: Final = 5
MAX_NUMBER_LENGTH: Final = 11
#: Of more mapped values the guard does not know: a list of ten thousand UIDs is searched for those it begins with.
MAX_MAPPED: Final = 32
#: Needles; also an object that was made of hundreds of requests, each with its numbers, has no more.
MAX_NEEDLES: Final = 4096
#: Bytes of what leaves times needles: each is a search through all of it. So many take half a second, in slices; a head
#: of 100 KiB may have as many needles as there may be.
MAX_SEARCHED: Final = 512 * 1024 * 1024
#: A head of any length may have so many: more than a patient has names and numbers, with the values that are mapped.
MIN_SEARCHED: Final = 64
#: So many at a time: some milliseconds, in which nobody else is served.
SLICE: Final = 4 * 1024 * 1024
#: What a needle inside of a longer word or number costs, in bytes searched: a text of ones is full of "11111".
_HIT: Final = 1024
#: A pseudonym of so many letters and digits may have a short name in it by chance; in a shorter one, or one of several
#: words, it was put on purpose.
MIN_RANDOM_LENGTH: Final = 12
_DATE_LENGTH: Final = 8
#: Of names, and of the parts of one (PS3.5 6.2.1, 6.4).
_DELIMITERS: Final = re.compile(rb"[\\^=]")
_PRINTABLE: Final = bytes(range(0x20, 0x7F))

#: Whether a needle counts at its left and right end inside of a longer word or number.
_ANYWHERE: Final = (True, True)
_BY_ITSELF: Final = (False, False)

#: A search under way: it yields where it has taken long enough for others to have their turn, and returns whether a
#: value was found. It raises `OperationRefused` where it turns out to take too long.
Search = Generator[None, None, bool]


class Guard:
    """
    Looks for the values it was given, without regard to the case of ASCII letters.

    @param own: texts that we write ourselves: a value that is a part of one of them is not looked for.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        self._own = "\n".join(own).upper() if own else ""
        #: Needles in upper case, with whether they count at their left and right end inside of a longer word or number.
        self._needles: dict[bytes, tuple[bool, bool]] = {}
        self._forgotten: set[bytes] = set()

    def __len__(self) -> int:
        """How many needles there are."""
        return len(self._needles)

    def add(self, text: str, character_sets: bytes = b"") -> None:
        """
        A value that must not leave: an identifier, a UID.

        @param character_sets: (0008,0005) as in effect where it stood.
        """
        self._needles.update(self.needles_of(text, character_sets))

    def needles_of(self, text: str, character_sets: bytes = b"") -> dict[bytes, tuple[bool, bool]]:
        """What is looked for of such a value, for `told`."""
        is_looked_for = len(text) >= (MIN_NUMBER_LENGTH if text.isdigit() else MIN_LENGTH)
        return self._needles_in(text, character_sets) if is_looked_for else {}

    def add_name(self, name: str, character_sets: bytes = b"") -> None:
        """A value of VR PN: each component of each of its groups."""
        for component in name.replace("=", "^").split("^"):
            component = component.strip()
            # Two ideograms make a name, three Latin letters do.
            if len(component) >= (MIN_NAME_LENGTH if component.isascii() else 2):
                self._needles.update(self._needles_in(component, character_sets))

    def add_date(self, day: str) -> None:
        """A date as YYYYMMDD; it is found at the beginning of a date-time, too."""
        if len(day) == _DATE_LENGTH and day.isascii() and day.isdigit():
            self._needles[day.encode("ascii")] = (False, True)
            self._needles[f"{day[:4]}-{day[4:6]}-{day[6:]}".encode("ascii")] = (False, True)

    def forget(self, text: str) -> None:
        """Look no more for a value: we wrote it ourselves."""
        needle = text.encode("utf-8").upper()
        self._forgotten.add(needle)
        self._needles.pop(needle, None)

    def told(self, identifiers: Iterable[Mapping[bytes, tuple[bool, bool]]]) -> Guard:
        """
        One that looks for these identifiers as well, and leaves this one as it is.

        @param identifiers: what this one looks for of each: see `needles_of`.
        """
        other = Guard()
        other._own = self._own
        needles = other._needles = self._needles.copy()
        for identifier in identifiers:
            needles.update(identifier)
        for needle in self._forgotten:
            needles.pop(needle, None)
        return other

    def search(self, pieces: Iterable[bytes | memoryview], ours: Iterable[str] = ()) -> Search | None:
        """
        Look whether one of the values stands in these pieces, one after the other as they leave.

        @param pieces: without bulk values; they are joined, for a value may stand across two.
        @param ours: the pseudonyms in them. By chance one may have a name of three letters in it, and its patient would
            be refused for ever.
        @return: None where none does and that was soon said, as of nearly all heads.
        @raise OperationRefused: it would take too long to say.
        """
        needles: Collection[bytes] = self._needles
        if not needles:
            return None
        text = b"".join(pieces)
        searched = len(text) * len(needles)
        if searched > _most_searched(text):
            raise _refused()
        if searched <= SLICE:
            text = text.upper()
            find = text.find
            needles = [needle for needle in needles if find(needle) >= 0]
            if not needles:
                return None
        return self._search(text, needles, ours)

    def _search(self, text: bytes, needles: Collection[bytes], ours: Iterable[str]) -> Search:
        effort = _Effort(_most_searched(text))
        upper = yield from _uppercase(text)
        if not (yield from self._stand_in(upper, needles, effort)):
            return False
        upper = yield from self._without(ours, upper, effort)
        return (yield from self._stand_in(upper, needles, effort))

    def _stand_in(self, text: bytes | bytearray, needles: Iterable[bytes], effort: _Effort) -> Search:
        for needle in needles:
            anywhere, at = self._needles[needle], 0
            while at + len(needle) <= len(text):
                found = text.find(needle, at, at + SLICE)
                if found < 0:
                    spent = min(SLICE, len(text) - at)
                    # What lies across the end of the slice is in the next one.
                    at += max(SLICE - len(needle), 0) + 1
                elif all(anywhere) or _stands(text, needle, found, *anywhere):
                    return True
                else:
                    spent = found - at + _HIT
                    at = found + 1
                if effort.is_due(spent):
                    yield
        return False

    def _without(
        self, ours: Iterable[str], text: bytes | bytearray, effort: _Effort
    ) -> Generator[None, None, bytes | bytearray]:
        """The text with those pseudonyms blanked that may have a needle in them by chance."""
        # What is long enough to stand anywhere is in a pseudonym by no chance.
        short = [needle for needle, anywhere in self._needles.items() if not all(anywhere)]
        for pseudonym in ours:
            encoded = pseudonym.upper().encode()
            is_random = len(encoded) >= MIN_RANDOM_LENGTH and encoded.replace(b".", b"").isalnum()
            spent = len(encoded) * (1 + len(short))
            if is_random and any(needle in encoded for needle in short):
                text = text.replace(encoded, b"-" * len(encoded))
                spent += len(text)
            if effort.is_due(spent):
                yield
        return text

    def _needles_in(self, text: str, character_sets: bytes) -> dict[bytes, tuple[bool, bool]]:
        upper = text.upper()
        if upper in self._own:
            return {}
        if text.isascii():
            is_long = len(text) > (MAX_NUMBER_LENGTH if text.isdigit() else MAX_WORD_LENGTH)
            return {upper.encode("ascii"): _ANYWHERE if is_long else _BY_ITSELF}
        found = set()
        with suppress(values.Unreadable):
            # As it stood: with the escape sequences of its character sets.
            found.add(values.encode(text, "PN", character_sets))
        for encoding in ("utf-8", "latin-1"):
            with suppress(UnicodeError):
                found.add(text.encode(encoding))
        return {needle.upper(): _ANYWHERE for needle in found if len(needle) >= MIN_LENGTH}


class _Effort:
    """
    What a search has cost so far, in bytes searched.

    @param most: what it may cost. What begins as less can still turn out to be full of what is none.
    """

    def __init__(self, most: int) -> None:
        self._most = 2 * most
        self._spent = 0
        self._next = SLICE

    def is_due(self, spent: int) -> bool:
        """
        Whether it is time for others.

        @param spent: what was done since this was last asked.
        @raise OperationRefused: it takes too long.
        """
        self._spent += spent
        if self._spent < self._next:
            return False
        if self._spent > self._most:
            raise _refused()
        self._next = self._spent + SLICE
        return True


def _most_searched(text: bytes) -> int:
    return max(MAX_SEARCHED, MIN_SEARCHED * len(text))


def _uppercase(text: bytes) -> Generator[None, None, bytes | bytearray]:
    if len(text) <= SLICE:
        return text.upper()
    upper = bytearray()
    for at in range(0, len(text), SLICE):
        upper += text[at : at + SLICE].upper()
        yield
    return upper


def _stands(text: bytes | bytearray, needle: bytes, at: int, anywhere_left: bool, anywhere_right: bool) -> bool:
    """Whether a needle that is found stands by itself, not inside of a longer run of letters or digits."""
    end = at + len(needle)
    first, last = _class_of(needle[0]), _class_of(needle[-1])
    # A byte beside a zero byte is no character: it is half of a length or of a group number.
    return (anywhere_left or at == 0 or _class_of(text[at - 1]) != first or (at > 1 and not text[at - 2])) and (
        anywhere_right or end == len(text) or _class_of(text[end]) != last or not text[end + 1 : end + 2].strip(b"\0")
    )


def _class_of(byte: int) -> int:
    """1 for a digit, 2 for a letter in upper case, else one that is like no other."""
    if 0x30 <= byte <= 0x39:
        return 1
    if 0x41 <= byte <= 0x5A:
        return 2
    return -1 if byte < 0x80 else -2


class Known:
    """
    What a data set says of its patient, collected on the way for a `Guard`.

    @param own: as for the guard.
    @ivar days: the days that dates were moved to, as YYYYMMDD: they are no birth dates that slipped through.
    """

    def __init__(self, own: Collection[str]) -> None:
        self._own = own
        self._guard: Guard | None = None
        self._values: list[tuple[int, bytes, bytes]] = []
        self._mapped: list[str] = []
        self._told = 0
        self.days: set[str] = set()

    def add(self, tag: int, value: bytes, character_sets: bytes) -> None:
        """The value of an element of the patient, which does not leave as it is."""
        self._values.append((tag, value, character_sets))

    def add_mapped(self, originals: Iterable[str]) -> None:
        """Values that pseudonyms stand for now; of very many only the first."""
        self._mapped.extend(islice(originals, MAX_MAPPED - len(self._mapped)))

    def may_stand_in(self, leaving: bytes) -> bool:
        """
        Whether one of the values may be in what is about to leave.  Of nearly all answers it is soon said that nothing
        like them is there at all, for which a guard would have to be told of each.

        @return: false where the guard would find nothing.
        """
        if self._guard is not None:
            return True
        sought = [original.encode("utf-8", "replace") for original in self._mapped]
        for tag, raw, _ in self._values:
            value = raw.strip(b" \0")
            if tag in GUARDED_NAMES:
                sought += _DELIMITERS.split(value)
                continue
            sought += value.split(b"\\")
            if tag == PATIENT_BIRTH_DATE:
                days = value.replace(b".", b"").replace(b" ", b"").split(b"\\")
                sought += [*days, *(b"%b-%b-%b" % (day[:4], day[4:6], day[6:]) for day in days)]
        if len(sought) > MIN_SEARCHED:
            # The guard gives way to others meanwhile, and knows when it is too much.
            return True
        if b"".join(sought).translate(None, _PRINTABLE):
            # What is not plain may be written in several ways.
            return True
        # The guard counts the spaces at either end of some.
        plain = [each.strip(b" ").upper() for each in sought if len(each) >= MIN_NAME_LENGTH]
        return any(map(leaving.upper().__contains__, plain))

    def guard(self) -> Guard:
        """
        The guard, told of everything that was collected so far.

        @raise OperationRefused: the data set says more of its patient than can be looked for.
        """
        guard = self._guard
        if guard is None:
            guard = self._guard = Guard(self._own)
        for tag, raw, character_sets in self._values:
            _instruct(guard, tag, raw, character_sets)
        for original in self._mapped[self._told :]:
            guard.add(original)
        self._told = len(self._mapped)
        for day in self.days:
            guard.forget(day)
        self._values.clear()
        return guard


def _instruct(guard: Guard, tag: int, raw: bytes, character_sets: bytes) -> None:
    is_name = tag in GUARDED_NAMES
    try:
        found = values.texts_of(raw, "PN" if is_name else "LO", character_sets)
    except values.Unreadable:
        found = [raw.decode("latin-1").strip(" \0")]
    for value in found:
        if len(guard) > MAX_NEEDLES:
            raise _refused()
        if is_name:
            guard.add_name(value, character_sets)
        elif tag == PATIENT_BIRTH_DATE:
            guard.add_date(value.replace(".", ""))
        else:
            guard.add(value, character_sets)


def _refused() -> OperationRefused:
    return OperationRefused(Status.OUT_OF_RESOURCES, "the patient has too many names and numbers to look for")
