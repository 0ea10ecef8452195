"""The threads of the archive: what blocks on the disk is done there, one thing after another in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

_T = TypeVar("_T")

#: Disks do several fsyncs at once; each of them blocks its thread.
THREADS: Final = 8


class Threads:
    """
    Called with work, does it in a thread; its result, or what it raised, comes in a Deferred.

    @param reactor: whose thread asks and is answered.
    """

    def __init__(self, reactor: IReactorFromThreads, threads: int = THREADS) -> None:
        self._reactor = reactor
        self._threads = threads
        self._pool: ThreadPool | None = None
        self._under_way = 0
        self._stopped: Deferred[None] | None = None

    def start(self) -> None:
        """Do what is asked from now on; it may have been so already."""
        if self._pool is None:
            self._pool = ThreadPool(0, self._threads, "archive")
            self._pool.start()

    def stop(self) -> Deferred[None]:
        """Wait for what is under way, and for what follows from it; nothing is done after that."""
        if self._pool is None:
            return succeed(None)
        self._stopped = Deferred()
        stopped = self._stopped
        self._end_if_idle()
        return stopped

    def __call__(self, work: Callable[[], _T], /) -> Deferred[_T]:
        if self._pool is None:
            return fail(OperationRefused(Status.OUT_OF_RESOURCES, "The archive is shutting down"))
        self._under_way += 1
        done: Deferred[_T] = deferToThreadPool(self._reactor, self._pool, work)
        answer: Deferred[_T] = Deferred()
        done.addBoth(self._done, answer)
        return answer

    def _done(self, result: Any, answer: Deferred[Any]) -> None:
        # Before it is counted off: what was waiting for it may go on with more.
        answer.callback(result)
        self._under_way -= 1
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._stopped is None or self._under_way or self._pool is None:
            return
        pool, self._pool = self._pool, None
        stopped, self._stopped = self._stopped, None
        # Idle by now: there is nothing to wait for.
        pool.stop()
        stopped.callback(None)
