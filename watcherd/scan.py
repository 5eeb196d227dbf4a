"""Scope → snapshot: lists folders, groups their names, and says what it could not see.

Reads the disk, nothing else. Every folder is opened component by component below the root's own
descriptor with O_NOFOLLOW, so that no symlink below the root is ever followed; files are only
lstat'ed, but for the small state files.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from watcherd import pulse
from watcherd.artifact import (
    Artifact,
    FileFact,
    Part,
    Snapshot,
    fact_from,
    without_companions,
)
from watcherd.grouping import NOT_FOLLOWED, Grouped, folders_in, group, join
from watcherd.lister import Lister
from watcherd.listing import Found, Row, list_folder, open_folder
from watcherd.naming import Naming, path_of_latest, read_state_file
from watcherd.scope import Scope, folders, lineage, parent_of

_STATE_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STATE_FILE_BYTES = 1 << 20
"""A state file names a prefix a line; what is larger is something else."""

SLICE = 1000
"""Artifacts in one slice of a walk: half a second of reading, a few megabytes."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def scan(
    root_fd: int, scope: Scope, naming: Naming, known: Mapping[str, bytes | None] | None = None
) -> Snapshot:
    """Look at every folder of the scope.

    ``known`` are the fingerprints of listings whose artifacts need no second look: those folders
    cost their listing, and come back as unchanged.

    A folder that cannot be read is a blind spot, never an empty one. A folder of the scope that is
    not there is proven absent by the nearest folder above that is.
    """
    (whole,) = walk(root_fd, scope, naming, known or {}, most=sys.maxsize)
    return whole


def walk(
    root_fd: int,
    scope: Scope,
    naming: Naming,
    known: Mapping[str, bytes | None],
    *,
    most: int = SLICE,
) -> Generator[Snapshot, None, None]:
    """The same in slices of about ``most`` artifacts, so that memory does not grow with the tree.

    Where there are several, each names in its scope the folders that it looked at. One slice knows
    nothing of another: that a folder is gone only a look at it by its name can prove.
    """
    places = sorted(scope.trees | scope.folders)
    seen = set(places)
    is_whole = True
    with Lister(root_fd, known) as lister:
        look = _Look(root_fd, naming, known)
        lister.put(place for place in places if look.may_enter(place))
        for folder, found in lister:
            pulse.beat()
            below = look.take(folder, found)
            if folder not in scope.folders:
                lister.put(one for one in below if one not in seen and look.may_enter(one))
            if len(look.artifacts) >= most and not lister.is_done:
                yield look.snapshot(look.seen)
                is_whole, look = False, _Look(root_fd, naming, known, at=lister.since)
        yield look.snapshot(scope if is_whole else look.seen)


def fact_of(root_fd: int, path: str) -> FileFact | None:
    """The facts of one path below the root now; None where it is proven absent.

    Raises OSError where nothing can be said (no permission, a symlink on the way, I/O).
    """
    found = _lstat(root_fd, path)
    return found and fact_from(found)


