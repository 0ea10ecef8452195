"""The command line and the service; what they do under twistd is tested end to end."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Application, IServiceMaker
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogLevel, capturedLogs
from twisted.plugin import getPlugins
from twisted.trial.unittest import TestCase

from dimseproxy import __version__, keeping
from dimseproxy import service as module
from dimseproxy.association.interfaces import IOutbound
from dimseproxy.config import Settings, load
from dimseproxy.endpoints import with_backlog
from dimseproxy.keeping import FolderRefused, Keeping
from dimseproxy.log import Log
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.process import CannotStart, on_stop
from dimseproxy.service import ProxyService
from dimseproxy.storage import postgresql
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.tap import Options, makeService
from dimseproxy.workers.supervisor import Supervisor
from tests import CHECKOUT
from tests.association.handshaking import asynchronous
from tests.association.playing import CT, a_request
from tests.config.support import weak_certificate, write_certificates
from tests.support.process import until
from tests.support.proxy import environment

PACS = 'outbound: {pacs: {dimse: {connect: "tcp:127.0.0.1:4242", ae_title: PACS}}}\n'
SHIELD = PACS + "privacy: {research: {originals: outbound}}\nroutes: [{outbound: pacs, privacy: research}]\n"
LISTEN = 'inbound: {clinic: {dimse: {listen: "tcp:%d:interface=127.0.0.1"}}}\n'


class OptionsTests(TestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)

    def _file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def _exit(self, *arguments: str) -> object:
        with self.assertRaises(SystemExit) as raised:
            Options().parseOptions(list(arguments))
        return raised.exception.code

    def test_a_valid_configuration(self) -> None:
        options = Options()
        options.parseOptions(["--config", self._file(PACS)])
        self.assertEqual(list(options.settings.outbound), ["pacs"])

    def test_checking_a_valid_one(self) -> None:
        self.assertEqual(self._exit("--config", self._file(PACS), "--check"), 0)

    def test_checking_says_all_mistakes(self) -> None:
        code = str(self._exit("--config", self._file(PACS + "timeouts: {artim: -1}\nnonsense: 1\n"), "--check"))
        self.assertEqual(("artim" in code, "nonsense" in code), (True, True))

    def test_checking_finds_what_only_the_start_would(self) -> None:
        folder = Path(self.mktemp()).absolute()
        write_certificates(folder)
        (folder / "table.csv").write_text("4711,S1\n4712,S1\n")
        (folder / "open.key").write_text("0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
        (folder / "open.key").chmod(0o644)
        (folder / "short.key").write_text("0123\n")
        (folder / "short.key").chmod(0o600)
        (folder / "weak.pem").write_bytes(weak_certificate(folder))
        (folder / "proxy.yaml").write_text(
            "inbound: {a: {dimse: {tls: {certificate: weak.pem, key: weak.key}}}}\n"
            "outbound: {local: {archive: {key: {file: open.key}}}}\n"
            "routes: [{outbound: local, privacy: p}]\n"
            "privacy: {p: {originals: inbound, key: {file: short.key}, pseudonyms: {csv: {patient: table.csv}}}}\n"
        )
        said = str(self._exit("--config", str(folder / "proxy.yaml"), "--check")).splitlines()
        paths = [line.split(": ")[1] for line in said]
        self.assertEqual(
            paths,
            ["inbound.a.dimse.tls", "outbound.local.archive.key", "privacy.p.key", "privacy.p.pseudonyms.csv.patient"],
            said,
        )
        self.assertFalse((folder / "dimseproxy-data").exists())

    def test_checking_finds_tables_of_uids_that_do_not_go_with_one_another(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "studies.csv").write_text("1.2.3,2.25.1\n")
        (folder / "series.csv").write_text("2.25.1,2.25.2\n")
        (folder / "proxy.yaml").write_text(
            PACS + "routes: [{outbound: pacs, privacy: p}]\n"
            "privacy: {p: {originals: inbound, pseudonyms: {csv: {study: studies.csv, series: series.csv}}}}\n"
        )
        (said,) = str(self._exit("--config", str(folder / "proxy.yaml"), "--check")).splitlines()
        self.assertIn("privacy.p.pseudonyms.csv: ", said)
        self.assertIn("a pseudonym is an original in", said)
        self.assertNotIn("2.25", said)

    def test_checking_finds_that_a_package_is_missing(self) -> None:
        def missing(*_: object, **__: object) -> None:
            raise ImportError("psycopg")

        self.patch(postgresql, "create_engine", missing)
        file = self._file("database: postgresql+psycopg://me@h/d\n")
        self.assertIn("database: PostgreSQL needs the package psycopg", str(self._exit("--config", file, "--check")))

    def test_a_name_that_is_empty_names_no_file(self) -> None:
        self.assertIn("--config names no file", str(self._exit("--config", "")))

    def test_a_mistake_prevents_the_start(self) -> None:
        self.assertNotEqual(self._exit("--config", self._file("nonsense: 1")), 0)

    def test_a_file_that_is_not_there(self) -> None:
        self.assertIn("cannot be read", str(self._exit("--config", self.mktemp())))

    def test_printing_gives_a_file_that_says_the_same(self) -> None:
        path = self._file(PACS + "timeouts: {artim: 7}\n")
        self._exit("--config", path, "--print-config")
        self.assertEqual(load(Path(self._file(self.out.getvalue()))), load(Path(path)))

    def test_the_version(self) -> None:
        self.assertEqual((self._exit("--version"), self.out.getvalue()), (0, f"dimseproxy {__version__}\n"))

    def test_a_variable_of_workers_is_none_of_the_users(self) -> None:
        self.patch(os, "environ", {"DIMSEPROXY_WORKER": "2"})
        self.assertIn("leave it unset", str(self._exit("--config", self._file(PACS))))

    def test_help_does_not_load_the_proxy(self) -> None:
        # Said by a process of its own: this one has loaded it.
        said = subprocess.run(
            [sys.executable, "-c", "import sys, dimseproxy.tap; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=os.environ | environment(),
        ).stdout.split()
        self.assertEqual({name for name in said if name.startswith("dimseproxy")}, {"dimseproxy", "dimseproxy.tap"})

    def test_twistd_knows_it(self) -> None:
        self.assertIn("dimseproxy", [maker.tapname for maker in getPlugins(IServiceMaker)])


class ServiceTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def _service(self, text: str, logging: Log | None = None) -> ProxyService:
        self.path = Path(self.mktemp())
        self.path.write_text(text)
        return ProxyService(load(self.path), self.path, logging)

    def made_of(self, text: str) -> object:
        path = Path(self.mktemp())
        path.write_text(text)
        options = Options()
        options.parseOptions(["--config", str(path)])
        return makeService(options)

    def test_several_workers_have_a_parent(self) -> None:
        self.assertIsInstance(self.made_of(PACS + "workers: 2\n"), Supervisor)

    def test_one_has_none(self) -> None:
        self.assertIsInstance(self.made_of(PACS + "workers: 1\n"), ProxyService)

    def test_gives_twistd_its_log(self) -> None:
        application, log = Application("dimseproxy"), Log(io.StringIO(), "text", "info")
        self._service(PACS, log).setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), log)

    def test_a_port_in_use_prevents_the_start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            service = self._service(PACS + LISTEN % taken.getsockname()[1])
            with self.assertRaises(CannotStart) as raised:
                service.privilegedStartService()
        self.assertIn("clinic", str(raised.exception))
        self.assertEqual(raised.exception.code, 1)

    def test_a_daemon_tells_who_started_it_that_a_port_is_in_use(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        for workers in 1, 2:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                path = folder / "proxy.yaml"
                path.write_text(PACS + LISTEN % taken.getsockname()[1] + f"workers: {workers}\n")
                run = "from twisted.scripts.twistd import run; run()"
                log = folder / "log"
                command = [sys.executable, "-c", run, f"--pidfile={folder / 'pid'}", f"--logfile={log}", "dimseproxy"]
                done = subprocess.run(
                    [*command, "--config", str(path)],
                    capture_output=True,
                    text=True,
                    timeout=20,
                    cwd=CHECKOUT,
                    env=os.environ | environment(),
                )
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("inbound clinic cannot listen", done.stderr)
            self.assertIn("Address already in use", log.read_text())

    async def test_what_does_not_close_keeps_nobody(self) -> None:
        self.patch(module, "LONGEST_CLOSE", 0.01)
        service = self._service(SHIELD)
        service.startService()
        await service.opened
        kept = service._keeping
        assert kept is not None
        self.addCleanup(kept.stop)
        self.patch(kept, "stop", Deferred)
        with capturedLogs() as logs:
            await service.stopService()
        self.assertIn("it did not end within 0.01 s", [entry.get("why") for entry in logs])

    @asynchronous
    async def test_stops_with_nothing_left(self) -> None:
        service = self._service(PACS + LISTEN % 0)
        service.privilegedStartService()
        service.startService()
        await deferLater(IReactorTime(reactor), 0)
        await service.stopService()
        self.assertFalse(service.running)

    @asynchronous
    async def test_reloads_the_level_of_the_log(self) -> None:
        out = io.StringIO()
        log = Log(out, "text", "info")
        service = self._service(PACS, log)
        self.path.write_text(PACS + "log: {level: error}\n")
        service.reload()
        self.assertEqual(log._level.name, "error")

    def test_a_reload_that_names_a_new_outbound_changes_nothing(self) -> None:
        service = self._service(PACS)
        before = service._settings
        self.path.write_text(
            'outbound: {pacs: {dimse: {connect: "tcp:127.0.0.1:4242", ae_title: PACS}}, '
            'more: {dimse: {connect: "tcp:127.0.0.1:4243", ae_title: MORE}}}\nroutes: [{outbound: more}]\n'
        )
        service.reload()
        self.assertIs(service._settings, before)

    def test_a_reload_lets_nobody_in_at_a_listener_that_it_leaves(self) -> None:
        everywhere = 'inbound: {clinic: {dimse: {listen: "tcp:0"}}}\n'
        service = self._service(PACS + everywhere + "applications: {A: {host: 192.0.2.1, port: 104}}\n")
        before = service._settings
        for text in "", PACS:
            self.path.write_text(text)
            with capturedLogs() as events:
                service.reload()
            self.assertIs(service._settings, before, text)
            # What would need a restart is not said of what is refused.
            self.assertEqual([event["log_level"].name for event in events], ["error"], text)

    def test_a_reload_of_a_file_that_is_gone_changes_nothing(self) -> None:
        service = self._service(PACS)
        before = service._settings
        self.path.unlink()
        service.reload()
        self.assertIs(service._settings, before)


class StopTests(TestCase):
    """Signals that tell the process to stop."""

    def setUp(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_a_signal_that_was_ignored_stays_ignored(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        on_stop(reactor, lambda: False, lambda: None)
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)

    def test_the_first_one_is_the_reactors(self) -> None:
        taken: list[int] = []
        signal.signal(signal.SIGINT, lambda number, _: taken.append(number))
        on_stop(reactor, lambda: False, lambda: None)
        signal.raise_signal(signal.SIGINT)
        self.assertEqual(taken, [signal.SIGINT])


class KeptTests(TestCase):
    """What is kept cannot be opened."""

    async def test_an_archive_without_a_folder_is_a_sentence(self) -> None:
        folder = Path(self.mktemp()).absolute()
        (folder / "archive").mkdir(parents=True)
        path = folder / "proxy.yaml"
        path.write_text("outbound: {local: {archive: {folder: archive}}}\n")
        keeping = Keeping(load(path), reactor, lambda name: self.fail("there are no peers"))
        self.addCleanup(keeping.stop)
        (folder / "archive").rmdir()
        (folder / "archive").write_text("no folder")
        with self.assertRaises(FolderRefused) as raised:
            await keeping.start()
        said = f"the folder {folder / 'archive'} of the archive cannot be used: Not a directory"
        self.assertEqual(str(raised.exception), said)

    def test_who_is_kept_longer_than_a_configuration_is_reached_as_it_says_now(self) -> None:
        peers: list[Callable[[str], IOutbound]] = []

        class Kept(Keeping):
            def __init__(self, settings: Settings, reactor: Any, peer: Callable[[str], IOutbound]) -> None:
                peers.append(peer)
                super().__init__(settings, reactor, peer)

        self.patch(keeping, "Keeping", Kept)
        path = Path(self.mktemp())
        path.write_text(SHIELD)
        service = ProxyService(load(path), path, None)
        dispatched, before = peers[0]("pacs"), service._reception.outbound("pacs")
        asked: list[IOutbound] = []
        self.patch(DimseOutbound, "associate", lambda outbound, request: asked.append(outbound))
        # As after a SIGHUP: certificates are read again.
        service.reconfigure(load(path))
        dispatched.associate(a_request(CT))
        self.assertEqual(asked, [service._reception.outbound("pacs")])
        self.assertNotEqual(asked, [before])

    async def test_a_stop_in_the_middle_of_a_start_leaves_nothing_open(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        path = folder / "proxy.yaml"
        path.write_text(SHIELD)
        before = set(threading.enumerate())
        kept = Keeping(load(path), reactor, lambda name: self.fail("nothing is sent"))
        starting = kept.start()
        await kept.stop()
        left = [each.name for each in set(threading.enumerate()) - before]
        await starting
        self.assertEqual([name for name in left if "PoolThread-twisted" not in name], [])

    async def test_what_was_late_once_may_be_so_twice(self) -> None:
        """The database answers at the second attempt, and the folder is there at a later one."""
        self.patch(keeping, "RETRY_AFTER", 0.01)
        folder = Path(self.mktemp()).absolute()
        (archive := folder / "archive").mkdir(parents=True)
        path = folder / "proxy.yaml"
        path.write_text("outbound: {local: {archive: {folder: archive}}}\n")
        kept = Keeping(load(path), reactor, lambda name: self.fail("there are no peers"))
        self.addCleanup(kept.stop)
        archive.rmdir()
        archive.write_text("no folder")
        assert kept._database is not None
        start, late = kept._database.start, [DatabaseUnavailable("not yet")]
        self.patch(kept._database, "start", lambda: fail(late.pop()) if late else start())
        with capturedLogs() as logs:
            await kept.start()
            await until(lambda: any(entry["log_level"] is LogLevel.critical for entry in logs), "a refusal")
            archive.unlink()
            archive.mkdir()
            await until(lambda: kept._archives["local"].is_open, "the archive is open")
        await kept.stop()
        self.assertEqual([each for each in threading.enumerate() if "archive" in each.name], [])
        levels = [entry["log_level"] for entry in logs if "another attempt" in str(entry["log_format"])]
        self.assertEqual((levels[0], set(levels[1:])), (LogLevel.warn, {LogLevel.critical}))


class BacklogTests(TestCase):
    def test_a_listener_gets_one(self) -> None:
        self.assertEqual(with_backlog("tcp:11112:interface=127.0.0.1"), "tcp:11112:interface=127.0.0.1:backlog=1024")

    def test_one_behind_a_load_balancer_does_too(self) -> None:
        self.assertEqual(with_backlog("haproxy:tcp:11112"), "haproxy:tcp:11112:backlog=1024")

    def test_its_own_is_kept(self) -> None:
        self.assertEqual(with_backlog("tcp:11112:backlog=5"), "tcp:11112:backlog=5")

    def test_another_kind_has_none(self) -> None:
        self.assertEqual(with_backlog("unix:/run/dicom.sock"), "unix:/run/dicom.sock")
