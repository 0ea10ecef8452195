"""
One caller's association and the outbound's, joined.

Parts cross both ways in order, through the filters; release and abort cross; a slow peer slows the other one.  Neither
association outlives the other, so that a half-sent message never leaves one that is used again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines, IWatched
from dimseproxy.association.interfaces import IAssociation, IAssociationUser
from dimseproxy.dimse.command_set import CommandField, command_name
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import is_pending
from dimseproxy.errors import AbortSource, AssociationAborted
from dimseproxy.relay.filters import Filter
from dimseproxy.relay.silence import Silence
from dimseproxy.relay.tally import ITallies, Tally
from dimseproxy.relay.turns import Source, Turns

if TYPE_CHECKING:
    from dimseproxy.config.settings import Timeouts

log = Logger()

_C_CANCEL_RQ: Final = int(CommandField.C_CANCEL_RQ)


#: What one filter makes of a part on one of its ways.
Step = Callable[[Part], Sequence[Part]]


def _moved(step: Step, parts: Sequence[Part]) -> Sequence[Part]:
    return step(parts[0]) if len(parts) == 1 else [result for each in parts for result in step(each)]


@implementer(IAssociationUser)
class _Leg:
    """One of the two associations: what comes from its peer goes to the other leg."""

    other: _Leg

    def __init__(self, relay: Relay, association: IAssociation) -> None:
        self.association = association
        self._relay = relay
        self._steps: list[tuple[Filter, Step]] = []
        #: What the data set that is crossing passes through.
        self._interested: list[Step] = []
        self._is_outward = False
        self.turns = Turns(association.send)
        self.source: Source
        #: Requests that came from this leg's peer and wait for their last response, by message id.
        self.awaiting: set[int] = set()
        self.asked_for_release = False
        self._holds = 0
        #: As far as it passes here: see `tally`.
        self._tally = Tally()

    @property
    def tally(self) -> Tally:
        """What came from this leg's peer and went to it: where there is a border, as it crossed."""
        border = ITallies(self.association, None)
        return self._tally if border is None else border.tally

    def join(self, other: _Leg, filters: Sequence[Filter], *, is_outward: bool) -> None:
        """Say where parts go, and through which filters; outward is from the caller to the outbound."""
        self.other = other
        self._is_outward = is_outward
        if is_outward:
            self._steps = [(each, each.outward) for each in filters if type(each).outward is not Filter.outward]
        else:
            self._steps = [(each, each.inward) for each in reversed(filters) if type(each).inward is not Filter.inward]
        self.source = other.turns.source(self.hold, self.let_go)

    def hold(self) -> None:
        """There is a reason not to read this leg's peer; it may be the second one."""
        self._holds += 1
        if self._holds == 1:
            self.association.pause()

    def let_go(self) -> None:
        """A reason is gone."""
        self._holds -= 1
        if not self._holds:
            self.association.resume()

    def received(self, parts: Sequence[Part]) -> None:
        self._relay.silence.broken()
        onward: list[Part] = []
        for part in parts:
            if isinstance(part, DataSetFragment):
                moved: Sequence[Part] = (part,)
                for step in self._interested:
                    moved = _moved(step, moved)
            else:
                # What is asked counts as it was asked, whatever a filter makes of it; all else as it goes on.
                if not part.command_set.is_response:
                    self._note_request(part)
                moved = self._filtered(part)
            for each in moved:
                if isinstance(each, DataSetFragment):
                    self.other._tally.octets += each.octets
                elif each.command_set.is_response:
                    self.other.note_response(each)
            onward += moved
        if onward:
            self.source.send(onward)

    def _filtered(self, command: Command) -> Sequence[Part]:
        """What the filters make of a command; notes which of them want its data set."""
        onward: Sequence[Part] = (command,)
        interested = []
        for each, step in self._steps:
            onward = _moved(step, onward)
            if each.wants_outward if self._is_outward else each.wants_inward:
                interested.append(step)
        self._interested = interested
        return onward

    def _note_request(self, request: Command) -> None:
        command_field = request.command_set.command_field
        if command_field != _C_CANCEL_RQ:
            self.awaiting.add(request.command_set.message_id)
            self._tally.asked(request)

    def note_response(self, response: Command) -> None:
        """This leg's peer is answered."""
        status = response.command_set.status
        if not is_pending(status):
            self.awaiting.discard(response.command_set.responds_to)
            self._tally.statuses[status] += 1

    def pause_sending(self) -> None:
        self.turns.pause()

    def resume_sending(self) -> None:
        self.turns.resume()

    def release_requested(self) -> None:
        self.asked_for_release = True
        if self.other.asked_for_release:
            # Both ends asked at the same time: each is answered where it stands.
            self.association.respond_release()
        else:
            self.other.association.release()

    def released(self) -> None:
        if self.other.asked_for_release:
            self.other.association.respond_release()
        self._relay.over("released")

    def ended(self, reason: AssociationAborted) -> None:
        self.other.association.abort(reason.source, reason.reason)
        self._relay.over(str(reason))


