"""Writing a plan: one transaction a batch, each change checked again inside it."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from watcherd.artifact import Artifact, Form, Role, files_of
from watcherd.naming import Naming
from watcherd.plan import ON_DISK, Applied, Change, Format, Reading, Record, State, Verb
from watcherd.registry import ensembles, lines, notes, overwrites, scores
from watcherd.registry.clock import iso
from watcherd.registry.intents import By
from watcherd.registry.records import IS_ON_DISK, chunks
from watcherd.registry.tables import (
    architecture,
    folder,
    model,
    model_file,
    optimizer,
    trash,
)
from watcherd.scope import Cause

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes what kind of change, when, and by which naming."""

    root_id: int
    naming: Naming
    cause: Cause
    actor: str
    now: int
    """ns since the epoch."""
    stamp: bytes
    """What the folders are known by whose rows were written: not a fingerprint of a listing."""


def write(
    connection: Connection,
    changes: Sequence[Change],
    writer: Writer,
    still_holds: Callable[[Change], bool],
) -> tuple[list[Applied], list[str]]:
    """Apply what still holds, on the disk and in the registry; returns it, and the dropped paths.

    The caller's transaction holds the write lock, so a revision checked here stays as it is.
    """
    revisions = _revisions(connection, changes)
    held: list[Change] = []
    dropped: list[Change] = []
    for change in changes:
        is_current = change.record is None or (
            revisions.get(change.record.model_id) == change.record.revision
        )
        (held if is_current and still_holds(change) else dropped).append(change)
    _vacate(connection, held)
    taken = _taken(connection, held, writer)
    dropped += [change for change in held if change.path in taken]
    held = [change for change in held if change.path not in taken]
    shared = _Shared(connection)
    rows = [_row(change, writer, shared) for change in held]
    ids = _store(connection, held, rows)
    applied = [Applied(change, ids[at]) for at, change in enumerate(held)]
    _store_files(connection, applied)
    pinned = {one.model_id for one, row in zip(applied, rows, strict=True) if row.get("pinned")}
    applied = _store_said(connection, applied, pinned, writer)
    applied = _join_ensembles(connection, applied, writer)
    _store_folders(connection, applied, writer)
    _forget_trash(connection, applied)
    return applied, [change.path for change in dropped]


def _revisions(connection: Connection, changes: Iterable[Change]) -> dict[int, int]:
    ids = [change.record.model_id for change in changes if change.record]
    known = select(model.c.model_id, model.c.revision)
    return {
        row.model_id: row.revision
        for some in chunks(ids)
        for row in connection.execute(known.where(model.c.model_id.in_(some)))
    }


def _vacate(connection: Connection, changes: Iterable[Change]) -> None:
    """Free the paths of what moves, so that two models may swap theirs."""
    leaving = [
        {"id_": change.record.model_id}
        for change in changes
        if change.record and (change.from_path or change.artifact is None)
    ]
    if leaving:
        connection.execute(
            update(model).where(model.c.model_id == bindparam("id_")).values(state=State.MISSING),
            leaving,
        )


def _taken(connection: Connection, changes: Iterable[Change], writer: Writer) -> set[str]:
    """The paths of new models that another process, or a look between, registered meanwhile."""
    paths = [change.path for change in changes if change.record is None]
    known = select(model.c.path).where(model.c.root_id == writer.root_id, IS_ON_DISK)
    return {
        path
        for some in chunks(paths)
        for path in connection.execute(known.where(model.c.path.in_(some))).scalars()
    }


def _store(connection: Connection, changes: Sequence[Change], rows: Sequence[Row]) -> list[int]:
    """Insert and update; returns the model_id of each change."""
    ids = [change.record.model_id if change.record else 0 for change in changes]
    fresh = [at for at, change in enumerate(changes) if change.record is None]
    if fresh:
        made = connection.execute(
            insert(model).returning(model.c.model_id, sort_by_parameter_order=True),
            [rows[at] for at in fresh],
        )
        for at, model_id in zip(fresh, made.scalars(), strict=True):
            ids[at] = model_id
    by_columns: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for at, change in enumerate(changes):
        if change.record is not None:
            by_columns[tuple(rows[at])].append({"id_": ids[at], **_prefixed(rows[at])})
    for columns, values in by_columns.items():
        statement = (
            update(model)
            .where(model.c.model_id == bindparam("id_"))
            .values({name: bindparam(f"v_{name}") for name in columns})
            .values(revision=model.c.revision + 1)
        )
        connection.execute(statement, values)
    return ids


