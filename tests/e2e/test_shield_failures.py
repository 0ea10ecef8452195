"""A pseudonym service that fails, in every way that one was seen to: nothing leaves, and the caller is told in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET
from twisted.internet.task import deferLater

from tests.e2e.base import EndToEnd
from tests.e2e.test_shield_store import failed
from tests.support import pynetdicom_scu
from tests.support.fhir import Domain, Mode
from tests.support.gpas import GpasStandIn
from tests.support.planted import planted
from tests.support.planted_house import DESTINATION, House, house_before, keyed, policy
from tests.support.planted_markers import Marker, found
from tests.support.process import PATIENCE, clock, free_port, scratch, until
from tests.support.proxy import TITLE
from tests.support.pynetdicom_scp import PynetdicomScp, everything, pynetdicom_scp
from tests.support.pynetdicom_scu import study_level

OBJECTS = (planted("ct"), planted("ct", "implicit", number=2))
STUDY = str(OBJECTS[0].dataset.StudyInstanceUID)

SPOILT = [mode for mode in Mode if mode is not Mode.WELL]

UNNOTICED = (Mode.COLLISION, Mode.INVALID)
"""When it is asked for one original: what it answers might be one."""

_BETWEEN_ATTEMPTS = 0.2


@attrs.define
class Place:
    """A house whose pseudonyms come from a service, and the archive behind it."""

    house: House
    gpas: GpasStandIn
    archive: PynetdicomScp

    @property
    def pseudonym(self) -> str:
        """Of the study; the service knows it, and nobody has asked for it yet."""
        return self.gpas.domains["uids"].pseudonym(STUDY)


class Failing(EndToEnd):
    """A service for patients and one for UIDs, neither of which is remembered for long."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def place(self, **changes: Any) -> Place:
        """Start all of it, with a service that works."""
        gpas = GpasStandIn(Domain("patients"), Domain("uids", "uid"))
        gpas.start()
        self.addCleanup(gpas.stop)
        source = {
            "url": gpas.url,
            "domains": {"patient": "patients", "study": "uids", "series": "uids", "instance": "uids", "uid": "uids"},
            "timeout": 1,
            "retries": 0,
            "cache": {"entries": 0},
        }
        at, files = free_port(), scratch(self)
        holdings = [one.write(files) for one in OBJECTS]
        archive = pynetdicom_scp(self, holdings=holdings, destinations={TITLE: at}, contexts=everything())
        settings = policy(self, **{"pseudonyms": {"gpas": source}, **changes})
        house = await house_before(self, archive.port, archive.title, OBJECTS, at=at, privacy=settings)
        # The proxy asks something of each domain at its start, which must go well: else it ends.
        await until(lambda: len(gpas.asked) == len(gpas.domains), "the start of the pseudonyms")
        return Place(house, gpas, archive)

    async def query(self, place: Place, identifier: Dataset) -> list[tuple[int, Dataset | None]]:
        return await place.house.answers(identifier, STUDY_FIND)

    async def get(self, place: Place, study: str) -> pynetdicom_scu.Retrieve:
        house = place.house
        return await pynetdicom_scu.get(
            house.port, house.title, DESTINATION, STUDY_GET, study_level(study), house.stored
        )

    async def store(self, place: Place) -> list[int]:
        house = place.house
        return await pynetdicom_scu.store(house.port, house.title, DESTINATION, house.stored)

    def uncovered(self, place: Place) -> None:
        self.assertEqual({}, place.house.leaks())

    async def recovers(self, works: Callable[[], Awaitable[bool]]) -> None:
        """Try until it works again, without a restart."""
        deadline = clock.seconds() + PATIENCE
        while not await works():
            self.assertLess(clock.seconds(), deadline, "it does not recover")
            await deferLater(clock, _BETWEEN_ATTEMPTS)


