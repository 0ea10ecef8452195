"""What a source of pseudonyms is to those who use one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Interface

from dimseproxy.errors import DimseProxyError
from dimseproxy.privacy.identity import Identity


class SourceUnavailable(DimseProxyError):
    """The source cannot answer now; asking again later may help.  The message carries no identity."""


class SourceRefused(DimseProxyError):
    """The source answered with what cannot be used: asking again does not help.  The message carries no identity."""


@frozen
class Pseudonyms:
    """
    The answer of a source.

    @ivar values: original to pseudonym; every original that was asked for, or there is no answer at all.
    @ivar kept: fires when all of this is durable; success is reported to nobody before.  None where it is already.
        It may fail with `SourceUnavailable`.
    """

    values: Mapping[Identity, str] = field(repr=False)
    kept: Deferred[None] | None = None


class IPseudonyms(Interface):
    """
    A source of pseudonyms, batch by nature.  Answers that are known already come in a `Deferred` that has fired.
    """

    def start() -> Deferred[None]:
        """Make ready: open, connect, check.  Fails with `SourceUnavailable` or `SourceRefused`."""

    def stop() -> Deferred[None]:
        """Finish what is under way and let go of everything."""

    def pseudonyms_of(originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        """
        The pseudonyms of originals, created where there are none yet.

        @return: fails with `SourceUnavailable` or `SourceRefused`; within the source's own deadline in any case.
        """

    def originals_of(pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        """
        The originals of pseudonyms, by pseudonym; what is nobody's pseudonym is not in the answer.

        @return: fails as `pseudonyms_of` does.
        """
