"""
The parent of the workers: it holds what they share, starts them, ends one that hangs, and starts another one for each
that has died.

It serves nobody itself, so that there is little that could end it.  What it holds: the listening sockets, the board,
the folder of the sockets at which workers call one another, and the settings, which are the same for all of them
whatever becomes of the file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from twisted.application.service import Service
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import InvalidLogLevelError, Logger, LogLevel

from dimseproxy.config import ConfigurationError, Mistake, Settings
from dimseproxy.endpoints import cannot_listen, with_backlog
from dimseproxy.log import Log, logged_by
from dimseproxy.process import CannotStart, fail, on_hangup, on_stop
from dimseproxy.reloading import read_again
from dimseproxy.workers.board import BEATS, Board, keys_of
from dimseproxy.workers.listening import shared_sockets
from dimseproxy.workers.orders import ORDERS, READY, Kind, Order, to_settle
from dimseproxy.workers.part import Part
from dimseproxy.workers.worker import LOOK_EVERY, Worker

log = Logger()

#: Seconds that a worker may take to end, once all its associations have.
PATIENCE: Final = 10.0

_BOARD: Final = READY + 1
_FIRST_LISTENER: Final = _BOARD + 1


class Supervisor(Service):
    """
    @param settings: what the configuration says.
    @param path: where it was read from, to read it again.
    @param logging: where the log goes, that of the workers included; None leaves that to twistd.
    @param options: what twistd is told in a worker, besides what all workers need.
    """

    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        logging: Log | None,
        reactor: Any = _reactor,
        options: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        self._path = path
        self._logging = logging
        self._reactor = reactor
        self._options = options
        self.workers = tuple(Worker(number, self, reactor) for number in range(settings.workers))
        self._listening: dict[str, tuple[socket.socket, ...]] = {}
        self._board: Board | None = None
        self._folder: Path | None = None
        self._lock: int | None = None
        self._is_stopping = False
        self._kills: list[IDelayedCall] = []
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def setServiceParent(self, parent: object) -> None:
        Service.setServiceParent(self, logged_by(self._logging, parent))

    def privilegedStartService(self) -> None:
        """
        Listen, before twistd gives up its privileges.

        @raise CannotStart: a port is in use, or is not for this user.
        """
        Service.privilegedStartService(self)
        # Before anybody can see that it runs: unhandled, a SIGHUP would end it.
        on_hangup(self._reactor, self.reload)
        for name, inbound in self._settings.inbound.items():
            try:
                self._listening[name] = shared_sockets(with_backlog(inbound.listen), len(self.workers))
            except CannotListenError as error:
                text = cannot_listen(self._settings, name, error)
                log.critical("{text}", text=text)
                raise CannotStart(text) from None
            host, port = self._listening[name][0].getsockname()[:2]
            log.info(
                "inbound {name} listens on {host}:{port}{tls} for {count} workers",
                name=name,
                host=host,
                port=port,
                tls=" with TLS" if inbound.tls else "",
                count=len(self.workers),
            )

    def startService(self) -> None:
        Service.startService(self)
        self._reactor.callWhenRunning(self._begin)
        # Twisted installs its own signal handlers when the reactor runs.
        self._reactor.callWhenRunning(on_stop, self._reactor, lambda: self._is_stopping, self._cut)

    def _begin(self) -> None:
        if self._is_stopping:
            return
        try:
            self._board = Board.create(len(self.workers), keys_of(self._settings))
            # Its owner's alone.
            self._folder = Path(tempfile.mkdtemp(prefix="dimseproxy-"))
            # Who clears away what is old in such places (systemd-tmpfiles) leaves out what is locked.
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except OSError as error:
            log.critical("the workers have no place to meet: {error}", error=str(error))
            self._fail()
            return
        # One first: it makes what is not there yet, and says once what is wrong.
        self.workers[0].start()
        self._looking.start(LOOK_EVERY, now=False)

    def _look(self) -> None:
        assert self._board is not None
        for worker in self.workers:
            worker.look(self._board.mark(worker.number, BEATS))

    def stopService(self) -> Deferred[object]:
        """
        Let the workers drain; fires when all of them have ended.
        """
        Service.stopService(self)
        self._is_stopping = True
        if self._looking.running:
            # Who drains has the time that it takes.
            self._looking.stop()
        count = sum(worker.pid is not None for worker in self.workers)
        log.info("shutting down with {count} {what}", count=count, what="worker" if count == 1 else "workers")
        # A worker that still expects deliveries has its own.
        for each in self._sockets():
            each.close()
        gone = gatherResults([worker.stop() for worker in self.workers])
        self._kill_in(self._settings.timeouts.drain + PATIENCE)
        return gone.addCallback(self._stopped)

    def _sockets(self) -> list[socket.socket]:
        return [each for sockets in self._listening.values() for each in sockets]

    def _cut(self) -> None:
        for worker in self.workers:
            worker.tell(Order(Kind.CUT, "told to stop again"))
        self._kill_in(PATIENCE)

    def _kill_in(self, seconds: float) -> None:
        self._kills.append(self._reactor.callLater(seconds, self._kill))

    def _kill(self) -> None:
        for worker in self.workers:
            worker.kill()

    def _stopped(self, _: object) -> None:
        for call in self._kills:
            if call.active():
                call.cancel()
        if self._board is not None:
            self._board.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def reload(self) -> None:
        """Read the configuration again (SIGHUP), and tell the workers.  A mistake changes nothing."""
        try:
            settings = read_again(self._settings, self._path)
            _check_certificates(settings, self._reactor)
        except ConfigurationError as error:
            log.error("reload: nothing is changed: {error}", error=str(error))
            return
        self._settings = settings
        if self._logging is not None:
            self._logging.set_level(settings.log.level)
        log.info("reload: the workers are told")
        for worker in self.workers:
            worker.tell(self.first_order())

    # What the workers need and tell

    def spawn(self, worker: Worker, protocol: ProcessProtocol) -> None:
        """Start a process for a worker."""
        assert self._board is not None and self._folder is not None
        listeners = {name: _FIRST_LISTENER + index for index, name in enumerate(self._listening)}
        part = Part(worker.number, len(self.workers), listeners, _BOARD, self._folder)
        descriptors: dict[int, int | str] = {ORDERS: "w", 1: "r", 2: "r", READY: "r", _BOARD: self._board.fd}
        for name, descriptor in listeners.items():
            descriptors[descriptor] = self._listening[name][worker.number].fileno()
        command = [os.fsencode(word) for word in self._command()]
        self._reactor.spawnProcess(protocol, command[0], command, _environment(part), childFDs=descriptors)

    def _command(self) -> list[str]:
        run = "from twisted.scripts.twistd import run; run()"
        command = [sys.executable, "-P", "-c", run, "--nodaemon", "--pidfile=", "--logfile=-", *self._options]
        # For those who look at processes: its settings come from us.
        config = [] if self._path is None else ["--config", str(self._path)]
        return [*command, "dimseproxy", *config]

    def first_order(self) -> Order:
        """What every process is told first: the settings."""
        settings = self._settings
        if self._logging is None:
            # What is made of its lines here needs their parts.
            settings = evolve(settings, log=evolve(settings.log, format="text"))
        return to_settle(settings)

    def logged(self, worker: Worker, line: str) -> None:
        """A worker has written a line of its log."""
        if self._logging is not None:
            self._logging.copy(line)
            return
        _, _, rest = line.partition(" ")
        level, _, text = rest.partition(" ")
        try:
            log.emit(LogLevel.levelWithName(level), "{text}", text=text)
        except InvalidLogLevelError:
            # Of several lines, such as a traceback.
            log.info("{text}", text=line)

    def serves(self, worker: Worker) -> None:
        """The first one has opened what is kept: the others may, too."""
        if worker is self.workers[0] and not self._is_stopping:
            for other in self.workers[1:]:
                other.start()
        if all(each.has_served for each in self.workers):
            log.info("all {count} workers serve", count=len(self.workers))

    def is_gone(self, worker: Worker) -> None:
        """What it has written on the board holds no longer."""
        if self._board is not None:
            self._board.clear(worker.number)

    def cannot_start(self, worker: Worker, why: str) -> None:
        """It has said itself what is wrong."""
        log.critical("worker {worker} cannot start, it ended {why}", worker=worker.number, why=why)
        self._fail()

    def _fail(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            fail(self._reactor)


def _environment(part: Part) -> dict[bytes, bytes]:
    """
    That of a worker, who finds the modules that we have found, and writes its log as we read it, whatever the locale.

    In bytes: there may be what is not UTF-8.
    """
    folders = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    own = {"PYTHONPATH": folders, "PYTHONIOENCODING": "utf-8:backslashreplace", **part.to_environment()}
    return {**os.environb, **{os.fsencode(name): os.fsencode(value) for name, value in own.items()}}


def _check_certificates(settings: Settings, reactor: Any) -> None:
    """
    See whether the workers will be able to use those that a reload may change.

    @raise ConfigurationError: they will not.
    """
    tls = [each.tls for each in settings.peers.values()] + [each.tls for each in settings.applications.values()]
    if not any(tls):
        return
    # Not at the top: without TLS the parent has no use for what speaks DICOM, nor for OpenSSL.
    from dimseproxy.association.deadlines import Deadlines
    from dimseproxy.association.tls import TLSSettingsError
    from dimseproxy.wiring import Wiring

    wiring = Wiring(reactor, reactor, Deadlines(reactor))
    try:
        for name in settings.peers:
            wiring.peer(settings, name)
        for application in settings.applications.values():
            wiring.application(settings, application)
    except TLSSettingsError as error:
        raise ConfigurationError([Mistake("", str(error))]) from error
