"""What the process of a running proxy is told by signals, and how it ends when it has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any


class CannotStart(SystemExit, Exception):
    """
    The process ends with status 1; why is in the log.

    It is an `Exception` as well, because of those only does a process that has become a daemon tell the one that waits
    for it, and removes its pid file.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        # Python would print the text otherwise, which the log has already.
        self.code = 1


def on_hangup(reactor: Any, reload: Callable[[], object]) -> None:
    """On SIGHUP, reload.  Not taken, it would end the process."""
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))


def on_stop(reactor: Any, is_stopping: Callable[[], bool], stop_again: Callable[[], object]) -> None:
    """
    The first SIGTERM or SIGINT stays Twisted's, which stops the reactor; those that follow are told apart.

    @param reactor: runs already: by then it has installed its own.
    @param is_stopping: whether it was told to stop before.
    @param stop_again: called for a second signal, and any later one.
    """

    def take(number: int) -> None:
        stop: Any = signal.getsignal(number)
        if not callable(stop):
            # Ignored before the process began, as by a shell for what it runs in the background: it stays so.
            return

        def told(number: int, frame: FrameType | None) -> None:
            if is_stopping():
                reactor.callFromThread(stop_again)
            else:
                stop(number, frame)

        signal.signal(number, told)

    for number in (signal.SIGTERM, signal.SIGINT):
        take(number)


def fail(reactor: Any) -> None:
    """Stop the reactor, and end the process with status 1."""
    reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
    reactor.stop()
