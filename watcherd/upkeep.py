"""Upkeep of the registry: copy it if it has changed, then drop what is not to be kept.

Decided upon plain values. What is dropped, the newest copy still has.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from watcherd.config import Every, FreeSpace, Timing
from watcherd.errors import RegistryError
from watcherd.purging import has_room, measure_space
from watcherd.registry import By, Registry, path_of
from watcherd.registry.compaction import Compaction, drop_history, forget_missing
from watcherd.registry.copies import Copy, back_up, is_behind, last_line, list_copies
from watcherd.scope import Cause

HOUR, DAY = 3600.0, 86400.0
"""Seconds. It is looked once an hour whether a copy is due, so that one that failed does not wait
for a day; and compacted once a day."""

EARLY = 60.0
"""Seconds by which a copy may be early: a job that comes a second before it is due need not wait
for the next one."""


@dataclass(frozen=True, slots=True)
class Care:
    """What the settings ask for. Times in seconds; None is never."""

    backup: float | None
    forget_missing: float | None
    history_for: float | None
    min_free_space: FreeSpace

    @property
    def timing(self) -> Timing:
        """How often to see what is due."""
        wanted = (self.backup, self.forget_missing, self.history_for)
        return Every(min(HOUR, self.backup or HOUR)) if any(wanted) else None


class Copied(NamedTuple):
    """A copy that was made."""

    copy: Copy
    seconds: float


def is_due(copies: Sequence[Copy], every: float, *, now: int) -> bool:
    """Whether the newest of the copies is old; ``now`` in ns since the epoch. Pure."""
    return not copies or now - copies[-1].made_ns >= (every - EARLY) * 1e9


@dataclass
class Upkeep:
    """Of one registry, by the one daemon that runs upon it."""

    registry: Registry
    care: Care
    actor: str
    _compacted_at: float | None = None
    """Monotonic seconds."""

    def back_up(self, between: Callable[[], None]) -> Copied | None:
        """Make a copy if one is due and anything was said since the last.

        ``between`` is called while it is made. Raises RegistryError, and what ``between`` raises.
        """
        if self.care.backup is None:
            return None
        began, now = time.monotonic(), time.time_ns()
        path = self._path()
        try:
            if not _is_wanted(path, self.care.backup, now):
                return None
            self._refuse_narrow(path)
            return Copied(back_up(path, now=now, between=between), time.monotonic() - began)
        except (OSError, sqlite3.Error) as error:
            raise RegistryError(
                f"no copy of the registry {path} could be made: {_words_of(error)}",
                hint="it is tried again every hour; see that this user may write beside it and "
                "that the disk has room. Nothing is dropped from the registry meanwhile",
            ) from error

    def compact(self, between: Callable[[], None]) -> tuple[Compaction, ...]:
        """Once a day drop what is older than the settings ask for. Returns what was dropped.

        Raises RegistryError, and what ``between`` raises.
        """
        began = time.monotonic()
        if self._compacted_at is not None and began - self._compacted_at < DAY - EARLY:
            return ()
        now = time.time_ns()
        by = By(self.actor, Cause.TIMER)
        done = [
            drop(self.registry, now - int(age * 1e9), by, now, between)
            for age, drop in (
                (self.care.forget_missing, forget_missing),
                (self.care.history_for, drop_history),
            )
            if age is not None
        ]
        self._compacted_at = began
        return tuple(one for one in done if one.models or one.lines)

    def _path(self) -> Path:
        path = path_of(self.registry.url)
        if path is None:
            raise RegistryError(
                f"the registry {self.registry.url} is not copied: it is not SQLite",
                hint='copy it with that database\'s own tools, and set registry.backup = "off"',
            )
        return path

    def _refuse_narrow(self, path: Path) -> None:
        size = sum(one.stat().st_size for one in _files(path))
        free, total = measure_space(str(path.parent))
        if not has_room(size, free=free, floor=self.care.min_free_space.of(total)):
            raise RegistryError(
                f"no copy of the registry {path} is made: less than retention.min_free_space would "
                "stay free",
                hint="free some disk space, or lower the setting. Nothing is dropped from the "
                "registry meanwhile",
            )


def _is_wanted(path: Path, every: float, now: int) -> bool:
    copies = list_copies(path, now=now)
    if not is_due(copies, every, now=now):
        return False
    return is_behind(copies[-1].path, path) if copies else last_line(path) is not None


def _words_of(error: OSError | sqlite3.Error) -> str:
    """Without the copy's name, which is another one each time: the same trouble is told once."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition(": /")[0]


def _files(path: Path) -> list[Path]:
    """The registry's, with what of it is not in its file yet."""
    return [one for one in (path, path.with_name(f"{path.name}-wal")) if one.exists()]
