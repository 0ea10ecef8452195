"""tshark as a second reader of the wire: what its DICOM dissector objects to."""

from __future__ import annotations

import socket
from pathlib import Path

import attrs
from twisted.trial.unittest import TestCase

from tests.support.process import Process, executable, free_port, needed, run, scratch, until


@attrs.define
class Capture:
    """A running capture of some loopback ports.

    Datagrams to a port of its own mark its beginning and its end: when one is in the file, the capture works,
    and all that came before it is in the file, too.
    """

    case: TestCase
    ports: tuple[int, ...]
    file: Path
    process: Process
    marks: int

    @classmethod
    async def start(cls, case: TestCase, *ports: int) -> Capture:
        """Capture what crosses the ports; a skip where capturing is not permitted."""
        file, marks = scratch(case) / "wire.pcapng", free_port()
        wanted = " or ".join([f"udp port {marks}", *(f"tcp port {port}" for port in ports)])
        process = Process.spawn(case, [executable("tshark"), "-i", "lo", "-f", wanted, "-w", str(file)])
        capture = cls(case, ports, file, process, marks)
        await until(lambda: capture._marked(b"begin") or not process.running, "the start of the capture")
        if not process.running:
            raise needed(f"the right to capture: {process.output}")
        return capture

    def _marked(self, word: bytes) -> bool:
        """Send a mark, and tell whether one has come to the file."""
        mark = b"dimseproxy-" + word
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(mark, ("127.0.0.1", self.marks))
        return self.file.exists() and mark in self.file.read_bytes()

    async def stop(self) -> None:
        """End the capture; its file is complete then."""
        await until(lambda: self._marked(b"end"), "the end of the capture")
        self.process.signal("INT")
        await self.process.finished()

    async def read(self, *words: str) -> str:
        """tshark's reading of the capture, with every port taken for DICOM."""
        decode = [word for port in self.ports for word in ("-d", f"tcp.port=={port},dicom")]
        result = await run(self.case, [executable("tshark"), "-r", str(self.file), *decode, *words])
        if result.code != 0:
            raise AssertionError(f"tshark cannot read the capture:\n{result.output}")
        return result.output

    async def pdus(self) -> int:
        """How many frames of the capture carry DICOM, by which a test knows that it captured something."""
        return len([line for line in (await self.read("-Y", "dicom")).splitlines() if "DICOM" in line])

    async def objections(self) -> list[str]:
        """Frames on which an expert of the DICOM dissector remarks anything worse than a note."""
        reading = await self.read(
            "-Y",
            "dicom && _ws.expert.severity >= 0x00600000",
            "-T",
            "fields",
            "-e",
            "frame.number",
            "-e",
            "_ws.expert.message",
        )
        return [line for line in reading.splitlines() if line[:1].isdigit()]
