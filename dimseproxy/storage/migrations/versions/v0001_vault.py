"""The vault of pseudonyms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vault",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("date_shift", sa.LargeBinary, nullable=False),
        sa.Column("is_inherited", sa.Boolean, nullable=False),
        sa.Column("is_settled", sa.Boolean, nullable=False),
    )
    op.create_table(
        "vault_entry",
        sa.Column("vault", sa.Integer, sa.ForeignKey("vault.id"), nullable=False),
        sa.Column("namespace", sa.Text, nullable=False),
        sa.Column("pseudonym", sa.Text, nullable=False),
        sa.Column("lookup", sa.LargeBinary, nullable=False),
        sa.Column("original", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "namespace", "vault"),
        sa.UniqueConstraint("lookup", "namespace", "vault", name="vault_entry_lookup"),
        sqlite_with_rowid=False,
    )
