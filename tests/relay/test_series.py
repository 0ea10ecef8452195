"""Objects of a series, one after the other over one association: each arrives as it would have alone."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from struct import pack
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.replay import Replay
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.streamed import Streamed
from tests.association.playing import CT, EXPLICIT, IMPLICIT, a_request, an_accept, command
from tests.privacy import editing
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names
from tests.relay.test_border import User
from tests.ul.strategies import PROPERTY, chunkings

CONTEXT = 1
SYNTAXES = {EXPLICIT: editing.EXPLICIT, IMPLICIT: editing.IMPLICIT}
POLICIES = (
    compile_policy(name="basic"),
    compile_policy(name="dates", options=["retain-longitudinal-modified-dates", "clean-descriptors"]),
    compile_policy(name="kept", private_attributes="keep", keep=[0x00204000, 0x00080080], guard="warn"),
    compile_policy(name="age", options=["retain-patient-characteristics"], age="derive"),
    compile_policy(name="list", profile="none", pseudonymise=[0x00100020, 0x0020000D, 0x00080018], remove=[0x00100010]),
)

texts = st.sampled_from(("", "A", "Meier", "PAT-1", "PAT-2", "1.2.3.4", "1.2.3.5", "an odd text", "20240115"))
uids = st.sampled_from(("1.2.3.4", "1.2.3.5", "1.2.3.40000", "1.2.840.10008.1.1", ""))
#: What may differ from object to object.
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "SOPInstanceUID": uids,
    "StudyInstanceUID": uids,
    "FrameOfReferenceUID": uids,
    "SynchronizationFrameOfReferenceUID": uids,
    "PatientID": texts,
    "PatientName": texts,
    "PatientBirthDate": st.sampled_from(("19700101", "19700102", "")),
    "StudyDate": st.sampled_from(("20240115", "20240116", "")),
    "ContentDate": st.sampled_from(("20240115", "20240116", "")),
    "AcquisitionTime": st.sampled_from(("101112", "101113", "")),
    "PatientAge": st.sampled_from(("050Y", "091Y", "")),
    "AccessionNumber": texts,
    "InstitutionName": texts,
    "ImageComments": texts,
    "SeriesDescription": texts,
    "InstanceNumber": st.integers(0, 100_000),
    "SliceLocation": st.integers(0, 100_000),
    "Rows": st.integers(0, 3),
    "SpecificCharacterSet": st.sampled_from(("ISO_IR 100", "ISO_IR 192")),
    "BurnedInAnnotation": st.sampled_from(("NO", "YES", "")),
    "Modality": st.sampled_from(("CT", "US", "OT")),
    "SOPClassUID": st.sampled_from((CT, "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.6.1")),
    "PixelData": st.sampled_from((b"\1\2" * 50, b"\1\2" * 51)),
}
changes = st.dictionaries(st.sampled_from(sorted(CHANGES)), st.none(), max_size=3).flatmap(
    lambda chosen: st.fixed_dictionaries({keyword: CHANGES[keyword] for keyword in chosen})
)


def an_object(more: dict[str, Any], removed: Sequence[str] = (), nested: str = "", trailing: bytes = b"") -> Dataset:
    made = Dataset()
    common = {
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.1",
        "StudyInstanceUID": "1.2.3.4",
        "SeriesInstanceUID": "1.2.3.4.1",
        "PatientID": "PAT-1",
        "PatientName": "Meier^Anna",
        "PatientBirthDate": "19700101",
        "StudyDate": "20240115",
        "Modality": "CT",
        "InstanceNumber": 1,
        "SliceLocation": 1,
        "Rows": 1,
        "PixelData": b"\1\2" * 50,
    }
    for keyword, value in {**common, **more}.items():
        if keyword not in removed:
            setattr(made, keyword, value)
    if nested:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, nested
        made.ReferencedImageSequence = Items([item])
    made.private_block(0x0019, "ACME", create=True).add_new(1, "LO", nested or "one")
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    if trailing:
        made.add_new(0xFFFCFFFC, "OB", trailing)
    return made


objects = st.builds(
    an_object,
    changes,
    st.sampled_from(((), (), (), ("SliceLocation",), ("PatientID",), ("PixelData",))),
    st.sampled_from(("", "", "1.2.3.9", "1.2.3.10")),
    st.sampled_from((b"", b"", b"", b"tail")),
)


class Crossing:
    """A border, and what arrives on its other side."""

    def __init__(self, policy: Policy, syntax: str, clock: Clock | None = None) -> None:
        request = a_request(CT, syntaxes=(syntax,))
        self.peer = FakeAssociation(request, an_accept(request))
        self.border = Border(
            self.peer, Privacy(policy, Names(), lambda: b"k" * 32), Direction.TO_PSEUDONYMS, clock or Clock()
        )
        self.user = User()
        self.border.use(self.user)

    def arrived(self, number: int, pieces: Sequence[bytes]) -> tuple[bytes, list[int], list[str]]:
        """What came of an object: its bytes, the statuses that its sender was told, and the instance that was named."""
        store = command(
            CommandField.C_STORE_RQ,
            number,
            context_id=CONTEXT,
            has_data_set=True,
            sop_class=CT,
            more={Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3.1"},
        )
        self.peer.sent.clear()
        self.user.heard.clear()
        parts: list[Part] = [store]
        for index, piece in enumerate(pieces):
            parts.append(DataSetFragment(CONTEXT, [memoryview(piece)], index == len(pieces) - 1))
        for part in parts:
            self.border.send([part])
        return (
            b"".join(bytes(part) for part in self.peer.sent if isinstance(part, DataSetFragment)),
            [part.command_set.status for part in self.user.heard if isinstance(part, Command)],
            [
                part.command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
                for part in self.peer.sent
                if isinstance(part, Command)
            ],
        )


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """In explicit VR little endian, of any VR."""
    value += b"\0" * (len(value) & 1)
    if vr in (b"OW", b"UN", b"ZZ"):
        return pack("<HH2s2xL", group, number, vr, len(value)) + value
    return pack("<HH2sH", group, number, vr, len(value)) + value


def a_strange_object(instance: bytes, vr: bytes, image_type: bytes = b"ORIGINAL") -> bytes:
    """One whose SOP Instance UID comes under this VR."""
    return b"".join(
        (
            element(0x0008, 0x0008, b"CS", image_type),
            element(0x0008, 0x0016, b"UI", CT.encode()),
            element(0x0008, 0x0018, vr, instance),
            element(0x0010, 0x0020, b"LO", b"PAT1"),
            element(0x0020, 0x000D, b"UI", b"1.2.3.4"),
            element(0x7FE0, 0x0010, b"OW", b"\1\2" * 50),
        )
    )


class StrangeTests(SynchronousTestCase):
    def _same(self, series: Sequence[Sequence[bytes]]) -> None:
        together = Crossing(POLICIES[0], EXPLICIT)
        for number, pieces in enumerate(series, 1):
            self.assertEqual(together.arrived(number, pieces), Crossing(POLICIES[0], EXPLICIT).arrived(number, pieces))

    def test_a_named_element_under_un_is_written_as_un(self) -> None:
        self._same([[a_strange_object(b"1.2.3.%d" % number, b"UN")] for number in range(1, 6)])

    def test_a_named_element_of_an_unknown_vr_may_be_cut_anywhere(self) -> None:
        last = a_strange_object(b"1.2.3.9", b"ZZ", b"A" * 2000)
        for cut in range(2000, 2080):
            first = [[a_strange_object(b"1.2.3.%d" % number, b"ZZ")] for number in range(1, 4)]
            self._same([*first, [last[:cut], last[cut:]]])


class OneByOne(Clock):
    """A clock that makes one call at a time, as a reactor does between two reads."""

    def step(self) -> bool:
        if not self.calls:
            return False
        call = self.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True


class OvertakingTests(SynchronousTestCase):
    def test_pixel_data_does_not_overtake_a_long_head(self) -> None:
        head = element(0x0008, 0x0016, b"UI", CT.encode()) + element(0x0008, 0x0018, b"UI", b"1.2.3.10")
        head += element(0x0010, 0x0020, b"LO", b"PAT1")
        head += b"".join(element(0x0021, 0x1000 + number, b"US", b"aa") for number in range(2500))
        head += pack("<HH2s2xL", 0x7FE0, 0x0010, b"OW", 4000)
        for steps in range(20):
            clock = OneByOne()
            crossing = Crossing(POLICIES[0], EXPLICIT, clock)
            more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3.10"}
            crossing.border.send([command(CommandField.C_STORE_RQ, 1, has_data_set=True, sop_class=CT, more=more)])
            crossing.border.send([DataSetFragment(CONTEXT, [memoryview(head)], False)])
            for _ in range(steps):
                clock.step()
            crossing.border.send([DataSetFragment(CONTEXT, [memoryview(b"P" * 2000)], False)])
            crossing.border.send([DataSetFragment(CONTEXT, [memoryview(b"P" * 2000)], True)])
            while clock.step():
                pass
            first, *rest = crossing.peer.sent
            self.assertIsInstance(first, Command)
            fragments = [part for part in rest if isinstance(part, DataSetFragment)]
            self.assertEqual(len(fragments), len(rest))
            self.assertTrue(b"".join(bytes(part) for part in fragments).endswith(b"P" * 4000))


class SeriesTests(SynchronousTestCase):
    @PROPERTY
    @given(
        st.sampled_from(POLICIES),
        st.sampled_from(sorted(SYNTAXES)),
        st.lists(objects, min_size=1, max_size=3),
        st.lists(objects, min_size=1, max_size=6),
        st.data(),
    )
    def test_each_arrives_as_it_would_have_alone(
        self, policy: Policy, syntax: str, first: list[Dataset], others: list[Dataset], data: st.DataObject
    ) -> None:
        together = Crossing(policy, syntax)
        # Often enough for each of the first ones to be remembered.
        for number, each in enumerate([*first * 3, *others, *first], 1):
            encoded = editing.encoded(each, SYNTAXES[syntax])
            pieces = data.draw(chunkings(encoded))
            pieces = pieces if len(pieces) < 50 else [encoded[:100], encoded[100:]]
            alone = Crossing(policy, syntax).arrived(number, pieces)
            self.assertEqual(together.arrived(number, pieces), alone)
            if "ended" in together.user.told:
                break

    def test_they_are_recognised(self) -> None:
        replays: list[object] = []
        flush = Replay.flush

        def counted(replay: Replay) -> list[bytes | memoryview]:
            replays.append(replay)
            return flush(replay)

        self.patch(Replay, "flush", counted)
        together = Crossing(POLICIES[0], EXPLICIT)
        for number in range(1, 6):
            together.arrived(number, [editing.encoded(an_object({"InstanceNumber": number}), editing.EXPLICIT)])
        self.assertEqual(len(replays), 3)

    def test_nothing_is_left_of_one_for_the_collector(self) -> None:
        together = Crossing(POLICIES[0], EXPLICIT)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        # Other tests of this process may have left some that somebody still holds.
        before = {id(each) for each in self._of_messages()}
        for number in range(1, 6):
            together.arrived(number, [editing.encoded(an_object({"InstanceNumber": number}), editing.EXPLICIT)])
        self.assertEqual([each for each in self._of_messages() if id(each) not in before], [])

    def _of_messages(self) -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, (Streamed, Rewriter, Replay))]
