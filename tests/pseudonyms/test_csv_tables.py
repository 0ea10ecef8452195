"""Tables of several kinds beside one another: UIDs are of one name space, whatever they name."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.csv_table import LOOK_EVERY, CsvTables
from dimseproxy.pseudonyms.interfaces import SourceRefused
from tests.pseudonyms.asking import Keeping

STUDY, SERIES = "1.2.3", "1.2.3.1"


class TogetherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.studies, self.series = Path(self.mktemp()), Path(self.mktemp())
        self.studies.write_text(f"{STUDY},2.25.1\n")

    def tables(self, series: str) -> CsvTables:
        self.series.write_text(series)
        return CsvTables(self.clock, {Kind.STUDY: self.studies, Kind.SERIES: self.series}, maybeDeferred)

    def refused(self, series: str) -> str:
        told = str(self.failureResultOf(self.tables(series).start(), SourceRefused).value)
        self.assertIn(str(self.studies), told)
        self.assertIn(str(self.series), told)
        self.assertNotIn("2.25.1", told)
        return told

    def test_each_has_its_own(self) -> None:
        self.successResultOf(self.tables(f"{SERIES},2.25.2\n").start())

    def test_a_pseudonym_that_is_an_original_elsewhere_is_refused(self) -> None:
        self.refused("2.25.1,2.25.2\n")

    def test_an_original_that_is_a_pseudonym_elsewhere_is_refused(self) -> None:
        self.refused(f"{SERIES},{STUDY}\n")

    def test_a_pseudonym_of_two_originals_is_refused(self) -> None:
        self.refused(f"{SERIES},2.25.1\n")

    def test_two_may_say_the_same_of_a_value(self) -> None:
        self.successResultOf(self.tables(f"{STUDY},2.25.1\n{SERIES},2.25.2\n").start())

    def test_texts_of_other_kinds_are_no_uids(self) -> None:
        patients, numbers = Path(self.mktemp()), Path(self.mktemp())
        patients.write_text("4711,1\n")
        numbers.write_text("1,2\n")
        tables = CsvTables(self.clock, {Kind.PATIENT: patients, Kind.ACCESSION: numbers}, maybeDeferred)
        self.successResultOf(tables.start())

    def test_a_changed_table_that_does_not_go_with_another_is_not_used(self) -> None:
        logged: list[str] = []
        observer = Keeping(logged)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        tables = self.tables(f"{SERIES},2.25.2\n")
        self.successResultOf(tables.start())
        self.series.write_text("2.25.1,2.25.2\n")
        self.clock.advance(LOOK_EVERY)
        asked = Identity(Kind.SERIES, SERIES)
        self.assertEqual(self.successResultOf(tables.pseudonyms_of([asked])).values, {asked: "2.25.2"})
        self.assertIn("is not used", "".join(logged))

    def test_a_table_whose_rights_are_mended_is_read(self) -> None:
        tables = self.tables(f"{SERIES},2.25.2\n")
        self.successResultOf(tables.start())
        really, denied = Path.open, {self.series}

        def opened(path: Path, *arguments: Any, **named: Any) -> Any:
            if path in denied:
                raise PermissionError(errno.EACCES, "Permission denied")
            return really(path, *arguments, **named)

        self.series.write_text(f"{SERIES},2.25.3\n")
        self.patch(Path, "open", opened)
        asked = Identity(Kind.SERIES, SERIES)
        found = []
        for _ in range(2):
            self.clock.advance(LOOK_EVERY)
            found.append(self.successResultOf(tables.pseudonyms_of([asked])).values[asked])
            # Which changes nothing but the inode.
            self.series.chmod(0o640)
            denied.clear()
        self.assertEqual(found, ["2.25.2", "2.25.3"])

    def test_two_that_changed_together_are_looked_at_together(self) -> None:
        tables = self.tables(f"{SERIES},2.25.2\n")
        self.successResultOf(tables.start())
        # Each alone does not go with what the other one was.
        self.studies.write_text(f"{STUDY},2.25.2\n")
        self.series.write_text(f"{SERIES},2.25.1\n")
        self.clock.advance(LOOK_EVERY)
        asked = Identity(Kind.SERIES, SERIES)
        self.assertEqual(self.successResultOf(tables.pseudonyms_of([asked])).values, {asked: "2.25.1"})
