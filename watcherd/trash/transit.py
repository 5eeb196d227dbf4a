"""An entry's folders, open on both sides, and the steps that one part can make between them.

Which facts must fit, and why not all:

- before a part leaves its folder: all but the device. An overwrite by ``cp -p`` shows in ctime
  alone; device numbers change with a remount (NFS, btrfs).
- right after a rename: not ctime either, because the rename itself changes it.
- in the trash: size and mtime. Inodes change when the root is copied to another disk or mounted by
  FUSE, and what was trashed before must still come back.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any

from watcherd.artifact import FileFact, Part
from watcherd.errors import TrashError
from watcherd.scope import parent_of
from watcherd.trash import calls
from watcherd.trash.entry import DRAFT, MANIFEST, Entry, name_of
from watcherd.trash.faults import explain, explained
from watcherd.trash.folders import look, make_below, open_below

Facts = Callable[[FileFact], Any]
UNTOUCHED: Facts = attrgetter("size", "mtime_ns", "ctime_ns", "inode")
SAME: Facts = attrgetter("size", "mtime_ns", "inode")
KEPT: Facts = attrgetter("size", "mtime_ns")


class Transit:
    """What is where is asked of the disk each time: others move files, too.

    Its methods raise TrashError about the part that they name.
    """

    def __init__(self, root_fd: int, entry: Entry) -> None:
        self.entry = entry
        self.trash_folders = entry.trash_folders
        self._open = {"": root_fd}
        self._trashed_in = {part.path: parent_of(entry.place_of(part)) for part in entry.parts}

    def open(self, path: str) -> int | None:
        """The folder's descriptor, open until ``close``; None where it is absent."""
        try:
            return self._reach(path, open_below)
        except FileNotFoundError:
            return None

    def make(self, path: str) -> int:
        """As ``open``; a folder that is absent is made."""
        try:
            return self._reach(path, make_below)
        except FileNotFoundError as error:
            raise explain(path, error) from error

    def _reach(self, path: str, step: Callable[[int, str], int]) -> int:
        """Those above stay open, too: the trash is the way to an entry's folder, and out of it."""
        if path not in self._open:
            above = self._reach(parent_of(path), step)
            try:
                self._open[path] = step(above, path.rpartition("/")[2])
            except FileNotFoundError:
                raise
            except OSError as error:
                raise explain(path, error) from error
        return self._open[path]

    def close(self) -> None:
        for path, descriptor in self._open.items():
            if path:  # the root's is not ours
                os.close(descriptor)
        self._open.clear()

    def in_place(self, part: Part) -> FileFact | None:
        return self._look(parent_of(part.path), part)

    def in_trash(self, part: Part) -> FileFact | None:
        return self._look(self._trashed_in[part.path], part)

    def is_in_place(self, part: Part, facts: Facts) -> bool:
        return _fits(part, self.in_place(part), facts)

    def is_trashed(self, part: Part) -> bool:
        return _fits(part, self.in_trash(part), KEPT)

    def is_double(self, part: Part) -> bool:
        """Whether one file has its name on both sides: a stop between link and unlink."""
        here = self.in_trash(part)
        there = here and self.in_place(part)
        return bool(here and there) and here == there

    def take(self, part: Part) -> None:
        """Into the trash. What turns out to be something else goes back at once."""
        with explained(part.path):
            try:
                calls.take(self._place_of(part), name_of(part), self._trash_of(part))
            except FileExistsError as error:
                raise explain(self.entry.place_of(part), error) from error
        if not _fits(part, self.in_trash(part), SAME):
            self._give_back_stranger(part)
            raise TrashError(
                f"{part.path}: was replaced while it was being moved, and is left alone",
                hint="The next cycle reads what is there now.",
            )

    def give(self, part: Part) -> None:
        """Back to its folder; of a double, the name in the trash goes.

        No look afterwards: the part was checked where nobody else writes, and whatever a trainer
        does to it from now on is the trainer's right.
        """
        with explained(part.path):
            try:
                calls.give(self._trash_of(part), name_of(part), self._place_of(part))
            except FileExistsError:
                if not self.is_double(part):
                    raise
                calls.remove(self._trash_of(part), name_of(part))

    def destroy(self, part: Part) -> int:
        """Remove a part from the trash for good; its bytes, 0 where it is not what was trashed."""
        fact = self.in_trash(part)
        if fact is None or not _fits(part, fact, KEPT):
            return 0
        with explained(self.entry.place_of(part)):
            calls.remove(self._trash_of(part), name_of(part))
        return fact.size

    def vacate(self) -> None:
        """Remove the folders that a SavedModel left empty. One that holds another's file stays."""
        for folder in self.entry.own_folders:
            self._remove_folder(folder)

    def clear(self) -> None:
        """Remove the manifest and our folder in the trash, once nothing else lies there.

        Whatever hinders that is left to be listed as a leftover: no model suffers from it.
        """
        own, *inner = self.trash_folders
        for folder in reversed(inner):
            self._remove_folder(folder)
        with suppress(OSError, TrashError):
            trash = self.open(own)
            if trash is not None and (names := set(os.listdir(trash))) <= {MANIFEST, DRAFT}:
                for name in names:
                    calls.remove(trash, name)
                self._remove_folder(own)

    def _remove_folder(self, path: str) -> None:
        """An empty one; any other stays. Never raises."""
        with suppress(OSError, TrashError):
            above = self.open(parent_of(path))
            if above is not None:
                calls.remove_folder(above, path.rpartition("/")[2])
                self._forget(path)

    def _forget(self, path: str) -> None:
        """A descriptor of a folder that is gone would hide the one that is made anew."""
        if (descriptor := self._open.pop(path, None)) is not None:
            os.close(descriptor)

    def _give_back_stranger(self, part: Part) -> None:
        try:
            calls.give(self._trash_of(part), name_of(part), self._place_of(part))
        except OSError as error:
            raise TrashError(
                f"{part.path}: was replaced while it was being moved; what replaced it lies in "
                f"{self._trashed_in[part.path]} and could not be put back ({error.strerror})",
                hint=f"Move {name_of(part)} back by hand; nothing removes it there.",
            ) from error

    def _look(self, folder: str, part: Part) -> FileFact | None:
        descriptor = self._open.get(folder)
        if descriptor is None:
            return None
        try:
            return look(descriptor, name_of(part))
        except OSError as error:
            raise explain(f"{folder}/{name_of(part)}".lstrip("/"), error) from error

    def _trash_of(self, part: Part) -> int:
        return self._open[self._trashed_in[part.path]]

    def _place_of(self, part: Part) -> int:
        """Raises FileNotFoundError where its folder is gone."""
        folder = parent_of(part.path)
        if folder not in self._open:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        return self._open[folder]


@contextmanager
def opened(root_fd: int, entry: Entry, *, places: bool = True) -> Iterator[Transit]:
    """The entry's folders as far as they exist; ``places=False`` opens the trash's alone.

    Raises TrashError where one of them cannot be entered.
    """
    transit = Transit(root_fd, entry)
    try:
        for path in (*transit.trash_folders, *(entry.folders if places else ())):
            transit.open(path)
        yield transit
    finally:
        transit.close()


def _fits(part: Part, now: FileFact | None, facts: Facts) -> bool:
    return now is not None and facts(now) == facts(part.fact)
