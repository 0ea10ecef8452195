"""Storing back through a shield: what comes with pseudonyms gets its originals again, or is refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.test_shield import Shielded
from tests.support import pynetdicom_scu
from tests.support.dcmtk import checked, scu
from tests.support.objects import Sample
from tests.support.planted import Planted, planted
from tests.support.planted_house import DESTINATION, House, keyed
from tests.support.planted_places import code
from tests.support.process import scratch
from tests.support.pynetdicom_scu import study_level

CT, REPORT = planted("ct"), planted("report", "implicit", number=2)

IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def sample(path: Path) -> Sample:
    """A file as something to send."""
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    meta = ds.file_meta
    return Sample(
        path,
        str(meta.MediaStorageSOPClassUID),
        str(meta.MediaStorageSOPInstanceUID),
        str(meta.TransferSyntaxUID),
        *(str(ds[keyword].value) for keyword in IDENTIFIERS[:3]),
    )


class Storing(Shielded):
    """What a caller does that has retrieved something and sends something back."""

    async def retrieved(self, shield: House) -> list[Path]:
        """The files of the only study, under pseudonyms."""
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        await pynetdicom_scu.move(shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION)
        return sorted(path for path in shield.destination.folder.rglob("*") if path.is_file())

    async def store(self, shield: House, *paths: Path) -> list[int]:
        """The statuses of C-STOREs through the shield."""
        return await pynetdicom_scu.store(shield.port, shield.title, DESTINATION, [sample(path) for path in paths])

    async def held(self, shield: House) -> dict[str, Dataset]:
        """What the archive holds, by SOP Instance UID."""
        files = [await shield.archive.attachment(one) for one in await shield.archive.rest("GET", "/instances")]
        objects = [pydicom.dcmread(BytesIO(content)) for content in files]
        return {str(ds.SOPInstanceUID): ds for ds in objects}

    async def emptied(self, shield: House) -> None:
        """Take all instances out of the archive."""
        for one in await shield.archive.rest("GET", "/instances"):
            await shield.archive.rest("DELETE", f"/instances/{one}")

    def derived(self, path: Path, **values: Any) -> Path:
        """A new instance made of a retrieved one, in a series of its own."""
        ds = pydicom.dcmread(path)
        ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta = meta
        new = scratch(self) / "new.dcm"
        ds.save_as(new, implicit_vr=False, little_endian=True, enforce_file_format=True)
        return new


class Back(Storing):
    """The very objects that were retrieved are sent back."""

    async def test_pynetdicom(self) -> None:
        shield = await self.shield(CT, REPORT)
        paths = await self.retrieved(shield)
        await self.emptied(shield)
        self.assertEqual([0x0000, 0x0000], await self.store(shield, *paths))
        await self.has_the_originals(shield)

    async def test_storescu(self) -> None:
        shield = await self.shield(CT, REPORT)
        paths = [str(path) for path in await self.retrieved(shield)]
        await self.emptied(shield)
        options = ["-R", "-nh", "-xe"]
        await checked(self, scu("storescu", shield.port, shield.title, DESTINATION, *paths, options=options))
        await self.has_the_originals(shield)

    async def has_the_originals(self, shield: House) -> None:
        expected = {
            str(one.dataset.SOPInstanceUID): [str(one.dataset[keyword].value) for keyword in IDENTIFIERS]
            for one in shield.objects
        }
        held = await self.held(shield)
        self.assertEqual(
            expected, {uid: [str(ds[keyword].value) for keyword in IDENTIFIERS] for uid, ds in held.items()}
        )

    async def test_what_came_back_no_longer_says_that_identity_was_removed(self) -> None:
        shield = await self.shield(CT)
        paths = await self.retrieved(shield)
        await self.emptied(shield)
        await self.store(shield, *paths)
        (ds,) = (await self.held(shield)).values()
        self.assertNotEqual("YES", ds.get("PatientIdentityRemoved"))

    async def test_pixels_come_back_as_they_were(self) -> None:
        shield = await self.shield(CT)
        paths = await self.retrieved(shield)
        await self.emptied(shield)
        await self.store(shield, *paths)
        (ds,) = (await self.held(shield)).values()
        self.assertEqual(CT.dataset.PixelData, ds.PixelData)

    async def test_the_caller_learns_nothing(self) -> None:
        shield = await self.shield(CT, REPORT)
        await self.store(shield, *await self.retrieved(shield))
        self.uncovered(shield)


class New(Storing):
    """A result that a caller made: its instance and series are new, its patient and study are known."""

    async def test_it_is_refused_unless_the_policy_accepts_it(self) -> None:
        shield = await self.shield(CT)
        (path,) = await self.retrieved(shield)
        (status,) = await self.store(shield, self.derived(path))
        self.assertEqual((True, 1), (failed(status), len(await self.held(shield))))

    async def test_it_comes_into_the_study_of_the_patient(self) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        self.assertEqual([0x0000], await self.store(shield, self.derived(path)))
        held = await self.made_by_the_caller(shield)
        self.assertEqual([CT.dataset.PatientID, CT.dataset.StudyInstanceUID], [held.PatientID, held.StudyInstanceUID])

    async def test_sent_again_it_is_the_same_instance(self) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        new = self.derived(path)
        await self.store(shield, new)
        first = await self.made_by_the_caller(shield)
        await self.store(shield, new)
        second = await self.made_by_the_caller(shield)
        self.assertEqual(first.SOPInstanceUID, second.SOPInstanceUID)

    async def test_with_the_uids_of_an_original_it_is_another_instance(self) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        uids = {keyword: str(CT.dataset[keyword].value) for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
        forged = self.derived(path, **uids, SeriesDescription="FORGED")
        self.assertEqual([0x0000], await self.store(shield, forged))
        held = await self.made_by_the_caller(shield)
        self.assertEqual("FORGED", held.SeriesDescription)
        self.assertNotEqual(uids, {keyword: str(held[keyword].value) for keyword in uids})

    async def test_with_the_uids_of_an_original_that_stays_as_it_was(self) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        original = str(CT.dataset.SOPInstanceUID)
        before = (await self.held(shield))[original]
        uids = {keyword: str(CT.dataset[keyword].value) for keyword in ("SOPInstanceUID", "SeriesInstanceUID")}
        await self.store(shield, self.derived(path, **uids, SeriesDescription="FORGED"))
        self.assertEqual(before, (await self.held(shield))[original])

    async def made_by_the_caller(self, shield: House) -> Dataset:
        """The only instance of the archive that was not there before."""
        before = {str(one.dataset.SOPInstanceUID) for one in shield.objects}
        (new,) = (ds for uid, ds in (await self.held(shield)).items() if uid not in before)
        return new

    async def test_it_is_retrieved_under_pseudonyms_again(self) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        new = self.derived(path)
        await self.store(shield, new)
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        series = [match.SeriesInstanceUID for match in await shield.find(keyed("SERIES", StudyInstanceUID=study))]
        self.assertEqual((2, False), (len(series), sample(new).series in series))

    async def test_it_is_refused_with_a_study_that_nobody_has(self) -> None:
        await self.refused(StudyInstanceUID=generate_uid())

    async def test_it_is_refused_with_the_study_of_the_originals(self) -> None:
        await self.refused(StudyInstanceUID=CT.dataset.StudyInstanceUID)

    async def test_it_is_refused_with_a_patient_that_nobody_has(self) -> None:
        await self.refused(PatientID="ABCDEFGHIJKLMNOP")

    async def test_it_is_refused_with_the_patient_of_the_originals(self) -> None:
        await self.refused(PatientID=CT.dataset.PatientID)

    async def refused(self, **values: Any) -> None:
        shield = await self.shield(CT, new_instances="accept")
        (path,) = await self.retrieved(shield)
        before = await shield.archive.rest("GET", "/instances")
        (status,) = await self.store(shield, self.derived(path, **values))
        self.assertEqual((True, before), (failed(status), await shield.archive.rest("GET", "/instances")))


class Unlisted(Storing):
    """The name of the patient where no table looks for it: the guard sees it."""

    def misplaced(self, syntax: str = "explicit") -> Planted:
        """An image with the patient's family name in the meaning of a code, which Table E.1-1 does not list."""
        one = planted("ct", syntax)
        family, _ = str(one.dataset.PatientName).split("^")
        one.dataset.ProcedureCodeSequence = [code("1", "99TEST", f"CT of {family}")]
        return one

    async def counters(self, shield: House) -> tuple[int, int, int]:
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        outcome = await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )
        return outcome.counters

    async def test_the_object_does_not_leave(self) -> None:
        shield = await self.shield(self.misplaced())
        self.assertEqual((0, 1, 0), await self.counters(shield))
        self.uncovered(shield)

    async def test_nor_in_a_deflated_data_set(self) -> None:
        shield = await self.shield(self.misplaced("deflated"))
        self.assertEqual((0, 1, 0), await self.counters(shield))
        self.uncovered(shield)

    async def test_it_leaves_where_the_guard_is_told_to_warn(self) -> None:
        shield = await self.shield(self.misplaced(), guard="warn")
        self.assertEqual((1, 0, 0), await self.counters(shield))
        self.assertNotIn("in the log", shield.leaks())

    async def test_it_leaves_where_the_guard_is_off(self) -> None:
        shield = await self.shield(self.misplaced(), guard="off")
        self.assertEqual((1, 0, 0), await self.counters(shield))


def failed(status: int) -> bool:
    """Whether a C-STORE status is a failure (PS3.4 B.2.3)."""
    return status >> 12 in (0xA, 0xC) or status in range(0x0100, 0x0200)


class Markers(Storing):
    """Identity that a caller sends in the other direction stays what it is: nothing is mapped that is no pseudonym."""

    async def test_an_object_of_somebody_else_is_refused(self) -> None:
        shield = await self.shield(CT)
        stranger = planted("ct", subject="stranger").write(scratch(self))
        (status,) = await pynetdicom_scu.store(shield.port, shield.title, DESTINATION, [stranger])
        self.assertEqual((True, 1), (failed(status), len(await self.held(shield))))

    async def test_nothing_of_it_is_logged(self) -> None:
        shield = await self.shield(CT)
        stranger = planted("ct", subject="stranger")
        await pynetdicom_scu.store(shield.port, shield.title, DESTINATION, [stranger.write(scratch(self))])
        # The response names the instance as the caller did.
        self.assertEqual({}, shield.leaks(stranger.except_for("SOPInstanceUID")))
