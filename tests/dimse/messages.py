"""Command sets and PDVs for the tests, built by hand."""

from __future__ import annotations

from struct import pack

from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.command_set import CommandSet, Element
from dimseproxy.dimse.parts import Part
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment
from dimseproxy.ul.framer import Frame

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def parts_of(assembler: Assembler, *frames: Frame) -> list[Part]:
    """What these frames complete, all of which are fragments."""
    fragments = [frame for frame in frames if isinstance(frame, (CommandFragment, DataSetFragment))]
    assert len(fragments) == len(frames), frames
    parts: list[Part] = []
    assembler.receive(fragments, parts)
    return parts


def element(number: int, value: bytes, length: int | None = None, group: int = 0) -> bytes:
    """An element in implicit VR little endian, with a false length where one is given."""
    return pack("<HHI", group, number, len(value) if length is None else length) + value


def us(number: int, value: int) -> bytes:
    """A US element."""
    return element(number, pack("<H", value))


def command_bytes(*elements: bytes) -> bytes:
    """A command set with its group length."""
    body = b"".join(elements)
    return element(0, pack("<I", len(body))) + body


def echo_rq(message_id: int = 1) -> bytes:
    """A C-ECHO-RQ."""
    return command_bytes(element(2, b"1.2.840.10008.1.1\0"), us(0x100, 0x30), us(0x110, message_id), us(0x800, 0x0101))


def store_rq(message_id: int = 1) -> bytes:
    """A C-STORE-RQ; a data set follows."""
    return command_bytes(
        element(2, b"1.2.840.10008.5.1.4.1.1.2\0"),
        us(0x100, 0x01),
        us(0x110, message_id),
        us(0x700, 0),
        us(0x800, 1),
        element(0x1000, b"1.2.3.4.5\0"),
    )


def request(command_field: int, **more: int | str) -> CommandSet:
    """A request with a message id; further elements by their names."""
    elements: dict[Element, int | str | None] = {
        Element.AFFECTED_SOP_CLASS_UID: CT,
        Element.COMMAND_FIELD: command_field,
        Element.MESSAGE_ID: 7,
        Element.COMMAND_DATA_SET_TYPE: 0x0101,
    }
    elements.update({Element[name.upper()]: value for name, value in more.items()})
    return CommandSet.of(elements)
