"""From a file to settings, from settings to YAML, and from one to the next."""

from __future__ import annotations

import io
import math
from pathlib import Path

from ruamel.yaml import YAML

from dimseproxy.config.check import check, resolve
from dimseproxy.config.document import Node, NotYAML, compose
from dimseproxy.config.mistakes import ConfigurationError, Mistake
from dimseproxy.config.reading import Reading, Refused
from dimseproxy.config.reload import check_beside
from dimseproxy.config.schema import FILE
from dimseproxy.config.settings import Settings


def load(path: Path | None, running: Settings | None = None) -> Settings:
    """The settings that a file says; None stands for an empty file.

    Relative paths in the file count from its folder, and become absolute. `running`, at a reload: what the file must
    go together with. Raises `ConfigurationError` with all mistakes, in the order of the file.
    """
    if path is None:
        return parse(b"", Path.cwd(), None, running)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([Mistake("", f"cannot be read: {error.strerror}")], path) from error
    # The folder of the path as it was given: behind a symbolic link, the neighbours are those of the link.
    return parse(content, path.absolute().parent, path, running)


def parse(content: bytes, folder: Path, source: Path | None = None, running: Settings | None = None) -> Settings:
    """As `load`, from a file's content. Relative paths count from `folder`; `source` is for messages."""
    try:
        root = compose(content)
    except NotYAML as fault:
        raise ConfigurationError([fault.mistake], source) from fault
    reading = Reading(folder)
    settings = _read(root or _EMPTY, reading)
    if settings is not None and not reading.mistakes:
        settings = resolve(settings, root or _EMPTY, folder)
        if running is not None:
            _check_reload(running, settings, root, reading)
    if settings is None or reading.mistakes:
        found = sorted(reading.mistakes, key=lambda mistake: math.inf if mistake.line is None else mistake.line)
        raise ConfigurationError(found, source)
    return settings


def _check_reload(running: Settings, settings: Settings, root: Node | None, reading: Reading) -> None:
    as_written = compose(dump(running).encode())
    assert as_written is not None
    if root is None and settings != running:
        # Cut off while it was written, most likely: nobody means to open what is protected by a reload.
        reading.mistakes.append(Mistake("", "is empty, and what runs is not: start again if that is what you want"))
    else:
        check_beside(as_written, root or _EMPTY, reading)


def _read(root: Node, reading: Reading) -> Settings | None:
    try:
        settings = FILE.read(root, reading)
    except Refused:
        return None
    check(root, reading)
    return settings


def dump(settings: Settings) -> str:
    """The settings as a YAML file, defaults written out. `load` makes equal settings of it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.allow_unicode = True
    yaml.width = 1000
    stream = io.StringIO()
    yaml.dump(FILE.write(settings), stream)
    return stream.getvalue()


def diff_reload(old: Settings, new: Settings) -> tuple[str, ...]:
    """The paths of what changed and waits for a restart, because a reload cannot follow it."""
    return FILE.differences(old, new, "")


def _empty() -> Node:
    root = compose(b"{}")
    assert root is not None
    return root


_EMPTY = _empty()
