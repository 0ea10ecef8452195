"""A shield whose pseudonyms come from gPAS, with the field lists of DicomShield."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom import dcmread
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE
from ruamel.yaml import YAML

from tests import CHECKOUT
from tests.e2e.test_shield import Shielded
from tests.support import pynetdicom_scu
from tests.support.fhir import Domain
from tests.support.gpas import GpasStandIn
from tests.support.planted import Planted, planted
from tests.support.planted_house import DESTINATION, House, house, keyed, policy
from tests.support.planted_markers import Marker, of_keywords
from tests.support.process import until
from tests.support.pynetdicom_scu import study_level

OBJECTS = (planted("ct"), planted("ct", "implicit", number=2), planted("report", number=3))
FIRST = OBJECTS[0].dataset


class ShortUids(Domain):
    """A domain of which every pseudonym is a valid UID that fits Study ID, too."""

    def pseudonym(self, original: str) -> str:
        if original not in self.pseudonyms:
            self.put(original, f"2.25.{10_000_000 + len(self.pseudonyms)}")
        return self.pseudonyms[original]


def shipped() -> dict[str, Any]:
    """The policy of the DicomShield configuration that ships."""
    config = YAML(typ="safe").load((CHECKOUT / "tap-configs" / "dicomshield.yaml").read_text())
    return dict(config["privacy"]["shield"])


class WithGpas(Shielded):
    """A stand-in for gPAS beside the shield."""

    def gpas(self, *domains: Domain) -> GpasStandIn:
        """The service, until the test ends; it must have been asked as its interface wants it."""
        service = GpasStandIn(*(domains or [ShortUids("DicomShield")]))
        service.start()
        self.addCleanup(service.stop)
        self.addCleanup(lambda: self.assertEqual([], service.violations))
        return service

    async def before_orthanc(self, service: GpasStandIn, objects: Sequence[Planted], **changes: Any) -> House:
        """Start all of it, with what the proxy asks of each domain at its start behind it."""
        shield = await house(self, objects, privacy=policy(self, **changes))
        await until(lambda: len(service.asked) == len(service.domains), "the start of the pseudonyms")
        service.asked.clear()
        return shield

    async def move(self, shield: House) -> pynetdicom_scu.Retrieve:
        """Move the only study to the destination."""
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        return await pynetdicom_scu.move(
            shield.port, shield.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )


class DicomShield(WithGpas):
    """`tap-configs/dicomshield.yaml`, with one domain for everything."""

    async def dicomshield(self, service: GpasStandIn, *objects: Planted) -> House:
        source = {**shipped()["pseudonyms"]["gpas"], "url": service.url}
        changes = {**shipped(), "pseudonyms": {"gpas": source}}
        return await self.before_orthanc(service, objects or OBJECTS, **changes)

    def protected(self) -> list[Marker]:
        """The markers of the attributes that the lists name."""
        lists = shipped()
        keywords = [*lists["pseudonymise"], *lists["remove"]]
        return [it for one in OBJECTS for it in of_keywords(one.markers, keywords) if "Private" not in it.place]

    async def test_a_query_shows_none_of_the_fields(self) -> None:
        shield = await self.dicomshield(self.gpas())
        await shield.only(keyed("STUDY"))
        self.assertEqual({}, shield.leaks(self.protected()))

    async def test_a_field_that_is_not_listed_shows(self) -> None:
        shield = await self.dicomshield(self.gpas())
        match = await shield.only(keyed("STUDY"))
        self.assertEqual(FIRST.StudyDescription, match.StudyDescription)

    async def test_a_move_delivers_none_of_the_fields(self) -> None:
        shield = await self.dicomshield(self.gpas())
        outcome = await self.move(shield)
        self.assertEqual((len(OBJECTS), 0, 0), outcome.counters)
        self.assertEqual({}, shield.leaks(self.protected()))

    async def test_what_an_object_must_have_is_delivered_empty(self) -> None:
        shield = await self.dicomshield(self.gpas())
        await self.move(shield)
        files = [path for path in shield.destination.folder.rglob("*") if path.is_file()]
        found = [dcmread(path, stop_before_pixels=True) for path in files]
        expected = [("", None)] * len(OBJECTS)
        self.assertEqual(expected, [(ds["PatientBirthDate"].value, ds.get("InstitutionName")) for ds in found])

    async def test_the_pseudonyms_are_those_of_the_domain(self) -> None:
        service = self.gpas()
        shield = await self.dicomshield(service)
        match, domain = await shield.only(keyed("STUDY")), service.domains["DicomShield"]
        for keyword in ("PatientID", "StudyInstanceUID", "StudyID"):
            self.assertEqual(domain.pseudonyms[str(FIRST[keyword].value)], match[keyword].value)

    async def test_a_pseudonym_finds_its_study(self) -> None:
        service = self.gpas()
        shield = await self.dicomshield(service)
        match = await shield.only(keyed("STUDY"))
        self.assertEqual(match, await shield.only(keyed("STUDY", StudyInstanceUID=match.StudyInstanceUID)))

    async def test_a_pseudonym_that_only_gpas_knows_finds_its_study(self) -> None:
        service = self.gpas()
        domain = service.domains["DicomShield"]
        shield = await self.dicomshield(service)
        known = domain.pseudonym(str(FIRST.StudyInstanceUID))
        self.assertEqual(known, (await shield.only(keyed("STUDY", StudyInstanceUID=known))).StudyInstanceUID)

    async def test_a_removed_field_is_no_key(self) -> None:
        shield = await self.dicomshield(self.gpas())
        self.assertEqual([], await shield.find(keyed("STUDY", PatientBirthDate=FIRST.PatientBirthDate)))

    async def test_an_original_finds_nothing(self) -> None:
        shield = await self.dicomshield(self.gpas())
        self.assertEqual([], await shield.find(keyed("STUDY", StudyInstanceUID=FIRST.StudyInstanceUID)))

    async def test_nothing_of_it_is_logged(self) -> None:
        shield = await self.dicomshield(self.gpas())
        await self.move(shield)
        self.assertNotIn("in the log", shield.leaks())

    async def test_values_are_asked_for_in_batches(self) -> None:
        objects = [planted("ct", number=number) for number in range(1, 9)]
        service = self.gpas()
        shield = await self.dicomshield(service, *objects)
        study = (await shield.only(keyed("STUDY"))).StudyInstanceUID
        series = (await shield.only(keyed("SERIES", StudyInstanceUID=study))).SeriesInstanceUID
        service.asked.clear()
        await shield.find(keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series))
        # Eight answers, eight new UIDs; all else is known already.
        self.assertEqual(8, sum(map(len, service.asked)))
        self.assertLess(len(service.asked), 8)


class ByKind(WithGpas):
    """Patients from gPAS, UIDs from the vault."""

    async def shielded(self, service: GpasStandIn) -> House:
        source = {"url": service.url, "domains": {"patient": "patients"}}
        return await self.before_orthanc(service, OBJECTS, pseudonyms={"gpas": source})

    async def test_each_kind_has_its_own_source(self) -> None:
        service = self.gpas(Domain("patients"))
        match = await (await self.shielded(service)).only(keyed("STUDY"))
        self.assertEqual(service.domains["patients"].pseudonyms[FIRST.PatientID], match.PatientID)
        self.assertRegex(match.StudyInstanceUID, r"\A2\.25\.[1-9][0-9]{20,38}\Z")

    async def test_the_service_is_asked_for_patients_alone(self) -> None:
        service = self.gpas(Domain("patients"))
        shield = await self.shielded(service)
        await self.move(shield)
        patients = {str(marker.text) for marker in of_keywords(shield.markers, ["PatientID"])}
        self.assertEqual(set(), {value for values in service.asked for value in values} - patients)

    async def test_nothing_shows(self) -> None:
        shield = await self.shielded(self.gpas(Domain("patients")))
        await self.move(shield)
        self.uncovered(shield)
