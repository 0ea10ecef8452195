"""Calls, retrieves and reports on a route with a privacy policy: whichever way they take, they cross the border."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from attrs import evolve
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import Route
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import NO_REASON_GIVEN
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.reception import Reception
from dimseproxy.ul.user_information import RoleSelection
from tests.association.playing import (
    COMMITMENT,
    CT,
    GET,
    MOVE,
    VERIFICATION,
    a_request,
    command,
    fragment,
    response,
)
from tests.relay.data_sets import data_set
from tests.relay.fakes import FakeAssociation, FakeIncoming, House
from tests.relay.sources import Names
from tests.relay.test_border import INSTANCE, PATIENT, STUDY, an_object, commands, of, read
from tests.relay.test_moves import OWN_ID, move, moved

PRINT = "1.2.840.10008.5.1.1.9"


def storing(message_id: int, context_id: int = 1, originator: int | None = None) -> list[Part]:
    """A sub-operation with originals."""
    more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: INSTANCE}
    if originator is not None:
        more |= {Element.MOVE_ORIGINATOR_AE_TITLE: "DIMSEPROXY", Element.MOVE_ORIGINATOR_MESSAGE_ID: originator}
    request = command(
        CommandField.C_STORE_RQ, message_id, context_id=context_id, has_data_set=True, sop_class=CT, more=more
    )
    return [request, fragment(an_object(), context_id=context_id)]


def failing(*instances: str) -> list[Part]:
    """A C-MOVE-RSP with a failed list."""
    failed = data_set({(0x0008, 0x0058): "\\".join(instances)})
    return [response(CommandField.C_MOVE_RSP, OWN_ID, 0xB000, has_data_set=True), fragment(failed)]


class UnderAPolicy(TestCase):
    """A house whose only route is under a policy."""

    originals = "outbound"
    changes: dict[str, object] = {}  # noqa: RUF012

    def setUp(self) -> None:
        house = House.with_pacs(**self.changes)
        self.house = House(
            settings=evolve(house.settings, routes=(Route(outbound="pacs", privacy="research"),)),
        )
        self.names = Names()
        policy = compile_policy(name="research", originals=self.originals)  # type: ignore[arg-type]
        privacy = {"research": Privacy(policy, self.names, lambda: b"k" * 32)}
        self.house.reception = Reception(self.house.settings, self.house.ways(), self.house.deadlines, privacy)
        self.house.reception.open()

    @property
    def pacs(self) -> FakeAssociation:
        return self.house.pacs.associations[0]

    @property
    def application(self) -> FakeAssociation:
        return self.house.applications["CLIENT"].associations[0]

    def pseudonym(self, kind: Kind, original: str) -> str:
        return self.names.of(Identity(kind, original))

    def assert_pseudonymised(self, parts: Sequence[Part]) -> None:
        arrived = read(parts)
        self.assertEqual(
            (arrived.PatientID, arrived.SOPInstanceUID, of(parts).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)),
            (
                self.pseudonym(Kind.PATIENT, PATIENT),
                self.pseudonym(Kind.INSTANCE, INSTANCE),
                self.pseudonym(Kind.INSTANCE, INSTANCE),
            ),
        )


class ShieldedMoveTests(UnderAPolicy):
    def setUp(self) -> None:
        super().setUp()
        self.caller = self.house.call(MOVE, VERIFICATION)
        self.caller.hears(move(study=self.pseudonym(Kind.STUDY, STUDY)))

    def test_the_outbound_is_asked_for_the_original(self) -> None:
        self.assertEqual(read(self.pacs.sent).StudyInstanceUID, STUDY)

    def test_the_objects_arrive_under_pseudonyms(self) -> None:
        self.house.deliver(CT).hears(storing(1, originator=OWN_ID))
        self.assert_pseudonymised(self.application.sent)

    def test_without_a_move_originator_the_study_decides_as_ever(self) -> None:
        self.house.deliver(CT).hears(storing(1))
        self.assert_pseudonymised(self.application.sent)

    def test_the_outbound_is_answered_about_its_own_instance(self) -> None:
        delivery = self.house.deliver(CT)
        delivery.hears(storing(1, originator=OWN_ID))
        more: dict[Element, int | str | None] = {
            Element.AFFECTED_SOP_INSTANCE_UID: self.pseudonym(Kind.INSTANCE, INSTANCE)
        }
        self.application.hears(response(CommandField.C_STORE_RSP, 1, more=more))
        self.assertEqual(of(delivery.sent).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), INSTANCE)

    def test_a_failed_list_of_the_outbound_comes_under_pseudonyms(self) -> None:
        self.pacs.hears(failing(INSTANCE, "1.2.3.4.6"))
        self.assertEqual(
            list(read(self.caller.sent).FailedSOPInstanceUIDList),
            [self.pseudonym(Kind.INSTANCE, INSTANCE), self.pseudonym(Kind.INSTANCE, "1.2.3.4.6")],
        )

    def test_so_does_one_of_our_own(self) -> None:
        self.house.deliver(CT).hears(storing(1, originator=OWN_ID))
        self.application.hears(response(CommandField.C_STORE_RSP, 1, 0xA700))
        self.pacs.hears(moved(completed=1))
        self.assertEqual(read(self.caller.sent).FailedSOPInstanceUIDList, self.pseudonym(Kind.INSTANCE, INSTANCE))

    def test_what_has_no_pseudonym_counts_as_failed(self) -> None:
        delivery = self.house.deliver(CT)
        self.names.error = RuntimeError("broken")
        delivery.hears(storing(1, originator=OWN_ID))
        self.assertEqual(
            (of(delivery.sent).command_set.status, commands(self.application.sent)), (Status.PROCESSING_FAILURE, [])
        )

    def test_an_unknown_study_is_moved_without_the_outbound(self) -> None:
        self.pacs.takes()
        self.caller.hears(move(message_id=2, study=STUDY))
        self.assertEqual((self.pacs.sent, of(self.caller.sent).command_set.status), ([], Status.SUCCESS))


class DirectDeliveryTests(UnderAPolicy):
    changes = {"deliver": "direct"}  # noqa: RUF012

    def test_objects_never_pass_by_the_proxy(self) -> None:
        caller = self.house.call(MOVE)
        caller.hears(move(study=self.pseudonym(Kind.STUDY, STUDY)))
        self.assertEqual(of(self.pacs.sent).command_set.text(Element.MOVE_DESTINATION), "DIMSEPROXY")


class ShieldedMoveByGetTests(UnderAPolicy):
    changes = {"retrieve": "get"}  # noqa: RUF012

    def setUp(self) -> None:
        super().setUp()
        self.caller = self.house.call(MOVE)
        self.caller.hears(move(study=self.pseudonym(Kind.STUDY, STUDY)))
        self.get = self.house.pacs.associations[1]

    def test_the_outbound_is_asked_for_the_original(self) -> None:
        self.assertEqual(read(self.get.sent).StudyInstanceUID, STUDY)

    def test_the_objects_arrive_under_pseudonyms(self) -> None:
        asked = self.house.applications["CLIENT"].requests[0].contexts
        context_id = next(each.context_id for each in asked if each.abstract_syntax == CT)
        request, _ = storing(1, context_id)
        explicit = DicomBytesIO()
        explicit.is_little_endian, explicit.is_implicit_VR = True, False
        write_dataset(explicit, read([fragment(an_object())]))
        self.get.hears(request, fragment(explicit.getvalue(), context_id=context_id))
        sent = b"".join(bytes(part) for part in self.application.sent if isinstance(part, DataSetFragment))
        arrived = read_dataset(BytesIO(sent), is_implicit_VR=False, is_little_endian=True)
        self.assertEqual(arrived.PatientID, self.pseudonym(Kind.PATIENT, PATIENT))

    def test_a_failed_list_comes_under_pseudonyms(self) -> None:
        failed = data_set({(0x0008, 0x0058): INSTANCE})
        self.get.hears(response(CommandField.C_GET_RSP, 1, 0xB000, has_data_set=True), fragment(failed))
        self.assertEqual(read(self.caller.sent).FailedSOPInstanceUIDList, self.pseudonym(Kind.INSTANCE, INSTANCE))


class ShieldedGetByMoveTests(UnderAPolicy):
    changes = {"retrieve": "move"}  # noqa: RUF012

    def test_the_objects_arrive_under_pseudonyms(self) -> None:
        caller = FakeIncoming(
            a_request(GET, CT, calling="CLIENT", called="SHIELD", roles=(RoleSelection(CT, False, True),))
        )
        self.house.reception.incoming(caller)
        study = data_set({(0x0008, 0x0052): "STUDY ", (0x0020, 0x000D): self.pseudonym(Kind.STUDY, STUDY)})
        caller.hears(command(CommandField.C_GET_RQ, 1, has_data_set=True, sop_class=GET), fragment(study))
        self.house.deliver(CT).hears(storing(1, originator=OWN_ID))
        self.assert_pseudonymised(caller.sent)


class ShieldedCommitmentTests(UnderAPolicy):
    def setUp(self) -> None:
        super().setUp()
        self.caller = self.house.call(COMMITMENT)
        self.caller.hears(*self._about(CommandField.N_ACTION_RQ, self.pseudonym(Kind.INSTANCE, INSTANCE)))

    def _about(self, field: CommandField, instance: str) -> list[Part]:
        referenced = data_set({(0x0008, 0x1150): CT, (0x0008, 0x1155): instance})
        item = b"\xfe\xff\x00\xe0" + len(referenced).to_bytes(4, "little") + referenced
        sequence = b"\x08\x00\x99\x11" + len(item).to_bytes(4, "little") + item
        data = data_set({(0x0008, 0x1195): "1.2.9"}, sequence)
        return [command(field, 5, has_data_set=True, sop_class=COMMITMENT), fragment(data)]

    def _referenced(self, parts: Sequence[Part]) -> str:
        return str(read(parts).ReferencedSOPSequence[0].ReferencedSOPInstanceUID)

    def test_the_outbound_is_asked_about_the_original(self) -> None:
        self.assertEqual(self._referenced(self.pacs.sent), INSTANCE)

    def test_a_report_on_the_same_association_comes_under_pseudonyms(self) -> None:
        self.pacs.hears(self._about(CommandField.N_EVENT_REPORT_RQ, INSTANCE))
        self.assertEqual(self._referenced(self.caller.sent), self.pseudonym(Kind.INSTANCE, INSTANCE))

    def test_so_does_one_on_a_new_association(self) -> None:
        self.house.deliver(COMMITMENT).hears(self._about(CommandField.N_EVENT_REPORT_RQ, INSTANCE))
        self.assertEqual(self._referenced(self.application.sent), self.pseudonym(Kind.INSTANCE, INSTANCE))

    def test_the_transaction_keeps_its_name(self) -> None:
        self.house.deliver(COMMITMENT).hears(self._about(CommandField.N_EVENT_REPORT_RQ, INSTANCE))
        self.assertEqual(read(self.application.sent).TransactionUID, "1.2.9")


class ExportTests(UnderAPolicy):
    originals = "inbound"

    def test_what_callers_store_leaves_under_pseudonyms(self) -> None:
        self.house.call(CT).hears(storing(1))
        self.assert_pseudonymised(self.pacs.sent)

    def test_a_study_is_asked_for_by_its_pseudonym(self) -> None:
        self.house.call(MOVE).hears(move(study=STUDY))
        self.assertEqual(read(self.pacs.sent).StudyInstanceUID, self.pseudonym(Kind.STUDY, STUDY))

    def test_what_comes_back_arrives_under_its_originals(self) -> None:
        caller = self.house.call(MOVE, CT)
        caller.hears(*storing(1, context_id=3))
        exported = self.pacs.takes()
        caller.hears(move(study=STUDY))
        named = of(exported).command_set.replace({Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID})
        data = b"".join(bytes(part) for part in exported if isinstance(part, DataSetFragment))
        self.house.deliver(CT).hears(Command(1, named), fragment(data))
        self.assertEqual(read(self.application.sent).PatientID, PATIENT)

    def test_films_do_not_leave(self) -> None:
        caller = self.house.call(PRINT)
        self.assertEqual(caller.rejection, NO_REASON_GIVEN)


class ExportedMoveByGetTests(UnderAPolicy):
    originals = "inbound"
    changes = {"retrieve": "get"}  # noqa: RUF012

    def setUp(self) -> None:
        super().setUp()
        caller = self.house.call(MOVE)
        caller.hears(move(study=STUDY))
        self.get = self.house.pacs.associations[1]

    def test_the_outbound_is_asked_by_pseudonym(self) -> None:
        self.assertEqual(read(self.get.sent).StudyInstanceUID, self.pseudonym(Kind.STUDY, STUDY))

    def test_the_objects_arrive_under_their_originals(self) -> None:
        asked = self.house.applications["CLIENT"].requests[0].contexts
        context_id = next(each.context_id for each in asked if each.abstract_syntax == CT)
        data = data_set({(0x0008, 0x0018): self.pseudonym(Kind.INSTANCE, INSTANCE)})
        explicit = data[:4] + b"UI" + data[4:6] + data[8:]
        more: dict[Element, int | str | None] = {
            Element.AFFECTED_SOP_INSTANCE_UID: self.pseudonym(Kind.INSTANCE, INSTANCE)
        }
        request = command(CommandField.C_STORE_RQ, 1, context_id=context_id, has_data_set=True, sop_class=CT, more=more)
        self.get.hears(request, fragment(explicit, context_id=context_id))
        self.assertEqual(of(self.application.sent).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), INSTANCE)


class ReadinessTests(UnderAPolicy):
    def test_callers_wait_until_the_policies_are_open(self) -> None:
        reception = Reception(self.house.settings, self.house.ways(), self.house.deadlines, {})
        caller = FakeIncoming(a_request(VERIFICATION, calling="CLIENT"))
        reception.incoming(caller)
        self.assertEqual((caller.is_accepted, caller.rejection, self.house.pacs.requests), (False, None, []))
