"""
The other workers, as the relay knows them.

A PACS that is asked for objects by one worker may bring them to another: the kernel distributes associations, and
cannot know.  So whoever receives a delivery asks here what the others have asked for, and delivers that in their stead.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Final, Protocol

from dimseproxy.relay.destinations import Destination

if TYPE_CHECKING:
    from dimseproxy.relay.retrieves import Retrieve

#: Our message ids are from the upper half: callers count from 1.
FIRST_MESSAGE_ID: Final = 0x8000
LAST_MESSAGE_ID: Final = 0xFFFF


class Asked(Protocol):
    """
    A C-MOVE, of this worker or another, for which a delivery may bring objects.

    @ivar destination: where they go.
    @ivar originator: who asked; empty where the Move Originator's title stays as it is, because somebody else will
        replace it.
    @ivar originator_message_id: with which message; the C-MOVE's own for a worker that finds it by that; 0 where the
        Move Originator's message id stays as it is.
    """

    @property
    def destination(self) -> Destination: ...

    @property
    def message_id(self) -> int: ...

    @property
    def originator(self) -> str: ...

    @property
    def originator_message_id(self) -> int: ...

    @property
    def names_studies(self) -> bool:
        """Whether it asked for studies by name."""

    def asked_for(self, study: str) -> bool:
        """Whether it asked for this study by name."""

    def or_another(self) -> Asked:
        """It, where the objects may be of another C-MOVE with the same destination just as well."""

    def progress(self) -> None:
        """Something of it came through."""

    def account(self, status: int, sop_instance: str) -> None:
        """A sub-operation was answered with this status."""


class Elsewhere(Protocol):
    """
    @ivar workers: how many there are, this one included.
    """

    @property
    def workers(self) -> int: ...

    def lease(self, taken: Container[int]) -> int:
        """A message id that no other worker leases, and that is none of these."""

    def opened(self, retrieve: Retrieve) -> None:
        """A C-MOVE of ours is about to go out, or more is known of it."""

    def closed(self, retrieve: Retrieve) -> None:
        """It is over."""

    def settle(self, retrieve: Retrieve) -> None:
        """Add to a C-MOVE of ours what became of the objects that came to the others."""

    def asked(self, outbound: str, title: str) -> Sequence[Asked]:
        """The C-MOVEs of the others whose objects may come from this outbound to this title of ours."""

    def commitment_opened(self, outbound: str, transaction: str, destination: Destination) -> None:
        """A storage commitment is about to be asked for, whose report will go there."""

    def commitment_closed(self, outbound: str, transaction: str) -> None:
        """It was reported, or is forgotten."""

    def commitment_is_anothers(self, outbound: str, transaction: str, destination: Destination) -> bool:
        """Whether one of the others has asked for a commitment whose report will go somewhere else."""

    def commitment(self, outbound: str, transaction: str) -> Destination | None:
        """The other worker that asked for a commitment, if one did: it passes the report on."""

    def awaits_reports(self, outbound: str) -> bool:
        """Whether any of the others waits for a report of this outbound."""


class Nowhere:
    """There are no other workers, or none that matter."""

    workers: Final = 1

    def __init__(self) -> None:
        self._message_ids = cycle(range(FIRST_MESSAGE_ID, LAST_MESSAGE_ID + 1))

    def lease(self, taken: Container[int]) -> int:
        return next(each for each in self._message_ids if each not in taken)

    def opened(self, retrieve: Retrieve) -> None:
        """Nobody needs to know."""

    def closed(self, retrieve: Retrieve) -> None:
        """Nobody needs to know."""

    def settle(self, retrieve: Retrieve) -> None:
        """All of it came here."""

    def asked(self, outbound: str, title: str) -> Sequence[Asked]:
        return ()

    def commitment_opened(self, outbound: str, transaction: str, destination: Destination) -> None:
        """Nobody needs to know."""

    def commitment_closed(self, outbound: str, transaction: str) -> None:
        """Nobody needs to know."""

    def commitment_is_anothers(self, outbound: str, transaction: str, destination: Destination) -> bool:
        return False

    def commitment(self, outbound: str, transaction: str) -> Destination | None:
        return None

    def awaits_reports(self, outbound: str) -> bool:
        return False
