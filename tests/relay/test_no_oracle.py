"""What a caller under a policy must not learn from what it is answered, or not answered."""

from __future__ import annotations

from datetime import date, timedelta

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.sop_classes import FILTERED_SUBSCRIPTION, INVENTORY_CREATION
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.pseudonyms.interfaces import SourceUnavailable
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import FIND, command, echo, fragment, response
from tests.relay.data_sets import data_set
from tests.relay.test_border import (
    IN_ECHO,
    IN_FIND,
    PATIENT,
    STUDY,
    AtABorder,
    User,
    answering,
    asking,
    commands,
    read,
)

ORIGINAL = date(2024, 1, 15)
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"


def statuses(parts: list[Part]) -> list[int]:
    return [part.command_set.status for part in parts if isinstance(part, Command) and part.command_set.is_response]


class DuplicateMessageIdTests(AtABorder):
    """What is known of a request decides what its answers may show: nothing takes its place."""

    def test_a_second_query_is_refused(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND, name="Meier^Anna"))
        self.assertEqual(statuses(self.peer.sent), [Status.DUPLICATE_INVOCATION])
        self.assertEqual(commands(self.user.heard), ["C-FIND-RQ"])

    def test_so_is_an_echo(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.peer.hears([echo(1, context_id=IN_ECHO)])
        self.assertEqual(statuses(self.peer.sent), [Status.DUPLICATE_INVOCATION])

    def test_the_first_goes_on(self) -> None:
        self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
        self.peer.hears([echo(1, context_id=IN_ECHO)])
        self.border.send(answering())
        self.assertEqual(read(self.peer.sent).PatientID, self.pseudonym(Kind.PATIENT, PATIENT))

    def test_an_id_may_be_used_again(self) -> None:
        for _ in range(2):
            self.peer.hears(asking(CommandField.C_FIND_RQ, IN_FIND))
            self.border.send([response(CommandField.C_FIND_RSP, 1, context_id=IN_FIND)])
        self.assertEqual(statuses(self.peer.sent), [Status.SUCCESS, Status.SUCCESS])


class MovedDatesTests(AtABorder):
    """The outbound is asked for a range that covers every shift; what it has there is nothing to the caller."""

    def setUp(self) -> None:
        super().setUp()
        policy = compile_policy(name="research", options=["retain-longitudinal-modified-dates"], keep=[0x00081030])
        privacy = Privacy(policy, self.names, lambda: b"k" * 32)
        self.border = Border(self.peer, privacy, Direction.TO_PSEUDONYMS, Clock())
        self.user = User()
        self.border.use(self.user)

    def asked_for(self, day: date, description: str = "") -> list[int]:
        """What a caller is told who asks for a day; the outbound has one study, of another day."""
        del self.peer.sent[:], self.user.heard[:]
        text = day.strftime("%Y%m%d")
        identifier = data_set({(0x0008, 0x0020): text, (0x0008, 0x0052): "STUDY ", (0x0008, 0x1030): ""})
        request = command(CommandField.C_FIND_RQ, 1, context_id=IN_FIND, has_data_set=True, sop_class=FIND)
        self.peer.hears([request, fragment(identifier, context_id=IN_FIND)])
        first, _, last = str(read(self.user.heard).StudyDate).partition("-")
        if first <= ORIGINAL.strftime("%Y%m%d") <= last:
            found = data_set(
                {
                    (0x0008, 0x0020): ORIGINAL.strftime("%Y%m%d"),
                    (0x0008, 0x1030): description,
                    (0x0010, 0x0020): PATIENT,
                    (0x0020, 0x000D): STUDY,
                }
            )
            pending = response(CommandField.C_FIND_RSP, 1, Status.PENDING, context_id=IN_FIND, has_data_set=True)
            self.border.send([pending, fragment(found, context_id=IN_FIND)])
        self.border.send([response(CommandField.C_FIND_RSP, 1, context_id=IN_FIND)])
        return statuses(self.peer.sent)

    def days(self) -> list[date]:
        return [ORIGINAL - timedelta(days) for days in (400, 364, 200, 2, 1)]

    def test_every_day_but_the_moved_one_finds_nothing(self) -> None:
        found = [day for day in self.days() if self.asked_for(day) != [Status.SUCCESS]]
        self.assertLessEqual(len(found), 1)

    def test_an_answer_that_the_guard_would_stop_is_not_told_of(self) -> None:
        # It names its study in the clear.
        for day in self.days():
            self.assertEqual(self.asked_for(day, f"see {STUDY}"), [Status.SUCCESS], day)

    def test_without_pseudonyms_it_is_a_failure_all_the_same(self) -> None:
        self.names.error = SourceUnavailable("gone")
        self.assertIn(Status.OUT_OF_RESOURCES, self.asked_for(ORIGINAL - timedelta(200)))


class QueryByActionTests(AtABorder):
    def act(self, sop_class: str, instance: str) -> None:
        keys = data_set({(0x0010, 0x0010): "Mei*"})
        more: dict[Element, int | str | None] = {
            Element.REQUESTED_SOP_CLASS_UID: sop_class,
            Element.REQUESTED_SOP_INSTANCE_UID: instance,
            Element.ACTION_TYPE_ID: 3,
        }
        request = command(CommandField.N_ACTION_RQ, 1, context_id=IN_ECHO, has_data_set=True, sop_class="", more=more)
        self.peer.hears([request, fragment(keys, context_id=IN_ECHO)])

    def test_a_filtered_subscription_is_refused(self) -> None:
        self.act(UPS_PUSH, FILTERED_SUBSCRIPTION)
        self.assertEqual((statuses(self.peer.sent), self.user.heard), ([Status.NOT_AUTHORIZED], []))

    def test_so_is_an_inventory(self) -> None:
        self.act(INVENTORY_CREATION, "1.2.3")
        self.assertEqual((statuses(self.peer.sent), self.user.heard), ([Status.NOT_AUTHORIZED], []))


class ToThePseudonymsTests(AtABorder):
    """A request that says pseudonyms to its receiver has no response that could wait until they are durable."""

    def setUp(self) -> None:
        super().setUp()
        self.names.kept = Deferred()

    def ask(self) -> None:
        self.border.send(asking(CommandField.C_FIND_RQ, IN_FIND, patient=PATIENT))

    def test_it_waits_itself(self) -> None:
        self.ask()
        self.assertEqual(self.peer.sent, [])

    def test_it_leaves_when_they_are(self) -> None:
        self.ask()
        assert self.names.kept is not None
        self.names.kept.callback(None)
        self.assertEqual(read(self.peer.sent).PatientID, self.pseudonym(Kind.PATIENT, PATIENT))

    def test_it_fails_where_they_cannot_be(self) -> None:
        self.ask()
        assert self.names.kept is not None
        self.names.kept.errback(SourceUnavailable("disk full"))
        self.assertEqual((self.peer.sent, statuses(self.user.heard)), ([], [Status.OUT_OF_RESOURCES]))

    def test_so_does_a_command_without_a_data_set(self) -> None:
        more: dict[Element, int | str | None] = {Element.REQUESTED_SOP_INSTANCE_UID: "1.2.3"}
        self.border.send([command(CommandField.N_DELETE_RQ, 2, context_id=IN_ECHO, sop_class="", more=more)])
        self.assertEqual(self.peer.sent, [])
