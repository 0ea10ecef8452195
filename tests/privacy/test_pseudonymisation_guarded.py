"""Data sets that leave for the side of the pseudonyms: what rules do not see."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.dates import shift, shift_days
from dimseproxy.privacy.guard import MAX_NEEDLES
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Blank, Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from tests.privacy.editing import (
    BIG_ENDIAN,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    KEY,
    encoded,
    plain,
    pseudonym_of,
    through,
)
from tests.privacy.objects import (
    ANY_DATES,
    BASIC,
    CT,
    SC,
    STUDY,
    Editing,
    ct,
    data_set,
    items,
)
from tests.privacy.searching import finds


class Guarded(Editing):
    def check(self, original: Dataset, policy: Policy, encoding: Encoding = EXPLICIT) -> bool:
        self.sent(original, policy, encoding)
        return finds(self.editor.search([plain(self.left, encoding)]))

    def test_nothing_is_found_in_what_left_as_it_should(self) -> None:
        for encoding in ENCODINGS:
            for policy in (BASIC, ANY_DATES, compile_policy(options=["retain-longitudinal-full-dates"])):
                self.assertFalse(self.check(ct(), policy, encoding))

    def test_a_kept_text_that_names_the_patient_is_found(self) -> None:
        for text in ("for Meier", "see PAT-4711", f"of {STUDY}", "born 19700131"):
            self.assertTrue(self.check(ct(ImageComments=text), compile_policy(keep=[0x00204000])), text)

    def test_a_name_of_another_alphabet_is_found(self) -> None:
        for character_set, name in (("ISO_IR 144", "Люкс"), ("GB18030", "王小东"), ("ISO_IR 192", "山田")):
            original = ct(SpecificCharacterSet=character_set, PatientName=name, ImageComments=f"* {name} *")
            self.assertTrue(self.check(original, compile_policy(keep=[0x00204000])), name)

    def test_the_day_of_birth_may_be_that_of_the_study(self) -> None:
        policy = compile_policy(options=["retain-longitudinal-full-dates"])
        self.assertFalse(self.check(ct(StudyDate="20240115", PatientBirthDate="20240115"), policy))

    def test_a_date_may_move_to_the_day_of_birth(self) -> None:
        birth = shift("DA", "20240115", shift_days(KEY, "PAT-4711", -365, -1))
        self.assertFalse(self.check(ct(PatientBirthDate=birth), ANY_DATES))

    def test_a_patient_may_be_called_like_a_replacement(self) -> None:
        policy = compile_policy(replace={0x00080080: "Meier Klinik"})
        self.assertFalse(self.check(ct(InstitutionName="Clinic"), policy))

    def test_a_patient_with_more_numbers_than_can_be_looked_for_is_refused(self) -> None:
        original = ct(OtherPatientIDs=[f"ID{number:06}" for number in range(MAX_NEEDLES + 2)])
        self.sent(original, BASIC, IMPLICIT)
        self.assertIn("too many", str(self.assertRaises(OperationRefused, self.editor.search, [self.left])))

    def test_a_pseudonym_that_is_another_number_of_the_patient_is_found(self) -> None:
        taken = pseudonym_of(Identity(Kind.PATIENT, "PAT-4711"))
        self.assertTrue(self.check(ct(OtherPatientIDs=taken), BASIC))

    def test_switched_off_it_finds_nothing(self) -> None:
        self.assertFalse(self.check(ct(ImageComments="for Meier"), compile_policy(keep=[0x00204000], guard="off")))


class BurnedIn(Editing):
    def image(self, **attributes: Any) -> Dataset:
        size = {"SamplesPerPixel": 1, "Rows": 4, "Columns": 5, "BitsAllocated": 8, "PixelData": b"\xff" * 20}
        return ct(**{**size, "SOPClassUID": SC, "Modality": "OT", **attributes})

    def test_an_object_that_may_show_text_is_refused(self) -> None:
        for original in (self.image(), self.image(SOPClassUID=CT, BurnedInAnnotation="YES")):
            self.assertIn("may show text", self.refused(original, BASIC))

    def test_it_is_refused_whatever_long_value_comes_first(self) -> None:
        original = self.image(SOPClassUID=CT, BurnedInAnnotation="YES")
        original.add_new(0x00280009, "AT", [0x00181063] * 17_500)
        editor = Pseudonymisation(BASIC, IMPLICIT, Purpose.OBJECT, KEY)
        data = encoded(original, IMPLICIT)
        self.assertRaises(OperationRefused, through, editor, data, IMPLICIT, self.source.pseudonyms_of)

    def test_it_passes_where_the_policy_says_so(self) -> None:
        self.assertEqual(self.sent(self.image(), compile_policy(burned_in="pass")).PixelData, b"\xff" * 20)

    def test_its_regions_are_blanked_in_both_byte_orders(self) -> None:
        policy = compile_policy(burned_in="blank", blanks=[Blank(((0, 1, 5, 1),), modality="OT", rows=4, columns=5)])
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            left = self.sent(self.image(), policy, encoding)
            self.assertEqual(left.PixelData, b"\xff" * 5 + bytes(5) + b"\xff" * 10)

    def test_without_regions_for_it_it_is_refused(self) -> None:
        policy = compile_policy(burned_in="blank", blanks=[Blank(((0, 1, 5, 1),), rows=5)])
        self.assertIn("may show text", self.refused(self.image(), policy))

    def test_pixel_data_of_another_size_are_refused(self) -> None:
        policy = compile_policy(burned_in="blank", blanks=[Blank(((0, 1, 5, 1),))])
        self.assertIn("another size", self.refused(self.image(PixelData=bytes(30)), policy))

    def test_compressed_pixel_data_cannot_be_blanked_and_are_refused(self) -> None:
        policy = compile_policy(burned_in="blank", blanks=[Blank(((0, 1, 5, 1),))])
        original = self.image(PixelData=encapsulate([b"frame"]))
        original["PixelData"].is_undefined_length = True
        original["PixelData"].VR = "OB"
        self.refused(original, policy)

    def test_the_class_of_the_command_set_counts_too(self) -> None:
        original = self.image(SOPClassUID=CT)
        for policy in (BASIC, compile_policy(burned_in="blank", blanks=[Blank(((0, 1, 5, 1),))])):
            self.assertIn("another SOP class", self.refused_with(SC, original, policy))
        del original.SOPClassUID
        self.assertIn("may show text", self.refused_with(SC, original, BASIC))

    def test_a_film_is_refused_unless_the_policy_lets_text_pass(self) -> None:
        box = data_set(SamplesPerPixel=1, Rows=1, Columns=2, BitsAllocated=8, PixelData=b"ab")
        for keyword in ("BasicGrayscaleImageSequence", "BasicColorImageSequence"):
            film = data_set(ImageBoxPosition=1, **{keyword: items(box)})
            self.assertIn("film", self.refused(film, BASIC, Purpose.ANSWER))
            self.assertIn(keyword, self.sent(film, compile_policy(burned_in="pass"), purpose=Purpose.ANSWER))

    def refused_with(self, sop_class: str, original: Dataset, policy: Policy) -> str:
        """The comment of the refusal of an object whose command set says this class."""
        editor = Pseudonymisation(policy, EXPLICIT, Purpose.OBJECT, KEY, sop_class)
        data = encoded(original, EXPLICIT)
        return str(self.assertRaises(OperationRefused, through, editor, data, EXPLICIT, self.source.pseudonyms_of))

    def test_an_answer_shows_nothing(self) -> None:
        answer = data_set(SOPClassUID=SC, PatientID="PAT-4711")
        self.assertEqual(self.sent(answer, BASIC, purpose=Purpose.ANSWER).SOPClassUID, SC)
