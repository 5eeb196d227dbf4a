"""A person takes models from the disk, whatever the rules say of them, and brings them back; with
their copies in ensembles."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from watcherd.cycle import Cycle
from watcherd.errors import Refused, TrashError, WatcherdError
from watcherd.guards import find_held
from watcherd.plan import ON_DISK, State
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Row
from watcherd.registry.copying import are_copied
from watcherd.registry.intents import Removal, find_intents
from watcherd.registry.members import copies_of, trashed_with
from watcherd.scope import Request, folders, homes
from watcherd.trashing import Meaning, Moved, bring_back, move_out


@dataclass
class Accompanied(Moved):
    """What became of models that a person named, and of their copies."""

    copies: dict[int, list[str]] = field(default_factory=dict)
    """model_id -> the paths of its copies that moved because it was named."""


@dataclass
class Removed(Accompanied):
    """What became of the models that a person named."""

    refused: dict[int, WatcherdError] = field(default_factory=dict)
    """model_id -> the guard that holds it, which ``--force`` would override."""


def remove(reconciler: Reconciler, ids: Sequence[int], meaning: Meaning) -> Removed:
    """Move models to the trash by a person's word; ``meaning.force`` overrides what holds them.

    Their copies in ensembles go after them, also where the model is gone already: what holds a
    copy holds its model, and so does a copy of other content, which may be the only one of it. A
    copy that cannot be moved is told as its model's failure. All their folders are looked at
    first. Raises RootSuspended, RegistryError, TrashError.
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
    reason = f"removed by {meaning.by.actor}"
    here = [_removal_of(rows[one], reason) for one in going if one not in gone]
    _move(reconciler, here, meaning, removed)
    with_it = _accompanying(copies, [one for one in going if one not in removed.failed], removed)
    _move(reconciler, _with_models(with_it, rows, meaning), meaning, removed)
    _tell_copies(reconciler, with_it, removed, removed)
    return removed


def _with_models(
    with_it: Mapping[int, int], rows: Mapping[int, Row], meaning: Meaning
) -> list[Removal]:
    """Of copies: whose they are is kept, as they are to come back with it."""
    reason = f"removed with its model by {meaning.by.actor}"
    return [_removal_of(rows[copy], reason)._replace(with_id=one) for copy, one in with_it.items()]


def restore(reconciler: Reconciler, ids: Sequence[int], by: By) -> Accompanied:
    """Bring models back from the trash, and after them the copies that went there with them.

    A model that is back already, or was gone when its copies went, brings those alone. A copy that
    cannot come back is told as its model's failure. Raises RootSuspended and RegistryError.
    """
    copies = trashed_with(reconciler.registry, ids)
    trashed = find_intents(reconciler.registry, ids)
    here = [one for one in ids if one in copies and one not in trashed]
    moved = bring_back(reconciler, [one for one in ids if one not in here], by)
    restored = Accompanied(moved.done, moved.failed, moved.cycles)
    back = [one for one in ids if one in here or one in restored.done]
    with_it = _accompanying(copies, back, restored)
    also = bring_back(reconciler, list(with_it), by)
    restored.done |= also.done
    restored.cycles += also.cycles
    _tell_copies(reconciler, with_it, also, restored)
    return restored


def _accompanying(
    copies: Mapping[int, Sequence[int]], ids: Iterable[int], moved: Moved
) -> dict[int, int]:
    """Copy -> its model, of those that have not moved by their own names."""
    return {copy: one for one in ids for copy in copies.get(one, ()) if copy not in moved.done}


def _tell_copies(
    reconciler: Reconciler, with_it: Mapping[int, int], moved: Moved, told: Accompanied
) -> None:
    """Tell by their models which copies moved, and why one did not."""
    for copy, one in with_it.items():
        if copy in moved.failed:
            told.failed[one] = moved.failed[copy]
        elif row := reconciler.registry.find(copy):
            told.copies.setdefault(one, []).append(row["path"])


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
    copied = are_copied(reconciler.registry, ids)
    said = {row["model_id"]: _mark_of(row) or held.get(row["path"]) for row in every}
    said |= {one: said.get(one) or "a copy of it is on its way into an ensemble" for one in copied}
    refused: dict[int, WatcherdError] = {}
    for one in ids:
        its = [rows[copy] for copy in copies.get(one, ())]
        whys = (said.get(one), *(_of_copy(copy, said) for copy in its))
        parted = (copy for copy in its if copy["model_id"] not in ids)
        if why := next(filter(None, whys), None):
            refused[one] = Refused(
                f"{rows[one]['path']}: {why}", hint="--force removes it all the same"
            )
        elif other := next((copy for copy in parted if _has_parted(rows[one], copy)), None):
            refused[one] = _keeping(rows[one], other)
    return refused


def _of_copy(copy: Row, said: Mapping[int, str | None]) -> str | None:
    why = said.get(copy["model_id"])
    return why and f"its copy {copy['path']}: {why}"


def _has_parted(row: Row, copy: Row) -> bool:
    """Whether a copy may hold what its model does not; of broken files nobody knows."""
    return copy["fingerprint"] is None or copy["fingerprint"] != row["fingerprint"]


def _keeping(row: Row, copy: Row) -> Refused:
    return Refused(
        f"{row['path']}: its copy {copy['path']} has other content, and would go with it",
        hint=f"watcherd ensemble remove {copy['path']} takes that out first; --force removes both",
    )


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
