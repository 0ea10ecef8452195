"""A raw SCP that is cheaper than what it measures: ``python -m bench.scp PORT [BYTES_PER_SECOND]``.

One process, one epoll loop, objects thrown away. A C-FIND gets as many answers as its Study Description says, encoded
while they are sent, and no answer is ever given twice. With a rate it reads each connection no faster than that
once a data set has begun; the socket's receive buffer is then small, so that the relay feels the pressure
soon.
"""

from __future__ import annotations

import select
import socket
import sys
import time

from attrs import define

from bench import queries, wire

READ_SIZE = 512 * 1024
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


class _Connection:
    """One association of the SCP: splits what it reads into PDUs and answers them."""

    def __init__(self, sock: socket.socket, numbers: Numbers) -> None:
        self.socket = sock
        self.storing = False
        self._numbers = numbers
        self._buffer = bytearray()
        self._answer = b""
        self._find: tuple[int, int] | None = None
        self._identifier = b""

    def receive(self, data: memoryview) -> bool:
        """Take what was read; whether the association goes on."""
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 6:
            kind, length = wire.HEADER.unpack_from(buffer, at)
            if end - at < 6 + length:
                break
            if kind == wire.P_DATA:
                self._p_data(buffer, at + 6, at + 6 + length)
            elif kind == wire.ASSOCIATE_RQ:
                self.socket.sendall(wire.associate_ac(bytes(buffer[at + 6 : at + 6 + length])))
            elif kind == wire.RELEASE_RQ:
                self.socket.sendall(wire.RELEASE_RP_PDU)
            else:
                return False
            at += 6 + length
        del buffer[:at]
        return True

    def _p_data(self, buffer: bytearray, at: int, end: int) -> None:
        while at < end:
            length = int.from_bytes(buffer[at : at + 4], "big")
            context, control = buffer[at + 4], buffer[at + 5]
            if control & wire.COMMAND:
                self._command(context, bytes(buffer[at + 6 : at + 4 + length]))
            elif self._find:
                self._identifier += buffer[at + 6 : at + 4 + length]
                if control & wire.LAST:
                    self._find_answers(*self._find)
            elif control & wire.LAST:
                self.storing = False
                self.socket.sendall(self._answer)
            at += 4 + length

    def _command(self, context: int, command_set: bytes) -> None:
        message_id, field = wire.number_in(command_set, 0x0110), wire.number_in(command_set, 0x0100)
        if field == wire.C_ECHO_RQ:
            self.socket.sendall(wire.echo_rsp(message_id))
        elif field == queries.C_FIND_RQ:
            self._find, self._identifier = (message_id, context), b""
        else:
            elements = wire.elements_in(command_set)
            self._answer = wire.store_rsp(message_id, context, elements[0x0002], elements[0x1000])
            self.storing = True

    def _find_answers(self, message_id: int, context: int) -> None:
        # Nothing else is served meanwhile: whoever reads slowly makes this wait, as it makes a PACS wait.
        self._find = None
        wanted = int(queries.value_of(self._identifier, queries.STUDY_DESCRIPTION))
        for run in queries.answers(message_id, self._numbers.take(wanted), wanted, context):
            self.socket.sendall(run)


def serve(port: int, rate: float | None = None) -> None:
    """Serve associations until killed; ``rate`` in bytes per second and connection, or as fast as it goes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    if rate:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_BUFFER)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, _Connection] = {}
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
                connections[sock.fileno()] = _Connection(sock, numbers)
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
