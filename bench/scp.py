"""A raw SCP that is cheaper than what it measures: ``python -m bench.scp PORT [BYTES_PER_SECOND]``.

One process, one epoll loop, data sets thrown away. With a rate it reads each connection no faster than that
once a data set has begun; the socket's receive buffer is then small, so that the relay feels the pressure
soon.
"""

from __future__ import annotations

import select
import socket
import sys
import time

from bench import wire

READ_SIZE = 512 * 1024
PACED_READ = 8 * 1024
PACED_BUFFER = 64 * 1024


class _Connection:
    """One association of the SCP: splits what it reads into PDUs and answers them."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.storing = False
        self._buffer = bytearray()
        self._message_id = 0

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
            control = buffer[at + 5]
            if control & wire.COMMAND:
                self._command(bytes(buffer[at + 6 : at + 4 + length]))
            elif control & wire.LAST:
                self.storing = False
                self.socket.sendall(wire.store_rsp(self._message_id))
            at += 4 + length

    def _command(self, command_set: bytes) -> None:
        self._message_id = wire.number_in(command_set, 0x0110)
        if wire.number_in(command_set, 0x0100) == wire.C_ECHO_RQ:
            self.socket.sendall(wire.echo_rsp(self._message_id))
        else:
            self.storing = True


def serve(port: int, rate: float | None = None) -> None:
    """Serve associations until killed; ``rate`` in bytes per second and connection, or as fast as it goes."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    if rate:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_BUFFER)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, _Connection] = {}
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
                connections[sock.fileno()] = _Connection(sock)
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
