"""Two processes that share one archive: its database, and its files."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.archive import ArchiveCase, ArchiveProxy, OnPostgreSQL
from tests.support.flapping import flapping
from tests.support.objects import archive_samples
from tests.support.process import at_once, scratch, until
from tests.support.proxy import CALLED
from tests.support.pynetdicom_scu import study_level

OBJECTS = archive_samples()
STUDIES = sorted({one.study for one in OBJECTS})
HALF = len(OBJECTS) // 2
SUCCESS = 0x0000
ON_DUTY = "this process looks after the archive"
TAKES_OVER = 60.0
"""Seconds, and much more than it should take."""


class TwoOnOne(ArchiveCase, EndToEnd):
    """Two proxies with one folder."""

    def setUp(self) -> None:
        self.needs_proxy()

    async def pair(self) -> tuple[ArchiveProxy, ArchiveProxy]:
        folder = scratch(self)
        return await self.archive_proxy(data_dir=folder), await self.archive_proxy(data_dir=folder)

    async def shows_all(self, archive: ArchiveProxy) -> None:
        """Every study is found, and every object comes as it was stored."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = ""
        answers = await pynetdicom_scu.find(archive.port, CALLED, "FINDER", STUDY_FIND, identifier)
        self.assertEqual(STUDIES, sorted(str(match.StudyInstanceUID) for _, match in answers if match is not None))
        received = []
        for study in STUDIES:
            outcome = await pynetdicom_scu.get(archive.port, CALLED, "GETTER", STUDY_GET, study_level(study), OBJECTS)
            received += outcome.received
        self.assertEqual(sorted((one.sop_instance, one.data_set) for one in OBJECTS), sorted(received))

    async def verified(self, archive: ArchiveProxy) -> None:
        """`verify` finds each object once."""
        result = await archive.command(self, "verify")
        self.assertEqual(0, result.code, result.output)
        self.assertIn(f"{len(OBJECTS)} files are whole, 0 damaged, 0 missing, 0 unreadable; 0 more", result.output)

    async def test_what_one_stores_the_other_shows(self) -> None:
        first, second = await self.pair()
        statuses = await pynetdicom_scu.store(first.port, CALLED, "SENDER", OBJECTS)
        self.assertEqual([SUCCESS] * len(OBJECTS), statuses)
        await self.shows_all(second)

    async def test_both_store_halves_of_the_same_studies_at_once(self) -> None:
        first, second = await self.pair()
        statuses = await at_once(
            pynetdicom_scu.store(first.port, CALLED, "SENDER", OBJECTS[::2]),
            pynetdicom_scu.store(second.port, CALLED, "SENDER", OBJECTS[1::2]),
        )
        self.assertEqual({SUCCESS}, {status for some in statuses for status in some})
        await self.shows_all(first)
        await self.verified(second)

    async def test_both_store_the_same_at_once(self) -> None:
        first, second = await self.pair()
        statuses = await at_once(
            *(pynetdicom_scu.store(archive.port, CALLED, "SENDER", OBJECTS) for archive in (first, second) * 2)
        )
        self.assertEqual({SUCCESS}, {status for some in statuses for status in some})
        await self.shows_all(second)
        await self.verified(first)

    async def test_one_is_killed_and_the_other_goes_on(self) -> None:
        first, second = await self.pair()
        await pynetdicom_scu.store(first.port, CALLED, "SENDER", OBJECTS[:HALF])
        await first.proxy.process.kill()
        self.assertEqual(
            [SUCCESS] * (len(OBJECTS) - HALF),
            await pynetdicom_scu.store(second.port, CALLED, "SENDER", OBJECTS[HALF:]),
        )
        await self.shows_all(second)
        await self.verified(second)


class Takeover(ArchiveCase, EndToEnd):
    """What goes on by itself goes on when the process that did it is killed."""

    timeout = 120

    def setUp(self) -> None:
        self.needs_proxy()

    async def test_what_a_killed_one_did_not_send_the_other_sends(self) -> None:
        peer = flapping(self)
        peer.is_calm = True
        folder = scratch(self)
        settings: dict[str, Any] = {
            "archive": {"study_timeout": 1, "dispatch": [{"to": "pacs"}]},
            "outbound": {"pacs": {"dimse": {"connect": f"tcp:127.0.0.1:{peer.port}", "ae_title": "FLAPPING"}}},
        }
        first = await self.archive_proxy(data_dir=folder, **settings)
        await until(lambda: ON_DUTY in first.proxy.log, "the first one to be on duty")
        second = await self.archive_proxy(data_dir=folder, **settings)
        await first.proxy.process.kill()
        await pynetdicom_scu.store(second.port, CALLED, "SENDER", OBJECTS)
        await until(lambda: len(peer.taken) == len(OBJECTS), "everything to be sent", TAKES_OVER)
        self.assertIn(ON_DUTY, second.proxy.log)


class TwoOnPostgreSQL(OnPostgreSQL, TwoOnOne):
    """Two proxies with one folder and one PostgreSQL."""
