"""The sub-operations of a retrieve that the proxy passes on itself."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.relay import sub_operations
from dimseproxy.relay.sub_operations import SubOperations
from tests.association.playing import command, response


class SubOperationsTests(TestCase):
    def setUp(self) -> None:
        self.sub_operations = SubOperations()

    def _asked(self, message_id: int = 1) -> None:
        more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: f"1.{message_id}"}
        self.sub_operations.asked(command(CommandField.C_STORE_RQ, message_id, more=more).command_set)

    def _answered(self, message_id: int = 1, status: int = 0) -> None:
        self.sub_operations.answered(response(CommandField.C_STORE_RSP, message_id, status).command_set)

    def _counts(self) -> list[object]:
        return list(self.sub_operations.counters().values())

    def test_done_failed_and_under_way(self) -> None:
        for message_id, status in ((1, 0), (2, 0xB000), (3, 0xA700)):
            self._asked(message_id)
            self._answered(message_id, status)
        self._asked(4)
        self.assertEqual(self._counts(), [2, 2, 0])

    def test_more_than_there_are_numbers(self) -> None:
        for status in (0, 0xA700):
            for _ in range(65537):
                self._asked()
                self._answered(1, status)
        counters = self.sub_operations.counters()
        self.assertEqual(list(counters.values()), [65535, 65535, 0])
        # They fit into a command set.
        self.assertTrue(response(CommandField.C_MOVE_RSP).command_set.replace(counters))

    def test_an_answer_counts_once(self) -> None:
        self._asked()
        self._answered()
        self._answered()
        self.assertEqual(self._counts(), [1, 0, 0])

    def test_what_was_not_taken_is_remembered(self) -> None:
        self._asked(7)
        self._answered(7, 0xA700)
        self.assertEqual(self.sub_operations.failed, ["1.7"])

    def test_but_not_without_a_limit(self) -> None:
        self.patch(sub_operations, "MAX_FAILED_LIST", 1)
        for message_id in (7, 8):
            self._asked(message_id)
            self._answered(message_id, 0xA700)
        self.assertEqual(self.sub_operations.failed, ["1.7"])

    def test_it_names_no_object(self) -> None:
        self._asked(7)
        self.assertNotIn("1.7", repr(self.sub_operations))
