"""Associations that are kept for the next caller, and those that are not."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.errors import CALLED_AE_TITLE_NOT_RECOGNIZED, AbortSource, AssociationRejected
from dimseproxy.ul.pdu import Abort, AssociateReject, AssociateRequest, ReleaseRequest, ReleaseResponse
from dimseproxy.ul.user_information import AsynchronousOperationsWindow, RoleSelection, UserIdentity
from tests.association.playing import (
    COMMITMENT,
    CT,
    EXPLICIT,
    GET,
    IMPLICIT,
    MR,
    VERIFICATION,
    a_request,
    command,
    echo,
    echoed,
    fragment,
    response,
    store,
)
from tests.outbound.peers import REQUEST, Caller, House

STORED = response(CommandField.C_STORE_RSP, context_id=3)


class PoolTests(TestCase):
    def setUp(self) -> None:
        self.house = House()
        self.peer = self.house.peer

    def _kept(self, request: AssociateRequest = REQUEST) -> Caller:
        """Somebody asks for something, gets an answer, and leaves."""
        caller = self.house.call(request)
        caller.sends(echo())
        self.peer.last.says(echoed())
        caller.association.release()
        return caller


class TheNextCaller(PoolTests):
    def test_gets_the_association_of_the_one_before(self) -> None:
        first = self._kept()
        second = self.house.call()
        self.assertEqual((len(self.peer.lines), second.association.number), (1, first.association.number))

    def test_costs_the_peer_no_word(self) -> None:
        self._kept()
        self.peer.last.hears()
        self._kept()
        self.assertEqual(self.peer.last.hears(), [echo()])

    def test_is_told_what_the_peer_accepted(self) -> None:
        self.peer.refused = (CT,)
        first = self._kept()
        second = self.house.call()
        self.assertEqual(second.association.established, first.association.established)

    def test_has_its_own_operations_answered(self) -> None:
        self._kept()
        second = self.house.call()
        second.sends(echo(7))
        self.peer.last.says(echoed(7))
        self.assertEqual(second.told, [echoed(7)])

    def test_hears_nothing_of_the_one_before(self) -> None:
        first = self._kept()
        told = list(first.told)
        second = self.house.call()
        second.sends(echo(7))
        self.peer.last.says(echoed(7))
        self.assertEqual(first.told, told)

    def test_is_read_although_the_one_before_had_paused(self) -> None:
        first = self.house.call()
        first.association.pause()
        first.association.release()
        second = self.house.call()
        second.sends(echo())
        self.peer.last.says(echoed())
        self.assertEqual((len(self.peer.lines), second.told), (1, [echoed()]))

    def test_gets_another_one_while_the_first_is_in_use(self) -> None:
        self.house.call()
        self.house.call()
        self.assertEqual(len(self.peer.lines), 2)

    def test_gets_the_one_that_was_used_last(self) -> None:
        one, other = self.house.call(), self.house.call()
        other.association.release()
        self.house.waits(1)
        one.association.release()
        self.assertEqual(self.house.call().association.number, one.association.number)

    def test_of_another_pool_gets_none_of_it(self) -> None:
        self._kept()
        other = House()
        other.call()
        self.assertEqual(len(other.peer.lines), 1)


class WhoReleases(PoolTests):
    def test_is_told_so(self) -> None:
        self.assertEqual(self._kept().told, [echoed(), "released"])

    def test_may_do_so_while_it_is_told_of_the_last_response(self) -> None:
        caller = self.house.call()
        caller.does(lambda: caller.association.release(), on=echoed())
        caller.sends(echo())
        self.peer.last.says(echoed())
        self.assertEqual((caller.told, self.house.outbound.idle), ([echoed(), "released"], 1))

    def test_has_the_association_no_longer(self) -> None:
        first = self._kept()
        self.peer.last.hears()
        first.sends(echo(9))
        first.association.abort(0, 0)
        self.assertEqual(self.peer.last.hears(), [])

    def test_cannot_disturb_the_next(self) -> None:
        first = self._kept()
        second = self.house.call()
        first.association.release()
        first.association.abort(0, 0)
        second.sends(echo())
        self.peer.last.says(echoed())
        self.assertEqual(second.told, [echoed()])


class AnotherRequest(PoolTests):
    """What differs in any way gets an association of its own."""

    def _is_opened_for(self, request: AssociateRequest) -> None:
        self._kept()
        self.house.call(request)
        self.assertEqual(len(self.peer.lines), 2)
        self.assertEqual(self.peer.last.request.contexts, request.contexts)

    def test_called_title(self) -> None:
        self._is_opened_for(evolve(REQUEST, called_ae_title="OTHER"))

    def test_calling_title(self) -> None:
        self._is_opened_for(evolve(REQUEST, calling_ae_title="OTHER"))

    def test_abstract_syntaxes(self) -> None:
        self._is_opened_for(a_request(VERIFICATION, MR, GET))

    def test_transfer_syntaxes(self) -> None:
        self._is_opened_for(a_request(VERIFICATION, CT, GET, syntaxes=(IMPLICIT, EXPLICIT)))

    def test_context_ids(self) -> None:
        contexts = tuple(evolve(each, context_id=each.context_id + 2) for each in REQUEST.contexts)
        self._is_opened_for(evolve(REQUEST, contexts=contexts))

    def test_maximum_length(self) -> None:
        self._is_opened_for(a_request(VERIFICATION, CT, GET, maximum=16384))

    def test_roles(self) -> None:
        self._is_opened_for(a_request(VERIFICATION, CT, GET, roles=[RoleSelection(CT, True, True)]))

    def test_asynchronous_operations_window(self) -> None:
        window = AsynchronousOperationsWindow(4, 4)
        information = evolve(REQUEST.user_information, asynchronous_operations_window=window)
        self._is_opened_for(evolve(REQUEST, user_information=information))

    def test_a_user_identity_is_never_shared(self) -> None:
        information = evolve(REQUEST.user_information, user_identity=UserIdentity(1, False, b"somebody"))
        request = evolve(REQUEST, user_information=information)
        self._kept(request)
        self.assertEqual(self.peer.last.hears()[-1], ReleaseRequest())


class NotKept(PoolTests):
    """What may still say something that belongs to its caller is released, as if there were no pool."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = self.house.call()
        self.line = self.peer.last

    def _is_released(self) -> None:
        self.line.hears()
        self.caller.association.release()
        self.assertEqual(self.line.hears(), [ReleaseRequest()])
        self.assertEqual(self.house.outbound.idle, 0)

    def test_a_request_that_is_not_answered(self) -> None:
        self.caller.sends(echo())
        self._is_released()

    def test_one_that_has_pending_answers_only(self) -> None:
        self.caller.sends(command(CommandField.C_FIND_RQ))
        self.line.says(response(CommandField.C_FIND_RSP, status=0xFF00))
        self._is_released()

    def test_one_of_two(self) -> None:
        self.caller.sends(echo(1), echo(2))
        self.line.says(echoed(2))
        self._is_released()

    def test_half_a_message_to_the_peer(self) -> None:
        self.caller.sends(command(CommandField.C_STORE_RQ, has_data_set=True, context_id=3, sop_class=CT))
        self.line.says(STORED)
        self._is_released()

    def test_half_a_message_from_the_peer(self) -> None:
        self.caller.sends(command(CommandField.C_FIND_RQ))
        self.line.says(response(CommandField.C_FIND_RSP, has_data_set=True))
        self._is_released()

    def test_half_a_pdu_from_the_peer(self) -> None:
        self.line.says(b"\x04\x00")
        self._is_released()

    def test_a_request_of_the_peer_that_is_not_answered(self) -> None:
        self.caller.sends(command(CommandField.C_GET_RQ, context_id=5, sop_class=GET))
        self.line.says(store(1, context_id=3), response(CommandField.C_GET_RSP, context_id=5))
        self._is_released()

    def test_a_response_that_nobody_asked_for(self) -> None:
        self.line.says(echoed(9))
        self._is_released()

    def test_a_response_in_another_context(self) -> None:
        self.caller.sends(echo())
        self.line.says(echoed(context_id=3))
        self._is_released()

    def test_a_response_to_another_operation(self) -> None:
        self.caller.sends(echo())
        self.line.says(response(CommandField.C_FIND_RSP), echoed())
        self._is_released()

    def test_an_object_that_nobody_asked_for(self) -> None:
        self.line.says(store(1, context_id=3))
        self.caller.sends(response(CommandField.C_STORE_RSP, context_id=3))
        self._is_released()

    def test_an_object_after_its_retrieve(self) -> None:
        self.caller.sends(command(CommandField.C_GET_RQ, context_id=5, sop_class=GET))
        self.line.says(response(CommandField.C_GET_RSP, context_id=5), store(1, context_id=3))
        self.caller.sends(response(CommandField.C_STORE_RSP, context_id=3))
        self._is_released()

    def test_two_requests_under_one_message_id(self) -> None:
        self.caller.sends(echo(), echo())
        self.line.says(echoed(), echoed())
        self._is_released()

    def test_a_cancelled_request(self) -> None:
        # A response may have been on its way when the last one was sent.
        self.caller.sends(command(CommandField.C_FIND_RQ))
        cancel = command(CommandField.C_CANCEL_RQ, None, more={Element.MESSAGE_ID_BEING_RESPONDED_TO: 1})
        self.caller.sends(cancel)
        self.line.says(response(CommandField.C_FIND_RSP, status=0xFE00))
        self._is_released()

    def test_what_the_peer_may_report_on_later(self) -> None:
        self.caller.sends(command(CommandField.N_ACTION_RQ, sop_class=COMMITMENT))
        self.line.says(response(CommandField.N_ACTION_RSP))
        self._is_released()

    def test_a_report_of_the_peer(self) -> None:
        self.line.says(command(CommandField.N_EVENT_REPORT_RQ))
        self.caller.sends(response(CommandField.N_EVENT_REPORT_RSP))
        self._is_released()

    def test_what_the_peer_has_not_taken(self) -> None:
        self.caller.sends(echo())
        assert self.line.transport.producer is not None
        self.line.transport.producer.pauseProducing()
        self.line.says(echoed())
        self._is_released()

    def test_an_abort_of_the_caller(self) -> None:
        self.caller.association.abort(AbortSource.SERVICE_USER, 0)
        self.assertEqual((self.line.hears(), self.house.outbound.idle), ([Abort(0, 0)], 0))

    def test_an_abort_of_the_peer(self) -> None:
        self.line.says(Abort(2, 0))
        self.assertEqual((self.caller.told, self.house.outbound.idle), ([(2, 0)], 0))

    def test_a_release_of_the_peer(self) -> None:
        self.caller.does(lambda: self.caller.association.respond_release(), on="release requested")
        self.line.says(ReleaseRequest())
        self.assertEqual((self.line.hears(), self.house.outbound.idle), ([ReleaseResponse()], 0))

    def test_the_caller_is_told_when_the_peer_agrees(self) -> None:
        self.caller.sends(echo())
        self.caller.association.release()
        before = list(self.caller.told)
        self.line.is_released()
        self.assertEqual((before, self.caller.told), ([], ["released"]))


