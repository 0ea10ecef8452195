"""What the archive answers to the presentation contexts that it is asked for (PS3.7 Annex D, PS3.4 B, C and J)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen

from dimseproxy.dataset.encoding import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    encoding_of,
)
from dimseproxy.dimse.sop_classes import STORAGE_COMMITMENT_PUSH, VERIFICATION, service_of
from dimseproxy.ul.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, refuse
from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, AssociateRequest, ContextResult, ProposedContext
from dimseproxy.ul.user_information import ExtendedNegotiation, RoleSelection, UserInformation

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_SERVICES: Final = frozenset(
    (VERIFICATION, PATIENT_ROOT_FIND, PATIENT_ROOT_GET, STUDY_ROOT_FIND, STUDY_ROOT_GET, STORAGE_COMMITMENT_PUSH)
)
#: How much of SOP class extended negotiation is agreed to, byte by byte (PS3.4 C.5.1.1.1, C.5.3.1.1): relational
#: queries and retrieves, and combined matching of date and time.
_SUPPORTED: Final = {
    PATIENT_ROOT_FIND: b"\x01\x01",
    STUDY_ROOT_FIND: b"\x01\x01",
    PATIENT_ROOT_GET: b"\x01",
    STUDY_ROOT_GET: b"\x01",
}
#: Those that every object without compression can be sent in, the one that loses nothing first.
UNCOMPRESSED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)

#: The transfer syntaxes that objects of a SOP class are kept in, the commonest first.
Kept = Mapping[str, Sequence[str]]


@frozen
class Offer:
    """
    What the archive offers.

    @ivar sop_classes: what it keeps; None: all storage SOP classes of the standard.
    """

    sop_classes: frozenset[str] | None = None

    def keeps(self, sop_class: str) -> bool:
        """Whether objects of this SOP class are taken."""
        return service_of(sop_class) == "store" if self.sop_classes is None else sop_class in self.sop_classes

    def answer(self, request: AssociateRequest, kept: Kept) -> AssociateAccept:
        """
        @param kept: of the SOP classes that `taken` named.
        """
        roles = {role.abstract_syntax: role for role in request.user_information.roles}
        takes = taken(request, self)
        chosen: dict[str, set[str]] = {}
        contexts = tuple(
            self._answered(context, context.abstract_syntax in takes, kept, chosen) for context in request.contexts
        )
        # Who takes objects may send some in the same context, if it says so.
        agreed = tuple(RoleSelection(uid, roles[uid].scu, True) for uid in roles if uid in takes and uid in chosen)
        extended = tuple(
            ExtendedNegotiation(item.abstract_syntax, _agreed(item))
            for item in request.user_information.extended_negotiations
            if item.abstract_syntax in _SUPPORTED and item.abstract_syntax in chosen
        )
        information = UserInformation(
            maximum_length=0,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            roles=agreed,
            extended_negotiations=extended,
        )
        return AssociateAccept(request.called_ae_title, request.calling_ae_title, contexts, information)

    def _answered(
        self, context: ProposedContext, takes_objects: bool, kept: Kept, chosen: dict[str, set[str]]
    ) -> AnsweredContext:
        uid = context.abstract_syntax
        if uid in _SERVICES:
            candidates: Iterator[str] = (syntax for syntax in context.transfer_syntaxes if syntax in UNCOMPRESSED)
        elif not self.keeps(uid):
            return refuse(context, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED)
        elif takes_objects:
            candidates = _for_taking(context.transfer_syntaxes, kept.get(uid, ()), chosen.get(uid, ()))
        else:
            candidates = (syntax for syntax in context.transfer_syntaxes if encoding_of(syntax) is not None)
        syntax = next(candidates, None)
        if syntax is None:
            return refuse(context, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED)
        chosen.setdefault(uid, set()).add(syntax)
        return AnsweredContext(context.context_id, ContextResult.ACCEPTANCE, syntax)


def taken(request: AssociateRequest, offer: Offer) -> frozenset[str]:
    """The SOP classes whose objects the requestor takes on this association, as the SCP of its C-GET's C-STOREs."""
    roles = request.user_information.roles
    return frozenset(role.abstract_syntax for role in roles if role.scp and offer.keeps(role.abstract_syntax))


def combines_date_and_time(accept: AssociateAccept, sop_class: str) -> bool:
    """Whether combined matching of dates and times was agreed on for this SOP class (PS3.4 C.2.2.2.5)."""
    return any(
        item.abstract_syntax == sop_class and item.information[1:2] == b"\x01"
        for item in accept.user_information.extended_negotiations
    )


def _agreed(item: ExtendedNegotiation) -> bytes:
    """What was asked for and is supported; zeros for the rest of what was asked."""
    supported = _SUPPORTED[item.abstract_syntax].ljust(len(item.information), b"\0")
    return bytes(ours if theirs == 1 else 0 for theirs, ours in zip(item.information, supported, strict=False))


def _for_taking(proposed: Sequence[str], kept: Sequence[str], chosen: Collection[str]) -> Iterator[str]:
    """
    Transfer syntaxes in which objects shall be sent, the best first: as most of them are kept, then uncompressed.
    Where several contexts are for the same SOP class, each gets another one.
    """
    known = [syntax for syntax in proposed if encoding_of(syntax) is not None]
    ranked = [syntax for syntax in (*kept, *UNCOMPRESSED, *known) if syntax in known]
    yield from (syntax for syntax in ranked if syntax not in chosen)
    yield from ranked
