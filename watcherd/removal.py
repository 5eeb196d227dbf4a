"""A person takes models from the disk: into the trash, whatever the rules say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from watcherd.errors import Refused, TrashError, WatcherdError
from watcherd.guards import find_held
from watcherd.plan import ON_DISK, State
from watcherd.reconciler import Reconciler
from watcherd.registry import Row
from watcherd.registry.intents import Removal
from watcherd.scope import Request, folders, homes
from watcherd.trashing import Meaning, Moved, move_out


@dataclass
class Removed(Moved):
    """What became of the models that a person named."""

    refused: dict[int, WatcherdError] = field(default_factory=dict)
    """model_id -> the guard that holds it, and would not if the person insisted."""


def remove(reconciler: Reconciler, ids: Sequence[int], meaning: Meaning) -> Removed:
    """Move models to the trash by a person's word; ``meaning.force`` overrides what holds them.

    Their folders are looked at first. Raises RootSuspended, RegistryError, TrashError.
    """
    rows = [row for one in ids if (row := reconciler.registry.find(one))]
    scope = folders(home for row in rows for home in homes(row["path"]))
    cycles = [reconciler.cycle(Request(scope, meaning.by.cause))] if rows else []
    fresh = [row for one in ids if (row := reconciler.registry.find(one))]
    removed = Removed(cycles=cycles)
    here = [row for row in fresh if row["state"] in ON_DISK]
    removed.failed |= {
        row["model_id"]: TrashError(
            f"{row['path']}: it is {row['state']}, nothing is there to remove"
        )
        for row in fresh
        if row not in here
    }
    wanted = [_removal_of(row, meaning) for row in here]
    if not meaning.force:
        held = find_held(reconciler, wanted, cycles)
        removed.refused = {
            row["model_id"]: Refused(
                f"{row['path']}: {why}", hint="--force removes it all the same"
            )
            for row in here
            if (why := _mark_of(row) or held.get(row["path"]))
        }
    moved = move_out(reconciler, [w for w in wanted if w.model_id not in removed.refused], meaning)
    removed.done |= moved.done
    removed.failed |= moved.failed
    removed.cycles += moved.cycles
    return removed


def _removal_of(row: Row, meaning: Meaning) -> Removal:
    reasons = (f"removed by {meaning.by.actor}",)
    return Removal(row["model_id"], row["path"], row["revision"], reasons)


def _mark_of(row: Row) -> str | None:
    """What its row says against removing it."""
    if row["pinned"]:
        return "it is pinned"
    if row["aliases"]:
        return f"it has the alias {', '.join(row['aliases'])}"
    if row["resume"] and row["state"] == State.PRESENT:
        return "a state file names it: a trainer resumes from it"
    return None
