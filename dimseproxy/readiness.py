"""
What a start would find wrong though the configuration is right by itself: certificates, keys, tables, a package.

Nothing is opened that is not a file, and nothing is made; so the network, and who is at its other end, are not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from twisted.internet import reactor

from dimseproxy.archives import database_of
from dimseproxy.config import CsvSettings, Mistake, PrivacySettings, Settings
from dimseproxy.errors import DimseProxyError
from dimseproxy.policies import compiled, own_key_file
from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.csv_table import check_together, read_table
from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import keys_from_file
from dimseproxy.pseudonyms.validity import Use, use_of
from dimseproxy.secrets import keys_of
from dimseproxy.wiring import creator_of_client, creator_of_server, host_of

#: Does what the start does with one key of the configuration.
_Attempt = Callable[[], object]


def mistakes_in_files(settings: Settings) -> tuple[Mistake, ...]:
    """All that a start would refuse, each with the path of its key."""
    found: list[Mistake] = []
    for path, attempt in _attempts(settings):
        try:
            attempt()
        except (DimseProxyError, OSError) as error:
            found.append(Mistake(path, str(error)))
    return tuple(found)


def _attempts(settings: Settings) -> Iterator[tuple[str, _Attempt]]:
    yield from _contexts(settings)
    if settings.privacy or settings.archives:
        yield "database", partial(database_of, settings, reactor)
    for name, archive in settings.archives.items():
        if archive.key is not None:
            yield f"outbound.{name}.archive.key", partial(keys_of, archive.key)
    own = own_key_file(settings)
    if own.exists() and any(policy.key is None for policy in settings.privacy.values()):
        yield "privacy", partial(keys_from_file, own)
    for name, policy in settings.privacy.items():
        yield from _of_policy(f"privacy.{name}", name, policy)


def _contexts(settings: Settings) -> Iterator[tuple[str, _Attempt]]:
    for name, inbound in settings.inbound.items():
        if inbound.tls is not None:
            yield f"inbound.{name}.dimse.tls", partial(creator_of_server, inbound.tls)
    for name, peer in settings.peers.items():
        if peer.tls is not None:
            yield f"outbound.{name}.dimse.tls", partial(creator_of_client, peer.tls, host_of(peer.connect))
    for title, application in settings.applications.items():
        if application.tls is not None:
            yield f"applications.{title}.tls", partial(creator_of_client, application.tls, application.host)


def _of_policy(path: str, name: str, policy: PrivacySettings) -> Iterator[tuple[str, _Attempt]]:
    yield path, partial(compiled, name, policy)
    if policy.key is not None:
        yield f"{path}.key", partial(keys_of, policy.key)
    if isinstance(policy.pseudonyms, CsvSettings):
        for kind, file in policy.pseudonyms.files.items():
            yield f"{path}.pseudonyms.csv.{kind}", partial(read_table, file, use_of(Kind(kind)))
        yield f"{path}.pseudonyms.csv", partial(_check_together, policy.pseudonyms)


def _check_together(settings: CsvSettings) -> None:
    tables = {}
    for kind, file in settings.files.items():
        if Kind(kind).is_uid:
            # What is wrong with one by itself is said of it.
            with suppress(SourceRefused):
                tables[file] = read_table(file, Use.UID)
    check_together(tables)
