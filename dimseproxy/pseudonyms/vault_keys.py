"""
Which key a vault is under, and how it comes under another one.

A vault has one current key, and says so in the database: who writes checks that it is still the current one.  A proxy
that was started with a new key makes it the current one, and from then on a proxy with the old key refuses instead of
making a second pseudonym for somebody who has one.

Then every row is encrypted anew, in bounded transactions.  The pseudonyms stay: those that the old key made cannot be
made again, and are found by their originals from now on.  When it is done the old key may leave the key file.  Where it
is interrupted, the next start goes on.

The key of the date shifts outlives them all: it is derived from the first key, and kept in the database, encrypted.
All of this runs in a thread of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, exists, select, tuple_

from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.keys import Keys
from dimseproxy.pseudonyms.vault_rows import (
    Place,
    Row,
    VaultState,
    check_key,
    decrypted,
    insert_unless_there,
    lookup_of,
    pseudonym_of,
    row_of,
    take_in_rows,
)
from dimseproxy.storage.tables import VAULT, VAULT_ENTRY

#: Rows that are encrypted anew in a transaction.
ROWS_TOGETHER: Final = 500

#: Before the pseudonym of any row.
FIRST: Final = Place("", "")


def open_vault(connection: Connection, name: str, keys: Keys, may_change: Callable[[], bool]) -> VaultState:
    """
    The vault of a name, made where there is none, with the newest key as its current one.

    @param may_change: asked where the newest key is not the current one yet.
    @raise SourceRefused: its current key is not among those given.
    @raise SourceUnavailable: the current key may not change now.
    """
    found = _found(connection, name, keys)
    if found.key is keys.newest:
        return found
    if not may_change():
        raise SourceUnavailable(f"the vault {name!r} is in use under its older key: end the other process first")
    has_rows = bool(connection.scalar(select(exists().where(VAULT_ENTRY.c.vault == found.number))))
    state = VaultState(
        found.number, name, keys, found.date_shift, found.is_inherited or has_rows, is_settled=not has_rows
    )
    connection.execute(
        VAULT.update()
        .where(VAULT.c.id == state.number)
        .values(
            key_id=state.key.key_id,
            date_shift=state.key.encrypt(state.date_shift, _place(name)),
            is_inherited=state.is_inherited,
            is_settled=state.is_settled,
        )
    )
    return state


def take_in(connection: Connection, name: str, keys: Keys, rows: Sequence[Row]) -> frozenset[Place]:
    """
    Bring rows into the table that a process left in its journal, under whatever key they are.  The current key stays
    what it is.

    @return: the originals of those that are not there now, since the table gives their pseudonym to another.
    @raise SourceRefused: a key is not among those given, or a row was changed.
    """
    state = _found(connection, name, keys)
    current = []
    is_inherited = state.is_inherited
    for row in rows:
        original = Place(row.namespace, decrypted(state, row.place, row.original, row.key_id))
        if row.key_id == state.key.key_id:
            current.append(row)
        else:
            current.append(row_of(state, original, row.pseudonym, row.created))
        is_inherited = is_inherited or pseudonym_of(state, original) != row.pseudonym
    collisions = take_in_rows(connection, state, current)
    if is_inherited and not state.is_inherited:
        connection.execute(VAULT.update().where(VAULT.c.id == state.number).values(is_inherited=True))
    return collisions


def _found(connection: Connection, name: str, keys: Keys) -> VaultState:
    """The vault as it is, its current key put first; made under the newest where there is none."""
    found = select(VAULT).where(VAULT.c.name == name).with_for_update()
    row = connection.execute(found).one_or_none()
    if row is None:
        fresh = {
            "name": name,
            "key_id": keys.newest.key_id,
            "date_shift": keys.newest.encrypt(keys.oldest.date_shift, _place(name)),
            "is_inherited": False,
            "is_settled": True,
        }
        connection.execute(insert_unless_there(connection, VAULT), fresh)
        # Another proxy may have been first, with its own idea of the key.
        row = connection.execute(found).one()
    current = keys.get(row.key_id)
    if current is None:
        raise SourceRefused(
            f"the vault {name!r} is under a key that is not among those given: put it back, below the newest one"
        )
    if current is not keys.newest:
        keys = Keys((current, *(key for key in keys.all if key is not current)))
    date_shift = current.decrypt(row.date_shift, _place(name))
    return VaultState(row.id, name, keys, date_shift, row.is_inherited, row.is_settled)


def _place(name: str) -> bytes:
    """Where the key of the date shifts belongs."""
    return f"date shift\0{name}".encode()


def encrypt_anew(connection: Connection, state: VaultState, after: Place) -> Place | None:
    """
    Bring the next rows under the current key.

    @param after: the pseudonym of the last row that was dealt with; `FIRST` at first.
    @return: where to go on, or None when every row is under the current key, and the vault says so.
    @raise SourceRefused: a row is under a key that is not among those given.
    """
    check_key(connection, state)
    columns = VAULT_ENTRY.c
    rows = connection.execute(
        select(columns.namespace, columns.pseudonym, columns.lookup, columns.original, columns.key_id)
        .where(columns.vault == state.number, columns.key_id != state.key.key_id)
        .where(tuple_(columns.pseudonym, columns.namespace) > tuple_(after.value, after.namespace))
        .order_by(columns.pseudonym, columns.namespace)
        .limit(ROWS_TOGETHER)
        .with_for_update()
    ).all()
    if not rows:
        connection.execute(VAULT.update().where(VAULT.c.id == state.number).values(is_settled=True))
        return None
    anew: list[dict[str, Any]] = []
    for namespace, pseudonym, lookup, secret, key_id in rows:
        original = Place(namespace, decrypted(state, Place(namespace, pseudonym), secret, key_id))
        key = state.keys.get(key_id)
        is_second = key is not None and lookup == lookup_of(key, original, pseudonym)
        row = row_of(state, original, pseudonym, 0, is_second=is_second)
        made = {"lookup": row.lookup, "original": row.original, "key_id": row.key_id}
        anew.append({"of": namespace, "what": pseudonym, **made})
    connection.execute(
        VAULT_ENTRY.update().where(
            columns.vault == state.number,
            columns.namespace == bindparam("of"),
            columns.pseudonym == bindparam("what"),
        ),
        anew,
    )
    return Place(rows[-1].namespace, rows[-1].pseudonym)
