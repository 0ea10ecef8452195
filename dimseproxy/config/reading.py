"""The reading of one file: the folder it stands in, and the mistakes found so far."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from attrs import define, field

from dimseproxy.config.document import Node
from dimseproxy.config.mistakes import Mistake


class Refused(Exception):
    """A value cannot be used; why is among the mistakes of the `Reading`. Stays within this package."""


@define
class Reading:
    """Collects mistakes, so that one run names them all.

    `folder` is what relative paths in the file are relative to.
    """

    folder: Path
    mistakes: list[Mistake] = field(factory=list)

    def note(self, node: Node, text: str) -> None:
        """Remember a mistake at a node and go on."""
        self.mistakes.append(Mistake(node.path, text, node.line))

    def refuse(self, node: Node, text: str) -> NoReturn:
        """Remember a mistake at a node and give up on its value."""
        self.note(node, text)
        raise Refused()
