"""The configuration file, read into frozen settings.

`load` reads a file and reports all of its mistakes at once; `dump` writes the settings in effect. Each key is
described once, on its field in `settings`; reading, checking, printing and the reference follow from there.
"""

from __future__ import annotations

from dimseproxy.config.frozen_mapping import FrozenMapping
from dimseproxy.config.load import diff_reload, dump, load
from dimseproxy.config.mistakes import ConfigurationError, Mistake
from dimseproxy.config.settings import (
    SAME_AS_CALLER,
    SERVICES,
    Application,
    DimseInbound,
    DimseOutbound,
    LogSettings,
    Route,
    Settings,
    Timeouts,
)
from dimseproxy.config.tls_settings import ClientTLS, ServerTLS

__all__ = [
    "SAME_AS_CALLER",
    "SERVICES",
    "Application",
    "ClientTLS",
    "ConfigurationError",
    "DimseInbound",
    "DimseOutbound",
    "FrozenMapping",
    "LogSettings",
    "Mistake",
    "Route",
    "ServerTLS",
    "Settings",
    "Timeouts",
    "diff_reload",
    "dump",
    "load",
]
