"""What the kinds of objects have of their own: image, report, document, plan, waveform, each with its markers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from pydicom.dataset import Dataset

from tests.support.planted_markers import Mint
from tests.support.planted_places import CT_IMAGE_STORAGE, code, item, items, plant, plant_private, reference

ROWS: Final = 16
COLUMNS: Final = 16


@attrs.frozen
class Kind:
    """
    A kind of object.

    @ivar bits: of a sample, for an image; else zero.
    @ivar contents: adds what only this kind has.
    """

    name: str
    sop_class: str
    modality: str
    contents: Callable[[Dataset, Mint], None]
    bits: int = 0
    frames: int = 0


def _image(ds: Dataset, bits: int, frames: int = 0) -> None:
    """The image pixel module for one sample a pixel; the pixels come with the transfer syntax."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits, bits - 1, 0
    if frames:
        ds.NumberOfFrames = frames


def _ct(ds: Dataset, mint: Mint) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP, ds.AcquisitionNumber, ds.RescaleIntercept, ds.RescaleSlope = "120", 1, "-1024", "1"
    ds.PixelSpacing, ds.SliceThickness = ["0.5", "0.5"], "1"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = ["0", "0", "0"], ["1", "0", "0", "0", "1", "0"]
    ds.PatientPosition, ds.PositionReferenceIndicator = "HFS", None
    _image(ds, 16)


def _secondary_capture(ds: Dataset, mint: Mint) -> None:
    ds.ConversionType, ds.BurnedInAnnotation = "WSD", "YES"
    ds.PatientOrientation = None
    plant(ds, mint, ["DateOfSecondaryCapture", "TimeOfSecondaryCapture"])
    _image(ds, 8)


def _enhanced_ct(ds: Dataset, mint: Mint) -> None:
    """Functional groups: identity at the third level, once for all frames and once for each."""
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    _image(ds, 16, frames=3)
    plant(ds, mint, ["ConcatenationUID"])
    organization = items(ds, mint, "DimensionOrganizationSequence", "DimensionOrganizationUID")
    index = Dataset()
    index.DimensionOrganizationUID = organization.DimensionOrganizationUID
    index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00209057, 0x00209111
    ds.DimensionIndexSequence = [index]
    within = mint.within("SharedFunctionalGroupsSequence")
    shared = Dataset()
    derivation = within.within("DerivationImageSequence")
    derived = item(derivation, "DerivationDescription")
    derived.SourceImageSequence = [reference(derivation.within("SourceImageSequence"))]
    derived.DerivationCodeSequence = [code("113072", "DCM", "Multiplanar reformatting")]
    shared.DerivationImageSequence = [derived]
    shared.ReferencedImageSequence = [reference(within.within("ReferencedImageSequence"))]
    plant_private(shared, within, 0x0021)
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = [_frame(mint, number) for number in (1, 2, 3)]


def _frame(mint: Mint, number: int) -> Dataset:
    frame = Dataset()
    within = mint.within(f"PerFrameFunctionalGroupsSequence[{number}]")
    content = item(
        within.within("FrameContentSequence"), "FrameAcquisitionDateTime", "FrameReferenceDateTime", "FrameComments"
    )
    content.FrameAcquisitionNumber, content.DimensionIndexValues = number, [number]
    frame.FrameContentSequence = [content]
    event = item(within.within("CTExposureSequence"), "IrradiationEventUID")
    frame.IrradiationEventIdentificationSequence = [event]
    return frame


def _report(ds: Dataset, mint: Mint) -> None:
    """Basic Text SR: every value type that can carry identity, and the observers."""
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "VERIFIED"
    ds.ConceptNameCodeSequence = [code("11528-7", "LN", "Radiology Report")]
    observer = items(
        ds, mint, "VerifyingObserverSequence", "VerifyingObserverName", "VerifyingOrganization", "VerificationDateTime"
    )
    observer.VerifyingObserverIdentificationCodeSequence = [
        item(mint.within("VerifyingObserverIdentificationCodeSequence"), "CodeValue", "CodeMeaning")
    ]
    items(ds, mint, "AuthorObserverSequence", "PersonName", "InstitutionName").ObserverType = "PSN"
    items(ds, mint, "ParticipantSequence", "PersonName", "ParticipationDateTime").ParticipationType = "ENT"
    items(ds, mint, "CustodialOrganizationSequence", "InstitutionName")
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PredecessorDocumentsSequence"):
        setattr(ds, keyword, [_evidence(mint.within(keyword))])
    ds.PerformedProcedureCodeSequence = []
    ds.ContentSequence = [*_content(mint.within("ContentSequence")), _section(mint.within("ContentSequence[section]"))]


