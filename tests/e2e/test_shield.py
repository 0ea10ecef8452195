"""A shield before Orthanc: callers see pseudonyms, and only with pseudonyms do they find anything."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND

from tests.e2e.base import EndToEnd
from tests.support.dcmjs import dcmjs_scu
from tests.support.dcmtk import checked, find, scu
from tests.support.planted import JAPANESE, Planted, planted
from tests.support.planted_house import DESTINATION, House, house, keyed, policy
from tests.support.planted_markers import found
from tests.support.process import port_is_open, until
from tests.support.proxy import ProxyProcess

OBJECTS = (
    planted("ct"),
    planted("ct", "implicit", number=2),
    planted("report", number=3),
    planted("ct", subject="subject 2"),
)
"""Two patients, each with a study; the first has two series, and two images in one of them."""

FIRST, SECOND = OBJECTS[0].dataset, OBJECTS[3].dataset

NOBODY = "2.25.111111111111111111111111111111111111"


class Shielded(EndToEnd):
    """The shield with the planted objects behind it."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def shield(self, *objects: Planted, **changes: Any) -> House:
        """Start all of it; `changes` are those of the policy."""
        return await house(self, objects or OBJECTS, privacy=policy(self, **changes))

    def uncovered(self, house: House) -> None:
        """No marker got out on any way."""
        self.assertEqual({}, house.leaks())


class Control(Shielded):
    """Without a policy the markers are seen on every way out, so the other tests can fail."""

    async def test_a_plain_relay_shows_the_markers(self) -> None:
        plain = await house(self, OBJECTS, privacy=None)
        await plain.find(keyed("STUDY"))
        self.assertLess(10, len(plain.leaks()["towards the caller"]))


class Echo(Shielded):
    """C-ECHO crosses."""

    async def test_echo(self) -> None:
        shield = await self.shield()
        result = await checked(self, scu("echoscu", shield.port, shield.title, "ECHOSCU", options=["-v"]))
        self.assertIn("Received Echo Response (Success)", result.output)


class Answers(Shielded):
    """What is found is shown under pseudonyms at every level."""

    async def test_patient_level(self) -> None:
        shield = await self.shield()
        self.assertEqual(2, len(await shield.find(keyed("PATIENT"), PATIENT_FIND)))
        self.uncovered(shield)

    async def test_study_level(self) -> None:
        shield = await self.shield()
        self.assertEqual(2, len(await shield.find(keyed("STUDY"))))
        self.uncovered(shield)

    async def test_series_level(self) -> None:
        shield = await self.shield()
        study = await self.study_of_three(shield)
        self.assertEqual(2, len(await shield.find(keyed("SERIES", StudyInstanceUID=study))))
        self.uncovered(shield)

    async def test_image_level(self) -> None:
        shield = await self.shield()
        study = await self.study_of_three(shield)
        series = [match.SeriesInstanceUID for match in await shield.find(keyed("SERIES", StudyInstanceUID=study))]
        counts = [
            len(await shield.find(keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=uid))) for uid in series
        ]
        self.assertEqual([1, 2], sorted(counts))
        self.uncovered(shield)

    async def study_of_three(self, shield: House) -> str:
        """The pseudonym of the study that has two series."""
        for match in await shield.find(keyed("STUDY")):
            if len(await shield.find(keyed("SERIES", StudyInstanceUID=match.StudyInstanceUID))) == 2:
                return str(match.StudyInstanceUID)
        raise AssertionError("no study has two series")

    async def test_a_second_query_is_answered_the_same(self) -> None:
        shield = await self.shield()
        first, second = await shield.find(keyed("STUDY")), await shield.find(keyed("STUDY"))
        self.assertEqual(first, second)

    async def test_what_identifies_is_a_pseudonym_and_the_rest_is_empty(self) -> None:
        shield = await self.shield(OBJECTS[0])
        match = await shield.only(keyed("STUDY"))
        self.assertRegex(match.StudyInstanceUID, r"\A2\.25\.[1-9][0-9]{20,38}\Z")
        self.assertRegex(match.PatientID, r"\A[A-Z2-7]{16}\Z")
        self.assertEqual(["", ""], [str(match.get(keyword, "")) for keyword in ("PatientName", "PatientBirthDate")])

    async def test_names_in_another_script_do_not_show(self) -> None:
        shield = await self.shield(planted("ct", character_set=JAPANESE))
        await shield.only(keyed("STUDY"))
        self.uncovered(shield)

    async def test_findscu_sees_no_marker(self) -> None:
        shield = await self.shield()
        answers = await find(
            self,
            shield.port,
            shield.title,
            "FINDSCU",
            "-S",
            *("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID", "PatientName", "StudyDate"),
        )
        self.assertEqual(2, len(answers))
        self.assertEqual([], found(shield.markers, b"".join(answers)))

    async def test_dcmjs_finds_a_study_by_its_pseudonym(self) -> None:
        shield = await self.shield(OBJECTS[0])
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        answers = await dcmjs_scu(self, "find", shield.port, shield.title, "DCMJS", study)
        self.assertEqual([study], [answer["study"] for answer in answers if answer.get("study")])
        self.uncovered(shield)


