"""The few PDUs that the raw peers speak, encoded ahead (PS3.8 9.3, PS3.7 E.1, implicit VR little endian).

It knows nothing of dimseproxy's own codec: a mistake there must not be made twice and pass.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

VERIFICATION = b"1.2.840.10008.1.1"
CT_IMAGE_STORAGE = b"1.2.840.10008.5.1.4.1.1.2"
TRANSFER_SYNTAX = b"1.2.840.10008.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
INSTANCE = b"2.25.281474976710655"
OTHER_INSTANCE = b"2.25.281474976710656"
STUDY = b"2.25.281474976710600"
SERIES = b"2.25.281474976710601"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
HEADER = struct.Struct(">BxL")
ECHO_CONTEXT, STORE_CONTEXT = 1, 3
CONTEXTS = {ECHO_CONTEXT: VERIFICATION, STORE_CONTEXT: CT_IMAGE_STORAGE}
"""What the raw SCU proposes unless it is asked for more: abstract syntaxes by context id."""
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


def associate_rq(calling: bytes = b"BENCH", called: bytes = b"SINK", contexts: Mapping[int, bytes] = CONTEXTS) -> bytes:
    """A request for the contexts, each in implicit VR little endian; Verification and CT Image Storage by default."""
    proposed = b"".join(
        _item(0x20, struct.pack(">B3x", number) + _item(0x30, syntax) + _item(0x40, TRANSFER_SYNTAX))
        for number, syntax in contexts.items()
    )
    fixed = struct.pack(">H2x16s16s32x", 1, called.ljust(16), calling.ljust(16))
    return pdu(ASSOCIATE_RQ, fixed + _item(0x10, APPLICATION_CONTEXT) + proposed + _user_information())


def associate_ac(request: bytes) -> bytes:
    """The acceptance of all that the body of a request proposes, each context in its first transfer syntax.

    The titles are sent back as they came (PS3.8 9.3.3).
    """
    contexts = b"".join(
        _item(0x21, struct.pack(">B3x", body[0]) + _item(0x40, _first_transfer_syntax(body)))
        for kind, body in _items(request[68:])
        if kind == 0x20
    )
    return pdu(ASSOCIATE_AC, request[:68] + _item(0x10, APPLICATION_CONTEXT) + contexts + _user_information())


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        kind, length = struct.unpack_from(">BxH", body, at)
        yield kind, body[at + 4 : at + 4 + length]
        at += 4 + length


def _first_transfer_syntax(context: bytes) -> bytes:
    return next(body for kind, body in _items(context[4:]) if kind == 0x40)


RELEASE_RQ_PDU = pdu(RELEASE_RQ, bytes(4))
RELEASE_RP_PDU = pdu(RELEASE_RP, bytes(4))


def element(number: int, value: bytes) -> bytes:
    """An element of a command set, of a value padded already."""
    return struct.pack("<HHL", 0, number, len(value)) + value


def uid(value: bytes) -> bytes:
    """A UID padded to an even length (PS3.5 9.1)."""
    return value + bytes(len(value) % 2)


def command(context: int, elements: bytes) -> bytes:
    """A command set of these elements, with its group length, in a PDU of its own."""
    command_set = element(0x0000, struct.pack("<L", len(elements))) + elements
    return pdu(P_DATA, pdv(context, COMMAND | LAST, command_set))


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """A PDV item: a fragment with its message control header (PS3.8 9.3.5.1, E.2)."""
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def us(number: int, value: int) -> bytes:
    """An element of a command set of value representation US."""
    return element(number, struct.pack("<H", value))


def echo_rq(message_id: int) -> bytes:
    """A C-ECHO request."""
    elements = element(0x0002, uid(VERIFICATION)) + us(0x0100, C_ECHO_RQ) + us(0x0110, message_id)
    return command(ECHO_CONTEXT, elements + us(0x0800, NO_DATA_SET))


def echo_rsp(message_id: int) -> bytes:
    """The C-ECHO response of success."""
    elements = element(0x0002, uid(VERIFICATION)) + us(0x0100, C_ECHO_RQ | RESPONSE)
    elements += us(0x0120, message_id) + us(0x0800, NO_DATA_SET) + us(0x0900, 0)
    return command(ECHO_CONTEXT, elements)


def store_rq(message_id: int, instance: bytes = INSTANCE) -> bytes:
    """A C-STORE request; its data set follows."""
    elements = element(0x0002, uid(CT_IMAGE_STORAGE)) + us(0x0100, C_STORE_RQ) + us(0x0110, message_id)
    elements += us(0x0700, 0) + us(0x0800, DATA_SET) + element(0x1000, uid(instance))
    return command(STORE_CONTEXT, elements)


def store_rsp(
    message_id: int, context: int = STORE_CONTEXT, sop_class: bytes = CT_IMAGE_STORAGE, instance: bytes = INSTANCE
) -> bytes:
    """The C-STORE response of success."""
    elements = element(0x0002, uid(sop_class)) + us(0x0100, C_STORE_RQ | RESPONSE)
    elements += us(0x0120, message_id) + us(0x0800, NO_DATA_SET) + us(0x0900, 0)
    return command(context, elements + element(0x1000, uid(instance)))


def data_element(tag: int, value: bytes) -> bytes:
    """An element of a data set in implicit VR little endian, of a value padded already."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def data_set_start(
    instance: bytes = INSTANCE, study: bytes = STUDY, patient: bytes = b"BENCH ", length: int = 0xFFFFFFFE
) -> bytes:
    """The elements before the pixel data, and the header of pixel data of ``length`` bytes."""
    series = SERIES if study == STUDY else study + b".1"
    return (
        data_element(0x00080016, uid(CT_IMAGE_STORAGE))
        + data_element(0x00080018, uid(instance))
        + data_element(0x00100020, patient)
        + data_element(0x0020000D, uid(study))
        + data_element(0x0020000E, uid(series))
        + struct.pack("<HHL", 0x7FE0, 0x0010, length)
    )


