"""
The rows of a vault: an original and its pseudonym, encrypted, and how they are written and found.

What takes a connection runs in a thread of the database.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple

from attrs import field, frozen
from sqlalchemy import ColumnElement, Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import Key, Keys
from dimseproxy.pseudonyms.vault_uids import STEM_LENGTH, UidCipher
from dimseproxy.storage.tables import VAULT, VAULT_ENTRY

#: A reference does not always say what its UID refers to, so all UIDs are of one namespace; its values are stems.
NAMESPACES: Final = {kind: "uid" if kind.is_uid else kind.value for kind in Kind}

#: Values in one condition; SQLite takes some 32,000.
_MOST_ASKED: Final = 1_000

#: The namespace of the stems of UIDs.
STEMS: Final = NAMESPACES[Kind.UID]
_TEXT_BYTES: Final = 10

#: Key, lookup, seconds since 1970, and the lengths of namespace and pseudonym; the original is the rest.
_PACKED: Final = Struct(">8s16sqBB")

# Put together once: to do so takes longer than to run them.
_CURRENT_KEY: Final = select(VAULT.c.key_id).where(VAULT.c.id == bindparam("number")).with_for_update(read=True)


class Place(NamedTuple):
    """A value in its namespace: an original or a pseudonym, as the name says where it is used."""

    namespace: str
    value: str

    def __repr__(self) -> str:
        return f"Place({self.namespace})"

    @property
    def key(self) -> str:
        """See `key_of`."""
        return key_of(self.namespace, self.value)


def key_of(namespace: str, value: str) -> str:
    """A place as text: what is kept by the hundred thousand must be nothing that Python's collector looks through."""
    return f"{namespace}\0{value}"


@frozen
class VaultState:
    """
    A vault and its current key, as the start found or left it.

    @ivar number: which vault it is in the database.
    @ivar name: what the configuration calls it.
    @ivar keys: the newest is the current one.
    @ivar date_shift: the key of the date shifts.
    @ivar is_inherited: whether there are pseudonyms of older keys, which can be found but not made.
    @ivar is_settled: whether every row is encrypted under the current key.
    """

    number: int
    name: str
    keys: Keys = field(repr=False)
    date_shift: bytes = field(repr=False)
    is_inherited: bool
    is_settled: bool

    @property
    def key(self) -> Key:
        """The current key."""
        return self.keys.newest

    @cached_property
    def uids(self) -> UidCipher:
        """What makes the pseudonyms of UIDs, whatever the current key."""
        return UidCipher(self.date_shift)


class Row(NamedTuple):
    """
    A row of the table; its original is encrypted.

    @ivar key_id: of the key that `lookup` and `original` are made with.
    @ivar created: seconds since 1970.
    """

    namespace: str
    pseudonym: str
    lookup: bytes
    original: bytes
    key_id: bytes
    created: int

    def __repr__(self) -> str:
        return f"Row({self.namespace})"

    @property
    def place(self) -> Place:
        """The pseudonym in its namespace."""
        return Place(self.namespace, self.pseudonym)


def row_of(state: VaultState, original: Place, pseudonym: str, created: int, *, is_second: bool = False) -> Row:
    """
    The row of an original and its pseudonym, under the current key.

    @param is_second: the original has another pseudonym, which is the one it is found by.
    """
    key = state.key
    lookup = lookup_of(key, original, pseudonym if is_second else None)
    encrypted = key.encrypt(_encoded(original.value), _belongs(state, original.namespace, pseudonym))
    return Row(original.namespace, pseudonym, lookup, encrypted, key.key_id, created)


def packed(row: Row) -> bytes:
    """A row outside the table: no more in the clear than in it."""
    namespace, pseudonym = row.namespace.encode(), row.pseudonym.encode()
    head = _PACKED.pack(row.key_id, row.lookup, row.created, len(namespace), len(pseudonym))
    return b"".join((head, namespace, pseudonym, row.original))


def unpacked(record: bytes) -> Row:
    """
    The reverse of `packed`.

    @raise SourceRefused: it is none.
    """
    try:
        key_id, lookup, created, namespace, pseudonym = _PACKED.unpack_from(record)
        middle = _PACKED.size + namespace
        end = middle + pseudonym
        return Row(
            record[_PACKED.size : middle].decode(),
            record[middle:end].decode(),
            lookup,
            record[end:],
            key_id,
            created,
        )
    except (ValueError, StructError):
        raise SourceRefused("a journal of the vault holds what is no row") from None


def pseudonym_of(state: VaultState, original: Place) -> str:
    """The pseudonym that the current key makes: of the stem of a UID, its identifier (see `vault_uids`)."""
    digest = state.key.digest(_message(original))
    if original.namespace == STEMS:
        return digest[:STEM_LENGTH].hex()
    return base64.b32encode(digest[:_TEXT_BYTES]).decode()


def lookup_of(key: Key, original: Place, second: str | None = None) -> bytes:
    """
    What a row is found by from its original.

    @param second: a pseudonym that is not the one which its original is found by; its row has a lookup of its own.
    """
    message = _message(original)
    return key.lookup(message if second is None else b"\0".join((b"second", second.encode(), message)))


def decrypted(state: VaultState, pseudonym: Place, original: bytes, key_id: bytes) -> str:
    """
    The original of a row.

    @raise SourceRefused: it is under a key that is not among those given, or was changed.
    """
    key = state.keys.get(key_id)
    if key is None:
        raise SourceRefused(f"rows of the vault {state.name!r} are under a key that is not among those given")
    clear = key.decrypt(original, _belongs(state, pseudonym.namespace, pseudonym.value))
    return clear.decode("utf-8", "surrogatepass")


