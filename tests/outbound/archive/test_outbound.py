"""The archive as an outbound: associations, and the requests that no service of its own has tests for."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from pydicom.dataset import Dataset
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from dimseproxy.association.interfaces import IForesees
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command
from dimseproxy.dimse.status import Status
from dimseproxy.errors import (
    AbortSource,
    AssociationAborted,
    AssociationRejected,
    OperationRefused,
    OutboundUnreachable,
)
from dimseproxy.outbound.archive.finding import LONGEST_SEARCH
from dimseproxy.outbound.archive.instances import Page
from dimseproxy.outbound.archive.levels import Root
from dimseproxy.outbound.archive.querying import Query, read_query
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from tests.association.playing import COMMITMENT, CT, EXPLICIT, FIND, GET, IMPLICIT, VERIFICATION
from tests.outbound.archive.support import Caller, Kept, an_identifier, an_image, decoded, encoded
from tests.storage.databases import execute

JPEG = "1.2.840.10008.1.2.4.50"


class OutboundTests(TestCase):
    async def test_nobody_is_answered_before_it_is_open(self) -> None:
        await self.assertFailure(self._closed(Kept(self)), OutboundUnreachable)

    async def test_nor_after_it_is_closed(self) -> None:
        kept = await Kept(self).opened()
        await kept.archive.stop()
        await self.assertFailure(self._closed(kept), OutboundUnreachable)

    def _closed(self, kept: Kept) -> Deferred[Caller]:
        return Deferred.fromCoroutine(kept.call((CT, IMPLICIT)))

    async def test_echo(self) -> None:
        kept = await Kept(self).opened()
        caller = await kept.call((VERIFICATION, IMPLICIT))
        message_id = caller.ask(1, CommandField.C_ECHO_RQ)
        self.assertEqual((await caller.answer(message_id)).status, Status.SUCCESS)

    async def test_what_it_does_not_do(self) -> None:
        kept = await Kept(self).opened()
        caller = await kept.call((CT, IMPLICIT))
        message_id = caller.ask(1, CommandField.N_CREATE_RQ, b"something")
        self.assertEqual((await caller.answer(message_id)).status, Status.UNRECOGNIZED_OPERATION)

    async def test_contexts_fit_what_is_kept(self) -> None:
        kept = await Kept(self).opened()
        await (await kept.call((CT, JPEG))).store(an_image(), JPEG)
        caller = await kept.call((CT, JPEG), takes=[CT])
        self.assertEqual(caller.association.established.contexts[1].transfer_syntax, JPEG)

    async def test_without_a_database_nobody_can_take_objects(self) -> None:
        kept = await Kept(self).opened()
        with patch.object(kept.index, "transfer_syntaxes", lambda _: fail(DatabaseUnavailable("gone"))):
            calling = Deferred.fromCoroutine(kept.call((CT, JPEG), takes=[CT]))
            await self.assertFailure(calling, AssociationRejected)

    async def test_without_a_database_nothing_is_retrieved_or_committed_to(self) -> None:
        kept = await Kept(self).opened()
        caller = await kept.call((GET, IMPLICIT), (COMMITMENT, IMPLICIT))
        request = Dataset()
        request.TransactionUID = "1.2.77"
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.3"
        request.ReferencedSOPSequence = [item]
        await kept.database.stop()
        retrieve = caller.ask(1, CommandField.C_GET_RQ, encoded(an_identifier(StudyInstanceUID="1.2.1")))
        commitment = caller.ask(
            3,
            CommandField.N_ACTION_RQ,
            encoded(request),
            requested_sop_instance_uid="1.2.840.10008.1.20.1.1",
            action_type_id=1,
        )
        self.assertEqual([(await caller.answer(each)).status for each in (retrieve, commitment)], [0xA702, 0x0213])

    async def test_a_defect_ends_the_association_and_tells_no_value(self) -> None:
        kept = await Kept(self).opened()
        caller = await kept.call((FIND, IMPLICIT))
        with patch.object(kept.index, "find", lambda *_: fail(ZeroDivisionError("Adam^Anna"))):
            caller.ask(1, CommandField.C_FIND_RQ, encoded(an_identifier(PatientName="")))
            await caller.until(lambda: bool(caller.told))
        self.assertEqual((caller.told, self.flushLoggedErrors()), (["ended"], []))

    # What a retrieve will bring

    async def test_what_a_retrieve_will_bring_commonest_first(self) -> None:
        kept = await Kept(self).opened()
        caller = await kept.call((CT, EXPLICIT), (CT, JPEG))
        await caller.store(an_image(1))
        for number in (2, 3):
            await caller.store(an_image(number), JPEG)
        await caller.store(an_image(4, study="1.2.9"))
        foreseen = await IForesees(kept.archive.outbound).foresee(
            GET, IMPLICIT, encoded(an_identifier(StudyInstanceUID="1.2.1"))
        )
        self.assertEqual(foreseen, [(CT, JPEG), (CT, EXPLICIT)])

    async def test_it_fails_as_the_retrieve_would(self) -> None:
        kept = await Kept(self).opened()
        foreseen = kept.archive.outbound.foresee(GET, IMPLICIT, encoded(Dataset()))
        error = self.failureResultOf(foreseen, OperationRefused).value
        assert isinstance(error, OperationRefused)
        self.assertEqual(error.status, Status.IDENTIFIER_DOES_NOT_MATCH)


class FindingTests(TestCase):
    async def _open(self, count: int = 0) -> tuple[Kept, Caller]:
        kept = await Kept(self).opened()
        caller = await kept.call((FIND, IMPLICIT), (CT, EXPLICIT))
        for number in range(1, count + 1):
            await caller.store(an_image(number, study=f"1.2.{number}"))
        return kept, caller

    def _ask(self, caller: Caller, **keys: str) -> int:
        return caller.ask(1, CommandField.C_FIND_RQ, encoded(an_identifier(**keys)))

    def _cancel(self, caller: Caller, message_id: int) -> None:
        cancel = CommandSet.of(
            {
                Element.COMMAND_FIELD: CommandField.C_CANCEL_RQ,
                Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id,
                Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
            }
        )
        caller.association.send([Command(1, cancel)])

    def _answers(self, caller: Caller) -> list[Dataset]:
        return [decoded(data) for command, data in caller.data_sets() if command.command_set.is_response]

    async def test_an_answer_for_each_that_matches(self) -> None:
        _, caller = await self._open(3)
        message_id = self._ask(caller, StudyInstanceUID="", PatientName="adam*")
        self.assertEqual((await caller.answer(message_id)).status, Status.SUCCESS)
        found = self._answers(caller)
        self.assertEqual({each.StudyInstanceUID for each in found}, {"1.2.1", "1.2.2", "1.2.3"})
        self.assertEqual({str(each.PatientName) for each in found}, {"Adam^Anna"})

    async def test_answers_are_pending_and_the_last_response_is_not(self) -> None:
        _, caller = await self._open(2)
        message_id = self._ask(caller, StudyInstanceUID="")
        await caller.answer(message_id)
        statuses = [(each.status, each.has_data_set) for each in caller.responses(message_id)]
        self.assertEqual(statuses, [(0xFF00, True), (0xFF00, True), (0, False)])

    async def test_keys_that_are_not_supported_are_a_warning(self) -> None:
        _, caller = await self._open(1)
        message_id = self._ask(caller, StudyInstanceUID="", ContrastBolusAgent="")
        await caller.answer(message_id)
        self.assertEqual(caller.responses(message_id)[0].status, 0xFF01)

    async def test_an_identifier_that_asks_for_nothing_is_refused(self) -> None:
        _, caller = await self._open()
        message_id = caller.ask(1, CommandField.C_FIND_RQ, encoded(Dataset()))
        self.assertEqual((await caller.answer(message_id)).status, Status.IDENTIFIER_DOES_NOT_MATCH)

    async def test_an_identifier_without_end_is_refused(self) -> None:
        _, caller = await self._open()
        message_id = caller.ask(1, CommandField.C_FIND_RQ, bytes(2 * 1024 * 1024), step=100_000)
        self.assertEqual((await caller.answer(message_id)).status, Status.OUT_OF_RESOURCES)

    async def test_a_cancel_that_comes_with_the_request_counts(self) -> None:
        _, caller = await self._open(2)
        message_id = self._ask(caller, StudyInstanceUID="")
        self._cancel(caller, message_id)
        self.assertEqual((await caller.answer(message_id)).status, Status.CANCEL)
        self.assertEqual(self._answers(caller), [])

    async def test_the_next_request_is_not_cancelled(self) -> None:
        _, caller = await self._open(2)
        await caller.answer(self._ask(caller, StudyInstanceUID=""))
        self._cancel(caller, caller._last_message_id + 1)
        self.assertEqual((await caller.answer(self._ask(caller, StudyInstanceUID=""))).status, Status.SUCCESS)

    async def _pages(self, act: Callable[[Caller], None]) -> tuple[int, Caller]:
        """How many pages without an answer are looked at when the caller does something after the third."""
        kept, caller = await self._open()
        pages = 0

        def find(query: Query, after: int, is_wanted: Callable[[], bool]) -> Deferred[Page]:
            nonlocal pages
            pages += 1
            if pages == 3:
                act(caller)
            return succeed(Page((), None if pages == 10 else after + 1))

        with patch.object(kept.index, "find", find):
            message_id = self._ask(caller, StudyInstanceUID="")
            await caller.until(lambda: bool(caller.told) or pages == 10 or bool(caller.responses(message_id)))
            # What goes on in spite of it has gone on by then.
            await deferLater(reactor, 0)
        return pages, caller

    async def test_a_cancel_is_noticed_where_nothing_matches(self) -> None:
        pages, caller = await self._pages(lambda caller: self._cancel(caller, 1))
        self.assertEqual((pages, [each.status for each in caller.responses(1)]), (3, [Status.CANCEL]))

    async def test_a_page_that_is_looked_for_learns_that_nobody_waits_for_it(self) -> None:
        for act in (lambda caller: self._cancel(caller, 1), lambda caller: caller.association.release()):
            kept, caller = await self._open()
            heard: list[bool] = []

            def find(
                query: Query,
                after: int,
                is_wanted: Callable[[], bool],
                caller: Caller = caller,
                act: Callable[[Caller], None] = act,
                heard: list[bool] = heard,
            ) -> Deferred[Page]:
                heard.append(is_wanted())
                act(caller)
                heard.append(is_wanted())
                return succeed(Page((), None))

            with patch.object(kept.index, "find", find):
                self._ask(caller, StudyInstanceUID="")
                await caller.until(lambda caller=caller: bool(caller.told or caller.responses(1)))  # type: ignore[misc]
            self.assertEqual(heard, [True, False])

    async def test_who_asks_for_what_takes_too_long_is_told_so(self) -> None:
        kept, caller = await self._open(1)
        query = read_query(Root.STUDY, encoded(an_identifier(StudyInstanceUID="")), Encoding(is_implicit=True))
        (answer,) = (await kept.index.find(query)).answers
        half = LONGEST_SEARCH / 2
        for pages, status in (
            ([Page((), 1, 0, half), Page((answer,), 2, 0, half), Page((), None, 0, half)], Status.SUCCESS),
            ([Page((), 1, 0, half), Page((), 2, 0, half), Page((), 3, 0, 1.0)], Status.OUT_OF_RESOURCES),
        ):
            with patch.object(kept.index, "find", lambda *_, pages=pages: succeed(pages.pop(0))):
                last = await caller.answer(self._ask(caller, StudyInstanceUID=""))
            self.assertEqual((last.status, pages), (status, []))

    async def test_so_is_a_release(self) -> None:
        pages, caller = await self._pages(lambda caller: caller.association.release())
        self.assertEqual((pages, caller.told, caller.responses(1)), (3, ["released"], []))

    async def test_nothing_is_looked_for_after_an_abort(self) -> None:
        def abort(caller: Caller) -> None:
            caller.association.abort(AbortSource.SERVICE_USER, 0)
            caller.ended(AssociationAborted(AbortSource.SERVICE_USER, 0, "by the caller"))

        pages, _ = await self._pages(abort)
        self.assertEqual(pages, 3)

    async def test_an_index_that_cannot_be_read_is_a_failure_and_no_end(self) -> None:
        kept, caller = await self._open()
        with patch.object(kept.index, "find", lambda *_: fail(DatabaseRefused("changed"))):
            message_id = self._ask(caller, StudyInstanceUID="")
            self.assertEqual((await caller.answer(message_id)).status, Status.CANNOT_UNDERSTAND)
        self.assertEqual(caller.told, [])

    async def test_rows_that_cannot_be_read_are_told_after_the_answers(self) -> None:
        kept, caller = await self._open(3)
        await kept.database.run(execute("UPDATE archive_study SET attributes = 'no' WHERE id = 2"))
        with capturedLogs() as events:
            message_id = self._ask(caller, StudyInstanceUID="")
            last = await caller.answer(message_id)
        self.assertEqual({each.StudyInstanceUID for each in self._answers(caller)}, {"1.2.1", "1.2.3"})
        self.assertEqual(
            (last.status, last.text(Element.ERROR_COMMENT)),
            (Status.CANNOT_UNDERSTAND, "Rows of the index that cannot be read: 1"),
        )
        (told,) = [formatEvent(event) for event in events if event["log_level"] is LogLevel.error]
        self.assertTrue(told.endswith("rows of the index that cannot be read: 1"), told)

    async def test_those_of_all_pages_are_counted(self) -> None:
        kept, caller = await self._open()
        pages = [Page((), None, 2), Page((), 7, 3)]
        with patch.object(kept.index, "find", lambda *_: succeed(pages.pop())):
            last = await caller.answer(self._ask(caller, StudyInstanceUID=""))
        self.assertEqual(last.text(Element.ERROR_COMMENT), "Rows of the index that cannot be read: 5")

    async def test_a_cancel_is_answered_as_one_nevertheless(self) -> None:
        kept, caller = await self._open()

        def find(query: Query, after: int, is_wanted: Callable[[], bool]) -> Deferred[Page]:
            self._cancel(caller, 1)
            return succeed(Page((), 7, 3))

        with patch.object(kept.index, "find", find):
            self.assertEqual((await caller.answer(self._ask(caller, StudyInstanceUID=""))).status, Status.CANCEL)

    async def test_a_database_that_is_gone(self) -> None:
        kept, caller = await self._open()
        with patch.object(kept.index, "find", lambda *_: fail(DatabaseUnavailable("gone"))):
            message_id = self._ask(caller, StudyInstanceUID="")
            self.assertEqual((await caller.answer(message_id)).status, Status.OUT_OF_RESOURCES)