@implementer(IWatched)
class Relay:
    """
    @param filters: from the caller to the outbound; the other way they are passed in reverse.
    @param when_over: called once at the end.
    """

    def __init__(
        self,
        caller: IAssociation,
        outbound: IAssociation,
        deadlines: IDeadlines,
        timeouts: Timeouts,
        when_over: Callable[[], None] = lambda: None,
    ) -> None:
        self._caller = _Leg(self, caller)
        self._outbound = _Leg(self, outbound)
        self._deadlines = deadlines
        self._timeouts = timeouts
        self._when_over = when_over
        self._filters: Sequence[Filter] = ()
        self._answers: Source | None = None
        self._is_over = False
        self._is_draining = False
        self.silence = Silence(deadlines.clock.seconds())
        self._began = deadlines.clock.seconds()

    @property
    def to_caller(self) -> Turns:
        """Where others may send to the caller, a message at a time."""
        return self._caller.turns

    def join(self, filters: Sequence[Filter]) -> None:
        """Let the parts flow."""
        self._filters = filters
        self._caller.join(self._outbound, filters, is_outward=True)
        self._outbound.join(self._caller, filters, is_outward=False)
        self._deadlines.watch(self)
        self._outbound.association.use(self._outbound)
        self._caller.association.use(self._caller)

    @property
    def callers_own(self) -> Collection[int]:
        """The message ids under which requests of the caller are under way."""
        return self._caller.awaiting

    @property
    def is_idle(self) -> bool:
        """Whether no operation is under way."""
        return not self._caller.awaiting and not self._outbound.awaiting

    def answer_caller(self, parts: Sequence[Part]) -> None:
        """Send to the caller what does not come from the outbound."""
        if self._answers is None:
            # A caller that does not read what it is answered may ask no more.
            self._answers = self.to_caller.source(self._caller.hold, self._caller.let_go)
        for part in parts:
            if isinstance(part, Command) and part.command_set.is_response:
                self._caller.note_response(part)
        self._answers.send(parts)

    def drain(self) -> None:
        """End as soon as no operation is under way."""
        self._is_draining = True
        if self.is_idle:
            self.abort("the proxy is shutting down")

    def abort(self, text: str) -> None:
        """End both associations now."""
        for leg in (self._caller, self._outbound):
            leg.association.abort(AbortSource.SERVICE_PROVIDER, 0)
        self.over(text)

    def check(self, now: float) -> None:
        silent = self.silence.lasts(now)
        if self._is_draining and self.is_idle:
            self.abort("the proxy is shutting down")
        elif self.is_idle and silent >= self._timeouts.idle:
            self.abort(f"idle for {self._timeouts.idle:g} s")
        elif not self.is_idle and silent >= self._timeouts.dimse:
            self.abort(f"no response within {self._timeouts.dimse:g} s")

    def over(self, text: str) -> None:
        """Both associations are over, or will be in a moment."""
        if self._is_over:
            return
        self._is_over = True
        self._deadlines.forget(self)
        for each in self._filters:
            each.over()
        caller, outbound = self._caller.tally, self._outbound.tally
        statuses = caller.statuses + outbound.statuses
        log.info(
            "association {number}: {outcome}; {requests} in {seconds:.3f} s; statuses {statuses}; {sent} bytes to the "
            "outbound, {received} back",
            number=self._caller.association.number,
            outcome=text,
            requests=self._summary(caller.requests + outbound.requests),
            seconds=self._deadlines.clock.seconds() - self._began,
            statuses=", ".join(f"{status:04X} x{count}" for status, count in statuses.items()) or "none",
            sent=outbound.octets,
            received=caller.octets,
        )
        self._when_over()

    def _summary(self, requests: Counter[tuple[int, int]]) -> str:
        """The requests of both sides, by message and SOP class."""
        contexts = self._caller.association.established.contexts
        counts: Counter[tuple[str, str]] = Counter()
        for (command_field, context_id), count in requests.items():
            context = contexts.get(context_id)
            counts[command_name(command_field), context.abstract_syntax if context else "unknown"] += count
        return ", ".join(f"{count} {name} ({uid})" for (name, uid), count in counts.items()) or "nothing"
