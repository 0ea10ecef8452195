"""The files of the archive: what is read of them, and when one may be taken away."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.errors import DimseProxyError
from dimseproxy.outbound.archive.files import READ_STEP, DataSetReader, Files, Release
from dimseproxy.outbound.archive.part10 import file_head
from dimseproxy.storage.blobs import Blob, Blobs
from dimseproxy.storage.encryption import Damaged, FileKeys
from tests.association.playing import CT, EXPLICIT
from tests.support.process import scratch

_T = TypeVar("_T")
HEAD = file_head(CT, "1.2.3", EXPLICIT, "MODALITY")


class Held:
    """A thread that does what it is given when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], _T], /) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()

        def job() -> None:
            try:
                result = work()
            except Exception:
                done.errback(Failure())
            else:
                done.callback(result)

        self.jobs.append(job)
        return done

    def goes_on(self) -> None:
        self.jobs.pop(0)()


def unused(name: str, delete: Callable[[], bool]) -> Deferred[bool]:
    """What an index says of a file that no object is in."""
    return succeed(delete())


def used(name: str, delete: Callable[[], bool]) -> Deferred[bool]:
    """What it says of one that an object is in."""
    return succeed(False)


class Busy:
    """An index that is asked about a file and has other things to do."""

    def __init__(self) -> None:
        self._deferred: Deferred[bool] = Deferred()
        self._delete: Callable[[], bool] = lambda: False

    def __call__(self, name: str, delete: Callable[[], bool]) -> Deferred[bool]:
        self._delete = delete
        return self._deferred

    def goes_on(self) -> None:
        self._deferred.callback(self._delete())

    def fails(self) -> None:
        self._deferred.errback(OSError("the disk"))


