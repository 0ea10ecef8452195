"""One worker among others: the board, the sockets, and what the relay knows of the others, put together."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines, IWatched
from dimseproxy.association.limits import Limits
from dimseproxy.config.settings import Settings
from dimseproxy.outbound.limits import SharedCount
from dimseproxy.outbound.sharing import ASSOCIATIONS
from dimseproxy.relay.destinations import ApplicationDestination
from dimseproxy.relay.reception import Reception
from dimseproxy.workers.board import (
    Board,
    Tally,
    associations_of_inbound,
    associations_with_outbound,
    keys_of,
    operations_with_outbound,
)
from dimseproxy.workers.elsewhere import OtherWorkers
from dimseproxy.workers.local import Locally, Sockets
from dimseproxy.workers.part import Part


@implementer(IWatched)
class Siblings:
    """
    @ivar board: what the workers share.
    @ivar elsewhere: the others, for a `Reception`.
    @param limits: of an association with another worker.
    @raise NotThisBoard: the parent has another configuration.
    """

    def __init__(self, part: Part, settings: Settings, reactor: Any, deadlines: IDeadlines, limits: Limits) -> None:
        self.board = Board.attach(part.board, part.number, part.of, keys_of(settings))
        self._settings = settings
        self._deadlines = deadlines
        self._reception: Reception | None = None
        self._locally = Locally(
            Sockets(part.sockets, sorted(settings.peers)),
            part.number,
            reactor,
            deadlines,
            limits,
            settings.timeouts.connect,
            # No more than an outbound may have with all workers.
            sum(inbound.max_associations for inbound in settings.inbound.values()),
        )
        self.elsewhere = OtherWorkers(
            self.board, part.number, sorted(settings.privacy), self._locally, self._find_destination
        )

    def places(self, inbound: str) -> Tally:
        """Those of all workers together, at this inbound."""
        return self.board.tally(associations_of_inbound(inbound), self._settings.inbound[inbound].max_associations)

    def slots(self, what: str, outbound: str, limit: int) -> SharedCount:
        """Those of all workers together, at this outbound: `ASSOCIATIONS` or `OPERATIONS`."""
        key = associations_with_outbound(outbound) if what == ASSOCIATIONS else operations_with_outbound(outbound)
        tally = self.board.tally(key, limit)
        return SharedCount(tally.take, tally.give, self._deadlines.clock)

    def start(self, reception: Reception) -> None:
        """
        Take what the others pass on.

        @raise OSError, CannotListenError: the folder of the sockets is not as it should be.
        """
        self._reception = reception
        self._locally.start(reception.passed_on)
        self._deadlines.watch(self.elsewhere)
        self._deadlines.watch(self)

    def check(self, now: float) -> None:
        """To be looked at is a sign of life, which the parent waits for."""
        self.board.beat()

    def emptied(self) -> Deferred[Any]:
        """
        @return: fires when the others have nothing under way here.
        """
        return self._locally.emptied()

    def cut_all(self) -> None:
        """Cut it."""
        self._locally.cut_all()

    def stop(self) -> Deferred[Any]:
        """
        Take nothing more.  The board stays as long as the process: what ends last is still counted there.

        @return: fires when that is so.
        """
        self._deadlines.forget(self)
        self._deadlines.forget(self.elsewhere)
        return self._locally.stop()

    def _find_destination(self, title: str, known_as: str, policy: str) -> ApplicationDestination | None:
        return None if self._reception is None else self._reception.destination_under(title, known_as, policy)
