"""An archive on a disk and a database of its own, and those who call it, in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociation, IAssociationUser
from dimseproxy.dataset.encoding import encoding_of
from dimseproxy.dimse.command_set import DATA_SET_FOLLOWS, NO_DATA_SET, CommandField, CommandSet, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AssociationAborted
from dimseproxy.outbound.archive.archive import Archive
from dimseproxy.outbound.archive.index import Duplicates, Index
from dimseproxy.outbound.archive.instances import Held
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.database import Database
from dimseproxy.ul.pdu import AssociateRequest, ProposedContext
from dimseproxy.ul.user_information import RoleSelection, UserInformation
from tests.association.playing import CT, EXPLICIT, FIND, GET, IMPLICIT
from tests.support.process import scratch


class Kept:
    """An archive, and what it is made of.  The test stops it."""

    def __init__(
        self,
        case: TestCase,
        duplicates: Duplicates = Duplicates.KEEP,
        *,
        folder: Path | None = None,
        where: str | None = None,
        seal: Seal | None = None,
        **options: Any,
    ) -> None:
        self.folder: Path = folder or scratch(case)
        self.blobs = Blobs(self.folder / "archive")
        clock = IReactorTime(reactor)
        self.database = Database(where or self.folder / "index.db", IReactorFromThreads(reactor), clock)
        self.index = Index(self.database, clock, "ARCHIVE", self.blobs.exists, duplicates, seal)
        self.archive = Archive(self.blobs, self.index, IReactorFromThreads(reactor), clock, **options)
        case.addCleanup(self._stop)

    async def opened(self) -> Kept:
        await self.database.start()
        await self.index.start()
        await self.archive.start()
        return self

    async def _stop(self) -> None:
        await self.archive.stop()
        await self.database.stop()

    @property
    def names(self) -> list[str]:
        """Of the files that are there."""
        return sorted(self.blobs.names())

    def held(self, name: str) -> Held:
        """What the index knows of a file."""
        return Held(name, self.blobs.size(name))

    @property
    def unfinished(self) -> list[Path]:
        """Files that are being written."""
        return list((self.folder / "archive" / "incoming").iterdir())

    async def call(self, *contexts: tuple[str, str], takes: Sequence[str] = (), calling: str = "MODALITY") -> Caller:
        """An association for these abstract and transfer syntaxes, under the ids 1, 3, 5, ..."""
        proposed = tuple(ProposedContext(2 * at + 1, uid, (syntax,)) for at, (uid, syntax) in enumerate(contexts))
        roles = tuple(RoleSelection(uid, True, True) for uid in takes)
        request = AssociateRequest("ARCHIVE", calling, proposed, UserInformation(roles=roles))
        return Caller(await self.archive.outbound.associate(request))


@implementer(IAssociationUser)
class Caller:
    """
    The user of an association with the archive.

    @ivar answers: the status that each C-STORE sub-operation is answered with; None: not at all.
    """

    def __init__(self, association: IAssociation) -> None:
        self.association = association
        self.parts: list[Part] = []
        self.told: list[str] = []
        self.answers: Callable[[Command], int | None] = lambda request: 0
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._asked: Command | None = None
        self._last_message_id = 0
        association.use(self)

    def context_of(self, abstract_syntax: str) -> int:
        contexts = self.association.established.contexts
        return next(key for key, context in contexts.items() if context.abstract_syntax == abstract_syntax)

    def ask(self, context_id: int, command_field: int, data: bytes | None = None, step: int = 0, **more: object) -> int:
        """Send a request; returns its message id."""
        self._last_message_id += 1
        sop_class = self.association.established.contexts[context_id].abstract_syntax
        elements: dict[Element, int | str | None] = {
            Element.AFFECTED_SOP_CLASS_UID: sop_class,
            Element.COMMAND_FIELD: command_field,
            Element.MESSAGE_ID: self._last_message_id,
            Element.COMMAND_DATA_SET_TYPE: NO_DATA_SET if data is None else DATA_SET_FOLLOWS,
        }
        elements.update({Element[name.upper()]: value for name, value in more.items()})  # type: ignore[misc]
        parts: list[Part] = [Command(context_id, CommandSet.of(elements))]
        if data is not None:
            parts += fragments(context_id, data, step)
        self.association.send(parts)
        return self._last_message_id

    async def answer(self, message_id: int) -> CommandSet:
        """The last response to a request."""
        found: list[CommandSet] = []

        def is_there() -> bool:
            found[:] = [each for each in self.responses(message_id) if each.status not in (0xFF00, 0xFF01)]
            return bool(found)

        await self.until(is_there)
        return found[0]

    def responses(self, message_id: int) -> list[CommandSet]:
        return [
            part.command_set
            for part in self.parts
            if isinstance(part, Command) and part.command_set.is_response and part.command_set.responds_to == message_id
        ]

    @property
    def requests(self) -> list[Command]:
        return [part for part in self.parts if isinstance(part, Command) and not part.command_set.is_response]

    def data_sets(self) -> list[tuple[Command, bytes]]:
        """Every command that a data set followed, and that."""
        found: list[tuple[Command, bytes]] = []
        for part in self.parts:
            if isinstance(part, Command):
                if part.command_set.has_data_set:
                    found.append((part, b""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + bytes(part))
        return found

    async def store(self, data_set: Dataset, syntax: str = EXPLICIT, step: int = 0, **more: object) -> int:
        """Send an object; its status."""
        context_id = next(
            key
            for key, context in self.association.established.contexts.items()
            if (context.abstract_syntax, context.transfer_syntax) == (data_set.SOPClassUID, syntax)
        )
        announced = {"affected_sop_instance_uid": str(data_set.SOPInstanceUID), **more}
        message_id = self.ask(context_id, CommandField.C_STORE_RQ, encoded(data_set, syntax), step, **announced)
        return (await self.answer(message_id)).status

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so."""
        if not condition():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((condition, waiting))
            await waiting

    # What the association tells

    def received(self, parts: Sequence[Part]) -> None:
        self.parts += parts
        for part in parts:
            if isinstance(part, Command):
                is_store = part.command_set.command_field == CommandField.C_STORE_RQ
                self._asked = part if is_store else None
            elif part.is_last and self._asked is not None:
                request, self._asked = self._asked, None
                status = self.answers(request)
                if status is not None:
                    self.association.send([Command(request.context_id, response_to(request.command_set, status))])
        self._look()

    def release_requested(self) -> None:
        self.told.append("release requested")

    def released(self) -> None:
        self.told.append("released")
        self._look()

    def ended(self, reason: AssociationAborted) -> None:
        self.told.append("ended")
        self._look()

    def pause_sending(self) -> None:
        self.told.append("pause")

    def resume_sending(self) -> None:
        self.told.append("resume")
        self._look()

    def _look(self) -> None:
        for condition, waiting in tuple(self._waiting):
            if condition():
                self._waiting.remove((condition, waiting))
                waiting.callback(None)


