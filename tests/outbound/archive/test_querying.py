from __future__ import annotations

import os
import zlib
from typing import Any, ClassVar

from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive import searching
from dimseproxy.outbound.archive.answers import Answer, encode_answer
from dimseproxy.outbound.archive.heads import Values
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.levels import Level, Root, name_of, tag_of
from dimseproxy.outbound.archive.querying import MAX_VALUE, MAX_VALUES, read_query, read_selection, root_of
from dimseproxy.outbound.archive.seal import Seal
from tests.outbound.archive.indexing import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    MR,
    a_database,
    an_index,
    an_instance,
    answers_to,
    data_set,
    decoded,
    encoded,
    index_on,
    studies_found,
)
from tests.storage.databases import execute
from tests.support.postgresql import postgresql


class IdentifierTests(SynchronousTestCase):
    def refused(self, root: Root, **keys: Any) -> int:
        with self.assertRaises(OperationRefused) as refused:
            read_query(root, encoded(data_set(**keys)), EXPLICIT)
        return int(refused.exception.status)

    def test_a_level_must_be_named(self) -> None:
        self.assertEqual(self.refused(Root.STUDY, PatientID=""), Status.IDENTIFIER_DOES_NOT_MATCH)

    def test_it_must_be_one_of_the_model(self) -> None:
        self.assertEqual(self.refused(Root.STUDY, QueryRetrieveLevel="PATIENT"), Status.IDENTIFIER_DOES_NOT_MATCH)

    def test_noise_is_refused(self) -> None:
        with self.assertRaises(OperationRefused):
            read_query(Root.STUDY, b"noise", EXPLICIT)

    def test_text_that_is_not_of_its_character_set_is_refused(self) -> None:
        keys = encoded(data_set(SpecificCharacterSet="ISO_IR 192", QueryRetrieveLevel="STUDY", PatientName="AB"))
        with self.assertRaises(OperationRefused):
            read_query(Root.STUDY, keys.replace(b"AB", b"\xff\xfe"), EXPLICIT)

    def test_too_many_values_to_compare_with_are_refused(self) -> None:
        inner = data_set(RequestedProcedureID=[f"*{number}*" for number in range(MAX_VALUES)])
        for keys in (
            {"StudyDescription": [f"*{number}*" for number in range(MAX_VALUES + 1)]},
            {"StudyDescription": "A", "PatientName": [f"N{number}" for number in range(MAX_VALUES)]},
            {"StudyDescription": "A", "RequestAttributesSequence": Sequence([inner])},
        ):
            refused = self.refused(Root.STUDY, QueryRetrieveLevel="SERIES", **keys)
            self.assertEqual(refused, Status.IDENTIFIER_DOES_NOT_MATCH)

    def test_as_many_as_may_be_are_not(self) -> None:
        keys = data_set(
            QueryRetrieveLevel="STUDY",
            StudyDescription=[f"*{number}*" for number in range(MAX_VALUES)],
            PatientName="",
            StudyInstanceUID=[f"1.2.{number}" for number in range(1_000)],
        )
        self.assertEqual(len(read_query(Root.STUDY, encoded(keys), EXPLICIT).conditions), 2)

    def test_a_value_that_is_too_long_is_refused(self) -> None:
        long = "*a" * (MAX_VALUE // 2) + "*"
        self.assertEqual(
            self.refused(Root.STUDY, QueryRetrieveLevel="STUDY", AdditionalPatientHistory=long),
            Status.IDENTIFIER_DOES_NOT_MATCH,
        )

    def test_sop_classes_tell_the_model(self) -> None:
        prefix = "1.2.840.10008.5.1.4.1.2."
        roots = [root_of(prefix + suffix) for suffix in ("1.1", "1.3", "2.1", "2.3", "3.1")]
        self.assertEqual(roots, [Root.PATIENT, Root.PATIENT, Root.STUDY, Root.STUDY, None])

    def test_a_key_that_is_not_known_is_told(self) -> None:
        keys = encoded(data_set(QueryRetrieveLevel="STUDY", PixelSpacing=["1", "1"]))
        self.assertTrue(read_query(Root.STUDY, keys, EXPLICIT).has_unsupported_keys)

    def test_keys_that_are_known_are_not(self) -> None:
        keys = encoded(data_set(SpecificCharacterSet="ISO_IR 100", QueryRetrieveLevel="STUDY", PatientName=""))
        self.assertFalse(read_query(Root.STUDY, keys, EXPLICIT).has_unsupported_keys)

    def test_nobody_is_named_by_how_a_query_is_shown(self) -> None:
        keys = encoded(data_set(QueryRetrieveLevel="STUDY", PatientName="DOE"))
        self.assertNotIn("doe", repr(read_query(Root.STUDY, keys, EXPLICIT)).lower())

    def test_a_retrieve_needs_the_unique_key_of_its_level(self) -> None:
        keys = encoded(data_set(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.3"))
        with self.assertRaises(OperationRefused):
            read_selection(Root.STUDY, keys, EXPLICIT)

    def test_a_retrieve_is_of_what_its_unique_keys_say(self) -> None:
        keys = data_set(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.3", SeriesInstanceUID=["1.4", "1.5"])
        selection = read_selection(Root.STUDY, encoded(keys), EXPLICIT)
        self.assertEqual(
            (selection.patients, selection.studies, selection.series, selection.instances),
            (None, {"1.3"}, {"1.4", "1.5"}, None),
        )


class EncodingTests(SynchronousTestCase):
    answer: ClassVar[Answer] = {
        tag_of("QueryRetrieveLevel"): ["STUDY"],
        tag_of("PatientName"): ["Müller^Jörg"],
        tag_of("OtherPatientNames"): ["A", "B"],
        tag_of("StudyInstanceUID"): ["1.2.3"],
        tag_of("Rows"): ["513"],
        tag_of("RequestAttributesSequence"): [{tag_of("RequestedProcedureID"): ["R"]}, {}],
    }

    def told(self, encoding: Encoding) -> list[object]:
        answer = decoded(encode_answer(self.answer, encoding), encoding)
        items = answer.RequestAttributesSequence
        return [
            *(answer.SpecificCharacterSet, str(answer.PatientName), list(answer.OtherPatientNames)),
            *(answer.StudyInstanceUID, answer.Rows, items[0].RequestedProcedureID, len(items[1])),
        ]

    def test_pydicom_reads_an_answer_in_every_encoding(self) -> None:
        expected = ["ISO_IR 192", "Müller^Jörg", ["A", "B"], "1.2.3", 513, "R", 0]
        self.assertEqual([self.told(one) for one in (EXPLICIT, IMPLICIT, BIG)], [expected] * 3)

    def test_pydicom_would_write_the_same(self) -> None:
        for encoding in (EXPLICIT, IMPLICIT, BIG):
            content = encode_answer(self.answer, encoding)
            self.assertEqual(encoded(decoded(content, encoding), encoding), content)

    def test_an_answer_is_deflated_where_its_context_is(self) -> None:
        deflated = encode_answer(self.answer, DEFLATED)
        inflated = zlib.decompress(deflated, -zlib.MAX_WBITS)
        self.assertEqual((inflated, len(deflated) % 2), (encode_answer(self.answer, EXPLICIT), 0))

    def test_an_answer_in_ascii_names_no_character_set(self) -> None:
        answer = decoded(encode_answer({tag_of("PatientName"): ["DOE"]}, EXPLICIT))
        self.assertNotIn("SpecificCharacterSet", answer)

    def test_text_beyond_ascii_in_a_sequence_names_it(self) -> None:
        item = {tag_of("CodeMeaning"): ["Schädel"]}
        answer = decoded(encode_answer({tag_of("ProcedureCodeSequence"): [item]}, EXPLICIT))
        self.assertEqual(answer.ProcedureCodeSequence[0].CodeMeaning, "Schädel")


class FindTests(TestCase):
    """In the clear, on SQLite."""

    async def index(self) -> Index:
        return await an_index(self)

    async def holding(self, *instances: Any) -> Index:
        index = await self.index()
        await index.add_many(instances)
        return index

    async def test_matching_narrows(self) -> None:
        index = await self.holding(
            an_instance(1, PatientName="Doe^Jane", StudyDate="20240115", AccessionNumber="A1", StudyID="7"),
            an_instance(2, PatientName="Roe^Richard", StudyDate="20240215", AccessionNumber="A2", Modality="MR"),
            an_instance(
                3,
                SpecificCharacterSet="ISO_IR 192",
                PatientName="Yamada=山田",
                StudyDate="2024.03.15",
                AccessionNumber="a1",
            ),
            an_instance(4, PatientName="", PatientID=""),
        )
        for keys, expected in (
            ({}, "1234"),
            ({"PatientID": "P2"}, "2"),
            ({"PatientID": "P?"}, "123"),
            ({"PatientName": "DOE^JANE"}, "1"),
            ({"PatientName": "*oe*"}, "12"),
            ({"PatientName": "roe^*"}, "2"),
            ({"PatientName": "山田"}, "3"),
            ({"PatientName": "yam*"}, "3"),
            ({"StudyDate": "20240101-20240228"}, "12"),
            ({"StudyDate": "20240201-"}, "23"),
            ({"StudyDate": "20240115"}, "1"),
            ({"AccessionNumber": "A1"}, "1"),
            ({"AccessionNumber": "?1"}, "13"),
            ({"StudyInstanceUID": ["1.3.1", "1.3.4", "9"]}, "14"),
            ({"ModalitiesInStudy": "MR"}, "2"),
            ({"ModalitiesInStudy": "C*"}, "134"),
            ({"StudyID": "7", "PatientName": "doe*"}, "1"),
            ({"StudyID": "7", "PatientName": "roe*"}, ""),
            ({"NumberOfStudyRelatedInstances": "1", "AccessionNumber": "A2"}, "2"),
            ({"NumberOfStudyRelatedInstances": "2"}, ""),
        ):
            with self.subTest(keys=keys):
                asked = {"SpecificCharacterSet": "ISO_IR 192", **keys}
                self.assertEqual("".join(await studies_found(index, **asked)), expected)

    async def test_an_answer_has_every_known_key_and_no_other(self) -> None:
        index = await self.holding(an_instance(1, StudyDescription="Thorax"))
        (answer,) = await answers_to(
            index, PatientName="", StudyDescription="", StudyTime="", RetrieveAETitle="", PixelSpacing=None
        )
        self.assertEqual(
            {element.keyword: str(element.value or "") for element in answer},
            {
                "QueryRetrieveLevel": "STUDY",
                "RetrieveAETitle": "ARCHIVE",
                "PatientName": "DOE^JANE",
                "StudyDescription": "Thorax",
                "StudyTime": "",
            },
        )

    async def test_answers_beyond_ascii_are_in_utf_8(self) -> None:
        index = await self.holding(an_instance(1, SpecificCharacterSet="ISO_IR 100", PatientName="Müller"))
        (answer,) = await answers_to(index, SpecificCharacterSet="ISO_IR 100", PatientName="müller")
        self.assertEqual((answer.SpecificCharacterSet, str(answer.PatientName)), ("ISO_IR 192", "Müller"))

    async def test_a_question_mark_is_one_character_of_a_name_that_is_longer_without_its_case(self) -> None:
        index = await self.holding(
            an_instance(1, SpecificCharacterSet="ISO_IR 100", PatientName="Gro\u00df^Anna"),
            an_instance(2, PatientName="Gross^Anna"),
        )
        for asked, expected in (("gro?^anna", ["1"]), ("GRO??^*", ["2"]), ("gross*", ["1", "2"]), ("?ro?^a*", ["1"])):
            self.assertEqual(await studies_found(index, PatientName=asked), expected, asked)

    async def test_each_level_has_its_answers(self) -> None:
        index = await self.holding(
            an_instance(1),
            an_instance(2, StudyInstanceUID="1.3.1", SeriesInstanceUID="1.4.1", PatientID="P1"),
            an_instance(3, StudyInstanceUID="1.3.1", PatientID="P1", Modality="MR", SOPClassUID=MR),
            an_instance(4, PatientID="P1"),
        )
        found = {
            level: len(await answers_to(index, Root.PATIENT, QueryRetrieveLevel=level))
            for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")
        }
        self.assertEqual(found, {"PATIENT": 1, "STUDY": 2, "SERIES": 3, "IMAGE": 4})

    async def test_what_is_below_is_counted(self) -> None:
        index = await self.holding(
            an_instance(1),
            an_instance(2, StudyInstanceUID="1.3.1", SeriesInstanceUID="1.4.1", PatientID="P1"),
            an_instance(3, StudyInstanceUID="1.3.1", PatientID="P1", Modality="MR", SOPClassUID=MR),
            an_instance(4, PatientID="P1"),
        )
        names: dict[str, Any] = {
            **dict.fromkeys(("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries"), ""),
            **dict.fromkeys(("NumberOfPatientRelatedInstances", "NumberOfStudyRelatedSeries"), ""),
            **dict.fromkeys(("NumberOfStudyRelatedInstances", "ModalitiesInStudy", "SOPClassesInStudy"), ""),
        }
        (answer,) = await answers_to(index, StudyInstanceUID="1.3.1", **names)
        self.assertEqual([answer[name].value for name in names], [2, 3, 4, 2, 3, ["CT", "MR"], [CT, MR]])

    async def test_a_patient_is_counted_for(self) -> None:
        index = await self.holding(an_instance(1), an_instance(2, PatientID="P1"), an_instance(3))
        (answer,) = await answers_to(
            index,
            Root.PATIENT,
            QueryRetrieveLevel="PATIENT",
            PatientID="P1",
            NumberOfPatientRelatedStudies="",
            NumberOfPatientRelatedInstances="",
        )
        self.assertEqual((answer.NumberOfPatientRelatedStudies, answer.NumberOfPatientRelatedInstances), (2, 2))

    async def test_patients_of_different_issuers_are_different(self) -> None:
        index = await self.holding(
            an_instance(1, IssuerOfPatientID="A"), an_instance(2, PatientID="P1", IssuerOfPatientID="B")
        )
        found = await answers_to(
            index, Root.PATIENT, QueryRetrieveLevel="PATIENT", PatientID="P1", IssuerOfPatientID=""
        )
        self.assertEqual([answer.IssuerOfPatientID for answer in found], ["A", "B"])

    async def test_those_without_an_id_are_not_one_patient(self) -> None:
        index = await self.holding(an_instance(1, PatientID=""), an_instance(2, PatientID=""))
        found = await answers_to(index, Root.PATIENT, QueryRetrieveLevel="PATIENT", PatientID="")
        self.assertEqual(len(found), 2)

    async def test_series_and_instances_are_matched_by_all_levels(self) -> None:
        index = await self.holding(an_instance(1, Modality="MR"), an_instance(2), an_instance(3, Rows=512))
        cases: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
            ("SERIES", {"Modality": "MR"}, ["1.3.1"]),
            ("SERIES", {"PatientID": "P2", "NumberOfSeriesRelatedInstances": ""}, ["1.3.2"]),
            ("IMAGE", {"Rows": 512}, ["1.3.3"]),
            ("IMAGE", {"SOPInstanceUID": ["1.5.1", "1.5.2"]}, ["1.3.1", "1.3.2"]),
            ("IMAGE", {"PatientName": "doe*", "SeriesInstanceUID": "1.4.3"}, ["1.3.3"]),
            ("IMAGE", {"SOPClassUID": MR}, []),
        )
        for level, keys, expected in cases:
            with self.subTest(keys=keys):
                asked: dict[str, Any] = {"StudyInstanceUID": "", **keys}
                found = await answers_to(index, QueryRetrieveLevel=level, **asked)
                self.assertEqual([answer.StudyInstanceUID for answer in found], expected)

    async def test_an_item_must_meet_all_of_its_keys(self) -> None:
        def item(procedure: str, step: str) -> Any:
            return data_set(RequestedProcedureID=procedure, ScheduledProcedureStepID=step)

        index = await self.holding(
            an_instance(1, RequestAttributesSequence=Sequence([item("A", "1"), item("B", "2")])),
            an_instance(2, RequestAttributesSequence=Sequence([item("A", "2")])),
            an_instance(3),
        )
        found = await answers_to(
            index,
            QueryRetrieveLevel="SERIES",
            StudyInstanceUID="",
            RequestAttributesSequence=Sequence([item("A", "2")]),
        )
        self.assertEqual([answer.StudyInstanceUID for answer in found], ["1.3.2"])

    async def test_what_is_text_here_and_a_sequence_there_does_not_match(self) -> None:
        inner = data_set(RequestedProcedureID="A")
        inner.add_new(0x00091002, "LO", "x")
        inner.add_new(0x00440FFE, "LO", "x")
        index = await self.holding(an_instance(1, RequestAttributesSequence=Sequence([inner])))
        asked = data_set()
        asked.add_new(0x00440FFE, "SQ", Sequence([data_set(PatientID="x")]))
        found = await answers_to(index, QueryRetrieveLevel="SERIES", RequestAttributesSequence=Sequence([asked]))
        self.assertEqual(found, [])

    async def test_a_sequence_that_the_standard_does_not_know_is_not_told(self) -> None:
        instance, name = an_instance(1), name_of(tag_of("RequestAttributesSequence"))
        # As older versions have written it.
        unknown: Values = {"00100020": ["x"]}
        inner: Values = {"00401001": ["R"], "00401FF0": [unknown]}
        instance.attributes.values[Level.SERIES][name] = [inner]
        index = await self.holding(instance)
        one = data_set()
        one.add_new(0x00401FF0, "UN", b"")
        for asked in (Sequence([]), Sequence([one])):
            (answer,) = await answers_to(index, QueryRetrieveLevel="SERIES", RequestAttributesSequence=asked)
            told = answer.RequestAttributesSequence[0].get_item(0x00401FF0)
            self.assertFalse(told and told.value)

    async def test_an_item_tells_what_was_asked_for(self) -> None:
        item = data_set(RequestedProcedureID="A", ScheduledProcedureStepID="1")
        index = await self.holding(an_instance(1, RequestAttributesSequence=Sequence([item])))
        asked = Sequence([data_set(RequestedProcedureID="")])
        (answer,) = await answers_to(index, QueryRetrieveLevel="SERIES", RequestAttributesSequence=asked)
        self.assertEqual([element.keyword for element in answer.RequestAttributesSequence[0]], ["RequestedProcedureID"])

    async def test_dates_and_times_are_ranges_of_their_own(self) -> None:
        index = await self.holding(an_instance(1, StudyDate="20240102", StudyTime="0800"))
        found = await answers_to(index, StudyDate="20240101-20240103", StudyTime="1000-1200")
        self.assertEqual(found, [])

    async def test_they_are_one_range_where_that_was_negotiated(self) -> None:
        index = await self.holding(
            an_instance(1, StudyDate="20240102", StudyTime="0800"),
            an_instance(2, StudyDate="20240101", StudyTime="0959"),
            an_instance(3, StudyDate="20240103", StudyTime="1201"),
            an_instance(4, StudyDate="20240103", StudyTime="1200"),
        )
        keys: dict[str, Any] = {
            "StudyDate": "20240101-20240103",
            "StudyTime": "1000-1200",
            "StudyInstanceUID": "",
        }
        found = await answers_to(index, combines=True, **keys)
        self.assertEqual([answer.StudyInstanceUID for answer in found], ["1.3.1", "1.3.4"])

    async def test_that_range_may_end_on_a_day_that_is_in_no_calendar(self) -> None:
        index = await self.holding(
            an_instance(1, StudyDate="20240131", StudyTime="0800"),
            an_instance(2, StudyDate="20240210", StudyTime="0800"),
            an_instance(3, StudyDate="2024.02.10", StudyTime="0800"),
            an_instance(4, StudyDate="20240301", StudyTime="1030"),
        )
        for days in ("20240131-20240229", "20240131-20240231"):
            keys: dict[str, Any] = {"StudyDate": days, "StudyTime": "1000-1200", "StudyInstanceUID": ""}
            found = await answers_to(index, combines=True, **keys)
            self.assertEqual([answer.StudyInstanceUID for answer in found], ["1.3.2", "1.3.3"], days)

    async def test_a_row_that_cannot_be_read_is_counted_and_the_others_answer(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 4)))
        for level, table in (("IMAGE", "archive_instance"), ("SERIES", "archive_series"), ("STUDY", "archive_study")):
            spoilt = execute(f"UPDATE {table} SET attributes = :noise WHERE id = 2", noise=bytes(80))
            await index._database.run(spoilt)
            for asked in (level, "IMAGE"):
                keys = data_set(QueryRetrieveLevel=asked, StudyInstanceUID="", PatientName="D*")
                page = await index.find(read_query(Root.STUDY, encoded(keys), EXPLICIT))
                told = [answer[tag_of("StudyInstanceUID")] for answer in page.answers]
                self.assertEqual((told, page.unreadable, page.next), ([["1.3.1"], ["1.3.3"]], 1, None), (level, asked))

    async def test_one_that_is_not_looked_at_disturbs_nobody(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 4)))
        await index._database.run(execute("UPDATE archive_study SET attributes = :noise WHERE id = 2", noise=bytes(80)))
        self.assertEqual(await studies_found(index, PatientID="P1"), ["1"])

    async def test_all_pages_together_are_all_answers_once(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 2_500)))
        self.assertEqual(len(set(await studies_found(index))), 2_499)

    async def test_a_page_ends_where_its_rows_were_large(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 1_000)))
        self.patch(searching, "MOST_OCTETS", 1_000)
        keys = data_set(QueryRetrieveLevel="STUDY", StudyInstanceUID="", StudyDescription="nothing")
        query = read_query(Root.STUDY, encoded(keys), EXPLICIT)
        pages, after = 0, 0
        while pages < 10:
            page = await index.find(query, after)
            pages += 1
            if page.next is None:
                break
            after = page.next
        self.assertEqual(pages, 5)
        self.assertEqual(len(set(await studies_found(index))), 999)

    async def test_a_page_ends_where_looking_at_its_rows_took_long(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 6)))
        self.patch(searching, "LONGEST_PAGE", 0.0)
        query = read_query(Root.STUDY, encoded(data_set(QueryRetrieveLevel="STUDY", StudyInstanceUID="")), EXPLICIT)
        first = await index.find(query)
        self.assertEqual((len(first.answers), first.next is None), (1, False))
        self.assertEqual(await studies_found(index), ["1", "2", "3", "4", "5"])

    async def test_and_where_nobody_waits_for_it_any_longer(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 6)))
        query = read_query(Root.STUDY, encoded(data_set(QueryRetrieveLevel="STUDY", StudyInstanceUID="")), EXPLICIT)
        asked = iter((True, True, False))
        page = await index.find(query, 0, lambda: next(asked, False))
        self.assertLess(len(page.answers), 5)
        self.assertIsNotNone(page.next)

    async def test_few_among_many_are_found(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 2_500)))
        self.assertEqual(await studies_found(index, StudyInstanceUID="", PatientID="*2499"), ["2499"])

    async def test_what_comes_between_pages_disturbs_nobody(self) -> None:
        index = await self.holding(*(an_instance(number) for number in range(1, 301)))
        query = read_query(Root.STUDY, encoded(data_set(QueryRetrieveLevel="STUDY", StudyInstanceUID="")), EXPLICIT)
        first = await index.find(query)
        await index.remove_study("1.3.1")
        await index.add(an_instance(301))
        assert first.next is not None
        second = await index.find(query, first.next)
        uids = [
            uid for page in (first, second) for answer in page.answers for uid in answer[tag_of("StudyInstanceUID")]
        ]
        self.assertEqual(sorted(uids), sorted(f"1.3.{number}" for number in range(1, 302)))


class SealedFindTests(FindTests):
    """The same, under a key."""

    async def index(self) -> Index:
        return await an_index(self, seal=Seal([os.urandom(32)]))


class PostgreSQLFindTests(FindTests):
    """The same, on PostgreSQL."""

    async def index(self) -> Index:
        return await an_index(self, postgresql().url())


class SealTests(TestCase):
    async def test_nothing_that_identifies_is_in_the_file(self) -> None:
        kept = await a_database(self)
        index = await index_on(kept, seal=Seal([os.urandom(32)]))
        await index.add(an_instance(77, PatientID="SECRETID", PatientName="SECRET^NAME", AccessionNumber="SECRETNO"))
        assert kept._file is not None
        folder = kept._file.path.parent
        content = b"".join(path.read_bytes() for path in folder.iterdir())
        for secret in (b"SECRET", b"secret", b"1.3.77", b"1.4.77", b"1.5.77"):
            self.assertNotIn(secret, content)
