"""The places where identity hides in a data set of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence_item
from pydicom.uid import UID

from tests.support.planted_markers import JAPANESE, UNICODE, CharacterSet, Mint

CT_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
STUDY_COMPONENT: Final = "1.2.840.10008.3.1.2.3.2"
PATIENT_CLASS: Final = "1.2.840.10008.3.1.2.1.1"

PATIENT: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientAddress",
    "PatientTelecomInformation",
    "MilitaryRank",
    "BranchOfService",
    "MedicalRecordLocator",
    "InsurancePlanIdentification",
    "CountryOfResidence",
    "RegionOfResidence",
    "EthnicGroup",
    "Occupation",
    "MedicalAlerts",
    "Allergies",
    "AdditionalPatientHistory",
    "LastMenstrualDate",
    "PatientReligiousPreference",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "PatientComments",
)
STUDY: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "AdmittingDiagnosesDescription",
    "AdmissionID",
    "IssuerOfAdmissionID",
    "AdmittingDate",
    "CurrentPatientLocation",
    "PatientState",
    "VisitComments",
    "ServiceEpisodeID",
    "RequestingPhysician",
    "RequestingService",
    "RequestedProcedureDescription",
    "ReasonForStudy",
    "StudyComments",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "NamesOfIntendedRecipientsOfResults",
    "ConfidentialityConstraintOnPatientDataDescription",
)
SERIES: Final = (
    "SeriesDate",
    "SeriesTime",
    "SeriesDescription",
    "ProtocolName",
    "PerformingPhysicianName",
    "OperatorsName",
    "PerformedProcedureStepID",
    "PerformedProcedureStepDescription",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "CommentsOnThePerformedProcedureStep",
    "PerformedStationAETitle",
    "PerformedStationName",
    "FrameOfReferenceUID",
)
INSTANCE: Final = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "InstanceCreatorUID",
    "ContentDate",
    "ContentTime",
    "AcquisitionDateTime",
    "AcquisitionComments",
    "ImageComments",
    "IdentifyingComments",
    "DerivationDescription",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "DeviceUID",
    "GantryID",
    "CassetteID",
    "DateOfLastCalibration",
    "NetworkID",
    "TextComments",
    "TopicAuthor",
)
"""Attributes that PS3.15 Table E.1-1 protects, by the level at which they have one value."""


def element(mint: Mint, keyword: str) -> DataElement:
    """An element with a marker of its VR."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    vr = dictionary_VR(tag).split(" or ")[0]
    return DataElement(tag, vr, [item(mint.within(keyword))] if vr == "SQ" else mint.value(vr, keyword))


def plant(ds: Dataset, mint: Mint, keywords: Sequence[str]) -> None:
    """Add elements with markers."""
    for keyword in keywords:
        ds.add(element(mint, keyword))


def item(mint: Mint, *keywords: str) -> Dataset:
    """An item with markers; of no keywords, the patient's and a reference."""
    ds = Dataset()
    plant(ds, mint, keywords or ("PatientID", "PatientName", "PatientBirthDate", "ReferencedSOPInstanceUID"))
    return ds


def reference(mint: Mint, sop_class: str = CT_IMAGE_STORAGE) -> Dataset:
    """An item that refers to a SOP instance (PS3.3 10.8)."""
    ds = Dataset()
    ds.ReferencedSOPClassUID = sop_class
    plant(ds, mint, ["ReferencedSOPInstanceUID"])
    return ds


def items(ds: Dataset, mint: Mint, keyword: str, *keywords: str) -> Dataset:
    """Add a sequence of one item with markers, and return the item."""
    only = item(mint.within(keyword), *keywords)
    setattr(ds, keyword, [only])
    return only


