"""A message whose data set is edited as it passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.pseudonymisation import Purpose
from dimseproxy.pseudonyms.interfaces import Pseudonyms, SourceUnavailable
from dimseproxy.relay.crossing import Way, all_kept, as_fragment
from dimseproxy.relay.crossing_message import CrossingMessage, encoding_in

log = Logger()

#: Elements that are scanned, answered or written at a time: some milliseconds, in which nobody else is served.
SLICE: Final = 1000
#: Float Pixel Data and Double Float Pixel Data (PS3.3 C.7.6.24, C.7.6.25).
FLOAT_PIXEL_DATA: Final = (0x7FE00008, 0x7FE00009)


class Streamed(CrossingMessage):
    """
    A command and a data set that is edited as it passes.

    A head of a hundred thousand elements is scanned, looked up, answered and written a slice at a time.
    """

    def __init__(self, way: Way, command: Command) -> None:
        super().__init__(way, command)
        self._final: DataSetFragment | None = None
        self._values: dict[Identity, str] = {}
        self._kept: list[Deferred[None]] = []
        self._is_long = False

    def begin(self) -> None:
        """See `Message`."""
        self._begin()
        way = self._way
        is_object = self._command.command_set.command_field == CommandField.C_STORE_RQ
        purpose = Purpose.OBJECT if is_object else Purpose.ANSWER
        try:
            encoding = encoding_in(way, self._command)
            self._editor = way.privacy.editor(way.direction, encoding, purpose)
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
            return
        except SourceUnavailable:
            self._failed(Failure())
            return
        self._rewriter = Rewriter(encoding, self._editor)
        if way.direction is Direction.TO_PSEUDONYMS and way.privacy.policy.guard != "off":
            self._rewriter.inspect = self._inspect

    def feed(self, fragment: DataSetFragment) -> None:
        """See `Message`."""
        if self._refusal is not None:
            self._swallow(fragment)
            return
        self._has_arrived = fragment.is_last
        rewriter = self._rewriter
        length = fragment.data_length
        if rewriter.opaque < length or not length:
            self.held += length
            rewriter.feed(fragment.views, fragment.is_last)
        else:
            rewriter.pass_opaque(length)
            if not fragment.is_last:
                self.ready.append(fragment)
                return
            # The end of a value that crosses untouched is the end of the data set, as in most objects.
            self._final = fragment
            rewriter.feed((), True)
        self._work()

    def _work(self) -> None:
        """Scan what is there, and ask for what was found."""
        if self._is_working or self.is_waiting or self._refusal is not None or self._way.is_closed:
            return
        self._is_working = True
        try:
            while not self.is_over and not self.is_waiting and self._refusal is None:
                has_more = self._rewriter.work(SLICE)
                if not has_more and not self._rewriter.waits:
                    return
                self._is_long = self._is_long or has_more
                wanted = self._editor.wanted()
                if not has_more and not self._has_begun:
                    wanted |= self._identities()
                self._ask(wanted)
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        finally:
            self._is_working = False

    def _later(self, step: Callable[[], None]) -> None:
        """Go on with this when others had their turn."""
        self.is_waiting = True
        self._way.clock.callLater(0, self._go_on, step)

    def _go_on(self, step: Callable[[], None]) -> None:
        if self.is_over or self._way.is_closed:
            return
        self.is_waiting = False
        try:
            step()
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        self._work()
        self._way.advance()

    def _found(self, answer: Pseudonyms) -> None:
        if answer.kept is not None:
            self._kept.append(answer.kept)
        if self._rewriter.waits:
            self._values.update(answer.values)
            self._answer_elements(answer.values)
        else:
            self._editor.learn(answer.values)
            self._later(self._work)
            return
        self._work()

    def _answer_elements(self, values: Mapping[Identity, str]) -> None:
        if self._editor.resolve(values, SLICE):
            self._later(lambda: self._answer_elements({}))
            return
        self._blank()
        if self._is_long:
            self._write_elements()
        else:
            self._flush()

    def _write_elements(self) -> None:
        if self._rewriter.prepare(SLICE):
            self._later(self._write_elements)
        else:
            self._flush()

    def _flush(self) -> None:
        pieces = self._admitted(self._rewriter.flush())
        if pieces is None:
            self.is_over = True
            return
        parts: list[Part] = [] if self._has_begun else [self._crossed_command(self._values)]
        parts.extend(self._fragments(pieces))
        was_long, self._is_long = self._is_long, False
        kept, self._kept = self._kept, []
        if kept and self._command.command_set.command_field == CommandField.C_STORE_RQ and self._request is not None:
            # The object may go: it is its response that waits until its pseudonyms are kept.
            self._request.kept.extend(kept)
        elif kept:
            self.is_waiting = True
            all_kept(kept).addCallbacks(lambda _: self._leave_late(parts), self._failed)
            return
        if was_long:
            # To search some megabytes for originals took a while already.
            self._later(lambda: self._leave(parts))
        else:
            self._leave(parts)

    def _leave_late(self, parts: list[Part]) -> None:
        if not self.is_over and not self._way.is_closed:
            self.is_waiting = False
            self._leave(parts)
            self._work()
            self._way.advance()

    def _leave(self, parts: list[Part]) -> None:
        if self._rewriter.is_complete and self._has_arrived:
            self.is_over = True
        self._emit(parts)

    def _admitted(self, pieces: list[bytes | memoryview]) -> list[bytes | memoryview] | None:
        """An answer as the caller gets it; None where it does not match on the caller's side."""
        answers = self._request.answers if self._request is not None else None
        if answers is None or self._command.command_set.command_field != CommandField.C_FIND_RSP:
            return pieces
        if not self._rewriter.is_complete:
            raise OperationRefused(Status.PROCESSING_FAILURE, "An answer is too long")
        data = answers.admit(b"".join(pieces))
        return None if data is None else [data]

    def _fragments(self, pieces: list[bytes | memoryview]) -> list[Part]:
        context_id = self._command.context_id
        is_last = self._rewriter.is_complete and self._has_arrived
        final, self._final = self._final, None
        if final is not None:
            if not pieces:
                return [final]
            return [as_fragment(context_id, [*final.views, *pieces], is_last)]
        return [as_fragment(context_id, pieces, is_last)] if pieces or is_last else []

    def _blank(self) -> None:
        """Send native pixel data through what blanks its regions, where the policy says so."""
        overlay = self._editor.overlay
        if overlay is not None and self._rewriter.overlay is None:
            bulk = self._rewriter.bulk
            if bulk is not None and bulk[0] in FLOAT_PIXEL_DATA:
                raise OperationRefused(Status.PROCESSING_FAILURE, "Float pixel data cannot be blanked")
            if bulk is not None and bulk[1] not in (overlay.length, overlay.length + 1):
                raise OperationRefused(Status.PROCESSING_FAILURE, "The pixel data is not as long as the image says")
            self._rewriter.overlay = overlay.apply

    def _inspect(self, held: bytes) -> None:
        """Look for originals in what is about to leave."""
        if not self._editor.check((held,)):
            return
        policy = self._way.privacy.policy
        if policy.guard == "refuse":
            raise OperationRefused(Status.NOT_AUTHORIZED, "Carries an original value after editing")
        log.warn(
            "association {number}: {message} carries an original value after editing by policy {policy}",
            number=self._way.number,
            message=self._command.command_set.name,
            policy=policy.name,
        )
