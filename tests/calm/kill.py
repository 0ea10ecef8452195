"""
Killing the archive while it stores: ``python -m tests.calm.kill --rounds 200``.  With ``--proxies 2``, one of several
that share a folder and a database.

In each round several callers store objects, each over an association of its own, until the proxy is killed (SIGKILL) at
some moment. It is started again on the same folder, and asked what it has. The claims, after every round:

- every object that was acknowledged is there, byte by byte;
- those who call a proxy that was not killed notice nothing of it, and nothing of its start;
- what is there at all is whole: every object that a C-FIND shows comes by C-GET as it was sent;
- nothing is there that nobody sent.

Now and then, and in the end, ``dimseproxy verify`` reads every file and compares it with the index.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from attrs import define, field, frozen
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian
from pynetdicom import build_context, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as STUDY_FIND
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as STUDY_GET

from bench.processes import BenchError, Server, environment, free_port
from bench.scu import Association
from bench.subjects import twistd_command
from tests.support.pynetdicom_scu import associate, rest

CALLERS: Final = 3
"""Of each proxy."""
LONGEST_LOAD: Final = 0.8
"""Seconds after which the proxy is killed at the latest."""
SIZES: Final = (200, 20_000, 300_000, 1_500_000)
"""Bytes of pixel data: in one write to the disk, in one step, in several."""
SUCCESS: Final = 0x0000

CONFIGURATION: Final = """\
ae_title: KILLED
data_dir: {data_dir}
inbound:
  clinic:
    dimse: {{listen: "tcp:{port}:interface=127.0.0.1"}}
outbound:
  local:
    archive:
      watermark: {{refuse_below: "1 MiB"}}
{more}
routes:
  - {{outbound: local}}
