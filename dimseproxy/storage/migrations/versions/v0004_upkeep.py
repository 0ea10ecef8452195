"""Who looks after the archive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archive_upkeep",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO archive_upkeep (id, owner, beat) VALUES (1, NULL, 0)")
