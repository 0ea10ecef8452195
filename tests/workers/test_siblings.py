from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.association.deadlines import LOOK_EVERY, Deadlines
from dimseproxy.config.settings import DimseInbound
from dimseproxy.outbound.sharing import ASSOCIATIONS, OPERATIONS
from dimseproxy.workers.board import BEATS, Board, NotThisBoard, associations_of_inbound, keys_of
from dimseproxy.workers.part import Part
from dimseproxy.workers.siblings import Siblings
from tests.association.playing import CT, LIMITS, MOVE, a_request
from tests.relay.fakes import House
from tests.relay.test_moves import move

clock: Any = reactor


class SiblingsTests(TestCase):
    """Two workers, with sockets between them."""

    timeout = 30

    def setUp(self) -> None:
        settings = House().settings
        self.settings = evolve(settings, inbound={"clinic": DimseInbound(max_associations=1)})
        self.board = Board.create(2, keys_of(self.settings))
        self.addCleanup(self.board.close)
        folder = Path(self.mktemp())
        folder.mkdir()
        # A path that fits into the address of a socket, wherever the tests run.
        self.addCleanup(os.close, descriptor := os.open(folder, os.O_RDONLY))
        self.folder = Path(f"/proc/self/fd/{descriptor}")
        self.workers = [self._worker(number) for number in range(2)]

    def _worker(self, number: int) -> Siblings:
        part = Part(number, 2, {}, os.dup(self.board.fd), self.folder)
        siblings = Siblings(part, self.settings, clock, Deadlines(clock), LIMITS)
        self.addCleanup(siblings.board.close)
        return siblings

    def _house(self, number: int) -> House:
        siblings = self.workers[number]
        house = House(settings=self.settings, elsewhere=siblings.elsewhere)
        siblings.start(house.reception)
        self.addCleanup(siblings.stop)
        return house

    def test_the_places_of_an_inbound_are_those_of_all(self) -> None:
        self.assertEqual([each.places("clinic").take() for each in self.workers], [True, False])

    def test_so_are_the_associations_with_an_outbound(self) -> None:
        self.assertEqual([each.slots(ASSOCIATIONS, "pacs", 1).take() for each in self.workers], [True, False])

    def test_operations_are_something_else(self) -> None:
        self.workers[0].slots(ASSOCIATIONS, "pacs", 1).take()
        self.assertTrue(self.workers[1].slots(OPERATIONS, "pacs", 1).take())

    def test_a_place_that_one_gives_back_another_may_have(self) -> None:
        slots = [each.slots(OPERATIONS, "pacs", 1) for each in self.workers]
        slots[0].take()
        slots[0].give()
        self.assertTrue(slots[1].take())

    def test_the_board_of_another_configuration_is_refused(self) -> None:
        fd = os.dup(self.board.fd)
        self.addCleanup(os.close, fd)
        settings = evolve(self.settings, inbound={"other": DimseInbound()})
        self.assertRaises(NotThisBoard, Siblings, Part(0, 2, {}, fd, self.folder), settings, clock, None, LIMITS)

    def test_what_one_asks_for_the_other_delivers(self) -> None:
        asking, receiving = self._house(0), self._house(1)
        asking.call(MOVE).hears(move("OTHER"))
        receiving.deliver(CT)
        self.assertEqual(len(receiving.applications["OTHER"].requests), 1)

    async def test_what_is_passed_on_comes_to_the_other_as_a_delivery_of_its_outbound(self) -> None:
        asking = self._house(0)
        asking.call(MOVE).hears(move("OTHER"))
        passing = self.workers[1]._locally.to(0, "pacs")
        leg = await passing.open(a_request(CT, calling="PACS", called="DIMSEPROXY"))
        gone = self.workers[0].emptied()
        leg.cut()
        await gone
        self.assertEqual((list(leg.accepted), len(asking.applications["OTHER"].requests)), ([1], 1))

    def test_a_worker_beats_when_deadlines_are_looked_at(self) -> None:
        passing = Clock()
        deadlines = Deadlines(passing)
        part = Part(1, 2, {}, os.dup(self.board.fd), self.folder)
        siblings = Siblings(part, self.settings, clock, deadlines, LIMITS)
        self.addCleanup(siblings.board.close)
        siblings.start(House(settings=self.settings, elsewhere=siblings.elsewhere).reception)
        self.addCleanup(siblings.stop)
        deadlines.start()
        passing.pump([LOOK_EVERY] * 3)
        self.assertEqual(self.board.mark(1, BEATS), 3)

    def test_the_board_outlives_the_end(self) -> None:
        place = self.workers[0].places("clinic")
        place.take()
        self.workers[0].stop()
        place.give()
        self.assertEqual(self.board.count(associations_of_inbound("clinic")), 0)
