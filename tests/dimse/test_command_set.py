"""Command sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.command_set import (
    NO_DATA_SET,
    CommandField,
    CommandSet,
    Element,
    response_to,
)
from dimseproxy.errors import RemoteProtocolError
from tests.dimse.messages import CT, VERIFICATION, command_bytes, echo_rq, element, request, store_rq, us
from tests.ul.strategies import PROPERTY, u16, uids
from tests.ul.wire import wire

#: PS3.7 Table 9.3-12, in implicit VR little endian.
ECHO_RQ = wire("""
    0000 0000 04000000 38000000               # command group length: 56
    0000 0200 12000000 "1.2.840.10008.1.1" 00 # affected SOP class UID, padded with NUL
    0000 0001 02000000 3000                   # command field: C-ECHO-RQ
    0000 1001 02000000 0700                   # message id: 7
    0000 0008 02000000 0101                   # command data set type: none
""")

_NUMBERS = (
    Element.MESSAGE_ID,
    Element.MESSAGE_ID_BEING_RESPONDED_TO,
    Element.PRIORITY,
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
_TITLES = (Element.MOVE_DESTINATION, Element.MOVE_ORIGINATOR_AE_TITLE)
_UIDS = (
    Element.AFFECTED_SOP_CLASS_UID,
    Element.REQUESTED_SOP_CLASS_UID,
    Element.AFFECTED_SOP_INSTANCE_UID,
    Element.REQUESTED_SOP_INSTANCE_UID,
)

_values = st.fixed_dictionaries(
    {Element.COMMAND_FIELD: u16, Element.COMMAND_DATA_SET_TYPE: u16},
    optional={
        **{number: u16 for number in _NUMBERS},
        **{uid: uids for uid in _UIDS},
        **{title: st.from_regex(r"[A-Z]([A-Z ]{0,14}[A-Z])?", fullmatch=True) for title in _TITLES},
        Element.ERROR_COMMENT: st.from_regex(r"[a-z]([a-z ]{0,62}[a-z])?", fullmatch=True),
    },
)


def minimal(*more: bytes) -> bytes:
    """A command set with what every one must have."""
    return command_bytes(us(0x100, 0x30), us(0x800, 0x0101), *more)


class WireTests(SynchronousTestCase):
    def test_encodes_an_echo(self) -> None:
        command_set = request(CommandField.C_ECHO_RQ, affected_sop_class_uid=VERIFICATION)
        self.assertEqual(command_set.encode().hex(" "), ECHO_RQ.hex(" "))

    def test_decodes_an_echo(self) -> None:
        command_set = CommandSet.decode(ECHO_RQ)
        self.assertEqual(
            (command_set.command_field, command_set.message_id, command_set.has_data_set, command_set.sop_class),
            (0x30, 7, False, VERIFICATION),
        )

    def test_what_is_not_replaced_keeps_its_bytes(self) -> None:
        strange = command_bytes(us(0x800, 0x0101), us(0x100, 0x30), element(0x5110, b"odd"))
        self.assertEqual(CommandSet.decode(strange).encode(), strange)

    def test_replacing_keeps_the_elements_that_nobody_knows(self) -> None:
        replaced = CommandSet.decode(minimal(element(0x5110, b"private!"))).replace({Element.MESSAGE_ID: 9})
        self.assertEqual(
            replaced.encode(),
            command_bytes(us(0x100, 0x30), us(0x110, 9), us(0x800, 0x0101), element(0x5110, b"private!")),
        )

    def test_replacing_by_none_leaves_an_element_out(self) -> None:
        command_set = request(CommandField.C_STORE_RQ, move_originator_ae_title="PACS")
        self.assertEqual(
            command_set.replace({Element.MOVE_ORIGINATOR_AE_TITLE: None}), request(CommandField.C_STORE_RQ)
        )

    def test_replacing_leaves_the_first_as_it_was(self) -> None:
        command_set = CommandSet.decode(ECHO_RQ)
        command_set.replace({Element.MESSAGE_ID: 9})
        self.assertEqual(command_set.encode(), ECHO_RQ)

    @PROPERTY
    @given(_values, _values, st.data())
    def test_what_is_replaced_is_as_if_it_had_been_there(
        self, before: dict[Element, int | str | None], after: dict[Element, int | str | None], data: st.DataObject
    ) -> None:
        changed = data.draw(st.lists(st.sampled_from(sorted(after)), max_size=3, unique=True))
        some = {
            each: data.draw(st.sampled_from((after[each], None))) if each in _TITLES else after[each]
            for each in changed
        }
        self.assertEqual(CommandSet.of(before).replace(some), CommandSet.of({**before, **some}))

    def test_replacing_one_puts_the_others_in_order(self) -> None:
        strange = command_bytes(us(0x800, 0x0101), us(0x100, 0x30), us(0x110, 7))
        self.assertEqual(
            CommandSet.decode(strange).replace({Element.MESSAGE_ID: 9}).encode(),
            command_bytes(us(0x100, 0x30), us(0x110, 9), us(0x800, 0x0101)),
        )

    @PROPERTY
    @given(_values)
    def test_every_value_survives(self, values: dict[Element, int | str | None]) -> None:
        decoded = CommandSet.decode(CommandSet.of(values).encode())
        for number, value in values.items():
            self.assertEqual(decoded.number(number) if isinstance(value, int) else decoded.text(number), value)

    @PROPERTY
    @given(_values)
    def test_elements_ascend_and_the_group_length_is_true(self, values: dict[Element, int | str | None]) -> None:
        encoded = CommandSet.of(values).encode()
        self.assertEqual(int.from_bytes(encoded[8:12], "little"), len(encoded) - 12)
        numbers, offset = [], 0
        while offset < len(encoded):
            numbers.append(int.from_bytes(encoded[offset + 2 : offset + 4], "little"))
            length = int.from_bytes(encoded[offset + 4 : offset + 8], "little")
            self.assertEqual(length % 2, 0)
            offset += 8 + length
        self.assertEqual(numbers, [0, *sorted(values)])


class RefusalTests(SynchronousTestCase):
    def assert_refused(self, data: bytes) -> None:
        self.assertRaises(RemoteProtocolError, CommandSet.decode, data)

    def test_every_truncation_is_refused(self) -> None:
        # Where the data set type, the last element, is missing altogether that is the reason.
        for size in range(len(ECHO_RQ)):
            self.assert_refused(ECHO_RQ[:size])

    def test_another_group(self) -> None:
        self.assert_refused(minimal(element(0x10, b"DOE^JOHN", group=0x10)))

    def test_a_length_past_the_end(self) -> None:
        for length in (9, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
            self.assert_refused(minimal(element(0x1000, b"1.2.3.4\0", length)))

    def test_no_command_field(self) -> None:
        self.assert_refused(command_bytes(us(0x110, 1), us(0x800, 0x0101)))

    def test_an_empty_command_field(self) -> None:
        self.assert_refused(command_bytes(element(0x100, b""), us(0x800, 0x0101)))

    def test_no_data_set_type(self) -> None:
        self.assert_refused(command_bytes(us(0x100, 0x30)))

    def test_a_number_of_another_length(self) -> None:
        for number in _NUMBERS:
            for size in (1, 3, 4, 200):
                self.assert_refused(minimal(element(number, bytes(size))))

    def test_an_element_given_twice(self) -> None:
        # The PACS might read the first where we read the last.
        for number in (0x100, 0x800, 0x600, 0x110, 0x5110):
            self.assert_refused(command_bytes(us(0x100, 0x30), us(0x800, 0x0101), us(number, 0x21), us(number, 0x22)))

    @PROPERTY
    @given(st.binary(max_size=120))
    def test_garbage_is_a_command_set_or_a_remote_protocol_error(self, data: bytes) -> None:
        for candidate in (data, minimal(data)):
            try:
                command_set = CommandSet.decode(candidate)
            except RemoteProtocolError:
                continue
            read_all(command_set)

    @PROPERTY
    @given(st.data())
    def test_a_mutated_request_is_a_command_set_or_a_remote_protocol_error(self, data: st.DataObject) -> None:
        encoded = bytearray(store_rq())
        for _ in range(data.draw(st.integers(1, 5))):
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
        try:
            command_set = CommandSet.decode(bytes(encoded))
        except RemoteProtocolError:
            return
        read_all(command_set)


def read_all(command_set: CommandSet) -> None:
    """Everything that a relay may ask a decoded command set for: nothing of it raises."""
    for number in _NUMBERS:
        command_set.number(number)
    for text in (*_UIDS, *_TITLES, Element.ERROR_COMMENT):
        command_set.text(text)
    for known in Element:
        if known in (Element.COMMAND_FIELD, Element.COMMAND_DATA_SET_TYPE, *_NUMBERS):
            command_set.number(known)
    (
        command_set.message_id,
        command_set.responds_to,
        command_set.status,
        command_set.sop_class,
        command_set.name,
        repr(command_set),
        command_set.encode(),
        response_to(command_set, 0x0110, "because"),
        command_set.replace({Element.MESSAGE_ID: 1}).encode(),
    )


class ReadingTests(SynchronousTestCase):
    def test_an_absent_number_is_none(self) -> None:
        self.assertIsNone(CommandSet.decode(minimal()).number(Element.STATUS))

    def test_an_empty_number_is_none(self) -> None:
        self.assertIsNone(CommandSet.decode(minimal(element(0x900, b""))).number(Element.STATUS))

    def test_a_uid_loses_nul_and_space(self) -> None:
        for padded in (b"1.2.3\0", b"1.2.3 ", b"1.2.3"):
            self.assertEqual(
                CommandSet.decode(minimal(element(0x1000, padded))).text(Element.AFFECTED_SOP_INSTANCE_UID), "1.2.3"
            )

    def test_a_title_keeps_its_nul(self) -> None:
        command_set = CommandSet.decode(minimal(element(0x600, b" PACS\0")))
        self.assertEqual(command_set.text(Element.MOVE_DESTINATION), "PACS\0")

    def test_a_title_outside_of_ascii(self) -> None:
        command_set = CommandSet.decode(minimal(element(0x600, b"K\xd6LN")))
        self.assertEqual(command_set.text(Element.MOVE_DESTINATION), "KÖLN")

    def test_any_data_set_type_but_one_means_that_a_data_set_follows(self) -> None:
        for value in (0x0000, 0x0001, 0x0100, 0x0102, 0xFFFF):
            self.assertTrue(CommandSet.decode(command_bytes(us(0x100, 1), us(0x800, value))).has_data_set)
        self.assertFalse(CommandSet.decode(command_bytes(us(0x100, 1), us(0x800, NO_DATA_SET))).has_data_set)

    def test_the_requested_sop_class_where_no_affected_one_is(self) -> None:
        self.assertEqual(CommandSet.decode(minimal(element(3, b"1.2.3\0"))).sop_class, "1.2.3")

    def test_names_are_those_of_the_standard(self) -> None:
        self.assertEqual(request(0x8021).name, "C-MOVE-RSP")
        self.assertEqual(request(0x0FFF).name, "C-CANCEL-RQ")
        self.assertEqual(request(0x0140).name, "N-CREATE-RQ")

    def test_a_command_that_nobody_knows_has_a_name(self) -> None:
        self.assertEqual(request(0x0777).name, "command 0777")

    def test_nothing_identifying_shows(self) -> None:
        command_set = request(CommandField.C_STORE_RQ, affected_sop_instance_uid="1.2.3.4", move_destination="WARD")
        self.assertEqual(repr(command_set), "<C-STORE-RQ>")

    def test_equal_bytes_are_equal(self) -> None:
        self.assertEqual(CommandSet.decode(echo_rq(3)), CommandSet.decode(echo_rq(3)))
        self.assertNotEqual(CommandSet.decode(echo_rq(3)), CommandSet.decode(echo_rq(4)))
        self.assertEqual(hash(CommandSet.decode(echo_rq(3))), hash(CommandSet.decode(echo_rq(3))))


class ResponseTests(SynchronousTestCase):
    def test_every_request_has_its_response(self) -> None:
        for field in CommandField:
            if not field & 0x8000 and field is not CommandField.C_CANCEL_RQ:
                response = response_to(request(field), 0)
                self.assertEqual(response.command_field, CommandField[field.name.replace("_RQ", "_RSP")])

    def test_it_refers_to_the_request(self) -> None:
        response = response_to(request(CommandField.C_FIND_RQ), 0xA700, "Out of resources")
        self.assertEqual(
            (response.responds_to, response.status, response.sop_class, response.has_data_set, response.is_response),
            (7, 0xA700, CT, False, True),
        )
        self.assertEqual(response.text(Element.ERROR_COMMENT), "Out of resources")

    def test_it_has_no_message_id(self) -> None:
        self.assertIsNone(response_to(request(CommandField.C_ECHO_RQ), 0).number(Element.MESSAGE_ID))

    def test_success_has_no_comment(self) -> None:
        self.assertEqual(response_to(request(CommandField.C_ECHO_RQ), 0).text(Element.ERROR_COMMENT), "")

    def test_a_long_comment_is_cut_to_what_an_lo_holds(self) -> None:
        self.assertEqual(
            response_to(request(CommandField.C_ECHO_RQ), 1, "x" * 200).text(Element.ERROR_COMMENT), "x" * 64
        )

    def test_an_instance_is_repeated(self) -> None:
        response = response_to(request(CommandField.C_STORE_RQ, affected_sop_instance_uid="1.2.3"), 0)
        self.assertEqual(response.text(Element.AFFECTED_SOP_INSTANCE_UID), "1.2.3")

    def test_what_was_requested_is_affected(self) -> None:
        asked = CommandSet.of(
            {
                Element.REQUESTED_SOP_CLASS_UID: "1.2.840.10008.1.20.1",
                Element.COMMAND_FIELD: CommandField.N_ACTION_RQ,
                Element.MESSAGE_ID: 7,
                Element.COMMAND_DATA_SET_TYPE: 1,
                Element.REQUESTED_SOP_INSTANCE_UID: "1.2.840.10008.1.20.1.1",
                Element.ACTION_TYPE_ID: 1,
            }
        )
        response = response_to(asked, 0x0110)
        self.assertEqual(response.text(Element.AFFECTED_SOP_CLASS_UID), "1.2.840.10008.1.20.1")
        self.assertEqual(response.text(Element.AFFECTED_SOP_INSTANCE_UID), "1.2.840.10008.1.20.1.1")
        self.assertEqual(response.number(Element.ACTION_TYPE_ID), 1)
