from __future__ import annotations

from io import BytesIO

from attrs import evolve
from pydicom.filereader import read_dataset

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import DataSetFragment, Part
from dimseproxy.errors import OutboundUnreachable
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.reception import Reception
from tests.association.playing import GET, MOVE, command, fragment, response
from tests.relay.data_sets import data_set
from tests.relay.fakes import FakeAssociation
from tests.relay.test_border import STUDY, commands
from tests.relay.test_moves import move
from tests.relay.test_under_a_policy import UnderAPolicy

SERIES = "1.2.3.4.1"


class LookingAheadTests(UnderAPolicy):
    def setUp(self) -> None:
        super().setUp()
        # One that is a round trip away.
        near = self.house.reception._privacy["research"]
        privacy = {"research": evolve(near, looks_ahead=True)}
        assert isinstance(near, Privacy)
        self.house.reception = Reception(self.house.settings, self.house.ways(), self.house.deadlines, privacy)
        self.house.reception.open()
        self.caller = self.house.call(MOVE, GET)

    def begin(self) -> None:
        self.caller.hears(move(study=self.pseudonym(Kind.STUDY, STUDY)))
        self.names.asked.clear()

    @property
    def asked(self) -> FakeAssociation:
        return self.house.pacs.associations[1]

    def answers(self, tag: tuple[int, int], *values: str) -> list[Part]:
        """Pending answers with one value each, then the last one."""
        parts: list[Part] = []
        for value in values:
            parts.append(response(CommandField.C_FIND_RSP, 1, 0xFF00, has_data_set=True))
            explicit = tag[0].to_bytes(2, "little") + tag[1].to_bytes(2, "little") + b"UI"
            padded = value.encode() + b"\0" * (len(value) % 2)
            parts.append(fragment(explicit + len(padded).to_bytes(2, "little") + padded))
        return [*parts, response(CommandField.C_FIND_RSP, 1)]

    def _query(self) -> tuple[str, str, str]:
        """Level, study and series of what was asked last."""
        data = b"".join(bytes(part) for part in self.asked.takes() if isinstance(part, DataSetFragment))
        keys = read_dataset(BytesIO(data), is_implicit_VR=False, is_little_endian=True)
        return keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.get("SeriesInstanceUID", "")

    def test_the_series_of_a_study_are_asked_for(self) -> None:
        self.begin()
        self.assertEqual(self._query(), ("SERIES", STUDY, ""))

    def test_then_the_instances_of_each(self) -> None:
        self.begin()
        self.asked.takes()
        self.asked.hears(self.answers((0x0020, 0x000E), SERIES))
        self.assertEqual(self._query(), ("IMAGE", STUDY, SERIES))

    def test_their_pseudonyms_are_asked_for_together(self) -> None:
        self.begin()
        self.asked.hears(self.answers((0x0020, 0x000E), SERIES))
        self.asked.hears(self.answers((0x0008, 0x0018), "1.2.1", "1.2.2"))
        wanted = {Identity(Kind.SERIES, SERIES), Identity(Kind.INSTANCE, "1.2.1"), Identity(Kind.INSTANCE, "1.2.2")}
        self.assertEqual(self.names.asked, [frozenset(wanted)])

    def test_its_association_is_released_then(self) -> None:
        self.begin()
        self.asked.hears(self.answers((0x0020, 0x000E)))
        self.assertEqual(self.asked.told, ["release"])

    def test_the_retrieve_does_not_wait_for_it(self) -> None:
        self.house.pacs._answers = False
        self.begin()
        self.assertEqual(commands(self.pacs.sent), ["C-MOVE-RQ"])

    def test_an_outbound_that_takes_no_second_association_is_not_asked(self) -> None:
        self.house.pacs.error = OutboundUnreachable("no")
        self.begin()
        self.assertEqual((commands(self.pacs.sent), self.caller.sent), (["C-MOVE-RQ"], []))

    def test_a_source_that_is_down_disturbs_nothing(self) -> None:
        self.begin()
        self.names.error = RuntimeError("down")
        self.asked.hears(self.answers((0x0020, 0x000E), SERIES))
        self.asked.hears(self.answers((0x0008, 0x0018), "1.2.1"))
        self.assertEqual((self.asked.told, self.caller.sent), (["release"], []))

    def test_a_c_get_as_well(self) -> None:
        study = data_set({(0x0008, 0x0052): "STUDY ", (0x0020, 0x000D): self.pseudonym(Kind.STUDY, STUDY)})
        request = command(CommandField.C_GET_RQ, 1, context_id=3, has_data_set=True, sop_class=GET)
        self.caller.hears(request, fragment(study, context_id=3))
        self.assertEqual(self._query(), ("SERIES", STUDY, ""))

    def test_a_caller_that_is_gone_needs_nothing(self) -> None:
        self.begin()
        self.caller.ends()
        self.assertEqual(self.asked.told, [(0, 0)])

    def test_nobody_asks_again_for_single_images(self) -> None:
        one = data_set({(0x0008, 0x0052): "IMAGE ", (0x0020, 0x000D): self.pseudonym(Kind.STUDY, STUDY)})
        request = command(CommandField.C_GET_RQ, 1, context_id=3, has_data_set=True, sop_class=GET)
        self.caller.hears(request, fragment(one, context_id=3))
        self.assertEqual(len(self.house.pacs.associations), 1)

    def test_what_is_at_hand_is_not_asked_for_ahead(self) -> None:
        near = UnderAPolicy("run")
        UnderAPolicy.setUp(near)
        caller = near.house.call(MOVE)
        caller.hears(move(study=near.pseudonym(Kind.STUDY, STUDY)))
        self.assertEqual(len(near.house.pacs.associations), 1)
