"""What came from a peer and what went to it, counted for the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from zope.interface import Attribute, Interface

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import is_pending

_COMMAND_FIELDS: Final = frozenset(map(int, CommandField))
_UNKNOWN: Final = 0
# As a plain number, for what is asked of every request.
_C_CANCEL_RQ: Final = int(CommandField.C_CANCEL_RQ)


class Tally:
    """
    Of one peer.

    @ivar requests: that it sent, by command field and presentation context id; what the standard does not know is
        counted together, for the summary is one line of the log.
    @ivar statuses: of the responses that ended its requests.
    @ivar octets: of the data sets that went to it, PDU headers included where they came in PDUs.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[int, int]] = Counter()
        self.statuses: Counter[int] = Counter()
        self.octets = 0

    def asked(self, request: Command) -> None:
        """It sent a request, which is no C-CANCEL-RQ."""
        command_field = request.command_set.command_field
        self.requests[command_field if command_field in _COMMAND_FIELDS else _UNKNOWN, request.context_id] += 1

    def came(self, parts: Sequence[Part]) -> None:
        """It sent these."""
        for part in parts:
            if isinstance(part, DataSetFragment):
                continue
            command_set = part.command_set
            if not command_set.is_response and command_set.command_field != _C_CANCEL_RQ:
                self.asked(part)

    def went(self, parts: Sequence[Part]) -> None:
        """These were sent to it."""
        for part in parts:
            if isinstance(part, DataSetFragment):
                self.octets += part.octets
            elif part.command_set.is_response and not is_pending(part.command_set.status):
                self.statuses[part.command_set.status] += 1


class ITallies(Interface):
    """An association that keeps back and changes some of what it is given, and counts by itself."""

    tally: Tally = Attribute("Of its peer.")
