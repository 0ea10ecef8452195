"""However the bytes of an association are cut, its user is told the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.parts import DataSetFragment
from dimseproxy.ul.pdu import ReleaseRequest
from tests.association.playing import Acceptor, End, echo, fragment, store, wire
from tests.ul.strategies import PROPERTY


class ChunkTests(TestCase):
    EXCHANGE = wire(
        [
            echo(1),
            *store(2, bytes(range(256)) * 5, context_id=3),
            echo(3),
            store(4, context_id=3)[0],
            fragment(b"first ", context_id=3, is_last=False),
            fragment(b"second", context_id=3),
        ]
    ) + wire(ReleaseRequest())

    @PROPERTY
    @given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.lists(st.booleans(), max_size=20))
    def test_the_same_parts(self, sizes: list[int], pauses: list[bool]) -> None:
        end = Acceptor()
        end.establish()
        offset = 0
        for index, size in enumerate(sizes):
            paused = index < len(pauses) and pauses[index]
            if paused:
                end.association.pause()
            end.association.dataReceived(self.EXCHANGE[offset : offset + size])
            if paused:
                end.association.resume()
            offset += size
        end.association.dataReceived(self.EXCHANGE[offset:] or b"")
        self.assertEqual(told(end), told(whole()))


def told(end: End) -> list[object]:
    """What a user was told, with data sets put together."""
    found: list[object] = []
    data = b""
    for what in end.user.told:
        if isinstance(what, DataSetFragment):
            data += bytes(what)
            if what.is_last:
                found.append(data)
                data = b""
        else:
            found.append(what)
    return found


def whole() -> End:
    end = Acceptor()
    end.establish()
    end.association.dataReceived(ChunkTests.EXCHANGE)
    return end