class Mapping(Shielded):
    """A pseudonym that was answered finds again what it stands for, and nothing else."""

    async def test_of_a_study(self) -> None:
        shield = await self.shield()
        for match in await shield.find(keyed("STUDY")):
            self.assertEqual([match], await shield.find(keyed("STUDY", StudyInstanceUID=match.StudyInstanceUID)))

    async def test_of_a_patient(self) -> None:
        shield = await self.shield()
        for match in await shield.find(keyed("STUDY")):
            self.assertEqual([match], await shield.find(keyed("STUDY", PatientID=match.PatientID)))

    async def test_of_a_patient_and_another_ones_study(self) -> None:
        shield = await self.shield()
        first, second = await shield.find(keyed("STUDY"))
        crossed = keyed("STUDY", PatientID=first.PatientID, StudyInstanceUID=second.StudyInstanceUID)
        self.assertEqual([], await shield.find(crossed))

    async def test_of_a_list_with_one_that_is_nobodys(self) -> None:
        shield = await self.shield()
        first, second = [match.StudyInstanceUID for match in await shield.find(keyed("STUDY"))]
        matches = await shield.find(keyed("STUDY", StudyInstanceUID=[first, NOBODY, second]))
        self.assertCountEqual([first, second], [match.StudyInstanceUID for match in matches])

    async def test_of_an_image(self) -> None:
        shield = await self.shield(OBJECTS[0])
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        series = (await shield.only(keyed("SERIES", StudyInstanceUID=study))).SeriesInstanceUID
        image = await shield.only(keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series))
        again = keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=image.SOPInstanceUID)
        self.assertEqual(image, await shield.only(again))

    async def test_after_the_proxy_was_killed(self) -> None:
        shield = await self.shield()
        before = await shield.find(keyed("STUDY"))
        await restarted(self, shield)
        self.assertEqual(before, await shield.find(keyed("STUDY", StudyInstanceUID=study_list(before))))


async def restarted(case: EndToEnd, house: House) -> None:
    """Kill the proxy, and start it again with the same configuration and data."""
    await house.proxy.process.kill()
    config = house.proxy.file.read_text()
    await until(lambda: not port_is_open(house.caller.target), "the end of the killed proxy")
    house.proxy = await ProxyProcess.start(case, config, house.caller.target)


def study_list(matches: list[Dataset]) -> list[str]:
    """The study instance UIDs of answers, as the key of another query."""
    return [match.StudyInstanceUID for match in matches]


