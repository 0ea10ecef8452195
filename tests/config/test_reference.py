"""The reference page, and the examples that it gives."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from dimseproxy.config.archive_settings import ArchiveSettings, DispatchSettings, RetentionSettings, WatermarkSettings
from dimseproxy.config.document import compose
from dimseproxy.config.pool_settings import PoolSettings
from dimseproxy.config.privacy_settings import BlankSettings, PrivacySettings
from dimseproxy.config.reading import Reading
from dimseproxy.config.reference import render
from dimseproxy.config.schema import FILE
from dimseproxy.config.settings import Application, DimseInbound, DimseOutbound, LogSettings, Route, Timeouts
from dimseproxy.config.shapes import Key, keys_of
from dimseproxy.config.source_settings import (
    BasicAuth,
    BearerAuth,
    CacheSettings,
    GpasSettings,
    MiiSettings,
    Secret,
)
from dimseproxy.config.tls_settings import ClientTLS, ServerTLS
from tests import CHECKOUT
from tests.config.support import write_certificates

PAGE = CHECKOUT / "docs" / "reference" / "configuration.md"
RECORDS = (
    FILE.of, DimseInbound, DimseOutbound, Application, Route, Timeouts, LogSettings, ServerTLS, ClientTLS,
    PrivacySettings, BlankSettings, GpasSettings, MiiSettings, CacheSettings, BasicAuth, BearerAuth, Secret,
    ArchiveSettings, RetentionSettings, WatermarkSettings, DispatchSettings, PoolSettings,
)  # fmt: skip


class ReferenceTests(TestCase):
    def test_the_page_is_up_to_date(self) -> None:
        command = "python -m dimseproxy.config.reference > docs/reference/configuration.md"
        self.assertEqual(PAGE.read_text("utf-8"), render(), f"stale: run `{command}`")

    def test_each_key_of_each_record_is_on_the_page(self) -> None:
        for record in RECORDS:
            for name, _, described in keys_of(record):
                self.assertIn(f"| `{name}` | {described.description}", render())

    def test_each_setting_is_described(self) -> None:
        for record in RECORDS:
            described = [attribute.name for _, attribute, _ in keys_of(record)]
            self.assertEqual(described, [attribute.name for attribute in record.__attrs_attrs__])

    def test_each_example_is_right(self) -> None:
        folder = Path(self.mktemp())
        write_certificates(folder)
        (folder / "secret.txt").write_text("a secret")
        (folder / "words.txt").write_text("words")
        self.patch(os, "environ", {"DIMSEPROXY_SECRET": "a secret"})
        for record in RECORDS:
            for name, _, described in keys_of(record):
                self.assert_example_reads(f"{record.__name__}.{name}", described, folder)

    def assert_example_reads(self, name: str, described: Key, folder: Path) -> None:
        assert described.example is not None, name
        node = compose(described.example.encode())
        assert node is not None
        reading = Reading(folder)
        described.kind.read(node, reading)
        self.assertEqual(reading.mistakes, [], name)

    def test_keys_of_later_versions_are_listed(self) -> None:
        for path in ("admin", "outbound.NAME.spool", "inbound.NAME.nats"):
            self.assertIn(f"- `{path}`\n", render())
