"""The archive, put together from what it keeps objects in and what it knows them by."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.outbound.archive.committing import Committing, Holds
from dimseproxy.outbound.archive.events import Events
from dimseproxy.outbound.archive.files import Files
from dimseproxy.outbound.archive.finding import Finding, Finds
from dimseproxy.outbound.archive.negotiation import Offer
from dimseproxy.outbound.archive.outbound import ArchiveOutbound, KnowsSyntaxes, Service
from dimseproxy.outbound.archive.receiving import Receiving, StoresInstances
from dimseproxy.outbound.archive.retrieving import Retrieving, Selects
from dimseproxy.outbound.archive.threads import Threads
from dimseproxy.storage.blobs import Blobs


class KnowsObjects(StoresInstances, Finds, Selects, Holds, KnowsSyntaxes, Protocol):
    """All that is asked of the index."""


class Archive:
    """
    @param blobs: where objects are kept; opened by `start`.
    @param index: what they are known by; its database has to be open by `start`.
    @param reactor: for the threads.
    @param sop_classes: what is taken; None: all storage SOP classes of the standard.
    @param admit: called before an object is taken; raises `OperationRefused` where there is no room for one.
    @param events: where it is told what happens.
    @param refused: told the SOP class of each object that was refused, and the status.
    @ivar events: as given.
    @ivar files: the objects, for others that read or remove some.
    @ivar outbound: what answers associations.
    """

    def __init__(
        self,
        blobs: Blobs,
        index: KnowsObjects,
        reactor: IReactorFromThreads,
        clock: IReactorTime,
        *,
        sop_classes: Collection[str] | None = None,
        admit: Callable[[], None] = lambda: None,
        events: Events | None = None,
        refused: Callable[[str, int], None] = lambda sop_class, status: None,
    ) -> None:
        self.events = Events() if events is None else events
        self._threads = Threads(reactor)
        self.files = Files(blobs, self._threads)
        services: dict[int, Service] = {
            CommandField.C_STORE_RQ: Receiving(self.files, index, clock, admit, self.events).serve,
            CommandField.C_FIND_RQ: Finding(index).serve,
            CommandField.C_GET_RQ: Retrieving(index, self.files).serve,
            CommandField.N_ACTION_RQ: Committing(index, self.files).serve,
        }
        offer = Offer(None if sop_classes is None else frozenset(sop_classes))
        self.outbound = ArchiveOutbound(offer, index, services, clock, refused)

    def start(self) -> Deferred[None]:
        """
        Answer associations from now on.

        @return: fails with `OSError` where the folder cannot be used.
        """
        self._threads.start()
        return self.files.in_thread(self.files.blobs.open).addCallback(self._opened)

    def stop(self) -> Deferred[None]:
        """Take no new associations, and let what is under way on the disk end; associations must be over before."""
        self.outbound.is_open = False
        stopped: Deferred[None] = Deferred.fromCoroutine(self._stop())
        return stopped

    async def _stop(self) -> None:
        await self.files.settled()
        await self._threads.stop()

    def _opened(self, _: Any) -> None:
        self.outbound.is_open = True
