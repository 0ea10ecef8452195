"""
The protocol data units of PS3.8 9.3 as values.

A-ASSOCIATE and the rest of the association control are decoded whole.  P-DATA-TF is not a value here: it is what flows,
and stays bytes (see `framer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import cached_property
from typing import Final

from attrs import field, frozen

from dimseproxy.errors import Rejection
from dimseproxy.ul.user_information import UserInformation, carries_no_identity, encode_user_information

#: The only application context there is (PS3.7 A.2.1).
DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
#: Bytes of an A-ASSOCIATE that is remembered: hostile ones cost their length and some 20 times that as values.
LONGEST_REMEMBERED: Final = 16 * 1024


class PduType(IntEnum):
    """The first byte of a PDU (PS3.8 Tables 9-11 to 9-26)."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


class ContextResult(IntEnum):
    """What became of a proposed presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@frozen(cache_hash=True)
class ProposedContext:
    """A presentation context of an A-ASSOCIATE-RQ (PS3.8 9.3.2.2); ids are odd, 1 to 255."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """All that it names."""
        return (self.abstract_syntax, *self.transfer_syntaxes)


@frozen(cache_hash=True)
class AnsweredContext:
    """
    A presentation context of an A-ASSOCIATE-AC (PS3.8 9.3.3.2).

    The transfer syntax has a meaning only where the result is acceptance; it is kept as it came otherwise.
    """

    context_id: int
    result: int
    transfer_syntax: str

    @property
    def accepted(self) -> bool:
        """Whether messages may flow in this context."""
        return self.result == ContextResult.ACCEPTANCE

    @property
    def texts(self) -> tuple[str, ...]:
        """All that it names."""
        return (self.transfer_syntax,)


@frozen(cache_hash=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2).  AE titles carry no padding."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    user_information: UserInformation = field(factory=UserInformation)
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = 1

    @cached_property
    def is_small(self) -> bool:
        """Whether it is worth its place in a memory."""
        return _is_small(self.contexts, self.user_information)


@frozen(cache_hash=True)
class AssociateAccept:
    """An A-ASSOCIATE-AC (PS3.8 9.3.3); the AE titles repeat those of the request."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[AnsweredContext, ...]
    user_information: UserInformation = field(factory=UserInformation)
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = 1

    @cached_property
    def is_small(self) -> bool:
        """Whether it is worth its place in a memory."""
        return _is_small(self.contexts, self.user_information)


@frozen
class AssociateReject:
    """An A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    rejection: Rejection


@frozen
class ReleaseRequest:
    """An A-RELEASE-RQ (PS3.8 9.3.6)."""


@frozen
class ReleaseResponse:
    """An A-RELEASE-RP (PS3.8 9.3.7)."""


@frozen
class Abort:
    """An A-ABORT (PS3.8 9.3.8); source 0 is the service user, 2 the service provider."""

    source: int
    reason: int


def may_be_remembered(pdu: AssociateRequest | AssociateAccept) -> bool:
    """Whether it is small, and carries no user identity, which is kept nowhere."""
    return carries_no_identity(pdu.user_information) and pdu.is_small


def _is_small(contexts: Sequence[ProposedContext | AnsweredContext], information: UserInformation) -> bool:
    # Each text has four bytes before it.
    length = sum(4 + len(text) for context in contexts for text in context.texts)
    return length + len(encode_user_information(information)) <= LONGEST_REMEMBERED


#: Every PDU that is a value.
Pdu = AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseResponse | Abort
