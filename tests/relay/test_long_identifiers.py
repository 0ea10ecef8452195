"""Identifiers with long lists of UIDs under a policy."""

from __future__ import annotations

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.relay.messages import MAX_IDENTIFIER_LENGTH
from tests.association.playing import MOVE, command, fragment
from tests.relay.data_sets import data_set
from tests.relay.test_border import IN_MOVE, AtABorder, commands, of, read


class LongIdentifiers(AtABorder):
    def move(self, instances: str) -> None:
        request = command(
            CommandField.C_MOVE_RQ,
            1,
            context_id=IN_MOVE,
            has_data_set=True,
            sop_class=MOVE,
            more={Element.MOVE_DESTINATION: "CLIENT"},
        )
        identifier = data_set({(0x0008, 0x0052): "IMAGE ", (0x0008, 0x0018): instances})
        self.peer.hears([request, fragment(identifier, context_id=IN_MOVE)])

    def test_ten_thousand_instances_are_moved(self) -> None:
        originals = [f"1.2.3.{number}" for number in range(10_000)]
        self.move("\\".join(self.names.of(Identity(Kind.INSTANCE, original)) for original in originals))
        self.assertEqual(read(self.user.heard).SOPInstanceUID, originals)

    def test_what_is_longer_is_refused(self) -> None:
        uid = "2.25." + "1" * 59
        self.move("\\".join([uid] * (MAX_IDENTIFIER_LENGTH // 65 + 1)))
        self.assertEqual(
            (commands(self.user.heard), of(self.peer.sent).command_set.status), ([], Status.OUT_OF_RESOURCES)
        )

    def test_so_are_a_hundred_thousand_short_values(self) -> None:
        self.move("\\".join(["1.2"] * 100_000))
        self.assertEqual(
            (commands(self.user.heard), of(self.peer.sent).command_set.status), ([], Status.OUT_OF_RESOURCES)
        )
