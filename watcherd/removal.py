"""A person takes models from the disk, whatever the rules say of them, and brings them back; with
their copies in ensembles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from watcherd.cycle import Cycle
from watcherd.errors import Refused, TrashError, WatcherdError
from watcherd.guards import find_held
from watcherd.plan import ON_DISK, State
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Row
from watcherd.registry.intents import Removal
from watcherd.registry.members import copies_of, trashed_with
from watcherd.scope import Request, folders, homes
from watcherd.trashing import Meaning, Moved, bring_back, move_out


@dataclass
class Removed(Moved):
    """What became of the models that a person named."""

    refused: dict[int, WatcherdError] = field(default_factory=dict)
    """model_id -> the guard that holds it, and would not if the person insisted."""


def remove(reconciler: Reconciler, ids: Sequence[int], meaning: Meaning) -> Removed:
    """Move models to the trash by a person's word; ``meaning.force`` overrides what holds them.

    Their copies in ensembles go after them, also where the model is gone already: what holds a
    copy holds its model, and a copy that cannot be moved is told as its model's failure. All their
    folders are looked at first. Raises RootSuspended, RegistryError, TrashError.
    """
    rows = _rows(reconciler, ids, copies_of(reconciler.registry, ids))
    scope = folders(home for row in rows.values() for home in homes(row["path"]))
    removed = Removed(cycles=[reconciler.cycle(Request(scope, meaning.by.cause))] if rows else [])
    copies = copies_of(reconciler.registry, ids)
    rows = _rows(reconciler, ids, copies)
    known = [one for one in ids if one in rows]
    gone = [one for one in known if rows[one]["state"] not in ON_DISK]
    removed.failed |= {one: _absent(rows[one]) for one in gone if one not in copies}
    if not meaning.force:
        removed.refused = _find_refused(reconciler, known, copies, rows, removed.cycles)
    going = [one for one in known if one not in removed.refused.keys() | removed.failed.keys()]
    by = f"by {meaning.by.actor}"
    here = [_removal_of(rows[one], f"removed {by}") for one in going if one not in gone]
    _move(reconciler, here, meaning, removed)
    with_it = {
        copy: one
        for one in going
        if one not in removed.failed
        for copy in copies.get(one, ())
        if copy not in removed.done
    }
    told = [_removal_of(rows[copy], f"removed with its model {by}") for copy in with_it]
    _move(reconciler, told, meaning, removed)
    stuck = [copy for copy in with_it if copy in removed.failed]
    removed.failed |= {with_it[copy]: removed.failed[copy] for copy in stuck}
    return removed


def restore(reconciler: Reconciler, ids: Sequence[int], by: By) -> Moved:
    """Bring models back from the trash, and after them the copies that went there with them.

    A copy that cannot come back is told as its model's failure. Raises RootSuspended and
    RegistryError.
    """
    copies = trashed_with(reconciler.registry, ids)
    moved = bring_back(reconciler, ids, by)
    with_it = {copy: one for one in ids if one in moved.done for copy in copies.get(one, ())}
    also = bring_back(reconciler, [copy for copy in with_it if copy not in moved.done], by)
    moved.done |= also.done
    moved.failed |= {with_it[copy]: error for copy, error in also.failed.items()}
    moved.cycles += also.cycles
    return moved


def _rows(
    reconciler: Reconciler, ids: Sequence[int], copies: Mapping[int, Sequence[int]]
) -> dict[int, Row]:
    every = dict.fromkeys(chain(ids, *copies.values()))
    return {one: row for one in every if (row := reconciler.registry.find(one))}


def _move(
    reconciler: Reconciler, wanted: Sequence[Removal], meaning: Meaning, removed: Removed
) -> None:
    moved = move_out(reconciler, wanted, meaning)
    removed.done |= moved.done
    removed.failed |= moved.failed
    removed.cycles += moved.cycles


def _find_refused(
    reconciler: Reconciler,
    ids: Sequence[int],
    copies: Mapping[int, Sequence[int]],
    rows: Mapping[int, Row],
    cycles: Sequence[Cycle],
) -> dict[int, WatcherdError]:
    """model_id -> what holds it, or one of its copies."""
    every = [row for row in rows.values() if row["state"] in ON_DISK]
    held = find_held(reconciler, [_removal_of(row, "") for row in every], cycles)
    said = {row["model_id"]: _mark_of(row) or held.get(row["path"]) for row in every}
    refused: dict[int, WatcherdError] = {}
    for one in ids:
        its = [f"its copy {rows[c]['path']}: {said[c]}" for c in copies.get(one, ()) if said.get(c)]
        if why := said.get(one) or next(iter(its), None):
            refused[one] = Refused(
                f"{rows[one]['path']}: {why}", hint="--force removes it all the same"
            )
    return refused


def _absent(row: Row) -> TrashError:
    return TrashError(f"{row['path']}: it is {row['state']}, nothing is there to remove")


def _removal_of(row: Row, reason: str) -> Removal:
    return Removal(row["model_id"], row["path"], row["revision"], (reason,))


def _mark_of(row: Row) -> str | None:
    """What its row says against removing it."""
    if row["pinned"]:
        return "it is pinned"
    if row["aliases"]:
        return f"it has the alias {', '.join(row['aliases'])}"
    if row["resume"] and row["state"] == State.PRESENT:
        return "a state file names it: a trainer resumes from it"
    return None
