"""Rows of the index that cannot be read: what is retrieved, and told of studies, beside them."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.dimse.command_set import CommandField, CommandSet
from dimseproxy.dimse.status import Status
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.querying import Selection
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.storage.errors import DatabaseRefused
from dimseproxy.storage.tables import ARCHIVE_INSTANCE
from tests.association.playing import CT, EXPLICIT, GET, IMPLICIT
from tests.outbound.archive.indexing import a_database, an_instance, index_on
from tests.outbound.archive.support import Caller, Kept, an_identifier, an_image, decoded, encoded
from tests.outbound.archive.test_retrieving import counts
from tests.storage.databases import execute
from tests.support.postgresql import postgresql
from tests.support.process import scratch

ALL = Selection()


class RowTests(SynchronousTestCase):
    """In the clear, where nothing else says that a row is not what was written."""

    def test_what_is_no_attributes_is_refused(self) -> None:
        for kept in (
            *(
                b"",
                b"{",
                b'{"00080018":["1"]',
                b'{"00080018":["\xff"]}',
                b"null",
                b"7",
                b'"text"',
                b"[]",
                b"[" * 100_000,
            ),
            *(b'{"00080018":"1"}', b'{"00080018":null}', b'{"00080018":{"a":1}}'),
        ):
            with self.assertRaises(DatabaseRefused):
                Columns(None).read(ARCHIVE_INSTANCE, "1", kept)

    def test_what_is_some_is_not(self) -> None:
        for values in ({}, {"00080018": ["1"]}, {"00081032": [{"00080100": ["X"]}]}):
            self.assertEqual(Columns(None).read(ARCHIVE_INSTANCE, "1", json.dumps(values).encode()), values)


class SQLiteTests(TestCase):
    """Under a key, where even a SOP Instance UID is in what has to be read."""

    def address(self) -> str:
        return f"sqlite:///{scratch(self)}/test.db"

    async def index(self, *spoilt: str, seal: bool = True) -> Index:
        """Three objects, and rows that something else has changed."""
        kept = await a_database(self, self.address())
        index = await index_on(kept, seal=Seal([os.urandom(32)]) if seal else None)
        await index.add_many([an_instance(number) for number in (1, 2, 3)])
        for table in spoilt:
            await kept.run(execute(f"UPDATE {table} SET attributes = :what WHERE id = 2", what=b"no"))
        return index

    async def told(self, index: Index, selection: Selection) -> tuple[list[str], tuple[str, ...], int | None]:
        page = await index.instances(selection)
        return [stored.sop_instance for stored in page.stored], page.unreadable, page.total

    async def test_the_other_objects_are_told(self) -> None:
        index = await self.index("archive_instance")
        self.assertEqual(await self.told(index, ALL), (["1.5.1", "1.5.3"], ("",), 3))

    async def test_one_that_was_asked_for_by_its_name_is_told_by_it(self) -> None:
        index = await self.index("archive_instance")
        selection = Selection(instances=frozenset({"1.5.1", "1.5.2"}))
        self.assertEqual(await self.told(index, selection), (["1.5.1"], ("1.5.2",), 2))

    async def test_what_an_object_is_in_need_not_be_read(self) -> None:
        index = await self.index("archive_patient", "archive_study", "archive_series")
        self.assertEqual(await self.told(index, ALL), (["1.5.1", "1.5.2", "1.5.3"], (), 3))

    async def test_nothing_need_be_read_in_the_clear(self) -> None:
        index = await self.index("archive_instance", "archive_study", seal=False)
        self.assertEqual(await self.told(index, ALL), (["1.5.1", "1.5.2", "1.5.3"], (), 3))
        self.assertEqual(len((await index.studies()).studies), 3)

    async def test_the_other_studies_are_told(self) -> None:
        page = await (await self.index("archive_study")).studies()
        self.assertEqual(([one.study for one in page.studies], page.unreadable), (["1.3.1", "1.3.3"], (2,)))

    async def test_a_study_with_nothing_in_it_is_none(self) -> None:
        index = await self.index()
        for table in ("archive_instance", "archive_series"):
            await index._database.run(execute(f"DELETE FROM {table} WHERE id = 2"))
        page = await index.studies()
        self.assertEqual(([one.study for one in page.studies], page.unreadable), (["1.3.1", "1.3.3"], ()))


class PostgreSQLTests(SQLiteTests):
    """The same, on PostgreSQL."""

    def address(self) -> str:
        return postgresql().url()


class RetrievingTests(TestCase):
    async def get(self, *spoilt: int, identifier: Any = None) -> tuple[Caller, CommandSet]:
        """A C-GET of three objects, and its last response."""
        kept = await Kept(self, seal=Seal([os.urandom(32)])).opened()
        sender = await kept.call((CT, EXPLICIT))
        for number in (1, 2, 3):
            self.assertEqual(await sender.store(an_image(number)), Status.SUCCESS)
        for number in spoilt:
            await kept.database.run(execute(f"UPDATE archive_instance SET attributes = 'no' WHERE id = {number}"))
        caller = await kept.call((GET, IMPLICIT), (CT, EXPLICIT), takes=[CT])
        asked = an_identifier(StudyInstanceUID="1.2.1") if identifier is None else identifier
        return caller, await caller.answer(caller.ask(1, CommandField.C_GET_RQ, encoded(asked), priority=1))

    def objects(self, caller: Caller) -> list[bytes]:
        return [data for command, data in caller.data_sets() if not command.command_set.is_response]

    async def test_the_others_arrive_and_it_counts_as_failed(self) -> None:
        with capturedLogs() as events:
            caller, response = await self.get(2)
        self.assertEqual(self.objects(caller), [encoded(an_image(number), EXPLICIT) for number in (1, 3)])
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 2, 1, 0))
        self.assertFalse(response.has_data_set)
        (told,) = [formatEvent(event) for event in events if event["log_level"] is LogLevel.error]
        self.assertTrue(told.endswith("rows of the index that cannot be read: 1"), told)

    async def test_the_responses_before_count_it(self) -> None:
        caller, _ = await self.get(2)
        self.assertEqual(
            [(each.status, *counts(each)) for each in caller.responses(1)],
            [(0xFF00, 1, 1, 1, 0), (0xB000, None, 2, 1, 0)],
        )

    async def test_it_is_named_where_its_name_is_known(self) -> None:
        named = an_identifier("IMAGE", SOPInstanceUID="1.2.3.1\\1.2.3.2")
        caller, response = await self.get(2, identifier=named)
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 1, 1, 0))
        command, data = caller.data_sets()[-1]
        self.assertEqual((command.command_set.status, decoded(data).FailedSOPInstanceUIDList), (0xB000, "1.2.3.2"))

    async def test_none_can_be_read(self) -> None:
        caller, response = await self.get(1, 2, 3)
        self.assertEqual((response.status, *counts(response)), (0xA702, None, 0, 3, 0))
        self.assertEqual((caller.requests, caller.told), ([], []))
