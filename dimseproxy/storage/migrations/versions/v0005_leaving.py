"""Files that are still to be deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("archive_leaving", sa.Column("blob", sa.Text, primary_key=True), sqlite_with_rowid=False)
