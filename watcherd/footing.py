"""What the daemon's work depends on, checked every few seconds: root, registry, schedule and watch;
and the reading child, which is ended while nobody needs it."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcherd import logs, pulse
from watcherd.errors import RegistryError
from watcherd.reconciler import Reconciler
from watcherd.registry import iso, path_of
from watcherd.schedule import Schedule
from watcherd.watch.lookout import Lookout

CHECK = 2.0
"""Seconds between two looks."""

IDLE = 60.0
"""Seconds without work after which the reading child is ended: it takes 60 MB, and its pool polls
it ten times a second."""

Identities = tuple[tuple[int, int] | None, ...]
"""Device and inode of files; None for one that is not there."""


@dataclass
class Footing:
    """Of one session; the worker's, but for what says otherwise."""

    reconciler: Reconciler
    lookout: Lookout
    schedule: Schedule
    _look_at: float = 0.0
    """When to look next, monotonic."""
    _worked_at: float | None = None
    """When the reading child last worked, monotonic; None while there is none."""
    _wants_reader: bool = False
    _registry_files: Identities = ()
    """Its database's and its log's, of an SQLite registry."""

    @contextmanager
    def stood_upon(self) -> Iterator[None]:
        """The watch first: what changes before the first look is then noticed, too."""
        self._registry_files = self._identify_registry()
        try:
            self.lookout.start()
            self.schedule.start()
            self._start_reader()
            yield
        finally:
            self.lookout.stop()
            self.schedule.stop()

    def look(self) -> bool:
        """Check everything, if it is time; false if the watch is lost.

        Raises RootSuspended, and RegistryError where the registry's file is another one.
        """
        pulse.beat()
        if self._wants_reader:
            self._start_reader()
        now = time.monotonic()
        if now < self._look_at:
            return True
        self._look_at = now + CHECK
        self.reconciler.check_root()
        self._check_registry()
        if self._worked_at is not None and now - self._worked_at > IDLE:
            self.reconciler.close()
            self._worked_at = None
            _give_back()
        return self.lookout.look()

    def look_soon(self) -> None:
        """Have the next look come at once; in any thread."""
        self._look_at = 0.0

    def mend_schedule(self) -> bool:
        """Start the schedule anew if it is in trouble; whether it was."""
        trouble = self.schedule.trouble()
        if trouble:
            logs.get().warning(
                logs.FAILURE_RAISED,
                error=f"{trouble}: what was due by the clock may not have come",
                hint="the schedule starts again, and the whole root is scanned",
            )
            self.schedule.stop()
            self.schedule.start()
        return bool(trouble)

    def note_work(self) -> None:
        """Note that the reading child has worked."""
        self._worked_at = time.monotonic()

    def note_whole(self, folders: int) -> None:
        """The whole root was looked at, and so many folders were found."""
        self.lookout.scanned = folders
        self.lookout.heal()
        _give_back()

    def want_reader(self) -> bool:
        """An event came, which is due when it has settled: a child can be started meanwhile.

        Whether there is none, and the worker is to be woken; in any thread.
        """
        self._wants_reader = self._worked_at is None
        return self._wants_reader

    def describe(self) -> dict[str, Any]:
        """What ``status`` shows of it."""
        caught_up_at = self.lookout.caught_up_at
        return {
            **self.lookout.describe(),
            "caught_up_at": caught_up_at and _iso(caught_up_at),
            "schedule": self.schedule.due(),
            "heartbeats": {one.name: _iso(one.at) for one in pulse.every()},
        }

    def _start_reader(self) -> None:
        self._wants_reader = False
        self.note_work()
        self.reconciler.warm()

    def _check_registry(self) -> None:
        """What is written into a file without a name is lost. On a full disk there is no log at
        first."""
        files = self._identify_registry()
        pairs = zip(self._registry_files, files, strict=True)
        if any(before not in (None, now) for before, now in pairs):
            raise RegistryError(
                f"the registry {self.reconciler.registry.url} was removed or replaced while in use",
                hint="what stands there now is opened, or a new one is made from the disk, without "
                "marks and history; to have those, stop watcherd and put a copy there",
            )
        self._registry_files = files

    def _identify_registry(self) -> Identities:
        """What was written last is in its log, which is there as long as anyone has it open."""
        path = path_of(self.reconciler.registry.url)
        files = (path, path.with_name(f"{path.name}-wal")) if path else ()
        return tuple(map(_identify, files))


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _give_back() -> None:
    """Return free memory to the system: after a look at 25,000 folders glibc would keep 13 MB
    (malloc_trim(3)). Another C library may have no such call."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _iso(seconds: float) -> str:
    return iso(int(seconds * 1e9))
