"""PDUs against a second source: pynetdicom reads what we write, and we read what it writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import pdu as theirs
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.errors import Rejection
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.user_information import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from tests.ul.strategies import PROPERTY, odd_ids
from tests.ul.vectors import IMPLICIT, VECTORS, VERIFICATION

CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"

_roles = st.sampled_from(((True, False), (False, True), (True, True)))
_identities = st.sampled_from(
    (
        UserIdentity(1, False, b"anna"),
        UserIdentity(2, True, b"anna", b"passcode"),
        UserIdentity(3, True, b"kerberos ticket"),
        UserIdentity(4, False, b"<saml/>"),
        UserIdentity(5, True, b"a.b.c"),
    )
)
_informations = st.builds(
    UserInformation,
    maximum_length=st.just(0) | st.integers(16, 0xFFFFFFFF),
    implementation_class_uid=st.just("1.2.826.0.1.3680043.9"),
    implementation_version_name=st.sampled_from(("", "A", "SIXTEEN LETTERS!")),
    asynchronous_operations_window=st.none()
    | st.builds(AsynchronousOperationsWindow, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
    roles=st.lists(
        st.builds(lambda uid, both: RoleSelection(uid, *both), st.sampled_from((CT, VERIFICATION)), _roles),
        max_size=2,
        unique_by=lambda role: role.abstract_syntax,
    ).map(tuple),
    extended_negotiations=st.lists(
        st.builds(ExtendedNegotiation, st.sampled_from((FIND, CT)), st.binary(min_size=1, max_size=6)),
        max_size=2,
        unique_by=lambda each: each.abstract_syntax,
    ).map(tuple),
    common_extended_negotiations=st.lists(
        st.builds(
            CommonExtendedNegotiation,
            st.just(CT),
            st.just("1.2.840.10008.4.2"),
            st.sampled_from(((), (VERIFICATION,), (VERIFICATION, FIND))),
        ),
        max_size=1,
    ).map(tuple),
    user_identity=st.none() | _identities,
)
_requests = st.builds(
    AssociateRequest,
    st.sampled_from(("SHIELD", "A", "SIXTEEN LETTERS!")),
    st.sampled_from(("CT1", "WITH SPACE")),
    st.lists(
        st.builds(
            ProposedContext,
            odd_ids,
            st.sampled_from((CT, VERIFICATION, "1.2.3.4")),
            st.sampled_from(((IMPLICIT,), (IMPLICIT, "1.2.840.10008.1.2.1"), ("1.2.840.10008.1.2.4.90",))),
        ),
        min_size=1,
        max_size=128,
        unique_by=lambda context: context.context_id,
    ).map(tuple),
    _informations,
)


def their_request(value: AssociateRequest) -> bytes:
    """The A-ASSOCIATE-RQ that pynetdicom makes of this."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = value.application_context
    primitive.called_ae_title = value.called_ae_title
    primitive.calling_ae_title = value.calling_ae_title
    contexts = []
    for proposal in value.contexts:
        context = PresentationContext()
        context.context_id = proposal.context_id
        context.abstract_syntax = proposal.abstract_syntax
        context.transfer_syntax = list(proposal.transfer_syntaxes)
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = _their_items(value.user_information)
    encoder = theirs.A_ASSOCIATE_RQ()
    encoder.from_primitive(primitive)
    encoded: bytes = encoder.encode()
    return encoded


def _their_items(info: UserInformation) -> list[object]:
    maximum, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    maximum.maximum_length_received = info.maximum_length
    implementation.implementation_class_uid = info.implementation_class_uid
    items: list[object] = [maximum, implementation]
    if info.implementation_version_name:
        name = ImplementationVersionNameNotification()
        name.implementation_version_name = info.implementation_version_name
        items.append(name)
    if (window := info.asynchronous_operations_window) is not None:
        operations = AsynchronousOperationsWindowNegotiation()
        operations.maximum_number_operations_invoked = window.invoked
        operations.maximum_number_operations_performed = window.performed
        items.append(operations)
    for role in info.roles:
        selection = SCP_SCU_RoleSelectionNegotiation()
        selection.sop_class_uid, selection.scu_role, selection.scp_role = role.abstract_syntax, role.scu, role.scp
        items.append(selection)
    for extended in info.extended_negotiations:
        negotiation = SOPClassExtendedNegotiation()
        negotiation.sop_class_uid = extended.abstract_syntax
        negotiation.service_class_application_information = extended.information
        items.append(negotiation)
    for common in info.common_extended_negotiations:
        extension = SOPClassCommonExtendedNegotiation()
        extension.sop_class_uid, extension.service_class_uid = common.abstract_syntax, common.service_class
        extension.related_general_sop_class_identification = list(common.related_sop_classes)
        items.append(extension)
    if (identity := info.user_identity) is not None:
        user = UserIdentityNegotiation()
        user.user_identity_type = identity.identity_type
        user.positive_response_requested = identity.response_requested
        user.primary_field = identity.primary
        if identity.secondary:
            user.secondary_field = identity.secondary
        items.append(user)
    return items


