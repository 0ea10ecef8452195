"""`list`: the studies, without saying whose they are."""

from __future__ import annotations

from dimseproxy.commands.listing import list_studies
from dimseproxy.commands.task import ExitStatus
from tests.commands.support import ArchiveCase


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
