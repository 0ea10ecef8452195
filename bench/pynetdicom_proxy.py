"""What one would write with pynetdicom and pydicom: ``python -m bench.pynetdicom_proxy PORT SINK [DATABASE]``.

Without a database each object is received and sent on as it is. With one it is received, decoded, freed of the
identifiers that dimseproxy's Basic Profile takes out of the same objects, encoded and sent on. The association to the
sink lasts as long as the caller's; the sink's status is the answer.

It is meant to be as fast as this way of doing it is: TCP_NODELAY on both sides, no limit to the PDUs that it takes, no
log, one outbound association for each inbound one.  Pseudonyms are keyed hashes, and as dimseproxy's vault they can be
reversed: their originals are in a table, encrypted, before the caller hears of success.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, Association, evt
from pynetdicom.sop_class import CTImageStorage, MRImageStorage, Verification

CLASSES = (CTImageStorage, MRImageStorage)
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
WELL_KNOWN = "1.2.840.10008."
CANNOT_UNDERSTAND = 0xC000
UNLIMITED = 0
"""A maximum PDU length of 0 asks for PDUs of any length (PS3.8 D.1)."""

MAPPED = frozenset(("PatientID", "AccessionNumber", "StudyID"))
EMPTIED = frozenset(
    [
        "AcquisitionDate",
        "AcquisitionTime",
        "ContentDate",
        "ContentTime",
        "PatientBirthDate",
        "PatientName",
        "PatientSex",
        "ReferringPhysicianName",
        "SeriesDate",
        "SeriesTime",
        "StudyDate",
        "StudyTime",
    ]
)
REMOVED = frozenset(
    [
        "AcquisitionDateTime",
        "AdmittingDiagnosesDescription",
        "DeviceSerialNumber",
        "GantryID",
        "ImageComments",
        "InstanceCreationDate",
        "InstanceCreationTime",
        "InstitutionAddress",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "IssuerOfPatientID",
        "NameOfPhysiciansReadingStudy",
        "OperatorsName",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientAge",
        "PatientComments",
        "PatientSize",
        "PatientTelephoneNumbers",
        "PatientWeight",
        "PerformedProcedureStepDescription",
        "PerformedProcedureStepID",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "PerformingPhysicianName",
        "PhysiciansOfRecord",
        "ProtocolName",
        "RequestAttributesSequence",
        "RequestedProcedureDescription",
        "RequestingPhysician",
        "SeriesDescription",
        "SoftwareVersions",
        "StationName",
        "StudyDescription",
    ]
)


class Pseudonyms:
    """Keyed hashes of what was seen, each computed once, and a table to reverse them."""

    def __init__(self, database: Path) -> None:
        self._key = secrets.token_bytes(32)
        self._cipher = AESGCM(secrets.token_bytes(32))
        self._known: dict[tuple[bool, str], str] = {}
        self._new: list[tuple[str, bytes]] = []
        # Each association has a thread of its own.
        self._lock = threading.Lock()
        self._database = sqlite3.connect(database, check_same_thread=False)
        self._database.executescript(
            """
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE originals (pseudonym TEXT PRIMARY KEY, original BLOB NOT NULL);
            """
        )

    def uid(self, original: str) -> str:
        """A UID of 128 bits below 2.25."""
        return self._of(True, original)

    def text(self, original: str) -> str:
        """Sixteen characters."""
        return self._of(False, original)

    def keep(self) -> None:
        """Write what is new to the table: it is there for good when this returns."""
        with self._lock:
            new, self._new = self._new, []
            if new:
                self._database.executemany("INSERT INTO originals VALUES (?, ?)", new)
                self._database.commit()

    def _of(self, is_uid: bool, original: str) -> str:
        with self._lock:
            found = self._known.get((is_uid, original))
            if found is None:
                digest = hmac.digest(self._key, original.encode(), "sha256")
                found = f"2.25.{int.from_bytes(digest[:16])}" if is_uid else base64.b32encode(digest[:10]).decode()
                self._known[is_uid, original] = found
                nonce = secrets.token_bytes(12)
                self._new.append((found, nonce + self._cipher.encrypt(nonce, original.encode(), found.encode())))
            return found


def pseudonymise(data_set: Dataset, pseudonyms: Pseudonyms) -> None:
    """Take the identifiers out of a data set, at every depth, and say so (PS3.15 E.1.1)."""

    def edit(level: Dataset, element: DataElement) -> None:
        keyword = element.keyword
        if element.tag.is_private or keyword in REMOVED:
            del level[element.tag]
        elif keyword in EMPTIED:
            element.value = ""
        elif keyword in MAPPED:
            element.value = pseudonyms.text(str(element.value)) if element.value else ""
        elif element.VR == "UI" and element.value:
            values = [element.value] if element.VM == 1 else element.value
            mapped = [uid if uid.startswith(WELL_KNOWN) else pseudonyms.uid(uid) for uid in values]
            element.value = mapped[0] if element.VM == 1 else mapped

    data_set.walk(edit)
    data_set.PatientIdentityRemoved = "YES"
    data_set.DeidentificationMethod = "pynetdicom proxy of the benchmarks"
    data_set.LongitudinalTemporalInformationModified = "REMOVED"


class Proxy:
    """Receives, edits and sends on."""

    def __init__(self, sink: int, database: Path | None) -> None:
        self._sink = sink
        self._pseudonyms = Pseudonyms(database) if database else None
        self._outbound: dict[Association, Association] = {}

    def opened(self, event: evt.Event) -> None:
        """Turn Nagle's algorithm off on a new connection, whichever side opened it."""
        connection = event.assoc.dul.socket
        if connection is not None and connection.socket is not None:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def store(self, event: evt.Event) -> int:
        """One C-STORE: the status is the sink's."""
        outbound = self._outbound.get(event.assoc) or self._associate(event.assoc)
        if not outbound.is_established:
            return CANNOT_UNDERSTAND
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        if self._pseudonyms is not None:
            pseudonymise(data_set, self._pseudonyms)
            data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
            self._pseudonyms.keep()
        status = outbound.send_c_store(data_set)
        return int(status.Status) if "Status" in status else CANNOT_UNDERSTAND

    def ended(self, event: evt.Event) -> None:
        """The caller has left: so does the association that was opened for it."""
        outbound = self._outbound.pop(event.assoc, None)
        if outbound is not None and outbound.is_established:
            outbound.release()

    def _associate(self, inbound: Association) -> Association:
        requestor = AE("PROXY")
        requestor.maximum_pdu_size = UNLIMITED
        for context in inbound.accepted_contexts:
            if context.abstract_syntax in CLASSES:
                requestor.add_requested_context(context.abstract_syntax, context.transfer_syntax[0])
        handlers: list[Any] = [(evt.EVT_CONN_OPEN, self.opened)]
        outbound = requestor.associate("127.0.0.1", self._sink, ae_title="SINK", evt_handlers=handlers)
        self._outbound[inbound] = outbound
        return outbound


def serve(port: int, sink: int, database: Path | None) -> None:
    """Relay to the sink until killed, under pseudonyms that are kept in a database, or none."""
    proxy = Proxy(sink, database)
    acceptor = AE("PROXY")
    # Those of one round may still be ending when those of the next one come.
    acceptor.maximum_associations = 64
    acceptor.maximum_pdu_size = UNLIMITED
    acceptor.add_supported_context(Verification)
    for sop_class in CLASSES:
        acceptor.add_supported_context(sop_class, SYNTAXES)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, proxy.opened),
        (evt.EVT_C_STORE, proxy.store),
        (evt.EVT_CONN_CLOSE, proxy.ended),
    ]
    acceptor.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
