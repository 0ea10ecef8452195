"""What can happen to an attribute."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Action(Enum):
    """What happens to an attribute that goes to the side of the pseudonyms (PS3.15 Table E.1-1a)."""

    #: It crosses; a sequence is descended into, and each attribute of its items has its own rule.
    KEEP = "keep"
    #: X: the attribute is taken out.
    REMOVE = "remove"
    #: Z: the attribute stays, with zero length; a sequence without items.
    EMPTY = "empty"
    #: D: a value that means nothing takes its place; in a sequence, that of every value of its items.
    DUMMY = "dummy"
    #: U: each UID is replaced by its pseudonym, of the kind that `kind_of` says.
    UID = "map UID"
    #: A text is replaced by its pseudonym, of the kind that `kind_of` says.
    PSEUDONYM = "pseudonymise"
    #: The text of the rule takes the place of the value.
    REPLACE = "replace"
    #: A date is moved by the days of its patient.
    SHIFT = "shift"
    #: C: of a text, the words of the vocabulary stay; a sequence is descended into and its texts are cleaned.
    CLEAN = "clean"
    #: Patient's Age: worked out from the dates before they go.
    AGE = "derive"


@frozen
class Rule:
    """
    What happens to an attribute.

    @ivar why: where the rule comes from, in a few words.
    @ivar text: what C{REPLACE} writes; empty for the others.
    @ivar fallback: what happens where C{SHIFT}, C{CLEAN} or C{AGE} cannot be done or leaves nothing: C{REMOVE},
        C{EMPTY} or C{DUMMY}.
    """

    action: Action
    why: str
    text: str = ""
    fallback: Action = Action.EMPTY
