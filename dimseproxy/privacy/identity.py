"""What is replaced: values of a kind, originals on one side and pseudonyms on the other."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """
    What a value identifies.  Each kind may have a domain of its own in a pseudonym service.

    The UIDs of studies, series, instances and everything else are kinds apart only there: the vault keeps one
    namespace for all UIDs, because a reference does not always say what it refers to.
    """

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

    @property
    def is_uid(self) -> bool:
        """Whether its values are UIDs, and so must be its pseudonyms (PS3.5 9)."""
        return self in _UIDS


_UIDS: Final = frozenset((Kind.STUDY, Kind.SERIES, Kind.INSTANCE, Kind.UID))

#: UIDs below this root name SOP classes, transfer syntaxes and well-known instances: they identify nobody.
WELL_KNOWN_UIDS: Final = "1.2.840.10008."


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
