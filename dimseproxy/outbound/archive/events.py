"""
What happens in the archive, for whoever wants to know.

Events are told when what they say is durable.  They are no record of it: who was not there when one was told finds what
it says in the database.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from twisted.logger import Logger

log = Logger()


@frozen
class InstanceStored:
    """
    An object is there that was not.

    @ivar size: of its file, in bytes.
    @ivar sender: the AE title that it came from.
    @ivar received: seconds since 1970.
    """

    sop_class: str
    sop_instance: str = field(repr=False)
    study: str = field(repr=False)
    series: str = field(repr=False)
    size: int
    sender: str
    received: float


@frozen
class StudyCompleted:
    """
    No object of a study came for a while.  If more come, it will be complete once more.

    @ivar number: of the study, in the database.
    @ivar study: its Study Instance UID.
    @ivar completions: how often it was complete by now.
    @ivar instances: the objects there are.
    @ivar size: of their files together, in bytes.
    """

    number: int
    study: str = field(repr=False)
    completions: int
    instances: int
    size: int


@frozen
class StudyDispatched:
    """
    All there is of a study reached a destination.

    @ivar instances: the objects that this attempt sent.
    """

    study: str = field(repr=False)
    destination: str
    instances: int


@frozen
class DispatchFailed:
    """
    A study did not reach a destination, or not all of it did.

    @ivar attempts: those in a row that delivered nothing.
    @ivar is_dead: whether it will not be tried again before somebody asks for it.
    """

    study: str = field(repr=False)
    destination: str
    attempts: int
    is_dead: bool
    why: str


@frozen
class ObjectsRefused:
    """
    There is no room for objects any longer.

    @ivar free: bytes that the disk still takes.
    """

    free: int


Event = InstanceStored | StudyCompleted | StudyDispatched | DispatchFailed | ObjectsRefused


class Events:
    """Tells events to everybody who asked for them, in the order in which they asked."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> Callable[[], None]:
        """
        Tell a subscriber every event from now on.

        @return: call it to end that.
        """
        # As an object of its own, so that who subscribes twice is told twice and can end each.
        subscription = _Subscription(subscriber)
        self._subscribers.append(subscription)

        def end() -> None:
            if subscription in self._subscribers:
                self._subscribers.remove(subscription)

        return end

    def publish(self, event: Event) -> None:
        """Tell an event.  A subscriber that fails disturbs nobody."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception as error:
                # Without the traceback: the event says whose study it is.
                log.error("an event was told to somebody who failed: {kind}", kind=type(error).__name__)


class _Subscription:
    """One subscription."""

    def __init__(self, subscriber: Callable[[Event], None]) -> None:
        self._subscriber = subscriber

    def __call__(self, event: Event) -> None:
        self._subscriber(event)
