"""
The user information item of A-ASSOCIATE-RQ and -AC and its sub-items (PS3.7 Annex D.3, PS3.8 Annex D).

Unknown sub-items are skipped: they never cause a rejection (PS3.8 9.3.1).
"""

from __future__ import annotations

from enum import IntEnum
from struct import pack

from attrs import field, frozen

from dimseproxy.errors import RemoteProtocolError
from dimseproxy.ul.cursor import Cursor

#: A maximum length below this leaves no room for a fragment worth sending: six bytes of it are the PDV's own header.
SMALLEST_MAXIMUM_LENGTH = 16
#: What is relayed leaves with our own implementation names and a maximum length: the 16-bit length has to have room.
MAX_USER_INFORMATION_LENGTH = 0xFFFF - 128


class SubItemType(IntEnum):
    """The types of user information sub-items."""

    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_REQUEST = 0x58
    USER_IDENTITY_ANSWER = 0x59


@frozen
class RoleSelection:
    """The roles that the requestor takes for an abstract syntax (PS3.7 D.3.3.4)."""

    abstract_syntax: str
    scu: bool
    scp: bool


@frozen
class AsynchronousOperationsWindow:
    """How many operations may be outstanding each way; 0 means any number (PS3.7 D.3.3.3)."""

    invoked: int
    performed: int


@frozen
class ExtendedNegotiation:
    """Service class application information for an abstract syntax (PS3.7 D.3.3.5)."""

    abstract_syntax: str
    information: bytes


@frozen
class CommonExtendedNegotiation:
    """The service class and related general SOP classes of an abstract syntax (PS3.7 D.3.3.6)."""

    abstract_syntax: str
    service_class: str
    related_sop_classes: tuple[str, ...] = ()
    version: int = 0


@frozen
class UserIdentity:
    """
    Who the requestor says its user is (PS3.7 D.3.3.7).

    Types: 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JWT.  The fields hold secrets: they never show
    in a representation.
    """

    identity_type: int
    response_requested: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@frozen(cache_hash=True)
