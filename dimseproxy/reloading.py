"""What a reload (SIGHUP) brings into effect, and what it leaves to a restart."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.logger import Logger

from dimseproxy.config import ConfigurationError, Mistake, Settings, diff_reload, load

log = Logger()


def read_again(old: Settings, path: Path | None) -> Settings:
    """
    Read the configuration again; what has changed and waits for a restart is named in the log.

    @return: the settings in effect from now on.
    @raise ConfigurationError: there is a mistake, or what is new cannot do without a restart.
    """
    new = load(path)
    needs_restart = diff_reload(old, new)
    if needs_restart:
        log.warn("reload: a restart is needed for {changed}", changed=", ".join(needs_restart))
    return _merged(old, new)


def _merged(old: Settings, new: Settings) -> Settings:
    """
    What a reload brings into effect.

    @raise ConfigurationError: where a new route leads to an outbound, or under a policy, that a restart would bring.
    """
    mistakes = tuple(
        Mistake(f"routes[{index}].outbound", f"{route.outbound!r} is new and needs a restart first")
        for index, route in enumerate(new.routes)
        if route.outbound not in old.outbound
    ) + tuple(
        Mistake(f"routes[{index}].privacy", f"{route.privacy!r} is new and needs a restart first")
        for index, route in enumerate(new.routes)
        if route.privacy is not None and route.privacy not in old.privacy
    )
    if mistakes:
        raise ConfigurationError(mistakes)
    return evolve(
        old,
        routes=new.routes,
        applications=new.applications,
        unknown_applications=new.unknown_applications,
        log=evolve(old.log, level=new.log.level),
    )
