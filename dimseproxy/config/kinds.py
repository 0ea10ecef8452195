"""The kinds of scalar values: each reads what was written, writes it back, and names itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from dimseproxy.config.document import Node
from dimseproxy.config.mistakes import did_you_mean
from dimseproxy.config.reading import Reading

T = TypeVar("T")
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")


class Kind(Generic[T]):
    """A kind of value."""

    @property
    def label(self) -> str:
        """How messages and the reference call it."""
        raise NotImplementedError

    def read(self, node: Node, reading: Reading) -> T:
        """The value a node stands for. Raises `Refused`, with the mistake noted, when it stands for none."""
        raise NotImplementedError

    def write(self, value: T) -> object:
        """The value as plain YAML data (text, numbers, lists, mappings) that `read` turns back into it."""
        return value

    def differences(self, old: T, new: T, path: str) -> tuple[str, ...]:
        """The paths below `path` at which two values differ and a reload cannot follow."""
        return () if old == new else (path,)


@frozen
class Text(Kind[str]):
    """Printable text, in quotes or plain. What YAML takes for a number or a date is refused."""

    label: str = "text"

    def read(self, node: Node, reading: Reading) -> str:
        if node.is_empty:
            reading.refuse(node, f"has no value: give it one ({self.label}), or leave the key out")
        if not node.is_scalar:
            reading.refuse(node, f"is {node.name}, but must be {self.label}")
        if node.tag != "str":
            reading.refuse(node, self.not_text(node))
        if not node.text.isprintable() or not node.text:
            reading.refuse(node, f"must be {self.label}: printable characters, at least one, on one line")
        return self.check(node, reading)

    def not_text(self, node: Node) -> str:
        """What to say about a scalar that YAML does not read as text."""
        return f'`{node.text}` is {node.name} to YAML: write it in quotes, "{node.text}"'

    def check(self, node: Node, reading: Reading) -> str:
        """The text itself, or `Refused`."""
        return node.text


@frozen
class AETitle(Text):
    """An AE title (PS3.5 6.2), without its leading and trailing spaces, which are not significant."""

    label: str = "an AE title"

    def check(self, node: Node, reading: Reading) -> str:
        title = node.text.strip(" ")
        if not title:
            reading.refuse(node, "is only spaces: an AE title has at least one other character (PS3.5 6.2)")
        if len(title) > 16:
            reading.refuse(node, f"has {len(title)} characters: an AE title has 16 at most (PS3.5 6.2)")
        for character in title:
            if character == "\\" or not " " <= character <= "~":
                reading.refuse(
                    node,
                    f"has the character {character!r}: an AE title is made of ASCII letters, digits, spaces "
                    "and punctuation, without the backslash (PS3.5 6.2)",
                )
        return title


@frozen
class AETitleOr(AETitle):
    """An AE title, or one word with a meaning of its own, which no title can be spelt like."""

    word: str = field(kw_only=True)

    def check(self, node: Node, reading: Reading) -> str:
        return self.word if node.text == self.word else AETitle.check(self, node, reading)


@frozen
class AETitleGlob(Text):
    """A pattern for AE titles: `*` any characters, `?` any one, `[AB]` one of these, `[!AB]` another one."""

    label: str = "a pattern"

    def check(self, node: Node, reading: Reading) -> str:
        pattern = node.text.strip(" ")
        if not pattern:
            reading.refuse(node, 'is only spaces: write "*" for any')
        check_glob(pattern, node, reading)
        if "\\" in pattern or not pattern.isascii():
            reading.refuse(node, "can match no AE title: these are ASCII without the backslash (PS3.5 6.2)")
        shortest = len(re.sub(r"\[.[^]]*\]", "?", pattern).replace("*", ""))
        if shortest > 16:
            reading.refuse(node, f"asks for {shortest} characters: an AE title has 16 at most (PS3.5 6.2)")
        return pattern


@frozen
class NameGlob(Text):
    """A pattern for the names of inbounds, written like the patterns for AE titles."""

    label: str = "a pattern"

    def check(self, node: Node, reading: Reading) -> str:
        check_glob(node.text, node, reading)
        return node.text


def check_glob(pattern: str, node: Node, reading: Reading) -> None:
    """Refuse a bracket that never closes: fnmatch would quietly take it literally."""
    if "[" in re.sub(r"\[.[^]]*\]", "", pattern):
        reading.refuse(node, "opens a `[` that never closes: write `[AB]` for one of A and B")


@frozen
class Name(Text):
    """The name of an inbound or an outbound, as routes and logs use it."""

    label: str = "a name"

    def check(self, node: Node, reading: Reading) -> str:
        if not _NAME.match(node.text):
            reading.refuse(
                node,
                "is no name: use letters, digits, `_`, `-` and `.`, 64 at most, and no punctuation first",
            )
        return node.text


@frozen
class Host(Text):
    """A host name or an IP address."""

    label: str = "a host name or IP address"

    def check(self, node: Node, reading: Reading) -> str:
        fault = fault_of_host(node.text)
        if fault:
            reading.refuse(node, fault)
        return node.text


def fault_of_host(host: str) -> str | None:
    """Why a text names no host that could be called, or None."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.match(host) or re.fullmatch(r"[0-9.]+", host):
            return f"`{host}` is neither a host name nor an IP address"
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return f"is an IPv4 address in IPv6 clothes: write `{mapped}`"
    if address.is_unspecified:
        return f"`{host}` stands for all addresses of a listener: name the one host that is meant"
    return None


