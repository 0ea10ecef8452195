"""
Complete studies, sent on to where they shall go.

Each destination has lanes of its own; a lane takes up what is due, sends what the destination does not have, and writes
down how far it got.  So whatever ends, the proxy, the destination or the database, the next attempt goes on from there,
and each object arrives at least once.  While a destination cannot be reached, only one study at a time pays for finding
that out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dimseproxy.association.interfaces import IOutbound
from dimseproxy.errors import AssociationFailed
from dimseproxy.outbound.archive.events import DispatchFailed, Event, Events, StudyCompleted, StudyDispatched
from dimseproxy.outbound.archive.files import InThread
from dimseproxy.outbound.archive.queue import LEASE, Job, NotOurs, Pending, Queue
from dimseproxy.outbound.archive.schedule import Hours, Retries
from dimseproxy.outbound.archive.sending import Outcome, Parcel, Reads, Sender
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable

log = Logger()

#: Seconds from one look at an empty queue to the next: another proxy, or a command, may have put something into it.
POLL: Final = 5.0
#: Objects that are looked up together, and go on one association.
MOST_TOGETHER: Final = 500
#: Objects that arrived before that is written down.
WRITTEN_TOGETHER: Final = 50
#: Seconds that a destination that cannot be reached is left alone, at most.
LONGEST_PAUSE: Final = 60.0
#: The clock on the wall may be set: no longer wait is trusted, in seconds.
_LONGEST_SLEEP: Final = 60.0


@frozen
class Destination:
    """
    Where complete studies go.

    @ivar name: by which the database knows it.
    @ivar outbound: what answers its associations.
    @ivar called, calling: the AE titles of them.
    @ivar hours: when associations are opened; None: at any time.
    @ivar pause: seconds from the end of one study to the beginning of the next.
    @ivar lanes: how many studies are sent side by side.
    """

    name: str
    outbound: IOutbound
    called: str
    calling: str
    retries: Retries
    hours: Hours | None = None
    pause: float = 0.0
    lanes: int = 1


@frozen
class Means:
    """
    What every lane works with.

    @ivar read: begins to read the data set in a file of this name and size; called by C{in_thread}.
    """

    queue: Queue
    clock: IReactorTime
    events: Events
    in_thread: InThread
    read: Callable[[str, int], Reads] = field(repr=False)


class Dispatch:
    """Sends what is in the queue, from `start` to `stop`."""

    def __init__(self, means: Means, destinations: Sequence[Destination]) -> None:
        self._events = means.events
        self._roads = [_Road(means, destination) for destination in destinations]
        self._ignore: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Go on with whatever there is to do."""
        self._ignore = self._events.subscribe(self._heard)
        for road in self._roads:
            road.start()

    def stop(self) -> Deferred[Any]:
        """End what is under way; fires when all of it is back in the queue, or left to who finds it."""
        self._ignore()
        return DeferredList([road.stop() for road in self._roads])

    def _heard(self, event: Event) -> None:
        if isinstance(event, StudyCompleted):
            self.look()

    def look(self) -> None:
        """There may be something new in the queue."""
        for road in self._roads:
            road.look()


class _Road:
    """The lanes to one destination, and whether they are open."""

    def __init__(self, means: Means, destination: Destination) -> None:
        self.destination = destination
        self._clock = means.clock
        self._lanes = [_Lane(means, self) for _ in range(destination.lanes)]
        self._stopped: list[Deferred[None]] = []
        self._failures = 0
        self._closed_until = 0.0

    def start(self) -> None:
        """Send what there is."""
        self._stopped = [lane.start() for lane in self._lanes]

    def stop(self) -> Deferred[Any]:
        """Fires when nothing is under way."""
        for lane in self._lanes:
            lane.stop()
        return DeferredList(self._stopped)

    def look(self) -> None:
        """Those who sleep for want of work look again."""
        for lane in self._lanes:
            lane.look()

    def wait(self) -> float:
        """Seconds until it is worth a try; 0: now."""
        now = self._clock.seconds()
        hours = self.destination.hours
        return max(self._closed_until - now, 0.0 if hours is None else hours.wait(now), 0.0)

    def reached(self) -> None:
        """The destination answered."""
        self._failures = 0
        self._closed_until = 0.0

    def missed(self) -> None:
        """The destination could not be reached, or did not answer."""
        self._failures += 1
        pause = min(self.destination.retries.wait(self._failures), LONGEST_PAUSE)
        self._closed_until = self._clock.seconds() + pause


class _Lane:
    """Sends one study after the other."""

    def __init__(self, means: Means, road: _Road) -> None:
        self._means = means
        self._road = road
        self._is_over = False
        self._sleep: Deferred[None] | None = None
        self._is_idle = False
        self._sender: Sender | None = None

    def start(self) -> Deferred[None]:
        """@return: fires at the end, after `stop`."""
        self._is_over = False
        return Deferred.fromCoroutine(self._run())

    def stop(self) -> None:
        """No more."""
        self._is_over = True
        self._wake()
        if self._sender is not None:
            self._sender.abort()

    def look(self) -> None:
        """If there was nothing to do, there may be now."""
        if self._is_idle:
            self._wake()

    def _wake(self) -> None:
        sleep, self._sleep = self._sleep, None
        if sleep is not None:
            sleep.callback(None)

    async def _run(self) -> None:
        while not self._is_over:
            wait = await self._next()
            if wait and not self._is_over:
                await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        call = self._means.clock.callLater(seconds, self._wake)
        self._sleep = Deferred()
        await self._sleep
        self._is_idle = False
        if call.active():
            call.cancel()

    async def _next(self) -> float:
        """Do what is due; how many seconds to wait then."""
        wait = self._road.wait()
        if wait:
            return min(wait, _LONGEST_SLEEP)
        destination = self._road.destination
        job: Job | None = None
        try:
            job = await self._means.queue.claim(destination.name)
            if job is None:
                self._is_idle = True
                return POLL
            await _Attempt(self._means, self._road, job, self).carry_out()
        except NotOurs as error:
            log.info("dispatch {number}: {error}", number=job and job.number, error=str(error))
        except (DatabaseUnavailable, DatabaseRefused) as error:
            # Whatever was under way is found again when nobody speaks for it any longer.
            log.warn("nothing is sent to {name} for now: {error}", name=destination.name, error=str(error))
            return POLL
        except Exception as error:
            # A mistake of ours. Without the traceback: its values may be somebody's.
            log.error("dispatch to {name}: broken: {kind}", name=destination.name, kind=type(error).__name__)
            return POLL
        return destination.pause

    @property
    def is_over(self) -> bool:
        """Whether what is under way must end."""
        return self._is_over

    def sends(self, sender: Sender | None) -> None:
        """What `stop` has to end."""
        self._sender = sender


