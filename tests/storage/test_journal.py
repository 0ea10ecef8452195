from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, current_thread
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.journal import Journal
from dimseproxy.storage.journal_file import create, files, peek, take_over
from tests.support.process import scratch


class FileCase(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "a 100% odd? name.(x)"

    def written(self, *groups: Sequence[bytes]) -> Path:
        """A file that somebody left."""
        file = create(self.path)
        for group in groups:
            file.append(group)
        file.close()
        return file.path

    def found(self) -> list[bytes]:
        """What the next one finds."""
        records = []
        for file in take_over(self.path):
            try:
                records += file.read()
            finally:
                file.close()
        return records


class FileTests(FileCase):
    def test_what_was_written_is_found(self) -> None:
        self.written([b"one", b""], [b"three" * 1_000])
        self.assertEqual(self.found(), [b"one", b"", b"three" * 1_000])

    def test_nothing_is_found_where_nothing_was_written(self) -> None:
        self.written()
        self.assertEqual(self.found(), [])

    def test_it_is_its_owners_alone(self) -> None:
        self.assertEqual(self.written().stat().st_mode & 0o777, 0o600)

    def test_files_are_found_in_the_order_of_their_numbers(self) -> None:
        for number in range(11):
            self.written([b"%d" % number])
        self.assertEqual(self.found(), [b"%d" % number for number in range(11)])

    def test_a_file_that_somebody_holds_is_not_taken_over(self) -> None:
        file = create(self.path)
        self.assertEqual(list(take_over(self.path)), [])
        file.close()

    def test_another_path_is_another_journal(self) -> None:
        self.written([b"one"])
        for name in ("a", "a 100% odd? name.(x).1", "a 100% odd? name.(y)"):
            self.assertEqual(files(self.path.with_name(name)), [])

    def test_a_file_that_was_removed_meanwhile_is_not_held(self) -> None:
        file = create(self.path)
        file.path.unlink()
        self.assertFalse(file.hold())
        file.close()

    def test_a_link_is_not_followed(self) -> None:
        secret = self.path.with_name("secret")
        secret.write_bytes(b"")
        self.path.with_name(f"{self.path.name}.1").symlink_to(secret)
        with self.assertRaises(DatabaseUnavailable):
            list(take_over(self.path))


class TornTests(FileCase):
    def test_a_last_group_that_is_cut_off_anywhere_is_left_out(self) -> None:
        whole = len(self.written([b"one"]).read_bytes())
        path = self.written([b"one"], [b"two", b"three"])
        content = path.read_bytes()
        files(self.path)[0].unlink()
        for length in range(whole, len(content)):
            path.write_bytes(content[:length])
            self.assertEqual(self.found(), [b"one"])

    def test_a_header_that_is_cut_off_anywhere_is_no_record(self) -> None:
        path = self.written()
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            self.assertEqual(self.found(), [])

    def test_a_last_group_of_which_blocks_did_not_reach_the_disk_is_left_out(self) -> None:
        path = self.written([b"one"], [b"x" * 10_000, b"three"])
        content = bytearray(path.read_bytes())
        content[60:4096] = bytes(4096 - 60)
        path.write_bytes(content)
        self.assertEqual(self.found(), [b"one"])

    def test_a_header_of_nothing_is_no_record(self) -> None:
        self.written().write_bytes(bytes(20))
        self.assertEqual(self.found(), [])


class RoomTests(FileCase):
    """A file that has its zeros from the beginning."""

    def roomy(self, *groups: Sequence[bytes]) -> Path:
        file = create(self.path, 4096)
        for group in groups:
            file.append(group)
        file.close()
        return file.path

    def test_what_was_written_is_found(self) -> None:
        self.roomy([b"one"], [b"two" * 100])
        self.assertEqual(self.found(), [b"one", b"two" * 100])

    def test_it_does_not_grow_before_it_is_full(self) -> None:
        self.assertEqual(self.roomy([b"one"]).stat().st_size, 4096)

    def test_it_grows_when_it_is_full(self) -> None:
        self.roomy([b"one"], [b"x" * 5_000], [b"end"])
        self.assertEqual(self.found(), [b"one", b"x" * 5_000, b"end"])

    def test_a_header_that_did_not_reach_the_disk_is_no_record(self) -> None:
        path = self.roomy()
        for length in range(21):
            path.write_bytes(b"dimseproxy journal 1\n"[:length] + bytes(4096 - length))
            self.assertEqual(self.found(), [])

    def test_a_header_of_zeros_before_a_group_is_refused(self) -> None:
        path = self.roomy([b"one"])
        path.write_bytes(bytes(21) + path.read_bytes()[21:])
        with self.assertRaises(DatabaseRefused):
            self.found()

    def test_a_last_group_that_is_cut_off_anywhere_is_left_out(self) -> None:
        path = self.roomy([b"one"], [b"two", b"three"])
        content = path.read_bytes()
        end = len(content.rstrip(b"\0"))
        begin = content.rindex(b"\xd1zjf")
        for length in range(begin, end):
            path.write_bytes(content[:length].ljust(4096, b"\0"))
            self.assertEqual(self.found(), [b"one"])

    def test_a_bit_that_fell_over_before_the_last_group_is_refused(self) -> None:
        path = self.roomy([b"one"], [b"two"])
        content = path.read_bytes()
        for at in range(content.rindex(b"\xd1zjf")):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            with self.assertRaises(DatabaseRefused):
                self.found()

    def test_another_process_sees_what_is_in_it(self) -> None:
        file = create(self.path, 4096)
        file.append([b"one", b"two"])
        self.assertEqual((peek(file.path, [b"tw"]), peek(file.path, [b"three"])), ([b"one", b"two"], []))
        file.close()

    def test_of_one_that_is_gone_nothing_is_seen(self) -> None:
        self.assertEqual(peek(self.path, [b""]), [])


class DamagedTests(FileCase):
    def test_a_bit_that_fell_over_before_the_last_group_is_refused(self) -> None:
        path = self.written([b"one"], [b"two"], [b"three"])
        content = path.read_bytes()
        last = len(self.written([b"one"], [b"two"]).read_bytes())
        files(self.path)[1].unlink()
        for at in range(last):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            with self.assertRaises(DatabaseRefused):
                self.found()

    def test_the_message_says_where(self) -> None:
        path = self.written([b"one"], [b"two"])
        content = path.read_bytes()
        path.write_bytes(content.replace(b"one", b"0ne"))
        with self.assertRaisesRegex(DatabaseRefused, r"name\.\(x\)\.1 is damaged at byte 21"):
            self.found()

    def test_groups_that_changed_places_are_refused(self) -> None:
        path = self.written([b"one"], [b"two"], [b"end"])
        content = path.read_bytes()
        header, frame = 21, (len(content) - 21) // 3
        one, two, end = (content[header + n * frame : header + (n + 1) * frame] for n in range(3))
        path.write_bytes(content[:header] + two + one + end)
        with self.assertRaises(DatabaseRefused):
            self.found()

    def test_another_version_is_refused(self) -> None:
        path = self.written([b"one"])
        path.write_bytes(path.read_bytes().replace(b"journal 1", b"journal 2"))
        with self.assertRaises(DatabaseRefused):
            self.found()

    @settings(max_examples=50)
    @given(st.binary(max_size=200))
    def test_whatever_is_there_yields_records_or_a_refusal(self, content: bytes) -> None:
        path = files(self.path)[0] if files(self.path) else self.written()
        path.write_bytes(b"dimseproxy journal 1\n" + content)
        with contextlib.suppress(DatabaseRefused):
            self.found()


class Faults:
    """What the disk does to the next writes, in the place of `os.pwrite`."""

    def __init__(self, *faults: int | OSError) -> None:
        self.faults = list(faults)
        self.pwrite: Callable[[int, bytes, int], int] = os.pwrite

    def __call__(self, descriptor: int, content: bytes, at: int) -> int:
        fault = self.faults.pop(0) if self.faults else len(content)
        if isinstance(fault, OSError):
            raise fault
        return self.pwrite(descriptor, content[:fault], at)


class FullDiskTests(FileCase):
    def test_a_short_write_is_gone_on_with(self) -> None:
        file = create(self.path)
        self.patch(os, "pwrite", Faults(5, 1))
        file.append([b"one"])
        file.close()
        self.assertEqual(self.found(), [b"one"])

    def test_what_was_begun_is_cut_off(self) -> None:
        file = create(self.path)
        file.append([b"one"])
        size = file.path.stat().st_size
        self.patch(os, "pwrite", Faults(5, OSError(errno.ENOSPC, "full")))
        with self.assertRaisesRegex(DatabaseUnavailable, "ENOSPC"):
            file.append([b"two"])
        self.assertEqual(file.path.stat().st_size, size)
        file.close()

    def test_it_goes_on_when_there_is_room_again(self) -> None:
        file = create(self.path)
        self.patch(os, "pwrite", Faults(5, OSError(errno.EIO, "broken")))
        with self.assertRaises(DatabaseUnavailable):
            file.append([b"x" * 100])
        file.append([b"two"])
        file.close()
        self.assertEqual(self.found(), [b"two"])

    def test_what_cannot_be_cut_off_now_is_cut_off_before_the_next_write(self) -> None:
        file = create(self.path)
        self.patch(os, "pwrite", Faults(50, OSError(errno.EIO, "broken")))
        ftruncate = self.patch(os, "ftruncate", _broken)
        for _ in range(2):
            with self.assertRaises(DatabaseUnavailable):
                file.append([b"x" * 100])
        ftruncate.restore()
        file.append([b"two"])
        file.close()
        self.assertEqual(self.found(), [b"two"])


class JournalCase(FileCase):
    def journal(self, **settings: Any) -> Journal:
        made = Journal(self.path, IReactorFromThreads(reactor), **settings)
        self.addCleanup(made.close)
        return made

    async def opened(self, **settings: Any) -> Journal:
        made = self.journal(**settings)
        await made.open()
        return made

    async def append(self, journal: Journal, *records: bytes) -> None:
        await journal.append(records)

    def sizes(self) -> list[int]:
        return [path.stat().st_size for path in files(self.path)]

    async def blocked(self, journal: Journal) -> Event:
        """Its disk takes until the event is set."""
        is_there, may_go = Event(), Event()
        pwrite = os.pwrite

        def wait(descriptor: int, content: bytes, at: int) -> int:
            is_there.set()
            may_go.wait(30)
            return pwrite(descriptor, content, at)

        self.addCleanup(may_go.set)
        blocking = self.patch(os, "pwrite", wait)
        journal.append([b"blocked"])
        is_there.wait(30)
        blocking.restore()
        return may_go


class JournalTests(JournalCase):
    async def test_records_are_durable_when_it_says_so(self) -> None:
        journal = await self.opened()
        await self.append(journal, b"one", b"two")
        (path,) = files(self.path)
        self.assertIn(b"two", path.read_bytes())

    async def test_it_is_written_in_the_thread(self) -> None:
        threads: list[object] = []
        journal = await self.opened()
        pwrite = os.pwrite

        def noted(descriptor: int, content: bytes, at: int) -> int:
            threads.append(current_thread())
            return pwrite(descriptor, content, at)

        self.patch(os, "pwrite", noted)
        await self.append(journal, b"one")
        self.assertEqual(threads, [journal._thread])

    async def test_the_next_one_finds_them(self) -> None:
        journal = await self.opened()
        await self.append(journal, b"one")
        await self.append(journal, b"two", b"three")
        await journal.close()
        self.assertEqual(await self.journal().open(), [b"one", b"two", b"three"])

    async def test_they_are_found_again_until_they_are_dropped(self) -> None:
        self.written([b"one"])
        journal = self.journal()
        await journal.open()
        await journal.close()
        journal = self.journal()
        self.assertEqual(await journal.open(), [b"one"])
        await journal.drop_left()
        await journal.close()
        self.assertEqual(await self.journal().open(), [])

    async def test_two_do_not_share_a_file(self) -> None:
        one, other = await self.opened(), await self.opened()
        await self.append(one, b"one")
        await self.append(other, b"other")
        self.assertEqual(len(files(self.path)), 2)
        await one.close()
        self.assertEqual(await self.journal().open(), [b"one"])

    async def test_what_came_while_the_disk_was_busy_is_one_write(self) -> None:
        journal = await self.opened()
        may_go = await self.blocked(journal)
        writes: list[int] = []
        pwrite = os.pwrite

        def counted(descriptor: int, content: bytes, at: int) -> int:
            writes.append(len(content))
            return pwrite(descriptor, content, at)

        self.patch(os, "pwrite", counted)
        all_of_it = gatherResults([self.ensured(journal, b"%d" % number) for number in range(10)])
        may_go.set()
        await all_of_it
        self.assertEqual(len(writes), 1)

    async def test_what_came_together_wakes_the_reactor_up_once(self) -> None:
        journal = await self.opened()
        may_go = await self.blocked(journal)
        calls: list[object] = []
        call = journal._reactor.callFromThread

        def counted(*arguments: Any) -> None:
            calls.append(arguments)
            call(*arguments)

        self.patch(journal._reactor, "callFromThread", counted)
        all_of_it = gatherResults([self.ensured(journal, b"%d" % number) for number in range(10)])
        may_go.set()
        await all_of_it
        self.assertEqual(len(calls), 2)

    def ensured(self, journal: Journal, record: bytes) -> Deferred[None]:
        return journal.append([record])

    async def test_a_full_disk_is_told_to_all_who_wait_and_gets_over(self) -> None:
        journal = await self.opened()
        self.patch(os, "pwrite", Faults(7, OSError(errno.ENOSPC, "full")))
        await self.assertFailure(self.ensured(journal, b"one"), DatabaseUnavailable)
        await self.append(journal, b"two")
        await journal.close()
        self.assertEqual(await self.journal().open(), [b"two"])

    async def test_more_than_may_wait_is_refused(self) -> None:
        journal = await self.opened(most_waiting=3)
        may_go = await self.blocked(journal)
        waiting = journal.append([b"one", b"two"])
        with self.assertRaises(DatabaseUnavailable):
            self.ensured(journal, b"three")
        may_go.set()
        await waiting
        await self.append(journal, b"three")

    async def test_nothing_is_taken_before_it_is_open_or_after_it_was_closed(self) -> None:
        journal = self.journal()
        with self.assertRaises(DatabaseUnavailable):
            self.ensured(journal, b"one")
        await journal.open()
        await journal.close()
        with self.assertRaises(DatabaseUnavailable):
            self.ensured(journal, b"one")

    async def test_a_folder_that_is_not_there_fails(self) -> None:
        journal = Journal(self.path / "none" / "x", IReactorFromThreads(reactor))
        await self.assertFailure(journal.open(), DatabaseUnavailable)
        await journal.close()

    async def test_a_damaged_file_fails_and_stays(self) -> None:
        path = self.written([b"one"], [b"two"])
        content = path.read_bytes().replace(b"one", b"0ne")
        path.write_bytes(content)
        journal = self.journal()
        await self.assertFailure(journal.open(), DatabaseRefused)
        await journal.close()
        self.assertEqual(path.read_bytes(), content)

    async def test_the_close_writes_what_waits_and_ends_the_thread(self) -> None:
        journal = await self.opened()
        thread = journal._thread
        assert thread is not None
        may_go = await self.blocked(journal)
        waiting, closed, again = self.ensured(journal, b"one"), journal.close(), journal.close()
        may_go.set()
        await closed
        await again
        self.successResultOf(waiting)
        self.assertFalse(thread.is_alive())

    async def test_it_is_alone_where_nobody_else_left_a_file(self) -> None:
        journal = await self.opened()
        self.assertTrue(journal.is_alone())
        self.written([b"one"])
        self.assertFalse(journal.is_alone())


class ForgetTests(JournalCase):
    async def test_nothing_is_left_of_what_may_be_forgotten(self) -> None:
        journal = await self.opened()
        await self.append(journal, b"one", b"two")
        journal.forget(2)
        await journal.close()
        self.assertEqual(files(self.path), [])

    async def test_all_is_left_where_one_record_must_stay(self) -> None:
        journal = await self.opened()
        await self.append(journal, b"one", b"two")
        journal.forget(1)
        await journal.close()
        self.assertEqual(self.found(), [b"one", b"two"])

    async def test_a_full_file_goes_when_all_of_it_may(self) -> None:
        journal = await self.opened(file_size=100)
        for number in range(50):
            await self.append(journal, b"%d" % number * 50)
            journal.forget(1)
        self.assertLessEqual(len(files(self.path)), 2)
        self.assertLess(sum(self.sizes()), 1_000)

    async def test_a_full_file_stays_while_anything_in_it_must(self) -> None:
        journal = await self.opened(file_size=100)
        records = [b"%d" % number * 50 for number in range(10)]
        for record in records:
            await self.append(journal, record)
        journal.forget(9)
        await journal.close()
        self.assertEqual(self.found()[-1:], records[-1:])

    async def test_what_came_while_a_file_was_dropped_is_not_lost(self) -> None:
        journal = await self.opened(file_size=100)
        await self.append(journal, b"x" * 100)
        await self.append(journal, b"y" * 100)
        journal.forget(1)
        await self.append(journal, b"z")
        await journal.close()
        self.assertEqual(self.found(), [b"y" * 100, b"z"])

    async def test_where_there_is_no_room_for_another_file_the_full_one_grows(self) -> None:
        journal = await self.opened(file_size=10)
        self.patch(os, "open", _broken)
        await self.append(journal, b"x" * 100)
        await self.append(journal, b"y" * 100)
        await self.append(journal, b"z")
        self.assertEqual(len(self.sizes()), 1)


def _broken(*arguments: object, **settings: object) -> int:
    raise OSError(errno.EIO, "broken")
