"""Hostile bytes while an association is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random
from struct import pack
from typing import Final

from tests.corpus.cases import (
    ABORTED,
    ACCEPT,
    ACCEPTED,
    ANY,
    REJECTED,
    RELEASED,
    REQUEST,
    SILENT,
    Answer,
    Case,
    Stage,
    cases,
)
from tests.dimse.messages import echo_rq
from tests.ul.test_state_table import typed_table
from tests.ul.wire import (
    APPLICATION_CONTEXT,
    MAXIMUM_LENGTH,
    RELEASE_RP,
    RELEASE_RQ,
    abort,
    answered,
    associate_ac,
    associate_rq,
    head,
    item,
    p_data,
    pdu,
    pdv,
    proposed,
    reject,
    user_information,
)

_FROM_CALLER: Final = (Stage.CALLING, Stage.CALLED)
_EVERY_STAGE: Final = tuple(Stage)

#: What other protocols send first.
_GREETINGS: Final = (
    *(f"{method} / HTTP/1.1\r\nHost: pacs\r\n\r\n".encode() for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS")),
    b"CONNECT pacs:443 HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    *(b"\x16\x03" + bytes((minor,)) + b"\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(196) for minor in range(5)),
    b"\x80\x2e\x01\x03\x01\x00\x15",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"EHLO mail\r\n",
    b"USER anonymous\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c",
    b"*1\r\n$4\r\nPING\r\n",
    b"MSH|^~\\&|A|B|C|D\r",
    b"\x0bMSH|^~\\&|A|B|C|D\r\x1c\r",
    b"OPTIONS rtsp://pacs RTSP/1.0\r\n\r\n",
    b"\x00\x00\x00\x2f\xe0\x00\x00\x00\x00\x00Cookie: mstshash=a\r\n",
    b"<?xml version='1.0'?><stream>",
    b'{"jsonrpc": "2.0"}\n',
    b"help\n",
    b"\n",
    b" ",
    b"\x00",
    b"\xff" * 64,
)

_LENGTHS: Final = (
    *(0x00080001, 0x00100000, 0x00FFFFFF, 0x01000000, 0x10000000, 0x474F4F44, 0x7FFFFFFF, 0x80000000),
    *(0xFFFFFF00, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF),
)


def truncated() -> Iterator[Case]:
    """The rest never comes: only a deadline ends it."""
    yield from cases("truncated", Stage.CALLING, (REQUEST[:size] for size in range(1, len(REQUEST))), SILENT)
    yield from cases("truncated", Stage.ANSWERING, (ACCEPT[:size] for size in range(1, len(ACCEPT), 3)), SILENT)
    message = p_data(pdv(1, 3, echo_rq()))
    yield from cases("truncated", Stage.CALLED, (message[:size] for size in range(1, len(message))), SILENT)
    # The PDU is complete, but its items are not.
    body = REQUEST[6:]
    ends = {len(body) - 12, len(body) - 12 - 50, len(body) - 12 - 83 - 50}
    for size in range(0, len(body)):
        answers = ABORTED if size < 68 else ANY - {Answer.SILENT}
        yield Case("truncated", Stage.CALLING, pdu(1, body[:size]), answers if size not in ends else ANY)


def unknown_types() -> Iterator[Case]:
    """A first byte that no PDU has."""
    for stage in _EVERY_STAGE:
        for pdu_type in (0, *range(8, 256, 1 if stage in _FROM_CALLER else 8)):
            yield Case("unknown PDU type", stage, bytes((pdu_type,)) + REQUEST[1:], ABORTED)


def text_protocols() -> Iterator[Case]:
    """Peers that speak something else."""
    for stage in _EVERY_STAGE:
        yield from cases("other protocol", stage, _GREETINGS, ABORTED)


def oversize() -> Iterator[Case]:
    """Lengths over the cap: the header alone ends it."""
    for stage, pdu_type in product(_EVERY_STAGE, range(1, 8)):
        yield from cases("oversize length", stage, (pdu(pdu_type, b"", length) for length in _LENGTHS), ABORTED)
    for stage, pdu_type, size in product(_FROM_CALLER, (3, 5, 6, 7), (0, 1, 2, 3, 5, 6, 100)):
        yield Case("oversize length", stage, pdu(pdu_type, bytes(size)), ABORTED)


def states() -> Iterator[Case]:
    """
    PDUs in any order, up to three at a time; the answer is read from Table 9-10.

    A release is answered when the burst is over: what comes behind it comes too late.
    """
    events = {
        "Evt3": ACCEPT,
        "Evt4": reject(1, 1, 1),
        "Evt6": REQUEST,
        "Evt10": p_data(pdv(1, 3, echo_rq())),
        "Evt12": RELEASE_RQ,
        "Evt13": RELEASE_RP,
        "Evt16": abort(0, 0),
        "Evt19": b"\x99",
    }
    table = typed_table()
    for stage, start in ((Stage.CALLING, "Sta2"), (Stage.CALLED, "Sta6")):
        for size in (1, 2, 3):
            for burst in product(events, repeat=size):
                answer = _simulated(table, start, burst)
                yield Case("state violation", stage, b"".join(events[event] for event in burst), frozenset((answer,)))


def _simulated(table: dict[tuple[str, str], str], state: str, burst: tuple[str, ...]) -> Answer:
    """What Table 9-10 answers a burst, where the service user has no time to say anything meanwhile."""
    after = {"AE-6": "Sta3", "DT-2": "Sta6", "AR-2": "Sta8", "AA-1": "Sta13", "AA-8": "Sta13", "AA-7": "Sta13"}
    answer = Answer.SILENT
    for event in burst:
        if event == "Evt19" and "Evt19" in burst[: burst.index(event)]:
            break
        action = table.get((event, state))
        if action in ("AA-1", "AA-7", "AA-8"):
            answer = Answer.ABORTED
        if action in ("AA-2", "AA-3"):
            # The transport is closed.
            return answer
        state = after.get(action or "", state)
        if event == "Evt19":
            break
    ends = {"Sta3": Answer.ACCEPTED, "Sta8": Answer.RELEASED}
    return ends.get(state, answer)


def item_lengths() -> Iterator[Case]:
    """Item lengths that do not fit what they are in."""
    offsets = (74, 99, 107, 128, 149, 157, 186, 207, 230, 234)
    for offset in offsets:
        true = int.from_bytes(REQUEST[offset + 2 : offset + 4], "big")
        for length in (0xFFFF, 0x8000, 0x7FFF, len(REQUEST)):
            yield _with_length(offset, length, ABORTED)
        for length in (0, 1, 2, 3, true - 1, true + 1, true + 2, true + 4, 4, 255, 256):
            yield _with_length(offset, length % 0x10000, ANY - {Answer.SILENT})
    for sub_item in range(0x51, 0x5A):
        for size in range(0, 12):
            data = associate_rq(proposed(1), user_information(item(sub_item, bytes(range(1, size + 1)))))
            yield Case("item length", Stage.CALLING, data, ANY - {Answer.SILENT})
            false = item(sub_item, bytes(size), 0xFFF0)
            yield Case("item length", Stage.CALLING, associate_rq(proposed(1), user_information(false)), ABORTED)
    for inner in range(0, 400, 13):
        false = item(0x56, pack(">H", inner + 20) + bytes(inner))
        yield Case("item length", Stage.CALLING, associate_rq(proposed(1), user_information(false)), ABORTED)


def _with_length(offset: int, length: int, answers: frozenset[Answer]) -> Case:
    data = REQUEST[: offset + 2] + pack(">H", length) + REQUEST[offset + 4 :]
    return Case("item length", Stage.CALLING, data, answers)


def titles() -> Iterator[Case]:
    """AE titles that are none: NUL, control characters, backslash, padding, other alphabets."""
    for byte in range(256):
        title = b"A" + bytes((byte,)) + b"B"
        answers = ACCEPTED if 0x20 <= byte < 0x7F and byte != 0x5C else REJECTED
        for fields in ({"calling": title}, {"called": title}):
            yield Case("AE title", Stage.CALLING, associate_rq(proposed(1), **fields), answers)
    for title in (b"", bytes(16), b"SHIELD\0", b"\0SHIELD", b"SHIELD".ljust(16, b"\0"), b"\xc3\xa4", b"A\r\nB", b"\\"):
        for fields in ({"calling": title}, {"called": title}):
            yield Case("AE title", Stage.CALLING, associate_rq(proposed(1), **fields), REJECTED)
    for title in (b" PADDED", b"   PADDED   ", b"SIXTEEN LETTERS!", b"*", b"%s%n", b"' OR 1=1 --"):
        for fields in ({"calling": title}, {"called": title}):
            yield Case("AE title", Stage.CALLING, associate_rq(proposed(1), **fields), ACCEPTED)


def versions() -> Iterator[Case]:
    """Protocol versions and application contexts that are not ours."""
    for version in (0, 2, 4, 6, 0x8000, 0xFFFE, 3, 5, 0x8001, 0xFFFF):
        data = associate_rq(proposed(1), version=version)
        yield Case("version", Stage.CALLING, data, ACCEPTED if version & 1 else REJECTED)
    for name in (b"", b"1", b"1.2.840.10008.3.1.1.2", b"1.2.840.10008.3.1.1.1.1", b"\xff" * 64, b"x" * 60_000):
        data = pdu(1, head() + item(0x10, name) + proposed(1))
        yield Case("version", Stage.CALLING, data, REJECTED)
    yield Case("version", Stage.CALLING, pdu(1, head() + proposed(1)), REJECTED)


def contexts() -> Iterator[Case]:
    """Presentation contexts that are none, and ids that are there twice."""
    for context_id in range(0, 256, 2):
        yield Case("context id", Stage.CALLING, associate_rq(proposed(context_id)), ABORTED)
    for context_id in range(1, 256, 8):
        yield Case("duplicate", Stage.CALLING, associate_rq(*[proposed(context_id)] * 2), ABORTED)
    yield Case("duplicate", Stage.CALLING, associate_rq(*map(proposed, range(1, 256, 2)), proposed(1)), ABORTED)
    for value in (b"", bytes(3), b"\1\0\0\0", b"\1\0\0\0" + item(0x30, b"1.1"), b"\1\0\0\0" + item(0x40, b"1.2")):
        yield Case("context id", Stage.CALLING, associate_rq(item(0x20, value)), ABORTED)
    yield Case("context id", Stage.CALLING, associate_rq(), ABORTED)
    # Twice the same item of which there is one: the last counts.
    for twice in (APPLICATION_CONTEXT, user_information(MAXIMUM_LENGTH)):
        yield Case("duplicate", Stage.CALLING, associate_rq(proposed(1), twice, twice), ACCEPTED)
    for sub_item in (MAXIMUM_LENGTH, item(0x53, bytes(4)), item(0x55, b"A"), item(0x54, b"\0\x011\1\1")):
        data = associate_rq(proposed(1), user_information(*[sub_item] * 50))
        yield Case("duplicate", Stage.CALLING, data, ACCEPTED)
    # An outbound that answers twice, or what it was not asked.
    yield Case("duplicate", Stage.ANSWERING, associate_ac(answered(1, 0), answered(1, 0)), ACCEPTED)
    yield Case("context id", Stage.ANSWERING, associate_ac(*(answered(each, 0) for each in range(256))), ACCEPTED)
    for length in range(1, 16):
        data = associate_rq(proposed(1), user_information(item(0x51, pack(">I", length))))
        yield Case("item length", Stage.CALLING, data, ABORTED)


def bombs() -> Iterator[Case]:
    """Much for little."""
    many = [b"1.2.840.10008.1.2.%d" % index for index in range(500)]
    everything = [proposed(each, b"1.2.840.10008.5.1.4.1.1.2", *many[:180]) for each in range(1, 256, 2)]
    yield Case("bomb", Stage.CALLING, associate_rq(*(proposed(each) for each in range(1, 256, 2))), ACCEPTED)
    yield Case("bomb", Stage.CALLING, associate_rq(*everything[:100]), ACCEPTED)
    yield Case("bomb", Stage.CALLING, associate_rq(*everything), ABORTED)
    for count in (1_000, 60_000, 120_000):
        yield Case("bomb", Stage.CALLING, associate_rq(proposed(1), item(0x99, b"") * count), ACCEPTED)
    yield Case("bomb", Stage.CALLING, associate_rq(proposed(1), item(0x99, b"") * 140_000), ABORTED)
    empty = item(0x20, pack(">B3x", 1) + item(0x30, b"1.1") + item(0x40, b"1") * 10_000)
    yield Case("bomb", Stage.CALLING, associate_rq(empty), ACCEPTED)
    for sub_item, count in (
        (item(0x5F, b""), 16_000),
        (item(0x54, b"\0\x011\1\1"), 6_000),
        (item(0x57, bytes(6)), 6_000),
    ):
        data = associate_rq(proposed(1), user_information(sub_item * count))
        yield Case("bomb", Stage.CALLING, data, ACCEPTED)
    # What leaves with our own name in it must fit as well as what came.
    for size in (65_000, 65_300, 65_400, 65_450, 65_480, 65_500, 65_520, 65_525):
        identity = item(0x58, pack(">BBH", 4, 0, size) + bytes(size) + b"\0\0")
        data = associate_rq(proposed(1), user_information(identity))
        yield Case("bomb", Stage.CALLING, data, ACCEPTED if size <= 65_300 else ABORTED)
    yield from cases("bomb", Stage.CALLED, (RELEASE_RQ + RELEASE_RQ * count for count in (1, 100, 10_000)), ABORTED)
    yield from cases("bomb", Stage.CALLED, (RELEASE_RP * count for count in (1, 100, 10_000)), ABORTED)
    yield from cases("bomb", Stage.CALLED, (REQUEST * count for count in (2, 50, 500)), ABORTED)
    yield Case("bomb", Stage.CALLED, RELEASE_RQ, RELEASED)


def mutated() -> Iterator[Case]:
    """A few bytes of something well-formed are others."""
    random = Random(20)
    for stage, original, count in (
        (Stage.CALLING, REQUEST, 300),
        (Stage.ANSWERING, ACCEPT, 120),
    ):
        for _ in range(count):
            data = bytearray(original)
            for _ in range(random.randint(1, 6)):
                data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            yield Case("mutated", stage, bytes(data), ANY)
