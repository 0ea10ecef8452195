from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time

from attrs import evolve
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.dead_letters import count_by_state, dead_letters, requeue, requeue_all
from dimseproxy.outbound.archive.dispatch import POLL, Destination, Dispatch, Means
from dimseproxy.outbound.archive.events import DispatchFailed, Event, StudyDispatched
from dimseproxy.outbound.archive.queue import LEASE, NotOurs, Queue, State
from dimseproxy.outbound.archive.schedule import Hours, Retries
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.sending import Reads
from tests.outbound.archive.studies import TODAY, Application, Studies, at_once, read_name, studies
from tests.storage.databases import execute
from tests.support.postgresql import postgresql
from tests.support.process import until

BACKOFF = 30.0
RETRIES = Retries(2, BACKOFF, 100.0, lambda: 0.5)


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


class House:
    """An archive with some studies, and one application that gets them."""

    def __init__(self, found: Studies) -> None:
        self.found = found
        self.clock = found.clock
        self.application = Application()
        self.destination = Destination("pacs", self.application, "PACS", "ARCHIVE", RETRIES)
        self.read: Callable[[str, int], Reads] = read_name
        self.dispatch = self.another(found.queue)

    def another(self, queue: Queue) -> Dispatch:
        """The dispatch of another process."""
        means = Means(queue, self.clock, self.found.events, at_once, lambda name, size: self.read(name, size))
        return Dispatch(means, [self.destination])

    def sends_to(self, **changes: object) -> None:
        """The destination is configured another way."""
        self.destination = evolve(self.destination, **changes)  # type: ignore[arg-type]
        self.dispatch = self.another(self.found.queue)

    async def gets(self, study: int, *numbers: int) -> None:
        """A study arrives, and is complete."""
        await self.found.add(study, *numbers)
        await self.found.complete()

    async def hears(self, kind: type[Event], count: int = 1) -> Event:
        """The last of so many events."""

        def told() -> Event | None:
            of_kind = [event for event in self.found.told if isinstance(event, kind)]
            return of_kind[count - 1] if len(of_kind) >= count else None

        event = await until(told, f"{kind.__name__} is told")
        assert event is not None
        return event

    async def rests(self) -> None:
        """Every lane has nothing to do for a while."""
        await until(lambda: self.clock.getDelayedCalls(), "there is nothing to do")

    async def waits(self, seconds: float) -> None:
        await self.rests()
        self.clock.advance(seconds)

    async def stop(self) -> None:
        await self.dispatch.stop()

    @property
    def arrived(self) -> list[str]:
        """The last numbers of the objects that arrived, in order."""
        return [uid.removeprefix("1.5.") for uid in self.application.arrived]