class Shield(Failing):
    """Callers live under pseudonyms."""

    async def fails(self, place: Place) -> None:
        """A query for all, one by a pseudonym, and a retrieve: none of them succeeds, and nothing shows."""
        answers = await self.query(place, keyed("IMAGE"))
        self.assertTrue(failed(answers[-1][0]), f"{answers[-1][0]:04X}")
        answers = await self.query(place, keyed("IMAGE", StudyInstanceUID=place.pseudonym))
        self.assertEqual((True, 1), (self.is_told(place, answers[-1][0]), len(answers)))
        outcome = await self.get(place, place.pseudonym)
        self.assertEqual((True, []), (self.is_told(place, outcome.final.Status), outcome.received))
        self.uncovered(place)

    def is_told(self, place: Place, status: int) -> bool:
        """Whether the status is a failure, or nobody can know better: an original may be anything, and is not found."""
        return failed(status) or (place.gpas.mode in UNNOTICED and status == 0x0000)

    async def when(self, mode: Mode) -> None:
        place = await self.place()
        place.gpas.mode = mode
        await self.fails(place)

    async def test_nothing_leaves_when_it_is_down(self) -> None:
        place = await self.place()
        await place.gpas.stop()
        await self.fails(place)

    async def test_a_retrieve_that_begins_well_delivers_nothing_of_what_could_not_be_replaced(self) -> None:
        place = await self.place()
        answered: list[bool] = []

        # The study of the identifier gets its original; from then on the service fails.
        def operate(path: str, document: Any, proceed: Callable[[str, Any], Any] = place.gpas.operate) -> Any:
            answer = proceed(path, document)
            if "dePseudonymize" in path and not answered:
                answered.append(True)
                place.gpas.mode = Mode.FAILS
            return answer

        study = place.pseudonym
        self.patch(place.gpas, "operate", operate)
        outcome = await self.get(place, study)
        self.assertEqual(([True], []), (answered, outcome.received))
        self.assertEqual((0, len(OBJECTS)), outcome.counters[:2])
        self.uncovered(place)

    async def test_a_slow_service_is_waited_for(self) -> None:
        place = await self.place()
        place.gpas.delay = 0.3
        outcome = await self.get(place, place.pseudonym)
        self.assertEqual((len(OBJECTS), 0, 0), outcome.counters)

    async def test_it_recovers_from_a_service_that_was_down(self) -> None:
        place = await self.place()
        port = place.gpas.port
        await place.gpas.stop()
        await self.fails(place)
        place.gpas.start(port)
        await self.recovers(lambda: self.finds(place))

    async def test_it_recovers_from_a_service_that_failed(self) -> None:
        place = await self.place()
        for mode in (Mode.FAILS, Mode.HANGS, Mode.HTML):
            place.gpas.mode = mode
            await self.fails(place)
        place.gpas.mode = Mode.WELL
        await self.recovers(lambda: self.finds(place))

    async def finds(self, place: Place) -> bool:
        answers = await self.query(place, keyed("IMAGE"))
        return answers[-1][0] == 0x0000 and len(answers) == len(OBJECTS) + 1


class Export(Failing):
    """Callers hold the originals, and store them through the proxy."""

    async def place(self, **changes: Any) -> Place:
        return await super().place(originals="inbound", **changes)

    async def fails(self, place: Place) -> None:
        """Every object is answered with a failure, and none of them has reached the archive."""
        statuses = await self.store(place)
        self.assertEqual(([True, True], 0), ([failed(status) for status in statuses], len(place.archive.stored)))
        self.assertEqual({}, place.house.leaks_outward())

    async def when(self, mode: Mode) -> None:
        place = await self.place()
        place.gpas.mode = mode
        await self.fails(place)

    async def test_nothing_leaves_when_it_is_down(self) -> None:
        place = await self.place()
        await place.gpas.stop()
        await self.fails(place)

    async def test_no_comment_of_a_failure_names_anybody(self) -> None:
        place = await self.place()
        place.gpas.mode = Mode.FAILS
        await self.store(place)
        # Its responses name the instances as the caller did.
        wanted = besides(place.house.markers, "SOPInstanceUID")
        self.assertEqual([], found(wanted, place.house.caller.to_caller))

    async def test_it_recovers_from_a_service_that_was_down(self) -> None:
        place = await self.place()
        port = place.gpas.port
        await place.gpas.stop()
        await self.fails(place)
        place.gpas.start(port)
        await self.recovers(lambda: self.stores(place))
        self.assertEqual({}, place.house.leaks_outward())

    async def test_a_query_does_not_leave(self) -> None:
        place = await self.place()
        place.gpas.mode = Mode.FAILS
        answers = await self.query(place, keyed("STUDY", PatientID=OBJECTS[0].dataset.PatientID))
        self.assertTrue(failed(answers[-1][0]))
        self.assertEqual(0, place.house.outbound.requests)

    async def stores(self, place: Place) -> bool:
        return await self.store(place) == [0x0000] * len(OBJECTS)


def besides(markers: Iterable[Marker], keyword: str) -> list[Marker]:
    """The markers but for those in one kind of element."""
    return [marker for marker in markers if marker.keyword != keyword]


def _test(mode: Mode) -> Callable[[Any], Awaitable[None]]:
    async def test(self: Any) -> None:
        await self.when(mode)

    test.__doc__ = f"The service answers {mode.value}."
    return test


for _case in Shield, Export:
    for _mode in SPOILT:
        setattr(_case, f"test_nothing_leaves_when_it_answers_{_mode.name.lower()}", _test(_mode))
