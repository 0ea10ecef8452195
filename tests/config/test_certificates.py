"""Certificate and key files, and what binds an application to its certificate."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.config.support import PACS, mistakes_of, settings_of, write_certificates

SERVER = "inbound.a.dimse.tls"
CLIENT = "outbound.p.dimse.tls"


class FileTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        write_certificates(self.folder)

    def server(self, keys: str) -> dict[str, str]:
        return mistakes_of(f"{PACS}inbound: {{a: {{dimse: {{tls: {{{keys}}}}}}}}}\n", self.folder)

    def client(self, keys: str) -> dict[str, str]:
        text = f'outbound: {{p: {{dimse: {{connect: "tcp:h:1", ae_title: P, tls: {{{keys}}}}}}}}}\n'
        return mistakes_of(text, self.folder)

    def assert_refused(self, found: dict[str, str], path: str, reason: str) -> None:
        self.assertEqual(list(found), [path])
        self.assertIn(reason, found[path])

    def test_files_that_fit_are_accepted(self) -> None:
        self.assertEqual(self.server("certificate: server.pem, key: server.key, client_ca: ca.pem"), {})
        self.assertEqual(self.client("certificate: client.pem, key: client.key, ca: ca.pem"), {})

    def test_relative_paths_count_from_the_folder_of_the_file(self) -> None:
        text = f"{PACS}inbound: {{a: {{dimse: {{tls: {{certificate: server.pem, key: server.key}}}}}}}}\n"
        tls = settings_of(text, self.folder).inbound["a"].tls
        assert tls is not None
        self.assertEqual(tls.certificate, self.folder / "server.pem")

    def test_a_missing_file_is_named(self) -> None:
        found = self.server("certificate: server.pem, key: lost.key")
        self.assert_refused(found, f"{SERVER}.key", f"`{self.folder}/lost.key` cannot be read: No such file")

    def test_a_pipe_is_no_file(self) -> None:
        os.mkfifo(self.folder / "pipe")
        self.assert_refused(self.client("ca: pipe"), f"{CLIENT}.ca", "is no file")

    def test_a_key_is_no_certificate(self) -> None:
        self.assert_refused(self.client("ca: ca.key"), f"{CLIENT}.ca", "holds no certificate")

    def test_a_certificate_is_no_key(self) -> None:
        found = self.server("certificate: server.pem, key: server.pem")
        self.assert_refused(found, f"{SERVER}.key", "holds no private key")

    def test_an_encrypted_key_is_refused(self) -> None:
        found = self.server("certificate: server.pem, key: locked.key")
        self.assert_refused(found, f"{SERVER}.key", "encrypted")

    def test_a_key_fits_its_certificate(self) -> None:
        found = self.server("certificate: server.pem, key: client.key")
        self.assert_refused(found, f"{SERVER}.key", "is not the key of the first certificate")
        found = self.client("certificate: client.pem, key: ca.key")
        self.assert_refused(found, f"{CLIENT}.key", "is not the key of the first certificate")

    def test_certificate_and_key_come_together(self) -> None:
        self.assert_refused(self.client("certificate: client.pem"), CLIENT, "no `key`")
        self.assert_refused(self.client("key: client.key"), CLIENT, "no `certificate`")

    def test_a_wrong_certificate_is_not_said_to_be_missing(self) -> None:
        found = self.client("certificate: lost.pem, key: client.key")
        self.assert_refused(found, f"{CLIENT}.certificate", "cannot be read")

    def test_an_unknown_profile_is_refused(self) -> None:
        self.assert_refused(self.client("profile: basic"), f"{CLIENT}.profile", "`modified-bcp195`")


class BindingTests(TestCase):
    def bound_to(self, written: str) -> str:
        folder = Path(self.mktemp())
        write_certificates(folder)
        return (
            settings_of(
                f"{PACS}inbound: {{a: {{dimse: {{tls: {{certificate: server.pem, key: server.key, "
                f"client_ca: ca.pem}}}}}}}}\napplications: {{A: {{host: h, port: 1, certificate: [{written}]}}}}\n",
                folder,
            )
            .applications["A"]
            .certificate[0]
        )

    def test_a_name_is_kept(self) -> None:
        self.assertEqual(self.bound_to("ct1.example.org"), "ct1.example.org")

    def test_a_fingerprint_is_normalised(self) -> None:
        self.assertEqual(self.bound_to('"SHA256:' + ":".join(["AB"] * 32) + '"'), "sha256:" + "ab" * 32)

    def test_half_a_fingerprint_is_refused(self) -> None:
        found = mistakes_of(PACS + 'applications: {A: {host: h, port: 1, certificate: ["sha256:abcd"]}}\n')
        self.assertIn("64 hexadecimal digits", found["applications.A.certificate[0]"])
