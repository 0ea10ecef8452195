"""What no key of a privacy policy can tell alone: attributes in two lists, keys that exclude each other."""

from __future__ import annotations

from typing import Final

from dimseproxy.config.attributes import (
    PATIENT_ID,
    PATIENTS_TOGETHER,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    UIDS_TOGETHER,
    name_of,
)
from dimseproxy.config.document import Node
from dimseproxy.config.privacy_settings import A_YEAR, PrivacySettings
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import Record

_FULL_DATES: Final = "retain-longitudinal-full-dates"
_MODIFIED_DATES: Final = "retain-longitudinal-modified-dates"
_RETAIN_UIDS: Final = "retain-uids"
_SAFE_PRIVATE: Final = "retain-safe-private"
_CLEANING: Final = ("clean-descriptors", "clean-structured-content", "clean-graphics")


def _check_privacy(privacy: PrivacySettings, node: Node, reading: Reading) -> None:
    _check_lists(privacy, node, reading)
    _check_options(privacy, node, reading)
    if privacy.burned_in == "blank" and not privacy.blank:
        reading.note(node, "has `burned_in: blank`, but no `blank` that says which regions")
    if privacy.burned_in != "blank" and privacy.blank:
        reading.note(node.get("blank") or node, "is without effect: write `burned_in: blank`")
    if privacy.vocabulary is not None and not privacy.options.intersection(_CLEANING):
        reading.note(node.get("vocabulary") or node, f"is without effect without one of {_words(_CLEANING)}")
    if privacy.profile == "none" and privacy.pseudonymise == () and not privacy.remove and not privacy.replace:
        reading.note(node, "changes nothing: the profile is `none` and every list is empty")


def _check_lists(privacy: PrivacySettings, node: Node, reading: Reading) -> None:
    """Each attribute in one list only, and the UIDs of instances mapped together."""
    place: dict[int, str] = {}
    lists: dict[str, tuple[int, ...]] = {
        "pseudonymise": privacy.pseudonymise or (),
        "remove": privacy.remove,
        "keep": privacy.keep,
        "replace": tuple(privacy.replace),
    }
    for name, tags in lists.items():
        for tag in tags:
            if tag in place and place[tag] != name:
                where = node.get(name) or node
                reading.note(where, f"names `{name_of(tag)}`, which `{place[tag]}` names too: keep one of the two")
            place[tag] = name
    mapped = _mapped_together(privacy)
    for tag in privacy.keep:
        if tag in mapped and sum(tag in tags for tags in lists.values()) == 1:
            where = node.get("keep") or node
            text = f"names `{name_of(tag)}`, whose values are pseudonymised everywhere: "
            reading.note(where, text + _instead(privacy, tag))


def _mapped_together(privacy: PrivacySettings) -> frozenset[int]:
    """The attributes that are mapped because others of their kind are."""
    retains_uids = _RETAIN_UIDS in privacy.options
    if privacy.pseudonymise is not None:
        listed = frozenset(privacy.pseudonymise)
    else:
        uids = () if retains_uids else (STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
        listed = frozenset((PATIENT_ID, *uids)) - {*privacy.remove, *privacy.replace}
    mapped: set[int] = set()
    for together in (*UIDS_TOGETHER, PATIENTS_TOGETHER):
        by_profile = together is not PATIENTS_TOGETHER and privacy.profile == "basic" and not retains_uids
        if by_profile or not together.isdisjoint(listed):
            mapped |= together
    return frozenset(mapped)


def _instead(privacy: PrivacySettings, tag: int) -> str:
    """What to write where an attribute is to be kept."""
    if tag not in PATIENTS_TOGETHER and privacy.profile == "basic" and _RETAIN_UIDS not in privacy.options:
        return f"take it out, or write the option `{_RETAIN_UIDS}`"
    return "take it out, or write a `pseudonymise` list without them"


def _check_options(privacy: PrivacySettings, node: Node, reading: Reading) -> None:
    where = node.get("options") or node
    if privacy.profile == "none" and privacy.options:
        reading.note(where, "are options of the profile `basic`, and the profile is `none`: take one of them out")
    if {_FULL_DATES, _MODIFIED_DATES} <= privacy.options:
        reading.note(where, f"are both `{_FULL_DATES}` and `{_MODIFIED_DATES}`: dates stay or move, keep one")
    if _SAFE_PRIVATE in privacy.options and privacy.private_attributes in ("keep", "remove"):
        written = privacy.private_attributes
        reading.note(where, f"has `{_SAFE_PRIVATE}`, and `private_attributes` is `{written}`: keep one of the two")
    if privacy.shift_days != A_YEAR and _MODIFIED_DATES not in privacy.options:
        reading.note(node.get("shift_days") or node, f"is without effect without the option `{_MODIFIED_DATES}`")


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


PRIVACY: Final = Record(PrivacySettings, "a privacy policy", check=_check_privacy)
