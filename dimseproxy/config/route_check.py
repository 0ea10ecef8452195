"""Whether each route can take anybody: one that cannot was meant to, and under its policy perhaps."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any, Final

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import IPNetwork
from dimseproxy.config.mistakes import did_you_mean
from dimseproxy.config.reading import Reading, Refused
from dimseproxy.config.settings import Route, Settings
from dimseproxy.config.shapes import keys_of

_ROUTES: Final = next(key.kind for name, _, key in keys_of(Settings) if name == "routes")


def check_routes(root: Node, inbounds: frozenset[str], applications: frozenset[str], reading: Reading) -> None:
    """
    Note the routes that take nobody.

    @param applications: the only ones that may call; empty: others may, too.
    """
    node = root.get("routes")
    routes = () if node is None else _read(node, reading)
    for index, route in enumerate(routes):
        assert node is not None
        where = list(node.items())[index]
        before = next((at for at in range(index) if _covers(routes[at], route, inbounds)), None)
        if before is not None:
            text = f"is never reached: routes[{before}] takes all that it would, write that one after it"
            reading.note(where, text)
        if applications and not _is_pattern(route.calling) and route.calling not in applications:
            text = f"`{route.calling}` is no application, and others are refused: "
            reading.note(where.get("calling") or where, text + did_you_mean(route.calling, applications))


def _read(node: Node, reading: Reading) -> tuple[Route, ...]:
    """The routes, or none where one is wrong by itself: that was noted."""
    aside = Reading(reading.folder)
    try:
        routes: Any = _ROUTES.read(node, aside)
    except Refused:
        return ()
    return () if aside.mistakes else routes


def _covers(first: Route, second: Route, inbounds: frozenset[str]) -> bool:
    """Whether a route takes everything that another one would."""
    called = [name for name in inbounds if fnmatchcase(name, second.inbound)]
    return (
        # One that names no inbound is another mistake.
        bool(called)
        and all(fnmatchcase(name, first.inbound) for name in called)
        and _takes_pattern(first.called, second.called)
        and _takes_pattern(first.calling, second.calling)
        and _takes_networks(first.from_, second.from_)
        and (not first.services or (bool(second.services) and second.services <= first.services))
    )


def _takes_pattern(first: str, second: str) -> bool:
    if first == second:
        return True
    # A `?` or a bracket takes a character of a title, not of another pattern; a `*` takes both.
    return fnmatchcase(second, first) and not (re.search(r"[?[]", first) and _is_pattern(second))


def _takes_networks(first: tuple[IPNetwork, ...], second: tuple[IPNetwork, ...]) -> bool:
    if not first:
        return True
    return bool(second) and all(any(_within(inner, outer) for outer in first) for inner in second)


def _within(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version


def _is_pattern(title: str) -> bool:
    return re.search(r"[*?[]", title) is not None
