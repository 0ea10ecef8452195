"""
Goes through a data set element by element while it arrives (PS3.5 7).

Kept elements in a row are one run of bytes that is never looked at again.  Only the header of an element must be there
to go on: values that are kept or dropped may come in any number of pieces; those that are edited are waited for.

What a peer may send besides the regular:

- Elements must ascend (PS3.5 7.1).  What does not is refused: of an element that is there twice, one toolkit reads the
  first, another the last, and privacy cannot be a matter of which.
- Group lengths (gggg,0000) are dropped, they would be wrong.  Group 0002 is dropped: it belongs into files, and names
  the instance.  Group 0000 and the odd groups that no private element may have are refused.
- Values of odd length cross as they are.  One NUL after the last element is dropped.
- A VR that nobody knows has a length of 32 bits (PS3.5 7.1.2); anything but two capital letters is refused.
- A sequence under another VR than SQ or UN is refused where it is not dropped: its items could not be treated.
- UN of undefined length, or with the tag of a known sequence, is a sequence in implicit VR little endian (PS3.5 6.2.2).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from dimseproxy.dataset.element import UNDEFINED_LENGTH, Editor, Element, Level, Limits, Plan, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.frames import (
    ENDLESS,
    FIRST_DELIMITER,
    ITEM,
    ITEM_DELIMITER,
    SEQUENCE_DELIMITER,
    UNKNOWN_LAYOUT,
    Frame,
    Mode,
    layout_of,
)
from dimseproxy.dataset.inflow import INFLATION_STEP, Inflow
from dimseproxy.dataset.outflow import ELEMENT_COST, Outflow
from dimseproxy.dataset.vr import (
    FRAGMENTED,
    HEADER_LENGTHS,
    NAMES,
    NOTABLE,
    PIXELS,
    PLAIN_HEADER_LENGTHS,
    SEQUENCES,
    SPECIFIC_CHARACTER_SET,
    dictionary_vr,
    is_vr,
    private_vr,
)
from dimseproxy.dataset.window import EDITED_OCTETS, Window
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

#: Kept values of the data set itself that are longer leave as they come instead of being held ...
MAX_HELD_VALUE: Final = 64 * 1024
#: ... from behind Burned In Annotation on: before it, who the patient is and whether it may leave is not known.
FIRST_BULK: Final = 0x00280302
#: How much bulk may wait for a flush where it is made here, by inflating.
_BULK_STEP: Final = 4 * INFLATION_STEP
#: PS3.5 7.8.1: groups 0001 to 0007 and FFFF are not for private elements either.
FIRST_PRIVATE_GROUP: Final = 0x0009
#: A private creator has 64 characters, a character set 16 and there are few of them.
_MAX_NOTED_VALUE: Final = 1024
#: What needs no editor before the value is passed, and what lets nothing of the value cross.
_SIMPLE: Final = (Treatment.KEEP, Treatment.DROP, Treatment.SWAP)
_UNSEEN: Final = (Treatment.DROP, Treatment.SWAP)


class Scanner(Window):
    """
    Reads from an inflow, asks an editor, and puts into an outflow what crosses.

    @ivar is_stopped: whether a bulk value or the end is reached: what is held must leave first.
    @ivar is_over: whether it was the end.
    """

    def __init__(self, encoding: Encoding, editor: Editor, limits: Limits, inflow: Inflow, outflow: Outflow) -> None:
        self._editor = editor
        self._limits = limits
        super().__init__(inflow, outflow)
        self._insertions = deque(editor.insertions)
        self._drops_private = editor.drops_private
        #: The element that an insertion stands in for.
        self._replaced = 0
        level = Level(None, 0, 0, editor.plan, encoding)
        layout = layout_of(encoding.is_implicit, encoding.is_little_endian)
        self._frame = self._top = Frame(Mode.ELEMENTS, level, layout, ENDLESS)
        #: The frames around the innermost one.
        self._frames: list[Frame] = []
        self._nesting = 0
        self.is_stopped = False
        self.is_over = False

    def work(self, budget: int) -> bool:
        """
        Go on, but not for long.

        @param budget: how many elements at most.
        @return: whether there is more to do at once.
        @raise OperationRefused: where the data set is broken, costs too much, or the editor says so.
        """
        out = self._out
        while budget > 0:
            if self.is_stopped or out.bulk_length >= _BULK_STEP:
                return False
            frame = self._frame
            if self._rest:
                went_on = self._pass_value()
                if not self._rest:
                    self._end_value()
            elif frame.mode is Mode.ELEMENTS:
                if not frame.drops:
                    if self._at == len(self._data):
                        self._have(8)
                    budget = self._run_on(frame, budget)
                    if budget <= 0:
                        break
                went_on = self._step(frame)
            elif frame.mode is Mode.ITEMS:
                went_on = self._item(frame)
            else:
                went_on = self._fragment(frame)
            if frame.drops:
                self._run = self._at
            budget -= 1 + self._cost
            self._cost = 0
            if not went_on:
                if self._inflow.is_over:
                    raise _broken("data set is cut short")
                self._cut()
                return False
        return not self.is_stopped

    @property
    def scanned(self) -> int:
        """How far it is in the data set, inflated if it was deflated."""
        return self._base + self._at

    @property
    def untouched(self) -> int:
        """How many of the next bytes are of a bulk value, with nothing before them that is still here."""
        out = self._out
        if not out.is_flowing or self.is_stopped or out.bulk or out.is_overlaid:
            return 0
        return self._rest if self._at == len(self._data) and self._run == self._at and self._inflow.is_empty else 0

    def pass_untouched(self, count: int) -> None:
        """So many of them left on another way."""
        self._base += count
        self._out.passed(count)
        self._rest -= count
        if not self._rest:
            self._end_value()

    # Kept and edited elements in a row, of known VR, whole and not long: nearly all there are.

    def _run_on(self, frame: Frame, budget: int) -> int:
        """As many of them as there are; returns what is left of the budget."""
        data, at, run, last = self._data, self._at, self._run, frame.last
        limit = min(len(data), frame.end - self._base)
        level, layout = frame.level, frame.layout
        plan, unpack, unpack_length = level.plan, layout.header.unpack_from, layout.long_length.unpack_from
        is_implicit = layout.encoding.is_implicit
        insertions = self._insertions if frame is self._top else ()
        bound = min(insertions[0][0], FIRST_DELIMITER) if insertions else FIRST_DELIMITER
        if self._replaced > last and frame is self._top:
            bound = self._replaced
        append, edit, drop, swap = self._out.pieces.append, self._editor.edit, Treatment.DROP, Treatment.SWAP
        private, drops_private, notable = self._editor.private, self._drops_private, NOTABLE
        header_length_of, longest = PLAIN_HEADER_LENGTHS.get, min(MAX_HELD_VALUE, self._limits.edited_value)
        held, header_length, left = 0, 8, budget
        while left > 0 and at + 8 <= limit:
            if is_implicit:
                group, number, length = unpack(data, at)
            else:
                group, number, code, length = unpack(data, at)
                header_length = header_length_of(code, 0)
                if header_length != 8:
                    if not header_length and group & 1 and drops_private:
                        header_length = HEADER_LENGTHS.get(code, 0)
                    if not header_length or at + 12 > limit:
                        break
                    (length,) = unpack_length(data, at + 8)
            tag = group << 16 | number
            after = at + header_length + length
            if after > limit or not last < tag < bound or not number or length > longest or tag in notable:
                break
            if not group & 1:
                treatment = plan[tag]
            elif group < FIRST_PRIVATE_GROUP:
                break
            elif drops_private:
                treatment = drop
            else:
                vr = _vr(level, tag, b"") if is_implicit else NAMES[code]
                if vr == "SQ" or (_is_creator(tag) and length > _MAX_NOTED_VALUE):
                    break
                if _is_creator(tag):
                    level.note(tag, data[at + header_length : after])
                    held += length + ELEMENT_COST
                treatment = private(tag, vr, length, level)
            if treatment:
                if run < at:
                    append(data[run:at])
                    held += at - run
                run = after
                if treatment is not drop:
                    vr = NAMES[code] if not is_implicit else vr if group & 1 else dictionary_vr(tag) or "UN"
                    written = plan.instead(tag, vr, level) if treatment is swap else None
                    if written is not None:
                        append(written)
                        held += len(written)
                    else:
                        value = b"" if treatment is swap else data[at + header_length : after]
                        element = Element(tag, vr, value, level, vr)
                        append(element)
                        held += len(value) + ELEMENT_COST
                        left -= len(value) // EDITED_OCTETS
                        edit(element)
            last = tag
            at = after
            left -= 1
        self._at, self._run, frame.last = at, run, last
        if held:
            self._out.hold(held)
        return left

    # Everything else, one at a time.

    def _step(self, frame: Frame) -> bool:
        """The next element of whatever kind, or the end of what it is in; False where data are missing."""
        if self._base + self._at >= frame.end:
            self._close(frame)
            return True
        if not self._have(8):
            return frame is self._top and self._finish()
        layout = frame.layout
        group, number, length = layout.item.unpack_from(self._data, self._at)
        tag = group << 16 | number
        if tag >= FIRST_DELIMITER and group == FIRST_DELIMITER >> 16:
            if tag != ITEM_DELIMITER or length or frame.is_defined or frame is self._top:
                raise _broken("unexpected item or delimiter")
            self._at += 8
            self._check_end(frame, 0)
            self._pop()
            return True
        code, header_length = b"", 8
        if not layout.encoding.is_implicit:
            _, _, code, length = layout.header.unpack_from(self._data, self._at)
            header_length = HEADER_LENGTHS.get(code, 12)
            if header_length == 12:
                if not self._have(12):
                    return False
                (length,) = layout.long_length.unpack_from(self._data, self._at + 8)
                if code not in HEADER_LENGTHS and (
                    not is_vr(code) or self._data[self._at + 6 : self._at + 8] != b"\0\0"
                ):
                    raise _broken("element without a value representation")
        if tag <= frame.last and group != 2 and not frame.drops:
            raise _broken("elements are not in ascending order")
        if frame is self._top and not frame.drops and self._insertions and self._insertions[0][0] <= tag:
            self._replaced, inserted = self._insertions.popleft()
            self._cut()
            self._out.write(inserted)
            return True
        if length != UNDEFINED_LENGTH:
            self._check_end(frame, header_length + length)
        return self._element(frame, tag, code, header_length, length)

    def _element(self, frame: Frame, tag: int, code: bytes, header_length: int, length: int) -> bool:
        """An element whose header is there; False where data are missing."""
        level = frame.level
        vr = _vr(level, tag, code)
        is_undefined = length == UNDEFINED_LENGTH
        is_creator = _is_creator(tag) and not self._drops_private
        if not frame.drops and (tag == SPECIFIC_CHARACTER_SET or is_creator):
            if length > _MAX_NOTED_VALUE:
                raise _broken("character set or private creator is too long")
            if not self._have(header_length + length):
                return False
            level.note(tag, self._data[self._at + header_length : self._at + header_length + length])
            # It stays in memory even where it does not cross.
            self._out.hold(length + ELEMENT_COST)
        treatment = self._treatment(frame, tag, vr, length)
        # With a VR only SQ and UN say so; without one the dictionary does, and an undefined length where it cannot.
        is_sequence = code == b"SQ" or (
            code in (b"", b"UN") and (vr == "SQ" or (is_undefined and bool(code or vr == "UN")))
        )
        if tag in SEQUENCES and not is_sequence and length and treatment not in _UNSEEN:
            raise _broken("sequence that does not say so")
        plan: Plan | None = level.plan
        if treatment not in _SIMPLE:
            if is_sequence:
                plan = self._editor.plan_within(tag, level)
                treatment = Treatment.DROP if plan is None else Treatment.KEEP
            elif length > self._limits.edited_value:
                raise OperationRefused(Status.OUT_OF_RESOURCES, "value that must be edited is too long")
            elif not self._have(header_length + length):
                return False
        # Nothing is waited for from here on: what is done is done once.
        frame.last = max(tag, frame.last)
        drops = treatment is Treatment.DROP
        if drops and not frame.drops:
            self._cut()
        if treatment is Treatment.SWAP:
            self._cut()
            self._edit(Element(tag, "SQ" if is_sequence else vr, b"", level, code.decode() or vr))
            drops = True
        if is_sequence and (is_undefined or (length and not drops)):
            self._descend(frame, tag, code, header_length, length, plan, drops)
        elif is_undefined:
            if (code.decode() if code else vr) not in FRAGMENTED:
                raise _broken("undefined length of what is no sequence")
            self._begin_fragments(frame, tag, header_length, drops)
        elif drops or treatment is Treatment.KEEP:
            self._begin_value(frame, tag, header_length, length, drops)
        else:
            self._cut()
            begin, self._at = self._at + header_length, self._at + header_length + length
            self._run = self._at
            self._edit(Element(tag, vr, self._data[begin : self._at], level, code.decode() or vr))
        return True

    def _edit(self, element: Element) -> None:
        self._cost += len(element.value) // EDITED_OCTETS
        self._out.edit(element)
        self._editor.edit(element)

    def _treatment(self, frame: Frame, tag: int, vr: str, length: int) -> Treatment:
        group = tag >> 16
        if frame.drops or not tag & 0xFFFF or group == 2:
            return Treatment.DROP
        if group & 1:
            if group < FIRST_PRIVATE_GROUP or group == 0xFFFF:
                raise _broken("element of a group that no data set has")
            if self._drops_private:
                return Treatment.DROP
            return self._editor.private(tag, vr, length, frame.level)
        if tag == self._replaced and frame is self._top:
            return Treatment.DROP
        return frame.level.plan[tag]

    def _begin_value(self, frame: Frame, tag: int, header_length: int, length: int, drops: bool) -> None:
        self._at += header_length
        self._rest, self._drops_rest = length, drops
        if drops:
            self._run = self._at
        elif frame is self._top and length and (tag in PIXELS or (length > MAX_HELD_VALUE and tag >= FIRST_BULK)):
            self._begin_bulk(tag, length)

    def _begin_bulk(self, tag: int, length: int | None) -> None:
        self._cut()
        self._out.begin_bulk(tag, length)
        self.is_stopped = True

    def _end_value(self) -> None:
        if self._out.is_flowing and self._frame is self._top:
            self._cut()
            self._out.end_bulk()

    # Sequences, items and fragments.

    def _descend(
        self, frame: Frame, tag: int, code: bytes, header_length: int, length: int, plan: Plan | None, drops: bool
    ) -> None:
        """Into a sequence.  Its length is no longer known where it was, so that it is written as undefined."""
        is_defined = length != UNDEFINED_LENGTH
        if is_defined and not drops:
            self._cut()
            self._out.write(frame.layout.sequence_header(tag, code))
            self._run += header_length
        self._at += header_length
        end = self._base + self._at + length if is_defined else frame.end
        layout = UNKNOWN_LAYOUT if code == b"UN" else frame.layout
        self._push(Frame(Mode.ITEMS, frame.level, layout, end, is_defined, drops, tag, plan))

    def _item(self, frame: Frame) -> bool:
        """The next item of a sequence, or its end; False where data are missing."""
        if self._base + self._at >= frame.end:
            self._close(frame)
            return True
        if not self._have(8):
            return False
        group, number, length = frame.layout.item.unpack_from(self._data, self._at)
        tag = group << 16 | number
        is_defined = length != UNDEFINED_LENGTH
        self._check_end(frame, 8 + length if is_defined else 8)
        if tag == SEQUENCE_DELIMITER and not length and not frame.is_defined:
            self._at += 8
            self._pop()
            return True
        if tag != ITEM:
            raise _broken("neither an item nor the end of a sequence")
        outer, layout = frame.level, frame.layout
        plan = outer.plan if frame.plan is None else frame.plan
        level = Level(outer, frame.tag, frame.items, plan, layout.encoding, outer.character_sets)
        frame.items += 1
        if is_defined and length and not frame.drops:
            self._cut()
            self._out.write(layout.item_header)
            self._run += 8
        self._at += 8
        if length:
            end = self._base + self._at + length if is_defined else frame.end
            self._push(Frame(Mode.ELEMENTS, level, layout, end, is_defined, frame.drops))
        return True

    def _begin_fragments(self, frame: Frame, tag: int, header_length: int, drops: bool) -> None:
        self._at += header_length
        self._push(Frame(Mode.FRAGMENTS, frame.level, frame.layout, frame.end, drops=drops, tag=tag))
        if frame is self._top and not drops and tag >= FIRST_BULK:
            self._begin_bulk(tag, None)

    def _fragment(self, frame: Frame) -> bool:
        """The next fragment of an encapsulated value, or its end (PS3.5 A.4); False where data are missing."""
        if not self._have(8):
            return False
        group, number, length = frame.layout.item.unpack_from(self._data, self._at)
        tag = group << 16 | number
        self._check_end(frame, 8 + length)
        if tag == SEQUENCE_DELIMITER and not length:
            self._at += 8
            self._pop()
            self._end_value()
        elif tag == ITEM and length != UNDEFINED_LENGTH:
            self._at += 8
            self._rest, self._drops_rest = length, frame.drops
        else:
            raise _broken("neither a fragment nor the end of an encapsulated value")
        return True

    def _push(self, frame: Frame) -> None:
        if frame.mode is not Mode.ELEMENTS:
            self._nesting += 1
            if self._nesting > self._limits.nesting:
                raise OperationRefused(Status.OUT_OF_RESOURCES, "sequences are nested too deep")
        if frame.drops:
            self._run = self._at
        self._frames.append(self._frame)
        self._frame = frame

    def _pop(self) -> None:
        if self._frame.mode is not Mode.ELEMENTS:
            self._nesting -= 1
        self._frame = self._frames.pop()

    def _close(self, frame: Frame) -> None:
        """The end of a sequence or item whose length was said."""
        if not frame.is_defined:
            raise _broken("sequence or item without an end")
        if not frame.drops:
            self._cut()
            layout = frame.layout
            self._out.write(layout.sequence_delimiter if frame.mode is Mode.ITEMS else layout.item_delimiter)
        self._pop()

    def _check_end(self, frame: Frame, count: int) -> None:
        if self._base + self._at + count > frame.end:
            raise _broken("element is longer than what it is in")

    def _finish(self) -> bool:
        """The end of the data set, if this is it."""
        if not self._inflow.is_over:
            return False
        if self._data[self._at :] + self._more not in (b"", b"\0"):
            raise _broken("data set is cut short")
        self._cut()
        for _, inserted in self._insertions:
            self._out.write(inserted)
        self._insertions.clear()
        self.is_stopped = self.is_over = True
        return True


def _vr(level: Level, tag: int, code: bytes) -> str:
    """The VR of the wire, or else that of the dictionary."""
    if code in PLAIN_HEADER_LENGTHS or code == b"SQ":
        return NAMES[code]
    if not tag >> 16 & 1:
        return dictionary_vr(tag) or "UN"
    if _is_creator(tag):
        return "LO"
    creator = level.creators.get(tag >> 8)
    return (creator and private_vr(tag, creator)) or "UN"


def _is_creator(tag: int) -> bool:
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


def _broken(comment: str) -> OperationRefused:
    return OperationRefused(Status.PROCESSING_FAILURE, comment)
