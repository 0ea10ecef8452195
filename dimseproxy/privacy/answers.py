"""
Answers that are looked at again, after they were mapped for the caller.

An outbound was asked for more than the caller wanted where only the answer tells: dates that move by days of a patient
who is not known before.  And it was asked for keys that only the mapping needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import field, frozen

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifier_keys import SPECIFIC_CHARACTER_SET, Key, read_keys, write_keys
from dimseproxy.privacy.matching import Span
from dimseproxy.privacy.values import Unreadable, texts_of


@frozen
class DateIs:
    """
    A date of the answer is one that was asked for.

    @ivar path: the tag of the attribute, after those of the sequences around it.
    """

    path: tuple[int, ...]
    span: Span = field(repr=False)

    def is_met(self, texts: Iterable[str]) -> bool:
        return any(self.span.holds(text) for text in texts)


@frozen
class TextIs:
    """A text of the answer is the one that was asked for; arguments as for `DateIs`."""

    path: tuple[int, ...]
    text: str = field(repr=False)

    def is_met(self, texts: Iterable[str]) -> bool:
        return self.text in texts


Condition = DateIs | TextIs


@frozen
class AnswerFilter:
    """
    What the answers to a C-FIND must pass.

    @ivar encoding: of their presentation context.
    @ivar conditions: all of them must be met, in any item where there are sequences on the path.
    @ivar added: top-level keys that the caller did not ask for.
    """

    encoding: Encoding
    conditions: tuple[Condition, ...]
    added: frozenset[int]

    def admit(self, data: bytes) -> bytes | None:
        """
        An answer as the caller gets it; None where it is not for the caller.

        An outbound that does not tell what a condition is about has not shown that the answer matches.

        @param data: the whole encoded answer, mapped already.
        @raise OperationRefused: it cannot be read.
        """
        try:
            keys = read_keys(data, self.encoding)
            if not all(condition.is_met(_texts(keys, condition.path, b"")) for condition in self.conditions):
                return None
        except (OperationRefused, Unreadable):
            raise OperationRefused(Status.PROCESSING_FAILURE, "an answer cannot be read") from None
        if not any(key.tag in self.added for key in keys):
            return data
        return write_keys((key for key in keys if key.tag not in self.added), self.encoding)


def _texts(keys: Iterable[Key], path: tuple[int, ...], character_sets: bytes) -> Iterator[str]:
    """The values at the end of a path."""
    first, *rest = path
    for key in keys:
        if key.tag == SPECIFIC_CHARACTER_SET:
            character_sets = key.value
        elif key.tag == first and rest:
            for item in key.items or ():
                yield from _texts(item, tuple(rest), character_sets)
        elif key.tag == first and key.items is None:
            yield from texts_of(key.value, key.vr, character_sets)
