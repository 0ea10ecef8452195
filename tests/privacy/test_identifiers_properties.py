"""Whatever a caller asks: what leaves came from the source, or says nothing of anybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.identifier_keys import Key
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.policy import Policy, compile_policy
from tests.privacy.identifying import BASIC, ORIGINALS, SHIFTED, Values, query, resolve, sent, shift_of
from tests.ul.strategies import PROPERTY

#: What a caller may know, or guess, of a patient; each unmistakable in bytes.
SECRETS = ("REAL^1", "SECRET", "SEC*", "?ECRET", "1.2.3.1", "9.8.7.6", "19701231", "19701231-19711231", "PSN1\\SECRET")
KEYWORDS = ("PatientID", "PatientName", "PatientBirthDate", "OtherPatientIDs", "AccessionNumber", "StudyInstanceUID",
            "StudyID", "SeriesInstanceUID", "ReferringPhysicianName", "InstitutionName", "StudyDate", "PatientSex",
            "PatientComments", "StudyDescription", "SOPInstanceUID", "RequestingPhysician")  # fmt: skip
SEQUENCES = ("ScheduledProcedureStepSequence", "RequestAttributesSequence", "ReferencedStudySequence",
             "OtherPatientIDsSequence")  # fmt: skip
POLICIES = (BASIC, SHIFTED, compile_policy(options=["clean-descriptors"]), compile_policy(private_attributes="keep"))


def identifiers_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[Values]:
    flat = st.dictionaries(st.sampled_from(KEYWORDS), values, max_size=4)
    return st.recursive(
        flat,
        lambda inner: st.builds(
            lambda keys, sequences: {**keys, **sequences},
            flat,
            st.dictionaries(st.sampled_from(SEQUENCES), st.lists(inner, max_size=2), max_size=2),
        ),
        max_leaves=4,
    )


class PropertyTests(SynchronousTestCase):
    @PROPERTY
    @given(
        identifiers_of(st.sampled_from((*SECRETS, "", "*"))),
        st.sampled_from(POLICIES),
        st.booleans(),
        st.sampled_from(Direction),
    )
    def test_nothing_that_a_caller_guessed_is_asked(
        self, values: Values, policy: Policy, is_retrieve: bool, direction: Direction
    ) -> None:
        """All these attributes are protected: without a known value there is no text in what the outbound gets."""
        asked = query(values, policy, direction=direction, is_retrieve=is_retrieve)
        resolved = asked.resolve({}, shift_of)
        if not resolved.matches_nothing:
            self.assertEqual(leaves(sent(resolved)), date_ranges(sent(resolved)))
            self.assertEqual([secret for secret in SECRETS if secret.encode("ascii") in resolved.data], [])

    @PROPERTY
    @given(identifiers_of(st.sampled_from(("PSN1", "2.25.1", "2.25.4", "", "*"))), st.booleans())
    def test_what_is_asked_came_from_the_source(self, values: Values, is_retrieve: bool) -> None:
        resolved = resolve(values, BASIC, is_retrieve=is_retrieve)
        if not resolved.matches_nothing:
            originals = {original.encode("utf-8") for original in ORIGINALS.values()}
            self.assertLessEqual(leaves(sent(resolved)), originals)

    @PROPERTY
    @given(identifiers_of(st.sampled_from((*SECRETS, "PSN1", "2.25.1", "", "*"))), st.sampled_from(POLICIES))
    def test_a_real_identifier_is_like_an_unknown_one(self, values: Values, policy: Policy) -> None:
        asked = query(values, policy)
        renamed = {identity: ORIGINALS[identity] for identity in asked.wanted() if identity in ORIGINALS}
        resolved = asked.resolve(renamed, shift_of)
        self.assertEqual(resolved, query(unknown(values), policy).resolve(renamed, shift_of))


def unknown(values: Values) -> Values:
    """The same with another identifier of the same form in place of every real one."""
    names: dict[str | bytes, str] = {"REAL^1": "FAKE^1", "1.2.3.1": "1.2.3.9", "SECRET": "SACRED"}
    return {
        name: names.get(value, value) if isinstance(value, str | bytes) else [unknown(item) for item in value]
        for name, value in values.items()
    }


def leaves(keys: tuple[Key, ...]) -> set[bytes]:
    """All values that are not empty."""
    found = {key.value.rstrip(b"\0 ") for key in keys}
    for key in keys:
        for item in key.items or ():
            found |= leaves(item)
    return found - {b""}


def date_ranges(keys: tuple[Key, ...]) -> set[bytes]:
    """Of those, the ranges on dates that move: with no patient known they are wider than anybody's date."""
    found = {key.value.rstrip(b" ") for key in keys if key.vr == "DA" and b"-" in key.value}
    for key in keys:
        for item in key.items or ():
            found |= date_ranges(item)
    return found
