"""Associations in memory: what one end says to what it hears."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.ul.pdu import (
    Abort,
    ReleaseRequest,
    ReleaseResponse,
)
from tests.association.playing import (
    Acceptor,
    End,
    Requestor,
    a_request,
    echo,
    echoed,
    fragment,
    store,
    wire,
)

#: An A-P-ABORT of ours without a reason, and the reasons of PS3.8 Table 9-26.
PROVIDER = 2
UNRECOGNIZED_PDU, UNEXPECTED_PDU, UNEXPECTED_PARAMETER, INVALID_PARAMETER = 1, 2, 5, 6
#: The first bytes of a data set of 100 bytes in one PDU.
BEGUN_PDU = wire(fragment(bytes(100)))[:50]


class _EitherEnd:
    """What holds for both ends of an established association."""

    end: End

    def test_sends_parts(self) -> None:
        self.end.association.send([echo(3)])
        self.assertEqual(self.end.says(), [echo(3)])  # type: ignore[attr-defined]

    def test_delivers_parts(self) -> None:
        self.end.hears(echo(1), store(2, context_id=3))
        self.assertEqual(self.end.user.told, [echo(1), *store(2, context_id=3)])  # type: ignore[attr-defined]

    def test_delivers_one_byte_at_a_time(self) -> None:
        for byte in wire([echo(1), *store(2, b"abc", context_id=3)]):
            self.end.hears(bytes([byte]))
        self.assertEqual(self.end.user.told, [echo(1), *store(2, b"abc", context_id=3)])  # type: ignore[attr-defined]

    def test_keeps_what_comes_before_its_user(self) -> None:
        user, self.end.association._user = self.end.user, None
        self.end.hears(echo(1), echo(2), ReleaseRequest())
        self.end.association.use(user)
        self.assertEqual(user.told, [echo(1), echo(2), "release requested"])  # type: ignore[attr-defined]

    # Pausing

    def test_reads_nothing_while_paused(self) -> None:
        self.end.association.pause()
        self.assertFalse(self.end.is_reading)  # type: ignore[attr-defined]

    def test_reads_again_when_resumed(self) -> None:
        self.end.association.pause()
        self.end.association.resume()
        self.assertTrue(self.end.is_reading)  # type: ignore[attr-defined]

    def test_delivers_nothing_while_paused(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1))
        self.assertEqual(self.end.user.told, [])  # type: ignore[attr-defined]

    def test_delivers_in_order_when_resumed(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), echo(2))
        self.end.hears(echo(3))
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [echo(1), echo(2), echo(3)])  # type: ignore[attr-defined]

    def test_delivers_no_more_than_until_it_is_paused_again(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), echo(2))
        self.end.user.then = lambda _: self.end.association.pause()
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [echo(1)])  # type: ignore[attr-defined]

    def test_stays_paused_when_its_user_pauses_again_meanwhile(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1))
        self.end.user.then = lambda _: self.end.association.pause()
        self.end.association.resume()
        self.assertFalse(self.end.is_reading)  # type: ignore[attr-defined]

    def test_a_release_waits_while_paused(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), ReleaseRequest())
        self.assertEqual(self.end.user.told, [])  # type: ignore[attr-defined]

    def test_a_release_comes_after_what_was_held(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), ReleaseRequest())
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [echo(1), "release requested"])  # type: ignore[attr-defined]

    def test_an_abort_is_told_even_while_paused(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), Abort(0, 3))
        self.assertEqual(self.end.user.told, [(0, 3)])  # type: ignore[attr-defined]

    def test_what_was_held_is_not_told_after_an_abort(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), Abort(0, 3))
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [(0, 3)])  # type: ignore[attr-defined]

    def test_a_confirmed_release_waits_while_paused(self) -> None:
        self.end.association.release()
        self.end.association.pause()
        self.end.hears(echo(1), ReleaseResponse())
        self.end.is_cut_off()
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [echo(1), "released"])  # type: ignore[attr-defined]

    def test_aborting_while_a_confirmed_release_waits(self) -> None:
        self.end.association.release()
        self.end.association.pause()
        self.end.hears(ReleaseResponse())
        self.end.association.abort()
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [])  # type: ignore[attr-defined]

    def test_asking_for_release_while_the_peers_request_waits(self) -> None:
        self.end.association.pause()
        self.end.hears(echo(1), ReleaseRequest())
        self.end.association.release()
        self.end.association.resume()
        self.assertEqual(self.end.user.told, [echo(1), "released"])  # type: ignore[attr-defined]

    def test_the_peer_that_asked_first_is_answered_then(self) -> None:
        self.end.association.pause()
        self.end.hears(ReleaseRequest())
        self.end.association.release()
        self.end.association.resume()
        self.assertEqual(self.end.says(), [ReleaseResponse()])  # type: ignore[attr-defined]

    # Release

    def test_asks_for_release(self) -> None:
        self.end.association.release()
        self.assertEqual(self.end.says(), [ReleaseRequest()])  # type: ignore[attr-defined]

    def test_is_released(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseResponse())
        self.assertEqual(self.end.user.told, ["released"])  # type: ignore[attr-defined]

    def test_closes_when_released(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseResponse())
        self.assertTrue(self.end.is_closed)  # type: ignore[attr-defined]

    def test_delivers_what_comes_before_the_release_is_confirmed(self) -> None:
        self.end.association.release()
        self.end.hears(echo(7), ReleaseResponse())
        self.assertEqual(self.end.user.told, [echo(7), "released"])  # type: ignore[attr-defined]

    def test_sends_nothing_after_it_asked_for_release(self) -> None:
        self.end.association.release()
        self.end.says()
        self.end.association.send([echo(1)])
        self.assertEqual(self.end.says(), [])  # type: ignore[attr-defined]

    def test_a_release_that_nobody_confirms(self) -> None:
        self.end.association.release()
        self.end.waits(30)
        self.assertEqual(self.end.user.told, [(PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_cuts_off_whoever_neither_confirms_nor_closes(self) -> None:
        self.end.association.release()
        self.end.waits(61)
        self.assertTrue(self.end.is_cut)  # type: ignore[attr-defined]

    def test_is_asked_for_release(self) -> None:
        self.end.hears(ReleaseRequest())
        self.assertEqual(self.end.user.told, ["release requested"])  # type: ignore[attr-defined]

    def test_answers_no_release_by_itself(self) -> None:
        self.end.hears(ReleaseRequest())
        self.assertEqual(self.end.says(), [])  # type: ignore[attr-defined]

    def test_sends_what_it_owes_before_it_agrees_to_release(self) -> None:
        self.end.hears(ReleaseRequest())
        self.end.association.send([echoed(1)])
        self.end.association.respond_release()
        self.assertEqual(self.end.says(), [echoed(1), ReleaseResponse()])  # type: ignore[attr-defined]

    def test_waits_for_the_peer_to_close_after_that(self) -> None:
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.assertFalse(self.end.transport.disconnecting)  # type: ignore[attr-defined]

    def test_cuts_off_whoever_does_not_close_within_artim(self) -> None:
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)  # type: ignore[attr-defined]

    def test_a_release_that_was_answered_ends_in_silence(self) -> None:
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.is_cut_off()
        self.assertEqual(self.end.user.told, ["release requested"])  # type: ignore[attr-defined]

    def test_agreeing_with_somebody_who_has_aborted_meanwhile(self) -> None:
        self.end.user.does(self.end.association.respond_release, on="release requested")
        self.end.hears(ReleaseRequest(), Abort(0, 0))
        self.assertTrue(self.end.transport.disconnecting)  # type: ignore[attr-defined]

    # Abort

    def test_aborts(self) -> None:
        self.end.association.abort(0, 0)
        self.assertEqual(self.end.says(), [Abort(0, 0)])  # type: ignore[attr-defined]

    def test_does_not_tell_its_user_what_that_did(self) -> None:
        self.end.association.abort(0, 0)
        self.end.is_cut_off()
        self.assertEqual(self.end.user.told, [])  # type: ignore[attr-defined]

    def test_cuts_off_whoever_does_not_close_after_an_abort(self) -> None:
        self.end.association.abort(0, 0)
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)  # type: ignore[attr-defined]

    def test_ignores_data_after_its_abort(self) -> None:
        self.end.association.abort(0, 0)
        self.end.hears(echo(1))
        self.assertEqual(self.end.user.told, [])  # type: ignore[attr-defined]

    def test_is_aborted(self) -> None:
        self.end.hears(Abort(2, 4))
        self.assertEqual(self.end.user.told, [(2, 4)])  # type: ignore[attr-defined]

    def test_closes_when_aborted(self) -> None:
        self.end.hears(Abort(0, 0))
        self.assertTrue(self.end.is_closed)  # type: ignore[attr-defined]

    def test_delivers_what_came_before_an_abort(self) -> None:
        self.end.hears(echo(1), Abort(0, 0))
        self.assertEqual(self.end.user.told, [echo(1), (0, 0)])  # type: ignore[attr-defined]

    def test_nothing_is_told_after_the_end(self) -> None:
        self.end.hears(Abort(0, 0), echo(1))
        self.end.is_cut_off()
        self.assertEqual(self.end.user.told, [(0, 0)])  # type: ignore[attr-defined]

    def test_a_lost_connection(self) -> None:
        self.end.is_cut_off()
        self.assertEqual(self.end.user.told, [(PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_a_user_that_comes_after_the_end_is_told(self) -> None:
        user, self.end.association._user = self.end.user, None
        self.end.is_cut_off()
        self.end.association.use(user)
        self.assertEqual(user.told, [(PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_sending_after_the_end_does_nothing(self) -> None:
        self.end.hears(Abort(0, 0))
        self.end.association.send([echo(1)])
        self.end.association.release()
        self.end.association.respond_release()
        self.end.association.abort()
        self.assertEqual(self.end.says(), [])  # type: ignore[attr-defined]

    def test_answering_a_request_that_came_with_an_abort(self) -> None:
        self.end.user.does(lambda: self.end.association.send([echoed(1)]), on=echo(1))
        self.end.hears(echo(1), Abort(0, 0))
        self.assertEqual(self.end.user.told, [echo(1), (0, 0)])  # type: ignore[attr-defined]

    def test_answering_a_request_that_came_with_garbage(self) -> None:
        self.end.user.does(lambda: self.end.association.send([echoed(1)]), on=echo(1))
        self.end.hears(echo(1), b"\xff" * 10)
        self.assertEqual(self.end.user.told, [echo(1), (PROVIDER, UNRECOGNIZED_PDU)])  # type: ignore[attr-defined]

    def test_releasing_on_a_request_that_came_with_an_abort(self) -> None:
        self.end.user.does(self.end.association.release, on=echo(1))
        self.end.hears(echo(1), Abort(0, 0))
        self.assertEqual(self.end.user.told, [echo(1), (0, 0)])  # type: ignore[attr-defined]

    def test_aborting_on_a_request_that_came_with_an_abort(self) -> None:
        self.end.user.does(self.end.association.abort, on=echo(1))
        self.end.hears(echo(1), Abort(0, 0))
        self.assertEqual(self.end.user.told, [echo(1)])  # type: ignore[attr-defined]

    # What peers must not do

    def test_aborts_on_an_unknown_pdu(self) -> None:
        self.end.hears(b"\x08\x00\x00\x00\x00\x04....")
        self.assertEqual(self.end.says(), [Abort(PROVIDER, UNRECOGNIZED_PDU)])  # type: ignore[attr-defined]

    def test_aborts_on_an_unexpected_pdu(self) -> None:
        self.end.hears(ReleaseResponse())
        self.assertEqual(self.end.says(), [Abort(PROVIDER, UNEXPECTED_PDU)])  # type: ignore[attr-defined]

    def test_aborts_on_a_second_request(self) -> None:
        self.end.hears(a_request())
        self.assertEqual(self.end.says(), [Abort(PROVIDER, UNEXPECTED_PDU)])  # type: ignore[attr-defined]

    def test_aborts_on_data_of_a_context_that_was_not_accepted(self) -> None:
        self.end.hears(echo(1, context_id=99))
        self.assertEqual(self.end.says(), [Abort(PROVIDER, UNEXPECTED_PARAMETER)])  # type: ignore[attr-defined]

    def test_aborts_on_a_data_set_of_no_message(self) -> None:
        self.end.hears(fragment(b"data"))
        self.assertEqual(self.end.says(), [Abort(PROVIDER, UNEXPECTED_PARAMETER)])  # type: ignore[attr-defined]

    def test_aborts_on_a_pdu_over_the_cap(self) -> None:
        self.end.hears(b"\x04\x00\x00\x02\x00\x01")
        self.assertEqual(self.end.says(), [Abort(PROVIDER, INVALID_PARAMETER)])  # type: ignore[attr-defined]

    def test_delivers_nothing_that_comes_behind_a_violation(self) -> None:
        # All in one piece: the upper layer knows of the end before the violation is found.
        self.end.hears(wire(echo(1)) + wire(fragment(b"")) + wire(echo(2)) + wire(Abort(0, 0)))
        self.assertEqual(self.end.user.told, [echo(1), (0, 0)])  # type: ignore[attr-defined]

    def test_delivers_what_came_before_a_violation(self) -> None:
        self.end.hears(echo(1), fragment(b"data"), echo(2))
        self.assertEqual(self.end.user.told, [echo(1), (PROVIDER, UNEXPECTED_PARAMETER)])  # type: ignore[attr-defined]

    def test_a_command_with_a_number_of_four_bytes(self) -> None:
        broken = wire(echo(1)).replace(b"\x10\x01\x02\x00\x00\x00\x01\x00", b"\x10\x01\x04\x00\x00\x00\x01\x00\x00\x00")
        longer = bytes([*broken[:5], broken[5] + 2, *broken[6:9], broken[9] + 2, *broken[10:]])
        self.end.hears(longer)
        self.assertEqual(self.end.says(), [Abort(PROVIDER, INVALID_PARAMETER)])  # type: ignore[attr-defined]

    # Deadlines

    def test_a_pdu_that_is_not_completed_in_time(self) -> None:
        self.end.hears(command_of_a_store(), BEGUN_PDU)
        self.end.waits(61)
        self.assertEqual(self.end.user.told[1:], [(PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_a_pdu_that_trickles_is_not_completed_in_time(self) -> None:
        self.end.hears(command_of_a_store(), BEGUN_PDU)
        for _ in range(30):
            self.end.hears(b"x")
            self.end.waits(2)
        self.assertEqual(self.end.user.told[1:], [(PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_silence_between_pdus_is_no_offence(self) -> None:
        self.end.hears(command_of_a_store())
        self.end.waits(600)
        self.assertEqual(len(self.end.user.told), 1)  # type: ignore[attr-defined]

    def test_the_rest_of_a_pdu_is_not_due_while_paused(self) -> None:
        self.end.hears(command_of_a_store(), BEGUN_PDU)
        self.end.association.pause()
        self.end.waits(600)
        self.assertEqual(len(self.end.user.told), 1)  # type: ignore[attr-defined]

    def test_the_time_for_the_rest_begins_anew_after_a_pause(self) -> None:
        self.end.hears(command_of_a_store(), BEGUN_PDU)
        self.end.association.pause()
        self.end.waits(600)
        self.end.association.resume()
        self.end.waits(50)
        self.assertEqual(len(self.end.user.told), 1)  # type: ignore[attr-defined]

    def test_a_peer_that_takes_nothing(self) -> None:
        self.end.is_full()
        self.end.waits(61)
        self.assertEqual(self.end.user.told, ["pause sending", (PROVIDER, 0)])  # type: ignore[attr-defined]

    def test_cuts_off_whoever_takes_nothing(self) -> None:
        self.end.is_full()
        self.end.waits(61)
        self.assertTrue(self.end.is_cut)  # type: ignore[attr-defined]

    def test_a_slow_peer_that_takes_something(self) -> None:
        for _ in range(10):
            self.end.is_full()
            self.end.waits(50)
            self.end.is_empty()
        self.assertEqual(self.end.user.told, ["pause sending", "resume sending"] * 10)  # type: ignore[attr-defined]


class AcceptorTests(_EitherEnd, TestCase):
    def setUp(self) -> None:
        self.end = Acceptor()
        self.end.establish()

    def test_collision_the_requestors_response_comes_first(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.says()
        self.end.association.respond_release()
        self.assertEqual(self.end.says(), [])

    def test_collision_ends_with_our_response(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.says()
        self.end.hears(ReleaseResponse())
        self.assertEqual(self.end.says(), [ReleaseResponse()])

    def test_collision_tells_both(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.hears(ReleaseResponse())
        self.assertEqual(self.end.user.told, ["release requested", "released"])

    def test_collision_response_that_comes_before_ours_is_due(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest(), ReleaseResponse())
        self.end.says()
        self.end.association.respond_release()
        self.assertEqual(self.end.says(), [ReleaseResponse()])


class RequestorTests(_EitherEnd, TestCase):
    def setUp(self) -> None:
        self.end = Requestor()
        self.end.establish()

    def test_collision_our_response_comes_first(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.says()
        self.end.association.respond_release()
        self.assertEqual(self.end.says(), [ReleaseResponse()])

    def test_collision_ends_with_the_acceptors_response(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.hears(ReleaseResponse())
        self.assertEqual(self.end.user.told, ["release requested", "released"])

    def test_collision_closes_in_the_end(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.hears(ReleaseResponse())
        self.assertTrue(self.end.is_closed)

    def test_collision_that_the_acceptor_does_not_end(self) -> None:
        self.end.association.release()
        self.end.hears(ReleaseRequest())
        self.end.association.respond_release()
        self.end.waits(30)
        self.assertEqual(self.end.user.told, ["release requested", (PROVIDER, 0)])


def command_of_a_store() -> bytes:
    """The command set of a C-STORE-RQ, whose data set is due."""
    return wire(store(1, context_id=1)[0])
