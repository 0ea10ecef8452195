"""What a policy does, written out for people who must answer for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dimseproxy.privacy.actions import Action, Rule
from dimseproxy.privacy.options import BASIC_PROFILE, NOT_CLAIMED, OPTIONS, RETAIN_SAFE_PRIVATE, MethodCode
from dimseproxy.privacy.policy import Blank, Policy
from dimseproxy.privacy.safe_private import SAFE_CREATORS
from dimseproxy.privacy.table import REPEATING, ROWS, name_of, public_tags

_DIRECTIONS: Final = {
    "outbound": "held by the outbound: callers see pseudonyms, and what they send back is re-identified",
    "inbound": "held by callers: what they send leaves under pseudonyms",
}
_PRIVATE: Final = {
    "remove": "removed",
    "keep": "kept, whatever they hold",
    "safe": "removed, except for those that are known as safe",
}
_BURNED_IN: Final = {
    "refuse": "objects that may show identities in their pixels are refused",
    "pass": "objects that may show identities in their pixels PASS, as they are",
    "blank": "objects that may show identities in their pixels pass with these regions blanked, others are refused:",
}
_GUARD: Final = {
    "refuse": "what leaves is searched for known values of its patient; found, it is refused",
    "warn": "what leaves is searched for known values of its patient; found, it PASSES, with a warning in the log",
    "off": "what leaves is NOT searched for known values of its patient",
}
_NEW_INSTANCES: Final = {
    "refuse": "objects sent back must be of a series, and be an instance, that was seen before",
    "accept": "objects sent back may be new instances of new series, which get UIDs of our own; their patient "
    "and study must be known",
}
_LABEL_WIDTH: Final = 20


def privacy_report(policy: Policy) -> str:
    """
    A policy as text, in columns: each attribute that it touches or that Table E.1-1 names, what happens to it, and why;
    then what else it does, and what it does not claim.
    """
    sections = (_heading(policy), _attributes(policy), _rest(policy), _claims(policy))
    return "\n".join(line.rstrip() for section in sections for line in section) + "\n"


def _heading(policy: Policy) -> Iterator[str]:
    yield f"Privacy policy {policy.name}".rstrip()
    yield ""
    yield _line("originals", _DIRECTIONS[policy.originals])
    basic = "the Basic Profile of PS3.15 Annex E" if policy.profile == "basic" else "none: only the lists count"
    yield _line("profile", basic)
    yield _line("options", ", ".join(option for option in OPTIONS if option in policy.options) or "none")
    yield _line("mapped everywhere", ", ".join(sorted(kind.value for kind in policy.mapped_kinds)) or "nothing")


def _attributes(policy: Policy) -> Iterator[str]:
    yield ""
    yield "Attributes, at every depth"
    yield ""
    rows = [("tag", "attribute", "action", "why"), *_rows(policy)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        yield "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
    yield ""
    if policy.profile == "basic":
        yield "Other attributes of the standard's dictionary cross; attributes that it does not know are removed."
    else:
        yield "Other attributes cross unchanged."


def _rows(policy: Policy) -> Iterator[tuple[str, str, str, str]]:
    for tag in sorted(set(public_tags()) | set(policy.listed)):
        # Parts of the command set and the file meta information are mapped by their kind, not by a rule of a data set.
        if tag >> 16 < 8 or tag & 0xFFFF == 0:
            continue
        rule = policy.rule(tag)
        if rule.action is not Action.KEEP or tag in ROWS or tag in policy.listed:
            yield _row(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", name_of(tag), rule)
    for row in REPEATING:
        # Any group of the repeating ones has the rule of the first.
        example = int(row.tag.replace("X", "0"), 16) | (0x10 if row.tag.endswith("XXXX") else 0)
        yield _row(f"({row.tag[:4]},{row.tag[4:]})".replace("X", "x"), row.name, policy.rule(example))
    yield _row("(60xx,xxxx)", "Description of an overlay", policy.rule(0x60000010))


def _row(tag: str, name: str, rule: Rule) -> tuple[str, str, str, str]:
    action = rule.action.value
    if rule.action is Action.REPLACE:
        action = f'{action} with "{rule.text}"'
    elif rule.action in (Action.SHIFT, Action.CLEAN, Action.AGE):
        action = f"{action}, or {rule.fallback.value}"
    return tag, name, action, rule.why


def _rest(policy: Policy) -> Iterator[str]:
    yield ""
    yield "Beyond single attributes"
    yield ""
    yield _line("private attributes", _PRIVATE[policy.private_attributes])
    if policy.private_attributes == "safe":
        if policy.safe_creators:
            yield _line("", f"all of {', '.join(sorted(policy.safe_creators))}")
        if RETAIN_SAFE_PRIVATE in policy.options:
            yield _line("", f"single ones of {', '.join(SAFE_CREATORS)} (Table E.3.10-1)")
    if policy.shifts:
        least, most = policy.shift_days
        yield _line("dates", f"move by {least} to {most} days, the same for all dates of a patient, never by 0")
    yield _line("burned-in text", _BURNED_IN[policy.burned_in])
    if policy.burned_in == "blank":
        yield from (_line("", _blank(blank)) for blank in policy.blanks)
    yield _line("guard", _GUARD[policy.guard])
    yield _line("new instances", _NEW_INSTANCES[policy.new_instances])


def _blank(blank: Blank) -> str:
    said = {
        "SOP class": blank.sop_class,
        "modality": blank.modality,
        "manufacturer": blank.manufacturer,
        "model": blank.model,
        "rows": blank.rows,
        "columns": blank.columns,
    }
    matched = ", ".join(f"{name} {value}" for name, value in said.items() if value is not None) or "any object"
    regions = "; ".join(f"{width} x {height} pixels at {x}, {y}" for x, y, width, height in blank.regions)
    return f"{matched}: {regions}"


def _claims(policy: Policy) -> Iterator[str]:
    yield ""
    yield "What objects say of this (PS3.15 E.1.1)"
    yield ""
    if policy.writes_method:
        yield _line("(0012,0062)", policy.identity_removed)
        yield _line("(0012,0063)", policy.method_text)
        yield from _codes("(0012,0064)", policy.method_codes)
        yield _line("(0028,0303)", policy.longitudinal)
    else:
        yield "Nothing: without the profile, nothing is claimed."
    yield ""
    yield "Not claimed"
    yield ""
    yield from _codes("", [] if BASIC_PROFILE in policy.method_codes else [BASIC_PROFILE])
    if policy.exceptions:
        yield _line("", f"the lists keep what it protects: {', '.join(policy.exceptions)}")
    yield from _codes("", [code for code in OPTIONS.values() if code not in policy.method_codes])
    yield from _codes("", NOT_CLAIMED)
    yield _line("", "the pixels of an image are never looked at")


def _codes(label: str, codes: Iterable[MethodCode]) -> Iterator[str]:
    written = [f"{code.value} {code.meaning}" for code in codes] or (["no code"] if label else [])
    for index, text in enumerate(written):
        yield _line("" if index else label, text)


def _line(label: str, text: str) -> str:
    return f"{label:{_LABEL_WIDTH}}{text}"
