"""A raw SCP that is cheaper than what it measures: ``python -m bench.scp PORT [BYTES_PER_SECOND]``.

One process, one epoll loop, objects thrown away. A C-FIND gets as many answers as its Study Description says, encoded
while they are sent; no answer is ever given twice, unless the description says from which number on ("10 500"). With a
rate it reads each connection no faster than that once a data set has begun; the socket's receive buffer is then small,
so that the relay feels the pressure soon.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from functools import lru_cache
from pathlib import Path

from attrs import define

from bench import queries, wire
from bench.processes import Server, environment, free_port

READ_SIZE = 128 * 1024
PACED_READ = 8 * 1024
PACED_BUFFER = 64 * 1024


@define
class Numbers:
    """Numbers the answers of all associations."""

    _next: int = 0

    def take(self, count: int) -> int:
        """The first of ``count`` numbers that nobody had before."""
        first = self._next
        self._next += count
        return first


class Connection:
    """One association of the SCP: splits what it reads into PDUs and answers them."""

    def __init__(self, sock: socket.socket, numbers: Numbers) -> None:
        self.socket = sock
        self.storing = False
        self._numbers = numbers
        self._rest = b""
        self._skip = 0
        self._answer = b""
        self._find: tuple[int, int] | None = None
        self._identifier = b""

    def receive(self, data: memoryview) -> bool:
        """Take what was read; whether the association goes on."""
        if self._skip >= len(data):
            self._skip -= len(data)
            return True
        at, self._skip = self._skip, 0
        if self._rest:
            data, at = memoryview(self._rest + data), 0
        end = len(data)
        while end - at >= wire.HEADER.size:
            kind, length = wire.HEADER.unpack_from(data, at)
            after = at + wire.HEADER.size + length
            if kind == wire.P_DATA and self.storing and end - at >= 12:
                fragment, control = int.from_bytes(data[at + 6 : at + 10], "big"), data[at + 11]
                if fragment + 4 == length and control == 0:
                    # Nobody looks at a fragment of an object that is not the last: it need not even be there yet.
                    at = after
                    if after > end:
                        self._skip, at = after - end, end
                    continue
            if after > end:
                break
            if kind == wire.P_DATA:
                self._p_data(data[at + wire.HEADER.size : after])
            elif kind == wire.ASSOCIATE_RQ:
                self.socket.sendall(_acceptance(bytes(data[at + wire.HEADER.size : after])))
            elif kind == wire.RELEASE_RQ:
                self.socket.sendall(wire.RELEASE_RP_PDU)
            else:
                return False
            at = after
        self._rest = bytes(data[at:])
        return True

    def _p_data(self, body: memoryview) -> None:
        at = 0
        while at < len(body):
            length = int.from_bytes(body[at : at + 4], "big")
            context, control = body[at + 4], body[at + 5]
            if control & wire.COMMAND:
                self._command(context, bytes(body[at + 6 : at + 4 + length]))
            elif self._find:
                self._identifier += body[at + 6 : at + 4 + length]
                if control & wire.LAST:
                    self._find_answers(*self._find)
            elif control & wire.LAST:
                self.storing = False
                self.socket.sendall(self._answer)
            at += 4 + length

    def _command(self, context: int, command_set: bytes) -> None:
        field, message_id, answer = _answer_to(context, command_set)
        if field == wire.C_ECHO_RQ:
            self.socket.sendall(answer)
        elif field == queries.C_FIND_RQ:
            self._find, self._identifier = (message_id, context), b""
        else:
            self._answer, self.storing = answer, True

    def _find_answers(self, message_id: int, context: int) -> None:
        # Nothing else is served meanwhile: whoever reads slowly makes this wait, as it makes a PACS wait.
        self._find = None
        count, _, again = queries.value_of(self._identifier, queries.STUDY_DESCRIPTION).partition(b" ")
        wanted = int(count)
        first = int(again) if again else self._numbers.take(wanted)
        for run in queries.answers(message_id, first, wanted, context):
            self.socket.sendall(run)


@lru_cache(maxsize=64)
def _acceptance(request: bytes) -> bytes:
    return wire.associate_ac(request)


@lru_cache(maxsize=64)
def _answer_to(context: int, command_set: bytes) -> tuple[int, int, bytes]:
    """The command field and the message id of a request, and the response of success to a C-ECHO or a C-STORE."""
    message_id, field = wire.number_in(command_set, 0x0110), wire.number_in(command_set, 0x0100)
    if field == wire.C_ECHO_RQ:
        return field, message_id, wire.echo_rsp(message_id)
    if field == queries.C_FIND_RQ:
        return field, message_id, b""
    elements = wire.elements_in(command_set)
    return field, message_id, wire.store_rsp(message_id, context, elements[0x0002], elements[0x1000])


def start_raw_sink(directory: Path, rate: int | None = None) -> Server:
    """The raw SCP in a process of its own; with a rate it reads that many bytes per second and connection."""
    port = free_port()
    command = [sys.executable, "-m", "bench.scp", str(port), *([str(rate)] if rate else [])]
    return Server.start("raw SCP", command, port, directory, environment())


def serve(port: int, rate: float | None = None) -> None:
    """Serve associations until killed; ``rate`` in bytes per second and connection, or as fast as it goes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    if rate:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_BUFFER)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, Connection] = {}
    numbers = Numbers()
    resting: list[tuple[float, int]] = []
    buffer = bytearray(READ_SIZE)
    view = memoryview(buffer)

    def read(number: int, now: float) -> None:
        connection = connections[number]
        paced = rate is not None and connection.storing
        try:
            count = connection.socket.recv_into(view[:PACED_READ] if paced else view)
            goes_on = count > 0 and connection.receive(view[:count])
        except OSError:
            goes_on = False
        if not goes_on:
            poll.unregister(number)
            connections.pop(number).socket.close()
        elif rate and connection.storing:
            poll.modify(number, 0)
            resting.append((now + count / rate, number))

    while True:
        events = poll.poll(max(0.0, resting[0][0] - time.monotonic()) if resting else None)
        now = time.monotonic()
        for number, _ in events:
            if number == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = Connection(sock, numbers)
                poll.register(sock, select.EPOLLIN)
            elif number in connections:
                read(number, now)
        # Each rests about as long as the others, so the list is nearly in order; what is late is read late.
        while resting and resting[0][0] <= now:
            number = resting.pop(0)[1]
            if number in connections:
                poll.modify(number, select.EPOLLIN)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None)
