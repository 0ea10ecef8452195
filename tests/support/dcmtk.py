"""DCMTK's applications as peers: storage, query and retrieve, worklist and print SCPs, and the SCUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import attrs
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from twisted.trial.unittest import TestCase

from tests.support.objects import Sample, data_sets_in
from tests.support.process import Process, Result, executable, free_port, run, scratch

PROPOSALS: Mapping[str, str] = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.57": "-xs",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}
"""The option of storescu that proposes a transfer syntax."""

WORKLIST_FIND = "1.2.840.10008.5.1.4.31"


@attrs.define
class Peer:
    """A running application: where it listens, its title, and its process."""

    port: int
    title: str
    process: Process
    folder: Path

    @property
    def received(self) -> list[tuple[str, bytes]]:
        """SOP Instance UIDs and encoded data sets that it wrote, sorted."""
        return data_sets_in(self.folder)


async def storescp(case: TestCase, *options: str, title: str = "STORESCP", port: int = 0) -> Peer:
    """A storage SCP that keeps each data set exactly as it was received, several of one UID included.

    `+B` writes data as read and `+uf` gives each received object a file of its own.
    """
    folder = scratch(case)
    port = port or free_port()
    argv = [executable("storescp"), "+B", "+uf", "-dhl", "-aet", title, "-od", str(folder), *options]
    if not {"+xa", "+xi"} & set(options) and "-xf" not in options:
        argv.append("+xa")
    process = Process.spawn(case, [*argv, str(port)])
    await process.listens(port)
    return Peer(port, title, process, folder)


async def dcmqrscp(
    case: TestCase,
    peers: Mapping[str, int],
    objects: Iterable[Sample] = (),
    *options: str,
    title: str = "QRSCP",
) -> Peer:
    """An archive that may move to the given titles on loopback ports, and holds the given objects."""
    folder = scratch(case)
    area = folder / "area"
    area.mkdir()
    port = free_port()
    hosts = [f"peer{number} = ({name}, localhost, {where})" for number, (name, where) in enumerate(peers.items())]
    everyone = ", ".join(f"peer{number}" for number in range(len(peers)))
    if peers:
        hosts.append(f"everyone = {everyone}")
    # Any host may query; the table of hosts alone says where objects may be moved to.
    (folder / "dcmqrscp.cfg").write_text(
        "\n".join(
            [
                f"NetworkTCPPort = {port}",
                "MaxPDUSize = 16384",
                "MaxAssociations = 32",
                "HostTable BEGIN",
                *hosts,
                "HostTable END",
                "VendorTable BEGIN",
                "VendorTable END",
                "AETable BEGIN",
                f"{title} {area} RW (100, 1024mb) ANY",
                "AETable END",
                "",
            ]
        )
    )
    paths = [str(one.path) for one in objects]
    if paths:
        await checked(case, [executable("dcmqridx"), str(area), *paths])
    process = Process.spawn(case, [executable("dcmqrscp"), "-dhl", *options, "-c", str(folder / "dcmqrscp.cfg")])
    await process.listens(port)
    return Peer(port, title, process, area)


async def wlmscpfs(case: TestCase, steps: Sequence[Dataset], *, title: str = "WORKLIST") -> Peer:
    """A worklist SCP with one file for each scheduled procedure step."""
    folder = scratch(case)
    area = folder / title
    area.mkdir()
    (area / "lockfile").touch()
    for number, step in enumerate(steps):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(WORKLIST_FIND)
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        step.file_meta = meta
        step.save_as(area / f"step{number}.wl", enforce_file_format=True)
    port = free_port()
    process = Process.spawn(case, [executable("wlmscpfs"), "-dhl", "-csk", "-dfp", str(folder), str(port)])
    await process.listens(port)
    return Peer(port, title, process, area)


def worklist_step(name: str, patient: str, station: str = "MODALITY") -> Dataset:
    """A complete scheduled procedure step (PS3.4 K.6.1.2.2)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.AccessionNumber = f"A{patient}"
    ds.ReferringPhysicianName = "Referring^Physician"
    ds.PatientName = name
    ds.PatientID = patient
    ds.PatientBirthDate = "19700101"
    ds.PatientSex = "O"
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[patient])
    ds.RequestedProcedureID = f"P{patient}"
    ds.RequestedProcedureDescription = "Chest"
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = "20240102"
    step.ScheduledProcedureStepStartTime = "101500"
    step.ScheduledPerformingPhysicianName = "Performing^Physician"
    step.ScheduledProcedureStepDescription = "Chest CT"
    step.ScheduledProcedureStepID = f"S{patient}"
    ds.ScheduledProcedureStepSequence = [step]
    return ds


async def checked(case: TestCase, argv: Sequence[str], *, folder: Path | None = None) -> Result:
    """Run a program that must succeed."""
    result = await run(case, argv, folder=folder)
    if result.code != 0:
        raise AssertionError(f"{' '.join(argv)} ended with {result.code}:\n{result.output}")
    return result


def scu(name: str, port: int, called: str, calling: str, *files: str, options: Sequence[str] = ()) -> list[str]:
    """The command line of one of DCMTK's SCUs, which want all options before the host."""
    return [executable(name), *options, "-aet", calling, "-aec", called, "127.0.0.1", str(port), *files]


async def store(case: TestCase, port: int, called: str, calling: str, objects: Iterable[Sample], *options: str) -> None:
    """Send objects with storescu, those of each transfer syntax in one association."""
    by_syntax: dict[str, list[str]] = {}
    for one in objects:
        by_syntax.setdefault(PROPOSALS[one.transfer_syntax], []).append(str(one.path))
    for proposal, paths in by_syntax.items():
        await checked(case, scu("storescu", port, called, calling, *paths, options=[proposal, "-R", "-nh", *options]))


async def find(case: TestCase, port: int, called: str, calling: str, model: str, *keys: str) -> list[bytes]:
    """Query with findscu; the identifiers of the answers as the bytes that findscu extracted, in order."""
    folder = scratch(case)
    options = [model, "-X", "-od", str(folder)]
    for key in keys:
        options += ["-k", key]
    await checked(case, scu("findscu", port, called, calling, options=options))
    return [path.read_bytes() for path in sorted(folder.glob("rsp*.dcm"))]
