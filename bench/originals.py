"""Whether original values come through where they should, and only there: no proxy is quick because it does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pydicom

from bench import ct_head, dcmtk
from bench.processes import BenchError
from bench.subjects import PSEUDONYMISING, Subject


def check(running: Mapping[str, Subject], port: int, objects: Path, directory: Path) -> None:
    """Send one object through each subject to a sink on the port, and look into what arrives.

    :raises BenchError: when a subject that gives pseudonyms lets an original through, or another does not
    """
    sample = min(objects.iterdir())
    for name, subject in running.items():
        kept = directory / f"kept-{objects.name}-{subject.port}"
        kept.mkdir()
        sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, kept, port)
        try:
            dcmtk.send(subject.port, sample, dcmtk.NO_NAGLE, *dcmtk.tls(subject.ca))
        finally:
            sink.stop()
        shown = originals_in(kept, sample)
        pseudonymises = subject.name in PSEUDONYMISING
        if pseudonymises and shown:
            raise BenchError(f"{name} let originals through: {', '.join(shown)}")
        if not pseudonymises and not shown:
            raise BenchError(f"no original came through {name}: the search for them is at fault")


def originals_in(kept: Path, sample: Path) -> list[str]:
    """Which of the original values of an object the objects in a folder show, by what they are.

    :raises BenchError: when there is no object
    """
    sent = pydicom.dcmread(sample, stop_before_pixels=True)
    originals = {
        "the patient": (b"Bench", b"BENCH"),
        "a text": tuple(marker.encode() for marker in ct_head.MARKERS),
        "the study": (sent.StudyInstanceUID.encode(),),
        "the series": (sent.SeriesInstanceUID.encode(),),
        "the instance": (sent.SOPInstanceUID.encode(),),
        "a reference": (ct_head.UID_ROOT.encode(),),
    }
    files = [file.read_bytes() for file in kept.iterdir()]
    if not files:
        raise BenchError("nothing arrived at the sink")
    return [what for what, values in originals.items() if any(value in file for value in values for file in files)]
