"""The pool of an outbound, as a frozen setting. How it is used is not said here."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from dimseproxy.config.kinds import Seconds, Whole
from dimseproxy.config.shapes import Record, setting


@frozen(kw_only=True)
class PoolSettings:
    """Associations that nobody uses, kept for the next caller who asks for the same."""

    size: int = field(
        default=8,
        metadata=setting(Whole(1, 1000), "How many are kept. With one more, the oldest is released.", example="20"),
    )
    idle: float = field(
        default=30.0,
        converter=float,
        metadata=setting(
            Seconds(),
            "How long each of them is kept, in seconds: less than the peer itself lets an association be idle.",
            example="10",
        ),
    )


POOL: Final = Record(PoolSettings, "pool settings")
