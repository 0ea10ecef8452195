"""
The policy, applied to the keys of an identifier: which may be asked for, and which values may be matched by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from attrs import evolve, frozen

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.actions import Action, Rule
from dimseproxy.privacy.identifier_keys import SPECIFIC_CHARACTER_SET, Key, single_vr_of
from dimseproxy.privacy.identifier_nodes import Constant, Dated, Direction, Mapped, Nested, Node, NoMatch
from dimseproxy.privacy.identity import WELL_KNOWN_UIDS, Identity, Kind
from dimseproxy.privacy.kinds import kind_of
from dimseproxy.privacy.matching import has_wildcard, is_universal, parse_span
from dimseproxy.privacy.policy import Policy
from dimseproxy.privacy.table import vr_of
from dimseproxy.privacy.values import TEXT, texts_of

#: No pseudonym is longer than what the longest VR it may stand in allows, whoever made it.
MAX_VALUE_LENGTH: Final = 1024
#: Bytes of so many characters, with the escape sequences of ISO 2022: who sends more asks for nobody.
_MAX_VALUE_OCTETS: Final = 8 * MAX_VALUE_LENGTH
#: Values that are looked up: more than a retrieve of instances names, and 30 ms in which nobody else is served.
MAX_IDENTITIES: Final = 10_000

PATIENT_ID: Final = 0x00100020
PATIENT_BIRTH_DATE: Final = 0x00100030
STUDY_DATE: Final = 0x00080020

#: What says how to search, and is no attribute of anybody: (0008,0005), Query/Retrieve Level and View.
_ALWAYS_KEPT: Final = frozenset((SPECIFIC_CHARACTER_SET, 0x00080052, 0x00080053))
#: Retrieve AE Title and Timezone Offset From UTC say so too, towards the side of the originals.
_KEPT_TO_ORIGINALS: Final = frozenset((0x00080054, 0x00080201))


@frozen
class Place:
    """
    Where in an identifier its keys are.

    @ivar path: the tags of the sequences around.
    @ivar is_cleaned: whether a sequence around is cleaned: what its own rule would keep may not be there then.
    """

    path: tuple[int, ...] = ()
    character_sets: bytes = b""
    is_cleaned: bool = False

    @property
    def sequence(self) -> int:
        """The tag of the sequence around; 0 at the top."""
        return self.path[-1] if self.path else 0


class Reading:
    """
    Decides what becomes of each key.

    @ivar needed: keys that the answers must have besides, so that they can be mapped.
    """

    def __init__(self, policy: Policy, direction: Direction, is_retrieve: bool) -> None:
        self._policy = policy
        self._is_retrieve = is_retrieve
        self._kept = _ALWAYS_KEPT | (_KEPT_TO_ORIGINALS if direction is Direction.TO_ORIGINALS else frozenset())
        self._derives = direction is Direction.TO_ORIGINALS
        self.needed: set[int] = set()

    def level(self, keys: Collection[Key], place: Place) -> tuple[Node, ...]:
        """
        What becomes of the keys of the identifier, or of an item in it.

        @raise NoMatch: one of them asks for what nothing may match.
        @raise Unreadable: one is no text of its character set.
        """
        character_sets = next((key.value for key in keys if key.tag == SPECIFIC_CHARACTER_SET), None)
        if character_sets is not None:
            place = evolve(place, character_sets=character_sets)
        kept_blocks = set[int]()
        creators = _creators(keys, place.character_sets)
        nodes = []
        # Backwards, to know which private creators still have something of theirs behind them.
        for key in reversed(tuple(keys)):
            node = self._node(key, place, creators, kept_blocks)
            if node is not None:
                nodes.append(node)
        return tuple(reversed(nodes))

    def _node(self, key: Key, place: Place, creators: Mapping[int, str], kept_blocks: set[int]) -> Node | None:
        if key.is_private:
            return self._private(key, place, creators, kept_blocks)
        if key.tag == SPECIFIC_CHARACTER_SET or (not place.path and key.tag in self._kept):
            return Constant(key, place.character_sets)
        rule = self._policy.rule(key.tag)
        if rule.action is not Action.KEEP and not _is_known(key.tag):
            # A key that is not supported is one that was not there (PS3.4 C.2.2.1.3).
            return None
        return self._ruled(key, rule, place)

    def _private(self, key: Key, place: Place, creators: Mapping[int, str], kept_blocks: set[int]) -> Node | None:
        if self._is_retrieve:
            return None
        if not key.block:
            is_creator = key.group << 8 | key.tag & 0xFFFF in kept_blocks
            return Constant(key, place.character_sets) if is_creator else None
        creator = creators.get(key.block, "")
        rule = self._policy.private_rule(creator, key.tag)
        if not creator or rule.action is not Action.KEEP:
            return None
        if key.vr == "UN" and not is_universal(key.value):
            # It may be a sequence, with anything in it.
            return None
        kept_blocks.add(key.block)
        return self._ruled(key, rule, place)

    def _ruled(self, key: Key, rule: Rule, place: Place) -> Node | None:
        action = rule.action
        if action in (Action.UID, Action.PSEUDONYM) and key.items is None:
            kind = kind_of(key.tag, place.sequence)
            if self._policy.maps(kind):
                return self._mapped(key, kind, place)
            action = Action.KEEP
        if action is Action.SHIFT:
            return self._dated(key, place)
        if key.items is not None and action in (Action.KEEP, Action.UID, Action.CLEAN):
            is_cleaned = place.is_cleaned or action is Action.CLEAN
            inner = evolve(place, path=(*place.path, key.tag), is_cleaned=is_cleaned)
            return Nested(key, tuple(self.level(item, inner) for item in key.items))
        if action is Action.KEEP and not place.is_cleaned:
            return Constant(key, place.character_sets)
        if action is Action.AGE and self._derives and not place.path:
            self.needed.update((PATIENT_BIRTH_DATE, STUDY_DATE))
        return self._protected(key, rule, place)

    def _mapped(self, key: Key, kind: Kind, place: Place) -> Node:
        if is_universal(key.value):
            return Constant(_emptied(key), place.character_sets)
        if key.vr not in TEXT:
            raise NoMatch
        if not kind.is_uid and len(key.value) > _MAX_VALUE_OCTETS:
            raise NoMatch
        if key.value.count(b"\\") >= MAX_IDENTITIES:
            raise too_many_values()
        texts = [text for text in texts_of(key.value, key.vr, place.character_sets) if text]
        if any(has_wildcard(text) for text in texts) or (len(texts) > 1 and not kind.is_uid):
            raise NoMatch
        values = tuple(
            text if kind.is_uid and text in WELL_KNOWN_UIDS else Identity(kind, text)
            for text in texts
            if len(text) <= MAX_VALUE_LENGTH
        )
        if not values:
            raise NoMatch
        return Mapped(key, place.character_sets, (*place.path, key.tag), values)

    def _dated(self, key: Key, place: Place) -> Node | None:
        self.needed.add(PATIENT_ID)
        if is_universal(key.value):
            return self._protected(key, None, place)
        # What the key says of its VR is the caller's word: the outbound may go by the dictionary.
        vr = single_vr_of(key.tag)
        texts = texts_of(key.value, key.vr, place.character_sets)
        span = parse_span(vr, texts[0]) if len(texts) == 1 and key.vr == vr else None
        if span is None:
            raise NoMatch
        return Dated(key, (*place.path, key.tag), span)

    def _protected(self, key: Key, rule: Rule | None, place: Place) -> Node | None:
        """A key that may ask for its attribute, and for nothing that the policy hides."""
        if not _is_all_universal(key):
            replacement = rule.text if rule is not None and rule.action is Action.REPLACE else ""
            if not replacement or texts_of(key.value, key.vr, place.character_sets) != [replacement]:
                raise NoMatch
        return None if self._is_retrieve else Constant(_emptied(key), place.character_sets)


def too_many_values() -> OperationRefused:
    """Why an identifier with a list that long is refused."""
    return OperationRefused(Status.OUT_OF_RESOURCES, "the identifier has too many values")


def _creators(keys: Iterable[Key], character_sets: bytes) -> dict[int, str]:
    """The private creators of a level by the block that they reserve (PS3.5 7.8.1)."""
    creators = {}
    for key in keys:
        if key.is_private and 0x10 <= key.tag & 0xFFFF <= 0xFF:
            found = texts_of(key.value, "LO", character_sets)
            creators[key.group << 8 | key.tag & 0xFF] = found[0] if len(found) == 1 else ""
    return creators


def _is_all_universal(key: Key) -> bool:
    if key.items is None:
        return is_universal(key.value)
    return all(_is_all_universal(inner) for item in key.items for inner in item)


def _emptied(key: Key) -> Key:
    """The key as one that only asks for its attribute; what is private or unknown in it is not asked for."""
    if key.items is None:
        return evolve(key, value=b"")
    return evolve(
        key,
        items=tuple(
            tuple(_emptied(inner) for inner in item if not inner.is_private and _is_known(inner.tag))
            for item in key.items
        ),
    )


def _is_known(tag: int) -> bool:
    return vr_of(tag) is not None