def _evidence(mint: Mint) -> Dataset:
    evidence = item(mint, "StudyInstanceUID")
    within = mint.within("ReferencedSeriesSequence")
    series = item(within, "SeriesInstanceUID")
    series.ReferencedSOPSequence = [reference(within.within("ReferencedSOPSequence"))]
    evidence.ReferencedSeriesSequence = [series]
    return evidence


def _content(mint: Mint) -> list[Dataset]:
    content = []
    for value_type, keyword in (
        ("TEXT", "TextValue"),
        ("PNAME", "PersonName"),
        ("DATE", "Date"),
        ("TIME", "Time"),
        ("DATETIME", "DateTime"),
        ("UIDREF", "UID"),
    ):
        node = item(mint, keyword)
        node.RelationshipType, node.ValueType = "CONTAINS", value_type
        node.ConceptNameCodeSequence = [code("121106", "DCM", "Comment")]
        content.append(node)
    image = Dataset()
    image.RelationshipType, image.ValueType = "CONTAINS", "IMAGE"
    image.ReferencedSOPSequence = [reference(mint.within("ReferencedSOPSequence"))]
    return [*content, image]


def _section(mint: Mint) -> Dataset:
    section = item(mint, "ObservationDateTime", "ObservationUID")
    section.RelationshipType, section.ValueType, section.ContinuityOfContent = "CONTAINS", "CONTAINER", "SEPARATE"
    section.ConceptNameCodeSequence = [code("121070", "DCM", "Findings")]
    section.ContentSequence = _content(mint.within("ContentSequence"))
    return section


def _presentation(ds: Dataset, mint: Mint) -> None:
    """Greyscale softcopy presentation state: text drawn upon the image."""
    ds.ContentLabel, ds.ContentDescription = "ANNOTATED", None
    plant(ds, mint, ["PresentationCreationDate", "PresentationCreationTime", "ContentCreatorName"])
    within = mint.within("ReferencedSeriesSequence")
    series = item(within, "SeriesInstanceUID")
    series.ReferencedImageSequence = [reference(within.within("ReferencedImageSequence"))]
    ds.ReferencedSeriesSequence = [series]
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = "LAYER", 1
    ds.GraphicLayerSequence = [layer]
    annotation = Dataset()
    annotation.GraphicLayer = "LAYER"
    drawn = mint.within("GraphicAnnotationSequence")
    annotation.ReferencedImageSequence = [reference(drawn.within("ReferencedImageSequence"))]
    text = item(drawn.within("TextObjectSequence"), "UnformattedTextValue")
    text.AnchorPoint, text.AnchorPointVisibility, text.AnchorPointAnnotationUnits = [1.0, 1.0], "N", "PIXEL"
    annotation.TextObjectSequence = [text]
    compound = item(drawn.within("CompoundGraphicSequence"), "UnformattedTextValue")
    compound.CompoundGraphicType, compound.CompoundGraphicInstanceID = "ARROW", 1
    annotation.CompoundGraphicSequence = [compound]
    ds.GraphicAnnotationSequence = [annotation]
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [COLUMNS, ROWS]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    ds.DisplayedAreaSelectionSequence = [area]
    ds.PresentationLUTShape = "IDENTITY"


def _document(ds: Dataset, mint: Mint, content: str) -> None:
    ds.BurnedInAnnotation, ds.RecognizableVisualFeatures = "YES", "NO"
    ds.ConceptNameCodeSequence = []
    ds.DocumentTitle = "Report"
    encoded = content.format(*(mint.word("EncapsulatedDocument", "OB", what) for what in ("name", "number"))).encode()
    ds.EncapsulatedDocument = encoded + b"\0" * (len(encoded) % 2)
    ds.EncapsulatedDocumentLength = len(encoded)


