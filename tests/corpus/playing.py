"""A case of the corpus over the pure core: what the association protocol does, without a transport."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from dimseproxy.dimse.assembler import Assembler
from dimseproxy.errors import CALLED_AE_TITLE_NOT_RECOGNIZED, AbortSource, RemoteProtocolError
from dimseproxy.relay.access import is_title
from dimseproxy.ul.codec import decode
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment
from dimseproxy.ul.machine import Indication, UpperLayer
from dimseproxy.ul.negotiation import inward_accept
from dimseproxy.ul.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.state_table import State
from tests.corpus import associating, messaging
from tests.corpus.cases import ACCEPT, REQUEST, Answer, Case, Stage

MAX_PDU_LENGTH = 131072


@cache
def corpus() -> tuple[Case, ...]:
    """All cases, the same ones every time."""
    makers = (
        associating.truncated,
        associating.unknown_types,
        associating.text_protocols,
        associating.oversize,
        associating.states,
        associating.item_lengths,
        associating.titles,
        associating.versions,
        associating.contexts,
        associating.bombs,
        associating.mutated,
        messaging.pdv_lengths,
        messaging.context_ids,
        messaging.command_sets,
        messaging.strange_commands,
        messaging.interleaving,
        messaging.message_bombs,
    )
    return tuple(case for make in makers for case in make())


def accept_all(request: AssociateRequest) -> AssociateAccept:
    """An answer that accepts every context with its first transfer syntax."""
    contexts = tuple(AnsweredContext(each.context_id, 0, each.transfer_syntaxes[0]) for each in request.contexts)
    return inward_accept(request, AssociateAccept("", "", contexts))


class Player:
    """
    One end of an association that answers like the relay: it accepts what has proper titles, and agrees to a release.

    @param stage: who the peer is, and how far it got.
    """

    def __init__(self, stage: Stage) -> None:
        is_requestor = stage in (Stage.ANSWERING, Stage.ANSWERED)
        self._layer = UpperLayer(is_requestor=is_requestor, max_pdu_length=MAX_PDU_LENGTH, artim=30.0)
        self._assembler = Assembler(())
        self._request: AssociateRequest | None = None
        self._release_is_due = False
        self._seen: Answer | None = None
        proposal = decode(1, REQUEST[6:])
        assert isinstance(proposal, AssociateRequest)
        self._layer.transport_connected(0.0, proposal if is_requestor else None)
        if stage is Stage.CALLED:
            self.feed([REQUEST])
            self.settle()
        elif stage is Stage.ANSWERED:
            self.feed([ACCEPT])
        self._layer.data_to_send()
        self._seen = None

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Bytes from the peer."""
        for chunk in chunks:
            if self._layer.close_transport:
                return
            for indication in self._layer.receive_data(chunk, 1.0):
                self._indicated(indication)

    def settle(self) -> Answer:
        """The service user's turn; then the peer has its answer."""
        if self._layer.state is State.AWAITING_LOCAL_ASSOCIATE_RESPONSE and self._request is not None:
            request = self._request
            if is_title(request.called_ae_title) and is_title(request.calling_ae_title):
                self._layer.accept(accept_all(request), 2.0)
                self._assembler = Assembler({context.context_id for context in request.contexts})
            else:
                self._layer.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, 2.0)
        if self._layer.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
            self._layer.respond_release(2.0)
        return _answer_in(self._layer.data_to_send()) or self._seen or Answer.SILENT

    def _indicated(self, indication: Indication) -> None:
        match indication:
            case CommandFragment() | DataSetFragment():
                try:
                    self._assembler.receive([indication], [])
                except RemoteProtocolError as error:
                    for each in self._layer.protocol_violation(error, 1.0):
                        self._indicated(each)
            case AssociateRequest():
                self._request = indication
            case AssociateAccept():
                self._seen = Answer.ACCEPTED
                self._assembler = Assembler({context.context_id for context in indication.contexts})
            case AssociateReject():
                self._seen = Answer.REJECTED
            case Abort(source):
                assert source in range(256), AbortSource
            case ReleaseRequest() | ReleaseResponse():
                pass


def _answer_in(sent: bytes) -> Answer | None:
    """What the last of these PDUs answers; whatever is sent can be read again."""
    answers = {
        2: Answer.ACCEPTED,
        3: Answer.REJECTED,
        6: Answer.RELEASED,
        7: Answer.ABORTED,
    }
    answer = None
    while sent:
        length = int.from_bytes(sent[2:6], "big")
        decode(sent[0], sent[6 : 6 + length])
        answer = answers[sent[0]]
        sent = sent[6 + length :]
    return answer


def play(case: Case, *, by_bytes: bool = False) -> Answer:
    """The answer to a case, its bytes coming at once or one by one."""
    player = Player(case.stage)
    chunks = [case.data[index : index + 1] for index in range(len(case.data))] if by_bytes else [case.data]
    player.feed(chunks)
    return player.settle()
