"""What an association may cost."""

from __future__ import annotations

from typing import Final

from attrs import frozen

#: A peer for whom something waits takes at least this many bytes a second, or it counts as stalled.
MINIMUM_RATE: Final = 1024


@frozen
class Limits:
    """
    What an association may cost, times in seconds.

    @ivar artim: ARTIM (PS3.8 9.1.5), and the wait for an answer to A-ASSOCIATE-RQ and A-RELEASE-RQ.
    @ivar pdu: from the first byte of a PDU to its last.
    @ivar stall: how long a peer may take less than `MINIMUM_RATE` of what waits for it.
    @ivar max_pdu_length: the longest P-DATA-TF that is read.
    """

    artim: float = 30.0
    pdu: float = 60.0
    stall: float = 60.0
    max_pdu_length: int = 131072
