"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

METADATA: Final = MetaData()

#: A set of pseudonyms that are made by one key at a time.
#: key_id: the key that new rows are made with; no other may be used.
#: date_shift: the key of the date shifts, encrypted; it outlives every other.
#: is_inherited: whether there are pseudonyms that another key made, so that they cannot be made again but only found.
#: is_settled: whether every row is encrypted under key_id.
VAULT: Final = Table(
    "vault",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("key_id", LargeBinary, nullable=False),
    Column("date_shift", LargeBinary, nullable=False),
    Column("is_inherited", Boolean, nullable=False),
    Column("is_settled", Boolean, nullable=False),
)

#: A pseudonym and its original.
#: lookup: keyed digest of the original, to find it by.
#: original: encrypted.
#: key_id: the key that lookup and original are made with.
#: created: seconds since 1970.
VAULT_ENTRY: Final = Table(
    "vault_entry",
    METADATA,
    Column("vault", Integer, ForeignKey("vault.id"), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("pseudonym", Text, nullable=False),
    Column("lookup", LargeBinary, nullable=False),
    Column("original", LargeBinary, nullable=False),
    Column("key_id", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    # What tells rows apart comes first, so that no statistics can mislead a database about which index to use.
    PrimaryKeyConstraint("pseudonym", "namespace", "vault"),
    UniqueConstraint("lookup", "namespace", "vault", name="vault_entry_lookup"),
    # The primary key is the table: half the pages to write for a row.
    sqlite_with_rowid=False,
)

#: Rows are numbered in the order in which they were committed: who reads page by page goes on behind the last number.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

#: Text that is compared byte by byte in any database, so that a prefix is a range.
_BYTES_OF_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

# The index of the archive. Where it has a key, `attributes` is encrypted, a text that is found by its exact value (key,
# uid, patient_id, accession) is a keyed digest, and a text that is found by a part of it (name, date) is not there.

#: The state of the index: one row.
#: seal: what a key must open for it to be the right one; empty where the index is in the clear.
#: knows_values: whether the further values of all rows are known; those of an older version are learned at the start.
ARCHIVE: Final = Table(
    "archive",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("seal", LargeBinary, nullable=False),
    Column("knows_values", Boolean, nullable=False, server_default=false()),
)

#: key: Patient ID and its issuer, which together tell patients apart.
ARCHIVE_PATIENT: Final = Table(
    "archive_patient",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("patient_id", Text, nullable=False, index=True),
    Column("name", _BYTES_OF_TEXT, index=True),
    Column("attributes", LargeBinary, nullable=False),
)

#: name: folded; NULL where it must be looked at itself.
#: date: of the study, YYYYMMDD; empty where it has no readable one, NULL where it must be looked at itself.
#: attributes: those of the patient too, as the objects of this study have them.
ARCHIVE_STUDY: Final = Table(
    "archive_study",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("patient", _NUMBER, ForeignKey("archive_patient.id"), nullable=False, index=True),
    Column("patient_id", Text, nullable=False, index=True),
    Column("name", _BYTES_OF_TEXT, index=True),
    Column("date", _BYTES_OF_TEXT, index=True),
    Column("accession", Text, nullable=False, index=True),
    Column("attributes", LargeBinary, nullable=False),
)


def _further_values(of: str) -> Table:
    """
    Values that a row has beside the first one, of attributes that should have one; they go with the row.

    kind: patient, accession, date or modality; of a date the value is YYYYMMDD.
    """
    return Table(
        f"archive_{of}_value",
        METADATA,
        Column("owner", _NUMBER, ForeignKey(f"archive_{of}.id", ondelete="CASCADE"), nullable=False),
        Column("kind", Text, nullable=False),
        Column("value", Text, nullable=False),
        PrimaryKeyConstraint("value", "kind", "owner"),
        Index(f"archive_{of}_value_owner", "owner"),
        sqlite_with_rowid=False,
    )


ARCHIVE_PATIENT_VALUE: Final = _further_values("patient")
ARCHIVE_STUDY_VALUE: Final = _further_values("study")
ARCHIVE_SERIES_VALUE: Final = _further_values("series")

#: instances, size: of those there are, and of their files together, in bytes.
#: first_received, last_received: seconds since 1970.
ARCHIVE_SERIES: Final = Table(
    "archive_series",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("study", _NUMBER, ForeignKey("archive_study.id"), nullable=False, index=True),
    Column("modality", Text, nullable=False, index=True),
    Column("instances", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("first_received", Float(53), nullable=False),
    Column("last_received", Float(53), nullable=False),
    Column("attributes", LargeBinary, nullable=False),
)

#: digest: of the data set.
#: blob: the name of the file.
#: sender: the AE title that it came from.
ARCHIVE_INSTANCE: Final = Table(
    "archive_instance",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("series", _NUMBER, ForeignKey("archive_series.id"), nullable=False),
    Column("sop_class", Text, nullable=False),
    Column("transfer_syntax", Text, nullable=False),
    Column("blob", Text, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sender", Text, nullable=False),
    Column("received", Float(53), nullable=False),
    Column("attributes", LargeBinary, nullable=False),
    Index("archive_instance_series", "series", "id"),
    Index("archive_instance_sop_class", "sop_class", "transfer_syntax"),
)

# What becomes of a study after it arrived. These rows go with the study, or with the object, that they are about.

#: A study is complete while its series say what is here; a row stays when the study grows, and is old then.
#: completions: how often it was complete, which tells one time from another.
#: instances, size, last_received: of the study when it was complete.
ARCHIVE_COMPLETION: Final = Table(
    "archive_completion",
    METADATA,
    Column("study", _NUMBER, ForeignKey("archive_study.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("completions", Integer, nullable=False),
    Column("instances", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("last_received", Float(53), nullable=False),
)

#: A study on its way to a destination.
#: state: waiting, sending, sent or dead.
#: due: when it may be taken up: by anybody where it waits, by another proxy where one sends it and may have died; NULL
#:     where there is nothing to do. Seconds since 1970.
#: owner: who sends it.
#: attempts: those in a row that delivered nothing.
#: since: when it was first due.
#: why: the last attempt failed.
ARCHIVE_DISPATCH: Final = Table(
    "archive_dispatch",
    METADATA,
    Column("id", _NUMBER, primary_key=True),
    Column("study", _NUMBER, ForeignKey("archive_study.id", ondelete="CASCADE"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due", Float(53)),
    Column("owner", Text),
    Column("attempts", Integer, nullable=False),
    Column("since", Float(53), nullable=False),
    Column("why", Text, nullable=False),
    UniqueConstraint("study", "destination", name="archive_dispatch_study"),
    Index("archive_dispatch_due", "destination", "due"),
    Index("archive_dispatch_state", "state"),
)

#: An object that reached the destination of a dispatch. One that is replaced by another content is another row.
#: dispatch: no reference, for it goes with its study as the object does, and would need an index of its own.
ARCHIVE_DELIVERED: Final = Table(
    "archive_delivered",
    METADATA,
    Column("instance", _NUMBER, ForeignKey("archive_instance.id", ondelete="CASCADE"), nullable=False),
    Column("dispatch", _NUMBER, nullable=False),
    PrimaryKeyConstraint("instance", "dispatch"),
    sqlite_with_rowid=False,
)

#: A file that no study is in any longer, and that is still to be deleted; a row may stay when an object is in it again.
ARCHIVE_LEAVING: Final = Table(
    "archive_leaving",
    METADATA,
    Column("blob", Text, primary_key=True),
    sqlite_with_rowid=False,
)

#: Which process looks after the archive: one row, there from the beginning.
#: owner: that one; NULL where it said that it ends.
#: beat: one more whenever it says that it is alive.
ARCHIVE_UPKEEP: Final = Table(
    "archive_upkeep",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("owner", Text),
    Column("beat", BigInteger, nullable=False),
)

#: For who looks for studies that have grown lately.
Index("archive_series_last_received", ARCHIVE_SERIES.c.last_received, ARCHIVE_SERIES.c.study)

#: For who looks at all studies, one after the other: everything that is asked of their series then.
Index(
    "archive_series_totals",
    ARCHIVE_SERIES.c.study,
    ARCHIVE_SERIES.c.last_received,
    ARCHIVE_SERIES.c.instances,
    ARCHIVE_SERIES.c.size,
)
