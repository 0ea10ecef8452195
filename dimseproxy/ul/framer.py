"""
A byte stream cut into PDUs (PS3.8 9.3), and P-DATA-TF PDUs into what the relay moves.

A data set of some hundred megabytes arrives as thousands of P-DATA-TF PDUs that nobody needs to look into.  Such PDUs,
one after the other in the same presentation context, leave here as one `DataSetFragment` that knows the received bytes,
PDU headers and all, which the other leg can send as they are.  To walk one PDU of such a run is to compare its header
with the one before.  A PDU longer than a read leaves in pieces, as they come.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from attrs import field, frozen

from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.fragments import PDU_HEADER_LENGTH, SINGLE_PDV_PREFIX, CommandFragment, DataSetFragment
from dimseproxy.ul.pdu import PduType

# As a plain number, for what is asked of every PDU.
_P_DATA_TF: Final = int(PduType.P_DATA_TF)
_PREFIX_LENGTH: Final = SINGLE_PDV_PREFIX.size
_single_pdv_prefix: Final = SINGLE_PDV_PREFIX.unpack_from
_PDU_HEADER = Struct(">BxI")
_PDV_HEADER = Struct(">IBB")

#: The two bits of the message control header (PS3.8 E.2).
COMMAND: Final = 0x01
LAST: Final = 0x02
_COMMAND_AND_LAST: Final = COMMAND | LAST

#: An A-ASSOCIATE-RQ of 128 contexts with 40 transfer syntaxes each takes 140 KiB; a SAML assertion up to 64 KiB more.
MAX_ASSOCIATE_LENGTH: Final = 512 * 1024
_FIXED_LENGTH: Final = 4

_ASSOCIATE_TYPES = frozenset((PduType.A_ASSOCIATE_RQ, PduType.A_ASSOCIATE_AC))
_KNOWN_TYPES = frozenset(PduType)

#: What is there of a data set's PDU goes on without the rest from this length on, in PDUs of our own; less is held.
_WORTH_SENDING: Final = 32 * 1024


@frozen
class ControlPdu:
    """A whole PDU other than P-DATA-TF, not decoded yet."""

    pdu_type: int
    # An A-ASSOCIATE-RQ may carry a user identity.
    body: bytes = field(repr=False)


@frozen
class InvalidPdu:
    """The stream cannot be read any further."""

    error: RemoteProtocolError


Frame = ControlPdu | CommandFragment | DataSetFragment | InvalidPdu


class Framer:
    """
    Cuts what a peer sends.

    PDU type and length are checked as soon as the header is there, before anything is kept for the body.

    @param max_pdu_length: the cap for P-DATA-TF, counted as the maximum length is (PS3.8 D.1).
    """

    def __init__(self, max_pdu_length: int) -> None:
        self._max_pdu_length = max_pdu_length
        self._held: list[bytes] = []
        self._held_length = 0
        self._wanted = 0
        #: How much of a PDU that was begun is still to be handed over, held bytes counted in; its context, and whether
        #: it ends its data set.
        self._owed = 0
        self._owed_context = 0
        self._owed_is_last = False
        #: Of the last PDU of a data set that another one followed or may follow: its headers, which were found to be
        #: right, and its length, these included.  The next PDUs are most probably like it.
        self._prefix = b""
        self._pdu_length = 0
        self._dead = False
        #: Counts the PDUs that were begun and not complete at the end of a chunk; a watcher compares it over time.
        self.partial_serial = 0
        #: Whether the peer owes the rest of a PDU.
        self.has_partial_pdu = False
        #: Whether the frames that were last handed over are fragments, all of them.
        self.is_data_only = True

    def aligned(self, limit: int) -> int:
        """
        How many bytes to read at most, `limit` or some less: so that they end with a PDU, where those that come are as
        long as the last one of a data set.  What is cut within a PDU has to be put together.
        """
        size = self._pdu_length
        if not 0 < size <= limit // 2 or self._owed:
            return limit
        missing = 0
        if self._held:
            missing = (self._wanted if self._held_length >= PDU_HEADER_LENGTH else size) - self._held_length
        return missing + (limit - missing) // size * size if 0 <= missing <= limit else limit

    def receive_data(self, data: bytes) -> list[Frame]:
        """
        The frames that `data` completes.  An `InvalidPdu` is the last one ever.
        """
        frames: list[Frame] = []
        self.is_data_only = True
        if self._dead:
            return frames
        try:
            offset = 0
            if not self.has_partial_pdu:
                # Nearly always, this is all of it.
                offset = self._single_pdvs(data, 0, len(data), frames)
                if offset == len(data) and not self._owed:
                    return frames
            elif self._owed:
                offset = self._go_on(data, frames)
            else:
                offset = self._complete(data, frames)
            offset = self._cut(data, offset, frames)
        except RemoteProtocolError as error:
            self._dead = True
            self._held = []
            self._owed = 0
            self.has_partial_pdu = False
            self.is_data_only = False
            frames.append(InvalidPdu(error))
            return frames
        if offset < len(data):
            self._held_length = 0
            self._hold(data[offset:])
            self.partial_serial += 1
        self.has_partial_pdu = bool(self._held or self._owed)
        return frames

    def let_go(self) -> None:
        """
        Nothing more comes.  Who ends may live on for a while, in a cycle that waits for the collector; it counts
        objects, and not what they hold.
        """
        self._held = []
        self._held_length = 0

    def _begin(self, data: bytes, offset: int, end: int, is_last: bool, frames: list[Frame]) -> None:
        """
        Append what is there of a long PDU of a data set, as a fragment: all of it, but for an odd byte.

        @param offset: where the PDU begins in `data`, `end` where it is going to end.
        """
        start = offset + _PREFIX_LENGTH
        stop = len(data) - (len(data) - start) % 2
        self._owed_context = data[start - 2]
        self._owed_is_last = is_last
        self._owed = end - stop
        if stop > start:
            frames.append(DataSetFragment(self._owed_context, (memoryview(data)[start:stop],), False))
        self._held = []
        self._held_length = 0
        if stop < len(data):
            self._hold(data[stop:])

    def _begin_held(self, frames: list[Frame]) -> bool:
        """Begin with what is held of a PDU, if it is a data set's and of one PDV."""
        data = b"".join(self._held)
        if len(data) < _PREFIX_LENGTH:
            return False
        pdu_type, length, pdv_length, _, control = _single_pdv_prefix(data, 0)
        if pdu_type != _P_DATA_TF or pdv_length + 4 != length or control not in (0, LAST):
            return False
        self._begin(data, 0, self._wanted, control == LAST, frames)
        return True

    def _go_on(self, data: bytes, frames: list[Frame]) -> int:
        """
        Append more of the PDU that was begun: its rest, or as much as is worth it.

        @return: how much of `data` that took.
        """
        missing = self._owed - self._held_length
        taken = data[:missing]
        self._hold(taken)
        if len(data) < missing and self._held_length < _WORTH_SENDING:
            return len(data)
        value = b"".join(self._held)
        self._held = []
        self._held_length = 0
        if len(value) < self._owed and len(value) % 2:
            self._hold(value[-1:])
            value = value[:-1]
        self._owed -= len(value)
        is_last = self._owed_is_last and not self._owed
        frames.append(DataSetFragment(self._owed_context, (memoryview(value),), is_last))
        return len(taken)

    def _complete(self, data: bytes, frames: list[Frame]) -> int:
        """
        Complete the PDU that is held with the beginning of `data`, and only that: what follows is not copied.

        @return: how much of `data` that took.
        """
        together = self._held_length + len(data)
        if self._wanted > _WORTH_SENDING and together >= _WORTH_SENDING and self._begin_held(frames):
            return self._go_on(data, frames)
        offset = 0
        while self._held:
            missing = self._wanted - self._held_length
            self._hold(data[offset : offset + missing])
            offset += missing
            if offset > len(data):
                return len(data)
            whole = b"".join(self._held)
            self._held = []
            self._held_length = 0
            if self._cut(whole, 0, frames) < len(whole):
                # That was the header; now it is known how much is missing.
                self._hold(whole)
        return offset

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_length += len(data)

    def _cut(self, data: bytes, offset: int, frames: list[Frame]) -> int:
        """Append the frames in `data` from `offset`; set how many bytes the rest wants; return where it begins."""
        size = len(data)
        while offset < size:
            end = self._single_pdvs(data, offset, size, frames)
            if end == offset:
                end = self._check_header(data, offset, size)
                if end > size:
                    break
                if data[offset] == _P_DATA_TF:
                    _split_pdvs(data, offset, end, frames)
                else:
                    self.is_data_only = False
                    frames.append(ControlPdu(data[offset], data[offset + PDU_HEADER_LENGTH : end]))
            offset = end
        return offset

    def _single_pdvs(self, data: bytes, start: int, size: int, frames: list[Frame]) -> int:
        """
        Append what begins at `start` with a P-DATA-TF of one PDV: a fragment of a command, or as much as there is of a
        data set.

        @return: its end; `start` where there is no such PDU, or not all of it.
        """
        offset = start
        longest = pdus = 0
        context = -1
        is_last = is_long = False
        end: int
        while offset + _PREFIX_LENGTH <= size:
            prefix = self._prefix
            if prefix and data.startswith(prefix, offset) and (not pdus or prefix[-2] == context):
                # Most PDUs of a data set are like the one before.
                whole = self._pdu_length
                end = offset + whole
                while data.startswith(prefix, end):
                    end += whole
                if end > size:
                    end -= whole
                if end > offset:
                    pdus += (end - offset) // whole
                    offset = end
                    context = prefix[-2]
                    if whole - PDU_HEADER_LENGTH > longest:
                        longest = whole - PDU_HEADER_LENGTH
                    continue
            pdu_type, length, pdv_length, context_id, control = _single_pdv_prefix(data, offset)
            end = offset + PDU_HEADER_LENGTH + length
            if (
                pdu_type != _P_DATA_TF
                or pdv_length + 4 != length
                or pdv_length < 2
                or length > self._max_pdu_length
                or control > _COMMAND_AND_LAST
                or (pdus and (context_id != context or control & COMMAND))
            ):
                break
            if end > size:
                is_long = size - offset - _PREFIX_LENGTH >= _WORTH_SENDING and not control & COMMAND
                break
            if control & COMMAND:
                value = data[offset + _PREFIX_LENGTH : end]
                frames.append(
                    CommandFragment(context_id, value, control == _COMMAND_AND_LAST, data, start, end, length)
                )
                return end
            pdus += 1
            context = context_id
            if length > longest:
                longest = length
            if control:
                offset = end
                is_last = True
                break
            self._prefix = data[offset : offset + _PREFIX_LENGTH]
            self._pdu_length = end - offset
            offset = end
        if pdus:
            frames.append(DataSetFragment(context, (), is_last, data, start, offset, longest, pdus))
        if is_long:
            self._begin(data, offset, end, bool(control), frames)
            self.partial_serial += 1
            return size
        return offset

    def _check_header(self, data: bytes, offset: int, size: int) -> int:
        """Where the body of the PDU at `offset` ends, which may be past `size`; sets `_wanted`."""
        pdu_type = data[offset]
        if pdu_type not in _KNOWN_TYPES:
            raise RemoteProtocolError(f"PDU type {pdu_type:02X} is unknown", AbortReason.UNRECOGNIZED_PDU)
        self._wanted = PDU_HEADER_LENGTH
        if size - offset < PDU_HEADER_LENGTH:
            return size + 1
        _, length = _PDU_HEADER.unpack_from(data, offset)
        if pdu_type == _P_DATA_TF:
            cap = self._max_pdu_length
        elif pdu_type in _ASSOCIATE_TYPES:
            cap = MAX_ASSOCIATE_LENGTH
        else:
            cap = _FIXED_LENGTH
        if length > cap:
            raise RemoteProtocolError(f"a PDU of type {pdu_type:02X} announces {length} bytes, {cap} are allowed")
        self._wanted = PDU_HEADER_LENGTH + length
        return offset + PDU_HEADER_LENGTH + int(length)