def plant_sequences(ds: Dataset, mint: Mint) -> None:
    """Sequences of every data set, with what they repeat of the patient and the study, three deep and more."""
    items(
        ds,
        mint,
        "OtherPatientIDsSequence",
        "PatientID",
        "IssuerOfPatientID",
    ).TypeOfPatientID = "TEXT"
    ds.ReferencedPatientSequence = [reference(mint.within("ReferencedPatientSequence"), PATIENT_CLASS)]
    ds.ReferencedStudySequence = [reference(mint.within("ReferencedStudySequence"))]
    step = mint.within("ReferencedPerformedProcedureStepSequence")
    ds.ReferencedPerformedProcedureStepSequence = [reference(step, "1.2.840.10008.3.1.2.3.3")]
    image = reference(mint.within("ReferencedImageSequence"))
    image.PurposeOfReferenceCodeSequence = [code("121311", "DCM", "Localizer")]
    ds.ReferencedImageSequence = [image]
    ds.SourceImageSequence = [reference(mint.within("SourceImageSequence"))]
    for sequence in (
        "PhysiciansOfRecordIdentificationSequence",
        "ReferringPhysicianIdentificationSequence",
        "OperatorIdentificationSequence",
        "AdmittingDiagnosesCodeSequence",
    ):
        items(ds, mint, sequence, "InstitutionName", "PersonAddress", "PersonTelephoneNumbers", "CodeMeaning")
    request = items(
        ds,
        mint,
        "RequestAttributesSequence",
        "AccessionNumber",
        "StudyInstanceUID",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepDescription",
        "ReasonForTheRequestedProcedure",
    )
    plant_private(request, mint.within("RequestAttributesSequence"), 0x0041)
    plant_original_attributes(ds, mint)


def plant_original_attributes(ds: Dataset, mint: Mint) -> None:
    """The values of before a correction, in a character set of their own."""
    within = mint.within("OriginalAttributesSequence")
    other = UNICODE if mint.character_set is not UNICODE else JAPANESE
    former = within.within("ModifiedAttributesSequence")
    former.character_set = other
    attributes = item(former, "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID")
    declare(attributes, other)
    inner = item(former.within("RequestAttributesSequence"), "AccessionNumber", "RequestedProcedureDescription")
    attributes.RequestAttributesSequence = [inner]
    original = item(within, "AttributeModificationDateTime", "ModifyingSystem", "SourceOfPreviousValues")
    original.ReasonForTheAttributeModification = "CORRECT"
    original.ModifiedAttributesSequence = [attributes]
    nonconforming = item(within.within("NonconformingModifiedAttributesSequence"), "NonconformingDataElementValue")
    original.NonconformingModifiedAttributesSequence = [nonconforming]
    ds.OriginalAttributesSequence = [original]


def declare(ds: Dataset, character_set: CharacterSet) -> None:
    """Set (0008,0005)."""
    specific = character_set.specific
    ds.SpecificCharacterSet = list(specific) if isinstance(specific, tuple) else specific


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


_PRIVATE_VRS: Final = ("LO", "SH", "PN", "LT", "UT", "UI", "DA", "TM", "DT", "DS", "IS", "FD", "OB", "UN", "AE", "ST")


def plant_private(ds: Dataset, mint: Mint, group: int = 0x0009) -> None:
    """A private block with a marker of every VR, a private sequence with public and private elements, and more."""
    name = f"Private{group:04X}"
    within = mint.within(name)
    block = ds.private_block(group, "PLANTED 1.0", create=True)
    for offset, vr in enumerate(_PRIVATE_VRS):
        block.add_new(offset, vr, within.value(vr, f"Private{vr}"))
    inner = item(within.within("PrivateSequence"), "PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID")
    deeper = inner.private_block(group, "PLANTED INSIDE", create=True)
    deeper.add_new(0x01, "LO", within.within("PrivateSequence").value("LO", "PrivateLO"))
    block.add_new(0x40, "SQ", [inner])
    unknown = item(within.within("UnknownSequence"), "PatientName", "PatientID")
    block.add_new(0x41, "UN", unknown_sequence(unknown, mint.character_set))


def unknown_sequence(only: Dataset, character_set: CharacterSet) -> bytes:
    """A sequence as it looks after a system that did not know the element: implicit VR little endian (PS3.5 6.2.2)."""
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = True, True
    write_sequence_item(out, only, character_set.encodings)
    return out.getvalue()


