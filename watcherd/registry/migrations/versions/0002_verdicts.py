"""Verdicts are kept; a tag and a trash entry tell whose they are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("tag", sa.Column("source", sa.Text(), server_default="person", nullable=False))
    op.add_column("trash", sa.Column("verb", sa.Text(), server_default="pruned", nullable=False))
    op.create_index("trash_expires", "trash", ["expires_at"], unique=False)
    op.create_table(
        "verdict",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("keep", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("model_id"),
    )
