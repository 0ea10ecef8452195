"""Looking for answers that takes too long."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive import searching
from dimseproxy.outbound.archive.instances import Page
from dimseproxy.outbound.archive.levels import Root
from dimseproxy.outbound.archive.querying import read_query
from dimseproxy.storage import sqlite
from tests.outbound.archive.indexing import EXPLICIT, an_index, an_instance, data_set, encoded, studies_found


class StatementTests(TestCase):
    """What SQLite takes too long for."""

    async def searching(self, is_wanted: Callable[[], bool]) -> Page:
        index = await an_index(self)
        await index.add_many([an_instance(number) for number in range(1, 500)])
        self.patch(sqlite, "_LOOK_AFTER", 100)
        keys = data_set(QueryRetrieveLevel="IMAGE", PatientName="*nobody*")
        page = await index.find(read_query(Root.STUDY, encoded(keys), EXPLICIT), 0, is_wanted)
        # Nothing of it is left on the connection.
        self.assertEqual(len(await studies_found(index)), 499)
        return page

    async def test_a_statement_is_given_up(self) -> None:
        self.patch(searching, "LONGEST_STATEMENT", 0.0)
        with self.assertRaises(OperationRefused) as refused:
            await self.searching(lambda: True)
        self.assertEqual(refused.exception.status, Status.OUT_OF_RESOURCES)

    async def test_so_is_one_that_nobody_waits_for(self) -> None:
        page = await self.searching(lambda: False)
        self.assertEqual((page.answers, page.next), ((), 0))
