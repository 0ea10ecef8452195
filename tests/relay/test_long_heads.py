"""Objects without bulk data: all of a structure set is head."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.dataset.element import Limits
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.dimse.status import Status
from dimseproxy.privacy import guard
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import a_request, an_accept, command, fragment
from tests.privacy import editing
from tests.privacy.objects import data_set
from tests.relay.data_sets import data_set as implicit
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names
from tests.relay.test_border import INSTANCE, PATIENT, STUDY, AtABorder, User, commands, of, storing

STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
MIB = 1024 * 1024


#: A contour as planning systems write it: some kilobytes each.
CONTOUR = editing.encoded(
    data_set(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=330,
        ContourData="\\".join(["-123.45", "67.89", "-1001.5"] * 330),
    ),
    editing.IMPLICIT,
)
ITEM, UNDEFINED = b"\xfe\xff\x00\xe0", b"\xff" * 4
END_OF_ITEM, END_OF_SEQUENCE = b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)


def structure_set(size: int, **attributes: object) -> bytes:
    """One with contours of so many bytes, in implicit VR little endian."""
    head = data_set(
        SOPClassUID=STRUCTURE_SET,
        SOPInstanceUID=INSTANCE,
        Modality="RTSTRUCT",
        PatientName="Meier^Anna",
        PatientID=PATIENT,
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=f"{STUDY}.1",
        **attributes,
    )
    contour = ITEM + UNDEFINED + CONTOUR + END_OF_ITEM
    contours = b"\x06\x30\x40\x00" + UNDEFINED + contour * (size // len(contour) + 1) + END_OF_SEQUENCE
    region = ITEM + UNDEFINED + contours + END_OF_ITEM
    return editing.encoded(head, editing.IMPLICIT) + b"\x06\x30\x39\x00" + UNDEFINED + region + END_OF_SEQUENCE


class LongHeads(TestCase):
    def border(self, limits: Limits = Limits()) -> None:  # noqa: B008  # frozen
        request = a_request(STRUCTURE_SET)
        self.clock, self.names = Clock(), Names()
        self.peer = FakeAssociation(request, an_accept(request))
        policy = compile_policy(name="research")
        privacy = Privacy(policy, self.names, lambda: b"k" * 32, limits=limits)
        self.at_the_border = Border(self.peer, privacy, Direction.TO_PSEUDONYMS, self.clock)
        self.user = User()
        self.at_the_border.use(self.user)

    def storing(self, data: bytes) -> None:
        request = command(
            CommandField.C_STORE_RQ,
            1,
            has_data_set=True,
            sop_class=STRUCTURE_SET,
            more={Element.AFFECTED_SOP_INSTANCE_UID: INSTANCE},
        )
        self.at_the_border.send([request])
        for at in range(0, len(data), 120_000):
            end = at + 120_000
            self.at_the_border.send([fragment(data[at:end], is_last=end >= len(data))])
        self.clock.advance(0)

    def status(self) -> int:
        self.assertEqual([part for part in self.peer.sent if isinstance(part, Command)], [])
        return of(self.user.heard).command_set.status

    def arrived(self) -> bytes:
        self.assertEqual(self.user.heard, [])
        return b"".join(bytes(part) for part in self.peer.sent if isinstance(part, DataSetFragment))

    def test_a_structure_set_of_20_mib_crosses(self) -> None:
        self.border()
        data = structure_set(20 * MIB)
        self.storing(data)
        arrived = self.arrived()
        self.assertIn(self.names.of(Identity(Kind.PATIENT, PATIENT)).encode(), arrived)
        self.assertNotIn(PATIENT.encode(), arrived)
        self.assertEqual(arrived.count(CONTOUR), data.count(CONTOUR))

    def test_so_does_one_of_a_patient_with_many_numbers(self) -> None:
        self.border()
        self.storing(structure_set(20 * MIB, OtherPatientIDs=[f"NUMBER-{number:04}" for number in range(40)]))
        self.assertIn(self.names.of(Identity(Kind.PATIENT, PATIENT)).encode(), self.arrived())

    def test_one_that_shows_an_original_at_its_end_does_not(self) -> None:
        self.border()
        data = structure_set(20 * MIB)
        name = b"\x0e\x30\x02\x00" + (10).to_bytes(4, "little") + b"Meier^Dr. "
        self.storing(data + name)
        self.assertEqual(self.status(), Status.NOT_AUTHORIZED)

    def test_one_that_is_longer_than_the_limit_is_refused(self) -> None:
        self.border(Limits(head=MIB))
        self.storing(structure_set(2 * MIB))
        self.assertEqual(self.status(), Status.OUT_OF_RESOURCES)


class SliceTests(AtABorder):
    def test_a_long_head_is_scanned_in_slices(self) -> None:
        item = b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x28\x00\x02\x00\x02\0\0\0\1\0"
        many = b"\x00\x52\x30\x92" + (len(item) * 10_000).to_bytes(4, "little") + item * 10_000
        long = implicit({(0x0008, 0x0018): INSTANCE, (0x0010, 0x0020): PATIENT, (0x0020, 0x000D): STUDY}, many)
        self.border.send(storing(1, long))
        self.assertEqual(self.peer.sent, [])
        self.clock.pump([0.0] * 10)
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ"])

    def test_and_searched_in_slices(self) -> None:
        self.patch(guard, "SLICE", 100_000)
        # One element of an item, so that it is held without being edited.
        value = b"\x28\x00\x06\x30" + (100_000).to_bytes(4, "little") + b"x" * 100_000
        item = b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value
        tail = b"\x28\x00\x00\x30" + len(item).to_bytes(4, "little") + item
        long = implicit({(0x0008, 0x0018): INSTANCE, (0x0010, 0x0020): PATIENT, (0x0020, 0x000D): STUDY}, tail)
        self.border.send(storing(1, long))
        self.assertEqual(self.peer.sent, [])
        self.clock.pump([0.0] * 10)
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ"])
