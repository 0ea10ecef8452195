"""What one leg proposes and answers, given the other."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.ul.negotiation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    inward_accept,
    outward_request,
    refuse,
)
from dimseproxy.ul.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
)
from dimseproxy.ul.user_information import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)

CT = ProposedContext(1, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90"))
FIND = ProposedContext(77, "1.2.840.10008.5.1.4.1.2.2.1", ("1.2.840.10008.1.2",))
PRIVATE = ProposedContext(255, "1.9.9", ("1.9.8",))
IDENTITY = UserIdentity(2, True, b"anna", b"secret")

REQUEST = AssociateRequest(
    "SHIELD",
    "CT1",
    (CT, FIND, PRIVATE),
    UserInformation(
        maximum_length=16384,
        implementation_class_uid="1.2.3",
        implementation_version_name="CALLER",
        asynchronous_operations_window=AsynchronousOperationsWindow(4, 4),
        roles=(RoleSelection(CT.abstract_syntax, True, True), RoleSelection(PRIVATE.abstract_syntax, False, True)),
        extended_negotiations=(
            ExtendedNegotiation(FIND.abstract_syntax, b"\1"),
            ExtendedNegotiation(PRIVATE.abstract_syntax, b"\2"),
        ),
        common_extended_negotiations=(
            CommonExtendedNegotiation(CT.abstract_syntax, "1.2.840.10008.4.2"),
            CommonExtendedNegotiation(PRIVATE.abstract_syntax, "1.2.840.10008.4.2"),
        ),
        user_identity=IDENTITY,
    ),
)
ACCEPT = AssociateAccept(
    "ORTHANC",
    "DIMSEPROXY",
    (AnsweredContext(77, 0, "1.2.840.10008.1.2"), AnsweredContext(1, 0, "1.2.840.10008.1.2.4.90")),
    UserInformation(
        maximum_length=65536,
        implementation_class_uid="1.2.4",
        implementation_version_name="PACS",
        asynchronous_operations_window=AsynchronousOperationsWindow(1, 1),
        roles=(RoleSelection(CT.abstract_syntax, True, False),),
        extended_negotiations=(ExtendedNegotiation(FIND.abstract_syntax, b"\0"),),
        user_identity_answer=b"ticket",
    ),
)


def outward(*contexts: ProposedContext, with_user_identity: bool = True) -> AssociateRequest:
    return outward_request(
        REQUEST,
        called_ae_title="ORTHANC",
        calling_ae_title="DIMSEPROXY",
        contexts=contexts or REQUEST.contexts,
        with_user_identity=with_user_identity,
    )


class OutwardRequestTests(SynchronousTestCase):
    def test_contexts_keep_their_ids_and_all_their_syntaxes(self) -> None:
        self.assertEqual(outward().contexts, REQUEST.contexts)

    def test_the_titles_are_those_of_the_outbound(self) -> None:
        value = outward()
        self.assertEqual((value.called_ae_title, value.calling_ae_title), ("ORTHANC", "DIMSEPROXY"))

    def test_a_context_that_may_not_cross_takes_its_negotiation_along(self) -> None:
        information = outward(CT, FIND).user_information
        self.assertEqual(information.roles, REQUEST.user_information.roles[:1])
        self.assertEqual(information.extended_negotiations, REQUEST.user_information.extended_negotiations[:1])
        self.assertEqual(
            information.common_extended_negotiations, REQUEST.user_information.common_extended_negotiations[:1]
        )

    def test_roles_and_extended_negotiation_cross(self) -> None:
        information = outward().user_information
        self.assertEqual(information.roles, REQUEST.user_information.roles)
        self.assertEqual(information.extended_negotiations, REQUEST.user_information.extended_negotiations)
        self.assertEqual(
            information.common_extended_negotiations, REQUEST.user_information.common_extended_negotiations
        )

    def test_the_window_crosses(self) -> None:
        self.assertEqual(outward().user_information.asynchronous_operations_window, AsynchronousOperationsWindow(4, 4))

    def test_the_implementation_is_ours(self) -> None:
        information = outward().user_information
        self.assertEqual(information.implementation_class_uid, IMPLEMENTATION_CLASS_UID)
        self.assertEqual(information.implementation_version_name, IMPLEMENTATION_VERSION_NAME)

    def test_the_user_identity_crosses(self) -> None:
        self.assertEqual(outward().user_information.user_identity, IDENTITY)

    def test_the_user_identity_is_dropped_where_it_shall_be(self) -> None:
        self.assertIsNone(outward(with_user_identity=False).user_information.user_identity)

    def test_a_context_may_cross_with_another_abstract_syntax(self) -> None:
        move = evolve(FIND, abstract_syntax="1.2.840.10008.5.1.4.1.2.2.3")
        self.assertEqual(outward(CT, move).contexts[1], move)


class InwardAcceptTests(SynchronousTestCase):
    def test_each_context_is_answered_as_the_outbound_did_in_the_callers_order(self) -> None:
        self.assertEqual(inward_accept(REQUEST, ACCEPT).contexts[:2], (ACCEPT.contexts[1], ACCEPT.contexts[0]))

    def test_a_context_without_an_answer_is_refused(self) -> None:
        (context,) = inward_accept(REQUEST, ACCEPT).contexts[2:]
        self.assertEqual((context.context_id, context.accepted, context.transfer_syntax), (255, False, "1.9.8"))

    def test_a_refusal_crosses_with_its_result(self) -> None:
        refused = AnsweredContext(255, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, "")
        accept = evolve(ACCEPT, contexts=(*ACCEPT.contexts, refused))
        self.assertEqual(inward_accept(REQUEST, accept).contexts[2], refused)

    def test_an_answer_that_nobody_asked_for_does_not_cross(self) -> None:
        accept = evolve(ACCEPT, contexts=(*ACCEPT.contexts, AnsweredContext(3, 0, "1.2.840.10008.1.2")))
        self.assertEqual([each.context_id for each in inward_accept(REQUEST, accept).contexts], [1, 77, 255])

    def test_an_answer_of_ours_counts(self) -> None:
        own = AnsweredContext(255, 0, "1.9.8")
        self.assertEqual(inward_accept(REQUEST, ACCEPT, [own]).contexts[2], own)

    def test_the_titles_repeat_the_callers(self) -> None:
        value = inward_accept(REQUEST, ACCEPT)
        self.assertEqual((value.called_ae_title, value.calling_ae_title), ("SHIELD", "CT1"))

    def test_what_the_outbound_grants_is_what_the_caller_gets(self) -> None:
        information = inward_accept(REQUEST, ACCEPT).user_information
        self.assertEqual(
            information,
            evolve(
                ACCEPT.user_information,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            ),
        )


class RefusalTests(SynchronousTestCase):
    def test_the_id_and_a_proposed_syntax_are_repeated(self) -> None:
        self.assertEqual(refuse(CT), AnsweredContext(1, ContextResult.USER_REJECTION, "1.2.840.10008.1.2"))

    def test_the_result_may_be_chosen(self) -> None:
        result = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        self.assertEqual(refuse(CT, result).result, result)

    def test_a_refused_context_is_not_accepted(self) -> None:
        self.assertFalse(refuse(CT).accepted)


class MemoryTests(SynchronousTestCase):
    """What is made again of the same."""

    def _twice(self, syntaxes: tuple[str, ...]) -> list[tuple[object, object]]:
        request = AssociateRequest("A", "B", (ProposedContext(1, "1.2", syntaxes),))
        accept = AssociateAccept("A", "B", (AnsweredContext(1, 0, syntaxes[0]),))
        return [
            (
                outward_request(
                    request,
                    called_ae_title="C",
                    calling_ae_title="D",
                    contexts=request.contexts,
                    with_user_identity=True,
                ),
                inward_accept(request, accept),
            )
            for _ in range(2)
        ]

    def test_what_was_made_lately_is_there_already(self) -> None:
        first, second = self._twice(("1.2.3",))
        for made, again in zip(first, second, strict=True):
            self.assertIs(made, again)

    def test_what_is_made_of_a_long_one_is_not_kept(self) -> None:
        # Many a caller may ask for half a megabyte.
        first, second = self._twice(tuple(f"1.2.{number}" for number in range(2_000)))
        for made, again in zip(first, second, strict=True):
            self.assertFalse(made is again)
            self.assertTrue(made == again)
