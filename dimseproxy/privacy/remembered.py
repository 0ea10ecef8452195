"""
What became of a head, for the next one of the same series, which has nearly the same bytes.

A head is remembered as runs of elements with what was written for them.  Where the next head has the same bytes, the
same is written again; comparing them costs next to nothing.  Three kinds of elements make that safe:

- *Free*: dropped, kept or settled by its tag alone.  The value may differ.
- *Named*: a value of the data set itself with a pseudonym that nothing else depends on, such as the SOP Instance UID.
  It is looked up and guarded each time, and read where it is another one than in the last head.
- *Fixed*: everything else, all that says who the patient is and when, all sequences.  Not a byte may differ, nor may
  any pseudonym in it: they are looked up each time, too.  So nothing of a patient is written for another.

A head that differs otherwise, in a tag, a length of a fixed element, an element more or less, is not this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import define, field, frozen

from dimseproxy.dataset.element import Level
from dimseproxy.dataset.frames import Layout
from dimseproxy.dataset.scanner import MAX_HELD_VALUE
from dimseproxy.privacy import values
from dimseproxy.privacy.guard import Guard, Search
from dimseproxy.privacy.identity import Identity, Kind, is_identifying

#: How much longer than the one that is remembered a head may be: where its free and named values are longer.
_SLACK: Final = 4 * 1024


@frozen
class Part:
    """
    An element that is fixed or free.

    @ivar start: for a free one, the beginning of its header, which says its tag and VR; nothing for a fixed one.
    @ivar header_length: of a free one.
    @ivar is_kept: whether a free one crosses as it is; else `written` stands for any value.
    """

    raw: bytes = field(repr=False)
    written: bytes = field(repr=False)
    start: bytes = b""
    header_length: int = 0
    is_kept: bool = False


@frozen(eq=False)
class Run:
    """Elements in a row that are fixed or free."""

    parts: tuple[Part, ...] = field(repr=False)
    raw: bytes = field(repr=False)
    written: bytes = field(repr=False)


@define(eq=False)
class Named:
    """
    What a named element says.

    @ivar raw: the element, header and all.
    @ivar needles: what the guard looks for of it.
    @ivar pseudonym: the one that `written` was made with.
    @ivar written: as it leaves, with that pseudonym.
    """

    raw: bytes = field(repr=False)
    identity: Identity
    needles: Mapping[bytes, tuple[bool, bool]] = field(repr=False)
    pseudonym: str | None = field(default=None, repr=False)
    written: bytes = field(default=b"", repr=False)


@define(eq=False)
class Name:
    """
    A named element.

    @ivar start: the beginning of its header, which says its tag and VR.
    @ivar kind: of its value.
    @ivar vr_out: the VR that it is written with: UN where it came so, whatever the dictionary says.
    @ivar read_as: the VR that its value is read as.
    @ivar last: what it said in the last head: of a study, a series, it is the same in the next one.
    """

    start: bytes
    header_length: int
    tag: int
    vr: str
    vr_out: str
    kind: Kind
    read_as: str
    last: Named | None = field(default=None, repr=False)


@define(eq=False)
class RecognisedHead:
    """
    A head that is the one that is remembered, but for free and named values.

    @ivar raw: the head.
    @ivar pieces: what is written for it; nothing yet in the places of the named elements.
    @ivar names: the named elements: their places among the pieces, and what they say.
    """

    raw: bytes = field(repr=False)
    pieces: list[bytes] = field(repr=False)
    names: list[tuple[int, Name, Named]] = field(repr=False)
    head: RememberedHead = field(repr=False)
    _pseudonyms: Mapping[Identity, str] = field(factory=dict, repr=False, init=False)

    def wanted(self) -> set[Identity]:
        """The originals of the head, fixed and named ones."""
        wanted = set(self.head.pseudonyms)
        for _, _, named in self.names:
            wanted.add(named.identity)
        return wanted

    def written(self, pseudonyms: Mapping[Identity, str]) -> bytes | None:
        """
        The head as it leaves.

        @param pseudonyms: of all that was wanted.
        @return: None where a fixed element would be written in another way by now.
        @raise OperationRefused: a pseudonym does not fit where it is to stand.
        """
        self._pseudonyms = pseudonyms
        head, pieces = self.head, self.pieces
        if not head.pseudonyms.items() <= pseudonyms.items():
            head.is_stale = True
            return None
        for place, name, named in self.names:
            pseudonym = pseudonyms.get(named.identity)
            if pseudonym is None:
                return None
            if pseudonym != named.pseudonym:
                named.written = head.written(name, pseudonym)
                named.pseudonym = pseudonym
            pieces[place] = named.written
        return b"".join(pieces)

    def search(self, pieces: Iterable[bytes | memoryview]) -> Search | None:
        """As `Pseudonymisation.search`, where there is a guard."""
        guard = self.head.guard.told([named.needles for _, _, named in self.names])
        return guard.search(pieces, self._pseudonyms.values())


class RememberedHead:
    """
    A head and what became of it.

    @ivar layout: how elements are written in it.
    @ivar pseudonyms: those in its fixed elements, by original.
    @ivar guard: knows what the fixed elements say of the patient.
    @ivar length: in bytes.
    @ivar bulk_length: of the bulk value behind it, in bytes.
    @ivar is_stale: whether a pseudonym in its fixed elements was another when it was last recognised.
    """

    def __init__(
        self,
        layout: Layout,
        level: Level,
        parts: Sequence[Run | Name],
        pseudonyms: Mapping[Identity, str],
        guard: Guard,
        length: int,
        bulk_length: int,
    ) -> None:
        self.layout = layout
        self.pseudonyms = pseudonyms
        self.guard = guard
        self.bulk_length = bulk_length
        self.is_stale = False
        self._level = level
        self._parts: list[Run | Part | Name] = list(parts)
        self.length = length

    def recognise(self, views: Iterable[memoryview]) -> RecognisedHead | None:
        """
        Whether a data set begins with this head.

        @param views: how it begins: the head must be whole in them.
        """
        data = beginning_of(views, self.length + _SLACK)
        pieces: list[bytes] = []
        names: list[tuple[int, Name, Named]] = []
        splits: list[tuple[int, list[Run | Part]]] = []
        at = 0
        for part in self._parts:
            if isinstance(part, Name):
                named = part.last
                if named is None or not data.startswith(named.raw, at):
                    named = part.last = self._named(part, data, at)
                    if named is None:
                        return None
                names.append((len(pieces), part, named))
                pieces.append(b"")
                at += len(named.raw)
            elif data.startswith(part.raw, at):
                pieces.append(part.written)
                at += len(part.raw)
            elif isinstance(part, Run):
                followed = self._follow(part, data, at, pieces)
                if followed is None:
                    return None
                at, differing = followed
                splits.append((self._parts.index(part), _split(part, differing)))
            else:
                end = self._end_of(part, data, at)
                if not end:
                    return None
                pieces.append(data[at:end] if part.is_kept else part.written)
                at = end
        # What differed once differs again in the next one.
        for place, parts in reversed(splits):
            self._parts[place : place + 1] = parts
        return RecognisedHead(data[:at], pieces, names, self)

    def _follow(self, run: Run, data: bytes, at: int, pieces: list[bytes]) -> tuple[int, set[int]] | None:
        """Go through a run that has not the same bytes: where it ends, and which of its elements differ."""
        differing = set()
        for index, part in enumerate(run.parts):
            if data.startswith(part.raw, at):
                pieces.append(part.written)
                at += len(part.raw)
                continue
            end = self._end_of(part, data, at)
            if not end:
                return None
            pieces.append(data[at:end] if part.is_kept else part.written)
            differing.add(index)
            at = end
        return at, differing

    def _end_of(self, part: Part | Name, data: bytes, at: int) -> int:
        """Where a free or named element ends that is here; 0 where it is another element, or not whole."""
        header_length = part.header_length
        begin = at + header_length
        if not header_length or begin > len(data) or not data.startswith(part.start, at):
            return 0
        if header_length == 12:
            (length,) = self.layout.long_length.unpack_from(data, at + 8)
        else:
            length = self.layout.header.unpack_from(data, at)[-1]
        end: int = begin + length
        return end if length <= MAX_HELD_VALUE and end <= len(data) else 0

    def _named(self, name: Name, data: bytes, at: int) -> Named | None:
        """What a named element says here; None where it is another element, or has not one value that is mapped."""
        end = self._end_of(name, data, at)
        if not end:
            return None
        text = single_value(data[at + name.header_length : end], name.kind, name.read_as, self._level.character_sets)
        if text is None:
            return None
        return Named(data[at:end], Identity(name.kind, text), self.guard.needles_of(text))

    def written(self, name: Name, pseudonym: str) -> bytes:
        """
        A named element with a pseudonym.

        @raise OperationRefused: the pseudonym does not fit.
        """
        values.check_pseudonym("UI" if name.kind.is_uid else name.vr, pseudonym)
        return self.layout.encoded(name.tag, name.vr_out, pseudonym.encode("ascii"))


def beginning_of(views: Iterable[memoryview], most: int) -> bytes:
    """The first bytes of some views, and no more than so many."""
    taken = []
    for view in views:
        taken.append(view[:most])
        most -= len(taken[-1])
        if most <= 0:
            break
    return b"".join(taken)


def run_of(parts: Iterable[Part]) -> Run:
    """These in a row."""
    parts = tuple(parts)
    return Run(parts, b"".join(part.raw for part in parts), b"".join(part.written for part in parts))


def _split(run: Run, apart: set[int]) -> list[Run | Part]:
    """A run as several, with each of these elements by itself."""
    split: list[Run | Part] = []
    together: list[Part] = []
    for index, part in enumerate(run.parts):
        if index not in apart:
            together.append(part)
            continue
        split += [run_of(together), part] if together else [part]
        together = []
    return [*split, run_of(together)] if together else split


def single_value(value: bytes, kind: Kind, vr: str, character_sets: bytes) -> str | None:
    """The value of an element that has one which is mapped; None where it has none or several."""
    try:
        found = values.texts_of(value, vr, character_sets)
    except values.Unreadable:
        return None
    return found[0] if len(found) == 1 and is_identifying(kind, found[0]) else None
