from __future__ import annotations

import os
import signal
import subprocess
import sys
from mmap import PAGESIZE

from attrs import evolve
from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import DimseInbound, DimseOutbound, Settings
from dimseproxy.relay.elsewhere import FIRST_MESSAGE_ID, LAST_MESSAGE_ID
from dimseproxy.relay.retrieves import MAX_COMMITMENTS, MAX_RETRIEVES
from dimseproxy.workers import board as module
from dimseproxy.workers.board import (
    BEATS,
    LAST_LEASED,
    RETRIEVES_END,
    Board,
    NotThisBoard,
    associations_of_inbound,
    associations_with_outbound,
    commitments_of_outbound,
    keys_of,
    operations_with_outbound,
)

KEYS = ("a", "b")


class BoardTestCase(TestCase):
    """A parent's board and those of three workers."""

    keys: tuple[str, ...] = KEYS

    def setUp(self) -> None:
        self.parent = Board.create(3, self.keys)
        self.addCleanup(self.parent.close)
        self.workers = [self._attach(number) for number in range(3)]

    def _attach(self, number: int) -> Board:
        board = Board.attach(os.dup(self.parent.fd), number, 3, self.keys)
        self.addCleanup(board.close)
        return board


class AttachingTests(BoardTestCase):
    def _refused(self, of: int, keys: tuple[str, ...]) -> None:
        fd = os.dup(self.parent.fd)
        self.addCleanup(os.close, fd)
        self.assertRaises(NotThisBoard, Board.attach, fd, 0, of, keys)

    def test_another_number_of_workers(self) -> None:
        self._refused(4, KEYS)

    def test_other_keys(self) -> None:
        self._refused(3, ("a", "c"))

    def test_another_file(self) -> None:
        fd = os.memfd_create("other")
        self.addCleanup(os.close, fd)
        self.assertRaises(NotThisBoard, Board.attach, fd, 0, 3, KEYS)

    def test_untouched_it_takes_no_memory(self) -> None:
        self.assertLess(os.fstat(self.parent.fd).st_blocks * 512, 65536)

    def test_no_program_inherits_it_unasked(self) -> None:
        self.assertFalse(os.get_inheritable(self.parent.fd))


