"""The privacy policies under measurement, of an export gateway and of a shield, and the service that one may ask."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.processes import Server, environment, free_port

SHIELD = "dimseproxy, shield"
"""What the PACS answers reaches the callers under pseudonyms."""
SHIELD_VAULT_UIDS = "dimseproxy, shield, vault UIDs"
"""The same, with gPAS for patients and numbers and the vault for UIDs."""
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
