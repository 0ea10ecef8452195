"""The sub-operations of a retrieve that the proxy passes on itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from dimseproxy.dimse.command_set import CommandSet, Element
from dimseproxy.dimse.status import is_done
from dimseproxy.relay.retrieves import MAX_FAILED_LIST, reconciled

#: The counters of a response have 16 bits (PS3.7 E.1).
_MAX_COUNT: Final = 0xFFFF


class SubOperations:
    """
    Which are under way, and what became of the others.

    @ivar failed: the objects that were not taken, as many as are remembered by name.
    """

    def __init__(self) -> None:
        self._under_way: dict[int, str] = {}
        self._sent: Counter[bool] = Counter()
        self.failed: list[str] = []

    def __repr__(self) -> str:
        return f"<SubOperations: {len(self._under_way)} under way>"

    def asked(self, request: CommandSet) -> None:
        """The application is asked to take an object."""
        self._under_way[request.message_id] = request.text(Element.AFFECTED_SOP_INSTANCE_UID)

    def answered(self, response: CommandSet) -> None:
        """The application answered."""
        sop_instance = self._under_way.pop(response.responds_to, None)
        if sop_instance is None:
            return
        done = is_done(response.status)
        self._sent[done] += 1
        if not done and len(self.failed) < MAX_FAILED_LIST:
            self.failed.append(sop_instance)

    def reconcile(self, response: CommandSet) -> CommandSet:
        """A response of the outbound with counters that are true."""
        return reconciled(response, self._sent)

    def counters(self) -> Mapping[Element, int | str | None]:
        """What is known of them without the outbound; what is under way counts as failed."""
        return {
            Element.COMPLETED_SUB_OPERATIONS: min(self._sent[True], _MAX_COUNT),
            Element.FAILED_SUB_OPERATIONS: min(self._sent[False] + len(self._under_way), _MAX_COUNT),
            Element.WARNING_SUB_OPERATIONS: 0,
        }