def _split_pdvs(data: bytes, start: int, size: int, frames: list[Frame]) -> None:
    """
    The PDVs of a P-DATA-TF PDU in which there are several, or of which one uses what is reserved.

    @param start: where the PDU begins in `data`, `size` where it ends.
    """
    view = memoryview(data)
    offset = start + PDU_HEADER_LENGTH
    if offset == size:
        raise RemoteProtocolError("P-DATA-TF carries no PDV")
    while offset < size:
        if size - offset < _PDV_HEADER.size:
            raise RemoteProtocolError("P-DATA-TF ends within a PDV header")
        length, context_id, control = _PDV_HEADER.unpack_from(data, offset)
        end = offset + 4 + length
        if length < 2 or end > size:
            raise RemoteProtocolError("a PDV's length does not fit its P-DATA-TF")
        value = view[offset + _PDV_HEADER.size : end]
        # The other six bits of the control header are never checked (PS3.8 E.2).
        is_last = bool(control & LAST)
        if not control & COMMAND:
            frames.append(DataSetFragment(context_id, (value,), is_last))
        elif end == size and offset == start + PDU_HEADER_LENGTH:
            longest = size - start - PDU_HEADER_LENGTH
            frames.append(CommandFragment(context_id, bytes(value), is_last, data, start, size, longest))
        else:
            frames.append(CommandFragment(context_id, bytes(value), is_last))
        offset = end
