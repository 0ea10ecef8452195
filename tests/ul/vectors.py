"""PDUs as bytes and as values, written down by hand from the tables of PS3.8 9.3, PS3.8 Annex D and PS3.7 Annex D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from dimseproxy.errors import Rejection
from dimseproxy.ul.pdu import (
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Pdu,
    ProposedContext,
    ReleaseRequest,
    ReleaseResponse,
)
from dimseproxy.ul.user_information import (
    AsynchronousOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from tests.ul.wire import wire

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"


@frozen
class Vector:
    """The same PDU twice."""

    encoded: bytes
    value: Pdu


_MINIMAL_RQ = Vector(
    wire("""
        01 00 000000A1                       # A-ASSOCIATE-RQ, 161 bytes
        0001 0000                            # protocol version 1, reserved
        "SHIELD          "                   # called AE title
        "CT1             "                   # calling AE title
        0000000000000000 0000000000000000    # reserved
        0000000000000000 0000000000000000
        10 00 0015 "1.2.840.10008.3.1.1.1"   # application context
        20 00 002E                           # presentation context
           01 00 00 00                       #   id 1, reserved
           30 00 0011 "1.2.840.10008.1.1"    #   abstract syntax
           40 00 0011 "1.2.840.10008.1.2"    #   transfer syntax
        50 00 000E                           # user information
           51 00 0004 00020000               #   maximum length 131072
           55 00 0002 "V1"                   #   implementation version name
    """),
    AssociateRequest(
        "SHIELD",
        "CT1",
        (ProposedContext(1, VERIFICATION, (IMPLICIT,)),),
        UserInformation(maximum_length=131072, implementation_version_name="V1"),
    ),
)

_FULL_RQ = Vector(
    wire("""
        01 00 00000154                       # A-ASSOCIATE-RQ, 340 bytes
        0001 0000
        "SHIELD          " "CT1             "
        0000000000000000 0000000000000000
        0000000000000000 0000000000000000
        10 00 0015 "1.2.840.10008.3.1.1.1"
        20 00 0045                           # presentation context
           01 00 00 00
           30 00 0011 "1.2.840.10008.1.1"
           40 00 0011 "1.2.840.10008.1.2"
           40 00 0013 "1.2.840.10008.1.2.1"  #   a second transfer syntax
        20 00 0013                           # presentation context of private UIDs
           FF 00 00 00                       #   id 255
           30 00 0003 "1.9"
           40 00 0004 "2.25"
        50 00 0093                           # user information
           51 00 0004 00000000               #   maximum length: unlimited
           52 00 0009 "1.2.3.4.5"            #   implementation class UID
           53 00 0004 0005 0003              #   asynchronous operations window: invokes 5, performs 3
           54 00 0015 0011 "1.2.840.10008.1.1" 01 00   # role selection: SCU, no SCP
           55 00 0006 "PEER_1"               #   implementation version name
           56 00 0016 0011 "1.2.840.10008.1.1" 010203  # extended negotiation
           57 00 0023                        #   common extended negotiation, version 0
              0005 "1.2.3"                   #     SOP class
              0011 "1.2.840.10008.4.2"       #     service class
              0007 0005 "1.2.9"              #     related general SOP classes
           58 00 000E                        #   user identity
              02 01                          #     name and passcode, response requested
              0004 "anna" 0004 "pass"
    """),
    AssociateRequest(
        "SHIELD",
        "CT1",
        (
            ProposedContext(1, VERIFICATION, (IMPLICIT, "1.2.840.10008.1.2.1")),
            ProposedContext(255, "1.9", ("2.25",)),
        ),
        UserInformation(
            maximum_length=0,
            implementation_class_uid="1.2.3.4.5",
            implementation_version_name="PEER_1",
            asynchronous_operations_window=AsynchronousOperationsWindow(5, 3),
            roles=(RoleSelection(VERIFICATION, True, False),),
            extended_negotiations=(ExtendedNegotiation(VERIFICATION, b"\1\2\3"),),
            common_extended_negotiations=(CommonExtendedNegotiation("1.2.3", "1.2.840.10008.4.2", ("1.2.9",)),),
            user_identity=UserIdentity(2, True, b"anna", b"pass"),
        ),
    ),
)

_AC = Vector(
    wire("""
        02 00 000000CE                       # A-ASSOCIATE-AC, 206 bytes
        0001 0000
        "SHIELD          " "CT1             "
        0000000000000000 0000000000000000
        0000000000000000 0000000000000000
        10 00 0015 "1.2.840.10008.3.1.1.1"
        21 00 0019                           # presentation context
           01 00 00 00                       #   id 1, reserved, accepted, reserved
           40 00 0011 "1.2.840.10008.1.2"
        21 00 0019
           03 00 03 00                       #   id 3: abstract syntax not supported
           40 00 0011 "1.2.840.10008.1.2"
        50 00 0033
           51 00 0004 00004000               #   maximum length 16384
           52 00 0009 "1.2.3.4.5"
           53 00 0004 0001 0001
           55 00 0006 "PEER_1"
           59 00 0008 0006 "ticket"          #   user identity answer
    """),
    AssociateAccept(
        "SHIELD",
        "CT1",
        (AnsweredContext(1, 0, IMPLICIT), AnsweredContext(3, 3, IMPLICIT)),
        UserInformation(
            maximum_length=16384,
            implementation_class_uid="1.2.3.4.5",
            implementation_version_name="PEER_1",
            asynchronous_operations_window=AsynchronousOperationsWindow(1, 1),
            user_identity_answer=b"ticket",
        ),
    ),
)

VECTORS: Final[Mapping[str, Vector]] = {
    "A-ASSOCIATE-RQ, minimal": _MINIMAL_RQ,
    "A-ASSOCIATE-RQ, every sub-item": _FULL_RQ,
    "A-ASSOCIATE-AC": _AC,
    "A-ASSOCIATE-RJ": Vector(
        wire("03 00 00000004 00 01 01 07  # reserved, permanent, service user, called AE title not recognized"),
        AssociateReject(Rejection(1, 1, 7)),
    ),
    "A-RELEASE-RQ": Vector(wire("05 00 00000004 00000000"), ReleaseRequest()),
    "A-RELEASE-RP": Vector(wire("06 00 00000004 00000000"), ReleaseResponse()),
    "A-ABORT": Vector(
        wire("07 00 00000004 0000 02 06  # reserved, service provider, invalid PDU parameter value"), Abort(2, 6)
    ),
}
