from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.duty import BEAT, SILENCE, Duty
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.outbound.archive.indexing import a_database
from tests.support.postgresql import postgresql
from tests.support.process import until


class Process:
    """One of several that answer from an archive."""

    def __init__(self, kept: Database, clock: Clock) -> None:
        self.kept = kept
        self.clock = clock
        #: What it was told, in order.
        self.told: list[str] = []
        #: When what it began is over.
        self.over: Deferred[None] = succeed(None)
        self.duty = Duty(kept, clock, lambda: self.told.append("on duty"), self._lay_down)

    def _lay_down(self) -> Deferred[None]:
        self.told.append("off duty")
        return self.over


class DutyTests(TestCase):
    def address(self) -> Path | str | None:
        return None

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000_000.0)

    async def processes(self) -> tuple[Process, Process]:
        """One that is on duty, and one that would be."""
        kept = await a_database(self, self.address())
        first, second = Process(kept, self.clock), Process(kept, self.clock)
        await first.duty.look()
        await second.duty.look()
        return first, second

    async def passes(self, seconds: float, *processes: Process) -> None:
        """Time, in which these look as often as they do."""
        for _ in range(round(seconds / BEAT)):
            self.clock.advance(BEAT)
            for process in processes:
                await process.duty.look()

    async def test_the_first_one_is_on_duty_and_the_second_is_not(self) -> None:
        first, second = await self.processes()
        self.assertEqual((first.told, second.told), (["on duty"], []))

    async def test_of_those_that_come_at_once_it_is_one(self) -> None:
        kept = await a_database(self, self.address())
        several = [Process(kept, self.clock) for _ in range(4)]
        await gatherResults([each.duty.look() for each in several])
        self.assertEqual([each.told for each in several if each.told], [["on duty"]])

    async def test_it_stays_so_for_as_long_as_it_lives(self) -> None:
        first, second = await self.processes()
        await self.passes(10 * SILENCE, first, second)
        self.assertEqual((first.told, second.told), (["on duty"], []))

    async def test_one_that_died_is_replaced_after_some_silence(self) -> None:
        _, second = await self.processes()
        await self.passes(SILENCE, second)
        self.assertEqual(second.told, ["on duty"])

    async def test_it_is_not_before_that(self) -> None:
        _, second = await self.processes()
        await self.passes(SILENCE - BEAT, second)
        self.assertEqual(second.told, [])

    async def test_of_those_that_wait_for_a_dead_one_it_is_one(self) -> None:
        _, second = await self.processes()
        third = Process(second.kept, self.clock)
        await third.duty.look()
        self.clock.advance(SILENCE)
        await gatherResults([second.duty.look(), third.duty.look()])
        self.assertEqual(sorted([second.told, third.told]), [[], ["on duty"]])

    async def test_one_that_was_slow_learns_that_it_was_replaced(self) -> None:
        first, second = await self.processes()
        await self.passes(SILENCE, second)
        await first.duty.look()
        self.assertEqual((first.told, first.duty.is_ours), (["on duty", "off duty"], False))

    async def test_and_follows_the_other_one_then(self) -> None:
        first, second = await self.processes()
        await self.passes(SILENCE, second)
        await self.passes(10 * SILENCE, first, second)
        self.assertEqual((first.duty.is_ours, second.duty.is_ours), (False, True))

    async def test_clocks_that_differ_do_no_harm(self) -> None:
        first, _ = await self.processes()
        ahead = Clock()
        ahead.advance(2_000_000_000.0)
        other = Process(first.kept, ahead)
        for _ in range(10):
            self.clock.advance(BEAT)
            ahead.advance(BEAT)
            await first.duty.look()
            await other.duty.look()
        self.assertEqual((first.duty.is_ours, other.told), (True, []))

    async def test_a_clock_that_is_set_back_does_no_harm(self) -> None:
        first, second = await self.processes()
        self.clock.rightNow -= 100_000
        await self.passes(SILENCE - BEAT, second)
        self.assertEqual((first.duty.is_ours, second.told), (True, []))

    async def test_one_that_ends_is_replaced_at_once(self) -> None:
        first, second = await self.processes()
        await first.duty.stop()
        await second.duty.look()
        self.assertEqual((first.told, second.told), (["on duty", "off duty"], ["on duty"]))

    async def test_it_is_not_before_what_it_began_is_over(self) -> None:
        first, second = await self.processes()
        first.over = Deferred()
        stopped = first.duty.stop()
        await second.duty.look()
        before = list(second.told)
        first.over.callback(None)
        await stopped
        await second.duty.look()
        self.assertEqual((before, second.told), ([], ["on duty"]))

    async def test_one_that_is_not_on_duty_ends_without_a_word(self) -> None:
        first, second = await self.processes()
        await second.duty.stop()
        await first.duty.look()
        self.assertEqual((first.duty.is_ours, second.told), (True, []))

    async def test_without_the_database_it_goes_on_for_a_while(self) -> None:
        first, _ = await self.processes()
        await first.kept.stop()
        self.clock.advance(SILENCE - 1)
        await self.assertFailure(first.duty.look(), DatabaseUnavailable)
        self.assertEqual(first.told, ["on duty"])

    async def test_and_not_for_longer_than_the_others_wait(self) -> None:
        first, _ = await self.processes()
        await first.kept.stop()
        self.clock.advance(SILENCE)
        await first.duty.look()
        self.assertEqual(first.told, ["on duty", "off duty"])

    async def test_it_looks_by_itself(self) -> None:
        kept = await a_database(self, self.address())
        process = Process(kept, self.clock)
        process.duty.start()
        await until(lambda: process.told, "it is on duty")
        await process.duty.stop()
        self.assertEqual((process.told, self.clock.getDelayedCalls()), (["on duty", "off duty"], []))


class PostgreSQLDutyTests(DutyTests):
    def address(self) -> Path | str | None:
        return postgresql().url()
