"""Scope → snapshot: lists folders, groups files into artifacts, and names what it could not see.

Reads the disk, nothing else. Every folder is opened component by component below the root's own
descriptor with O_NOFOLLOW, so that no symlink below the root is ever followed; files are only
lstat'ed, but for the small state files.
"""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice

from watcherd.artifact import Artifact, FileFact, Form, Part, Role, Snapshot, fact_from, lineage
from watcherd.naming import Naming, is_state_file, part_of, read_state_file, temporary_of
from watcherd.scope import Scope, parent_of

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STATE_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STATE_FILE_BYTES = 1 << 20
"""A state file names a prefix a line; what is larger is something else."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def scan(root_fd: int, scope: Scope, naming: Naming) -> Snapshot:
    """Look at every folder of the scope.

    A folder that cannot be read is a blind spot, never an empty one. A folder of the scope that is
    not there is proven absent by the nearest folder above that is.
    """
    look = _Look(root_fd, naming)
    for tree in sorted(scope.trees):
        look.at_tree(tree)
    for folder in sorted(scope.folders):
        look.at_folder(folder)
    return Snapshot(
        scope=scope,
        folders=look.folders,
        absent=look.absent,
        artifacts=look.artifacts,
        blind=look.blind,
        unfollowed=look.unfollowed,
        resume=frozenset(look.resume),
        skipped=look.skipped,
    )


def fact_of(root_fd: int, path: str) -> FileFact | None:
    """The facts of one path below the root now; None where it is proven absent.

    Raises OSError where nothing can be said (no permission, a symlink on the way, I/O).
    """
    try:
        with open_folder(root_fd, parent_of(path)) as folder_fd:
            found = os.stat(path.rpartition("/")[2], dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    return fact_from(found)


def is_unchanged(root_fd: int, artifact: Artifact) -> bool:
    """Whether every part still has the facts that a snapshot saw."""
    with suppress(OSError):
        return all(fact_of(root_fd, part.path) == part.fact for part in artifact.parts)
    return False


def is_gone(root_fd: int, paths: Iterable[str]) -> bool:
    """Whether every one of these paths is proven absent."""
    with suppress(OSError):
        return all(fact_of(root_fd, path) is None for path in paths)
    return False


@contextmanager
def open_folder(root_fd: int, path: str) -> Iterator[int]:
    """A descriptor of a folder below the root, reached without following a symlink.

    Raises OSError: ELOOP where a component is a symlink (open(2) itself says ENOTDIR for
    O_DIRECTORY with O_NOFOLLOW, which would pass for absence), ENOENT or ENOTDIR where one is
    absent or no folder.
    """
    folder_fd = os.open(".", _FOLDER, dir_fd=root_fd)
    try:
        for name in path.split("/") if path else ():
            below_fd = _open_below(folder_fd, name)
            os.close(folder_fd)
            folder_fd = below_fd
        yield folder_fd
    finally:
        os.close(folder_fd)


def _open_below(folder_fd: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder_fd)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "symlink", name) from None
        raise


@dataclass
class _Look:
    """What one scan has seen so far."""

    root_fd: int
    naming: Naming
    folders: dict[str, int] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    blind: dict[str, str] = field(default_factory=dict)
    unfollowed: dict[str, str] = field(default_factory=dict)
    resume: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)

    def at_tree(self, tree: str) -> None:
        waiting = [tree]
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
                listing = _Listing(self, folder, folder_fd)
                listing.take()
                # Read after the listing: a name that came or went meanwhile makes it young.
                self.folders[folder] = os.fstat(folder_fd).st_mtime_ns
        except OSError as error:
            self._note_failure(folder, error)
            return []
        return listing.below

    def _note_failure(self, folder: str, error: OSError) -> None:
        if error.errno == errno.ELOOP:
            self.unfollowed[folder] = "a symlink, which is never followed"
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


@dataclass
class _Listing:
    """One folder being listed into a look."""

    look: _Look
    folder: str
    folder_fd: int
    below: list[str] = field(default_factory=list)
    parts: defaultdict[tuple[str, Form], list[Part]] = field(
        default_factory=lambda: defaultdict(list)
    )
    temporary: dict[str, Part] = field(default_factory=dict)
    """Checkpoint prefix -> the temporary folder beside it."""
    state_files: list[str] = field(default_factory=list)

    def take(self) -> None:
        with os.scandir(self.folder_fd) as entries:
            for entry in entries:
                self._take_entry(entry)
        self._group()
        for name in self.state_files:
            self._take_state_file(name)

    def _take_entry(self, entry: os.DirEntry[str]) -> None:
        path = self._path(entry.name)
        if not _is_text(entry.name):
            self.look.skipped[path] = "its name is not UTF-8: rename it to have it registered"
        elif entry.is_symlink():
            self.look.unfollowed[path] = "a symlink, which is never followed"
        elif entry.is_dir(follow_symlinks=False):
            self._take_folder(entry.name)
        elif is_state_file(entry.name, self.look.naming.state_files):
            self.state_files.append(entry.name)
        elif not self.look.naming.ignores(path):
            self._take_file(entry)

    def _take_folder(self, name: str) -> None:
        prefix = temporary_of(name)
        if prefix is None:
            self.below.append(self._path(name))
        elif fact := self._fact(name):
            self.temporary[prefix] = Part(Role.TEMPORARY, self._path(name), fact)

    def _take_file(self, entry: os.DirEntry[str]) -> None:
        part = part_of(entry.name)
        if part is None:
            return
        if not entry.is_file(follow_symlinks=False):
            self.look.skipped[self._path(entry.name)] = "not a regular file (a pipe, socket, ...)"
        elif fact := self._fact(entry.name):
            self.parts[part.artifact, part.form].append(
                Part(part.role, self._path(entry.name), fact)
            )

    def _group(self) -> None:
        """Make artifacts of the parts; a graph alone is what its trainer left behind."""
        for (name, form), parts in self.parts.items():
            if all(part.role is Role.GRAPH for part in parts):
                continue
            if form is Form.CHECKPOINT and (name, Form.HDF5) in self.parts:
                # One path is one model; the file that really has the path takes it.
                self.look.skipped[parts[0].path] = f"{name} is an HDF5 file of its own"
                continue
            if name in self.temporary:
                parts.append(self.temporary[name])
            path = self._path(name)
            ordered = tuple(sorted(parts, key=lambda part: part.path))
            self.look.artifacts[path] = Artifact(path, form, ordered)

    def _take_state_file(self, name: str) -> None:
        try:
            state_fd = os.open(name, _STATE_FILE, dir_fd=self.folder_fd)
        except OSError:
            return  # gone or rewritten this moment: its next event brings us back
        with open(state_fd, "rb") as file:
            if stat.S_ISREG(os.fstat(state_fd).st_mode):
                latest = read_state_file(file.read(_STATE_FILE_BYTES)).latest
                if latest:
                    self.look.resume.add(self._path(latest))

    def _fact(self, name: str) -> FileFact | None:
        """None for what vanished since it was listed."""
        try:
            return fact_from(os.stat(name, dir_fd=self.folder_fd, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8; os.scandir gives other bytes as lone surrogates (PEP 383)."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
