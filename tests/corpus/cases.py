"""What a case of the corpus is, and what answers there are."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from attrs import frozen

from tests.ul.wire import MAXIMUM_LENGTH, answered, associate_ac, associate_rq, proposed, user_information


class Stage(Enum):
    """When the bytes come, and from whom."""

    #: From a caller, as the first bytes.
    CALLING = "calling"
    #: From a caller, in an association with the contexts 1 and 3.
    CALLED = "called"
    #: From an outbound, instead of an A-ASSOCIATE-AC.
    ANSWERING = "answering"
    #: From an outbound, in an association.
    ANSWERED = "answered"


class Answer(Enum):
    """How we answer the peer that sent the bytes."""

    ACCEPTED = "A-ASSOCIATE-AC, or the association goes on"
    REJECTED = "A-ASSOCIATE-RJ"
    RELEASED = "A-RELEASE-RP"
    ABORTED = "A-ABORT"
    SILENT = "nothing: the peer owes the rest, or has ended it itself"


#: Where changed bytes may mean one thing or the other, but never nothing defined.
ANY: Final = frozenset(Answer) - {Answer.RELEASED}
ABORTED: Final = frozenset((Answer.ABORTED,))
REJECTED: Final = frozenset((Answer.REJECTED,))
ACCEPTED: Final = frozenset((Answer.ACCEPTED,))
RELEASED: Final = frozenset((Answer.RELEASED,))
SILENT: Final = frozenset((Answer.SILENT,))


@frozen
class Case:
    """
    One malformed, or at least unusual, input.

    @ivar kind: the class it belongs to.
    @ivar answers: those that are defined for it.
    """

    kind: str
    stage: Stage
    data: bytes
    answers: frozenset[Answer]


#: The well-formed A-ASSOCIATE-RQ and -AC that others are made from.
REQUEST: Final = associate_rq(
    proposed(1),
    proposed(3, b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1"),
    user_information(MAXIMUM_LENGTH),
)
ACCEPT: Final = associate_ac(answered(1, 0), answered(3, 0), user_information(MAXIMUM_LENGTH))


def cases(kind: str, stage: Stage, data: Iterable[bytes], answers: frozenset[Answer]) -> list[Case]:
    """A case for each of these inputs."""
    return [Case(kind, stage, each, answers) for each in data]
