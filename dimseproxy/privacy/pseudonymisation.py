"""A data set on its way to the side of the pseudonyms."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from attrs import evolve

from dimseproxy.dataset.element import Element, Level, Plan, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import burned_in, dates, values
from dimseproxy.privacy.clean import clean
from dimseproxy.privacy.guard import Guard, Known, Search
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.method import method_attributes
from dimseproxy.privacy.modules import TYPE_3_AT_TOP
from dimseproxy.privacy.noted import (
    BURNED_IN_ANNOTATION,
    DATES,
    IMAGE_BOXES,
    PIXEL_DATA_PROVIDER_URL,
    SOP_CLASS_UID,
    Noted,
    noted_tags,
)
from dimseproxy.privacy.pending import Mapped, Pending, advanced
from dimseproxy.privacy.plans import (
    GUARDED,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    SOP_INSTANCE_UID,
    ActionPlan,
    Plans,
    action_of,
    settle,
)
from dimseproxy.privacy.policy import Action, Policy
from dimseproxy.privacy.private import PrivateRules
from dimseproxy.privacy.profile import DATE_VRS
from dimseproxy.privacy.table import vr_of


class Purpose(Enum):
    """What a data set is to those who receive it."""

    #: A composite instance: it says how it was de-identified, and may have text in its pixels.
    OBJECT = "object"
    #: An answer of C-FIND, a data set of N-EVENT-REPORT and its like, a Failed SOP Instance UID List.
    ANSWER = "answer"


class Pseudonymisation:
    """
    The editor of one data set that leaves for the side of the pseudonyms (PS3.15 E.1.1).

    While the rewriter scans, it collects what needs a pseudonym. C{resolve} answers for all of it, and is called
    before each flush even if nothing is C{wanted}: dates, ages and the look for text in the pixels wait for it, too.
    What was not answered, the rewriter does not let go.

    @param key: the secret key of the pseudonyms.
    @param sop_class: that of the command set which an object came with; empty where there is none.
    @ivar overlay: what the native pixel data are to be sent through, once resolved; None: they cross untouched.
    """

    def __init__(self, policy: Policy, encoding: Encoding, purpose: Purpose, key: bytes, sop_class: str = "") -> None:
        common = shared(policy, purpose)
        self._policy = policy
        self._purpose = purpose
        self._key = key
        self._sop_class = sop_class
        self._plans = common.plans
        self._private = common.private
        self._kept_dates = common.kept_dates
        self.plan: Plan = common.plans.top
        self.insertions: Sequence[tuple[int, bytes]] = (
            method_attributes(policy, encoding) if purpose is Purpose.OBJECT else ()
        )
        self.overlay: burned_in.Blanking | None = None
        self._pending = Pending()
        self._answers: Iterator[None] | None = None
        self._dates: deque[Element] = deque()
        self._days: int | None = None
        self._is_head_over = False
        self._ages: deque[Element] = deque()
        #: Elements that are looked at only, answered once the data set is known to be fit to leave.
        self._kept: deque[Element] = deque()
        self._noted = Noted()
        self._known = Known(common.own_texts)
        self._is_fit = purpose is not Purpose.OBJECT or policy.burned_in == "pass"

    @property
    def patient(self) -> str | None:
        """The original Patient ID, once the head is scanned; None where the data set has none."""
        return self._noted.identity(PATIENT_ID)

    @property
    def sop_instance(self) -> str | None:
        """The original SOP Instance UID, likewise."""
        return self._noted.identity(SOP_INSTANCE_UID)

    @property
    def drops_private(self) -> bool:
        """Whether no private element crosses, so that none is asked about."""
        return self._policy.private_attributes == "remove"

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        """The treatment of a private element: see `dimseproxy.dataset.element.Editor`."""
        return self._private.treatment(tag, vr, level)

    def plan_within(self, element_tag: int, level: Level) -> Plan | None:
        """
        The plan for the items of a sequence that is dummied or cleaned.

        @raise OperationRefused: it holds the pixels of a film, and the policy does not let text in pixels pass.
        """
        if element_tag in IMAGE_BOXES and element_tag in self._plans.noted:
            raise _refused("the film may show text that names somebody")
        return self._plans.within(element_tag, level.plan)

    def edit(self, element: Element) -> None:
        """Answer for an element, or remember it until `resolve`."""
        tag, level = element.tag, element.level
        if tag >> 16 & 1:
            self._edit_private(element)
            return
        plan = level.plan
        if isinstance(plan, ActionPlan):
            if tag in plan.settled:
                absent = tag in TYPE_3_AT_TOP and level.parent is None and self._purpose is Purpose.OBJECT
                settle(element, Action.REMOVE if absent else plan.settled[tag])
                return
            action = plan.actions.get(tag) or plan.action(tag)
        else:
            action = Action.REMOVE
        if level.parent is None:
            if tag == PIXEL_DATA_PROVIDER_URL:
                _refuse_elsewhere(element)
            self._noted[tag] = element
        if action is Action.KEEP:
            self._kept.append(element)
            return
        if tag in GUARDED:
            self._known.add(tag, element.value, level.character_sets)
        if action is Action.REMOVE:
            element.replace(None)
        elif action is Action.UID or action is Action.PSEUDONYM:
            kind = self._plans.mapped_kind(tag, level.sequence)
            if kind is None:
                # A reference whose kind depends on its sequence.
                self._kept.append(element)
            else:
                self._remember(element, kind, "UI" if action is Action.UID else element.vr)
        elif action is Action.SHIFT:
            self._shift(element)
        elif action is Action.AGE:
            self._ages.append(element)
        elif action is Action.CLEAN:
            self._clean(element)
        elif action is Action.REPLACE:
            self._write(element)
        else:
            settle(element, action)

    def wanted(self) -> set[Identity]:
        """The originals that were met since this was last asked: each is handed out once, and then to be answered."""
        return self._pending.wanted()

    def learn(self, pseudonyms: Mapping[Identity, str]) -> None:
        """The pseudonyms of some of what was wanted; all of them are known before it is resolved."""
        self._pending.learn(pseudonyms)

    def resolve(self, pseudonyms: Mapping[Identity, str], budget: int | None = None) -> bool:
        """
        Answer for what was remembered.

        @param pseudonyms: of all that was wanted and is not learned yet.
        @param budget: for how many elements; None: for all.
        @return: whether there are more: call again, with nothing.
        @raise OperationRefused: one is missing, or does not fit where it is to stand; or the object shows text.
        """
        if not self._is_fit:
            self._look_for_text()
            self._is_fit = True
        self._pending.learn(pseudonyms)
        self._is_head_over = True
        if self._answers is None:
            self._answers = self._answer()
        if advanced(self._answers, budget):
            return True
        self._answers = None
        return False

    def search(self, pieces: Iterable[bytes | memoryview]) -> Search | None:
        """
        Look for original values of this patient in what is about to leave, as far as the policy has a guard.

        @param pieces: what was scanned and edited, without bulk values, as it leaves; not deflated.
        @return: see `Guard.search`.
        @raise OperationRefused: there are too many of them, or it would take too long.
        """
        return None if self._policy.guard == "off" else self.guard().search(pieces, self._pending.others())

    def guard(self) -> Guard:
        """What looks for the original values of this patient that were met so far."""
        guard = self._known.guard()
        if self._noted.is_born_on(self._kept_dates):
            guard.forget(self._noted.text(PATIENT_BIRTH_DATE))
        return guard

    def names_alone(self, element: Element) -> tuple[Kind, str] | None:
        """
        Whether an element of the data set itself gets pseudonyms, and nothing else depends on its value.

        @return: of which kind the value is, and the VR that it is read as.
        """
        tag = element.tag
        if tag >> 16 & 1 or tag in GUARDED or (tag in self._plans.noted and tag != SOP_INSTANCE_UID):
            return None
        action = action_of(self.plan, tag)
        if action is not Action.UID and action is not Action.PSEUDONYM:
            return None
        kind = self._plans.mapped_kind(tag, 0)
        return None if kind is None else (kind, "UI" if action is Action.UID else element.vr)

    # -- one element

    def _edit_private(self, element: Element) -> None:
        action = self._private.action(element)
        if action is Action.UID:
            self._remember(element, Kind.UID, "UI")
        elif action is Action.KEEP:
            self._kept.append(element)
        else:
            element.replace(None)

    def _remember(self, element: Element, kind: Kind, vr: str) -> None:
        try:
            found = self._pending.add(element, kind, vr)
        except values.Unreadable:
            raise _refused("a value to pseudonymise is not readable in its character set") from None
        if not found:
            self._kept.append(element)
        elif element.level.parent is None:
            # Deeper ones name other objects, and there may be thousands of them.
            self._known.add_mapped(found)

    def _write(self, element: Element) -> None:
        text = self._policy.rule(element.tag).text
        try:
            element.replace(values.encode(text, element.vr, element.level.character_sets))
        except values.Unreadable:
            raise _refused("a replacement text is not in the character set of the object") from None

    def _clean(self, element: Element) -> None:
        vr, character_sets = element.vr, element.level.character_sets
        kept = ""
        if values.is_words(vr) and len(element.value) <= values.MAX_TEXT:
            try:
                found = values.texts_of(element.value, vr, character_sets)
                kept = "\\".join(clean(value, self._policy.vocabulary) for value in found)
                cleaned = values.encode(kept, vr, character_sets)
            except values.Unreadable:
                kept = ""
        if kept.strip("\\"):
            element.replace(cleaned)
        else:
            settle(element, self._plans.fallback(element.tag))

    # -- the data set

    def _answer(self) -> Iterator[None]:
        """Answer for everything that was remembered, an element at each step."""
        yield from self._pending.answers(_pseudonym)
        for waiting, answer in (
            (self._dates, self._shift),
            (self._ages, self._derive_age),
            (self._kept, _keep),
        ):
            while waiting:
                answer(waiting.popleft())
                yield

    def _shift(self, element: Element) -> None:
        """Move a date, or remember it: the first ones come before their patient."""
        if self._days is None and (patient := self.patient) is not None:
            self._days = dates.shift_days(self._key, patient, *self._policy.shift_days)
        if self._days is None and not self._is_head_over:
            self._dates.append(element)
            return
        self._known.days.update(move(element, self._days, self._policy.rule(element.tag).fallback))

    def _derive_age(self, element: Element) -> None:
        on = next(filter(None, map(self._noted.text, DATES)), "")
        stated = element.value.decode("latin-1").strip(" \0")
        age = dates.derive_age(self._noted.text(PATIENT_BIRTH_DATE), on) or dates.cap_age(stated)
        if age is not None:
            element.replace(age.encode("ascii"))
        else:
            settle(element, self._policy.rule(element.tag).fallback)

    def _look_for_text(self) -> None:
        """
        Find what is to be blanked of an object.

        @raise OperationRefused: it is said to show text, and nothing is to be blanked; or its class is not clear.
        """
        noted = self._noted
        sop_class = noted.text(SOP_CLASS_UID) or self._sop_class
        if self._sop_class not in ("", sop_class):
            # Who receives it may go by either.
            raise _refused("the object is of another SOP class than its command says")
        if self._policy.burned_in == "blank":
            image = evolve(noted.image(), sop_class=sop_class)
            regions = burned_in.regions_of(self._policy.blanks, image)
            if regions:
                self.overlay = burned_in.Blanking(image, regions)
                return
        if burned_in.says_burned_in(sop_class, noted.text(BURNED_IN_ANNOTATION)):
            raise _refused("the object may show text that names somebody")


def move(element: Element, days: int | None, fallback: Action) -> Iterable[str]:
    """
    Answer for a date.

    @param days: None: nobody knows by how many.
    @param fallback: what happens to one that cannot be moved.
    @return: the days that it says now, as YYYYMMDD.
    """
    moved = b"" if days is None else moved_value(element, days)
    if moved or not element.value.strip(b" \0"):
        element.replace(moved)
        return [day[:8] for day in moved.decode("ascii").split("\\")]
    settle(element, fallback)
    return ()


def moved_value(element: Element, days: int) -> bytes:
    """
    The dates of an element, moved; without those that cannot be read.

    @return: nothing where its VR is none of a date, or where it has thousands of them.
    """
    # What the wire says of the VR is the sender's word; who receives it may go by the dictionary.
    vr = vr_of(element.tag)
    if vr is None or element.vr not in DATE_VRS or len(element.value) > values.MAX_TEXT:
        return b""
    try:
        found = values.texts_of(element.value, element.vr, b"")
    except values.Unreadable:
        return b""
    moved = [dates.shift(vr, value, days) or "" if value else "" for value in found]
    return "\\".join(moved).encode("ascii") if any(moved) else b""


class Shared:
    """What all data sets of a policy and purpose have in common."""

    def __init__(self, policy: Policy, purpose: Purpose) -> None:
        self.plans: Final = Plans(policy, noted_tags(policy, purpose is Purpose.OBJECT))
        self.private: Final = PrivateRules(policy)
        #: Of those that are looked at, which cross as they are.
        self.kept_dates: Final = tuple(tag for tag in DATES if action_of(self.plans.top, tag) is Action.KEEP)
        method = (policy.method_text, *(code.meaning for code in policy.method_codes))
        #: A patient may be called like a word of ours.
        self.own_texts: Final = (values.ANONYMIZED, *method, *(rule.text for rule in policy.listed.values()))


@lru_cache(maxsize=64)
def shared(policy: Policy, purpose: Purpose) -> Shared:
    return Shared(policy, purpose)


def _pseudonym(value: Mapped, element: Element) -> bytes:
    vr = element.vr
    encoded = value.encoded.get(vr)
    if encoded is None:
        if value.other is None:
            raise _refused("a pseudonym is missing")
        values.check_pseudonym("UI" if value.identity.kind.is_uid else vr, value.other)
        encoded = value.encoded[vr] = value.other.encode("ascii")
    return encoded


def _refuse_elsewhere(element: Element) -> None:
    """
    @raise OperationRefused: the element says where the pixel data are.
    """
    if element.value.strip(b" \0"):
        # Without the address there is no image, and the address is that of the originals.
        raise _refused("the pixel data are elsewhere, at an address that may not leave")


def _keep(element: Element) -> None:
    element.replace(element.value)


def _refused(comment: str) -> OperationRefused:
    return OperationRefused(Status.PROCESSING_FAILURE, comment)
