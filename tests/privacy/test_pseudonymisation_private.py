"""Data sets that leave for the side of the pseudonyms: private elements."""

from __future__ import annotations

from pydicom.dataset import Dataset

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import compile_policy
from tests.privacy.editing import ENCODINGS, IMPLICIT, pseudonym_of
from tests.privacy.objects import (
    BASIC,
    FRAME_OF_REFERENCE,
    Editing,
    ct,
    data_set,
    items,
)
from tests.privacy.searching import finds


class Private(Editing):
    def original(self, creator: str = "ACME 1.0") -> Dataset:
        made = ct()
        block = made.private_block(0x0019, creator, create=True)
        block.add_new(0x01, "LO", "kept")
        block.add_new(0x02, "UI", FRAME_OF_REFERENCE)
        inner = data_set(PatientID="PAT-4711")
        inner.private_block(0x0019, creator, create=True).add_new(0x03, "LO", "deep")
        block.add_new(0x04, "SQ", items(inner))
        return made

    def test_none_crosses_unless_the_policy_says_so(self) -> None:
        for encoding in ENCODINGS:
            left = self.sent(self.original(), BASIC, encoding)
            self.assertEqual([element.tag for element in left if element.tag.is_private], [])

    def test_a_safe_block_crosses_with_its_creator(self) -> None:
        left = self.sent(self.original(), compile_policy(private_attributes=["ACME 1.0"]))
        block = left.private_block(0x0019, "ACME 1.0")
        self.assertEqual(block[0x01].value, "kept")
        self.assertEqual(block[0x04].value[0].private_block(0x0019, "ACME 1.0")[0x03].value, "deep")

    def test_uids_and_what_is_public_in_it_are_mapped(self) -> None:
        block = self.sent(self.original(), compile_policy(private_attributes=["ACME 1.0"])).private_block(
            0x0019, "ACME 1.0"
        )
        self.assertEqual(block[0x02].value, pseudonym_of(Identity(Kind.UID, FRAME_OF_REFERENCE)))
        self.assertEqual(block[0x04].value[0].PatientID, pseudonym_of(Identity(Kind.PATIENT, "PAT-4711")))

    def test_none_crosses_in_items_whose_values_are_dummies(self) -> None:
        original = ct(ContentSequence=items(self.original()))
        left = self.sent(original, compile_policy(private_attributes=["ACME 1.0"]))
        self.assertEqual([element.tag for element in left.ContentSequence[0] if element.tag.is_private], [])

    def test_another_creator_goes_with_its_block(self) -> None:
        left = self.sent(self.original("Other"), compile_policy(private_attributes=["ACME 1.0"]))
        self.assertEqual([element.tag for element in left if element.tag.is_private], [])

    def test_a_creator_of_two_values_goes_whole(self) -> None:
        original = ct()
        original.add_new(0x00190010, "LO", ["GEMS_ACQU_01", "Meier"])
        for policy in (
            compile_policy(private_attributes=["GEMS_ACQU_01"]),
            compile_policy(options=["retain-safe-private"]),
        ):
            self.assertNotIn(0x00190010, self.sent(original, policy))

    def test_an_element_that_no_creator_reserved_goes(self) -> None:
        original = ct()
        original.add_new(0x00191001, "LO", "nobody's")
        left = self.sent(original, compile_policy(private_attributes=["ACME 1.0"]))
        self.assertNotIn(0x00191001, left)

    def test_the_guard_finds_what_is_kept_of_unknown_vr(self) -> None:
        original = ct()
        block = original.private_block(0x0019, "ACME 1.0", create=True)
        block.add_new(0x01, "UN", b"for Meier")
        self.sent(original, compile_policy(private_attributes=["ACME 1.0"]), IMPLICIT)
        self.assertTrue(finds(self.editor.search([self.left])))