def check_key(connection: Connection, state: VaultState) -> None:
    """
    Hold the current key of a vault until the end of the transaction.

    @raise SourceRefused: it is another one by now.
    """
    if connection.scalar(_CURRENT_KEY, {"number": state.number}) != state.key.key_id:
        raise SourceRefused(f"the vault {state.name!r} is under another key by now: start again with the new key file")


def insert_unless_there(connection: Connection, table: Any) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves rows alone whose key, of any kind, is taken."""
    return _insert_unless_there(connection.dialect.name, table)


def _insert_unless_there(dialect: str, table: Any) -> sqlite.Insert | postgresql.Insert:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


_INSERTS: Final = {dialect: _insert_unless_there(dialect, VAULT_ENTRY) for dialect in ("postgresql", "sqlite")}
_COUNTED: Final = {"preserve_rowcount": True}


def write_rows(connection: Connection, state: VaultState, rows: Collection[Row]) -> set[Place]:
    """
    See that rows are in the table, each with its pseudonym and its lookup.

    @return: the pseudonyms of those that are not: the pseudonym or the lookup is that of another row.
    @raise SourceRefused: the vault is under another key by now.
    """
    check_key(connection, state)
    # In one order on every proxy, so that no two wait for one another.
    values = [{"vault": state.number, **row._asdict()} for row in sorted(rows)]
    if connection.execute(_INSERTS[connection.dialect.name], values, execution_options=_COUNTED).rowcount == len(rows):
        return set()
    there = {row.place: row.lookup for row in rows}
    columns = VAULT_ENTRY.c
    for part in _conditions(state, columns.pseudonym, list(there)):
        for namespace, pseudonym, lookup in connection.execute(
            select(columns.namespace, columns.pseudonym, columns.lookup).where(*part)
        ):
            if there[Place(namespace, pseudonym)] == lookup:
                del there[Place(namespace, pseudonym)]
    return set(there)


def take_in_rows(connection: Connection, state: VaultState, rows: Sequence[Row]) -> frozenset[Place]:
    """
    See that rows which somebody relies on already are in the table.

    A row whose original has another pseudonym there gets a lookup of its own: its pseudonym leads back all the same.

    @return: the originals of those that are not, since the table gives their pseudonym to another.
    @raise SourceRefused: the vault is under another key by now, or a row cannot be decrypted.
    """
    missing = write_rows(connection, state, rows)
    if not missing:
        return frozenset()
    seconds = {}
    for row in rows:
        if row.place in missing:
            original = Place(row.namespace, decrypted(state, row.place, row.original, row.key_id))
            seconds[row_of(state, original, row.pseudonym, row.created, is_second=True)] = original
    missing = write_rows(connection, state, seconds)
    return frozenset(original for row, original in seconds.items() if row.place in missing)


def find_pseudonyms(connection: Connection, state: VaultState, originals: Collection[Place]) -> dict[Place, str]:
    """The pseudonyms that the table has for originals, whichever key made them."""
    by_lookup = {(original.namespace, lookup_of(state.key, original)): original for original in originals}
    columns = VAULT_ENTRY.c
    found = {}
    for part in _conditions(state, columns.lookup, by_lookup):
        for namespace, lookup, pseudonym in connection.execute(
            select(columns.namespace, columns.lookup, columns.pseudonym).where(*part)
        ):
            found[by_lookup[namespace, lookup]] = pseudonym
    return found


def find_originals(connection: Connection, state: VaultState, pseudonyms: Collection[Place]) -> dict[Place, str]:
    """
    The originals that the table has for pseudonyms.

    @raise SourceRefused: a row cannot be decrypted.
    """
    # No pseudonym is anything else, and the database may not take it.
    asked = [one for one in pseudonyms if one.value.isascii() and "\0" not in one.value]
    columns = VAULT_ENTRY.c
    found = {}
    for part in _conditions(state, columns.pseudonym, asked):
        for namespace, value, original, key_id in connection.execute(
            select(columns.namespace, columns.pseudonym, columns.original, columns.key_id).where(*part)
        ):
            pseudonym = Place(namespace, value)
            found[pseudonym] = decrypted(state, pseudonym, original, key_id)
    return found


def _conditions(
    state: VaultState, column: ColumnElement[Any], asked: Iterable[tuple[str, str | bytes]]
) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """What rows with one of these values of a column, each in its namespace, are found by; a few queries in all."""
    by_namespace = defaultdict(list)
    for namespace, value in asked:
        by_namespace[namespace].append(value)
    for namespace, values in by_namespace.items():
        for start in range(0, len(values), _MOST_ASKED):
            yield (
                VAULT_ENTRY.c.vault == state.number,
                VAULT_ENTRY.c.namespace == namespace,
                column.in_(values[start : start + _MOST_ASKED]),
            )


def _message(original: Place) -> bytes:
    """What an original is to the digests."""
    return original.namespace.encode() + b"\0" + _encoded(original.value)


def _encoded(original: str) -> bytes:
    # Any text at all, though no character set of DICOM yields the lone surrogates that UTF-8 has no place for.
    return original.encode("utf-8", "surrogatepass")


def _belongs(state: VaultState, namespace: str, pseudonym: str) -> bytes:
    """Where an encrypted original belongs: moved to another row it cannot be decrypted."""
    return "\0".join(("original", state.name, namespace, pseudonym)).encode()
