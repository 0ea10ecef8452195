"""What a reload (SIGHUP) brings into effect, and what it leaves to a restart."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from dimseproxy.config import Settings, diff_reload, load, merged

log = Logger()


def read_again(old: Settings, path: Path | None) -> Settings:
    """
    Read the configuration again; what has changed and waits for a restart is named in the log.

    @return: the settings in effect from now on.
    @raise ConfigurationError: there is a mistake, or what is new cannot do without a restart.
    """
    new = load(path, old)
    needs_restart = diff_reload(old, new)
    if needs_restart:
        log.warn("reload: a restart is needed for {changed}", changed=", ".join(needs_restart))
    return merged(old, new)
