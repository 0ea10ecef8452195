"""An association that was used before, and that the peer gives up at the moment it is used again."""

from __future__ import annotations

import socket
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.dimse.command_set import CommandField
from dimseproxy.errors import CALLED_AE_TITLE_NOT_RECOGNIZED
from dimseproxy.outbound import lease
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.outbound.limits import Count
from dimseproxy.outbound.pool import SharedOutbound, Sharing
from dimseproxy.ul.pdu import Abort, AssociateReject, AssociateRequest, ReleaseRequest, ReleaseResponse
from tests.association.playing import (
    COMMITMENT,
    CT,
    LIMITS,
    an_accept,
    command,
    echo,
    echoed,
    fragment,
    read,
    response,
    store,
    wire,
)
from tests.outbound.peers import REQUEST, Caller, House
from tests.support.threads import in_thread


class UsedBefore(TestCase):
    """A caller that has got an association that somebody else had before."""

    def setUp(self) -> None:
        self.house = House()
        self.peer = self.house.peer
        self.house.call().association.release()
        self.caller = self.house.call()
        self.first = self.peer.last
        assert len(self.peer.lines) == 1


class NothingSentYet(UsedBefore):
    def test_closed(self) -> None:
        self.first.closes()
        self.assertEqual((len(self.peer.lines), self.caller.told), (2, []))

    def test_aborted(self) -> None:
        self.first.says(Abort(2, 0))
        self.assertEqual((len(self.peer.lines), self.caller.told), (2, []))

    def test_released(self) -> None:
        self.first.says(ReleaseRequest())
        self.assertEqual(self.first.hears(), [ReleaseResponse()])
        self.assertEqual((len(self.peer.lines), self.caller.told), (2, []))

    def test_said_something(self) -> None:
        self.first.says(echoed())
        self.assertEqual(self.first.hears(), [Abort(2, 0)])
        self.assertEqual((len(self.peer.lines), self.caller.told), (2, []))

    def test_the_other_one_is_asked_for_the_same(self) -> None:
        self.first.closes()
        self.assertEqual(self.peer.last.request, self.first.request)

    def test_the_other_one_is_used(self) -> None:
        self.first.closes()
        self.caller.sends(echo())
        self.assertEqual(self.peer.last.hears(), [echo()])
        self.peer.last.says(echoed())
        self.assertEqual(self.caller.told, [echoed()])

    def test_the_first_says_nothing_any_more(self) -> None:
        self.first.says(Abort(2, 0))
        self.caller.sends(echo())
        self.first.closes()
        self.assertEqual(self.caller.told, [])

    def test_the_other_one_is_kept_afterwards(self) -> None:
        self.first.closes()
        self.caller.association.release()
        self.house.call()
        self.assertEqual(len(self.peer.lines), 2)

    def test_it_is_not_replaced_twice(self) -> None:
        self.first.closes()
        self.peer.last.says(Abort(2, 0))
        self.assertEqual((len(self.peer.lines), self.caller.told), (2, [(2, 0)]))

    def test_a_paused_caller_hears_nothing_of_the_other_one(self) -> None:
        self.caller.association.pause()
        self.first.closes()
        self.caller.sends(echo())
        self.peer.last.says(echoed())
        told = list(self.caller.told)
        self.caller.association.resume()
        self.assertEqual((told, self.caller.told), ([], [echoed()]))


class WhileAnotherOneIsOpened(UsedBefore):
    def setUp(self) -> None:
        super().setUp()
        self.peer.accepts = False
        self.first.closes()
        self.second = self.peer.last

    def test_what_is_sent_waits(self) -> None:
        self.caller.sends(echo(1))
        self.caller.sends(echo(2))
        self.assertEqual(self.second.hears(), [])
        self.second.accepts()
        self.assertEqual(self.second.hears(), [echo(1), echo(2)])

    def test_the_caller_waits(self) -> None:
        self.caller.sends(echo())
        self.assertEqual(self.caller.told, ["pause sending"])
        self.second.accepts()
        self.assertEqual(self.caller.told, ["pause sending", "resume sending"])

    def test_a_release(self) -> None:
        self.caller.association.release()
        self.assertEqual(self.caller.told, [])
        self.second.accepts()
        self.assertEqual((self.caller.told, self.house.outbound.idle), (["released"], 1))

    def test_an_abort(self) -> None:
        self.caller.association.abort(0, 0)
        self.assertEqual((self.second.hears(), self.caller.told), ([Abort(0, 0)], []))

    def test_a_rejection(self) -> None:
        self.second.says(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED))
        self.assertEqual(self.caller.told, [(2, 0)])

    def test_another_answer(self) -> None:
        self.second.accepts(refused=(CT,))
        self.assertEqual((self.second.hears(), self.caller.told), ([Abort(0, 0)], [(2, 0)]))

    def test_an_answer_after_that_sends_nothing(self) -> None:
        self.caller.sends(echo())
        self.second.accepts(refused=(CT,))
        self.assertEqual(self.second.hears(), [Abort(0, 0)])


