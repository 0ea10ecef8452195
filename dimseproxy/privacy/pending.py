"""Elements whose values wait for what they are on the other side: pseudonyms, or originals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, repeat
from typing import Final

from attrs import define, field

from dimseproxy.dataset.element import Element
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import values
from dimseproxy.privacy.identity import Identity, Kind, is_identifying

#: As many UIDs as an edited value of 1 MiB holds, if they are as long as a UID can be: a million of short ones would
#: take seconds.
MAX_VALUES: Final = 16 * 1024
#: Values of a data set that differ: a head has room for no more elements, and lists are no way to have more of them.
MAX_IDENTITIES: Final = 200_000

_END: Final = object()


@define(eq=False)
class Mapped:
    """
    A value that is mapped, however often its data set has it.

    @ivar other: its value on the other side; None as long as that is not known.
    @ivar encoded: that value as it stands in elements, by VR.
    """

    identity: Identity
    other: str | None = field(default=None, repr=False)
    encoded: dict[str, bytes] = field(factory=dict, repr=False)


class Pending:
    """
    The elements of a data set that wait, and their values.

    An object of many frames may have tens of thousands: each value is looked up once, and each element costs little
    when all are answered in one go.
    """

    def __init__(self) -> None:
        self._values: dict[Identity, Mapped] = {}
        self._new: list[Mapped] = []
        self._elements: deque[tuple[Element, list[Mapped | None]]] = deque()

    def add(self, element: Element, kind: Kind, vr: str) -> list[str]:
        """
        Another element.

        @param vr: how its value is read.
        @return: the values that are to be mapped; where there is none, the element does not wait.
        @raise values.Unreadable: it has a value that cannot be read.
        @raise OperationRefused: there are too many.
        """
        known = self._values
        waits: list[Mapped | None] = []
        found: list[str] = []
        texts = values.texts_of(element.value, vr, element.level.character_sets)
        if len(texts) > MAX_VALUES or len(known) + len(texts) > MAX_IDENTITIES:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "there are too many values to look up")
        for text in texts:
            if not is_identifying(kind, text):
                waits.append(None)
                continue
            identity = Identity(kind, text)
            value = known.get(identity)
            if value is None:
                value = known[identity] = Mapped(identity)
                self._new.append(value)
            waits.append(value)
            found.append(text)
        if found:
            self._elements.append((element, waits))
        return found

    def wanted(self) -> set[Identity]:
        """The values that were met since this was last asked: each is handed out once."""
        wanted = {value.identity for value in self._new}
        self._new.clear()
        return wanted

    def learn(self, others: Mapping[Identity, str]) -> None:
        """What some of the wanted values are on the other side; of others than those, nothing is remembered."""
        known = self._values
        for identity, other in others.items():
            value = known.get(identity)
            if value is not None:
                value.other = other

    def other(self, identity: Identity) -> str | None:
        """What a value is on the other side; None where nobody knows, or it was not met."""
        value = self._values.get(identity)
        return None if value is None else value.other

    def others(self) -> Iterator[str]:
        """All values of the other side that are known."""
        return (value.other for value in self._values.values() if value.other is not None)

    def answers(self, write: Callable[[Mapped, Element], bytes]) -> Iterator[None]:
        """
        Answer for the elements that wait, in as many steps as they have values.

        @param write: says how a value stands in an element.
        @raise OperationRefused: there are values that nobody was ever asked for.
        """
        if self._new:
            raise OperationRefused(Status.PROCESSING_FAILURE, "there are values that were not looked up")
        elements = self._elements
        while elements:
            element, waits = elements.popleft()
            if len(waits) == 1 and waits[0] is not None:
                element.replace(write(waits[0], element))
            else:
                element.replace(_joined(element, waits, write))
                yield from repeat(None, len(waits) - 1)
            yield


def _joined(element: Element, waits: list[Mapped | None], write: Callable[[Mapped, Element], bytes]) -> bytes:
    # What is not mapped among several values is a UID of the standard, or says nothing: where there are characters of
    # which a backslash may be a part, there are no UIDs.
    kept = element.value.split(b"\\")
    return b"\\".join(
        write(value, element) if value is not None else kept[place].strip(b" \0") if len(kept) == len(waits) else b""
        for place, value in enumerate(waits)
    )


def advanced(answers: Iterator[None], budget: int | None) -> bool:
    """
    Take some steps of answering.

    @param budget: how many; None: all.
    @return: whether there may be more.
    """
    if budget is None:
        deque(answers, maxlen=0)
        return False
    return next(islice(answers, budget - 1, None), _END) is not _END
