"""Studies that are complete, and their dispatch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "archive_completion",
        sa.Column("study", number, _goes_with("archive_study.id"), primary_key=True, autoincrement=False),
        sa.Column("completions", sa.Integer, nullable=False),
        sa.Column("instances", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("last_received", sa.Float(53), nullable=False),
    )
    op.create_table(
        "archive_dispatch",
        sa.Column("id", number, primary_key=True),
        sa.Column("study", number, _goes_with("archive_study.id"), nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due", sa.Float(53)),
        sa.Column("owner", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.UniqueConstraint("study", "destination", name="archive_dispatch_study"),
        sa.Index("archive_dispatch_due", "destination", "due"),
        sa.Index("archive_dispatch_state", "state"),
    )
    op.create_table(
        "archive_delivered",
        sa.Column("instance", number, _goes_with("archive_instance.id"), nullable=False),
        sa.Column("dispatch", number, nullable=False),
        sa.PrimaryKeyConstraint("instance", "dispatch"),
        sqlite_with_rowid=False,
    )
    op.create_index("archive_series_last_received", "archive_series", ["last_received", "study"])
    op.create_index("archive_series_totals", "archive_series", ["study", "last_received", "instances", "size"])


def _goes_with(row: str) -> sa.ForeignKey:
    return sa.ForeignKey(row, ondelete="CASCADE")
