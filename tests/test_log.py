from __future__ import annotations

import errno
import json
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.association.interfaces import Peer
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.log import Log, open_log
from dimseproxy.ul.framer import ControlPdu
from dimseproxy.ul.user_information import UserIdentity
from tests.association.playing import command, fragment


class LogTests(TestCase):
    def setUp(self) -> None:
        self.out = StringIO()

    def _log(self, form: str = "text", level: str = "info") -> tuple[Log, Logger]:
        log = Log(self.out, form, level)
        return log, Logger(observer=log)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def test_a_line_an_event(self) -> None:
        _, logger = self._log()
        logger.info("association {number}: {text}", number=7, text="released")
        self.assertRegex(self.lines[0], r"^\d{4}-\S+ info association 7: released$")

    def test_a_title_with_a_line_break_makes_no_line_of_its_own(self) -> None:
        _, logger = self._log()
        logger.warn("{title}", title="CLIENT\n2030-01-01T00:00:00 info all is well")
        self.assertEqual([line[0] for line in self.lines][1:], ["\t"])

    def test_nor_does_a_carriage_return(self) -> None:
        _, logger = self._log()
        logger.warn("{title}", title="CLIENT\rall is well")
        self.assertEqual(len(self.lines), 1)

    def test_a_line_of_a_worker_has_its_number(self) -> None:
        Logger(observer=Log(self.out, "text", "info", worker=2)).info("released")
        self.assertRegex(self.lines[0], r"^\d{4}-\S+ info worker 2: released$")

    def test_so_has_an_object(self) -> None:
        Logger(observer=Log(self.out, "json", "info", worker=2)).info("released")
        self.assertEqual([(entry["worker"], entry["text"]) for entry in map(json.loads, self.lines)], [(2, "released")])

    def test_a_line_of_another_process_is_copied(self) -> None:
        log, _ = self._log()
        log.copy("2026-11-20T21:11:23+0000 info worker 2: released")
        self.assertEqual(self.lines, ["2026-11-20T21:11:23+0000 info worker 2: released"])

    def test_without_room_it_is_lost_and_nothing_else(self) -> None:
        class Full(StringIO):
            def flush(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        out = Full()
        log = Log(out, "text", "info")
        for line in "released", "aborted":
            log.copy(line)
        self.assertEqual(out.getvalue(), "released\naborted\n")

    def test_a_character_that_the_log_cannot_say_ends_nothing(self) -> None:
        out = TextIOWrapper(BytesIO(), encoding="ascii")
        log = Log(out, "text", "info")
        for line in "\u0416", "released":
            log.copy(line)
        out.seek(0)
        self.assertEqual(out.read(), "released\n")

    def test_a_log_that_is_closed_ends_nothing(self) -> None:
        log, _ = self._log()
        self.out.close()
        log.copy("released")
        self.assertTrue(self.out.closed)

    def test_less_than_the_level_is_left_out(self) -> None:
        _, logger = self._log(level="warn")
        logger.info("chatter")
        self.assertEqual(self.lines, [])

    def test_the_level_may_change(self) -> None:
        log, logger = self._log(level="warn")
        log.set_level("debug")
        logger.debug("chatter")
        self.assertEqual(len(self.lines), 1)

    def test_all_levels(self) -> None:
        _, logger = self._log(level="debug")
        for level in LogLevel.iterconstants():
            logger.emit(level, "said")
        self.assertEqual([line.split()[1] for line in self.lines], ["debug", "info", "warn", "error", "critical"])

    def test_a_failure_with_its_traceback(self) -> None:
        _, logger = self._log()
        logger.failure("broken", Failure(ValueError("why")))
        self.assertIn("ValueError", self.out.getvalue())

    def test_a_format_that_fails_is_no_failure(self) -> None:
        _, logger = self._log()
        logger.info("{nothing.of.the.kind}")
        self.assertEqual(len(self.out.getvalue()) > 0, True)

    def test_braces_in_a_value_are_no_format(self) -> None:
        _, logger = self._log()
        logger.info("{title}", title="{0.__class__}")
        self.assertTrue(self.lines[0].endswith("{0.__class__}"))

    def test_json_is_an_object_a_line(self) -> None:
        _, logger = self._log("json")
        logger.info("association {number}: {text}", number=7, text="two\nlines")
        entry = json.loads(self.lines[0])
        self.assertEqual((entry["level"], entry["text"], entry["number"]), ("info", "association 7: two\nlines", 7))

    def test_json_leaves_out_what_it_cannot_say(self) -> None:
        _, logger = self._log("json")
        logger.info("{peer}", peer=object(), secret=b"bytes")
        self.assertEqual(sorted(json.loads(self.lines[0])), ["level", "text", "time"])

    def test_json_survives_text_that_is_no_unicode(self) -> None:
        _, logger = self._log("json")
        logger.info("{title}", title="\udcff")
        self.assertEqual(json.loads(self.lines[0])["title"], "\udcff")

    def test_a_file(self) -> None:
        path = Path(self.mktemp())
        file = open_log(str(path), True)
        self.addCleanup(file.close)
        log = Log(file, "text", "info")
        Logger(observer=log).info("written")
        self.assertIn("written", path.read_text())


class NoIdentityTests(TestCase):
    """What may end up in a log says nothing of anybody."""

    def test_a_command(self) -> None:
        request = command(
            CommandField.C_STORE_RQ,
            more={
                Element.AFFECTED_SOP_INSTANCE_UID: "1.2.840.99",
                Element.MOVE_ORIGINATOR_AE_TITLE: "SOMEBODY",
            },
        )
        self.assertEqual(repr(request), "Command(1, <C-STORE-RQ>)")

    def test_a_data_set(self) -> None:
        self.assertNotIn("Doe", repr(fragment(b"Doe^John")))

    def test_a_user_identity(self) -> None:
        self.assertNotIn("secret", repr(UserIdentity(2, False, b"secret name", b"secret word")))

    def test_a_pdu_that_is_not_decoded_yet(self) -> None:
        self.assertNotIn("secret", repr(ControlPdu(1, b"secret word")))

    def test_a_peer_is_its_address(self) -> None:
        self.assertIn("192.0.2.7", repr(Peer("192.0.2.7", 104)))
