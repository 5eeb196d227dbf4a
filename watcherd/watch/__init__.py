"""Watches the models root: what the kernel reports becomes scopes in the inbox.

The only room that names watchdog, and within it only ``kernel`` does more than name its events.
"""

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent

from watcherd import pulse
from watcherd.errors import WatchError
from watcherd.scope import ROOT, Cause, Request, Scope, folders, parent_of, tree
from watcherd.watch.kernel import Book, Names, Reader, Trouble

_HINTS = {
    errno.ENOENT: "create the folder, or correct models.root",
    errno.ENOTDIR: "models.root must name a folder",
    errno.EACCES: "let the user that watcherd runs as read it",
    errno.ENOSPC: 'raise the sysctl fs.inotify.max_user_watches, or set watch.use = "poll"',
    errno.EMFILE: 'raise the sysctl fs.inotify.max_user_instances, or set watch.use = "poll"',
}


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

    @property
    def folders(self) -> int:
        """Those that should be watched, as far as they can be counted from outside."""
        return self.watched + self.refused + self.unreadable


class Watch:
    """One watch of the models root, from ``start`` to ``stop``; a lost one is replaced.

    ``put`` takes the requests, in threads of the watch; it must not block. ``is_relevant`` says
    whether a file's name is that of an artifact's part, a state file or a note;
    ``is_ignored_folder``, which folders get no watch; ``temporary_of``, which checkpoint a
    temporary folder belongs to, ``note_of``, which artifact a note does (None: it is none).
    ``on_trouble`` is told in any thread, and
    ``on_cookie`` when one has come through (see ``hear_cookies``).
    """

    def __init__(
        self,
        root: Path,
        put: Callable[[Request], None],
        *,
        is_relevant: Callable[[str], bool],
        is_ignored_folder: Callable[[str], bool],
        temporary_of: Callable[[str], str | None],
        note_of: Callable[[str], str | None] = lambda name: None,
        on_trouble: Callable[[Trouble], None] = lambda trouble: None,
        on_cookie: Callable[[], None] = lambda: None,
    ) -> None:
        self._root = root
        self._prefix = len(os.path.join(os.fsencode(root), b""))
        self._put = put
        self._names = Names(is_relevant, is_ignored_folder, temporary_of, note_of)
        self._on_trouble = on_trouble
        self._on_cookie = on_cookie
        self._cookie: bytes | None = None
        self._identity: tuple[int, int] | None = None
        self._reader: Reader | None = None
        self._book: Book | None = None
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

    def watch_anew(self) -> None:
        """Watch what is there now, after something was mounted or unmounted below the root."""
        if self._book:
            self._book.watch_anew()

    def hear_cookies(self) -> None:
        """Be told of cookies. Raises OSError where our own folder is not there, say."""
        if self._book:
            self._cookie = self._book.hear_cookies()

    def refused(self) -> tuple[str, ...]:
        """The folders, below the root, that the kernel's limit left without a watch."""
        return tuple(map(self._below, set(self._book.refused))) if self._book else ()

    def is_busy(self) -> bool:
        """Whether events are on their way."""
        reader, book = self._reader, self._book
        return bool(reader and reader.is_busy()) or bool(book and book.behind)

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
        self._reader = Reader(self._report)
        self._reader.start()
        self._book = book = Book(self._reader, self._root, self._names, self._report)
        self._follower = threading.Thread(target=self._follow, args=(book,), name="watch")
        self._follower.daemon = True
        self._follower.start()
        book.tell_limit()

    def _follow(self, book: Book) -> None:
        try:
            with pulse.taken("watch", lambda: book.behind > 0):
                while (event := book.read_event()) is not None:
                    pulse.beat()
                    self._hand_on(event, book)
        except Exception as error:  # noqa: BLE001 - whatever it was, no request is put any more
            self._report(Trouble.LOST, f"the thread that hands on events failed: {error!r}")

    def _hand_on(self, event: GroupedInotifyEvent, book: Book) -> None:
        """Put one request for one event: both folders of a move are in its scope."""
        ends = (event,) if isinstance(event, PathedInotifyEvent) else event
        if ends[0].path == self._cookie:
            self._on_cookie()
            return
        if self._has_left(ends):
            book.forget(ends[0].path)
        scope = Scope()
        for end in ends:
            scope |= self._scope_of(end)
        if scope:
            self._put(Request(scope, Cause.EVENT))

    def _has_left(self, ends: tuple[PathedInotifyEvent, ...]) -> bool:
        """Whether a folder was moved to where nothing is watched, or on again before it was."""
        if not (ends[0].ev.is_directory and ends[0].ev.is_moved_from):
            return False
        arrived = self._below(ends[-1].path)
        is_ignored = self._names.is_ignored_folder(arrived.rpartition("/")[2])
        return len(ends) == 1 or is_ignored or not self._has_folder(arrived)

    def _scope_of(self, end: PathedInotifyEvent) -> Scope:
        """Where to look for what happened at one path: nowhere if it does not concern models.

        Nor if its folder is not there. What became of that is said by its parent, and what happens
        in a folder that was moved out of the root, its watch not yet taken down, is no concern.
        """
        path = self._below(end.path)
        folder, name = parent_of(path), path.rpartition("/")[2]
        if not end.ev.is_directory:
            scope = self._scope_of_file(folder, name)
        elif not self._names.is_ignored_folder(name):
            scope = tree(path)
        else:
            scope = folders([folder]) if self._names.temporary_of(name) else Scope()
        return scope if scope and self._has_folder(folder) else Scope()

    def _scope_of_file(self, folder: str, name: str) -> Scope:
        """Its folder; for the note of a SavedModel, which is a folder itself, that one as well."""
        if not self._names.is_relevant(name):
            return Scope()
        noted = f"{folder}/{self._names.note_of(name)}".lstrip("/")
        is_folder = self._names.note_of(name) is not None and self._has_folder(noted)
        return folders([folder, noted] if is_folder else [folder])

    def _has_folder(self, path: str) -> bool:
        """Whether it is there, or nobody can say: below a folder that may not be entered, say."""
        try:
            return stat.S_ISDIR(os.lstat(os.path.join(self._root, path)).st_mode)
        except OSError as error:
            return error.errno not in (errno.ENOENT, errno.ENOTDIR)

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


__all__ = ["Coverage", "Trouble", "Watch"]
