"""Where pseudonyms come from: services, accounts, secrets and tables."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from dimseproxy.config import BasicAuth, BearerAuth, CsvSettings, GpasSettings, MiiSettings, Secret, dump
from tests.config.support import settings_of, write_certificates
from tests.config.test_privacy import faults_of, file_of, policy_of

URL = "url: 'https://h:8443/ttp-fhir/fhir/gpas/'"


def gpas(rest: str = "", url: str = URL) -> str:
    return f"pseudonyms: {{gpas: {{{url}, domain: d{rest}}}}}"


class SourceTests(TestCase):
    """Sources that are right."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "secret").write_text("hidden")

    def test_a_gpas_has_the_known_good_limits(self) -> None:
        source = policy_of(gpas()).pseudonyms
        assert isinstance(source, GpasSettings)
        self.assertEqual(source.url, "https://h:8443/ttp-fhir/fhir/gpas")
        self.assertEqual((source.batch, source.concurrency, source.timeout, source.retries), (100, 4, 10.0, 2))
        self.assertEqual((source.cache.entries, source.cache.seconds), (100_000, 3600.0))

    def test_each_kind_may_have_a_domain(self) -> None:
        source = policy_of(f"pseudonyms: {{gpas: {{{URL}, domains: {{patient: a, study-id: b}}}}}}").pseudonyms
        assert isinstance(source, GpasSettings)
        self.assertEqual(source.domains, {"patient": "a", "study-id": "b"})

    def test_an_mii_service_is_another_source(self) -> None:
        source = policy_of(f"pseudonyms: {{mii: {{{URL}, domain: d}}}}").pseudonyms
        self.assertEqual(source, MiiSettings(url="https://h:8443/ttp-fhir/fhir/gpas", domain="d"))

    def test_tables_are_by_kind(self) -> None:
        source = policy_of("pseudonyms: {csv: {patient: secret, accession: secret}}", self.folder).pseudonyms
        self.assertEqual(
            source, CsvSettings(files={"patient": self.folder / "secret", "accession": self.folder / "secret"})
        )

    def test_an_account_is_a_user_and_a_secret(self) -> None:
        source = policy_of(gpas(", auth: {basic: {user: me, password: {file: secret}}}"), self.folder).pseudonyms
        assert isinstance(source, GpasSettings)
        self.assertEqual(source.auth, BasicAuth(user="me", password=Secret(file=self.folder / "secret")))

    def test_a_client_gets_tokens(self) -> None:
        self.patch(os, "environ", {"CLIENT": "hidden"})
        client = "token_url: 'https://t/x', client_id: me, client_secret: {environment: CLIENT}, scope: s"
        source = policy_of(gpas(f", auth: {{bearer: {{{client}}}}}")).pseudonyms
        assert isinstance(source, GpasSettings)
        expected = BearerAuth(
            token_url="https://t/x", client_id="me", client_secret=Secret(environment="CLIENT"), scope="s"
        )
        self.assertEqual(source.auth, expected)

    def test_a_secret_is_printed_by_its_place(self) -> None:
        policy = file_of(f"originals: outbound, {gpas(', auth: {basic: {user: me, password: {file: secret}}}')}")
        text = dump(settings_of(policy, self.folder))
        self.assertNotIn("hidden", text)
        self.assertIn(f"file: {self.folder / 'secret'}\n", text)


class MistakeTests(TestCase):
    """Sources that are wrong."""

    def assert_refused(self, policy: str, path: str, reason: str) -> None:
        found = faults_of(policy)
        self.assertEqual(list(found), [path])
        self.assertIn(reason, found[path])

    def test_an_unknown_source_gets_all(self) -> None:
        self.assert_refused("pseudonyms: gpass", "pseudonyms", "must be `vault` or `{gpas: ...}`")
        self.assert_refused("pseudonyms: {gpass: {}}", "pseudonyms.gpass", "did you mean `gpas`?")

    def test_a_source_that_needs_more_is_told_so(self) -> None:
        self.assert_refused("pseudonyms: gpas", "pseudonyms", "says nothing about `gpas`")

    def test_two_sources_are_refused(self) -> None:
        self.assert_refused("pseudonyms: {gpas: {}, mii: {}}", "pseudonyms", "has 2 keys, but must have one")

    def test_a_service_needs_a_domain(self) -> None:
        self.assert_refused(f"pseudonyms: {{gpas: {{{URL}}}}}", "pseudonyms.gpas", "lacks a domain")

    def test_an_unknown_kind_gets_the_nearest(self) -> None:
        policy = f"pseudonyms: {{gpas: {{{URL}, domains: {{patients: a}}}}}}"
        self.assertIn("did you mean `patient`?", faults_of(policy)["pseudonyms.gpas.domains.patients"])

    def test_what_is_no_url_is_refused(self) -> None:
        for url in ("h/fhir", "ftp://h", "https://", "https://h/?a=b", "https://h:0/", "https://h:x/", "https://h/a b"):
            found = faults_of(gpas(url=f"url: '{url}'"))
            self.assertEqual(list(found), ["pseudonyms.gpas.url"], url)

    def test_a_password_in_a_url_is_refused_and_not_shown(self) -> None:
        found = faults_of(gpas(url="url: 'https://me:hidden@h/'"))
        self.assertIn("belong under `auth`", found["pseudonyms.gpas.url"])
        self.assertNotIn("hidden", str(found))

    def test_an_account_does_not_cross_a_network_in_the_clear(self) -> None:
        self.patch(os, "environ", {"SECRET": "hidden"})
        auth = ", auth: {basic: {user: me, password: {environment: SECRET}}}"
        found = faults_of(gpas(auth, url="url: 'http://h/'"))
        self.assertIn("in the clear", found["pseudonyms.gpas.url"])
        self.assertEqual(faults_of(gpas(auth, url="url: 'http://127.0.0.1/'")), {})

    def test_a_clients_secret_does_not_cross_a_network_in_the_clear(self) -> None:
        self.patch(os, "environ", {"SECRET": "hidden"})
        client = "token_url: 'http://t/x', client_id: me, client_secret: {environment: SECRET}"
        found = faults_of(gpas(f", auth: {{bearer: {{{client}}}}}"))
        self.assertIn("in the clear", found["pseudonyms.gpas.auth"])

    def test_a_variable_that_is_not_set_is_refused(self) -> None:
        self.patch(os, "environ", {"BLANK": " "})
        for name in ("MISSING", "BLANK"):
            self.assert_refused(f"key: {{environment: {name}}}", "key.environment", f"`{name}` is not set")

    def test_a_secret_in_the_place_of_a_name_is_not_shown(self) -> None:
        found = faults_of("key: {environment: 'hid/den=='}")
        self.assertIn("write the name, not the secret", found["key.environment"])
        self.assertNotIn("hid/den", str(found))

    def test_a_secret_has_one_place(self) -> None:
        self.assert_refused("key: {}", "key", "must name one place")

    def test_an_empty_secret_file_is_refused(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "k").write_text("\n")
        self.assertIn("is empty", faults_of("key: {file: k}", folder)["key.file"])

    def test_an_authority_for_a_plain_service_is_refused(self) -> None:
        folder = Path(self.mktemp())
        write_certificates(folder)
        found = faults_of(gpas(", ca: ca.pem", url="url: 'http://h/'"), folder)
        self.assertIn("is for `https` services", found["pseudonyms.gpas.ca"])

    def test_no_table_is_refused(self) -> None:
        self.assert_refused("pseudonyms: {csv: {}}", "pseudonyms.csv", "name at least one file")
