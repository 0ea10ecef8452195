"""Settings written as YAML, which says the same when it is read again."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, cast

from attrs import field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.config import (
    SAME_AS_CALLER,
    SERVICES,
    Application,
    ClientTLS,
    DimseInbound,
    DimseOutbound,
    LogSettings,
    Route,
    ServerTLS,
    Settings,
    Timeouts,
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
    outbounds = st.builds(
        DimseOutbound,
        connect=st.sampled_from(["tcp:127.0.0.1:104", r"tcp:\:\:1:104", "unix:/run/a b"]),
        ae_title=TITLES,
        calling_ae_title=st.none() | st.just(SAME_AS_CALLER) | TITLES,
        retrieve=st.sampled_from(["as-asked", "get", "move"]),
        deliver=st.sampled_from(["through", "direct"]),
        from_=NETWORKS,
        tls=client_tls(folder),
        max_pdu_length=PDU_LENGTH,
    )
    outbound = draw(st.dictionaries(NAME | TRICKY.filter(str.isalnum), outbounds, min_size=1, max_size=3))
    applications = st.builds(Application, host=HOST, port=PORT, may=MAY, from_=NETWORKS, tls=client_tls(folder))
    routes = st.builds(
        Route, called=GLOB, calling=GLOB, from_=NETWORKS, services=MAY, outbound=st.sampled_from(list(outbound))
    )
    seconds = {name: draw(SECONDS) for name in ("connect", "artim", "pdu", "stall", "dimse", "idle", "drain")}
    return Settings(
        ae_title=draw(TITLES),
        inbound=inbound,
        outbound=outbound,
        applications=draw(st.dictionaries(TITLES, applications, max_size=3)),
        unknown_applications=draw(st.booleans()),
        routes=tuple(draw(st.lists(routes, min_size=1, max_size=3))),
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
        expected = "ae_title inbound outbound applications unknown_applications routes timeouts log"
        self.assertEqual(keys, expected.split())

    def test_a_secret_is_not_written(self) -> None:
        @frozen
        class Account:
            """An account."""

            user: str = field(metadata=setting(Text(), "Who."))
            password: str = field(metadata=setting(Text(), "The password.", secret=True))

        written = Record(Account, "an account").write(Account("me", "hidden"))
        self.assertEqual(written, {"user": "me", "password": "***"})