class Kept(PoolTests):
    """What leaves nothing behind is kept."""

    def test_an_object_stored(self) -> None:
        caller = self.house.call()
        caller.sends(store(1, context_id=3))
        self.peer.last.says(STORED)
        caller.association.release()
        self.assertEqual(self.house.outbound.idle, 1)

    def test_an_object_retrieved(self) -> None:
        caller = self.house.call()
        caller.sends(command(CommandField.C_GET_RQ, context_id=5, sop_class=GET))
        self.peer.last.says(store(1, context_id=3))
        caller.sends(response(CommandField.C_STORE_RSP, context_id=3))
        self.peer.last.says(response(CommandField.C_GET_RSP, context_id=5))
        caller.association.release()
        self.assertEqual(self.house.outbound.idle, 1)

    def test_answers_found(self) -> None:
        caller = self.house.call()
        caller.sends(command(CommandField.C_FIND_RQ, has_data_set=True), fragment(b"keys"))
        pending = response(CommandField.C_FIND_RSP, status=0xFF00, has_data_set=True)
        self.peer.last.says(pending, fragment(b"found"), response(CommandField.C_FIND_RSP))
        caller.association.release()
        self.assertEqual(self.house.outbound.idle, 1)

    def test_one_that_nobody_used(self) -> None:
        self.house.call().association.release()
        self.assertEqual(self.house.outbound.idle, 1)


