"""
A policy as plans for the rewriter: what is dropped unread, what is kept unread, and what somebody must look at.

Plans are made once for a policy and filled as tags are met; every data set under the policy reads the same ones.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from dimseproxy.dataset.element import Element, Level, Plan, Treatment
from dimseproxy.dataset.frames import layout_of
from dimseproxy.privacy import values
from dimseproxy.privacy.dummies import dummy
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.kinds import REFERENCED_SOP_INSTANCE_UID, kind_of
from dimseproxy.privacy.method import METHOD
from dimseproxy.privacy.modules import TYPE_3_AT_TOP
from dimseproxy.privacy.policy import Action, Policy
from dimseproxy.privacy.table import vr_of

#: More tags than the standard has; beyond it, a tag that nobody knows is worked out each time it comes.
MAX_REMEMBERED: Final = 20_000

PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
PATIENT_BIRTH_DATE: Final = 0x00100030
SOP_INSTANCE_UID: Final = 0x00080018
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
_ALWAYS_NOTED: Final = frozenset((PATIENT_ID, SOP_INSTANCE_UID))
#: Names of the patient and of relatives: of VR PN, guarded by their components.
GUARDED_NAMES: Final = frozenset((PATIENT_NAME, 0x00101001, 0x00101005, 0x00101060))
#: Dates, numbers and addresses that a patient is known by.
GUARDED: Final = GUARDED_NAMES | {
    PATIENT_ID,
    PATIENT_BIRTH_DATE,
    0x00080050,  # Accession Number
    0x00101000,  # Other Patient IDs
    0x00101090,  # Medical Record Locator
    0x00102154,  # Patient's Telephone Numbers
    0x00380010,  # Admission ID
    0x00402016,  # Placer Order Number / Imaging Service Request
    0x00402017,  # Filler Order Number / Imaging Service Request
}

#: What a reader needs to find its way through structured content and annotations: defined terms and references.
_STRUCTURE: Final = frozenset(
    (
        0x00080005,  # Specific Character Set
        0x0040A010,  # Relationship Type
        0x0040A040,  # Value Type
        0x0040A050,  # Continuity of Content
        0x0040DB73,  # Referenced Content Item Identifier
        0x00700002,  # Graphic Layer: as Graphic Layer Sequence, which stays, names it
        0x00700003,  # Bounding Box Annotation Units
        0x00700004,  # Anchor Point Annotation Units
        0x00700005,  # Graphic Annotation Units
        0x00700020,  # Graphic Dimensions
        0x00700024,  # Graphic Filled
    )
)
CODE_MEANING: Final = 0x00080104
#: The Code Sequence Macro (PS3.3 Table 8.8-1): codes and their schemes stay where structured content is cleaned. What
#: they mean is text like any other.
_CODE: Final = frozenset(
    (
        *range(0x00080100, CODE_MEANING),
        *range(CODE_MEANING + 1, 0x00080108),
        *(0x0008010B, 0x0008010C, 0x0008010D, 0x0008010F),
        *range(0x00080117, 0x00080123),
    )
)
_UNREAD: Final = frozenset((Action.EMPTY, Action.DUMMY, Action.REPLACE))
_RESTORED: Final = frozenset((Action.UID, Action.PSEUDONYM, Action.SHIFT))
#: What is all name, or what nobody can look into for words.
_OPAQUE: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "PN", "UN", "UR"))


class Within(Enum):
    """Where an element is, as far as that changes its treatment."""

    #: The data set itself, and sequences that are kept.
    KEPT = "kept"
    #: A sequence with dummy values: what its own rule would keep is a dummy there.
    DUMMIED = "dummied"
    #: A cleaned sequence: what its own rule would keep is cleaned, if it is text.
    CLEANED = "cleaned"


class ActionPlan(Plan):
    """
    The treatment of the elements of a data set or of items, under a policy.

    @ivar actions: what the elements are edited to, of every tag that was looked up.
    @ivar settled: those of them that are answered without a look at anything: C{EMPTY} or C{DUMMY}.
    """

    def __init__(self, plans: Plans, within: Within) -> None:
        super().__init__()
        self._plans = plans
        self.within = within
        self.actions: dict[int, Action] = {}
        self.settled: dict[int, Action] = {}
        self._instead: dict[tuple[int, str, bool, bool], bytes] = {}

    def __missing__(self, tag: int) -> Treatment:
        action = self._plans.action(tag, self.within)
        treatment = self._plans.treatment(tag, action, self.within)
        if len(self) < MAX_REMEMBERED:
            self[tag] = treatment
            self.actions[tag] = action
            if treatment is Treatment.SWAP and action is not Action.REPLACE:
                self.settled[tag] = action
        return treatment

    def instead(self, tag: int, vr: str, level: Level) -> bytes | None:
        """What is settled is written alike in all data sets of an encoding."""
        encoding = level.encoding
        key = tag, vr, encoding.is_implicit, encoding.is_little_endian
        written = self._instead.get(key)
        if written is None and tag in self.settled and tag not in TYPE_3_AT_TOP:
            element = Element(tag, vr, b"", level, vr)
            settle(element, self.settled[tag])
            written = layout_of(encoding.is_implicit, encoding.is_little_endian).written(element)
            if len(self._instead) < MAX_REMEMBERED:
                self._instead[key] = written
        return written

    def action(self, tag: int) -> Action:
        """What an element is edited to."""
        return self.actions.get(tag) or self._plans.action(tag, self.within)


class Plans:
    """
    The plans of a policy for what goes to the side of the pseudonyms.

    @param noted: tags that are looked at although their rule needs no look.
    @ivar top: the plan of the data set itself.
    """

    def __init__(self, policy: Policy, noted: frozenset[int] = frozenset()) -> None:
        self.policy = policy
        self.noted = noted
        self._kinds: dict[int, Kind | None] = {}
        self._plans = {within: ActionPlan(self, within) for within in Within}
        self.top = self._plans[Within.KEPT]

    def mapped_kind(self, tag: int, sequence: int) -> Kind | None:
        """The kind of an attribute in an item of a sequence, if values of it are mapped."""
        key = tag << 32 | sequence
        try:
            return self._kinds[key]
        except KeyError:
            kind = kind_of(tag, sequence)
            found = kind if self.policy.maps(kind) else None
            if len(self._kinds) < MAX_REMEMBERED:
                self._kinds[key] = found
            return found

    def within(self, tag: int, plan: Plan) -> ActionPlan | None:
        """The plan for the items of a sequence that is edited; None where it has no place there."""
        action = action_of(plan, tag)
        if action is Action.DUMMY:
            return self._plans[Within.DUMMIED]
        if action is Action.CLEAN:
            return self._plans[Within.CLEANED]
        return None

    def action(self, tag: int, within: Within) -> Action:
        """What happens to an element of an even group, there."""
        rule = self.policy.rule(tag)
        action = rule.action
        vr = vr_of(tag) or "UN"
        if action in (Action.UID, Action.PSEUDONYM) and not self._maps(tag):
            action = Action.KEEP
        if (
            action is Action.KEEP
            and within is not Within.KEPT
            and tag not in _STRUCTURE
            and tag not in self.policy.listed
        ):
            return self._action_within(tag, vr, within)
        if action is Action.CLEAN and not (vr == "SQ" or values.is_words(vr)):
            return self.fallback(tag)
        return action

    def fallback(self, tag: int) -> Action:
        """What happens to an element that is to be cleaned, and of which nothing is left."""
        # Of type 1, also where its own rule would keep it.
        return Action.DUMMY if tag == CODE_MEANING else self.policy.rule(tag).fallback

    def treatment(self, tag: int, action: Action, within: Within) -> Treatment:
        """How the rewriter goes about it."""
        if within is Within.KEPT and tag in self.noted:
            return Treatment.EDIT
        if action is Action.KEEP:
            return Treatment.KEEP
        if tag in GUARDED:
            return Treatment.EDIT
        if action is Action.REMOVE:
            return Treatment.DROP
        if action in _UNREAD and not (action is Action.DUMMY and vr_of(tag) == "SQ"):
            return Treatment.SWAP
        return Treatment.EDIT

    def _action_within(self, tag: int, vr: str, within: Within) -> Action:
        """What happens to an element that its own rule keeps, in items that are not kept as they are."""
        if vr == "UI":
            # A class or a scheme, or a policy that maps no UID here.
            return Action.KEEP
        if within is Within.DUMMIED:
            return Action.DUMMY
        if tag in _CODE or vr == "CS":
            return Action.KEEP
        if vr == "SQ" or values.is_words(vr):
            return Action.CLEAN
        return Action.REMOVE if vr[:2] in _OPAQUE else Action.KEEP

    def _maps(self, tag: int) -> bool:
        if self.policy.maps(kind_of(tag)):
            return True
        return tag == REFERENCED_SOP_INSTANCE_UID and self.policy.maps(Kind.STUDY)


class ReversePlan(Plan):
    """
    The treatment of what comes from the side of the pseudonyms: only what can be restored is looked at.

    It is the same at every depth: what was mapped in items that are dummied or cleaned has its own rule to be mapped.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._dropped = METHOD if policy.writes_method else ()
        self._forward = Plans(policy)

    def __missing__(self, tag: int) -> Treatment:
        treatment = self._treatment(tag)
        if len(self) < MAX_REMEMBERED:
            self[tag] = treatment
        return treatment

    def action(self, tag: int) -> Action:
        """What was done to an element on its way to the side of the pseudonyms."""
        return self._forward.top.action(tag)

    def mapped_kind(self, tag: int, sequence: int) -> Kind | None:
        """As `Plans.mapped_kind`."""
        return self._forward.mapped_kind(tag, sequence)

    def _treatment(self, tag: int) -> Treatment:
        if tag in self._dropped:
            return Treatment.DROP
        if tag in _ALWAYS_NOTED or self.action(tag) in _RESTORED:
            return Treatment.EDIT
        return Treatment.KEEP


def action_of(plan: Plan, tag: int) -> Action:
    """What an edited element is edited to, under its plan."""
    if not isinstance(plan, ActionPlan):
        return Action.REMOVE
    return plan.actions.get(tag) or plan.action(tag)


def settle(element: Element, action: Action) -> None:
    """Take out an element's value in the way that C{REMOVE}, C{EMPTY} or C{DUMMY} say."""
    if action is Action.REMOVE:
        element.replace(None)
    elif action is Action.DUMMY:
        element.replace(dummy(element.tag, element.vr, element.encoding.is_little_endian))
    else:
        element.replace(b"")
