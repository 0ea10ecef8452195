"""Whether an object with a very long head holds up everybody else: 5,000 items of per-frame functional groups.

While the object goes through, another caller sends C-ECHOs over an association of its own, and a heartbeat inside the
proxy feels for how long its reactor does not turn.  Every UID of the object is new in every round.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from attrs import Factory, define
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage

from bench import dcmtk
from bench.options import Options
from bench.originals import originals_in
from bench.probe import Delay, delays_in
from bench.processes import BenchError
from bench.samples import in_turn, percentile, summarise
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.shields import EXPORT
from bench.subjects import DIMSEPROXY, GATEWAY, Subject, start_proxy
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import new_object

FRAMES = 5000
QUICK_FRAMES = 1000
SIDE = 32
"""Rows and columns of a frame: it is the head that matters."""
UID_ROOT = "2.999.7707700000"
"""Begins every UID of the object; the next UIDs of a round take the place of its last five digits."""
TEMPLATE = "template.dcm"
TARGET = 20.0
"""Milliseconds for which the reactor may not turn."""
ROUNDS = 7
BEFORE = 0.5
"""Seconds of C-ECHOs before the object is sent."""


@define
class Measured:
    """One entry a round, in milliseconds; the seconds of the whole object."""

    wall: list[float] = Factory(list)
    blocked: list[float] = Factory(list)
    cpu: list[float] = Factory(list)
    p99: list[float] = Factory(list)
    slowest: list[float] = Factory(list)


@define
class _Echoes:
    """C-ECHOs of a caller of its own, one after the other, until it is told to end."""

    port: int
    times: list[tuple[float, float]] = Factory(list)
    failures: list[str] = Factory(list)
    ended: threading.Event = Factory(threading.Event)

    def run(self) -> None:
        """Keep the moment at which each began, and the seconds it took."""
        try:
            with Association(self.port) as association:
                while not self.ended.is_set():
                    started = time.monotonic()
                    association.echo()
                    self.times.append((started, time.monotonic() - started))
                association.release()
        except (OSError, BenchError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")


def run_multiframe(options: Options, directory: Path) -> list[Report]:
    """The longest time for which the reactor did not turn, and the slowest C-ECHO."""
    frames = QUICK_FRAMES if options.quick else FRAMES
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    names = options.subjects((DIMSEPROXY, GATEWAY))
    template = write_object(directory / TEMPLATE, frames)
    head = template.find(b"\xe0\x7f\x10\x00OW")
    measured = {name: Measured() for name in names}
    sink = start_raw_sink(directory)
    try:
        if GATEWAY in names:
            _check(directory)
        for turn, name in enumerate(in_turn(names, rounds)):
            sample = directory / "round.dcm"
            sample.write_bytes(template.replace(UID_ROOT.encode(), b"%s%05d" % (UID_ROOT[:-5].encode(), turn + 1)))
            _measure(name, sink.port, sample, directory, measured[name])
    finally:
        sink.stop()
    return [_report(frames, rounds, head, measured)]


def _check(directory: Path) -> None:
    """Send the object to a sink that keeps it.

    :raises BenchError: when an original comes through the proxy that gives pseudonyms
    """
    kept = directory / "kept"
    kept.mkdir()
    sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, kept)
    try:
        subject = start_proxy(GATEWAY, sink.port, directory, EXPORT)
        try:
            dcmtk.send(subject.port, directory / TEMPLATE, dcmtk.NO_NAGLE)
        finally:
            subject.stop()
    finally:
        sink.stop()
    shown = originals_in(kept, directory / TEMPLATE)
    if shown:
        raise BenchError(f"{GATEWAY} let originals through: {', '.join(shown)}")


def _measure(name: str, sink: int, sample: Path, directory: Path, measured: Measured) -> None:
    heartbeat = directory / "heartbeat.json"
    launcher = (sys.executable, "-m", "bench.probe", str(heartbeat))
    subject = start_proxy(name, sink, directory, EXPORT if name == GATEWAY else None, launcher=launcher)
    try:
        started, ended, times = _send(subject, sample)
    finally:
        # The heartbeat is written when the proxy ends.
        subject.stop()
    delays = delays_in(heartbeat, started, ended)
    worst = max(delays, key=lambda delay: delay.wall, default=Delay(ended, 0.0, 0.0))
    measured.wall.append(ended - started)
    measured.blocked.append(worst.wall * 1000)
    measured.cpu.append(worst.cpu * 1000)
    measured.p99.append(percentile(times, 99) * 1000)
    measured.slowest.append(max(times) * 1000)


def _send(subject: Subject, sample: Path) -> tuple[float, float, list[float]]:
    """When the object began and ended, and the seconds of each C-ECHO meanwhile."""
    echoes = _Echoes(subject.port)
    caller = threading.Thread(target=echoes.run, daemon=True)
    caller.start()
    try:
        time.sleep(BEFORE)
        started = time.monotonic()
        dcmtk.send(subject.port, sample, dcmtk.NO_NAGLE)
        ended = time.monotonic()
    finally:
        echoes.ended.set()
        caller.join()
    if echoes.failures:
        raise BenchError(f"{subject.name}: a C-ECHO failed: {echoes.failures[0]}")
    times = [took for began, took in echoes.times if began + took >= started and began <= ended]
    if not times:
        raise BenchError(f"{subject.name}: no C-ECHO was answered while the object went through")
    return started, ended, times


def write_object(file: Path, frames: int) -> bytes:
    """An Enhanced CT of so many frames, in explicit VR little endian: what the file holds."""
    data_set = new_object(f"{UID_ROOT}1", f"{UID_ROOT}2", 0, bytes(2 * SIDE * SIDE * frames))
    instance = UID(f"{UID_ROOT}3")
    data_set.SOPClassUID = data_set.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = instance
    data_set.Modality = "CT"
    data_set.NumberOfFrames, data_set.Rows, data_set.Columns = frames, SIDE, SIDE
    data_set.PerFrameFunctionalGroupsSequence = [_frame(index) for index in range(frames)]
    dcmwrite(file, data_set, enforce_file_format=True)
    return file.read_bytes()


def _frame(index: int) -> Dataset:
    content = Dataset()
    content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = "20240229101500.123456"
    content.FrameAcquisitionDuration = 12.5
    content.FrameAcquisitionNumber = content.InStackPositionNumber = index + 1
    content.FrameComments = "Bench, a frame"
    content.StackID = "1"
    content.DimensionIndexValues = [1, index + 1]
    position = Dataset()
    position.ImagePositionPatient = [-175, -175, -120.5 - index]
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    source = Dataset()
    source.ReferencedSOPClassUID = CTImageStorage
    source.ReferencedSOPInstanceUID = f"{UID_ROOT}4{index:06d}"
    derivation = Dataset()
    derivation.DerivationDescription = "Bench, derived"
    derivation.SourceImageSequence = [source]
    exposure = Dataset()
    exposure.ExposureTimeInms, exposure.XRayTubeCurrentInmA = 500.0, 240.0
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.68359375, 0.68359375], 1
    transformation = Dataset()
    transformation.RescaleIntercept, transformation.RescaleSlope, transformation.RescaleType = -1024, 1, "HU"
    event = Dataset()
    event.IrradiationEventUID = f"{UID_ROOT}5{index:06d}"
    item = Dataset()
    item.FrameContentSequence = [content]
    item.PlanePositionSequence = [position]
    item.PlaneOrientationSequence = [orientation]
    item.DerivationImageSequence = [derivation]
    item.CTExposureSequence = [exposure]
    item.PixelMeasuresSequence = [measures]
    item.PixelValueTransformationSequence = [transformation]
    item.IrradiationEventIdentificationSequence = [event]
    return item


def _report(frames: int, rounds: int, head: int, measured: dict[str, Measured]) -> Report:
    rows = [
        [
            name,
            spread(summarise(found.wall)),
            spread(summarise(found.blocked)),
            spread(summarise(found.cpu)),
            spread(summarise(found.p99)),
            spread(summarise(found.slowest)),
        ]
        for name, found in measured.items()
    ]
    header = ("subject", "object s", "reactor late ms", "its CPU ms", "C-ECHO p99 ms", "slowest ms")
    verdicts = []
    if GATEWAY in measured:
        claim = f"{frames} per-frame items, the longest time the reactor did not turn in {rounds} rounds"
        blocked = max(measured[GATEWAY].blocked)
        verdicts.append(Verdict(claim, blocked, "<=", TARGET, " ms", noisy=True))
    title = f"Nobody waits: an object of {frames} frames with a head of {number(head / 2**20)} MiB, {rounds} rounds"
    remark = "each figure is the worst of its round: the median of all rounds (least..greatest)"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts), (remark,))
