"""The index of the archive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    bytes_of_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "archive",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "archive_patient",
        sa.Column("id", number, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("patient_id", sa.Text, nullable=False, index=True),
        sa.Column("name", bytes_of_text, index=True),
        sa.Column("attributes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "archive_study",
        sa.Column("id", number, primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("patient", number, sa.ForeignKey("archive_patient.id"), nullable=False, index=True),
        sa.Column("patient_id", sa.Text, nullable=False, index=True),
        sa.Column("name", bytes_of_text, index=True),
        sa.Column("date", bytes_of_text, index=True),
        sa.Column("accession", sa.Text, nullable=False, index=True),
        sa.Column("attributes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "archive_series",
        sa.Column("id", number, primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("study", number, sa.ForeignKey("archive_study.id"), nullable=False, index=True),
        sa.Column("modality", sa.Text, nullable=False, index=True),
        sa.Column("instances", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("first_received", sa.Float(53), nullable=False),
        sa.Column("last_received", sa.Float(53), nullable=False),
        sa.Column("attributes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "archive_instance",
        sa.Column("id", number, primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("series", number, sa.ForeignKey("archive_series.id"), nullable=False),
        sa.Column("sop_class", sa.Text, nullable=False),
        sa.Column("transfer_syntax", sa.Text, nullable=False),
        sa.Column("blob", sa.Text, nullable=False, index=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("received", sa.Float(53), nullable=False),
        sa.Column("attributes", sa.LargeBinary, nullable=False),
        sa.Index("archive_instance_series", "series", "id"),
        sa.Index("archive_instance_sop_class", "sop_class", "transfer_syntax"),
    )
