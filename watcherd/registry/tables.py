"""The registry's tables (docs/registry.md). The views stand in ``migrations/views.sql``.

Times are ISO-8601 UTC text with milliseconds, so that they sort as text and read as they are;
``*_ns`` are integers; JSON columns hold JSON text. Each index names the query that needs it.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

metadata = MetaData()

_ON_DISK = text("state IN ('present', 'incomplete', 'unreadable')")

root = Table(
    "root",
    metadata,
    Column("root_id", Integer, primary_key=True),
    Column("uuid", Text, unique=True),  # null until the marker is written
    Column("host", Text),  # the one that prunes
    Column("path", Text, nullable=False, unique=True),
    # 0: the marker was there before this registry; nothing is pruned until a person says so
    Column("prune_confirmed", Integer, nullable=False, server_default="1"),
    Column("naming", Text),  # hash of the rules for names that its rows were placed by
)

folder = Table(
    "folder",
    metadata,
    # Every folder that holds a model on disk. Where the fingerprint of its listing is what it was
    # when rows and disk were last equal, its rows need not be loaded, nor its names grouped.
    Column("root_id", Integer, ForeignKey("root.root_id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("fingerprint", LargeBinary),
    PrimaryKeyConstraint("root_id", "path"),
)

mount = Table(
    "mount",
    metadata,
    # Folders below the root that are mount points: one that no longer is, is a blind spot.
    Column("root_id", Integer, ForeignKey("root.root_id"), nullable=False),
    Column("path", Text, nullable=False),
    PrimaryKeyConstraint("root_id", "path"),
)

link = Table(
    "link",
    metadata,
    # Symlinks below the root: what one of them leads to is never pruned.
    Column("root_id", Integer, ForeignKey("root.root_id"), nullable=False),
    Column("path", Text, nullable=False),
    PrimaryKeyConstraint("root_id", "path"),
)

optimizer = Table(
    "optimizer",
    metadata,
    Column("optimizer_id", Integer, primary_key=True),
    Column("optimizer_type", Text, nullable=False),
    Column("learning_rate", Float),
    Column("config", Text, nullable=False),
    Column("config_hash", Text, nullable=False, unique=True),
)

architecture = Table(
    "architecture",
    metadata,
    Column("architecture_id", Integer, primary_key=True),
    Column("config", Text, nullable=False),
    Column("config_hash", Text, nullable=False, unique=True),
    Column("likeness", Text),  # the same for configs that differ in automatic names only
)

model = Table(
    "model",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("root_id", Integer, ForeignKey("root.root_id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("interval", Text),
    Column("interval_seconds", Integer),
    Column("ticker", Text),
    Column("type", Text),
    Column("format", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("step", BigInteger),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("size_bytes", BigInteger, nullable=False),
    Column("files", Integer, nullable=False),
    Column("fingerprint", Text),
    Column("modified_at", Text, nullable=False),
    Column("first_seen_at", Text, nullable=False),
    Column("placed_at", Text, nullable=False),  # first seen or moved here
    Column("changed_at", Text, nullable=False),  # content
    Column("keras_version", Text),
    Column("backend", Text),
    Column("class_name", Text),
    Column("depth", Integer),
    Column("input_shape", Text),
    Column("output_shape", Text),
    Column("parameters", BigInteger),
    Column("variables", Integer),
    Column("dtype", Text),
    Column("loss", Text),
    Column("metrics", Text),
    Column("custom_objects", Text),
    Column("optimizer_type", Text),
    Column("optimizer_id", Integer, ForeignKey("optimizer.optimizer_id")),
    Column("architecture_id", Integer, ForeignKey("architecture.architecture_id")),
    Column("copy_of", Integer, ForeignKey("model.model_id")),
    Column("ensemble", Integer, nullable=False, server_default="0"),
    Column("ensemble_type", Text),
    Column("unplaced", Text),  # why the path fits no layout
    Column("resume", Integer, nullable=False, server_default="0"),
    Column("verified", Integer),
    Column("verified_at", Text),
    Column("pinned", Integer, nullable=False, server_default="0"),
    Column("note", Text),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("note_said", Text),  # JSON: what the note beside it said last
    Column("note_fault", Text),  # what makes no sense in it
    CheckConstraint(
        "state IN ('present', 'incomplete', 'unreadable', 'missing', 'trashed', 'deleted')",
        name="model_state",
    ),
    # None begins with root_id: SQLite would take it for selective, and read every row of the root.
    # One row a path among those on disk; also load(scope) by path.
    Index("model_on_disk", "path", "root_id", unique=True, sqlite_where=_ON_DISK),
    # load(scope): the rows of some folders.
    Index("model_in_folder", "folder", "root_id", sqlite_where=_ON_DISK),
    # kin(): a row that left this path; show MODEL by path.
    Index("model_at_path", "path"),
    # kin(): a row of this content.
    Index("model_of_content", "fingerprint"),
    # list --interval --ticker --type.
    Index("model_placed", "interval", "ticker", "type"),
    # list, in the order of paths
    Index("model_in_order", "folder", "family", "step", "path"),
    # show: the copies of a model
    Index("model_copied", "copy_of", sqlite_where=text("copy_of IS NOT NULL")),
    # ensemble list; and whether there is any
    Index(
        "model_in_ensemble",
        "ensemble_type",
        sqlite_where=text("type IS NULL AND ensemble_type IS NOT NULL"),
    ),
    # show: the architectures of models with as many parameters as some weights
    Index("model_of_size", "parameters", sqlite_where=text("architecture_id IS NOT NULL")),
    # what TensorFlow has yet to open, the newest first
    Index(
        "model_unverified",
        "changed_at",
        sqlite_where=text("state = 'present' AND verified IS NULL"),
    ),
    # retention by family.
    Index("model_in_family", "family", "root_id"),
    sqlite_autoincrement=True,  # an id is never given again, not even after a compaction
)

model_file = Table(
    "model_file",
    metadata,
    Column("model_id", Integer, ForeignKey("model.model_id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("device", BigInteger, nullable=False),
    PrimaryKeyConstraint("model_id", "path"),
    # kin(): where else a file of this inode was.
    Index("model_file_inode", "inode"),
    # kin(): whether any lies on another file system.
    Index("model_file_device", "device"),
)

result = Table(
    "result",
    metadata,
    Column("result_id", Integer, primary_key=True),
    Column("model_id", Integer, ForeignKey("model.model_id"), nullable=False),
    Column("fingerprint", Text),
    Column("metric", Text, nullable=False),
    Column("value", Float),
    Column("context", Text),
    Column("source", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    # the newest results of a model
    Index("result_of_model", "model_id", "metric", "recorded_at"),
    # list --where, --sort and --best METRIC: a metric's newest values without looking at its rows
    Index("result_of_metric", "metric", "model_id", "fingerprint", "result_id", "value"),
)

tag = Table(
    "tag",
    metadata,
    Column("model_id", Integer, ForeignKey("model.model_id"), nullable=False),
    Column("key", Text, nullable=False),
    Column("value", Text),
    Column("source", Text, nullable=False, server_default="person"),  # or "note": the file's
    PrimaryKeyConstraint("model_id", "key"),
)

alias = Table(
    "alias",
    metadata,
    Column("alias", Text, nullable=False),
    Column("model_id", Integer, ForeignKey("model.model_id"), nullable=False),
    PrimaryKeyConstraint("model_id", "alias"),
)

trash = Table(
    "trash",
    metadata,
    # The row is the intent: it stands before the first file moves and goes after the last.
    Column("model_id", Integer, ForeignKey("model.model_id"), primary_key=True),
    Column("trash_path", Text, nullable=False),
    Column("trashed_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("reasons", Text, nullable=False),
    Column("actor", Text),  # who meant it, and why it was looked at: for the history
    Column("cause", Text),
    Column("direction", Text, nullable=False, server_default="out"),
    # "deleted": a person's rm. What rules pruned is purged first where the disk is full.
    Column("verb", Text, nullable=False, server_default="pruned"),
    Column("with_id", Integer),  # the model with which it went, as its copy: they return together
    CheckConstraint("direction IN ('out', 'back')", name="trash_direction"),
    # purge: what has expired
    Index("trash_expires", "expires_at"),
)

copying = Table(
    "copying",
    metadata,
    # The row is the intent: it stands before the first file is copied into an ensemble, and goes
    # when the copy is known.
    Column("root_id", Integer, ForeignKey("root.root_id"), nullable=False),
    Column("path", Text, nullable=False),  # of the copy
    Column("model_id", Integer, ForeignKey("model.model_id"), nullable=False),
    Column("trash_path", Text, nullable=False),  # where it is made
    Column("actor", Text, nullable=False),
    PrimaryKeyConstraint("root_id", "path"),
)

verdict = Table(
    "verdict",
    metadata,
    # What the rules said of a model when they were last applied; of those that a rule matches.
    Column("model_id", Integer, ForeignKey("model.model_id"), primary_key=True),
    Column("decided_at", Text, nullable=False),  # when it last changed
    Column("keep", Integer, nullable=False),
    Column("reasons", Text, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("history_id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("model_id", Integer, ForeignKey("model.model_id")),
    Column("path", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("from_path", Text),
    Column("details", Text),
    # history MODEL
    Index("history_of_model", "model_id", "history_id"),
    # history --since
    Index("history_at", "at"),
    # show MODEL by a path that it had
    Index("history_left", "from_path", sqlite_where=text("from_path IS NOT NULL")),
    # compaction: the line that stands for all of a model's before it
    Index("history_summed", "model_id", "history_id", sqlite_where=text("verb = 'compacted'")),
    sqlite_autoincrement=True,
)
