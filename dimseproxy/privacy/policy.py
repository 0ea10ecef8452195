"""
A policy, compiled: what happens to each attribute, and why.

PS3.15 Table E.1-1 says it for the Basic Profile and its options.  The lists of a policy beat the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from attrs import field, frozen

from dimseproxy.privacy.actions import Action, Rule
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.kinds import REFERENCED_SOP_INSTANCE_UID, kind_of
from dimseproxy.privacy.modules import TYPE_2, described_by
from dimseproxy.privacy.options import (
    BASIC_PROFILE,
    FULL_DATES,
    MODIFIED_DATES,
    OPTIONS,
    RETAIN_SAFE_PRIVATE,
    RETAIN_UIDS,
    MethodCode,
)
from dimseproxy.privacy.profile import CLASS_UIDS, profile_rule, structural_rule
from dimseproxy.privacy.safe_private import is_safe
from dimseproxy.privacy.table import name_of, vr_of
from dimseproxy.privacy.vocabulary import VOCABULARY

__all__ = ["Action", "Blank", "Policy", "Rule", "compile_policy"]

PATIENT_ID: Final = 0x00100020
PATIENT_AGE: Final = 0x00101010
#: What is mapped where a policy does not say: Patient ID, then Study, Series and SOP Instance UID.
_PSEUDONYMISED: Final = (PATIENT_ID, 0x0020000D, 0x0020000E, 0x00080018)

_PRIVATE_REMOVED: Final = Rule(Action.REMOVE, "Table E.1-1: X for private attributes")
_PRIVATE_KEPT: Final = Rule(Action.KEEP, "private_attributes: keep")
_PRIVATE_DECLARED: Final = Rule(Action.KEEP, "its private creator is named as safe")
_PRIVATE_SAFE: Final = Rule(Action.KEEP, f"option {RETAIN_SAFE_PRIVATE}: known as safe (Table E.3.10-1)")
_REMOVED: Final = Rule(Action.REMOVE, "remove list")
_EMPTIED: Final = Rule(Action.EMPTY, "remove list: of type 2, so that it stays without a value")
_WITHOUT_DATA: Final = Rule(Action.REMOVE, "it describes a curve or an overlay whose data are removed")
_NOT_IN_A_LIST: Final = Rule(Action.KEEP, "profile none: in no list")


@frozen
class Blank:
    """
    Regions of the pixel data to blank, for the objects that match: None matches any.

    @ivar regions: left, top, width and height in pixels, from the top left corner of each frame.
    """

    regions: tuple[tuple[int, int, int, int], ...]
    sop_class: str | None = None
    modality: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    rows: int | None = None
    columns: int | None = None


@frozen(eq=False, kw_only=True)
class Policy:
    """
    What happens to identities on the routes of a policy.  It is compared by identity, so it may be a key.

    @ivar originals: which side of a route holds them.
    @ivar profile: C{none} where only the lists say what happens.
    @ivar options: those of PS3.15 E.3 in effect.
    @ivar mapped_kinds: the kinds whose values are mapped, in command sets as well.  An attribute whose action is C{UID}
        or C{PSEUDONYM} crosses unchanged where its kind, at its place, is not among them.
    @ivar private_attributes: C{remove}: none crosses, whatever its creator.
    @ivar shift_days: the range of the days by which dates move, both ends included.
    @ivar vocabulary: the words, in lower case, that C{CLEAN} leaves in a text.
    @ivar exceptions: what the lists keep although the profile protects it, in words.
    @ivar listed: the rules that the lists say, by tag.
    """

    name: str
    originals: Literal["outbound", "inbound"]
    profile: Literal["basic", "none"]
    options: frozenset[str]
    mapped_kinds: frozenset[Kind]
    private_attributes: Literal["remove", "keep", "safe"]
    safe_creators: frozenset[str]
    shift_days: tuple[int, int]
    age: Literal["remove", "derive"] | None
    burned_in: Literal["refuse", "pass", "blank"]
    blanks: tuple[Blank, ...]
    vocabulary: frozenset[str] = field(repr=False)
    guard: Literal["refuse", "warn", "off"]
    new_instances: Literal["refuse", "accept"]
    exceptions: tuple[str, ...]
    listed: Mapping[int, Rule] = field(repr=False)
    _listed_kinds: frozenset[Kind]
    _rules: dict[int, Rule] = field(factory=dict, repr=False)

    def rule(self, tag: int) -> Rule:
        """What happens to a public attribute (group << 16 | element), at any depth."""
        rule = self._rules.get(tag)
        if rule is None:
            rule = self._find(tag)
            # A peer can send four thousand million tags: only those that the dictionary names are remembered.
            if vr_of(tag) is not None and tag >> 24 not in (0x50, 0x60):
                self._rules[tag] = rule
        return rule

    def private_rule(self, creator: str, tag: int) -> Rule:
        """What happens to a private attribute; `creator` without padding, empty where its block has none."""
        if self.private_attributes == "keep":
            return _PRIVATE_KEPT
        if self.private_attributes == "safe" and creator:
            if creator in self.safe_creators:
                return _PRIVATE_DECLARED
            if RETAIN_SAFE_PRIVATE in self.options and is_safe(creator, tag):
                return _PRIVATE_SAFE
        return _PRIVATE_REMOVED

    def maps(self, kind: Kind) -> bool:
        """Whether values of a kind are replaced by pseudonyms, wherever they are."""
        return kind in self.mapped_kinds

    @property
    def keeps_private(self) -> bool:
        """Whether any private attribute may cross; where none does, there is no need to look at private creators."""
        return self.private_attributes != "remove"

    @property
    def shifts(self) -> bool:
        """Whether dates are moved."""
        return self.profile == "basic" and MODIFIED_DATES in self.options

    @property
    def accepts_new_instances(self) -> bool:
        """Whether an object stored back may be of a series, and itself be an instance, that nobody knows."""
        return self.new_instances == "accept"

    @property
    def writes_method(self) -> bool:
        """Whether objects are told how they were de-identified (PS3.15 E.1.1)."""
        return self.profile == "basic"

    @property
    def identity_removed(self) -> Literal["YES", "NO"]:
        """The value of Patient Identity Removed (0012,0062)."""
        return "NO" if self.exceptions else "YES"

    @property
    def method_codes(self) -> tuple[MethodCode, ...]:
        """
        For De-identification Method Code Sequence (0012,0064).

        None where the lists keep what the profile protects: the codes would claim too much.
        """
        if self.profile != "basic" or self.exceptions:
            return ()
        return (BASIC_PROFILE, *(code for option, code in OPTIONS.items() if option in self.options))

    @property
    def method_text(self) -> str:
        """The value of De-identification Method (0012,0063): LO, ASCII."""
        return f"dimseproxy: PS3.15 Basic Profile{', with exceptions' if self.exceptions else ''}"

    @property
    def longitudinal(self) -> Literal["UNMODIFIED", "MODIFIED", "REMOVED"]:
        """The value of Longitudinal Temporal Information Modified (0028,0303)."""
        if FULL_DATES in self.options:
            return "UNMODIFIED"
        return "MODIFIED" if MODIFIED_DATES in self.options else "REMOVED"

    def _find(self, tag: int) -> Rule:
        if tag >> 16 & 1:
            return self.private_rule("", tag)
        structural = structural_rule(tag)
        if structural is not None:
            return structural
        listed = self.listed.get(tag)
        if listed is not None:
            return listed
        rule = profile_rule(tag, self.options) if self.profile == "basic" else _NOT_IN_A_LIST
        data = described_by(tag)
        if data is not None and rule.action is not Action.REMOVE and self.rule(data).action is Action.REMOVE:
            return _WITHOUT_DATA
        if rule.action is Action.KEEP:
            return self._mapped(tag) or rule
        return rule

    def _mapped(self, tag: int) -> Rule | None:
        """The rule of an attribute that crosses, except that its values are of the kind of a listed one."""
        kinds = (_kinds_of(tag) & self._listed_kinds) - {Kind.OTHER}
        if not kinds:
            return None
        names = " and ".join(sorted(kind.value for kind in kinds))
        return Rule(_mapping_action(tag), f"pseudonymise list: its values are of the kind {names}, mapped everywhere")


def compile_policy(
    *,
    name: str = "",
    originals: Literal["outbound", "inbound"] = "outbound",
    profile: Literal["basic", "none"] = "basic",
    options: Collection[str] = (),
    pseudonymise: Collection[int] | None = None,
    remove: Collection[int] = (),
    keep: Collection[int] = (),
    replace: Mapping[int, str] = MappingProxyType({}),
    private_attributes: Literal["remove", "keep"] | Collection[str] | None = None,
    shift_days: tuple[int, int] = (-365, -1),
    age: Literal["remove", "derive"] | None = None,
    burned_in: Literal["refuse", "pass", "blank"] = "refuse",
    blanks: Iterable[Blank] = (),
    vocabulary: Iterable[str] = (),
    guard: Literal["refuse", "warn", "off"] = "refuse",
    new_instances: Literal["refuse", "accept"] = "refuse",
) -> Policy:
    """
    The policy that a configuration asks for; each argument is the key of that name, attributes as tags.

    @param pseudonymise: None: Patient ID, and the UIDs of studies, series and instances unless they are retained.
    @param private_attributes: neither of the words: the private creators whose attributes are all safe.
    @param age: None: as the profile says.
    @param vocabulary: words that `clean-descriptors` keeps besides the built-in ones.
    """
    in_effect = frozenset(options)
    private, creators = _private(private_attributes, RETAIN_SAFE_PRIVATE in in_effect)
    if creators and profile == "basic":
        in_effect |= {RETAIN_SAFE_PRIVATE}
    if pseudonymise is None:
        elsewhere = {*remove, *keep, *replace}
        mapped = _PSEUDONYMISED[:1] if RETAIN_UIDS in in_effect else _PSEUDONYMISED
        pseudonymise = [tag for tag in mapped if tag not in elsewhere]
    listed_kinds = frozenset(kind for tag in pseudonymise for kind in _kinds_of(tag))
    maps_uids = profile == "basic" and RETAIN_UIDS not in in_effect
    return Policy(
        name=name,
        originals=originals,
        profile=profile,
        options=in_effect,
        mapped_kinds=listed_kinds | {kind for kind in Kind if kind.is_uid and maps_uids},
        private_attributes=private,
        safe_creators=creators,
        shift_days=shift_days,
        age=age,
        burned_in=burned_in,
        blanks=tuple(blanks),
        vocabulary=VOCABULARY | {word.lower() for word in vocabulary},
        guard=guard,
        new_instances=new_instances,
        exceptions=_exceptions(keep, private, in_effect) if profile == "basic" else (),
        listed=MappingProxyType(_listed(pseudonymise, remove, keep, replace, age)),
        listed_kinds=listed_kinds,
    )


def _listed(
    pseudonymise: Collection[int],
    remove: Collection[int],
    keep: Collection[int],
    replace: Mapping[int, str],
    age: Literal["remove", "derive"] | None,
) -> dict[int, Rule]:
    rules: dict[int, Rule] = {}
    if age is not None:
        action = Action.AGE if age == "derive" else Action.REMOVE
        rules[PATIENT_AGE] = Rule(action, f"age: {age}", fallback=Action.REMOVE)
    rules.update({tag: Rule(_mapping_action(tag), "pseudonymise list") for tag in pseudonymise})
    rules.update({tag: Rule(Action.KEEP, "keep list") for tag in keep})
    rules.update({tag: Rule(Action.REPLACE, "replace list", text=text) for tag, text in replace.items()})
    # Last: an attribute in two lists is a mistake of the configuration; should one slip through, this is the safe way.
    rules.update({tag: _EMPTIED if tag in TYPE_2 else _REMOVED for tag in remove})
    return rules


def _private(
    said: Literal["remove", "keep"] | Collection[str] | None, safe: bool
) -> tuple[Literal["remove", "keep", "safe"], frozenset[str]]:
    if said is None:
        return ("safe" if safe else "remove"), frozenset()
    if said == "keep":
        return "keep", frozenset()
    if isinstance(said, str):
        return "remove", frozenset()
    return "safe", frozenset(said)


def _exceptions(keep: Collection[int], private: str, options: Collection[str]) -> tuple[str, ...]:
    found = [name_of(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in keep
             if profile_rule(tag, options).action is not Action.KEEP]  # fmt: skip
    return (*found, *(["private attributes"] if private == "keep" else []))


def _mapping_action(tag: int) -> Action:
    return Action.UID if vr_of(tag) == "UI" else Action.PSEUDONYM


def _kinds_of(tag: int) -> frozenset[Kind]:
    """The kinds that values of an attribute may be of, at one place or another; none where they name classes."""
    if tag in CLASS_UIDS:
        return frozenset()
    if tag == REFERENCED_SOP_INSTANCE_UID:
        return frozenset((Kind.INSTANCE, Kind.STUDY))
    return frozenset((kind_of(tag),))
