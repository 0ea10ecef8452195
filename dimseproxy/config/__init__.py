"""The configuration file, read into frozen settings.

`load` reads a file and reports all of its mistakes at once; `dump` writes the settings in effect. Each key is
described once, on its field in `settings`; reading, checking, printing and the reference follow from there.
"""

from __future__ import annotations

from dimseproxy.config.archive_settings import (
    ArchiveSettings,
    DispatchSettings,
    RetentionSettings,
    WatermarkSettings,
)
from dimseproxy.config.frozen_mapping import FrozenMapping
from dimseproxy.config.load import diff_reload, dump, load
from dimseproxy.config.mistakes import ConfigurationError, Mistake
from dimseproxy.config.places import SQLITE
from dimseproxy.config.pool_settings import PoolSettings
from dimseproxy.config.privacy_settings import (
    BasicAuth,
    BearerAuth,
    BlankSettings,
    CacheSettings,
    CsvSettings,
    GpasSettings,
    MiiSettings,
    PrivacySettings,
    Secret,
    SourceSettings,
    VaultSettings,
)
from dimseproxy.config.reload import merged
from dimseproxy.config.settings import (
    SAME_AS_CALLER,
    SERVICES,
    Application,
    DimseInbound,
    DimseOutbound,
    LogSettings,
    OutboundSettings,
    Route,
    Settings,
    Timeouts,
)
from dimseproxy.config.tls_settings import ClientTLS, ServerTLS

__all__ = [
    "SAME_AS_CALLER",
    "SERVICES",
    "SQLITE",
    "Application",
    "ArchiveSettings",
    "BasicAuth",
    "BearerAuth",
    "BlankSettings",
    "CacheSettings",
    "ClientTLS",
    "ConfigurationError",
    "CsvSettings",
    "DimseInbound",
    "DimseOutbound",
    "DispatchSettings",
    "FrozenMapping",
    "GpasSettings",
    "LogSettings",
    "MiiSettings",
    "Mistake",
    "OutboundSettings",
    "PoolSettings",
    "PrivacySettings",
    "RetentionSettings",
    "Route",
    "Secret",
    "ServerTLS",
    "Settings",
    "SourceSettings",
    "Timeouts",
    "VaultSettings",
    "WatermarkSettings",
    "diff_reload",
    "dump",
    "load",
    "merged",
]
