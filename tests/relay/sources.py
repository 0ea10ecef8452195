"""A source of pseudonyms in memory, which answers at once or when a test says so."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Mapping
from functools import partial

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms


@implementer(IPseudonyms)
class Names:
    """
    @ivar asked: what it was asked for, in order.
    @ivar holds: whether answers wait for `answers`.
    @ivar kept: what answers to `pseudonyms_of` wait for until they are durable.
    """

    def __init__(self) -> None:
        self.asked: list[frozenset[Identity]] = []
        self.holds = False
        self.kept: Deferred[None] | None = None
        self.error: Exception | None = None
        self._waiting: list[partial[None]] = []
        self._originals: dict[Identity, str] = {}

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def of(self, original: Identity) -> str:
        """The pseudonym of this original."""
        digest = hashlib.sha256(f"{original.kind.is_uid}{original.value}".encode()).digest()
        if original.kind.is_uid:
            pseudonym = f"2.25.{int.from_bytes(digest[:16], 'big')}"
        else:
            pseudonym = base64.b32encode(digest[:10]).decode("ascii")
        self._originals[Identity(original.kind, pseudonym)] = original.value
        return pseudonym

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        answer: Deferred[Pseudonyms] = Deferred()
        self._ask(originals, lambda: Pseudonyms({each: self.of(each) for each in originals}, self.kept), answer)
        return answer

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        answer: Deferred[Mapping[Identity, str]] = Deferred()
        known = self._originals
        self._ask(pseudonyms, lambda: {each: known[each] for each in pseudonyms if each in known}, answer)
        return answer

    def _ask(self, identities: Collection[Identity], make: object, answer: Deferred) -> None:  # type: ignore[type-arg]
        self.asked.append(frozenset(identities))
        error = self.error
        fire = partial(answer.errback, error) if error is not None else partial(_fire, answer, make)
        self._waiting.append(fire)
        if not self.holds:
            self.answers()

    def answers(self, which: int = 0) -> None:
        """Answer one of the questions that wait, the first unless said otherwise."""
        self._waiting.pop(which)()


def _fire(answer: Deferred, make: object) -> None:  # type: ignore[type-arg]
    answer.callback(make())  # type: ignore[operator]
