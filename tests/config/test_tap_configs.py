"""Each configuration that ships loads, and means what its comments say."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import TestCase

from dimseproxy.config import SAME_AS_CALLER, Settings, load
from tests import CHECKOUT
from tests.config.support import write_certificates

SHIPPED = CHECKOUT / "tap-configs"


class ShippedConfigurationTests(TestCase):
    def load_shipped(self, name: str) -> Settings:
        folder = Path(self.mktemp())
        write_certificates(folder)
        shutil.copy(SHIPPED / name, folder)
        return load(folder / name)

    def test_each_has_a_test_here(self) -> None:
        names = {path.stem.replace("-", "_") for path in SHIPPED.glob("*.yaml")}
        tested = {name.removeprefix("test_loads_") for name in dir(self) if name.startswith("test_loads_")}
        self.assertEqual(names, tested)

    def test_loads_relay(self) -> None:
        settings = self.load_shipped("relay.yaml")
        self.assertEqual([route.outbound for route in settings.routes], ["pacs"])
        self.assertTrue(settings.unknown_applications)

    def test_loads_tls(self) -> None:
        settings = self.load_shipped("tls.yaml")
        server = settings.inbound["modalities"].tls
        assert server is not None
        self.assertEqual(server.certificate.name, "server.pem")
        self.assertTrue(server.certificate.is_absolute())
        self.assertEqual(settings.applications["CT1"].certificate, ("ct1.example.org",))

    def test_loads_departments(self) -> None:
        settings = self.load_shipped("departments.yaml")
        self.assertEqual([route.outbound for route in settings.routes], ["ris", "research", "archive"])
        self.assertIs(settings.outbound["ris"].calling_ae_title, SAME_AS_CALLER)

    def test_loads_behind_haproxy(self) -> None:
        settings = self.load_shipped("behind-haproxy.yaml")
        self.assertTrue(settings.inbound["balanced"].listen.startswith("haproxy:"))
        self.assertFalse(settings.unknown_applications)
