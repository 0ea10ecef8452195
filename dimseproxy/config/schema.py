"""The file as a whole: the keys of `Settings`, and those that only later versions give a meaning."""

from __future__ import annotations

from typing import Final

from dimseproxy.config.settings import Settings
from dimseproxy.config.shapes import Record

FILE: Final = Record(Settings, "the file", later={"admin": "nothing would listen there, take it out"})
