from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociationUser
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource, AssociationAborted
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.pseudonyms.interfaces import SourceUnavailable
from dimseproxy.relay.border import Border
from dimseproxy.relay.crossing import MAX_HELD_OCTETS
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import (
    CT,
    FIND,
    MOVE,
    VERIFICATION,
    a_request,
    an_accept,
    command,
    echo,
    echoed,
    fragment,
    response,
)
from tests.relay.data_sets import data_set
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names

INSTANCE = "1.2.3.4.5"
STUDY = "1.2.3.4"
PATIENT = "P-4711"
IN_ECHO, IN_STORE, IN_FIND, IN_MOVE = 1, 3, 5, 7


def an_object(tail: bytes = b"", pixels: bytes = b"\1\2" * 100) -> bytes:
    elements = {
        (0x0008, 0x0016): CT,
        (0x0008, 0x0018): INSTANCE,
        (0x0008, 0x0060): "CT",
        (0x0010, 0x0010): "Meier^Anna",
        (0x0010, 0x0020): PATIENT,
        (0x0020, 0x000D): STUDY,
        (0x0020, 0x000E): f"{STUDY}.1",
    }
    pixel_data = b"\xe0\x7f\x10\x00" + len(pixels).to_bytes(4, "little") + pixels
    return data_set(elements, pixel_data + tail)


def storing(message_id: int = 1, data: bytes | None = None) -> list[Part]:
    """A C-STORE-RQ of an object, all of it."""
    request = command(
        CommandField.C_STORE_RQ,
        message_id,
        context_id=IN_STORE,
        has_data_set=True,
        sop_class=CT,
        more={Element.AFFECTED_SOP_INSTANCE_UID: INSTANCE},
    )
    return [request, fragment(an_object() if data is None else data, context_id=IN_STORE)]


def stored(message_id: int = 1, **more: str) -> Command:
    elements: dict[Element, int | str | None] = {Element.AFFECTED_SOP_CLASS_UID: CT}
    elements.update({Element[name]: value for name, value in more.items()})
    return response(CommandField.C_STORE_RSP, message_id, context_id=IN_STORE, more=elements)


def asking(field: CommandField, context_id: int, message_id: int = 1, **keys: str) -> list[Part]:
    """A C-FIND-RQ or C-MOVE-RQ at study level."""
    tags = {"study": (0x0020, 0x000D), "patient": (0x0010, 0x0020), "name": (0x0010, 0x0010)}
    identifier = data_set({(0x0008, 0x0052): "STUDY ", **{tags[key]: value for key, value in keys.items()}})
    more: dict[Element, int | str | None] = {}
    if field == CommandField.C_MOVE_RQ:
        more[Element.MOVE_DESTINATION] = "CLIENT"
    return [
        command(field, message_id, context_id=context_id, has_data_set=True, sop_class=FIND, more=more),
        fragment(identifier, context_id=context_id),
    ]


def cancelling(message_id: int) -> Command:
    more: dict[Element, int | str | None] = {Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id}
    return command(CommandField.C_CANCEL_RQ, None, context_id=IN_FIND, more=more)


def answering(message_id: int = 1, patient: str = PATIENT) -> list[Part]:
    """A pending C-FIND-RSP."""
    found = data_set({(0x0010, 0x0010): "Meier^Anna", (0x0010, 0x0020): patient, (0x0020, 0x000D): STUDY})
    return [
        response(CommandField.C_FIND_RSP, message_id, Status.PENDING, context_id=IN_FIND, has_data_set=True),
        fragment(found, context_id=IN_FIND),
    ]


def read(parts: Sequence[Part]) -> Dataset:
    """The data set of a message."""
    data = b"".join(bytes(part) for part in parts if isinstance(part, DataSetFragment))
    return read_dataset(BytesIO(data), is_implicit_VR=True, is_little_endian=True)


def commands(parts: Sequence[Part]) -> list[str]:
    return [part.command_set.name for part in parts if isinstance(part, Command)]


