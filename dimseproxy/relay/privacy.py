"""A policy of the configuration, ready for use on the associations of a route."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from attrs import field, frozen

from dimseproxy.dataset.element import Limits
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.privacy.answer_form import AnswerForms, FilledForm
from dimseproxy.privacy.dates import shift_days
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from dimseproxy.privacy.reidentification import Reidentification, UnknownPseudonym
from dimseproxy.privacy.replay import HeadMemory, Replay
from dimseproxy.pseudonyms.interfaces import IPseudonyms

#: What answers for the elements of a message.
Editor = Pseudonymisation | Reidentification | Replay | FilledForm


@frozen(eq=False)
class Privacy:
    """
    @ivar source: where pseudonyms come from.
    @ivar key: gives the key of what is derived from a patient, such as its date shift; raises `SourceUnavailable`
        before the source is open.
    @ivar limits: what a data set may cost.
    @ivar looks_ahead: whether the source is so far away that a retrieve's instances are asked for before they come.
    """

    policy: Policy
    source: IPseudonyms
    key: Callable[[], bytes] = field(repr=False)
    looks_ahead: bool = False
    limits: Limits = field(factory=Limits)

    @property
    def outbound_holds_originals(self) -> bool:
        """Whether callers live under pseudonyms; else they hold the originals, and the outbound gets pseudonyms."""
        return self.policy.originals == "outbound"

    @property
    def maps_instances(self) -> bool:
        """Whether SOP instance UIDs are replaced."""
        return self.policy.maps(Kind.INSTANCE)

    @property
    def lets_unknown_instances_pass(self) -> bool:
        """
        Whether a SOP instance UID that is nobody's pseudonym may go to the side of the originals.

        To callers that hold the originals, it is an object of somebody else.
        """
        return not self.outbound_holds_originals or self.policy.accepts_new_instances

    def editor(
        self, direction: Direction, encoding: Encoding, purpose: Purpose, sop_class: str
    ) -> Pseudonymisation | Reidentification:
        """
        What edits one data set.

        @param sop_class: that of the command set it came with; empty where there is none.
        """
        if direction is Direction.TO_PSEUDONYMS:
            return Pseudonymisation(self.policy, encoding, purpose, self.key(), sop_class)
        if not self.outbound_holds_originals:
            unknown = UnknownPseudonym.PASS
        elif self.policy.accepts_new_instances:
            unknown = UnknownPseudonym.NEW_INSTANCES
        else:
            unknown = UnknownPseudonym.REFUSE
        return Reidentification(self.policy, encoding, self.key(), unknown, purpose)

    def memory(self, encoding: Encoding) -> HeadMemory:
        """What remembers the heads of objects that go to the side of the pseudonyms."""
        return HeadMemory(self.policy, encoding, self.key(), self.limits)

    def forms(self, encoding: Encoding) -> AnswerForms:
        """What remembers the forms of answers that go to the side of the pseudonyms."""
        return AnswerForms(self.policy, encoding, self.key(), self.limits)

    async def look_up(self, direction: Direction, wanted: Collection[Identity]) -> Mapping[Identity, str]:
        """
        What stands for these on the other side; pseudonyms are durable then.

        @raise SourceUnavailable: the source cannot say it now.
        @raise SourceRefused: the source does not say it.
        """
        if direction is Direction.TO_ORIGINALS:
            return await self.source.originals_of(wanted)
        answer = await self.source.pseudonyms_of(wanted)
        if answer.kept is not None:
            await answer.kept
        return answer.values

    def shift_of(self, patient: str) -> int:
        """By how many days the dates of this patient, an original, are moved."""
        least, most = self.policy.shift_days
        return shift_days(self.key(), patient, least, most)
