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
from watcherd.child import last_at_the_disk
from watcherd.config import FreeSpace
from watcherd.cycle import Cycle
from watcherd.errors import NoSuchModel, TrashError, UsageError, WatcherdError
from watcherd.mounts import mounts_below
from watcherd.naming import Naming
from watcherd.plan import ON_DISK, State
from watcherd.purging import has_room, measure_space
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Row, copying
from watcherd.registry.copying import Meant, known_at
from watcherd.registry.intents import load_parts
from watcherd.registry.members import copies_of
from watcherd.removal import Removed, remove
from watcherd.root import open_root
from watcherd.scope import Request, folders, homes
from watcherd.trashing import Meaning, mount_between, moving

NO_RESERVE = FreeSpace()


@dataclass
class Copied:
    """What became of models that were to be copied into an ensemble."""

    done: dict[int, str] = field(default_factory=dict)
    """model_id -> the path of its copy."""
    already: set[int] = field(default_factory=set)
    """Of those, the models whose content was there already."""
    failed: dict[int, WatcherdError] = field(default_factory=dict)
    cycles: list[Cycle] = field(default_factory=list)


def add(
    reconciler: Reconciler,
    ids: Sequence[int],
    kind: str,
    by: By,
    min_free_space: FreeSpace = NO_RESERVE,
) -> Copied:
    """Copy models into the ensemble folder ``kind`` of their interval and ticker.

    Their folders are looked at first, and those of the copies last. What lies at a copy's path is
    never replaced; where it is of the model's content, nothing is to be done. ``min_free_space``
    stays free. Raises RootSuspended, RegistryError and TrashError.
    """
    copied = Copied()
    if looked_at := _places(reconciler, ids, kind):
        copied.cycles.append(reconciler.cycle(Request(folders(looked_at), by.cause)))
    rows = _rows(reconciler, ids)
    parts = load_parts(reconciler.registry, [row["model_id"] for row in rows])
    order = _Order(reconciler, kind, by, min_free_space)
    for row in rows:
        try:
            _bring(order, row, parts[row["model_id"]], copied)
        except WatcherdError as error:
            copied.failed[row["model_id"]] = error
    made = copied.done.keys() - copied.already
    if places := {home for one in made for home in homes(copied.done[one])}:
        request = Request(folders(places), by.cause)
        copied.cycles += reconciler.cycle_until_settled(request)
    return copied


@dataclass(frozen=True, slots=True)
class _Order:
    """What is the same for all that are copied at once."""

    reconciler: Reconciler
    kind: str
    by: By
    min_free_space: FreeSpace


def _bring(order: _Order, row: Row, parts: Sequence[Part], copied: Copied) -> None:
    """See that a model is in the ensemble. Raises TrashError, UsageError, and as ``moving``."""
    path = _path_of_copy(order.reconciler.naming, row, order.kind)
    if _is_there(order.reconciler, row, path):
        copied.already.add(row["model_id"])
    else:
        _copy(order, row, parts, path)
    copied.done[row["model_id"]] = path


def _places(reconciler: Reconciler, ids: Sequence[int], kind: str) -> set[str]:
    """The folders of models, and of what may be their copies."""
    rows = _rows(reconciler, ids)
    copies = (reconciler.naming.copied_to(row["path"], kind) for row in rows)
    return {
        home
        for path in (*(row["path"] for row in rows), *filter(None, copies))
        for home in homes(path)
    }


def _is_there(reconciler: Reconciler, row: Row, path: str) -> bool:
    """Whether a whole artifact of the model's content lies at the copy's path."""
    known = known_at(reconciler.registry, reconciler.root.root_id, path)
    copy = known and reconciler.registry.find(known)
    if not copy or copy["state"] != State.PRESENT:
        return False
    return bool(copy["fingerprint"] == row["fingerprint"] and copy["copy_of"] == row["model_id"])


def _rows(reconciler: Reconciler, ids: Sequence[int]) -> list[Row]:
    return [row for one in ids if (row := reconciler.registry.find(one))]


