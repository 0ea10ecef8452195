"""
The associations to one peer, shared by all callers: no more at once than it takes, and idle ones kept for the next.

An association is kept after its release if nothing of its user is left on it (see `conversation`), and serves whoever
asks for the same: AE titles, presentation contexts with their ids and transfer syntaxes, and all user information.
What the peer had answered is then what it would answer again.  Which caller it is, the peer is told by nothing else: a
request with a user identity is never shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from dimseproxy.association.deadlines import IWatched
from dimseproxy.association.interfaces import IAssociation, IAssociationUser, IOutbound, ISharedOutbound
from dimseproxy.association.protocol import Association
from dimseproxy.dimse.parts import Part
from dimseproxy.errors import TEMPORARY_CONGESTION, AbortSource, AssociationAborted, AssociationRejected
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.outbound.lease import Lease, has_something_to_read
from dimseproxy.outbound.limits import Operations, Rotation, Slots
from dimseproxy.ul.pdu import AssociateRequest
from dimseproxy.ul.user_information import carries_no_identity

log = Logger()

#: Seconds that idle associations may take to be released when the proxy stops; then they are cut.
_LAST_RELEASES: Final = 1.0
#: Seconds that one may take while somebody waits for its place; then it is cut.
_RELEASE_IN_THE_WAY: Final = 1.0


@frozen
class Sharing:
    """
    How the associations to a peer are shared.

    @ivar size: how many idle ones are kept; 0 for none.
    @ivar idle: how long each of them is, in seconds.
    @ivar wait: how long a caller waits for an association where there may be no more, in seconds.
    """

    size: int = 0
    idle: float = 0.0
    wait: float = 0.0


class _Place:
    """The place of one association among those that there may be, until its transport is gone."""

    def __init__(self, pool: SharedOutbound) -> None:
        self._pool: SharedOutbound | None = pool

    def leave(self) -> None:
        """Nothing is left of it."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.left(self)


@define(eq=False)
class _Waiter:
    """Somebody who asks for an association."""

    request: AssociateRequest
    caller: Hashable
    asking: Deferred[IAssociation] = field(init=False)
    late: IDelayedCall | None = None
    opening: Deferred[Association] | None = None


