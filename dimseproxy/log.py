"""Where the log goes, and in which form."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, Final, cast

from twisted.application.service import IServiceCollection
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatTime,
)
from twisted.python.components import Componentized
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
    @param worker: the number that every line gets, where several processes have one log.
    """

    def __init__(self, out: IO[Any], form: str, level: str, worker: int | None = None) -> None:
        self._out = out
        self._write = _JSONLog(out, worker) if form == "json" else _TextLog(out, worker)
        self.set_level(level)

    def set_level(self, level: str) -> None:
        """Change the level."""
        self._level = _LEVELS[level]

    def copy(self, line: str) -> None:
        """Write a line that another process has made as this one makes its own; it is lost where there is no room."""
        # As Twisted does with what observers raise: who writes it must not be the worse for it, be the disk full, the
        # file closed, or a character one that its encoding lacks.
        with suppress(Exception):
            self._out.write(f"{line}\n")
            self._out.flush()

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level", LogLevel.info) >= self._level:
            self._write(event)


@implementer(ILogObserver)
class _TextLog:
    """
    One line an event: time, level, text.  A line break in the text does not begin a line of its own.

    A busy proxy writes thousands of lines a minute: the text is made by `str.format` where that can, and the time of a
    second is written out once.
    """

    def __init__(self, out: IO[Any], worker: int | None) -> None:
        self._out = out
        self._who = "" if worker is None else f"worker {worker}: "
        self._second = 0
        self._time = ""

    def __call__(self, event: LogEvent) -> None:
        second = int(event["log_time"])
        if second != self._second:
            self._second = second
            self._time = formatTime(second)
        text = _text(event)
        if "\n" in text or "\r" in text:
            text = text.replace("\r", "\\r").replace("\n", "\n\t")
        level = event.get("log_level", LogLevel.info).name
        self._out.write(f"{self._time} {level} {self._who}{text}\n")
        self._out.flush()


@implementer(ILogObserver)
class _JSONLog:
    """
    One object an event and line: `time`, `level`, `text`, `worker` where there are several, and the values that the
    text was made of.
    """

    def __init__(self, out: IO[Any], worker: int | None) -> None:
        self._out = out
        self._who = {} if worker is None else {"worker": worker}

    def __call__(self, event: LogEvent) -> None:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
            "level": event.get("log_level", LogLevel.info).name,
            "text": _text(event),
            **self._who,
        }
        for name, value in event.items():
            if not name.startswith("log_") and name not in entry and isinstance(value, (str, int, float)):
                entry[name] = value
        self._out.write(json.dumps(entry) + "\n")
        self._out.flush()


def _text(event: LogEvent) -> str:
    """What the event says, with the traceback of a failure."""
    if "log_failure" not in event:
        try:
            return str(event["log_format"].format_map(event))
        except Exception:
            # Twisted's own formats may call what they name.
            pass
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


def logged_by(log: Log | None, parent: object) -> IServiceCollection:
    """
    The parent of a service as it sees its children; the application that twistd makes takes its log observer from here.

    @param log: None leaves that to twistd.
    """
    if log is not None and isinstance(parent, Componentized):
        parent.setComponent(ILogObserver, log)
    return IServiceCollection(parent)


def open_log(logfile: str | None, in_foreground: bool) -> IO[Any]:
    """
    The file that twistd would log to.

    @param logfile: its `--logfile`; `-` is standard output.
    @param in_foreground: its `--nodaemon`.
    """
    if logfile == "-" or (in_foreground and not logfile):
        return sys.stdout
    return cast("IO[Any]", LogFile.fromFullPath(logfile or "twistd.log"))
