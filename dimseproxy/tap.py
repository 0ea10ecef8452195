"""
`twistd dimseproxy`: the command line, and the service that it asks for.

What is not said here is imported where it is needed: twistd imports this module for every plugin's sake, also to print
its help, and the rest of the proxy takes many times as long as all of twistd.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions

if TYPE_CHECKING:
    from dimseproxy.config import Settings
    from dimseproxy.log import Log
    from dimseproxy.workers.part import Part


class Options(UsageOptions):
    """
    The command line of `twistd dimseproxy`.

    @ivar settings: what the configuration says.
    @ivar part: which worker this process is; None: it has no parent.
    """

    synopsis = "[options]"
    longdesc = "Relays DICOM associations between callers and archives, as its configuration says."
    optParameters = [  # noqa: RUF012
        ["config", "c", None, "The configuration file; see docs/reference/configuration.md."],
        ["privacy-report", None, None, "Print what the privacy policy of this name does to each attribute, and exit."],
    ]
    optFlags = [  # noqa: RUF012
        ["check", None, "Say what is wrong with the configuration, all of it, and exit."],
        ["print-config", None, "Print the configuration in effect, defaults included, and exit."],
    ]
    settings: Settings
    part: Part | None = None

    def opt_version(self) -> None:
        """Print the version and exit."""
        from dimseproxy import __version__

        print(f"dimseproxy {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        from dimseproxy.config import ConfigurationError, dump, load
        from dimseproxy.workers.orders import NoOrders, settings_from_parent
        from dimseproxy.workers.part import NoPart, Part

        if self["config"] == "":
            sys.exit("dimseproxy: --config names no file; without the option, the archive of an empty one is served")
        path = None if self["config"] is None else Path(self["config"])
        try:
            self.part = Part.from_environment(os.environ)
            self.settings = load(path) if self.part is None else settings_from_parent()
        except (ConfigurationError, NoPart, NoOrders) as error:
            sys.exit(str(error))
        if self["check"]:
            self._check(path)
        if self["print-config"]:
            print(dump(self.settings), end="")
            sys.exit(0)
        if self["privacy-report"] is not None:
            self._report(self["privacy-report"])

    def _check(self, path: Path | None) -> None:
        from dimseproxy.config import ConfigurationError
        from dimseproxy.readiness import mistakes_in_files

        mistakes = mistakes_in_files(self.settings)
        if mistakes:
            sys.exit(str(ConfigurationError(mistakes, path)))
        print("The configuration is valid.")
        sys.exit(0)

    def _report(self, name: str) -> None:
        from dimseproxy.policies import compiled
        from dimseproxy.privacy.report import privacy_report

        policies = self.settings.privacy
        if name not in policies:
            known = ", ".join(policies) or "none"
            sys.exit(f"dimseproxy: no privacy policy is called {name!r}; the configuration has: {known}")
        print(privacy_report(compiled(name, policies[name])), end="")
        sys.exit(0)


def makeService(options: Options) -> IService:
    """What twistd runs: the proxy, or where there are several workers their parent."""
    path = Path(options["config"]).absolute() if options["config"] else None
    logging = _log(options)
    if options.part is None and options.settings.workers > 1:
        from dimseproxy.workers.supervisor import Supervisor

        reactor = None if options.parent is None else options.parent.get("reactor")
        return Supervisor(options.settings, path, logging, options=[f"--reactor={reactor}"] if reactor else [])

    from dimseproxy.association.tls import TLSSettingsError
    from dimseproxy.errors import DimseProxyError
    from dimseproxy.service import ProxyService

    try:
        if options.part is not None:
            from dimseproxy.workers.subordinate import worker_service

            return worker_service(options.settings, options.part, logging)
        return ProxyService(options.settings, path, logging)
    except (DimseProxyError, TLSSettingsError, OSError) as error:
        sys.exit(f"dimseproxy: {error}")


def _log(options: Options) -> Log | None:
    """Where the log goes, unless twistd was told so itself."""
    twistd = options.parent
    if twistd is None or twistd.get("logger") or twistd.get("syslog"):
        return None
    from dimseproxy.log import Log, open_log

    settings = options.settings.log
    out = open_log(twistd.get("logfile"), bool(twistd.get("nodaemon")))
    return Log(out, settings.format, settings.level, None if options.part is None else options.part.number)
