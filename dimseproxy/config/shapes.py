"""The kinds made of other kinds: lists, mappings and records, and the description of a record's keys.

A record is an attrs class whose fields carry a `Key` in their metadata. Reading, checking, printing,
comparing and the reference all follow these keys, so each is described once, where the setting is defined.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
from attrs import field, frozen

from dimseproxy.config.document import Node
from dimseproxy.config.frozen_mapping import FrozenMapping
from dimseproxy.config.kinds import AnyKind, Kind, Member, Text
from dimseproxy.config.mistakes import did_you_mean
from dimseproxy.config.reading import Reading, Refused

T = TypeVar("T")
_METADATA = "dimseproxy.key"
SECRET = "***"


@frozen
class Key:
    """What a field of a record is in the file.

    `example` is YAML as one would write it. `default` says the default in words, where its value does not
    speak for itself. A `reloadable` key is followed by a reload; a `secret` one is never printed.
    """

    kind: AnyKind
    description: str
    example: str | None = None
    default: str | None = None
    reloadable: bool = False
    secret: bool = False


def setting(
    kind: AnyKind,
    description: str,
    *,
    example: str | None = None,
    default: str | None = None,
    reloadable: bool = False,
    secret: bool = False,
) -> dict[str, Key]:
    """The metadata of an attrs field that is a key of the configuration."""
    return {_METADATA: Key(kind, description, example, default, reloadable, secret)}


def keys_of(record: type[Any]) -> Iterator[tuple[str, attrs.Attribute[Any], Key]]:
    """The keys of a record: the name in the file, the field, its description. `from_` is written `from`."""
    for attribute in attrs.fields(record):
        if _METADATA in attribute.metadata:
            yield attribute.name.rstrip("_"), attribute, attribute.metadata[_METADATA]


def entries(node: Node, reading: Reading, expected: str) -> Iterator[tuple[Node, Node]]:
    """The entries of a mapping, each key once. Notes the others; refuses what is no mapping."""
    if node.is_empty:
        reading.refuse(node, f"has no value: give it {expected}, or leave the key out")
    if not node.is_mapping:
        reading.refuse(node, f"is {node.name}, but must be {expected}")
    seen: dict[str, int] = {}
    for name, value in node.entries():
        if not name.is_scalar:
            reading.note(name, f"has {name.name} for a key: keys are text")
        elif name.tag == "merge":
            reading.note(name, "is not read: YAML 1.2 has no merge keys, write the keys out")
        elif name.text in seen:
            reading.note(name, f"is written twice: the first is on line {seen[name.text]}, keep one of the two")
        else:
            seen[name.text] = name.line
            yield name, value


@frozen
class ListOf(Kind[tuple[T, ...]]):
    """A list of values of one kind. `never_empty` says why an empty one is refused."""

    element: Kind[T]
    never_empty: str | None = None

    @property
    def label(self) -> str:
        return f"a list, each {self.element.label}"

    def read(self, node: Node, reading: Reading) -> tuple[T, ...]:
        return tuple(self.elements(node, reading))

    def elements(self, node: Node, reading: Reading) -> list[T]:
        """The elements. Refuses the list as a whole when one of them is refused, after looking at all."""
        if not node.is_list:
            hint = f": write [{node.text}]" if node.is_scalar and node.text else ""
            reading.refuse(node, f"is {node.name}, but must be a list{hint}")
        items = list(node.items())
        if not items and self.never_empty is not None:
            reading.refuse(node, f"is empty: {self.never_empty}")
        values: list[T] = []
        for item in items:
            with contextlib.suppress(Refused):
                values.append(self.element.read(item, reading))
        if len(values) < len(items):
            raise Refused()
        return values

    def write(self, value: tuple[T, ...]) -> object:
        return [self.element.write(item) for item in value] or (None if self.never_empty else [])


@frozen
class SetOf(Kind[frozenset[str]]):
    """A set of words, written as a list in any order."""

    words: tuple[str, ...]
    never_empty: str | None = None

    @property
    def label(self) -> str:
        return "a list of " + ", ".join(f"`{word}`" for word in self.words)

    def read(self, node: Node, reading: Reading) -> frozenset[str]:
        return frozenset(ListOf(Member("a word", self.words), self.never_empty).elements(node, reading))

    def write(self, value: frozenset[str]) -> object:
        return [word for word in self.words if word in value] or (None if self.never_empty else [])


@frozen
class MappingOf(Kind[Mapping[str, T]]):
    """A mapping from names to values of one kind. `never_empty` says why an empty one is refused."""

    name: Text
    value: Kind[T]
    never_empty: str | None = None

    @property
    def label(self) -> str:
        return f"a mapping, each key {self.name.label}"

    def read(self, node: Node, reading: Reading) -> Mapping[str, T]:
        written = list(entries(node, reading, self.label))
        if not written and self.never_empty is not None:
            reading.refuse(node, f"is empty: {self.never_empty}")
        values: dict[str, T] = {}
        for name, value in written:
            # Name and value are read apart: a wrong name must not hide what is wrong with the value.
            read_name: str | None = None
            with contextlib.suppress(Refused):
                read_name = self.name.read(name, reading)
            with contextlib.suppress(Refused):
                read_value = self.value.read(value, reading)
                if read_name in values:
                    reading.refuse(name, f"is `{read_name}` again: leading and trailing spaces do not count")
                if read_name is not None:
                    values[read_name] = read_value
        return FrozenMapping(values)

    def write(self, value: Mapping[str, T]) -> object:
        return {name: self.value.write(item) for name, item in value.items()}

    def differences(self, old: Mapping[str, T], new: Mapping[str, T], path: str) -> tuple[str, ...]:
        found: list[str] = []
        for name in {**old, **new}:
            if name in old and name in new:
                found.extend(self.value.differences(old[name], new[name], f"{path}.{name}"))
            else:
                found.append(f"{path}.{name}")
        return tuple(found)


@frozen(eq=False)
class Record(Kind[T]):
    """A mapping whose keys are the fields of an attrs class.

    `later` are keys of later versions: naming one is refused with its sentence, never ignored. `check` looks at a
    record as a whole, once each of its keys is right by itself.
    """

    of: type[T]
    label: str
    check: Callable[[T, Node, Reading], None] | None = None
    later: Mapping[str, str] = field(factory=dict)

    def read(self, node: Node, reading: Reading) -> T:
        known = {name: (attribute, described) for name, attribute, described in keys_of(self.of)}
        values: dict[str, Any] = {}
        refused: set[str] = set()
        written: set[str] = set()
        for name, value in entries(node, reading, "a mapping"):
            written.add(name.text)
            try:
                if name.text in known:
                    attribute, described = known[name.text]
                    values[_argument(attribute)] = described.kind.read(value, reading)
                else:
                    self._refuse_key(name, reading)
            except Refused:
                refused.add(name.text)
        for key, (attribute, described) in known.items():
            if attribute.default is attrs.NOTHING and key not in written:
                example = f", for example `{key}: {described.example}`" if described.example else ""
                reading.note(node, f"lacks `{key}`{example}")
        if any(a.default is attrs.NOTHING and _argument(a) not in values for a, _ in known.values()):
            raise Refused()
        record = self.of(**values)
        if self.check is not None and not refused:
            self.check(record, node, reading)
        return record

    def _refuse_key(self, name: Node, reading: Reading) -> None:
        if name.text in self.later:
            reading.refuse(name, f"is not in this version: {self.later[name.text]}")
        known = [written for written, _, _ in keys_of(self.of)]
        reading.refuse(name, f"is unknown: {did_you_mean(name.text, known)}")

    def write(self, value: T) -> object:
        written: dict[str, object] = {}
        for name, attribute, described in keys_of(self.of):
            held = getattr(value, attribute.name)
            plain = None if held is None else described.kind.write(held)
            if plain is not None:
                written[name] = SECRET if described.secret else plain
        return written

    def differences(self, old: T, new: T, path: str) -> tuple[str, ...]:
        if old is None or new is None:
            return () if old is new else (path,)
        found: list[str] = []
        for name, attribute, described in keys_of(self.of):
            if not described.reloadable:
                before, after = getattr(old, attribute.name), getattr(new, attribute.name)
                found.extend(described.kind.differences(before, after, f"{path}.{name}" if path else name))
        return tuple(found)


def _argument(attribute: attrs.Attribute[Any]) -> str:
    return attribute.alias or attribute.name


@frozen(eq=False)
class Side(Kind[T]):
    """One inbound or outbound: a mapping with one key that says what it is, such as `dimse`, and holds its settings."""

    forms: Mapping[str, Record[Any]]
    later: Mapping[str, str] = field(factory=dict)

    @property
    def label(self) -> str:
        return f"a mapping with the key {self._named}"

    @property
    def _named(self) -> str:
        return " or ".join(f"`{form}`" for form in self.forms)

    def read(self, node: Node, reading: Reading) -> T:
        self._see_that_it_has_a_name(node, reading)
        found: list[tuple[str, Node]] = []
        fine = True
        for name, value in entries(node, reading, self.label):
            if name.text in self.forms:
                found.append((name.text, value))
            else:
                fine = False
                self._note_key(name, reading)
        if not found:
            if fine:
                reading.note(node, f"lacks {self._named}")
            raise Refused()
        if len(found) > 1:
            both = " and ".join(f"`{form}`" for form, _ in found)
            reading.refuse(node, f"has {both}: it is one of them, give the other a name of its own")
        ((form, value),) = found
        read: T = self.forms[form].read(value, reading)
        return read

    def _see_that_it_has_a_name(self, node: Node, reading: Reading) -> None:
        above, _, name = node.path.rpartition(".")
        if name in self.forms and node.is_mapping and self.forms.keys().isdisjoint(node.written_names()):
            reading.refuse(node, f"lacks a name above it: write `{above}: {{NAME: {{{name}: ...}}}}`")

    def _note_key(self, name: Node, reading: Reading) -> None:
        within = [form for form, record in self.forms.items() if name.text in (key for key, _, _ in keys_of(record.of))]
        if name.text in self.later:
            reading.note(name, f"is not in this version: {self.later[name.text]}")
        elif within:
            reading.note(name, f"belongs under `{within[0]}:`, one level deeper")
        else:
            reading.note(name, f"is unknown: {did_you_mean(name.text, self.forms)}")

    def write(self, value: T) -> object:
        form = self._form_of(value)
        return {form: self.forms[form].write(value)}

    def differences(self, old: T, new: T, path: str) -> tuple[str, ...]:
        form = self._form_of(old)
        return (path,) if form != self._form_of(new) else self.forms[form].differences(old, new, f"{path}.{form}")

    def _form_of(self, value: T) -> str:
        return next(form for form, record in self.forms.items() if type(value) is record.of)


@frozen(eq=False)
class OneOf(Kind[T]):
    """
    One of several things: a word that says all, or a mapping whose one key says what follows.

    `form_of` says under which key a value is written that is none of the words.
    """

    forms: Mapping[str, Kind[Any]]
    form_of: Callable[[T], str]
    words: Mapping[str, T] = field(factory=dict)

    @property
    def label(self) -> str:
        written = [f"`{word}`" for word in self.words] + [f"`{{{form}: ...}}`" for form in self.forms]
        return " or ".join(written)

    def read(self, node: Node, reading: Reading) -> T:
        if node.is_mapping:
            return self._read_form(node, reading)
        if node.is_scalar and node.text in self.words:
            return self.words[node.text]
        if node.is_scalar and node.text in self.forms:
            reading.refuse(node, f"says nothing about `{node.text}`: write `{{{node.text}: ...}}`")
        shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
        reading.refuse(node, f"is {shown}, but must be {self.label}")

    def _read_form(self, node: Node, reading: Reading) -> T:
        written = list(entries(node, reading, self.label))
        unknown = [name for name, _ in written if name.text not in self.forms]
        for name in unknown:
            reading.note(name, f"is unknown: {did_you_mean(name.text, self.forms)}")
        if unknown:
            raise Refused()
        if len(written) != 1:
            reading.refuse(node, f"has {len(written)} keys, but must have one: {self.label}")
        ((name, value),) = written
        read: T = self.forms[name.text].read(value, reading)
        return read

    def write(self, value: T) -> object:
        for word, meaning in self.words.items():
            if meaning == value:
                return word
        form = self.form_of(value)
        return {form: self.forms[form].write(value)}
