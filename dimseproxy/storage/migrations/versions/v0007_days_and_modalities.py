"""Further days and modalities."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "archive_series_value",
        sa.Column("owner", number, sa.ForeignKey("archive_series.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("value", "kind", "owner"),
        sa.Index("archive_series_value_owner", "owner"),
        sqlite_with_rowid=False,
    )
    # An index that knew further Patient IDs and Accession Numbers reads its rows once more.
    op.execute("UPDATE archive SET knows_values = false")
