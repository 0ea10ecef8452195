"""
How much a peer is asked to do at once.

Who finds it busy waits for a turn.  Each caller has one turn in rotation, however many of its associations wait: two
hundred of one workstation keep nobody else waiting for longer than one of them would.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds between two looks at places that other processes may have given back, while somebody waits for one.
LOOK_EVERY: Final = 0.02

T = TypeVar("T", bound=Hashable)


class Slots(Protocol):
    """A number of places, which other processes may take and give back as well."""

    def take(self) -> bool:
        """Take a place; False where none is free."""

    def give(self) -> None:
        """Give a place back."""

    def when_free(self, call: Callable[[], None]) -> None:
        """Call this once, as soon as a place may be free; whoever asked before is no longer called."""

    def are_wanted_elsewhere(self) -> bool:
        """Whether somebody may wait for a place of whom this process does not know."""


class Count:
    """
    The places of this process.

    @param limit: how many there are; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._when_free: Callable[[], None] | None = None
        #: How many are taken.
        self.taken = 0

    def take(self) -> bool:
        if self._limit is not None and self.taken >= self._limit:
            return False
        self.taken += 1
        return True

    def give(self) -> None:
        self.taken -= 1
        call, self._when_free = self._when_free, None
        if call is not None:
            call()

    def when_free(self, call: Callable[[], None]) -> None:
        self._when_free = call

    def are_wanted_elsewhere(self) -> bool:
        return False


class SharedCount:
    """
    Places that are counted for several processes, none of which is told when another one gives a place back.

    @param take: takes a place; False where none is free.
    @param give: gives a place back.
    """

    def __init__(self, take: Callable[[], bool], give: Callable[[], None], clock: IReactorTime) -> None:
        self._take = take
        self._give = give
        self._clock = clock
        self._when_free: Callable[[], None] | None = None
        self._look: IDelayedCall | None = None

    def take(self) -> bool:
        return self._take()

    def give(self) -> None:
        self._give()
        if self._when_free is not None:
            self._may_be_free()

    def when_free(self, call: Callable[[], None]) -> None:
        self._when_free = call
        if self._look is None:
            self._look = self._clock.callLater(LOOK_EVERY, self._looked)

    def are_wanted_elsewhere(self) -> bool:
        if self._take():
            self._give()
            return False
        return True

    def _looked(self) -> None:
        self._look = None
        self._may_be_free()

    def _may_be_free(self) -> None:
        call, self._when_free = self._when_free, None
        if call is not None:
            call()


class Rotation(Generic[T]):
    """Who waits: one turn for each caller, and for each caller in the order of arrival."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, dict[T, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, caller: Hashable, waiter: T) -> None:
        """This one waits, too; it does not yet."""
        self._waiting.setdefault(caller, {})[waiter] = None
        self._count += 1

    def discard(self, caller: Hashable, waiter: T) -> None:
        """This one waits no longer."""
        of_caller = self._waiting.get(caller, {})
        if waiter in of_caller:
            del of_caller[waiter]
            self._count -= 1
            if not of_caller:
                del self._waiting[caller]

    @property
    def first(self) -> T:
        """Whose turn it is; there is one."""
        of_caller = next(iter(self._waiting.values()))
        return next(iter(of_caller))

    def take(self) -> T:
        """Whose turn it is; its caller then comes last."""
        waiter = self.first
        caller = next(iter(self._waiting))
        self._waiting.move_to_end(caller)
        self.discard(caller, waiter)
        return waiter


class Operations:
    """
    The requests that a peer works on at once, of all associations.

    @param slots: how many there may be.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._waiting: Rotation[Callable[[], None]] = Rotation()

    def take(self, caller: Hashable, go_on: Callable[[], None]) -> bool:
        """
        Ask for one.

        @param go_on: called once, where there is none, as soon as one was taken for this.
        @return: whether it was taken at once.
        """
        if not self._waiting and self._slots.take():
            return True
        self._waiting.add(caller, go_on)
        self._slots.when_free(self._serve)
        return False

    def withdraw(self, caller: Hashable, go_on: Callable[[], None]) -> None:
        """This one waits no longer."""
        self._waiting.discard(caller, go_on)

    def give(self) -> None:
        """One is over."""
        self._slots.give()

    def _serve(self) -> None:
        while self._waiting:
            if not self._slots.take():
                self._slots.when_free(self._serve)
                return
            self._waiting.take()()
