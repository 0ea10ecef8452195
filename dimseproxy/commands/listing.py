"""`dimseproxy list`: the studies, without saying whose they are."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Final

from dimseproxy.commands.task import ExitStatus, Task, amount, counted
from dimseproxy.outbound.archive.instances import StudySummary

_FORM: Final = "{:<16} {:<16} {:<10} {:>6} {:>7} {:>10}  {:<16} {}"
_HEADINGS: Final = _FORM.format("FIRST", "LAST", "MODALITIES", "SERIES", "OBJECTS", "SIZE", "FROM", "STUDY")


async def list_studies(task: Task, options: Namespace) -> ExitStatus:
    """One line for each study that can be read, those that came first at first, and their sum."""
    studies = instances = size = unreadable = 0
    task.say(_HEADINGS)
    after: int | None = 0
    while after is not None:
        page = await task.holdings.index.studies(after)
        for study in page.studies:
            task.say(_line(study))
            studies += 1
            instances += study.instances
            size += study.size
        for number in page.unreadable:
            # Its UID is what cannot be read.
            print(f"unreadable: row {number} of archive_study", file=task.errors, flush=True)
        unreadable += len(page.unreadable)
        after = page.next
    total = (counted(studies, "study", "studies"), counted(instances, "object", "objects"), amount(size))
    task.say("{} with {}, {}".format(*total))
    return ExitStatus.NOT_WELL if unreadable else ExitStatus.WELL


def _line(study: StudySummary) -> str:
    return _FORM.format(
        _time(study.first_received),
        _time(study.last_received),
        _words(study.modalities),
        study.series,
        study.instances,
        amount(study.size),
        _words(study.senders),
        study.study,
    )


def _time(seconds: float) -> str:
    """In local time, as the operator's clock has it."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _words(words: tuple[str, ...]) -> str:
    """Words of peers on one line of a terminal, which nothing in them can control."""
    text = ",".join(words) or "-"
    return "".join(character if character.isprintable() else "?" for character in text)
