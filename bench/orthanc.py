"""Orthanc as the PACS, with its DICOM port and no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench import dcmtk
from bench.processes import BenchError, Server, free_port
from bench.subjects import Subject

TITLE = "ORTHANC"
FORWARDER = "Orthanc, store and forward"
FORWARDING = """\
function OnStoredInstance(instance, tags, metadata, origin)
   SendToModality(instance, 'SINK')
end
"""


def start_forwarder(directory: Path) -> Subject:
    """An Orthanc that stores what it is sent, answers, and then sends it on.

    It holds on to its association with the sink, which serves one at a time: the sink is its own.
    """
    folder = directory / "forwarder"
    folder.mkdir()
    script = folder / "forward.lua"
    script.write_text(FORWARDING)
    sink = dcmtk.start_sink(folder, dcmtk.NO_NAGLE)
    try:
        server = start_orthanc(folder, {"SINK": sink.port}, dcmtk.NO_NAGLE, script)
    except BenchError:
        sink.stop()
        raise
    return Subject(FORWARDER, server.port, server, sink=sink)


def start_orthanc(
    directory: Path, modalities: Mapping[str, int], environment: Mapping[str, str], script: Path | None = None
) -> Server:
    """An empty Orthanc that moves objects to these titles, each on a port of the loopback.

    It is built on DCMTK, and obeys the same variables of the environment.

    :param script: Lua that it runs
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
        "LuaScripts": [str(script)] if script else [],
        "SaveJobs": False,
        "StorageDirectory": str(directory / "orthanc"),
        "IndexDirectory": str(directory / "orthanc"),
        "DicomModalities": {title: [title, "127.0.0.1", where] for title, where in modalities.items()},
    }
    file = directory / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return Server.start("Orthanc", [executable, str(file)], port, directory, environment)
