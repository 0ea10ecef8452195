"""
What the proxy keeps, and has to open before it serves anybody: the database, the archive, and the policies' sources.

What is not there yet, such as a database that still starts, is tried again; whatever needs it fails meanwhile, and the
rest is served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.archives import Holdings, archive_of, database_of, destination_of, holdings_of, upkeep_of
from dimseproxy.association.interfaces import IOutbound
from dimseproxy.config import SAME_AS_CALLER, Settings
from dimseproxy.config.archive_settings import DispatchSettings
from dimseproxy.errors import DimseProxyError
from dimseproxy.outbound.archive.archive import Archive
from dimseproxy.outbound.archive.dispatch import Destination
from dimseproxy.outbound.archive.upkeep import Upkeep
from dimseproxy.policies import Policies
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.pseudonyms.interfaces import SourceUnavailable
from dimseproxy.relay.border import across
from dimseproxy.relay.privacy import Privacy
from dimseproxy.storage.errors import DatabaseUnavailable

log = Logger()

#: Seconds until what was not there is tried again.
RETRY_AFTER: Final = 5.0


@define
class _Kept:
    holdings: Holdings
    archive: Archive
    upkeep: Upkeep
    is_open: bool = False


class FolderRefused(DimseProxyError):
    """The folder of the archive cannot be used."""


class Keeping:
    """
    @param settings: what the configuration says.
    @param peer: how the outbound of a name is reached.
    @raise SourceRefused: a key, a certificate or a table cannot be used.
    @raise DatabaseRefused: the address of the database is none.
    """

    def __init__(self, settings: Settings, reactor: Any, peer: Callable[[str], IOutbound]) -> None:
        self._reactor = reactor
        self._database = database_of(settings, reactor) if settings.privacy or settings.archives else None
        self._policies = Policies(settings, reactor, self._database)
        self._archives: dict[str, _Kept] = {}
        for name, each in settings.archives.items():
            assert self._database is not None
            holdings = holdings_of(settings, each, self._database, reactor)
            archive = archive_of(holdings, reactor)
            destinations = [self._destination(settings, to, peer) for to in each.dispatch]
            self._archives[name] = _Kept(holdings, archive, upkeep_of(holdings, archive, reactor, destinations))
        self._retry: IDelayedCall | None = None
        self._is_stopped = False

    @property
    def privacy(self) -> Mapping[str, Privacy]:
        """The policies, by name."""
        return self._policies.privacy

    @property
    def outbounds(self) -> Mapping[str, IOutbound]:
        """The outbounds that answer from here, by name."""
        return {name: kept.archive.outbound for name, kept in self._archives.items()}

    def start(self) -> Deferred[None]:
        """
        Open everything, or as much as is there.

        @return: fails with `SourceRefused`, `DatabaseRefused` or `FolderRefused` where another attempt would not help.
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
            for kept in self._archives.values():
                if not kept.is_open:
                    await kept.holdings.index.start()
                    await _opened(kept)
                    kept.is_open = True
            if self._is_stopped:
                # Meanwhile: what was opened is closed by now, and nobody would close what is opened from here on.
                return
            await self._policies.start()
            for kept in self._archives.values():
                # Last: what is dispatched may cross a policy.
                await kept.upkeep.start()
        except (SourceUnavailable, DatabaseUnavailable) as error:
            log.warn("not everything can be opened, another attempt follows: {error}", error=str(error))
            self._later()

    def _later(self) -> None:
        if not self._is_stopped:
            self._retry = self._reactor.callLater(RETRY_AFTER, self._start_again)

    def _start_again(self) -> None:
        def refused(failure: Failure) -> None:
            # At first this ends the process. Now others are served, and what was late once may be so twice: a folder
            # that is not mounted yet.
            if failure.check(DimseProxyError, OSError):
                error = failure.getErrorMessage()
            else:
                # Without its words: its values may be somebody's.
                error = getattr(failure.type, "__name__", "unknown")
            log.critical("not everything can be opened, another attempt follows: {error}", error=error)
            self._later()

        self.start().addErrback(refused)

    async def _stop(self) -> None:
        for kept in self._archives.values():
            await kept.upkeep.stop()
        await self._policies.stop()
        for kept in self._archives.values():
            await kept.archive.stop()
        if self._database is not None:
            await self._database.stop()

    def _destination(self, settings: Settings, to: DispatchSettings, peer: Callable[[str], IOutbound]) -> Destination:
        outbound = settings.peers[to.to]
        reached = peer(to.to)
        if to.privacy is not None:
            reached = across(reached, self.privacy[to.privacy], Direction.TO_PSEUDONYMS, self._reactor)
        calling = outbound.calling_ae_title
        # Nobody calls: there is no other title to keep.
        calling = settings.ae_title if calling in (None, SAME_AS_CALLER) else calling
        return destination_of(to, reached, outbound.ae_title, calling or "")


async def _opened(kept: _Kept) -> None:
    """
    Open an archive, whose index is open.

    @raise FolderRefused: its folder cannot be used.
    """
    try:
        await kept.archive.start()
    except OSError as error:
        folder = kept.holdings.folder
        raise FolderRefused(f"the folder {folder} of the archive cannot be used: {error.strerror}") from error
