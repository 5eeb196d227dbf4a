"""Verdicts and symlinks are kept; a tag and a trash entry tell whose they are.

What the note beside a model said last is kept, too; and what is being copied into an ensemble.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


_ON_DISK = sa.text("state IN ('present', 'incomplete', 'unreadable')")


def upgrade() -> None:
    # Looked at anew, every folder: nobody has seen its symlinks and its notes yet.
    op.execute("UPDATE folder SET fingerprint = NULL")
    # Placed anew, every row: nobody has concluded yet what lies in ensembles.
    op.execute("UPDATE root SET naming = ''")
    # Anew, with the root last: SQLite takes a first column of one value for selective.
    op.drop_index("model_on_disk", "model")
    op.create_index(
        "model_on_disk", "model", ["path", "root_id"], unique=True, sqlite_where=_ON_DISK
    )
    op.drop_index("model_in_folder", "model")
    op.create_index("model_in_folder", "model", ["folder", "root_id"], sqlite_where=_ON_DISK)
    op.drop_index("model_in_family", "model")
    op.create_index("model_in_family", "model", ["family", "root_id"])
    op.add_column("model", sa.Column("note_said", sa.Text(), nullable=True))
    op.add_column("model", sa.Column("note_fault", sa.Text(), nullable=True))
    op.create_index("model_file_device", "model_file", ["device"])
    op.add_column("tag", sa.Column("source", sa.Text(), server_default="person", nullable=False))
    op.add_column("trash", sa.Column("verb", sa.Text(), server_default="pruned", nullable=False))
    op.add_column("trash", sa.Column("with_id", sa.Integer(), nullable=True))
    op.create_index("trash_expires", "trash", ["expires_at"], unique=False)
    op.create_index(
        "model_copied", "model", ["copy_of"], sqlite_where=sa.text("copy_of IS NOT NULL")
    )
    op.create_index(
        "model_in_ensemble",
        "model",
        ["ensemble_type"],
        sqlite_where=sa.text("type IS NULL AND ensemble_type IS NOT NULL"),
    )
    op.create_index(
        "model_unverified",
        "model",
        ["changed_at"],
        sqlite_where=sa.text("state = 'present' AND verified IS NULL"),
    )
    op.create_index("model_in_order", "model", ["folder", "family", "step", "path"])
    op.create_index(
        "model_of_size",
        "model",
        ["parameters"],
        sqlite_where=sa.text("architecture_id IS NOT NULL"),
    )
    op.create_index(
        "result_of_metric",
        "result",
        ["metric", "model_id", "fingerprint", "result_id", "value"],
    )
    op.create_index(
        "history_left", "history", ["from_path"], sqlite_where=sa.text("from_path IS NOT NULL")
    )
    op.create_index(
        "history_summed",
        "history",
        ["model_id", "history_id"],
        sqlite_where=sa.text("verb = 'compacted'"),
    )
    op.create_table(
        "link",
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root.root_id"],
        ),
        sa.PrimaryKeyConstraint("root_id", "path"),
    )
    op.create_table(
        "copying",
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("trash_path", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root.root_id"],
        ),
        sa.PrimaryKeyConstraint("root_id", "path"),
    )
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
