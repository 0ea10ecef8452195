"""The parent, with workers that are none; real ones are tested end to end."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define
from twisted.application.service import Application
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dimseproxy.config import Settings, load
from dimseproxy.log import Log
from dimseproxy.process import CannotStart
from dimseproxy.workers import supervisor as module
from dimseproxy.workers.board import Board, keys_of
from dimseproxy.workers.orders import WHERE, Kind, Order, settings_in, to_settle
from dimseproxy.workers.part import Part
from dimseproxy.workers.supervisor import PATIENCE, Supervisor
from dimseproxy.workers.worker import LOOK_EVERY, START_LOOKS, STILL_LOOKS
from tests.config.support import PACS, write_certificates
from tests.workers.test_worker import FakeProcess

INBOUND = 'inbound: {clinic: {dimse: {listen: "tcp:%d:interface=127.0.0.1"}}}\n'
THREE = PACS + "workers: 3\nunknown_applications: accept\ntimeouts: {drain: 7}\n"
DRAIN = Order(Kind.DRAIN).encode()


class FakeReactor(MemoryReactorClock):
    """Starts processes that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.parts: list[Part] = []
        self.environments: list[dict[bytes, bytes]] = []
        self.descriptors: list[dict[int, Any]] = []
        self.commands: list[Any] = []
        self.is_stopped = False

    def spawnProcess(
        self, processProtocol: ProcessProtocol, executable: Any, args: Any = (), env: Any = None, **more: Any
    ) -> Any:
        process = FakeProcess(processProtocol)
        self.processes.append(process)
        self.commands.append(args)
        part = Part.from_environment({os.fsdecode(name): os.fsdecode(value) for name, value in env.items()})
        assert part is not None
        self.parts.append(part)
        self.environments.append(env)
        self.descriptors.append(more["childFDs"])
        processProtocol.makeConnection(process)
        return process

    def callFromThread(self, callable: Any, *args: Any, **keywords: Any) -> None:
        callable(*args, **keywords)

    def stop(self) -> None:
        self.is_stopped = True


class SupervisorCase(SynchronousTestCase):
    def setUp(self) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        # Twisted's own, where its reactor runs.
        signal.signal(signal.SIGTERM, lambda *_: None)
        self.reactor = FakeReactor()
        self.file = Path(self.mktemp())
        self.out = io.StringIO()

    def made(self, text: str = THREE + INBOUND % 0, *, has_log: bool = True, options: Sequence[str] = ()) -> Supervisor:
        self.file.write_text(text)
        logging = Log(self.out, "text", "info") if has_log else None
        return Supervisor(load(self.file), self.file, logging, self.reactor, options)

    def started(self, text: str = THREE + INBOUND % 0, **more: Any) -> Supervisor:
        """One whose reactor runs."""
        supervisor = self.made(text, **more)
        supervisor.privilegedStartService()
        supervisor.startService()
        self.addCleanup(self.ended, supervisor)
        self.reactor.run()
        return supervisor

    def serving(self, text: str = THREE + INBOUND % 0, **more: Any) -> Supervisor:
        """One whose workers serve."""
        supervisor = self.started(text, **more)
        for number in range(3):
            self.reactor.processes[number].ready()
        return supervisor

    def ended(self, supervisor: Supervisor) -> None:
        if supervisor.running:
            supervisor.stopService()
        for process in self.reactor.processes:
            if not process.is_over:
                process.dies(status=0)

    def said_last(self) -> list[Settings]:
        """The settings that each process was told last."""
        return [settings_in(process.told[-1][5:].decode()) for process in self.reactor.processes]


