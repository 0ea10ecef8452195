"""Objects that left through a shield are as valid as they were: dciodvfy finds nothing new wrong with them."""

from __future__ import annotations

from typing import Any

from pydicom.filereader import read_file_meta_info
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.test_shield import Shielded
from tests.support import pynetdicom_scu
from tests.support.planted import KINDS, planted
from tests.support.planted_house import DESTINATION, keyed
from tests.support.planted_validity import errors_in
from tests.support.pynetdicom_scu import study_level


class Validity(Shielded):
    """Each kind of object, before and after."""

    async def introduced(self, **changes: Any) -> dict[str, set[str]]:
        """The errors that an object of each kind has after it left, and had not before."""
        objects = [planted(name, number=number) for number, name in enumerate(KINDS, 1)]
        shield = await self.shield(*objects, **changes)
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        await pynetdicom_scu.move(shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION)
        before = {one.sop_class: await errors_in(self, one.path) for one in shield.stored}
        after = {
            str(read_file_meta_info(path).MediaStorageSOPClassUID): await errors_in(self, path)
            for path in shield.destination.folder.rglob("*")
            if path.is_file()
        }
        self.assertEqual(before.keys(), after.keys())
        names = {kind.sop_class: name for name, kind in KINDS.items()}
        return {names[uid]: new for uid, errors in after.items() if (new := errors - before[uid])}

    async def test_the_basic_profile_introduces_none(self) -> None:
        self.assertEqual({}, await self.introduced())

    async def test_nor_does_it_with_what_is_cleaned_and_moved(self) -> None:
        options = [
            "clean-descriptors",
            "clean-structured-content",
            "clean-graphics",
            "retain-longitudinal-modified-dates",
        ]
        self.assertEqual({}, await self.introduced(options=options))

    async def test_pseudonyms_alone_introduce_none(self) -> None:
        lists = {"profile": "none", "replace": {"PatientName": "NOBODY"}, "private_attributes": "keep"}
        self.assertEqual({}, await self.introduced(**lists, guard="off"))
