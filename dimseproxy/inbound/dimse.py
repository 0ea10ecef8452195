"""An inbound that is a DICOM listener."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.association.interfaces import ICallers
from dimseproxy.association.limits import Limits
from dimseproxy.errors import LOCAL_LIMIT_EXCEEDED

log = Logger()


class Places(Protocol):
    """The places that several processes share."""

    def take(self) -> bool:
        """Whether there was one."""

    def give(self) -> None:
        """Give one back."""


class DimseInbound(Factory):
    """
    Builds an association for each connection, and counts them.

    A connection costs nobody a place until its A-ASSOCIATE-RQ is there; then one over the limit is rejected at
    once, and knows why (PS3.8 Table 9-21: local limit exceeded).

    @param name: the inbound's name in the configuration.
    @param callers: who answers the requests.
    @param max_associations: how many there may be.
    @param places: as many, where other processes have associations of the same inbound; None where there are none.
    """

    noisy = False

    def __init__(
        self,
        name: str,
        callers: ICallers,
        deadlines: IDeadlines,
        limits: Limits,
        max_associations: int,
        places: Places | None = None,
    ) -> None:
        self.name = name
        self._callers = callers
        self._deadlines = deadlines
        self._limits = limits
        self._max_associations = max_associations
        self._places = places
        self._associations: set[IncomingAssociation] = set()
        self._when_empty: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> IncomingAssociation:
        return IncomingAssociation(self._deadlines, self._limits, self.name, self._requested)

    def emptied(self) -> Deferred[None]:
        """
        @return: fires when there is no association any more.
        """
        self._when_empty = Deferred()
        self._check_empty()
        return self._when_empty

    def cut_all(self) -> None:
        """Cut the connections of all associations, whatever they do; those in order have been aborted before."""
        for association in tuple(self._associations):
            association.cut()

    @property
    def count(self) -> int:
        """How many associations there are."""
        return len(self._associations)

    def _requested(self, association: IncomingAssociation) -> None:
        if not self._take_place():
            association.reject(LOCAL_LIMIT_EXCEEDED, f"{self._max_associations} associations are open")
            return
        self._associations.add(association)
        association.when_gone = lambda: self._gone(association)
        self._callers.incoming(association)

    def _take_place(self) -> bool:
        if self._places is not None:
            return self._places.take()
        return len(self._associations) < self._max_associations

    def _gone(self, association: IncomingAssociation) -> None:
        self._associations.discard(association)
        if self._places is not None:
            self._places.give()
        self._check_empty()

    def _check_empty(self) -> None:
        if not self._associations and self._when_empty is not None and not self._when_empty.called:
            self._when_empty.callback(None)
