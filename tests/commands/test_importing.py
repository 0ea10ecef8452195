"""The data set of a file, as it is read to be sent."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.commands.dicom_files import look_at
from dimseproxy.commands.importing import STEP, FileDataSet
from tests.commands.support import encoded
from tests.commands.test_dicom_files import wrapped
from tests.support.archive import command
from tests.support.process import scratch


class FileDataSetTests(SynchronousTestCase):
    def file(self, data_set: bytes) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(wrapped(data_set, "1.2.3.1"))
        return path

    def test_all_of_it_is_given_in_steps(self) -> None:
        content = encoded(1) + b"\0" * (2 * STEP)
        read = FileDataSet(look_at(self.file(content)))
        steps = []
        while not read.is_over:
            steps.append(b"".join(read.step()))
        self.assertEqual([len(step) for step in steps], [STEP, STEP, len(encoded(1))])
        self.assertEqual(b"".join(steps), content)
        self.assertEqual(read.total, len(content))

    def test_a_file_that_became_shorter_is_no_whole_object(self) -> None:
        path = self.file(encoded(1))
        read = FileDataSet(found := look_at(path))
        path.write_bytes(path.read_bytes()[: found.offset])
        self.assertRaises(EOFError, read.step)


class CommandTests(TestCase):
    timeout = 60

    async def test_an_archive_whose_folder_cannot_be_used_ends_it(self) -> None:
        folder = scratch(self)
        (folder / "archive").mkdir()
        (folder / "archive" / "objects").write_text("no folder")
        (folder / "incoming").mkdir()
        configuration = folder / "proxy.yaml"
        configuration.write_text("outbound: {local: {archive: {folder: archive}}}\n")
        done = await command(self, configuration, "import", str(folder / "incoming"))
        self.assertEqual(done.code, 2, done.output)
