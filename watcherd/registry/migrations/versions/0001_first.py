"""The first schema: tables, and the triggers that keep history append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "architecture",
        sa.Column("architecture_id", sa.Integer(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.Column("likeness", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("architecture_id"),
        sa.UniqueConstraint("config_hash"),
    )
    op.create_table(
        "optimizer",
        sa.Column("optimizer_id", sa.Integer(), nullable=False),
        sa.Column("optimizer_type", sa.Text(), nullable=False),
        sa.Column("learning_rate", sa.Float(), nullable=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("optimizer_id"),
        sa.UniqueConstraint("config_hash"),
    )
    op.create_table(
        "root",
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("prune_confirmed", sa.Integer(), server_default="1", nullable=False),
        sa.Column("naming", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("root_id"),
        sa.UniqueConstraint("path"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "folder",
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root.root_id"],
        ),
        sa.PrimaryKeyConstraint("root_id", "path"),
    )
    op.create_table(
        "model",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=True),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("modified_at", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Text(), nullable=False),
        sa.Column("keras_version", sa.Text(), nullable=True),
        sa.Column("backend", sa.Text(), nullable=True),
        sa.Column("class_name", sa.Text(), nullable=True),
        sa.Column("depth", sa.Integer(), nullable=True),
        sa.Column("input_shape", sa.Text(), nullable=True),
        sa.Column("output_shape", sa.Text(), nullable=True),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("variables", sa.Integer(), nullable=True),
        sa.Column("dtype", sa.Text(), nullable=True),
        sa.Column("loss", sa.Text(), nullable=True),
        sa.Column("metrics", sa.Text(), nullable=True),
        sa.Column("custom_objects", sa.Text(), nullable=True),
        sa.Column("optimizer_type", sa.Text(), nullable=True),
        sa.Column("optimizer_id", sa.Integer(), nullable=True),
        sa.Column("architecture_id", sa.Integer(), nullable=True),
        sa.Column("copy_of", sa.Integer(), nullable=True),
        sa.Column("ensemble", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ensemble_type", sa.Text(), nullable=True),
        sa.Column("unplaced", sa.Text(), nullable=True),
        sa.Column("resume", sa.Integer(), server_default="0", nullable=False),
        sa.Column("verified", sa.Integer(), nullable=True),
        sa.Column("verified_at", sa.Text(), nullable=True),
        sa.Column("pinned", sa.Integer(), server_default="0", nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "state IN ('present', 'incomplete', 'unreadable', 'missing', 'trashed', 'deleted')",
            name="model_state",
        ),
        sa.ForeignKeyConstraint(
            ["architecture_id"],
            ["architecture.architecture_id"],
        ),
        sa.ForeignKeyConstraint(
            ["copy_of"],
            ["model.model_id"],
        ),
        sa.ForeignKeyConstraint(
            ["optimizer_id"],
            ["optimizer.optimizer_id"],
        ),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root.root_id"],
        ),
        sa.PrimaryKeyConstraint("model_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("model_at_path", "model", ["path"], unique=False)
    op.create_index("model_in_family", "model", ["root_id", "family"], unique=False)
    op.create_index(
        "model_in_folder",
        "model",
        ["root_id", "folder"],
        unique=False,
        sqlite_where=sa.text("state IN ('present', 'incomplete', 'unreadable')"),
    )
    op.create_index("model_of_content", "model", ["fingerprint"], unique=False)
    op.create_index(
        "model_on_disk",
        "model",
        ["root_id", "path"],
        unique=True,
        sqlite_where=sa.text("state IN ('present', 'incomplete', 'unreadable')"),
    )
    op.create_index("model_placed", "model", ["interval", "ticker", "type"], unique=False)
    op.create_table(
        "mount",
        sa.Column("root_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["root_id"],
            ["root.root_id"],
        ),
        sa.PrimaryKeyConstraint("root_id", "path"),
    )
    op.create_table(
        "alias",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("model_id", "alias"),
    )
    op.create_table(
        "history",
        sa.Column("history_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("from_path", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("history_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("history_at", "history", ["at"], unique=False)
    op.create_index("history_of_model", "history", ["model_id", "history_id"], unique=False)
    op.create_table(
        "model_file",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("ctime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("model_id", "path"),
    )
    op.create_index("model_file_inode", "model_file", ["inode"], unique=False)
    op.create_table(
        "result",
        sa.Column("result_id", sa.Integer(), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("context", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("result_id"),
    )
    op.create_index(
        "result_of_model", "result", ["model_id", "metric", "recorded_at"], unique=False
    )
    op.create_table(
        "tag",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("model_id", "key"),
    )
    op.create_table(
        "trash",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("trash_path", sa.Text(), nullable=False),
        sa.Column("trashed_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), server_default="out", nullable=False),
        sa.CheckConstraint("direction IN ('out', 'back')", name="trash_direction"),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["model.model_id"],
        ),
        sa.PrimaryKeyConstraint("model_id"),
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER history_no_{verb.lower()} BEFORE {verb} ON history "
            "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
        )
    # REPLACE deletes without firing the trigger above (sqlite.org/lang_conflict.html).
    op.execute(
        "CREATE TRIGGER history_no_replace BEFORE INSERT ON history "
        "WHEN EXISTS (SELECT 1 FROM history WHERE history_id = NEW.history_id) "
        "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
    )
