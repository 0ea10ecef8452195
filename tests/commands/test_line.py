"""The command line: what it takes, and how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.commands.line import carried_out, interruptible, main, parser
from dimseproxy.commands.task import ExitStatus
from dimseproxy.config import load
from tests import CHECKOUT
from tests.commands.support import NAME, PATIENT, encoded
from tests.commands.test_dicom_files import wrapped
from tests.config.support import PACS

RUN = [sys.executable, "-m", "dimseproxy.commands"]
_COMMAND = re.compile(r"(?:^    (?:\$ )?|`)dimseproxy ([a-z-]+)((?: --?[a-z-]+| [A-Z.][\w./-]*)*)", re.MULTILINE)


class LineTests(SynchronousTestCase):
    """What is refused before anything is opened."""

    def ended(self, *arguments: str) -> tuple[object, str]:
        """The exit status, and what is said."""
        said = StringIO()
        with redirect_stderr(said), redirect_stdout(said):
            ended = self.assertRaises(SystemExit, main, arguments)
        return ended.code, said.getvalue()

    def configuration(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_mistakes_of_the_configuration_are_all_named(self) -> None:
        status, said = self.ended("list", "--config", self.configuration("ae_titel: A\nlog: {level: loud}\n"))
        self.assertEqual(status, 2)
        self.assertIn("ae_titel", said)
        self.assertIn("log.level", said)

    def test_a_configuration_without_an_archive_is_refused(self) -> None:
        status, said = self.ended("verify", "--config", self.configuration(PACS))
        self.assertEqual((status, said), (2, "dimseproxy: the configuration has no archive\n"))

    def test_a_command_is_needed(self) -> None:
        self.assertEqual(self.ended()[0], 2)

    def test_requeue_wants_ids_or_all_of_them(self) -> None:
        for arguments in ((), ("1", "--all"), ("x",)):
            self.assertEqual(self.ended("requeue", *arguments)[0], 2, arguments)

    def test_what_the_documentation_shows_is_a_command(self) -> None:
        shown = [
            (name, options.split())
            for page in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
            for name, options in _COMMAND.findall(page.read_text("utf-8"))
        ]
        self.assertTrue(
            {"list", "import", "verify", "rebuild", "dead-letters", "requeue"} <= {name for name, _ in shown}
        )
        for name, options in shown:
            given = [option.replace("ID", "1") for option in options]
            if name in ("import", "requeue") and not given:
                # Only the name of the command.
                continue
            with redirect_stderr(StringIO()) as said:
                try:
                    parser().parse_args([name, *given])
                except SystemExit:
                    self.fail(f"dimseproxy {name} {' '.join(options)}: {said.getvalue()}")


class InterruptionTests(SynchronousTestCase):
    """A signal while a command is at work."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.waits: Deferred[None] = Deferred()
        self.closing: Deferred[None] = Deferred()

    async def work(self) -> ExitStatus:
        try:
            await self.waits
            return ExitStatus.NOT_WELL
        finally:
            await self.closing

    def shut_down(self) -> Deferred[None]:
        """What the reactor does before it shuts down, and waits for."""
        ((trigger, _, _),) = self.reactor.triggers["before"]["shutdown"]
        waited_for: Deferred[None] = trigger()
        return waited_for

    def test_what_was_opened_is_closed_before_the_end(self) -> None:
        finished = interruptible(self.reactor, self.work())
        waited_for = self.shut_down()
        self.assertNoResult(waited_for)
        with redirect_stderr(StringIO()) as said:
            self.closing.callback(None)
        self.successResultOf(waited_for)
        self.assertEqual(self.failureResultOf(finished, SystemExit).value.code, ExitStatus.NOT_DONE)
        self.assertEqual(said.getvalue(), "dimseproxy: interrupted\n")

    def test_without_one_the_command_says_how_it_ended(self) -> None:
        finished = interruptible(self.reactor, self.work())
        self.waits.callback(None)
        self.closing.callback(None)
        self.assertEqual(self.failureResultOf(finished, SystemExit).value.code, ExitStatus.NOT_WELL)

    def test_an_error_of_ours_is_not_hidden(self) -> None:
        finished = interruptible(self.reactor, self.work())
        self.waits.errback(ZeroDivisionError())
        self.closing.callback(None)
        self.failureResultOf(finished, ZeroDivisionError)


