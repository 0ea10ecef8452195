"""pynetdicom as an acceptor: records what it gets byte for byte, and plays the services DCMTK lacks.

It runs in threads of its own; the reactor only starts and ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.support import pynetdicom_repair
from tests.support.objects import Sample, archive_samples, samples
from tests.support.process import PATIENCE, free_port
from tests.support.threads import in_thread

pynetdicom_repair.repair()

GETS = (PatientRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelGet)
MOVES = (PatientRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelMove)
COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1.1")

_PAUSE = 0.05
_ENDLESS = 2_000


@attrs.frozen
class Received:
    """One C-STORE as it arrived."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    data_set: bytes = attrs.field(repr=False)
    calling: str
    called: str
    move_originator: str | None
    move_message_id: int | None


@attrs.define
class PynetdicomScp:
    """A running acceptor and everything that it was told."""

    port: int
    title: str
    holdings: Sequence[Sample] = ()
    destinations: Mapping[str, int] = attrs.field(factory=dict)
    commit_on_new_association: int | None = None
    """The port where the title that asked is called with the N-EVENT-REPORT; None: on the same association."""
    store_status: int = 0x0000
    store_gate: threading.Event | None = None
    """C-STORE responses wait for it."""
    slow: bool = False
    """Answer queries and retrieves without end, until they are cancelled."""

    stored: list[Received] = attrs.field(factory=list)
    created: dict[str, Dataset] = attrs.field(factory=dict)
    changed: dict[str, Dataset] = attrs.field(factory=dict)
    reports: list[tuple[int, Dataset]] = attrs.field(factory=list)
    cancelled: list[int] = attrs.field(factory=list)
    ended: list[str] = attrs.field(factory=list)
    """How associations ended: "released" or "aborted"."""
    requests: list[Any] = attrs.field(factory=list)
    """The A-ASSOCIATE primitives."""
    _server: ThreadedAssociationServer | None = None

    def start(self, case: TestCase, contexts: Iterable[PresentationContext], maximum: int) -> None:
        """Listen, until the test ends."""
        ae = AE(ae_title=self.title)
        ae.maximum_pdu_size = maximum
        ae.maximum_associations = 200
        for context in contexts:
            ae.add_supported_context(
                str(context.abstract_syntax), context.transfer_syntax, scp_role=True, scu_role=True
            )
        self._server = ae.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_FIND, self._on_find),
                (evt.EVT_C_GET, self._on_get),
                (evt.EVT_C_MOVE, self._on_move),
                (evt.EVT_N_CREATE, self._on_create),
                (evt.EVT_N_SET, self._on_set),
                (evt.EVT_N_ACTION, self._on_action),
                (evt.EVT_N_EVENT_REPORT, self._on_report),
                (evt.EVT_REQUESTED, lambda event: self.requests.append(event.assoc.requestor.primitive)),
                (evt.EVT_RELEASED, lambda event: self.ended.append("released")),
                (evt.EVT_ABORTED, lambda event: self.ended.append("aborted")),
            ],
        )
        case.addCleanup(self._stop)

    def _stop(self) -> Deferred[None]:
        assert self._server is not None
        return in_thread(self._server.shutdown)

    def _on_store(self, event: evt.Event) -> int:
        request = event.request
        self.stored.append(
            Received(
                str(request.AffectedSOPClassUID),
                str(request.AffectedSOPInstanceUID),
                str(event.context.transfer_syntax),
                request.DataSet.getvalue(),
                event.assoc.requestor.ae_title,
                event.assoc.requestor.primitive.called_ae_title,
                request.MoveOriginatorApplicationEntityTitle,
                request.MoveOriginatorMessageID,
            )
        )
        if self.store_gate is not None:
            self.store_gate.wait(PATIENCE)
        return self.store_status

    def _matches(self, identifier: Dataset) -> list[Sample]:
        study = identifier.get("StudyInstanceUID")
        return [one for one in self.holdings if not study or one.study == study]

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        matches = self._matches(event.identifier)
        for one in [matches[0]] * _ENDLESS if self.slow else matches:
            if event.is_cancelled:
                self.cancelled.append(event.request.MessageID)
                yield 0xFE00, None
                return
            answer = Dataset()
            answer.QueryRetrieveLevel = "IMAGE"
            answer.SOPInstanceUID = one.sop_instance
            answer.StudyInstanceUID = one.study
            if self.slow:
                time.sleep(_PAUSE)
            yield 0xFF00, answer

    def _on_get(self, event: evt.Event) -> Iterator[Any]:
        matches = self._matches(event.identifier)
        yield len(matches)
        yield from self._objects(event, matches)

    def _on_move(self, event: evt.Event) -> Iterator[Any]:
        port = self.destinations.get(event.move_destination)
        if port is None:
            yield None, None
            return
        matches = self._matches(event.identifier)
        if self.slow:
            matches = matches * 40
        contexts = {(one.sop_class, one.transfer_syntax) for one in matches}
        yield (
            "127.0.0.1",
            port,
            {
                "ae_title": event.move_destination,
                "contexts": [build_context(uid, syntax) for uid, syntax in sorted(contexts)],
            },
        )
        yield len(matches)
        yield from self._objects(event, matches)

    def _objects(self, event: evt.Event, matches: Iterable[Sample]) -> Iterator[tuple[int, Dataset | None]]:
        for one in matches:
            if event.is_cancelled:
                self.cancelled.append(event.request.MessageID)
                yield 0xFE00, None
                return
            if self.slow:
                time.sleep(_PAUSE)
            yield 0xFF00, pydicom.dcmread(one.path)

    def _on_create(self, event: evt.Event) -> tuple[int, Dataset]:
        self.created[str(event.request.AffectedSOPInstanceUID)] = event.attribute_list
        return 0x0000, event.attribute_list

    def _on_set(self, event: evt.Event) -> tuple[int, Dataset]:
        self.changed[str(event.request.RequestedSOPInstanceUID)] = event.modification_list
        return 0x0000, event.modification_list

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        threading.Thread(target=self._commit, args=(event.assoc, event.action_information), daemon=True).start()
        return 0x0000, None

    def _commit(self, association: Any, asked: Dataset) -> None:
        report = Dataset()
        report.TransactionUID = asked.TransactionUID
        report.ReferencedSOPSequence = asked.ReferencedSOPSequence
        if self.commit_on_new_association is None:
            # Gives the N-ACTION response its turn; the report itself would be legal before it, too.
            time.sleep(0.2)
            association.send_n_event_report(report, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
            return
        ae = AE(ae_title=self.title)
        ae.add_requested_context(StorageCommitmentPushModel)
        back = ae.associate(
            "127.0.0.1",
            self.commit_on_new_association,
            ae_title=association.requestor.ae_title,
            ext_neg=[build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)],
        )
        if back.is_established:
            back.send_n_event_report(report, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
            back.release()

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, event.event_information))
        return 0x0000, None


def everything(*further: str, without: Iterable[str] = ()) -> list[PresentationContext]:
    """Contexts for all the services here, storage of every sample in every transfer syntax included."""
    syntaxes = [str(uid) for uid in AllTransferSyntaxes]
    storage = {one.sop_class for one in (*samples(), *archive_samples())}
    contexts = [build_context(uid, syntaxes) for uid in sorted(storage)]
    services = (
        Verification,
        StudyRootQueryRetrieveInformationModelFind,
        *GETS,
        *MOVES,
        ModalityPerformedProcedureStep,
        StorageCommitmentPushModel,
        *further,
    )
    contexts += [build_context(uid) for uid in services]
    return [context for context in contexts if str(context.abstract_syntax) not in set(map(str, without))]


def pynetdicom_scp(
    case: TestCase,
    *,
    title: str = "PYNETDICOM",
    port: int = 0,
    contexts: Iterable[PresentationContext] | None = None,
    maximum: int = 16382,
    **more: Any,
) -> PynetdicomScp:
    """Start an acceptor; `more` sets the attributes of `PynetdicomScp`."""
    scp = PynetdicomScp(port or free_port(), title, **more)
    scp.start(case, everything() if contexts is None else contexts, maximum)
    return scp
