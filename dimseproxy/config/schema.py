"""The file as a whole: the keys of `Settings`, and those that only later versions give a meaning."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Kind
from dimseproxy.config.reading import Reading
from dimseproxy.config.settings import Settings
from dimseproxy.config.shapes import Key, Record


@frozen
class OnlyValue(Kind[None]):
    """The one value that a key can have until a later version brings others."""

    value: str
    tag: str
    sentence: str

    @property
    def label(self) -> str:
        return f"`{self.value}`"

    def read(self, node: Node, reading: Reading) -> None:
        if node.tag != self.tag or node.text != self.value:
            reading.refuse(node, f"other than `{self.value}` is not in this version: {self.sentence}")


FILE: Final = Record(
    Settings,
    "the file",
    later={"admin": "nothing would listen there, take it out"},
    accepted={
        "workers": Key(
            OnlyValue("1", "int", "there is one process, write `1` or leave the key out"),
            "Processes that share the listening ports.",
            "1",
        ),
    },
)
