"""Blocking calls of tests, each in a thread that nobody has to wait for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import ParamSpec, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

_P = ParamSpec("_P")
_T = TypeVar("_T")


def in_thread(call: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> Deferred[_T]:
    """Do something that blocks.

    Trial waits without limit for the threads of Twisted's pool when a test is over, and so for a peer that never comes
    to an end: that would be no failed test, but a run that hangs. It does not wait for these.
    """
    done: Deferred[_T] = Deferred()
    call_in_reactor = IReactorFromThreads(reactor).callFromThread

    def run() -> None:
        try:
            result = call(*arguments, **named)
        except Exception:
            call_in_reactor(done.errback, Failure())
        else:
            call_in_reactor(done.callback, result)

    Thread(target=run, daemon=True).start()
    return done
