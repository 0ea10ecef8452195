"""What statuses mean (PS3.7 Annex C, PS3.4)."""

from __future__ import annotations

from pynetdicom.status import code_to_category
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.status import Status, is_done, is_pending

_STORAGE_AND_RETRIEVE = (0x0000, 0xA700, 0xA702, 0xA801, 0xA900, 0xB000, 0xB006, 0xB007, 0xC000, 0xFE00, 0xFF00, 0xFF01)
_GENERAL = (0x0001, 0x0105, 0x0107, 0x0110, 0x0111, 0x0112, 0x0116, 0x0117, 0x0122, 0x0124, 0x0210, 0x0211, 0x0213)


class StatusTests(SynchronousTestCase):
    def test_pending_is_what_pynetdicom_calls_so(self) -> None:
        for status in range(0x10000):
            self.assertEqual(is_pending(status), code_to_category(status) == "Pending", hex(status))

    def test_done_is_success_or_a_warning(self) -> None:
        for status in (*_STORAGE_AND_RETRIEVE, *_GENERAL):
            self.assertEqual(is_done(status), code_to_category(status) in ("Success", "Warning"), hex(status))

    def test_nothing_is_both(self) -> None:
        self.assertEqual([status for status in range(0x10000) if is_done(status) and is_pending(status)], [])

    def test_every_other_status_that_we_know_is_a_failure(self) -> None:
        others = {status for status in Status if code_to_category(status) != "Failure"}
        self.assertEqual(
            others,
            {
                Status.SUCCESS,
                Status.CANCEL,
                Status.PENDING,
                Status.PENDING_WITH_WARNING,
                Status.SUB_OPERATIONS_WITH_FAILURES,
            },
        )
