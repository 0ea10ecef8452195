"""
PDUs to bytes and back (PS3.8 9.3).

A caller proposes the same hundred presentation contexts each time it calls, and an outbound answers them the same way:
what was decoded or encoded lately is remembered, as long as it is small and carries no user identity.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, pack
from typing import Final

from dimseproxy.errors import AbortReason, Rejection, RemoteProtocolError
from dimseproxy.ul.cursor import Cursor
from dimseproxy.ul.pdu import (
    LONGEST_REMEMBERED,
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Pdu,
    PduType,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
    may_be_remembered,
)
from dimseproxy.ul.user_information import (
    SubItemType,
    UserInformation,
    decode_text,
    decode_user_information,
    encode_user_information,
)

APPLICATION_CONTEXT_ITEM: Final = 0x10
PROPOSED_CONTEXT_ITEM: Final = 0x20
ANSWERED_CONTEXT_ITEM: Final = 0x21
ABSTRACT_SYNTAX_ITEM: Final = 0x30
TRANSFER_SYNTAX_ITEM: Final = 0x40
USER_INFORMATION_ITEM: Final = 0x50
_ITEM_HEADER = Struct(">BxH")
#: Where the items of A-ASSOCIATE begin, behind version, titles and reserved bytes (PS3.8 Tables 9-11, 9-17).
_FIRST_ITEM: Final = 68
_IDENTITY_TYPES: Final = (int(SubItemType.USER_IDENTITY_REQUEST), int(SubItemType.USER_IDENTITY_ANSWER))


#: How many PDUs are remembered, each way.
_REMEMBERED: Final = 64
_decoded: Final[dict[tuple[int, bytes], Pdu]] = {}


def encode(pdu: Pdu) -> bytes:
    """The bytes of a PDU, its six header bytes included."""
    if isinstance(pdu, (AssociateRequest, AssociateAccept)) and may_be_remembered(pdu):
        return _encode_again(pdu)
    return _encode(pdu)


def decode(pdu_type: int, body: bytes) -> Pdu:
    """
    A PDU of any type but P-DATA-TF.

    @param body: what follows the six header bytes.
    @raise RemoteProtocolError: with the reason that the A-P-ABORT shall give.
    """
    pdu = _decoded.get((pdu_type, body))
    if pdu is None:
        pdu = _decode(pdu_type, body)
        if len(body) <= LONGEST_REMEMBERED and not _may_carry_identity(body):
            if len(_decoded) >= _REMEMBERED:
                del _decoded[next(iter(_decoded))]
            _decoded[pdu_type, body] = pdu
    return pdu


def _encode(pdu: Pdu) -> bytes:
    match pdu:
        case AssociateRequest():
            return _encode_associate(pdu, PduType.A_ASSOCIATE_RQ)
        case AssociateAccept():
            return _encode_associate(pdu, PduType.A_ASSOCIATE_AC)
        case AssociateReject(rejection):
            return pack(">BxIxBBB", PduType.A_ASSOCIATE_RJ, 4, rejection.result, rejection.source, rejection.reason)
        case ReleaseRequest():
            return pack(">BxI4x", PduType.A_RELEASE_RQ, 4)
        case ReleaseResponse():
            return pack(">BxI4x", PduType.A_RELEASE_RP, 4)
        case Abort(source, reason):
            return pack(">BxI2xBB", PduType.A_ABORT, 4, source, reason)


def _decode(pdu_type: int, body: bytes) -> Pdu:
    match pdu_type:
        case PduType.A_ASSOCIATE_RQ:
            return _decode_associate_request(Cursor(body, "A-ASSOCIATE-RQ"))
        case PduType.A_ASSOCIATE_AC:
            return _decode_associate_accept(Cursor(body, "A-ASSOCIATE-AC"))
        case PduType.A_ASSOCIATE_RJ:
            return AssociateReject(Rejection(*_decode_fixed(body, "A-ASSOCIATE-RJ")[1:]))
        case PduType.A_RELEASE_RQ:
            _decode_fixed(body, "A-RELEASE-RQ")
            return ReleaseRequest()
        case PduType.A_RELEASE_RP:
            _decode_fixed(body, "A-RELEASE-RP")
            return ReleaseResponse()
        case PduType.A_ABORT:
            return Abort(*_decode_fixed(body, "A-ABORT")[2:])
        case _:
            raise RemoteProtocolError(f"PDU type {pdu_type:02X} is unknown", AbortReason.UNRECOGNIZED_PDU)


def _may_carry_identity(body: bytes) -> bool:
    """
    Whether an A-ASSOCIATE body has, or might have, a user identity: only its user information is searched, and a byte
    that merely looks like one counts.
    """
    offset = _FIRST_ITEM
    while offset + _ITEM_HEADER.size <= len(body):
        item_type, length = _ITEM_HEADER.unpack_from(body, offset)
        end = offset + _ITEM_HEADER.size + length
        if item_type == USER_INFORMATION_ITEM:
            value = body[offset:end]
            if any(sub_item_type in value for sub_item_type in _IDENTITY_TYPES):
                return True
        offset = end
    return False


_encode_again = lru_cache(_REMEMBERED)(_encode)


def encode_ae_title(title: str) -> bytes:
    """The 16 bytes of an AE title, padded with spaces."""
    return title.encode("latin-1").ljust(16)


def decode_ae_title(data: bytes) -> str:
    """
    The title without its padding.  Only spaces are insignificant (PS3.8 Table 9-11): a NUL stays and lets the title
    match nothing.  A byte outside of ASCII is carried, so that a refusal can name what was refused.
    """
    return data.decode("latin-1").strip(" ")


def _decode_fixed(body: bytes, what: str) -> bytes:
    if len(body) != 4:
        raise RemoteProtocolError(f"{what} has a body of {len(body)} bytes instead of 4")
    return body


def _item(item_type: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise ValueError(f"item {item_type:02X} of {len(value)} bytes does not fit its length field")
    return pack(">BxH", item_type, len(value)) + value


def _encode_associate(pdu: AssociateRequest | AssociateAccept, pdu_type: PduType) -> bytes:
    items = [_item(APPLICATION_CONTEXT_ITEM, pdu.application_context.encode("latin-1"))]
    for context in pdu.contexts:
        if isinstance(context, ProposedContext):
            value = pack(">B3x", context.context_id)
            value += _item(ABSTRACT_SYNTAX_ITEM, context.abstract_syntax.encode("latin-1"))
            for syntax in context.transfer_syntaxes:
                value += _item(TRANSFER_SYNTAX_ITEM, syntax.encode("latin-1"))
            items.append(_item(PROPOSED_CONTEXT_ITEM, value))
        else:
            value = pack(">BxBx", context.context_id, context.result)
            value += _item(TRANSFER_SYNTAX_ITEM, context.transfer_syntax.encode("latin-1"))
            items.append(_item(ANSWERED_CONTEXT_ITEM, value))
    items.append(_item(USER_INFORMATION_ITEM, encode_user_information(pdu.user_information)))
    body = b"".join(
        (
            pack(">H2x", pdu.protocol_version),
            encode_ae_title(pdu.called_ae_title),
            encode_ae_title(pdu.calling_ae_title),
            bytes(32),
            *items,
        )
    )
    return pack(">BxI", pdu_type, len(body)) + body


def _decode_head(cursor: Cursor) -> tuple[int, str, str]:
    version = cursor.u16()
    cursor.skip(2)
    called = decode_ae_title(cursor.take(16))
    calling = decode_ae_title(cursor.take(16))
    cursor.skip(32)
    return version, called, calling


def _decode_associate_request(cursor: Cursor) -> AssociateRequest:
    version, called, calling = _decode_head(cursor)
    application_context = ""
    contexts: dict[int, ProposedContext] = {}
    user_information = UserInformation()
    while cursor.remaining:
        item_type, item = cursor.item("A-ASSOCIATE-RQ item")
        if item_type == APPLICATION_CONTEXT_ITEM:
            application_context = decode_text(item.rest())
        elif item_type == PROPOSED_CONTEXT_ITEM:
            context = _decode_proposed_context(item)
            if context.context_id in contexts:
                raise RemoteProtocolError(f"presentation context id {context.context_id} is proposed twice")
            contexts[context.context_id] = context
        elif item_type == USER_INFORMATION_ITEM:
            user_information = decode_user_information(item)
    if not contexts:
        raise RemoteProtocolError("A-ASSOCIATE-RQ proposes no presentation context")
    return AssociateRequest(called, calling, tuple(contexts.values()), user_information, application_context, version)


def _decode_proposed_context(cursor: Cursor) -> ProposedContext:
    context_id = cursor.u8()
    if not context_id & 1:
        raise RemoteProtocolError(f"presentation context id {context_id} is not odd")
    cursor.skip(3)
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    while cursor.remaining:
        item_type, item = cursor.item("presentation context sub-item")
        if item_type == ABSTRACT_SYNTAX_ITEM:
            abstract_syntax = decode_text(item.rest())
        elif item_type == TRANSFER_SYNTAX_ITEM:
            transfer_syntaxes.append(decode_text(item.rest()))
    if not abstract_syntax or not transfer_syntaxes:
        raise RemoteProtocolError(f"presentation context {context_id} lacks its abstract syntax or a transfer syntax")
    return ProposedContext(context_id, abstract_syntax, tuple(transfer_syntaxes))


def _decode_associate_accept(cursor: Cursor) -> AssociateAccept:
    version, called, calling = _decode_head(cursor)
    application_context = ""
    contexts: dict[int, AnsweredContext] = {}
    user_information = UserInformation()
    while cursor.remaining:
        item_type, item = cursor.item("A-ASSOCIATE-AC item")
        if item_type == APPLICATION_CONTEXT_ITEM:
            application_context = decode_text(item.rest())
        elif item_type == ANSWERED_CONTEXT_ITEM:
            context = _decode_answered_context(item)
            contexts[context.context_id] = context
        elif item_type == USER_INFORMATION_ITEM:
            user_information = decode_user_information(item)
    return AssociateAccept(called, calling, tuple(contexts.values()), user_information, application_context, version)


def _decode_answered_context(cursor: Cursor) -> AnsweredContext:
    context_id = cursor.u8()
    cursor.skip(1)
    result = cursor.u8()
    cursor.skip(1)
    transfer_syntax = ""
    # A refused context may leave its transfer syntax out altogether: it is not significant (PS3.8 Table 9-18).
    while cursor.remaining:
        item_type, item = cursor.item("presentation context sub-item")
        if item_type == TRANSFER_SYNTAX_ITEM:
            transfer_syntax = decode_text(item.rest())
    return AnsweredContext(context_id, result, transfer_syntax)