def of(parts: Sequence[Part], index: int = 0) -> Command:
    """One of the commands."""
    return [part for part in parts if isinstance(part, Command)][index]


@implementer(IAssociationUser)
class User:
    """The side of the originals."""

    def __init__(self) -> None:
        self.heard: list[Part] = []
        self.told: list[str] = []

    def received(self, parts: Sequence[Part]) -> None:
        self.heard.extend(parts)

    def release_requested(self) -> None:
        self.told.append("release requested")

    def released(self) -> None:
        self.told.append("released")

    def ended(self, reason: AssociationAborted) -> None:
        self.told.append("ended")

    def pause_sending(self) -> None:
        self.told.append("pause")

    def resume_sending(self) -> None:
        self.told.append("resume")


class AtABorder(TestCase):
    """A border with the originals on our side and pseudonyms on the peer's."""

    def setUp(self) -> None:
        self.names = Names()
        self.clock = Clock()
        request = a_request(VERIFICATION, CT, FIND, MOVE)
        self.peer = FakeAssociation(request, an_accept(request))
        privacy = Privacy(compile_policy(name="research"), self.names, lambda: b"k" * 32)
        self.border = Border(self.peer, privacy, Direction.TO_PSEUDONYMS, self.clock)
        self.user = User()
        self.border.use(self.user)

    def pseudonym(self, kind: Kind, original: str) -> str:
        return self.names.of(Identity(kind, original))


class SendingTests(AtABorder):
    def test_a_message_without_identities_crosses_as_it_is(self) -> None:
        request = echo(1)
        self.border.send([request])
        self.assertIs(self.peer.sent[0], request)

    def test_an_object_arrives_under_pseudonyms(self) -> None:
        self.border.send(storing())
        arrived = read(self.peer.sent)
        self.assertEqual(
            (arrived.PatientID, arrived.SOPInstanceUID, arrived.StudyInstanceUID),
            (
                self.pseudonym(Kind.PATIENT, PATIENT),
                self.pseudonym(Kind.INSTANCE, INSTANCE),
                self.pseudonym(Kind.STUDY, STUDY),
            ),
        )

    def test_the_command_set_says_the_same_instance_as_the_object(self) -> None:
        self.border.send(storing())
        self.assertEqual(
            of(self.peer.sent).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), read(self.peer.sent).SOPInstanceUID
        )

    def test_an_object_of_another_class_than_its_command_says_is_refused(self) -> None:
        data = an_object().replace(f"{CT}\0".encode(), b"1.2.840.10008.5.1.4.1.1.4\0")
        self.border.send(storing(data=data))
        self.assertEqual((self.peer.sent, commands(self.user.heard)), ([], ["C-STORE-RSP"]))

    def test_the_pixel_data_arrives_as_it_was(self) -> None:
        self.border.send(storing())
        self.assertEqual(read(self.peer.sent).PixelData, b"\1\2" * 100)

    def test_one_lookup_for_all_that_an_object_holds(self) -> None:
        self.border.send(storing())
        self.assertEqual(len(self.names.asked), 1)

    def test_nothing_leaves_before_its_pseudonyms_are_known(self) -> None:
        self.names.holds = True
        self.border.send(storing())
        self.assertEqual(self.peer.sent, [])

    def test_it_leaves_as_soon_as_they_are(self) -> None:
        self.names.holds = True
        self.border.send(storing())
        self.names.answers()
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ"])

    def test_what_comes_after_it_waits_for_it(self) -> None:
        self.names.holds = True
        self.border.send([*storing(), echo(2)])
        self.names.answers()
        self.clock.advance(0)
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ", "C-ECHO-RQ"])

    def test_two_messages_look_their_identities_up_at_the_same_time(self) -> None:
        self.names.holds = True
        self.border.send([*storing(1), *storing(2)])
        self.assertEqual(len(self.names.asked), 2)

    def test_the_second_answer_first_changes_nothing_about_the_order(self) -> None:
        self.names.holds = True
        self.border.send([*storing(1), *storing(2)])
        self.names.answers(1)
        self.names.answers(0)
        self.clock.advance(0)
        self.assertEqual([of(self.peer.sent, index).command_set.message_id for index in (0, 1)], [1, 2])

    def test_what_is_ready_in_one_turn_leaves_at_once(self) -> None:
        self.names.holds = True
        self.border.send([part for message_id in range(1, 6) for part in storing(message_id)])
        for _ in range(3):
            self.names.answers()
        self.clock.advance(0)
        self.assertEqual([commands(parts) for parts in self.peer.sends], [["C-STORE-RQ"] * 3])

    def test_nothing_leaves_when_it_was_aborted_in_that_turn(self) -> None:
        self.names.holds = True
        self.border.send([*storing(1), *storing(2)])
        self.names.answers()
        self.border.abort(AbortSource.SERVICE_USER, 0)
        self.clock.advance(0)
        self.assertEqual((self.peer.sent, self.clock.getDelayedCalls()), ([], []))

    def test_whole_fragments_of_pixel_data_cross_as_they_are(self) -> None:
        data = an_object(pixels=bytes(300_000))
        request, _ = storing()
        middle = fragment(data[100_000:200_000], context_id=IN_STORE, is_last=False)
        self.border.send([request, fragment(data[:100_000], context_id=IN_STORE, is_last=False), middle])
        self.assertTrue(any(part is middle for part in self.peer.sent))

    def test_so_does_the_last_one(self) -> None:
        data = an_object(pixels=bytes(300_000))
        request, _ = storing()
        last = fragment(data[100_000:], context_id=IN_STORE)
        self.border.send([request, fragment(data[:100_000], context_id=IN_STORE, is_last=False), last])
        self.assertIs(self.peer.sent[-1], last)

    def test_an_error_comment_stays(self) -> None:
        self.border.send([stored(ERROR_COMMENT="Meier^Anna is locked")])
        self.assertEqual(of(self.peer.sent).command_set.text(Element.ERROR_COMMENT), "")


