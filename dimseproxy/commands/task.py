"""What every command has to work with, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from enum import IntEnum
from typing import Any, Final, TextIO, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from dimseproxy.archives import Holdings
from dimseproxy.commands.progress import Progress
from dimseproxy.config import Settings

_T = TypeVar("_T")

#: How many files are worked on side by side: reading and hashing lets threads run beside one another.
WIDTH: Final = 4


class ExitStatus(IntEnum):
    """The exit status of a command."""

    WELL = 0
    #: It was carried out, and what it found is not as it should be.
    NOT_WELL = 1
    NOT_DONE = 2


@frozen
class Task:
    """
    @ivar holdings: the archive, open.
    @ivar out: where the result goes.
    @ivar errors: where the bar, and what went wrong, go.
    """

    reactor: Any
    settings: Settings
    holdings: Holdings
    out: TextIO
    errors: TextIO

    def say(self, line: str) -> None:
        """A line of the result."""
        print(line, file=self.out, flush=True)

    def progress(self, what: str, total: int) -> Progress:
        """A bar for those who watch."""
        return Progress(what, total, self.errors, self.reactor.seconds)

    def in_thread(self, work: Callable[[], _T]) -> Deferred[_T]:
        """Do what blocks."""
        return deferToThreadPool(self.reactor, self.reactor.getThreadPool(), work)


async def side_by_side(items: Iterable[_T], work: Callable[[_T], Awaitable[None]]) -> None:
    """
    Work on items, `WIDTH` of them at a time.

    @raise Exception: what `work` raised first; no further items are begun then.
    """
    left = iter(items)
    failed = False

    async def worker() -> None:
        nonlocal failed
        try:
            for item in left:
                if failed:
                    return
                await work(item)
        except BaseException:
            failed = True
            raise

    workers: list[Deferred[None]] = [Deferred.fromCoroutine(worker()) for _ in range(WIDTH)]
    await _all(workers)


async def _all(workers: list[Deferred[None]]) -> None:
    """Wait for all, also where one failed: what they use is closed afterwards."""
    failures: list[BaseException] = []
    for worker in workers:
        try:
            await worker
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


def reason_of(error: Exception) -> str:
    """What went wrong, in words that name no file."""
    if isinstance(error, OSError):
        # What it is about may be a file of a folder that is named after a patient.
        return error.strerror or type(error).__name__
    return str(error)


def counted(number: int, one: str, many: str) -> str:
    """A number of things in words."""
    return f"{number:,} {one if number == 1 else many}"


def amount(octets: int) -> str:
    """A number of bytes in words."""
    size = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
