"""
The messages that cross a border.

- `Bare`: a command without a data set.
- `Streamed`: a command whose data set is edited as it passes: objects, answers, failed lists, what N-services carry.
- `Query`: a command with an identifier, which is read as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifiers import Direction, read_identifier
from dimseproxy.privacy.identity import WELL_KNOWN_UIDS, Identity, Kind
from dimseproxy.privacy.pseudonymisation import Purpose
from dimseproxy.pseudonyms.interfaces import Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.relay.crossing import CrossedRequest, Message, Way, as_fragment

log = Logger()

#: An identifier with a list of some thousand UIDs.
MAX_IDENTIFIER_LENGTH: Final = 1024 * 1024
#: Elements that are scanned at a time: some milliseconds, in which nobody else is served.
SLICE: Final = 2000

_INSTANCE_UIDS: Final = (Element.AFFECTED_SOP_INSTANCE_UID, Element.REQUESTED_SOP_INSTANCE_UID)
#: What a command may carry across without a look: none of it says anything about a patient.
_HARMLESS: Final = frozenset(int(element) for element in Element) - {*_INSTANCE_UIDS, Element.ERROR_COMMENT}
_IDENTIFIERS: Final = frozenset((CommandField.C_FIND_RQ, CommandField.C_MOVE_RQ, CommandField.C_GET_RQ))
_NOTHING: Final = Pseudonyms({})


def message_for(way: Way, command: Command) -> Message:
    """The message that a command begins."""
    command_set = command.command_set
    if not command_set.has_data_set:
        return Bare(way, command)
    if command_set.command_field in _IDENTIFIERS:
        return Query(way, command)
    return Streamed(way, command)


class _Crossing:
    """What all messages have in common: their command, and the ways in which they end."""

    def __init__(self, way: Way, command: Command) -> None:
        self.ready: list[Part] = []
        self.is_over = False
        self.is_waiting = False
        self.held = 0
        self._way = way
        self._command = command
        self._has_arrived = not command.command_set.has_data_set
        self.has_left = False
        self._has_begun = False
        self._is_working = False
        self._refusal: tuple[int, str] | None = None
        self._request: CrossedRequest | None = None

    @property
    def is_void(self) -> bool:
        """See `Message`."""
        return (
            self._request is not None
            and self._request.is_refused
            and self._command.command_set.is_response
            and not self.has_left
            and self._refusal is None
        )

    # The command set

    def _begin(self) -> None:
        """Find the request that this answers, or note it as one."""
        command_set = self._command.command_set
        if command_set.is_response:
            self._request = self._way.answered(command_set)
        elif command_set.command_field != CommandField.C_CANCEL_RQ:
            self._request = self._way.crossed(self._command)

    def _instances(self) -> dict[Element, str]:
        """The SOP instance UIDs of the command that stand for something else on the other side."""
        found: dict[Element, str] = {}
        if not self._way.privacy.maps_instances:
            return found
        for element in _INSTANCE_UIDS:
            uid = self._command.command_set.text(element)
            if uid and not uid.startswith(WELL_KNOWN_UIDS):
                found[element] = uid
        return found

    def _identities(self) -> set[Identity]:
        """What has to be looked up for the command."""
        if self._asked_for:
            return set()
        return {Identity(Kind.INSTANCE, uid) for uid in self._instances().values()}

    @property
    def _asked_for(self) -> str:
        """The SOP instance UID of the request that this answers, as it was sent: its sender is told no other."""
        if self._request is None or not self._command.command_set.is_response:
            return ""
        asked = self._request.command_set
        return asked.text(Element.AFFECTED_SOP_INSTANCE_UID) or asked.text(Element.REQUESTED_SOP_INSTANCE_UID)

    def _crossed_command(self, values: Mapping[Identity, str]) -> Command:
        """The command for the other side."""
        command_set = self._command.command_set
        if command_set.elements <= _HARMLESS:
            return self._command
        changes: dict[Element, int | str | None] = {Element.ERROR_COMMENT: None}
        for element, uid in self._instances().items():
            changes[element] = self._asked_for or self._counterpart(Identity(Kind.INSTANCE, uid), values)
        return Command(self._command.context_id, command_set.replace(changes).known())

    def _counterpart(self, instance: Identity, values: Mapping[Identity, str]) -> str:
        if instance in values:
            return values[instance]
        if self._way.direction is Direction.TO_ORIGINALS and self._way.privacy.lets_unknown_instances_pass:
            return instance.value
        is_store = self._command.command_set.command_field == CommandField.C_STORE_RQ
        raise OperationRefused(
            Status.NOT_AUTHORIZED if is_store else Status.NO_SUCH_SOP_INSTANCE, "Unknown SOP instance"
        )

    # Asking the source

    def _ask(self, wanted: Set[Identity]) -> None:
        """Look these up and go on with `_found`."""
        if not wanted:
            self._answered(_NOTHING)
            return
        self.is_waiting = True
        try:
            asking = self._way.look_up(wanted)
        except Exception:
            self._failed(Failure())
            return
        asking.addCallbacks(self._answered, self._failed)

    def _answered(self, answer: Pseudonyms) -> None:
        if self.is_over or self._way.is_closed:
            return
        self.is_waiting = False
        try:
            self._found(answer)
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        if not self._is_working:
            self._way.advance()

    def _failed(self, failure: Failure) -> None:
        if self.is_over or self._way.is_closed:
            return
        is_composite = self._command.command_set.command_field & 0x0FFF < CommandField.N_EVENT_REPORT_RQ
        if failure.check(SourceUnavailable):
            status = Status.OUT_OF_RESOURCES if is_composite else Status.RESOURCE_LIMITATION
            self.refuse(status, "Pseudonyms are not available")
        elif failure.check(SourceRefused):
            self.refuse(Status.PROCESSING_FAILURE, "No pseudonym that could be used")
        else:
            # Without the traceback: its values may be somebody's.
            log.error(
                "association {number}: broken within {place}: {kind}",
                number=self._way.number,
                place=_place_of(failure),
                kind=failure.type.__name__ if failure.type is not None else "",
            )
            self.refuse(Status.PROCESSING_FAILURE, "Cannot be processed")
        if not self._is_working:
            self._way.advance()

    def _found(self, answer: Pseudonyms) -> None:
        raise NotImplementedError

    # The end

    def _emit(self, parts: Iterable[Part]) -> None:
        self._has_begun = True
        self.held = 0
        self.ready.extend(parts)

    def refuse(self, status: int, comment: str) -> None:
        """Nothing more of this leaves; whoever waits for it is told that it failed."""
        if self._refusal is not None:
            return
        if self.is_void:
            self._refusal = (status, comment)
            self.is_over = True
            return
        log.info(
            "association {number}: {message} refused by policy {policy}: {comment} ({status:04X})",
            number=self._way.number,
            message=self._command.command_set.name,
            policy=self._way.privacy.policy.name,
            comment=comment,
            status=status,
        )
        self._refusal = (status, comment)
        self.is_waiting = False
        self.held = 0
        self.ready = []
        if self.has_left:
            self.is_over = True
            self._way.cut("a data set could not be edited to its end")
        elif self._has_arrived:
            self._answer_refusal(status, comment)

    def _answer_refusal(self, status: int, comment: str) -> None:
        self.is_over = True
        command, request = self._command, self._request
        command_set = command.command_set
        if command_set.is_response:
            failure = command_set.replace(
                {
                    Element.STATUS: status,
                    Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
                    Element.ERROR_COMMENT: comment[:64],
                    Element.AFFECTED_SOP_INSTANCE_UID: None,
                    Element.REQUESTED_SOP_INSTANCE_UID: None,
                }
            )
            self.ready = [Command(command.context_id, failure.known())]
            if is_pending(command_set.status) and request is not None:
                self._way.give_up(request)
            return
        if request is not None and self._way.requests.get(command_set.message_id) is request:
            del self._way.requests[command_set.message_id]
        if command_set.command_field != CommandField.C_CANCEL_RQ:
            self._way.answer(Command(command.context_id, response_to(command_set, status, comment)))

    def _swallow(self, fragment: DataSetFragment) -> None:
        """The rest of what was refused."""
        if fragment.is_last:
            self._has_arrived = True
            if not self.is_over and self._refusal is not None:
                self._answer_refusal(*self._refusal)


class Bare(_Crossing):
    """A command without a data set."""

    def begin(self) -> None:
        """See `Message`."""
        command_set = self._command.command_set
        if command_set.command_field == CommandField.C_CANCEL_RQ and (
            command_set.responds_to not in self._way.requests
        ):
            # What it cancels never crossed, or is answered: some peers abort at that.
            self.is_over = True
            return
        self._begin()
        if self._request is not None and command_set.is_response:
            kept = self._request.kept
            if kept is not None and not is_pending(command_set.status):
                self.is_waiting = True
                kept.addCallbacks(lambda _: self._ask(self._identities()), self._failed)
                return
        self._ask(self._identities())

    def feed(self, fragment: DataSetFragment) -> None:
        """It has none."""

    def _found(self, answer: Pseudonyms) -> None:
        self._emit([self._crossed_command(answer.values)])
        self.is_over = True


class Query(_Crossing):
    """A C-FIND-RQ, C-MOVE-RQ or C-GET-RQ with its identifier."""

    def __init__(self, way: Way, command: Command) -> None:
        super().__init__(way, command)
        self._data = bytearray()

    def begin(self) -> None:
        """See `Message`."""
        self._begin()

    def feed(self, fragment: DataSetFragment) -> None:
        """See `Message`."""
        if self._refusal is not None:
            self._swallow(fragment)
            return
        self._has_arrived = fragment.is_last
        for view in fragment.views:
            self._data += view
        self.held = len(self._data)
        if len(self._data) > MAX_IDENTIFIER_LENGTH:
            self._data.clear()
            self.refuse(Status.IDENTIFIER_DOES_NOT_MATCH, "The identifier is too long")
        elif fragment.is_last:
            self._read()

    def _read(self) -> None:
        way = self._way
        try:
            self._identifier = read_identifier(
                bytes(self._data),
                _encoding(way, self._command),
                way.privacy.policy,
                way.direction,
                is_retrieve=self._command.command_set.command_field != CommandField.C_FIND_RQ,
            )
            wanted = self._identifier.wanted()
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
            return
        self._ask(wanted | self._identities())

    def _found(self, answer: Pseudonyms) -> None:
        resolved = self._identifier.resolve(answer.values, self._way.privacy.shift_of)
        command = self._crossed_command(answer.values)
        if resolved.matches_nothing:
            command_set = self._command.command_set
            del self._way.requests[command_set.message_id]
            self._way.answer(Command(self._command.context_id, _no_match(command_set)))
            self.is_over = True
            return
        if self._request is not None:
            self._request.answers = resolved.answers
        data = memoryview(resolved.data)
        self._emit([command, DataSetFragment(self._command.context_id, [data], True)])
        self.is_over = True


class Streamed(_Crossing):
    """A command and a data set that is edited as it passes."""

    def __init__(self, way: Way, command: Command) -> None:
        super().__init__(way, command)
        self._final: DataSetFragment | None = None

    def begin(self) -> None:
        """See `Message`."""
        self._begin()
        way = self._way
        is_object = self._command.command_set.command_field == CommandField.C_STORE_RQ
        purpose = Purpose.OBJECT if is_object else Purpose.ANSWER
        try:
            encoding = _encoding(way, self._command)
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
        """Scan what is there, a slice at a time, and ask for what was found."""
        if self._is_working or self.is_waiting or self._refusal is not None or self._way.is_closed:
            return
        self._is_working = True
        try:
            rewriter = self._rewriter
            while not self.is_over and not self.is_waiting and self._refusal is None:
                has_more = rewriter.work(SLICE)
                if rewriter.waits:
                    wanted = self._editor.wanted()
                    if not self._has_begun:
                        wanted |= self._identities()
                    self._ask(wanted)
                elif has_more:
                    self.is_waiting = True
                    self._way.clock.callLater(0, self._next_slice)
                else:
                    return
        except OperationRefused as error:
            self.refuse(error.status, error.comment)
        except Exception:
            self._failed(Failure())
        finally:
            self._is_working = False

    def _next_slice(self) -> None:
        if not self.is_over and not self._way.is_closed:
            self.is_waiting = False
            self._work()
            self._way.advance()

    def _found(self, answer: Pseudonyms) -> None:
        self._editor.resolve(answer.values)
        self._blank()
        pieces = self._rewriter.flush()
        admitted = self._admitted(pieces)
        if admitted is None:
            self.is_over = True
            return
        parts: list[Part] = [] if self._has_begun else [self._crossed_command(answer.values)]
        parts.extend(self._fragments(admitted))
        kept = answer.kept
        if kept is None:
            self._leave(parts)
        elif self._command.command_set.command_field == CommandField.C_STORE_RQ and self._request is not None:
            # The object may go: it is its response that waits until its pseudonyms are kept.
            before, self._request.kept = self._request.kept, kept
            if before is not None:
                self._request.kept = before.addCallback(lambda _: kept)
            self._leave(parts)
        else:
            self.is_waiting = True
            kept.addCallbacks(lambda _: self._leave_late(parts), self._failed)
        self._work()

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


def _encoding(way: Way, command: Command) -> Encoding:
    """
    @raise OperationRefused: for a transfer syntax that is not of the standard: what cannot be read is not let through.
    """
    encoding = encoding_of(way.transfer_syntaxes.get(command.context_id, ""))
    if encoding is None:
        raise OperationRefused(Status.SOP_CLASS_NOT_SUPPORTED, "The transfer syntax cannot be read")
    return encoding


def _no_match(request: CommandSet) -> CommandSet:
    """The last response to what matches nothing (PS3.4 C.4.1.1.4, C.4.2.1.5)."""
    response = response_to(request, Status.SUCCESS)
    if request.command_field == CommandField.C_FIND_RQ:
        return response
    counters = (
        Element.COMPLETED_SUB_OPERATIONS,
        Element.FAILED_SUB_OPERATIONS,
        Element.WARNING_SUB_OPERATIONS,
    )
    return response.replace(dict.fromkeys(counters, 0))


def _place_of(failure: Failure) -> str:
    """Where it happened, without any value."""
    frames = failure.frames
    return f"{frames[-1][0]} ({frames[-1][1].rpartition('/')[2]}:{frames[-1][2]})" if frames else "nowhere"
