"""Hostile bytes within an association."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random
from struct import pack
from typing import Final

from tests.corpus.cases import ABORTED, ANY, SILENT, Case, Stage, cases
from tests.dimse.messages import command_bytes, echo_rq, element, store_rq, us
from tests.ul.wire import p_data, pdu, pdv

_COMMAND, _LAST = 1, 2
_STAGES: Final = (Stage.CALLED, Stage.ANSWERED)
_STORE: Final = p_data(pdv(1, _COMMAND | _LAST, store_rq()))
_MINIMUM: Final = (us(0x100, 0x30), us(0x800, 0x0101))


def command(data: bytes, context_id: int = 1) -> bytes:
    """A command set in one PDU."""
    return p_data(pdv(context_id, _COMMAND | _LAST, data))


def pdv_lengths() -> Iterator[Case]:
    """PDVs whose lengths lie."""
    for stage, control in product(_STAGES, (0, _COMMAND, _LAST, _COMMAND | _LAST)):
        for length in (0, 1, 3, 100, 0x7FFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFE, 0xFFFFFFFF):
            yield Case("PDV length", stage, p_data(pdv(1, control, b"", length)), ABORTED)
        for size in range(0, 6):
            yield Case("PDV length", stage, pdu(4, bytes(size)), ABORTED)
            yield Case("PDV length", stage, p_data(pdv(1, _COMMAND, b"ab"), b"\1" * size or b"\1"), ABORTED)
        yield Case("PDV length", stage, _STORE + p_data(pdv(1, 0, b"ab", 3)), ABORTED)
        yield Case("PDV length", stage, _STORE + p_data(pdv(1, 0, b"ab", 5)), ABORTED)


def context_ids() -> Iterator[Case]:
    """Messages in contexts that were not accepted."""
    for context_id in (0, 2, *range(4, 256)):
        yield Case("context id", Stage.CALLED, command(echo_rq(), context_id), ABORTED)
    for stage, context_id in product(_STAGES, (0, 1, 2, 3, 4, 5, 127, 128, 254, 255)):
        for control in (0, _LAST):
            yield Case("context id", stage, p_data(pdv(context_id, control, b"data")), ABORTED)
            yield Case("context id", stage, p_data(*[pdv(context_id, control, b"data")] * 2), ABORTED)
        if context_id != 1:
            yield Case("context id", stage, _STORE + p_data(pdv(context_id, _LAST, b"data")), ABORTED)


def command_sets() -> Iterator[Case]:
    """Command sets that are none."""
    whole = echo_rq()
    for stage in _STAGES:
        yield from cases("command set", stage, (command(whole[:size]) for size in range(len(whole))), ABORTED)
    for number, size in product((*range(0x100, 0x1040, 0x10), 0x1020, 0x1021, 0x1022, 0x1023, 0x1031), (1, 3, 4, 6)):
        if number in (0x110, 0x120, 0x700, 0x900, 0x1020, 0x1021, 0x1022, 0x1023, 0x1031):
            data = command_bytes(*_MINIMUM, element(number, bytes(size)))
            yield Case("command set", Stage.CALLED, command(data), ABORTED)
            yield Case("command set", Stage.ANSWERED, command(data), ABORTED)
    for number in (0x0, 0x2, 0x100, 0x110, 0x600, 0x800, 0x900, 0x1000, 0x1031, 0x5110):
        twice = command_bytes(*_MINIMUM, us(number, 0x101), us(number, 0x101))
        yield Case("duplicate", Stage.CALLED, command(twice), ABORTED)
    for group in (1, 2, 8, 0x10, 0x7FE0, 0xFFFE, 0xFFFF):
        data = command_bytes(*_MINIMUM, element(0, b"DOE^JOHN", group=group))
        yield Case("command set", Stage.CALLED, command(data), ABORTED)
    for length in (9, 0x100, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
        yield Case(
            "command set", Stage.CALLED, command(command_bytes(*_MINIMUM, element(2, bytes(8), length))), ABORTED
        )
    random = Random(7)
    for stage in _STAGES:
        garbage = (command(random.randbytes(random.randrange(1, 200))) for _ in range(100))
        yield from cases("command set", stage, garbage, ABORTED)
    for _ in range(200):
        changed = bytearray(random.choice((echo_rq(), store_rq())))
        for _ in range(random.randint(1, 5)):
            changed[random.randrange(len(changed))] = random.choice((0, 1, 0xFF, random.randrange(256)))
        yield Case("mutated", Stage.CALLED, command(bytes(changed)), ANY)


def strange_commands() -> Iterator[Case]:
    """Well-formed commands that nobody asked for: they cross, or are answered, and the association goes on."""
    for field in (*range(0, 0x200, 0x10), 0x0001, 0x0021, 0x0FFF, 0x7FFF):
        data = command_bytes(element(2, b"1.2\0"), us(0x100, field), us(0x110, 1), us(0x800, 0x0101))
        yield Case("strange command", Stage.CALLED, command(data), SILENT)
    for field in (0x8000, 0x8001, 0x8010, 0x8020, 0x8021, 0x8030, 0x8100, 0x8FFF, 0xFFFF):
        data = command_bytes(element(2, b"1.2\0"), us(0x100, field), us(0x120, 9), us(0x800, 0x0101), us(0x900, 0))
        yield Case("strange command", Stage.CALLED, command(data), SILENT)
    for field in (0x30, 0x8030, 0x21, 0x8021, 0x10, 0x20, 0x0FFF):
        yield Case("strange command", Stage.CALLED, command(command_bytes(us(0x100, field), us(0x800, 0x0101))), SILENT)


def interleaving() -> Iterator[Case]:
    """Messages that interrupt one another."""
    begun = p_data(pdv(1, _COMMAND, echo_rq()[:10]))
    empty = p_data(pdv(1, _COMMAND))
    data = p_data(pdv(1, 0, b"data"))
    last = p_data(pdv(1, _LAST, b"data"))
    for stage in _STAGES:
        yield from cases(
            "interleaving",
            stage,
            (
                *(first + command(echo_rq(), 3) for first in (begun, empty, _STORE, _STORE + data)),
                *(first + command(echo_rq()) for first in (_STORE, _STORE + data)),
                *(first + second for first in (begun, empty) for second in (data, last)),
                command(echo_rq()) + last,
                _STORE + last + last,
                _STORE + last + data,
                data,
                last,
                p_data(pdv(1, _COMMAND | _LAST, store_rq()), pdv(3, 0, b"data")),
                p_data(pdv(1, _COMMAND | _LAST, store_rq()), pdv(1, _COMMAND | _LAST, echo_rq())),
                p_data(pdv(1, 0, b"data"), pdv(1, _COMMAND | _LAST, store_rq())),
                *(_STORE + data * count + command(store_rq(), 3) for count in range(1, 30)),
            ),
            ABORTED,
        )


def message_bombs() -> Iterator[Case]:
    """Much for little."""
    longest = 131072 // 6
    yield Case("bomb", Stage.CALLED, p_data(*[pdv(1, _COMMAND)] * longest), SILENT)
    yield Case("bomb", Stage.CALLED, _STORE + p_data(*[pdv(1, 0)] * longest), SILENT)
    yield Case("bomb", Stage.CALLED, p_data(pdv(1, _COMMAND)) * 20_000, SILENT)
    yield Case("bomb", Stage.CALLED, p_data(pdv(1, _COMMAND, bytes(1024))) * 65, ABORTED)
    yield Case("bomb", Stage.CALLED, p_data(*[pdv(1, _COMMAND, b"x")] * 18_000) * 4, ABORTED)
    yield Case("bomb", Stage.CALLED, command(element(0x5110, b"") * 8_000), ABORTED)
    many = b"".join(pack("<HHI", 0, 0x2000 + index, 0) for index in range(6_000))
    yield Case("bomb", Stage.CALLED, command(command_bytes(*_MINIMUM) + many), SILENT)
    yield Case("bomb", Stage.CALLED, command(command_bytes(*_MINIMUM, element(2, b"1" * 60_000))), SILENT)
    yield Case("bomb", Stage.CALLED, _STORE + p_data(pdv(1, 0, bytes(100_000))) * 5, SILENT)
