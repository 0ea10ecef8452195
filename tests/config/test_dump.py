"""Settings written as YAML, which says the same when it is read again."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, cast

import attrs
from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.config import (
    SAME_AS_CALLER,
    SERVICES,
    Application,
    ArchiveSettings,
    BasicAuth,
    BearerAuth,
    BlankSettings,
    CacheSettings,
    ClientTLS,
    CsvSettings,
    DimseInbound,
    DimseOutbound,
    DispatchSettings,
    GpasSettings,
    LogSettings,
    MiiSettings,
    OutboundSettings,
    PoolSettings,
    PrivacySettings,
    RetentionSettings,
    Route,
    Secret,
    ServerTLS,
    Settings,
    SourceSettings,
    Timeouts,
    VaultSettings,
    WatermarkSettings,
    dump,
)
from dimseproxy.config.kinds import Text
from dimseproxy.config.load import parse
from dimseproxy.config.shapes import Record, setting
from tests.config.support import NOWHERE, PACS, settings_of, write_certificates

AE_CHARACTERS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "\\")
NAME = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
TITLE = st.text(st.sampled_from(AE_CHARACTERS), min_size=1, max_size=16).filter(lambda t: t == t.strip())
TRICKY = st.sampled_from(["104", "0123", "NO", "true", "null", "~", "1e3", "2020-01-01", "0x10", "<<", "=", "- a"])
TITLES = TITLE | TRICKY
HOST = st.sampled_from(["127.0.0.1", "pacs.example.org", "fd00::1", "10.0.0.5"])
PORT = st.integers(1, 65535)
NETWORKS = st.lists(st.ip_addresses(v=4).map(ipaddress.ip_network), max_size=2).map(tuple)
MAY = st.frozensets(st.sampled_from(SERVICES))
GLOB = st.sampled_from(["*", "CT?", "[AB]*", "104", "NO"])
PDU_LENGTH = st.integers(1024, 16 * 1024 * 1024)
SECONDS = st.floats(0, 604800, exclude_min=True) | st.integers(1, 604800).map(float)
PROFILE: Any = st.sampled_from(["bcp195", "bcp195-extended", "modified-bcp195"])


def server_tls(folder: Path) -> st.SearchStrategy[ServerTLS | None]:
    ca = st.none() | st.just(folder / "ca.pem")
    files = {"certificate": st.just(folder / "server.pem"), "key": st.just(folder / "server.key")}
    return st.none() | st.builds(ServerTLS, client_ca=ca, profile=PROFILE, **files)


def client_tls(folder: Path) -> st.SearchStrategy[ClientTLS | None]:
    ca = st.none() | st.just(folder / "ca.pem")
    bare = st.builds(ClientTLS, ca=ca, verify_host=st.booleans(), server_name=st.none() | HOST, profile=PROFILE)
    files = {"certificate": st.just(folder / "client.pem"), "key": st.just(folder / "client.key")}
    return st.none() | bare | st.builds(ClientTLS, ca=ca, **files)


def sources(folder: Path) -> st.SearchStrategy[SourceSettings]:
    """Every source, every account, with and without its other keys."""
    secret = st.just(Secret(file=folder / "server.pem"))
    auth: Any = st.none() | st.builds(BasicAuth, user=TITLES, password=secret)
    auth |= st.builds(BearerAuth, token_url=st.just("https://h/token"), client_id=TITLES, client_secret=secret)
    service: dict[str, Any] = {
        "url": st.just("https://h:8443/fhir"),
        "domain": TITLES,
        "domains": st.dictionaries(st.sampled_from(["patient", "study-id"]), TITLES),
        "auth": auth,
        "ca": st.none() | st.just(folder / "ca.pem"),
        "timeout": st.sampled_from([0.5, 10.0]),
        "cache": st.builds(CacheSettings, entries=st.integers(0, 10)),
    }
    files = st.dictionaries(st.sampled_from(["patient", "uid"]), st.just(folder / "ca.pem"), min_size=1)
    return (
        st.just(VaultSettings())
        | st.builds(GpasSettings, operations=st.sampled_from(["current", "hyphenated"]), **service)
        | st.builds(MiiSettings, system=st.none() | TITLES, **service)
        | st.builds(CsvSettings, files=files)
    )


def policies(folder: Path) -> st.SearchStrategy[PrivacySettings]:
    """Policies whose keys go together, of every kind of value."""
    plain: dict[str, Any] = {
        "originals": st.sampled_from(["outbound", "inbound"]),
        "pseudonyms": sources(folder),
        "key": st.none() | st.just(Secret(file=folder / "server.pem")),
        "pseudonymise": st.none() | st.just((0x00100020, 0x00080050)),
        "remove": st.sampled_from([(), (0x00100010,), (0x00100010, 0x00189999)]),
        "keep": st.sampled_from([(), (0x00100040,)]),
        "replace": st.sampled_from([{}, {0x00080080: "- a: b"}]),
        "age": st.sampled_from([None, "derive", "remove"]),
        "guard": st.sampled_from(["refuse", "warn", "off"]),
        "new_instances": st.sampled_from(["refuse", "accept"]),
    }
    blank = st.builds(
        BlankSettings,
        model=st.none() | TITLES,
        rows=st.none() | st.integers(20, 65_535),
        regions=st.just(((0, 0, 10, 20), (5, 5, 1, 1))),
    )
    dates = st.sampled_from([(), ("retain-longitudinal-full-dates",), ("clean-descriptors",)])
    return (
        st.builds(
            PrivacySettings, options=dates, private_attributes=st.sampled_from([None, "keep", ("A", "B")]), **plain
        )
        | st.builds(
            PrivacySettings,
            options=st.just(("retain-longitudinal-modified-dates", "clean-graphics")),
            shift_days=st.sampled_from([(-365, -1), (-3, 9)]),
            vocabulary=st.none() | st.just(folder / "ca.pem"),
            **plain,
        )
        | st.builds(PrivacySettings, profile=st.just("none"), **plain)
        | st.builds(PrivacySettings, burned_in=st.just("blank"), blank=st.tuples(blank, blank), **plain)
    )


def archives(folder: Path, names: list[str]) -> st.SearchStrategy[ArchiveSettings]:
    """Archives with every key, sending to some of the names."""
    octets = st.integers(1, 1 << 60)
    clock = st.times().map(lambda each: each.replace(second=0, microsecond=0))
    to = st.sampled_from(names)
    dispatch = st.builds(
        DispatchSettings,
        to=to,
        schedule=st.none() | st.tuples(clock, clock).filter(lambda hours: hours[0] != hours[1]),
        retries=st.integers(0, 1000),
        backoff=st.floats(0.5, 10),
        longest_backoff=st.floats(10, 604800),
        pause=st.none() | st.floats(0.5, 10),
        associations=st.integers(1, 100),
    )
    classes = st.sampled_from(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.276.0.7230010.3.4"])
    return st.builds(
        ArchiveSettings,
        folder=st.none() | st.just(folder / "objects"),
        sop_classes=st.none() | st.lists(classes, min_size=1, unique=True).map(tuple),
        duplicates=st.sampled_from(["keep", "replace", "refuse"]),
        study_timeout=SECONDS,
        key=st.none() | st.just(Secret(file=folder / "server.pem")),
        retention=st.builds(RetentionSettings, days=st.none() | st.integers(1, 36525), size=st.none() | octets),
        watermark=st.builds(WatermarkSettings, refuse_below=octets),
        dispatch=st.lists(dispatch, max_size=2, unique_by=lambda each: each.to).map(tuple),
    )


@st.composite
def any_settings(draw: st.DrawFn, folder: Path) -> Settings:
    """Settings without mistakes, of every kind of value."""
    names = draw(st.lists(NAME, min_size=1, max_size=3, unique=True))
    inbound = {
        name: draw(
            st.builds(
                DimseInbound,
                listen=st.just(f"tcp:{port}:interface=127.0.0.1"),
                tls=server_tls(folder),
                max_associations=st.integers(1, 100_000),
                max_pdu_length=PDU_LENGTH,
                user_identity=st.booleans(),
            )
        )
        for port, name in enumerate(names, start=1)
    }
    privacy = draw(st.dictionaries(NAME, policies(folder), max_size=2))
    outbounds = st.builds(
        DimseOutbound,
        connect=st.sampled_from(["tcp:127.0.0.1:104", r"tcp:\:\:1:104", "unix:/run/a b"]),
        ae_title=TITLES,
        calling_ae_title=st.none() | st.just(SAME_AS_CALLER) | TITLES,
        retrieve=st.sampled_from(["as-asked", "get", "move"]),
        # What is delivered directly crosses no policy.
        deliver=st.just("through") if privacy else st.sampled_from(["through", "direct"]),
        from_=NETWORKS,
        tls=client_tls(folder),
        max_pdu_length=PDU_LENGTH,
        pool=st.none() | st.builds(PoolSettings, size=st.integers(1, 1000), idle=SECONDS),
        max_associations=st.none() | st.integers(2, 100_000),
        max_operations=st.none() | st.integers(1, 100_000),
        wait=SECONDS,
    )
    peers = draw(st.dictionaries(NAME | TRICKY.filter(str.isalnum), outbounds, min_size=1, max_size=3))
    archive = draw(st.none() | archives(folder, list(peers)))
    outbound: dict[str, OutboundSettings] = dict(peers)
    if archive is not None:
        # Longer than any name of a peer.
        outbound["archive-" * 4] = archive
    applications = st.builds(Application, host=HOST, port=PORT, may=MAY, from_=NETWORKS, tls=client_tls(folder))
    are_others_accepted = draw(st.booleans())
    routes = st.builds(
        Route,
        # Where others are refused, a title that is no application's is a mistake.
        calling=GLOB if are_others_accepted else st.just("*"),
        from_=NETWORKS,
        services=MAY,
        outbound=st.sampled_from(list(outbound)),
        privacy=st.none() | st.sampled_from([*privacy, None]),
    )
    # A policy that no route uses is a mistake.
    users = [Route(outbound=next(iter(outbound)), privacy=name) for name in privacy]
    # A route that another one hides is a mistake: each has a called AE title of its own.
    every = enumerate([*users, *draw(st.lists(routes, min_size=1, max_size=3))])
    apart = tuple(attrs.evolve(route, called=f"{'P*' * (index % 3)}{index}") for index, route in every)
    seconds = {name: draw(SECONDS) for name in ("connect", "artim", "pdu", "stall", "dimse", "idle", "drain")}
    return Settings(
        ae_title=draw(TITLES),
        data_dir=folder / "data",
        database=draw(st.sampled_from(["sqlite", "postgresql+psycopg://me@h:5432/d?sslmode=require"])),
        inbound=inbound,
        outbound=outbound,
        applications=draw(st.dictionaries(TITLES, applications, max_size=3)),
        unknown_applications=are_others_accepted,
        routes=apart,
        privacy=privacy,
        timeouts=Timeouts(**seconds),
        log=LogSettings(format=cast(Any, draw(st.sampled_from(["text", "json"])))),
    )


class DumpTests(TestCase):
    @given(st.data())
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_what_is_written_is_read_again(self, data: st.DataObject) -> None:
        folder = Path("certificates").absolute()
        write_certificates(folder)
        written = data.draw(any_settings(folder))
        again = parse(dump(written).encode(), NOWHERE)
        self.assertEqual(again, written)
        self.assertEqual(hash(again), hash(written))

    def test_defaults_are_written_out(self) -> None:
        self.assertIn("  artim: 30\n", dump(settings_of(PACS)))

    def test_what_was_resolved_is_written_out(self) -> None:
        text = dump(settings_of(PACS))
        self.assertIn("unknown_applications: accept\n", text)
        self.assertIn("  outbound: pacs\n", text)

    def test_keys_stand_in_the_order_of_their_description(self) -> None:
        keys = [line.split(":")[0] for line in dump(settings_of(PACS)).splitlines() if line[0].isalpha()]
        expected = (
            "ae_title data_dir database workers inbound outbound applications unknown_applications routes privacy "
            "timeouts log"
        )
        self.assertEqual(keys, expected.split())

    def test_a_secret_is_not_written(self) -> None:
        @frozen
        class Account:
            """An account."""

            user: str = field(metadata=setting(Text(), "Who."))
            password: str = field(metadata=setting(Text(), "The password.", secret=True))

        written = Record(Account, "an account").write(Account("me", "hidden"))
        self.assertEqual(written, {"user": "me", "password": "***"})
