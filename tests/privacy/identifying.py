"""Identifiers for the tests: keys by keyword, resolved with a few pseudonyms that somebody made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.privacy.identifier_keys import Key, read_keys, write_keys
from dimseproxy.privacy.identifiers import Direction, IdentifierQuery, Resolved, read_identifier
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Policy, compile_policy

IMPLICIT = Encoding(True)
EXPLICIT = Encoding(False)

#: The pseudonyms of one patient, two of his studies and what is in them; by pseudonym.
ORIGINALS = {
    Identity(Kind.PATIENT, "PSN1"): "REAL^1",
    Identity(Kind.PATIENT, "PSNWILD"): "RE?L*",
    Identity(Kind.PATIENT, "PSNLATIN"): "M\N{LATIN SMALL LETTER U WITH DIAERESIS}LLER",
    Identity(Kind.PATIENT, "PSNGREEK"): "\N{GREEK SMALL LETTER ALPHA}1",
    Identity(Kind.PATIENT, "PSNTWO"): "A\\B",
    Identity(Kind.STUDY, "2.25.1"): "1.2.3.1",
    Identity(Kind.STUDY, "2.25.2"): "1.2.3.2",
    Identity(Kind.SERIES, "2.25.3"): "1.2.3.3",
    Identity(Kind.INSTANCE, "2.25.4"): "1.2.3.4",
    Identity(Kind.UID, "2.25.5"): "1.2.3.5",
    Identity(Kind.OTHER, "PSNNAME"): "Doe^John",
}
PSEUDONYMS = {Identity(pseudonym.kind, original): pseudonym.value for pseudonym, original in ORIGINALS.items()}

#: By how many days the dates of the one patient move, and those of anybody else.
DAYS = {"REAL^1": -10}
OTHER_DAYS = -20

BASIC = compile_policy()
#: Nothing but lists.
LISTS = compile_policy(
    profile="none",
    pseudonymise=[0x00100020, 0x0020000D, 0x0020000E, 0x00080018],
    remove=[0x00100010, 0x00100030],
    replace={0x00080080: "Hospital"},
)
SHIFTED = compile_policy(options=["retain-longitudinal-modified-dates"], shift_days=(-30, -1))

#: By keyword or tag; mypy would not let a mapping by keyword be one.
Values = Mapping[Any, str | bytes | Sequence[Mapping[Any, Any]]]


def keys_of(values: Values) -> tuple[Key, ...]:
    """Keys by keyword or tag; text as it is on the wire, for a sequence its items."""
    keys = []
    for name, value in values.items():
        tag = tag_for_keyword(name) if isinstance(name, str) else name
        assert tag is not None, name
        vr = "LO" if tag >> 16 & 1 else dictionary_VR(tag) if isinstance(name, str) else "UN"
        if isinstance(value, str | bytes):
            keys.append(Key(tag, vr, value.encode("ascii") if isinstance(value, str) else value))
        else:
            keys.append(Key(tag, "SQ", items=tuple(keys_of(item) for item in value)))
    return tuple(keys)


def identifier(values: Values, encoding: Encoding = EXPLICIT) -> bytes:
    return write_keys(keys_of(values), encoding)


def query(
    values: Values,
    policy: Policy = BASIC,
    *,
    direction: Direction = Direction.TO_ORIGINALS,
    is_retrieve: bool = False,
    encoding: Encoding = EXPLICIT,
) -> IdentifierQuery:
    return read_identifier(identifier(values, encoding), encoding, policy, direction, is_retrieve=is_retrieve)


def resolve(
    values: Values,
    policy: Policy = BASIC,
    *,
    direction: Direction = Direction.TO_ORIGINALS,
    is_retrieve: bool = False,
    encoding: Encoding = EXPLICIT,
) -> Resolved:
    """What becomes of an identifier, with what is known looked up as a source would."""
    asked = query(values, policy, direction=direction, is_retrieve=is_retrieve, encoding=encoding)
    known = ORIGINALS if direction is Direction.TO_ORIGINALS else PSEUDONYMS
    return asked.resolve({identity: known[identity] for identity in asked.wanted() if identity in known}, shift_of)


def shift_of(patient: str) -> int:
    """By original Patient ID."""
    return DAYS.get(patient, OTHER_DAYS)


def sent(resolved: Resolved, encoding: Encoding = EXPLICIT) -> tuple[Key, ...]:
    """The keys that the outbound gets."""
    assert not resolved.matches_nothing, "nothing is sent"
    return read_keys(resolved.data, encoding)


def as_sent(values: Values) -> tuple[Key, ...]:
    """The keys that the outbound should get."""
    return read_keys(identifier(values), EXPLICIT)
