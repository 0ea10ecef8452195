"""
A border: an association whose peer lives on the other side of a privacy policy.

Whoever uses the border speaks and hears of one side's identities, originals or pseudonyms; the peer speaks and hears
of the other's.  The relay, its filters and its deliveries know nothing of it: wherever they send a part, and whatever
they answer themselves, it crosses the border.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from dimseproxy.association.interfaces import Established, IAssociation, IAssociationUser, IForesees, IOutbound, Peer
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dimse.parts import Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource, AssociationAborted, OperationRefused
from dimseproxy.privacy.identifiers import Direction, read_identifier
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.relay.crossing import Way
from dimseproxy.relay.messages import message_for
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.tally import ITallies, Tally
from dimseproxy.ul.pdu import AssociateRequest

log = Logger()

_BY_USER: Final = "user"
_BY_LOAD: Final = "load"
_BY_PEER: Final = "peer"


class _Waiting:
    """Somebody waits for as long as there is a reason to."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause = pause
        self._resume = resume
        self._reasons: set[str] = set()

    def add(self, reason: str) -> None:
        if not self._reasons:
            self._reasons.add(reason)
            self._pause()
        self._reasons.add(reason)

    def discard(self, reason: str) -> None:
        if reason in self._reasons:
            self._reasons.discard(reason)
            if not self._reasons:
                self._resume()


@implementer(IAssociation, IAssociationUser, ITallies)
class Border:
    """
    @param association: established, with the peer on the other side.
    @param sends: what happens to the identities of what is sent to the peer; the reverse to what it sends.
    @param clock: for what is done in slices.
    """

    def __init__(self, association: IAssociation, privacy: Privacy, sends: Direction, clock: IReactorTime) -> None:
        self._association = association
        self._user: IAssociationUser | None = None
        self.tally = Tally()
        self.number = association.number
        self.peer: Peer = association.peer
        self.established: Established = association.established
        syntaxes = {key: context.transfer_syntax for key, context in association.established.contexts.items()}
        self._peer_waits = _Waiting(association.pause, association.resume)
        self._user_waits = _Waiting(self._pause_user, self._resume_user)
        self._sending = Way(
            message_for,
            privacy,
            sends,
            syntaxes,
            self.number,
            clock,
            self._emit,
            self._cut,
            lambda: self._user_waits.add(_BY_LOAD),
            lambda: self._user_waits.discard(_BY_LOAD),
        )
        self._receiving = Way(
            message_for,
            privacy,
            Direction.TO_ORIGINALS if sends is Direction.TO_PSEUDONYMS else Direction.TO_PSEUDONYMS,
            syntaxes,
            self.number,
            clock,
            self._deliver,
            self._cut,
            lambda: self._peer_waits.add(_BY_LOAD),
            lambda: self._peer_waits.discard(_BY_LOAD),
        )
        self._sending.other = self._receiving
        self._receiving.other = self._sending

    # What its user asks for

    def use(self, user: IAssociationUser) -> None:
        self._user = user
        self._association.use(self)

    def send(self, parts: Sequence[Part]) -> None:
        if not self._sending.is_closed:
            self._sending.take(parts)

    def pause(self) -> None:
        self._receiving.stop()
        self._peer_waits.add(_BY_USER)

    def resume(self) -> None:
        self._receiving.go_on()
        # What was held back may have made the user pause again.
        if not self._receiving.is_stopped:
            self._peer_waits.discard(_BY_USER)

    def release(self) -> None:
        self._sending.when_empty(self._association.release)

    def respond_release(self) -> None:
        self._sending.when_empty(self._association.respond_release)

    def abort(self, source: int, reason: int) -> None:
        self._close()
        self._association.abort(source, reason)

    # What its association reports

    def received(self, parts: Sequence[Part]) -> None:
        if not self._receiving.is_closed:
            self.tally.came(parts)
            self._receiving.take(parts)

    def release_requested(self) -> None:
        if self._user is not None:
            self._receiving.when_empty(self._user.release_requested)

    def released(self) -> None:
        self._close()
        if self._user is not None:
            self._user.released()

    def ended(self, reason: AssociationAborted) -> None:
        self._close()
        if self._user is not None:
            self._user.ended(reason)

    def pause_sending(self) -> None:
        self._user_waits.add(_BY_PEER)

    def resume_sending(self) -> None:
        self._user_waits.discard(_BY_PEER)

    # Between the two

    def _emit(self, parts: Sequence[Part]) -> None:
        self.tally.went(parts)
        self._association.send(parts)

    def _deliver(self, parts: Sequence[Part]) -> None:
        if self._user is not None:
            self._user.received(parts)

    def _pause_user(self) -> None:
        if self._user is not None:
            self._user.pause_sending()

    def _resume_user(self) -> None:
        if self._user is not None:
            self._user.resume_sending()

    def _cut(self, why: str) -> None:
        log.info("association {number}: aborted: {why}", number=self.number, why=why)
        self.abort(AbortSource.SERVICE_PROVIDER, 0)
        self.ended(AssociationAborted(AbortSource.SERVICE_PROVIDER, 0, why))

    def _close(self) -> None:
        self._sending.close()
        self._receiving.close()


@implementer(IOutbound)
class OutboundAcross:
    """
    One that is on the other side of a policy.

    @param outbound: how it is reached.
    @param sends: what happens to the identities of what is sent to it.
    """

    def __init__(self, outbound: IOutbound, privacy: Privacy, sends: Direction, clock: IReactorTime) -> None:
        self._outbound = outbound
        self._privacy = privacy
        self._sends = sends
        self._clock = clock

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        return self._outbound.associate(request).addCallback(
            lambda association: Border(association, self._privacy, self._sends, self._clock)
        )


@implementer(IForesees)
class ForeseeingAcross(OutboundAcross):
    """
    One on the other side of a policy that knows what a retrieve will bring.

    @param foresees: the outbound itself.
    """

    def __init__(
        self, outbound: IOutbound, foresees: IForesees, privacy: Privacy, sends: Direction, clock: IReactorTime
    ) -> None:
        super().__init__(outbound, privacy, sends, clock)
        self._foresees = foresees

    def foresee(self, sop_class: str, transfer_syntax: str, identifier: bytes) -> Deferred[Sequence[tuple[str, str]]]:
        return Deferred.fromCoroutine(self._foresee(sop_class, transfer_syntax, identifier))

    async def _foresee(self, sop_class: str, transfer_syntax: str, identifier: bytes) -> Sequence[tuple[str, str]]:
        encoding = encoding_of(transfer_syntax)
        if encoding is None:
            raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "The transfer syntax cannot be read")
        query = read_identifier(identifier, encoding, self._privacy.policy, self._sends, is_retrieve=True)
        try:
            values = await self._privacy.look_up(self._sends, query.wanted())
        except (SourceUnavailable, SourceRefused):
            raise OperationRefused(Status.OUT_OF_RESOURCES, "Pseudonyms are not available") from None
        resolved = query.resolve(values, self._privacy.shift_of)
        if resolved.matches_nothing:
            return ()
        return await self._foresees.foresee(sop_class, transfer_syntax, resolved.data)


def across(outbound: IOutbound, privacy: Privacy, sends: Direction, clock: IReactorTime) -> OutboundAcross:
    """
    An outbound on the other side of a policy.

    @param sends: what happens to the identities of what is sent to it.
    """
    foresees = IForesees(outbound, None)
    if foresees is None:
        return OutboundAcross(outbound, privacy, sends, clock)
    return ForeseeingAcross(outbound, foresees, privacy, sends, clock)
