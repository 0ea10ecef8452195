"""A data set on its way from the side of the pseudonyms to that of the originals."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from dimseproxy.dataset.element import Element, Level, Plan, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import dates, values
from dimseproxy.privacy.guard import Search
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.new_uids import new_uid
from dimseproxy.privacy.pending import Mapped, Pending, advanced
from dimseproxy.privacy.plans import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    ReversePlan,
)
from dimseproxy.privacy.policy import Action, Policy
from dimseproxy.privacy.pseudonymisation import Purpose, moved_value


class UnknownPseudonym(Enum):
    """What becomes of a value that stands where a pseudonym should, and is nobody's."""

    #: The data set is refused.
    REFUSE = "refuse"
    #: UIDs may be new, except that of the study: somebody made a new object of what was given out. They become UIDs
    #: of our own: see `dimseproxy.privacy.new_uids`.
    NEW_INSTANCES = "new instances"
    #: It stays: it was given out by nobody here, and what receives it may see originals.
    PASS = "pass"


#: What a new object may say for itself. Its patient and study, and its order's numbers, it has from elsewhere.
_NEW: Final = frozenset((Kind.INSTANCE, Kind.SERIES, Kind.UID))
_LEVELS: Final = {
    PATIENT_ID: Kind.PATIENT,
    STUDY_INSTANCE_UID: Kind.STUDY,
    SERIES_INSTANCE_UID: Kind.SERIES,
    SOP_INSTANCE_UID: Kind.INSTANCE,
}
#: What an object that is stored must name and somebody here must know: what it lacks, nobody can have refused. A known
#: instance may be one of a patient without a Patient ID.
_NAMED: Final = {
    UnknownPseudonym.REFUSE: (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID),
    UnknownPseudonym.NEW_INSTANCES: (PATIENT_ID, STUDY_INSTANCE_UID),
    UnknownPseudonym.PASS: (),
}


