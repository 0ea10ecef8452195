"""Objects to be edited, and how they are sent through an editor in a test."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import TestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from tests.privacy.editing import EXPLICIT, KEY, Source, decoded, encoded, through

CT = "1.2.840.10008.5.1.4.1.1.2"
SC = "1.2.840.10008.5.1.4.1.1.7"
STUDY, SERIES, INSTANCE, FRAME_OF_REFERENCE = "1.2.3.100001", "1.2.3.100002", "1.2.3.100003", "1.2.3.100004"
PATIENT_ID, STUDY_DATE, CONTENT_SEQUENCE = 0x00100020, 0x00080020, 0x0040A730

BASIC = compile_policy()
ANY_DATES = compile_policy(options=["retain-longitudinal-modified-dates"])


def items(*data_sets: Dataset) -> Sequence:
    return Sequence(data_sets)


def data_set(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def ct(**attributes: Any) -> Dataset:
    """An object with what every object has."""
    common = {
        "SOPClassUID": CT,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "PatientID": "PAT-4711",
        "PatientName": "Meier^Erika",
        "PatientBirthDate": "19700131",
        "StudyDate": "20240115",
        "Modality": "CT",
        "BitsAllocated": 8,
    }
    return data_set(**{**common, **attributes})


def reference(sop_instance: str, sop_class: str = CT) -> Dataset:
    return data_set(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=sop_instance)


class Editing(TestCase):
    """What all these tests do: make a policy, send a data set through."""

    def setUp(self) -> None:
        self.source = Source()

    def sent(
        self,
        original: Dataset,
        policy: Policy,
        encoding: Encoding = EXPLICIT,
        purpose: Purpose = Purpose.OBJECT,
        step: int = 0,
    ) -> Dataset:
        """What leaves of a data set."""
        self.editor = Pseudonymisation(policy, encoding, purpose, KEY)
        self.left = through(self.editor, encoded(original, encoding), encoding, self.source.pseudonyms_of, step)
        return decoded(self.left, encoding)

    def refused(self, original: Dataset, policy: Policy, purpose: Purpose = Purpose.OBJECT) -> str:
        """The comment of the refusal of a data set."""
        return str(self.assertRaises(OperationRefused, self.sent, original, policy, EXPLICIT, purpose))