class FailureTests(AtABorder):
    def setUp(self) -> None:
        super().setUp()
        self.names.error = SourceUnavailable("down")

    def test_an_object_without_pseudonyms_does_not_leave(self) -> None:
        self.border.send(storing())
        self.assertEqual(self.peer.sent, [])

    def test_whoever_sent_it_is_told(self) -> None:
        self.border.send(storing(7))
        answer = of(self.user.heard).command_set
        self.assertEqual((answer.name, answer.responds_to, answer.status), ("C-STORE-RSP", 7, Status.OUT_OF_RESOURCES))

    def test_the_next_object_crosses_once_there_are_some(self) -> None:
        self.border.send(storing(1))
        self.names.error = None
        self.border.send(storing(2))
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ"])

    def test_a_refusal_waits_for_the_end_of_the_object(self) -> None:
        data = an_object(pixels=bytes(300_000))
        request, _ = storing()
        self.border.send([request, fragment(data[:200_000], context_id=IN_STORE, is_last=False)])
        self.assertEqual(self.user.heard, [])

    def test_an_answer_without_pseudonyms_ends_the_operation_with_a_failure(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.border.send(answering())
        self.assertEqual(of(self.peer.sent).command_set.status, Status.OUT_OF_RESOURCES)

    def test_no_further_answer_follows(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.border.send([*answering(), *answering(), response(CommandField.C_FIND_RSP, 1, context_id=IN_FIND)])
        self.assertEqual(commands(self.peer.sent), ["C-FIND-RSP"])

    def test_whoever_looks_for_answers_may_stop(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.border.send(answering())
        self.assertEqual(commands(self.user.heard), ["C-FIND-RQ", "C-CANCEL-RQ"])

    def test_what_fails_after_the_head_left_ends_the_association(self) -> None:
        self.names.error = None
        data = an_object(pixels=bytes(300_000))
        request, _ = storing()
        self.border.send([request, fragment(data[:200_000], context_id=IN_STORE, is_last=False)])
        self.border.send([fragment(data[200_000:] + b"\xfa\xff\xfa", context_id=IN_STORE)])
        self.assertEqual((self.peer.is_over, self.user.told), (True, ["ended"]))

    def test_what_fails_before_anything_left_is_a_failure_only(self) -> None:
        self.names.error = None
        request, _ = storing()
        self.border.send([request, fragment(an_object() + b"\xfa\xff\xfa", context_id=IN_STORE)])
        self.assertEqual((self.peer.sent, commands(self.user.heard)), ([], ["C-STORE-RSP"]))

    def test_a_transfer_syntax_that_nobody_knows_is_refused(self) -> None:
        request = a_request(VERIFICATION, CT, syntaxes=("1.2.840.113619.5.2",))
        peer = FakeAssociation(request, an_accept(request))
        privacy = Privacy(compile_policy(name="research"), self.names, lambda: b"k" * 32)
        border = Border(peer, privacy, Direction.TO_PSEUDONYMS, self.clock)
        border.use(self.user)
        border.send(storing())
        self.assertEqual((peer.sent, of(self.user.heard).command_set.status), ([], Status.SOP_CLASS_NOT_SUPPORTED))


class KeepingTests(AtABorder):
    """Success is reported when the pseudonyms are durable."""

    def setUp(self) -> None:
        super().setUp()
        self.names.kept = Deferred()

    def test_the_object_goes_at_once(self) -> None:
        self.border.send(storing())
        self.assertEqual(commands(self.peer.sent), ["C-STORE-RQ"])

    def test_its_response_waits(self) -> None:
        self.border.send(storing())
        self.peer.hears(stored())
        self.assertEqual(self.user.heard, [])

    def test_the_response_comes_when_they_are_kept(self) -> None:
        self.border.send(storing())
        self.peer.hears(stored())
        assert self.names.kept is not None
        self.names.kept.callback(None)
        self.assertEqual(of(self.user.heard).command_set.status, Status.SUCCESS)

    def test_the_response_is_a_failure_where_they_cannot_be_kept(self) -> None:
        self.border.send(storing())
        self.peer.hears(stored())
        assert self.names.kept is not None
        self.names.kept.errback(SourceUnavailable("disk full"))
        self.assertEqual(of(self.user.heard).command_set.status, Status.OUT_OF_RESOURCES)

    def test_an_answer_waits_itself(self) -> None:
        self.border.send(answering())
        self.assertEqual(self.peer.sent, [])


class ReceivingTests(AtABorder):
    def test_a_response_names_the_instance_that_was_sent(self) -> None:
        self.border.send(storing())
        pseudonym = self.pseudonym(Kind.INSTANCE, INSTANCE)
        self.peer.hears(stored(AFFECTED_SOP_INSTANCE_UID=pseudonym))
        self.assertEqual(of(self.user.heard).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), INSTANCE)

    def test_an_identifier_arrives_with_originals(self) -> None:
        study = self.pseudonym(Kind.STUDY, STUDY)
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, study=study))
        self.assertEqual(read(self.user.heard).StudyInstanceUID, STUDY)

    def test_an_unknown_pseudonym_finds_nothing(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, study="2.25.1"))
        self.assertEqual((self.user.heard, of(self.peer.sent).command_set.status), ([], Status.SUCCESS))

    def test_so_does_a_real_identifier(self) -> None:
        self.pseudonym(Kind.STUDY, STUDY)
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, study=STUDY))
        self.assertEqual((self.user.heard, of(self.peer.sent).command_set.status), ([], Status.SUCCESS))

    def test_a_retrieve_of_an_unknown_pseudonym_moves_nothing(self) -> None:
        self.peer.hears(asking(CommandField.C_MOVE_RQ, IN_MOVE, study="2.25.1"))
        answer = of(self.peer.sent).command_set
        self.assertEqual(
            (self.user.heard, answer.name, answer.number(Element.COMPLETED_SUB_OPERATIONS)), ([], "C-MOVE-RSP", 0)
        )

    def test_a_cancel_of_what_never_crossed_vanishes(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, 3, study="2.25.1"))
        self.peer.hears(cancelling(3))
        self.assertEqual(self.user.heard, [])

    def test_a_cancel_of_what_crossed_crosses(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, 3))
        self.peer.hears(cancelling(3))
        self.assertEqual(commands(self.user.heard), ["C-FIND-RQ", "C-CANCEL-RQ"])

    def test_an_object_that_is_sent_back_arrives_under_its_originals(self) -> None:
        self.border.send(storing())
        sent = self.peer.takes()
        self.peer.hears(of(sent), *[part for part in sent if isinstance(part, DataSetFragment)])
        arrived = read(self.user.heard)
        self.assertEqual(
            (arrived.PatientID, arrived.StudyInstanceUID, arrived.SOPInstanceUID), (PATIENT, STUDY, INSTANCE)
        )

    def test_an_object_of_an_unknown_patient_is_refused(self) -> None:
        self.peer.hears(storing())
        self.assertEqual((self.user.heard, commands(self.peer.sent)), ([], ["C-STORE-RSP"]))

    def test_the_refusal_is_a_failure(self) -> None:
        self.peer.hears(storing())
        self.assertNotEqual(of(self.peer.sent).command_set.status, Status.SUCCESS)


