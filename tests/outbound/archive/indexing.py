"""Objects and questions for the tests of the index."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.outbound.archive.answers import encode_answer
from dimseproxy.outbound.archive.attributes import read_attributes
from dimseproxy.outbound.archive.index import Index
from dimseproxy.outbound.archive.instances import Instance
from dimseproxy.outbound.archive.levels import Root
from dimseproxy.outbound.archive.querying import read_query
from dimseproxy.storage.database import Database
from tests.storage.databases import database

EXPLICIT = Encoding(is_implicit=False)
IMPLICIT = Encoding(is_implicit=True)
BIG = Encoding(is_implicit=False, is_little_endian=False)
DEFLATED = Encoding(is_implicit=False, is_deflated=True)

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def data_set(**values: Any) -> Dataset:
    """A data set by keywords."""
    made = Dataset()
    with warnings.catch_warnings():
        # Ranges, wildcards, and what devices make of values.
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def encoded(content: Dataset, encoding: Encoding = EXPLICIT) -> bytes:
    """A data set as it is sent; not deflated."""
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = encoding.is_implicit, encoding.is_little_endian
    write_dataset(out, content)
    return out.getvalue()


def decoded(content: bytes, encoding: Encoding = EXPLICIT) -> Dataset:
    """What pydicom makes of an encoded data set."""
    return read_dataset(BytesIO(content), encoding.is_implicit, encoding.is_little_endian)


def an_object(number: int = 1, **values: Any) -> Dataset:
    """An object: the only one of its series and study, of a patient of its own, if nothing else is said."""
    usual = {
        "SOPClassUID": CT,
        "SOPInstanceUID": f"1.5.{number}",
        "StudyInstanceUID": f"1.3.{number}",
        "SeriesInstanceUID": f"1.4.{number}",
        "PatientID": f"P{number}",
        "PatientName": "DOE^JANE",
        "Modality": "CT",
    }
    return data_set(**{**usual, **values})


def an_instance(number: int = 1, content: bytes = b"", sender: str = "SENDER", **values: Any) -> Instance:
    """The same as the index is told of it.  `content` stands for what else is in its file."""
    head = encoded(an_object(number, **values))
    digest = hashlib.sha256(head + content).digest()
    attributes = read_attributes(head, EXPLICIT)
    return Instance(attributes, EXPLICIT_LITTLE, digest.hex(), 100, digest, sender, float(number))


async def an_index(case: TestCase, where: Path | str | None = None, **settings: Any) -> Index:
    """An index that is empty, unless the database is one that was used before."""
    return await index_on(await a_database(case, where), **settings)


async def a_database(case: TestCase, where: Path | str | None = None) -> Database:
    """A database that is open."""
    kept = database(case, where)
    await kept.start()
    return kept


async def index_on(kept: Database, **settings: Any) -> Index:
    """An index in a database, of objects whose files are there if nothing else is said."""
    settings.setdefault("has_file", lambda *blob: True)
    index = Index(kept, IReactorTime(reactor), "ARCHIVE", **settings)
    await index.start()
    return index


async def answers_to(index: Index, root: Root = Root.STUDY, combines: bool = False, **keys: Any) -> Sequence[Dataset]:
    """All answers to a query, as pydicom decodes them."""
    keys.setdefault("QueryRetrieveLevel", "STUDY")
    query = read_query(root, encoded(data_set(**keys)), EXPLICIT, combines)
    found: list[Dataset] = []
    after: int | None = 0
    while after is not None:
        page = await index.find(query, after)
        found += [decoded(encode_answer(answer, EXPLICIT)) for answer in page.answers]
        after = page.next
    return found


async def studies_found(index: Index, **keys: Any) -> list[str]:
    """The last numbers of the studies that match, sorted."""
    found = await answers_to(index, **{"StudyInstanceUID": "", **keys})
    return sorted(str(answer.StudyInstanceUID).rpartition(".")[2] for answer in found)