class Reidentification:
    """
    The editor of one data set that goes to the side of the originals: what was mapped is mapped back, dates move back.

    Nothing else is changed: what was taken out on the way there nobody can bring back. Only the attributes that say
    that the object was de-identified are dropped (PS3.15 E.1.1), for that is true no more.

    C{resolve} is called before each flush, as for a `Pseudonymisation`.

    @param key: the secret key of the pseudonyms.
    @param purpose: an object must belong to something that is known, as far as unknown pseudonyms are refused.
    @ivar overlay: always None, pixel data cross untouched.
    """

    #: Private elements are asked about.
    drops_private = False
    insertions: Sequence[tuple[int, bytes]] = ()
    overlay: None = None

    def __init__(
        self,
        policy: Policy,
        encoding: Encoding,
        key: bytes,
        unknown: UnknownPseudonym,
        purpose: Purpose = Purpose.OBJECT,
    ) -> None:
        self._policy = policy
        self._key = key
        self._unknown = unknown
        self.plan = _plan_of(policy)
        self._pending = Pending()
        self._answers: Iterator[None] | None = None
        self._dates: deque[Element] = deque()
        self._kept: deque[Element] = deque()
        #: The elements of the data set itself that say its patient, study, series and instance.
        self._levels: dict[int, Element] = {}
        self._is_fit = purpose is not Purpose.OBJECT

    @property
    def patient(self) -> str | None:
        """The original Patient ID, once resolved; None where the data set has none, or it is not known."""
        return self._original(PATIENT_ID)

    @property
    def sop_instance(self) -> str | None:
        """The SOP Instance UID on the side of the originals, likewise; also of a new instance."""
        return self._original(SOP_INSTANCE_UID)

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        """Private elements cross; their UIDs are mapped back."""
        return Treatment.EDIT if vr == "UI" and self._policy.maps(Kind.UID) else Treatment.KEEP

    def plan_within(self, element_tag: int, level: Level) -> Plan | None:
        """The same plan: a sequence stands where a value that was mapped was to be expected, and is looked through."""
        return self.plan

    def edit(self, element: Element) -> None:
        """Remember an element until `resolve`."""
        tag, level = element.tag, element.level
        if tag >> 16 & 1:
            self._remember(element, Kind.UID, "UI")
            return
        if level.parent is None and tag in _LEVELS:
            self._levels[tag] = element
        action = self.plan.action(tag)
        kind = self.plan.mapped_kind(tag, level.sequence)
        if action is Action.SHIFT:
            self._dates.append(element)
        elif kind is not None and (action is Action.UID or action is Action.PSEUDONYM):
            self._remember(element, kind, "UI" if action is Action.UID else element.vr)
        else:
            self._kept.append(element)

    def wanted(self) -> set[Identity]:
        """The pseudonyms that were met since this was last asked: each is handed out once, and then to be answered."""
        return self._pending.wanted()

    def learn(self, originals: Mapping[Identity, str]) -> None:
        """The originals of some of what was wanted, as far as they are known."""
        self._pending.learn(originals)

    def resolve(self, originals: Mapping[Identity, str], budget: int | None = None) -> bool:
        """
        Answer for what was remembered.

        @param originals: of what was wanted and is not learned yet, as far as they are known: who has no original by
            now is nobody's pseudonym.
        @param budget: for how many elements; None: for all.
        @return: whether there are more: call again, with nothing.
        @raise OperationRefused: one is not known that has to be, or its place cannot say it.
        """
        self._pending.learn(originals)
        if self._answers is None:
            self._answers = self._answer()
        if advanced(self._answers, budget):
            return True
        self._answers = None
        return False

    def search(self, pieces: Iterable[bytes | memoryview]) -> Search | None:
        """None: those who receive this may see originals."""
        return None

    def _remember(self, element: Element, kind: Kind, vr: str) -> None:
        try:
            if not self._pending.add(element, kind, vr):
                self._kept.append(element)
        except values.Unreadable:
            # Pseudonyms and UIDs are ASCII, so that this is none.
            if self._unknown is not UnknownPseudonym.PASS:
                raise _unknown(kind) from None
            self._kept.append(element)

    def _restored(self, value: Mapped, element: Element) -> bytes:
        encoded = value.encoded.get(element.vr)
        if encoded is not None:
            return encoded
        original = value.other if value.other is not None else self._of_nobody(value.identity)
        try:
            encoded = values.encode(original, element.vr, element.level.character_sets)
        except values.Unreadable:
            raise _refused("an original is not in the character set of the object") from None
        if encoded.isascii() and original.isascii():
            # Anything else depends on where it stands.
            value.encoded[element.vr] = encoded
        return encoded

    def _of_nobody(self, pseudonym: Identity) -> str:
        """What a value that is nobody's pseudonym becomes; it is refused unless it may be one."""
        if self._unknown is UnknownPseudonym.PASS:
            return pseudonym.value
        if self._may_be_new(pseudonym.kind):
            return new_uid(self._key, pseudonym.value)
        raise _unknown(pseudonym.kind)

    def _may_be_new(self, kind: Kind) -> bool:
        return self._unknown is UnknownPseudonym.NEW_INSTANCES and kind in _NEW

    def _answer(self) -> Iterator[None]:
        """Answer for everything that was remembered, an element at each step."""
        yield from self._pending.answers(self._restored)
        if not self._is_fit:
            self._look_for_levels()
            self._is_fit = True
        # By how much the dates were moved shows when the patient is known; where nobody can tell, they are emptied
        # rather than wrong.
        patient = self.patient
        days = None if patient is None else -dates.shift_days(self._key, patient, *self._policy.shift_days)
        # The dates of a patient whom nobody here knows were never moved.
        is_foreign = days is None and self._is_foreign()
        while self._dates:
            element = self._dates.popleft()
            if days is not None:
                element.replace(moved_value(element, days))
            else:
                element.replace(element.value if is_foreign else b"")
            yield
        while self._kept:
            element = self._kept.popleft()
            element.replace(element.value)
            yield

    def _look_for_levels(self) -> None:
        """@raise OperationRefused: the object does not name what it must belong to."""
        for tag in _NAMED[self._unknown]:
            kind = _LEVELS[tag]
            is_mapped = self.plan.action(tag) in (Action.UID, Action.PSEUDONYM) and self._policy.maps(kind)
            # Of several values, who receives them may take any.
            found = self._texts(tag)
            if is_mapped and (len(found) != 1 or self._pending.other(Identity(kind, found[0])) is None):
                raise _refused(f"the object names no known {kind.value}")

    def _is_foreign(self) -> bool:
        return self._stated(PATIENT_ID) is not None

    def _original(self, tag: int) -> str | None:
        kind, stated = _LEVELS[tag], self._stated(tag)
        if stated is None:
            return None
        if self.plan.action(tag) is Action.KEEP:
            return stated
        original = self._pending.other(Identity(kind, stated))
        return new_uid(self._key, stated) if original is None and self._may_be_new(kind) else original

    def _stated(self, tag: int) -> str | None:
        """The value of an element; None where it was taken out on its way there, or what stands there is none."""
        if self.plan.action(tag) not in (Action.UID, Action.PSEUDONYM, Action.KEEP):
            return None
        found = self._texts(tag)
        return found[0] or None if found else None

    def _texts(self, tag: int) -> list[str]:
        """What an element of the data set itself says; nothing where it is not there, or not readable."""
        element = self._levels.get(tag)
        if element is None:
            return []
        try:
            return values.texts_of(element.value, "UI" if _LEVELS[tag].is_uid else "LO", element.level.character_sets)
        except values.Unreadable:
            return []


@lru_cache(maxsize=64)
def _plan_of(policy: Policy) -> ReversePlan:
    return ReversePlan(policy)


def _unknown(kind: Kind) -> OperationRefused:
    return _refused(f"a value of kind {kind.value} is no known pseudonym")


def _refused(comment: str) -> OperationRefused:
    return OperationRefused(Status.PROCESSING_FAILURE, comment)
