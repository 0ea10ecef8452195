"""The options of the Basic Profile (PS3.15 E.3), and how an object says which were applied (PS3.16 CID 7050)."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class MethodCode:
    """A code of the scheme DCM for De-identification Method Code Sequence (0012,0064)."""

    value: str
    meaning: str


BASIC_PROFILE: Final = MethodCode("113100", "Basic Application Confidentiality Profile")

RETAIN_SAFE_PRIVATE: Final = "retain-safe-private"
RETAIN_UIDS: Final = "retain-uids"
RETAIN_DEVICE_IDENTITY: Final = "retain-device-identity"
RETAIN_INSTITUTION_IDENTITY: Final = "retain-institution-identity"
RETAIN_PATIENT_CHARACTERISTICS: Final = "retain-patient-characteristics"
FULL_DATES: Final = "retain-longitudinal-full-dates"
MODIFIED_DATES: Final = "retain-longitudinal-modified-dates"
CLEAN_DESCRIPTORS: Final = "clean-descriptors"
CLEAN_STRUCTURED_CONTENT: Final = "clean-structured-content"
CLEAN_GRAPHICS: Final = "clean-graphics"

#: The options that a policy may have, with their codes, in the order in which objects name them.
OPTIONS: Final = {
    CLEAN_GRAPHICS: MethodCode("113103", "Clean Graphics Option"),
    CLEAN_STRUCTURED_CONTENT: MethodCode("113104", "Clean Structured Content Option"),
    CLEAN_DESCRIPTORS: MethodCode("113105", "Clean Descriptors Option"),
    FULL_DATES: MethodCode("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    MODIFIED_DATES: MethodCode("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    RETAIN_PATIENT_CHARACTERISTICS: MethodCode("113108", "Retain Patient Characteristics Option"),
    RETAIN_DEVICE_IDENTITY: MethodCode("113109", "Retain Device Identity Option"),
    RETAIN_UIDS: MethodCode("113110", "Retain UIDs Option"),
    RETAIN_SAFE_PRIVATE: MethodCode("113111", "Retain Safe Private Option"),
    RETAIN_INSTITUTION_IDENTITY: MethodCode("113112", "Retain Institution Identity Option"),
}

#: Options of PS3.15 that no policy has, so that no object ever names them.
NOT_CLAIMED: Final = (
    MethodCode("113101", "Clean Pixel Data Option"),
    MethodCode("113102", "Clean Recognizable Visual Features Option"),
)
