"""C-STORE into the archive."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from io import BytesIO
from threading import Event
from typing import Any, TypeVar, cast
from unittest.mock import patch

from pydicom import dcmread
from pydicom.dataset import Dataset
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue, fail, succeed
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, CommandField, CommandSet, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource, OperationRefused
from dimseproxy.outbound.archive.association import ArchiveAssociation, AssociationOver
from dimseproxy.outbound.archive.events import Event as ArchiveEvent
from dimseproxy.outbound.archive.events import Events, InstanceStored
from dimseproxy.outbound.archive.files import Files
from dimseproxy.outbound.archive.index import Duplicates
from dimseproxy.outbound.archive.instances import Added, Instance, Outcome
from dimseproxy.outbound.archive.receiving import MAX_HEAD_LENGTH, MAX_WAITING, Receiving
from dimseproxy.storage.blobs import Blobs, BlobWriter
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.association.playing import CT, EXPLICIT, IMPLICIT, MR, a_request, an_accept, established
from tests.outbound.archive.support import Caller, Kept, an_image, cut_off, encoded, fragments
from tests.support.process import scratch

STORES = ((CT, EXPLICIT), (MR, EXPLICIT), (CT, IMPLICIT))


_T = TypeVar("_T")


class ReceivingTests(TestCase):
    async def _open(self, duplicates: Duplicates = Duplicates.KEEP, **options: Any) -> tuple[Kept, Caller]:
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
        self.assertEqual(await kept.index.holds([(CT, "1.2.3.1")]), {(CT, "1.2.3.1"): kept.held(kept.names[0])})

    async def test_others_are_told_of_it(self) -> None:
        kept, caller = await self._open()
        told: list[ArchiveEvent] = []
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

    async def test_a_disk_that_does_not_take_its_name(self) -> None:
        kept, caller = await self._open()
        with patch.object(kept.blobs, "keep_name", side_effect=OSError(errno.EIO, "Input/output error")):
            self.assertEqual(await caller.store(an_image()), Status.OUT_OF_RESOURCES)
        # Sent again it is the same file.
        self.assertEqual((await caller.store(an_image()), len(kept.names)), (Status.SUCCESS, 1))

    async def test_nobody_is_answered_before_the_name_is_durable(self) -> None:
        kept, caller = await self._open()
        is_durable = Event()
        with patch.object(kept.blobs, "keep_name", lambda name: self.assertTrue(is_durable.wait(60))):
            stored = Deferred.fromCoroutine(caller.store(an_image()))
            while not await kept.index.holds([(CT, "1.2.3.1")]):
                pass
            self.assertNoResult(stored)
            is_durable.set()
            self.assertEqual(await stored, Status.SUCCESS)

    async def test_nor_before_the_name_of_a_file_is_that_the_same_object_is_in(self) -> None:
        kept, caller = await self._open()
        await caller.store(an_image())
        (name,) = kept.names
        kept_names: list[str] = []
        with patch.object(kept.blobs, "keep_name", kept_names.append):
            # The name of its sender is in a file.
            other = await kept.call(*STORES, calling="OTHER")
            self.assertEqual(await other.store(an_image()), Status.SUCCESS)
        self.assertEqual((len(kept_names), kept_names[-1]), (2, name))

    async def test_nothing_is_replaced_before_the_name_is_durable(self) -> None:
        kept, caller = await self._open(duplicates=Duplicates.REPLACE)
        await caller.store(an_image())
        (name,) = kept.names
        with patch.object(kept.blobs, "keep_name", side_effect=OSError(errno.EIO, "Input/output error")):
            self.assertEqual(await caller.store(an_image(pixels=bytes(64))), Status.OUT_OF_RESOURCES)
        self.assertEqual((await kept.index.blobs()).blobs, (name,))

    async def test_another_content_that_is_kept_is_durable_before_anybody_hears_of_it(self) -> None:
        kept, caller = await self._open(duplicates=Duplicates.KEEP)
        await caller.store(an_image())
        (name,) = kept.names
        kept_names: list[str] = []
        with patch.object(kept.blobs, "keep_name", kept_names.append):
            self.assertEqual(await caller.store(an_image(pixels=bytes(64))), Status.SUCCESS)
        self.assertEqual(kept_names[-1], name)

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

    async def test_the_same_object_again_makes_good_one_that_is_cut_off(self) -> None:
        kept, caller = await self._open(Duplicates.REFUSE)
        await caller.store(an_image())
        (name,) = kept.names
        whole = kept.blobs.size(name)
        cut_off(kept, name)
        status = await caller.store(an_image())
        self.assertEqual((status, kept.names, kept.blobs.size(name)), (Status.SUCCESS, [name], whole))

    async def test_so_does_the_same_object_of_another_sender(self) -> None:
        for duplicates in Duplicates:
            kept, caller = await self._open(duplicates)
            await caller.store(an_image())
            (damaged,) = kept.names
            cut_off(kept, damaged)
            # Its name says who sent it.
            other = await kept.call(*STORES, calling="OTHER")
            self.assertEqual(await other.store(an_image()), Status.SUCCESS)
            await kept.archive.stop()
            (name,) = kept.names
            self.assertNotEqual(name, damaged)
            held = await kept.index.holds([(CT, "1.2.3.1")])
            self.assertEqual(held, {(CT, "1.2.3.1"): kept.held(name)}, duplicates)
            self.assertTrue(b"".join(kept.blobs.read(name)).endswith(encoded(an_image(), EXPLICIT)))

    async def test_another_content_does_not(self) -> None:
        # What is left of the first one may be all there is of it.
        for duplicates, status in ((Duplicates.KEEP, Status.SUCCESS), (Duplicates.REFUSE, 0x0111)):
            kept, caller = await self._open(duplicates)
            await caller.store(an_image(pixels=b"\1\1"))
            cut_off(kept, kept.names[0])
            before = kept.names
            self.assertEqual(await caller.store(an_image(pixels=b"\2\2")), status)
            await kept.archive.stop()
            self.assertEqual(kept.names, before)

    async def _two(self, duplicates: Duplicates) -> tuple[int, bytes]:
        """The status of a second object of the same SOP instance, and the pixels that are kept in the end."""
        kept, caller = await self._open(duplicates)
        await caller.store(an_image(pixels=b"\1\1"))
        status = await caller.store(an_image(pixels=b"\2\2"))
        # What is not needed any longer is removed without anybody waiting.
        await kept.archive.stop()
        (name,) = kept.names
        self.assertEqual(await kept.index.holds([(CT, "1.2.3.1")]), {(CT, "1.2.3.1"): kept.held(name)})
        return status, b"".join(kept.blobs.read(name))[-2:]

    async def test_another_one_and_the_first_stays(self) -> None:
        self.assertEqual(await self._two(Duplicates.KEEP), (Status.SUCCESS, b"\1\1"))

    async def test_another_one_takes_its_place(self) -> None:
        self.assertEqual(await self._two(Duplicates.REPLACE), (Status.SUCCESS, b"\2\2"))

    async def test_none_takes_its_place_where_the_disk_does_not_say_whether_it_is_there(self) -> None:
        kept, caller = await self._open(Duplicates.REFUSE)
        await caller.store(an_image(pixels=b"\1\1"))
        (name,) = kept.names
        really = os.open

        def broken(path: str, flags: int, mode: int = 0o777) -> int:
            if str(path).endswith(name):
                raise OSError(errno.EIO, "Input/output error")
            return really(path, flags, mode)

        self.patch(os, "open", broken)
        status = await caller.store(an_image(pixels=b"\2\2"))
        await kept.archive.stop()
        self.assertEqual((status, kept.names), (Status.OUT_OF_RESOURCES, [name]))

    async def test_another_one_is_refused(self) -> None:
        self.assertEqual(await self._two(Duplicates.REFUSE), (Status.DUPLICATE_SOP_INSTANCE, b"\1\1"))


class Hops:
    """A thread: what it was given is done when a test says so, and told of when it says that."""

    def __init__(self) -> None:
        self._works: deque[Callable[[], None]] = deque()
        self._tellings: deque[Callable[[], None]] = deque()

    def __call__(self, work: Callable[[], _T], /) -> Deferred[_T]:
        told: Deferred[_T] = Deferred()

        def done() -> None:
            try:
                result = work()
            except Exception:
                failure = Failure()
                self._tellings.append(lambda: told.errback(failure))
            else:
                self._tellings.append(lambda: told.callback(result))

        self._works.append(done)
        return told

    @property
    def waiting(self) -> int:
        """How many were not begun."""
        return len(self._works)

    def work(self) -> None:
        self._works.popleft()()

    def tell(self) -> None:
        self._tellings.popleft()()

    def hop(self) -> None:
        self.work()
        self.tell()


class Sending:
    """An association whose data set comes when a test says so."""

    def __init__(self) -> None:
        request = a_request(CT, syntaxes=(EXPLICIT,))
        self.established = established(request, an_accept(request))
        self._fragments: DeferredQueue[DataSetFragment] = DeferredQueue()
        self.taken = 0
        self.answers: list[int] = []

    def comes(self, data: bytes, is_last: bool = False) -> None:
        self._fragments.put(DataSetFragment(1, (memoryview(data),), is_last))

    def ends(self) -> None:
        self._fragments.put(cast(DataSetFragment, None))

    async def data_set(self) -> DataSetFragment:
        fragment = await self._fragments.get()
        if fragment is None:
            raise AssociationOver
        self.taken += 1
        return fragment

    async def deliver(self, parts: Sequence[Part]) -> None:
        self.answers += [part.command_set.status for part in parts if isinstance(part, Command)]


class Knows:
    """An index that takes everything."""

    replaces = False

    def __init__(self) -> None:
        self.added: list[Instance] = []

    def add(self, instance: Instance) -> Deferred[Added]:
        self.added.append(instance)
        return succeed(Added(Outcome.NEW))

    def release(self, blob: str, delete: Callable[[], bool]) -> Deferred[bool]:
        return succeed(False)


class HopTests(TestCase):
    """What a thread does of it, and when."""

    def setUp(self) -> None:
        self.folder = scratch(self)
        self.blobs = Blobs(self.folder)
        self.blobs.open()
        self.thread, self.sending, self.index = Hops(), Sending(), Knows()
        receiving = Receiving(Files(self.blobs, self.thread), self.index, IReactorTime(Clock()), lambda: None, Events())
        request: dict[Element, int | str | None] = {
            Element.AFFECTED_SOP_CLASS_UID: CT,
            Element.COMMAND_FIELD: CommandField.C_STORE_RQ,
            Element.MESSAGE_ID: 1,
            Element.COMMAND_DATA_SET_TYPE: DATA_SET_FOLLOWS,
            Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3.1",
        }
        self.data = encoded(an_image(pixels=bytes(range(256)) * 4_000), EXPLICIT)
        self.served = Deferred.fromCoroutine(
            receiving.serve(cast(ArchiveAssociation, self.sending), Command(1, CommandSet.of(request)))
        )

    def unfinished(self) -> list[str]:
        return os.listdir(self.folder / "incoming")

    def stored(self) -> bytes:
        """The data set that was stored, and answered."""
        self.successResultOf(self.served)
        (name,) = self.blobs.names()
        (instance,) = self.index.added
        content = b"".join(self.blobs.read(name))[-len(self.data) :]
        self.assertEqual((instance.blob, instance.digest), (name, sha256(content).digest()))
        self.assertEqual(self.sending.answers, [Status.SUCCESS])
        return content

    def test_what_comes_while_the_thread_is_busy_takes_no_other_hop(self) -> None:
        for at in range(0, len(self.data), 100_000):
            self.sending.comes(self.data[at : at + 100_000], at + 100_000 >= len(self.data))
        self.assertEqual(self.thread.waiting, 1)
        self.thread.hop()
        # The name, while the index is written.
        self.thread.hop()
        self.assertEqual(self.stored(), self.data)

    def test_what_comes_when_the_thread_has_just_looked_is_written_by_another(self) -> None:
        self.sending.comes(self.data[:100])
        self.thread.work()
        self.sending.comes(self.data[100:], True)
        self.assertEqual(self.thread.waiting, 0)
        self.thread.tell()
        self.thread.hop()
        self.thread.hop()
        self.assertEqual(self.stored(), self.data)

    def test_that_an_object_was_whole_is_not_missed_either(self) -> None:
        self.sending.comes(self.data)
        self.thread.work()
        self.sending.comes(b"", True)
        self.thread.tell()
        self.thread.hop()
        self.thread.hop()
        self.assertEqual(self.stored(), self.data)

    def test_no_thread_waits_for_a_slow_sender(self) -> None:
        self.sending.comes(self.data[:100])
        self.thread.hop()
        self.assertEqual(self.thread.waiting, 0)

    def test_no_more_is_taken_than_may_wait_for_the_disk(self) -> None:
        data = encoded(an_image(pixels=bytes(3 * MAX_WAITING)), EXPLICIT)
        for at in range(5):
            self.sending.comes(data[at * MAX_WAITING // 2 : (at + 1) * MAX_WAITING // 2])
        self.assertEqual(self.sending.taken, 2)
        self.thread.hop()
        self.assertEqual(self.sending.taken, 4)

    def test_a_disk_that_refuses_is_noticed_before_all_has_come(self) -> None:
        with patch.object(BlobWriter, "write", side_effect=OSError(errno.ENOSPC, "No space left")):
            self.sending.comes(self.data[:100])
            self.thread.hop()
            self.sending.comes(self.data[100:200])
        self.thread.hop()
        refused = self.failureResultOf(self.served, OperationRefused).value
        self.assertEqual((refused.status, self.unfinished()), (Status.OUT_OF_RESOURCES, []))

    def test_another_object_than_the_announced_is_noticed_before_all_has_come(self) -> None:
        other = encoded(an_image(2, pixels=bytes(MAX_HEAD_LENGTH)), EXPLICIT)
        self.sending.comes(other[:MAX_HEAD_LENGTH])
        self.thread.hop()
        self.sending.comes(other[MAX_HEAD_LENGTH : MAX_HEAD_LENGTH + 10])
        # What was written of it is discarded.
        self.thread.hop()
        refused = self.failureResultOf(self.served, OperationRefused).value
        self.assertEqual(refused.status, Status.IDENTIFIER_DOES_NOT_MATCH)

    def test_nothing_is_left_of_a_sender_that_goes_while_the_thread_writes(self) -> None:
        self.sending.comes(self.data[:100])
        self.sending.ends()
        self.assertNoResult(self.served)
        self.thread.hop()
        self.thread.hop()
        self.failureResultOf(self.served, AssociationOver)
        self.assertEqual(self.unfinished(), [])
