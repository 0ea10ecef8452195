"""
What a reload makes of two configurations: some keys of the new one, and beside them what goes on running.

The new one may be right by itself and yet not beside the listeners, outbounds and policies that run: routes under a
policy would lead to an outbound that delivers past it, callers be let in whom only new listeners keep out.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from dimseproxy.config.check import check_together, outbounds_of
from dimseproxy.config.document import Node
from dimseproxy.config.mistakes import Mistake, did_you_mean
from dimseproxy.config.reading import Reading
from dimseproxy.config.settings import Settings
from dimseproxy.config.shapes import keys_of

#: The keys that a reload follows as a whole.
_FOLLOWED: Final = frozenset(name for name, _, key in keys_of(Settings) if key.reloadable)


def merged(running: Settings, new: Settings) -> Settings:
    """What is in effect after a reload."""
    followed = {name: getattr(new, name) for name in _FOLLOWED}
    return attrs.evolve(running, log=attrs.evolve(running.log, level=new.log.level), **followed)


def check_beside(running: Node, new: Node, reading: Reading) -> None:
    """
    Note what is wrong with what a reload would bring into effect.

    @param running: the settings in effect, as a file would say them.
    @param new: the new file, which has no mistake by itself.
    """
    beside = Reading(reading.folder)
    check_together(running.replaced(new, _FOLLOWED), beside)
    _check_routes_left_out(running, new, beside)
    reading.mistakes.extend(map(_of_both, beside.mistakes))


def _check_routes_left_out(running: Node, new: Node, reading: Reading) -> None:
    """Routes that are left out lead to the outbound of the new file."""
    if new.get("routes") is None:
        there = outbounds_of(running)
        for name in sorted(outbounds_of(new) - there):
            text = f"are left out, and lead to the outbound `{name}`, which is not there: {did_you_mean(name, there)}"
            reading.mistakes.append(Mistake("routes", text))


def _of_both(mistake: Mistake) -> Mistake:
    """What is at fault is written in the new file, or runs: that has no line."""
    key = re.split(r"[.\[]", mistake.path)[0]
    text = f"{mistake.text} (with what runs until a restart)"
    return Mistake(mistake.path, text, mistake.line if key in _FOLLOWED else None)
