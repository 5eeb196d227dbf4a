"""The caught-up proof: a file of our own must come back as an event.

The kernel tells of it after all that happened before. So when it has come, all that has been put;
and when it does not, no other event would have.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from watcherd.root import HOUSE

NAME = "caught-up"

EVERY = 600.0
"""Seconds between two cookies when nothing happens: a file made and removed is all that an idle
daemon does to the disk."""

REST = 60.0
"""Seconds between two while things happen."""

LOOKS = 5
"""Looks at an idle watch, two seconds apart, without the cookie: then it is lost."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Cookie:
    """Cookies of one watch. The worker plants and looks; the watch's thread says that one came.

    ``hear`` has the watch listen; it raises OSError where it can't. A root without our folder, or
    one that we may only read, has no cookies.
    """

    root: Path
    hear: Callable[[], None]
    came_at: float | None = None
    """When the last one did, in seconds since the epoch."""
    _due: float = 0.0
    _planted_at: float = -EVERY
    _is_out: bool = False
    _has_come: bool = False
    _looks: int = 0

    def come(self) -> None:
        """It came as an event."""
        self.came_at = time.time()
        self._has_come = True

    def hurry(self) -> None:
        """Something happened: do not wait for as long as an idle watch would."""
        self._due = min(self._due, self._planted_at + REST)

    def drop(self) -> None:
        """Events were lost, and one that was out may be among them: expect it no more."""
        self._is_out = False

    def look(self, now: float, *, is_busy: bool) -> bool:
        """Plant one when it is time; false where one is lost. ``now`` is monotonic, in seconds."""
        if self._is_out and self._has_come:
            self._is_out = False
        if self._is_out:
            self._looks += not is_busy
            return self._looks < LOOKS
        if now >= self._due:
            self._planted_at, self._due = now, now + EVERY
            self._has_come, self._looks = False, 0
            self._is_out = self._plant()
        return True

    def _plant(self) -> bool:
        with suppress(OSError):
            self.hear()
            _make(self.root / HOUSE)
            return True
        return False


def _make(house: Path) -> None:
    """The event is of the making: the file need not stay."""
    house_fd = os.open(house, _FOLDER)
    try:
        with suppress(FileNotFoundError):
            os.unlink(NAME, dir_fd=house_fd)  # a stop came in between
        os.close(os.open(NAME, _NEW, 0o600, dir_fd=house_fd))
        os.unlink(NAME, dir_fd=house_fd)
    finally:
        os.close(house_fd)
