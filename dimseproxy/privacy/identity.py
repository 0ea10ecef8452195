"""What is replaced: values of a kind, originals on one side and pseudonyms on the other."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from pydicom._uid_dict import UID_dictionary


class Kind(Enum):
    """
    What a value identifies.  Each kind may have a domain of its own in a pseudonym service.

    The UIDs of studies, series, instances and everything else are kinds apart only there: the vault keeps one
    namespace for all UIDs, because a reference does not always say what it refers to.

    @ivar is_uid: whether its values are UIDs, and so must be its pseudonyms (PS3.5 9).
    """

    is_uid: bool

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"
    UID = "uid"
    ACCESSION = "accession"
    STUDY_ID = "study-id"
    OTHER = "other"

    # Members are singletons; the hash of an Enum is a call of Python code, for each value of each data set.
    __hash__ = object.__hash__

    def __init__(self, value: str) -> None:
        # Known to each member: it is asked of each value of each data set.
        self.is_uid = value in ("study", "series", "instance", "uid")


#: The registry of PS3.6 Annex A: SOP classes, transfer syntaxes, well-known instances. They identify nobody; any other
#: UID below their root may be an instance of somebody who made it up there.
WELL_KNOWN_UIDS: Final = frozenset(UID_dictionary)


def is_identifying(kind: Kind, text: str) -> bool:
    """
    Whether a value says who or what it is: UIDs of the standard do not, and a name of delimiters is an empty one.

    @param text: decoded, without padding.
    """
    if kind.is_uid:
        return text != "" and text not in WELL_KNOWN_UIDS
    return text.strip("^= ") != ""


class Identity(NamedTuple):
    """
    A value of a kind: an original, or a pseudonym, as the place says where it is used.

    @ivar value: decoded, without padding, never empty; each value of a multi-valued element is one.
    """

    kind: Kind
    value: str

    def __repr__(self) -> str:
        # This may end up in a log or a traceback.
        return f"Identity({self.kind.value})"
