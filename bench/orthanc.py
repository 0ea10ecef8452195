"""Orthanc as the PACS, with its DICOM port and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.processes import BenchError, Server, free_port

TITLE = "ORTHANC"


def start_orthanc(directory: Path, modalities: Mapping[str, int], environment: Mapping[str, str]) -> Server:
    """An empty Orthanc that moves objects to these titles, each on a port of the loopback.

    It is built on DCMTK, and obeys the same variables of the environment.

    :raises BenchError: when it is not installed or does not start
    """
    executable = shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")
    if executable is None:
        raise BenchError("Orthanc is not installed")
    port = free_port()
    configuration = {
        "DicomAet": TITLE,
        "DicomPort": port,
        "DicomCheckCalledAet": False,
        "DicomCheckModalityHost": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "HttpServerEnabled": False,
        "Plugins": [],
        "SaveJobs": False,
        "StorageDirectory": str(directory / "orthanc"),
        "IndexDirectory": str(directory / "orthanc"),
        "DicomModalities": {title: [title, "127.0.0.1", where] for title, where in modalities.items()},
    }
    file = directory / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return Server.start("Orthanc", [executable, str(file)], port, directory, environment)
