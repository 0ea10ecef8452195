"""pynetdicom as a requestor: whole exchanges, each run in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import attrs
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel

from tests.support import pynetdicom_repair
from tests.support.objects import Sample
from tests.support.pynetdicom_scp import COMMITMENT_INSTANCE
from tests.support.threads import in_thread

pynetdicom_repair.repair()
# The bytes of a file are sent as they are, never decoded and encoded again.
_config.STORE_SEND_CHUNKED_DATASET = True

_T = TypeVar("_T")

_DEADLINE = 25.0
_A_MOMENT = 0.02


@attrs.frozen
class Refusal:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int


class Refused(Exception):
    """The association was not established; carries the rejection, or None after an abort or a lost connection."""

    def __init__(self, refusal: Refusal | None) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def associate(
    port: int,
    called: str,
    calling: str,
    contexts: Sequence[PresentationContext],
    *,
    handlers: Sequence[Any] = (),
    roles: Iterable[str] = (),
    maximum: int = 16382,
    tls: Any = None,
) -> Association:
    """Open an association, in the thread that calls; raises Refused.

    `roles` are storage SOP classes for which the requestor offers to be the SCP as well, as C-GET wants.
    """
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _DEADLINE
    ae.requested_contexts = list(contexts)
    refusals: list[Refusal] = []

    def note(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            refusals.append(Refusal(event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    association = ae.associate(
        "127.0.0.1",
        port,
        ae_title=called,
        max_pdu=maximum,
        evt_handlers=[*handlers, (evt.EVT_PDU_RECV, note)],
        ext_neg=[build_role(uid, scu_role=True, scp_role=True) for uid in roles],
        tls_args=tls,
    )
    if association.is_established:
        return association
    # A rejection that comes at once is one that pynetdicom itself may miss: it finds its socket closed first.
    raise Refused(refusals[0] if refusals else None)


def rest(association: Association) -> None:
    """
    Wait until the association's own thread rests; to be called before a request with several answers.

    pynetdicom (3.0) looks whether it does before it sends, but a moment too early: where the peer is quick and the
    machine slow, that thread takes the first answer for a request, and drops it.
    """
    association._reactor_checkpoint.clear()
    time.sleep(_A_MOMENT)


async def conversation(
    port: int,
    called: str,
    calling: str,
    contexts: Sequence[PresentationContext],
    talk: Callable[[Association], _T],
    **more: Any,
) -> _T:
    """Associate, talk, release; all in a thread. `more` goes to `associate`."""

    def whole() -> _T:
        association = associate(port, called, calling, contexts, **more)
        try:
            return talk(association)
        finally:
            if association.is_established:
                association.release()

    return await in_thread(whole)


async def commit(port: int, called: str, calling: str, request: Dataset) -> list[tuple[int, Dataset]]:
    """Ask for storage commitment, and wait for the report on the same association: its event type and information."""
    reports: list[tuple[int, Dataset]] = []
    answering: list[threading.Thread] = []
    arrived = threading.Event()

    def keep(event: evt.Event) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        answering.append(threading.current_thread())
        arrived.set()
        return 0x0000, None

    def talk(association: Association) -> None:
        association.send_n_action(request, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
        arrived.wait(_DEADLINE)
        for thread in answering:
            # A report is answered in a thread of its own, which undoes in its end what `release` waits for (3.0).
            thread.join(_DEADLINE)

    contexts = [build_context(StorageCommitmentPushModel)]
    await conversation(port, called, calling, contexts, talk, handlers=[(evt.EVT_N_EVENT_REPORT, keep)])
    return reports


async def refusal(port: int, called: str, calling: str, abstract: str = "1.2.840.10008.1.1") -> Refusal | None:
    """The rejection of an association request; AssertionError if it was accepted."""
    try:
        await conversation(port, called, calling, [build_context(abstract)], lambda association: None)
    except Refused as error:
        return error.refusal
    raise AssertionError("the association was accepted")


def contexts_for(objects: Iterable[Sample]) -> list[PresentationContext]:
    """One context for each pair of SOP class and transfer syntax, so that nothing need be transcoded."""
    pairs = sorted({(one.sop_class, one.transfer_syntax) for one in objects})
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


async def store(port: int, called: str, calling: str, objects: Sequence[Sample], **more: Any) -> list[int]:
    """Send objects over one association; the statuses."""

    def talk(association: Association) -> list[int]:
        return [association.send_c_store(one.path).Status for one in objects]

    return await conversation(port, called, calling, contexts_for(objects), talk, **more)


@attrs.define
class Retrieve:
    """What a C-MOVE or C-GET was answered, and what a C-GET brought."""

    statuses: list[Dataset] = attrs.field(factory=list)
    identifiers: list[Dataset | None] = attrs.field(factory=list)
    received: list[tuple[str, bytes]] = attrs.field(factory=list)

    @property
    def final(self) -> Dataset:
        """The last response's status and counters."""
        return self.statuses[-1]

    @property
    def counters(self) -> tuple[int, int, int]:
        """Completed, failed and warning sub-operations of the last response; what is absent counts as zero."""
        return tuple(
            int(self.final.get(f"NumberOf{name}Suboperations", 0) or 0)  # type: ignore[return-value]
            for name in ("Completed", "Failed", "Warning")
        )

    @property
    def failed_list(self) -> list[str]:
        """The Failed SOP Instance UID List of the last response."""
        identifier = self.identifiers[-1]
        value = [] if identifier is None else identifier.get("FailedSOPInstanceUIDList", [])
        return sorted([value] if isinstance(value, str) else list(value or []))