class _Attempt:
    """One attempt to bring a study to a destination."""

    def __init__(self, means: Means, road: _Road, job: Job, lane: _Lane) -> None:
        self._means = means
        self._road = road
        self._job = job
        self._lane = lane
        self._arrived: list[Pending] = []
        self._delivered = 0
        self._refused = 0
        self._why = ""
        self._is_answered = False

    async def carry_out(self) -> None:
        """
        @raise NotOurs: it is another's by now.
        @raise DatabaseUnavailable: nobody knows how far it got; it is left to who finds it.
        """
        destination = self._road.destination
        sender = Sender(
            destination.outbound,
            destination.called,
            destination.calling,
            self._means.clock,
            self._means.in_thread,
        )
        self._lane.sends(sender)
        renewal = LoopingCall(self._renew, sender)
        renewal.clock = self._means.clock
        renewal.start(LEASE / 3, now=False)
        failure = ""
        is_done = False
        try:
            is_done = await self._send(sender)
        except AssociationFailed as error:
            failure = str(error)
        except (NotOurs, DatabaseUnavailable, DatabaseRefused):
            raise
        except Exception as error:
            # A mistake of ours: it counts as a failure, or it would be made for ever.
            failure = f"broken: {type(error).__name__}"
        finally:
            self._lane.sends(None)
            renewal.stop()
        await self._write_down()
        if is_done and not self._refused:
            await self._sent()
        elif self._lane.is_over or not (failure or self._refused):
            await self._means.queue.put_back(self._job)
        else:
            await self._failed(failure or f"{self._refused} objects did not arrive; the last one: {self._why}")
            if failure and not self._is_answered:
                self._road.missed()

    async def _send(self, sender: Sender) -> bool:
        """Send what is pending; whether all of it was tried."""
        after = 0
        while objects := await self._means.queue.pending(self._job, after, MOST_TOGETHER):
            if self._lane.is_over or (after and self._road.wait()):
                return False
            await self._send_some(sender, objects)
            after = objects[-1].number
        return True

    async def _send_some(self, sender: Sender, objects: Sequence[Pending]) -> None:
        parcels: dict[Parcel, Pending] = {}
        for each in objects:
            if each.sop_instance is None:
                self._refused += 1
                self._why = "its row in the index cannot be read"
            else:
                parcels[self._parcel(each, each.sop_instance)] = each

        def told(parcel: Parcel, outcome: Outcome) -> Deferred[None] | None:
            if outcome.status is not None and not self._is_answered:
                self._is_answered = True
                self._road.reached()
            if outcome.is_delivered:
                self._delivered += 1
                self._arrived.append(parcels[parcel])
                if len(self._arrived) >= WRITTEN_TOGETHER:
                    return Deferred.fromCoroutine(self._write_down())
            else:
                self._refused += 1
                self._why = outcome.why
            return None

        await sender.send(parcels, told)

    def _parcel(self, pending: Pending, sop_instance: str) -> Parcel:
        read = partial(self._means.read, pending.blob, pending.size)
        return Parcel(pending.sop_class, sop_instance, pending.transfer_syntax, read)

    async def _write_down(self) -> None:
        arrived, self._arrived = self._arrived, []
        if arrived:
            await self._means.queue.delivered(self._job, arrived)

    async def _renew(self, sender: Sender) -> None:
        try:
            await self._means.queue.renew(self._job)
        except NotOurs:
            sender.abort()
        except (DatabaseUnavailable, DatabaseRefused):
            # The next time, or when something arrives, it will show whether it still is.
            log.warn("dispatch {number}: its lease is not renewed for now", number=self._job.number)

    async def _sent(self) -> None:
        is_all = await self._means.queue.sent(self._job)
        name = self._job.destination
        log.info(
            "dispatch {number}: {count} objects to {name}", number=self._job.number, count=self._delivered, name=name
        )
        if is_all:
            self._means.events.publish(StudyDispatched(self._job.study_uid, name, self._delivered))

    async def _failed(self, why: str) -> None:
        attempts = 1 if self._delivered else self._job.attempts + 1
        retries = self._road.destination.retries
        is_dead = retries.is_last(attempts)
        retry = None if is_dead else self._means.clock.seconds() + retries.wait(attempts)
        await self._means.queue.failed(self._job, attempts, retry, why)
        log.warn(
            "dispatch {number} to {name} failed{finally_}, attempt {attempts}: {why}",
            number=self._job.number,
            name=self._job.destination,
            finally_=" for good" if is_dead else "",
            attempts=attempts,
            why=why,
        )
        self._means.events.publish(DispatchFailed(self._job.study_uid, self._job.destination, attempts, is_dead, why))
