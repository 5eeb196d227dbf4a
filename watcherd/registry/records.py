"""Reading what the cycle needs of the registry: the records of a scope, and their kin."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    exists,
    literal_column,
    or_,
    select,
    true,
    update,
)

from watcherd.artifact import HEADS, Artifact, FileFact, Part, Role
from watcherd.plan import ON_DISK, Record, State
from watcherd.registry.tables import folder, model, model_file
from watcherd.scope import ROOT, Scope

T = TypeVar("T")

CHUNK = 400
"""Values in one IN list: SQLite takes 32,766 variables in a statement, older ones 999."""

IS_ON_DISK: ColumnElement[Any] = literal_column(
    "model.state IN ('present', 'incomplete', 'unreadable')"
)
"""In letters: SQLite uses a partial index only where it can prove its condition, and it cannot
look into bound parameters (sqlite.org/partialindex.html). Without a type: of a Boolean one
SQLAlchemy would write ``... = 1``, which proves nothing to SQLite."""

_HEADS = model_file.c.role.in_(sorted(HEADS))


@dataclass(frozen=True, slots=True)
class Kin:
    """Rows that share a path, an inode or a fingerprint with something new."""

    lost: tuple[Record, ...]
    """Not on disk: missing, trashed or deleted."""
    elsewhere: tuple[Record, ...]
    """On disk by the registry; whether they still are, their folders must tell."""


def load_folders(connection: Connection, root_id: int, paths: Iterable[str]) -> list[Record]:
    """The rows on disk of these folders alone."""
    found: list[Record] = []
    for some in chunks(sorted(paths)):
        where = (model.c.root_id == root_id, IS_ON_DISK, model.c.folder.in_(some))
        found += records_where(connection, *where)
    return found


def load(connection: Connection, root_id: int, scope: Scope) -> list[Record]:
    """The rows on disk whose folder the scope covers."""
    found: list[Record] = []
    for condition in _conditions(scope, model.c.folder):
        found += records_where(connection, model.c.root_id == root_id, IS_ON_DISK, condition)
    return found


def load_fingerprints(
    connection: Connection, root_id: int, scope: Scope
) -> dict[str, bytes | None]:
    """The folders of the scope that hold models -> the fingerprint of their listing."""
    found: dict[str, bytes | None] = {}
    for condition in _conditions(scope, folder.c.path):
        rows = connection.execute(
            select(folder.c.path, folder.c.fingerprint).where(
                folder.c.root_id == root_id, condition
            )
        )
        found.update((row.path, row.fingerprint) for row in rows)
    return found


def note_folders(
    connection: Connection,
    root_id: int,
    listed: Mapping[str, bytes],
    held: Mapping[str, bytes | None],
    stamp: bytes,
) -> None:
    """Remember the listings that the rows are equal to, of the folders whose rows nobody wrote
    meanwhile: they are known still as they were ``held``, or by the ``stamp`` of who looked."""
    rows = [
        {"p": path, "f": found, "h": held.get(path), "s": stamp} for path, found in listed.items()
    ]
    mark = folder.c.fingerprint
    connection.execute(
        update(folder)
        .where(folder.c.root_id == root_id, folder.c.path == bindparam("p"))
        .where(or_(mark.is_not_distinct_from(bindparam("h")), mark == bindparam("s")))
        .values(fingerprint=bindparam("f")),
        rows,
    )


def forget_folders(connection: Connection, root_id: int, paths: Iterable[str]) -> None:
    """Forget those of some folders that no model on disk lies in: a trainer may make one a run."""
    models = (model.c.root_id == root_id, model.c.folder == folder.c.path, IS_ON_DISK)
    for some in chunks(sorted(paths)):
        here = (folder.c.root_id == root_id, folder.c.path.in_(some))
        connection.execute(delete(folder).where(*here, ~exists().where(*models)))


def find_kin(
    connection: Connection, root_id: int, new: Iterable[tuple[Artifact, str | None]]
) -> Kin:
    """What new artifacts, each with its fingerprint if it has one, may continue. Rows on disk at
    their own paths are no kin."""
    found: dict[int, Record] = {}
    paths, inodes = set(), []
    contents: defaultdict[int, set[str]] = defaultdict(set)
    for artifact, fingerprint in new:
        paths.add(artifact.path)
        if artifact.head:
            inodes.append(artifact.head.fact.inode)
            if fingerprint:
                contents[artifact.head.fact.device].add(fingerprint)
    is_lost = model.c.state.not_in(sorted(ON_DISK))
    heads = select(model_file.c.model_id).where(_HEADS)
    conditions = [
        *(and_(is_lost, model.c.path.in_(chunk)) for chunk in chunks(sorted(paths))),
        *(
            model.c.model_id.in_(heads.where(model_file.c.inode.in_(some)))
            for some in chunks(inodes)
        ),
        *chain.from_iterable(
            _moved_from_elsewhere(connection, device, some) for device, some in contents.items()
        ),
    ]
    for condition in conditions:
        for record in records_where(connection, model.c.root_id == root_id, condition):
            found[record.model_id] = record
    return Kin(
        lost=tuple(r for r in found.values() if r.state not in ON_DISK),
        elsewhere=tuple(r for r in found.values() if r.state in ON_DISK and r.path not in paths),
    )


def _moved_from_elsewhere(
    connection: Connection, device: int, contents: Iterable[str]
) -> Iterator[ColumnElement[bool]]:
    """Which rows have one of these contents, on another file system: from there a move is a copy.

    Many models may be of one content; hardly ever does a root lie on several file systems.
    """
    others = (model_file.c.device < device, model_file.c.device > device)  # as the index serves
    if any(connection.execute(select(exists().where(one))).scalar() for one in others):
        own = (_HEADS, model_file.c.model_id == model.c.model_id)
        is_elsewhere = exists().where(*own, model_file.c.device != device)
        for some in chunks(sorted(contents)):
            yield and_(model.c.fingerprint.in_(some), is_elsewhere)


def _conditions(scope: Scope, path: Column[str]) -> Iterator[ColumnElement[bool]]:
    """One query each: which of these paths the scope covers."""
    if scope == ROOT:
        yield true()
        return
    for tree in sorted(scope.trees):
        # A range, so that the index serves it: ``0`` is the character after ``/``. The tree's own
        # folder is asked for below: of an ``or`` SQLite makes a look at every row.
        yield and_(path > f"{tree}/", path < f"{tree}0")
    for folders in chunks(sorted(scope.folders | scope.trees)):
        yield path.in_(folders)


def records_where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Record]:
    """The rows that meet every condition."""
    condition = and_(*conditions)
    parts = _parts(connection, condition)
    rows = connection.execute(
        select(
            model.c.model_id,
            model.c.revision,
            model.c.path,
            model.c.state,
            model.c.fingerprint,
            model.c.resume,
            model.c.note_said,
        ).where(condition)
    )
    return [
        Record(
            row.model_id,
            row.revision,
            row.path,
            State(row.state),
            row.fingerprint,
            tuple(sorted(parts[row.model_id], key=lambda part: part.path)),
            bool(row.resume),
            companions_in(row.note_said),
        )
        for row in rows
    ]


def companions_in(said: str | None) -> tuple[str, ...]:
    """The names in ``model.note_said``."""
    return tuple(json.loads(said).get("companions", ())) if said else ()


def _parts(connection: Connection, condition: ColumnElement[bool]) -> defaultdict[int, list[Part]]:
    parts: defaultdict[int, list[Part]] = defaultdict(list)
    rows = connection.execute(
        select(model_file).where(
            model_file.c.model_id.in_(select(model.c.model_id).where(condition))
        )
    )
    for row in rows:
        fact = FileFact(row.size_bytes, row.mtime_ns, row.ctime_ns, row.inode, row.device)
        parts[row.model_id].append(Part(Role(row.role), row.path, fact))
    return parts


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))
