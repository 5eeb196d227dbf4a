"""A person copies models into ensembles, and takes them out again.

The intent first; then the files, in our own folder; then their move to the place, index last. The
cycle that sees the copy there records whose it is, so that a stop anywhere is repaired by the next.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from watcherd import trash
from watcherd.artifact import Part, Role
from watcherd.cycle import Cycle
from watcherd.errors import NoSuchModel, TrashError, UsageError, WatcherdError
from watcherd.mounts import mounts_below
from watcherd.naming import Naming
from watcherd.plan import ON_DISK, State
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Row, copying
from watcherd.registry.copying import Meant
from watcherd.registry.intents import load_parts
from watcherd.registry.members import copies_of
from watcherd.removal import Removed, remove
from watcherd.root import open_root
from watcherd.scope import Request, folders, homes
from watcherd.trashing import Meaning, mount_between, moving


@dataclass
class Copied:
    """What became of models that were to be copied into an ensemble."""

    done: dict[int, str] = field(default_factory=dict)
    """model_id -> the path of its copy."""
    failed: dict[int, WatcherdError] = field(default_factory=dict)
    cycles: list[Cycle] = field(default_factory=list)


def add(reconciler: Reconciler, ids: Sequence[int], kind: str, by: By) -> Copied:
    """Copy models into the ensemble folder ``kind`` of their interval and ticker.

    Their folders are looked at first, and those of the copies last. What lies at a copy's path is
    never replaced. Raises RootSuspended, RegistryError and TrashError.
    """
    registry = reconciler.registry
    homes_of = {home for row in _rows(reconciler, ids) for home in homes(row["path"])}
    copied = Copied()
    if homes_of:
        copied.cycles.append(reconciler.cycle(Request(folders(homes_of), by.cause)))
    rows = _rows(reconciler, ids)
    parts = load_parts(registry, [row["model_id"] for row in rows])
    for row in rows:
        model_id = row["model_id"]
        try:
            copied.done[model_id] = _copy(reconciler, row, parts[model_id], kind, by)
        except WatcherdError as error:
            copied.failed[model_id] = error
    places = {home for path in copied.done.values() for home in homes(path)}
    if places:
        request = Request(folders(places), by.cause)
        copied.cycles += reconciler.cycle_until_settled(request)
    return copied


def _rows(reconciler: Reconciler, ids: Sequence[int]) -> list[Row]:
    return [row for one in ids if (row := reconciler.registry.find(one))]


def _copy(reconciler: Reconciler, row: Row, parts: Sequence[Part], kind: str, by: By) -> str:
    """Copy one model; the path of its copy. Raises TrashError, UsageError, and as ``moving``."""
    path = _path_of_copy(reconciler.naming, row, kind)
    if mount := mount_between(path, mounts_below(reconciler.root.path)):
        raise TrashError(f"{path}: {mount} is another mount than the root's .watcherd")
    files = [part for part in parts if part.role is not Role.TEMPORARY]
    at = datetime.fromtimestamp(time.time(), UTC)
    place = f"{trash.trash_path_for(row['model_id'], at)}-copy"
    entry = trash.Entry(path, place, trash.copied(files, row["path"], path))
    _check_seen(reconciler.naming, entry)
    meant = Meant(path, row["model_id"], place, by.actor)
    _carry_out(reconciler, meant, files, entry, like=row["folder"])
    return path


def _carry_out(
    reconciler: Reconciler, meant: Meant, files: Sequence[Part], entry: trash.Entry, like: str
) -> None:
    """The turn to move files is held at both ends only: a copy may take minutes."""
    said = {"model_id": meant.model_id, "reasons": [f"copied by {meant.actor}"]}
    with ExitStack() as held:
        with moving(reconciler) as root_fd:
            held.enter_context(_meaning(reconciler, meant))
            held.enter_context(trash.staging(root_fd, entry, like))
        with open_root(Path(reconciler.root.path), reconciler.root.uuid) as root_fd:
            whole = trash.stage(root_fd, files, entry, said)
        with moving(reconciler) as root_fd:
            trash.deliver(root_fd, whole)


@contextmanager
def _meaning(reconciler: Reconciler, meant: Meant) -> Iterator[None]:
    """The intent: it stays until the copy is known. Where there is to be none it goes, but not
    before our folder: what could not be removed is left to the next cycle."""
    registry, root = reconciler.registry, reconciler.root
    if not copying.mean(registry, root.root_id, meant):
        raise TrashError(
            f"{meant.path}: another copy is on its way there",
            hint="watcherd ensemble list shows it when it has arrived",
        )
    try:
        yield
    except TrashError:
        if not Path(root.path, meant.trash_path).exists():
            copying.forget(registry, root.root_id, [meant.path])
        raise


def _check_seen(naming: Naming, entry: trash.Entry) -> None:
    """Raises UsageError where nobody would look at the copy."""
    for part in entry.parts:
        if pattern := naming.ignores(part.path):
            raise UsageError(
                f"{part.path}: would be ignored by {pattern}",
                hint="take that pattern out of models.ignore, or name another ensemble",
            )


def _path_of_copy(naming: Naming, row: Row, kind: str) -> str:
    """Raises TrashError where a model has no copies, UsageError where there is no such ensemble."""
    if row["state"] != State.PRESENT:
        raise TrashError(f"{row['path']}: it is {row['state']}, there is nothing whole to copy")
    if naming.ensemble_of(row["path"]):
        raise TrashError(f"{row['path']}: lies in an ensemble itself", hint="Name its model.")
    path = naming.copied_to(row["path"], kind)
    if path is None and row["type"] is None:
        raise TrashError(
            f"{row['path']}: has no type by its path, so it has no ensembles",
            hint=row["unplaced"] or "",
        )
    if path is None:
        raise UsageError(
            f"{kind!r} is no ensemble: none of {', '.join(naming.ensembles)}",
            hint="name one that models.ensembles in the settings fits, or add a pattern there",
        )
    return path


def take_out(
    reconciler: Reconciler, ids: Sequence[int], kind: str | None, meaning: Meaning
) -> Removed:
    """Move the copies of models to the trash: those in the ensemble ``kind``, or all of them.

    A model that lies in an ensemble itself stands for itself. What became of the copies is told by
    the models that were named. Raises RootSuspended, RegistryError, TrashError.
    """
    copies = {one: _find_copies(reconciler, one, kind) for one in ids}
    done = remove(reconciler, list(dict.fromkeys(chain.from_iterable(copies.values()))), meaning)
    told = Removed(cycles=done.cycles)
    for one, some in copies.items():
        for said, found in ((told.failed, done.failed), (told.refused, done.refused)):
            said.update((one, found[copy]) for copy in some if copy in found)
        if not some:
            told.failed[one] = _no_copy(reconciler, one, kind)
        elif one not in told.failed.keys() | told.refused.keys():
            told.done.add(one)
    return told


def _find_copies(reconciler: Reconciler, model_id: int, kind: str | None) -> list[int]:
    row = reconciler.registry.find(model_id)
    if row and row["state"] in ON_DISK and reconciler.naming.ensemble_of(row["path"]):
        return [model_id]
    copies = copies_of(reconciler.registry, [model_id]).get(model_id, [])
    rows = _rows(reconciler, copies)
    return [row["model_id"] for row in rows if kind in (None, row["ensemble_type"])]


def _no_copy(reconciler: Reconciler, model_id: int, kind: str | None) -> NoSuchModel:
    (row,) = _rows(reconciler, [model_id])
    place = f"the ensemble {kind}" if kind else "any ensemble"
    return NoSuchModel(
        f"{row['path']}: has no copy in {place}", hint="watcherd ensemble list shows what has"
    )
