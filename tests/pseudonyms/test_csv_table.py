from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.csv_table import LOOK_EVERY, CsvTables, read_table
from dimseproxy.pseudonyms.interfaces import IPseudonyms, SourceRefused
from dimseproxy.pseudonyms.validity import Use
from tests.pseudonyms.asking import Keeping

_SECRET = "Mustermann"


class FileTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def write(self, content: str | bytes) -> None:
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())


class ReadTests(FileTestCase):
    def _reads(self, content: str | bytes, expected: dict[str, str]) -> None:
        self.write(content)
        self.assertEqual(read_table(self.path, Use.LONG).pseudonyms, expected)

    def _refuses(self, content: str | bytes, *told: str, use: Use = Use.LONG) -> None:
        self.write(content)
        text = str(self.assertRaises(SourceRefused, read_table, self.path, use))
        for each in (str(self.path), *told):
            self.assertIn(each, text)
        self.assertNotIn(_SECRET, text)

    def test_two_columns(self) -> None:
        self._reads("a,1\nb,2\n", {"a": "1", "b": "2"})

    def test_a_header(self) -> None:
        self._reads("Original,Pseudonym\na,1\n", {"a": "1"})

    def test_a_byte_order_mark(self) -> None:
        self._reads(b"\xef\xbb\xbforiginal,pseudonym\na,1\n", {"a": "1"})

    def test_lines_as_windows_ends_them(self) -> None:
        self._reads("a,1\r\nb,2\r\n", {"a": "1", "b": "2"})

    def test_no_end_of_the_last_line(self) -> None:
        self._reads("a,1\nb,2", {"a": "1", "b": "2"})

    def test_empty_lines(self) -> None:
        self._reads("a,1\n\n\nb,2\n", {"a": "1", "b": "2"})

    def test_quotes(self) -> None:
        self._reads('"a,b",1\n', {"a,b": "1"})

    def test_semicolons(self) -> None:
        self._reads("original;pseudonym\na;1\n", {"a": "1"})

    def test_spaces_around_values(self) -> None:
        self._reads("a , 1\n", {"a": "1"})

    def test_originals_of_any_script(self) -> None:
        self._reads("山田,1\nMüller\x85,2\n", {"山田": "1", "Müller\x85": "2"})

    def test_nothing(self) -> None:
        self._reads("", {})

    def test_goes_both_ways(self) -> None:
        self.write("a,1\nb,2\n")
        self.assertEqual(read_table(self.path, Use.LONG).originals, {"1": "a", "2": "b"})

    def test_an_original_twice(self) -> None:
        self._refuses(f"a,0\n{_SECRET},1\n{_SECRET},2\n", "line 3", "original")

    def test_a_pseudonym_twice(self) -> None:
        self._refuses(f"original,pseudonym\na,1\n{_SECRET},1\n", "line 3", "pseudonym")

    def test_a_pseudonym_that_is_its_original(self) -> None:
        self._refuses(f"a,1\n{_SECRET},{_SECRET}\n", "line 2")

    def test_a_pseudonym_that_is_an_original_of_another(self) -> None:
        self._refuses(f"a,{_SECRET}\nb,2\n{_SECRET},3\n", "line 1")

    def test_no_pseudonym(self) -> None:
        self._refuses(f"a,1\n{_SECRET},\n", "line 2", "empty")

    def test_no_original(self) -> None:
        self._refuses(f",{_SECRET}\n", "line 1", "empty")

    def test_one_column(self) -> None:
        self._refuses(f"a,1\n{_SECRET}\n", "line 2", "two columns")

    def test_three_columns(self) -> None:
        self._refuses(f"a,1\nb,2,{_SECRET}\n", "line 2", "two columns")

    def test_a_pseudonym_that_no_data_set_can_hold(self) -> None:
        self._refuses(f"a,{_SECRET}\\x\n", "line 1")

    def test_a_uid_that_is_none(self) -> None:
        self._refuses(f"1.2.3,2.25.1\n1.2.4,{_SECRET}\n", "line 2", "UID", use=Use.UID)

    def test_a_number_that_is_too_long(self) -> None:
        self._refuses(f"{_SECRET},12345678901234567\n", "line 1", "longer", use=Use.SHORT)

    def test_another_encoding(self) -> None:
        self._refuses(f"a,1\n{_SECRET},2\n".encode() + "Müller,3\n".encode("latin-1"), "line 3", "UTF-8")

    def test_a_quote_that_does_not_end(self) -> None:
        self._refuses(f'a,1\n"{_SECRET},2\n', "line")

    def test_no_file(self) -> None:
        text = str(self.assertRaises(SourceRefused, read_table, self.path, Use.LONG))
        self.assertIn(str(self.path), text)