def _prefixed(row: Row) -> Row:
    return {f"v_{name}": value for name, value in row.items()}


def _row(change: Change, writer: Writer, shared: "_Shared") -> Row:
    """The columns that a change sets."""
    row: Row = {"state": change.state}
    if change.artifact is not None:
        row |= _placing(change, change.artifact, writer)
    if change.artifact is not None and change.reading is not None:
        row |= _content(change, change.artifact, change.reading, writer, shared)
    if change.verb is Verb.RESTORED and not writer.naming.ensemble_of(change.path):
        row["pinned"] = 1  # no rule takes a copy, so it needs none
    return row


def _placing(change: Change, artifact: Artifact, writer: Writer) -> Row:
    """What the path and the files' facts say."""
    placement = writer.naming.place(artifact.path, artifact.form)
    name = writer.naming.read_name(artifact.path, artifact.form)
    row: Row = {
        "size_bytes": artifact.size_bytes,
        "files": len(artifact.files),
        "modified_at": iso(artifact.modified_ns),
        "resume": int(change.resume),
        "path": artifact.path,
        "folder": artifact.folder,
        "model_name": placement.model_name,
        "interval": placement.interval,
        "interval_seconds": placement.interval_seconds,
        "ticker": placement.ticker,
        "type": placement.type,
        "ensemble_type": placement.ensemble_type,
        "unplaced": placement.unplaced,
        "family": name.family,
    }
    if name.step is not None:
        row["step"] = name.step
    now = iso(writer.now)
    if change.record is None:
        row |= {"root_id": writer.root_id, "first_seen_at": now}
    if change.record is None or change.from_path or change.record.state not in ON_DISK:
        row["placed_at"] = now
    return row


def _content(
    change: Change, artifact: Artifact, reading: Reading, writer: Writer, shared: "_Shared"
) -> Row:
    """What the files' content says; an incomplete artifact keeps what was known of it."""
    row: Row = {"fingerprint": reading.fingerprint, "reason": reading.reason}
    if change.record is None or reading.format is not None:
        row["format"] = reading.format or _presumed_format(artifact)
    if change.record is None or reading.fingerprint != change.record.fingerprint:
        row["changed_at"] = iso(writer.now)
    if change.record is None or _was_written(artifact, change.record, reading):
        row |= {"verified": None, "verified_at": None}
    if change.state is State.PRESENT or change.record is None:
        row |= _description(artifact, reading, writer, shared)
    return row


def _was_written(artifact: Artifact, record: Record, reading: Reading) -> bool:
    """Whether any file may hold other bytes than before: not all are in the fingerprint.

    A rename and a chmod change the ctime alone; a copy is another file, of another inode.
    """
    seen, known = (
        sorted((part.role, part.fact._replace(ctime_ns=0, device=0)) for part in files_of(parts))
        for parts in (artifact.parts, record.parts)
    )
    return seen != known or reading.fingerprint != record.fingerprint


def _presumed_format(artifact: Artifact) -> Format:
    """Of what can't be read: by its name alone."""
    if artifact.form is Form.HDF5:
        return Format.WEIGHTS_H5 if artifact.path.lower().endswith(".weights.h5") else Format.H5
    if artifact.head and artifact.head.role is Role.SHARD_V1:
        return Format.CHECKPOINT_V1
    return Format(artifact.form)


def _description(artifact: Artifact, reading: Reading, writer: Writer, shared: "_Shared") -> Row:
    """What the file tells; the step in a name, where there is one, is the step."""
    told = reading.description
    step = writer.naming.read_name(artifact.path, artifact.form).step
    return {
        "step": told.step if step is None else step,
        "keras_version": told.keras_version,
        "backend": told.backend,
        "class_name": told.class_name,
        "depth": told.depth,
        "input_shape": told.input_shape,
        "output_shape": told.output_shape,
        "parameters": told.parameters,
        "variables": told.variables,
        "dtype": told.dtype,
        "loss": told.loss,
        "metrics": told.metrics,
        "custom_objects": told.custom_objects,
        "optimizer_type": told.optimizer and told.optimizer.optimizer_type,
        "optimizer_id": told.optimizer
        and shared.id_of(
            optimizer,
            told.optimizer.optimizer_type + told.optimizer.config,
            optimizer_type=told.optimizer.optimizer_type,
            learning_rate=told.optimizer.learning_rate,
            config=told.optimizer.config,
        ),
        "architecture_id": told.architecture
        and shared.id_of(
            architecture, told.architecture, config=told.architecture, likeness=told.likeness
        ),
    }


