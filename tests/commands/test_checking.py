"""`verify` and `rebuild`: files and index, and where they differ."""

from __future__ import annotations

from pydicom.uid import CTImageStorage

from dimseproxy.commands.checking import rebuild, verify
from dimseproxy.commands.task import ExitStatus
from dimseproxy.config import ArchiveSettings
from dimseproxy.outbound.archive import leaving
from dimseproxy.outbound.archive.instances import Held
from tests.commands.support import ArchiveCase, file_of


class VerifyTests(ArchiveCase):
    """`verify`."""

    async def test_what_is_whole_is_well(self) -> None:
        for number in range(3):
            await self.store(number)
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.WELL)
        self.assertEqual(
            out, "3 files are whole, 0 damaged, 0 missing, 0 unreadable; 0 more that the index does not know\n"
        )

    async def test_a_changed_byte_is_found(self) -> None:
        await self.store(1)
        name = await self.store(2)
        path = self.path_of(name)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(f"damaged: {name}\n1 file is whole, 1 damaged", out)

    async def test_a_file_cut_short_is_found(self) -> None:
        path = self.path_of(await self.store(1))
        path.write_bytes(path.read_bytes()[:-1])
        self.assertEqual((await self.run_command(verify))[0], ExitStatus.NOT_WELL)

    async def test_a_missing_file_is_found(self) -> None:
        name = await self.store(1)
        self.path_of(name).unlink()
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(f"missing: {name}\n0 files are whole, 0 damaged, 1 missing", out)

    async def test_what_was_never_acknowledged_is_no_fault(self) -> None:
        await self.store(1)
        self.write(file_of(2))
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.WELL)
        self.assertIn("; 1 more that the index does not know", out)

    async def test_a_file_that_the_disk_does_not_give_is_named_and_the_others_are_looked_at(self) -> None:
        names = [await self.store(number) for number in range(10)]
        self.break_disk(names[3])
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(
            f"unreadable: {names[3]}: Input/output error\n9 files are whole, 0 damaged, 0 missing, 1 unreadable;", out
        )

    async def test_so_is_one_whose_key_is_not_there(self) -> None:
        await self.store(1)
        name = self.write_under_a_lost_key(file_of(2))
        await self.add(2, name)
        status, out, _ = await self.run_command(verify)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(f"unreadable: {name}: a file is encrypted, and no key is given\n1 file is whole", out)


class RebuildTests(ArchiveCase):
    """`rebuild`."""

    async def rows(self) -> dict[tuple[str, str], Held]:
        return await self.holdings.index.holds([(CTImageStorage, f"1.2.3.{number}") for number in range(5)])

    async def test_what_is_not_in_the_index_comes_into_it(self) -> None:
        await self.store(1)
        name = self.write(file_of(2))
        status, out, _ = await self.run_command(rebuild)
        self.assertEqual(status, ExitStatus.WELL)
        self.assertTrue(out.startswith("1 object added, 1 known before, 0 unreadable"), out)
        self.assertEqual((await self.rows())[CTImageStorage, "1.2.3.2"].blob, name)

    async def test_what_is_still_to_be_deleted_does_not(self) -> None:
        await self.store(1)
        name = self.write(file_of(2))
        await self.holdings.database.run(lambda connection: leaving.note(connection, [name]))
        for anew in (False, True):
            self.assertEqual((await self.run_command(rebuild, anew=anew))[0], ExitStatus.WELL)
            self.assertEqual(list(await self.rows()), [(CTImageStorage, "1.2.3.1")], anew)

    async def test_an_index_made_anew_is_the_same(self) -> None:
        for number in range(3):
            await self.store(number, study=number)
        before, page = await self.rows(), await self.holdings.index.studies()
        status, out, _ = await self.run_command(rebuild, anew=True)
        self.assertEqual((status, out[:15]), (ExitStatus.WELL, "3 objects added"))
        self.assertEqual(await self.rows(), before)
        after = await self.holdings.index.studies()
        self.assertEqual(
            {(each.study, each.senders, each.instances, each.size) for each in after.studies},
            {(each.study, each.senders, each.instances, each.size) for each in page.studies},
        )

    async def test_it_can_be_repeated(self) -> None:
        self.write(file_of(1))
        await self.run_command(rebuild)
        self.assertTrue((await self.run_command(rebuild))[1].startswith("0 objects added, 1 known before"))

    async def test_what_is_in_the_index_stays(self) -> None:
        self.holdings = await self.open(ArchiveSettings(duplicates="refuse"))
        name = await self.store(1)
        self.write(file_of(1, comment="other"))
        status, out, _ = await self.run_command(rebuild)
        self.assertEqual(status, ExitStatus.WELL)
        self.assertIn("1 whose SOP Instance UID is there already", out)
        self.assertEqual((await self.rows())[CTImageStorage, "1.2.3.1"].blob, name)

    async def test_what_is_no_object_is_named(self) -> None:
        self.write(file_of(1))
        name = self.write(b"no object")
        status, out, _ = await self.run_command(rebuild)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(f"unreadable: {name}: is no DICOM file\n1 object added", out)

    async def test_so_is_what_cannot_be_read_and_the_others_are_taken(self) -> None:
        names = [await self.store(number) for number in range(10)]
        lost = self.write_under_a_lost_key(file_of(20))
        self.break_disk(names[3])
        status, out, _ = await self.run_command(rebuild, anew=True)
        self.assertEqual(status, ExitStatus.NOT_WELL)
        self.assertIn(f"unreadable: {names[3]}: Input/output error\n", out)
        self.assertIn(f"unreadable: {lost}: ", out)
        self.assertIn("9 objects added, 0 known before, 2 unreadable", out)
