"""
Pseudonyms asked for before the objects come.

A PACS sends the objects of a retrieve one after the other, and each brings a SOP instance UID that nobody has seen:
with a pseudonym service some milliseconds away, each would wait for a question of its own.  So when a retrieve begins,
the outbound is asked on another association what belongs to it (C-FIND, PS3.4 C.4.1), and the service is asked for
hundreds at a time.  Nothing depends on it: what it does not bring in time is asked for when the object is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pydicom.tag import BaseTag, Tag
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociation, IAssociationUser, IOutbound
from dimseproxy.dataset.head import STUDY_INSTANCE_UID, Head, identifier
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import is_pending
from dimseproxy.errors import AbortSource, AssociationAborted
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.interfaces import IPseudonyms
from dimseproxy.relay.filters import Filter
from dimseproxy.ul.negotiation import own_request
from dimseproxy.ul.pdu import ProposedContext

#: Of one retrieve; a larger one is moved as fast as it is asked for.
MAX_INSTANCES: Final = 50_000
#: As many as a service answers at once.
PORTION: Final = 100

LEVEL: Final = Tag(0x0008, 0x0052)
SERIES_INSTANCE_UID: Final = Tag(0x0020, 0x000E)
SOP_INSTANCE_UID: Final = Tag(0x0008, 0x0018)

_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
_IMPLICIT: Final = "1.2.840.10008.1.2"
_CONTEXT: Final = 1
_RETRIEVES: Final = (CommandField.C_MOVE_RQ, CommandField.C_GET_RQ)

#: Level, and unique keys by tag.
Keys = tuple[str, Mapping[BaseTag, str]]


class LooksAhead(Filter):
    """
    @param transfer_syntaxes: of the accepted contexts, by id.
    @param outbound: what is asked, under these AE titles.
    """

    def __init__(
        self,
        transfer_syntaxes: Mapping[int, str],
        outbound: IOutbound,
        called_ae_title: str,
        calling_ae_title: str,
        source: IPseudonyms,
    ) -> None:
        self._transfer_syntaxes = transfer_syntaxes
        self._outbound = outbound
        self._titles = (called_ae_title, calling_ae_title)
        self._source = source
        self._head: Head | None = None
        self._looks: set[_Look] = set()

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, Command):
            if part.command_set.command_field in _RETRIEVES and part.command_set.has_data_set:
                syntax = self._transfer_syntaxes.get(part.context_id, "")
                self._head = Head(syntax, [LEVEL, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID])
                self.wants_outward = True
        elif self._head is not None:
            self._head.feed(part.views, part.is_last)
            if self._head.is_complete:
                self._begin(self._head)
                self._head = None
                self.wants_outward = False
        return (part,)

    def over(self) -> None:
        for look in tuple(self._looks):
            look.end()

    def _begin(self, head: Head) -> None:
        studies = head.values.get(STUDY_INSTANCE_UID, ())
        series = head.values.get(SERIES_INSTANCE_UID, ())
        queries: list[Keys]
        if head.first(LEVEL) == "STUDY":
            queries = [("SERIES", {STUDY_INSTANCE_UID: study}) for study in studies]
        elif head.first(LEVEL) == "SERIES" and len(studies) == 1:
            keys = [{STUDY_INSTANCE_UID: studies[0], SERIES_INSTANCE_UID: each} for each in series]
            queries = [("IMAGE", each) for each in keys]
        else:
            # Few objects, or nothing that could be asked for.
            return
        look = _Look(queries, self._source, self._looks.discard)
        self._looks.add(look)
        called, calling = self._titles
        context = ProposedContext(_CONTEXT, _FIND, (_EXPLICIT, _IMPLICIT))
        look.begin(self._outbound.associate(own_request((context,), (), called, calling)))


@implementer(IAssociationUser)
class _Look:
    """
    One retrieve's C-FINDs.

    @param queries: to begin with; each series that is found is asked for its instances.
    @param when_over: called with itself.
    """

    def __init__(self, queries: list[Keys], source: IPseudonyms, when_over: Callable[[_Look], None]) -> None:
        self._queries = queries
        self._source = source
        self._when_over = when_over
        self._asking: Deferred[IAssociation] | None = None
        self._association: IAssociation | None = None
        self._syntax = ""
        self._asked: Keys = ("", {})
        self._head: Head | None = None
        self._found: list[Identity] = []
        self._count = 0
        self._message_id = 0
        self._is_over = False

    def begin(self, asking: Deferred[IAssociation]) -> None:
        """Ask, as soon as there is an association."""
        self._asking = asking
        asking.addCallbacks(self._joined, lambda _: self._ended())

    def end(self) -> None:
        """Nobody needs it any longer."""
        if self._is_over:
            return
        if self._association is not None:
            self._association.abort(AbortSource.SERVICE_USER, 0)
        elif self._asking is not None:
            self._asking.cancel()
        self._ended()

    def _joined(self, association: IAssociation) -> None:
        context = association.established.contexts.get(_CONTEXT)
        if self._is_over or context is None:
            association.abort(AbortSource.SERVICE_USER, 0)
            self._ended()
            return
        self._association = association
        self._syntax = context.transfer_syntax
        association.use(self)
        self._next()

    def _next(self) -> None:
        if self._association is None:
            return
        if not self._queries or self._count >= MAX_INSTANCES:
            self._ask_source()
            self._association.release()
            self._ended()
            return
        level, keys = self._asked = self._queries.pop(0)
        self._message_id += 1
        wanted = SERIES_INSTANCE_UID if level == "SERIES" else SOP_INSTANCE_UID
        request = CommandSet.of(
            {
                Element.AFFECTED_SOP_CLASS_UID: _FIND,
                Element.COMMAND_FIELD: CommandField.C_FIND_RQ,
                Element.MESSAGE_ID: self._message_id,
                Element.PRIORITY: 0,
                Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS,
            }
        )
        data = identifier(self._syntax, {LEVEL: level, **keys, wanted: ""})
        self._association.send([Command(_CONTEXT, request), DataSetFragment(_CONTEXT, (memoryview(data),), True)])

    def received(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, DataSetFragment):
                self._answered(part)
            elif not is_pending(part.command_set.status):
                self._next()
            else:
                self._head = Head(self._syntax, [SOP_INSTANCE_UID, SERIES_INSTANCE_UID])

    def _answered(self, fragment: DataSetFragment) -> None:
        if self._head is None:
            return
        self._head.feed(fragment.views, fragment.is_last)
        if not fragment.is_last:
            return
        level, keys = self._asked
        series, instance = self._head.first(SERIES_INSTANCE_UID), self._head.first(SOP_INSTANCE_UID)
        self._head = None
        if level == "SERIES" and series:
            self._found.append(Identity(Kind.SERIES, series))
            self._queries.append(("IMAGE", {**keys, SERIES_INSTANCE_UID: series}))
        elif instance:
            self._found.append(Identity(Kind.INSTANCE, instance))
            self._count += 1
        if len(self._found) >= PORTION:
            self._ask_source()

    def _ask_source(self) -> None:
        found, self._found = self._found, []
        if found:
            # What does not work now will be asked for, and fail, where it matters.
            self._source.pseudonyms_of(found).addErrback(_let_go)

    def _ended(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._when_over(self)

    def release_requested(self) -> None:
        if self._association is not None:
            self._association.respond_release()
        self._ended()

    def released(self) -> None:
        """As asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        self._ended()

    def pause_sending(self) -> None:
        """A few bytes for each series."""

    def resume_sending(self) -> None:
        """See `pause_sending`."""


def _let_go(_: Failure) -> None:
    return None