ORACLES = {
    "the patient id": {"PatientID": FIRST.PatientID},
    "a wildcard on the patient id": {"PatientID": f"{FIRST.PatientID[:4]}*"},
    "a question mark in the patient id": {"PatientID": f"{FIRST.PatientID[:-1]}?"},
    "the name": {"PatientName": FIRST.PatientName},
    "a wildcard on the name": {"PatientName": f"{str(FIRST.PatientName)[:2]}*"},
    "the birth date": {"PatientBirthDate": FIRST.PatientBirthDate},
    "a range of birth dates": {"PatientBirthDate": "19290101-19311231"},
    "an open range of birth dates": {"PatientBirthDate": "-19991231"},
    "the study": {"StudyInstanceUID": FIRST.StudyInstanceUID},
    "a list of studies": {"StudyInstanceUID": [FIRST.StudyInstanceUID, SECOND.StudyInstanceUID]},
    "the accession number": {"AccessionNumber": FIRST.AccessionNumber},
    "a wildcard on the accession number": {"AccessionNumber": "*" + FIRST.AccessionNumber[2:]},
    "the study id": {"StudyID": FIRST.StudyID},
    "the study date": {"StudyDate": FIRST.StudyDate},
    "a range of study dates": {"StudyDate": "19000101-20301231"},
    "the study time": {"StudyTime": FIRST.StudyTime},
    "the referring physician": {"ReferringPhysicianName": FIRST.ReferringPhysicianName},
    "a word of the description": {"StudyDescription": f"{FIRST.StudyDescription[:8]}*"},
}
"""Keys that find something in the archive itself, and so would tell by the number of answers what is true."""


class Oracles(Shielded):
    """An original finds nothing, whatever the way of asking, and the archive is not even asked."""

    async def test_each_of_them_finds_something_in_the_archive_itself(self) -> None:
        plain = await house(self, OBJECTS, privacy=None)
        silent = [name for name, values in ORACLES.items() if not await plain.find(self.asking(values))]
        self.assertEqual([], silent)

    async def test_none_of_them_finds_anything(self) -> None:
        shield = await self.shield()
        telling = [name for name, values in ORACLES.items() if await shield.find(self.asking(values))]
        self.assertEqual([], telling)

    async def test_the_archive_is_not_asked(self) -> None:
        shield = await self.shield()
        for values in ORACLES.values():
            await shield.find(self.asking(values))
        self.assertEqual(0, shield.outbound.requests)

    async def test_an_original_is_answered_as_what_is_nobodys(self) -> None:
        shield = await self.shield()
        real = await shield.answers(keyed("STUDY", StudyInstanceUID=FIRST.StudyInstanceUID))
        unknown = await shield.answers(keyed("STUDY", StudyInstanceUID=NOBODY))
        self.assertEqual(unknown, real)

    async def test_nor_does_a_pseudonym_with_an_original_beside_it(self) -> None:
        shield = await self.shield()
        matches = await shield.find(keyed("STUDY"))
        asked = keyed("STUDY", StudyInstanceUID=study_list(matches), PatientName=FIRST.PatientName)
        self.assertEqual([], await shield.find(asked))

    async def test_originals_of_patients_find_nothing_at_patient_level(self) -> None:
        shield = await self.shield()
        asked = keyed("PATIENT", PatientID=FIRST.PatientID)
        self.assertEqual([], await shield.find(asked, PATIENT_FIND))

    async def test_asking_for_all_is_no_oracle(self) -> None:
        shield = await self.shield()
        self.assertEqual(2, len(await shield.find(keyed("STUDY", PatientName="*", StudyDate="", AccessionNumber="*"))))

    async def test_none_of_them_is_logged_or_kept(self) -> None:
        shield = await self.shield()
        for values in ORACLES.values():
            await shield.find(self.asking(values))
        self.uncovered(shield)

    def asking(self, values: dict[str, Any]) -> Dataset:
        ds = keyed("STUDY", **values)
        ds.SpecificCharacterSet = "ISO_IR 100"
        return ds


class Disk(Shielded):
    """What the proxy keeps shows nobody."""

    async def test_the_vault_keeps_no_original_in_the_clear(self) -> None:
        shield = await self.shield()
        await shield.find(keyed("STUDY"))
        self.assertGreater(len(shield.kept()), 0)
        self.assertEqual([], found(shield.markers, shield.kept()))

    async def test_a_caller_that_hangs_up_leaves_no_marker_in_the_log(self) -> None:
        shield = await self.shield()
        result = await checked(
            self,
            scu(
                "findscu",
                shield.port,
                shield.title,
                DESTINATION,
                options=["-S", "--cancel", "1", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"],
            ),
        )
        self.assertEqual(0, result.code)
        self.uncovered(shield)
