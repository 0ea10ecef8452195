"""The policies of a configuration, put together."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.policies import Policies
from tests.config.support import PACS, settings_of

ROUTES = "routes: [{outbound: pacs, privacy: p}]\n"


class PoliciesTests(TestCase):
    def test_a_policy_limits_what_is_held_of_an_object(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "patients.csv").write_text("4711,STUDY-0001\n")
        policy = (
            "privacy: {p: {originals: outbound, profile: none, pseudonymise: [PatientID], max_head: 20 MiB, "
            "pseudonyms: {csv: {patient: patients.csv}}}}\n"
        )
        settings = settings_of(f"{PACS}data_dir: {folder}\n{ROUTES}{policy}", folder)
        self.assertEqual(Policies(settings, Clock(), None).privacy["p"].limits.head, 20 << 20)
