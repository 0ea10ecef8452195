"""Modified dates: each patient's are moved by as many days, and queries by dates are moved back."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from pydicom.dataset import Dataset

from tests.e2e.test_shield import Shielded
from tests.support.planted import planted
from tests.support.planted_house import House, keyed
from tests.support.planted_markers import Marker

OPTION = "retain-longitudinal-modified-dates"
FIRST, SECOND = planted("ct"), planted("ct", subject="subject 2")


def day(text: str) -> date:
    """A date of DICOM."""
    return datetime.strptime(text, "%Y%m%d").date()


def written(when: date) -> str:
    """A date as DICOM has it."""
    return f"{when:%Y%m%d}"


class ModifiedDates(Shielded):
    """One patient, or two, behind a shield that moves dates by one to 365 days into the past."""

    async def moving(self, **changes: object) -> House:
        return await self.shield(FIRST, options=[OPTION], **changes)

    async def test_a_study_is_shown_up_to_a_year_before_it_was(self) -> None:
        match = await (await self.moving()).only(keyed("STUDY"))
        moved = (day(match.StudyDate) - day(FIRST.dataset.StudyDate)).days
        self.assertIn(moved, range(-365, 0))

    async def test_the_dates_of_a_patient_move_together(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        series = await shield.only(keyed("SERIES", StudyInstanceUID=study.StudyInstanceUID))
        self.assertEqual(
            day(FIRST.dataset.SeriesDate) - day(FIRST.dataset.StudyDate), day(series.SeriesDate) - day(study.StudyDate)
        )

    async def test_no_original_date_is_seen(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        await shield.find(keyed("SERIES", StudyInstanceUID=study.StudyInstanceUID))
        self.assertEqual({}, shield.leaks([marker for marker in FIRST.markers if marker.vr != "TM"]))

    async def test_the_date_that_was_shown_finds_the_study(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        self.assertEqual(study, await shield.only(keyed("STUDY", StudyDate=study.StudyDate)))

    async def test_with_the_patient_it_does_as_well(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        self.assertEqual(study, await shield.only(keyed("STUDY", StudyDate=study.StudyDate, PatientID=study.PatientID)))

    async def test_a_range_around_it_finds_the_study(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        shown = day(study.StudyDate)
        around = f"{written(shown - timedelta(1))}-{written(shown + timedelta(1))}"
        self.assertEqual(study, await shield.only(keyed("STUDY", StudyDate=around)))

    async def test_the_day_before_does_not(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        before = written(day(study.StudyDate) - timedelta(1))
        self.assertEqual([], await shield.find(keyed("STUDY", StudyDate=before)))

    async def test_the_original_date_does_not(self) -> None:
        shield = await self.moving()
        self.assertEqual([], await shield.find(keyed("STUDY", StudyDate=FIRST.dataset.StudyDate)))

    async def test_an_answer_has_no_key_that_was_not_asked_for(self) -> None:
        shield = await self.moving()
        study = await shield.only(keyed("STUDY"))
        asked = Dataset()
        asked.QueryRetrieveLevel = "STUDY"
        asked.StudyInstanceUID, asked.StudyDate = None, study.StudyDate
        (match,) = await shield.find(asked)
        self.assertNotIn("PatientID", match)

    async def test_a_birth_date_is_no_key_either_way(self) -> None:
        shield = await self.moving()
        self.assertEqual([], await shield.find(keyed("STUDY", PatientBirthDate=FIRST.dataset.PatientBirthDate)))

    async def test_two_patients_are_kept_apart_by_their_dates(self) -> None:
        shield = await self.shield(FIRST, SECOND, options=[OPTION])
        studies = await shield.find(keyed("STUDY"))
        # Both were planted with the same date, so only the two shifts tell them apart.
        shown = {match.StudyInstanceUID: match.StudyDate for match in studies}
        self.assertEqual(2, len(set(shown.values())))
        for study, when in shown.items():
            found = await shield.find(keyed("STUDY", StudyDate=when))
            self.assertEqual([study], [match.StudyInstanceUID for match in found])


class FullDates(Shielded):
    """Dates may be kept as they are; nothing else is."""

    async def test_dates_and_times_alone_are_seen(self) -> None:
        shield = await self.shield(FIRST, options=["retain-longitudinal-full-dates"])
        study = await shield.only(keyed("STUDY"))
        self.assertEqual(FIRST.dataset.StudyDate, study.StudyDate)
        self.assertEqual({}, shield.leaks([marker for marker in FIRST.markers if not of_time(marker)]))

    async def test_a_range_of_dates_finds(self) -> None:
        shield = await self.shield(FIRST, options=["retain-longitudinal-full-dates"])
        when = day(FIRST.dataset.StudyDate)
        self.assertEqual(1, len(await shield.find(keyed("STUDY", StudyDate=f"{written(when)}-{written(when)}"))))


def of_time(marker: Marker) -> bool:
    """Whether it is a date or a time of day."""
    return marker.vr in ("DA", "TM", "DT")
