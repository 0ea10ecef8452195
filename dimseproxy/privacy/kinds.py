"""What the value of an attribute identifies."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR

from dimseproxy.privacy.identity import Kind

REFERENCED_SOP_INSTANCE_UID: Final = 0x00081155
#: Referenced Study Sequence: what its items refer to is a study.
REFERENCED_STUDY_SEQUENCE: Final = 0x00081110
TRANSACTION_UID: Final = 0x00081195

_KINDS: Final = {
    0x00020003: Kind.INSTANCE,  # Media Storage SOP Instance UID
    0x00041511: Kind.INSTANCE,  # Referenced SOP Instance UID in File
    0x00080018: Kind.INSTANCE,  # SOP Instance UID
    0x00080050: Kind.ACCESSION,  # Accession Number
    0x00080058: Kind.INSTANCE,  # Failed SOP Instance UID List
    REFERENCED_SOP_INSTANCE_UID: Kind.INSTANCE,
    0x00100020: Kind.PATIENT,  # Patient ID, also of the items of Other Patient IDs Sequence
    0x00101000: Kind.PATIENT,  # Other Patient IDs
    0x0020000D: Kind.STUDY,  # Study Instance UID
    0x0020000E: Kind.SERIES,  # Series Instance UID
    0x00200010: Kind.STUDY_ID,  # Study ID
}


@lru_cache(maxsize=8192)
def kind_of(tag: int, parent_sequence: int = 0) -> Kind:
    """
    The kind of the values of an attribute, by which they find their pseudonyms.

    @param tag: group << 16 | element.
    @param parent_sequence: the tag of the sequence whose item holds the attribute; 0 at the top of a data set.
    """
    if tag == REFERENCED_SOP_INSTANCE_UID and parent_sequence == REFERENCED_STUDY_SEQUENCE:
        return Kind.STUDY
    return _KINDS.get(tag) or (Kind.UID if _is_uid(tag) else Kind.OTHER)


def _is_uid(tag: int) -> bool:
    try:
        return dictionary_VR(tag) == "UI"
    except KeyError:
        return False
