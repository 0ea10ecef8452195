"""`list`: the studies, without saying whose they are."""

from __future__ import annotations

from attrs import evolve

from dimseproxy.commands.listing import list_studies
from dimseproxy.commands.task import ExitStatus
from dimseproxy.config import ArchiveSettings, Secret
from tests.commands.support import ArchiveCase
from tests.storage.databases import execute
from tests.support.archive import archive_key


class ListTests(ArchiveCase):
    async def test_an_empty_archive_has_no_studies(self) -> None:
        status, out, _ = await self.run_command(list_studies)
        self.assertEqual((status, out.splitlines()[-1]), (ExitStatus.WELL, "0 studies with 0 objects, 0 B"))

    async def test_each_study_is_a_line(self) -> None:
        for number, study in enumerate((1, 1, 2)):
            await self.store(number, study=study)
        _, out, _ = await self.run_command(list_studies)
        heading, first, second, total = out.splitlines()
        self.assertEqual(heading.split()[-1], "STUDY")
        self.assertEqual(first.split()[-1], "1.2.4.1")
        self.assertEqual(first.split()[4:7], ["CT", "1", "2"])
        self.assertEqual(second.split()[-1], "1.2.4.2")
        self.assertTrue(total.startswith("2 studies with 3 objects, "))

    async def test_all_pages_are_shown(self) -> None:
        for number in range(12):
            await self.store(number, study=number)
        studies = self.holdings.index.studies
        self.patch(self.holdings.index, "studies", lambda after: studies(after, 5))
        _, out, _ = await self.run_command(list_studies)
        self.assertEqual(len(out.splitlines()), 14)

    async def test_a_row_that_cannot_be_read_is_named_after_the_others(self) -> None:
        await self.holdings.database.stop()
        self.settings = evolve(self.settings, data_dir=self.folder / "sealed")
        self.holdings = await self.open(ArchiveSettings(key=Secret(file=archive_key(self))))
        for number in range(1, 4):
            await self.store(number, study=number)
        await self.holdings.database.run(execute("UPDATE archive_study SET attributes = 'no' WHERE id = 2"))
        status, out, errors = await self.run_command(list_studies)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertEqual([line.split()[-1] for line in out.splitlines()[1:3]], ["1.2.4.1", "1.2.4.3"])
        self.assertTrue(out.splitlines()[3].startswith("2 studies with 2 objects, "))
        self.assertEqual(errors, "unreadable: row 2 of archive_study\n")
