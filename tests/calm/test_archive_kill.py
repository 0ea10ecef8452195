"""The archive is killed while it stores: a few rounds of what `python -m tests.calm.kill` does by the hundred."""

from __future__ import annotations

import tempfile
from pathlib import Path
from shutil import rmtree

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.calm.kill import Killing, Outcome
from tests.support.archive import archive_key
from tests.support.postgresql import postgresql
from tests.support.threads import in_thread

ROUNDS = 2


class KilledTests(TestCase):
    """No acknowledged object is lost, and none is there by half."""

    timeout = 300

    def killed(self, archive: str = "", top: str = "", proxies: int = 1) -> Deferred[Outcome]:
        folder = Path(tempfile.mkdtemp(prefix="dimseproxy-kill-"))
        self.addCleanup(rmtree, folder, True)
        return in_thread(lambda: Killing(folder, 1, archive, top, proxies).run(ROUNDS))

    def stored_something(self, outcome: Outcome) -> None:
        # All else was looked at in each round.
        self.assertLess(0, outcome.acknowledged)

    async def test_on_sqlite(self) -> None:
        self.stored_something(await self.killed())

    async def test_encrypted(self) -> None:
        self.stored_something(await self.killed(f"      key: {{file: {archive_key(self)}}}"))

    async def test_on_postgresql(self) -> None:
        self.stored_something(await self.killed(top=f'database: "{postgresql().url()}"'))

    async def test_one_of_two_on_sqlite(self) -> None:
        self.stored_something(await self.killed(proxies=2))

    async def test_one_of_two_on_postgresql(self) -> None:
        self.stored_something(await self.killed(top=f'database: "{postgresql().url()}"', proxies=2))