@dataclass(slots=True)
class _Shared:
    """Rows that many models share, found by the hash of their config or made."""

    connection: Connection
    known: dict[tuple[str, str], int]

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.known = {}

    def id_of(self, table: Table, identity: str, **columns: Any) -> int:
        config_hash = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        key = (table.name, config_hash)
        if key not in self.known:
            self.known[key] = self._find(table, config_hash) or self._make(
                table, config_hash=config_hash, **columns
            )
        return self.known[key]

    def _find(self, table: Table, config_hash: str) -> int | None:
        (id_column,) = table.primary_key
        return self.connection.execute(
            select(id_column).where(table.c.config_hash == config_hash)
        ).scalar()

    def _make(self, table: Table, **columns: Any) -> int:
        made = self.connection.execute(insert(table).values(**columns)).inserted_primary_key
        assert made is not None  # every one of these tables has an integer key
        return int(made[0])


def _store_files(connection: Connection, applied: Iterable[Applied]) -> None:
    """The parts as seen; what is gone keeps its last facts, by which it may be found again."""
    seen = [(one.model_id, one.change.artifact) for one in applied if one.change.artifact]
    known = [{"id_": one.model_id} for one in applied if one.change.artifact and one.change.record]
    if known:
        connection.execute(
            delete(model_file).where(model_file.c.model_id == bindparam("id_")), known
        )
    rows = [
        {
            "model_id": model_id,
            "role": part.role,
            "path": part.path,
            "size_bytes": part.fact.size,
            "mtime_ns": part.fact.mtime_ns,
            "ctime_ns": part.fact.ctime_ns,
            "inode": part.fact.inode,
            "device": part.fact.device,
        }
        for model_id, artifact in seen
        for part in artifact.parts
    ]
    if rows:
        connection.execute(insert(model_file), rows)


def _store_folders(connection: Connection, applied: Iterable[Applied], writer: Writer) -> None:
    """Every folder that holds a model is known; its listing has yet to be found equal.

    What it was says nothing any more: a file that comes and goes leaves the listing as it was.
    """
    places = {one.folder for each in applied for one in _seen_in(each.change)}
    for some in chunks(sorted(places)):
        here = (folder.c.root_id == writer.root_id, folder.c.path.in_(some))
        there = set(connection.execute(select(folder.c.path).where(*here)).scalars())
        connection.execute(update(folder).where(*here).values(fingerprint=writer.stamp))
        anew = {"root_id": writer.root_id, "fingerprint": writer.stamp}
        rows = [{**anew, "path": path} for path in some if path not in there]
        if rows:
            connection.execute(insert(folder), rows)


def _seen_in(change: Change) -> Iterator[Artifact | Record]:
    """What tells the folders of a change: where the model is, and where it was."""
    if change.artifact:
        yield change.artifact
    if change.record:
        yield change.record


def _store_said(
    connection: Connection, applied: list[Applied], pinned: Collection[int], writer: Writer
) -> list[Applied]:
    """What names and notes tell of the models, what that makes of an overwrite, and the history."""
    by = By(writer.actor, writer.cause)
    scores.add_named(connection, applied, writer.naming, writer.now)
    heard = notes.take(connection, applied, by, writer.now)
    lost = overwrites.find(connection, applied)
    if heard or lost:
        faults = {model_id: one.fault for model_id, one in heard.items()}
        applied = [
            replace(one, lost=lost.get(one.model_id, {}), fault=faults.get(one.model_id))
            for one in applied
        ]
    said = {model_id: one.lines for model_id, one in heard.items()}
    lines.store(connection, applied, said, pinned, by, writer.now)
    return applied


def _join_ensembles(
    connection: Connection, applied: list[Applied], writer: Writer
) -> list[Applied]:
    news = ensembles.join(connection, applied, writer)
    if not news:
        return applied
    return [replace(one, ensembles=news.get(one.model_id, ())) for one in applied]


def _forget_trash(connection: Connection, applied: Iterable[Applied]) -> None:
    """A model that is back in its place is no longer in the trash."""
    back = [{"id_": one.model_id} for one in applied if one.change.verb is Verb.RESTORED]
    if back:
        connection.execute(delete(trash).where(trash.c.model_id == bindparam("id_")), back)
