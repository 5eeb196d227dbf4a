"""Watches the models root: what the kernel reports becomes scopes in the inbox.

The only room that names watchdog. It builds on watchdog's inotify core: the thread that reads the
kernel's queue (``InotifyFD``), and the book of one watch a folder that joins the halves of a move
(``InotifyWatchGroup``). The two subclasses are the seam at which overflow, the watch limit and lost
watches become known. watchdog's emitter and observer above them are left out: they walk each new or
moved folder for an event a file, where a scope says it all, and queue those without bound.
"""

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from watchdog.observers.inotify import InotifyWatchGroup
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback
from watchdog.observers.inotify_c import InotifyConstants as Kernel
from watchdog.observers.inotify_c import WatchDescriptor as Descriptor
from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent
from watchdog.utils.delayed_queue import DelayedQueue

from watcherd.errors import WatchError
from watcherd.scope import ROOT, Cause, Request, Scope, folders, parent_of, tree

_CHANGES = Mask(Kernel.IN_CREATE | Kernel.IN_CLOSE_WRITE | Kernel.IN_MOVE | Kernel.IN_DELETE)
"""inotify(7): nothing that reading causes, nothing for each write. Creation tells of folders and of
hard links; a file says more when it is closed."""

_LIMITS = (errno.ENOSPC, errno.ENOMEM)
"""inotify_add_watch(2): the user's limit of watches is reached, or the kernel's memory."""

_HINTS = {
    errno.ENOENT: "create the folder, or correct models.root",
    errno.ENOTDIR: "models.root must name a folder",
    errno.EACCES: "let the user that watcherd runs as read it",
    errno.ENOSPC: 'raise the sysctl fs.inotify.max_user_watches, or set watch.use = "poll"',
    errno.EMFILE: 'raise the sysctl fs.inotify.max_user_instances, or set watch.use = "poll"',
}


class Trouble(StrEnum):
    """What can befall a watch that runs."""

    OVERFLOW = "overflow"
    """Events were lost. The watches are whole again, and the whole root has been asked for."""
    LIMIT = "limit"
    """The kernel began to refuse watches: some folders need timed scans until ``Watch.heal``."""
    LOST = "lost"
    """No more events will arrive: stop this watch and make a new one."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the root is watched."""

    watched: int
    refused: int
    """Folders left without a watch by the kernel's limit."""
    unreadable: int
    """Folders left without a watch because they may not be read."""
    overflows: int
    """How often the kernel's queue ran over."""
    alive: bool
    """Whether events arrive: both threads run, and the root's own watch stands."""
    reason: str = ""
    """Why they no longer do."""


_Report = Callable[[Trouble, str], None]


class _Names(NamedTuple):
    """What names say: pure functions of the room of that name."""

    is_relevant: Callable[[str], bool]
    is_ignored_folder: Callable[[str], bool]
    temporary_of: Callable[[str], str | None]