class LayoutTests(BoardTestCase):
    def test_there_is_room_for_all(self) -> None:
        end = self.parent.accounts(2) + module.ACCOUNTS * module.ACCOUNT_WORDS
        self.assertLessEqual(end, len(self.parent.words))

    def test_a_region_ends_before_the_next_begins(self) -> None:
        end = self.parent.accounts(0) + module.ACCOUNTS * module.ACCOUNT_WORDS
        self.assertLessEqual(end * module.WORD, self.parent.retrieves(1) * module.WORD - PAGESIZE)

    def test_commitments_end_before_accounts_begin(self) -> None:
        self.assertLessEqual(
            self.parent.commitments(0) + module.COMMITMENT_SLOTS * module.COMMITMENT_WORDS, self.parent.accounts(0)
        )

    def test_each_of_two_workers_may_put_up_all_that_it_may_have(self) -> None:
        self.assertLessEqual(MAX_RETRIEVES // 2, module.RETRIEVE_SLOTS)

    def test_a_worker_may_put_up_all_commitments_that_it_remembers(self) -> None:
        self.assertLessEqual(MAX_COMMITMENTS, module.COMMITMENT_SLOTS)

    def test_there_is_an_account_for_each_message_id(self) -> None:
        self.assertEqual(LAST_MESSAGE_ID - FIRST_MESSAGE_ID + 1, module.ACCOUNTS)


class KeysTests(TestCase):
    settings = Settings(
        inbound={"clinic": DimseInbound()}, outbound={"pacs": DimseOutbound(connect="tcp:h:1", ae_title="PACS")}
    )

    def test_what_is_counted(self) -> None:
        self.assertEqual(
            set(keys_of(self.settings)),
            {
                associations_of_inbound("clinic"),
                associations_with_outbound("pacs"),
                operations_with_outbound("pacs"),
                commitments_of_outbound("pacs"),
            },
        )

    def test_the_order_in_the_file_does_not_matter(self) -> None:
        two = evolve(self.settings, inbound={"a": DimseInbound(), "b": DimseInbound()})
        other = evolve(self.settings, inbound={"b": DimseInbound(), "a": DimseInbound()})
        self.assertEqual(keys_of(two), keys_of(other))


class TallyTests(BoardTestCase):
    def test_all_workers_count(self) -> None:
        for worker in self.workers:
            worker.add("a")
        self.assertEqual(self.parent.count("a"), 3)

    def test_keys_are_counted_apart(self) -> None:
        self.workers[0].add("a")
        self.assertEqual(self.workers[1].count("b"), 0)

    def test_the_limit_is_that_of_all(self) -> None:
        taken = [worker.take("a", 2) for worker in self.workers]
        self.assertEqual(taken, [True, True, False])

    def test_who_was_refused_is_not_counted(self) -> None:
        self.workers[0].take("a", 1)
        self.workers[1].take("a", 1)
        self.assertEqual(self.workers[0].count("a"), 1)

    def test_a_place_that_is_given_back_is_free_for_the_others(self) -> None:
        self.workers[0].take("a", 1)
        self.workers[0].give("a")
        self.assertTrue(self.workers[1].take("a", 1))

    def test_the_parent_counts_nothing(self) -> None:
        self.assertRaises(ValueError, self.parent.take, "a", 1)

    def test_a_tally_of_one_key(self) -> None:
        one, two = (worker.tally("a", 1) for worker in self.workers[:2])
        taken = [one.take(), two.take()]
        one.give()
        self.assertEqual([*taken, two.take()], [True, False, True])

    def test_the_places_of_a_dead_worker_are_free(self) -> None:
        self.workers[0].take("a", 1)
        self.parent.clear(0)
        self.assertTrue(self.workers[1].take("a", 1))

    def test_those_of_the_living_are_not(self) -> None:
        self.workers[1].take("a", 1)
        self.parent.clear(0)
        self.assertFalse(self.workers[2].take("a", 1))


_TAKES = """
import sys
from dimseproxy.workers.board import Board
board = Board.attach({fd}, {number}, 3, ("a", "b"))
print("ready", flush=True)
sys.stdin.read(1)
taken = 0
for _ in range({times}):
    if board.take("a", {limit}):
        taken += 1
        {then}
print(taken, board.count("a"))
"""


class SeveralProcessesTests(BoardTestCase):
    """At the same time."""

    def _together(self, times: int, limit: int, then: str = "pass") -> list[list[int]]:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", _TAKES.format(fd=self.parent.fd, number=n, times=times, limit=limit, then=then)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self.parent.fd],
                text=True,
            )
            for n in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        # All of them are there: now.
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("x")
            process.stdin.flush()
        return [[int(word) for word in process.communicate(timeout=60)[0].split()] for process in processes]

    def test_they_take_as_many_as_there_are(self) -> None:
        said = self._together(times=500, limit=700)
        self.assertEqual(sum(taken for taken, _ in said), 700)

    def test_nobody_ever_sees_more_than_the_limit(self) -> None:
        said = self._together(times=2000, limit=2, then="assert board.count('a') <= 2; board.give('a')")
        self.assertEqual((len(said), self.parent.count("a")), (3, 0))

    def _holds_lock(self) -> subprocess.Popen[bytes]:
        """A process that counts until it is told to go on."""
        holds = "import fcntl; from dimseproxy.workers.board import Board; "
        holds += f"board = Board.attach({self.parent.fd}, 0, 3, ('a', 'b')); "
        holds += "board._lock(board._tallies['a'][0]); print(1, flush=True); input()"
        process = subprocess.Popen(
            [sys.executable, "-c", holds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self.parent.fd],
        )
        assert process.stdout is not None
        process.stdout.readline()
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_who_counts_waits_for_another_who_counts(self) -> None:
        process, waited = self._holds_lock(), []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            process.kill()
            process.wait()

        self.patch(module, "sleep", sleep)
        self.assertEqual((self.workers[1].take("a", 1), len(waited)), (True, 1))

    def test_nobody_waits_for_one_who_counts_something_else(self) -> None:
        self._holds_lock()
        self.patch(module, "sleep", self.fail)
        self.assertTrue(self.workers[1].take("b", 1))

    def test_one_that_was_stopped_while_it_counted_stops_nobody(self) -> None:
        self._holds_lock().send_signal(signal.SIGSTOP)
        self.patch(module, "_LOCK_PAUSE", 0)
        self.assertTrue(self.workers[1].take("a", 1))


