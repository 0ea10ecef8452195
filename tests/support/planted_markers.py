"""Markers: values that occur nowhere else, so that where one shows up, an identity got out.

Each marker has one place in a data set and is looked for in every form that software gives to a value: in the
character sets of DICOM and of its surroundings, upper and lower case, escaped as in a log, as hexadecimal digits, in
base64 and in a URL.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final
from urllib.parse import quote_from_bytes

import attrs
from pydicom.charset import convert_encodings, encode_string
from pydicom.uid import UID
from pydicom.valuerep import PersonName

UID_ROOT: Final = "1.2.826.0.1.3680043.10.1234"

_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CODECS: Final = (
    "utf-8",
    "utf-16-le",
    "utf-16-be",
    "latin-1",
    "iso8859-5",
    "koi8-r",
    "cp1251",
    "gb18030",
    "shift_jis",
    "euc_jp",
)
_ESCAPES: Final = (b"\x1b$B", b"\x1b(B", b"\x1b(J")

#: Further apart than the longest shift of a date, so that no shifted date is another marker.
_BETWEEN_DATES: Final = datetime.timedelta(days=400)
_FIRST_DATE: Final = datetime.date(1930, 6, 15)
_numbers_of_dates: Final = {"PatientBirthDate": 0, "StudyDate": 1}
#: In years; so old are few, and no other planted text looks like it.
_OLDEST: Final = 111
#: Of a form, in bytes.
_SHORTEST: Final = 4
#: What is shorter has too few characters of its own in base64.
_SHORTEST_IN_BASE64: Final = 6


@attrs.frozen
class CharacterSet:
    """
    A specific character set (PS3.3 C.12.1.1.2) and letters of its script.

    @ivar specific: the value of (0008,0005).
    @ivar letters: of which words are made.
    @ivar phonetic: of which the phonetic group of a person's name is made; empty where names have one group only.
    """

    name: str
    specific: str | tuple[str, ...]
    letters: str
    phonetic: str = ""

    @property
    def encodings(self) -> list[str]:
        """As pydicom takes them."""
        return convert_encodings(list(self.specific) if isinstance(self.specific, tuple) else self.specific)


#: The second byte of some of these letters of GB18030 is 5C, the backslash that separates values.
_SEPARATORS_IN_GB18030: Final = "".join(bytes((first, 0x5C)).decode("gb18030") for first in range(0x90, 0xA0))

LATIN: Final = CharacterSet("latin", "ISO_IR 100", "äöüßéèñçåøæâêîôû")
UNICODE: Final = CharacterSet("unicode", "ISO_IR 192", "żółćęłńśźřžščďťů")
JAPANESE: Final = CharacterSet(
    "japanese", ("", "ISO 2022 IR 87"), "山田太郎川村本中小大森林高石井木", "やまだたろうかわむもとなこおいき"
)
CHINESE: Final = CharacterSet("chinese", "GB18030", _SEPARATORS_IN_GB18030)
CYRILLIC: Final = CharacterSet("cyrillic", "ISO_IR 144", "бгджзклмнпрстфхц")

CHARACTER_SETS: Final = (LATIN, UNICODE, JAPANESE, CHINESE, CYRILLIC)


@attrs.frozen
class Marker:
    """
    A value and the one place where it was planted.

    @ivar place: keywords from the top of the data set downwards, `/` between them.
    @ivar text: as decoded; of a binary value, nothing.
    @ivar binary: a binary value in the byte orders that it may have.
    """

    place: str
    vr: str
    text: str = ""
    binary: tuple[bytes, ...] = ()
    character_set: CharacterSet = LATIN

    @property
    def keyword(self) -> str:
        """Of the element that holds it."""
        return self.place.rpartition("/")[2]

    @property
    def encoded(self) -> tuple[bytes, ...]:
        """The bytes of which a data set holds one: as its character set has them, or in one of the byte orders."""
        if self.binary:
            return self.binary
        return tuple(_pieces(encode_string(self.text, self.character_set.encodings)))


@lru_cache(maxsize=8192)
def forms(marker: Marker) -> frozenset[bytes]:
    """All byte strings by which the marker can be known."""
    raw: set[bytes] = set(marker.encoded)
    for text in _texts(marker):
        for variant in {text, text.lower(), text.upper()}:
            raw |= {form for codec in _CODECS if (form := _encode(variant, codec))}
            raw.add(variant.encode("unicode_escape"))
    shown = set()
    for value in raw:
        shown |= {value.hex().encode(), value.hex().upper().encode(), repr(value)[2:-1].encode()}
        shown.add(quote_from_bytes(value).encode())
        if len(value) >= _SHORTEST_IN_BASE64:
            shown |= _in_base64(value)
    return frozenset(raw | shown)


def found(markers: Iterable[Marker], data: bytes) -> list[str]:
    """The places of the markers that occur in the bytes in any form, in the order of the markers."""
    wanted = list(markers)
    by_beginning: dict[bytes, list[tuple[bytes, int]]] = {}
    for number, marker in enumerate(wanted):
        for form in forms(marker):
            by_beginning.setdefault(form[:_SHORTEST], []).append((form, number))
    # There are thousands of forms: looking for each by itself takes minutes.
    seen: set[int] = set()
    for at in range(len(data) - _SHORTEST + 1):
        beginning = data[at : at + _SHORTEST]
        if beginning in by_beginning:
            seen |= {number for form, number in by_beginning[beginning] if data.startswith(form, at)}
    return [marker.place for number, marker in enumerate(wanted) if number in seen]


def _texts(marker: Marker) -> set[str]:
    """The text, and what of it identifies by itself."""
    if not marker.text:
        return set()
    texts = {marker.text}
    if marker.vr in ("DA", "DT"):
        year, month, day = marker.text[:4], marker.text[4:6], marker.text[6:8]
        texts |= {f"{year}{month}{day}", f"{year}-{month}-{day}", f"{year}.{month}.{day}", f"{day}.{month}.{year}"}
    elif marker.vr == "UI":
        texts.add(marker.text.split(".")[-2])
    return texts


def _encode(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return b""


def _pieces(encoded: bytes) -> list[bytes]:
    """Without the escape sequences of ISO 2022: where text adjoins, it may share them."""
    for escape in _ESCAPES:
        encoded = encoded.replace(escape, b"\0")
    return [piece for piece in encoded.split(b"\0") if piece]


def _in_base64(value: bytes) -> set[bytes]:
    """The characters that the value has in base64 whatever is around it, for each of three alignments."""
    shown = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value + b"\0\0")
        # Characters that are made of neighbouring bits, too, are left out.
        shown.add(encoded[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6])
    return shown


class Mint:
    """
    Makes markers for the places of one data set, always the same for a subject and a place.

    @param subject: whose values these are; the same subject has the same values in several data sets.
    """

    def __init__(self, subject: str, character_set: CharacterSet = LATIN) -> None:
        self.subject = subject
        self.character_set = character_set
        self.markers: list[Marker] = []
        self._ages = count(_OLDEST)
        self._path: tuple[str, ...] = ()

    def within(self, keyword: str) -> Mint:
        """Makes the markers of the items of a sequence; they are kept here, too."""
        inner = self.of(self.subject)
        inner._path = (*self._path, keyword)
        return inner

    def of(self, subject: str) -> Mint:
        """Makes markers of another subject in the same data set; they are kept here, too."""
        other = Mint(subject, self.character_set)
        other.markers, other._ages = self.markers, self._ages
        return other

    def value(self, vr: str, keyword: str) -> Any:
        """A value of a VR, as pydicom takes it, with one or more markers in it."""
        return getattr(self, f"_{vr.lower()}")(keyword)

    def _note(self, keyword: str, vr: str, text: str = "", binary: tuple[bytes, ...] = ()) -> None:
        self.markers.append(Marker("/".join((*self._path, keyword)), vr, text, binary, self.character_set))

    def _digest(self, keyword: str, what: str = "") -> bytes:
        return hashlib.sha256("/".join((self.subject, *self._path, keyword, what)).encode()).digest()

    def word(self, keyword: str, vr: str, what: str = "") -> str:
        """Eight letters and digits of ASCII."""
        word = self._word(keyword, what)
        self._note(keyword, vr, word)
        return word

    def _word(self, keyword: str, what: str) -> str:
        return "ZQ" + "".join(_BASE32[byte % 32] for byte in self._digest(keyword, what)[:6])

    def _letters(self, keyword: str, vr: str, alphabet: str, what: str) -> str:
        # The digest is of six bytes: 16 letters to choose from give 24 bits.
        word = "".join(alphabet[byte % len(alphabet)] for byte in self._digest(keyword, what)[:6])
        self._note(keyword, vr, word)
        return word

    def _text(self, keyword: str, vr: str) -> str:
        word = self.word(keyword, vr)
        return f"{word} {self._letters(keyword, vr, self.character_set.letters, 'script')}"

    def _ae(self, keyword: str) -> str:
        return self.word(keyword, "AE")

    def _cs(self, keyword: str) -> str:
        return self.word(keyword, "CS")

    def _sh(self, keyword: str) -> str:
        return self.word(keyword, "SH")

    def _lo(self, keyword: str) -> str:
        # Identifiers are of ASCII in real life, and some archives insist on it.
        return self.word(keyword, "LO") if keyword.endswith(("ID", "IDs")) else self._text(keyword, "LO")

    def _st(self, keyword: str) -> str:
        return self._text(keyword, "ST")

    def _lt(self, keyword: str) -> str:
        return self._text(keyword, "LT")

    def _uc(self, keyword: str) -> str:
        return self._text(keyword, "UC")

    def _ut(self, keyword: str) -> str:
        return f"{self._text(keyword, 'UT')}\r\nwritten to {self.word(keyword, 'UT', 'second line')}"

    def _ur(self, keyword: str) -> str:
        return f"http://records.example.org/{self.word(keyword, 'UR')}"

    def _pn(self, keyword: str) -> PersonName:
        letters, phonetic = self.character_set.letters, self.character_set.phonetic
        groups = []
        if phonetic:
            groups.append(f"{self.word(keyword, 'PN', 'family')}^{self.word(keyword, 'PN', 'given')}")
        for alphabet in (letters, phonetic):
            if alphabet:
                family = self._letters(keyword, "PN", alphabet, "family" + alphabet)
                groups.append(f"{family}^{self._letters(keyword, 'PN', alphabet, 'given' + alphabet)}")
        return PersonName("=".join(groups))

    def _da(self, keyword: str) -> str:
        date = self._date(keyword)
        self._note(keyword, "DA", date)
        return date

    def _tm(self, keyword: str) -> str:
        time = self._time(keyword)
        self._note(keyword, "TM", time)
        return time

    def _dt(self, keyword: str) -> str:
        moment = f"{self._date(keyword)}{self._time(keyword)}+0130"
        self._note(keyword, "DT", moment)
        return moment

    def _date(self, keyword: str) -> str:
        # Whatever the object, a date belongs to one place.
        number = _numbers_of_dates.setdefault("/".join((*self._path, keyword)), len(_numbers_of_dates))
        return f"{_FIRST_DATE + number * _BETWEEN_DATES:%Y%m%d}"

    def _time(self, keyword: str) -> str:
        digest = self._digest(keyword, "time")
        fraction = int.from_bytes(digest[3:7], "big") % 1_000_000
        return f"{digest[0] % 24:02}{digest[1] % 60:02}{digest[2] % 60:02}.{fraction:06}"

    def _ui(self, keyword: str) -> UID:
        """With a number and a date in it, as some equipment makes them."""
        number = 1_000_000_000 + int.from_bytes(self._digest(keyword, "uid")[:4], "big")
        uid = f"{UID_ROOT}.{number}.19420317"
        self._note(keyword, "UI", uid)
        return UID(uid)

    def _as(self, keyword: str) -> str:
        age = f"{next(self._ages)}Y"
        self._note(keyword, "AS", age)
        return age

    def _ds(self, keyword: str) -> str:
        number = f"{60 + self._digest(keyword)[0] % 30}.{int.from_bytes(self._digest(keyword)[1:5], 'big') % 10**7:07}"
        self._note(keyword, "DS", number)
        return number

    def _is(self, keyword: str) -> str:
        number = str(1_000_000_000 + int.from_bytes(self._digest(keyword)[:3], "big"))
        self._note(keyword, "IS", number)
        return number

    def _number(self, keyword: str, vr: str, code: str) -> float | int:
        size = struct.calcsize(code)
        number = struct.unpack(f">{code}", b"\x41" + self._digest(keyword)[: size - 1])[0]
        self._note(keyword, vr, binary=(struct.pack(f"<{code}", number), struct.pack(f">{code}", number)))
        return number  # type: ignore[no-any-return]

    def _fd(self, keyword: str) -> float | int:
        return self._number(keyword, "FD", "d")

    def _fl(self, keyword: str) -> float | int:
        return self._number(keyword, "FL", "f")

    def _ul(self, keyword: str) -> float | int:
        return self._number(keyword, "UL", "I")

    def _sl(self, keyword: str) -> float | int:
        return self._number(keyword, "SL", "i")

    def _bytes(self, keyword: str, vr: str) -> bytes:
        word = self._word(keyword, "bytes").encode()
        # Of words of 16 bits, the other order of bytes.
        swapped = b"".join(word[at + 1 : at + 2] + word[at : at + 1] for at in range(0, len(word), 2))
        self._note(keyword, vr, word.decode(), (word, swapped))
        return b"\0\1" + word + b"\1\0"

    def _ob(self, keyword: str) -> bytes:
        return self._bytes(keyword, "OB")

    def _un(self, keyword: str) -> bytes:
        return self._bytes(keyword, "UN")

    def _ow(self, keyword: str) -> bytes:
        return self._bytes(keyword, "OW")


def of_keywords(markers: Iterable[Marker], keywords: Sequence[str]) -> list[Marker]:
    """The markers in elements of the given keywords, at whatever depth."""
    return [marker for marker in markers if marker.keyword in keywords]
