"""Values of which an attribute should have one only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    for owner in ("patient", "study"):
        op.create_table(
            f"archive_{owner}_value",
            sa.Column("owner", number, sa.ForeignKey(f"archive_{owner}.id", ondelete="CASCADE"), nullable=False),
            sa.Column("kind", sa.Text, nullable=False),
            sa.Column("value", sa.Text, nullable=False),
            sa.PrimaryKeyConstraint("value", "kind", "owner"),
            sa.Index(f"archive_{owner}_value_owner", "owner"),
            sqlite_with_rowid=False,
        )
    # What older rows have is read by who has the key of the index.
    op.add_column("archive", sa.Column("knows_values", sa.Boolean, nullable=False, server_default=sa.false()))