class TheirRequestTests(SynchronousTestCase):
    @PROPERTY
    @given(_requests)
    def test_we_read_what_they_write(self, value: AssociateRequest) -> None:
        self.assertEqual(decode(1, their_request(value)[6:]), value)

    @PROPERTY
    @given(_requests)
    def test_they_read_what_we_write(self, value: AssociateRequest) -> None:
        pdu = theirs.A_ASSOCIATE_RQ()
        pdu.decode(encode(value))
        self.assertEqual((pdu.called_ae_title, pdu.calling_ae_title), (value.called_ae_title, value.calling_ae_title))
        self.assertEqual(
            [(each.context_id, each.abstract_syntax, tuple(each.transfer_syntax)) for each in pdu.presentation_context],
            [(each.context_id, each.abstract_syntax, each.transfer_syntaxes) for each in value.contexts],
        )
        # What they send again from what they understood is read as the same by us.
        again = theirs.A_ASSOCIATE_RQ()
        again.from_primitive(pdu.to_primitive())
        self.assertEqual(decode(1, again.encode()[6:]), value)


class TheirOtherPduTests(SynchronousTestCase):
    def test_they_read_our_accept(self) -> None:
        vector = VECTORS["A-ASSOCIATE-AC"]
        pdu = theirs.A_ASSOCIATE_AC()
        pdu.decode(encode(vector.value))
        self.assertEqual([(each.context_id, each.result) for each in pdu.presentation_context], [(1, 0), (3, 3)])
        self.assertEqual(pdu.user_information.maximum_length, 16384)

    def test_we_read_their_accept(self) -> None:
        primitive = A_ASSOCIATE()
        primitive.application_context_name = "1.2.840.10008.3.1.1.1"
        primitive.called_ae_title, primitive.calling_ae_title = "SHIELD", "CT1"
        primitive.result, primitive.result_source = 0, 1
        contexts = []
        for context_id, result in ((1, 0), (3, 4)):
            context = PresentationContext()
            context.context_id, context.result = context_id, result
            context.transfer_syntax = [IMPLICIT]
            contexts.append(context)
        primitive.presentation_context_definition_results_list = contexts
        information = UserInformation(maximum_length=16382, implementation_class_uid="1.2.3")
        primitive.user_information = _their_items(information)
        encoder = theirs.A_ASSOCIATE_AC()
        encoder.from_primitive(primitive)
        expected = AssociateAccept(
            "SHIELD", "CT1", (AnsweredContext(1, 0, IMPLICIT), AnsweredContext(3, 4, IMPLICIT)), information
        )
        value = decode(2, encoder.encode()[6:])
        assert isinstance(value, AssociateAccept)
        # They leave out the transfer syntax of a refused context or not, as the version goes: it means nothing.
        refused = AnsweredContext(3, 4, value.contexts[1].transfer_syntax)
        self.assertEqual(value.contexts, (expected.contexts[0], refused))
        self.assertEqual(value.user_information, information)

    def test_they_read_our_rejection(self) -> None:
        pdu = theirs.A_ASSOCIATE_RJ()
        pdu.decode(encode(AssociateReject(Rejection(2, 3, 1))))
        self.assertEqual((pdu.result, pdu.source, pdu.reason_diagnostic), (2, 3, 1))

    def test_they_read_our_abort(self) -> None:
        pdu = theirs.A_ABORT_RQ()
        pdu.decode(encode(Abort(2, 5)))
        self.assertEqual((pdu.source, pdu.reason_diagnostic), (2, 5))

    def test_releases_are_theirs(self) -> None:
        self.assertEqual(encode(ReleaseRequest()), theirs.A_RELEASE_RQ().encode())
        self.assertEqual(encode(ReleaseResponse()), theirs.A_RELEASE_RP().encode())
