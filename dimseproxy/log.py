"""Where the log goes, and in which form."""

from __future__ import annotations

import sys
from typing import IO, Any, Final, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    jsonFileLogObserver,
)
from twisted.python.logfile import LogFile
from zope.interface import implementer

_LEVELS: Final = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}


@implementer(ILogObserver)
class Log:
    """
    Writes what is at least as severe as a level.

    @param out: where to.
    @param form: `text`, a line an event, or `json`, an object a line.
    @param level: `debug`, `info`, `warn` or `error`.
    """

    def __init__(self, out: IO[Any], form: str, level: str) -> None:
        self._predicate = LogLevelFilterPredicate()
        self.set_level(level)
        write = jsonFileLogObserver(out, recordSeparator="") if form == "json" else _TextLog(out)
        self._observer = FilteringLogObserver(write, [self._predicate])

    def set_level(self, level: str) -> None:
        """Change the level."""
        self._predicate.setLogLevelForNamespace("", _LEVELS[level])

    def __call__(self, event: LogEvent) -> None:
        self._observer(event)


@implementer(ILogObserver)
class _TextLog:
    """One line an event: time, level, text.  A line break in the text does not begin a line of its own."""

    def __init__(self, out: IO[Any]) -> None:
        self._out = out

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info).name
        text = eventAsText(event, includeSystem=False)
        self._out.write(text.replace("\n", "\n\t").replace(" ", f" {level} ", 1) + "\n")
        self._out.flush()


def open_log(logfile: str | None, in_foreground: bool) -> IO[Any]:
    """
    The file that twistd would log to.

    @param logfile: its `--logfile`; `-` is standard output.
    @param in_foreground: its `--nodaemon`.
    """
    if logfile == "-" or (in_foreground and not logfile):
        return sys.stdout
    return cast("IO[Any]", LogFile.fromFullPath(logfile or "twistd.log"))
