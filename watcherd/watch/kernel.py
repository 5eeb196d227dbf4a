"""The seam to watchdog: one watch of the kernel's for each folder, and what goes wrong with them.

Built on watchdog's inotify core: the thread that reads the kernel's queue (``InotifyFD``), and the
book of one watch a folder that joins the halves of a move (``InotifyWatchGroup``). At their
subclasses overflow, the watch limit and lost watches become known. watchdog's emitter and observer
above them are left out: they walk each new or moved folder for an event a file, where a scope says
it all, and queue those without bound.
"""

import errno
import os
import struct
import time
from collections.abc import Callable
from enum import StrEnum
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import NamedTuple

from watchdog.observers.inotify import InotifyWatchGroup
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback
from watchdog.observers.inotify_c import InotifyConstants as Kernel
from watchdog.observers.inotify_c import WatchDescriptor as Descriptor
from watchdog.observers.inotify_move_event_grouper import (
    GroupedInotifyEvent,
    PathedInotifyEvent,
)
from watchdog.utils.delayed_queue import DelayedQueue

from watcherd import pulse
from watcherd.root import HOUSE
from watcherd.watch.cookie import NAME

_CHANGES = Mask(Kernel.IN_CREATE | Kernel.IN_CLOSE_WRITE | Kernel.IN_MOVE | Kernel.IN_DELETE)
"""inotify(7): nothing that reading causes, nothing for each write. Creation tells of folders and of
hard links; a file says more when it is closed."""

MOST_BEHIND = 32_768
"""Events, some 20 MB of them, that may wait to be handed on; to look at the whole root is cheaper
than to go through more. Measured: 2,400 at 25,000 events/s; nearly all of it at 100,000."""

_LIMITS = (errno.ENOSPC, errno.ENOMEM)
"""inotify_add_watch(2): the user's limit of watches is reached, or the kernel's memory."""


class Trouble(StrEnum):
    """What can befall a watch that runs."""

    OVERFLOW = "overflow"
    """Events were lost. The watches are whole again, and the whole root has been asked for."""
    LIMIT = "limit"
    """The kernel began to refuse watches: some folders need timed scans until ``Watch.heal``."""
    LOST = "lost"
    """No more events will arrive: stop this watch and make a new one."""


Report = Callable[[Trouble, str], None]


class Names(NamedTuple):
    """What names say: pure functions of the room of that name."""

    is_relevant: Callable[[str], bool]
    is_ignored_folder: Callable[[str], bool]
    temporary_of: Callable[[str], str | None]
    note_of: Callable[[str], str | None] = lambda name: None


class Reader(InotifyFD):
    """watchdog's thread that reads the kernel's queue, made to tell when it fails."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.name = "watch-reader"
        self._report = report
        self._is_released = False
        self._is_handling = False

    def run(self) -> None:
        """Read until stopped. The descriptors are released whenever the stop comes."""
        try:
            with pulse.taken(self.name, self.is_busy):
                super().run()
        except Exception as error:  # noqa: BLE001 - whatever it was, no event arrives any more
            self._report(Trouble.LOST, f"the thread that reads events failed: {error!r}")
        with self._lock:
            self._is_reading = False
            if self._closed:
                self._close_resources()

    def is_busy(self) -> bool:
        """Whether an event is being seen to, or waits in the kernel's queue (inotify(7))."""
        if self._is_handling:
            return True
        try:
            (waiting,) = struct.unpack("i", ioctl(self._inotify_fd, FIONREAD, b"\0" * 4))
        except OSError:
            return False  # closed: it is stopping
        return bool(waiting)

    def handle_event(self, event: InotifyEvent) -> None:
        """See to one event."""
        pulse.beat()
        self._is_handling = True
        try:
            super().handle_event(event)
        finally:
            self._is_handling = False

    def _close_resources(self) -> None:
        if not self._is_released:
            self._is_released = True
            super()._close_resources()

    def _add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> Descriptor:
        """Watch a folder, maybe one that is watched already, by this or another name.

        Raises PermissionError, which watchdog takes for a watch numbered -1, and spares us its
        warning about folders watched twice, which names every watch there is.
        """
        watch = self._get_or_create_watch(path, mask)
        if watch.wd == -1:
            del self._watch_for_wd[watch.wd]
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
        watch.callbacks[id_] = callback
        return watch.wd