@implementer(IAssociationUser)
@define(eq=False)
class _Idle:
    """
    An association that nobody uses; whatever the peer does on it ends it.

    @ivar since: when its last user left it, or when it was asked for its release.
    """

    pool: SharedOutbound
    request: AssociateRequest
    association: Association
    place: _Place
    since: float

    def received(self, parts: Sequence[Part]) -> None:
        self.pool.forget(self)
        self.association.abort(AbortSource.SERVICE_PROVIDER, 0)
        log.info(
            "association {number}: aborted: the outbound sent what nobody had asked for", number=self.association.number
        )

    def release_requested(self) -> None:
        self.pool.forget(self)
        self.association.respond_release()

    def released(self) -> None:
        """As asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        self.pool.forget(self)

    def pause_sending(self) -> None:
        """Nothing is sent."""

    def resume_sending(self) -> None:
        """Nothing is sent."""


@define(eq=False)
class _Terms:
    """
    What a lease may ask of the pool.

    @ivar way: the pool's when the association was opened.
    """

    pool: SharedOutbound
    request: AssociateRequest
    place: _Place
    way: int

    def take_back(self, association: Association) -> bool:
        return self.way == self.pool.way and self.pool.take_back(association, self.request, self.place)

    def replace(self, association: Association) -> Deferred[Association]:
        # The peer has given that one up: its place is that of the new one.
        association.when_gone = None
        self.way = self.pool.way
        return self.pool.outbound.open(self.request, self.place.leave)


@implementer(IOutbound)
@frozen
class _OnBehalf:
    """The outbound for one of its callers."""

    pool: SharedOutbound
    caller: Hashable

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        return self.pool.ask(request, self.caller)


@implementer(ISharedOutbound, IWatched)
class SharedOutbound:
    """
    @param outbound: how the peer is reached.
    @param places: how many associations there may be, idle ones included.
    @param operations: how many requests the peer may work on; None for any number.
    """

    def __init__(self, outbound: DimseOutbound, sharing: Sharing, places: Slots, operations: Operations | None) -> None:
        self.outbound = outbound
        #: Counts the ways in which the peer was reached.
        self.way = 0
        self._sharing = sharing
        self._places = places
        self._operations = operations
        self._clock = outbound.deadlines.clock
        self._waiting: Rotation[_Waiter] = Rotation()
        #: By request; those that were used last come last.
        self._idle: dict[AssociateRequest, list[_Idle]] = {}
        self._leaving: dict[_Place, _Idle] = {}
        self._is_closing = False
        self._closings: list[Deferred[None]] = []

    # For callers

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        return self.ask(request, None)

    def on_behalf_of(self, caller: Hashable) -> IOutbound:
        return _OnBehalf(self, caller)

    def ask(self, request: AssociateRequest, caller: Hashable) -> Deferred[IAssociation]:
        """`associate` for one of the callers, who waits for a turn where there may be no more associations."""
        waiter = _Waiter(request, caller)
        waiter.asking = Deferred(lambda _: self._given_up(waiter))
        found = None if self._waiting else self._find(request)
        if found is None:
            self._waiting.add(caller, waiter)
            waiter.late = self._clock.callLater(self._sharing.wait, self._late, waiter)
            self._make_room()
        else:
            self._serve(waiter, found)
        return waiter.asking

    def reach(self, outbound: DimseOutbound, *, is_another_way: bool) -> None:
        """
        How the peer is reached from now on.

        @param is_another_way: whether somebody else may answer than until now, or under other certificates: then no
            association of before is used again.
        """
        self.outbound = outbound
        if is_another_way:
            self.way += 1
            for each in self._all_idle():
                self._release(each)

    @property
    def idle(self) -> int:
        """How many associations are idle."""
        return sum(map(len, self._idle.values()))

    def close(self) -> Deferred[None]:
        """
        Keep no association from now on, and release those that are idle.

        @return: fires when they are gone.
        """
        self._is_closing = True
        for each in self._all_idle():
            self._release(each)
        if not self._leaving:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closings.append(closed)
        cut = self._clock.callLater(_LAST_RELEASES, self._cut)
        return closed.addCallback(lambda _: cut.cancel() if cut.active() else None)

    # What waits, and what it waits for

    def _find(self, request: AssociateRequest) -> _Idle | _Place | None:
        """An idle association for this request, or a place for another one."""
        alike = self._idle.get(request)
        while alike:
            # The one that was used last: the others may then end.
            idle = alike[-1]
            self.forget(idle)
            if idle.association.is_at_rest and not has_something_to_read(idle.association):
                return idle
            idle.association.abort(AbortSource.SERVICE_PROVIDER, 0)
        return _Place(self) if self._places.take() else None

    def _serve(self, waiter: _Waiter, found: _Idle | _Place) -> None:
        if waiter.late is not None:
            waiter.late.cancel()
        place = found.place if isinstance(found, _Idle) else found
        terms = _Terms(self, waiter.request, place, self.way)
        if isinstance(found, _Idle):
            waiter.asking.callback(self._lease(waiter, found.association, terms, was_used=True))
            return

        def opened(association: Association) -> None:
            waiter.asking.callback(self._lease(waiter, association, terms, was_used=False))

        waiter.opening = self.outbound.open(waiter.request, place.leave)
        waiter.opening.addCallbacks(opened, waiter.asking.errback)

    def _lease(self, waiter: _Waiter, association: Association, terms: _Terms, *, was_used: bool) -> IAssociation:
        if not self._sharing.size and self._operations is None:
            return association
        lease: IAssociation = Lease(association, terms, self._operations, waiter.caller, was_used=was_used)
        return lease

    def _serve_next(self) -> None:
        """A place may be free."""
        while self._waiting:
            found = self._find(self._waiting.first.request)
            if found is None:
                self._make_room()
                return
            self._serve(self._waiting.take(), found)

    def _make_room(self) -> None:
        """Release idle associations, as many as somebody waits for; none of them is the right one."""
        self._places.when_free(self._serve_next)
        idle = self._all_idle()
        for each in idle[: max(0, len(self._waiting) - len(self._leaving))]:
            self._release(each)

    def _late(self, waiter: _Waiter) -> None:
        self._waiting.discard(waiter.caller, waiter)
        text = f"it has as many associations as it may, and none became free within {self._sharing.wait:g} s"
        waiter.asking.errback(AssociationRejected(TEMPORARY_CONGESTION, text))

    def _given_up(self, waiter: _Waiter) -> None:
        self._waiting.discard(waiter.caller, waiter)
        if waiter.late is not None and waiter.late.active():
            waiter.late.cancel()
        if waiter.opening is not None:
            waiter.opening.cancel()

    # Idle associations

    def take_back(self, association: Association, request: AssociateRequest, place: _Place) -> bool:
        """Keep an association whose user has released it; False where it is to be released."""
        if self._is_closing or not self._sharing.size or not carries_no_identity(request.user_information):
            return False
        if self._waiting and self._waiting.first.request != request:
            # Somebody waits for its place.
            return False
        association.resume()
        idle = _Idle(self, request, association, place, self._clock.seconds())
        association.use(idle)
        if self._waiting:
            self._serve(self._waiting.take(), idle)
            return True
        self.outbound.deadlines.watch(self)
        self._idle.setdefault(request, []).append(idle)
        if self.idle > self._sharing.size:
            self._release(self._all_idle()[0])
        return True

    def check(self, now: float) -> None:
        for each in self._all_idle():
            if now - each.since >= self._sharing.idle:
                self._release(each)
        if self._idle and not self._leaving and self._places.are_wanted_elsewhere():
            # One at a time: for whom, and whether for anybody, is known only there.
            self._release(self._all_idle()[0])
        late = [each for each in self._leaving.values() if now - each.since >= _RELEASE_IN_THE_WAY]
        if late and (self._waiting or self._places.are_wanted_elsewhere()):
            for each in late:
                log.info(
                    "association {number}: cut: the outbound does not answer its release, and others wait",
                    number=each.association.number,
                )
                each.association.cut()

    def forget(self, idle: _Idle) -> None:
        """This one is idle no longer."""
        alike = self._idle.get(idle.request, [])
        if idle in alike:
            alike.remove(idle)
            if not alike:
                del self._idle[idle.request]
            self._watch_no_longer()

    def left(self, place: _Place) -> None:
        """The transport of an association is gone."""
        self._leaving.pop(place, None)
        self._watch_no_longer()
        self._places.give()
        if not self._leaving:
            self._end_closing()

    def _all_idle(self) -> list[_Idle]:
        """Those that have been idle for longest come first."""
        return sorted((each for alike in self._idle.values() for each in alike), key=lambda each: each.since)

    def _release(self, idle: _Idle) -> None:
        self._leaving[idle.place] = idle
        self.forget(idle)
        idle.since = self._clock.seconds()
        idle.association.release()

    def _watch_no_longer(self) -> None:
        if not self._idle and not self._leaving:
            self.outbound.deadlines.forget(self)

    def _cut(self) -> None:
        for each in tuple(self._leaving.values()):
            each.association.cut()
        self._end_closing()

    def _end_closing(self) -> None:
        closings, self._closings = self._closings, []
        for each in closings:
            each.callback(None)
