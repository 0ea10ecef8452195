"""Association requests with titles that no toolkit would send, over a plain socket."""

from __future__ import annotations

import socket
from contextlib import closing

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.sop_class import Verification

from tests.support.threads import in_thread

ACCEPT, REJECT, ABORT = 2, 3, 7
"""PDU types (PS3.8 9.3)."""

_CALLED = slice(10, 26)
_CALLING = slice(26, 42)
_DEADLINE = 20.0


def association_request(called: bytes, calling: bytes) -> bytes:
    """An A-ASSOCIATE-RQ for Verification with any 16 bytes for each of the titles."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    context = build_context(Verification)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    maximum, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    maximum.maximum_length_received = 16382
    implementation.implementation_class_uid = "1.2.826.0.1.3680043.10.1234.3"
    primitive.user_information = [maximum, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    content = bytearray(pdu.encode())
    content[_CALLED], content[_CALLING] = _sixteen(called), _sixteen(calling)
    return bytes(content)


def _sixteen(title: bytes) -> bytes:
    return title.ljust(16)[:16]


async def answer(port: int, request: bytes) -> bytes:
    """Send bytes, and return the first PDU of the answer; nothing if the connection was closed without one."""

    def exchange() -> bytes:
        with closing(socket.create_connection(("127.0.0.1", port), _DEADLINE)) as connection:
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                header = stream.read(6)
                return header + stream.read(int.from_bytes(header[2:], "big")) if len(header) == 6 else header

    return await in_thread(exchange)


def stall(port: int, sent: bytes) -> socket.socket:
    """A connection that sends some bytes and then nothing; its owner closes it."""
    connection = socket.create_connection(("127.0.0.1", port), _DEADLINE)
    connection.sendall(sent)
    return connection
