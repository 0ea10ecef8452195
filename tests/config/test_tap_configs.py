"""Each configuration that ships loads, and means what its comments say."""

from __future__ import annotations

import shutil
from datetime import time
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage
from twisted.trial.unittest import TestCase

from dimseproxy.config import SAME_AS_CALLER, GpasSettings, Settings, VaultSettings, load
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
        self.assertIs(settings.peers["ris"].calling_ae_title, SAME_AS_CALLER)

    def test_loads_behind_haproxy(self) -> None:
        settings = self.load_shipped("behind-haproxy.yaml")
        self.assertTrue(settings.inbound["balanced"].listen.startswith("haproxy:"))
        self.assertFalse(settings.unknown_applications)

    def test_loads_archive(self) -> None:
        settings = self.load_shipped("archive.yaml")
        archive = settings.archives["local"]
        self.assertEqual([route.outbound for route in settings.routes], ["local"])
        self.assertEqual((archive.retention.days, archive.retention.size), (90, 500 << 30))
        self.assertEqual(archive.watermark.refuse_below, 10 << 30)
        (dispatch,) = archive.dispatch
        self.assertEqual((dispatch.to, dispatch.schedule), ("hospital", (time(20), time(6))))

    def test_loads_ith(self) -> None:
        settings = self.load_shipped("ith.yaml")
        kept = settings.archives["kept"]
        self.assertEqual(kept.sop_classes, (CTImageStorage, PositronEmissionTomographyImageStorage, MRImageStorage))
        self.assertEqual([dispatch.to for dispatch in kept.dispatch], ["platform"])
        analysis, results = settings.privacy["analysis"], settings.privacy["results"]
        self.assertEqual((analysis.originals, results.originals), ("inbound", "outbound"))
        # With a vault in common, a result finds its way back to the patient.
        self.assertEqual((analysis.pseudonyms, analysis.key), (results.pseudonyms, results.key))
        self.assertEqual(results.new_instances, "accept")

    def test_loads_dicomshield(self) -> None:
        settings = self.load_shipped("dicomshield.yaml")
        shield = settings.privacy["shield"]
        self.assertEqual([route.privacy for route in settings.routes], ["shield"])
        self.assertEqual((shield.originals, shield.profile), ("outbound", "none"))
        assert isinstance(shield.pseudonyms, GpasSettings)
        self.assertEqual(shield.pseudonyms.domain, "DicomShield")
        self.assertIn(tag_for_keyword("PatientName"), shield.remove)

    def test_loads_research_shield(self) -> None:
        settings = self.load_shipped("research-shield.yaml")
        research = settings.privacy["research"]
        self.assertEqual((research.originals, research.profile, research.guard), ("outbound", "basic", "refuse"))
        assert isinstance(research.pseudonyms, GpasSettings)
        self.assertEqual(set(research.pseudonyms.domains), {"patient"})
        self.assertIn("retain-longitudinal-modified-dates", research.options)

    def test_loads_export_gateway(self) -> None:
        settings = self.load_shipped("export-gateway.yaml")
        registry = settings.privacy["registry"]
        self.assertEqual((registry.originals, registry.burned_in), ("inbound", "blank"))
        self.assertEqual(registry.pseudonyms, VaultSettings())
        self.assertEqual([blank.regions for blank in registry.blank], [((0, 0, 1024, 60),)])
