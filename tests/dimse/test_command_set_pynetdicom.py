"""Messages against a second source: pynetdicom's DIMSE messages and pydicom's parser."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import decode as pydicom_decode
from pynetdicom.pdu_primitives import P_DATA
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.command_set import CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.ul.fragments import CommandFragment
from dimseproxy.ul.framer import COMMAND, LAST
from tests.dimse.messages import CT, parts_of, request
from tests.ul.strategies import PROPERTY


def primitives() -> list[tuple[Any, Any, int, bool]]:
    """A primitive of every service, its message class, the command field, and whether it has a data set."""
    data = BytesIO(bytes(501))
    out: list[tuple[Any, Any, int, bool]] = []
    for name, field, fields, has_data in (
        ("C_ECHO", 0x30, {}, False),
        ("C_STORE", 0x01, {"AffectedSOPInstanceUID": "1.2.3", "Priority": 2, "DataSet": data}, True),
        ("C_FIND", 0x20, {"Priority": 0, "Identifier": data}, True),
        ("C_GET", 0x10, {"Priority": 0, "Identifier": data}, True),
        ("C_MOVE", 0x21, {"Priority": 0, "Identifier": data, "MoveDestination": "WARD"}, True),
        ("N_GET", 0x110, {}, False),
        ("N_DELETE", 0x150, {}, False),
        ("N_SET", 0x120, {"ModificationList": data}, True),
        ("N_ACTION", 0x130, {"ActionTypeID": 1, "ActionInformation": data}, True),
        ("N_EVENT_REPORT", 0x100, {"EventTypeID": 2, "EventInformation": data}, True),
        ("N_CREATE", 0x140, {"AttributeList": data}, True),
    ):
        primitive = getattr(dimse_primitives, name)()
        primitive.MessageID = 77
        prefix = "Requested" if hasattr(primitive, "RequestedSOPClassUID") else "Affected"
        setattr(primitive, f"{prefix}SOPClassUID", UID(CT))
        if prefix == "Requested":
            primitive.RequestedSOPInstanceUID = UID("1.2.9")
        for key, value in fields.items():
            setattr(primitive, key, value)
        out.append((primitive, getattr(dimse_messages, f"{name}_RQ"), field, has_data))
    return out


def their_pdvs(primitive: Any, message_class: Any, maximum: int) -> list[tuple[int, int, bytes]]:
    """Context id, control header and data of each PDV that pynetdicom sends for this."""
    message = message_class()
    message.primitive_to_message(primitive)
    return [
        (context_id, value[0], bytes(value[1:]))
        for data in message.encode_msg(5, maximum)
        for context_id, value in data.presentation_data_value_list
    ]


class TheirMessageTests(SynchronousTestCase):
    def test_every_request_is_assembled(self) -> None:
        for maximum in (0, 64, 16384):
            for primitive, message_class, field, has_data in primitives():
                parts: list[Part] = []
                assembler = Assembler({5})
                for context_id, control, data in their_pdvs(primitive, message_class, maximum):
                    is_last = bool(control & LAST)
                    if control & COMMAND:
                        parts += parts_of(assembler, CommandFragment(context_id, data, is_last))
                    else:
                        parts += parts_of(assembler, DataSetFragment(context_id, [memoryview(data)], is_last))
                command, *fragments = parts
                assert isinstance(command, Command)
                command_set = command.command_set
                self.assertEqual(
                    (command_set.command_field, command_set.message_id, command_set.sop_class), (field, 77, CT)
                )
                self.assertEqual(command_set.has_data_set, has_data)
                payload = b"".join(bytes(each) for each in fragments if isinstance(each, DataSetFragment))
                self.assertEqual(payload, bytes(501) if has_data else b"", command_set.name)
                self.assertFalse(assembler.is_within_message)

    def test_their_values_are_ours(self) -> None:
        (primitive, message_class, _, _) = primitives()[4]
        (_, _, data), *_ = their_pdvs(primitive, message_class, 0)
        command_set = CommandSet.decode(data)
        self.assertEqual(command_set.text(Element.MOVE_DESTINATION), "WARD")
        self.assertEqual(command_set.number(Element.PRIORITY), 0)

    def test_replacing_nothing_gives_their_bytes(self) -> None:
        for primitive, message_class, _, _ in primitives():
            (_, _, data), *_ = their_pdvs(primitive, message_class, 0)
            self.assertEqual(CommandSet.decode(data).replace({}).encode(), data)


class OurMessageTests(SynchronousTestCase):
    @PROPERTY
    @given(
        st.sampled_from([field for field in CommandField if field & 0x8000]),
        st.integers(0, 0xFFFF),
        st.text("abc ", max_size=64),
    )
    def test_pydicom_reads_our_responses(self, field: CommandField, status: int, comment: str) -> None:
        asked = request(field & 0x7FFF, affected_sop_instance_uid="1.2.3")
        read = pydicom_decode(BytesIO(response_to(asked, status, comment).encode()), True, True)
        self.assertEqual((read.CommandField, read.MessageIDBeingRespondedTo, read.Status), (field, 7, status))
        self.assertEqual((read.AffectedSOPClassUID, read.AffectedSOPInstanceUID), (CT, "1.2.3"))
        self.assertEqual(read.get("ErrorComment", ""), comment.rstrip())

    def test_pynetdicom_takes_our_response_for_its_own(self) -> None:
        message = dimse_messages.DIMSEMessage()
        primitive = P_DATA()
        encoded = response_to(request(CommandField.C_ECHO_RQ), 0).encode()
        primitive.presentation_data_value_list = [[1, b"\x03" + encoded]]
        self.assertTrue(message.decode_msg(primitive))
        self.assertEqual(message.message_to_primitive().Status, 0)
