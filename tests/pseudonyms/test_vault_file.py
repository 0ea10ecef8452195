"""What is on the disk: nobody's identity, and after a crash neither half a row nor another pseudonym."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import TestCase

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.storage.database import Database
from tests.pseudonyms.vaults import NEW, OLD, VaultCase, in_the_table, made
from tests.storage.databases import database
from tests.support.process import run, scratch

_ROUNDS = 50

SECRETS = tuple(
    Identity(kind, value)
    for kind, value in (
        (Kind.PATIENT, "MARKER-PATIENT-4711"),
        (Kind.OTHER, "Mårker^Änne^Größe"),
        (Kind.ACCESSION, "MARKER-ACC-0815"),
        (Kind.STUDY, "1.2.826.0.1.3680043.8.498.31415926535"),
    )
)


def spellings(text: str) -> Iterator[bytes]:
    """How a text may be written in the clear, or as good as."""
    for encoded in (text.encode(), text.encode("latin-1"), text.encode("utf-16-le")):
        yield encoded
        yield encoded[::-1]
        yield encoded.hex().encode()
        yield base64.b64encode(encoded).rstrip(b"=")[:-1]


class SecretTests(VaultCase):
    async def opened(self) -> Database:
        self.folder = scratch(self)
        opened = database(self, self.folder / "test.db")
        await opened.start()
        return opened

    def on_disk(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.iterdir())

    async def test_no_original_is_in_the_file_its_log_or_the_journal(self) -> None:
        await made(await self.vault(), SECRETS)
        self.assertEqual(
            {path.name for path in self.folder.iterdir()},
            {"test.db", "test.db-wal", "test.db-shm", "test.db-vault-default.1"},
        )
        found = [text for secret in SECRETS for text in spellings(secret.value) if text in self.on_disk()]
        self.assertEqual(found, [])

    async def test_the_pseudonyms_are(self) -> None:
        """The search above would find what is written plainly."""
        pseudonyms = await made(await self.vault(), SECRETS)
        journal = b"".join(path.read_bytes() for path in self.journals())
        rows = [in_the_table(identity, pseudonym) for identity, pseudonym in pseudonyms.items()]
        self.assertEqual([one for one in rows if one.encode() not in journal], [])
        await self.end_all()
        self.assertEqual([one for one in rows if one.encode() not in self.on_disk()], [])

    async def test_the_journal_is_its_owners_alone(self) -> None:
        await made(await self.vault(), SECRETS)
        self.assertEqual([path.stat().st_mode & 0o777 for path in self.journals()], [0o600])

    async def test_no_original_is_there_after_a_rotation(self) -> None:
        await made(await self.vault(OLD), SECRETS)
        await made(await self.vault(NEW, OLD), SECRETS)
        await self.database.stop()
        found = [text for secret in SECRETS for text in spellings(secret.value) if text in self.on_disk()]
        self.assertEqual(found, [])

    async def test_no_key_is_in_the_file(self) -> None:
        vault = await self.vault(OLD)
        await made(vault, SECRETS)
        secrets = (bytes(range(32)), vault.date_shift, OLD.date_shift)
        self.assertEqual([secret for secret in secrets if secret in self.on_disk()], [])


class CrashTests(TestCase):
    async def test_a_process_that_is_killed_leaves_what_it_said(self) -> None:
        folder = scratch(self)
        script = str(Path(__file__).with_name("killing.py"))
        result = await run(
            self,
            [sys.executable, script, str(folder), str(_ROUNDS)],
            patience=120,
        )
        self.assertEqual(result.code, 0, result.output)
        report = json.loads(result.output.splitlines()[-1])
        self.assertEqual(report["killed"], _ROUNDS)
        self.assertGreater(report["kept"], _ROUNDS)
        self.assertGreater(report["made"], report["kept"])
        self.assertGreater(report["journals"], _ROUNDS // 2)
        self.assertEqual(
            {name: report[name] for name in ("lost", "changed", "unreadable", "integrity")},
            {"lost": 0, "changed": 0, "unreadable": 0, "integrity": "ok"},
        )
