"""Models on their way to the trash and back: the intent, the move, and the cycle that sees it.

In batches: one transaction, one wait for the disk and one look at the folders serve hundreds. A
model that cannot be moved costs only itself; why is told with its id.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from watcherd import trash
from watcherd.cycle import Cycle
from watcherd.errors import NoSuchModel, TrashError, WatcherdError
from watcherd.mounts import mounts_below
from watcherd.plan import State, Verb
from watcherd.reconciler import Reconciler
from watcherd.recovery import entry_of, manifest_of
from watcherd.registry import By, Direction, Intent, Registry
from watcherd.registry.intents import Removal, Terms, cancel, find_intents, intend, turn
from watcherd.root import moving_files, open_root
from watcherd.scope import Request, folders, is_within

BATCH = 2_000
"""Models between two looks at the disk: what a run broken off leaves to be repaired is small."""

CHANGED = TrashError(
    "it changed, or was marked, since the decision",
    hint="nothing to do: the next look at it decides anew",
)


@dataclass
class Moved:
    """What became of models that were to move."""

    done: set[int] = field(default_factory=set)
    failed: dict[int, WatcherdError] = field(default_factory=dict)
    """model_id -> why it is where it was."""
    cycles: list[Cycle] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a removal is called in the history, how long it can be taken back, and who means it."""

    verb: Verb
    trash_for: float
    """Seconds."""
    by: By
    force: bool = False
    """A person takes what is marked, or what a trainer resumes from, too."""

    def at(self, now: int) -> Terms:
        """``now`` in ns since the epoch."""
        return Terms(self.verb, now, now + int(self.trash_for * 1e9), self.by, self.force)


def move_out(reconciler: Reconciler, removals: Sequence[Removal], meaning: Meaning) -> Moved:
    """Move models to the trash. Raises RootSuspended and RegistryError."""
    mounts = mounts_below(reconciler.root.path)
    moved = Moved()
    near = []
    for one in removals:
        if mount := mount_between(one.path, mounts):
            moved.failed[one.model_id] = _beyond(one.path, mount)
        else:
            near.append(one)
    for at in range(0, len(near), BATCH):
        _move_batch(reconciler, near[at : at + BATCH], meaning, moved)
    return moved


def mount_between(path: str, mounts: frozenset[str]) -> str | None:
    """A mount point above a model, or within a SavedModel: a rename never leaves a mount."""
    return next((one for one in mounts if is_within(path, one) or is_within(one, path)), None)


def _beyond(path: str, mount: str) -> TrashError:
    return TrashError(
        f"{path}: {mount} is another mount than the one that the trash lies on",
        hint="remove the model by hand, or watch that mount as a models root of its own",
    )


def _move_batch(
    reconciler: Reconciler, removals: Sequence[Removal], meaning: Meaning, moved: Moved
) -> None:
    registry = reconciler.registry
    with moving(reconciler) as root_fd:
        terms = meaning.at(time.time_ns())
        at = datetime.fromtimestamp(terms.now / 1e9, UTC)
        wanted = {trash.trash_path_for(one.model_id, at): one for one in removals}
        intents = intend(registry, wanted, terms)
        failed = _move_files(root_fd, intents, Direction.OUT)
        unmoved = [one for one in failed if _is_unmoved(root_fd, intents[one])]
        cancel(registry, unmoved)
    scope = folders(intent.record.folder for intent in intents.values())
    if scope:
        moved.cycles.append(reconciler.cycle(Request(scope, meaning.by.cause)))
    unfit = (one.model_id for one in removals if one.model_id not in intents)
    moved.failed |= {**dict.fromkeys(unfit, CHANGED), **failed}
    moved.done |= intents.keys() - failed.keys()


def _move_files(
    root_fd: int, intents: Mapping[int, Intent], direction: Direction
) -> dict[int, TrashError]:
    """model_id -> why it could not be moved."""
    failed: dict[int, TrashError] = {}
    entries = []
    for model_id, intent in intents.items():
        try:
            entry = entry_of(intent)
            entries.append(entry)
            if direction is Direction.OUT:
                trash.move_out(root_fd, entry, manifest_of(intent), sync=False)
            else:
                trash.bring_back(root_fd, entry, sync=False)
        except TrashError as error:
            failed[model_id] = error
    # Each folder once for the batch: to wait for the disk after each model is ten times slower.
    with suppress(TrashError):  # they have moved; a disk that fails will say so by itself
        trash.sync_folders(root_fd, entries)
    return failed


def _is_unmoved(root_fd: int, intent: Intent) -> bool:
    """Whether nothing of it is in the trash; the next cycle sees to what could not go back."""
    try:
        return trash.holds(root_fd, entry_of(intent)) is trash.Held.NOTHING
    except TrashError:
        return True


def bring_back(reconciler: Reconciler, ids: Sequence[int], by: By) -> Moved:
    """Bring models back from the trash, to where they were; they are pinned then.

    Raises RootSuspended and RegistryError.
    """
    moved = Moved()
    places: set[str] = set()
    for at in range(0, len(ids), BATCH):
        places |= _return_batch(reconciler, ids[at : at + BATCH], by, moved)
    if places:
        # Once for all of them: what comes back settles first.
        scope = folders(places)
        moved.cycles += reconciler.cycle_until_settled(Request(scope, by.cause))
    return moved


def _return_batch(reconciler: Reconciler, ids: Sequence[int], by: By, moved: Moved) -> set[str]:
    """Returns the folders where models are back."""
    registry = reconciler.registry
    with moving(reconciler) as root_fd:
        intents = find_intents(registry, ids)
        moved.failed |= {one: _not_trashed(registry, one) for one in ids if one not in intents}
        turn(registry, list(intents), Direction.BACK, by)
        failed = _move_files(root_fd, intents, Direction.BACK)
        turn(registry, list(failed), Direction.OUT)
    moved.failed |= failed
    back = intents.keys() - failed.keys()
    moved.done |= back
    return {intents[model_id].record.folder for model_id in back}


def _not_trashed(registry: Registry, model_id: int) -> NoSuchModel:
    """What was purged, and what never went, is told apart."""
    row = registry.find(model_id)
    if row is not None and row["state"] == State.DELETED:
        return NoSuchModel(
            f"{row['path']} is not in the trash any more: it was purged",
            hint=f"watcherd history {model_id} tells when; watcherd trash list shows what is",
        )
    return NoSuchModel(
        f"{row['path'] if row else f'model {model_id}'} is not in the trash",
        hint="watcherd trash list shows what is",
    )


@contextmanager
def moving(reconciler: Reconciler) -> Iterator[int]:
    """The root's descriptor, and the turn to move files in it.

    Raises RootSuspended; TrashError where this user may not write in our own folder.
    """
    root = reconciler.root
    with open_root(Path(root.path), root.uuid) as root_fd, moving_files(root_fd):
        yield root_fd
