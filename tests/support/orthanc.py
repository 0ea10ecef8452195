"""Orthanc as a peer: a PACS with its DICOM and REST ports on the loopback interface and nothing else."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers

from tests.support.objects import Sample
from tests.support.process import Process, clock, executable, free_port, scratch

_LOOK_AGAIN = 0.05


@attrs.define
class Orthanc:
    """A running Orthanc and its REST interface."""

    port: int
    http: int
    title: str
    process: Process
    _agent: Agent

    async def rest(self, method: str, path: str, body: bytes | Any = b"") -> Any:
        """One REST call; what is not bytes is sent as JSON, and so is the answer read.

        Raises AssertionError when Orthanc does not answer 200.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self._agent.request(
            method.encode(),
            f"http://127.0.0.1:{self.http}{path}".encode(),
            Headers({"content-type": ["application/octet-stream"]}),
            FileBodyProducer(io.BytesIO(content)) if content else None,
        )
        answer = await readBody(response)
        if response.code != 200:
            raise AssertionError(f"{method} {path}: {response.code}\n{answer.decode('utf-8', 'replace')}")
        try:
            return json.loads(answer)
        except ValueError:
            return answer

    async def attachment(self, instance: str) -> bytes:
        """The DICOM file that Orthanc keeps of an instance."""
        answer = await self.rest("GET", f"/instances/{instance}/file")
        assert isinstance(answer, bytes)
        return answer

    async def upload(self, objects: Iterable[Sample]) -> list[str]:
        """Put objects into the archive over REST; their Orthanc identifiers."""
        return [(await self.rest("POST", "/instances", one.path.read_bytes()))["ID"] for one in objects]

    async def commitment(self, transaction: str) -> str:
        """Wait for the report of a storage commitment that it asked for: "Success" or "Failure"."""
        while True:
            report = await self.rest("GET", f"/storage-commitment/{transaction}")
            if report["Status"] != "Pending":
                return str(report["Status"])
            await deferLater(clock, _LOOK_AGAIN)


async def orthanc(case: TestCase, modalities: Mapping[str, int], **settings: Any) -> Orthanc:
    """Start an Orthanc that knows only the given titles, each on a loopback port.

    `settings` are further keys of its configuration file.
    """
    folder = scratch(case)
    port, http = free_port(), free_port()
    title = str(settings.pop("DicomAet", "ORTHANC"))
    configuration = {
        "Name": "E2E",
        "DicomAet": title,
        "DicomPort": port,
        "HttpPort": http,
        "HttpServerEnabled": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [],
        "DicomCheckCalledAet": True,
        "DicomCheckModalityHost": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "OverwriteInstances": True,
        "StableAge": 1,
        "SaveJobs": False,
        "DicomModalities": {
            name: {"AET": name, "Host": "127.0.0.1", "Port": where, "AllowStorageCommitment": True}
            for name, where in modalities.items()
        },
        **settings,
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    process = Process.spawn(case, [executable("Orthanc"), str(path)], folder=folder)
    # In good order it would take seconds, to save what is deleted next.
    case.addCleanup(process.kill)
    await process.listens(port)
    await process.listens(http)
    pool = HTTPConnectionPool(reactor, persistent=False)
    case.addCleanup(pool.closeCachedConnections)
    return Orthanc(port, http, title, process, Agent(IReactorTCP(reactor), pool=pool))