class StartTests(SupervisorCase):
    def test_one_worker_begins(self) -> None:
        self.started()
        self.assertEqual([part.number for part in self.reactor.parts], [0])

    def test_the_others_follow_when_it_serves(self) -> None:
        self.started()
        self.reactor.processes[0].ready()
        self.assertEqual([part.number for part in self.reactor.parts], [0, 1, 2])

    def test_each_has_a_socket_of_its_own_on_the_same_port(self) -> None:
        supervisor = self.serving()
        sockets = [
            socket.socket(fileno=socket.dup(descriptors[part.listeners["clinic"]]))
            for part, descriptors in zip(self.reactor.parts, self.reactor.descriptors, strict=True)
        ]
        for each in sockets:
            self.addCleanup(each.close)
        self.assertEqual(len({each.getsockname() for each in sockets}), 1)
        self.assertEqual(len({descriptors[5] for descriptors in self.reactor.descriptors}), 3)
        self.assertTrue(supervisor.running)

    def test_all_have_one_board_and_one_folder(self) -> None:
        self.serving()
        boards = {
            descriptors[part.board]
            for part, descriptors in zip(self.reactor.parts, self.reactor.descriptors, strict=True)
        }
        self.assertEqual((len(boards), len({part.sockets for part in self.reactor.parts})), (1, 1))

    def test_the_folder_is_locked_until_the_end(self) -> None:
        """By which those who clear away what is old know that it is not theirs."""
        supervisor = self.started()
        self.addCleanup(os.close, folder := os.open(self.reactor.parts[0].sockets, os.O_RDONLY))
        self.assertRaises(BlockingIOError, fcntl.flock, folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.ended(supervisor)
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_the_folder_is_its_owners_alone(self) -> None:
        self.started()
        self.assertEqual(self.reactor.parts[0].sockets.stat().st_mode & 0o777, 0o700)

    def test_they_write_their_log_as_it_is_read_whatever_the_locale(self) -> None:
        self.started()
        self.assertEqual(self.reactor.environments[0][b"PYTHONIOENCODING"], b"utf-8:backslashreplace")

    def test_they_are_started_with_the_options_of_their_parent(self) -> None:
        self.started(options=["--reactor=poll"])
        self.assertIn(b"--reactor=poll", self.reactor.commands[0])

    def test_a_port_in_use_prevents_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            supervisor = self.made(THREE + INBOUND % taken.getsockname()[1])
            with self.assertRaises(CannotStart) as raised:
                supervisor.privilegedStartService()
        self.assertRegex(str(raised.exception), "inbound clinic cannot listen on .*: Address already in use")

    def test_where_the_first_one_hangs_another_one_begins(self) -> None:
        self.started()
        for _ in range(START_LOOKS + 1):
            self.reactor.advance(LOOK_EVERY)
        self.assertEqual(self.reactor.processes[0].signals, [WHERE, "KILL"])
        self.reactor.processes[0].dies()
        self.reactor.advance(0)
        self.reactor.processes[1].ready()
        self.assertEqual([part.number for part in self.reactor.parts], [0, 0, 1, 2])

    def test_a_worker_that_cannot_start_ends_it(self) -> None:
        self.started()
        self.patch(module, "fail", lambda reactor: reactor.stop())
        self.reactor.processes[0].dies(status=1)
        self.assertEqual((self.reactor.is_stopped, len(self.reactor.processes)), (True, 1))

    def test_without_a_folder_to_meet_in_there_is_none(self) -> None:
        def full(**_: object) -> str:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(tempfile, "mkdtemp", full)
        self.patch(module, "fail", lambda reactor: reactor.stop())
        self.started()
        self.assertEqual((self.reactor.is_stopped, self.reactor.processes), (True, []))

    def test_gives_twistd_its_log(self) -> None:
        application, supervisor = Application("dimseproxy"), self.made()
        supervisor.setServiceParent(application)
        self.assertIsInstance(application.getComponent(ILogObserver), Log)


@implementer(ILogObserver)
@define(eq=False)
class _Heard:
    """Notes levels and texts."""

    events: list[tuple[LogLevel, str]]

    def __call__(self, event: LogEvent) -> None:
        self.events.append((event["log_level"], str(event["log_format"]).format(**event)))


class LogTests(SupervisorCase):
    LINE = "2026-11-20T21:11:23+0000 warn worker 0: association 7: aborted"

    def write(self, *lines: str, descriptor: int = 1) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        self.reactor.processes[0].protocol.childDataReceived(descriptor, data)

    def events(self) -> list[tuple[LogLevel, str]]:
        heard = _Heard([])
        globalLogPublisher.addObserver(heard)
        self.addCleanup(globalLogPublisher.removeObserver, heard)
        return heard.events

    def test_the_lines_of_workers_are_in_it_as_they_are(self) -> None:
        self.started()
        self.write(self.LINE, "\ta line of a traceback")
        self.assertEqual(self.out.getvalue(), f"{self.LINE}\n\ta line of a traceback\n")

    def test_what_the_interpreter_says_is_an_error(self) -> None:
        self.started()
        heard = self.events()
        self.write("Segmentation fault", descriptor=2)
        self.assertEqual(heard, [(LogLevel.error, "worker 0: Segmentation fault")])

    def test_a_log_of_twistd_gets_them_with_their_levels(self) -> None:
        self.started(THREE + INBOUND % 0 + "log: {format: json}\n", has_log=False)
        heard = self.events()
        self.write(self.LINE, "\ta line of a traceback")
        self.assertEqual(
            heard,
            [(LogLevel.warn, "worker 0: association 7: aborted"), (LogLevel.info, "\ta line of a traceback")],
        )
        self.assertEqual(self.said_last()[0].log.format, "text")


class DeathTests(SupervisorCase):
    def test_another_one_has_the_same_sockets(self) -> None:
        self.serving()
        self.reactor.processes[1].dies()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.descriptors[3], self.reactor.descriptors[1])

    def test_what_it_had_taken_is_free(self) -> None:
        supervisor = self.serving()
        cleared: list[int] = []
        self.patch(Board, "clear", lambda board, number: cleared.append(number))
        self.reactor.processes[2].dies()
        self.assertEqual(cleared, [2])
        self.assertTrue(supervisor.running)

    def test_another_one_has_the_settings_of_the_others_whatever_became_of_the_file(self) -> None:
        self.serving()
        self.file.write_text("nonsense: 1")
        self.reactor.processes[1].dies()
        self.reactor.advance(0)
        self.assertEqual(self.said_last()[3], self.said_last()[0])


