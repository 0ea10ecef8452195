"""
The levels of the Query/Retrieve information models, and the attributes that the archive knows of each (PS3.4 C.6).

In the study root model the attributes of the patient are those of the study; the archive keeps them with both, so that
a study is told as its own objects name the patient.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Final

from pydicom.datadict import tag_for_keyword

from dimseproxy.dataset.vr import dictionary_vr


class Level(IntEnum):
    """What an answer is about, from the widest to the narrowest."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


class Root(Enum):
    """The information model of a request: the level that it begins with."""

    PATIENT = Level.PATIENT
    STUDY = Level.STUDY


_MODELS: Final = {"1": Root.PATIENT, "2": Root.STUDY}
_QUERY_RETRIEVE: Final = "1.2.840.10008.5.1.4.1.2."


def root_of(sop_class: str) -> Root | None:
    """The information model of a Query/Retrieve SOP class; None where it is none that the archive has."""
    if not sop_class.startswith(_QUERY_RETRIEVE):
        return None
    return _MODELS.get(sop_class.removeprefix(_QUERY_RETRIEVE).partition(".")[0])


def tag_of(keyword: str) -> int:
    """The tag of a keyword of PS3.6."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


def vr_of(tag: int) -> str:
    """The VR of an attribute that the archive knows."""
    return dictionary_vr(tag) or "UN"


def name_of(tag: int) -> str:
    """What an attribute is called among the values that are kept: eight hexadecimal digits (PS3.18 F.2.2)."""
    return f"{tag:08X}"


def _tags(keywords: Iterable[str]) -> frozenset[int]:
    return frozenset(map(tag_of, keywords))


SPECIFIC_CHARACTER_SET: Final = tag_of("SpecificCharacterSet")
QUERY_RETRIEVE_LEVEL: Final = tag_of("QueryRetrieveLevel")
RETRIEVE_AE_TITLE: Final = tag_of("RetrieveAETitle")
INSTANCE_AVAILABILITY: Final = tag_of("InstanceAvailability")
MODALITIES_IN_STUDY: Final = tag_of("ModalitiesInStudy")
SOP_CLASSES_IN_STUDY: Final = tag_of("SOPClassesInStudy")
AVAILABLE_TRANSFER_SYNTAX: Final = tag_of("AvailableTransferSyntaxUID")

SOP_CLASS: Final = tag_of("SOPClassUID")
SOP_INSTANCE: Final = tag_of("SOPInstanceUID")
STUDY_INSTANCE: Final = tag_of("StudyInstanceUID")
SERIES_INSTANCE: Final = tag_of("SeriesInstanceUID")
PATIENT_ID: Final = tag_of("PatientID")
PATIENT_NAME: Final = tag_of("PatientName")
ISSUER_OF_PATIENT_ID: Final = tag_of("IssuerOfPatientID")
STUDY_DATE: Final = tag_of("StudyDate")
ACCESSION_NUMBER: Final = tag_of("AccessionNumber")
MODALITY: Final = tag_of("Modality")

#: The unique key of each level (PS3.4 C.6.1.1, C.6.2.1).
UNIQUE_KEYS: Final = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE,
    Level.SERIES: SERIES_INSTANCE,
    Level.IMAGE: SOP_INSTANCE,
}

#: What is read from the objects.
STORED: Final = {
    Level.PATIENT: _tags(
        (
            *("PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
            *("PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDs", "OtherPatientIDsSequence"),
            *("OtherPatientNames", "PatientBirthName", "EthnicGroup", "PatientComments", "ResponsiblePerson"),
            *("PatientSpeciesDescription", "PatientBreedDescription"),
        )
    ),
    Level.STUDY: _tags(
        (
            *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence"),
            *("StudyID", "StudyDescription", "ReferringPhysicianName", "NameOfPhysiciansReadingStudy"),
            *("PhysiciansOfRecord", "ConsultingPhysicianName", "ProcedureCodeSequence", "AdmissionID"),
            *("AdmittingDiagnosesDescription", "PatientAge", "PatientSize", "PatientWeight", "Occupation"),
            *("AdditionalPatientHistory", "TimezoneOffsetFromUTC", "RequestingPhysician", "RequestingService"),
            *("ReasonForPerformedProcedureCodeSequence", "InstitutionName"),
        )
    ),
    Level.SERIES: _tags(
        (
            *("Modality", "SeriesNumber", "SeriesInstanceUID", "SeriesDescription", "SeriesDate", "SeriesTime"),
            *("BodyPartExamined", "Laterality", "ProtocolName", "OperatorsName", "PerformingPhysicianName"),
            *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "PerformedProcedureStepID"),
            *("PerformedProcedureStepDescription", "RequestAttributesSequence", "InstitutionalDepartmentName"),
            *("StationName", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "PatientPosition"),
            *("FrameOfReferenceUID", "SeriesDescriptionCodeSequence", "PresentationIntentType", "SeriesType"),
        )
    ),
    Level.IMAGE: _tags(
        (
            *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "InstanceCreationDate", "InstanceCreationTime"),
            *("ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime"),
            *("AcquisitionNumber", "ImageType", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
            *("PhotometricInterpretation", "ImageComments", "ConceptNameCodeSequence", "CompletionFlag"),
            *("VerificationFlag", "DocumentTitle", "ContentLabel", "ContentDescription", "ContentCreatorName"),
            *("PresentationCreationDate", "PresentationCreationTime", "ReferencedRequestSequence", "SliceLocation"),
        )
    ),
}

#: The number of what lies below, by the level that it is an attribute of and the level that is counted.
COUNTS: Final = {
    tag_of("NumberOfPatientRelatedStudies"): (Level.PATIENT, Level.STUDY),
    tag_of("NumberOfPatientRelatedSeries"): (Level.PATIENT, Level.SERIES),
    tag_of("NumberOfPatientRelatedInstances"): (Level.PATIENT, Level.IMAGE),
    tag_of("NumberOfStudyRelatedSeries"): (Level.STUDY, Level.SERIES),
    tag_of("NumberOfStudyRelatedInstances"): (Level.STUDY, Level.IMAGE),
    tag_of("NumberOfSeriesRelatedInstances"): (Level.SERIES, Level.IMAGE),
}

#: What is not read from one object, but known of many, with its level.
DERIVED: Final = {
    **{tag: level for tag, (level, _) in COUNTS.items()},
    MODALITIES_IN_STUDY: Level.STUDY,
    SOP_CLASSES_IN_STUDY: Level.STUDY,
    AVAILABLE_TRANSFER_SYNTAX: Level.IMAGE,
}

#: The level of every attribute that is kept.
LEVELS: Final = {tag: level for level, tags in STORED.items() for tag in tags}

#: A date and the time that goes with it (PS3.4 C.2.2.2.5, combined matching).
DATES_AND_TIMES: Final = tuple(
    (tag_of(f"{stem}Date"), tag_of(f"{stem}Time"))
    for stem in (
        *("PatientBirth", "Study", "Series", "Content", "Acquisition", "InstanceCreation", "PresentationCreation"),
        "PerformedProcedureStepStart",
    )
)
