"""The package is complete: what setup.cfg lists, what the wheel holds, what an installation offers."""

from __future__ import annotations

import ast
import configparser
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import dimseproxy
from tests import CHECKOUT

DROP_IN = "twisted/plugins/dimseproxy_tap.py"


def listed() -> set[str]:
    """The packages that setup.cfg names."""
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    return set(parser["options"]["packages"].split())


def sources() -> Iterator[str]:
    """The names of the package's Python files, relative to the checkout."""
    for path in (CHECKOUT / "dimseproxy").rglob("*.py"):
        yield path.relative_to(CHECKOUT).as_posix()


class Listed(SynchronousTestCase):
    """setup.cfg lists packages by name; a forgotten one would be missing from every installation."""

    def test_every_package_of_the_tree_is_listed(self) -> None:
        present = {str(Path(name).parent).replace("/", ".") for name in sources()}
        self.assertEqual(listed(), present | {"twisted.plugins"})

    def test_every_folder_of_the_tree_is_a_package(self) -> None:
        names = set(sources())
        expected = {f"{Path(name).parent.as_posix()}/__init__.py" for name in names}
        self.assertEqual(expected - names, set())

    def test_the_tree_does_not_shadow_twisted(self) -> None:
        """With an ``__init__.py``, Twisted itself could not be imported from the checkout."""
        self.assertEqual(list((CHECKOUT / "twisted").rglob("__init__.py")), [])

    def test_the_changelog_has_the_version(self) -> None:
        changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
        self.assertIn(f"\n## {dimseproxy.__version__} ", changelog)


@functools.cache
def wheel_names() -> frozenset[str]:
    """The files of the wheel: of `make test`, the very one that is being tested, else one built here."""
    given = os.environ.get("DIMSEPROXY_WHEEL")
    if given:
        return frozenset(zipfile.ZipFile(given).namelist())
    with tempfile.TemporaryDirectory(prefix="dimseproxy-wheel-") as folder:
        # From a copy: setuptools would put stale files of the checkout's build/ into the wheel.
        source = Path(folder, "source")
        source.mkdir()
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(CHECKOUT / name, source)
        for name in ("dimseproxy", "twisted"):
            shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", folder]
        subprocess.run([*command, str(source)], check=True)
        (wheel,) = Path(folder).glob("dimseproxy-*.whl")
        return frozenset(zipfile.ZipFile(wheel).namelist())


class Wheel(SynchronousTestCase):
    """What the wheel holds."""

    def test_it_holds_every_source_file(self) -> None:
        self.assertEqual(set(sources()) - wheel_names(), set())

    def test_it_holds_the_plugin(self) -> None:
        self.assertIn(DROP_IN, wheel_names())

    def test_it_puts_nothing_else_into_twisted(self) -> None:
        self.assertEqual({name for name in wheel_names() if name.startswith("twisted/")}, {DROP_IN})

    def test_it_tells_type_checkers_of_its_annotations(self) -> None:
        self.assertIn("dimseproxy/py.typed", wheel_names())

    def test_it_holds_nothing_beside_the_packages(self) -> None:
        metadata_folder = f"dimseproxy-{dimseproxy.__version__}.dist-info"
        self.assertEqual({name.split("/")[0] for name in wheel_names()}, {"dimseproxy", "twisted", metadata_folder})


class Installed(SynchronousTestCase):
    """What `twistd` sees."""

    def test_twistd_knows_dimseproxy(self) -> None:
        known = [maker.tapname for maker in getPlugins(IServiceMaker)]
        self.assertEqual(known.count("dimseproxy"), 1)

    def test_the_plugin_imports_nothing_of_the_proxy(self) -> None:
        """Every run of twistd, whatever it serves, loads it."""
        tree = ast.parse((CHECKOUT / DROP_IN).read_text(encoding="utf-8"))
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        self.assertEqual(imported, {"__future__", "twisted.application.service"})
        self.assertEqual([node for node in ast.walk(tree) if isinstance(node, ast.Import)], [])

    def test_the_wheel_is_tested_and_not_the_checkout(self) -> None:
        in_checkout = Path(dimseproxy.__file__).is_relative_to(CHECKOUT / "dimseproxy")
        self.assertEqual(in_checkout, "DIMSEPROXY_WHEEL" not in os.environ)
