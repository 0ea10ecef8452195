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

from typing import Any, Final

from sqlalchemy import Connection, bindparam, exists, select, tuple_

from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.keys import Keys
from dimseproxy.pseudonyms.vault_rows import (
    Place,
    VaultState,
    check_key,
    decrypted,
    encrypted,
    insert_unless_there,
)
from dimseproxy.storage.tables import VAULT, VAULT_ENTRY

#: Rows that are encrypted anew in a transaction.
ROWS_TOGETHER: Final = 500

#: Before the pseudonym of any row.
FIRST: Final = Place("", "")


def open_vault(connection: Connection, name: str, keys: Keys) -> VaultState:
    """
    The vault of a name, made where there is none, with the newest key as its current one.

    @raise SourceRefused: its current key is not among those given.
    """
    key = keys.newest
    place = f"date shift\0{name}".encode()
    found = select(VAULT).where(VAULT.c.name == name).with_for_update()
    row = connection.execute(found).one_or_none()
    if row is None:
        fresh = {
            "name": name,
            "key_id": key.key_id,
            "date_shift": key.encrypt(keys.oldest.date_shift, place),
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
    date_shift = current.decrypt(row.date_shift, place)
    if current is key:
        return VaultState(row.id, name, keys, date_shift, row.is_inherited, row.is_settled)
    has_rows = bool(connection.scalar(select(exists().where(VAULT_ENTRY.c.vault == row.id))))
    state = VaultState(row.id, name, keys, date_shift, row.is_inherited or has_rows, not has_rows)
    connection.execute(
        VAULT.update()
        .where(VAULT.c.id == row.id)
        .values(
            key_id=key.key_id,
            date_shift=key.encrypt(date_shift, place),
            is_inherited=state.is_inherited,
            is_settled=state.is_settled,
        )
    )
    return state


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
        select(columns.namespace, columns.pseudonym, columns.original, columns.key_id)
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
    for namespace, pseudonym, secret, key_id in rows:
        original = Place(namespace, decrypted(state, Place(namespace, pseudonym), secret, key_id))
        anew.append({"of": namespace, "what": pseudonym, **encrypted(state, original, pseudonym)})
    connection.execute(
        VAULT_ENTRY.update().where(
            columns.vault == state.number,
            columns.namespace == bindparam("of"),
            columns.pseudonym == bindparam("what"),
        ),
        anew,
    )
    return Place(rows[-1].namespace, rows[-1].pseudonym)
