"""
A policy in front of the archive, in one configuration with no other software.

As a shield, the archive holds originals, and callers of one route see pseudonyms of them. As an export gateway, the
archive holds pseudonyms, and callers see originals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pydicom
from pydicom.dataset import Dataset
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as STUDY_MOVE

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.archive import LOCAL, ArchiveCase, ArchiveProxy
from tests.support.dcmtk import Peer, storescp
from tests.support.objects import Sample
from tests.support.planted import CHARACTER_SETS, planted
from tests.support.planted_house import DESTINATION, SHIELD, keyed, policy
from tests.support.planted_markers import Marker, found
from tests.support.planted_wire import Wire
from tests.support.process import free_port, scratch
from tests.support.proxy import CALLED
from tests.support.pynetdicom_scu import Retrieve, study_level

OBJECTS = (planted("ct"), planted("report", "implicit", CHARACTER_SETS[2], number=2), planted("plan", number=3))
"""One study of one patient."""

ORIGINAL = OBJECTS[0].dataset
INSIDE = "INSIDE"
"""The title that the proxy has for callers who may see what the archive holds."""

IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def identifiers(data_sets: Iterable[Dataset]) -> set[str]:
    """What objects are known by."""
    return {str(ds[keyword].value) for ds in data_sets for keyword in IDENTIFIERS}


ORIGINALS = identifiers(one.dataset for one in OBJECTS)


@attrs.define
class Fronted:
    """An archive with a policy before it; a wire to its callers, and one to the destination of C-MOVEs."""

    archive: ArchiveProxy
    caller: Wire
    delivery: Wire
    destination: Peer
    stored: Sequence[Sample]

    @property
    def markers(self) -> list[Marker]:
        """Those of all objects."""
        return [marker for one in OBJECTS for marker in one.markers]

    def delivered(self) -> list[Dataset]:
        """What came to the destination."""
        return [pydicom.dcmread(path) for path in sorted(self.destination.folder.rglob("*")) if path.is_file()]

    async def find(self, identifier: Dataset, model: str = STUDY_FIND) -> list[Dataset]:
        """The matches that a caller is shown."""
        answers = await pynetdicom_scu.find(self.caller.port, CALLED, DESTINATION, model, identifier)
        if answers[-1][0] != 0x0000:
            raise AssertionError(f"the C-FIND ended with {answers[-1][0]:04X}")
        return [match for _, match in answers if match is not None]

    async def get(self, study: str) -> Retrieve:
        """A C-GET of a study by a caller."""
        return await pynetdicom_scu.get(
            self.caller.port, CALLED, DESTINATION, STUDY_GET, study_level(study), self.stored
        )

    async def move(self, study: str) -> Retrieve:
        """A C-MOVE of a study to the destination."""
        return await pynetdicom_scu.move(
            self.caller.port, CALLED, DESTINATION, STUDY_MOVE, study_level(study), DESTINATION
        )


class Fronting(ArchiveCase, EndToEnd):
    """What both policies have in common."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def fronted(self, originals: str, title: str, *takes: str) -> Fronted:
        """Start it, and store the objects with the title; `takes` are options of the destination."""
        destination = await storescp(self, *takes, title=DESTINATION)
        delivery = Wire.before(self, destination.port)
        settings: dict[str, Any] = {
            "routes": [
                {"called": INSIDE, "outbound": LOCAL},
                {"called": CALLED, "outbound": LOCAL, "privacy": SHIELD},
            ],
            "privacy": {SHIELD: policy(self, originals=originals)},
        }
        at = free_port()
        archive = await self.archive_proxy(port=at, destinations={DESTINATION: delivery.port}, **settings)
        stored = [one.write(files) for files in [scratch(self)] for one in OBJECTS]
        statuses = await pynetdicom_scu.store(at, title, DESTINATION, stored)
        self.assertEqual([0x0000] * len(OBJECTS), statuses)
        return Fronted(archive, Wire.before(self, at), delivery, destination, stored)


