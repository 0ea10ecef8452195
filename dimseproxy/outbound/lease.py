"""
An association to a peer, for as long as one user has it.

Whoever uses the lease finds an association like any other.  Behind it the association may have had other users before,
and have others after: it is given back at the release instead of being released, if nothing of this user is left on it.
"""

from __future__ import annotations

import socket
from collections.abc import Hashable, Sequence
from typing import Final, Protocol

from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.interfaces import Established, IAssociation, IAssociationUser, Peer
from dimseproxy.association.protocol import Association
from dimseproxy.association.stream import socket_transport
from dimseproxy.dimse.parts import Part
from dimseproxy.errors import AbortSource, AssociationAborted
from dimseproxy.outbound.conversation import Conversation
from dimseproxy.outbound.gate import Gate
from dimseproxy.outbound.limits import Operations

log = Logger()

# Why the user is asked to wait.
_SLOW_PEER: Final = "slow peer"
_NO_TURN: Final = "no turn"
_NO_ASSOCIATION: Final = "no association"


class Lessor(Protocol):
    """Who has leased the association out."""

    def take_back(self, association: Association) -> bool:
        """Keep the association for others, at the user's release; False where it is to be released."""

    def replace(self, association: Association) -> Deferred[Association]:
        """Open another one in the place of this, which the peer has given up."""


