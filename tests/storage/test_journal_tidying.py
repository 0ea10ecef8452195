"""The thread of a journal outlives what goes wrong when it tidies up."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from dimseproxy.storage import journal as module
from dimseproxy.storage.journal import Journal
from tests.support.process import scratch


class TidyingTests(TestCase):
    timeout = 20

    async def test_what_comes_next_is_written_all_the_same(self) -> None:
        tried: list[object] = []

        def broken(*arguments: Any) -> Any:
            tried.append(arguments)
            raise MemoryError

        journal = Journal(scratch(self) / "journal", IReactorFromThreads(reactor), file_size=1)
        await journal.open()
        self.patch(module, "create", broken)
        with capturedLogs() as logs:
            await journal.append([b"one"])
            await journal.append([b"two"])
            await journal.close()
        self.assertEqual((len(tried), [entry["kind"] for entry in logs]), (2, ["MemoryError"]))