class UserInformation:
    """
    All sub-items that are known.

    `maximum_length` counts the bytes of a P-DATA-TF PDU after its own six header bytes; 0 means unlimited (PS3.8 D.1).
    """

    maximum_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_operations_window: AsynchronousOperationsWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended_negotiations: tuple[ExtendedNegotiation, ...] = ()
    common_extended_negotiations: tuple[CommonExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    user_identity_answer: bytes | None = field(default=None, repr=False)


def carries_no_identity(info: UserInformation) -> bool:
    """Whether there is no secret in this."""
    return info.user_identity is None and info.user_identity_answer is None


def decode_text(data: bytes) -> str:
    """
    A UID or a name.  Peers pad with NUL or space; a byte outside of ASCII is carried, not refused, because what it
    names is compared and passed on, never interpreted.
    """
    return data.decode("latin-1").strip("\0 ")


def _item(item_type: int, value: bytes) -> bytes:
    return pack(">BxH", item_type, len(value)) + value


def _counted(value: bytes) -> bytes:
    return pack(">H", len(value)) + value


def encode_user_information(info: UserInformation) -> bytes:
    """The value of a user information item, sub-items in ascending type as the standard lists them."""
    out = [_item(SubItemType.MAXIMUM_LENGTH, pack(">I", info.maximum_length))]
    if info.implementation_class_uid:
        out.append(_item(SubItemType.IMPLEMENTATION_CLASS_UID, info.implementation_class_uid.encode("latin-1")))
    if (window := info.asynchronous_operations_window) is not None:
        out.append(_item(SubItemType.ASYNCHRONOUS_OPERATIONS_WINDOW, pack(">HH", window.invoked, window.performed)))
    for role in info.roles:
        value = _counted(role.abstract_syntax.encode("latin-1")) + bytes([role.scu, role.scp])
        out.append(_item(SubItemType.ROLE_SELECTION, value))
    if info.implementation_version_name:
        out.append(_item(SubItemType.IMPLEMENTATION_VERSION_NAME, info.implementation_version_name.encode("latin-1")))
    for extended in info.extended_negotiations:
        value = _counted(extended.abstract_syntax.encode("latin-1")) + extended.information
        out.append(_item(SubItemType.EXTENDED_NEGOTIATION, value))
    for common in info.common_extended_negotiations:
        related = b"".join(_counted(uid.encode("latin-1")) for uid in common.related_sop_classes)
        value = b"".join(
            (
                _counted(common.abstract_syntax.encode("latin-1")),
                _counted(common.service_class.encode("latin-1")),
                _counted(related),
            )
        )
        # This sub-item has a version where the others have a reserved byte.
        out.append(pack(">BBH", SubItemType.COMMON_EXTENDED_NEGOTIATION, common.version, len(value)) + value)
    if (identity := info.user_identity) is not None:
        value = bytes([identity.identity_type, identity.response_requested])
        value += _counted(identity.primary) + _counted(identity.secondary)
        out.append(_item(SubItemType.USER_IDENTITY_REQUEST, value))
    if info.user_identity_answer is not None:
        out.append(_item(SubItemType.USER_IDENTITY_ANSWER, _counted(info.user_identity_answer)))
    return b"".join(out)


def decode_user_information(cursor: Cursor) -> UserInformation:
    """
    @raise RemoteProtocolError: where a known sub-item is malformed, or all together are too long to be relayed.
    """
    if cursor.remaining > MAX_USER_INFORMATION_LENGTH:
        raise RemoteProtocolError(f"user information of {cursor.remaining} bytes is too long")
    fields: dict[str, object] = {}
    roles: list[RoleSelection] = []
    extended: list[ExtendedNegotiation] = []
    common: list[CommonExtendedNegotiation] = []
    while cursor.remaining:
        sub_item_type, sub_item = cursor.item("user information sub-item")
        match sub_item_type:
            case SubItemType.MAXIMUM_LENGTH:
                fields["maximum_length"] = _decode_maximum_length(sub_item)
            case SubItemType.IMPLEMENTATION_CLASS_UID:
                fields["implementation_class_uid"] = decode_text(sub_item.rest())
            case SubItemType.IMPLEMENTATION_VERSION_NAME:
                fields["implementation_version_name"] = decode_text(sub_item.rest())
            case SubItemType.ASYNCHRONOUS_OPERATIONS_WINDOW:
                fields["asynchronous_operations_window"] = AsynchronousOperationsWindow(sub_item.u16(), sub_item.u16())
            case SubItemType.ROLE_SELECTION:
                uid = decode_text(sub_item.take(sub_item.u16()))
                roles.append(RoleSelection(uid, bool(sub_item.u8()), bool(sub_item.u8())))
            case SubItemType.EXTENDED_NEGOTIATION:
                uid = decode_text(sub_item.take(sub_item.u16()))
                extended.append(ExtendedNegotiation(uid, sub_item.rest()))
            case SubItemType.COMMON_EXTENDED_NEGOTIATION:
                common.append(_decode_common_extended(sub_item))
            case SubItemType.USER_IDENTITY_REQUEST:
                fields["user_identity"] = UserIdentity(
                    sub_item.u8(),
                    bool(sub_item.u8()),
                    sub_item.take(sub_item.u16()),
                    sub_item.take(sub_item.u16()),
                )
            case SubItemType.USER_IDENTITY_ANSWER:
                fields["user_identity_answer"] = sub_item.take(sub_item.u16())
            case _:
                pass
    return UserInformation(
        roles=tuple(roles),
        extended_negotiations=tuple(extended),
        common_extended_negotiations=tuple(common),
        **fields,  # type: ignore[arg-type]  # each value was made for its field just above
    )


def _decode_maximum_length(cursor: Cursor) -> int:
    length = cursor.u32()
    if 0 < length < SMALLEST_MAXIMUM_LENGTH:
        raise RemoteProtocolError(f"a maximum length of {length} leaves no room for data")
    return length


def _decode_common_extended(cursor: Cursor) -> CommonExtendedNegotiation:
    abstract_syntax = decode_text(cursor.take(cursor.u16()))
    service_class = decode_text(cursor.take(cursor.u16()))
    related: list[str] = []
    if cursor.remaining:
        uids = Cursor(cursor.take(cursor.u16()), "related general SOP classes")
        while uids.remaining:
            related.append(decode_text(uids.take(uids.u16())))
    return CommonExtendedNegotiation(abstract_syntax, service_class, tuple(related))
