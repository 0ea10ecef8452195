"""Private elements of a data set that goes to the side of the pseudonyms (PS3.5 7.8, PS3.15 E.3.10)."""

from __future__ import annotations

from typing import Final

from dimseproxy.dataset.element import Element, Level, Treatment
from dimseproxy.privacy import values
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.plans import ActionPlan, Within
from dimseproxy.privacy.policy import Action, Policy

#: Creators whose blocks have been looked through; peers may name any number.
MAX_REMEMBERED: Final = 1024
_FIRST_CREATOR: Final = 0x10
_FIRST_IN_BLOCK: Final = 0x1000


class PrivateRules:
    """
    What a policy does with private elements: they cross as they are, or not at all.

    UIDs among those that cross are mapped like all others, and a creator crosses where any of its block may.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._creators: dict[tuple[str, int], bool] = {}

    def treatment(self, tag: int, vr: str, level: Level) -> Treatment:
        """As `dimseproxy.dataset.element.Editor.private`."""
        policy = self._policy
        if policy.private_attributes == "remove" or not _is_kept_as_it_is(level):
            return Treatment.DROP
        element = tag & 0xFFFF
        if element < _FIRST_IN_BLOCK:
            # A creator is known by its value; what is between creators and blocks is nothing (PS3.5 7.8.1).
            return Treatment.EDIT if _FIRST_CREATOR <= element <= 0xFF else Treatment.DROP
        if self._action(tag, level) is not Action.KEEP:
            return Treatment.DROP
        return Treatment.EDIT if vr == "UI" and policy.maps(Kind.UID) else Treatment.KEEP

    def action(self, element: Element) -> Action:
        """What an element that `treatment` says to edit is edited to: C{UID}, C{KEEP} or C{REMOVE}."""
        tag, level = element.tag, element.level
        if tag & 0xFFFF >= _FIRST_IN_BLOCK:
            return Action.UID if self._action(tag, level) is Action.KEEP else Action.REMOVE
        try:
            creators = values.texts_of(element.value, "LO", level.character_sets)
        except values.Unreadable:
            return Action.REMOVE
        # A creator is one value (PS3.5 7.8.1): what else stands there is nobody's whose attributes are safe.
        is_known = len(creators) == 1 or self._policy.private_attributes == "keep"
        return Action.KEEP if is_known and self._is_wanted(creators[0], tag) else Action.REMOVE

    def _action(self, tag: int, level: Level) -> Action:
        creator = level.creators.get(tag >> 8, "").strip(" \0")
        return self._policy.private_rule(creator, tag).action

    def _is_wanted(self, creator: str, tag: int) -> bool:
        """Whether anything of the block that a creator element reserves may cross."""
        found = self._creators.get((creator, tag))
        if found is None:
            block = (tag & 0xFFFF0000) | (tag & 0xFF) << 8
            found = any(self._policy.private_rule(creator, block | low).action is Action.KEEP for low in range(0x100))
            if len(self._creators) < MAX_REMEMBERED:
                self._creators[creator, tag] = found
        return found


def _is_kept_as_it_is(level: Level) -> bool:
    """Private elements have no place in items that are dummied or cleaned: nobody knows what they say."""
    return isinstance(level.plan, ActionPlan) and level.plan.within is Within.KEPT
