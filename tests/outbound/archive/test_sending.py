from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment
from dimseproxy.errors import AssociationFailed
from dimseproxy.outbound.archive.sending import MAX_CONTEXTS, Outcome, Parcel, Reads, Sender
from dimseproxy.ul.pdu import AssociateRequest
from tests.association.playing import CT, EXPLICIT, IMPLICIT, response
from tests.outbound.archive.studies import Application, Pieces, at_once
from tests.outbound.archive.support import an_image, decoded, encoded
from tests.relay.fakes import FakeAssociation, FakeOutbound
from tests.support.process import until

JPEG = "1.2.840.10008.1.2.4.50"


def parcel(uid: str, *pieces: bytes, syntax: str = EXPLICIT, sop_class: str = CT, breaks: bool = False) -> Parcel:
    def read() -> Reads:
        return Pieces(*pieces or (b"object",), breaks=breaks)

    return Parcel(sop_class, uid, syntax, read)


class Senders(TestCase):
    def setUp(self) -> None:
        self.application = Application()
        self.clock = Clock()
        self.outcomes: list[tuple[str, Outcome]] = []
        self.sender = Sender(self.application, "PACS", "ARCHIVE", self.clock, at_once, 300.0)

    async def send(self, *parcels: Parcel) -> None:
        await self.sender.send(parcels, self.told)

    def told(self, sent: Parcel, outcome: Outcome) -> None:
        self.outcomes.append((sent.sop_instance, outcome))

    def statuses(self) -> list[int | None]:
        return [outcome.status for _, outcome in self.outcomes]


class SendingTests(Senders):
    async def test_objects_arrive_in_their_order(self) -> None:
        await self.send(parcel("1.1"), parcel("1.2"), parcel("1.3"))
        self.assertEqual(self.application.arrived, ["1.1", "1.2", "1.3"])

    async def test_the_data_set_arrives_as_it_was_read(self) -> None:
        await self.send(parcel("1.1", b"in ", b"several ", b"pieces"))
        self.assertEqual(self.application.received["1.1"], b"in several pieces")

    async def test_objects_share_an_association(self) -> None:
        await self.send(parcel("1.1"), parcel("1.2"))
        self.assertEqual([each.told for each in self.application.associations], [["release"]])

    async def test_the_application_is_called_by_its_title(self) -> None:
        await self.send(parcel("1.1"))
        request = self.application.associations[0].established.request
        self.assertEqual((request.called_ae_title, request.calling_ae_title), ("PACS", "ARCHIVE"))

    async def test_a_success_is_a_delivery(self) -> None:
        await self.send(parcel("1.1"))
        self.assertTrue(self.outcomes[0][1].is_delivered)

    async def test_a_warning_is_a_delivery(self) -> None:
        self.application.statuses["1.1"] = 0xB000
        await self.send(parcel("1.1"))
        self.assertTrue(self.outcomes[0][1].is_delivered)

    async def test_a_refusal_is_none(self) -> None:
        self.application.statuses["1.1"] = 0xC000
        await self.send(parcel("1.1"))
        self.assertEqual(self.outcomes, [("1.1", Outcome(0xC000, "status C000"))])
        self.assertFalse(self.outcomes[0][1].is_delivered)

    async def test_after_a_refusal_the_others_are_sent(self) -> None:
        self.application.statuses["1.1"] = 0xC000
        await self.send(parcel("1.1"), parcel("1.2"))
        self.assertEqual(self.application.arrived, ["1.2"])

    async def test_who_is_out_of_resources_is_sent_no_more(self) -> None:
        self.application.statuses["1.1"] = 0xA700
        await self.assertFailure(Deferred.fromCoroutine(self.send(parcel("1.1"), parcel("1.2"))), AssociationFailed)
        self.assertEqual((self.statuses(), self.application.associations[0].told), ([0xA700], ["abort"]))

    async def test_what_is_told_may_take_its_time(self) -> None:
        writing: list[Deferred[None]] = []

        def told(sent: Parcel, outcome: Outcome) -> Deferred[None]:
            writing.append(Deferred())
            return writing[-1]

        sending = Deferred.fromCoroutine(self.sender.send([parcel("1.1"), parcel("1.2")], told))
        await until(lambda: writing, "the first object is told")
        self.assertEqual(self.application.arrived, ["1.1"])
        writing[0].callback(None)
        await until(lambda: len(writing) > 1, "the second one is told")
        writing[1].callback(None)
        await sending

    async def test_nothing_to_send_is_no_association(self) -> None:
        await self.send()
        self.assertEqual(self.application.asked, 0)


