"""C-GET from the archive."""

from __future__ import annotations

from unittest.mock import patch

from pydicom.dataset import Dataset
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import NO_DATA_SET, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource
from dimseproxy.outbound.archive.files import DataSetReader
from dimseproxy.storage.encryption import Damaged
from tests.association.playing import CT, EXPLICIT, GET, IMPLICIT, MR
from tests.outbound.archive.support import Caller, Kept, an_identifier, an_image, cut_off, decoded, encoded

JPEG = "1.2.840.10008.1.2.4.50"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def counts(response: CommandSet) -> tuple[int | None, ...]:
    """Remaining, completed, failed, warning."""
    return tuple(
        response.number(element)
        for element in (
            Element.REMAINING_SUB_OPERATIONS,
            Element.COMPLETED_SUB_OPERATIONS,
            Element.FAILED_SUB_OPERATIONS,
            Element.WARNING_SUB_OPERATIONS,
        )
    )


class RetrievingTests(TestCase):
    async def _open(self, *images: Dataset, syntax: str = EXPLICIT) -> Kept:
        """An archive with these in it."""
        kept = await Kept(self).opened()
        sender = await kept.call((CT, syntax), (MR, syntax))
        for image in images:
            self.assertEqual(await sender.store(image, syntax), Status.SUCCESS)
        return kept

    async def _get(self, kept: Kept, *syntaxes: str, identifier: Dataset | None = None) -> tuple[Caller, CommandSet]:
        """A C-GET by one who takes CT in these, and its last response."""
        caller = await self._taker(kept, *syntaxes)
        return caller, await caller.answer(self._ask(caller, identifier))

    async def _taker(self, kept: Kept, *syntaxes: str) -> Caller:
        return await kept.call((GET, IMPLICIT), *((CT, syntax) for syntax in syntaxes), takes=[CT])

    def _ask(self, caller: Caller, identifier: Dataset | None = None) -> int:
        asked = an_identifier(StudyInstanceUID="1.2.1") if identifier is None else identifier
        return caller.ask(1, CommandField.C_GET_RQ, encoded(asked), priority=1)

    def _objects(self, caller: Caller) -> list[bytes]:
        return [data for command, data in caller.data_sets() if not command.command_set.is_response]

    async def test_objects_come_as_they_are_kept(self) -> None:
        images = [an_image(number) for number in (1, 2, 3)]
        caller, _ = await self._get(await self._open(*images), EXPLICIT)
        self.assertEqual(self._objects(caller), [encoded(image, EXPLICIT) for image in images])

    async def test_each_in_a_c_store_of_its_own(self) -> None:
        caller, _ = await self._get(await self._open(an_image(1), an_image(2)), EXPLICIT)
        requests = [part.command_set for part in caller.requests]
        self.assertEqual(
            [
                (each.name, each.message_id, each.text(Element.AFFECTED_SOP_INSTANCE_UID), each.number(0x0700))
                for each in requests
            ],
            [("C-STORE-RQ", 1, "1.2.3.1", 1), ("C-STORE-RQ", 2, "1.2.3.2", 1)],
        )

    async def test_the_responses_count(self) -> None:
        kept = await self._open(an_image(1), an_image(2), an_image(3))
        caller, _ = await self._get(kept, EXPLICIT)
        self.assertEqual(
            [(each.status, *counts(each)) for each in caller.responses(1)],
            [(0xFF00, 2, 1, 0, 0), (0xFF00, 1, 2, 0, 0), (0, None, 3, 0, 0)],
        )

    async def test_only_what_was_asked_for(self) -> None:
        kept = await self._open(an_image(1), an_image(2, study="1.2.9"))
        caller, _ = await self._get(kept, EXPLICIT)
        self.assertEqual(len(caller.requests), 1)

    async def test_nothing_found_is_success(self) -> None:
        _, response = await self._get(await self._open(), EXPLICIT)
        self.assertEqual((response.status, *counts(response)), (0, None, 0, 0, 0))

    async def test_no_level_no_retrieve(self) -> None:
        _, response = await self._get(await self._open(), EXPLICIT, identifier=Dataset())
        self.assertEqual(response.status, 0xA900)

    async def test_a_long_one_comes_in_steps(self) -> None:
        image = an_image(pixels=bytes(range(256)) * 20_000)
        caller, _ = await self._get(await self._open(image), EXPLICIT)
        self.assertEqual(self._objects(caller), [encoded(image, EXPLICIT)])
        self.assertGreater(len(caller.parts), 5)

    # Transfer syntaxes

    async def test_in_another_uncompressed_transfer_syntax_where_it_must_be(self) -> None:
        image = an_image(pixels=b"\1\0\2\0")
        kept = await self._open(image)
        for syntax, pixels in ((IMPLICIT, b"\1\0\2\0"), (BIG_ENDIAN, b"\0\1\0\2")):
            caller, response = await self._get(kept, syntax)
            (data,) = self._objects(caller)
            self.assertEqual(
                (response.status, decoded(data, syntax).PixelData, decoded(data, syntax).PatientName),
                (0, pixels, image.PatientName),
            )

    async def test_a_long_one_is_converted_in_steps(self) -> None:
        image = an_image(pixels=bytes(range(256)) * 20_000)
        caller, _ = await self._get(await self._open(image), BIG_ENDIAN)
        (data,) = self._objects(caller)
        self.assertEqual(data, encoded(decoded(data, BIG_ENDIAN), BIG_ENDIAN))
        self.assertEqual(len(decoded(data, BIG_ENDIAN).PixelData), 256 * 20_000)

    async def test_what_is_compressed_goes_only_as_it_is(self) -> None:
        kept = await self._open(an_image(), syntax=JPEG)
        outcomes = [(await self._get(kept, *syntaxes))[1].status for syntaxes in ((EXPLICIT,), (EXPLICIT, JPEG))]
        self.assertEqual(outcomes, [Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, Status.SUCCESS])

    async def test_each_in_the_context_that_fits_it(self) -> None:
        kept = await self._open(an_image(1), syntax=JPEG)
        await (await kept.call((CT, EXPLICIT))).store(an_image(2))
        caller, _ = await self._get(kept, EXPLICIT, JPEG)
        self.assertEqual([part.context_id for part in caller.requests], [5, 3])

    async def test_who_takes_nothing_gets_nothing(self) -> None:
        kept = await self._open(an_image())
        caller = await kept.call((GET, IMPLICIT), (CT, EXPLICIT))
        response = await caller.answer(self._ask(caller))
        self.assertEqual((response.status, *counts(response)), (0xA702, None, 0, 1, 0))

    # What fails

    async def test_the_failed_are_named(self) -> None:
        kept = await self._open(an_image(1), an_image(2, MR), an_image(3))
        caller, response = await self._get(kept, EXPLICIT)
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 2, 1, 0))
        command, data = caller.data_sets()[-1]
        self.assertEqual((command.command_set.status, decoded(data).FailedSOPInstanceUIDList), (0xB000, "1.2.3.2"))

    async def test_what_the_receiver_says_counts(self) -> None:
        kept = await self._open(an_image(1), an_image(2), an_image(3))
        caller = await self._taker(kept, EXPLICIT)
        said = iter((0xA700, 0xB007, 0x0000))
        caller.answers = lambda request: next(said)
        response = await caller.answer(self._ask(caller))
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 1, 1, 1))

    async def test_a_file_that_is_gone_fails_alone(self) -> None:
        kept = await self._open(an_image(1), an_image(2))
        held = await kept.index.holds([(CT, "1.2.3.1")])
        kept.blobs.delete(held[CT, "1.2.3.1"].blob)
        _, response = await self._get(kept, EXPLICIT)
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 1, 1, 0))

    async def test_so_does_one_that_is_cut_off(self) -> None:
        kept = await self._open(an_image(1), an_image(2))
        held = await kept.index.holds([(CT, "1.2.3.1")])
        cut_off(kept, held[CT, "1.2.3.1"].blob)
        caller, response = await self._get(kept, EXPLICIT)
        self.assertEqual((response.status, *counts(response)), (0xB000, None, 1, 1, 0))
        self.assertEqual(self._objects(caller), [encoded(an_image(2), EXPLICIT)])

    async def test_a_data_set_that_cannot_be_converted_fails_before_any_of_it_leaves(self) -> None:
        kept = await Kept(self).opened()
        sender = await kept.call((CT, EXPLICIT))
        broken = encoded(an_image(pixels=bytes(3_000_000)), EXPLICIT)[:-10]
        message_id = sender.ask(1, CommandField.C_STORE_RQ, broken, affected_sop_instance_uid="1.2.3.1")
        self.assertEqual((await sender.answer(message_id)).status, Status.SUCCESS)
        caller, response = await self._get(kept, IMPLICIT)
        self.assertEqual((caller.requests, response.status), ([], Status.UNABLE_TO_PERFORM_SUB_OPERATIONS))

    async def test_a_file_that_is_damaged_in_the_middle_ends_the_association(self) -> None:
        kept = await self._open(an_image(pixels=bytes(5_000_000)))
        caller = await self._taker(kept, EXPLICIT)
        step, steps = DataSetReader.step, 0

        def damaged(reader: DataSetReader) -> list[bytes]:
            nonlocal steps
            steps += 1
            if steps > 2:
                raise Damaged("altered")
            return step(reader)

        with patch.object(DataSetReader, "step", damaged):
            self._ask(caller)
            await caller.until(lambda: bool(caller.told))
        self.assertEqual((caller.told, caller.responses(1)), (["ended"], []))

    # Its end

    async def test_a_cancel_ends_it(self) -> None:
        kept = await self._open(*(an_image(number) for number in range(1, 6)))
        caller = await self._taker(kept, EXPLICIT)

        def cancelling(request: Command) -> int:
            cancel = CommandSet.of(
                {
                    Element.COMMAND_FIELD: CommandField.C_CANCEL_RQ,
                    Element.MESSAGE_ID_BEING_RESPONDED_TO: 1,
                    Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET,
                }
            )
            if request.command_set.message_id == 2:
                caller.association.send([Command(1, cancel)])
            return 0

        caller.answers = cancelling
        response = await caller.answer(self._ask(caller))
        self.assertEqual((response.status, *counts(response)), (Status.CANCEL, 3, 2, 0, 0))

    async def test_one_at_a_time(self) -> None:
        kept = await self._open(an_image(1), an_image(2))
        caller = await self._taker(kept, EXPLICIT)
        first: Deferred[Command] = Deferred()
        caller.answers = lambda request: first.callback(request)
        self._ask(caller)
        await first
        # The other one is read, and waits.
        await kept.archive.files.in_thread(lambda: None)
        self.assertEqual(len(caller.requests), 1)

    async def test_a_slow_receiver_gets_nothing_meanwhile(self) -> None:
        kept = await self._open(an_image(pixels=bytes(5_000_000)))
        caller = await self._taker(kept, EXPLICIT)
        paused: Deferred[None] = Deferred()
        took = caller.received

        def slow(parts: list[object]) -> None:
            took(parts)  # type: ignore[arg-type]
            if not paused.called:
                caller.association.pause()
                paused.callback(None)

        caller.received = slow  # type: ignore[assignment,method-assign]
        message_id = self._ask(caller)
        await paused
        await kept.archive.files.in_thread(lambda: None)
        await kept.archive.files.in_thread(lambda: None)
        self.assertEqual(len(caller.parts), 2)
        caller.association.resume()
        self.assertEqual((await caller.answer(message_id)).status, Status.SUCCESS)

    async def test_who_is_gone_gets_nothing(self) -> None:
        kept = await self._open(an_image(1), an_image(2))
        caller = await self._taker(kept, EXPLICIT)

        def gone(request: Command) -> None:
            caller.association.abort(AbortSource.SERVICE_USER, 0)

        caller.answers = gone
        self._ask(caller)
        await caller.until(lambda: len(caller.requests) == 1)
        await kept.archive.stop()
        self.assertEqual((len(caller.requests), caller.told), (1, []))
