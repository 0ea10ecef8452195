"""The raw SCP, over a pair of sockets."""

from __future__ import annotations

import socket

from twisted.trial.unittest import TestCase

from bench import queries, wire
from bench.messages import store
from bench.scp import Connection, Numbers


class ConnectionTests(TestCase):
    """What one association answers."""

    def setUp(self) -> None:
        here, self.caller = socket.socketpair()
        for end in (here, self.caller):
            self.addCleanup(end.close)
            end.setblocking(False)
        self.connection = Connection(here, Numbers())

    def answered(self, content: bytes, piece: int = 1 << 20) -> bytes:
        """What comes back for these bytes, which arrive in pieces of a size."""
        for start in range(0, len(content), piece):
            self.assertTrue(self.connection.receive(memoryview(content[start : start + piece])))
        try:
            return self.caller.recv(1 << 16)
        except BlockingIOError:
            return b""

    def test_a_request_is_accepted(self) -> None:
        request = wire.associate_rq()
        self.assertEqual(self.answered(request), wire.associate_ac(request[6:]))

    def test_an_echo_is_answered_by_its_message_id(self) -> None:
        self.assertEqual(self.answered(wire.echo_rq(7) + wire.echo_rq(8)), wire.echo_rsp(7) + wire.echo_rsp(8))

    def test_an_object_is_answered_once_it_is_there(self) -> None:
        """Whatever the pieces are that it comes in, and what follows is understood."""
        message = b"".join(store(40_000)(1))
        instance = wire.elements_in(message[12:])[0x1000]
        for piece in (1, 7, 11, 4096, 16384, 16390, 1 << 20):
            self.assertEqual(self.answered(message[:-1], piece), b"", piece)
            expected = wire.store_rsp(1, instance=instance) + wire.echo_rsp(3)
            self.assertEqual(self.answered(message[-1:] + wire.echo_rq(3), piece), expected, piece)

    def test_a_find_gets_as_many_answers_as_are_asked_for(self) -> None:
        """And no answer twice."""
        asked = queries.find_rq(1, queries.studies(b"2"))
        self.assertEqual(self.answered(asked), b"".join(queries.answers(1, 0, 2)))
        self.assertEqual(self.answered(asked), b"".join(queries.answers(1, 2, 2)))

    def test_a_find_may_ask_for_the_same_answers_again(self) -> None:
        asked = queries.find_rq(1, queries.studies(b"2 500"))
        for _ in range(2):
            self.assertEqual(self.answered(asked), b"".join(queries.answers(1, 500, 2)))

    def test_a_release_is_answered(self) -> None:
        self.assertEqual(self.answered(wire.RELEASE_RQ_PDU), wire.RELEASE_RP_PDU)

    def test_an_abort_ends_it(self) -> None:
        self.assertFalse(self.connection.receive(memoryview(wire.pdu(wire.ABORT, bytes(4)))))