def object_in_pdus(length: int, start: bytes) -> tuple[bytes, bytes]:
    """A data set of what :func:`data_set_start` gives and ``length`` bytes of pixel data.

    :return: the first PDU, in which everything but pixel data lies, and the others
    """
    pdus = whole(start + bytes(length))
    first = HEADER.size + HEADER.unpack_from(pdus)[1]
    return pdus[:first], pdus[first:]


def data_set(length: int, instance: bytes = INSTANCE) -> Iterator[bytes]:
    """A data set of about ``length`` bytes, in runs of whole PDUs of up to 512 KiB.

    The pixel data is shorter than its element says: nothing on the way to the sink reads so far.
    """
    fragment = MAX_PDU_LENGTH - 6
    yield pdu(P_DATA, pdv(STORE_CONTEXT, 0, data_set_start(instance)))
    full = pdu(P_DATA, pdv(STORE_CONTEXT, 0, bytes(fragment)))
    run = full * 32
    remaining = length // fragment
    while remaining >= 32:
        yield run
        remaining -= 32
    yield full * remaining
    yield pdu(P_DATA, pdv(STORE_CONTEXT, LAST, bytes(2)))


def whole(content: bytes) -> bytes:
    """A data set in implicit VR little endian as it is, in as many PDUs as it takes."""
    fragment = MAX_PDU_LENGTH - 6
    starts = range(0, len(content), fragment)
    return b"".join(
        pdu(P_DATA, pdv(STORE_CONTEXT, LAST if start == starts[-1] else 0, content[start : start + fragment]))
        for start in starts
    )


def elements_in(command_set: bytes) -> dict[int, bytes]:
    """The raw values of a command set by element number."""
    found, at = {}, 0
    while at < len(command_set):
        number, length = struct.unpack_from("<2xHL", command_set, at)
        found[number] = command_set[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def number_in(command_set: bytes, number: int) -> int:
    """The value of an element of value representation US in a command set.

    :raises ValueError: when it is not there
    """
    found = command_set.find(struct.pack("<HHL", 0, number, 2))
    if found < 0:
        raise ValueError(f"no element (0000,{number:04X})")
    value: int = struct.unpack_from("<H", command_set, found + 8)[0]
    return value
