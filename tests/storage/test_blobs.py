from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.storage import blobs
from dimseproxy.storage.blobs import Blob, Blobs, BlobWriter
from dimseproxy.storage.encryption import CHUNK, Damaged, FileKeys, KeyMissing

KEY = bytes(range(32))
NEWER = bytes(range(32, 64))
CONTENT = b"Meier^Anna was here " * 10_000


class FullDisk(FileIO):
    """A file on a disk that has room for 30,000 bytes: it takes what it has room for, and says how much that was."""

    room = 30_000

    def write(self, data: Any, /) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left")
        taken = super().write(memoryview(data)[: self.room])
        self.room -= taken
        return taken


class InTheClear(TestCase):
    keys: FileKeys | None = None

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.blobs = Blobs(self.root, self.keys)
        self.blobs.open()

    def written(self, content: bytes = CONTENT) -> str:
        writer = self.blobs.create()
        for start in range(0, len(content), 70_000):
            writer.write(memoryview(content)[start : start + 70_000])
        return writer.finish().name

    def fill_the_disk(self, room: int = FullDisk.room) -> None:
        begin = blobs._begun

        def begun(folder: str) -> tuple[str, BinaryIO]:
            path, file = begin(folder)
            file.close()
            full = FullDisk(path, "r+b")
            full.room = room
            return path, full

        self.patch(blobs, "_begun", begun)

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]

    def content(self, name: str) -> bytes:
        return b"".join(self.blobs.read(name))