class ClearingTests(BoardTestCase):
    def test_what_a_dead_worker_wrote_is_gone(self) -> None:
        begin = self.parent.retrieves(0)
        self.workers[0].words[begin] = self.workers[0].words[self.parent.commitments(0)] = 7
        self.parent.clear(0)
        self.assertEqual((self.parent.words[begin], self.parent.words[self.parent.commitments(0)]), (0, 0))

    def test_its_marks_are_gone(self) -> None:
        self.workers[0].set_mark(RETRIEVES_END, 7)
        self.parent.clear(0)
        self.assertEqual(self.workers[1].mark(0, RETRIEVES_END), 0)

    def test_its_last_message_id_is_not(self) -> None:
        self.workers[0].set_mark(LAST_LEASED, 0x8000)
        self.parent.clear(0)
        self.assertEqual(self._attach(0).mark(0, LAST_LEASED), 0x8000)

    def test_its_beats_are_gone(self) -> None:
        self.workers[0].beat()
        self.parent.clear(0)
        self.assertEqual(self.parent.mark(0, BEATS), 0)

    def test_its_accounts_are_not(self) -> None:
        first, last = self.parent.accounts(0), self.parent.accounts(0) + module.ACCOUNTS * module.ACCOUNT_WORDS - 1
        self.workers[0].words[first] = self.workers[0].words[last] = 7
        self.parent.clear(0)
        self.assertEqual((self.parent.words[first], self.parent.words[last]), (7, 7))

    def test_its_neighbours_are_untouched(self) -> None:
        last = self.parent.accounts(0) + module.ACCOUNTS * module.ACCOUNT_WORDS - 1
        self.workers[0].words[last] = 7
        self.workers[1].set_mark(LAST_LEASED, 8)
        self.workers[2].words[self.parent.retrieves(2)] = 9
        self.parent.clear(1)
        self.assertEqual((self.parent.words[last], self.parent.words[self.parent.retrieves(2)]), (7, 9))

    def test_its_memory_is_given_back(self) -> None:
        begin = self.parent.retrieves(0)
        for index in range(begin, begin + module.RETRIEVE_SLOTS * module.RETRIEVE_WORDS, 512):
            self.workers[0].words[index] = 1
        self.parent.clear(0)
        self.assertLess(os.fstat(self.parent.fd).st_blocks * 512, 65536)


class BeatTests(BoardTestCase):
    def test_each_worker_has_its_own(self) -> None:
        for number in (0, 2, 2):
            self.workers[number].beat()
        self.assertEqual([self.parent.mark(number, BEATS) for number in range(3)], [1, 0, 2])


class DigestTests(BoardTestCase):
    def test_all_workers_have_the_same(self) -> None:
        self.assertEqual(len({worker.digest("1.2.3") for worker in self.workers}), 1)

    def test_another_board_has_others(self) -> None:
        other = Board.create(3, KEYS)
        self.addCleanup(other.close)
        self.assertNotEqual(self.parent.digest("1.2.3"), other.digest("1.2.3"))

    def test_texts_are_kept_apart(self) -> None:
        self.assertNotEqual(self.parent.digest("1.2", "3"), self.parent.digest("1.2.", "3"))


class FindingTests(BoardTestCase):
    def test_a_word(self) -> None:
        self.workers[0].words[1000] = 0x1234
        self.assertEqual(self.workers[1].find(0x1234, 900, 1001), 1000)

    def test_not_behind_the_end(self) -> None:
        self.workers[0].words[1000] = 0x1234
        self.assertIsNone(self.workers[1].find(0x1234, 900, 1000))

    def test_not_across_two_words(self) -> None:
        self.workers[0].words[1000] = 0x1122334455667788
        self.workers[0].words[1001] = 0x1122334455667788
        self.assertIsNone(self.workers[1].find(0x5566778811223344, 900, 1100))

    def test_only_where_a_slot_begins(self) -> None:
        self.workers[0].words[1001] = self.workers[0].words[1004] = 0x1234
        self.assertEqual(self.workers[1].find(0x1234, 900, 1100, 2), 1004)
