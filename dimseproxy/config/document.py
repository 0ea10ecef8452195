"""A YAML 1.2 document as a tree of nodes that know their path and line.

The configuration is read from the composed nodes, not from constructed Python values: there a scalar still is
what was written. `0123`, `104` and `NO` can be told from `"0123"`, `"104"` and `"NO"`, a key that was written
twice is still there twice, and every node knows its line.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Any

from attrs import frozen
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from dimseproxy.config.mistakes import Mistake

_STANDARD_TAG = "tag:yaml.org,2002:"
_NAMES = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "a truth value",
    "null": "nothing",
    "seq": "a list",
    "map": "a mapping",
    "timestamp": "a date",
}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


class NotYAML(Exception):
    """The text is not one YAML document. `mistake` says where it stops being one."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake)
        self.mistake = mistake


@frozen
class Node:
    """One value of the document: where it stands and what was written there."""

    path: str
    line: int
    _yaml: Any

    @property
    def tag(self) -> str:
        """The short name of a standard tag (`str`, `int`, `map`, ...), or a foreign tag in full."""
        return str(self._yaml.tag).removeprefix(_STANDARD_TAG)

    @property
    def name(self) -> str:
        """What it is, in words for a message."""
        return _NAMES.get(self.tag, f"a value tagged {self.tag}")

    @property
    def is_list(self) -> bool:
        return isinstance(self._yaml, SequenceNode) and self.tag == "seq"

    @property
    def is_mapping(self) -> bool:
        return isinstance(self._yaml, MappingNode) and self.tag == "map"

    @property
    def is_empty(self) -> bool:
        """Whether the key was written without a value."""
        return self.tag == "null"

    @property
    def text(self) -> str:
        """What was written, for a scalar (without its quotes); empty for a list or a mapping."""
        return str(self._yaml.value) if isinstance(self._yaml, ScalarNode) else ""

    @property
    def is_scalar(self) -> bool:
        return isinstance(self._yaml, ScalarNode)

    def items(self) -> Iterator[Node]:
        """The elements of a list, in order."""
        for index, item in enumerate(self._yaml.value):
            yield Node(f"{self.path}[{index}]", item.start_mark.line + 1, item)

    def entries(self) -> Iterator[tuple[Node, Node]]:
        """The keys and values of a mapping as written: keys may repeat, and may be any node."""
        for key, value in self._yaml.value:
            path = self.below(str(key.value) if isinstance(key, ScalarNode) else "?")
            line = key.start_mark.line + 1
            yield (
                Node(path, line, key),
                Node(path, line if value.tag.endswith("null") else _line(value), value),
            )

    def below(self, name: str) -> str:
        """The path of the entry `name` of this mapping."""
        shown = name if _PLAIN_NAME.match(name) else f'"{name}"'
        return f"{self.path}.{shown}" if self.path else shown

    def get(self, name: str) -> Node | None:
        """The first entry called `name`, or None; None too where this is no mapping."""
        if not self.is_mapping:
            return None
        return next((value for key, value in self.entries() if key.is_scalar and key.text == name), None)

    def replaced(self, other: Node, names: Container[str]) -> Node:
        """This mapping, but for the entries of some names: those are as the other one has them, or not at all."""
        own = [entry for entry in self._yaml.value if entry[0].value not in names]
        others = [entry for entry in other._yaml.value if entry[0].value in names]
        yaml = self._yaml
        return Node(self.path, self.line, MappingNode(yaml.tag, own + others, yaml.start_mark, yaml.end_mark))

    def written_names(self) -> frozenset[str]:
        """The keys of a mapping as written, those included whose value turned out to be wrong."""
        if not self.is_mapping:
            return frozenset()
        return frozenset(key.text for key, _ in self.entries() if key.is_scalar)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def compose(content: bytes) -> Node | None:
    """The root node of a document, or None when there is nothing in it but comments.

    Raises `NotYAML` with the line of the first thing that cannot be read.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotYAML(Mistake("", "is not UTF-8 text: save the file as UTF-8", line)) from error
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(str(part) for part in (error.context, error.problem) if part)
        line_number = None if mark is None else mark.line + 1
        raise NotYAML(Mistake("", f"is not YAML: {said}", line_number)) from error
    except YAMLError as error:
        said = str(error).splitlines()[0]
        position = getattr(error, "position", None)
        line_number = None if position is None else text.count("\n", 0, position) + 1
        raise NotYAML(Mistake("", f"is not YAML: {said}", line_number)) from error
    except RecursionError as error:
        raise NotYAML(Mistake("", "is nested too deeply to be a configuration")) from error
    if root is None or (isinstance(root, ScalarNode) and str(root.tag).endswith(":null")):
        return None
    return Node("", _line(root), root)
