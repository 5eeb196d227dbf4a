"""Removing from the trash for good: what has to go, decided upon plain values, and the doing.

Files go first, then the registry says so. Stopped in between, the next purge finds nothing left of
the model and says so then.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from watcherd import trash
from watcherd.errors import TrashError
from watcherd.plan import Purged, State, Verb
from watcherd.reconciler import Reconciler
from watcherd.recovery import entry_of
from watcherd.registry import By, Direction, Intent
from watcherd.registry.intents import find_intents
from watcherd.registry.purges import note_purged
from watcherd.trashing import moving

BATCH = 500
"""Models in one transaction, and in one turn to move files."""

EXPIRED = "its time in the trash is over"
SHORT = "the disk is short of space: min_free_space"

NEGLIGIBLE = 100
"""A copy so many times smaller than what is free is made although less than ``min_free_space`` is:
trainers do not miss it, and on a small disk there would never be one."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """A model in the trash that has to go, and why."""

    intent: Intent
    reason: str


@dataclass
class Emptied:
    """What a purge did."""

    purged: list[Purged] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Path -> why it is still in the trash."""

    @property
    def bytes_freed(self) -> int:
        return sum(one.bytes_freed for one in self.purged)


def choose(intents: Iterable[Intent], *, now: int, lacking: int = 0) -> tuple[Doomed, ...]:
    """What has to go now: what has expired, and where ``lacking`` bytes are missing, more.

    For space goes first what rules pruned, the oldest first, then what persons deleted. ``now`` is
    in ns since the epoch. Pure.
    """
    settled = [one for one in intents if one.direction is Direction.OUT and _is_in_trash(one)]
    doomed = [Doomed(one, EXPIRED) for one in settled if one.expires_ns <= now]
    lacking -= sum(one.intent.size_bytes for one in doomed)
    rest = sorted((one for one in settled if one.expires_ns > now), key=_worth)
    return (*doomed, *_until_enough(rest, lacking))


def _is_in_trash(intent: Intent) -> bool:
    """Its row says so; what a crash left half done is the next cycle's."""
    return intent.record.state is State.TRASHED


def _worth(intent: Intent) -> tuple[bool, int, int]:
    return intent.verb is not Verb.PRUNED, intent.trashed_ns, intent.record.model_id


def _until_enough(intents: Iterable[Intent], lacking: int) -> Iterator[Doomed]:
    for one in intents:
        if lacking <= 0:
            return
        yield Doomed(one, SHORT)
        lacking -= one.size_bytes


def measure_space(path: str) -> tuple[int, int]:
    """Bytes that are free to us, and all bytes, of a path's file system (statvfs(3))."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def has_room(size: int, *, free: int, floor: int) -> bool:
    """Whether a copy of so many bytes may be made: more than ``floor`` stays free, or it is hardly
    seen. Pure."""
    return size <= free - floor or size * NEGLIGIBLE <= free


def purge(reconciler: Reconciler, doomed: Sequence[Doomed], by: By) -> Emptied:
    """Remove models from the trash for good. Raises RootSuspended, RegistryError, TrashError.

    A model that was brought back since it was chosen stays.
    """
    emptied = Emptied()
    for at in range(0, len(doomed), BATCH):
        _purge_batch(reconciler, doomed[at : at + BATCH], by, emptied)
    return emptied


def _purge_batch(
    reconciler: Reconciler, doomed: Sequence[Doomed], by: By, emptied: Emptied
) -> None:
    registry = reconciler.registry
    with moving(reconciler) as root_fd:
        present = find_intents(registry, [one.intent.record.model_id for one in doomed])
        purged = []
        for one in doomed:
            if present.get(one.intent.record.model_id) != one.intent:
                continue
            try:
                freed = trash.purge(root_fd, entry_of(one.intent))
                record = one.intent.record
                purged.append(Purged(record.model_id, record.path, one.reason, freed))
            except TrashError as error:
                emptied.failed[one.intent.record.path] = error.message
        note_purged(registry, purged, by, time.time_ns())
    emptied.purged += purged
