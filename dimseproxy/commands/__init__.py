"""`dimseproxy`: looks after the archive of a configuration."""

from __future__ import annotations

from dimseproxy.commands.line import main

__all__ = ["main"]