async def move(
    port: int,
    called: str,
    calling: str,
    model: str,
    identifier: Dataset,
    destination: str,
    cancel_after: int | None = None,
) -> Retrieve:
    """A C-MOVE; with `cancel_after`, a C-CANCEL follows that many pending responses."""

    def talk(association: Association) -> Retrieve:
        outcome = Retrieve()
        rest(association)
        for status, failed in association.send_c_move(identifier, destination, model, msg_id=7):
            outcome.statuses.append(status)
            outcome.identifiers.append(failed)
            if len(outcome.statuses) == cancel_after:
                association.send_c_cancel(7, query_model=model)
        return outcome

    return await conversation(port, called, calling, [build_context(model)], talk)


async def get(
    port: int,
    called: str,
    calling: str,
    model: str,
    identifier: Dataset,
    objects: Sequence[Sample],
    cancel_after: int | None = None,
    status: int = 0x0000,
) -> Retrieve:
    """A C-GET that accepts storage of the kinds of `objects`."""
    outcome = Retrieve()

    def keep(event: evt.Event) -> int:
        outcome.received.append((str(event.request.AffectedSOPInstanceUID), event.request.DataSet.getvalue()))
        return status

    def talk(association: Association) -> Retrieve:
        rest(association)
        for answer, failed in association.send_c_get(identifier, model, msg_id=7):
            outcome.statuses.append(answer)
            outcome.identifiers.append(failed)
            if len(outcome.statuses) == cancel_after:
                association.send_c_cancel(7, query_model=model)
        return outcome

    roles = sorted({one.sop_class for one in objects})
    return await conversation(
        port,
        called,
        calling,
        [build_context(model), *contexts_for(objects)],
        talk,
        handlers=[(evt.EVT_C_STORE, keep)],
        roles=roles,
    )


async def find(
    port: int, called: str, calling: str, model: str, identifier: Dataset, cancel_after: int | None = None
) -> list[tuple[int, Dataset | None]]:
    """A C-FIND; with `cancel_after`, a C-CANCEL follows that many pending responses."""

    def talk(association: Association) -> list[tuple[int, Dataset | None]]:
        answers: list[tuple[int, Dataset | None]] = []
        rest(association)
        for status, match in association.send_c_find(identifier, model, msg_id=5):
            answers.append((status.Status, match))
            if len(answers) == cancel_after:
                association.send_c_cancel(5, query_model=model)
        return answers

    return await conversation(port, called, calling, [build_context(model)], talk)


def study_level(study: str) -> Dataset:
    """The identifier of a retrieve of one study."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study
    return identifier