class Idle(PoolTests):
    def setUp(self) -> None:
        super().setUp()
        self._kept()
        self.line = self.peer.last
        self.line.hears()

    def _is_not_used_again(self) -> None:
        self.assertEqual(self.house.outbound.idle, 0)
        self.house.call().sends(echo())
        self.assertEqual(len(self.peer.lines), 2)

    def test_is_released_after_its_time(self) -> None:
        self.house.waits(10)
        self.assertEqual(self.line.hears(), [ReleaseRequest()])

    def test_is_not_released_before(self) -> None:
        self.house.waits(9.5)
        self.assertEqual(self.line.hears(), [])

    def test_has_its_time_anew_after_each_use(self) -> None:
        self.house.waits(9)
        self._kept()
        self.line.hears()
        self.house.waits(9)
        self.assertEqual(self.line.hears(), [])

    def test_is_not_used_while_it_is_released(self) -> None:
        self.house.waits(10)
        self._is_not_used_again()

    def test_released_by_the_peer(self) -> None:
        self.line.says(ReleaseRequest())
        self.assertEqual(self.line.hears(), [ReleaseResponse()])
        self._is_not_used_again()

    def test_aborted_by_the_peer(self) -> None:
        self.line.says(Abort(2, 0))
        self._is_not_used_again()

    def test_closed_by_the_peer(self) -> None:
        self.line.closes()
        self._is_not_used_again()

    def test_said_something(self) -> None:
        self.line.says(echo())
        self.assertEqual(self.line.hears(), [Abort(2, 0)])
        self._is_not_used_again()

    def test_began_to_say_something(self) -> None:
        self.line.says(b"\x04\x00")
        self.house.call()
        self.assertEqual(len(self.peer.lines), 2)

    def test_the_oldest_is_released_when_there_are_too_many(self) -> None:
        for title in ("B", "C"):
            self.house.waits(1)
            self._kept(evolve(REQUEST, calling_ae_title=title))
        self.assertEqual((self.line.hears(), self.house.outbound.idle), ([ReleaseRequest()], 2))

    def test_nothing_is_watched_when_none_is_left(self) -> None:
        self.house.waits(10)
        self.line.is_released()
        self.assertEqual(self.house.deadlines._watched, set())