class BlobsTests(InTheClear):
    def test_what_was_written_is_read(self) -> None:
        self.assertEqual(self.content(self.written()), CONTENT)

    def test_an_empty_one(self) -> None:
        self.assertEqual(self.content(self.written(b"")), b"")

    def test_its_size_is_that_of_the_content(self) -> None:
        self.assertEqual(self.blobs.size(self.written()), len(CONTENT))

    def test_the_same_content_is_there_once(self) -> None:
        self.assertEqual((self.written(), len(self.files())), (self.written(), 1))

    def test_the_same_content_again_makes_good_a_damaged_one(self) -> None:
        name = self.written()
        os.truncate(self.files()[0], 100)
        self.written()
        self.assertTrue(self.blobs.verify(name))

    def test_nothing_has_a_name_before_it_is_finished(self) -> None:
        self.blobs.create().write(CONTENT)
        self.assertEqual(list(self.blobs.names()), [])

    def test_nothing_is_left_of_what_is_discarded(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        writer.discard()
        self.assertEqual(self.files(), [])

    def test_nothing_is_left_where_the_disk_does_not_take_it(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        with patch.object(os, "fsync", side_effect=OSError(28, "full")):
            self.assertRaises(OSError, writer.finish)
        self.assertEqual(self.files(), [])

    def test_what_the_disk_takes_a_part_of_is_not_success(self) -> None:
        self.fill_the_disk()
        self.assertRaises(OSError, self.written, CONTENT[:50_000])

    def test_nothing_is_left_where_the_disk_is_full_from_the_beginning(self) -> None:
        self.fill_the_disk(0)
        self.assertRaises(OSError, self.blobs.create, b"head")
        self.assertEqual(self.files(), [])

    def _synced(self, act: Callable[[], object]) -> list[bool]:
        """Of what it waits for the disk: a file whose name is not there yet, or the folder of one that is."""
        waited: list[bool] = []

        def fsync(descriptor: int) -> None:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            self.assertEqual(is_folder, bool(list(self.blobs.names())))
            waited.append(is_folder)

        with patch.object(os, "fsync", fsync):
            act()
        return waited

    def test_first_the_content_is_durable_then_the_name(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        self.assertEqual(self._synced(writer.finish), [False, True])

    def test_the_name_may_become_durable_later(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        placed: list[Blob] = []
        self.assertEqual(self._synced(lambda: placed.append(writer.place())), [False])
        self.assertEqual(self._synced(lambda: self.blobs.keep_name(placed[0].name)), [True])

    def test_what_a_crash_left_is_gone_at_the_next_start(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        # What a process that ends does to its files.
        writer._file.close()
        Blobs(self.root, self.keys).open()
        self.assertEqual(self.files(), [])

    def test_no_file_has_to_wait_for_a_folder_to_be_made(self) -> None:
        with patch.object(os, "mkdir", side_effect=AssertionError):
            self.assertEqual(self.content(self.written()), CONTENT)

    def test_a_folder_that_is_gone_is_made_again(self) -> None:
        for folder in (self.root / "objects").iterdir():
            folder.rmdir()
        self.assertEqual(self.content(self.written()), CONTENT)

    def test_what_another_process_writes_stays(self) -> None:
        writer = self.blobs.create()
        writer.write(CONTENT)
        Blobs(self.root, self.keys).open()
        self.assertEqual(self.content(writer.finish().name), CONTENT)

    def test_what_another_process_clears_away_before_it_is_locked_is_begun_again(self) -> None:
        lock = fcntl.flock
        calls: list[BinaryIO] = []

        def late(file: BinaryIO, operation: int) -> None:
            if not calls:
                calls.append(file)
                Blobs(self.root, self.keys).open()
            lock(file, operation)

        with patch.object(fcntl, "flock", late):
            name = self.written()
        self.assertEqual((len(calls), self.content(name)), (1, CONTENT))

    def test_it_knows_what_is_there(self) -> None:
        name = self.written()
        self.assertEqual([self.blobs.exists(name), self.blobs.exists("0" * 64)], [True, False])

    def test_it_knows_whether_one_is_as_long_as_it_was(self) -> None:
        name, sizes = self.written(), (len(CONTENT), len(CONTENT) - 1)
        self.assertEqual([self.blobs.exists(name, size) for size in sizes], [True, False])
        self.assertFalse(self.blobs.exists("0" * 64, 0))

    def test_what_cannot_be_opened_may_be_there(self) -> None:
        name = self.written()
        with patch.object(os, "open", side_effect=OSError(errno.EMFILE, "Too many open files")):
            self.assertRaises(OSError, self.blobs.exists, name)

    def test_all_names(self) -> None:
        self.assertEqual({self.written(b"1"), self.written(b"2")}, set(self.blobs.names()))

    def test_one_that_was_deleted_is_gone(self) -> None:
        name = self.written()
        self.blobs.delete(name)
        self.assertRaises(FileNotFoundError, self.content, name)

    def test_a_whole_one_is_verified(self) -> None:
        self.assertTrue(self.blobs.verify(self.written()))

    def test_one_with_a_head_is_named_by_both(self) -> None:
        blobs = Blobs(self.root, self.keys, lambda content: len(b"head"))
        names = {}
        for head in (b"head", b"Head"):
            writer = blobs.create(head)
            writer.write(CONTENT)
            blob = writer.finish()
            names[blob.name] = b"".join(blobs.read(blob.name))
            self.assertEqual((blob.digest, blob.size), (hashlib.sha256(CONTENT).digest(), len(head + CONTENT)))
            self.assertTrue(blobs.verify(blob.name))
        self.assertEqual(sorted(names.values()), [b"Head" + CONTENT, b"head" + CONTENT])

    def test_nothing_is_left_where_the_disk_does_not_take_the_head(self) -> None:
        with (
            patch.object(BlobWriter, "_write", side_effect=OSError(errno.ENOSPC, "No space left")),
            self.assertRaises(OSError),
        ):
            self.blobs.create(b"head")
        self.assertEqual(self.files(), [])

    def test_a_changed_one_is_not(self) -> None:
        name = self.written()
        path = self.files()[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        self.assertFalse(self.blobs.verify(name))

    def test_one_that_is_cut_off_is_not(self) -> None:
        name = self.written()
        os.truncate(self.files()[0], len(CONTENT) // 2)
        self.assertFalse(self.blobs.verify(name))

    def test_one_that_is_missing_is_not(self) -> None:
        self.assertFalse(self.blobs.verify("0" * 64))

    def test_no_name_leads_elsewhere(self) -> None:
        self.assertRaises(FileNotFoundError, self.content, "../" * 20 + "etc/passwd")

    def test_others_than_the_owner_cannot_read_it(self) -> None:
        self.written()
        self.assertEqual(self.files()[0].stat().st_mode & 0o077, 0)


class EncryptedBlobsTests(BlobsTests):
    keys = FileKeys([KEY])

    def test_nothing_of_the_content_shows(self) -> None:
        self.written()
        self.assertNotIn(b"Meier", self.files()[0].read_bytes())

    def test_nor_does_its_digest(self) -> None:
        self.assertNotEqual(self.written(), hashlib.sha256(CONTENT).hexdigest())

    def test_a_newer_key_reads_what_the_older_one_wrote(self) -> None:
        name = self.written()
        self.blobs = Blobs(self.root, FileKeys([NEWER, KEY]))
        self.assertEqual(self.content(name), CONTENT)

    def test_and_gives_the_same_content_the_same_name(self) -> None:
        name = self.written()
        self.blobs = Blobs(self.root, FileKeys([NEWER, KEY]))
        self.assertEqual(self.written(), name)

    def test_another_key_reads_nothing(self) -> None:
        name = self.written()
        self.blobs = Blobs(self.root, FileKeys([NEWER]))
        self.assertRaises(KeyMissing, self.content, name)

    def test_chunks_cannot_change_places(self) -> None:
        name = self.written(bytes(CHUNK) + b"1" * CHUNK + b"2")
        path = self.files()[0]
        whole, size = path.read_bytes(), CHUNK + 16
        first, second = whole[32 : 32 + size], whole[32 + size : 32 + 2 * size]
        path.write_bytes(whole[:32] + second + first + whole[32 + 2 * size :])
        self.assertRaises(Damaged, self.content, name)

    def test_the_last_chunk_cannot_be_left_out(self) -> None:
        name = self.written(bytes(2 * CHUNK))
        os.truncate(self.files()[0], 32 + CHUNK + 16)
        self.assertRaises(Damaged, self.content, name)

    @settings(deadline=None, max_examples=30)
    @given(length=st.sampled_from([1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]), piece=st.integers(1, 3 * CHUNK))
    def test_any_length_in_any_pieces(self, length: int, piece: int) -> None:
        content = os.urandom(length)
        writer = self.blobs.create()
        for start in range(0, length, piece):
            writer.write(content[start : start + piece])
        name = writer.finish().name
        self.assertEqual((self.content(name), self.blobs.size(name)), (content, length))
