"""
What the proxy keeps, and has to open before it serves anybody: the database, the archive, and the policies' sources.

What is not there yet, such as a database that still starts, is tried again; whatever needs it fails meanwhile, and the
rest is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from dimseproxy.archives import Holdings, archive_of, database_of, holdings_of
from dimseproxy.association.interfaces import IOutbound
from dimseproxy.config import Settings
from dimseproxy.outbound.archive.archive import Archive
from dimseproxy.policies import Policies
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.relay.privacy import Privacy
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable

log = Logger()

#: Seconds until what was not there is tried again.
RETRY_AFTER: Final = 5.0

#: What no second attempt mends.
FATAL: Final = (SourceRefused, DatabaseRefused, OSError)


class Keeping:
    """
    @param settings: what the configuration says.
    @raise SourceRefused: a key, a certificate or a table cannot be used.
    @raise DatabaseRefused: the address of the database is none.
    """

    def __init__(self, settings: Settings, reactor: Any) -> None:
        self._reactor = reactor
        self._database = database_of(settings, reactor) if settings.privacy or settings.archives else None
        self._policies = Policies(settings, reactor, self._database)
        self._archives: dict[str, tuple[Holdings, Archive]] = {}
        for name, each in settings.archives.items():
            assert self._database is not None
            holdings = holdings_of(settings, each, self._database, reactor)
            self._archives[name] = holdings, archive_of(holdings, reactor)
        self._retry: IDelayedCall | None = None
        self._is_stopped = False

    @property
    def privacy(self) -> Mapping[str, Privacy]:
        """The policies, by name."""
        return self._policies.privacy

    @property
    def outbounds(self) -> Mapping[str, IOutbound]:
        """The outbounds that answer from here, by name."""
        return {name: archive.outbound for name, (_, archive) in self._archives.items()}

    def start(self) -> Deferred[None]:
        """
        Open everything, or as much as is there.

        @return: fails with one of `FATAL` where another attempt would not help.
        """
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """Let what is under way end, and close everything; no association may be left."""
        self._is_stopped = True
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            if self._database is not None:
                await self._database.start()
            for holdings, archive in self._archives.values():
                await holdings.index.start()
                await archive.start()
            await self._policies.start()
        except (SourceUnavailable, DatabaseUnavailable) as error:
            log.warn("not everything can be opened, another attempt follows: {error}", error=str(error))
            if not self._is_stopped:
                self._retry = self._reactor.callLater(RETRY_AFTER, self._start_again)

    def _start_again(self) -> None:
        def refused(failure: Any) -> None:
            log.critical("not everything can be opened: {error}", error=failure.getErrorMessage())

        self.start().addErrback(refused)

    async def _stop(self) -> None:
        await self._policies.stop()
        for _, archive in self._archives.values():
            await archive.stop()
        if self._database is not None:
            await self._database.stop()
