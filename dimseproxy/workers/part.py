"""Which of several workers a process is, and what it has from its parent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen

#: The variable of the environment that makes a process a worker.
VARIABLE: Final = "DIMSEPROXY_WORKER"


class NoPart(Exception):
    """What is in the environment was not written by a parent."""


@frozen
class Part:
    """
    @ivar number: which worker, from 0.
    @ivar of: how many there are.
    @ivar listeners: the listening socket of each inbound, by its name: descriptors.
    @ivar board: the memory that the workers share: a descriptor.
    @ivar sockets: the folder of the sockets at which workers call one another.
    """

    number: int
    of: int
    listeners: Mapping[str, int] = field(factory=dict)
    board: int = -1
    sockets: Path = Path()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Part | None:
        """
        The part that a parent has given to this process, or None if it has no parent.

        @raise NoPart: the variable is set, but not by a parent.
        """
        text = environment.get(VARIABLE)
        if text is None:
            return None
        try:
            said = json.loads(text)
            return cls(said["number"], said["of"], said["listeners"], said["board"], Path(said["sockets"]))
        except (ValueError, TypeError, KeyError) as error:
            raise NoPart(f"{VARIABLE} is a matter between the proxy and its workers: leave it unset") from error

    def to_environment(self) -> dict[str, str]:
        """The variable that says it to a child."""
        said = {
            "number": self.number,
            "of": self.of,
            "listeners": dict(self.listeners),
            "board": self.board,
            "sockets": str(self.sockets),
        }
        return {VARIABLE: json.dumps(said)}
