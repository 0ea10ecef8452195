from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.outbound.archive.events import Event, Events, InstanceStored, ObjectsRefused, StudyCompleted

EVENT = ObjectsRefused(17)


class Oops(Exception):
    """What a subscriber fails with."""


class EventsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = Events()
        self.told: list[Event] = []

    def fail_with(self, event: Event) -> None:
        raise Oops(event)

    def test_subscribers_are_told(self) -> None:
        self.events.subscribe(self.told.append)
        self.events.publish(EVENT)
        self.assertEqual(self.told, [EVENT])

    def test_a_subscriber_that_fails_does_not_disturb_the_others(self) -> None:
        self.events.subscribe(self.fail_with)
        self.events.subscribe(self.told.append)
        self.events.publish(EVENT)
        self.assertEqual(self.told, [EVENT])

    def test_a_subscription_ends(self) -> None:
        end = self.events.subscribe(self.told.append)
        end()
        self.events.publish(EVENT)
        self.assertEqual(self.told, [])

    def test_a_subscription_ends_once(self) -> None:
        end = self.events.subscribe(self.told.append)
        self.events.subscribe(self.told.append)
        end()
        end()
        self.events.publish(EVENT)
        self.assertEqual(self.told, [EVENT])

    def test_who_subscribes_while_an_event_is_told_hears_the_next_one(self) -> None:
        def subscribe(event: Event) -> None:
            self.events.subscribe(self.told.append)

        self.events.subscribe(subscribe)
        self.events.publish(EVENT)
        self.assertEqual(self.told, [])

    def test_an_event_does_not_show_whose_study_it_is(self) -> None:
        shown = repr(
            (InstanceStored("1.2", "1.999", "1.999", "1.999", 1, "CT1", 0.0), StudyCompleted(1, "1.999", 1, 1, 1))
        )
        self.assertNotIn("1.999", shown)
