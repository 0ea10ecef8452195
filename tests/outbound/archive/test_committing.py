"""Storage commitment by the archive."""

from __future__ import annotations

import errno
from typing import Any

from pydicom.dataset import Dataset
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command
from dimseproxy.dimse.status import Status
from tests.association.playing import COMMITMENT, CT, EXPLICIT, IMPLICIT, MR
from tests.outbound.archive.support import Caller, Kept, an_image, cut_off, decoded, encoded

PUSH_INSTANCE = "1.2.840.10008.1.20.1.1"


def a_request(*references: tuple[str, str], transaction: str | None = "1.2.77") -> bytes:
    request = Dataset()
    if transaction is not None:
        request.TransactionUID = transaction
    request.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        request.ReferencedSOPSequence.append(item)
    return encoded(request)


class CommittingTests(TestCase):
    async def _open(self, *images: Dataset) -> tuple[Kept, Caller]:
        kept = await Kept(self).opened()
        sender = await kept.call((CT, EXPLICIT))
        for image in images:
            await sender.store(image)
        return kept, await kept.call((COMMITMENT, IMPLICIT))

    def _ask(self, caller: Caller, data: bytes, **more: int | str) -> int:
        elements: dict[str, Any] = {
            "affected_sop_class_uid": None,
            "requested_sop_class_uid": COMMITMENT,
            "requested_sop_instance_uid": PUSH_INSTANCE,
            "action_type_id": 1,
            **more,
        }
        return caller.ask(1, CommandField.N_ACTION_RQ, data, **elements)

    async def _report(self, caller: Caller, data: bytes) -> tuple[CommandSet, Dataset]:
        self._ask(caller, data)
        await caller.until(lambda: bool(caller.data_sets()))
        ((command, report),) = caller.data_sets()
        caller.association.send([Command(1, response_to(command.command_set, Status.SUCCESS))])
        return command.command_set, decoded(report)

    async def test_the_request_is_answered_first(self) -> None:
        _, caller = await self._open(an_image())
        await self._report(caller, a_request((CT, "1.2.3.1")))
        commands = [part.command_set for part in caller.parts if isinstance(part, Command)]
        self.assertEqual(
            [(each.name, each.status, each.sop_class) for each in commands],
            [("N-ACTION-RSP", 0, COMMITMENT), ("N-EVENT-REPORT-RQ", 0, COMMITMENT)],
        )

    async def test_what_is_kept_is_committed_to(self) -> None:
        _, caller = await self._open(an_image(1), an_image(2))
        event, report = await self._report(caller, a_request((CT, "1.2.3.1"), (CT, "1.2.3.2")))
        self.assertEqual(
            (
                event.number(Element.EVENT_TYPE_ID),
                event.text(Element.AFFECTED_SOP_INSTANCE_UID),
                report.TransactionUID,
                [each.ReferencedSOPInstanceUID for each in report.ReferencedSOPSequence],
                "FailedSOPSequence" in report,
            ),
            (1, PUSH_INSTANCE, "1.2.77", ["1.2.3.1", "1.2.3.2"], False),
        )

    async def _failed(self, caller: Caller, *references: tuple[str, str]) -> list[tuple[str, int]]:
        event, report = await self._report(caller, a_request(*references))
        self.assertEqual(event.number(Element.EVENT_TYPE_ID), 2)
        return [(each.ReferencedSOPInstanceUID, each.FailureReason) for each in report.FailedSOPSequence]

    async def test_nothing_else_is(self) -> None:
        _, caller = await self._open(an_image(1))
        self.assertEqual(await self._failed(caller, (CT, "1.2.3.1"), (CT, "1.2.3.9")), [("1.2.3.9", 0x0112)])

    async def test_an_object_of_another_class_is_not(self) -> None:
        _, caller = await self._open(an_image(1))
        self.assertEqual(await self._failed(caller, (MR, "1.2.3.1")), [("1.2.3.1", 0x0112)])

    async def test_nor_is_one_whose_file_is_gone(self) -> None:
        kept, caller = await self._open(an_image(1))
        kept.blobs.delete(kept.names[0])
        self.assertEqual(await self._failed(caller, (CT, "1.2.3.1")), [("1.2.3.1", 0x0112)])

    async def test_nor_is_one_whose_file_is_cut_off(self) -> None:
        kept, caller = await self._open(an_image(1))
        cut_off(kept, kept.names[0])
        self.assertEqual(await self._failed(caller, (CT, "1.2.3.1")), [("1.2.3.1", 0x0112)])

    async def test_nor_is_one_whose_file_the_disk_does_not_give(self) -> None:
        kept, caller = await self._open(an_image(1))

        def broken(name: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

        self.patch(kept.blobs, "size", broken)
        self.assertEqual(await self._failed(caller, (CT, "1.2.3.1")), [("1.2.3.1", 0x0110)])

    async def test_what_is_no_such_request_is_refused(self) -> None:
        _, caller = await self._open()
        data = a_request((CT, "1.2.3.1"))
        asked = [
            self._ask(caller, data, action_type_id=2),
            self._ask(caller, data, requested_sop_instance_uid="1.2.3"),
            self._ask(caller, a_request((CT, "1.2.3.1"), transaction=None)),
            self._ask(caller, a_request()),
            self._ask(caller, b"no data set"),
        ]
        statuses = [(await caller.answer(message_id)).status for message_id in asked]
        self.assertEqual(statuses, [0x0123, 0x0112, 0x0110, 0x0110, 0x0110])

    async def test_who_leaves_before_there_is_a_report_may(self) -> None:
        _, caller = await self._open(an_image())
        await caller.answer(self._ask(caller, a_request((CT, "1.2.3.1"))))
        caller.association.release()
        await caller.until(lambda: bool(caller.told))
        self.assertEqual(caller.told, ["released"])

    async def test_who_leaves_without_hearing_the_report_may(self) -> None:
        _, caller = await self._open(an_image())
        self._ask(caller, a_request((CT, "1.2.3.1")))
        await caller.until(lambda: bool(caller.data_sets()))
        caller.association.release()
        await caller.until(lambda: bool(caller.told))
        self.assertEqual(caller.told, ["released"])
