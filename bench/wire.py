"""The few PDUs that the raw peers speak, encoded ahead (PS3.8 9.3, PS3.7 E.1, implicit VR little endian).

It knows nothing of dimseproxy's own codec: a mistake there must not be made twice and pass.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VERIFICATION = b"1.2.840.10008.1.1"
CT_IMAGE_STORAGE = b"1.2.840.10008.5.1.4.1.1.2"
TRANSFER_SYNTAX = b"1.2.840.10008.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
INSTANCE = b"2.25.281474976710655"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER = struct.Struct(">BxL")
ECHO_CONTEXT, STORE_CONTEXT = 1, 3
MAX_PDU_LENGTH = 16384
"""What each of the raw peers says it receives: DCMTK's usual value."""

C_STORE_RQ, C_ECHO_RQ, RESPONSE = 0x0001, 0x0030, 0x8000
NO_DATA_SET, DATA_SET = 0x0101, 0x0001
LAST, COMMAND = 0x02, 0x01


def pdu(kind: int, body: bytes) -> bytes:
    """A PDU of a type, with its header."""
    return HEADER.pack(kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _user_information() -> bytes:
    maximum = _item(0x51, struct.pack(">L", MAX_PDU_LENGTH))
    return _item(0x50, maximum + _item(0x52, b"2.25.1") + _item(0x55, b"BENCH"))


def associate_rq(calling: bytes = b"BENCH", called: bytes = b"SINK") -> bytes:
    """A request for Verification and CT Image Storage."""
    contexts = b"".join(
        _item(0x20, struct.pack(">B3x", number) + _item(0x30, syntax) + _item(0x40, TRANSFER_SYNTAX))
        for number, syntax in ((ECHO_CONTEXT, VERIFICATION), (STORE_CONTEXT, CT_IMAGE_STORAGE))
    )
    fixed = struct.pack(">H2x16s16s32x", 1, called.ljust(16), calling.ljust(16))
    return pdu(ASSOCIATE_RQ, fixed + _item(0x10, APPLICATION_CONTEXT) + contexts + _user_information())


def associate_ac(request: bytes) -> bytes:
    """The acceptance of both contexts, to the body of a request: its titles are sent back (PS3.8 9.3.3)."""
    contexts = b"".join(
        _item(0x21, struct.pack(">B3x", number) + _item(0x40, TRANSFER_SYNTAX))
        for number in (ECHO_CONTEXT, STORE_CONTEXT)
    )
    return pdu(ASSOCIATE_AC, request[:68] + _item(0x10, APPLICATION_CONTEXT) + contexts + _user_information())


RELEASE_RQ_PDU = pdu(RELEASE_RQ, bytes(4))
RELEASE_RP_PDU = pdu(RELEASE_RP, bytes(4))


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0, number, len(value)) + value


def _uid(value: bytes) -> bytes:
    return value + bytes(len(value) % 2)


def _command(context: int, elements: bytes) -> bytes:
    command_set = _element(0x0000, struct.pack("<L", len(elements))) + elements
    return pdu(P_DATA, _pdv(context, COMMAND | LAST, command_set))


def _pdv(context: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def _us(number: int, value: int) -> bytes:
    return _element(number, struct.pack("<H", value))


def echo_rq(message_id: int) -> bytes:
    """A C-ECHO request."""
    elements = _element(0x0002, _uid(VERIFICATION)) + _us(0x0100, C_ECHO_RQ) + _us(0x0110, message_id)
    return _command(ECHO_CONTEXT, elements + _us(0x0800, NO_DATA_SET))


def echo_rsp(message_id: int) -> bytes:
    """The C-ECHO response of success."""
    elements = _element(0x0002, _uid(VERIFICATION)) + _us(0x0100, C_ECHO_RQ | RESPONSE)
    elements += _us(0x0120, message_id) + _us(0x0800, NO_DATA_SET) + _us(0x0900, 0)
    return _command(ECHO_CONTEXT, elements)


def store_rq(message_id: int) -> bytes:
    """A C-STORE request; its data set follows."""
    elements = _element(0x0002, _uid(CT_IMAGE_STORAGE)) + _us(0x0100, C_STORE_RQ) + _us(0x0110, message_id)
    elements += _us(0x0700, 0) + _us(0x0800, DATA_SET) + _element(0x1000, _uid(INSTANCE))
    return _command(STORE_CONTEXT, elements)


def store_rsp(message_id: int) -> bytes:
    """The C-STORE response of success."""
    elements = _element(0x0002, _uid(CT_IMAGE_STORAGE)) + _us(0x0100, C_STORE_RQ | RESPONSE)
    elements += _us(0x0120, message_id) + _us(0x0800, NO_DATA_SET) + _us(0x0900, 0)
    return _command(STORE_CONTEXT, elements + _element(0x1000, _uid(INSTANCE)))


def data_set_start() -> bytes:
    """The elements before the pixel data, and the header of pixel data of 2**32 - 2 bytes."""

    def element(group: int, number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", group, number, len(value)) + value

    return (
        element(0x0008, 0x0016, _uid(CT_IMAGE_STORAGE))
        + element(0x0008, 0x0018, _uid(INSTANCE))
        + element(0x0010, 0x0020, b"BENCH ")
        + struct.pack("<HHL", 0x7FE0, 0x0010, 0xFFFFFFFE)
    )


def data_set(length: int) -> Iterator[bytes]:
    """A data set of about ``length`` bytes, in runs of whole PDUs of up to 512 KiB.

    The pixel data is shorter than its element says: nothing on the way to the sink reads so far.
    """
    fragment = MAX_PDU_LENGTH - 6
    yield pdu(P_DATA, _pdv(STORE_CONTEXT, 0, data_set_start()))
    full = pdu(P_DATA, _pdv(STORE_CONTEXT, 0, bytes(fragment)))
    run = full * 32
    remaining = length // fragment
    while remaining >= 32:
        yield run
        remaining -= 32
    yield full * remaining
    yield pdu(P_DATA, _pdv(STORE_CONTEXT, LAST, bytes(2)))


def number_in(command_set: bytes, number: int) -> int:
    """The value of an element of value representation US in a command set.

    :raises ValueError: when it is not there
    """
    found = command_set.find(struct.pack("<HHL", 0, number, 2))
    if found < 0:
        raise ValueError(f"no element (0000,{number:04X})")
    value: int = struct.unpack_from("<H", command_set, found + 8)[0]
    return value