_PDF: Final = """%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 300 100] /Contents 4 0 R >> endobj
4 0 obj << /Length 60 >> stream
BT /F1 12 Tf 10 50 Td ({0} {1}) Tj ET
endstream endobj
trailer << /Root 1 0 R /Info << /Author ({0}) >> >>
%%EOF
"""
_CDA: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole><id extension="{1}"/>
<patient><name>{0}</name></patient></patientRole></recordTarget></ClinicalDocument>
"""


def _pdf(ds: Dataset, mint: Mint) -> None:
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    _document(ds, mint, _PDF)


def _cda(ds: Dataset, mint: Mint) -> None:
    ds.MIMETypeOfEncapsulatedDocument = "text/XML"
    _document(ds, mint, _CDA)


def _plan(ds: Dataset, mint: Mint) -> None:
    """RT plan: its names, its reviewer, its references, and a beam's machine."""
    plant(
        ds,
        mint,
        (
            *("RTPlanLabel", "RTPlanName", "RTPlanDescription", "RTPlanDate", "RTPlanTime"),
            *("TreatmentSites", "ReviewDate", "ReviewTime", "ReviewerName"),
        ),
    )
    ds.RTPlanGeometry, ds.ApprovalStatus = "PATIENT", "APPROVED"
    ds.ReferencedStructureSetSequence = [
        reference(mint.within("ReferencedStructureSetSequence"), "1.2.840.10008.5.1.4.1.1.481.3")
    ]
    dose = items(ds, mint, "DoseReferenceSequence", "DoseReferenceUID", "DoseReferenceDescription")
    dose.DoseReferenceNumber, dose.DoseReferenceStructureType, dose.DoseReferenceType = 1, "SITE", "TARGET"
    setup = items(ds, mint, "PatientSetupSequence", "SetupTechniqueDescription")
    setup.PatientSetupNumber, setup.PatientPosition = 1, "HFS"
    beam = items(
        ds, mint, "BeamSequence", "TreatmentMachineName", "BeamDescription", "InstitutionName", "DeviceSerialNumber"
    )
    beam.BeamNumber, beam.BeamType, beam.RadiationType = 1, "STATIC", "PHOTON"
    fraction = items(ds, mint, "FractionGroupSequence", "FractionGroupDescription")
    fraction.FractionGroupNumber, fraction.NumberOfFractionsPlanned = 1, 1
    fraction.NumberOfBeams, fraction.NumberOfBrachyApplicationSetups = 1, 0


def _waveform(ds: Dataset, mint: Mint) -> None:
    """A general ECG with the context in which it was acquired."""
    channel = Dataset()
    channel.ChannelSourceSequence = [code("2:1", "MDC", "Lead I")]
    channel.WaveformBitsStored = 16
    group = Dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = "ORIGINAL", 1, 8
    group.SamplingFrequency, group.ChannelDefinitionSequence = "500", [channel]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    plant(group, mint.within("WaveformSequence"), ["MultiplexGroupUID"])
    group.WaveformData = bytes(range(16))
    ds.WaveformSequence = [group]
    context = items(ds, mint, "AcquisitionContextSequence", "PersonName", "Date", "ObservationDateTime")
    context.ValueType = "PNAME"
    context.ConceptNameCodeSequence = [code("121032", "DCM", "Subject")]
    plant(ds, mint, ["AcquisitionDate", "AcquisitionTime"])


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("ct", CT_IMAGE_STORAGE, "CT", _ct, bits=16),
        Kind("secondary-capture", "1.2.840.10008.5.1.4.1.1.7", "OT", _secondary_capture, bits=8),
        Kind("enhanced-ct", "1.2.840.10008.5.1.4.1.1.2.1", "CT", _enhanced_ct, bits=16, frames=3),
        Kind("report", "1.2.840.10008.5.1.4.1.1.88.11", "SR", _report),
        Kind("presentation", "1.2.840.10008.5.1.4.1.1.11.1", "PR", _presentation),
        Kind("pdf", "1.2.840.10008.5.1.4.1.1.104.1", "DOC", _pdf),
        Kind("cda", "1.2.840.10008.5.1.4.1.1.104.2", "DOC", _cda),
        Kind("plan", "1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN", _plan),
        Kind("waveform", "1.2.840.10008.5.1.4.1.1.9.1.2", "ECG", _waveform),
    )
}
