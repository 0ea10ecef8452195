"""The C-FIND and C-MOVE messages of the raw peers, read by another implementation."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.pdu import A_ASSOCIATE_AC, P_DATA_TF
from twisted.trial.unittest import TestCase

from bench import queries, wire


def contents(stream: bytes) -> list[tuple[int, int, Dataset]]:
    """What a run of P-DATA-TF PDUs carries, one PDV each: context id, control header, elements."""
    found, at = [], 0
    while at < len(stream):
        _, length = wire.HEADER.unpack_from(stream, at)
        decoded = P_DATA_TF()
        decoded.decode(stream[at : at + 6 + length])
        (item,) = decoded.presentation_data_value_items
        data = item.presentation_data_value
        found.append((item.presentation_context_id, data[0], read_dataset(BytesIO(data[1:]), True, True)))
        at += 6 + length
    return found


class Requests(TestCase):
    """What the raw SCU asks."""

    def test_a_find_asks_for_studies_of_a_description(self) -> None:
        """The command set and the identifier are both whole, and on the context of C-FIND."""
        (context, _, command), (data_context, control, keys) = contents(queries.find_rq(3, queries.studies(b"1000")))
        self.assertEqual((context, data_context, control), (queries.FIND_CONTEXT, queries.FIND_CONTEXT, wire.LAST))
        self.assertEqual((command.CommandField, command.MessageID), (queries.C_FIND_RQ, 3))
        self.assertEqual((keys.QueryRetrieveLevel, keys.StudyDescription, keys.PatientID), ("STUDY", "1000", ""))

    def test_a_move_names_its_destination_and_one_study(self) -> None:
        """A title of odd length is padded."""
        (_, _, command), (_, _, keys) = contents(queries.move_rq(1, b"ABC", queries.study(b"1.2.3")))
        self.assertEqual((command.CommandField, command.MoveDestination), (queries.C_MOVE_RQ, "ABC"))
        self.assertEqual(
            dict(level=keys.QueryRetrieveLevel, study=keys.StudyInstanceUID), {"level": "STUDY", "study": "1.2.3"}
        )

    def test_contexts_for_queries_are_proposed_and_accepted(self) -> None:
        """Every one that the request proposes."""
        decoded = A_ASSOCIATE_AC()
        decoded.decode(wire.associate_ac(wire.associate_rq(contexts=queries.CONTEXTS)[6:]))
        accepted = {item.context_id for item in decoded.presentation_context if item.result == 0}
        self.assertEqual(accepted, {1, 3, queries.FIND_CONTEXT, queries.MOVE_CONTEXT})


class Answers(TestCase):
    """What the raw SCP answers."""

    def test_so_many_answers_are_followed_by_success(self) -> None:
        """Each pending response has its data set, and the end has none."""
        messages = contents(b"".join(queries.answers(9, 0, 250)))
        statuses = [command.Status for _, control, command in messages if control & wire.COMMAND]
        self.assertEqual(statuses, [queries.PENDING] * 250 + [queries.SUCCESS])
        self.assertEqual(len(messages), 501)

    def test_no_two_answers_share_an_identifying_value(self) -> None:
        """So that no cache can know one from another answer."""
        found = [
            contents_of
            for _, control, contents_of in contents(b"".join(queries.answers(1, 95, 20)))
            if control == wire.LAST
        ]
        for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyID", "StudyInstanceUID"):
            self.assertEqual(len({str(each[keyword].value) for each in found}), 20, keyword)

    def test_every_answer_shows_the_marker(self) -> None:
        """A caller counts the answers that show originals by it."""
        self.assertIn(queries.MARKER, queries.study_answer(1))
        self.assertIn(queries.UID_MARKER, queries.study_answer(1))

    def test_a_value_is_read_without_its_padding(self) -> None:
        """A UID of odd length is padded with a zero byte."""
        self.assertEqual(queries.value_of(queries.study(b"1.2.3"), queries.STUDY_INSTANCE), b"1.2.3")

    def test_a_value_that_is_missing_is_not_made_up(self) -> None:
        """The identifier of a C-MOVE has no description."""
        self.assertRaises(ValueError, queries.value_of, queries.study(b"1.2.3"), queries.STUDY_DESCRIPTION)