class FlowTests(AtABorder):
    def test_a_user_that_paused_hears_nothing(self) -> None:
        self.names.holds = True
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, study=self.pseudonym(Kind.STUDY, STUDY)))
        self.border.pause()
        self.names.answers()
        self.assertEqual(self.user.heard, [])

    def test_it_hears_it_when_it_goes_on(self) -> None:
        self.names.holds = True
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, study=self.pseudonym(Kind.STUDY, STUDY)))
        self.border.pause()
        self.names.answers()
        self.border.resume()
        self.assertEqual(commands(self.user.heard), ["C-FIND-RQ"])

    def test_its_peer_waits_meanwhile(self) -> None:
        self.border.pause()
        self.assertTrue(self.peer.is_paused)

    def test_much_that_waits_for_pseudonyms_makes_its_sender_wait(self) -> None:
        self.names.holds = True
        for message_id in range(1, 4):
            self.border.send(storing(message_id, an_object(pixels=bytes(MAX_HELD_OCTETS // 2))))
        self.assertEqual(self.user.told, ["pause"])

    def test_it_goes_on_when_they_are_there(self) -> None:
        self.names.holds = True
        for message_id in range(1, 4):
            self.border.send(storing(message_id, an_object(pixels=bytes(MAX_HELD_OCTETS // 2))))
        for _ in range(3):
            self.names.answers()
        self.clock.advance(0)
        self.assertEqual(self.user.told, ["pause", "resume"])

    def test_a_slow_peer_makes_the_user_wait(self) -> None:
        self.peer.user.pause_sending()
        self.assertEqual(self.user.told, ["pause"])

    def test_release_waits_for_what_is_on_its_way(self) -> None:
        self.names.holds = True
        self.border.send(answering())
        self.border.respond_release()
        self.assertEqual(self.peer.told, [])

    def test_release_follows_it(self) -> None:
        self.names.holds = True
        self.border.send(answering())
        self.border.respond_release()
        self.names.answers()
        self.assertEqual((commands(self.peer.sent), self.peer.told), (["C-FIND-RSP"], ["respond release"]))

    def test_an_abort_waits_for_nothing(self) -> None:
        self.names.holds = True
        self.border.send(answering())
        self.border.abort(0, 0)
        self.assertEqual(self.peer.told, [(0, 0)])

    def test_what_becomes_known_after_the_end_goes_nowhere(self) -> None:
        self.names.holds = True
        self.border.send(storing())
        self.peer.ends()
        self.names.answers()
        self.assertEqual((self.peer.sent, self.user.heard), ([], []))

    def test_an_echo_is_answered_beside_a_border(self) -> None:
        self.peer.hears(echo(1))
        self.border.send([echoed(1)])
        self.assertEqual((commands(self.user.heard), commands(self.peer.sent)), (["C-ECHO-RQ"], ["C-ECHO-RSP"]))
