"""What the database looks at for an answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
    async def plan(self, asking: Callable[[Connection], Any], *values: tuple[str, str]) -> str:
        """
        How SQLite goes about a statement.

        @param values: kind and value of what a study has beside its first ones.
        """

        def work(connection: Connection) -> str:
            connection.execute(text("INSERT INTO archive_patient VALUES (1, '', '', '', '')"))
            connection.execute(text("INSERT INTO archive_study VALUES (1, '', 1, '', '', '', '', '')"))
            for kind, value in values:
                connection.execute(text(f"INSERT INTO archive_study_value VALUES (1, '{kind}', '{value}')"))
            compiled = str(asking(connection).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
            rows = connection.execute(text("EXPLAIN QUERY PLAN " + compiled.replace(":", "\\:")))
            return " ".join(row[3] for row in rows)

        return await (await opened(self)).run(work)

    async def test_numbers_come_from_an_index_alone(self) -> None:
        for asked, index in ((DAY, "study_date"), (NAME, "study_name"), (END, "study_name")):

            def first(connection: Connection, asked: dict[str, Any] = asked) -> Any:
                statement = numbers_of(connection, a_query(**asked), CLEAR)
                assert statement is not None
                return statement.limit(10)

            self.assertIn(f"COVERING INDEX ix_archive_{index}", await self.plan(first))

    async def test_few_are_looked_up_by_their_numbers(self) -> None:
        for level in ("STUDY", "SERIES", "IMAGE"):
            query = a_query(level, StudyInstanceUID="", **DAY)
            statement = partial(statement_of, query=query, columns=CLEAR, after=0, limit=10, among=[1, 2])
            self.assertIn("archive_study USING INTEGER PRIMARY KEY (rowid=?)", await self.plan(statement), level)

    async def test_a_study_is_found_by_the_first_value_or_a_further_one(self) -> None:
        for key, kind, column in (
            ("PatientID", "patient", "patient_id"),
            ("AccessionNumber", "accession", "accession"),
        ):
            for level in ("STUDY", "SERIES", "IMAGE"):
                query = a_query(level, **{key: "1"})
                statement = partial(statement_of, query=query, columns=CLEAR, after=0, limit=10)
                plan = await self.plan(statement, (kind, "1"))
                self.assertIn(f"archive_study USING INDEX ix_archive_study_{column} ({column}", plan)
                self.assertIn("archive_study USING INTEGER PRIMARY KEY (rowid=?)", plan)
                self.assertNotIn("SCAN", plan)

    async def test_so_are_the_numbers_of_a_day(self) -> None:
        plan = await self.plan(partial(numbers_of, query=a_query(**DAY), columns=CLEAR), ("date", "20260102"))
        self.assertIn("COVERING INDEX ix_archive_study_date (date>? AND date<?)", plan)
        self.assertIn("archive_study USING INTEGER PRIMARY KEY (rowid=?)", plan)

    async def test_nothing_more_is_looked_at_where_nobody_has_further_ones(self) -> None:
        query = a_query(PatientID="1")
        plan = await self.plan(partial(statement_of, query=query, columns=CLEAR, after=0, limit=10))
        self.assertEqual(
            plan, "SEARCH archive_study USING INDEX ix_archive_study_patient_id (patient_id=? AND rowid>?)"
        )

    async def test_an_exact_value_needs_none(self) -> None:
        for key in ("PatientID", "StudyInstanceUID", "AccessionNumber"):
            self.assertIsNone(await self.numbers(a_query(**NAME, **{key: "1"})), key)

    async def test_nor_does_what_is_not_narrowed(self) -> None:
        self.assertIsNone(await self.numbers(a_query(StudyDescription="CT*")))

    async def numbers(self, query: Query) -> Any:
        return await (await opened(self)).read(lambda connection: numbers_of(connection, query, CLEAR))


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
