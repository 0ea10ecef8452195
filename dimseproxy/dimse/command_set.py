"""
Command sets (PS3.7 6.3 and Annex E), always in implicit VR little endian.

A command set is its bytes and where its elements lie in them.  Values are decoded when they are asked for.
"""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

from dimseproxy.errors import RemoteProtocolError

_ELEMENT_HEADER = Struct("<HHI")
_GROUP_LENGTH = Struct("<HHII")


class Element(IntEnum):
    """The element numbers of group 0000 (PS3.7 Annex E.1)."""

    COMMAND_GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    REMAINING_SUB_OPERATIONS = 0x1020
    COMPLETED_SUB_OPERATIONS = 0x1021
    FAILED_SUB_OPERATIONS = 0x1022
    WARNING_SUB_OPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


class CommandField(IntEnum):
    """(0000,0100): which message this is; a response has the highest bit set (PS3.7 E.1)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150
    C_CANCEL_RQ = 0x0FFF


RESPONSE_BIT: Final = 0x8000
#: (0000,0800) where no data set follows (PS3.7 9.3); any other value means that one does.
NO_DATA_SET: Final = 0x0101
DATA_SET_FOLLOWS: Final = 0x0001

# As plain numbers, for what is asked of every message.
_COMMAND_GROUP_LENGTH: Final = int(Element.COMMAND_GROUP_LENGTH)
_COMMAND_FIELD: Final = int(Element.COMMAND_FIELD)
_COMMAND_DATA_SET_TYPE: Final = int(Element.COMMAND_DATA_SET_TYPE)
_MESSAGE_ID: Final = int(Element.MESSAGE_ID)
_MESSAGE_ID_BEING_RESPONDED_TO: Final = int(Element.MESSAGE_ID_BEING_RESPONDED_TO)
_STATUS: Final = int(Element.STATUS)

#: `decode` refuses one of another length; whoever asks for a number may rely on it.
_US_ELEMENTS: Final = frozenset(
    int(element)
    for element in (
        Element.COMMAND_FIELD,
        Element.MESSAGE_ID,
        Element.MESSAGE_ID_BEING_RESPONDED_TO,
        Element.PRIORITY,
        Element.COMMAND_DATA_SET_TYPE,
        Element.STATUS,
        Element.ERROR_ID,
        Element.EVENT_TYPE_ID,
        Element.ACTION_TYPE_ID,
        Element.REMAINING_SUB_OPERATIONS,
        Element.COMPLETED_SUB_OPERATIONS,
        Element.FAILED_SUB_OPERATIONS,
        Element.WARNING_SUB_OPERATIONS,
        Element.MOVE_ORIGINATOR_MESSAGE_ID,
    )
)

_KNOWN: Final = frozenset(int(element) for element in Element)
_NOWHERE: Final = (0, 0)
_UI = frozenset(
    (
        Element.AFFECTED_SOP_CLASS_UID,
        Element.REQUESTED_SOP_CLASS_UID,
        Element.AFFECTED_SOP_INSTANCE_UID,
        Element.REQUESTED_SOP_INSTANCE_UID,
    )
)


#: Layouts are remembered of command sets up to this length, and so many of one length.
_MAX_REMEMBERED_LENGTH: Final = 512
_MAX_REMEMBERED: Final = 4


class _Layout:
    """
    Where the elements of a command set lie.

    @param places: element number to the start and the end of its value.
    @ivar is_regular: whether they lie as we write them: the group length first, all in ascending order.
    @ivar numbers: element number of each unsigned value to where it is in what `numbers_in` returns.
    @raise RemoteProtocolError: where there is no command field or no data set type.
    """

    __slots__ = (
        "command_field",
        "data_set_type",
        "headers",
        "headers_in",
        "is_regular",
        "numbers",
        "numbers_in",
        "places",
    )

    def __init__(self, places: Mapping[int, tuple[int, int]]) -> None:
        self.places = places
        self.is_regular = list(places) == sorted(places) and places.get(_COMMAND_GROUP_LENGTH) == (8, 12)
        lengths = {element: end - start for element, (start, end) in places.items()}
        numbers = [element for element, length in lengths.items() if length and element in _US_ELEMENTS]
        self.numbers = {element: index for index, element in enumerate(numbers)}
        if _COMMAND_FIELD not in self.numbers or _COMMAND_DATA_SET_TYPE not in self.numbers:
            raise RemoteProtocolError("a command set lacks its command field or its data set type")
        self.command_field = self.numbers[_COMMAND_FIELD]
        self.data_set_type = self.numbers[_COMMAND_DATA_SET_TYPE]
        header = _ELEMENT_HEADER.size
        values = ("H" if element in self.numbers else f"{length}x" for element, length in lengths.items())
        self.numbers_in = Struct("<" + "".join(f"{header}x{value}" for value in values)).unpack
        self.headers_in = Struct("".join(f"{header}s{length}x" for length in lengths.values())).unpack
        #: Of the remembered command set: another one with these lies as it does.
        self.headers: tuple[bytes, ...] = ()


#: By length: the command sets of a service nearly always lie as the last ones did, and to see that they do costs a
#: fraction of walking them.
_layouts: Final[dict[int, list[_Layout]]] = {}


def _layout_of(data: bytes) -> _Layout:
    """
    @raise RemoteProtocolError: where this is no command set, or one without a command field.
    """
    remembered = _layouts.get(len(data))
    if remembered is not None:
        for layout in remembered:
            if layout.headers_in(data) == layout.headers:
                return layout
    layout = _Layout(_places(data))
    if len(data) <= _MAX_REMEMBERED_LENGTH:
        remembered = _layouts.setdefault(len(data), [])
        if len(remembered) < _MAX_REMEMBERED and layout.places.keys() <= _KNOWN:
            layout.headers = layout.headers_in(data)
            remembered.append(layout)
    return layout


def _places(data: bytes) -> dict[int, tuple[int, int]]:
    """
    Element number to the start and the end of its value, in order.

    @raise RemoteProtocolError: where this is no command set.
    """
    places: dict[int, tuple[int, int]] = {}
    offset = 0
    size = len(data)
    unpack_from = _ELEMENT_HEADER.unpack_from
    while offset < size:
        start = offset + _ELEMENT_HEADER.size
        if start > size:
            raise RemoteProtocolError("a command set ends within an element header")
        group, element, length = unpack_from(data, offset)
        offset = start + length
        if group or offset > size:
            raise RemoteProtocolError("a command set carries an element of another group, or ends within a value")
        if length != 2 and length and element in _US_ELEMENTS:
            raise RemoteProtocolError(f"command element (0000,{element:04X}) has {length} bytes instead of 2")
        if element in places:
            # The next to read it might take the other one.
            raise RemoteProtocolError(f"command element (0000,{element:04X}) is there twice")
        places[element] = start, offset
    return places


class CommandSet:
    """
    The elements of one command, as a read-only value.
    """

    __slots__ = ("_data", "_layout", "_numbers", "command_field", "has_data_set", "is_response")

    def __init__(self, data: bytes, layout: _Layout) -> None:
        self._data = data
        self._layout = layout
        self._numbers: tuple[int, ...] = layout.numbers_in(data)
        #: (0000,0100).
        self.command_field = self._numbers[layout.command_field]
        #: Whether a data set follows (0000,0800).
        self.has_data_set = self._numbers[layout.data_set_type] != NO_DATA_SET
        #: Whether this answers a request.
        self.is_response = self.command_field & RESPONSE_BIT != 0

    @classmethod
    def of(cls, elements: Mapping[Element, int | str | None]) -> CommandSet:
        """Built from native values: numbers and text; None leaves an element out."""
        return cls._of({each: _encoded(each, value) for each, value in elements.items() if value is not None})

    @classmethod
    def _of(cls, elements: Mapping[int, bytes]) -> CommandSet:
        """
        @param elements: encoded, header and value, without the group length.
        """
        content = b"".join([elements[element] for element in sorted(elements)])
        return cls.decode(_GROUP_LENGTH.pack(0, _COMMAND_GROUP_LENGTH, 4, len(content)) + content)

    @classmethod
    def decode(cls, data: bytes) -> CommandSet:
        """
        @raise RemoteProtocolError: where this is no command set, or one without a command field.
        """
        return cls(data, _layout_of(data))

    def encode(self) -> bytes:
        """The bytes, as received where nothing was replaced."""
        return self._data

    def replace(self, elements: Mapping[Element, int | str | None]) -> CommandSet:
        """A copy with these elements set, or left out where the value is None."""
        layout = self._layout
        changed = [element for element, value in elements.items() if value is not None or element in layout.places]
        if not changed:
            return self
        if len(changed) == 1 and layout.is_regular:
            element = changed[0]
            value = elements[element]
            if value is not None and element in layout.places and element != _COMMAND_GROUP_LENGTH:
                return self._with(element, value)
        kept = self._encoded_elements()
        for element, value in elements.items():
            if value is None:
                kept.pop(element, None)
            else:
                kept[element] = _encoded(element, value)
        return self._of(kept)

    def _with(self, element: Element, value: int | str) -> CommandSet:
        """A copy with another value of an element that it has: all else stays where it is."""
        data = self._data
        start, end = self._layout.places[element]
        content = data[_GROUP_LENGTH.size : start - _ELEMENT_HEADER.size] + _encoded(element, value) + data[end:]
        return self.decode(_GROUP_LENGTH.pack(0, _COMMAND_GROUP_LENGTH, 4, len(content)) + content)

    def known(self) -> CommandSet:
        """The same with the elements of `Element` only: nobody knows what others say."""
        if self._layout.places.keys() <= _KNOWN:
            return self
        return self._of({each: encoded for each, encoded in self._encoded_elements().items() if each in _KNOWN})

    @property
    def elements(self) -> KeysView[int]:
        """The numbers of its elements."""
        return self._layout.places.keys()

    def number(self, element: int) -> int | None:
        """
        The unsigned value of a US element; None where it is absent or empty.
        """
        index = self._layout.numbers.get(element)
        return None if index is None else self._numbers[index]

    def text(self, element: Element) -> str:
        """The value of a UI, AE or LO element without its padding, empty where it is absent."""
        start, end = self._layout.places.get(element, _NOWHERE)
        text = self._data[start:end].decode("latin-1")
        return text.strip("\0 ") if element in _UI else text.strip(" ")

    def _encoded_elements(self) -> dict[int, bytes]:
        """The elements as they are, without the group length."""
        data, header = self._data, _ELEMENT_HEADER.size
        return {
            element: data[start - header : end]
            for element, (start, end) in self._layout.places.items()
            if element != _COMMAND_GROUP_LENGTH
        }

    @property
    def message_id(self) -> int:
        """(0000,0110) of a request, 0 where a peer forgot it."""
        return self.number(_MESSAGE_ID) or 0

    @property
    def responds_to(self) -> int:
        """(0000,0120) of a response or of a C-CANCEL."""
        return self.number(_MESSAGE_ID_BEING_RESPONDED_TO) or 0

    @property
    def status(self) -> int:
        """(0000,0900) of a response."""
        return self.number(_STATUS) or 0

    @property
    def sop_class(self) -> str:
        """The affected or requested SOP class UID, whichever the message has."""
        return self.text(Element.AFFECTED_SOP_CLASS_UID) or self.text(Element.REQUESTED_SOP_CLASS_UID)

    @property
    def name(self) -> str:
        """What the standard calls this message."""
        return command_name(self.command_field)

    def __repr__(self) -> str:
        # No instance UID and no AE title: this may end up in a log.
        return f"<{self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CommandSet) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())


def command_name(command_field: int) -> str:
    """What the standard calls a message with this command field."""
    try:
        return CommandField(command_field).name.replace("_", "-")
    except ValueError:
        return f"command {command_field:04X}"


def _encoded(element: Element, value: int | str) -> bytes:
    """Header and value."""
    if isinstance(value, int):
        return _ELEMENT_HEADER.pack(0, element, 2) + value.to_bytes(2, "little")
    encoded = value.encode("latin-1")
    if len(encoded) & 1:
        encoded += b"\0" if element in _UI else b" "
    return _ELEMENT_HEADER.pack(0, element, len(encoded)) + encoded


def response_to(request: CommandSet, status: int, comment: str = "") -> CommandSet:
    """
    A response without a data set, with the fields that the request's service requires (PS3.7 9.3 and 10.3).

    @param comment: at most 64 characters for (0000,0902), nothing that identifies anybody.
    """
    requested = request.text(Element.REQUESTED_SOP_INSTANCE_UID)
    return CommandSet.of(
        {
            Element.AFFECTED_SOP_CLASS_UID: request.sop_class or None,
            Element.COMMAND_FIELD: request.command_field | RESPONSE_BIT,
            Element.MESSAGE_ID_BEING_RESPONDED_TO: request.message_id,
            Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            Element.STATUS: status,
            Element.ERROR_COMMENT: comment[:64] or None,
            Element.AFFECTED_SOP_INSTANCE_UID: request.text(Element.AFFECTED_SOP_INSTANCE_UID) or requested or None,
            Element.EVENT_TYPE_ID: request.number(Element.EVENT_TYPE_ID),
            Element.ACTION_TYPE_ID: request.number(Element.ACTION_TYPE_ID),
        }
    )
