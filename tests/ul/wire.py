"""Bytes written down so that they can be read, and PDUs built by hand, independent of the codec under test."""

from __future__ import annotations

import re
from struct import pack

_WORD = re.compile(r'"([^"]*)"|([0-9A-Fa-f]+)|(\S)')


def wire(text: str) -> bytes:
    """
    Bytes from hexadecimal words of any even length and "quoted Latin-1 text"; a # begins a comment.
    """
    out = b""
    for line in text.splitlines():
        for quoted, digits, other in _WORD.findall(line.partition("#")[0]):
            if other:
                raise ValueError(f"neither hexadecimal nor quoted: {line!r}")
            out += bytes.fromhex(digits) if digits else quoted.encode("latin-1")
    return out


def pdu(pdu_type: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU, with a false length where one is given."""
    return pack(">BxI", pdu_type, len(body) if length is None else length) + body


def item(item_type: int, value: bytes, length: int | None = None) -> bytes:
    """An item or sub-item, with a false length where one is given."""
    return pack(">BxH", item_type, len(value) if length is None else length) + value


def pdv(context_id: int, control: int, data: bytes = b"", length: int | None = None) -> bytes:
    """A PDV, with a false length where one is given."""
    return pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data


def p_data(*pdvs: bytes) -> bytes:
    """A P-DATA-TF PDU."""
    return pdu(4, b"".join(pdvs))


def head(called: bytes = b"CALLED", calling: bytes = b"CALLING", version: int = 1) -> bytes:
    """The fixed fields of A-ASSOCIATE-RQ and -AC."""
    return pack(">H2x", version) + called.ljust(16) + calling.ljust(16) + bytes(32)


APPLICATION_CONTEXT = item(0x10, b"1.2.840.10008.3.1.1.1")


def proposed(context_id: int, abstract: bytes = b"1.2.840.10008.1.1", *syntaxes: bytes) -> bytes:
    """A presentation context item of an A-ASSOCIATE-RQ, implicit little endian unless said otherwise."""
    value = pack(">B3x", context_id) + item(0x30, abstract)
    return item(0x20, value + b"".join(item(0x40, syntax) for syntax in syntaxes or (b"1.2.840.10008.1.2",)))


def answered(context_id: int, result: int, syntax: bytes = b"1.2.840.10008.1.2") -> bytes:
    """A presentation context item of an A-ASSOCIATE-AC."""
    return item(0x21, pack(">BxBx", context_id, result) + item(0x40, syntax))


def user_information(*sub_items: bytes) -> bytes:
    """A user information item."""
    return item(0x50, b"".join(sub_items))


MAXIMUM_LENGTH = item(0x51, pack(">I", 16384))


def associate_rq(*items: bytes, **fields: int | bytes) -> bytes:
    """An A-ASSOCIATE-RQ with these items after its application context."""
    return pdu(1, head(**fields) + APPLICATION_CONTEXT + b"".join(items))  # type: ignore[arg-type]


def associate_ac(*items: bytes) -> bytes:
    """An A-ASSOCIATE-AC with these items after its application context."""
    return pdu(2, head() + APPLICATION_CONTEXT + b"".join(items))


RELEASE_RQ = pdu(5, bytes(4))
RELEASE_RP = pdu(6, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """An A-ABORT."""
    return pdu(7, bytes((0, 0, source, reason)))


def reject(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ."""
    return pdu(3, bytes((0, result, source, reason)))
