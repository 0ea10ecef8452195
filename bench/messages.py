"""Whole requests, encoded ahead: what the load generator and the raw SCU send again and again."""

from __future__ import annotations

from collections.abc import Callable

from bench import wire

Message = tuple[bytes, ...]
"""A message in pieces that need not be joined."""


def echo(number: int) -> Message:
    """A C-ECHO request, always the same."""
    del number
    return _ECHO


_ECHO = (wire.echo_rq(1),)


def store(length: int, new_studies: bool = False) -> Callable[[int], Message]:
    """C-STORE requests of objects with so many bytes of pixel data, each number another instance.

    :param new_studies: whether each is of a study, a series and a patient of its own, or all are of one
    """
    placeholder = b"@" * 12
    instance = b"2.25." + placeholder
    if new_studies:
        start = wire.data_set_start(instance, instance + b".1", placeholder, length)
    else:
        start = wire.data_set_start(instance, length=length)
    first, rest = wire.object_in_pdus(length, start)
    whole = wire.store_rq(1, instance) + first

    def message(number: int) -> Message:
        return whole.replace(placeholder, b"%012d" % (10**11 + number)), rest

    return message
