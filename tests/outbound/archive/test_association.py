"""An association whose other end is the archive."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.association.interfaces import Established
from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.errors import AbortSource, OperationRefused
from dimseproxy.outbound.archive.association import MAX_QUEUED_OCTETS, ArchiveAssociation, AssociationOver
from tests.association.playing import CT, VERIFICATION, a_request, an_accept
from tests.outbound.archive.support import Caller


async def answering(association: ArchiveAssociation, request: Command) -> None:
    """Answers when the data set is over."""
    await association.skip_data_set()
    await association.deliver([Command(request.context_id, response_to(request.command_set, 0))])


def fragment(data: bytes = b"data", is_last: bool = True) -> DataSetFragment:
    return DataSetFragment(1, (memoryview(data),), is_last)


def cancel(message_id: int) -> Command:
    elements: dict[Element, int | str | None] = {
        Element.COMMAND_FIELD: CommandField.C_CANCEL_RQ,
        Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
        Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
    }
    return Command(1, CommandSet.of(elements))


class AssociationTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.serve: Callable[[ArchiveAssociation, Command], Coroutine[Any, Any, None]] = answering
        request = a_request(CT, VERIFICATION)
        self.association = ArchiveAssociation(
            Established(request, an_accept(request)), lambda *each: self.serve(*each), self.clock
        )
        self.caller = Caller(self.association)

    def _passes(self) -> None:
        for _ in range(5):
            self.clock.advance(0)

    def _ask(self, data: bytes | None = None) -> int:
        return self.caller.ask(1, CommandField.C_ECHO_RQ, data)

    def _answered(self) -> list[int]:
        return [each.command_set.responds_to for each in self.caller.parts if isinstance(each, Command)]

    def test_nothing_is_answered_within_the_call_that_asks(self) -> None:
        self._ask()
        self.assertEqual(self.caller.parts, [])

    def test_one_after_the_other(self) -> None:
        gates: list[Deferred[None]] = []

        async def slowly(association: ArchiveAssociation, request: Command) -> None:
            gates.append(Deferred())
            await gates[-1]
            await answering(association, request)

        self.serve = slowly
        self._ask()
        self._ask()
        self._passes()
        self.assertEqual(len(gates), 1)
        gates[0].callback(None)
        self._passes()
        self.assertEqual((len(gates), self._answered()), (2, [1]))

    def test_a_data_set_that_nobody_reads_does_not_disturb_the_next_request(self) -> None:
        async def carelessly(association: ArchiveAssociation, request: Command) -> None:
            await association.deliver([Command(request.context_id, response_to(request.command_set, 0))])

        self.serve = carelessly
        self.caller.ask(1, CommandField.C_STORE_RQ, bytes(10), step=3)
        self._ask()
        self._passes()
        self.assertEqual(self._answered(), [1, 2])

    def test_who_sends_more_than_can_wait_has_to(self) -> None:
        self.serve = self._never
        self._ask()
        self._passes()
        piece = fragment(bytes(MAX_QUEUED_OCTETS // 2), False)
        self.association.send([piece, piece])
        self.assertEqual(self.caller.told, [])
        self.association.send([piece])
        self.assertEqual(self.caller.told, ["pause"])

    def test_commands_count_too(self) -> None:
        self.serve = self._never
        for _ in range(MAX_QUEUED_OCTETS // 1024 + 2):
            self._ask()
        self.assertEqual(self.caller.told, ["pause"])

    async def _never(self, association: ArchiveAssociation, request: Command) -> None:
        await Deferred()

    def test_it_goes_on_when_there_is_room(self) -> None:
        self.caller.ask(1, CommandField.C_STORE_RQ, bytes(2 * MAX_QUEUED_OCTETS), step=100_000)
        self._passes()
        self.assertEqual((self.caller.told, self._answered()), (["pause", "resume"], [1]))

    def test_a_paused_user_hears_nothing(self) -> None:
        self.association.pause()
        self._ask()
        self._passes()
        self.assertEqual(self.caller.parts, [])
        self.association.resume()
        self._passes()
        self.assertEqual(self._answered(), [1])

    def _reading(self, limit: int) -> list[bytes | int]:
        """What `whole_data_set` gives, or the status it fails with."""
        read: list[bytes | int] = []

        async def reads(association: ArchiveAssociation, request: Command) -> None:
            try:
                read.append(await association.whole_data_set(limit))
            except OperationRefused as error:
                read.append(error.status)

        self.serve = reads
        self.caller.ask(1, CommandField.C_FIND_RQ, b"0123456789", step=3)
        self._passes()
        return read

    def test_a_whole_data_set(self) -> None:
        self.assertEqual(self._reading(10), [b"0123456789"])

    def test_one_that_is_too_long(self) -> None:
        self.assertEqual(self._reading(9), [0xA700])

    # C-CANCEL

    def _cancelled(self, *early: Command) -> tuple[list[bool], Deferred[None]]:
        """Whether the first request is cancelled, at its beginning and after the Deferred fired."""
        seen: list[bool] = []
        gate: Deferred[None] = Deferred()

        async def looks(association: ArchiveAssociation, request: Command) -> None:
            seen.append(association.is_cancelled(request.command_set.message_id))
            if len(seen) == 1:
                await gate
                seen.append(association.is_cancelled(request.command_set.message_id))

        self.serve = looks
        self._ask()
        self.association.send(early)
        self._passes()
        return seen, gate

    def test_a_cancel_of_what_is_served(self) -> None:
        seen, gate = self._cancelled()
        self.association.send([cancel(1)])
        gate.callback(None)
        self.assertEqual(seen, [False, True])

    def test_a_cancel_of_what_waits(self) -> None:
        seen, _ = self._cancelled(cancel(1))
        self.assertEqual(seen, [True])

    def test_a_cancel_of_another(self) -> None:
        seen, gate = self._cancelled(cancel(2))
        self.association.send([cancel(2)])
        gate.callback(None)
        self._ask()
        self._passes()
        self.assertEqual(seen, [False, False, False])

    # Requests of the archive

    def _expecting(self) -> list[str]:
        heard: list[str] = []

        async def asks(association: ArchiveAssociation, request: Command) -> None:
            association.expect(7)
            try:
                response = await association.response(7)
                heard.append(response.command_set.name)
            except AssociationOver:
                heard.append("over")
                raise

        self.serve = asks
        self._ask()
        self._passes()
        return heard

    def _response(self, message_id: int) -> Command:
        elements: dict[Element, int | str | None] = {
            Element.COMMAND_FIELD: CommandField.C_STORE_RSP,
            Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
            Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            Element.STATUS: 0,
        }
        return Command(1, CommandSet.of(elements))

    def test_a_response_reaches_who_expects_it(self) -> None:
        heard = self._expecting()
        self.association.send([self._response(7), self._response(7)])
        self._passes()
        self.assertEqual((heard, self.caller.told), (["C-STORE-RSP"], []))

    def test_a_response_that_nobody_expects(self) -> None:
        heard = self._expecting()
        self.association.send([self._response(8)])
        self._passes()
        self.assertEqual((heard, self.caller.told), ([], []))

    def test_no_response_comes_from_who_is_gone(self) -> None:
        heard = self._expecting()
        self.association.abort(AbortSource.SERVICE_USER, 0)
        self._passes()
        self.assertEqual((heard, self.caller.told), (["over"], []))

    def test_nor_from_who_wants_to_go(self) -> None:
        heard = self._expecting()
        self.association.release()
        self._passes()
        self.assertEqual((heard, self.caller.told), (["over"], ["released"]))

    # The end

    def test_release(self) -> None:
        self.association.release()
        self.assertEqual(self.caller.told, [])
        self._passes()
        self.assertEqual(self.caller.told, ["released"])

    def test_what_was_asked_before_is_answered_before(self) -> None:
        self._ask()
        self.association.release()
        self._passes()
        self.assertEqual((self._answered(), self.caller.told), ([1], ["released"]))

    def test_nothing_after_an_abort(self) -> None:
        self._ask()
        self.association.abort(AbortSource.SERVICE_USER, 0)
        self._ask()
        self._passes()
        self.assertEqual((self.caller.parts, self.caller.told), ([], []))

    def test_a_data_set_of_nothing_ends_it(self) -> None:
        self.association.send([fragment()])
        self._passes()
        self.assertEqual(self.caller.told, ["ended"])

    def test_a_command_within_a_data_set_ends_it(self) -> None:
        self.caller.ask(1, CommandField.C_STORE_RQ, None, command_data_set_type=1)
        self.association.send([fragment(is_last=False)])
        self._ask()
        self._passes()
        self.assertEqual((self._answered(), self.caller.told), ([], ["ended"]))

    def test_a_defect_ends_it(self) -> None:
        async def broken(association: ArchiveAssociation, request: Command) -> None:
            raise ZeroDivisionError

        self.serve = broken
        self._ask()
        self._passes()
        self.assertEqual(self.caller.told, ["ended"])
