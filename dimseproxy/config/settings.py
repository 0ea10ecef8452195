"""The settings: what the configuration file says, as frozen values.

Each field describes its key: kind, meaning, default, example. There is no other description. AE titles are
held without padding and compared case-sensitively.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from attrs import field, frozen

from dimseproxy.config.archive_settings import ARCHIVE, ArchiveSettings
from dimseproxy.config.certificates import CertificateIdentity
from dimseproxy.config.document import Node
from dimseproxy.config.endpoints import CONNECT_EXAMPLE, LISTEN_EXAMPLE, ConnectString, ListenString
from dimseproxy.config.frozen_mapping import FrozenMapping, freeze
from dimseproxy.config.kinds import (
    AETitle,
    AETitleGlob,
    AETitleOr,
    Choice,
    Flag,
    Host,
    IPNetwork,
    Name,
    NameGlob,
    Network,
    Seconds,
    Whole,
    one_of,
)
from dimseproxy.config.places import SQLITE, DatabaseAddress, FolderPath
from dimseproxy.config.pool_settings import POOL, PoolSettings
from dimseproxy.config.privacy_check import PRIVACY
from dimseproxy.config.privacy_settings import PrivacySettings
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import ListOf, MappingOf, Record, SetOf, Side, setting
from dimseproxy.config.tls_settings import CLIENT_TLS, SERVER_TLS, ClientTLS, ServerTLS

SAME_AS_CALLER: Final = "same"
DATA_DIR: Final = Path("dimseproxy-data")
SERVICES: Final = ("echo", "store", "find", "move", "get", "worklist", "mpps", "commit", "print", "other")

_MAX_PDU_LENGTH = Whole(1024, 16 * 1024 * 1024)
_MAX_PDU_LENGTH_MEANS = "The largest PDU this leg asks its peer to send, in bytes (PS3.8 D.1)."
_ANYWHERE = "leave the key out for any"
_PLAIN = "no TLS"


@frozen(kw_only=True)
class DimseInbound:
    """A DICOM listener: what callers connect to."""

    listen: str = field(
        default=LISTEN_EXAMPLE,
        metadata=setting(
            ListenString(),
            "Where to listen. Prefix `haproxy:` behind a load balancer that speaks the PROXY protocol.",
            example='"haproxy:tcp:11112:interface=10.0.0.5"',
        ),
    )
    tls: ServerTLS | None = field(
        default=None,
        metadata=setting(
            SERVER_TLS,
            "TLS towards callers.",
            example="{certificate: server.pem, key: server.key, client_ca: ca.pem}",
            default=_PLAIN,
        ),
    )
    max_associations: int = field(
        default=500,
        metadata=setting(Whole(1, 100_000), "One association more is rejected (local limit exceeded).", example="500"),
    )
    max_pdu_length: int = field(
        default=131072, metadata=setting(_MAX_PDU_LENGTH, _MAX_PDU_LENGTH_MEANS, example="131072")
    )
    user_identity: bool = field(
        default=True,
        metadata=setting(
            Flag(),
            "Whether the caller's user identity (PS3.7 D.3.3.7) is relayed, or dropped.",
            example="true",
        ),
    )


@frozen(kw_only=True)
class DimseOutbound:
    """A DICOM peer, such as a PACS, that answers what is relayed to it."""

    connect: str = field(metadata=setting(ConnectString(), "Where the peer listens.", example=f'"{CONNECT_EXAMPLE}"'))
    ae_title: str = field(metadata=setting(AETitle(), "The called AE title there.", example="ORTHANC"))
    calling_ae_title: str | None = field(
        default=None,
        metadata=setting(
            AETitleOr(label="an AE title, or `same` to keep the caller's", word=SAME_AS_CALLER),
            "What the peer is called as.",
            example="same",
            default="the `ae_title` of the proxy",
        ),
    )
    retrieve: Literal["as-asked", "get", "move"] = field(
        default="as-asked",
        metadata=setting(
            one_of("as-asked", "get", "move"),
            "What retrieves are translated to, for a peer that lacks C-GET or C-MOVE.",
            example="move",
        ),
    )
    deliver: Literal["through", "direct"] = field(
        default="through",
        metadata=setting(
            one_of("through", "direct"),
            "How the objects of a C-MOVE reach the application it names: through the proxy, which is then "
            "the only destination the peer must know, or directly.",
            example="through",
        ),
    )
    move_titles: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            ListOf(AETitle()),
            "Further AE titles of the proxy that the peer knows as destinations, leased to C-MOVEs that "
            "would otherwise be hard to tell apart.",
            example="[DIMSEPROXY1, DIMSEPROXY2]",
        ),
    )
    from_: tuple[IPNetwork, ...] = field(
        default=(),
        metadata=setting(
            ListOf(Network()),
            "Where its deliveries come from, besides the host of `connect`.",
            example="[10.0.0.0/8]",
        ),
    )
    tls: ClientTLS | None = field(
        default=None,
        metadata=setting(CLIENT_TLS, "TLS towards the peer.", example="{ca: ca.pem}", default=_PLAIN),
    )
    pool: PoolSettings | None = field(
        default=None,
        metadata=setting(
            POOL,
            "Associations that are kept after their release, so that a caller who opens one for each object costs the "
            "peer none; `{}` keeps as many as below.",
            example="{size: 20, idle: 10}",
            default="each is released when its caller releases",
        ),
    )
    max_associations: int | None = field(
        default=None,
        metadata=setting(
            Whole(1, 100_000),
            "How many associations the peer has from the proxy at most, idle ones included. Further callers wait, each "
            "calling AE title and host with a turn of its own.",
            example="10",
            default="any number",
        ),
    )
    max_operations: int | None = field(
        default=None,
        metadata=setting(
            Whole(1, 100_000),
            "How many requests the peer works on at once, over all associations. Further ones wait; turns as above.",
            example="4",
            default="any number",
        ),
    )
    wait: float = field(
        default=10.0,
        converter=float,
        metadata=setting(
            Seconds(),
            "How long a caller waits for one of `max_associations`, in seconds; then it is rejected.",
            example="25",
        ),
    )
    max_pdu_length: int = field(
        default=131072, metadata=setting(_MAX_PDU_LENGTH, _MAX_PDU_LENGTH_MEANS, example="131072")
    )


@frozen(kw_only=True)
class Application:
    """A DICOM application that may call, and that a C-MOVE may name as its destination."""

    host: str = field(metadata=setting(Host(), "Where it runs, and calls from.", example="127.0.0.1"))
    port: int = field(metadata=setting(Whole(1, 65535), "Where it listens for objects.", example="11115"))
    may: frozenset[str] = field(
        default=frozenset(SERVICES),
        converter=frozenset,
        metadata=setting(
            SetOf(SERVICES), "The services that it may ask for.", example="[echo, find, move]", default="all"
        ),
    )
    from_: tuple[IPNetwork, ...] = field(
        default=(),
        metadata=setting(ListOf(Network()), "Where it calls from, besides `host`.", example="[10.0.0.0/8, 192.0.2.7]"),
    )
    tls: ClientTLS | None = field(
        default=None,
        metadata=setting(CLIENT_TLS, "TLS when objects are delivered to it.", example="{ca: ca.pem}", default=_PLAIN),
    )
    certificate: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            ListOf(CertificateIdentity()),
            "Its certificate must carry one of these: a DNS name, a common name, or a fingerprint.",
            example="[modality1.example.org]",
            default="any that the listener trusts",
        ),
    )


@frozen(kw_only=True)
class Route:
    """Where associations go. The first route that matches in every key wins; none that matches is a refusal.

    Patterns: `*` any characters, `?` any one, `[AB]` one of these, `[!AB]` one of the others. Upper and lower
    case differ.
    """

    inbound: str = field(
        default="*",
        metadata=setting(NameGlob(), "The name of the inbound that was called.", example="clinic"),
    )
    called: str = field(default="*", metadata=setting(AETitleGlob(), "The called AE title.", example='"PACS*"'))
    calling: str = field(default="*", metadata=setting(AETitleGlob(), "The calling AE title.", example='"CT[12]"'))
    from_: tuple[IPNetwork, ...] = field(
        default=(),
        metadata=setting(
            ListOf(Network(), never_empty=_ANYWHERE),
            "Where the caller's address lies.",
            example="[10.0.0.0/8]",
            default="anywhere",
        ),
    )
    services: frozenset[str] = field(
        default=frozenset(),
        converter=frozenset,
        metadata=setting(
            SetOf(SERVICES, never_empty=_ANYWHERE),
            "What the presentation contexts ask for.",
            example="[worklist, mpps]",
            default="any",
        ),
    )
    outbound: str = field(metadata=setting(Name(), "The name of the outbound that answers.", example="pacs"))
    privacy: str | None = field(
        default=None,
        metadata=setting(
            Name(),
            "The name of the privacy policy under which everything crosses.",
            example="research",
            default="none: identities cross unchanged",
        ),
    )


@frozen(kw_only=True)
class Timeouts:
    """Deadlines, in seconds. Whoever misses one loses the association, and nobody else notices."""

    connect: float = field(
        default=10.0,
        converter=float,
        metadata=setting(Seconds(), "To open the outbound leg, TLS included.", example="5"),
    )
    artim: float = field(
        default=30.0,
        converter=float,
        metadata=setting(
            Seconds(),
            "From accepting a caller to its request, and to close at the end (PS3.8 9.1.5).",
            example="10",
        ),
    )
    pdu: float = field(
        default=60.0,
        converter=float,
        metadata=setting(Seconds(), "From a PDU's first byte to its last.", example="30"),
    )
    stall: float = field(
        default=60.0,
        converter=float,
        metadata=setting(
            Seconds(),
            "For a peer to take what waits for it, at a minimum rate (1 KiB/s, or a whole buffer over TLS).",
            example="120",
        ),
    )
    dimse: float = field(
        default=600.0,
        converter=float,
        metadata=setting(Seconds(), "From a DIMSE request to its next response.", example="300"),
    )
    idle: float = field(
        default=900.0,
        converter=float,
        metadata=setting(Seconds(), "Of silence on an established association.", example="3600"),
    )
    drain: float = field(
        default=30.0,
        converter=float,
        metadata=setting(Seconds(), "For running messages to finish once the proxy is told to stop.", example="120"),
    )


@frozen(kw_only=True)
class LogSettings:
    """The log: association numbers, AE titles, SOP classes, sizes and statuses; never an identity."""

    format: Literal["text", "json"] = field(
        default="text",
        metadata=setting(one_of("text", "json"), "Lines to read, or one JSON object a line.", example="json"),
    )
    level: Literal["debug", "info", "warn", "error"] = field(
        default="info",
        metadata=setting(
            one_of("debug", "info", "warn", "error"),
            "What is less than this is left out.",
            example="warn",
            reloadable=True,
        ),
    )


#: What serves where no outbound is named.
DEFAULT_OUTBOUND: Final = "archive"

OutboundSettings = DimseOutbound | ArchiveSettings

_INBOUND: Final[Side[DimseInbound]] = Side(
    {"dimse": Record(DimseInbound, "a DICOM listener")},
    later={
        "dicomweb": "only `dimse` listeners are, take it out",
        "nats": "only `dimse` listeners are, take it out",
    },
)


def _check_dimse_outbound(outbound: DimseOutbound, node: Node, reading: Reading) -> None:
    if outbound.retrieve == "get" and outbound.max_associations == 1:
        reading.note(
            node.get("max_associations") or node,
            "is too few with `retrieve: get`, which asks for the objects of a C-MOVE on a second association: write 2",
        )


_OUTBOUND: Final[Side[OutboundSettings]] = Side(
    {"dimse": Record(DimseOutbound, "a DICOM peer", check=_check_dimse_outbound), "archive": ARCHIVE},
    later={
        "dicomweb": "only `dimse` and `archive` are, take it out",
        "nats": "only `dimse` and `archive` are, take it out",
        "spool": "nothing would be spooled, an `archive` with `dispatch` keeps and sends",
    },
)
_ROUTE = Record(Route, "a route")


# mypy cannot infer the type of a generic converter, so each mapping has one of its own.
def _freeze_inbound(entries: Mapping[str, DimseInbound]) -> Mapping[str, DimseInbound]:
    return freeze(entries)


def _freeze_outbound(entries: Mapping[str, OutboundSettings]) -> Mapping[str, OutboundSettings]:
    return freeze(entries)


def _freeze_privacy(entries: Mapping[str, PrivacySettings]) -> Mapping[str, PrivacySettings]:
    return freeze(entries)


def _freeze_applications(entries: Mapping[str, Application]) -> Mapping[str, Application]:
    return freeze(entries)


@frozen(kw_only=True)
class Settings:
    """The whole file. An empty one serves an archive to this machine."""

    ae_title: str = field(
        default="DIMSEPROXY",
        metadata=setting(
            AETitle(),
            "The proxy's own AE title: what outbounds are called with and told to move to.",
            example="DIMSEPROXY",
        ),
    )
    data_dir: Path = field(
        default=DATA_DIR,
        metadata=setting(
            FolderPath(),
            "The folder in which the proxy keeps things; created where it is needed.",
            example="/var/lib/dimseproxy",
            default="`dimseproxy-data` beside the configuration",
        ),
    )
    database: str = field(
        default=SQLITE,
        repr=False,
        metadata=setting(
            DatabaseAddress(),
            "Where the vault and the archive's index are: a file in `data_dir`, or PostgreSQL, which several proxies "
            "can share.",
            example="postgresql+psycopg://dimseproxy@db.example.org/dimseproxy",
        ),
    )
    workers: int = field(
        default=1,
        metadata=setting(
            Whole(1, 128),
            "Processes that share the listeners, to use more than one core. More than one needs `tcp:` listeners.",
            example="4",
        ),
    )
    inbound: Mapping[str, DimseInbound] = field(
        default=FrozenMapping({"default": DimseInbound()}),
        converter=_freeze_inbound,
        metadata=setting(
            MappingOf(Name(), _INBOUND, never_empty="name at least one, or leave the key out"),
            "The listeners, each under a name of its own.",
            example=f'{{clinic: {{dimse: {{listen: "{LISTEN_EXAMPLE}"}}}}}}',
            default=f"one called `default` on `{LISTEN_EXAMPLE}`",
        ),
    )
    outbound: Mapping[str, OutboundSettings] = field(
        default=FrozenMapping({DEFAULT_OUTBOUND: ArchiveSettings()}),
        converter=_freeze_outbound,
        metadata=setting(
            MappingOf(Name(), _OUTBOUND, never_empty="name at least one, or leave the key out and get an archive"),
            "What answers: peers, or an archive of the proxy's own, each under a name of its own.",
            default=f"an archive called `{DEFAULT_OUTBOUND}`",
            example=f'{{pacs: {{dimse: {{connect: "{CONNECT_EXAMPLE}", ae_title: ORTHANC}}}}}}',
        ),
    )
    applications: Mapping[str, Application] = field(
        default=FrozenMapping(),
        converter=_freeze_applications,
        metadata=setting(
            MappingOf(AETitle(), Record(Application, "an application")),
            "The DICOM applications that may call and that a C-MOVE may name, each under its AE title.",
            example="{CLIENT: {host: 127.0.0.1, port: 11115}}",
            default="none",
            reloadable=True,
        ),
    )
    unknown_applications: bool = field(
        default=False,
        metadata=setting(
            Choice({"accept": True, "refuse": False}),
            "What callers get that are not among `applications`.",
            example="refuse",
            default="`refuse`; where no applications are named either: `accept` if only this machine "
            "reaches the listeners, else no start",
            reloadable=True,
        ),
    )
    routes: tuple[Route, ...] = field(
        default=(),
        metadata=setting(
            ListOf(_ROUTE, never_empty="every association would be rejected, name at least one route"),
            "Where associations go; the first match wins.",
            example="[{called: ARCHIVE, outbound: pacs}]",
            default="everything to the one outbound; with several there is no default",
            reloadable=True,
        ),
    )
    privacy: Mapping[str, PrivacySettings] = field(
        default=FrozenMapping(),
        converter=_freeze_privacy,
        metadata=setting(
            MappingOf(Name(), PRIVACY),
            "The privacy policies, each under a name that routes use.",
            example="{research: {originals: outbound}}",
            default="none",
        ),
    )
    timeouts: Timeouts = field(
        default=Timeouts(),
        metadata=setting(Record(Timeouts, "deadlines"), "Deadlines.", example="{connect: 5}", default="as below"),
    )
    log: LogSettings = field(
        default=LogSettings(),
        metadata=setting(Record(LogSettings, "log settings"), "The log.", example="{format: json}", default="as below"),
    )

    @property
    def peers(self) -> Mapping[str, DimseOutbound]:
        """The outbounds that are DICOM peers."""
        return FrozenMapping({name: each for name, each in self.outbound.items() if isinstance(each, DimseOutbound)})

    @property
    def archives(self) -> Mapping[str, ArchiveSettings]:
        """The outbounds that are archives: none or one."""
        return FrozenMapping({name: each for name, each in self.outbound.items() if isinstance(each, ArchiveSettings)})
