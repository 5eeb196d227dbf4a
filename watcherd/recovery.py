"""Crash recovery: finishes what stopped between the intent to move an artifact and its last file.

The registry says what was meant, the disk what was done. Where nothing had moved yet the intent is
dropped: its decision is old. Where something had, the rest follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from watcherd import trash
from watcherd.artifact import Role
from watcherd.errors import TrashError
from watcherd.plan import Verb
from watcherd.registry import Direction, Intent, Registry, copying
from watcherd.registry.intents import are_unsettled, cancel, list_unsettled, load_parts, turn
from watcherd.root import moving_files


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is no longer half done, and what still is."""

    trashed: Mapping[int, Verb] = field(default_factory=dict)
    """The models that the trash holds whole -> what brought them there."""
    failed: Mapping[str, TrashError] = field(default_factory=dict)
    """Path -> why its move cannot be finished; the next cycle tries again."""


def recover(registry: Registry, root_id: int, root_fd: int) -> Recovered:
    """Finish what is half done. Raises TrashError where the turn to move files cannot be had, and
    RegistryError."""
    copies = copying.list_all(registry, root_id)
    if not (copies or are_unsettled(registry, root_id)):
        return Recovered()
    trashed: dict[int, Verb] = {}
    failed: dict[str, TrashError] = {}
    with moving_files(root_fd):
        for intent in list_unsettled(registry, root_id):
            try:
                if _finish(registry, root_fd, intent):
                    trashed[intent.record.model_id] = intent.verb
            except TrashError as error:
                failed[intent.record.path] = error
        for meant in copies:
            try:
                _settle_copy(registry, root_id, root_fd, meant)
            except TrashError as error:
                failed[meant.path] = error
    return Recovered(trashed, failed)


def _settle_copy(registry: Registry, root_id: int, root_fd: int, meant: copying.Meant) -> None:
    """Finish or undo a copy that was broken off.

    Its intent stays while its maker is at work, and where the copy has yet to be seen in its place:
    the cycle that sees it wants to know whose it is.
    """
    if trash.settle(root_fd, meant.trash_path):
        is_there = trash.is_taken(root_fd, _heads_of(registry, meant))
        if not is_there or copying.known_at(registry, root_id, meant.path) is not None:
            copying.forget(registry, root_id, [meant])


def _heads_of(registry: Registry, meant: copying.Meant) -> list[str]:
    """The paths of the files that make a copy what it is: those of its model, by its name."""
    row = registry.find(meant.model_id)
    known = load_parts(registry, [meant.model_id]).get(meant.model_id, ())
    parts = tuple(part for part in known if part.role is not Role.TEMPORARY)
    if row is None or not parts:
        return []
    entry = trash.Entry(row["path"], meant.trash_path, parts)
    heads = (part.path for part in parts if entry.is_head(part))
    return [f"{meant.path}{head.removeprefix(row['path'])}" for head in heads]


def _finish(registry: Registry, root_fd: int, intent: Intent) -> bool:
    """Whether the trash holds it whole, on its way out. Raises TrashError."""
    entry = entry_of(intent)
    held = trash.holds(root_fd, entry)
    if intent.direction is Direction.BACK:
        if held is trash.Held.WHOLE:
            turn(registry, [intent.record.model_id], Direction.OUT)
        elif held is trash.Held.PARTLY:
            trash.bring_back(root_fd, entry)
        else:
            trash.tidy(root_fd, entry)
        return False
    if held is trash.Held.PARTLY:
        trash.move_out(root_fd, entry, manifest_of(intent))
    elif held is trash.Held.NOTHING:
        trash.tidy(root_fd, entry)
        cancel(registry, [intent.record.model_id])
        return False
    return True


def entry_of(intent: Intent) -> trash.Entry:
    """What the trash moves for an intent: the files, never a trainer's temporary folder."""
    parts = tuple(part for part in intent.record.parts if part.role is not Role.TEMPORARY)
    return trash.Entry(intent.record.path, intent.trash_path, parts)


def manifest_of(intent: Intent) -> dict[str, object]:
    """What stands beside the files in the trash, for the day when the registry is lost."""
    return {
        "model_id": intent.record.model_id,
        "fingerprint": intent.record.fingerprint,
        "reasons": list(intent.reasons),
    }
