"""Several workers in one process: receptions on one board, with PACS and applications in memory."""

from __future__ import annotations

import os
from collections import defaultdict

from attrs import define, field
from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import Settings
from dimseproxy.relay.destinations import ApplicationDestination, Destination
from dimseproxy.workers.board import Board, keys_of
from dimseproxy.workers.elsewhere import OtherWorkers
from tests.relay.fakes import FakeOutbound, House


@define
class FakePassing:
    """What is passed on goes into outbounds in memory; names of failed objects go into lists."""

    number: int
    names: dict[int, list[tuple[int, str]]]
    workers: dict[int, FakeOutbound] = field(factory=lambda: defaultdict(FakeOutbound))

    def to(self, number: int, outbound: str) -> Destination:
        return ApplicationDestination(f"worker {number}", outbound, self.workers[number])

    def name_failed(self, number: int, message_id: int, sop_instance: str) -> None:
        self.names[number].append((message_id, sop_instance))

    def failed(self) -> list[tuple[int, str]]:
        return self.names.pop(self.number, [])


class WorkersTestCase(TestCase):
    """
    Three workers, `houses`, each with a PACS and applications of its own.
    """

    settings: Settings = House().settings

    def setUp(self) -> None:
        keys = keys_of(self.settings)
        self.board = Board.create(3, keys)
        self.addCleanup(self.board.close)
        names: dict[int, list[tuple[int, str]]] = defaultdict(list)
        self.boards: list[Board] = []
        self.passing = [FakePassing(number, names) for number in range(3)]
        self.elsewhere: list[OtherWorkers] = []
        self.houses: list[House] = []
        for number in range(3):
            board = Board.attach(os.dup(self.board.fd), number, 3, keys)
            self.addCleanup(board.close)
            self.boards.append(board)
            self.houses.append(self._house(number, board))

    def _house(self, number: int, board: Board) -> House:
        def find(title: str, known_as: str, policy: str) -> ApplicationDestination | None:
            return house.reception.destination_under(title, known_as, policy)

        policies = sorted(self.settings.privacy)
        elsewhere = OtherWorkers(board, number, policies, self.passing[number], find)
        house = House(settings=self.settings, elsewhere=elsewhere)
        house.deadlines.watch(elsewhere)
        self.elsewhere.append(elsewhere)
        return house