class Halves(DelayedQueue[GroupedInotifyEvent]):
    """watchdog's queue, in which half a move waits, for a while, for its other half.

    Here only until that comes. watchdog, once it has begun to wait, sleeps for the whole while, and
    all events with it: measured under load, when the reader falls behind, 20 of 50 renames.
    """

    def __len__(self) -> int:
        return len(self._queue)

    def get(self) -> GroupedInotifyEvent | None:
        """The next event, alone or paired; None once closed."""
        with self._not_empty:
            while not self._closed:
                if not self._queue:
                    self._not_empty.wait()
                    continue
                event, since, is_half = self._queue[0]
                left = since + self.delay - time.monotonic() if is_half else 0
                if left <= 0:
                    self._queue.popleft()
                    return event
                self._not_empty.wait(left)
        return None


class Book(InotifyWatchGroup):
    """Which folder each watch is on: the root and all below it but what is ignored.

    A watch is on the folder, not on its name: adding a folder under a new name gives the watch that
    it has (inotify_add_watch(2)), and that is how one that moved gets its new name here.
    """

    def __init__(self, reader: Reader, root: Path, names: Names, report: Report) -> None:
        self.refused: set[bytes] = set()
        self.unreadable: set[bytes] = set()
        self._names = names
        self._report = report
        self._is_limited = False
        self._house = os.path.join(os.fsencode(root), HOUSE.encode())
        self._house_watch: Descriptor | None = None
        mask = Mask(_CHANGES | Kernel.IN_ONLYDIR)
        super().__init__(reader, os.fsencode(root), mask, is_recursive=True)

    def __post_init__(self) -> None:
        grouper = self._move_event_grouper
        grouper._queue = self._behind = Halves(grouper.delay)
        super().__post_init__()

    @property
    def watched(self) -> int:
        """The number of folders with a watch."""
        return len(self._active_callbacks_by_path)

    @property
    def behind(self) -> int:
        """The number of events that wait to be handed on."""
        return len(self._behind)

    def hear_cookies(self) -> bytes:
        """Hear of cookies in our own folder below the root, and return the path of one.

        That folder is no models' and is not counted. Raises OSError where it cannot be watched.
        """
        with self._lock:
            mask = Mask(Kernel.IN_CREATE | Kernel.IN_ONLYDIR | Kernel.IN_DONT_FOLLOW)
            self._house_watch = self._inotify_fd.add_callback(self._house, mask, self, self._id)
        return os.path.join(self._house, NAME.encode())

    def on_event(self, event: InotifyEvent) -> None:
        """Take in what may matter: also moves of any name, as half a move waits for its other."""
        if event.wd == self._house_watch:
            if event.name == NAME.encode():
                cookie = os.path.join(self._house, event.name)
                self._move_event_grouper.put_event(PathedInotifyEvent(event, cookie))
        elif event.is_move_self:
            self._report(Trouble.LOST, "the models root was renamed")
        elif len(self._behind) >= MOST_BEHIND:
            self.on_queue_overflow()
        elif (
            event.is_directory or event.is_move or self._names.is_relevant(os.fsdecode(event.name))
        ):
            super().on_event(event)
            self.tell_limit()

    def on_watch_deleted(self, wd: Descriptor) -> None:
        """Strike out a folder that was removed, or whose file system was unmounted."""
        super().on_watch_deleted(wd)
        if self.is_active and self.path not in self._active_callbacks_by_path:
            self._report(Trouble.LOST, "the models root was removed or unmounted")

    def on_queue_overflow(self) -> None:
        """Watch what appeared unseen, then tell.

        Watches that stand are kept. Taking them all down, as watchdog does, makes an event each:
        with more folders than the queue holds (fs.inotify.max_queued_events, 16,384) that is the
        next overflow, for ever.
        """
        with self._lock:
            if not self.is_active:
                return
            self._move_event_grouper.discard_pending_events()
            self._watch_anew()
        self.tell_limit()
        self._report(Trouble.OVERFLOW, "")

    def watch_anew(self) -> None:
        """Watch the folders that are there now: of file systems that were mounted, too."""
        with self._lock:
            if self.is_active:
                self._watch_anew()
        self.tell_limit()

    def _watch_anew(self) -> None:
        before = list(self._active_callbacks_by_watch)
        for book in (self._active_callbacks_by_watch, self._active_callbacks_by_path):
            book.clear()
        self._add_all_callbacks(self.path)
        left = [wd for wd in before if wd not in self._active_callbacks_by_watch]
        self._inotify_fd.remove_callbacks([(wd, self._id) for wd in left])

    def forget(self, path: bytes) -> None:
        """Take down the watches of a folder that left; another may bear its name by now."""
        with self._lock:
            if self.is_active:
                labels = self._active_callbacks_by_watch.items()
                self._remove_callbacks([wd for wd, label in labels if _is_at(label, path)])
                self._add_all_callbacks(path)

    def heal(self) -> list[bytes]:
        """Try again to watch what could not be; return the folders that now are."""
        with self._lock:
            waiting = sorted(self.refused | self.unreadable) if self.is_active else []
            for path in waiting:
                self._add_all_callbacks(path)
                if path in self.refused:
                    break
            healed = [path for path in waiting if path in self._active_callbacks_by_path]
        self.tell_limit()
        return healed

    def tell_limit(self) -> None:
        """Report the limit when it begins to hurt, and again only after it was healed."""
        was_limited, self._is_limited = self._is_limited, bool(self.refused)
        if self._is_limited and not was_limited:
            self._report(Trouble.LIMIT, "")

    def _add_all_callbacks(self, path: bytes) -> None:
        """Watch a folder and those below it. Each is watched before it is listed: none slips by."""
        if path != self.path and self._is_ignored(os.path.basename(path)):
            return
        self._add_callback(path)
        for folder, names, _ in os.walk(path):
            names[:] = [name for name in names if not self._is_ignored(name)]
            for name in names:
                self._add_callback(os.path.join(folder, name))

    def _add_callback(self, path: bytes) -> None:
        """Watch one folder. What vanished or is a symlink needs no watch, and is not noted."""
        pulse.beat()
        self.refused.discard(path)
        self.unreadable.discard(path)
        extra = Kernel.IN_MOVE_SELF if path == self.path else 0
        mask = Mask(self.event_mask | extra)
        try:
            wd = self._inotify_fd.add_callback(path, mask, self, self._id)
        except OSError as error:
            if path == self.path:
                raise
            if error.errno in _LIMITS:
                self.refused.add(path)
            elif error.errno == errno.EACCES:
                self.unreadable.add(path)
        else:
            self._remove_watch_internally(wd)
            self._active_callbacks_by_watch[wd] = path
            self._active_callbacks_by_path[path] = wd

    def _remove_watch_internally(self, wd: Descriptor) -> None:
        """Strike out a watch; its name may be another's by now, over which watchdog stumbles."""
        path = self._active_callbacks_by_watch.pop(wd, None)
        if path is not None and self._active_callbacks_by_path.get(path) == wd:
            del self._active_callbacks_by_path[path]

    def _is_ignored(self, name: bytes) -> bool:
        return self._names.is_ignored_folder(os.fsdecode(name))

    def _source_for_move(self, cookie: int) -> bytes | None:
        """Have a moved folder added again: another may stand by now where it came from."""
        return None

    def _recursive_simulate(self, src_path: bytes) -> list[InotifyEvent]:
        """Make no events for what is in a new folder: its scope is the whole tree."""
        return []


def _is_at(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