class FilesTests(TestCase):
    def setUp(self) -> None:
        self.folder = scratch(self)
        self.blobs = Blobs(self.folder)
        self.blobs.open()
        self.thread = Held()
        self.files = Files(self.blobs, self.thread)

    def _written(self, content: bytes = b"content", head: bytes = HEAD) -> Blob:
        incoming = self.files.incoming(head)
        incoming.write(content)
        return incoming.finish()

    async def _finished(self) -> Blob:
        blob = await self.files.finish(self._written)
        assert blob is not None
        return blob

    def _finishing(self) -> Deferred[Blob]:
        return Deferred.fromCoroutine(self._finished())

    def _removing(self, name: str, release: Release = unused) -> Deferred[bool]:
        return Deferred.fromCoroutine(self.files.remove(name, release))

    def _reader(self, blob: Blob) -> DataSetReader:
        return self.files.read(blob.name, blob.size)

    def _cut_off(self, blob: Blob, size: int) -> None:
        """The disk loses all of a file but so many bytes."""
        (path,) = self.folder.rglob(blob.name)
        os.truncate(path, size)

    def test_the_data_set_without_what_is_before_it(self) -> None:
        reader = self._reader(self._written())
        self.assertEqual((reader.total, reader.step(), reader.is_over, reader.step()), (7, [b"content"], True, []))

    def test_in_steps(self) -> None:
        content = bytes(range(256)) * 10_000
        reader = self._reader(self._written(content))
        steps = []
        while not reader.is_over:
            steps.append(b"".join(reader.step()))
        self.assertEqual(b"".join(steps), content)
        self.assertLess(max(map(len, steps)), 2 * READ_STEP)

    def test_from_an_encrypted_file(self) -> None:
        self.blobs = Blobs(scratch(self), FileKeys([b"k" * 32]))
        self.blobs.open()
        self.files = Files(self.blobs, self.thread)
        reader = self._reader(self._written())
        self.assertEqual((reader.step(), reader.is_over), ([b"content"], True))

    def test_what_is_no_such_file(self) -> None:
        for content in (b"short", bytes(1000), HEAD[:-1]):
            self.assertRaises(DimseProxyError, self._reader, self._written(content, b""))

    def test_one_that_is_cut_off_is_not_read(self) -> None:
        blob = self._written()
        self._cut_off(blob, blob.size - 1)
        self.assertRaises(Damaged, self._reader, blob)

    def test_one_that_is_cut_off_while_it_is_read_is_not_whole(self) -> None:
        blob = self._written(bytes(4 * READ_STEP))
        reader = self._reader(blob)
        reader.step()
        self._cut_off(blob, READ_STEP)
        self.assertRaises(Damaged, reader.step)

    def test_whether_there_is_as_much_of_it_as_was_written(self) -> None:
        blob = self._written()
        whole = self.files.is_as_long(blob.name, blob.size)
        self._cut_off(blob, blob.size - 1)
        self.assertEqual((whole, self.files.is_as_long(blob.name, blob.size)), (True, False))
        self.assertFalse(self.files.is_as_long("0" * 64, blob.size))

    def test_what_nobody_uses_is_removed(self) -> None:
        name = self._written().name
        removing = self._removing(name)
        self.assertEqual((self.successResultOf(removing), list(self.blobs.names())), (True, []))

    def test_what_the_index_uses_is_not(self) -> None:
        name = self._written().name
        self.assertFalse(self.successResultOf(self._removing(name, used)))
        self.assertEqual(list(self.blobs.names()), [name])

    def test_what_has_just_arrived_is_not(self) -> None:
        finishing = self._finishing()
        self.thread.goes_on()
        name = self.successResultOf(finishing).name
        self.assertFalse(self.successResultOf(self._removing(name)))

    def test_one_that_is_not_finished_yet_is_told_so(self) -> None:
        finishing = Deferred.fromCoroutine(self.files.finish(lambda: None))
        self.thread.goes_on()
        self.assertIsNone(self.successResultOf(finishing))

    def test_when_the_index_knows_it_only_the_index_decides(self) -> None:
        finishing = self._finishing()
        self.thread.goes_on()
        name = self.successResultOf(finishing).name
        self.files.let_go(name)
        self.assertTrue(self.successResultOf(self._removing(name)))

    def test_what_arrives_while_the_index_is_asked_is_not(self) -> None:
        name = self._written().name
        index = Busy()
        removing = self._removing(name, index)
        finishing = self._finishing()
        self.thread.goes_on()
        index.goes_on()
        self.assertFalse(self.successResultOf(removing))
        self.assertEqual(self.successResultOf(finishing).name, name)

    def test_the_same_content_written_before_the_removal_fails(self) -> None:
        blob = self._written()
        # It is found to be there already, then it goes, and only then is heard of both.
        finishing = Deferred.fromCoroutine(self.files.finish(lambda: blob))
        found = self.thread.jobs.pop(0)
        self.assertTrue(self.successResultOf(self._removing(blob.name)))
        found()
        self.thread.goes_on()
        self.failureResultOf(finishing, FileNotFoundError)

    def test_the_same_content_written_after_the_removal_stays(self) -> None:
        name = self._written().name
        finishing = self._finishing()
        written = self.thread.jobs.pop(0)
        self.assertTrue(self.successResultOf(self._removing(name)))
        written()
        self.thread.goes_on()
        self.assertEqual(self.successResultOf(finishing).name, name)

    def test_one_that_is_removed_is_waited_for(self) -> None:
        name = self._written().name
        removed: Deferred[bool] = Deferred()

        def release(name: str, delete: Callable[[], bool]) -> Deferred[bool]:
            delete()
            return removed

        removing = self._removing(name, release)
        finishing = Deferred.fromCoroutine(self.files.finish(lambda: Blob(name, b"", 7)))
        self.thread.goes_on()
        self.assertNoResult(finishing)
        removed.callback(True)
        self.assertTrue(self.successResultOf(removing))
        self.thread.goes_on()
        self.failureResultOf(finishing, FileNotFoundError)

    def test_a_removal_that_fails_disturbs_nobody(self) -> None:
        name = self._written().name
        index = Busy()
        self.files.remove_later(name, index)
        settled = Deferred.fromCoroutine(self.files.settled())
        self.assertNoResult(settled)
        index.fails()
        self.successResultOf(settled)
        self.assertEqual(list(self.blobs.names()), [name])
