"""PDUs to bytes and back, against bytes that were written down by hand."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.negotiation import outward_request
from dimseproxy.ul.pdu import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    Pdu,
    PduType,
    ProposedContext,
)
from dimseproxy.ul.user_information import (
    MAX_USER_INFORMATION_LENGTH,
    CommonExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from tests.ul.strategies import PROPERTY, pdus
from tests.ul.vectors import VECTORS
from tests.ul.wire import (
    APPLICATION_CONTEXT,
    MAXIMUM_LENGTH,
    answered,
    associate_ac,
    associate_rq,
    head,
    item,
    pdu,
    proposed,
    user_information,
)


def decoded(data: bytes) -> Pdu:
    """The one PDU in these bytes."""
    return decode(data[0], data[6:])


def request(*items: bytes, **fields: int | bytes) -> AssociateRequest:
    value = decoded(associate_rq(*items, **fields))
    assert isinstance(value, AssociateRequest)
    return value


def information(*sub_items: bytes) -> UserInformation:
    return request(proposed(1), user_information(*sub_items)).user_information


class VectorTests(SynchronousTestCase):
    """One test a direction and vector is made below."""


def _vector_tests() -> None:
    for name, vector in VECTORS.items():
        slug = "".join(letter if letter.isalnum() else "_" for letter in name.lower())

        def encodes(self: VectorTests, vector: object = vector) -> None:
            self.assertEqual(encode(vector.value).hex(" "), vector.encoded.hex(" "))  # type: ignore[attr-defined]

        def decodes(self: VectorTests, vector: object = vector) -> None:
            self.assertEqual(decoded(vector.encoded), vector.value)  # type: ignore[attr-defined]

        setattr(VectorTests, f"test_encodes_{slug}", encodes)
        setattr(VectorTests, f"test_decodes_{slug}", decodes)


_vector_tests()


class RoundTripTests(SynchronousTestCase):
    @PROPERTY
    @given(pdus)
    def test_every_value_survives(self, value: Pdu) -> None:
        self.assertEqual(decoded(encode(value)), value)

    @PROPERTY
    @given(pdus)
    def test_the_length_field_is_true(self, value: Pdu) -> None:
        encoded = encode(value)
        self.assertEqual(int.from_bytes(encoded[2:6], "big"), len(encoded) - 6)

    def test_128_contexts_survive(self) -> None:
        contexts = tuple(
            ProposedContext(number, f"1.2.{number}", tuple(f"1.9.{index}" for index in range(40)))
            for number in range(1, 256, 2)
        )
        value = AssociateRequest("A", "B", contexts)
        self.assertEqual(decoded(encode(value)), value)

    def test_a_token_of_60_kilobytes_survives(self) -> None:
        identity = UserIdentity(4, False, bytes(60_000))
        value = AssociateRequest("A", "B", (ProposedContext(1, "1", ("2",)),), UserInformation(user_identity=identity))
        self.assertEqual(decoded(encode(value)), value)

    def test_every_type_of_user_identity_survives(self) -> None:
        for identity_type in range(1, 6):
            identity = UserIdentity(identity_type, True, b"who", b"secret" if identity_type == 2 else b"")
            value = AssociateRequest(
                "A", "B", (ProposedContext(1, "1", ("2",)),), UserInformation(user_identity=identity)
            )
            self.assertEqual(decoded(encode(value)), value)

    def test_what_does_not_fit_its_length_field_is_never_encoded(self) -> None:
        value = AssociateRequest("A", "B", (ProposedContext(1, "1" * 70_000, ("2",)),))
        self.assertRaises(ValueError, encode, value)


class GarbageTests(SynchronousTestCase):
    @PROPERTY
    @given(st.sampled_from(sorted(PduType)), st.binary(max_size=200))
    def test_any_body_is_a_value_or_a_remote_protocol_error(self, pdu_type: int, body: bytes) -> None:
        try:
            value = decode(pdu_type, body)
        except RemoteProtocolError:
            return
        self.assertIsInstance(value, Pdu)

    @PROPERTY
    @given(st.sampled_from(sorted(VECTORS)), st.data())
    def test_a_mutated_pdu_is_a_value_or_a_remote_protocol_error(self, name: str, data: st.DataObject) -> None:
        encoded = bytearray(VECTORS[name].encoded)
        for _ in range(data.draw(st.integers(1, 4))):
            encoded[data.draw(st.integers(6, len(encoded) - 1))] = data.draw(st.integers(0, 255))
        try:
            value = decode(encoded[0], bytes(encoded[6:]))
        except RemoteProtocolError:
            return
        self.assertIsInstance(value, Pdu)

    def test_every_truncated_request_is_refused_or_has_lost_whole_items(self) -> None:
        body = VECTORS["A-ASSOCIATE-RQ, every sub-item"].encoded[6:]
        # Where an item of the request ends, what is left may be a request, too.
        ends = {68 + 25 + 73, 68 + 25 + 73 + 23}
        for size in range(len(body)):
            if size not in ends:
                self.assertRaises(RemoteProtocolError, decode, 1, body[:size])

    def test_an_unknown_pdu_type(self) -> None:
        error = self.assertRaises(RemoteProtocolError, decode, 0x47, b"")
        self.assertEqual(error.reason, AbortReason.UNRECOGNIZED_PDU)

    def test_a_fixed_pdu_of_another_length(self) -> None:
        for pdu_type in (3, 5, 6, 7):
            for size in (0, 3, 5):
                self.assertRaises(RemoteProtocolError, decode, pdu_type, bytes(size))


class ReservedTests(SynchronousTestCase):
    """PS3.8 9.3: reserved fields shall not be tested."""

    def assert_ignored(self, encoded: bytes, *reserved: int) -> None:
        noisy = bytearray(encoded)
        for index in reserved:
            self.assertEqual(noisy[index], 0, index)
            noisy[index] = 0xA5
        self.assertEqual(decoded(bytes(noisy)), decoded(encoded))

    def test_of_a_request(self) -> None:
        # Of the PDU header, of the fixed fields, of both items and of what is within them.
        reserved = (1, 8, 9, *range(42, 74), 75, 100, 104, 105, 106, 108, 129, 150, 154, 162)
        self.assert_ignored(VECTORS["A-ASSOCIATE-RQ, minimal"].encoded, *reserved)

    def test_of_an_accept(self) -> None:
        # 100 to 128 is the accepted context: its header, id, reserved, result, reserved, transfer syntax.
        self.assert_ignored(VECTORS["A-ASSOCIATE-AC"].encoded, 1, 8, 9, *range(42, 74), 75, 100, 104, 106, 108)

    def test_of_a_release(self) -> None:
        self.assert_ignored(VECTORS["A-RELEASE-RQ"].encoded, 1, 6, 7, 8, 9)
        self.assert_ignored(VECTORS["A-RELEASE-RP"].encoded, 1, 6, 7, 8, 9)

    def test_of_an_abort(self) -> None:
        self.assert_ignored(VECTORS["A-ABORT"].encoded, 1, 6, 7)

    def test_of_a_rejection(self) -> None:
        self.assert_ignored(VECTORS["A-ASSOCIATE-RJ"].encoded, 1, 6)


class RequestTests(SynchronousTestCase):
    def test_unknown_items_are_skipped(self) -> None:
        self.assertEqual(request(item(0x99, b"what"), proposed(1), item(0x11, b"")), request(proposed(1)))

    def test_unknown_sub_items_of_a_context_are_skipped(self) -> None:
        value = bytes((1, 0, 0, 0)) + item(0x30, b"1.1") + item(0x77, b"what") + item(0x40, b"1.2")
        self.assertEqual(request(item(0x20, value)).contexts, (ProposedContext(1, "1.1", ("1.2",)),))

    def test_unknown_user_sub_items_are_skipped(self) -> None:
        self.assertEqual(information(item(0x5A, b"new"), MAXIMUM_LENGTH, item(0xFF, b"")), information(MAXIMUM_LENGTH))

    def test_titles_lose_their_spaces_on_both_sides(self) -> None:
        value = request(proposed(1), called=b"  SHIELD", calling=b" CT 1 ")
        self.assertEqual((value.called_ae_title, value.calling_ae_title), ("SHIELD", "CT 1"))

    def test_a_nul_in_a_title_stays(self) -> None:
        self.assertEqual(request(proposed(1), called=b"SHIELD\0").called_ae_title, "SHIELD\0")

    def test_a_title_outside_of_ascii_is_carried(self) -> None:
        value = request(proposed(1), calling="KÖLN".encode("latin-1"))
        self.assertEqual(value.calling_ae_title, "KÖLN")
        self.assertIn(b"K\xd6LN            ", encode(value))

    def test_titles_of_spaces_are_empty(self) -> None:
        self.assertEqual(request(proposed(1), called=b"").called_ae_title, "")

    def test_uids_lose_their_padding(self) -> None:
        (context,) = request(proposed(1, b"1.2.3\0", b"1.9\0", b"1.8 ")).contexts
        self.assertEqual(context, ProposedContext(1, "1.2.3", ("1.9", "1.8")))

    def test_an_even_context_id_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, proposed(2))

    def test_context_id_0_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, proposed(0))

    def test_a_context_id_given_twice_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, proposed(1), proposed(1))

    def test_no_context_at_all_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, user_information(MAXIMUM_LENGTH))

    def test_a_context_without_transfer_syntax_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, item(0x20, bytes((1, 0, 0, 0)) + item(0x30, b"1.1")))

    def test_a_context_without_abstract_syntax_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, request, item(0x20, bytes((1, 0, 0, 0)) + item(0x40, b"1.2")))

    def test_a_missing_application_context_is_empty(self) -> None:
        value = decoded(pdu(1, head() + proposed(1)))
        assert isinstance(value, AssociateRequest)
        self.assertEqual(value.application_context, "")

    def test_the_protocol_version_is_carried(self) -> None:
        self.assertEqual(request(proposed(1), version=3).protocol_version, 3)

    def test_contexts_keep_their_order(self) -> None:
        value = request(proposed(5), proposed(1), proposed(3))
        self.assertEqual([context.context_id for context in value.contexts], [5, 1, 3])


class AcceptTests(SynchronousTestCase):
    def accept(self, *items: bytes) -> AssociateAccept:
        value = decoded(associate_ac(*items))
        assert isinstance(value, AssociateAccept)
        return value

    def test_a_refused_context_may_lack_its_transfer_syntax(self) -> None:
        value = self.accept(item(0x21, bytes((1, 0, 3, 0))))
        self.assertEqual(value.contexts, (AnsweredContext(1, 3, ""),))

    def test_an_unknown_result_is_carried_and_no_acceptance(self) -> None:
        (context,) = self.accept(answered(1, 77)).contexts
        self.assertEqual((context.result, context.accepted), (77, False))

    def test_result_0_is_acceptance(self) -> None:
        self.assertTrue(self.accept(answered(1, 0)).contexts[0].accepted)

    def test_an_accept_without_contexts_is_a_value(self) -> None:
        self.assertEqual(self.accept().contexts, ())

    def test_unknown_items_are_skipped(self) -> None:
        self.assertEqual(self.accept(item(0x98, b"?"), answered(1, 0)), self.accept(answered(1, 0)))


class UserInformationTests(SynchronousTestCase):
    def test_maximum_length_0_is_unlimited_and_survives(self) -> None:
        self.assertEqual(information(item(0x51, bytes(4))).maximum_length, 0)

    def test_a_maximum_length_without_room_for_data_is_refused(self) -> None:
        for length in (1, 6, 15):
            self.assertRaises(RemoteProtocolError, information, item(0x51, pack(">I", length)))

    def test_the_smallest_maximum_length(self) -> None:
        self.assertEqual(information(item(0x51, pack(">I", 16))).maximum_length, 16)

    def test_a_cut_maximum_length_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, information, item(0x51, bytes(3)))

    def test_nul_padded_names(self) -> None:
        value = information(item(0x52, b"1.2.3\0"), item(0x55, b"NAME \0"))
        self.assertEqual((value.implementation_class_uid, value.implementation_version_name), ("1.2.3", "NAME"))

    def test_several_roles_keep_their_order(self) -> None:
        value = information(item(0x54, b"\0\x031.1\0\1"), item(0x54, b"\0\x031.2\1\1"))
        self.assertEqual(value.roles, (RoleSelection("1.1", False, True), RoleSelection("1.2", True, True)))

    def test_a_role_of_another_value_than_0_counts_as_taken(self) -> None:
        self.assertEqual(information(item(0x54, b"\0\x031.1\7\0")).roles, (RoleSelection("1.1", True, False),))

    def test_a_role_whose_uid_is_longer_than_its_sub_item_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, information, item(0x54, b"\0\x091.1\0\1"))

    def test_a_common_extended_negotiation_may_end_before_its_related_classes(self) -> None:
        value = information(item(0x57, b"\0\x031.1\0\x031.2"))
        self.assertEqual(value.common_extended_negotiations, (CommonExtendedNegotiation("1.1", "1.2"),))

    def test_a_cut_user_identity_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, information, item(0x58, b"\1\0\0\x04ann"))

    def test_secrets_do_not_show(self) -> None:
        value = information(item(0x58, b"\2\0\0\x04anna\0\x06secret"), item(0x59, b"\0\x06ticket"))
        self.assertEqual(value.user_identity, UserIdentity(2, False, b"anna", b"secret"))
        for word in ("anna", "secret", "ticket"):
            self.assertNotIn(word, repr(value))

    def test_an_item_without_sub_items(self) -> None:
        self.assertEqual(information(), UserInformation())

    def test_what_leaves_no_room_for_our_own_names_is_refused(self) -> None:
        fits = item(0x5F, bytes(MAX_USER_INFORMATION_LENGTH - 4))
        self.assertEqual(information(fits), UserInformation())
        self.assertRaises(RemoteProtocolError, information, fits, b"\0")

    def test_the_longest_that_is_taken_can_be_relayed(self) -> None:
        identity = item(
            0x58, pack(">BBH", 4, 0, MAX_USER_INFORMATION_LENGTH - 10) + bytes(MAX_USER_INFORMATION_LENGTH - 8)
        )
        value = request(proposed(1), user_information(identity))
        outward = outward_request(
            value, called_ae_title="A", calling_ae_title="B", contexts=value.contexts, with_user_identity=True
        )
        self.assertGreater(len(encode(outward)), MAX_USER_INFORMATION_LENGTH)

    def test_the_application_context_is_ours(self) -> None:
        self.assertTrue(encode(AssociateRequest("A", "B", ()))[74:].startswith(APPLICATION_CONTEXT))


class MemoryTests(SynchronousTestCase):
    """What is decoded and encoded again."""

    def test_the_same_bytes_are_the_same_value(self) -> None:
        body = encode(AssociateRequest("A", "B", (ProposedContext(1, "1.2", ("1.2.3",)),)))[6:]
        self.assertIs(decode(PduType.A_ASSOCIATE_RQ, body), decode(PduType.A_ASSOCIATE_RQ, bytes(bytearray(body))))

    def test_a_user_identity_is_not_remembered(self) -> None:
        identity = UserIdentity(2, False, b"user", b"passcode")
        request = AssociateRequest(
            "A", "B", (ProposedContext(1, "1.2", ("1.2.3",)),), UserInformation(user_identity=identity)
        )
        body = encode(request)[6:]
        self.assertIsNot(decode(PduType.A_ASSOCIATE_RQ, body), decode(PduType.A_ASSOCIATE_RQ, bytes(bytearray(body))))

    def test_nor_is_an_answer_to_one(self) -> None:
        accept = AssociateAccept(
            "A", "B", (AnsweredContext(1, 0, "1.2.3"),), UserInformation(user_identity_answer=b"ticket")
        )
        body = encode(accept)[6:]
        self.assertIsNot(decode(PduType.A_ASSOCIATE_AC, body), decode(PduType.A_ASSOCIATE_AC, bytes(bytearray(body))))

    def test_nor_is_what_is_long(self) -> None:
        syntaxes = tuple(f"1.2.{number}" for number in range(2_000))
        for information in (
            UserInformation(),
            UserInformation(roles=tuple(RoleSelection(syntax, True, False) for syntax in syntaxes)),
        ):
            few = syntaxes if information == UserInformation() else ("1.2",)
            request = AssociateRequest("A", "B", (ProposedContext(1, "1.2", few),), information)
            self.assertFalse(encode(request) is encode(request))

    def test_what_is_short_is(self) -> None:
        request = AssociateRequest("A", "B", (ProposedContext(1, "1.2", ("1.2.3",)),))
        self.assertIs(encode(request), encode(request))
