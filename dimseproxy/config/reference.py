"""The reference of the configuration file, written from the descriptions of the keys.

`python -m dimseproxy.config.reference > docs/reference/configuration.md` brings the page up to date.
"""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Iterator
from typing import Any, Final

import attrs
from ruamel.yaml import YAML

from dimseproxy.config.kinds import AETitle, AnyKind
from dimseproxy.config.schema import FILE
from dimseproxy.config.shapes import Key, ListOf, MappingOf, OneOf, Record, Side, keys_of

SHORTEST: Final = """\
outbound:
  pacs:
    dimse: {connect: "tcp:127.0.0.1:4242", ae_title: ORTHANC}
"""
_OPENING = """\
# The configuration file

Written by `python -m dimseproxy.config.reference` from the descriptions in the code; not edited by hand.

The file is YAML 1.2. Every key can be left out, except where it says *required*. An empty file, or none, serves
an archive in `dimseproxy-data` to this machine, on port 11112. The shortest file that relays to a PACS:

```yaml
{shortest}```

`twistd dimseproxy --config FILE --check` names all mistakes of a file at once, each with its line, its path
and what would be right. `--print-config` prints the file with every default written out that is a value. AE
titles are compared case-sensitively, without leading and trailing spaces; what YAML would read as a number,
such as `104`, is written in quotes. Keys marked *reload* are followed on SIGHUP, by new associations; the
others need a restart.
"""
_LATER = """
## Not in this version

A file that names one of these is refused, so that nothing is ignored silently.

"""


def render() -> str:
    """The page, as Markdown."""
    tables: dict[Record[Any], list[str]] = {}
    later: list[str] = []
    for path, kind in _walk(FILE, ""):
        later.extend(f"- `{path}.{name}`" if path else f"- `{name}`" for name in kind.later)
        if isinstance(kind, Record):
            tables.setdefault(kind, []).append(path)
    sections = [f"\n## {_title(paths)}\n\n{_prose(of.of)}\n\n{_table(of)}" for of, paths in tables.items()]
    return _OPENING.format(shortest=SHORTEST) + "".join(sections) + _LATER + "\n".join(later) + "\n"


def _walk(kind: Record[Any] | Side[Any], path: str) -> Iterator[tuple[str, Record[Any] | Side[Any]]]:
    """Each record and each side, with its path; outer ones first."""
    yield path, kind
    if isinstance(kind, Side):
        for form, record in kind.forms.items():
            yield from _walk(record, f"{path}.{form}")
        return
    for name, _, described in keys_of(kind.of):
        for inner_path, inner in _inner(described.kind, f"{path}.{name}" if path else name):
            if isinstance(inner, (Record, Side)):
                yield from _walk(inner, inner_path)


def _inner(kind: AnyKind, path: str) -> Iterator[tuple[str, AnyKind]]:
    """What a mapping or a list is made of, or a choice between, and where that stands; any other kind is itself."""
    if isinstance(kind, MappingOf):
        yield f"{path}.{'TITLE' if isinstance(kind.name, AETitle) else 'NAME'}", kind.value
    elif isinstance(kind, ListOf):
        yield f"{path}[]", kind.element
    elif isinstance(kind, OneOf):
        yield from ((f"{path}.{form}", inner) for form, inner in kind.forms.items())
    else:
        yield path, kind


def _title(paths: list[str]) -> str:
    return " and ".join(f"`{path}`" for path in paths if path) or "The file"


def _prose(record: type[Any]) -> str:
    return inspect.cleandoc(record.__doc__ or "")


def _table(record: Record[Any]) -> str:
    rows = ["| key | what it is | value | default | example |", "|---|---|---|---|---|"]
    for name, attribute, described in keys_of(record.of):
        meaning = described.description + (" *Reload.*" if described.reloadable else "")
        rows.append(_row(name, meaning, described, _default(attribute, described)))
    return "\n".join(rows) + "\n"


def _row(name: str, meaning: str, described: Key, default: str) -> str:
    example = f"`{described.example}`" if described.example else ""
    cells = (f"`{name}`", meaning, described.kind.label, default, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(attribute: attrs.Attribute[Any], described: Key) -> str:
    if described.default is not None:
        return described.default
    if attribute.default is attrs.NOTHING:
        return "*required*"
    return f"`{_flow(described.kind.write(attribute.default))}`"


def _flow(plain: object) -> str:
    """Plain data as YAML on one line."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 1000
    stream = io.StringIO()
    yaml.dump(plain, stream)
    return stream.getvalue().removesuffix("...\n").strip()


if __name__ == "__main__":
    sys.stdout.write(render())
