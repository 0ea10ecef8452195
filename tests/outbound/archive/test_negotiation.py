"""What the archive answers to presentation contexts."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.negotiation import Offer, combines_date_and_time
from dimseproxy.ul.pdu import AssociateAccept, AssociateRequest, ContextResult, ProposedContext
from dimseproxy.ul.user_information import ExtendedNegotiation, RoleSelection, UserInformation
from tests.association.playing import COMMITMENT, CT, EXPLICIT, FIND, GET, IMPLICIT, MOVE, MR, PRIVATE, VERIFICATION

BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_LS = "1.2.840.10008.1.2.4.80"


def asked(*contexts: tuple[str, tuple[str, ...]], roles: tuple[RoleSelection, ...] = ()) -> AssociateRequest:
    """A request for these contexts, under the ids 1, 3, 5, ..."""
    proposed = tuple(ProposedContext(2 * index + 1, uid, syntaxes) for index, (uid, syntaxes) in enumerate(contexts))
    return AssociateRequest("ARCHIVE", "CLIENT", proposed, UserInformation(roles=roles))


def takes(*sop_classes: str) -> tuple[RoleSelection, ...]:
    return tuple(RoleSelection(uid, False, True) for uid in sop_classes)


def results(accept: AssociateAccept) -> list[tuple[int, str]]:
    """Result and, where that is acceptance, transfer syntax."""
    return [(each.result, each.transfer_syntax if each.accepted else "") for each in accept.contexts]


class NegotiationTests(TestCase):
    def setUp(self) -> None:
        self.offer = Offer()

    def test_the_services_are_accepted(self) -> None:
        request = asked(*((uid, (IMPLICIT,)) for uid in (VERIFICATION, CT, FIND, GET, COMMITMENT)))
        self.assertEqual(results(self.offer.answer(request, {})), [(0, IMPLICIT)] * 5)

    def test_what_it_does_not_do_is_refused(self) -> None:
        request = asked(*((uid, (IMPLICIT,)) for uid in (MOVE, PRIVATE, "1.2.840.10008.5.1.4.31")))
        refused = (ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, "")
        self.assertEqual(results(self.offer.answer(request, {})), [refused] * 3)

    def test_only_configured_sop_classes_are_taken(self) -> None:
        accept = Offer(frozenset((CT,))).answer(asked((CT, (IMPLICIT,)), (MR, (IMPLICIT,))), {})
        self.assertEqual([each.accepted for each in accept.contexts], [True, False])

    def test_a_private_sop_class_is_taken_where_it_is_configured(self) -> None:
        accept = Offer(frozenset((PRIVATE,))).answer(asked((PRIVATE, (IMPLICIT,))), {})
        self.assertTrue(accept.contexts[0].accepted)

    def test_objects_come_in_what_their_sender_names_first(self) -> None:
        accept = self.offer.answer(asked((CT, (JPEG, EXPLICIT, IMPLICIT))), {CT: (EXPLICIT,)})
        self.assertEqual(results(accept), [(0, JPEG)])

    def test_a_transfer_syntax_that_nobody_can_read_is_passed_over(self) -> None:
        accept = self.offer.answer(asked((CT, ("1.2.3.4", EXPLICIT)), (MR, ("1.2.3.4",))), {})
        self.assertEqual(results(accept), [(0, EXPLICIT), (ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, "")])

    def test_identifiers_are_never_deflated(self) -> None:
        self.assertEqual(results(self.offer.answer(asked((FIND, (DEFLATED, IMPLICIT))), {})), [(0, IMPLICIT)])

    def test_objects_go_in_what_most_of_them_are_kept_in(self) -> None:
        request = asked((CT, (IMPLICIT, JPEG_LS, JPEG)), roles=takes(CT))
        self.assertEqual(results(self.offer.answer(request, {CT: (JPEG, JPEG_LS)})), [(0, JPEG)])

    def test_else_they_go_uncompressed(self) -> None:
        request = asked((CT, (JPEG_LS, BIG_ENDIAN, IMPLICIT, EXPLICIT)), roles=takes(CT))
        self.assertEqual(results(self.offer.answer(request, {CT: (JPEG,)})), [(0, EXPLICIT)])

    def test_each_context_for_a_sop_class_gets_another_transfer_syntax(self) -> None:
        both = (IMPLICIT, JPEG)
        accept = self.offer.answer(asked((CT, both), (CT, both), roles=takes(CT)), {CT: (JPEG, IMPLICIT)})
        self.assertEqual(results(accept), [(0, JPEG), (0, IMPLICIT)])

    def test_the_caller_may_take_objects(self) -> None:
        accept = self.offer.answer(asked((CT, (IMPLICIT,)), (GET, (IMPLICIT,)), roles=takes(CT)), {})
        self.assertEqual(accept.user_information.roles, takes(CT))

    def test_the_caller_may_be_both(self) -> None:
        both = (RoleSelection(CT, True, True),)
        self.assertEqual(self.offer.answer(asked((CT, (IMPLICIT,)), roles=both), {}).user_information.roles, both)

    def test_no_role_in_what_was_refused(self) -> None:
        request = asked((CT, ("1.2.3.4",)), (PRIVATE, (IMPLICIT,)), roles=takes(CT, PRIVATE))
        self.assertEqual(self.offer.answer(request, {}).user_information.roles, ())

    def _extended(self, information: bytes, uid: str = FIND) -> AssociateAccept:
        item = ExtendedNegotiation(uid, information)
        contexts = asked((uid, (IMPLICIT,))).contexts
        information_item = UserInformation(extended_negotiations=(item,))
        return self.offer.answer(AssociateRequest("ARCHIVE", "CLIENT", contexts, information_item), {})

    def test_relational_queries_and_combined_matching_are_agreed_to_and_nothing_else(self) -> None:
        (item,) = self._extended(b"\x01\x01\x01\x01\x01").user_information.extended_negotiations
        self.assertEqual(item.information, b"\x01\x01\0\0\0")

    def test_what_was_not_asked_for_is_not_agreed_to(self) -> None:
        (item,) = self._extended(b"\x01").user_information.extended_negotiations
        self.assertEqual(item.information, b"\x01")

    def test_combined_matching_where_it_was_agreed_on(self) -> None:
        self.assertEqual(
            [
                combines_date_and_time(self._extended(asked_for), FIND)
                for asked_for in (b"\x01\x01", b"\x01\0", b"\x01")
            ],
            [True, False, False],
        )
