"""The tables, as the newest migration leaves them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
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
