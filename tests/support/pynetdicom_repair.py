"""
A repair of pynetdicom 3: the thread of an association leaves responses to the `send_*` method that waits for them.

The methods pause that thread first. But it may be past the pause already; where it gets the CPU only when the response
is there, it takes it, drops it as unexpected, and the method waits until its deadline. So it takes requests only.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider

_get_msg = DIMSEServiceProvider.get_msg


def _without_responses(self: DIMSEServiceProvider, block: bool = False) -> Any:
    # The thread of the association is the one that asks without waiting.
    if not block:
        with self.msg_queue.mutex:
            message = self.msg_queue.queue[0][1] if self.msg_queue.queue else None
        if message is None or not message.is_valid_request:
            return None, None
    return _get_msg(self, block)


def repair() -> None:
    """For all associations of this process; once or often."""
    DIMSEServiceProvider.get_msg = _without_responses