class HangTests(SupervisorCase):
    def setUp(self) -> None:
        super().setUp()
        self.supervisor = self.serving()
        self.boards = []
        for part, descriptors in zip(self.reactor.parts, self.reactor.descriptors, strict=True):
            fd = os.dup(descriptors[part.board])
            board = Board.attach(fd, part.number, part.of, keys_of(load(self.file)))
            self.addCleanup(board.close)
            self.boards.append(board)
            board.beat()

    def beating(self, seconds: float, *numbers: int) -> list[list[str | int]]:
        """What the processes are sent while only these workers beat."""
        for _ in range(int(seconds / LOOK_EVERY)):
            for number in numbers:
                self.boards[number].beat()
            self.reactor.advance(LOOK_EVERY)
        return [process.signals for process in self.reactor.processes]

    def test_one_that_hangs_is_ended(self) -> None:
        self.assertEqual(self.beating(LOOK_EVERY * (STILL_LOOKS + 2), 0, 2), [[], [WHERE, "KILL"], []])

    def test_after_half_a_minute(self) -> None:
        self.assertEqual(self.beating(30, 0, 2), [[], [], []])
        self.assertEqual(self.beating(LOOK_EVERY, 0, 2), [[], [WHERE], []])

    def test_others_are_left_alone_while_it_is_replaced(self) -> None:
        self.beating(LOOK_EVERY * (STILL_LOOKS + 2), 0, 2)
        self.reactor.processes[1].dies()
        self.assertEqual(self.beating(120, 0, 2), [[], [WHERE, "KILL"], [], []])

    def test_one_that_hangs_in_its_start_is_ended(self) -> None:
        self.reactor.processes[1].dies()
        self.reactor.advance(0)
        said = self.beating(LOOK_EVERY * (START_LOOKS + 1), 0, 2)
        self.assertEqual(said, [[], [], [], [WHERE, "KILL"]])

    def test_one_whose_reactor_turns_has_the_time_that_its_start_takes(self) -> None:
        self.reactor.processes[1].dies()
        self.reactor.advance(0)
        self.assertEqual(self.beating(LOOK_EVERY * START_LOOKS * 5, 0, 1, 2), [[]] * 4)

    def test_a_clock_that_jumps_ends_nobody(self) -> None:
        """As after a machine was suspended: nobody has beaten meanwhile, and the parent has not looked."""
        for _ in range(STILL_LOOKS):
            self.reactor.advance(86400)
        self.assertEqual(self.beating(0), [[], [], []])

    def test_who_drains_with_the_parent_has_the_time_of_the_drain(self) -> None:
        self.supervisor.stopService()
        self.reactor.advance(7)
        self.assertEqual(self.beating(0), [[], [], []])


