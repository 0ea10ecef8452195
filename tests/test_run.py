"""`make run`, without `make`: it starts, and every command that it says to try works."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Timer

from twisted.trial.unittest import SynchronousTestCase

from tests import CHECKOUT
from tests.config.support import PACS, mistakes_of

#: Seconds that anything here may take before it counts as stuck.
STUCK = 120.0


def free_ports(count: int) -> list[str]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


class RunTests(SynchronousTestCase):
    """One run, and what it says to try."""

    def start(self) -> subprocess.Popen[str]:
        port, client = free_ports(2)
        self.folder = Path(self.mktemp()).absolute()
        environment = {**os.environ, "RUN_FOLDER": str(self.folder), "RUN_PORT": port, "RUN_CLIENT_PORT": client}
        return self.start_in(environment)

    def start_in(self, environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, str(CHECKOUT / "scripts" / "run")]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=CHECKOUT)
        watch = Timer(STUCK, running.terminate)
        watch.start()
        self.addCleanup(watch.cancel)
        self.addCleanup(self.stop, running)
        return running

    @staticmethod
    def stop(running: subprocess.Popen[str]) -> int:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
        status = running.wait(STUCK)
        if running.stdout is not None:
            running.stdout.close()
        return status

    def invitation(self, running: subprocess.Popen[str]) -> str:
        """What it says once it serves."""
        assert running.stdout is not None
        lines = []
        for line in running.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                return "".join(lines)
        self.fail(f"it ended: {''.join(lines)}")

    def test_every_command_that_it_says_to_try_works(self) -> None:
        running = self.start()
        said = self.invitation(running)
        shown = re.findall(r"^  (/.+)$", said.replace("\\\n      ", ""), re.MULTILINE)
        names = [re.split(r"\s+", line.partition("pynetdicom ")[2])[0] for line in shown[:5]]
        self.assertEqual(names, ["echoscu", "storescu", "findscu", "getscu", "movescu"])
        said_by = []
        for line in shown[:5]:
            done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=STUCK, cwd=self.folder)
            self.assertEqual(done.returncode, 0, f"{line}\n{done.stderr}")
            said_by.append(done.stdout + done.stderr)
            if "-od" in line:
                received = list((self.folder / "received").iterdir())
                self.assertTrue(received, line)
                for path in received:
                    path.unlink()
        self.assertIn("0x0000", said_by[0])
        self.assertIn("0x0000", said_by[1])
        self.assertIn("(0008,0061)", said_by[2])
        self.assertEqual(self.stop(running), 0)

    def test_it_keeps_the_configuration_that_is_there(self) -> None:
        (port,) = free_ports(1)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        written = f'ae_title: MINE\ninbound: {{a: {{dimse: {{listen: "tcp:{port}:interface=127.0.0.1"}}}}}}\n'
        (self.folder / "dimseproxy.yaml").write_text(written)
        running = self.start_in({**os.environ, "RUN_FOLDER": str(self.folder)})
        self.assertIn(f"on 127.0.0.1:{port}, as MINE", self.invitation(running))
        self.assertEqual((self.folder / "dimseproxy.yaml").read_text(), written)

    def test_an_outbound_can_be_added_to_what_it_writes(self) -> None:
        running = self.start()
        self.invitation(running)
        text = (self.folder / "dimseproxy.yaml").read_text()
        pacs = '  pacs:\n    dimse: {connect: "tcp:192.0.2.1:104", ae_title: PACS}\n'
        self.assertIn("    archive: {}\n", text)
        self.assertEqual(
            mistakes_of(text.replace("    archive: {}\n", "    archive: {dispatch: [{to: pacs}]}\n" + pacs)), {}
        )

    def test_a_relay_is_no_archive(self) -> None:
        (port,) = free_ports(1)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        listen = f'inbound: {{a: {{dimse: {{listen: "tcp:{port}:interface=127.0.0.1"}}}}}}\n'
        (self.folder / "dimseproxy.yaml").write_text(PACS + listen)
        said = self.invitation(self.start_in({**os.environ, "RUN_FOLDER": str(self.folder)}))
        self.assertIn(f"The proxy listens on 127.0.0.1:{port}, as DIMSEPROXY.\n", said)
        self.assertNotIn(" list --config", said)

    def test_a_port_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            environment = {**os.environ, "RUN_FOLDER": self.mktemp(), "RUN_PORT": str(taken.getsockname()[1])}
            command = [sys.executable, str(CHECKOUT / "scripts" / "run")]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=STUCK)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Address already in use; choose another one with RUN_PORT=PORT make run", done.stderr)
        # What would be written now would hide RUN_PORT the next time.
        self.assertFalse((Path(environment["RUN_FOLDER"]) / "dimseproxy.yaml").exists())
