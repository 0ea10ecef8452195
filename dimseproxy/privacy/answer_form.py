"""
An answer with the same attributes as one before it, and other values.

The answers to a C-FIND differ in what they say, and hardly ever in what they say it about: that was asked for.  What
becomes of an attribute follows from the policy, its tag and its VR; it is worked out once for all answers of a form,
where the rewriter would work it out for each.  An answer that is not filled in as its form expects is the rewriter's:
one with an attribute more or less, with several values where one is mapped, of an odd length.  And there is no form
where more than that decides: for sequences, private attributes that may cross, text that is cleaned, ages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from functools import cache
from struct import Struct
from struct import error as StructError
from typing import Final

from attrs import define, evolve, field, frozen

from dimseproxy.dataset.element import Element, Level, Limits, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.frames import BEFORE_DATA_SETS, FIRST_DELIMITER, Layout, layout_of
from dimseproxy.dataset.scanner import FIRST_PRIVATE_GROUP
from dimseproxy.dataset.vr import (
    HEADER_LENGTHS,
    NAMES,
    NOTABLE,
    PLAIN_HEADER_LENGTHS,
    SPECIFIC_CHARACTER_SET,
    dictionary_vr,
)
from dimseproxy.dimse.status import Status
from dimseproxy.errors import LocalProtocolError, OperationRefused
from dimseproxy.privacy import dates, values
from dimseproxy.privacy.guard import Known, Search
from dimseproxy.privacy.identity import Identity, Kind, is_identifying
from dimseproxy.privacy.noted import PIXEL_DATA_PROVIDER_URL, Noted
from dimseproxy.privacy.plans import GUARDED, PATIENT_BIRTH_DATE, PATIENT_ID, action_of, settle
from dimseproxy.privacy.policy import Action, Policy
from dimseproxy.privacy.pseudonymisation import Purpose, Shared, move, shared

#: Bytes of an answer; a longer one has no form.
MAX_LENGTH: Final = 16 * 1024
#: What the limit of a head counts for each byte of an answer at most: eight for an element, and 64 where it is edited.
_COST: Final = 9
#: Forms that are remembered: answers may leave out what is not known.
_MOST_FORMS: Final = 4
#: So many answers without a form in a row at most before another one is worked out: twice as many each time.
_MOST_MISSES: Final = 256


class Becomes(Enum):
    """What becomes of an element of a form."""

    KEPT = auto()
    #: It crosses, and is the same in each answer.
    FIXED = auto()
    #: The same is written for any value: nothing, a dummy, a text of the policy.
    SETTLED = auto()
    MAPPED = auto()
    MOVED = auto()


@frozen(eq=False)
class Place:
    """
    A place in a form, for an element.

    @ivar start: how the element begins: its tag and VR.
    @ivar header: reads these, and the length of the value.
    @ivar written: what is written where it is settled or fixed.
    @ivar kind: of its value, where that is mapped.
    @ivar read_as: the VR that the value is read as, likewise.
    @ivar pseudonym_vr: the VR that a pseudonym must fit.
    @ivar is_guarded: whether the patient is known by it.
    @ivar is_noted: whether something else depends on its value.
    """

    tag: int
    vr: str
    start: bytes = field(repr=False)
    header: Struct = field(repr=False)
    becomes: Becomes
    written: bytes = field(default=b"", repr=False)
    kind: Kind = Kind.OTHER
    read_as: str = ""
    pseudonym_vr: str = ""
    is_guarded: bool = False
    is_noted: bool = False

    @property
    def is_read(self) -> bool:
        """Whether its value is looked at in each answer."""
        return self.is_guarded or self.becomes not in (Becomes.KEPT, Becomes.SETTLED)


class AnswerForms:
    """
    The forms of the last answers of a presentation context.

    @param encoding: of the answers.
    @param key: as for `Pseudonymisation`.
    @param limits: what an answer may cost.
    """

    def __init__(self, policy: Policy, encoding: Encoding, key: bytes, limits: Limits) -> None:
        self._policy = policy
        self._encoding = encoding
        self._key = key
        self._longest = min(MAX_LENGTH, limits.head // _COST, limits.edited_value)
        self._forms: list[AnswerForm] = []
        self._misses = 0
        #: At how many misses a form is worked out.
        self._patience = 1

    def fill_in(self, answer: bytes) -> FilledForm | None:
        """
        What goes on with an answer.

        @param answer: all of it.
        @return: None where it is the rewriter's.
        """
        if self._encoding.is_deflated or len(answer) > self._longest:
            return None
        for form in self._forms:
            filled = form.fill_in(answer)
            if filled is not None:
                self._misses, self._patience = 0, 1
                return filled
        self._misses += 1
        if self._misses < self._patience:
            return None
        self._misses, self._patience = 0, min(2 * self._patience, _MOST_MISSES)
        found = AnswerForm.of(answer, self._policy, self._encoding, self._key)
        if found is None:
            return None
        self._forms = [found, *self._forms[: _MOST_FORMS - 1]]
        return found.fill_in(answer)


class AnswerForm:
    """
    What the answers of a form have in common.

    @param character_sets: (0008,0005) of each, as on the wire.
    """

    def __init__(
        self, places: Sequence[Place], policy: Policy, key: bytes, layout: Layout, character_sets: bytes
    ) -> None:
        self._places = places
        #: A place as it is gone through: what reads its header, how it begins, how long the header is; what is written
        #: where that is no matter of its value, or the place itself where its value says something.
        self._row = [
            (
                *(place.header.unpack_from, place.start, place.header.size),
                *((None, place) if place.is_read else (None if place.becomes is Becomes.KEPT else place.written, None)),
            )
            for place in places
        ]
        self.policy = policy
        self.key = key
        self.layout = layout
        self.common = shared(policy, Purpose.ANSWER)
        self.level = Level(None, 0, 0, self.common.plans.top, layout.encoding, character_sets)

    @classmethod
    def of(cls, answer: bytes, policy: Policy, encoding: Encoding, key: bytes) -> AnswerForm | None:
        """The form of an answer; None where there is none."""
        layout = layout_of(encoding.is_implicit, encoding.is_little_endian)
        common = shared(policy, Purpose.ANSWER)
        level = Level(None, 0, 0, common.plans.top, layout.encoding)
        places: list[Place] = []
        last, at = BEFORE_DATA_SETS, 0
        while at < len(answer):
            header = _Header.at(answer, at, layout, drops_private=not policy.keeps_private)
            if header is None or not last < header.tag < FIRST_DELIMITER:
                return None
            begin, last = at, header.tag
            at += header.form.size + header.length
            if at > len(answer):
                return None
            if header.tag == SPECIFIC_CHARACTER_SET:
                if header.length > values.MAX_CHARACTER_SETS or any(place.is_read for place in places):
                    # What stands before it is of another character set.
                    return None
                level.note(header.tag, answer[at - header.length : at])
                place = _fixed(header, answer[begin:at], common)
            else:
                place = _place(header, policy, common, level)
            if place is None:
                return None
            places.append(place)
        return cls(places, policy, key, layout, level.character_sets)

    def fill_in(self, answer: bytes) -> FilledForm | None:
        """
        An answer of this form; None where it is none.

        @param answer: all of it.
        """
        filled = FilledForm(self, answer)
        append, take = filled.pieces.append, filled.take
        # From `run` on, what there is up to `at` crosses as it is.
        at, run, size = 0, 0, len(answer)
        try:
            for unpack_from, start, header_length, written, place in self._row:
                begin, length = unpack_from(answer, at)
                if begin != start or length & 1:
                    return None
                end = at + header_length + length
                if place is not None or written is not None:
                    if run < at:
                        append(answer[run:at])
                    run = end
                    if written is not None:
                        append(written)
                    elif not take(place, answer[at:end]):
                        return None
                at = end
        except StructError:
            # It ends within a header.
            return None
        if at != size:
            return None
        if run < at:
            append(answer[run:at])
        return filled

    def noted(self, answer: bytes) -> Noted:
        """
        The elements that something else depends on.

        @param answer: of this form.
        """
        found, at = Noted(), 0
        for place in self._places:
            _, length = place.header.unpack_from(answer, at)
            begin = at + place.header.size
            at = begin + length
            if place.is_noted:
                found[place.tag] = self.element(place, answer[begin:at])
        return found

    def element(self, place: Place, value: bytes) -> Element:
        """The element of a place."""
        return Element(place.tag, place.vr, value, self.level, place.vr)


class FilledForm:
    """
    An answer on its way to the side of the pseudonyms: see `Rewriter` and `Pseudonymisation` for what its methods do.

    @ivar pieces: what is written; in the places of mapped and moved elements not yet.
    @ivar mapped: their places among the pieces, and their originals.
    @ivar moved: their places, and the dates.
    @ivar overlay: an answer has no pixels.
    """

    overlay = None
    opaque = 0

    def __init__(self, form: AnswerForm, answer: bytes) -> None:
        self.pieces: list[bytes] = []
        self.mapped: list[tuple[int, Place, Identity]] = []
        self.moved: list[tuple[int, Element]] = []
        self.known = Known(form.common.own_texts)
        self.is_complete = False
        self._form = form
        self._answer = answer
        self._is_asked = False
        self._ours: list[str] = []
        self._written: bytes | None = None

    def take(self, place: Place, element: bytes) -> bool:
        """
        The element at a place, behind the pieces that there are.

        @return: false where it is not what the form expects.
        """
        pieces, value, character_sets = self.pieces, element[place.header.size :], self._form.level.character_sets
        becomes, written = place.becomes, place.written
        if place.is_guarded:
            self.known.add(place.tag, value, character_sets)
        if becomes is Becomes.MAPPED:
            try:
                texts = values.texts_of(value, place.read_as, character_sets)
            except values.Unreadable:
                return False
            if len(texts) != 1:
                return False
            if is_identifying(place.kind, texts[0]):
                self.mapped.append((len(pieces), place, Identity(place.kind, texts[0])))
            else:
                written = element
        elif becomes is Becomes.MOVED:
            self.moved.append((len(pieces), self._form.element(place, value)))
        elif becomes is Becomes.KEPT:
            written = element
        elif becomes is Becomes.FIXED and element != written:
            return False
        pieces.append(written)
        return True

    # The editor

    def wanted(self) -> set[Identity]:
        was_asked, self._is_asked = self._is_asked, True
        return set() if was_asked else {identity for _, _, identity in self.mapped}

    def learn(self, pseudonyms: Mapping[Identity, str]) -> None:
        raise LocalProtocolError("an answer of a form is answered at once")

    def resolve(self, pseudonyms: Mapping[Identity, str], budget: int | None = None) -> bool:
        pieces, encoded = self.pieces, self._form.layout.encoded
        for index, place, identity in self.mapped:
            pseudonym = pseudonyms.get(identity)
            if pseudonym is None:
                raise OperationRefused(Status.PROCESSING_FAILURE, "a pseudonym is missing")
            values.check_pseudonym(place.pseudonym_vr, pseudonym)
            pieces[index] = encoded(place.tag, place.vr, pseudonym.encode("ascii"))
            self._ours.append(pseudonym)
        if self.moved:
            self._move()
        self._written = b"".join(pieces)
        return False

    def search(self, pieces: Iterable[bytes | memoryview]) -> Search | None:
        form = self._form
        if form.policy.guard == "off":
            return None
        self.known.add_mapped([identity.value for _, _, identity in self.mapped])
        leaving = b"".join(pieces)
        if not self.known.may_stand_in(leaving):
            return None
        guard, noted = self.known.guard(), form.noted(self._answer)
        if noted.is_born_on(form.common.kept_dates):
            guard.forget(noted.text(PATIENT_BIRTH_DATE))
        return guard.search((leaving,), self._ours)

    def _move(self) -> None:
        form = self._form
        patient = form.noted(self._answer).identity(PATIENT_ID)
        days = None if patient is None else dates.shift_days(form.key, patient, *form.policy.shift_days)
        for index, element in self.moved:
            self.known.days.update(move(element, days, form.policy.rule(element.tag).fallback))
            self.pieces[index] = form.layout.written(element)

    # The rewriter

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        raise LocalProtocolError("an answer of a form is there as a whole")

    def work(self, budget: int = 0) -> bool:
        return False

    @property
    def waits(self) -> bool:
        return not self.is_complete

    def prepare(self, budget: int = 0) -> bool:
        return False

    def written(self) -> bytes:
        if self._written is None:
            raise OperationRefused(Status.PROCESSING_FAILURE, "an element that must be edited was not")
        return self._written

    def flush(self) -> list[bytes | memoryview]:
        written = self.written()
        self.is_complete = True
        return [written] if written else []

    def pass_opaque(self, count: int) -> None:
        raise LocalProtocolError("an answer of a form is there as a whole")


@define(eq=False)
class _Header:
    """
    The header of an element.

    @ivar form: reads what says its tag and VR, and the length behind that.
    @ivar start: what says its tag and VR.
    @ivar length: of the value.
    """

    tag: int
    vr: str
    form: Struct
    start: bytes
    length: int

    @classmethod
    def at(cls, data: bytes, at: int, layout: Layout, *, drops_private: bool) -> _Header | None:
        """What stands there; None where it is nothing for a form."""
        if at + 8 > len(data):
            return None
        group, number, _ = layout.item.unpack_from(data, at)
        tag = group << 16 | number
        is_private = bool(group & 1)
        if (is_private and (group < FIRST_PRIVATE_GROUP or not drops_private)) or not number:
            return None
        if tag in NOTABLE and tag != SPECIFIC_CHARACTER_SET:
            return None
        if layout.encoding.is_implicit:
            vr, shape = dictionary_vr(tag) or "UN", "4sL"
        else:
            code = data[at + 4 : at + 6]
            # What is dropped may be of any VR that is known; nobody looks into it.
            header_length = (HEADER_LENGTHS if is_private else PLAIN_HEADER_LENGTHS).get(code, 0)
            is_long = header_length == 12 and at + 12 <= len(data) and data[at + 6 : at + 8] == b"\0\0"
            if header_length != 8 and not is_long:
                return None
            vr, shape = NAMES[code], "8sL" if is_long else "6sH"
        form = _form(("<" if layout.encoding.is_little_endian else ">") + shape)
        return cls(tag, vr, form, *form.unpack_from(data, at))


#: Structures are remembered: a form has dozens of places, and they are of two kinds.
_form: Final = cache(Struct)


def _fixed(header: _Header, raw: bytes, common: Shared) -> Place | None:
    """The place of an element that crosses and may not differ; None where it does not cross."""
    if common.plans.top[header.tag] is not Treatment.KEEP:
        return None
    return Place(header.tag, header.vr, header.start, header.form, Becomes.FIXED, raw)


def _place(header: _Header, policy: Policy, common: Shared, level: Level) -> Place | None:
    """The place of an element; None where its value decides what becomes of it."""
    tag, vr = header.tag, header.vr

    def place(becomes: Becomes, written: bytes = b"") -> Place:
        is_seen = treatment is Treatment.EDIT
        return Place(
            *(tag, vr, header.start, header.form, becomes, written),
            is_guarded=is_seen and tag in GUARDED and action is not Action.KEEP,
            is_noted=is_seen and (tag in (PATIENT_ID, PATIENT_BIRTH_DATE) or tag in common.kept_dates),
        )

    plan = common.plans.top
    treatment = Treatment.DROP if tag >> 16 & 1 else plan[tag]
    action = Action.REMOVE if tag >> 16 & 1 else action_of(plan, tag)
    if treatment is Treatment.KEEP:
        return place(Becomes.KEPT)
    if tag == PIXEL_DATA_PROVIDER_URL and treatment is Treatment.EDIT:
        # An address refuses the data set.
        return None
    if treatment is Treatment.DROP or action is Action.REMOVE:
        return place(Becomes.SETTLED)
    if action is Action.KEEP:
        return place(Becomes.KEPT)
    if action is Action.SHIFT:
        return place(Becomes.MOVED)
    if action is Action.UID or action is Action.PSEUDONYM:
        kind = common.plans.mapped_kind(tag, 0)
        if kind is None:
            return place(Becomes.KEPT)
        return evolve(
            place(Becomes.MAPPED),
            kind=kind,
            read_as="UI" if action is Action.UID else vr,
            pseudonym_vr="UI" if kind.is_uid else vr,
        )
    if action not in (Action.EMPTY, Action.DUMMY, Action.REPLACE):
        return None
    element = Element(tag, vr, b"", level, vr)
    if action is Action.REPLACE:
        try:
            element.replace(values.encode(policy.rule(tag).text, vr, level.character_sets))
        except values.Unreadable:
            return None
    else:
        settle(element, action)
    return place(Becomes.SETTLED, layout_of(level.is_implicit, level.encoding.is_little_endian).written(element))
