"""What is written into the columns of the index, in the clear or sealed, and read from them."""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from typing import Final, cast

from sqlalchemy import Table

from dimseproxy.outbound.archive.attributes import Attributes, first_text
from dimseproxy.outbound.archive.heads import Values
from dimseproxy.outbound.archive.levels import (
    ACCESSION_NUMBER,
    ISSUER_OF_PATIENT_ID,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SOP_INSTANCE,
    STUDY_DATE,
    STUDY_INSTANCE,
    Level,
    name_of,
)
from dimseproxy.outbound.archive.matching import folded_groups
from dimseproxy.outbound.archive.querying import day_of
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.storage.errors import DatabaseRefused
from dimseproxy.storage.tables import ARCHIVE_INSTANCE, ARCHIVE_PATIENT, ARCHIVE_SERIES, ARCHIVE_STUDY

Row = dict[str, object]
#: Values beside the first one: kind, and what each is found by.
Further = Collection[tuple[str, str]]

#: No PostgreSQL text can have it.
_NUL: Final = "\0"

#: Characters of a text that is found by a column: no database indexes texts of any length.
_MAX_FOUND: Final = 200
#: Further values of an attribute that should have one: more than anybody means.
MOST_FURTHER: Final = 64
_SINGLE: Final = (
    *(("patient", PATIENT_ID), ("accession", ACCESSION_NUMBER)),
    *(("date", STUDY_DATE), ("modality", MODALITY)),
)
_UIDS: Final = {ARCHIVE_STUDY: STUDY_INSTANCE, ARCHIVE_INSTANCE: SOP_INSTANCE}


class Columns:
    """
    @param seal: None where the index is in the clear.
    """

    def __init__(self, seal: Seal | None) -> None:
        self._seal = seal

    @property
    def is_sealed(self) -> bool:
        """Whether only exact values can be found by a column."""
        return self._seal is not None

    def exact(self, kind: str, text: str) -> str:
        """What a text of some kind is found by: itself, or its digest."""
        if self._seal is not None:
            return self._seal.exact(kind, text)
        return plain(text) if len(text) <= _MAX_FOUND else sha256(text.encode("utf-8", "replace")).hexdigest()

    def uid(self, uid: str) -> str:
        """What a UID is found by."""
        return self.exact("uid", uid)

    def patient_key(self, attributes: Attributes) -> str:
        """What the patient of an object is found by."""
        if not attributes.patient_id:
            # Nobody knows whose it is, and who has no ID is not the same as another who has none.
            return self.exact("unknown patient", json.dumps(["", "", attributes.study]))
        issuer = first_text(attributes.values[Level.PATIENT], ISSUER_OF_PATIENT_ID)
        return self.exact("known patient", json.dumps([attributes.patient_id, issuer]))

    def patient(self, attributes: Attributes) -> Row:
        """The row of a patient, but its number."""
        key = self.patient_key(attributes)
        values = attributes.values[Level.PATIENT]
        return {
            "key": key,
            "patient_id": self.exact("patient", attributes.patient_id),
            "name": self._name(values),
            "attributes": self.written(ARCHIVE_PATIENT, key, values),
        }

    def study(self, attributes: Attributes) -> Row:
        """The row of a study, but its number and its patient's."""
        uid = self.uid(attributes.study)
        patient, study = attributes.values[Level.PATIENT], attributes.values[Level.STUDY]
        return {
            "uid": uid,
            "patient_id": self.exact("patient", attributes.patient_id),
            "name": self._name(patient),
            "date": None if self.is_sealed else self.found_by("date", first_text(study, STUDY_DATE)),
            "accession": self.exact("accession", first_text(study, ACCESSION_NUMBER)),
            "attributes": self.written(ARCHIVE_STUDY, uid, {**patient, **study}),
        }

    def series(self, attributes: Attributes) -> Row:
        """The row of a series, but its number, its study's, its counts and times."""
        uid = self.uid(attributes.series)
        values = attributes.values[Level.SERIES]
        return {
            "uid": uid,
            "modality": self.found_by("modality", first_text(values, MODALITY)),
            "attributes": self.written(ARCHIVE_SERIES, uid, values),
        }

    def further(self, values: Values) -> Further:
        """What a patient, a study or a series, with these attributes, is found by beside its columns."""
        return {
            (kind, found_by)
            for kind, tag in _SINGLE
            for text in values.get(name_of(tag), [])[1 : MOST_FURTHER + 1]
            if isinstance(text, str) and text and (found_by := self.found_by(kind, text))
        }

    def found_by(self, kind: str, text: str) -> str:
        """What a value is found by in its column, or beside it; empty where it cannot be."""
        if kind == "modality":
            return plain(text)
        if kind == "date":
            # A digest is in no range of days.
            return "" if self.is_sealed else day_of(text)
        return self.exact(kind, text)

    def instance_attributes(self, attributes: Attributes) -> bytes:
        """The attributes of an instance."""
        return self.written(ARCHIVE_INSTANCE, self.uid(attributes.sop_instance), attributes.values[Level.IMAGE])

    def written(self, table: Table, row: str, values: Values) -> bytes:
        """
        Attributes as they are kept.

        @param row: what the row is found by: sealed attributes can be opened in no other row.
        """
        clear = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return clear if self._seal is None else self._seal.seal(clear, f"{table.name} {row}")

    def read(self, table: Table, row: str, kept: bytes) -> Values:
        """
        The reverse of `written`.

        @raise DatabaseRefused: the key is not there, or the row was changed.
        """
        try:
            clear = kept if self._seal is None else self._seal.open(kept, f"{table.name} {row}")
            values = json.loads(clear)
        except (ValueError, TypeError, RecursionError):
            values = None
        if not isinstance(values, dict) or not all(isinstance(value, list) for value in values.values()):
            raise DatabaseRefused("the index of the archive was changed by something else than the proxy")
        return values

    def uid_of(self, table: Table, row: str, kept: bytes) -> str | None:
        """
        The UID of a study or an instance; None where it cannot be read.

        @param row: what it is found by, which is the UID itself where the index is in the clear.
        @param kept: its attributes, which are looked at only where it is not.
        """
        if self._seal is None:
            return row
        try:
            return first_text(self.read(table, row, kept), _UIDS[table]) or None
        except DatabaseRefused:
            return None

    def _name(self, values: Values) -> str | None:
        """A name that can be found by its beginning; None where it must be looked at itself."""
        if self.is_sealed:
            return None
        name = first_text(values, PATIENT_NAME)
        if "=" in name or len(cast("list[str]", values.get("00100010", []))) > 1:
            return None
        folded = folded_groups(name)[0]
        return plain(folded) if len(folded) <= _MAX_FOUND else None


def plain(text: str) -> str:
    """A text as it can be in a column that is searched."""
    return text.replace(_NUL, "")[:_MAX_FOUND]
