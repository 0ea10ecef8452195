"""The two ends of an association: who asks, and who is asked."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.errors import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    AbortSource,
    AssociationAborted,
    AssociationRejected,
)
from dimseproxy.ul.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    ReleaseRequest,
)
from tests.association.playing import (
    CT,
    LIMITS,
    VERIFICATION,
    Acceptor,
    Requestor,
    a_request,
    an_accept,
    echo,
    wire,
)

#: An A-P-ABORT of ours, and one of the reasons of PS3.8 Table 9-26.
PROVIDER = 2
UNEXPECTED_PDU = 2


class AcceptingTests(TestCase):
    def setUp(self) -> None:
        self.end = Acceptor()

    def test_hands_over_the_request(self) -> None:
        request = a_request(VERIFICATION, CT)
        self.end.hears(request)
        self.assertEqual(self.end.requested, [request])

    def test_says_nothing_before_it_is_told_to(self) -> None:
        self.end.hears(a_request())
        self.assertEqual(self.end.says(), [])

    def test_reads_on_to_hear_of_who_gives_up(self) -> None:
        self.end.hears(a_request())
        self.assertTrue(self.end.is_reading)

    def test_what_comes_before_the_answer_but_an_abort_breaks_the_protocol(self) -> None:
        self.end.hears(a_request())
        self.end.hears(ReleaseRequest())
        self.assertEqual(self.end.says(), [Abort(AbortSource.SERVICE_PROVIDER, UNEXPECTED_PDU)])

    def test_accepts(self) -> None:
        self.end.hears(a_request())
        self.end.association.accept(an_accept(self.end.requested[0]), 0)
        self.assertIsInstance(self.end.says()[0], AssociateAccept)

    def test_asks_for_pdus_as_long_as_it_reads(self) -> None:
        self.end.hears(a_request())
        self.end.association.accept(an_accept(self.end.requested[0]), 0)
        [accept] = self.end.says()
        assert isinstance(accept, AssociateAccept)
        self.assertEqual(accept.user_information.maximum_length, LIMITS.max_pdu_length)

    def test_asks_for_no_longer_pdus_than_the_other_leg_takes(self) -> None:
        self.end.hears(a_request())
        self.end.association.accept(an_accept(self.end.requested[0]), 16384)
        [accept] = self.end.says()
        assert isinstance(accept, AssociateAccept)
        self.assertEqual(accept.user_information.maximum_length, 16384)

    def test_knows_the_peer(self) -> None:
        self.end.hears(a_request())
        self.assertEqual((self.end.association.peer.host, self.end.association.peer.port), ("192.0.2.7", 104))

    def test_only_accepted_contexts_are_established(self) -> None:
        self.end.hears(a_request(VERIFICATION, CT))
        self.end.association.accept(an_accept(self.end.requested[0], refused=[CT]), 0)
        self.assertEqual(list(self.end.association.established.contexts), [1])

    def test_rejects(self) -> None:
        self.end.hears(a_request())
        self.end.association.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, "why")
        self.assertEqual(self.end.says(), [AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED)])

    def test_leaves_closing_to_the_rejected(self) -> None:
        self.end.hears(a_request())
        self.end.association.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, "why")
        self.assertEqual((self.end.transport.disconnecting, self.end.is_reading), (False, True))

    def test_cuts_the_rejected_off_after_artim(self) -> None:
        self.end.hears(a_request())
        self.end.association.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, "why")
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)

    def test_rejects_another_application_context_by_itself(self) -> None:
        self.end.hears(evolve(a_request(), application_context="1.2.3"))
        self.assertEqual(self.end.says(), [AssociateReject(APPLICATION_CONTEXT_NOT_SUPPORTED)])

    def test_rejects_another_protocol_version_by_itself(self) -> None:
        self.end.hears(evolve(a_request(), protocol_version=2))
        self.assertEqual(self.end.says(), [AssociateReject(PROTOCOL_VERSION_NOT_SUPPORTED)])

    def test_the_log_tells_of_what_it_rejects_by_itself(self) -> None:
        for request, why in (
            (evolve(a_request(), protocol_version=2), "the protocol version is not 1"),
            (evolve(a_request(), application_context="1.2.3"), "the application context is not that of DICOM"),
        ):
            self.setUp()
            with capturedLogs() as events:
                self.end.hears(request)
                self.end.waits(31)
            lines = [formatEvent(event) for event in events]
            self.assertEqual(len(lines), 1, lines)
            self.assertRegex(lines[0], rf"^association \d+ from 'CALLING' at 192.0.2.7 to '\w+': rejected: {why}$")

    def test_tells_nobody_of_a_request_that_it_rejects_by_itself(self) -> None:
        self.end.hears(evolve(a_request(), protocol_version=2))
        self.assertEqual(self.end.requested, [])

    def test_aborts_what_sends_data_before_its_answer(self) -> None:
        self.end.hears(a_request())
        self.end.association.use(self.end.user)
        self.end.hears(echo())
        self.assertEqual(self.end.user.told, [(PROVIDER, UNEXPECTED_PDU)])

    def test_answering_somebody_who_is_gone_does_nothing(self) -> None:
        self.end.hears(a_request())
        self.end.association.use(self.end.user)
        self.end.is_cut_off()
        self.end.association.accept(an_accept(self.end.requested[0]), 0)
        self.end.association.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, "why")
        self.assertEqual(self.end.says(), [])

    def test_rejecting_at_once_whoever_has_aborted_already(self) -> None:
        self.end.then = lambda association: association.reject(CALLED_AE_TITLE_NOT_RECOGNIZED, "why")
        self.end.hears(a_request(), Abort(0, 0))
        self.assertTrue(self.end.transport.disconnecting)

    def test_accepting_at_once_whoever_has_broken_the_protocol_already(self) -> None:
        def accept(association: IncomingAssociation) -> None:
            self.assertFalse(association.accept(an_accept(association.request), 0))

        self.end.then = accept
        self.end.hears(a_request(), b"\xff" * 10)
        self.assertIsInstance(self.end.says()[-1], Abort)

    def test_no_request_within_artim(self) -> None:
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)

    def test_half_a_request_within_artim(self) -> None:
        self.end.hears(wire(a_request())[:26])
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)

    def test_artim_is_not_over_early(self) -> None:
        self.end.waits(29)
        self.assertFalse(self.end.is_cut)

    def test_bytes_trickling_in_do_not_prolong_artim(self) -> None:
        for byte in wire(a_request())[:26]:
            self.end.hears(bytes([byte]))
            self.end.waits(1)
        self.assertTrue(self.end.is_cut)

    def test_a_huge_length_is_answered_at_once(self) -> None:
        self.end.hears(b"\x01\x00\xff\xff\xff\xff")
        self.assertIsInstance(self.end.says()[0], Abort)

    def test_an_http_request_is_answered_at_once(self) -> None:
        self.end.hears(b"GET / HTTP/1.1\r\n")
        self.assertIsInstance(self.end.says()[0], Abort)


class RequestingTests(TestCase):
    def setUp(self) -> None:
        self.end = Requestor(a_request(VERIFICATION, CT))

    def test_asks(self) -> None:
        self.assertEqual(self.end.says(), [a_request(VERIFICATION, CT)])

    def test_is_there_when_it_is_accepted(self) -> None:
        self.end.hears(an_accept(self.end.association.request))
        self.assertEqual(self.end.answers, [self.end.association])

    def test_a_rejection(self) -> None:
        self.end.hears(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED))
        [error] = self.end.answers
        assert isinstance(error, AssociationRejected)
        self.assertEqual(error.rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_closes_after_a_rejection(self) -> None:
        self.end.hears(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED))
        self.assertTrue(self.end.is_closed)

    def test_an_abort_instead_of_an_answer(self) -> None:
        self.end.hears(Abort(2, 1))
        [error] = self.end.answers
        assert isinstance(error, AssociationAborted)
        self.assertEqual((error.source, error.reason), (2, 1))

    def test_a_lost_connection_instead_of_an_answer(self) -> None:
        self.end.is_cut_off()
        self.assertIsInstance(self.end.answers[0], AssociationAborted)

    def test_garbage_instead_of_an_answer(self) -> None:
        self.end.hears(b"\x00" * 10)
        self.assertIsInstance(self.end.answers[0], AssociationAborted)

    def test_no_answer_in_time(self) -> None:
        self.end.waits(30)
        self.assertIsInstance(self.end.answers[0], AssociationAborted)

    def test_aborts_whoever_does_not_answer_in_time(self) -> None:
        self.end.says()
        self.end.waits(30)
        self.assertEqual(self.end.says(), [Abort(PROVIDER, 0)])

    def test_giving_up_aborts(self) -> None:
        self.end.says()
        self.end.association.answered.cancel()
        self.assertEqual(self.end.says(), [Abort(0, 0)])

    def test_giving_up_says_so(self) -> None:
        self.end.association.answered.cancel()
        self.assertIsInstance(self.end.answers[0], CancelledError)

    def test_cuts_off_whoever_does_not_close_after_that(self) -> None:
        self.end.association.answered.cancel()
        self.end.waits(30)
        self.assertTrue(self.end.is_cut)

    def test_takes_what_comes_with_the_answer(self) -> None:
        self.end.hears(an_accept(self.end.association.request), echo(5))
        self.end.association.use(self.end.user)
        self.assertEqual(self.end.user.told, [echo(5)])

    def test_a_peer_that_accepts_and_aborts_at_once(self) -> None:
        self.end.hears(an_accept(self.end.association.request), Abort(0, 0))
        self.end.association.use(self.end.user)
        self.assertEqual(self.end.user.told, [(0, 0)])
