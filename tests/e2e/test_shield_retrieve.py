"""Retrieves through a shield before Orthanc: what comes is under pseudonyms, by whatever stack it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.test_shield import NOBODY, Shielded
from tests.support import pynetdicom_scu
from tests.support.dcmjs import dcmjs_scu
from tests.support.dcmtk import checked, scu
from tests.support.planted import CHARACTER_SETS, Planted, every_object, planted
from tests.support.planted_house import DESTINATION, House, house_before, keyed, policy
from tests.support.planted_places import CT_IMAGE_STORAGE
from tests.support.process import free_port, scratch
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import everything, pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

ALL = tuple(
    planted(one.kind, one.syntax, one.character_set, number=number) for number, one in enumerate(every_object(), 1)
)
"""Every kind in every transfer syntax."""

FEW = (planted("ct"), planted("report", "implicit", CHARACTER_SETS[2], number=2), planted("plan", number=3))
"""Uncompressed, and of kinds that every caller takes."""

REFUSED_IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def read(path: Path) -> Dataset:
    """A file that a storage SCP wrote, all of it."""
    ds = pydicom.dcmread(path)
    ds.walk(lambda _, element: element.value)
    return ds


class Retrieving(Shielded):
    """What is common to the retrieves."""

    async def study(self, shield: House) -> str:
        """The pseudonym of the only study."""
        return str((await shield.only(keyed("STUDY"))).StudyInstanceUID)

    async def images(self, shield: House) -> list[str]:
        """The pseudonyms of all images, as queries show them."""
        study = await self.study(shield)
        found = []
        for series in await shield.find(keyed("SERIES", StudyInstanceUID=study)):
            asked = keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series.SeriesInstanceUID)
            found += [str(image.SOPInstanceUID) for image in await shield.find(asked)]
        return sorted(found)

    def delivered(self, shield: House) -> list[Dataset]:
        """What came to the destination."""
        return [read(path) for path in sorted(shield.destination.folder.rglob("*")) if path.is_file()]

    def pseudonymous(self, shield: House, arrived: Iterable[Dataset]) -> None:
        """Not one of the identifiers is an original."""
        originals = {str(one.dataset[keyword].value) for one in shield.objects for keyword in REFUSED_IDENTIFIERS}
        seen = {str(ds[keyword].value) for ds in arrived for keyword in REFUSED_IDENTIFIERS}
        self.assertEqual(set(), originals & seen)


class Move(Retrieving):
    """C-MOVE: the objects come to the destination by way of the proxy."""

    async def test_every_kind_in_every_transfer_syntax(self) -> None:
        shield = await self.shield(*ALL)
        study = await self.study(shield)
        outcome = await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )
        self.assertEqual((0x0000, (len(ALL), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(len(ALL), len(shield.destination.received))
        self.uncovered(shield)

    async def test_the_objects_are_those_that_queries_show(self) -> None:
        shield = await self.shield(*FEW)
        await self.movescu(shield, await self.study(shield))
        self.assertEqual(await self.images(shield), [uid for uid, _ in shield.destination.received])

    async def test_movescu(self) -> None:
        shield = await self.shield(*FEW)
        await self.movescu(shield, await self.study(shield))
        self.assertEqual(len(FEW), len(self.delivered(shield)))
        self.pseudonymous(shield, self.delivered(shield))
        self.uncovered(shield)

    async def movescu(self, shield: House, study: str) -> None:
        words = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
        await checked(
            self,
            scu("movescu", shield.port, shield.title, DESTINATION, options=["-S", "-aem", DESTINATION, *words]),
        )

    async def test_dcmjs(self) -> None:
        shield = await self.shield(*FEW)
        answers = await dcmjs_scu(
            self, "move", shield.port, shield.title, "DCMJS", await self.study(shield), DESTINATION
        )
        self.assertEqual((0x0000, len(FEW), 0), tuple(answers[-1][key] for key in ("status", "completed", "failed")))
        self.pseudonymous(shield, self.delivered(shield))
        self.uncovered(shield)

    async def test_one_series(self) -> None:
        shield = await self.shield(*FEW)
        study = await self.study(shield)
        series = (await shield.find(keyed("SERIES", StudyInstanceUID=study)))[0].SeriesInstanceUID
        identifier = study_level(study)
        identifier.QueryRetrieveLevel, identifier.SeriesInstanceUID = "SERIES", series
        await pynetdicom_scu.move(shield.port, shield.title, DESTINATION, STUDY_MOVE, identifier, DESTINATION)
        self.assertEqual([series], [ds.SeriesInstanceUID for ds in self.delivered(shield)])

    async def test_two_images(self) -> None:
        shield = await self.shield(planted("ct"), planted("ct", number=2), planted("ct", number=3))
        study, images = await self.study(shield), await self.images(shield)
        identifier = study_level(study)
        identifier.SeriesInstanceUID = (await shield.only(keyed("SERIES", StudyInstanceUID=study))).SeriesInstanceUID
        identifier.QueryRetrieveLevel, identifier.SOPInstanceUID = "IMAGE", images[:2]
        await pynetdicom_scu.move(shield.port, shield.title, DESTINATION, STUDY_MOVE, identifier, DESTINATION)
        self.assertEqual(images[:2], [uid for uid, _ in shield.destination.received])

    async def test_the_original_moves_nothing(self) -> None:
        shield = await self.shield(*FEW)
        real = str(FEW[0].dataset.StudyInstanceUID)
        outcome = await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(real), DESTINATION
        )
        self.assertEqual(((0, 0, 0), []), (outcome.counters, shield.destination.received))

    async def test_the_original_is_answered_as_what_is_nobodys(self) -> None:
        shield = await self.shield(*FEW)
        outcomes = [
            await pynetdicom_scu.move(
                shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
            )
            for study in (str(FEW[0].dataset.StudyInstanceUID), NOBODY)
        ]
        self.assertEqual(outcomes[1].statuses, outcomes[0].statuses)


class Get(Retrieving):
    """C-GET: the objects come on the association of the caller."""

    async def test_every_kind_in_every_transfer_syntax(self) -> None:
        shield = await self.shield(*ALL)
        outcome = await pynetdicom_scu.get(
            shield.port,
            shield.title,
            DESTINATION,
            STUDY_GET,
            study_level(await self.study(shield)),
            shield.stored,
        )
        self.assertEqual((0x0000, (len(ALL), 0, 0)), (outcome.final.Status, outcome.counters))
        self.uncovered(shield)

    async def test_the_command_names_what_the_data_set_names(self) -> None:
        shield = await self.shield(planted("ct"), planted("report", number=2))
        outcome = await pynetdicom_scu.get(
            shield.port, shield.title, DESTINATION, STUDY_GET, study_level(await self.study(shield)), shield.stored
        )
        self.assertEqual(await self.images(shield), sorted(uid for uid, _ in outcome.received))

    async def test_getscu(self) -> None:
        shield, folder = await self.shield(*FEW), scratch(self)
        words = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={await self.study(shield)}")
        await checked(
            self,
            scu("getscu", shield.port, shield.title, "GETSCU", options=["-S", "+B", "-od", str(folder), *words]),
        )
        arrived = [read(path) for path in folder.iterdir()]
        self.assertEqual(len(FEW), len(arrived))
        self.pseudonymous(shield, arrived)
        self.uncovered(shield)

    async def test_dcmjs(self) -> None:
        shield = await self.shield(planted("ct", "implicit"), planted("ct", "implicit", number=2))
        answers = await dcmjs_scu(self, "get", shield.port, shield.title, "DCMJS", await self.study(shield))
        self.assertEqual(await self.images(shield), sorted(it["received"] for it in answers if "received" in it))
        self.uncovered(shield)

    async def test_the_original_gets_nothing(self) -> None:
        shield = await self.shield(*FEW)
        real = str(FEW[0].dataset.StudyInstanceUID)
        outcome = await pynetdicom_scu.get(
            shield.port, shield.title, DESTINATION, STUDY_GET, study_level(real), shield.stored
        )
        self.assertEqual(((0, 0, 0), []), (outcome.counters, outcome.received))


class Content(Retrieving):
    """What is retrieved is the object, but for its identity."""

    async def moved(self, one: Planted) -> Dataset:
        shield = await self.shield(one)
        await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(await self.study(shield)), DESTINATION
        )
        (arrived,) = self.delivered(shield)
        return arrived

    async def test_pixels_are_untouched(self) -> None:
        for syntax in ("implicit", "deflated", "rle"):
            one = planted("ct", syntax)
            self.assertEqual(one.dataset.PixelData, (await self.moved(one)).PixelData, syntax)

    async def test_what_identifies_nobody_is_untouched(self) -> None:
        one = planted("ct")
        arrived = await self.moved(one)
        for keyword in (
            "ImageType",
            "Modality",
            "Rows",
            "PixelSpacing",
            "RescaleSlope",
            "SOPClassUID",
            "InstanceNumber",
        ):
            self.assertEqual(one.dataset[keyword].value, arrived[keyword].value, keyword)

    async def test_it_says_how_it_was_de_identified(self) -> None:
        arrived = await self.moved(planted("ct"))
        self.assertEqual("YES", arrived.PatientIdentityRemoved)
        self.assertIn("113100", [code.CodeValue for code in arrived.DeidentificationMethodCodeSequence])

    async def test_a_reference_to_another_object_still_fits(self) -> None:
        image, state = planted("ct"), planted("presentation", number=2)
        state.dataset.ReferencedSeriesSequence[0].ReferencedImageSequence[
            0
        ].ReferencedSOPInstanceUID = image.dataset.SOPInstanceUID
        shield = await self.shield(image, state)
        await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(await self.study(shield)), DESTINATION
        )
        arrived = {ds.Modality: ds for ds in self.delivered(shield)}
        reference = arrived["PR"].ReferencedSeriesSequence[0].ReferencedImageSequence[0]
        self.assertEqual(arrived["CT"].SOPInstanceUID, reference.ReferencedSOPInstanceUID)


class Failures(Retrieving):
    """Sub-operations that fail, with an archive that goes on after one of them."""

    objects = (planted("ct"), planted("ct", number=2), planted("secondary-capture", number=3))

    async def shielded(self, **changes: Any) -> House:
        at, files = free_port(), scratch(self)
        holdings = [one.write(files) for one in self.objects]
        archive = pynetdicom_scp(
            self,
            holdings=holdings,
            destinations={TITLE: at},
            contexts=everything(*sorted({one.sop_class for one in holdings})),
        )
        changed = policy(self, **changes)
        return await house_before(self, archive.port, archive.title, self.objects, at=at, privacy=changed)

    async def get(self, shield: House, **more: Any) -> pynetdicom_scu.Retrieve:
        # This archive answers every query with all that it holds.
        study = (await shield.find(keyed("IMAGE")))[0].StudyInstanceUID
        return await pynetdicom_scu.get(
            shield.port, shield.title, DESTINATION, STUDY_GET, study_level(study), shield.stored, **more
        )

    async def test_the_failed_list_is_of_pseudonyms(self) -> None:
        shield = await self.shielded()
        images = sorted(match.SOPInstanceUID for match in await shield.find(keyed("IMAGE")))
        outcome = await self.get(shield, status=0xA700)
        self.assertEqual(((0, 3, 0), images), (outcome.counters, outcome.failed_list))
        self.uncovered(shield)

    async def test_what_is_said_to_show_text_does_not_leave(self) -> None:
        shield = await self.shielded(burned_in="refuse")
        outcome = await self.get(shield)
        self.assertEqual((2, 1, 0), outcome.counters)
        self.assertEqual({CT_IMAGE_STORAGE}, {parsed(data).SOPClassUID for _, data in outcome.received})
        self.uncovered(shield)

    async def test_nor_by_a_move(self) -> None:
        shield = await self.shielded(burned_in="refuse")
        study = (await shield.find(keyed("IMAGE")))[0].StudyInstanceUID
        outcome = await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )
        self.assertEqual(((2, 1, 0), 2), (outcome.counters, len(shield.destination.received)))
        self.uncovered(shield)


def parsed(data: bytes) -> Dataset:
    """A data set in explicit VR little endian."""
    return pydicom.filereader.read_dataset(BytesIO(data), is_implicit_VR=False, is_little_endian=True)