def cut_off(kept: Kept, name: str) -> None:
    """The disk loses the end of a file."""
    (path,) = kept.folder.rglob(name)
    os.truncate(path, path.stat().st_size - 4)


def fragments(context_id: int, data: bytes, step: int = 0) -> list[Part]:
    """A data set in one piece or several."""
    step = step or len(data)
    ends = range(0, len(data), step) if data else (0,)
    return [DataSetFragment(context_id, (memoryview(data)[at : at + step],), at + step >= len(data)) for at in ends]


def an_image(number: int = 1, sop_class: str = CT, pixels: bytes = b"\1\0\2\0", study: str = "1.2.1") -> Dataset:
    image = Dataset()
    image.SOPClassUID = sop_class
    image.SOPInstanceUID = f"1.2.3.{number}"
    image.StudyDate = "20260102"
    image.Modality = "CT"
    image.PatientName = "Adam^Anna"
    image.PatientID = "P1"
    image.StudyInstanceUID = study
    image.SeriesInstanceUID = f"{study}.2"
    image.InstanceNumber = number
    image.Rows, image.Columns = 1, min(len(pixels) // 2, 0xFFFF)
    image.BitsAllocated = 16
    image.PixelRepresentation = 0
    image.add_new(0x7FE00010, "OW", pixels)
    return image


def an_identifier(level: str = "STUDY", **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def encoded(data_set: Dataset, syntax: str = IMPLICIT) -> bytes:
    encoding = encoding_of(syntax)
    assert encoding is not None
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = encoding.is_implicit, encoding.is_little_endian
    write_dataset(out, data_set)
    return out.getvalue()


def decoded(data: bytes, syntax: str = IMPLICIT) -> Dataset:
    encoding = encoding_of(syntax)
    assert encoding is not None
    return read_dataset(BytesIO(data), encoding.is_implicit, encoding.is_little_endian)


#: Contexts of a caller that stores, asks and takes back.
EVERYTHING = ((CT, EXPLICIT), (GET, IMPLICIT), (FIND, IMPLICIT))
