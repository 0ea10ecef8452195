"""The tests of dimseproxy: `make test`, or for a part of them `python -m twisted.trial tests.ul`."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(os.environ.get("DIMSEPROXY_CHECKOUT") or Path(__file__).parent.parent)
"""Where the sources are. Not the parent of this folder when the tests of an installed wheel run elsewhere."""