def _copy(order: _Order, row: Row, parts: Sequence[Part], path: str) -> None:
    """Copy one model to a path. Raises TrashError, UsageError, and as ``moving``."""
    reconciler = order.reconciler
    if mount := mount_between(path, mounts_below(reconciler.root.path)):
        raise TrashError(
            f"{path}: {mount} is another mount than the root's .watcherd",
            hint="copy the model there by hand: the next look at that folder records it",
        )
    at = datetime.fromtimestamp(time.time(), UTC)
    place = f"{trash.trash_path_for(row['model_id'], at)}-copy"
    files = _own_files(reconciler, row["path"], parts, path)
    _check_room(order, row, files)
    entry = trash.Entry(path, place, trash.copied(files, row["path"], path))
    _check_seen(reconciler.naming, entry)
    meant = Meant(path, row["model_id"], place, order.by.actor)
    _carry_out(reconciler, meant, files, entry, like=row["folder"])


def _own_files(reconciler: Reconciler, source: str, parts: Sequence[Part], path: str) -> list[Part]:
    """What is to be copied: without the companions that another copy brought there already."""
    files = [part for part in parts if part.role is not Role.TEMPORARY]
    pairs = list(zip(files, trash.copied(files, source, path), strict=True))
    with open_root(Path(reconciler.root.path), reconciler.root.uuid) as root_fd:
        return [
            part
            for part, copy in pairs
            if part.role is not Role.COMPANION or not trash.is_shared(root_fd, part, copy)
        ]


def _check_room(order: _Order, row: Row, files: Sequence[Part]) -> None:
    """Raises TrashError where a trainer might miss the space that a copy takes."""
    free, total = measure_space(order.reconciler.root.path)
    size = sum(part.fact.size for part in files)
    if not has_room(size, free=free, floor=order.min_free_space.of(total)):
        raise TrashError(
            f"{row['path']}: its copy takes {size:,} bytes, and of the {free:,} that are free less "
            "than retention.min_free_space would be left",
            hint="free some disk space, or lower the setting; watcherd trash purge empties the "
            "trash",
        )


def _carry_out(
    reconciler: Reconciler, meant: Meant, files: Sequence[Part], entry: trash.Entry, like: str
) -> None:
    """The turn to move files is held at both ends only: a copy may take minutes."""
    said = {"model_id": meant.model_id, "reasons": [f"copied by {meant.actor}"]}
    with ExitStack() as held:
        with moving(reconciler) as root_fd:
            held.enter_context(_meaning(reconciler, meant))
            held.enter_context(trash.staging(root_fd, entry, like))
        root = reconciler.root
        with open_root(Path(root.path), root.uuid) as root_fd, last_at_the_disk():
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
            copying.forget(registry, root.root_id, [meant])
        raise


def _check_seen(naming: Naming, entry: trash.Entry) -> None:
    """Raises UsageError where nobody would look at the copy."""
    for part in entry.parts:
        if pattern := naming.ignores(part.path):
            raise UsageError(
                f"{part.path}: it would be ignored by {pattern}",
                hint="take that pattern out of models.ignore, or name another ensemble",
            )


def _path_of_copy(naming: Naming, row: Row, kind: str) -> str:
    """Raises TrashError where a model has no copies, UsageError where there is no such ensemble."""
    if row["state"] != State.PRESENT:
        raise TrashError(
            f"{row['path']}: it is {row['state']}, there is nothing whole to copy",
            hint=f"watcherd show {row['model_id']} tells more",
        )
    if naming.ensemble_of(row["path"]):
        raise TrashError(f"{row['path']}: it lies in an ensemble itself", hint="name its model")
    path = naming.copied_to(row["path"], kind)
    if path is None and row["type"] is None:
        raise TrashError(
            f"{row['path']}: it has no type by its path, so it has no ensembles",
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
        gone = _rows(reconciler, [copy for copy in some if copy in done.done and copy != one])
        told.copies[one] = [row["path"] for row in gone]
    return told


def _find_copies(reconciler: Reconciler, model_id: int, kind: str | None) -> list[int]:
    row = reconciler.registry.find(model_id)
    is_copy = row and row["state"] in ON_DISK and reconciler.naming.ensemble_of(row["path"])
    copies = copies_of(reconciler.registry, [model_id]).get(model_id, [])
    rows = _rows(reconciler, [model_id] if is_copy else copies)
    return [row["model_id"] for row in rows if kind in (None, row["ensemble_type"])]


def _no_copy(reconciler: Reconciler, model_id: int, kind: str | None) -> NoSuchModel:
    (row,) = _rows(reconciler, [model_id])
    place = f"the ensemble {kind}" if kind else "any ensemble"
    here = reconciler.naming.ensemble_of(row["path"])
    said = f"it lies in {here}, not in {kind}" if here else f"it has no copy in {place}"
    return NoSuchModel(f"{row['path']}: {said}", hint="watcherd ensemble list shows what has")
