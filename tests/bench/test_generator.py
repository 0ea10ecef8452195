"""The load generator, against the raw SCP and without anybody."""

from __future__ import annotations

import socket
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from twisted.trial.unittest import TestCase

from bench import wire
from bench.generator import Caller, Load, Outcome, Process, together
from bench.messages import echo, store
from bench.processes import BenchError, free_port
from bench.scp import start_raw_sink


def decoded(message: bytes) -> tuple[Dataset, Dataset]:
    """The command set and the data set of a message."""
    parts = {True: b"", False: b""}
    at = 0
    while at < len(message):
        length = int.from_bytes(message[at + 2 : at + 6], "big")
        parts[bool(message[at + 11] & wire.COMMAND)] += message[at + 12 : at + 6 + length]
        at += 6 + length
    command, data_set = (read_dataset(BytesIO(parts[is_command]), True, True) for is_command in (True, False))
    return command, data_set


class ObjectTests(TestCase):
    """The objects that are sent."""

    def test_the_pixel_data_is_as_long_as_wanted(self) -> None:
        """In however many PDUs."""
        for length in (2, 12_288, 524_288):
            _, data_set = decoded(b"".join(store(length)(1)))
            self.assertEqual(len(data_set.PixelData), length)

    def test_command_and_data_set_name_the_same_instance(self) -> None:
        command, data_set = decoded(b"".join(store(100)(5)))
        self.assertEqual(command.AffectedSOPInstanceUID, data_set.SOPInstanceUID)

    def test_each_number_is_another_instance_of_one_study(self) -> None:
        message = store(100)
        (_, one), (_, other) = (decoded(b"".join(message(number))) for number in (1, 2))
        self.assertNotEqual(one.SOPInstanceUID, other.SOPInstanceUID)
        self.assertEqual(one.StudyInstanceUID, other.StudyInstanceUID)

    def test_each_number_may_be_a_study_of_a_patient_of_its_own(self) -> None:
        message = store(100, new_studies=True)
        (_, one), (_, other) = (decoded(b"".join(message(number))) for number in (1, 2))
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
            self.assertNotEqual(one[keyword].value, other[keyword].value, keyword)


class LoadTests(TestCase):
    """A load on the raw SCP."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.sink = start_raw_sink(directory)
        self.addCleanup(self.sink.stop)

    def outcome(self, *loads: Load) -> Outcome:
        """What they come to in a second."""
        return together(self.sink.port, loads, 1.0)

    def test_associations_that_stay_open_repeat_an_operation(self) -> None:
        self.assertGreater(len(self.outcome(Load(2, echo)).latencies), 2)

    def test_associations_that_do_not_are_opened_anew(self) -> None:
        self.assertGreater(len(self.outcome(Load(2, store(20_000), once=True)).latencies), 2)

    def test_a_moment_too_short_for_one_lasts_until_it_is_done(self) -> None:
        self.assertGreater(len(together(self.sink.port, [Load(1, echo)], 0.0).latencies), 0)

    def test_an_interval_is_kept(self) -> None:
        """The first operation is at once, the second one in a minute."""
        self.assertEqual(len(self.outcome(Load(1, echo, interval=60.0)).latencies), 1)

    def test_several_loads_are_one(self) -> None:
        """One operation each."""
        self.assertEqual(len(self.outcome(*[Load(1, echo, interval=60.0)] * 3).latencies), 3)


class FailureTests(TestCase):
    """What must not be taken for speed."""

    def test_nobody_listens(self) -> None:
        self.assertRaises(BenchError, together, free_port(), [Load(1, echo)], 0.1)

    def read(self, answer: bytes) -> None:
        """Let an association that waits for a C-ECHO response read something else."""
        here, peer = socket.socketpair()
        for end in (here, peer):
            self.addCleanup(end.close)
        peer.sendall(answer)
        caller = Caller(here, here.fileno(), expected=wire.P_DATA)
        Process(0, Load(1, echo, interval=60.0), 0).read(caller)

    def test_a_response_of_success_is_taken(self) -> None:
        self.read(wire.echo_rsp(1))

    def test_a_response_of_failure_is_not(self) -> None:
        failure = wire.echo_rsp(1).replace(wire.us(0x0900, 0), wire.us(0x0900, 0x0122))
        self.assertRaises(BenchError, self.read, failure)

    def test_an_abort_is_not(self) -> None:
        self.assertRaises(BenchError, self.read, wire.pdu(wire.ABORT, bytes(4)))