class _Reader(InotifyFD):
    """watchdog's thread that reads the kernel's queue, made to tell when it fails."""

    def __init__(self, report: _Report) -> None:
        super().__init__()
        self.name = "watch-reader"
        self._report = report
        self._is_released = False

    def run(self) -> None:
        """Read until stopped. The descriptors are released whenever the stop comes."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever it was, no event arrives any more
            self._report(Trouble.LOST, f"the thread that reads events failed: {error!r}")
        with self._lock:
            self._is_reading = False
            if self._closed:
                self._close_resources()

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


class _Halves(DelayedQueue[GroupedInotifyEvent]):
    """watchdog's queue, in which half a move waits, for a while, for its other half.

    Here only until that comes. Watchdog sleeps for the whole while once it has begun to wait, and
    all events with it: under load, which lets the reader fall behind, on every third rename.
    """

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


class _Book(InotifyWatchGroup):
    """Which folder each watch is on: the root and all below it but what is ignored.

    A watch is on the folder, not on its name: adding a folder under a new name gives the watch that
    it has (inotify_add_watch(2)), and that is how one that moved gets its new name here.
    """

    def __init__(self, reader: _Reader, root: Path, names: _Names, report: _Report) -> None:
        self.refused: set[bytes] = set()
        self.unreadable: set[bytes] = set()
        self._names = names
        self._report = report
        self._is_limited = False
        mask = Mask(_CHANGES | Kernel.IN_ONLYDIR)
        super().__init__(reader, os.fsencode(root), mask, is_recursive=True)

    def __post_init__(self) -> None:
        grouper = self._move_event_grouper
        grouper._queue = _Halves(grouper.delay)
        super().__post_init__()

    @property
    def watched(self) -> int:
        """The number of folders with a watch."""
        return len(self._active_callbacks_by_path)

    def on_event(self, event: InotifyEvent) -> None:
        """Take in what may matter: also moves of any name, as half a move waits for its other."""
        if event.is_move_self:
            self._report(Trouble.LOST, "the models root was renamed")
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
            before = list(self._active_callbacks_by_watch)
            for book in (self._active_callbacks_by_watch, self._active_callbacks_by_path):
                book.clear()
            self._add_all_callbacks(self.path)
            left = [wd for wd in before if wd not in self._active_callbacks_by_watch]
            self._inotify_fd.remove_callbacks([(wd, self._id) for wd in left])
        self.tell_limit()
        self._report(Trouble.OVERFLOW, "")

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


class Watch:
    """One watch of the models root, from ``start`` to ``stop``; a lost one is replaced.

    ``put`` takes the requests, in threads of the watch; it must not block. ``is_relevant`` says
    whether a file's name is that of an artifact's part, a state file or a note;
    ``is_ignored_folder``, which folders get no watch; ``temporary_of``, which checkpoint a
    temporary folder belongs to (None: it is none). ``on_trouble`` is told in any thread.
    """

    def __init__(
        self,
        root: Path,
        put: Callable[[Request], None],
        *,
        is_relevant: Callable[[str], bool],
        is_ignored_folder: Callable[[str], bool],
        temporary_of: Callable[[str], str | None],
        on_trouble: Callable[[Trouble], None] = lambda trouble: None,
    ) -> None:
        self._root = root
        self._prefix = len(os.path.join(os.fsencode(root), b""))
        self._put = put
        self._names = _Names(is_relevant, is_ignored_folder, temporary_of)
        self._on_trouble = on_trouble
        self._identity: tuple[int, int] | None = None
        self._reader: _Reader | None = None
        self._book: _Book | None = None
        self._follower: threading.Thread | None = None
        self._overflows = 0
        self._reason = ""

    def start(self) -> None:
        """Watch the root and every folder below it; returns when all are watched.

        Raises WatchError where the root itself can't be.
        """
        # What watchdog would log is told as trouble, once; its own lines could fill a disk.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        try:
            self._open()
        except OSError as error:
            self.stop()
            reason = error.strerror or str(error)
            hint = _HINTS.get(error.errno or 0, 'set watch.use = "poll" to do without events')
            raise WatchError(f"{self._root} cannot be watched: {reason}", hint=hint) from error

    def stop(self) -> None:
        """End the threads and give back the kernel's watches. Not from a callback of this watch."""
        if self._book:
            self._book.deactivate()
        if self._reader:
            self._reader.stop()
        for thread in (self._reader, self._follower):
            if thread:
                thread.join()

    def heal(self) -> None:
        """Try again to watch what the kernel refused, and what couldn't be read.

        A folder that is watched now is asked for with all below it: it changed unseen.
        """
        if self._book and (healed := self._book.heal()):
            self._put(Request(tree(*map(self._below, healed)), Cause.EVENT))

    def coverage(self) -> Coverage:
        """How things stand; never waits."""
        book, threads = self._book, (self._reader, self._follower)
        return Coverage(
            watched=book.watched if book else 0,
            refused=len(book.refused) if book else 0,
            unreadable=len(book.unreadable) if book else 0,
            overflows=self._overflows,
            alive=not self._reason and all(thread and thread.is_alive() for thread in threads),
            reason=self._reason,
        )

    def is_healthy(self) -> bool:
        """Whether events arrive, and from the folder that bears the root's name.

        A root that moved with a folder above it, or that was mounted over, makes no event at all.
        """
        try:
            return self.coverage().alive and _identity_of(self._root) == self._identity
        except OSError:
            return False

    def _open(self) -> None:
        self._identity = _identity_of(self._root)
        self._reader = _Reader(self._report)
        self._reader.start()
        self._book = book = _Book(self._reader, self._root, self._names, self._report)
        self._follower = threading.Thread(target=self._follow, args=(book,), name="watch")
        self._follower.daemon = True
        self._follower.start()
        book.tell_limit()

    def _follow(self, book: _Book) -> None:
        try:
            while (event := book.read_event()) is not None:
                self._hand_on(event, book)
        except Exception as error:  # noqa: BLE001 - whatever it was, no request is put any more
            self._report(Trouble.LOST, f"the thread that hands on events failed: {error!r}")

    def _hand_on(self, event: GroupedInotifyEvent, book: _Book) -> None:
        """Put one request for one event: both folders of a move are in its scope."""
        ends = (event,) if isinstance(event, PathedInotifyEvent) else event
        if self._has_left(ends):
            book.forget(ends[0].path)
        scope = Scope()
        for end in ends:
            scope |= self._scope_of(end)
        if scope:
            self._put(Request(scope, Cause.EVENT))

    def _has_left(self, ends: tuple[PathedInotifyEvent, ...]) -> bool:
        """Whether a folder was moved to where nothing is watched."""
        if not (ends[0].ev.is_directory and ends[0].ev.is_moved_from):
            return False
        arrived = self._below(ends[-1].path).rpartition("/")[2]
        return len(ends) == 1 or self._names.is_ignored_folder(arrived)

    def _scope_of(self, end: PathedInotifyEvent) -> Scope:
        """Where to look for what happened at one path: nowhere if it does not concern models.

        Nor if its folder is not there. What became of that is said by its parent, and what happens
        in a folder that was moved out of the root, its watch not yet taken down, is no concern.
        """
        path = self._below(end.path)
        folder, name = parent_of(path), path.rpartition("/")[2]
        if not end.ev.is_directory:
            scope = folders([folder]) if self._names.is_relevant(name) else Scope()
        elif not self._names.is_ignored_folder(name):
            scope = tree(path)
        else:
            scope = folders([folder]) if self._names.temporary_of(name) else Scope()
        return scope if scope and self._has_folder(folder) else Scope()

    def _has_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self._root, path)).st_mode)
        except OSError:
            return False

    def _report(self, trouble: Trouble, reason: str) -> None:
        """Tell of trouble, until there is nothing worse to come."""
        if self._reason:
            return
        self._reason = reason
        if trouble is Trouble.OVERFLOW:
            self._overflows += 1
            self._put(Request(ROOT, Cause.OVERFLOW))
        self._on_trouble(trouble)

    def _below(self, path: bytes) -> str:
        return os.fsdecode(path[self._prefix :])


def _identity_of(root: Path) -> tuple[int, int]:
    found = os.lstat(root)
    return found.st_dev, found.st_ino


def _is_at(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")
