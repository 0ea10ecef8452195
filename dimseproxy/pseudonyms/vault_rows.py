"""
The rows of a vault: an original and its pseudonym, encrypted, and how they are written and found.

What takes a connection runs in a thread of the database.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from attrs import field, frozen
from sqlalchemy import ColumnElement, Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import Key, Keys
from dimseproxy.storage.tables import VAULT, VAULT_ENTRY

#: A reference does not always say what its UID refers to, so all UIDs are of one namespace.
NAMESPACES: Final = {kind: "uid" if kind.is_uid else kind.value for kind in Kind}

#: Values in one condition; SQLite takes some 32,000.
_MOST_ASKED: Final = 1_000

_UID: Final = NAMESPACES[Kind.UID]
_UID_BYTES: Final = 16
_TEXT_BYTES: Final = 10


class Place(NamedTuple):
    """A value in its namespace: an original or a pseudonym, as the name says where it is used."""

    namespace: str
    value: str

    def __repr__(self) -> str:
        return f"Place({self.namespace})"


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


def pseudonym_of(state: VaultState, original: Place) -> str:
    """The pseudonym that the current key makes."""
    digest = state.key.digest(_message(original))
    if original.namespace == _UID:
        return f"2.25.{int.from_bytes(digest[:_UID_BYTES], 'big')}"
    return base64.b32encode(digest[:_TEXT_BYTES]).decode()


def encrypted(state: VaultState, original: Place, pseudonym: str) -> dict[str, bytes]:
    """The columns of a row that are made from its original, under the current key."""
    return {
        "lookup": state.key.lookup(_message(original)),
        "original": state.key.encrypt(_encoded(original.value), _belongs(state, original.namespace, pseudonym)),
        "key_id": state.key.key_id,
    }


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
    current = select(VAULT.c.key_id).where(VAULT.c.id == state.number).with_for_update(read=True)
    if connection.scalar(current) != state.key.key_id:
        raise SourceRefused(f"the vault {state.name!r} is under another key by now: start again with the new key file")


def insert_unless_there(connection: Connection, table: Any) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that leaves rows alone whose key, of any kind, is taken."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def write_rows(
    connection: Connection, state: VaultState, pseudonyms: Mapping[Place, str], created: int
) -> frozenset[Place]:
    """
    See that originals and their pseudonyms are in the table.

    @param pseudonyms: by original.
    @param created: seconds since 1970.
    @return: the originals that are not, since the table gives their pseudonym to another.
    @raise SourceRefused: the vault is under another key by now.
    """
    check_key(connection, state)
    rows: list[dict[str, Any]] = [
        {
            "vault": state.number,
            "namespace": original.namespace,
            "pseudonym": pseudonym,
            "created": created,
            **encrypted(state, original, pseudonym),
        }
        # In one order on every proxy, so that no two wait for one another.
        for original, pseudonym in sorted(pseudonyms.items(), key=lambda item: (item[0].namespace, item[1]))
    ]
    insert = insert_unless_there(connection, VAULT_ENTRY)
    if connection.execute(insert, rows, execution_options={"preserve_rowcount": True}).rowcount == len(rows):
        return frozenset()
    there = {(row["namespace"], row["pseudonym"]): row["lookup"] for row in rows}
    columns = VAULT_ENTRY.c
    for part in _conditions(state, columns.pseudonym, list(there)):
        for namespace, pseudonym, lookup in connection.execute(
            select(columns.namespace, columns.pseudonym, columns.lookup).where(*part)
        ):
            if there[namespace, pseudonym] == lookup:
                del there[namespace, pseudonym]
    return frozenset(original for original, pseudonym in pseudonyms.items() if (original.namespace, pseudonym) in there)


def find_pseudonyms(connection: Connection, state: VaultState, originals: Collection[Place]) -> dict[Place, str]:
    """The pseudonyms that the table has for originals, whichever key made them."""
    by_lookup = {(original.namespace, state.key.lookup(_message(original))): original for original in originals}
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
