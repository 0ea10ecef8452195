"""Attributes of which an object has several values, though the standard has one of each."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive import columns, further, learning
from dimseproxy.outbound.archive.index import Duplicates, Index
from dimseproxy.outbound.archive.levels import Root
from dimseproxy.outbound.archive.querying import MAX_UIDS, Selection
from dimseproxy.outbound.archive.seal import Seal
from tests.outbound.archive.indexing import a_database, an_instance, answers_to, index_on, studies_found
from tests.storage.databases import execute
from tests.support.postgresql import postgresql
from tests.support.process import scratch

SEVERAL: dict[str, Any] = {
    "PatientID": ["P1", "X1", "Y1"],
    "AccessionNumber": ["A1", "B1"],
    "StudyDate": ["20260102", "20260203", "no date"],
    "StudyTime": ["0800", "0900"],
    "Modality": ["PT", "MR"],
}
BESIDE = ("archive_patient_value", "archive_study_value", "archive_series_value")


class SQLiteTests(TestCase):
    def setUp(self) -> None:
        self.address = f"sqlite:///{scratch(self)}/test.db"
        self.seal: Seal | None = None

    async def index(self, *instances: Any, **settings: Any) -> Index:
        index = await index_on(await a_database(self, self.address), seal=self.seal, **settings)
        await index.add_many(instances)
        return index

    async def test_any_of_them_finds_a_study(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        for keyword, value, expected in (
            *(("PatientID", "P1", ["1"]), ("PatientID", "X1", ["1"]), ("PatientID", "Y1", ["1"])),
            *(("AccessionNumber", "B1", ["1"]), ("PatientID", "B1", []), ("AccessionNumber", "X1", [])),
            *(("PatientID", ["P2", "X1"], ["1", "2"]), ("PatientID", "X*", ["1"])),
        ):
            for level in ("STUDY", "SERIES", "IMAGE"):
                asked: dict[str, Any] = {"QueryRetrieveLevel": level, keyword: value}
                self.assertEqual(await studies_found(index, **asked), expected, (level, keyword, value))

    async def test_any_day_finds_a_study(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2, StudyDate="20260301"), an_instance(3))
        for asked, expected in (
            *(("20260102", ["1"]), ("20260203", ["1"]), ("20260201-20260228", ["1"]), ("20260201-20260231", ["1"])),
            *(("20260203-", ["1", "2"]), ("-20260131", ["1"]), ("20260103-20260131", []), ("20260301", ["2"])),
        ):
            for level in ("STUDY", "SERIES", "IMAGE"):
                for most in (0, further.MOST_NUMBERED):
                    self.patch(further, "MOST_NUMBERED", most)
                    found = await studies_found(index, QueryRetrieveLevel=level, StudyDate=asked)
                    self.assertEqual(found, expected, (level, asked, most))

    async def test_each_day_has_its_own_time(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2, StudyDate=["20260301", "20260302"]))
        for day, time, expected in (
            *(("20260203-20260203", "0830-0930", 1), ("20260203-20260203", "0730-0830", 0)),
            *(("20260102-20260203", "0730-", 1), ("20260302-20260302", "0830-0930", 1)),
        ):
            found = await answers_to(index, combines=True, StudyDate=day, StudyTime=time)
            self.assertEqual(len(found), expected, (day, time))

    async def test_any_modality_finds_a_series(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2), an_instance(3, Modality="MR"))
        for asked, expected in (
            *(("PT", ["1"]), ("MR", ["1", "3"]), ("M*", ["1", "3"]), ("CT", ["2"]), ("US", [])),
            (["CT", "MR"], ["1", "2", "3"]),
        ):
            for level, keyword in (
                *(("SERIES", "Modality"), ("IMAGE", "Modality")),
                *((level, "ModalitiesInStudy") for level in ("STUDY", "SERIES", "IMAGE")),
            ):
                for most in (0, further.MOST_NUMBERED):
                    self.patch(further, "MOST_NUMBERED", most)
                    found = await studies_found(index, **{"QueryRetrieveLevel": level, keyword: asked})
                    self.assertEqual(found, expected, (level, keyword, asked, most))

    async def test_a_study_has_all_modalities_of_its_series(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2, StudyInstanceUID="1.3.1"))
        (found,) = await answers_to(index, StudyInstanceUID="1.3.1", ModalitiesInStudy="")
        self.assertEqual(list(found.ModalitiesInStudy), ["CT", "MR", "PT"])
        for most in (0, further.MOST_NUMBERED):
            self.patch(further, "MOST_NUMBERED", most)
            both = await answers_to(index, QueryRetrieveLevel="SERIES", ModalitiesInStudy="MR", SeriesInstanceUID="")
            self.assertEqual(len(both), 2)
        (study,) = (await index.studies()).studies
        self.assertEqual(study.modalities, ("CT", "MR", "PT"))

    async def test_a_patient_too(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        (found,) = await answers_to(index, Root.PATIENT, QueryRetrieveLevel="PATIENT", PatientID="X1")
        self.assertEqual(list(found.PatientID), ["P1", "X1", "Y1"])

    async def test_what_is_retrieved_is_what_was_found(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        page = await index.instances(Selection(patients=frozenset({"X1"})))
        self.assertEqual(([stored.sop_instance for stored in page.stored], page.total), (["1.5.1"], 1))

    async def test_a_retrieve_of_as_many_patients_as_may_be_named(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        patients = frozenset({"X1", *(f"N{number}" for number in range(MAX_UIDS - 1))})
        page = await index.instances(Selection(patients=patients))
        self.assertEqual([stored.sop_instance for stored in page.stored], ["1.5.1"])

    async def test_they_go_with_what_they_are_of(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        await index.remove_study("1.3.1")
        for table in BESIDE:
            self.assertEqual(await index._database.read(execute(f"SELECT * FROM {table}")), [])

    async def test_they_are_replaced_with_it(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), duplicates=Duplicates.REPLACE)
        await index.add(an_instance(1, b"other", PatientID=["P1", "Z1"], Modality=["PT", "US"]))
        found = {value: await studies_found(index, PatientID=value) for value in ("P1", "X1", "Z1")}
        self.assertEqual(found, {"P1": ["1"], "X1": [], "Z1": ["1"]})
        found = {value: await studies_found(index, ModalitiesInStudy=value) for value in ("PT", "MR", "US")}
        self.assertEqual(found, {"PT": ["1"], "MR": [], "US": ["1"]})

    async def test_there_are_not_more_than_anybody_means(self) -> None:
        many = [f"N{number}" for number in range(2 * columns.MOST_FURTHER)]
        index = await self.index(an_instance(1, PatientID=many))
        rows = await index._database.read(execute("SELECT count(*) FROM archive_study_value"))
        self.assertEqual(rows, [(columns.MOST_FURTHER,)])

    async def test_an_index_of_an_older_version_learns_them(self) -> None:
        self.patch(learning, "PAGE", 2)
        index = await self.index(*(an_instance(number, PatientID=[f"P{number}", f"X{number}"]) for number in range(5)))
        older = index._database
        for statement in (
            *(f"DROP TABLE {table}" for table in BESIDE),
            "ALTER TABLE archive DROP COLUMN knows_values",
            "UPDATE alembic_version SET version_num = '0005'",
        ):
            await older.run(execute(statement))
        await older.stop()
        newer = await self.index()
        for number in range(5):
            self.assertEqual(await studies_found(newer, PatientID=f"X{number}"), [str(number)])

    async def test_one_that_knew_some_of_them_learns_the_others(self) -> None:
        index = await self.index(an_instance(1, **SEVERAL), an_instance(2))
        older = index._database
        for statement in (
            "DROP TABLE archive_series_value",
            "DELETE FROM archive_study_value WHERE kind = 'date'",
            "UPDATE alembic_version SET version_num = '0006'",
        ):
            await older.run(execute(statement))
        await older.stop()
        newer = await self.index()
        for keyword, value in (
            *(("PatientID", "X1"), ("AccessionNumber", "B1")),
            *(("StudyDate", "20260203"), ("ModalitiesInStudy", "MR")),
        ):
            self.assertEqual(await studies_found(newer, **{keyword: value}), ["1"], keyword)

    async def test_a_row_that_cannot_be_read_does_not_keep_it_from_that(self) -> None:
        index = await self.index(*(an_instance(number, PatientID=[f"P{number}", f"X{number}"]) for number in range(3)))
        for statement in (
            "DELETE FROM archive_study_value",
            "UPDATE archive_study SET attributes = 'no' WHERE id = 1",
            "UPDATE archive SET knows_values = false",
        ):
            await index._database.run(execute(statement))
        await index.start()
        self.assertEqual(await studies_found(index, PatientID="X2"), ["2"])


class SealedTests(SQLiteTests):
    """The same, under a key."""

    def setUp(self) -> None:
        super().setUp()
        self.seal = Seal([os.urandom(32)])


class PostgreSQLTests(SQLiteTests):
    """The same, on PostgreSQL."""

    def setUp(self) -> None:
        super().setUp()
        self.address = postgresql().url()
