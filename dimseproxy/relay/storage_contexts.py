"""What an application is asked to take where its C-MOVE is carried out by C-GET."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

#: An association has 128 context ids; one is for C-GET itself.
_MAX_STORAGE_CONTEXTS: Final = 127

#: In the order of preference of a PACS that may choose: what it has stored should cross as it is.
_TRANSFER_SYNTAXES: Final = tuple(
    f"1.2.840.10008.1.2{suffix}"
    for suffix in (
        ".1",
        "",
        ".4.50",
        ".4.51",
        ".4.57",
        ".4.70",
        ".4.80",
        ".4.81",
        ".4.90",
        ".4.91",
        ".5",
        ".2",
        ".1.99",
        ".4.100",
        ".4.102",
        ".4.103",
        ".4.201",
        ".4.202",
        ".4.203",
    )
)
#: Objects without compression can be had in another one of these.
_UNCOMPRESSED: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")


@cache
def _storage_sop_classes() -> tuple[str, ...]:
    """The storage SOP classes that are offered to an application: those of the standard, commonest first."""
    # pydicom's table of UIDs takes a while to load, and few configurations need it.
    import pydicom.uid

    known = {str(uid) for uid in vars(pydicom.uid).values() if isinstance(uid, pydicom.uid.UID) and _is_image(uid)}
    common = [f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in _COMMON]
    return tuple([*common, *sorted(known - set(common))][:_MAX_STORAGE_CONTEXTS])


_COMMON: Final = (
    "2",
    "4",
    "1",
    "1.1",
    "1.2",
    "7",
    "6.1",
    "3.1",
    "12.1",
    "12.2",
    "20",
    "128",
    "88.22",
    "88.33",
    "104.1",
)


def _is_image(uid: object) -> bool:
    return getattr(uid, "name", "").endswith("Storage") and not getattr(uid, "is_retired", True)


def foreseen_contexts(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """
    What an application is asked for, given what will come: a context for each SOP class and transfer syntax, so that it
    cannot choose one of them at the cost of the others, and for objects without compression one more with the others.

    @param pairs: SOP class and transfer syntax, the commonest first.
    @return: the abstract syntax and the transfer syntaxes of each context.
    """
    contexts = [(sop_class, (syntax,)) for sop_class, syntax in pairs]
    others = []
    for sop_class in dict.fromkeys(sop_class for sop_class, _ in pairs):
        present = {syntax for uid, syntax in pairs if uid == sop_class}
        alternatives = tuple(syntax for syntax in _UNCOMPRESSED if syntax not in present)
        if alternatives and not present.isdisjoint(_UNCOMPRESSED):
            others.append((sop_class, alternatives))
    return (*contexts, *others)[:_MAX_STORAGE_CONTEXTS]


def all_contexts() -> list[tuple[str, tuple[str, ...]]]:
    """What an application is asked for where nobody knows what will come; see `foreseen_contexts`."""
    return [(sop_class, _TRANSFER_SYNTAXES) for sop_class in _storage_sop_classes()]