def plant_unknown(ds: Dataset, mint: Mint) -> None:
    """A public element of unknown VR, and one that no dictionary knows."""
    ds.add_new(0x00102154, "UN", mint.word("PatientTelephoneNumbers", "UN", "unknown").encode())
    ds.add_new(0x001899F2, "LO", mint.value("LO", "UnknownAttribute"))


def plant_groups(ds: Dataset, mint: Mint) -> None:
    """Overlays and curves (PS3.3 C.9.2, and the retired C.10.2)."""
    for group in (0x6000, 0x601E):
        within = mint.within(f"Overlay{group:04X}")
        ds.add_new((group, 0x0010), "US", 8)
        ds.add_new((group, 0x0011), "US", 12)
        ds.add_new((group, 0x0040), "CS", "G")
        ds.add_new((group, 0x0050), "SS", [1, 1])
        ds.add_new((group, 0x0100), "US", 1)
        ds.add_new((group, 0x0102), "US", 0)
        ds.add_new((group, 0x3000), "OW", within.value("OW", "OverlayData"))
        ds.add_new((group, 0x4000), "LT", within.value("LT", "OverlayComments"))
    for group in (0x5000, 0x5002):
        within = mint.within(f"Curve{group:04X}")
        ds.add_new((group, 0x0005), "US", 1)
        ds.add_new((group, 0x0010), "US", 6)
        ds.add_new((group, 0x0020), "CS", "TAC")
        ds.add_new((group, 0x0022), "LO", within.value("LO", "CurveDescription"))
        ds.add_new((group, 0x0103), "US", 0)
        ds.add_new((group, 0x2500), "LO", within.value("LO", "CurveLabel"))
        ds.add_new((group, 0x3000), "OW", within.value("OW", "CurveData"))


def plant_icon(ds: Dataset, mint: Mint) -> None:
    """An icon on which the patient's name could be read."""
    icon = Dataset()
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.Rows, icon.Columns = 3, 4
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 8, 8, 7, 0
    icon.add_new(0x7FE00010, "OB", mint.within("IconImageSequence").value("OB", "PixelData"))
    ds.IconImageSequence = [icon]


def plant_behind_pixels(ds: Dataset, mint: Mint) -> None:
    """What follows the pixel data: digital signatures and padding."""
    within = mint.within("DigitalSignaturesSequence")
    signature = item(within, "DigitalSignatureUID", "DigitalSignatureDateTime", "CertificateOfSigner")
    signature.MACIDNumber, signature.CertificateType = 1, "X509_1993_SIG"
    signature.Signature = within.value("OB", "Signature")
    ds.add_new(0xFFFAFFFA, "SQ", [signature])
    ds.add_new(0xFFFCFFFC, "OB", mint.value("OB", "DataSetTrailingPadding"))


#: Of VRs that hold two bytes at most, or a tag: too short for a marker.
_TOO_SHORT: Final = frozenset(("US", "SS", "AT"))
#: Correlates a request with its report between two systems, and is in no stored object.
_TRANSACTION_UID: Final = 0x00081195
_IN_FILE_META_OR_COMMAND: Final = 0x0008


def plant_table(ds: Dataset, mint: Mint, tags: Sequence[int]) -> None:
    """Elements with markers for the tags of a table, as far as their VR can hold one."""
    for tag in tags:
        vr = dictionary_VR(tag).split(" or ")[0]
        if tag >> 16 < _IN_FILE_META_OR_COMMAND or tag == _TRANSACTION_UID or vr in _TOO_SHORT or tag in ds:
            continue
        plant(ds, mint, [keyword_for_tag(tag)])


def identify(ds: Dataset, study: Mint, series: Mint, instance: Mint, sop_class: str) -> None:
    """The UIDs by which an object is known."""
    ds.SOPClassUID = UID(sop_class)
    plant(ds, instance, ["SOPInstanceUID"])
    plant(ds, study, ["StudyInstanceUID"])
    plant(ds, series, ["SeriesInstanceUID"])
