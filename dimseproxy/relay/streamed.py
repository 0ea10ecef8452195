"""A message whose data set is edited as it passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dataset.vr import PIXEL_DATA
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.answer_form import FilledForm
from dimseproxy.privacy.guard import Search
from dimseproxy.privacy.identifiers import AnswerFilter, Direction
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.pseudonymisation import Purpose
from dimseproxy.privacy.replay import MAX_HEAD, HeadMemory, Replay
from dimseproxy.pseudonyms.interfaces import Pseudonyms
from dimseproxy.relay.crossing import Way, all_kept, as_fragment
from dimseproxy.relay.crossing_message import CrossingMessage, encoding_in
from dimseproxy.relay.privacy import Editor

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

    _rewriter: Rewriter | Replay | FilledForm
    _editor: Editor
    _is_open = False
    #: What remembers heads such as this one.
    _memory: HeadMemory | None = None
    _final: DataSetFragment | None = None
    _is_long = False

    def __init__(self, way: Way, command: Command) -> None:
        super().__init__(way, command)
        #: The beginning of this data set until its head has left.
        self._beginning: list[memoryview] = []
        self._values: dict[Identity, str] = {}
        self._kept: list[Deferred[None]] = []

    def begin(self) -> None:
        """See `Message`."""
        self._begin()

    def _open(self, fragment: DataSetFragment) -> bool:
        """
        Find what edits a data set that begins like this.

        @return: whether enough of it is there for that.
        @raise OperationRefused: nothing does.
        @raise SourceUnavailable: the source is not open.
        """
        way = self._way
        command_field = self._command.command_set.command_field
        encoding = encoding_in(way, self._command)
        self._beginning.extend(fragment.views)
        self.held += fragment.data_length
        familiar: Replay | FilledForm | None = None
        if way.direction is Direction.TO_PSEUDONYMS and command_field == CommandField.C_STORE_RQ:
            self._memory = way.memory(self._command.context_id, encoding)
            if self.held < self._memory.length and not fragment.is_last:
                return False
            familiar = self._memory.recognise(self._beginning, self._sop_class)
        elif way.direction is Direction.TO_PSEUDONYMS and command_field == CommandField.C_FIND_RSP and fragment.is_last:
            familiar = way.forms(self._command.context_id, encoding).fill_in(b"".join(self._beginning))
        if familiar is not None:
            self._rewriter = self._editor = familiar
        else:
            purpose = Purpose.OBJECT if command_field == CommandField.C_STORE_RQ else Purpose.ANSWER
            editor = way.privacy.editor(way.direction, encoding, purpose, self._sop_class)
            self._rewriter, self._editor = Rewriter(encoding, editor, way.privacy.limits), editor
        if not isinstance(familiar, FilledForm):
            self._feed(self._beginning, fragment.is_last)
        if familiar is not None or self._memory is None:
            self._beginning = []
        self._is_open = True
        return True

    def _feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        self._rewriter.feed(views, is_last)
        self._see_whole()

    def _see_whole(self) -> None:
        """Go on with what has taken the place of a replay, if something has."""
        if isinstance(self._rewriter, Replay) and self._rewriter.instead is not None:
            self._rewriter, self._editor = self._rewriter.instead

    def feed(self, fragment: DataSetFragment) -> None:
        """See `Message`."""
        if self._refusal is not None:
            self._swallow(fragment)
            return
        self._has_arrived = fragment.is_last
        try:
            is_here = self._take(fragment) if self._is_open else self._open(fragment)
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        else:
            if is_here:
                self._work()

    def _take(self, fragment: DataSetFragment) -> bool:
        """Whether something of a fragment is to be worked on."""
        if self.let_through(fragment):
            self.ready.append(fragment)
            return False
        length = fragment.data_length
        if self.is_waiting or self._rewriter.opaque < length or not length:
            # While something is waited for, what was edited last may still be here: nothing overtakes it.
            self.held += length
            if self._beginning and self.held <= MAX_HEAD:
                self._beginning.extend(fragment.views)
            self._feed(fragment.views, fragment.is_last)
            return True
        # The end of a value that crosses untouched is the end of the data set, as in most objects.
        self._rewriter.pass_opaque(length)
        self._final = fragment
        self._feed((), True)
        return True

    def let_through(self, fragment: DataSetFragment) -> bool:
        """See `Message`."""
        if fragment.is_last or self.is_waiting or not self._is_open or self._refusal is not None:
            return False
        length = fragment.data_length
        if not 0 < length <= self._rewriter.opaque:
            return False
        self._rewriter.pass_opaque(length)
        return True

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
        self._see_whole()
        self._blank()
        if self._is_long:
            self._write_elements()
        else:
            self._inspect()

    def _write_elements(self) -> None:
        if self._rewriter.prepare(SLICE):
            self._later(self._write_elements)
        else:
            self._inspect()

    def _inspect(self) -> None:
        """Look for originals in what is about to leave."""
        self._remember()
        written = self._rewriter.written() if self._is_guarded else b""
        answer = None
        if self._answers is not None:
            answer = self._admitted(self._answers)
            if answer is None:
                # What does not match is nothing to the caller, whatever is in it.
                self.is_over = True
                return
        self._search(self._editor.search((written,)) if written else None, answer)

    def _search(self, searching: Search | None, answer: bytes | None) -> None:
        """Go on looking, and let go of what was looked through: the admitted answer where there is one."""
        if searching is not None:
            try:
                next(searching)
            except StopIteration as end:
                if end.value:
                    self._has_found_original()
            else:
                self._is_long = True
                self._later(lambda: self._search(searching, answer))
                return
        self._send(self._rewriter.flush() if answer is None else [answer])

    def _send(self, pieces: list[bytes | memoryview]) -> None:
        parts: list[Part] = [] if self._has_begun else [self._crossed_command(self._values)]
        parts.extend(self._fragments(pieces))
        was_long, self._is_long = self._is_long, False
        if self._kept:
            kept, self._kept = self._kept, []
            if self._request is None or self._command.command_set.command_field != CommandField.C_STORE_RQ:
                self.is_waiting = True
                all_kept(kept).addCallbacks(lambda _: self._leave_late(parts), self._failed)
                return
            # The object may go: it is its response that waits until its pseudonyms are kept.
            self._request.kept.extend(kept)
        if was_long:
            # To put some megabytes together took a while already.
            self._later(lambda: self._leave(parts))
        else:
            self._leave(parts)

    def _remember(self) -> None:
        """Have the head remembered, if no other one was recognised in it."""
        views, self._beginning = self._beginning, []
        rewriter = self._rewriter
        if not views or self._memory is None or not isinstance(rewriter, Rewriter):
            return
        bulk = rewriter.bulk
        if bulk is not None and bulk[0] == PIXEL_DATA and bulk[1] is not None and self._editor.overlay is None:
            self._memory.consider(views, rewriter.scanned, self._values, self._sop_class)

    def _leave_late(self, parts: Sequence[Part]) -> None:
        super()._leave_late(parts)
        self._work()
        self._way.advance_together()

    def _leave(self, parts: Sequence[Part]) -> None:
        if self._rewriter.is_complete and self._has_arrived:
            self.is_over = True
        self._emit(parts)

    @property
    def _answers(self) -> AnswerFilter | None:
        """What this must pass to be an answer for the caller."""
        is_answer = self._command.command_set.command_field == CommandField.C_FIND_RSP
        return self._request.answers if is_answer and self._request is not None else None

    def _admitted(self, answers: AnswerFilter) -> bytes | None:
        """An answer as the caller gets it; None where it does not match on the caller's side."""
        pieces = self._rewriter.flush()
        if not self._rewriter.is_complete:
            raise OperationRefused(Status.PROCESSING_FAILURE, "An answer is too long")
        return answers.admit(b"".join(pieces))

    def _answer_refusal(self, status: int, comment: str) -> None:
        if self._answers is not None and self._answers.conditions and status != Status.OUT_OF_RESOURCES:
            # The outbound was asked for more than the caller may know of: a failure would tell that something is there.
            self.is_over = True
            return
        super()._answer_refusal(status, comment)

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
        if overlay is not None and isinstance(self._rewriter, Rewriter):
            # The first bulk value may be another one, such as a look-up table.
            tag, length = self._rewriter.bulk or (0, None)
            if tag in FLOAT_PIXEL_DATA:
                raise OperationRefused(Status.PROCESSING_FAILURE, "Float pixel data cannot be blanked")
            if tag == PIXEL_DATA and length not in (overlay.length, overlay.length + 1):
                raise OperationRefused(Status.PROCESSING_FAILURE, "The pixel data is not as long as the image says")
            self._rewriter.overlay = overlay.apply

    @property
    def _sop_class(self) -> str:
        return self._command.command_set.text(Element.AFFECTED_SOP_CLASS_UID)

    @property
    def _is_guarded(self) -> bool:
        way = self._way
        return way.direction is Direction.TO_PSEUDONYMS and way.privacy.policy.guard != "off"

    def _has_found_original(self) -> None:
        """@raise OperationRefused: an original must not leave."""
        policy = self._way.privacy.policy
        if policy.guard == "refuse":
            raise OperationRefused(Status.NOT_AUTHORIZED, "Carries an original value after editing")
        log.warn(
            "association {number}: {message} carries an original value after editing by policy {policy}",
            number=self._way.number,
            message=self._command.command_set.name,
            policy=policy.name,
        )
