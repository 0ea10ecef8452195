"""The fuzzer's data sets, a few of them every time."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from tests.dataset.editing import ENCODINGS, Driver, Scripted
from tests.dataset.fuzzing import PLANS, data_set, seeds
from tests.fuzz import mutations


class DataSetTests(SynchronousTestCase):
    def test_every_seed_crosses(self) -> None:
        for seed in seeds():
            if seed[1] != 4:
                # The plan that edits encapsulated pixels is refused where they are.
                self.assertTrue(Driver(ENCODINGS[seed[0]], Scripted(PLANS[seed[1]])).feed_all([seed[2:]]))
            data_set(seed)

    def test_mutations_of_them(self) -> None:
        source = mutations(seeds(), random.Random(1))
        for _ in range(1_500):
            data_set(next(source))
