"""What a scanner of a data set meets, and what the one who edits it answers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol

from attrs import Factory, define, field, frozen

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.vr import SPECIFIC_CHARACTER_SET

#: A length that is not said: the end is marked by a delimiter (PS3.5 7.1.1).
UNDEFINED_LENGTH: Final = 0xFFFFFFFF


class Treatment(IntEnum):
    """
    What happens to an element.

    @cvar KEEP: it crosses as it is; a sequence is descended into, its elements are treated one by one.
    @cvar DROP: it does not cross; a sequence with all that it holds.
    @cvar EDIT: the editor sees its value and answers; for a sequence it says the plan for its items.
    @cvar SWAP: the editor answers without having seen the value, which may be of any length, or a sequence.
    """

    KEEP = 0
    DROP = 1
    EDIT = 2
    SWAP = 3


class Plan(dict[int, Treatment]):
    """
    The treatment of the elements of a data set or an item, by tag: group << 16 | element.

    A subclass says by `__missing__` what happens to a tag that is not in it.  Odd groups are not looked up here, the
    editor is asked for them; group lengths (gggg,0000) never cross, whatever the plan says.
    """

    def __missing__(self, tag: int) -> Treatment:
        return Treatment.KEEP

    def instead(self, tag: int, vr: str, level: Level) -> bytes | None:
        """
        What is written, header and all, instead of an element that is to be swapped, wherever it is.

        @param vr: as `Element.vr`; it is no sequence.
        @return: None where the editor is to be asked.
        """
        return None


@define(eq=False, repr=False)
class Level:
    """
    A data set, or an item of a sequence in it.

    @ivar parent: what it is an item within; None for the data set.
    @ivar sequence: the tag of the sequence that it is an item of; 0 for the data set.
    @ivar item: which one, from 0.
    @ivar plan: how its elements are treated.
    @ivar encoding: how its elements are encoded; the items of a sequence of unknown VR are always implicit VR little
        endian (PS3.5 6.2.2).
    @ivar character_sets: the value of the Specific Character Set (0008,0005) in effect, as on the wire; inherited.
    @ivar creators: the private creators met so far, by block: group << 8 | block (PS3.5 7.8.1).
    """

    parent: Level | None
    sequence: int
    item: int
    plan: Plan
    encoding: Encoding
    character_sets: bytes = b""
    creators: dict[int, str] = Factory(dict)

    @property
    def is_implicit(self) -> bool:
        """Whether its elements say no VR."""
        return self.encoding.is_implicit

    def note(self, tag: int, value: bytes) -> None:
        """What the elements that follow depend on: a Specific Character Set or a private creator."""
        if tag == SPECIFIC_CHARACTER_SET:
            self.character_sets = value
        else:
            self.creators[tag >> 16 << 8 | tag & 0xFF] = value.decode("latin-1").strip(" \0")

    def __repr__(self) -> str:
        return f"<Level of ({self.sequence >> 16:04X},{self.sequence & 0xFFFF:04X})>"


@define(eq=False, repr=False)
class Element:
    """
    An element whose value the editor sees whole, and which is written as the editor answers.

    @ivar tag: group << 16 | element.
    @ivar vr: two letters; of the wire in explicit VR, of the dictionary in implicit VR and where the wire says UN or
        a VR that nobody knows; UN where the dictionary does not know it either.
    @ivar value: as on the wire, padding and all.
    @ivar level: where it is.
    @ivar vr_out: the VR that it is written with in explicit VR; the one it came with unless it is changed.
    """

    tag: int
    vr: str
    value: bytes
    level: Level
    vr_out: str
    #: The value to write; None drops the element.
    answer: bytes | None = field(default=None, init=False)
    is_answered: bool = field(default=False, init=False)

    @property
    def encoding(self) -> Encoding:
        """How it is encoded."""
        return self.level.encoding

    def replace(self, value: bytes | None) -> None:
        """
        Say what is written in place of the value: without padding, that is the rewriter's; None drops the element.

        It may be said at any time before the flush, and again.
        """
        self.answer = value
        self.is_answered = True

    def __repr__(self) -> str:
        # Never a value: this may end up in a log or a traceback.
        return f"<Element ({self.tag >> 16:04X},{self.tag & 0xFFFF:04X}) {self.vr}>"


class Editor(Protocol):
    """Who decides what becomes of a data set's elements."""

    @property
    def plan(self) -> Plan:
        """The plan of the data set itself; items have their sequence's unless `plan_within` says another."""

    @property
    def insertions(self) -> Sequence[tuple[int, bytes]]:
        """
        Elements to insert into the data set itself, in ascending order: tag, and the whole element, encoded as the
        data set is (not deflated).  An element with such a tag that is there already is dropped.
        """

    @property
    def drops_private(self) -> bool:
        """Whether `private` would drop everything: then it need not be asked, which saves time."""

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        """
        The treatment of an element of an odd group, its private creator (gggg,0010-00FF) included.

        @param vr: as `Element.vr`.
        @param length: of the value in bytes, or `UNDEFINED_LENGTH`.
        """

    def plan_within(self, element_tag: int, level: Level) -> Plan | None:
        """
        The plan for the items of a sequence that is to be edited; None drops the sequence.

        @param level: where the sequence is.
        """

    def edit(self, element: Element) -> None:
        """
        An element to be edited; `element.replace` is the answer, now or any time before the flush.

        The value of one that is to be swapped is empty.
        """


@frozen
class Limits:
    """
    What a data set may cost.  Beyond each of them it is refused.

    @ivar head: bytes that are held until identities are resolved; 64 more are counted for each edited element.
    @ivar nesting: sequences within one another.
    @ivar edited_value: bytes of a value that is edited.
    @ivar inflated: bytes that a deflated data set may have in any case ...
    @ivar inflation: ... and how many more for each byte received.
    """

    head: int = 64 * 1024 * 1024
    nesting: int = 64
    edited_value: int = 1024 * 1024
    inflated: int = 64 * 1024 * 1024
    inflation: int = 256
