"""
What an index of an older version learns when it is opened: the further values that its rows have.

A migration cannot do it, for the rows may be under the key of the archive.  It is done a page at a time, so that no
transaction takes long, and begins anew where it did not come to its end.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from sqlalchemy import Connection, Table, select, update
from twisted.logger import Logger

from dimseproxy.outbound.archive import further, writing
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused
from dimseproxy.storage.tables import ARCHIVE, ARCHIVE_PATIENT

log = Logger()

#: Rows in a transaction.
PAGE: Final = 1_000


async def learn(database: Database, columns: Columns) -> None:
    """
    See that the further values of all rows are known.

    @raise DatabaseUnavailable: not now.
    """
    if await database.read(lambda connection: connection.scalar(select(ARCHIVE.c.knows_values))):
        return
    log.info("the index of the archive is brought up to date")
    for table in further.TABLES:
        after: int | None = 0
        while after is not None:
            after = await database.run(partial(_learn, columns=columns, table=table, after=after))
    await database.run(lambda connection: connection.execute(update(ARCHIVE).values(knows_values=True)))


def _learn(connection: Connection, columns: Columns, table: Table, after: int) -> int | None:
    """Learn the further values of a page of rows; the number of the last one, or None where there are no more."""
    writing.lock(connection)
    found_by = table.c.key if table is ARCHIVE_PATIENT else table.c.uid
    statement = select(table.c.id, found_by, table.c.attributes).where(table.c.id > after).order_by(table.c.id)
    last, values = None, {}
    for number, row, attributes in connection.execute(statement.limit(PAGE)):
        last = number
        try:
            pairs = columns.further(columns.read(table, row, attributes))
        except DatabaseRefused:
            # Nobody is answered with it either.
            continue
        if pairs:
            values[number] = pairs
    further.write(connection, table, values, rewritten=values)
    return last
