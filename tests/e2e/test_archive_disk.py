"""A full disk: what does not fit is refused with A700, what is acknowledged is there, and with room it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET

from bench.scu import Association
from tests.calm.kill import an_object
from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.archive import ArchiveCase, ArchiveProxy
from tests.support.objects import Sample
from tests.support.process import executable, needed, run, scratch
from tests.support.proxy import CALLED
from tests.support.pynetdicom_scu import study_level
from tests.support.threads import in_thread

MIB = 1 << 20
DISK = 12 * MIB
STUDY = "2.999.9.1"
SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700

ANY_CT = Sample(Path(), str(CTImageStorage), "", str(ImplicitVRLittleEndian), "", STUDY, "")


class SmallDisk(ArchiveCase, EndToEnd):
    """The proxy has a disk of its own, of 12 MiB, which is gone when it ends."""

    def setUp(self) -> None:
        self.needs_proxy()
        self.chance = Random(1)
        self.count = 0

    async def on_small_disk(self, disk: Path, refuse_below: str, **settings: Any) -> ArchiveProxy:
        """Start it with the disk mounted on a folder, where nobody else sees it."""
        unshare = [executable("unshare"), "--mount", "--map-root-user"]
        mounting = ["sh", "-c", f'mount -t tmpfs -o size={DISK} none "$0" && exec "$@"', str(disk)]
        if (await run(self, [*unshare, *mounting, "true"])).code:
            raise needed("a mount namespace")
        archive = {"watermark": {"refuse_below": refuse_below}, **settings.pop("archive", {})}
        return await self.archive_proxy(within=[*unshare, *mounting], archive=archive, **settings)

    def seen_by(self, archive: ArchiveProxy, path: Path) -> Path:
        """A path as the proxy has it."""
        return Path(f"/proc/{archive.proxy.process.pid}/root{path}")

    async def store(self, archive: ArchiveProxy, count: int = 1) -> list[tuple[str, int]]:
        """Store objects; their SOP Instance UIDs and statuses."""

        def send() -> list[tuple[str, int]]:
            statuses = []
            with Association(archive.port) as association:
                for _ in range(count):
                    self.count += 1
                    instance = f"{STUDY}.1.{self.count}"
                    content = an_object(STUDY, f"{STUDY}.1", instance, self.chance) + _filler(MIB)
                    statuses.append((instance, association.keep(instance.encode(), content)))
                association.release()
            return statuses

        return await in_thread(send)

    async def there(self, archive: ArchiveProxy) -> list[str]:
        """What a C-GET brings of all that was stored."""
        outcome = await pynetdicom_scu.get(archive.port, CALLED, "GETTER", STUDY_GET, study_level(STUDY), [ANY_CT])
        self.assertEqual(SUCCESS, outcome.final.Status)
        return sorted(uid for uid, _ in outcome.received)

    async def refuses_and_recovers(self, archive: ArchiveProxy, disk: Path) -> None:
        filler = self.seen_by(archive, disk) / "filler"
        first = await self.store(archive, 2)
        filler.write_bytes(bytes(_room(filler.parent) - MIB // 2))
        refused = await self.store(archive, 3)
        self.assertEqual([SUCCESS] * 2 + [OUT_OF_RESOURCES] * 3, [status for _, status in first + refused])
        self.assertEqual([uid for uid, _ in first], await self.there(archive))
        filler.unlink()
        last = await self.store(archive)
        while last[0][1] != SUCCESS:
            # It does not look at the disk for every object, and may have looked a moment ago.
            last = await self.store(archive)
        last += await self.store(archive)
        self.assertEqual([SUCCESS] * 2, [status for _, status in last])
        self.assertEqual(sorted(uid for uid, _ in first + last), await self.there(archive))


class FullDisk(SmallDisk):
    """It is the disk of the files."""

    async def test_the_disk_of_the_files(self) -> None:
        disk = scratch(self)
        archive = await self.on_small_disk(disk, "1 B", archive={"folder": str(disk)})
        await self.refuses_and_recovers(archive, disk)

    async def test_it_refuses_before_the_disk_is_full(self) -> None:
        disk = scratch(self)
        archive = await self.on_small_disk(disk, "4 MiB", archive={"folder": str(disk)})
        await self.refuses_and_recovers(archive, disk)

    async def test_nothing_is_left_of_what_did_not_fit(self) -> None:
        disk = scratch(self)
        archive = await self.on_small_disk(disk, "1 B", archive={"folder": str(disk)})
        statuses = [status for _, status in await self.store(archive, 20)]
        kept = [path for path in self.seen_by(archive, disk).rglob("*") if path.is_file()]
        self.assertEqual({SUCCESS, OUT_OF_RESOURCES}, set(statuses))
        self.assertEqual(statuses.count(SUCCESS), len(kept))


class FullDiskOfTheIndex(SmallDisk):
    """It is the disk of the files, and of the SQLite file beside them."""

    async def test_the_disk_of_files_and_index(self) -> None:
        disk = scratch(self)
        archive = await self.on_small_disk(disk, "1 B", data_dir=disk)
        await self.refuses_and_recovers(archive, disk)


def _filler(size: int) -> bytes:
    """Data set trailing padding (FFFC,FFFC) of a size, in implicit VR little endian."""
    return b"\xfc\xff\xfc\xff" + size.to_bytes(4, "little") + bytes(size)


def _room(folder: Path) -> int:
    return shutil.disk_usage(folder).free
