"""dimseproxy with pseudonyms, as an export gateway and as a shield, and the pseudonym service that it asks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.processes import BenchError, Server, free_port
from bench.subjects import TWISTD, Subject, environment, twistd_command

GATEWAY = "dimseproxy, pseudonyms"
"""What callers store leaves under pseudonyms."""
SHIELD = "dimseproxy, shield"
"""What the PACS answers reaches the callers under pseudonyms."""
SHIELD_VAULT_UIDS = "dimseproxy, shield, vault UIDs"
"""The same, with gPAS for patients and numbers and the vault for UIDs."""
TITLE = "DIMSEPROXY"
GPAS_DELAY = 0.005
"""Seconds that the service takes for each request."""

SHIELDED = ("PatientID", "StudyID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
HIDDEN = (
    "PatientName",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionCodeSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianTelephoneNumbers",
)
"""With the list above, what DicomShield is known to replace and to remove."""

EXPORT = {"originals": "inbound", "pseudonyms": "vault", "profile": "basic"}
VAULT_SHIELD = {
    "originals": "outbound",
    "pseudonyms": "vault",
    "profile": "none",
    "pseudonymise": list(SHIELDED),
    "remove": list(HIDDEN),
}


UID_KINDS = ("study", "series", "instance", "uid")


def gpas_shield(service: int, *, with_uids: bool = True) -> dict[str, Any]:
    """The privacy of a shield that asks the gPAS on a port of the loopback, or asks it for all but UIDs."""
    domains = {"patient": "patients", "study-id": "numbers"}
    if with_uids:
        domains |= dict.fromkeys(UID_KINDS, "uids")
    url = f"http://127.0.0.1:{service}/ttp-fhir/fhir/gpas"
    return {**VAULT_SHIELD, "pseudonyms": {"gpas": {"url": url, "domains": domains}}}


def start_gpas(directory: Path, delay: float = GPAS_DELAY) -> Server:
    """The stand-in for gPAS, in a process of its own; it answers every request ``delay`` seconds late."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.gpas", str(port), "--delay", str(delay)]
    return Server.start("gPAS", command, port, directory, environment())


def start_proxy(
    name: str,
    outbound: int,
    directory: Path,
    privacy: Mapping[str, Any] | None,
    *,
    called: str = "SINK",
    applications: Mapping[str, int] | None = None,
    port: int = 0,
    launcher: Sequence[str] = TWISTD,
) -> Subject:
    """A dimseproxy in front of a port of the loopback, under a privacy policy or none.

    :param called: the AE title of what listens there, and delivers what a C-MOVE asked for
    :param applications: the titles that a C-MOVE may name, and the ports they listen on
    :param port: where it listens; 0 for any
    :raises BenchError: when it does not start
    """
    port = port or free_port()
    configuration: dict[str, Any] = {
        "ae_title": TITLE,
        "data_dir": str(directory / f"data.{port}"),
        "inbound": {"bench": {"dimse": {"listen": f"tcp:{port}:interface=127.0.0.1"}}},
        "outbound": {"sink": {"dimse": {"connect": f"tcp:127.0.0.1:{outbound}", "ae_title": called}}},
        "applications": {title: {"host": "127.0.0.1", "port": where} for title, where in (applications or {}).items()},
        "unknown_applications": "accept",
        "routes": [{"outbound": "sink", **({"privacy": "bench"} if privacy else {})}],
        **({"privacy": {"bench": dict(privacy)}} if privacy else {}),
    }
    command = twistd_command(json.dumps(configuration, indent=1), port, directory, launcher=launcher)
    return Subject(name, port, Server.start(name, command, port, directory, environment()))


def process_of(subject: Subject) -> Server:
    """The process of a subject that has one.

    :raises BenchError: when it has none
    """
    if subject.server is None:
        raise BenchError(f"{subject.name} has no process to measure")
    return subject.server
