"""What holds for any data set: nothing protected leaves, and what was mapped comes back."""

from __future__ import annotations

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import TestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from dimseproxy.privacy.reidentification import Reidentification, UnknownPseudonym
from tests.privacy.editing import ENCODINGS, KEY, Source, decoded, encoded, plain, through

#: Attributes whose originals never leave under the Basic Profile, with what they may hold.
TEXTS = ("PatientID", "PatientName", "OtherPatientIDs", "AccessionNumber", "StudyID", "InstitutionName",
         "StudyDescription", "ImageComments", "PatientAddress", "OperatorsName", "StationName")  # fmt: skip
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "ReferencedSOPInstanceUID",
        "ConcatenationUID", "UID")  # fmt: skip
SEQUENCES = ("ReferencedImageSequence", "RequestAttributesSequence", "ContentSequence", "SourceImageSequence",
             "OriginalAttributesSequence", "ReferencedStudySequence", "SharedFunctionalGroupsSequence",
             "OtherPatientIDsSequence", "AcquisitionContextSequence", "GraphicAnnotationSequence")  # fmt: skip
#: Every one of these markers has it in it.
MARK = "QZX"

POLICIES = {
    "profile": compile_policy(),
    "cleaned": compile_policy(options=["clean-descriptors", "clean-structured-content", "clean-graphics"]),
    "named": compile_policy(pseudonymise=[0x00100020, 0x00080050, 0x00100010]),
}
MAPPING = compile_policy(
    profile="none",
    private_attributes="keep",
    pseudonymise=[0x00100020, 0x00080050, 0x0020000D, 0x0020000E, 0x00080018, 0x00200010, 0x00200052],
)

markers = st.text(string.ascii_uppercase + string.digits, min_size=1, max_size=6).map(lambda text: MARK + text)
uids = st.integers(10**6, 10**9).map(lambda number: f"1.2.777.{number}")


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 3) -> Dataset:
    made = Dataset()
    for keyword in draw(st.sets(st.sampled_from(TEXTS), max_size=5)):
        setattr(made, keyword, draw(markers))
    for keyword in draw(st.sets(st.sampled_from(UIDS), max_size=4)):
        setattr(made, keyword, draw(uids))
    if depth:
        for keyword in draw(st.sets(st.sampled_from(SEQUENCES), max_size=3)):
            nested = draw(st.lists(data_sets(depth - 1), max_size=2))
            setattr(made, keyword, Sequence(nested))
            if draw(st.booleans()):
                made[keyword].is_undefined_length = True
    if draw(st.booleans()):
        made.private_block(0x0019, "ACME", create=True).add_new(0x01, "LO", draw(markers))
    return made


class Properties(TestCase):
    def sent(self, original: Dataset, policy: Policy, encoding: Encoding, source: Source, step: int) -> bytes:
        editor = Pseudonymisation(policy, encoding, Purpose.ANSWER, KEY)
        return through(editor, encoded(original, encoding), encoding, source.pseudonyms_of, step)

    @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(data_sets(), st.sampled_from(sorted(POLICIES)), st.sampled_from(ENCODINGS), st.integers(0, 40))
    def test_no_original_leaves_and_what_leaves_is_a_data_set(
        self, original: Dataset, policy: str, encoding: Encoding, step: int
    ) -> None:
        left = self.sent(original, POLICIES[policy], encoding, Source(), step)
        decoded(left, encoding)
        raw = plain(left, encoding)
        self.assertNotIn(MARK.encode(), raw)
        self.assertNotIn(b"1.2.777.", raw)

    @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(data_sets(), st.sampled_from(ENCODINGS), st.integers(0, 40))
    def test_what_is_only_mapped_comes_back_as_it_was(self, original: Dataset, encoding: Encoding, step: int) -> None:
        source = Source()
        left = self.sent(original, MAPPING, encoding, source, step)
        editor = Reidentification(MAPPING, encoding, KEY, UnknownPseudonym.REFUSE, Purpose.ANSWER)
        back = through(editor, left, encoding, source.originals_of, step, budget=1)
        self.assertEqual(decoded(back, encoding), decoded(encoded(original, encoding), encoding))
