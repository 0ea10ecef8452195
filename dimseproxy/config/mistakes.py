"""What is wrong with a configuration: one `Mistake` each, and the error that carries them all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen


@frozen
class Mistake:
    """One thing to correct in a configuration file.

    `path` names the key (`inbound.clinic.dimse.listen`, `routes[2].outbound`; empty for the file as a whole),
    `text` says what is wrong and what would be right, `line` (from 1) where, if it is at one place.
    """

    path: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        said = f"{self.path}: {self.text}" if self.path else self.text
        # What was written may have any character: one mistake is one line, and moves no cursor.
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in said)


class ConfigurationError(Exception):
    """A configuration that cannot be used. Carries every mistake that was found, in the order of the file."""

    def __init__(self, mistakes: Iterable[Mistake], source: Path | None = None) -> None:
        self.mistakes = tuple(mistakes)
        self.source = source
        super().__init__(self.mistakes, source)

    def __str__(self) -> str:
        return "\n".join(self._where(mistake) + str(mistake) for mistake in self.mistakes)

    def _where(self, mistake: Mistake) -> str:
        place = [str(self.source)] if self.source is not None else []
        if mistake.line is not None:
            place.append(str(mistake.line) if place else f"line {mistake.line}")
        return ":".join(place) + ": " if place else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A closing clause that names the nearest known word, or lists all of them when none is near."""
    choices = sorted(known)
    # A word in the wrong case may share no letter with the right one, so spelling alone does not find it.
    near = difflib.get_close_matches(word, choices, n=1) or [
        choice for choice in choices if choice.casefold() == word.casefold()
    ]
    if near:
        return f"did you mean `{near[0]}`?"
    if not choices:
        return "there is none to choose from"
    return "there is " + ", ".join(f"`{choice}`" for choice in choices)
