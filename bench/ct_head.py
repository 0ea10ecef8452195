"""A head as scanners write it: a hundred attributes, sequences, and a vendor's private block.

Every value that could identify somebody holds a marker, so that an object that kept one can be told.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

MARKERS = ("Planted", "Hidden")
"""What has the second is taken out by every policy of the benchmarks, what has the first by the Basic Profile. No word
is in both: the guard of a policy refuses an object whose texts repeat what was taken out of it."""
UID_ROOT = "2.999.77077"
"""Begins the UIDs of what the objects refer to."""

TEXTS = {
    "AccessionNumber": "Hidden12345",
    "AcquisitionDate": "20240229",
    "AcquisitionTime": "101500.123",
    "AdmittingDiagnosesDescription": "Planted pain",
    "BodyPartExamined": "CHEST",
    "ContentDate": "20240229",
    "ContentTime": "101501.456",
    "ConvolutionKernel": "B30f",
    "DeviceSerialNumber": "Planted-4711",
    "FilterType": "WEDGE_2",
    "ImageComments": "Planted, comment",
    "InstitutionAddress": "Hidden Street 1",
    "InstitutionName": "Hidden Hospital",
    "InstitutionalDepartmentName": "Planted Radiology",
    "Manufacturer": "SIEMENS",
    "ManufacturerModelName": "SOMATOM Definition AS",
    "NameOfPhysiciansReadingStudy": "Planted^Reader",
    "OperatorsName": "Planted^Operator",
    "OtherPatientIDs": "Planted-2",
    "PatientAddress": "Hidden Road 2",
    "PatientAge": "054Y",
    "PatientBirthDate": "19700101",
    "PatientComments": "Planted, patient",
    "PatientPosition": "HFS",
    "PatientSex": "O",
    "PatientTelephoneNumbers": "Hidden 555",
    "PerformedProcedureStepDescription": "Planted step",
    "PerformedProcedureStepID": "Planted1",
    "PerformedProcedureStepStartDate": "20240229",
    "PerformedProcedureStepStartTime": "101000",
    "PerformingPhysicianName": "Planted^Performer",
    "PhysiciansOfRecord": "Planted^Record",
    "ProtocolName": "Planted thorax",
    "ReferringPhysicianName": "Hidden^Referrer",
    "RequestedProcedureDescription": "Planted request",
    "RequestingPhysician": "Planted^Requester",
    "RotationDirection": "CW",
    "SeriesDate": "20240229",
    "SeriesDescription": "Planted 5.0 B30f",
    "SeriesTime": "101100",
    "SoftwareVersions": "syngo CT 2012B",
    "StationName": "PlantedCT1",
    "StudyDate": "20240229",
    "StudyDescription": "Planted study",
    "StudyID": "Hidden1",
    "StudyTime": "101000",
}
NUMBERS = {
    "AcquisitionNumber": 2,
    "DataCollectionDiameter": 500,
    "DistanceSourceToDetector": 1085.6,
    "DistanceSourceToPatient": 595,
    "Exposure": 120,
    "ExposureTime": 500,
    "FocalSpots": 1.2,
    "GantryDetectorTilt": 0,
    "GeneratorPower": 32,
    "KVP": 120,
    "PatientSize": 1.75,
    "PatientWeight": 75,
    "ReconstructionDiameter": 350,
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "SeriesNumber": 3,
    "SliceLocation": -120.5,
    "SliceThickness": 5,
    "TableHeight": 150,
    "TotalCollimationWidth": 38.4,
    "WindowCenter": [40, -600],
    "WindowWidth": [400, 1200],
    "XRayTubeCurrent": 240,
}
GROUP, CREATOR = 0x0029, "SIEMENS CSA HEADER"
PRIVATE_BYTES = 8192
"""Of each of the two private headers."""


def fill(data_set: Dataset, index: int) -> None:
    """Add the rest of a scanner's head to an object that has what the standard requires."""
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    for keyword, value in {**TEXTS, **NUMBERS}.items():
        setattr(data_set, keyword, value)
    data_set.ImagePositionPatient = [-175, -175, -120.5 - 5 * index]
    data_set.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data_set.PixelSpacing = [0.68359375, 0.68359375]
    data_set.FrameOfReferenceUID = f"{UID_ROOT}1"
    data_set.ReferencedStudySequence = [_reference(2)]
    data_set.ReferencedImageSequence = [_reference(number) for number in range(3, 6)]
    data_set.SourceImageSequence = [_reference(6)]
    data_set.RequestAttributesSequence = [_request()]
    data_set.ProcedureCodeSequence = [_code("CTTHX", "CT of the thorax")]
    block = data_set.private_block(GROUP, CREATOR, create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "20240229")
    block.add_new(0x10, "OB", MARKERS[0].encode().ljust(PRIVATE_BYTES, b"\0"))
    block.add_new(0x20, "OB", MARKERS[0].encode().ljust(PRIVATE_BYTES, b"\0"))


def _reference(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CTImageStorage
    item.ReferencedSOPInstanceUID = f"{UID_ROOT}{number}"
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99CT", meaning
    return item


def _request() -> Dataset:
    item = Dataset()
    item.RequestedProcedureID = "Planted-R1"
    item.ScheduledProcedureStepDescription = "Planted scheduled"
    item.ScheduledProcedureStepID = "Planted-S1"
    item.ScheduledProtocolCodeSequence = [_code("CTTHX", "CT of the thorax")]
    return item
