"""`python -m dimseproxy.commands`: the same as `dimseproxy`, for an environment without its program."""

from __future__ import annotations

from dimseproxy.commands import main

main()
