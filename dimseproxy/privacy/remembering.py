"""How a head is taken apart, to be remembered: see `dimseproxy.privacy.remembered`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from dimseproxy.dataset.element import UNDEFINED_LENGTH, Element, Level, Plan, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.frames import Layout, layout_of
from dimseproxy.dataset.outflow import written_pieces
from dimseproxy.dataset.scanner import FIRST_PRIVATE_GROUP, MAX_HELD_VALUE
from dimseproxy.dataset.steps import Step, Steps
from dimseproxy.dataset.vr import HEADER_LENGTHS, NOTABLE, PLAIN_HEADER_LENGTHS
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.plans import ActionPlan
from dimseproxy.privacy.pseudonymisation import Pseudonymisation
from dimseproxy.privacy.remembered import Name, Part, RememberedHead, Run, run_of, single_value

#: Elements of the data set itself, some 200 bytes of memory each; a head of more is not remembered.
MAX_ELEMENTS: Final = 512


class _Reader:
    """An editor that takes the named elements out, and leaves the others to another one."""

    def __init__(self, editor: Pseudonymisation) -> None:
        self._editor = editor
        self.plan: Plan = editor.plan
        self.insertions = editor.insertions
        self.drops_private = editor.drops_private
        self.names: dict[int, tuple[Element, Kind, str]] = {}

    def private(self, tag: int, vr: str, length: int, level: Level) -> Treatment:
        return self._editor.private(tag, vr, length, level)

    def plan_within(self, element_tag: int, level: Level) -> Plan | None:
        return self._editor.plan_within(element_tag, level)

    def edit(self, element: Element) -> None:
        named = self._editor.names_alone(element) if element.level.parent is None else None
        if named is None or single_value(element.value, *named, element.level.character_sets) is None:
            self._editor.edit(element)
        else:
            self.names[element.tag] = (element, *named)


def remembered(
    editor: Pseudonymisation, encoding: Encoding, head: bytes, pseudonyms: Mapping[Identity, str]
) -> RememberedHead | None:
    """
    What is to be remembered of a head.

    @param editor: has not seen anything yet.
    @param encoding: of the data set, which is not deflated.
    @param head: up to and with the header of a bulk value of defined length.
    @param pseudonyms: of all originals in it.
    @return: None where it is not fit to be remembered.
    @raise OperationRefused: where it must not cross.
    """
    reader = _Reader(editor)
    steps = Steps(encoding, reader, head)
    taken = list(islice(steps, MAX_ELEMENTS))
    fixed = editor.wanted()
    if steps.bulk_length is None or b"".join(step.raw for step in taken) != head or not fixed <= pseudonyms.keys():
        return None
    known = {identity: pseudonyms[identity] for identity in fixed}
    editor.resolve(known)
    if editor.overlay is not None:
        return None
    layout = layout_of(encoding.is_implicit, encoding.is_little_endian)
    parts: list[Run | Name] = []
    run: list[Part] = []
    level: Level | None = None
    for step in taken:
        name = _name(step, reader, layout)
        if name is None:
            run.append(_part(step, reader, layout))
            continue
        if not name.header_length:
            # Of a VR that nobody knows: its header cannot be told from the next one's in advance.
            return None
        level = reader.names[name.tag][0].level
        parts += [run_of(run), name] if run else [name]
        run = []
    if level is None:
        return None
    parts.append(run_of(run))
    return RememberedHead(layout, level, parts, known, editor.guard(), len(head), steps.bulk_length)


def _name(step: Step, reader: _Reader, layout: Layout) -> Name | None:
    """A step as a named element, if it is one."""
    element = step.pieces[0] if len(step.pieces) == 1 else None
    if not isinstance(element, Element) or reader.names.get(element.tag, (None,))[0] is not element:
        return None
    _, kind, read_as = reader.names[element.tag]
    start, header_length = _header(step.raw, layout)
    return Name(start, header_length, element.tag, element.vr, element.vr_out, kind, read_as)


def _part(step: Step, reader: _Reader, layout: Layout) -> Part:
    written = b"".join(written_pieces(step.pieces))
    treatment = _freedom(step.raw, reader, layout)
    is_kept = treatment is Treatment.KEEP
    if treatment is None or written != (step.raw if is_kept else b"" if treatment is Treatment.DROP else written):
        return Part(step.raw, written)
    return Part(step.raw, written, *_header(step.raw, layout), is_kept)


def _freedom(raw: bytes, reader: _Reader, layout: Layout) -> Treatment | None:
    """The treatment of an element of the data set itself, if its tag and VR say all of it."""
    if not raw:
        return None
    group, number, *code = layout.header.unpack_from(raw)
    tag, plan = group << 16 | number, reader.plan
    _, header_length = _header(raw, layout)
    length = layout.long_length.unpack_from(raw, 8)[0] if header_length == 12 else code[-1]
    if not header_length or not number or tag in NOTABLE or length > MAX_HELD_VALUE or length == UNDEFINED_LENGTH:
        return None
    if group & 1:
        return Treatment.DROP if group >= FIRST_PRIVATE_GROUP and reader.drops_private else None
    if not layout.encoding.is_implicit and code[0] not in PLAIN_HEADER_LENGTHS:
        return None
    treatment = plan[tag]
    if treatment is Treatment.SWAP:
        return treatment if isinstance(plan, ActionPlan) and tag in plan.settled else None
    return None if treatment is Treatment.EDIT else treatment


def _header(raw: bytes, layout: Layout) -> tuple[bytes, int]:
    """How a header begins, and its length; 0 where the VR is not known."""
    if layout.encoding.is_implicit:
        return raw[:4], 8
    return raw[:6], HEADER_LENGTHS.get(raw[4:6], 0)
