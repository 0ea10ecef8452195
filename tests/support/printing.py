"""DCMTK's print management applications, around one configuration file."""

from __future__ import annotations

from pathlib import Path

import attrs
from pydicom import dcmread
from twisted.trial.unittest import TestCase

from tests.support.dcmtk import checked
from tests.support.objects import Sample
from tests.support.process import Process, executable, free_port, scratch

_GENERAL = """\
[[GENERAL]]
[PRINT]
Directory = {folder}/spool
DeletePrintJobs = false
AlwaysDeleteTerminateJobs = false
MinPrintResolution = 256\\256
MaxPrintResolution = 1024\\1024
[DATABASE]
Directory = {folder}/database
[NETWORK]
aetitle = {calling}
[[COMMUNICATION]]
"""

_PRINTER = """\
[{name}]
Type = {kind}
Aetitle = {title}
Hostname = localhost
Port = {port}
MaxPDU = 32768
DisplayFormat = 1,1\\2,2
FilmSizeID = 8INX10IN
MediumType = PAPER
ResolutionID = STANDARD
MagnificationType = REPLICATE\\BILINEAR
SupportsPresentationLUT = true
SupportsImageSize = true
SupportsTrim = true
Supports12Bit = true
"""

_SECTION = "PRINTER"


def _configure(folder: Path, kind: str, port: int, title: str, calling: str) -> Path:
    (folder / "spool").mkdir()
    (folder / "database").mkdir()
    file = folder / "printing.cfg"
    file.write_text(
        _GENERAL.format(folder=folder, calling=calling)
        + _PRINTER.format(name=_SECTION, kind=kind, title=title, port=port)
    )
    return file


@attrs.frozen
class Printer:
    """A running dcmprscp."""

    port: int
    title: str
    process: Process
    _folder: Path

    @property
    def films(self) -> list[bytes]:
        """The pixels of the hardcopy grayscale images that it made of the image boxes."""
        paths = sorted((self._folder / "database").glob("HG_*.dcm"))
        return [dcmread(path).PixelData for path in paths]


async def printer(case: TestCase, title: str = "PRINTSCP") -> Printer:
    """Start a printer that keeps its films in a database."""
    folder, port = scratch(case), free_port()
    file = _configure(folder, "LOCALPRINTER", port, title, title)
    process = Process.spawn(case, [executable("dcmprscp"), "-v", "-c", str(file), "-p", _SECTION])
    await process.listens(port)
    return Printer(port, title, process, folder)


async def print_image(case: TestCase, port: int, called: str, calling: str, image: Sample) -> None:
    """Render an image to a stored print job, and print that: film session, film box, image box, print."""
    folder = scratch(case)
    file = _configure(folder, "PRINTER", port, called, calling)
    common = ["-c", str(file), "-p", _SECTION]
    await checked(case, [executable("dcmpsprt"), *common, "--layout", "1", "1", str(image.path)])
    jobs = sorted(str(path) for path in (folder / "database").glob("SP_*.dcm"))
    await checked(case, [executable("dcmprscu"), *common, *jobs])
