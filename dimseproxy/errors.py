"""
The exception tree.  Each error that a peer can cause carries the DICOM answer it becomes:

- a `RemoteProtocolError` becomes an A-P-ABORT with its reason,
- an `AssociationRejected` becomes an A-ASSOCIATE-RJ,
- an `OperationRefused` becomes a DIMSE response with its status.

No message of these errors carries an identifying value: they are logged as they are.
"""

from __future__ import annotations

from enum import IntEnum

from attrs import frozen


class AbortSource(IntEnum):
    """Who ended the association with an A-ABORT (PS3.8 Table 9-26)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Why the service provider aborted (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


@frozen
class Rejection:
    """The three fields of an A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""

    result: int
    source: int
    reason: int


#: PS3.8 Table 9-21; the caller may come back later only after one of the transient ones.
NO_REASON_GIVEN = Rejection(1, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2)
CALLING_AE_TITLE_NOT_RECOGNIZED = Rejection(1, 1, 3)
CALLED_AE_TITLE_NOT_RECOGNIZED = Rejection(1, 1, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2)
TEMPORARY_CONGESTION = Rejection(2, 3, 1)
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)


class DimseProxyError(Exception):
    """Every error that dimseproxy raises on purpose."""


class LocalProtocolError(DimseProxyError):
    """Our own code asked for something that the state of the association does not allow."""


class RemoteProtocolError(DimseProxyError):
    """A peer broke PS3.7 or PS3.8; the association ends with an A-P-ABORT of this reason."""

    def __init__(self, message: str, reason: AbortReason = AbortReason.INVALID_PARAMETER_VALUE) -> None:
        super().__init__(message)
        self.reason = reason


class AssociationFailed(DimseProxyError):
    """No association came about, or it ended before its time."""


class AssociationRejected(AssociationFailed):
    """An association was refused with an A-ASSOCIATE-RJ, by a peer or by ourselves."""

    def __init__(self, rejection: Rejection, message: str = "association rejected") -> None:
        super().__init__(f"{message} (result {rejection.result}, source {rejection.source}, reason {rejection.reason})")
        self.rejection = rejection


class AssociationAborted(AssociationFailed):
    """An association ended with an A-ABORT, or with its transport connection."""

    def __init__(self, source: int, reason: int, message: str = "association aborted") -> None:
        super().__init__(f"{message} (source {source}, reason {reason})")
        self.source = source
        self.reason = reason


class OutboundUnreachable(AssociationFailed):
    """The transport connection, or its TLS handshake, did not come about."""


class OperationRefused(DimseProxyError):
    """An operation is answered by us with a failure status (PS3.7 Annex C, PS3.4)."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(f"{comment} (status {status:04X})")
        self.status = status
        self.comment = comment
