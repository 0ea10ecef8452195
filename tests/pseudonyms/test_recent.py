from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.pseudonyms.recent import Recent


class RecentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.recent: Recent[str, int] = Recent(2)
        self.recent.put("a", 1)
        self.recent.put("b", 2)

    def test_what_was_put_is_there(self) -> None:
        self.assertEqual([self.recent.get("a"), self.recent.get("b")], [1, 2])

    def test_what_was_not_is_not(self) -> None:
        self.assertIsNone(self.recent.get("c"))
        self.assertNotIn("c", self.recent)

    def test_the_oldest_goes_when_it_is_full(self) -> None:
        self.recent.put("c", 3)
        self.assertEqual([self.recent.get(key) for key in "abc"], [None, 2, 3])

    def test_what_was_used_stays(self) -> None:
        self.recent.get("a")
        self.recent.put("c", 3)
        self.assertEqual([self.recent.get(key) for key in "abc"], [1, None, 3])

    def test_what_was_put_again_stays(self) -> None:
        self.recent.put("a", 4)
        self.recent.put("c", 3)
        self.assertEqual([self.recent.get(key) for key in "abc"], [4, None, 3])

    def test_it_never_grows_over_its_limit(self) -> None:
        for number in range(10):
            self.recent.put(str(number), number)
        self.assertEqual(len(self.recent), 2)

    def test_what_is_forgotten_is_not_there(self) -> None:
        self.recent.forget("a")
        self.recent.forget("c")
        self.assertEqual([self.recent.get(key) for key in "ab"], [None, 2])


class ManyTests(SynchronousTestCase):
    """So many entries that they are kept in sections."""

    def setUp(self) -> None:
        self.recent: Recent[str, int] = Recent(10_000)

    def test_it_never_grows_over_its_limit(self) -> None:
        for number in range(30_000):
            self.recent.put(str(number), number)
        self.assertLessEqual(len(self.recent), 10_000)

    def test_nearly_all_of_the_last_are_there(self) -> None:
        for number in range(30_000):
            self.recent.put(str(number), number)
        self.assertTrue(all(self.recent.get(str(number)) == number for number in range(25_000, 30_000)))

    def test_what_is_used_again_and_again_stays(self) -> None:
        self.recent.put("a", -1)
        for number in range(30_000):
            self.recent.put(str(number), number)
            self.recent.get("a")
        self.assertEqual(self.recent.get("a"), -1)

    def test_what_is_forgotten_is_not_there(self) -> None:
        self.recent.put("a", 1)
        self.assertIn("a", self.recent)
        self.recent.forget("a")
        self.assertNotIn("a", self.recent)
