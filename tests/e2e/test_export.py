"""An export gateway before Orthanc: callers hold the originals, and what they store leaves under pseudonyms."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.e2e.test_shield_store import failed
from tests.support import pynetdicom_scu
from tests.support.dcmjs import dcmjs_scu
from tests.support.dcmtk import checked, scu, store
from tests.support.objects import Sample
from tests.support.orthanc import Orthanc, orthanc
from tests.support.planted import CHARACTER_SETS, Planted, every_object, planted
from tests.support.planted_house import DESTINATION, House, house_before, keyed, policy
from tests.support.planted_places import code
from tests.support.process import free_port, scratch
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scu import study_level

ALL = tuple(
    planted(one.kind, one.syntax, one.character_set, number=number) for number, one in enumerate(every_object(), 1)
)
FEW = (planted("ct"), planted("report", "implicit", CHARACTER_SETS[2], number=2), planted("plan", number=3))
FIRST = FEW[0].dataset

IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def identifiers(ds: Dataset) -> list[str]:
    """What an object is known by."""
    return [str(ds[keyword].value) for keyword in IDENTIFIERS]


class Exporting(EndToEnd):
    """The gateway, and the registry behind it, which holds nothing yet."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def gateway(self, *objects: Planted, **changes: Any) -> tuple[House, Orthanc]:
        """Start all of it; the objects are those that callers will send."""
        at = free_port()
        registry = await orthanc(self, {TITLE: at})
        settings = policy(self, originals="inbound", **changes)
        house = await house_before(self, registry.port, registry.title, objects or FEW, at=at, privacy=settings)
        return house, registry

    async def filled(self, *objects: Planted, **changes: Any) -> tuple[House, Orthanc]:
        """A registry that was sent the objects."""
        gateway, registry = await self.gateway(*objects, **changes)
        self.assertEqual({0x0000}, set(await self.send(gateway, gateway.stored)))
        return gateway, registry

    async def send(self, gateway: House, objects: Any) -> list[int]:
        return await pynetdicom_scu.store(gateway.port, gateway.title, DESTINATION, objects)

    async def held(self, registry: Orthanc) -> list[Dataset]:
        """What the registry holds."""
        instances = await registry.rest("GET", "/instances")
        return [pydicom.dcmread(BytesIO(await registry.attachment(one))) for one in instances]

    def covered(self, gateway: House) -> None:
        """No marker went to the registry, into the log or to the disk."""
        self.assertEqual({}, gateway.leaks_outward())


class Store(Exporting):
    """C-STORE towards the registry."""

    async def test_every_kind_in_every_transfer_syntax(self) -> None:
        gateway, registry = await self.filled(*ALL)
        self.assertEqual(len(ALL), len(await registry.rest("GET", "/instances")))
        self.covered(gateway)

    async def test_every_character_set(self) -> None:
        objects = [planted("report", "explicit", each, number=at) for at, each in enumerate(CHARACTER_SETS, 1)]
        gateway, _ = await self.filled(*objects)
        self.covered(gateway)

    async def test_storescu(self) -> None:
        gateway, registry = await self.gateway()
        await store(self, gateway.port, gateway.title, "STORESCU", gateway.stored)
        self.assertEqual(len(FEW), len(await self.held(registry)))
        self.covered(gateway)

    async def test_dcmjs(self) -> None:
        gateway, registry = await self.gateway()
        paths = [str(one.path) for one in gateway.stored]
        answers = await dcmjs_scu(self, "store", gateway.port, gateway.title, "DCMJS", *paths)
        self.assertEqual([0x0000] * len(FEW), [answer["status"] for answer in answers])
        self.assertEqual(len(FEW), len(await self.held(registry)))
        self.covered(gateway)

    async def test_the_objects_of_a_study_stay_together(self) -> None:
        _, registry = await self.filled()
        objects = await self.held(registry)
        self.assertEqual(1, len({(ds.PatientID, ds.StudyInstanceUID) for ds in objects}))
        self.assertEqual(len(FEW), len({ds.SeriesInstanceUID for ds in objects}))

    async def test_an_object_that_is_sent_again_is_the_same(self) -> None:
        gateway, registry = await self.filled()
        await self.send(gateway, gateway.stored)
        self.assertEqual(len(FEW), len(await self.held(registry)))

    async def test_pixels_are_untouched(self) -> None:
        _, registry = await self.filled(planted("ct"))
        (ds,) = await self.held(registry)
        self.assertEqual(FIRST.PixelData, ds.PixelData)

    async def test_what_is_said_to_show_text_does_not_leave(self) -> None:
        gateway, registry = await self.gateway(planted("secondary-capture"), planted("pdf"), burned_in="refuse")
        statuses = await self.send(gateway, gateway.stored)
        self.assertEqual(([True, True], []), ([failed(status) for status in statuses], await self.held(registry)))
        self.covered(gateway)

    async def test_what_names_the_patient_in_a_kept_place_does_not_leave(self) -> None:
        one = planted("ct")
        one.dataset.ProcedureCodeSequence = [code("1", "99TEST", f"CT of {str(one.dataset.PatientName).split('^')[0]}")]
        gateway, registry = await self.gateway(one)
        (status,) = await self.send(gateway, gateway.stored)
        self.assertEqual((True, []), (failed(status), await self.held(registry)))
        self.covered(gateway)

    async def test_the_others_of_an_association_leave(self) -> None:
        gateway, registry = await self.gateway(planted("ct"), planted("secondary-capture"), burned_in="refuse")
        statuses = await self.send(gateway, gateway.stored)
        self.assertEqual([0x0000, True], [statuses[0], failed(statuses[1])])
        self.assertEqual(1, len(await self.held(registry)))


