from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.pseudonyms.cache import Cache


class CacheTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cache: Cache[str, str] = Cache(self.clock.seconds, 2, 10.0)

    def test_remembers(self) -> None:
        self.cache.put("a", "1")
        self.assertEqual(self.cache.get("a"), "1")

    def test_knows_nothing_of_others(self) -> None:
        self.assertIsNone(self.cache.get("a"))

    def test_forgets_after_the_lifetime(self) -> None:
        self.cache.put("a", "1")
        self.clock.advance(10.0)
        self.assertIsNone(self.cache.get("a"))

    def test_reading_does_not_lengthen_the_lifetime(self) -> None:
        self.cache.put("a", "1")
        self.clock.advance(6.0)
        self.cache.get("a")
        self.clock.advance(6.0)
        self.assertIsNone(self.cache.get("a"))

    def test_forgets_what_has_not_been_read_for_longest(self) -> None:
        self.cache.put("a", "1")
        self.cache.put("b", "2")
        self.cache.get("a")
        self.cache.put("c", "3")
        self.assertEqual([self.cache.get(each) for each in "abc"], ["1", None, "3"])

    def test_holds_no_more_than_it_may(self) -> None:
        for number in range(100):
            self.cache.put(str(number), "")
        self.assertEqual([number for number in range(100) if self.cache.get(str(number)) is not None], [98, 99])

    def test_remembers_nothing_without_entries(self) -> None:
        cache: Cache[str, str] = Cache(self.clock.seconds, 0, 10.0)
        cache.put("a", "1")
        self.assertIsNone(cache.get("a"))

    def test_forgets_what_it_is_told_to(self) -> None:
        self.cache.put("a", "1")
        self.cache.forget("a")
        self.cache.forget("b")
        self.assertIsNone(self.cache.get("a"))