class NegotiationTests(Senders):
    async def test_an_object_goes_as_it_is_where_that_is_accepted(self) -> None:
        image = encoded(an_image(), EXPLICIT)
        await self.send(parcel("1.1", image))
        self.assertEqual(self.application.received["1.1"], image)

    async def test_one_without_compression_goes_in_another_syntax(self) -> None:
        self.application.accepts = lambda sop_class, transfer_syntax: transfer_syntax == IMPLICIT
        await self.send(parcel("1.1", encoded(an_image(), EXPLICIT)))
        self.assertEqual(decoded(self.application.received["1.1"], IMPLICIT), an_image())

    async def test_one_that_cannot_be_converted_is_not_sent(self) -> None:
        self.application.accepts = lambda sop_class, transfer_syntax: transfer_syntax == IMPLICIT
        await self.send(parcel("1.1", b"no data set at all"), parcel("1.2", encoded(an_image(), EXPLICIT)))
        self.assertEqual((self.statuses(), self.application.arrived), ([None, 0], ["1.2"]))

    async def test_a_compressed_one_goes_in_its_own_syntax_or_not_at_all(self) -> None:
        self.application.accepts = lambda sop_class, transfer_syntax: transfer_syntax == IMPLICIT
        await self.send(parcel("1.1", syntax=JPEG))
        self.assertEqual((self.statuses(), self.application.received), ([None], {}))

    async def test_a_sop_class_that_is_not_accepted_is_not_sent(self) -> None:
        self.application.accepts = lambda sop_class, transfer_syntax: sop_class == CT
        await self.send(parcel("1.1", sop_class="1.2.3"), parcel("1.2"))
        self.assertEqual((self.statuses(), self.application.arrived), ([None, 0], ["1.2"]))

    async def test_each_transfer_syntax_has_a_context_of_its_own(self) -> None:
        await self.send(parcel("1.1", syntax=JPEG), parcel("1.2", syntax="1.2.840.10008.1.2.5"))
        contexts = self.application.associations[0].established.contexts.values()
        self.assertEqual([each.transfer_syntax for each in contexts], [JPEG, "1.2.840.10008.1.2.5"])

    async def test_what_does_not_fit_on_one_association_takes_another(self) -> None:
        parcels = [parcel(f"1.{number}", syntax=JPEG, sop_class=f"1.9.{number}") for number in range(MAX_CONTEXTS + 1)]
        await self.send(*parcels)
        proposed = [len(each.established.request.contexts) for each in self.application.associations]
        self.assertEqual((proposed, len(self.application.arrived)), ([MAX_CONTEXTS, 1], MAX_CONTEXTS + 1))


class FailureTests(Senders):
    async def fails(self, *parcels: Parcel) -> str:
        try:
            await self.send(*parcels)
        except AssociationFailed as error:
            return str(error)
        raise self.failureException("it did not fail")

    async def test_an_application_that_is_away(self) -> None:
        self.application.is_up = False
        self.assertIn("cannot be reached", await self.fails(parcel("1.1")))

    async def test_an_association_that_ends_in_the_middle(self) -> None:
        self.application.ends_after = 1
        await self.fails(parcel("1.1"), parcel("1.2"), parcel("1.3"))
        self.assertEqual(self.statuses(), [0])

    async def test_an_answer_that_does_not_come(self) -> None:
        self.application.silent.add("1.1")
        sending = Deferred.fromCoroutine(self.send(parcel("1.1")))
        await until(lambda: self.clock.getDelayedCalls(), "an answer is waited for")
        self.clock.advance(300)
        failure = self.failureResultOf(sending, AssociationFailed)
        self.assertEqual(
            (failure.getErrorMessage(), self.application.associations[0].told),
            ("the application did not answer in time", ["abort"]),
        )

    async def test_a_file_that_cannot_be_opened_is_left_out(self) -> None:
        def read() -> Reads:
            raise FileNotFoundError("SECRET")

        await self.send(Parcel(CT, "1.1", EXPLICIT, read), parcel("1.2"))
        self.assertEqual(
            (self.outcomes[0], self.application.arrived),
            (("1.1", Outcome(None, "it cannot be read: FileNotFoundError")), ["1.2"]),
        )

    async def test_a_file_that_breaks_off_does_not_arrive_as_if_it_were_whole(self) -> None:
        await self.send(parcel("1.1", b"half", breaks=True))
        self.assertEqual((self.application.arrived, self.application.associations[0].told), ([], ["abort"]))

    async def test_after_a_file_that_breaks_off_the_others_are_sent(self) -> None:
        await self.send(parcel("1.1", b"half", breaks=True), parcel("1.2"))
        self.assertEqual((self.statuses(), self.application.arrived), ([None, 0], ["1.2"]))

    async def test_sending_is_ended_while_an_answer_is_waited_for(self) -> None:
        self.application.silent.add("1.1")
        sending = Deferred.fromCoroutine(self.send(parcel("1.1")))
        await until(lambda: self.clock.getDelayedCalls(), "an answer is waited for")
        self.sender.abort()
        await self.assertFailure(sending, AssociationFailed)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_sending_is_ended_while_an_association_is_asked_for(self) -> None:
        outbound = FakeOutbound(answers=False)
        sender = Sender(outbound, "PACS", "ARCHIVE", self.clock, at_once)
        sending = Deferred.fromCoroutine(sender.send([parcel("1.1")], self.told))
        sender.abort()
        await self.assertFailure(sending, AssociationFailed)
        self.assertEqual(outbound.given_up, 1)