def _now(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(function, *arguments)


class CsvTablesTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.logged: list[str] = []
        observer = Keeping(self.logged)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.write("a,1\nb,2\n")
        self.tables = CsvTables(self.clock, {Kind.PATIENT: self.path}, _now)
        self.successResultOf(self.tables.start())

    def _pseudonym(self, value: str) -> str:
        original = Identity(Kind.PATIENT, value)
        return self.successResultOf(self.tables.pseudonyms_of([original])).values[original]

    def _refused(self, identity: Identity) -> str:
        return str(self.failureResultOf(self.tables.pseudonyms_of([identity]), SourceRefused).value)

    def test_is_a_source(self) -> None:
        verifyObject(IPseudonyms, self.tables)

    def test_gives_pseudonyms(self) -> None:
        self.assertEqual(self._pseudonym("a"), "1")

    def test_gives_originals(self) -> None:
        known = Identity(Kind.PATIENT, "2")
        answer = self.successResultOf(self.tables.originals_of([known, Identity(Kind.PATIENT, "3")]))
        self.assertEqual(answer, {known: "b"})

    def test_refuses_what_is_not_in_the_table(self) -> None:
        self.assertNotIn(_SECRET, self._refused(Identity(Kind.PATIENT, _SECRET)))

    def test_refuses_a_kind_without_a_table(self) -> None:
        self._refused(Identity(Kind.STUDY, "a"))

    def test_does_not_start_with_a_broken_table(self) -> None:
        self.write("a,1\na,2\n")
        self.failureResultOf(CsvTables(self.clock, {Kind.PATIENT: self.path}, _now).start(), SourceRefused)

    def test_one_file_may_serve_several_kinds(self) -> None:
        tables = CsvTables(self.clock, {Kind.PATIENT: self.path, Kind.ACCESSION: self.path}, _now)
        self.successResultOf(tables.start())
        asked = [Identity(kind, "a") for kind in (Kind.PATIENT, Kind.ACCESSION)]
        self.assertEqual(self.successResultOf(tables.pseudonyms_of(asked)).values, dict.fromkeys(asked, "1"))

    def test_a_changed_table_is_read_again(self) -> None:
        self.write("a,1\nb,2\nc,3\n")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self._pseudonym("c"), "3")

    def test_a_table_in_its_place_is_read_even_if_it_is_as_long_and_as_old(self) -> None:
        state = self.path.stat()
        other = Path(self.mktemp())
        other.write_text("a,1\nc,3\n")
        os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
        other.rename(self.path)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self._pseudonym("c"), "3")

    def test_is_not_looked_at_all_the_time(self) -> None:
        self.write("a,1\nb,2\nc,3\n")
        self._refused(Identity(Kind.PATIENT, "c"))

    def test_a_broken_table_leaves_the_one_before_it(self) -> None:
        self.write(f"{_SECRET},1\n{_SECRET},2\n")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self._pseudonym("a"), "1")

    def test_a_broken_table_is_logged_without_its_values(self) -> None:
        self.write(f"{_SECRET},1\n{_SECRET},2\n")
        self.clock.advance(LOOK_EVERY)
        self._pseudonym("a")
        self.assertIn("line 2", "".join(self.logged))
        self.assertNotIn(_SECRET, "".join(self.logged))

    def test_a_table_that_is_away_leaves_the_one_before_it(self) -> None:
        self.path.unlink()
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self._pseudonym("a"), "1")

    def test_a_mended_table_is_used(self) -> None:
        self.write("a,1\na,2\n")
        self.clock.advance(LOOK_EVERY)
        self._pseudonym("a")
        self.write("a,1\nc,3\nd,4\n")
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self._pseudonym("c"), "3")


class ReadingTests(FileTestCase):
    """A disk that takes its time."""

    def setUp(self) -> None:
        super().setUp()
        self.reads: list[tuple[Deferred[Any], Callable[[], Any]]] = []
        self.clock = Clock()
        self.write("a,1\n")
        self.tables = CsvTables(self.clock, {Kind.PATIENT: self.path}, self._in_thread)
        starting = self.tables.start()
        self._read()
        self.successResultOf(starting)

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        self.reads.append((Deferred(), lambda: function(*arguments)))
        return self.reads[-1][0]

    def _read(self) -> None:
        done, function = self.reads.pop()
        done.callback(function())

    def test_who_asks_meanwhile_gets_what_is_read(self) -> None:
        self.write("a,1\nb,2\n")
        self.clock.advance(LOOK_EVERY)
        asked = [Identity(Kind.PATIENT, each) for each in "ab"]
        asking = [self.tables.pseudonyms_of([each]) for each in asked]
        for each in asking:
            self.assertNoResult(each)
        self._read()
        self.assertEqual([self.successResultOf(each).values for each in asking], [{asked[0]: "1"}, {asked[1]: "2"}])

    def test_it_is_read_once_for_all(self) -> None:
        self.write("a,1\nb,2\n")
        self.clock.advance(LOOK_EVERY)
        for _ in range(5):
            self.tables.pseudonyms_of([Identity(Kind.PATIENT, "a")])
            self.clock.advance(LOOK_EVERY)
        self.assertEqual(len(self.reads), 1)

    def test_who_gives_up_does_not_keep_others_from_it(self) -> None:
        self.write("a,1\nb,2\n")
        self.clock.advance(LOOK_EVERY)
        asked = Identity(Kind.PATIENT, "a")
        self.tables.pseudonyms_of([asked]).addErrback(lambda _: None).cancel()
        asking = self.tables.pseudonyms_of([asked])
        self._read()
        self.assertEqual(self.successResultOf(asking).values, {asked: "1"})


class ThreadTests(TestCase):
    """With the threads of the reactor."""

    async def test_reads(self) -> None:
        path = Path(self.mktemp())
        path.write_text("a,1\n")
        tables = CsvTables(Clock(), {Kind.PATIENT: path})
        await tables.start()
        asked = Identity(Kind.PATIENT, "a")
        self.assertEqual((await tables.pseudonyms_of([asked])).values, {asked: "1"})