unknown_applications: accept
{top}
"""


class Broken(AssertionError):
    """A claim does not hold."""


@define
class Sent:
    """What the callers of one round sent, and what of it was acknowledged: digests of data sets by SOP Instance UID."""

    study: str
    begun: dict[str, bytes] = field(factory=dict)
    acknowledged: dict[str, bytes] = field(factory=dict)
    refused: list[int] = field(factory=list)
    broken: set[int] = field(factory=set)
    """The ports of proxies that ended an association."""


@frozen
class Outcome:
    """What all rounds together showed."""

    rounds: int
    acknowledged: int
    unacknowledged: int
    """Objects that were under way when the proxy was killed."""
    kept_anyway: int
    """Of those, the ones that are there: whole, but the answer did not get out."""
    verified: str
    """What `dimseproxy verify` said in the end."""


class Killing:
    """
    Rounds on one folder.

    @param folder: where everything is.
    @param seed: of all chance but that of the threads.
    @param archive: more of the archive's settings, and `top` more of the whole configuration, as YAML lines.
    @param proxies: how many share the folder.
    """

    def __init__(self, folder: Path, seed: int, archive: str = "", top: str = "", proxies: int = 1) -> None:
        self._folder = folder
        self._chance = Random(seed)
        self._commands: dict[int, list[str]] = {}
        for port in (free_port() for _ in range(proxies)):
            text = CONFIGURATION.format(data_dir=folder / "data", port=port, more=archive, top=top)
            self._commands[port] = twistd_command(text, port, folder)
        self._callers = CALLERS * proxies
        # The one that was killed last, and is asked.
        self._port = next(iter(self._commands))
        self._file = folder / f"dimseproxy.{self._port}.yaml"
        self._all = Sent("")

    def run(self, rounds: int, verify_every: int = 20) -> Outcome:
        """
        Kill it so often.

        @raise Broken: a claim does not hold.
        """
        kept_anyway = 0
        servers: dict[int, Server] = {}
        try:
            for port in self._commands:
                servers[port] = self._start(port)
            for number in range(1, rounds + 1):
                sent = self._round(servers, number)
                there = self._there(sent)
                kept_anyway += len(there) - len(sent.acknowledged)
                self._all.begun |= sent.begun
                self._all.acknowledged |= sent.acknowledged
                if number % verify_every == 0:
                    self._verify(len(self._all.acknowledged) + kept_anyway)
        finally:
            for server in servers.values():
                server.stop()
        said = self._verify(len(self._all.acknowledged) + kept_anyway)
        unacknowledged = len(self._all.begun) - len(self._all.acknowledged)
        return Outcome(rounds, len(self._all.acknowledged), unacknowledged, kept_anyway, said)

    def _start(self, port: int) -> Server:
        return Server.start("dimseproxy", self._commands[port], port, self._folder, environment())

    def _round(self, servers: dict[int, Server], number: int) -> Sent:
        """Store until one is killed, and with the others until it is there again."""
        sent = Sent(f"2.999.9.{number}")
        begun, enough = threading.Event(), threading.Event()
        ports = list(servers)
        self._port = self._chance.choice(ports)
        seeds = [self._chance.random() for _ in range(self._callers)]
        callers = [
            threading.Thread(
                target=self._store, args=(sent, caller, ports[caller % len(ports)], Random(seed), begun, enough)
            )
            for caller, seed in enumerate(seeds)
        ]
        for thread in callers:
            thread.start()
        begun.wait(30)
        time.sleep(self._chance.random() * LONGEST_LOAD)
        os.kill(servers[self._port].pid, signal.SIGKILL)
        servers[self._port].stop()
        servers[self._port] = self._start(self._port)
        enough.set()
        for thread in callers:
            thread.join()
        if sent.broken != {self._port}:
            raise Broken(f"round {number}: associations ended at {len(sent.broken)} proxies, and one was killed")
        if sent.refused:
            raise Broken(f"round {number}: an object was answered {sent.refused[0]:04X}")
        if not sent.begun:
            raise Broken(f"round {number}: nothing was sent, so nothing is shown")
        return sent

    def _store(
        self, sent: Sent, caller: int, port: int, chance: Random, begun: threading.Event, enough: threading.Event
    ) -> None:
        """Store objects until it is enough, or the association breaks."""
        try:
            self._store_some(sent, caller, port, chance, begun, enough)
        except (OSError, BenchError):
            sent.broken.add(port)

    def _store_some(
        self, sent: Sent, caller: int, port: int, chance: Random, begun: threading.Event, enough: threading.Event
    ) -> None:
        with Association(port) as association:
            for number in range(1, 10_000):
                if enough.is_set():
                    association.release()
                    return
                instance = f"{sent.study}.{caller + 1}.{number}"
                content = an_object(sent.study, f"{sent.study}.{caller + 1}", instance, chance)
                sent.begun[instance] = hashlib.sha256(content).digest()
                begun.set()
                status = association.keep(instance.encode(), content)
                if status == SUCCESS:
                    sent.acknowledged[instance] = sent.begun[instance]
                else:
                    sent.refused.append(status)

    def _there(self, sent: Sent) -> Mapping[str, bytes]:
        """
        What is there of a round.

        @raise Broken: this is not what has to be.
        """
        got, shown = self._get(sent.study), self._find(sent.study)
        for what, those in (
            ("acknowledged objects are lost", set(sent.acknowledged) - set(got)),
            ("objects can be found and not be retrieved", shown - set(got)),
            ("objects can be retrieved and not be found", set(got) - shown),
            ("objects are there that nobody sent", set(got) - set(sent.begun)),
            ("objects are not what was sent", {uid for uid in got if got[uid] != sent.begun.get(uid)}),
        ):
            if those:
                raise Broken(f"study {sent.study}: {len(those)} {what}: {', '.join(sorted(those)[:5])}")
        return got

    def _get(self, study: str) -> dict[str, bytes]:
        got: dict[str, bytes] = {}

        def keep(event: evt.Event) -> int:
            request = event.request
            got[str(request.AffectedSOPInstanceUID)] = hashlib.sha256(request.DataSet.getvalue()).digest()
            return SUCCESS

        contexts = [build_context(STUDY_GET), build_context(CTImageStorage, ImplicitVRLittleEndian)]
        association = associate(
            self._port, "KILLED", "CHECK", contexts, handlers=[(evt.EVT_C_STORE, keep)], roles=[CTImageStorage]
        )
        rest(association)
        *_, (final, _) = association.send_c_get(_of(study, "STUDY"), STUDY_GET)
        association.release()
        if final.Status != SUCCESS:
            raise Broken(f"study {study}: the C-GET ended with {final.Status:04X}")
        return got

    def _find(self, study: str) -> set[str]:
        association = associate(self._port, "KILLED", "CHECK", [build_context(STUDY_FIND)])
        shown: set[str] = set()
        for caller in range(1, self._callers + 1):
            identifier = _of(study, "IMAGE")
            identifier.SeriesInstanceUID = f"{study}.{caller}"
            identifier.SOPInstanceUID = None
            rest(association)
            matches = [match for _, match in association.send_c_find(identifier, STUDY_FIND) if match]
            shown.update(str(match.SOPInstanceUID) for match in matches)
        association.release()
        return shown

    def _verify(self, count: int) -> str:
        argv = [sys.executable, "-m", "dimseproxy.commands", "verify", "--config", str(self._file)]
        done = subprocess.run(
            argv, env={**os.environ, **environment()}, capture_output=True, text=True, timeout=300, check=False
        )
        said = (done.stdout.strip().splitlines() or [done.stderr])[-1]
        if done.returncode or not said.startswith(f"{count:,} file"):
            raise Broken(f"verify ended with {done.returncode}, of {count:,} objects: {done.stdout}{done.stderr}")
        return said


def an_object(study: str, series: str, instance: str, chance: Random, size: int | None = None) -> bytes:
    """The data set of a CT image with noise for an image, of a size or any, in implicit VR little endian."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, instance
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.Modality, ds.PatientID, ds.PatientName = "CT", "KILL", "Kill^Nine"
    ds.BitsAllocated, ds.PixelRepresentation = 8, 0
    ds.PixelData = chance.randbytes(chance.choices(SIZES, (4, 4, 2, 1))[0] if size is None else size)
    out = DicomBytesIO()
    out.is_implicit_VR = out.is_little_endian = True
    write_dataset(out, ds)
    return out.getvalue()


def _of(study: str, level: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study
    return identifier


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out what the command line says; the exit status is 1 where a claim did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.calm.kill", description="Kill the archive while it stores.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--proxies", type=int, default=1, help="how many share the folder")
    parser.add_argument("--database", default="sqlite", help="`sqlite`, or the URL of a PostgreSQL database")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dimseproxy-kill-") as folder:
        try:
            top = f'database: "{options.database}"'
            killing = Killing(Path(folder), options.seed, top=top, proxies=options.proxies)
            print(killing.run(options.rounds))
        except Broken as error:
            print(f"BROKEN: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
