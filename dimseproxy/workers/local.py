"""
How workers call one another: sockets of this machine, in a folder that only their user may enter.

For each outbound a worker has a socket where the others pass on what that outbound brings and only this worker can
carry further: an ordinary association, with the outbound's own titles and commands.  Which outbound it is from is known
by the socket, and that it may come is known by the folder.  A pipe beside them takes the names of objects that were not
taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.interfaces import IAssociation, ICallers, IIncomingAssociation, IOutbound
from dimseproxy.association.limits import Limits
from dimseproxy.inbound.dimse import DimseInbound
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.relay.destinations import ApplicationLeg, Destination, DestinationLeg
from dimseproxy.ul.negotiation import outward_request
from dimseproxy.ul.pdu import AssociateRequest

log = Logger()

#: Only its user; the folder says so, too.
_MODE: Final = 0o600
#: What the pipe is asked to hold, in bytes: more names than a C-MOVE-RSP may list.
_PIPE_SIZE: Final = 1024 * 1024
#: A longer name would not be written in one piece, and no UID is as long (PS3.5 9.1).
_LONGEST_NAME: Final = 256
_READ_SIZE: Final = 65536

#: Takes an association of the outbound of this name.
PassedOn = Callable[[IIncomingAssociation, str], None]


@frozen
class Sockets:
    """
    Where the workers are.

    @ivar folder: made by the parent.
    @ivar outbounds: the names of those that are peers, in an order that all workers know.
    """

    folder: Path
    outbounds: Sequence[str]

    def of_outbound(self, worker: int, outbound: str) -> Path:
        """Where a worker takes what this outbound brings."""
        return self.folder / f"{worker}-{self.outbounds.index(outbound)}"

    def of_names(self, worker: int) -> Path:
        """Where it takes the names of objects that were not taken."""
        return self.folder / f"{worker}-failed"


class Locally:
    """
    One worker's end.

    @param reactor: listens and connects.
    @param limits: what an association with another worker may cost.
    @param connect_seconds: by when another worker must have answered.
    @param max_associations: how many others may have with us at once, for each outbound.
    """

    def __init__(
        self,
        sockets: Sockets,
        number: int,
        reactor: Any,
        deadlines: IDeadlines,
        limits: Limits,
        connect_seconds: float,
        max_associations: int,
    ) -> None:
        self._sockets = sockets
        self._number = number
        self._reactor = reactor
        self._deadlines = deadlines
        self._limits = limits
        self._connect_seconds = connect_seconds
        self._max_associations = max_associations
        self._factories: list[DimseInbound] = []
        self._ports: list[IListeningPort] = []
        self._names: int | None = None
        self._rest = b""

    def start(self, passed_on: PassedOn) -> None:
        """
        Listen.

        @raise OSError, CannotListenError: the folder is not as it should be.
        """
        path = self._sockets.of_names(self._number)
        # What a predecessor left that was killed.
        path.unlink(missing_ok=True)
        os.mkfifo(path, _MODE)
        # For writing as well: otherwise it would end whenever the last writer closes it.
        self._names = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):
            # A system may allow less, which is enough but for very many failures at once.
            fcntl(self._names, F_SETPIPE_SZ, _PIPE_SIZE)
        for outbound in self._sockets.outbounds:
            path = self._sockets.of_outbound(self._number, outbound)
            path.unlink(missing_ok=True)
            factory = DimseInbound(
                outbound, _Callers(passed_on, outbound), self._deadlines, self._limits, self._max_associations
            )
            self._factories.append(factory)
            self._ports.append(self._reactor.listenUNIX(str(path), factory, mode=_MODE))

    def emptied(self) -> Deferred[Any]:
        """
        @return: fires when there is no association of others any more.
        """
        return gatherResults([factory.emptied() for factory in self._factories])

    def cut_all(self) -> None:
        """Cut them."""
        for factory in self._factories:
            factory.cut_all()

    def stop(self) -> Deferred[Any]:
        """
        Take nothing more.

        @return: fires when that is so.
        """
        ports, self._ports = self._ports, []
        if self._names is not None:
            os.close(self._names)
            self._names = None
            self._sockets.of_names(self._number).unlink(missing_ok=True)
        # Each removes its socket from the folder, which is gone where the parent has died.
        return gatherResults([maybeDeferred(port.stopListening).addErrback(_is_gone) for port in ports])

    # The others

    def to(self, number: int, outbound: str) -> Destination:
        """A worker as a destination of what this outbound brings."""
        endpoint = UNIXClientEndpoint(self._reactor, str(self._sockets.of_outbound(number, outbound)))
        return _Worker(number, outbound, DimseOutbound(endpoint, self._deadlines, self._limits, self._connect_seconds))

    def name_failed(self, number: int, message_id: int, sop_instance: str) -> None:
        """Tell a worker which object of its C-MOVE was not taken; the number of them it knows from elsewhere."""
        line = f"{message_id} {sop_instance}\n".encode()
        if len(line) > _LONGEST_NAME or not sop_instance.isprintable():
            return
        try:
            fd = os.open(self._sockets.of_names(number), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            # It has died, and the C-MOVE with it.
            return
        try:
            os.write(fd, line)
        except BlockingIOError:
            log.warn("worker {worker} does not take the name of a failed object: its list will lack it", worker=number)
        except OSError:
            # It has died since.
            return
        finally:
            os.close(fd)

    def failed(self) -> list[tuple[int, str]]:
        """Message ids and objects that we have been told so since this was asked last."""
        lines: list[bytes] = []
        while self._names is not None:
            try:
                content = os.read(self._names, _READ_SIZE)
            except BlockingIOError:
                break
            *more, self._rest = (self._rest + content).split(b"\n")
            lines += more
        found = []
        for line in lines:
            message_id, _, sop_instance = line.decode().partition(" ")
            found.append((int(message_id), sop_instance))
        return found


def _is_gone(failure: Failure) -> None:
    failure.trap(FileNotFoundError)


@implementer(ICallers)
@frozen
class _Callers:
    """The other workers, with what one outbound has brought them."""

    passed_on: PassedOn
    outbound: str

    def incoming(self, association: IIncomingAssociation) -> None:
        self.passed_on(association, self.outbound)


@frozen
class _Worker:
    """
    Another worker, as the destination of what is passed on to it.

    @ivar name: of the outbound that has brought it.
    """

    number: int
    name: str
    outbound: IOutbound = field(eq=False, repr=False)

    @property
    def key(self) -> object:
        # Each outbound has a socket of its own there.
        return "worker", self.number, self.name

    def open(self, request: AssociateRequest) -> Deferred[DestinationLeg]:
        # Under the titles of the delivery: they tell whose it may be.
        passed_on = outward_request(
            request,
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            contexts=request.contexts,
            with_user_identity=False,
        )
        return self.outbound.associate(passed_on).addCallback(self._reached)

    def _reached(self, association: IAssociation) -> ApplicationLeg:
        log.info("association {number}: passed on to worker {worker}", number=association.number, worker=self.number)
        return ApplicationLeg(association)
