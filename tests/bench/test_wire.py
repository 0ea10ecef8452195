"""The PDUs of the raw peers, read by another implementation."""

from __future__ import annotations

from io import BytesIO

from pydicom.filereader import read_dataset
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, P_DATA_TF
from twisted.trial.unittest import TestCase

from bench import wire


def command_set(pdu: bytes) -> dict[str, object]:
    """The command set that a P-DATA-TF PDU carries whole, by keyword."""
    decoded = P_DATA_TF()
    decoded.decode(pdu)
    (item,) = decoded.presentation_data_value_items
    elements = read_dataset(BytesIO(item.presentation_data_value[1:]), True, True)
    return {element.keyword: element.value for element in elements}


class Negotiation(TestCase):
    """The A-ASSOCIATE PDUs."""

    def test_a_request_proposes_both_contexts(self) -> None:
        """Verification as 1 and CT Image Storage as 3, from BENCH to SINK."""
        decoded = A_ASSOCIATE_RQ()
        decoded.decode(wire.associate_rq())
        contexts = {item.context_id: str(item.abstract_syntax) for item in decoded.presentation_context}
        self.assertEqual(contexts, {1: wire.VERIFICATION.decode(), 3: wire.CT_IMAGE_STORAGE.decode()})
        self.assertEqual((decoded.calling_ae_title, decoded.called_ae_title), ("BENCH", "SINK"))

    def test_an_acceptance_accepts_both_contexts(self) -> None:
        """Result 0 for each, in answer to the body of a request."""
        decoded = A_ASSOCIATE_AC()
        decoded.decode(wire.associate_ac(wire.associate_rq()[6:]))
        results = {item.context_id: item.result for item in decoded.presentation_context}
        self.assertEqual(results, {1: 0, 3: 0})


class Messages(TestCase):
    """Command sets and data sets."""

    def test_group_lengths_are_true(self) -> None:
        """What (0000,0000) says is what follows it."""
        for pdu in (wire.echo_rq(1), wire.echo_rsp(1), wire.store_rq(1), wire.store_rsp(1)):
            length = len(pdu) - 6 - 6 - 12
            self.assertEqual(command_set(pdu)["CommandGroupLength"], length)

    def test_a_response_answers_its_message_id(self) -> None:
        """The id is the request's, and the status is success."""
        for pdu, field in ((wire.echo_rsp(7), 0x8030), (wire.store_rsp(7), 0x8001)):
            found = command_set(pdu)
            read = (found["CommandField"], found["MessageIDBeingRespondedTo"], found["Status"])
            self.assertEqual(read, (field, 7, 0))

    def test_a_number_is_found_in_a_command_set(self) -> None:
        """The raw SCP reads the message id of a request in this way."""
        self.assertEqual(wire.number_in(wire.store_rq(513)[12:], 0x0110), 513)

    def test_a_number_that_is_missing_is_not_made_up(self) -> None:
        """A request has no status."""
        self.assertRaises(ValueError, wire.number_in, wire.store_rq(1)[12:], 0x0900)

    def test_a_data_set_ends_with_its_last_fragment_and_keeps_to_the_length(self) -> None:
        """Every PDU is of the maximum length at most; only the last fragment is marked as last."""
        stream = b"".join(wire.data_set(1_000_000))
        flags, at = [], 0
        while at < len(stream):
            kind, length = wire.HEADER.unpack_from(stream, at)
            self.assertEqual(kind, wire.P_DATA)
            self.assertLessEqual(length, wire.MAX_PDU_LENGTH)
            flags.append(stream[at + 11])
            at += 6 + length
        self.assertEqual((at, flags), (len(stream), [0] * (len(flags) - 1) + [wire.LAST]))
        self.assertLess(abs(at - 1_000_000), wire.MAX_PDU_LENGTH)