class Shield(Fronting):
    """The archive holds originals."""

    async def shield(self) -> Fronted:
        return await self.fronted("outbound", INSIDE)

    async def study(self, shield: Fronted) -> str:
        """The pseudonym of the study."""
        [match] = await shield.find(keyed("STUDY"))
        return str(match.StudyInstanceUID)

    def uncovered(self, shield: Fronted) -> None:
        """No marker came to the caller or the destination, nor into the log."""
        leaks = {
            "to the caller": shield.caller.leaks_to_caller(shield.markers),
            "to the destination": shield.delivery.leaks_to_target(shield.markers),
            "in the log": found(shield.markers, shield.archive.proxy.log.encode()),
        }
        self.assertEqual({way: [] for way in leaks}, leaks)

    async def test_without_the_policy_the_markers_show(self) -> None:
        shield = await self.shield()
        await pynetdicom_scu.find(shield.caller.port, INSIDE, DESTINATION, STUDY_FIND, keyed("STUDY"))
        self.assertLess(5, len(shield.caller.leaks_to_caller(shield.markers)))

    async def test_find_at_every_level(self) -> None:
        shield = await self.shield()
        counts = [len(await shield.find(keyed("PATIENT"), PATIENT_FIND))]
        study = await self.study(shield)
        series = await shield.find(keyed("SERIES", StudyInstanceUID=study))
        counts.append(len(series))
        for one in series:
            uid = one.SeriesInstanceUID
            counts.append(len(await shield.find(keyed("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=uid))))
        self.assertEqual([1, 3, 1, 1, 1], counts)
        self.uncovered(shield)

    async def test_an_original_finds_nothing(self) -> None:
        shield = await self.shield()
        self.assertEqual([], await shield.find(keyed("STUDY", StudyInstanceUID=ORIGINAL.StudyInstanceUID)))
        self.assertEqual([], await shield.find(keyed("STUDY", PatientID=ORIGINAL.PatientID)))

    async def test_get(self) -> None:
        shield = await self.shield()
        outcome = await shield.get(await self.study(shield))
        self.assertEqual((0x0000, (len(OBJECTS), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(len(OBJECTS), len({uid for uid, _ in outcome.received} - ORIGINALS))
        self.uncovered(shield)

    async def test_move(self) -> None:
        shield = await self.shield()
        outcome = await shield.move(await self.study(shield))
        self.assertEqual((0x0000, (len(OBJECTS), 0, 0)), (outcome.final.Status, outcome.counters))
        arrived = shield.delivered()
        self.assertEqual(len(OBJECTS), len(arrived))
        self.assertEqual(set(), identifiers(arrived) & ORIGINALS)
        self.uncovered(shield)

    async def test_a_move_of_an_original_moves_nothing(self) -> None:
        shield = await self.shield()
        outcome = await shield.move(str(ORIGINAL.StudyInstanceUID))
        self.assertEqual(((0, 0, 0), []), (outcome.counters, shield.delivered()))


class Export(Fronting):
    """The archive holds pseudonyms, and callers have originals."""

    async def gateway(self, *takes: str) -> Fronted:
        return await self.fronted("inbound", CALLED, *takes)

    def covered(self, gateway: Fronted) -> None:
        """No marker is in what the proxy keeps, nor in its log."""
        paths: list[Path] = [path for path in gateway.archive.data_dir.rglob("*") if path.is_file()]
        index = gateway.archive.database_content()
        self.assertLessEqual(len(OBJECTS), len(paths))
        self.assertIn(str(ORIGINAL.SOPClassUID).encode(), index)
        self.assertEqual([], found(gateway.markers, b"\0".join([*(path.read_bytes() for path in paths), index])))
        self.assertEqual([], found(gateway.markers, gateway.archive.proxy.log.encode()))

    async def test_what_is_kept_is_pseudonyms(self) -> None:
        self.covered(await self.gateway())

    async def test_an_original_finds_itself(self) -> None:
        gateway = await self.gateway()
        [match] = await gateway.find(keyed("STUDY", StudyInstanceUID=ORIGINAL.StudyInstanceUID))
        self.assertEqual(ORIGINAL.PatientID, match.PatientID)
        self.covered(gateway)

    async def test_get(self) -> None:
        gateway = await self.gateway()
        outcome = await gateway.get(str(ORIGINAL.StudyInstanceUID))
        self.assertEqual((0x0000, (len(OBJECTS), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(
            sorted(str(one.dataset.SOPInstanceUID) for one in OBJECTS), sorted(uid for uid, _ in outcome.received)
        )
        self.covered(gateway)

    async def test_move_to_one_that_takes_nothing_but_implicit_vr(self) -> None:
        await self.moves("+xi")

    async def test_move_to_one_that_prefers_compression(self) -> None:
        await self.moves("+xa")

    async def moves(self, takes: str) -> None:
        gateway = await self.gateway(takes)
        outcome = await gateway.move(str(ORIGINAL.StudyInstanceUID))
        self.assertEqual((0x0000, (len(OBJECTS), 0, 0)), (outcome.final.Status, outcome.counters))
        self.assertEqual(ORIGINALS, identifiers(gateway.delivered()))
        self.covered(gateway)
