"""
What becomes of the keys of an identifier, while the values in them are being looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from attrs import evolve, field, frozen

from dimseproxy.privacy.answers import Condition, DateIs, TextIs
from dimseproxy.privacy.identifier_keys import SPECIFIC_CHARACTER_SET, Key
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.matching import Span, has_wildcard
from dimseproxy.privacy.values import EXTENDED, SINGLE_TEXT, check_pseudonym, decode, encode


class Direction(Enum):
    """What becomes of the values of an identifier that are mapped."""

    #: The caller lives under pseudonyms, the outbound holds originals.
    TO_ORIGINALS = "to originals"
    #: The caller holds originals, the outbound lives under pseudonyms.
    TO_PSEUDONYMS = "to pseudonyms"


class NoMatch(Exception):
    """A key asks for what nothing may match."""


@frozen
class Resolution:
    """
    What the keys of an identifier are resolved with.

    @ivar days: how far dates move towards the outbound, at least and at most; None where they may not be widened.
    @ivar character_set: of the whole identifier instead of its own; None to leave those.
    @ivar conditions: for the answers, as the keys add them.
    """

    values: Mapping[Identity, str] = field(repr=False)
    direction: Direction
    is_retrieve: bool
    days: tuple[int, int] | None = field(repr=False)
    character_set: bytes | None
    conditions: list[Condition] = field(factory=list, repr=False)


@frozen
class Constant:
    """A key that crosses as it is; it may have to change its character set."""

    key: Key
    character_sets: bytes

    def resolve(self, resolution: Resolution) -> Key:
        target, key = resolution.character_set, self.key
        if target is None or key.vr not in EXTENDED:
            return key
        text = decode(key.value, key.vr, self.character_sets).rstrip(" \0")
        return evolve(key, value=encode(text, key.vr, target))


@frozen
class Mapped:
    """
    A key whose values are replaced.

    @ivar values: identities; a text among them is a well-known UID and crosses.
    """

    key: Key
    character_sets: bytes
    path: tuple[int, ...]
    values: tuple[Identity | str, ...] = field(repr=False)

    def resolve(self, resolution: Resolution) -> Key:
        found = []
        for value in self.values:
            mapped = value if isinstance(value, str) else resolution.values.get(value)
            if mapped is not None:
                self._check(value, mapped, resolution)
                found.append(mapped)
        if not found:
            raise NoMatch
        character_sets = self.character_sets if resolution.character_set is None else resolution.character_set
        return evolve(self.key, value=encode("\\".join(found), self.key.vr, character_sets))

    def _check(self, value: Identity | str, mapped: str, resolution: Resolution) -> None:
        if isinstance(value, str):
            return
        if resolution.direction is Direction.TO_PSEUDONYMS:
            check_pseudonym(self.key.vr, mapped)
            return
        if "\\" in mapped and self.key.vr not in SINGLE_TEXT:
            raise NoMatch
        if has_wildcard(mapped):
            # To the outbound it is a pattern, and others than its owner may match.
            if resolution.is_retrieve:
                raise NoMatch
            resolution.conditions.append(TextIs(self.path, value.value))


@frozen
class Dated:
    """A key on a date that moves."""

    key: Key
    path: tuple[int, ...]
    span: Span = field(repr=False)

    def resolve(self, resolution: Resolution) -> Key:
        if resolution.days is None:
            raise NoMatch
        least, most = resolution.days
        value = self.span.moved(least, most)
        if value is None:
            raise NoMatch
        if least != most:
            resolution.conditions.append(DateIs(self.path, self.span))
        return evolve(self.key, value=value.encode("ascii"))


@frozen
class Nested:
    """A sequence that is searched in."""

    key: Key
    items: tuple[tuple[Node, ...], ...]

    def resolve(self, resolution: Resolution) -> Key:
        return evolve(self.key, items=tuple(resolved(item, resolution) for item in self.items))


Node = Constant | Mapped | Dated | Nested


def resolved(nodes: Iterable[Node], resolution: Resolution) -> tuple[Key, ...]:
    """
    The keys of a level for the outbound.

    @raise NoMatch: one of them can match nothing.
    @raise Unreadable: the character set, or that of the resolution, cannot say a value.
    @raise OperationRefused: a pseudonym does not fit its key.
    """
    is_other_set = resolution.character_set is not None
    return tuple(
        node.resolve(resolution) for node in nodes if not (is_other_set and node.key.tag == SPECIFIC_CHARACTER_SET)
    )


def identities(nodes: Iterable[Node]) -> Iterator[Identity]:
    """What is to be looked up, at every depth."""
    for node in nodes:
        if isinstance(node, Mapped):
            yield from (value for value in node.values if isinstance(value, Identity))
        elif isinstance(node, Nested):
            for item in node.items:
                yield from identities(item)