class TheEnd(PoolTests):
    def test_idle_ones_are_released(self) -> None:
        self._kept()
        self.house.outbound.close()
        self.peer.last.is_released()

    def test_it_waits_for_that(self) -> None:
        self._kept()
        closing = self.house.outbound.close()
        self.assertNoResult(closing)
        self.peer.last.is_released()
        self.successResultOf(closing)

    def test_it_does_not_wait_for_long(self) -> None:
        self._kept()
        closing = self.house.outbound.close()
        self.house.waits(1)
        self.successResultOf(closing)
        self.assertTrue(self.peer.last.transport.disconnected)

    def test_whoever_asks_for_it_is_told(self) -> None:
        self._kept()
        closings = [self.house.outbound.close(), self.house.outbound.close()]
        self.peer.last.is_released()
        for each in closings:
            self.successResultOf(each)

    def test_whoever_asks_for_it_does_not_wait_for_long(self) -> None:
        self._kept()
        closings = [self.house.outbound.close(), self.house.outbound.close()]
        self.house.waits(1)
        for each in closings:
            self.successResultOf(each)

    def test_it_waits_for_nothing_where_none_is_idle(self) -> None:
        self.house.call()
        self.successResultOf(self.house.outbound.close())

    def test_none_is_kept_any_more(self) -> None:
        caller = self.house.call()
        self.house.outbound.close()
        caller.association.release()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])


class NoAssociation(PoolTests):
    def test_rejected(self) -> None:
        self.peer.rejects = AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED)
        [error] = self.house.call().failures
        assert isinstance(error, AssociationRejected)
        self.assertEqual(error.rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_given_up_while_the_peer_is_asked(self) -> None:
        self.peer.accepts = False
        caller = self.house.call()
        caller.asking.cancel()
        self.assertEqual((len(caller.failures), self.peer.last.hears()), (1, [Abort(0, 0)]))
