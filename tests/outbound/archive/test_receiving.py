"""C-STORE into the archive."""

from __future__ import annotations

import errno
from io import BytesIO
from unittest.mock import patch

from pydicom import dcmread
from pydicom.dataset import Dataset
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource, OperationRefused
from dimseproxy.outbound.archive.events import Event, InstanceStored
from dimseproxy.outbound.archive.index import Duplicates
from dimseproxy.storage.blobs import BlobWriter
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.association.playing import CT, EXPLICIT, IMPLICIT, MR
from tests.outbound.archive.support import Caller, Kept, an_image, encoded, fragments

STORES = ((CT, EXPLICIT), (MR, EXPLICIT), (CT, IMPLICIT))


class ReceivingTests(TestCase):
    async def _open(self, duplicates: Duplicates = Duplicates.KEEP, **options: object) -> tuple[Kept, Caller]:
        kept = await Kept(self, duplicates, **options).opened()
        return kept, await kept.call(*STORES)

    async def test_an_object_is_kept_as_a_file_of_it(self) -> None:
        kept, caller = await self._open()
        image = an_image()
        self.assertEqual(await caller.store(image), Status.SUCCESS)
        (name,) = kept.names
        content = b"".join(kept.blobs.read(name))
        read = dcmread(BytesIO(content))
        self.assertEqual(
            (read.file_meta.TransferSyntaxUID, read.file_meta.SourceApplicationEntityTitle, read.PixelData),
            (EXPLICIT, "MODALITY", image.PixelData),
        )
        self.assertTrue(content.endswith(encoded(image, EXPLICIT)))

    async def test_and_the_index_knows_it(self) -> None:
        kept, caller = await self._open()
        await caller.store(an_image())
        self.assertEqual(await kept.index.holds([(CT, "1.2.3.1")]), {(CT, "1.2.3.1"): kept.names[0]})

    async def test_others_are_told_of_it(self) -> None:
        kept, caller = await self._open()
        told: list[Event] = []
        kept.archive.events.subscribe(told.append)
        await caller.store(an_image())
        # It is there already.
        await caller.store(an_image())
        (event,) = told
        assert isinstance(event, InstanceStored)
        self.assertEqual((event.sop_instance, event.study, event.sender), ("1.2.3.1", "1.2.1", "MODALITY"))

    async def test_a_long_one_in_small_pieces(self) -> None:
        kept, caller = await self._open()
        image = an_image(pixels=bytes(range(256)) * 20_000)
        self.assertEqual(await caller.store(image, step=100_000), Status.SUCCESS)
        self.assertTrue(b"".join(kept.blobs.read(kept.names[0])).endswith(encoded(image, EXPLICIT)))

    async def test_a_sender_that_is_faster_than_the_disk_waits(self) -> None:
        _, caller = await self._open()
        status = await caller.store(an_image(pixels=bytes(6_000_000)), step=100_000)
        self.assertEqual((status, caller.told), (Status.SUCCESS, ["pause", "resume"]))

    async def test_one_after_the_other(self) -> None:
        kept, caller = await self._open()
        statuses = [await caller.store(an_image(number)) for number in range(1, 6)]
        self.assertEqual((statuses, len(kept.names)), ([Status.SUCCESS] * 5, 5))

    async def test_several_without_waiting(self) -> None:
        _, caller = await self._open()
        stored = [Deferred.fromCoroutine(caller.store(an_image(number))) for number in range(1, 6)]
        self.assertEqual([await each for each in stored], [Status.SUCCESS] * 5)

    # What is not kept

    async def _refused(self, status: int, kept: Kept, caller: Caller, image: Dataset, **more: object) -> None:
        self.assertEqual(await caller.store(image, **more), status)  # type: ignore[arg-type]
        self.assertEqual((kept.names, kept.unfinished), ([], []))

    async def test_an_object_other_than_the_announced(self) -> None:
        kept, caller = await self._open()
        await self._refused(0xA900, kept, caller, an_image(), affected_sop_instance_uid="1.2.3.99")

    async def test_a_sop_class_other_than_the_announced(self) -> None:
        kept, caller = await self._open()
        image = an_image(sop_class=MR)
        data = encoded(image, EXPLICIT)
        message_id = caller.ask(1, CommandField.C_STORE_RQ, data, affected_sop_instance_uid="1.2.3.1")
        self.assertEqual(((await caller.answer(message_id)).status, kept.names), (0xA900, []))

    async def test_a_sop_class_that_is_not_the_contexts(self) -> None:
        kept, caller = await self._open()
        await self._refused(0x0122, kept, caller, an_image(), affected_sop_class_uid=MR)

    async def test_an_object_without_a_study(self) -> None:
        kept, caller = await self._open()
        image = an_image()
        del image.StudyInstanceUID
        await self._refused(Status.CANNOT_UNDERSTAND, kept, caller, image)

    async def test_no_data_set(self) -> None:
        _, caller = await self._open()
        message_id = caller.ask(1, CommandField.C_STORE_RQ, affected_sop_instance_uid="1.2.3")
        self.assertEqual((await caller.answer(message_id)).status, Status.CANNOT_UNDERSTAND)

    async def test_no_room(self) -> None:
        def full() -> None:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "The disk is nearly full")

        kept, caller = await self._open(admit=full)
        await self._refused(0xA700, kept, caller, an_image(pixels=bytes(3_000_000)), step=100_000)

    async def test_a_disk_that_is_full_in_the_middle(self) -> None:
        kept, caller = await self._open()
        error = OSError(errno.ENOSPC, "No space left")
        with patch.object(BlobWriter, "write", side_effect=error):
            await self._refused(0xA700, kept, caller, an_image(pixels=bytes(3_000_000)), step=100_000)

    async def test_it_recovers_from_that(self) -> None:
        kept, caller = await self._open()
        with patch.object(BlobWriter, "write", side_effect=OSError(errno.ENOSPC, "No space left")):
            await caller.store(an_image())
        self.assertEqual((await caller.store(an_image()), len(kept.names)), (Status.SUCCESS, 1))

    async def test_a_database_that_is_gone(self) -> None:
        kept, caller = await self._open()
        with patch.object(kept.index, "add", lambda instance: fail(DatabaseUnavailable("gone"))):
            self.assertEqual(await caller.store(an_image()), Status.OUT_OF_RESOURCES)
        # Sent again it is the same file.
        self.assertEqual((await caller.store(an_image()), len(kept.names)), (Status.SUCCESS, 1))

    async def test_others_are_told_of_what_was_refused(self) -> None:
        told: list[tuple[str, int]] = []
        _, caller = await self._open(refused=lambda *each: told.append(each))
        await caller.store(an_image(), affected_sop_instance_uid="1.2.3.99")
        self.assertEqual(told, [(CT, 0xA900)])

    async def test_half_an_object_leaves_nothing(self) -> None:
        kept, caller = await self._open()
        data = encoded(an_image(pixels=bytes(3_000_000)), EXPLICIT)
        written: Deferred[None] = Deferred()
        write = BlobWriter.write

        def noticed(writer: BlobWriter, piece: bytes) -> None:
            write(writer, piece)
            if len(piece) > 1_000_000:
                IReactorFromThreads(reactor).callFromThread(written.callback, None)

        with patch.object(BlobWriter, "write", noticed):
            caller.ask(1, CommandField.C_STORE_RQ, None, command_data_set_type=1, affected_sop_instance_uid="1.2.3.1")
            caller.association.send(fragments(1, data, 1_500_000)[:1])
            await written
        self.assertEqual(len(kept.unfinished), 1)
        caller.association.abort(AbortSource.SERVICE_USER, 0)
        await kept.archive.stop()
        self.assertEqual((kept.names, kept.unfinished), ([], []))

    # The same SOP instance again

    async def test_the_same_object_again(self) -> None:
        kept, caller = await self._open(Duplicates.REFUSE)
        statuses = [await caller.store(an_image()), await caller.store(an_image())]
        self.assertEqual((statuses, len(kept.names)), ([Status.SUCCESS] * 2, 1))

    async def _two(self, duplicates: Duplicates) -> tuple[int, bytes]:
        """The status of a second object of the same SOP instance, and the pixels that are kept in the end."""
        kept, caller = await self._open(duplicates)
        await caller.store(an_image(pixels=b"\1\1"))
        status = await caller.store(an_image(pixels=b"\2\2"))
        # What is not needed any longer is removed without anybody waiting.
        await kept.archive.stop()
        (name,) = kept.names
        self.assertEqual(await kept.index.holds([(CT, "1.2.3.1")]), {(CT, "1.2.3.1"): name})
        return status, b"".join(kept.blobs.read(name))[-2:]

    async def test_another_one_and_the_first_stays(self) -> None:
        self.assertEqual(await self._two(Duplicates.KEEP), (Status.SUCCESS, b"\1\1"))

    async def test_another_one_takes_its_place(self) -> None:
        self.assertEqual(await self._two(Duplicates.REPLACE), (Status.SUCCESS, b"\2\2"))

    async def test_another_one_is_refused(self) -> None:
        self.assertEqual(await self._two(Duplicates.REFUSE), (Status.DUPLICATE_SOP_INSTANCE, b"\1\1"))
