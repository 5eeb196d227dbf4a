"""Scope → snapshot: lists folders, groups their names, and says what it could not see.

Reads the disk, nothing else. Every folder is opened component by component below the root's own
descriptor with O_NOFOLLOW, so that no symlink below the root is ever followed; files are only
lstat'ed, but for the small state files.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from watcherd.artifact import Artifact, FileFact, Part, Snapshot, fact_from
from watcherd.grouping import NOT_FOLLOWED, Grouped, folders_in, group, join
from watcherd.listing import Row, list_folder, open_folder
from watcherd.naming import Naming, read_state_file
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
    look = _Look(root_fd, naming, known or {})
    for tree in sorted(scope.trees):
        look.at_trees([tree])
    for folder in sorted(scope.folders):
        look.at_folder(folder)
    return look.snapshot(scope)


def walk(
    root_fd: int,
    scope: Scope,
    naming: Naming,
    known: Mapping[str, bytes | None],
    *,
    most: int = SLICE,
) -> Iterator[Snapshot]:
    """The same in slices of about ``most`` artifacts, so that memory does not grow with the tree.

    Each slice names in its scope the folders that it looked at. One slice knows nothing of another:
    that a folder is gone only a look at it by its name can prove.
    """
    waiting = [*sorted(scope.trees), *sorted(scope.folders)]
    deep = scope.trees
    seen: set[str] = set()
    look = _Look(root_fd, naming, known)
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        below = look.at_folder(place)
        if place in deep or place not in scope.folders:
            waiting.extend(below)
        if len(look.artifacts) >= most:
            yield look.snapshot(look.scope)
            look = _Look(root_fd, naming, known)
    yield look.snapshot(look.scope)


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


def is_unchanged(root_fd: int, artifact: Artifact) -> bool:
    """Whether every part still has the facts that a snapshot saw."""
    with suppress(OSError):
        return all(fact_of(root_fd, part.path) == part.fact for part in artifact.parts)
    return False


@dataclass
class _Look:
    """What one scan has seen so far."""

    root_fd: int
    naming: Naming
    known: Mapping[str, bytes | None]
    at: int = field(default_factory=time.time_ns)
    unchanged: set[str] = field(default_factory=set)
    fingerprints: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    blind: dict[str, str] = field(default_factory=dict)
    unfollowed: dict[str, str] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)
    resume: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """What was looked at, and could be."""
        return folders({*self.folders, *self.absent, *self.blind})

    def snapshot(self, scope: Scope) -> Snapshot:
        return Snapshot(
            scope=scope,
            at=self.at,
            folders=self.folders,
            artifacts=self.artifacts,
            unchanged=frozenset(self.unchanged),
            fingerprints=self.fingerprints,
            absent=self.absent,
            blind=self.blind,
            unfollowed=self.unfollowed,
            ignored=frozenset(self.ignored),
            resume=frozenset(self.resume),
            skipped=self.skipped,
        )

    def at_trees(self, waiting: list[str]) -> None:
        """Look at folders and all below them."""
        while waiting:
            waiting.extend(self.at_folder(waiting.pop()))

    def at_folder(self, folder: str) -> list[str]:
        """Look at one folder; returns the paths of the folders in it."""
        if folder in self.folders:
            return []
        if folder and (pattern := self.naming.ignores(folder)):
            self.unfollowed[folder] = f"ignored by {pattern}"
            return []
        try:
            with open_folder(self.root_fd, folder) as folder_fd:
                return self._take(folder, folder_fd)
        except OSError as error:
            self._note_failure(folder, error)
            return []

    def _take(self, folder: str, folder_fd: int) -> list[str]:
        mtime_ns, names, rows, fingerprint = list_folder(folder_fd)
        self.folders[folder] = mtime_ns
        if self.known.get(folder) == fingerprint:
            self.unchanged.add(folder)
            return folders_in(folder, names)

        asked: list[str] = []

        def fact_in(name: str) -> FileFact | None:
            asked.append(name)
            with suppress(FileNotFoundError):
                return fact_from(os.stat(name, dir_fd=folder_fd, follow_symlinks=False))
            return None

        def inside(name: str) -> tuple[list[str], list[Row]]:
            asked.append(name)
            try:
                with open_folder(folder_fd, name) as below_fd:
                    return list_folder(below_fd)[1:3]
            except OSError as error:
                if error.errno not in (*_ABSENT, errno.ELOOP):
                    raise
                return [], []

        grouped = group(folder, names, rows, self.naming, fact_in, inside)
        if not asked:
            # What lies in other folders, the listing's fingerprint does not tell.
            self.fingerprints[folder] = fingerprint
        self.artifacts.update(grouped.artifacts)
        self.unfollowed.update(grouped.unfollowed)
        self.ignored.update(grouped.ignored)
        self.skipped.update(grouped.skipped)
        for name in grouped.state_files:
            self._take_state_file(folder, folder_fd, name, grouped)
        return grouped.below

    def _take_state_file(self, folder: str, folder_fd: int, name: str, grouped: Grouped) -> None:
        """What cannot be read may name any: all of its folder are as if it named them."""
        try:
            latest = _latest_named_by(folder_fd, name)
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
            self.blind[folder] = f"cannot be read: {os.strerror(error.errno or errno.EIO)}"

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


def _latest_named_by(folder_fd: int, name: str) -> str | None:
    """The prefix that a state file names as ``model_checkpoint_path``. Raises OSError."""
    try:
        state_fd = os.open(name, _STATE_FILE, dir_fd=folder_fd)
    except FileNotFoundError:
        return None  # gone this moment: its next event brings us back
    with open(state_fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(state_fd).st_mode):
            return None
        return read_state_file(file.read(_STATE_FILE_BYTES)).latest