@implementer(IAssociation, IAssociationUser)
class Lease:
    """
    @param association: established.
    @param operations: of the peer; None where there may be any number.
    @param caller: who has turns.
    @param was_used: whether others had the association before: then the peer may be about to end it, and as long as
        nothing was sent another can take its place.
    """

    def __init__(
        self,
        association: Association,
        lessor: Lessor,
        operations: Operations | None,
        caller: Hashable,
        *,
        was_used: bool,
    ) -> None:
        self.number = association.number
        self.peer: Peer = association.peer
        self.established: Established = association.established
        self._association = association
        self._lessor = lessor
        self._was_used = was_used
        self._user: IAssociationUser | None = None
        self._conversation = Conversation()
        self._gate: Gate | None = None
        if operations is not None:
            self._gate = Gate(
                operations,
                caller,
                self._conversation,
                self._send,
                lambda: self._wait_for(_NO_TURN),
                lambda: self._wait_no_longer_for(_NO_TURN),
            )
        self._reasons_to_wait: set[str] = set()
        self._is_paused = False
        self._is_over = False
        self._ending: AssociationAborted | None = None
        self._replacing: Deferred[Association] | None = None
        #: What has passed the gate while the association is replaced.
        self._passed: list[Part] = []
        #: What was sent after that, and is still to go through the gate.
        self._early: list[Part] = []
        self._shall_release = False
        if was_used:
            # At once: the peer may end it before there is a user.
            association.use(self)

    # What its user does

    def use(self, user: IAssociationUser) -> None:
        self._user = user
        if self._ending is not None:
            user.ended(self._ending)
        elif not self._was_used and self._replacing is None and not self._is_over:
            self._association.use(self)

    def send(self, parts: Sequence[Part]) -> None:
        if self._is_over:
            return
        if self._replacing is not None:
            self._early.extend(parts)
            self._wait_for(_NO_ASSOCIATION)
        elif self._gate is None:
            self._send(parts)
        else:
            self._gate.take(parts)

    def pause(self) -> None:
        self._is_paused = True
        if not self._is_over:
            self._association.pause()

    def resume(self) -> None:
        self._is_paused = False
        if not self._is_over:
            self._association.resume()

    def release(self) -> None:
        if self._is_over:
            return
        if self._gate is None or self._replacing is not None:
            self._release()
        else:
            self._gate.when_empty(self._release)

    def respond_release(self) -> None:
        if not self._is_over:
            self._association.respond_release()
            self._close()

    def abort(self, source: int, reason: int) -> None:
        if self._is_over:
            return
        self._close()
        if self._replacing is None:
            self._association.abort(source, reason)
        else:
            self._replacing.cancel()

    # What its association reports

    def received(self, parts: Sequence[Part]) -> None:
        if self._is_over:
            return
        if self._is_untouched:
            self._replace()
            return
        answered = sum([self._conversation.received(part) for part in parts])
        if self._was_used and self._conversation.is_stray:
            # It may be meant for whoever had the association before: this user must not see it.
            self._association.abort(AbortSource.SERVICE_PROVIDER, 0)
            text = "the outbound sent what nobody had asked for"
            log.info("association {number}: aborted: {text}", number=self.number, text=text)
            self._end(AssociationAborted(AbortSource.SERVICE_PROVIDER, 0, text))
            return
        if self._user is not None:
            self._user.received(parts)
        if self._gate is not None:
            for _ in range(answered):
                self._gate.answered()

    def release_requested(self) -> None:
        if self._is_untouched:
            self._association.respond_release()
            self._replace()
        elif self._user is not None and not self._is_over:
            self._user.release_requested()

    def released(self) -> None:
        self._close()
        if self._user is not None:
            self._user.released()

    def ended(self, reason: AssociationAborted) -> None:
        if self._is_over:
            return
        if self._is_untouched:
            self._replace()
        else:
            self._end(reason)

    def pause_sending(self) -> None:
        self._wait_for(_SLOW_PEER)

    def resume_sending(self) -> None:
        self._wait_no_longer_for(_SLOW_PEER)

    # Sending and ending

    def _send(self, parts: Sequence[Part]) -> None:
        """Nothing holds these back any more."""
        if self._is_untouched and self._replacing is None and has_something_to_read(self._association):
            self._replace()
        if self._is_over:
            return
        if self._replacing is not None:
            self._passed.extend(parts)
            self._wait_for(_NO_ASSOCIATION)
            return
        for part in parts:
            self._conversation.sent(part)
        self._association.send(parts)

    def _release(self) -> None:
        if self._replacing is not None:
            self._shall_release = True
            return
        is_finished = self._conversation.is_over and self._association.is_at_rest
        if is_finished and self._lessor.take_back(self._association):
            self._close()
            if self._user is not None:
                self._user.released()
        else:
            self._association.release()

    def _end(self, reason: AssociationAborted) -> None:
        self._close()
        if self._user is None:
            self._ending = reason
        else:
            self._user.ended(reason)

    def _close(self) -> None:
        self._is_over = True
        self._passed.clear()
        self._early.clear()
        if self._gate is not None:
            self._gate.close()

    # Another association in the place of the first

    @property
    def _is_untouched(self) -> bool:
        return self._was_used and not self._conversation.has_begun and not self._is_over

    def _replace(self) -> None:
        self._association.abort(AbortSource.SERVICE_PROVIDER, 0)
        self._replacing = self._lessor.replace(self._association)
        self._replacing.addCallbacks(self._replaced, self._not_replaced)

    def _replaced(self, association: Association) -> None:
        self._replacing = None
        if self._is_over:
            association.abort()
            return
        if association.established.accept != self.established.accept:
            association.abort()
            self._end(_given_up("it no longer accepts what it accepted before"))
            return
        log.info(
            "association {number}: ended by the outbound before it was used again, association {other} takes its place",
            number=self.number,
            other=association.number,
        )
        self.number = association.number
        self._association = association
        self._was_used = False
        if self._user is not None:
            association.use(self)
        if self._is_paused:
            association.pause()
        passed, self._passed = self._passed, []
        early, self._early = self._early, []
        if passed:
            self._send(passed)
        if early:
            self.send(early)
        self._wait_no_longer_for(_NO_ASSOCIATION)
        if self._shall_release:
            self.release()

    def _not_replaced(self, failure: Failure) -> None:
        self._replacing = None
        if not self._is_over:
            self._end(_given_up(f"none takes its place: {failure.getErrorMessage()}"))

    # Waiting

    def _wait_for(self, reason: str) -> None:
        if not self._reasons_to_wait and self._user is not None and not self._is_over:
            self._user.pause_sending()
        self._reasons_to_wait.add(reason)

    def _wait_no_longer_for(self, reason: str) -> None:
        if reason in self._reasons_to_wait:
            self._reasons_to_wait.discard(reason)
            if not self._reasons_to_wait and self._user is not None and not self._is_over:
                self._user.resume_sending()


def has_something_to_read(association: Association) -> bool:
    """
    Whether the peer has closed the transport connection, or said something, that the reactor has not told of yet.

    Of an association at rest neither is expected, and each means that it cannot be used.
    """
    base = socket_transport(association.transport)
    if not isinstance(base, tcp.Connection):
        return False
    handle: socket.socket = base.getHandle()
    try:
        handle.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _given_up(text: str) -> AssociationAborted:
    return AssociationAborted(AbortSource.SERVICE_PROVIDER, 0, f"the outbound ended the association, and {text}")