@frozen
class Done:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class CommandTests(TestCase):
    """The commands, one after the other on one archive."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.files = self.folder / "files"
        self.files.mkdir(parents=True)
        (self.folder / "archive.yaml").write_text("outbound: {local: {archive: {watermark: {refuse_below: 1 B}}}}\n")

    async def run_command(self, *arguments: str) -> Done:
        configuration = self.folder / "archive.yaml"
        out, errors = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(errors):
            options = parser().parse_args([arguments[0], "--config", str(configuration), *arguments[1:]])
            status = await carried_out(reactor, load(configuration), options)
        for said in (out.getvalue(), errors.getvalue()):
            self.assertNotIn(NAME, said)
            self.assertNotIn(PATIENT, said)
        return Done(status, out.getvalue(), errors.getvalue())

    def fill(self) -> None:
        for number in range(3):
            (self.files / f"{number}.dcm").write_bytes(wrapped(encoded(number), f"1.2.3.{number}"))

    async def test_what_was_imported_is_listed_and_whole(self) -> None:
        self.fill()
        done = await self.run_command("import", str(self.files))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "3 objects taken, 0 refused, 0 other files\n")
        listed = await self.run_command("list")
        self.assertTrue(listed.stdout.splitlines()[-1].startswith("1 study with 3 objects, "))
        verified = await self.run_command("verify")
        self.assertEqual(verified.returncode, 0)
        self.assertTrue(verified.stdout.startswith("3 files are whole, 0 damaged, 0 missing, 0 unreadable; 0 more"))

    async def test_an_import_can_be_repeated(self) -> None:
        self.fill()
        await self.run_command("import", str(self.files))
        done = await self.run_command("import", str(self.files))
        self.assertEqual((done.returncode, done.stdout[:15]), (0, "3 objects taken"))
        self.assertIn("with 3 objects", (await self.run_command("list")).stdout)

    async def test_what_is_not_taken_is_named_with_the_reason(self) -> None:
        self.fill()
        (self.files / "4.dcm").write_bytes(wrapped(encoded(4), "1.2.3.5"))
        (self.files / "5.dcm").write_bytes(wrapped(encoded(5), "1.2.3.5")[:200])
        (self.files / "read.me").write_text("no object")
        done = await self.run_command("import", str(self.files))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "3 objects taken, 2 refused, 1 other file\n")
        self.assertRegex(done.stderr, r"(?m)^4\.dcm: .+\(status A900\)$")
        self.assertRegex(done.stderr, r"(?m)^5\.dcm: ends before its data set begins$")

    async def test_quiet_only_counts(self) -> None:
        (self.files / "5.dcm").write_bytes(wrapped(encoded(5), "1.2.3.5")[:200])
        done = await self.run_command("import", "--quiet", str(self.files))
        self.assertEqual((done.returncode, done.stderr), (1, ""))

    async def test_a_folder_that_is_not_there_is_not_done(self) -> None:
        nowhere = self.folder / "nowhere"
        done = await self.run_command("import", str(nowhere))
        self.assertEqual((done.returncode, done.stderr), (2, f"dimseproxy: FOLDER: there is no folder {nowhere}\n"))
        self.assertFalse((self.folder / "dimseproxy-data").exists())

    async def test_what_was_never_there_is_not_made_up(self) -> None:
        for command in ("list", "verify", "dead-letters"):
            done = await self.run_command(command)
            self.assertEqual(done.returncode, 2, command)
            self.assertIn("dimseproxy.db: nothing was stored yet", done.stderr)
        self.assertFalse((self.folder / "dimseproxy-data").exists())

    async def test_a_database_that_cannot_be_opened_ends_the_command(self) -> None:
        database = self.folder / "dimseproxy-data" / "dimseproxy.db"
        database.mkdir(parents=True)
        command = [*RUN, "list", "--config", str(self.folder / "archive.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=CHECKOUT)
        said = (
            f"dimseproxy: the database {database} cannot be opened (SQLITE_CANTOPEN): is this the user of the proxy?\n"
        )
        self.assertEqual((done.returncode, done.stderr), (2, said))

    async def test_a_lost_index_is_rebuilt(self) -> None:
        self.fill()
        await self.run_command("import", str(self.files))
        for left in (self.folder / "dimseproxy-data").glob("dimseproxy.db*"):
            left.unlink()
        self.assertEqual((await self.run_command("rebuild")).stdout[:15], "3 objects added")
        self.assertIn("1 study with 3 objects", (await self.run_command("list")).stdout)

    async def test_files_whose_disk_is_not_mounted_are_no_loss(self) -> None:
        self.fill()
        await self.run_command("import", str(self.files))
        folder = self.folder / "dimseproxy-data" / "archive"
        folder.rename(folder.with_name("elsewhere"))
        for command in ("verify",), ("rebuild", "--anew"):
            done = await self.run_command(*command)
            self.assertEqual(done.returncode, 2, command)
            self.assertIn("its disk is not mounted", done.stderr)
        folder.with_name("elsewhere").rename(folder)
        self.assertIn("1 study with 3 objects", (await self.run_command("list")).stdout)

    async def test_nothing_is_made_where_there_is_nothing_to_rebuild(self) -> None:
        self.assertEqual((await self.run_command("rebuild")).returncode, 2)
        self.assertFalse((self.folder / "dimseproxy-data").exists())

    async def test_an_archive_without_room_ends_the_import(self) -> None:
        self.fill()
        text = 'outbound: {local: {archive: {watermark: {refuse_below: "1000000 TiB"}}}}\n'
        (self.folder / "archive.yaml").write_text(text)
        done = await self.run_command("import", str(self.files))
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stdout.startswith("0 objects taken"), done.stdout)
        self.assertIn("dimseproxy: the import ended early: ", done.stderr)
        self.assertEqual(done.stderr.count(".dcm: the archive has no room, or no database (status A700)\n"), 1)

    async def test_there_are_no_dead_letters_at_first(self) -> None:
        await self.run_command("import", str(self.files))
        done = await self.run_command("dead-letters")
        self.assertEqual((done.returncode, done.stdout), (0, "0 dead letters\n"))

    async def test_a_dead_letter_that_is_not_there_cannot_be_sent(self) -> None:
        await self.run_command("import", str(self.files))
        done = await self.run_command("requeue", "7")
        self.assertEqual((done.returncode, done.stderr), (1, "dimseproxy: there is no dead letter 7\n"))

    async def test_another_key_is_refused(self) -> None:
        self.fill()
        await self.run_command("import", str(self.files))
        key = self.folder / "archive.key"
        key.touch(0o600)
        key.write_text("0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
        (self.folder / "archive.yaml").write_text("outbound: {local: {archive: {key: {file: archive.key}}}}\n")
        done = await self.run_command("list")
        self.assertEqual(done.returncode, 2)
        self.assertIn("was written with another key, or with none", done.stderr)
        self.assertEqual((await self.run_command("rebuild", "--anew")).stdout[:15], "3 objects added")

    async def test_an_encrypted_archive_is_looked_after_as_well(self) -> None:
        self.fill()
        key = self.folder / "archive.key"
        key.touch(0o600)
        key.write_text("0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
        (self.folder / "archive.yaml").write_text("outbound: {local: {archive: {key: {file: archive.key}}}}\n")
        self.assertEqual((await self.run_command("import", str(self.files))).returncode, 0)
        self.assertTrue((await self.run_command("verify")).stdout.startswith("3 files are whole"))
        self.assertIn("1.2.4.1", (await self.run_command("list")).stdout)
        kept = [path.read_bytes() for path in (self.folder / "dimseproxy-data").rglob("*") if path.is_file()]
        self.assertFalse([None for content in kept if NAME.encode() in content or PATIENT.encode() in content])

    async def test_they_are_a_program(self) -> None:
        command = [*RUN, "import", "--config", str(self.folder / "archive.yaml"), str(self.files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=CHECKOUT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "0 objects taken, 0 refused, 0 other files\n")