class PaceTests(TestCase):
    """An association on which the test says when something is taken."""

    def setUp(self) -> None:
        self.outbound = FakeOutbound()
        self.statuses: list[int | None] = []
        self.sender = Sender(self.outbound, "PACS", "ARCHIVE", Clock(), at_once)

    def send(self, *parcels: Parcel) -> Deferred[None]:
        return Deferred.fromCoroutine(
            self.sender.send(parcels, lambda sent, outcome: self.statuses.append(outcome.status))
        )

    @property
    def association(self) -> FakeAssociation:
        return self.outbound.associations[0]

    def requested(self) -> AssociateRequest:
        return self.outbound.requests[0]

    def answers(self, message_id: int, status: int = 0, field: CommandField = CommandField.C_STORE_RSP) -> None:
        self.association.hears(response(field, message_id, status))

    def data(self) -> Sequence[bytes]:
        return [bytes(part) for part in self.association.sent if isinstance(part, DataSetFragment)]

    def test_nothing_is_sent_while_the_application_is_slow(self) -> None:
        paused: list[None] = []

        class Slow(Pieces):
            def step(inner) -> list[bytes]:
                if not paused:
                    paused.append(None)
                    self.association.user.pause_sending()
                return super().step()

        sending = self.send(Parcel(CT, "1.1", EXPLICIT, lambda: Slow(b"a", b"b")))
        self.assertEqual(self.association.sent, [])
        self.association.user.resume_sending()
        self.assertEqual(self.data(), [b"a", b"b"])
        self.answers(1)
        self.association.user.released()
        self.successResultOf(sending)

    def test_sending_is_ended_while_a_release_is_waited_for(self) -> None:
        sending = self.send(parcel("1.1"))
        self.answers(1)
        self.assertNoResult(sending)
        self.sender.abort()
        self.successResultOf(sending)
        self.assertEqual(self.association.told, ["release", (0, 0)])

    def test_a_request_says_what_it_brings(self) -> None:
        self.send(parcel("1.1"))
        command = self.association.sent[0]
        assert isinstance(command, Command)
        self.assertEqual(
            (command.command_set.sop_class, command.command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)), (CT, "1.1")
        )

    def test_the_next_object_waits_for_the_answer(self) -> None:
        self.send(parcel("1.1"), parcel("1.2"))
        self.assertEqual(self.association.commands, ["C-STORE-RQ"])

    def test_an_answer_to_something_else_is_none(self) -> None:
        self.send(parcel("1.1"), parcel("1.2"))
        self.answers(7)
        self.answers(1, field=CommandField.C_ECHO_RSP)
        self.assertEqual(self.statuses, [])

    def test_a_second_answer_does_not_count_for_the_next_object(self) -> None:
        self.send(parcel("1.1"), parcel("1.2"))
        self.answers(1)
        self.answers(1, 0xC000)
        self.assertEqual(self.statuses, [0])

    def test_an_answer_before_the_end_of_an_object_counts(self) -> None:
        class Early(Pieces):
            def step(inner) -> list[bytes]:
                if inner.total == 2 and self.outbound.associations and self.association.sent:
                    self.answers(1, 0xC000)
                return super().step()

        self.send(Parcel(CT, "1.1", EXPLICIT, lambda: Early(b"a", b"b")))
        self.assertEqual((self.data(), self.statuses), ([b"a", b"b"], [0xC000]))

    def test_an_application_that_releases_is_let_go(self) -> None:
        sending = self.send(parcel("1.1"))
        self.association.user.release_requested()
        self.failureResultOf(sending, AssociationFailed)
        self.assertEqual(self.association.told[-1], "respond release")
