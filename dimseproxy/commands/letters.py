"""`dimseproxy dead-letters` and `dimseproxy requeue`: studies that a destination did not take, and another attempt."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Final

from dimseproxy.commands.task import ExitStatus, Task, counted
from dimseproxy.outbound.archive.dead_letters import dead_letters, requeue, requeue_all

_FORM: Final = "{:>8}  {:<16} {:<16} {:>8}  {}"


async def list_dead_letters(task: Task, options: Namespace) -> ExitStatus:
    """One line for each, with the number that `requeue` takes."""
    letters = await dead_letters(task.holdings.database)
    if letters:
        task.say(_FORM.format("ID", "DESTINATION", "SINCE", "ATTEMPTS", "WHY"))
    for letter in letters:
        since = datetime.fromtimestamp(letter.since, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        task.say(_FORM.format(letter.number, letter.destination, since, letter.attempts, letter.why))
    task.say(counted(len(letters), "dead letter", "dead letters"))
    return ExitStatus.NOT_WELL if letters else ExitStatus.WELL


async def send_again(task: Task, options: Namespace) -> ExitStatus:
    """Begin anew with some, or with all."""
    database = task.holdings.database
    if options.all:
        task.say(f"{counted(await requeue_all(database), 'study', 'studies')} queued again")
        return ExitStatus.WELL
    status = ExitStatus.WELL
    for number in options.ids:
        if await requeue(database, number):
            task.say(f"{number} is queued again")
        else:
            print(f"dimseproxy: there is no dead letter {number}", file=task.errors)
            status = ExitStatus.NOT_WELL
    return status