class ReloadTests(SupervisorCase):
    def test_all_workers_are_told(self) -> None:
        supervisor = self.serving()
        self.file.write_text(THREE + INBOUND % 0 + "log: {level: debug}\n")
        supervisor.reload()
        self.assertEqual([settings.log.level for settings in self.said_last()], ["debug"] * 3)

    def test_what_needs_a_restart_is_not_in_it(self) -> None:
        supervisor = self.serving()
        self.file.write_text(THREE.replace("workers: 3", "workers: 5") + INBOUND % 0)
        supervisor.reload()
        self.assertEqual([settings.workers for settings in self.said_last()], [3] * 3)

    def test_a_mistake_is_not_told(self) -> None:
        supervisor = self.serving()
        already = [list(process.told) for process in self.reactor.processes]
        self.file.write_text("nonsense: 1")
        supervisor.reload()
        self.assertEqual([process.told for process in self.reactor.processes], already)

    def test_nor_a_certificate_that_cannot_be_used(self) -> None:
        supervisor = self.serving()
        already = [list(process.told) for process in self.reactor.processes]
        folder = Path(self.mktemp())
        write_certificates(folder)
        (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
        tls = json.dumps({"ca": str(folder / "ca.pem")})
        self.file.write_text(THREE + INBOUND % 0 + f"applications: {{A: {{host: h, port: 1, tls: {tls}}}}}\n")
        supervisor.reload()
        self.assertEqual([process.told for process in self.reactor.processes], already)

    def test_one_that_is_started_later_begins_with_it(self) -> None:
        supervisor = self.serving()
        self.file.write_text(THREE + INBOUND % 0 + "log: {level: debug}\n")
        supervisor.reload()
        self.reactor.processes[1].dies()
        self.reactor.advance(0)
        self.assertEqual(self.reactor.processes[3].told, [to_settle(self.said_last()[0]).encode()])


class StopTests(SupervisorCase):
    def test_all_workers_drain(self) -> None:
        supervisor = self.serving()
        supervisor.stopService()
        self.assertEqual([process.told[-1] for process in self.reactor.processes], [DRAIN] * 3)

    def test_it_has_stopped_when_all_of_them_have_ended(self) -> None:
        stopped = self.serving().stopService()
        for process in self.reactor.processes[1:]:
            process.dies(status=0)
        self.assertNoResult(stopped)
        self.reactor.processes[0].dies(status=0)
        self.successResultOf(stopped)

    def test_the_parent_listens_no_more(self) -> None:
        supervisor = self.serving()
        descriptor = self.reactor.descriptors[0][5]
        address = socket.socket(fileno=socket.dup(descriptor))
        port = address.getsockname()
        address.close()
        supervisor.stopService()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, port)

    def test_told_again_it_has_them_cut(self) -> None:
        supervisor = self.serving()
        supervisor.stopService()
        signal.raise_signal(signal.SIGTERM)
        cut = Order(Kind.CUT, "told to stop again").encode()
        self.assertEqual([process.told[-1] for process in self.reactor.processes], [cut] * 3)

    def test_what_does_not_end_is_killed(self) -> None:
        stopped = self.serving().stopService()
        for process in self.reactor.processes[1:]:
            process.dies(status=0)
        self.reactor.advance(7 + PATIENCE)
        self.assertEqual([process.signals for process in self.reactor.processes], [["KILL"], [], []])
        self.assertNoResult(stopped)

    def test_nothing_is_left(self) -> None:
        stopped = self.serving().stopService()
        folder = self.reactor.parts[0].sockets
        for process in self.reactor.processes:
            process.dies(status=0)
        self.successResultOf(stopped)
        self.assertEqual((folder.exists(), self.reactor.getDelayedCalls()), (False, []))

    def test_before_there_was_any_worker(self) -> None:
        supervisor = self.made()
        supervisor.privilegedStartService()
        supervisor.startService()
        self.successResultOf(supervisor.stopService())
