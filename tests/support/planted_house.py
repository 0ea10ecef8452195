"""A proxy between originals and pseudonyms, with planted objects on one side and every way out recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from twisted.trial.unittest import TestCase

from tests.support import pynetdicom_scu
from tests.support.dcmtk import Peer, storescp
from tests.support.objects import Sample
from tests.support.orthanc import Orthanc, orthanc
from tests.support.planted import Planted
from tests.support.planted_markers import Marker, found
from tests.support.planted_wire import Wire
from tests.support.process import free_port, scratch
from tests.support.proxy import CALLED, TITLE, ProxyProcess, application, relay

DESTINATION: Final = "CLIENT"
"""The title that a C-MOVE may name; it listens behind a wire of its own."""

SHIELD: Final = "shield"

_KEY: Final = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXMgbG8="
"""Always the same, so that no marker appears in a pseudonym by chance in one run and not in the next."""

LEVEL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyTime"),
        *("AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName"),
    ),
    "SERIES": (
        *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesDescription"),
        *("SeriesDate", "ProtocolName", "OperatorsName", "InstitutionName", "StationName"),
    ),
    "IMAGE": (
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "InstanceNumber",
        "ImageComments",
    ),
}
"""What the queries of the tests ask for at each level."""


def keyed(level: str, **values: Any) -> Dataset:
    """The identifier of a C-FIND: every key of a level, those named with a value."""
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword in LEVEL_KEYS[level]:
        setattr(ds, keyword, None)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


@attrs.define
class House:
    """
    The proxy and what is around it.

    @ivar caller: the wire between callers and the proxy.
    @ivar outbound: the wire between the proxy and the archive.
    @ivar delivery: the wire between the proxy and the destination of C-MOVEs.
    @ivar stored: the planted objects as files, in the order in which they were planted.
    """

    proxy: ProxyProcess
    destination: Peer
    caller: Wire
    outbound: Wire
    delivery: Wire
    data_dir: Path
    objects: Sequence[Planted]
    stored: Sequence[Sample]
    _orthanc: Orthanc | None = None
    title: str = CALLED

    @property
    def archive(self) -> Orthanc:
        """The archive, in a house that has an Orthanc for it."""
        assert self._orthanc is not None
        return self._orthanc

    @property
    def port(self) -> int:
        """Where callers call."""
        return self.caller.port

    @property
    def markers(self) -> list[Marker]:
        """Those of all planted objects."""
        # Those of patient and study are in each of the objects of one subject.
        return list({(it.place, it.text, it.binary): it for one in self.objects for it in one.markers}.values())

    async def find(self, identifier: Dataset, model: str = STUDY_FIND) -> list[Dataset]:
        """The matches of a C-FIND that must succeed."""
        answers = await self.answers(identifier, model)
        if answers[-1][0] != 0x0000:
            raise AssertionError(f"the C-FIND ended with {answers[-1][0]:04X}")
        return [match for status, match in answers if status in (0xFF00, 0xFF01) and match is not None]

    async def answers(self, identifier: Dataset, model: str = STUDY_FIND) -> list[tuple[int, Dataset | None]]:
        """All that a C-FIND is answered."""
        return await pynetdicom_scu.find(self.port, self.title, DESTINATION, model, identifier)

    async def only(self, identifier: Dataset) -> Dataset:
        """The one match of a C-FIND."""
        matches = await self.find(identifier)
        if len(matches) != 1:
            raise AssertionError(f"{len(matches)} matches instead of one")
        return matches[0]

    def kept(self) -> bytes:
        """All that the proxy keeps on disk, but for its key."""
        return b"\0".join(path.read_bytes() for path in self.data_dir.rglob("*") if path.is_file())

    def leaks(self, markers: Iterable[Marker] | None = None) -> dict[str, list[str]]:
        """
        The markers on the side of callers, in the log, and on disk; by way out, and only those with any.

        What callers themselves sent does not count.
        """
        wanted = self.markers if markers is None else list(markers)
        ways = {
            "towards the caller": self.caller.leaks_to_caller(wanted),
            "towards the destination": self.delivery.leaks_to_target(wanted),
            "in the log": found(wanted, self.proxy.log.encode()),
            "on disk": found(wanted, self.kept()),
        }
        return {way: places for way, places in ways.items() if places}

    def leaks_outward(self, markers: Iterable[Marker] | None = None) -> dict[str, list[str]]:
        """The markers on the side of the archive, in the log, and on disk, for an archive that holds pseudonyms."""
        wanted = self.markers if markers is None else list(markers)
        ways = {
            "towards the archive": self.outbound.leaks_to_target(wanted),
            "in the log": found(wanted, self.proxy.log.encode()),
            "on disk": found(wanted, self.kept()),
        }
        return {way: places for way, places in ways.items() if places}


def key_file(case: TestCase) -> str:
    """A file with the key of the tests."""
    path = scratch(case) / "privacy.key"
    path.write_text(f"{_KEY}\n")
    path.chmod(0o600)
    return str(path)


def policy(case: TestCase, **changes: Any) -> dict[str, Any]:
    """
    The settings of a privacy policy: pseudonyms of the vault, basic profile, on the way from originals outside.

    Secondary captures and documents are planted, so what is said to show text passes unless a test says otherwise.
    """
    return {
        "originals": "outbound",
        "pseudonyms": "vault",
        "key": {"file": key_file(case)},
        "profile": "basic",
        "burned_in": "pass",
        **changes,
    }


async def house(
    case: TestCase, objects: Iterable[Planted] = (), *, privacy: Mapping[str, Any] | None, **settings: Any
) -> House:
    """
    Start an Orthanc with planted objects, the proxy before it, and a destination behind it.

    @param privacy: of the route, as `policy` makes it; None for a plain relay.
    @param settings: more of `relay`.
    """
    at = free_port()
    archive = await orthanc(case, {TITLE: at}, UnknownSopClassAccepted=True)
    built = await house_before(case, archive.port, archive.title, objects, at=at, privacy=privacy, **settings)
    await archive.upload(built.stored)
    return attrs.evolve(built, orthanc=archive)


async def house_before(
    case: TestCase,
    port: int,
    title: str,
    objects: Iterable[Planted] = (),
    *,
    at: int = 0,
    privacy: Mapping[str, Any] | None,
    **settings: Any,
) -> House:
    """
    Start the proxy before any archive, and a destination behind it.

    @param objects: those that the archive holds, or will be sent.
    @param at: the port of the proxy, for an archive that must know it.
    """
    at, data_dir, files = at or free_port(), scratch(case), scratch(case)
    destination = await storescp(case, title=DESTINATION)
    caller, outbound = Wire.before(case, at), Wire.before(case, port)
    delivery = Wire.before(case, destination.port)
    if privacy is not None:
        settings = {"route": {"privacy": SHIELD}, "privacy": {SHIELD: dict(privacy)}, **settings}
    proxy = await ProxyProcess.start(
        case,
        relay(
            at,
            outbound.port,
            title,
            applications={DESTINATION: application(delivery.port)},
            data_dir=str(data_dir),
            **settings,
        ),
        at,
    )
    planted = list(objects)
    stored = [one.write(files) for one in planted]
    return House(proxy, destination, caller, outbound, delivery, data_dir, planted, stored)