class Query(Exporting):
    """Callers ask with originals, and are answered with originals."""

    async def test_by_the_patient(self) -> None:
        gateway, _ = await self.filled()
        match = await gateway.only(keyed("STUDY", PatientID=FIRST.PatientID))
        self.assertEqual([FIRST.PatientID, FIRST.StudyInstanceUID], [match.PatientID, match.StudyInstanceUID])
        self.covered(gateway)

    async def test_by_the_study(self) -> None:
        gateway, _ = await self.filled()
        matches = await gateway.find(keyed("SERIES", StudyInstanceUID=FIRST.StudyInstanceUID))
        self.assertCountEqual(
            [one.dataset.SeriesInstanceUID for one in FEW], [match.SeriesInstanceUID for match in matches]
        )
        self.covered(gateway)

    async def test_for_all(self) -> None:
        gateway, _ = await self.filled()
        self.assertEqual(FIRST.StudyInstanceUID, (await gateway.only(keyed("STUDY"))).StudyInstanceUID)

    async def test_another_patient_is_not_found(self) -> None:
        gateway, _ = await self.filled()
        self.assertEqual([], await gateway.find(keyed("STUDY", PatientID="SOMEBODY ELSE")))

    async def test_what_the_registry_does_not_have_is_no_key(self) -> None:
        gateway, _ = await self.filled()
        before = gateway.outbound.requests
        for keyword in ("PatientName", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName"):
            asked = keyed("STUDY", **{keyword: FIRST[keyword].value})
            asked.SpecificCharacterSet = "ISO_IR 100"
            self.assertEqual([], await gateway.find(asked), keyword)
        self.assertEqual(before, gateway.outbound.requests)

    async def test_an_object_of_somebody_else_is_found_as_it_is(self) -> None:
        gateway, registry = await self.gateway()
        stranger = planted("ct", subject="stranger")
        await registry.upload([stranger.write(scratch(self))])
        self.assertEqual(stranger.dataset.PatientID, (await gateway.only(keyed("STUDY"))).PatientID)


class Retrieve(Exporting):
    """What comes back from the registry has its originals again."""

    async def test_get(self) -> None:
        gateway, _ = await self.filled()
        outcome = await self.get(gateway, str(FIRST.StudyInstanceUID), gateway.stored)
        self.assertEqual((0x0000, (len(FEW), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertCountEqual([one.sop_instance for one in gateway.stored], [uid for uid, _ in outcome.received])
        self.covered(gateway)

    async def get(self, gateway: House, study: str, objects: Any) -> pynetdicom_scu.Retrieve:
        return await pynetdicom_scu.get(
            gateway.port, gateway.title, DESTINATION, STUDY_GET, study_level(study), objects
        )

    async def test_move(self) -> None:
        gateway, _ = await self.filled()
        study = str(FIRST.StudyInstanceUID)
        outcome = await pynetdicom_scu.move(
            gateway.port, gateway.title, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )
        self.assertEqual((len(FEW), 0, 0), outcome.counters)
        arrived = [pydicom.dcmread(path) for path in gateway.destination.folder.rglob("*") if path.is_file()]
        self.assertCountEqual([identifiers(one.dataset) for one in FEW], [identifiers(ds) for ds in arrived])
        self.covered(gateway)

    async def test_getscu(self) -> None:
        (gateway, _), folder = await self.filled(), scratch(self)
        words = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={FIRST.StudyInstanceUID}")
        options = ["-S", "+B", "-od", str(folder), *words]
        await checked(self, scu("getscu", gateway.port, gateway.title, "GETSCU", options=options))
        arrived = [pydicom.dcmread(path) for path in folder.iterdir()]
        self.assertCountEqual([identifiers(one.dataset) for one in FEW], [identifiers(ds) for ds in arrived])

    async def test_a_uid_of_somebody_else_is_replaced_like_any_other(self) -> None:
        gateway, registry = await self.gateway()
        stranger: Sample = planted("ct", subject="stranger").write(scratch(self))
        await registry.upload([stranger])
        outcome = await self.get(gateway, stranger.study, [stranger])
        # Whether a UID is the caller's or the registry's own cannot be known, so none leaves.
        self.assertEqual(((0, 0, 0), []), (outcome.counters, outcome.received))
        self.assertNotIn(stranger.study.encode(), gateway.outbound.to_target)

    async def test_a_study_that_was_never_sent_is_not_there(self) -> None:
        gateway, _ = await self.filled()
        outcome = await self.get(gateway, "1.2.826.0.1.3680043.10.1234.5", gateway.stored)
        self.assertEqual(((0, 0, 0), []), (outcome.counters, outcome.received))
