"""
Kill a process that makes pseudonyms, again and again, and look at what it leaves; run by `test_vault_file`.

    killing.py FOLDER ROUNDS

It forks, for to start Python anew would take most of the time; the reactor comes into being in the children only.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import react

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.keys import keys_from_own_file
from dimseproxy.pseudonyms.vault import Vault
from dimseproxy.pseudonyms.vault_uids import UidCipher
from dimseproxy.storage.database import Database

_Steps = Callable[[Any, Vault], Coroutine[Deferred[Any], Any, None]]

_MOST_LINES = 400
"""Of a child's, before it is killed."""

_TOGETHER = 7
"""Originals that a child asks for in one batch; several batches are under way."""


def child(folder: Path, steps: _Steps) -> None:
    """Open the vault and do something with it; does not return."""

    async def main(reactor: Any) -> None:
        database = Database(folder / "test.db", reactor, reactor)
        await database.start()
        vault = Vault(database, keys_from_own_file(folder / "privacy.key"), reactor)
        await vault.start()
        await steps(reactor, vault)
        await vault.stop()
        await database.stop()

    react(lambda reactor: ensureDeferred(main(reactor)))


def talk(number: int, out: int) -> _Steps:
    """Make pseudonyms for ever; a line when one is made, and a line when it is kept."""

    def say(what: str, pseudonyms: dict[str, str]) -> None:
        for original, pseudonym in pseudonyms.items():
            # One write a line: a line is there, or it is not.
            os.write(out, f"{what} {original} {pseudonym}\n".encode())

    def say_kept(pseudonyms: dict[str, str], nothing: None) -> None:
        say("kept", pseudonyms)

    async def steps(reactor: Any, vault: Vault) -> None:
        batch = 0
        while True:
            batch += 1
            # Every other original is one that earlier rounds had as well.
            originals = [f"1.2.{number * (one % 2)}.{batch}.{one}.1" for one in range(_TOGETHER)]
            answer = await vault.pseudonyms_of([Identity(Kind.INSTANCE, original) for original in originals])
            pseudonyms = {identity.value: pseudonym for identity, pseudonym in answer.values.items()}
            say("made", pseudonyms)
            kept = (answer.kept or succeed(None)).addCallback(partial(say_kept, pseudonyms))
            if batch % 3:
                await kept

    return steps


def killed(folder: Path, number: int, lines: int) -> tuple[list[list[str]], bool]:
    """What a child said until it was killed, a number of lines after its first word; and whether that ended it."""
    incoming, outgoing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(incoming)
        child(folder, talk(number, outgoing))
    os.close(outgoing)
    with open(incoming, encoding="ascii") as stream:
        said = [line.split() for _, line in zip(range(lines), stream, strict=False)]
        os.kill(pid, signal.SIGKILL)
        said += [line.split() for line in stream]
    _, status = os.waitpid(pid, 0)
    return said, os.WIFSIGNALED(status)


def has_journal(folder: Path, said: list[list[str]]) -> bool:
    """Whether something that was said to be kept is in a journal that the child left."""
    left = b"".join(path.read_bytes() for path in folder.glob("test.db-vault-*"))
    uids = uids_of(folder)
    return any(what == "kept" and uids.split(pseudonym).stem.encode() in left for what, _, pseudonym in said)


def uids_of(folder: Path) -> UidCipher:
    """What makes the pseudonyms of UIDs there."""
    return UidCipher(keys_from_own_file(folder / "privacy.key").oldest.date_shift)


def look(folder: Path, made: dict[str, str], kept: dict[str, str], report: dict[str, object]) -> _Steps:
    """Compare what was said with what is there."""

    async def steps(reactor: Any, vault: Vault) -> None:
        asked = {original: Identity(Kind.INSTANCE, pseudonym) for original, pseudonym in kept.items()}
        found = await vault.originals_of(list(asked.values()))
        report["lost"] = sum(found.get(pseudonym) != original for original, pseudonym in asked.items())
        answer = await vault.pseudonyms_of([Identity(Kind.INSTANCE, original) for original in made])
        report["changed"] = sum(made[identity.value] != pseudonym for identity, pseudonym in answer.values.items())
        if answer.kept is not None:
            await answer.kept
        await vault.settled()
        with sqlite3.connect(folder / "test.db") as connection:
            uids = uids_of(folder)
            rows = [uids.pseudonym(stem, "") for (stem,) in connection.execute("SELECT pseudonym FROM vault_entry")]
            (report["integrity"],) = connection.execute("PRAGMA integrity_check").fetchone()
        readable = await vault.originals_of([Identity(Kind.INSTANCE, pseudonym) for pseudonym in rows])
        report["unreadable"] = len(rows) - len(readable)
        print(json.dumps(report))

    return steps


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(4711)
    made: dict[str, str] = {}
    kept: dict[str, str] = {}
    ended = changed = journals = 0
    for number in range(1, rounds + 1):
        said, was_killed = killed(folder, number, chance.randint(1, _MOST_LINES))
        ended += was_killed
        journals += has_journal(folder, said)
        for what, original, pseudonym in said:
            changed += made.setdefault(original, pseudonym) != pseudonym
            if what == "kept":
                kept[original] = pseudonym
    if changed:
        sys.exit(f"{changed} pseudonyms changed from one process to the next")
    child(
        folder, look(folder, made, kept, {"killed": ended, "made": len(made), "kept": len(kept), "journals": journals})
    )


if __name__ == "__main__":
    main()
