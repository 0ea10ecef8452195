"""Where the proxy keeps things."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from dimseproxy.config import dump
from tests.config.support import NOWHERE, PACS, mistakes_of, settings_of


class FolderTests(TestCase):
    def test_a_relative_folder_counts_from_the_configuration(self) -> None:
        self.assertEqual(settings_of(PACS + "data_dir: ../d\n").data_dir, NOWHERE / "../d")

    def test_the_default_is_beside_the_configuration(self) -> None:
        self.assertEqual(settings_of(PACS).data_dir, NOWHERE / "dimseproxy-data")

    def test_a_file_is_no_folder(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "d").write_text("")
        self.assertIn("is no folder", mistakes_of(PACS + "data_dir: d\n", folder)["data_dir"])


class DatabaseTests(TestCase):
    ADDRESS = "postgresql+psycopg://me:hid%40den@[::1]:5432/d?sslmode=require"

    def assert_refused(self, address: str, reason: str) -> None:
        found = mistakes_of(PACS + f"database: '{address}'\n")
        self.assertEqual(list(found), ["database"])
        self.assertIn(reason, found["database"])
        self.assertNotIn("hidden", str(found))

    def test_sqlite_is_the_default(self) -> None:
        self.assertEqual(settings_of(PACS).database, "sqlite")

    def test_an_address_is_kept_as_it_is(self) -> None:
        self.assertEqual(settings_of(PACS + f'database: "{self.ADDRESS}"\n').database, self.ADDRESS)

    def test_its_password_is_not_printed(self) -> None:
        text = dump(settings_of(PACS + f'database: "{self.ADDRESS}"\n'))
        self.assertIn("database: postgresql+psycopg://me:***@[::1]:5432/d?sslmode=require\n", text)

    def test_its_password_is_not_in_a_repr(self) -> None:
        self.assertNotIn("hid%40den", repr(settings_of(PACS + f'database: "{self.ADDRESS}"\n')))

    def test_another_driver_is_refused(self) -> None:
        self.assert_refused("postgresql://me:hidden@h/d", "write `postgresql+psycopg://...`")

    def test_another_database_is_refused(self) -> None:
        self.assert_refused("mysql://me:hidden@h/d", "no database that the proxy knows")
        self.assert_refused("hidden", "no database that the proxy knows")

    def test_an_address_without_a_database_is_refused(self) -> None:
        self.assert_refused("postgresql+psycopg://me:hidden@h", "names no database")

    def test_what_is_no_address_is_refused(self) -> None:
        for address in ("postgresql+psycopg://me:hidden@h:99999/d", "postgresql+psycopg://[hidden/d"):
            self.assert_refused(address, "is no address of a database")

    def test_a_password_is_where_it_is_not_printed(self) -> None:
        self.assert_refused("postgresql+psycopg://me@h/d?password=hidden", "write it before the host")

    def test_what_is_no_text_is_not_shown(self) -> None:
        self.assertNotIn("4711", mistakes_of(PACS + "database: 4711\n")["database"])
