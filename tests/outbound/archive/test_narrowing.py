"""What the database looks at for an answer."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, text
from sqlalchemy.dialects import sqlite
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive import searching
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.levels import Root
from dimseproxy.outbound.archive.narrowing import numbers_of, statement_of
from dimseproxy.outbound.archive.querying import Query, read_query
from tests.outbound.archive.indexing import EXPLICIT, an_index, an_instance, answers_to, data_set, encoded
from tests.storage.databases import opened

DAY: dict[str, Any] = {"StudyDate": "20260102"}
NAME: dict[str, Any] = {"PatientName": "DOE^J*"}
END: dict[str, Any] = {"PatientName": "*ANE"}
CLEAR = Columns(None)


def a_query(level: str = "STUDY", **keys: Any) -> Query:
    root = Root.PATIENT if level == "PATIENT" else Root.STUDY
    return read_query(root, encoded(data_set(QueryRetrieveLevel=level, **keys)), EXPLICIT, False)


class PlanTests(TestCase):
    async def plan(self, statement: Any) -> str:
        """How SQLite goes about it."""
        compiled = str(statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))

        def work(connection: Connection) -> str:
            rows = connection.execute(text("EXPLAIN QUERY PLAN " + compiled.replace(":", "\\:")))
            return " ".join(row[3] for row in rows)

        return await (await opened(self)).read(work)

    async def test_numbers_come_from_an_index_alone(self) -> None:
        for asked, index in ((DAY, "study_date"), (NAME, "study_name"), (END, "study_name")):
            statement = numbers_of(a_query(**asked), CLEAR)
            assert statement is not None
            self.assertIn(f"COVERING INDEX ix_archive_{index}", await self.plan(statement.limit(10)))

    async def test_few_are_looked_up_by_their_numbers(self) -> None:
        for level in ("STUDY", "SERIES", "IMAGE"):
            statement = statement_of(a_query(level, StudyInstanceUID="", **DAY), CLEAR, 0, 10, [1, 2])
            self.assertIn("archive_study USING INTEGER PRIMARY KEY (rowid=?)", await self.plan(statement), level)

    async def test_a_study_is_found_by_the_first_value_or_a_further_one(self) -> None:
        for key, index in (("PatientID", "patient_id"), ("AccessionNumber", "accession")):
            for level in ("STUDY", "SERIES", "IMAGE"):
                plan = await self.plan(statement_of(a_query(level, **{key: "1"}), CLEAR, 0, 10))
                self.assertIn(f"COVERING INDEX ix_archive_study_{index}", plan)
                self.assertIn("archive_study_value USING PRIMARY KEY (value=? AND kind=?)", plan)
                self.assertNotIn("SCAN", plan)

    def test_an_exact_value_needs_none(self) -> None:
        for key in ("PatientID", "StudyInstanceUID", "AccessionNumber"):
            self.assertIsNone(numbers_of(a_query(**NAME, **{key: "1"}), CLEAR), key)

    def test_nor_does_what_is_not_narrowed(self) -> None:
        self.assertIsNone(numbers_of(a_query(StudyDescription="CT*"), CLEAR))


class AnswerTests(TestCase):
    async def test_whether_few_match_or_many_the_answers_are_the_same(self) -> None:
        index = await an_index(self)
        await index.add_many(
            [
                an_instance(number, PatientName=name, StudyDate=f"2026010{day}")
                for number, (name, day) in enumerate((name, day) for name in ("DOE^JANE", "ROE^JANE") for day in (1, 2))
            ]
        )
        levels = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
        for asked, expected in ((DAY, 2), (NAME, 2), (END, 4), ({**DAY, **NAME}, 1), ({**DAY, **END}, 2)):
            for level, key in levels.items():
                keys: dict[str, Any] = {"QueryRetrieveLevel": level, key: "", **asked}
                few = await answers_to(index, combines=True, **keys)
                with patch.object(searching, "MOST_NUMBERED", 0):
                    many = await answers_to(index, combines=True, **keys)
                self.assertEqual((len(few), many), (expected, few), (asked, level))

    async def test_patients_too(self) -> None:
        index = await an_index(self)
        await index.add_many([an_instance(1), an_instance(2, PatientName="ROE^JANE")])
        (found,) = await answers_to(index, Root.PATIENT, QueryRetrieveLevel="PATIENT", PatientID="", **NAME)
        self.assertEqual(found.PatientID, "P1")