class WhileItWaitsForItsTurn(TestCase):
    """The first request of the caller waits since the peer may be asked no more, and the association ends meanwhile."""

    def setUp(self) -> None:
        self.house = House(operations=1)
        self.peer = self.house.peer
        before, self.busy = self.house.call(caller="before"), self.house.call(caller="busy")
        self.first, self.busy_line = self.peer.lines
        before.association.release()
        self.caller = self.house.call(caller="somebody")
        assert len(self.peer.lines) == 2
        self.busy.sends(echo(9))
        self.peer.accepts = False

    @property
    def taken(self) -> int:
        assert self.house.operations is not None
        return self.house.operations.taken

    def _has_its_turn(self) -> None:
        self.busy_line.says(echoed(9))

    def test_its_turn_comes_before_the_other_association(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self._has_its_turn()
        self.peer.last.accepts()
        self.assertEqual(self.peer.last.hears(), [echo(1)])

    def test_its_turn_comes_after_it(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self.peer.last.accepts()
        before = self.peer.last.hears()
        self._has_its_turn()
        self.assertEqual((before, self.peer.last.hears()), ([], [echo(1)]))

    def test_it_leaves_nothing_taken(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self._has_its_turn()
        self.peer.last.accepts()
        taken = self.taken
        self.peer.last.says(echoed(1))
        self.assertEqual((taken, self.taken, self.caller.told[-1]), (1, 0, echoed(1)))

    def test_the_rest_of_a_message_follows_its_beginning(self) -> None:
        request, _ = store(1, context_id=3)
        self.caller.sends(request, fragment(b"first", context_id=3, is_last=False))
        self.first.closes()
        self._has_its_turn()
        self.caller.sends(fragment(b"last", context_id=3))
        self.peer.last.accepts()
        self.assertEqual(self.peer.last.hears(), [request, fragment(b"firstlast", context_id=3)])

    def test_what_is_sent_meanwhile_has_a_turn_of_its_own(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self._has_its_turn()
        self.caller.sends(echo(2))
        self.peer.last.accepts()
        before = self.peer.last.hears()
        self.peer.last.says(echoed(1))
        self.assertEqual((before, self.peer.last.hears()), ([echo(1)], [echo(2)]))

    def test_a_release_follows_the_request(self) -> None:
        self.caller.sends(echo(1))
        self.caller.association.release()
        self.first.closes()
        self._has_its_turn()
        self.peer.last.accepts()
        self.assertEqual((self.peer.last.hears(), self.caller.has_ended), ([echo(1), ReleaseRequest()], False))

    def test_an_abort_after_its_turn_leaves_nothing_taken(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self._has_its_turn()
        self.caller.association.abort(0, 0)
        self.assertEqual((self.taken, self.peer.last.hears()), (0, [Abort(0, 0)]))

    def test_none_in_its_place_leaves_nothing_taken(self) -> None:
        self.caller.sends(echo(1))
        self.first.closes()
        self._has_its_turn()
        self.peer.last.says(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED))
        self.assertEqual((self.taken, self.caller.told[-1]), (0, (2, 0)))

    def test_the_end_that_nobody_was_told_of_yet(self) -> None:
        self.caller.sends(echo(1))
        self.patch(lease, "has_something_to_read", lambda association: association is self.first.association)
        self._has_its_turn()
        self.assertEqual((len(self.peer.lines), self.first.hears()), (3, [Abort(2, 0)]))
        self.peer.last.accepts()
        self.assertEqual(self.peer.last.hears(), [echo(1)])


class SomethingSent(UsedBefore):
    """From then on nobody can tell what the peer has done."""

    def setUp(self) -> None:
        super().setUp()
        self.caller.sends(echo())
        self.first.hears()

    def test_closed(self) -> None:
        self.first.closes()
        self.assertEqual((len(self.peer.lines), self.caller.told), (1, [(2, 0)]))

    def test_released(self) -> None:
        self.first.says(ReleaseRequest())
        self.assertEqual(self.caller.told, ["release requested"])

    def test_what_the_caller_had_not_asked_for(self) -> None:
        # It may be an answer to the caller before.
        self.first.says(echoed(9))
        self.assertEqual((self.first.hears(), self.caller.told), ([Abort(2, 0)], [(2, 0)]))

    def test_it_is_not_shown_either_with_an_answer_before_it(self) -> None:
        self.first.says(echoed(), echoed(9))
        self.assertNotIn(echoed(9), self.caller.told)

    def test_an_answer_in_another_context(self) -> None:
        self.first.says(echoed(1, context_id=3))
        self.assertEqual((self.first.hears(), self.caller.told), ([Abort(2, 0)], [(2, 0)]))

    def test_an_answer_to_another_operation(self) -> None:
        self.first.says(response(CommandField.C_FIND_RSP))
        self.assertEqual((self.first.hears(), self.caller.told), ([Abort(2, 0)], [(2, 0)]))

    def test_a_report_of_the_peer(self) -> None:
        self.first.says(command(CommandField.N_EVENT_REPORT_RQ))
        self.assertEqual((self.first.hears(), self.caller.told), ([Abort(2, 0)], [(2, 0)]))

    def test_a_report_to_who_asked_for_something_that_is_reported_on(self) -> None:
        report = command(CommandField.N_EVENT_REPORT_RQ)
        self.caller.sends(command(CommandField.N_ACTION_RQ, 2, sop_class=COMMITMENT))
        self.first.says(report)
        self.assertEqual(self.caller.told, [report])


class NeverUsedBefore(TestCase):
    """The first user of an association finds what it would find without a pool."""

    def setUp(self) -> None:
        self.house = House()
        self.peer = self.house.peer
        self.caller = self.house.call()

    def test_closed(self) -> None:
        self.peer.last.closes()
        self.assertEqual((len(self.peer.lines), self.caller.told), (1, [(2, 0)]))

    def test_what_the_caller_had_not_asked_for(self) -> None:
        self.peer.last.says(echoed(9))
        self.assertEqual(self.caller.told, [echoed(9)])

    def test_a_slow_peer(self) -> None:
        producer = self.peer.last.transport.producer
        assert producer is not None
        producer.pauseProducing()
        producer.resumeProducing()
        self.assertEqual(self.caller.told, ["pause sending", "resume sending"])

    def test_a_release_of_the_peer(self) -> None:
        self.peer.last.says(ReleaseRequest())
        self.assertEqual(self.caller.told, ["release requested"])


class OnSockets(TestCase):
    """The peer has closed, and the reactor has not told of it yet."""

    timeout = 30

    def setUp(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.addCleanup(self.listener.close)
        deadlines = Deadlines(cast(IReactorTime, reactor))
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listener.getsockname()[1])
        outbound = DimseOutbound(endpoint, deadlines, LIMITS, 10.0)
        self.outbound = SharedOutbound(outbound, Sharing(2, 10.0, 5.0), Count(None), None)
        self.addCleanup(self.outbound.close)

    def _accept(self) -> socket.socket:
        """Accept one association; this blocks."""
        connection, _ = self.listener.accept()
        connection.settimeout(20)
        self.addCleanup(connection.close)
        [request] = read(connection.recv(65536))
        assert isinstance(request, AssociateRequest)
        connection.sendall(wire(an_accept(request)))
        return connection

    async def _kept(self) -> socket.socket:
        """An association that was used and given back, seen from the peer."""
        accepting = in_thread(self._accept)
        caller = Caller(self.outbound.associate(REQUEST))
        await caller.asking
        connection: socket.socket = await accepting
        caller.association.release()
        assert self.outbound.idle == 1
        return connection

    def _leave(self, caller: Caller) -> None:
        caller.association.abort(0, 0)

    async def test_before_it_is_used_again(self) -> None:
        connection = await self._kept()
        connection.close()
        asking = self.outbound.associate(REQUEST)
        self.assertFalse(asking.called, "it was given a dead one")
        accepting = in_thread(self._accept)
        caller = Caller(asking)
        await asking
        await accepting
        self._leave(caller)

    async def test_before_anything_is_sent(self) -> None:
        connection = await self._kept()
        caller = Caller(self.outbound.associate(REQUEST))
        connection.close()
        caller.sends(echo(5))

        def take() -> Any:
            with self._accept() as again:
                return read(again.recv(65536))

        self.assertEqual(await in_thread(take), [echo(5)])
        self._leave(caller)

    async def test_one_that_lives_is_used(self) -> None:
        connection = await self._kept()
        caller = Caller(self.outbound.associate(REQUEST))
        caller.sends(echo(5))
        self.assertEqual(read(await in_thread(connection.recv, 65536)), [echo(5)])
        self._leave(caller)
