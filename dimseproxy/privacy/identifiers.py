"""
The identifiers of C-FIND, C-MOVE and C-GET, on their way between callers and an outbound of the other side.

Who searches must not find out by the number of matches what the answers do not tell.  So an attribute that a policy
replaces is matched by exact pseudonyms or not at all; a pattern, a range or any other text on it matches nothing, and
that is decided before the outbound hears of it.  What the policy keeps is matched as the caller asks.

A date that a policy moves is moved here too: by the days of the patient where the identifier names one, else to
everything that any patient's days allow, and each answer is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import field, frozen

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.answers import AnswerFilter
from dimseproxy.privacy.identifier_keys import SPECIFIC_CHARACTER_SET, Key, read_keys, single_vr_of, write_keys
from dimseproxy.privacy.identifier_nodes import (
    Constant,
    Direction,
    Mapped,
    Node,
    NoMatch,
    Resolution,
    identities,
    resolved,
)
from dimseproxy.privacy.identifier_rules import MAX_IDENTITIES, PATIENT_ID, Place, Reading, too_many_values
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.matching import has_wildcard, is_universal
from dimseproxy.privacy.policy import Policy
from dimseproxy.privacy.values import Unreadable, texts_of

__all__ = ["AnswerFilter", "Direction", "IdentifierQuery", "Resolved", "read_identifier"]

#: In the order of preference where the character set of the identifier cannot say an original.
_OTHER_CHARACTER_SETS: Final = (b"ISO_IR 100", b"ISO_IR 192")


@frozen
class Resolved:
    """
    What is asked of the outbound.

    @ivar matches_nothing: the outbound is not asked at all; the caller is answered with success and no matches, or no
        sub-operations.
    @ivar data: the encoded identifier.
    @ivar answers: what each answer must pass after it was mapped; None where all of them are the caller's as they are.
    """

    matches_nothing: bool
    data: bytes = field(default=b"", repr=False)
    answers: AnswerFilter | None = None


class IdentifierQuery:
    """
    What an identifier asks for, while the values in it are being looked up.

    Made by `read_identifier`; ask `wanted`, then `resolve` once.
    """

    def __init__(
        self, encoding: Encoding, policy: Policy, direction: Direction, is_retrieve: bool, keys: tuple[Key, ...]
    ) -> None:
        self._encoding = encoding
        self._policy = policy
        self._direction = direction
        self._is_retrieve = is_retrieve
        self._nodes: tuple[Node, ...] | None = None
        self._wanted = frozenset[Identity]()
        self._added = frozenset[int]()
        reading = Reading(policy, direction, is_retrieve)
        try:
            self._nodes = reading.level(keys, Place())
        except NoMatch:
            return
        except Unreadable:
            raise _refusal("has text that is not of its character set") from None
        self._wanted = frozenset(identities(self._nodes))
        if len(self._wanted) > MAX_IDENTITIES:
            raise too_many_values()
        if not is_retrieve:
            self._added = frozenset(reading.needed - {key.tag for key in keys})

    def wanted(self) -> frozenset[Identity]:
        """The values to look up: pseudonyms or originals, as the direction says. Empty where nothing can match."""
        return self._wanted

    def resolve(self, values: Mapping[Identity, str], shift_of: Callable[[str], int]) -> Resolved:
        """
        The identifier for the outbound.

        @param values: what was found of `wanted`; what is unknown is not in it.
        @param shift_of: by how many days the dates of a patient move when they become pseudonymous; the argument is
            the original Patient ID.
        @raise OperationRefused: a value does not fit its key.
        """
        if self._nodes is None:
            return Resolved(True)
        days = self._days(self._nodes, values, shift_of)
        for character_set in (None, *_OTHER_CHARACTER_SETS):
            resolution = Resolution(values, self._direction, self._is_retrieve, days, character_set)
            try:
                keys = resolved(self._nodes, resolution)
            except NoMatch:
                return Resolved(True)
            except Unreadable:
                continue
            return self._written(keys, resolution)
        raise _refusal("has text that is not of its character set")

    def _written(self, keys: tuple[Key, ...], resolution: Resolution) -> Resolved:
        added = tuple(Key(tag, single_vr_of(tag)) for tag in self._added)
        if resolution.character_set is not None:
            added += (Key(SPECIFIC_CHARACTER_SET, "CS", resolution.character_set),)
        answers = None
        if self._added or resolution.conditions:
            answers = AnswerFilter(self._encoding, tuple(resolution.conditions), self._added)
        return Resolved(False, write_keys((*keys, *added), self._encoding), answers)

    def _days(
        self, nodes: Iterable[Node], values: Mapping[Identity, str], shift_of: Callable[[str], int]
    ) -> tuple[int, int] | None:
        """How far dates move on their way to the outbound."""
        patient = self._patient(nodes, values)
        if patient is not None:
            least = most = shift_of(patient)
        elif self._is_retrieve:
            return None
        else:
            least, most = self._policy.shift_days
        return (least, most) if self._direction is Direction.TO_PSEUDONYMS else (-most, -least)

    def _patient(self, nodes: Iterable[Node], values: Mapping[Identity, str]) -> str | None:
        """The original Patient ID of the one patient that is asked for."""
        node = next((node for node in nodes if node.key.tag == PATIENT_ID), None)
        if isinstance(node, Mapped):
            (value,) = node.values
            if isinstance(value, str) or self._direction is Direction.TO_PSEUDONYMS:
                return value if isinstance(value, str) else value.value
            return values.get(value)
        if not isinstance(node, Constant) or is_universal(node.key.value):
            return None
        texts = texts_of(node.key.value, node.key.vr, node.character_sets)
        return texts[0] if len(texts) == 1 and not has_wildcard(texts[0]) else None


def read_identifier(
    data: bytes, encoding: Encoding, policy: Policy, direction: Direction, *, is_retrieve: bool = False
) -> IdentifierQuery:
    """
    The query of a C-FIND-RQ, C-MOVE-RQ or C-GET-RQ.

    @param data: the whole identifier.
    @param encoding: of its presentation context.
    @param is_retrieve: for C-MOVE and C-GET, which have unique keys and no answers (PS3.4 C.4.2.1.4).
    @raise OperationRefused: it cannot be read; the comment tells no value.
    """
    return IdentifierQuery(encoding, policy, direction, is_retrieve, read_keys(data, encoding))


def _refusal(problem: str) -> OperationRefused:
    return OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, f"the identifier {problem}")
