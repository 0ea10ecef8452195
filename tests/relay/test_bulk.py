"""The middle of pixel data, which crosses a border without a queue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import CT, FIND, MOVE, VERIFICATION, a_request, an_accept, fragment, response
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names
from tests.relay.test_border import (
    IN_FIND,
    IN_STORE,
    PATIENT,
    User,
    an_object,
    asking,
    commands,
    storing,
)

PIXELS = bytes(range(256)) * 100
OBJECT = an_object(pixels=PIXELS)
HEAD = len(OBJECT) - len(PIXELS)


def pieces(data: bytes = OBJECT, size: int = 5000, context_id: int = IN_STORE) -> list[DataSetFragment]:
    """A data set as it comes: its head with some pixels, and then pixels."""
    cuts = [0, *range(HEAD + 100, len(data), size), len(data)]
    return [fragment(data[begin:end], context_id=context_id, is_last=end == len(data)) for begin, end in pairwise(cuts)]


def bytes_of(parts: Sequence[Part]) -> bytes:
    return b"".join(bytes(part) for part in parts if isinstance(part, DataSetFragment))


class BulkTests(TestCase):
    """The peer holds the originals, and sends; its user gets pseudonyms."""

    def setUp(self) -> None:
        self.clock, self.names = Clock(), Names()
        request = a_request(VERIFICATION, CT, FIND, MOVE)
        self.peer = FakeAssociation(request, an_accept(request))
        privacy = Privacy(compile_policy(name="research"), self.names, lambda: b"k" * 32)
        self.border = Border(self.peer, privacy, Direction.TO_ORIGINALS, self.clock)
        self.user = User()
        self.border.use(self.user)

    def hears(self, *parts: Part) -> None:
        self.peer.hears(*parts)
        for _ in range(3):
            self.clock.advance(0)

    def test_each_piece_leaves_as_it_came_and_at_once(self) -> None:
        request, (first, *middle, last) = storing()[0], pieces()
        self.hears(request, first)
        for piece in middle:
            self.hears(piece)
            self.assertIs(self.user.heard[-1], piece)
        self.hears(last)
        self.assertTrue(bytes_of(self.user.heard).endswith(PIXELS))
        self.assertEqual(bytes_of(self.user.heard).count(PIXELS), 1)

    def test_none_overtakes_a_head_that_waits_for_pseudonyms(self) -> None:
        self.names.holds = True
        first, *rest = pieces()
        self.hears(storing()[0], first)
        for piece in rest:
            self.hears(piece)
        self.assertEqual(self.user.heard, [])
        self.names.answers()
        self.clock.advance(0)
        self.assertTrue(bytes_of(self.user.heard).endswith(PIXELS))

    def test_none_leaves_while_the_user_takes_nothing(self) -> None:
        first, second, *rest = pieces()
        self.hears(storing()[0], first)
        self.border.pause()
        before = list(self.user.heard)
        self.hears(second)
        self.assertEqual(self.user.heard, before)
        self.border.resume()
        for piece in rest:
            self.hears(piece)
        self.assertTrue(bytes_of(self.user.heard).endswith(PIXELS))

    def test_what_comes_while_one_is_handed_over_leaves_behind_it(self) -> None:
        first, second, *rest = pieces()
        self.hears(storing()[0], first)
        received = self.user.received

        def receives(parts: Sequence[Part]) -> None:
            self.user.received = received  # type: ignore[method-assign]
            for piece in rest:
                self.peer.hears(piece)
            received(parts)

        self.user.received = receives  # type: ignore[method-assign]
        self.hears(second)
        self.assertTrue(bytes_of(self.user.heard).endswith(PIXELS))

    def test_nothing_leaves_of_an_answer_that_nobody_waits_for_any_longer(self) -> None:
        asked = asking(CommandField.C_FIND_RQ, IN_FIND, patient=self.names.of(Identity(Kind.PATIENT, PATIENT)))
        self.border.send(asked)
        answer = response(CommandField.C_FIND_RSP, 1, Status.PENDING, context_id=IN_FIND, has_data_set=True)
        cannot_be_read = fragment(b"\x08\x00\x05\x00\xff\xff", context_id=IN_FIND)
        self.hears(answer, cannot_be_read)
        self.assertEqual(commands(self.user.heard), ["C-FIND-RSP"])
        self.user.heard.clear()
        first, *rest = pieces(context_id=IN_FIND)
        self.hears(answer, first)
        for piece in rest:
            self.hears(piece)
        self.assertEqual(self.user.heard, [])