class DispatchTests(TestCase):
    def address(self) -> str | None:
        return None

    async def house(self) -> House:
        return House(await studies(self, self.address()))

    def start(self, house: House) -> None:
        house.dispatch.start()
        self.addCleanup(house.stop)

    async def test_a_complete_study_arrives(self) -> None:
        house = await self.house()
        await house.gets(1, 1, 2, 3)
        self.start(house)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101", "102", "103"])

    async def test_its_objects_are_read_from_their_files(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        ((blob,),) = await house.found.kept.read(execute("SELECT blob FROM archive_instance"))
        self.start(house)
        await house.hears(StudyDispatched)
        self.assertEqual(house.application.received, {"1.5.101": str(blob).encode()})

    async def test_one_that_is_not_complete_does_not(self) -> None:
        house = await self.house()
        await house.found.add(1, 1)
        self.start(house)
        await house.rests()
        self.assertEqual(house.application.asked, 0)

    async def test_a_completion_is_heard_of_at_once(self) -> None:
        house = await self.house()
        self.start(house)
        await house.rests()
        await house.found.add(1, 1)
        house.clock.advance(POLL)
        await house.rests()
        await house.found.complete()
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101"])

    async def test_the_state_says_that_it_arrived(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        self.start(house)
        event = await house.hears(StudyDispatched)
        self.assertEqual(
            (await count_by_state(house.found.kept), event),
            ({("pacs", State.SENT): 1}, StudyDispatched("1.3.1", "pacs", 1)),
        )

    async def test_a_study_that_grows_is_sent_again_for_what_is_new(self) -> None:
        house = await self.house()
        await house.gets(1, 1, 2)
        self.start(house)
        await house.hears(StudyDispatched)
        await house.rests()
        await house.gets(1, 3)
        await house.hears(StudyDispatched, 2)
        self.assertEqual(house.arrived, ["101", "102", "103"])

    async def test_an_object_that_was_replaced_is_sent_again(self) -> None:
        house = await self.house()
        await house.gets(1, 1, 2)
        self.start(house)
        await house.hears(StudyDispatched)
        await house.rests()
        await house.found.add(1, 2, content=b"other")
        await house.found.complete()
        await house.hears(StudyDispatched, 2)
        self.assertEqual(house.arrived, ["101", "102", "102"])

    async def test_one_that_grows_while_it_is_sent_is_not_forgotten(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        job = await house.found.queue.claim("pacs")
        assert job is not None
        await house.gets(1, 2)
        self.assertFalse(await house.found.queue.sent(job))
        self.assertEqual(await house.found.states(), [State.WAITING])

    async def test_one_object_that_is_refused_does_not_keep_the_others(self) -> None:
        house = await self.house()
        house.application.statuses["1.5.102"] = 0xC000
        await house.gets(1, 1, 2, 3)
        self.start(house)
        event = await house.hears(DispatchFailed)
        self.assertEqual(house.arrived, ["101", "103"])
        assert isinstance(event, DispatchFailed)
        self.assertEqual(event.why, "1 objects did not arrive; the last one: status C000")

    async def test_a_retry_sends_what_is_missing(self) -> None:
        house = await self.house()
        house.application.statuses["1.5.102"] = 0xC000
        await house.gets(1, 1, 2, 3)
        self.start(house)
        await house.hears(DispatchFailed)
        house.application.statuses.clear()
        await house.waits(BACKOFF)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101", "103", "102"])

    async def test_an_association_that_ends_is_gone_on_with(self) -> None:
        house = await self.house()
        house.application.ends_after = 2
        await house.gets(1, 1, 2, 3)
        self.start(house)
        await house.hears(DispatchFailed)
        await house.waits(BACKOFF)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101", "102", "103"])

    async def test_it_is_not_tried_again_too_soon(self) -> None:
        house = await self.house()
        house.application.is_up = False
        await house.gets(1, 1)
        self.start(house)
        await house.hears(DispatchFailed)
        await house.waits(BACKOFF - 1)
        await house.rests()
        self.assertEqual(house.application.asked, 1)

    async def test_after_the_last_retry_it_is_a_dead_letter(self) -> None:
        house = await self.house()
        house.application.is_up = False
        await house.gets(1, 1)
        self.start(house)
        for count in (1, 2):
            await house.hears(DispatchFailed, count)
            await house.waits(100)
        event = await house.hears(DispatchFailed, 3)
        assert isinstance(event, DispatchFailed)
        (letter,) = await dead_letters(house.found.kept)
        self.assertEqual((event.is_dead, letter.attempts, letter.destination), (True, 3, "pacs"))
        self.assertIn("cannot be reached", letter.why)

    async def test_what_goes_forward_does_not_die(self) -> None:
        house = await self.house()
        house.application.ends_after = 1
        await house.gets(1, 1, 2, 3, 4, 5)
        self.start(house)
        for count in (1, 2, 3, 4):
            await house.hears(DispatchFailed, count)
            await house.waits(BACKOFF)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101", "102", "103", "104", "105"])

    async def dead(self) -> House:
        """One study that was given up, and is not looked at any longer."""
        house = await self.house()
        house.sends_to(retries=evolve(RETRIES, most=0))
        house.application.is_up = False
        await house.gets(1, 1)
        house.dispatch.start()
        await house.hears(DispatchFailed)
        await house.stop()
        return house

    async def test_a_dead_letter_is_requeued(self) -> None:
        house = await self.dead()
        (letter,) = await dead_letters(house.found.kept)
        self.assertTrue(await requeue(house.found.kept, letter.number))
        house.application.is_up = True
        house.dispatch = house.another(house.found.queue)
        self.start(house)
        await house.hears(StudyDispatched)
        self.assertEqual((house.arrived, await dead_letters(house.found.kept)), (["101"], []))

    async def test_a_dead_letter_stays_dead_though_its_study_grows(self) -> None:
        house = await self.dead()
        await house.gets(1, 2)
        self.assertEqual(await house.found.states(), [State.DEAD])

    async def test_only_dead_letters_are_requeued(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        self.assertFalse(await requeue(house.found.kept, 1))

    async def test_all_dead_letters_of_a_destination_are_requeued(self) -> None:
        house = await self.dead()
        self.assertEqual(await requeue_all(house.found.kept, "other"), 0)
        self.assertEqual(await requeue_all(house.found.kept, "pacs"), 1)
        self.assertEqual(await house.found.states(), [State.WAITING])

    async def test_a_restart_goes_on_where_the_last_process_died(self) -> None:
        house = await self.house()
        await house.gets(1, 1, 2)
        job = await house.found.queue.claim("pacs")
        assert job is not None
        await house.found.queue.delivered(job, await house.found.queue.pending(job, 0, 1))
        # It says no more.
        house.clock.advance(LEASE)
        house.dispatch = house.another(Queue(house.found.kept, house.clock, Columns(None), ["pacs"]))
        self.start(house)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["102"])

    async def test_what_another_sends_is_left_to_it(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        await Queue(house.found.kept, house.clock, Columns(None), ["pacs"]).claim("pacs")
        self.start(house)
        await house.waits(LEASE - 1)
        await house.rests()
        self.assertEqual(house.application.asked, 0)

    async def test_who_was_taken_for_dead_writes_nothing(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        job = await house.found.queue.claim("pacs")
        assert job is not None
        house.clock.advance(LEASE)
        await Queue(house.found.kept, house.clock, Columns(None), ["pacs"]).claim("pacs")
        await self.assertFailure(house.found.queue.sent(job), NotOurs)
        self.assertEqual(await house.found.states(), [State.SENDING])

    async def test_a_content_that_was_replaced_while_it_was_sent_has_not_arrived(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        job = await house.found.queue.claim("pacs")
        assert job is not None
        sent = await house.found.queue.pending(job, 0, 10)
        await house.found.add(1, 1, content=b"other")
        await house.found.queue.delivered(job, sent)
        self.assertEqual(len(await house.found.queue.pending(job, 0, 10)), 1)

    async def test_a_long_object_does_not_lose_its_owner(self) -> None:
        house = await self.house()
        house.application.silent.add("1.5.101")
        await house.gets(1, 1)
        self.start(house)
        await until(lambda: house.application.associations, "it is sent")
        renewed: list[None] = []
        renew = house.found.queue.renew
        self.patch(house.found.queue, "renew", lambda job: renew(job).addCallback(renewed.append))
        other = Queue(house.found.kept, house.clock, Columns(None), ["pacs"])
        for count in range(1, 7):
            house.clock.advance(LEASE / 3)
            # The clock stands still until it is written: a busy machine takes its time, which is none of the lease's.
            await until(lambda count=count: len(renewed) == count, "its lease is renewed")  # type: ignore[misc]
            self.assertIsNone(await other.claim("pacs"))

    async def test_a_stop_puts_back_what_is_under_way(self) -> None:
        house = await self.house()
        house.application.silent.add("1.5.102")
        await house.gets(1, 1, 2)
        house.dispatch.start()
        await until(lambda: house.arrived, "the first object arrived")
        await house.stop()
        rows = await house.found.kept.read(execute("SELECT state, attempts FROM archive_dispatch"))
        self.assertEqual((rows, house.clock.getDelayedCalls()), ([("waiting", 0)], []))

    async def test_a_stop_forgets_nothing_that_arrived(self) -> None:
        house = await self.house()
        house.application.silent.add("1.5.102")
        await house.gets(1, 1, 2)
        house.dispatch.start()
        # Then it has heard that the first one arrived.
        await until(lambda: "1.5.102" in house.application.came, "the second object came")
        await house.stop()
        house.application.silent.clear()
        house.dispatch = house.another(house.found.queue)
        self.start(house)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101", "102"])

    async def test_outside_of_its_hours_nothing_is_sent(self) -> None:
        house = await self.house()
        begins = time(utc(TODAY).hour + 2)
        house.sends_to(hours=Hours(begins, time(23, 59), utc))
        await house.gets(1, 1)
        self.start(house)
        await house.rests()
        self.assertEqual((house.application.asked, await house.found.states()), (0, [State.WAITING]))
        for _ in range(2 * 60):
            await house.waits(60)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101"])

    async def test_a_destination_that_is_away_is_left_alone(self) -> None:
        house = await self.house()
        house.application.is_up = False
        for study in range(1, 11):
            await house.found.add(study, 1)
        await house.found.complete()
        self.start(house)
        await house.hears(DispatchFailed)
        await house.rests()
        self.assertEqual(house.application.asked, 1)

    async def test_it_is_tried_again_with_another_study(self) -> None:
        house = await self.house()
        house.application.is_up = False
        await house.found.add(1, 1)
        await house.found.add(2, 1)
        await house.found.complete()
        self.start(house)
        await house.hears(DispatchFailed)
        await house.waits(BACKOFF)
        event = await house.hears(DispatchFailed, 2)
        self.assertEqual(event, DispatchFailed("1.3.2", "pacs", 1, False, "the outbound cannot be reached"))

    async def test_between_two_studies_there_is_a_pause(self) -> None:
        house = await self.house()
        house.sends_to(pause=120.0)
        await house.found.add(1, 1)
        await house.found.add(2, 1)
        await house.found.complete()
        self.start(house)
        await house.hears(StudyDispatched)
        await house.waits(119)
        self.assertEqual(house.application.asked, 1)
        house.clock.advance(1)
        await house.hears(StudyDispatched, 2)

    async def test_lanes_send_side_by_side(self) -> None:
        house = await self.house()
        house.sends_to(lanes=3)
        for study in range(1, 6):
            house.application.silent.add(f"1.5.{study}01")
            await house.found.add(study, 1)
        await house.found.complete()
        self.start(house)
        await until(lambda: len(house.application.associations) == 3, "three associations")
        states = await count_by_state(house.found.kept)
        self.assertEqual(states, {("pacs", State.SENDING): 3, ("pacs", State.WAITING): 2})

    async def test_a_mistake_of_ours_is_a_failure(self) -> None:
        def broken(name: str, size: int) -> Reads:
            raise ZeroDivisionError("SECRET")

        house = await self.house()
        house.read = broken
        await house.gets(1, 1)
        self.start(house)
        event = await house.hears(DispatchFailed)
        assert isinstance(event, DispatchFailed)
        self.assertNotIn("SECRET", event.why)

    async def test_it_goes_on_after_the_database_was_away(self) -> None:
        house = await self.house()
        await house.gets(1, 1)
        await house.found.kept.stop()
        self.start(house)
        await house.rests()
        await house.found.kept.start()
        house.clock.advance(POLL)
        await house.hears(StudyDispatched)
        self.assertEqual(house.arrived, ["101"])


class PostgreSQLDispatchTests(DispatchTests):
    def address(self) -> str | None:
        return postgresql().url()


class FanOutTests(TestCase):
    async def test_each_destination_has_a_state_of_its_own(self) -> None:
        found = await studies(self, destinations=("pacs", "research"))
        house = House(found)
        house.application.is_up = False
        other = Application()
        means = Means(found.queue, found.clock, found.events, at_once, read_name)
        research = Destination("research", other, "RESEARCH", "ARCHIVE", RETRIES)
        dispatch = Dispatch(means, [house.destination, research])
        await house.gets(1, 1)
        dispatch.start()
        self.addCleanup(dispatch.stop)
        await house.hears(StudyDispatched)
        await house.hears(DispatchFailed)
        self.assertEqual(
            (other.arrived, await found.states("research"), await found.states("pacs")),
            (["1.5.101"], [State.SENT], [State.WAITING]),
        )

    async def test_a_sealed_index_is_sent_by_its_real_names(self) -> None:
        house = House(await studies(self, seal=Seal([b"0" * 32])))
        await house.gets(1, 1)
        house.dispatch.start()
        self.addCleanup(house.stop)
        event = await house.hears(StudyDispatched)
        self.assertEqual((house.arrived, event), (["101"], StudyDispatched("1.3.1", "pacs", 1)))


class FlappingTests(TestCase):
    async def test_studies_arrive_at_a_destination_that_comes_and_goes(self) -> None:
        house = House(await studies(self))
        house.sends_to(lanes=2, retries=evolve(RETRIES, most=1000))
        for study in range(1, 41):
            await house.found.add(study, 1, 2, 3)
        await house.found.complete()
        house.application.ends_after = 4
        house.dispatch.start()
        self.addCleanup(house.stop)

        def all_sent() -> bool:
            return sum(isinstance(event, StudyDispatched) for event in house.found.told) == 40

        for turn in range(400):
            house.application.is_up = turn % 3 != 0
            house.application.ends_after = turn % 5 or None
            await until(lambda: all_sent() or house.clock.getDelayedCalls(), "something happens")
            if all_sent():
                break
            house.clock.advance(BACKOFF)
        wanted = {f"{study}0{number}" for study in range(1, 41) for number in (1, 2, 3)}
        self.assertEqual(
            (set(house.arrived), await count_by_state(house.found.kept)), (wanted, {("pacs", State.SENT): 40})
        )
