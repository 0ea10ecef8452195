"""What an outbound says of a pool and of limits."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.config import DimseOutbound, PoolSettings
from tests.config.support import mistakes_of, settings_of


def outbound(keys: str) -> str:
    return f'outbound: {{pacs: {{dimse: {{connect: "tcp:h:104", ae_title: PACS, {keys}}}}}}}\n'


class PoolTests(TestCase):
    def _read(self, keys: str) -> DimseOutbound:
        return settings_of(outbound(keys)).peers["pacs"]

    def _assert_refused(self, keys: str, path: str, text: str) -> None:
        found = mistakes_of(outbound(keys))
        self.assertEqual(list(found), [f"outbound.pacs.dimse.{path}"])
        self.assertIn(text, found[f"outbound.pacs.dimse.{path}"])

    def test_nothing_is_shared_unless_it_is_asked_for(self) -> None:
        read = self._read("")
        self.assertEqual((read.pool, read.max_associations, read.max_operations), (None, None, None))

    def test_an_empty_pool_has_its_defaults(self) -> None:
        self.assertEqual(self._read("pool: {}").pool, PoolSettings(size=8, idle=30.0))

    def test_everything_that_can_be_said(self) -> None:
        read = self._read("pool: {size: 20, idle: 10}, max_associations: 5, max_operations: 4, wait: 25")
        self.assertEqual(read.pool, PoolSettings(size=20, idle=10.0))
        self.assertEqual((read.max_associations, read.max_operations, read.wait), (5, 4, 25.0))

    def test_a_pool_of_none(self) -> None:
        self._assert_refused("pool: {size: 0}", "pool.size", "1 to 1000")

    def test_no_association_at_all(self) -> None:
        self._assert_refused("max_associations: 0", "max_associations", "1 to 100000")

    def test_no_operation_at_all(self) -> None:
        self._assert_refused("max_operations: 0", "max_operations", "1 to 100000")

    def test_one_association_where_a_c_move_takes_two(self) -> None:
        self._assert_refused("retrieve: get, max_associations: 1", "max_associations", "write 2")

    def test_two_associations_where_a_c_move_takes_two(self) -> None:
        self.assertEqual(self._read("retrieve: get, max_associations: 2").max_associations, 2)
