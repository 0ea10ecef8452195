"""What an answer of a form becomes is what the rewriter makes of it, and what has no form is the rewriter's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.element import Limits
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dataset.vr import FORMS, dictionary_vr
from dimseproxy.errors import LocalProtocolError, OperationRefused
from dimseproxy.privacy.answer_form import MAX_LENGTH, AnswerForms, FilledForm
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.options import MODIFIED_DATES
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from tests.privacy.editing import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, KEY, pseudonym_of
from tests.privacy.searching import finds

CHARACTER_SET, STUDY_DATE, STUDY_TIME, ACCESSION = 0x00080005, 0x00080020, 0x00080030, 0x00080050
MODALITIES, INSTITUTION, REFERRING, DESCRIPTION = 0x00080061, 0x00080080, 0x00080090, 0x00081030
PROCEDURE_CODES, PRIVATE_CREATOR, PRIVATE = 0x00081032, 0x00090010, 0x00091001
NAME, PATIENT, BIRTH_DATE, SEX, AGE = 0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00101010
OTHER_IDS, COMMENTS, STUDY, STUDY_ID, INSTANCES = 0x00101000, 0x00104000, 0x0020000D, 0x00200010, 0x00201208
UNKNOWN, PROVIDER_URL = 0x00080003, 0x00287FE0

Values = Mapping[int, bytes]

#: An answer at the level of studies, as a PACS gives it.
ANSWER: Final[Values] = {
    CHARACTER_SET: b"ISO_IR 100",
    STUDY_DATE: b"20240229",
    STUDY_TIME: b"101112",
    ACCESSION: b"ACC-4711",
    MODALITIES: b"CT\\SR ",
    REFERRING: b"Huber^Egon",
    NAME: "Müller^Anna".encode("latin-1") + b" ",
    PATIENT: b"PAT-4711",
    BIRTH_DATE: b"19700129",
    SEX: b"F ",
    STUDY: b"1.2.3.4.100001",
    STUDY_ID: b"S-0815",
    INSTANCES: b"12",
}
NEXT: Final[Values] = {
    **ANSWER,
    STUDY_DATE: b"20240301",
    NAME: b"Meier^Erika ",
    PATIENT: b"PAT-815 ",
    STUDY: b"1.2.3.4.20",
}

LISTED = compile_policy(
    profile="none", pseudonymise=(PATIENT, STUDY, STUDY_ID), remove=(NAME, BIRTH_DATE, ACCESSION, REFERRING)
)
MOVED = compile_policy(options=(MODIFIED_DATES,))
POLICIES: Final = (
    LISTED,
    MOVED,
    compile_policy(),
    compile_policy(guard="off"),
    compile_policy(age="derive"),
    compile_policy(options=("retain-full-dates", "clean-descriptors")),
    compile_policy(options=("retain-uids", "retain-patient-characteristics"), private_attributes="keep"),
    compile_policy(keep=(STUDY_DATE, BIRTH_DATE), replace={NAME: "Nobody", INSTITUTION: "Häuser"}),
    compile_policy(profile="none", pseudonymise=(ACCESSION, OTHER_IDS, COMMENTS), replace={PATIENT: "Someone"}),
    compile_policy(profile="none", pseudonymise=(UNKNOWN, PROVIDER_URL, NAME), guard="warn"),
)


def element(tag: int, value: bytes, encoding: Encoding, vr: str | None = None) -> bytes:
    """Header and value, of whatever length."""
    order = "<" if encoding.is_little_endian else ">"
    vr = vr or dictionary_vr(tag) or "UN"
    if encoding.is_implicit:
        return pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, len(value)) + value
    code, header_length, _ = FORMS[vr]
    if header_length == 12:
        return pack(f"{order}HH2sHL", tag >> 16, tag & 0xFFFF, code, 0, len(value)) + value
    return pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, code, len(value)) + value


def data_of(values: Values, encoding: Encoding = EXPLICIT) -> bytes:
    return b"".join(element(tag, values[tag], encoding) for tag in sorted(values))


def usual(data: bytes, policy: Policy, encoding: Encoding) -> tuple[bytes, bool] | str:
    """What the rewriter makes of an answer, and whether the guard finds an original in it; or why it is refused."""
    editor = Pseudonymisation(policy, encoding, Purpose.ANSWER, KEY)
    rewriter = Rewriter(encoding, editor)
    try:
        rewriter.feed([memoryview(data)], True)
        while rewriter.work():
            pass
        editor.resolve({each: pseudonym_of(each) for each in editor.wanted()})
        written = rewriter.written()
        found = finds(editor.search((written,)))
        return b"".join(map(bytes, rewriter.flush())), found
    except OperationRefused as error:
        return error.comment


def completed(filled: FilledForm) -> tuple[bytes, bool] | str:
    """The same of one that is filled in."""
    try:
        filled.resolve({each: pseudonym_of(each) for each in filled.wanted()})
        found = finds(filled.search((filled.written(),)))
        return b"".join(map(bytes, filled.flush())), found
    except OperationRefused as error:
        return error.comment


class FormTests(SynchronousTestCase):
    policy = LISTED
    encoding = EXPLICIT

    def setUp(self) -> None:
        self.forms = AnswerForms(self.policy, self.encoding, KEY, Limits())

    def fill_in(self, values: Values) -> FilledForm | None:
        return self.forms.fill_in(data_of(values, self.encoding))

    def made_of(self, values: Values) -> tuple[bytes, bool] | str:
        filled = self.fill_in(values)
        assert filled is not None
        return completed(filled)

    def usual(self, values: Values) -> tuple[bytes, bool] | str:
        return usual(data_of(values, self.encoding), self.policy, self.encoding)

    def test_an_answer_leaves_as_it_would_have(self) -> None:
        for answer in (ANSWER, NEXT, ANSWER):
            self.assertEqual(self.made_of(answer), self.usual(answer))

    def test_all_its_originals_are_asked_for_once(self) -> None:
        filled = self.fill_in(ANSWER)
        assert filled is not None
        wanted = {
            Identity(Kind.PATIENT, "PAT-4711"),
            Identity(Kind.STUDY, "1.2.3.4.100001"),
            Identity(Kind.STUDY_ID, "S-0815"),
        }
        self.assertEqual((filled.wanted(), filled.wanted()), (wanted, set()))

    def test_nothing_leaves_without_a_pseudonym(self) -> None:
        filled = self.fill_in(ANSWER)
        assert filled is not None
        self.assertRaises(OperationRefused, filled.resolve, {Identity(Kind.PATIENT, "PAT-4711"): "P1"})
        self.assertRaises(OperationRefused, filled.written)
        self.assertRaises(OperationRefused, filled.flush)

    def test_nothing_leaves_with_one_that_does_not_fit(self) -> None:
        filled = self.fill_in(ANSWER)
        assert filled is not None
        pseudonyms = {each: "no UID" for each in filled.wanted()}
        self.assertRaises(OperationRefused, filled.resolve, pseudonyms)

    def test_an_original_in_what_crosses_is_found(self) -> None:
        answer = {**ANSWER, DESCRIPTION: b"of PAT-4711 "}
        self.fill_in(answer)
        made = self.made_of(answer)
        self.assertEqual(made, self.usual(answer))
        self.assertIs(made[1], True)

    def test_an_empty_value_crosses(self) -> None:
        for tag in (PATIENT, STUDY_ID, NAME, STUDY_DATE):
            answer = {**ANSWER, tag: b""}
            self.assertEqual(self.made_of(answer), self.usual(answer))

    def test_several_values_where_one_is_mapped_are_the_rewriters(self) -> None:
        self.fill_in(ANSWER)
        self.assertIsNone(self.fill_in({**ANSWER, PATIENT: b"PAT-1\\PAT-22"}))

    def test_an_attribute_more_or_less_is_another_form(self) -> None:
        self.fill_in(ANSWER)
        less = {tag: value for tag, value in ANSWER.items() if tag != SEX}
        for answer in ({**ANSWER, DESCRIPTION: b"thorax"}, less, {**ANSWER, CHARACTER_SET: b"ISO_IR 192"}):
            self.fill_in(answer)
            self.assertEqual(self.made_of(answer), self.usual(answer))
            self.assertEqual(self.made_of(ANSWER), self.usual(ANSWER))

    def test_what_has_no_form(self) -> None:
        sequence = element(PROCEDURE_CODES, b"", self.encoding, "SQ")
        for data in (
            data_of({**ANSWER, PATIENT: b"PAT-123"}, self.encoding),
            data_of(ANSWER, self.encoding)[:-1],
            data_of(ANSWER, self.encoding) + b"\0",
            data_of({UNKNOWN: b"12", **ANSWER}, self.encoding) + element(SEX, b"F ", self.encoding),
            sequence + data_of({NAME: b"Meier^Anna"}, self.encoding),
            data_of({COMMENTS: b" " * MAX_LENGTH}, self.encoding),
            data_of({CHARACTER_SET: b" " * 2000}, self.encoding),
        ):
            self.assertIsNone(self.forms.fill_in(data))
            self.assertIsNone(self.forms.fill_in(data))

    def test_where_a_value_decides_there_is_none(self) -> None:
        for policy, tag in (
            (compile_policy(options=("clean-descriptors",)), DESCRIPTION),
            (compile_policy(age="derive"), AGE),
            (compile_policy(private_attributes="keep"), PRIVATE_CREATOR),
        ):
            forms = AnswerForms(policy, EXPLICIT, KEY, Limits())
            data = b"".join(
                element(each, value, EXPLICIT, "LO" if each == PRIVATE_CREATOR else None)
                for each, value in sorted({**ANSWER, tag: b"044Y"}.items())
            )
            self.assertIsNone(forms.fill_in(data))

    def test_an_address_of_pixel_data_is_refused_as_usual(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=(PROVIDER_URL,))
        data = element(PROVIDER_URL, b"http://pacs/PAT-4711", EXPLICIT)
        self.assertIsNone(AnswerForms(policy, EXPLICIT, KEY, Limits()).fill_in(data))
        self.assertIsInstance(usual(data, policy, EXPLICIT), str)

    def test_what_is_read_before_the_character_set_is_the_rewriters(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=(UNKNOWN,))
        data = element(UNKNOWN, "Müller".encode() + b" ", EXPLICIT, "LO") + data_of({CHARACTER_SET: b"ISO_IR 192"})
        self.assertIsNone(AnswerForms(policy, EXPLICIT, KEY, Limits()).fill_in(data))

    def test_what_is_dropped_may_be_private(self) -> None:
        for vr in ("LO", "UN"):
            data = b"".join(
                (
                    data_of({ACCESSION: b"ACC1"}, EXPLICIT),
                    element(PRIVATE_CREATOR, b"ACME", EXPLICIT, "LO"),
                    element(PRIVATE, b"1234", EXPLICIT, vr),
                    data_of({NAME: b"Meier^Anna"}, EXPLICIT),
                )
            )
            forms = AnswerForms(MOVED, EXPLICIT, KEY, Limits())
            filled = forms.fill_in(data)
            assert filled is not None
            self.assertEqual(completed(filled), usual(data, MOVED, EXPLICIT))

    def test_dates_move_by_the_days_of_their_patient(self) -> None:
        forms = AnswerForms(MOVED, EXPLICIT, KEY, Limits())
        for answer in (ANSWER, NEXT, {**ANSWER, STUDY_DATE: b"no date "}, {**ANSWER, PATIENT: b""}):
            filled = forms.fill_in(data_of(answer))
            assert filled is not None
            self.assertEqual(completed(filled), usual(data_of(answer), MOVED, EXPLICIT))

    def test_a_deflated_answer_is_the_rewriters(self) -> None:
        for data in (data_of(ANSWER), b""):
            self.assertIsNone(AnswerForms(LISTED, DEFLATED, KEY, Limits()).fill_in(data))

    def test_what_costs_more_than_it_may_is_the_rewriters(self) -> None:
        self.assertIsNone(AnswerForms(LISTED, EXPLICIT, KEY, Limits(head=1000)).fill_in(data_of(ANSWER)))

    def test_it_is_there_as_a_whole(self) -> None:
        filled = self.fill_in(ANSWER)
        assert filled is not None
        self.assertRaises(LocalProtocolError, filled.feed, (), True)
        self.assertRaises(LocalProtocolError, filled.pass_opaque, 1)
        self.assertRaises(LocalProtocolError, filled.learn, {})

    def test_answers_without_a_form_are_looked_at_ever_less_often(self) -> None:
        for _ in range(3):
            self.forms.fill_in(element(PROCEDURE_CODES, b"", self.encoding, "SQ"))
        self.assertEqual([self.fill_in(ANSWER) is None for _ in range(5)], [True, True, True, False, False])

    def test_no_value_is_in_a_repr(self) -> None:
        filled = self.fill_in(ANSWER)
        assert filled is not None
        said = repr(filled) + "".join(repr(place) for _, place, _ in filled.mapped)
        self.assertNotIn("4711", said)


class ImplicitTests(FormTests):
    encoding = IMPLICIT


class BigEndianTests(FormTests):
    encoding = BIG_ENDIAN


TEXTS = st.one_of(
    st.sampled_from((b"", b"PAT-4711", b"4711", b"Meier^Anna", b"19700129", b"1.2.3.4", b"044Y", b"^^", b"A\\B")),
    st.binary(max_size=12),
    st.text("AB4711.^ \\", max_size=14).map(str.encode),
)
TAGS: Final = (
    *(STUDY_DATE, STUDY_TIME, ACCESSION, MODALITIES, INSTITUTION, REFERRING, DESCRIPTION, PROCEDURE_CODES),
    *(NAME, PATIENT, BIRTH_DATE, SEX, AGE, OTHER_IDS, COMMENTS, STUDY, STUDY_ID, INSTANCES, UNKNOWN, PROVIDER_URL),
)


@st.composite
def answers(draw: st.DrawFn) -> Sequence[Values]:
    """Some with the same attributes, and nearly."""
    tags = draw(st.sets(st.sampled_from(TAGS), min_size=1))
    character_sets = draw(st.sampled_from((None, b"", b"ISO_IR 100", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"nonsense")))
    found = []
    for _ in range(draw(st.integers(2, 4))):
        values = {tag: draw(TEXTS) for tag in tags}
        values = {tag: value + b" " * (len(value) & draw(st.integers(0, 7).map(bool))) for tag, value in values.items()}
        if character_sets is not None:
            values[CHARACTER_SET] = character_sets + b" " * (len(character_sets) & 1)
        found.append(values)
    return found


class PropertyTests(SynchronousTestCase):
    @given(answers(), st.sampled_from(POLICIES), st.sampled_from((IMPLICIT, EXPLICIT, BIG_ENDIAN)))
    def test_what_is_filled_in_leaves_as_the_rewriter_has_it(
        self, answers: Sequence[Values], policy: Policy, encoding: Encoding
    ) -> None:
        forms = AnswerForms(policy, encoding, KEY, Limits())
        for values in answers:
            data = data_of(values, encoding)
            filled = forms.fill_in(data)
            if filled is not None:
                self.assertEqual(completed(filled), usual(data, policy, encoding))