def is_file(root_fd: int, part: Part) -> bool:
    """Whether a part's own file is at its path still: the same inode, and a regular file.

    A freed inode is handed on at once, to a pipe or a folder, too. Raises OSError.
    """
    found = _lstat(root_fd, part.path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return False
    return fact_from(found).inode == part.fact.inode


def _lstat(root_fd: int, path: str) -> os.stat_result | None:
    try:
        with open_folder(root_fd, parent_of(path)) as folder_fd:
            return os.stat(path.rpartition("/")[2], dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def targets_of(root: str, links: Iterable[str]) -> dict[str, str]:
    """Symlink -> the file or folder that it leads to now, both below the root.

    Left out is what leads out of the root, nowhere, or is no link any more.
    """
    inside = f"{root.rstrip('/')}/"
    # realpath(3) only looks at links; nothing that they lead to is opened.
    found = {path: os.path.realpath(inside + path) for path in links}
    return {
        path: target.removeprefix(inside)
        for path, target in found.items()
        if target.startswith(inside) and target != inside + path and os.path.lexists(target)
    }


def is_unchanged(root_fd: int, artifact: Artifact) -> bool:
    """Whether every part still has the facts that a snapshot saw; what accompanies it may not."""
    with suppress(OSError):
        own = without_companions(artifact.parts)
        return all(fact_of(root_fd, part.path) == part.fact for part in own)
    return False


@dataclass
class _Look:
    """What one scan has seen so far."""

    root_fd: int
    naming: Naming
    known: Mapping[str, bytes | None]
    at: int = field(default_factory=time.time_ns)
    begun: float = field(default_factory=time.monotonic)
    unchanged: set[str] = field(default_factory=set)
    fingerprints: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    blind: dict[str, str] = field(default_factory=dict)
    unfollowed: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    resume: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    beside: dict[str, FileFact] = field(default_factory=dict)

    @property
    def seen(self) -> Scope:
        """What was looked at, and could be."""
        return folders({*self.folders, *self.absent, *self.blind})

    def snapshot(self, scope: Scope) -> Snapshot:
        return Snapshot(
            scope=scope,
            at=self.at,
            seconds=time.monotonic() - self.begun,
            folders=self.folders,
            artifacts=self.artifacts,
            unchanged=frozenset(self.unchanged),
            fingerprints=self.fingerprints,
            absent=self.absent,
            blind=self.blind,
            unfollowed=self.unfollowed,
            links=frozenset(self.links),
            ignored=frozenset(self.ignored),
            resume=frozenset(self.resume),
            skipped=self.skipped,
            beside=self.beside,
        )

    def may_enter(self, folder: str) -> bool:
        """Whether a folder is to be listed."""
        pattern = self.naming.ignores(folder) if folder else None
        if pattern:
            self.unfollowed[folder] = f"ignored by {pattern}"
        return not pattern

    def take(self, folder: str, found: Found | OSError) -> list[str]:
        """Take a folder's listing in; returns the paths of the folders in it."""
        if isinstance(found, OSError):
            self._note_failure(folder, found)
            return []
        mtime_ns, names, rows, fingerprint = found
        self.folders[folder] = mtime_ns
        if fingerprint == self.known.get(folder):
            self.unchanged.add(folder)
            self._take_links(join(folder, name) for name, *_ in rows)
            return folders_in(folder, names)
        try:
            return self._take(folder, names, rows, fingerprint)
        except OSError as error:
            del self.folders[folder]
            self._note_failure(folder, error)
            return []

    def _take(
        self, folder: str, names: list[str], rows: list[Row], fingerprint: bytes
    ) -> list[str]:
        asked: list[str] = []

        def fact_in(name: str) -> FileFact | None:
            asked.append(name)
            with suppress(FileNotFoundError), open_folder(self.root_fd, folder) as folder_fd:
                found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                return None if stat.S_ISLNK(found.st_mode) else fact_from(found)
            return None

        def inside(name: str) -> tuple[list[str], list[Row]]:
            asked.append(name)
            try:
                with open_folder(self.root_fd, join(folder, name)) as below_fd:
                    return list_folder(below_fd)[1:3]
            except OSError as error:
                if error.errno not in (*_ABSENT, errno.ELOOP):
                    raise
                return [], []

        grouped = group(folder, names, rows, self.naming, fact_in, inside)
        if not asked and not grouped.skipped:
            # What lies in other folders, the listing's fingerprint does not tell; and what is
            # skipped is said by every look.
            self.fingerprints[folder] = fingerprint
        self.artifacts.update(grouped.artifacts)
        self._take_links(grouped.unfollowed)
        self.ignored.update(grouped.ignored)
        self.skipped.update(grouped.skipped)
        self.beside.update(grouped.beside)
        for name in grouped.state_files:
            self._take_state_file(folder, name, grouped)
        return grouped.below

    def _take_links(self, links: Iterable[str]) -> None:
        for link in links:
            self.unfollowed[link] = NOT_FOLLOWED
            self.links.add(link)

    def _take_state_file(self, folder: str, name: str, grouped: Grouped) -> None:
        """What cannot be read may name any: all of its folder are as if it named them."""
        try:
            with open_folder(self.root_fd, folder) as folder_fd:
                latest = latest_named_by(folder_fd, name)
        except OSError:
            self.resume.update(grouped.artifacts)
        else:
            if latest:
                self.resume.add(join(folder, latest))

    def _note_failure(self, folder: str, error: OSError) -> None:
        if error.errno == errno.ELOOP:
            self.unfollowed[folder] = NOT_FOLLOWED
        elif error.errno in _ABSENT and folder:
            self._prove_absent(folder)
        else:
            self.blind[folder] = why_blind(error)

    def _prove_absent(self, folder: str) -> None:
        """By the nearest folder above that is there; absence is as young as its mtime."""
        for above in islice(lineage(folder), 1, None):
            try:
                with open_folder(self.root_fd, above) as above_fd:
                    self.absent[folder] = os.fstat(above_fd).st_mtime_ns
                return
            except OSError as error:
                if error.errno not in _ABSENT or not above:
                    self._note_failure(above, error)
                    return


def why_blind(error: OSError) -> str:
    """Why nothing can be said about a folder, in words for a person."""
    return f"cannot be read: {os.strerror(error.errno or errno.EIO)}"


def latest_named_by(folder_fd: int, name: str) -> str | None:
    """The prefix that a state file names as ``model_checkpoint_path``. Raises OSError."""
    return read_state_file(_text_of_state_file(folder_fd, name)).latest


def latest_below(root_fd: int, root: str, folder: str, name: str) -> str | None:
    """Where a folder's state file leads to, below the root; None where it leads nowhere there, or
    is none. Raises OSError."""
    try:
        with open_folder(root_fd, folder) as folder_fd:
            path = path_of_latest(_text_of_state_file(folder_fd, name))
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    if not path or "\0" in path:
        return None
    # A trainer may know the root by a symlink to it.
    above, last = os.path.split(os.path.normpath(os.path.join(root, folder, path)))
    place = os.path.join(os.path.realpath(above), last)
    return place.removeprefix(f"{root}/") if place.startswith(f"{root}/") else None


def _text_of_state_file(folder_fd: int, name: str) -> bytes:
    """Nothing of what is absent or no regular file. Raises OSError."""
    try:
        state_fd = os.open(name, _STATE_FILE, dir_fd=folder_fd)
    except FileNotFoundError:
        return b""  # gone this moment: its next event brings us back
    try:
        if not stat.S_ISREG(os.fstat(state_fd).st_mode):
            return b""
        with open(state_fd, "rb", closefd=False) as file:
            return file.read(_STATE_FILE_BYTES)
    finally:
        os.close(state_fd)