@frozen
class Network(Kind[IPNetwork]):
    """An IP network in CIDR notation; an address alone is a network of one."""

    label: str = "a network"

    def read(self, node: Node, reading: Reading) -> IPNetwork:
        if not node.is_scalar or node.tag != "str":
            reading.refuse(node, "must be a network such as `10.0.0.0/8` or an address such as `10.0.0.5`")
        address, slash, length = node.text.partition("/")
        try:
            network = ipaddress.ip_network(node.text, strict=False)
        except ValueError:
            reading.refuse(node, f"`{node.text}` is no IP network: write it as `10.0.0.0/8` or `fd00::/8`")
        if slash and not length.isdecimal():
            reading.refuse(node, f"must give the length of the prefix: write `{network}`")
        if slash and ipaddress.ip_address(address) != network.network_address:
            alone = ipaddress.ip_network(address)
            reading.refuse(
                node, f"`{node.text}` has host bits set: write `{network}`, or `{alone}` for that one address"
            )
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
            inner = f"{network.network_address.ipv4_mapped}/{max(network.prefixlen - 96, 0)}"
            reading.refuse(node, f"is an IPv4 network in IPv6 clothes: write `{inner}`")
        return network

    def write(self, value: IPNetwork) -> object:
        return str(value)


@frozen
class Choice(Kind[T]):
    """One of a few words, each standing for a value."""

    words: Mapping[str, T]

    @property
    def label(self) -> str:
        return " or ".join(f"`{word}`" for word in self.words)

    def read(self, node: Node, reading: Reading) -> T:
        if not node.is_scalar or node.text not in self.words:
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f"is {shown}, but must be {self.label}")
        return self.words[node.text]

    def write(self, value: T) -> object:
        return next(word for word, meaning in self.words.items() if meaning == value)


def one_of(*words: str) -> Choice[str]:
    """A choice among words that stand for themselves."""
    return Choice({word: word for word in words})


@frozen
class Member(Text):
    """An element of a set of words."""

    words: tuple[str, ...] = ()

    def check(self, node: Node, reading: Reading) -> str:
        if node.text not in self.words:
            reading.refuse(node, f"`{node.text}` is unknown: {did_you_mean(node.text, self.words)}")
        return node.text


@frozen
class Flag(Kind[bool]):
    """`true` or `false`."""

    label: str = "`true` or `false`"

    def read(self, node: Node, reading: Reading) -> bool:
        if node.tag != "bool":
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f"is {shown}, but must be true or false, without quotes")
        return node.text.lower() == "true"


@frozen
class Whole(Kind[int]):
    """A whole number between two limits, both allowed."""

    least: int
    most: int

    @property
    def label(self) -> str:
        return f"{self.least} to {self.most}"

    def read(self, node: Node, reading: Reading) -> int:
        if node.tag == "str" and _DECIMAL.match(node.text):
            reading.refuse(node, f"is text: write the number without quotes, {node.text}")
        if node.tag != "int" or not _DECIMAL.match(node.text):
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f"is {shown}, but must be a whole number, {self.label}, in plain decimal digits")
        if len(node.text) > 19 or not self.least <= int(node.text) <= self.most:
            reading.refuse(node, f"is out of range: must be {self.label}")
        return int(node.text)


@frozen
class Seconds(Kind[float]):
    """A length of time above zero. The upper limit keeps nonsense from reaching the reactor's timers."""

    most: float = 7 * 24 * 3600.0

    @property
    def label(self) -> str:
        return f"seconds, above 0 and at most {self.most:g}"

    def read(self, node: Node, reading: Reading) -> float:
        if node.tag not in ("int", "float"):
            quoted = ", without quotes" if node.tag == "str" else ""
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f"is {shown}, but must be a number of seconds{quoted}")
        try:
            seconds = float(node.text)
        except ValueError:
            reading.refuse(node, f"is `{node.text}`, but must be a number of seconds in plain decimal digits")
        if not 0 < seconds <= self.most:
            reading.refuse(node, f"is `{node.text}`, but must be {self.label}")
        return seconds

    def write(self, value: float) -> object:
        return int(value) if value.is_integer() else value


@frozen
class FilePath(Kind[Path]):
    """A file that is there and can be read. A relative path counts from the configuration's folder."""

    label: str = "a file"

    def read(self, node: Node, reading: Reading) -> Path:
        path = reading.folder / Text(self.label).read(node, reading)
        try:
            # A pipe or a device could be read for ever.
            if path.exists() and not path.is_file():
                reading.refuse(node, f"`{path}` is no file")
            content = path.read_bytes()
        except OSError as error:
            reading.refuse(node, f"`{path}` cannot be read: {error.strerror}")
        fault = self.fault_of(content)
        if fault:
            reading.refuse(node, f"`{path}` {fault}")
        return path

    def fault_of(self, content: bytes) -> str | None:
        """What is wrong with the content of the file, or None."""
        return None

    def write(self, value: Path) -> object:
        return str(value)


AnyKind = Kind[Any]
