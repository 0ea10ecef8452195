from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from dimseproxy.workers import notices as module
from dimseproxy.workers.board import RETRIEVES_END, commitments_of_outbound
from dimseproxy.workers.notices import MAX_STUDIES, CommitmentNotices, Notice, RetrieveNotices, fits
from tests.workers.test_board import BoardTestCase

PLACE, OTHER_PLACE = 17, 18
NOTICE = Notice(0x8001, "WORKPLACE", 7, "CLIENT", "SHIELD", 2, frozenset((11, 12)))


class Moving:
    """What a reader sees while something happens as soon as it has read the places."""

    def __init__(self, words: Any, happens: Callable[[], None]) -> None:
        self._words = words
        self._happens = happens

    def __getitem__(self, at: Any) -> Any:
        found = self._words[at]
        if isinstance(at, slice) and at.step is not None:
            found = memoryview(found.tobytes()).cast("Q")
            self._happens()
        return found


class RetrieveTests(BoardTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = (RetrieveNotices(self.workers[number], number) for number in range(2))

    def _read(self, place: int = PLACE) -> list[tuple[int, Notice]]:
        return self.second.of_others(place)

    def test_another_worker_reads_it_as_it_was_written(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.assertEqual(self._read(), [(0, NOTICE)])

    def test_it_is_read_at_its_place_only(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.assertEqual(self._read(OTHER_PLACE), [])

    def test_nobody_reads_his_own(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.assertEqual(self.first.of_others(PLACE), [])

    def test_titles_of_full_length(self) -> None:
        longest = evolve(NOTICE, originator="A" * 16, title="B" * 16, known_as="\xe9" * 16)
        self.first.put(PLACE, longest)
        self.assertEqual(self._read(), [(0, longest)])

    def test_as_many_studies_as_there_can_be(self) -> None:
        many = evolve(NOTICE, studies=frozenset(range(1, MAX_STUDIES + 1)))
        self.first.put(PLACE, many)
        self.assertEqual(self._read(), [(0, many)])

    def test_studies_that_are_too_many(self) -> None:
        self.first.put(PLACE, evolve(NOTICE, studies=None))
        self.assertIsNone(self._read()[0][1].studies)

    def test_it_changes(self) -> None:
        self.first.put(PLACE, evolve(NOTICE, studies=frozenset()))
        self.first.put(PLACE, NOTICE)
        self.assertEqual(self._read(), [(0, NOTICE)])

    def test_it_is_taken_down(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.first.put(PLACE, evolve(NOTICE, message_id=0x8004))
        self.first.remove(NOTICE.message_id)
        self.assertEqual([notice.message_id for _, notice in self._read()], [0x8004])

    def test_what_was_not_put_up_is_not_taken_down(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.first.remove(0x8004)
        self.assertEqual(self._read(), [(0, NOTICE)])

    def test_a_slot_is_used_again(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.first.put(PLACE, evolve(NOTICE, message_id=0x8004))
        self.first.remove(NOTICE.message_id)
        self.first.put(PLACE, evolve(NOTICE, message_id=0x8007))
        self.assertEqual((len(self._read()), self.second._board.mark(0, RETRIEVES_END)), (2, 2))

    def test_when_there_is_none_there_is_nothing_to_look_through(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.first.remove(NOTICE.message_id)
        self.assertEqual(self.workers[1].mark(0, RETRIEVES_END), 0)

    def test_after_that_it_begins_anew(self) -> None:
        for message_id in (1, 2):
            self.first.put(PLACE, evolve(NOTICE, message_id=message_id))
        for message_id in (1, 2):
            self.first.remove(message_id)
        self.first.put(PLACE, NOTICE)
        self.assertEqual(self._read(), [(0, NOTICE)])

    def test_one_that_does_not_add_up_is_passed_over(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.workers[0].words[self.workers[0].retrieves(0) + 3] ^= 1
        self.assertEqual(self._read(), [])

    def test_those_of_a_dead_worker_are_gone(self) -> None:
        self.first.put(PLACE, NOTICE)
        self.parent.clear(0)
        self.assertEqual(self._read(), [])

    def test_one_of_another_place_that_takes_its_slot_meanwhile_is_passed_over(self) -> None:
        def changes() -> None:
            self.first.remove(NOTICE.message_id)
            self.first.put(OTHER_PLACE, evolve(NOTICE, message_id=0x8004))

        self.first.put(PLACE, NOTICE)
        self.patch(self.workers[1], "words", Moving(self.workers[1].words, changes))
        self.assertEqual(self._read(), [])

    def test_a_title_that_is_too_long_does_not_fit(self) -> None:
        self.assertEqual((fits("A" * 16), fits("A" * 17)), (True, False))

    def test_a_title_in_another_script_does_not_fit(self) -> None:
        self.assertFalse(fits("\u0416"))

    def test_its_repr_tells_no_study(self) -> None:
        self.assertNotIn("11", repr(NOTICE))


class CommitmentTests(BoardTestCase):
    keys = (commitments_of_outbound("pacs"), commitments_of_outbound("other"))

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = (CommitmentNotices(self.workers[number], number) for number in range(2))

    def test_is_found(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertEqual(self.second.find("pacs", "1.2.3"), 0)

    def test_is_found_for_its_outbound_only(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertIsNone(self.second.find("other", "1.2.3"))

    def test_nobody_finds_his_own(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertIsNone(self.first.find("pacs", "1.2.3"))

    def test_another_is_not_found(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertIsNone(self.second.find("pacs", "1.2.4"))

    def test_is_anothers_where_its_report_goes_elsewhere(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        found = [self.second.is_anothers("pacs", "1.2.3", each) for each in ("CLIENT", "OTHER")]
        self.assertEqual(found, [False, True])

    def test_what_nobody_asked_for_is_nobodys(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertFalse(self.second.is_anothers("pacs", "1.2.4", "OTHER"))

    def test_is_taken_down(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.put("pacs", "1.2.4", "CLIENT")
        self.first.remove("pacs", "1.2.3")
        self.assertEqual([self.second.find("pacs", each) for each in ("1.2.3", "1.2.4")], [None, 0])

    def test_is_awaited(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.assertEqual([self.second.are_awaited_from(each) for each in ("pacs", "other")], [True, False])

    def test_is_awaited_no_longer(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.remove("pacs", "1.2.3")
        self.first.remove("pacs", "1.2.3")
        self.assertFalse(self.second.are_awaited_from("pacs"))

    def test_twice_is_once(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.remove("pacs", "1.2.3")
        self.assertFalse(self.second.are_awaited_from("pacs"))

    def test_a_slot_is_used_again(self) -> None:
        self.patch(module, "COMMITMENT_SLOTS", 1)
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.remove("pacs", "1.2.3")
        self.first.put("pacs", "1.2.4", "CLIENT")
        self.assertEqual(self.second.find("pacs", "1.2.4"), 0)

    def test_those_for_which_there_is_no_room_are_not_awaited(self) -> None:
        self.patch(module, "COMMITMENT_SLOTS", 1)
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.first.put("other", "1.2.4", "CLIENT")
        self.assertFalse(self.second.are_awaited_from("other"))

    def test_those_of_a_dead_worker_are_gone(self) -> None:
        self.first.put("pacs", "1.2.3", "CLIENT")
        self.parent.clear(0)
        self.assertEqual((self.second.find("pacs", "1.2.3"), self.second.are_awaited_from("pacs")), (None, False))
