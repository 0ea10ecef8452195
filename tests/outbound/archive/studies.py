"""Studies in an index, on a clock in memory; and an application that takes what is sent to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.interfaces import Established, IAssociation, IAssociationUser, IOutbound, Peer
from dimseproxy.dimse.command_set import CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.errors import AssociationAborted, OutboundUnreachable
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.events import Event, Events
from dimseproxy.outbound.archive.index import Duplicates, Index
from dimseproxy.outbound.archive.instances import Added
from dimseproxy.outbound.archive.queue import Queue, State
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.sending import Reads
from dimseproxy.outbound.archive.tracking import Tracking
from dimseproxy.storage.database import Database
from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, AssociateRequest
from tests.outbound.archive.indexing import a_database, an_instance, index_on
from tests.storage.databases import execute

_T = TypeVar("_T")

#: What the clock says when a test begins: some day, for time begins long before it.
TODAY = 1_000_000_000.0
TIMEOUT = 60.0


class Studies:
    """
    An index with what follows from it, and the events that were told.

    @param kept: the database.
    """

    def __init__(self, kept: Database, index: Index, destinations: Sequence[str], seal: Seal | None = None) -> None:
        self.kept = kept
        self.index = index
        self.clock = Clock()
        self.clock.advance(TODAY)
        self.events = Events()
        self.told: list[Event] = []
        self.events.subscribe(self.told.append)
        columns = Columns(seal)
        self.queue = Queue(kept, self.clock, columns, destinations)
        self.tracking = Tracking(kept, self.clock, columns, TIMEOUT, self.events, self.queue.enqueue)

    async def add(
        self, study: int, *numbers: int, content: bytes = b"", ago: float = 0.0, size: int = 100
    ) -> list[Added]:
        """Objects of one study arrive, each a series of its own."""
        received = self.clock.seconds() - ago
        return await self.index.add_many(
            [
                evolve(
                    an_instance(
                        100 * study + number,
                        content,
                        StudyInstanceUID=f"1.3.{study}",
                        SeriesInstanceUID=f"1.4.{100 * study + number}",
                        PatientID=f"P{study}",
                    ),
                    received=received,
                    size=size,
                )
                for number in numbers
            ]
        )

    async def complete(self) -> int:
        """It stays quiet for long enough."""
        self.clock.advance(TIMEOUT)
        return await self.tracking.look()

    async def spoil(self, table: str, number: int) -> None:
        """A row of a sealed index is no longer what was written."""
        await self.kept.run(execute(f"UPDATE {table} SET attributes = zeroblob(80) WHERE id = {number}"))

    async def states(self, destination: str = "pacs") -> list[State]:
        """Where the studies are on their way, the first one first."""
        rows = await self.kept.read(
            execute("SELECT state FROM archive_dispatch WHERE destination = :to ORDER BY study", to=destination)
        )
        return [State(row[0]) for row in rows]


async def studies(
    case: TestCase,
    where: Path | str | None = None,
    destinations: Sequence[str] = ("pacs",),
    seal: Seal | None = None,
    duplicates: Duplicates = Duplicates.REPLACE,
) -> Studies:
    """Studies in a new database, or in the one given."""
    kept = await a_database(case, where)
    index = await index_on(kept, duplicates=duplicates, seal=seal)
    return Studies(kept, index, destinations, seal)


@implementer(IOutbound)
class Application:
    """
    Takes objects, as an outbound.

    @ivar came: the SOP Instance UIDs of the objects that came, in order.
    @ivar arrived: those that it answers with success, a moment later.
    @ivar statuses: what it answers, by SOP Instance UID, where that is something else.
    @ivar silent: the SOP Instance UIDs that it does not answer.
    @ivar accepts: whether it takes objects of this SOP class in this transfer syntax.
    @ivar is_up: whether it answers associations.
    @ivar ends_after: after so many objects it ends the association; None: never.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self.arrived: list[str] = []
        self.received: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self.silent: set[str] = set()
        self.accepts: Callable[[str, str], bool] = lambda sop_class, transfer_syntax: True
        self.is_up = True
        self.ends_after: int | None = None
        self.asked = 0
        self.associations: list[_Taking] = []

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        self.asked += 1
        return maybeDeferred(self._associate, request)

    def _associate(self, request: AssociateRequest) -> IAssociation:
        if not self.is_up:
            raise OutboundUnreachable("the outbound cannot be reached")
        answers = []
        for context in request.contexts:
            taken = [each for each in context.transfer_syntaxes if self.accepts(context.abstract_syntax, each)]
            answers.append(AnsweredContext(context.context_id, 0 if taken else 4, taken[0] if taken else ""))
        accept = AssociateAccept(request.called_ae_title, request.calling_ae_title, tuple(answers))
        association = _Taking(self, Established(request, accept))
        self.associations.append(association)
        return association


@implementer(IAssociation)
class _Taking:
    """One association with an application; it answers in later turns of the reactor."""

    def __init__(self, application: Application, established: Established) -> None:
        self.number = 1
        self.peer = Peer("192.0.2.1", 104)
        self.established = established
        self.user: IAssociationUser
        self.told: list[str] = []
        self._application = application
        self._command: Command | None = None
        self._data = b""
        self._count = 0
        self.is_over = False

    def use(self, user: IAssociationUser) -> None:
        self.user = user

    def send(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, Command):
                self._command, self._data = part, b""
            else:
                self._data += bytes(part)
                if part.is_last and self._command is not None and not self.is_over:
                    self._take(self._command, self._command.command_set)

    def _take(self, command: Command, request: CommandSet) -> None:
        application = self._application
        uid = request.text(Element.AFFECTED_SOP_INSTANCE_UID)
        if application.ends_after is not None and self._count >= application.ends_after:
            self._later(self.end)
            return
        self._count += 1
        application.came.append(uid)
        if uid in application.silent:
            return
        status = application.statuses.get(uid, 0)
        if not status:
            application.arrived.append(uid)
            application.received[uid] = self._data
        self._later(lambda: self.user.received([Command(command.context_id, response_to(request, status))]))

    def end(self) -> None:
        """The connection is lost."""
        if not self.is_over:
            self.is_over = True
            self.user.ended(AssociationAborted(2, 0))

    def pause(self) -> None:
        raise AssertionError("nobody sends so much to a requestor")

    resume = respond_release = pause

    def release(self) -> None:
        self.told.append("release")
        self.is_over = True
        self._later(lambda: self.user.released())

    def abort(self, source: int, reason: int) -> None:
        self.told.append("abort")
        self.is_over = True

    @staticmethod
    def _later(call: Callable[[], None]) -> None:
        IReactorTime(reactor).callLater(0.0, call)


class Pieces:
    """A data set in pieces; the test says where it breaks."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self._pieces = list(pieces)
        self._breaks = breaks
        self.total = sum(map(len, pieces))

    @property
    def is_over(self) -> bool:
        return not self._pieces and not self._breaks

    def step(self) -> list[bytes]:
        if not self._pieces and self._breaks:
            raise OSError("the disk does not give it")
        return [self._pieces.pop(0)] if self._pieces else []


def read_name(name: str, size: int) -> Reads:
    """A file whose data set is its name."""
    return Pieces(name.encode())


def at_once(work: Callable[[], _T], /) -> Deferred[_T]:
    """Work without threads."""
    return maybeDeferred(work)
