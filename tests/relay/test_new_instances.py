"""Objects that a caller of the shield made: their command set says what their data set says."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.new_uids import new_uid
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import CT, a_request, an_accept, command, fragment
from tests.relay.data_sets import data_set
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names
from tests.relay.test_border import INSTANCE, PATIENT, STUDY, User, of, read, stored

KEY = b"k" * 32
IN_STORE = 1


class NewInstances(TestCase):
    """A border at which new instances are accepted."""

    def setUp(self) -> None:
        self.names = Names()
        request = a_request(CT)
        self.peer = FakeAssociation(request, an_accept(request))
        privacy = Privacy(compile_policy(new_instances="accept"), self.names, lambda: KEY)
        self.border = Border(self.peer, privacy, Direction.TO_PSEUDONYMS, Clock())
        self.user = User()
        self.border.use(self.user)

    def storing(self, instance: str) -> list[Part]:
        """A C-STORE-RQ of an object of a known patient and study."""
        sent = {
            (0x0008, 0x0016): CT,
            (0x0008, 0x0018): instance,
            (0x0010, 0x0020): self.names.of(Identity(Kind.PATIENT, PATIENT)),
            (0x0020, 0x000D): self.names.of(Identity(Kind.STUDY, STUDY)),
            (0x0020, 0x000E): "1.2.98",
        }
        more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: instance}
        field = CommandField.C_STORE_RQ
        request = command(field, 1, context_id=IN_STORE, has_data_set=True, sop_class=CT, more=more)
        return [request, fragment(data_set(sent), context_id=IN_STORE)]

    def test_the_command_set_has_the_uid_of_the_object(self) -> None:
        self.peer.hears(self.storing("1.2.97"))
        found = (of(self.user.heard).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), read(self.user.heard))
        self.assertEqual((new_uid(KEY, "1.2.97"),) * 2, (found[0], found[1].SOPInstanceUID))

    def test_that_of_an_original_crosses_in_neither(self) -> None:
        self.peer.hears(self.storing(INSTANCE))
        found = (of(self.user.heard).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID), read(self.user.heard))
        self.assertEqual((new_uid(KEY, INSTANCE),) * 2, (found[0], found[1].SOPInstanceUID))

    def test_one_below_the_root_of_the_standard_is_new_like_any_other(self) -> None:
        self.peer.hears(self.storing(f"{CT}.77"))
        found = of(self.user.heard).command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
        self.assertEqual(new_uid(KEY, f"{CT}.77"), found)

    def test_the_response_has_the_uid_that_was_sent(self) -> None:
        self.peer.hears(self.storing("1.2.97"))
        response = stored(AFFECTED_SOP_INSTANCE_UID=new_uid(KEY, "1.2.97")).command_set
        self.border.send([Command(IN_STORE, response)])
        answer = of(self.peer.sent).command_set
        found = (answer.text(Element.AFFECTED_SOP_INSTANCE_UID), answer.status)
        self.assertEqual(("1.2.97", Status.SUCCESS), found)

    def test_without_a_data_set_too(self) -> None:
        more: dict[Element, int | str | None] = {Element.REQUESTED_SOP_INSTANCE_UID: INSTANCE}
        self.peer.hears([command(CommandField.N_GET_RQ, 1, context_id=IN_STORE, sop_class=CT, more=more)])
        heard = of(self.user.heard).command_set
        self.assertEqual(new_uid(KEY, INSTANCE), heard.text(Element.REQUESTED_SOP_INSTANCE_UID))
