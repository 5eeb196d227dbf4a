"""The models root: opened by descriptor, recognised by its marker.

The marker ``.watcherd/root.json`` tells this root from an empty folder that happens to be at its
path (an unmounted disk), so that emptiness can be believed. It is written with the first artifact.
"""

import errno
import fcntl
import json
import os
import socket
import stat
import uuid as uuids
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from watcherd.errors import RootSuspended, TrashError

HOUSE = ".watcherd"
"""The only folder below the root that is ours."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_MARKER = "root.json"
_TURN = "moving.lock"
_WAIT = "nothing is changed until it is back, and a running daemon then goes on by itself"


@dataclass(frozen=True, slots=True)
class Marker:
    """What the root says of itself."""

    uuid: str
    registry: str
    """URL of the registry that knows it."""
    host: str
    """The host whose daemon prunes here."""


def new_marker(registry: str) -> Marker:
    return Marker(str(uuids.uuid4()), registry, socket.gethostname())


@contextmanager
def open_root(path: Path, known_uuid: str | None) -> Iterator[int]:
    """A descriptor of the root, if it is the one that the registry knows.

    ``known_uuid`` is None for a root that bears no marker yet. Raises RootSuspended where it is
    gone, unreadable, without its marker, or another's.
    """
    root_fd = _open(path)
    try:
        if known_uuid is not None:
            _recognise(path, read_marker(root_fd), known_uuid)
        yield root_fd
    finally:
        os.close(root_fd)


def _open(path: Path) -> int:
    try:
        return os.open(path, _FOLDER)
    except OSError as error:
        todo = "correct models.root (--root)"
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and path.is_symlink():
            why = "has become a symlink"
        elif error.errno == errno.ENOTDIR:
            why = "is not a folder"
        elif error.errno == errno.ENOENT:
            why, todo = "is not there", f"mount its disk, make the folder, or {todo}"
        else:
            why = f"cannot be read: {error.strerror}"
            todo = f"let this user read it, or {todo}"
        raise RootSuspended(f"the models root {path} {why}", hint=f"{todo}; {_WAIT}") from None


def _recognise(path: Path, marker: Marker | None, known_uuid: str) -> None:
    if marker is not None and marker.uuid == known_uuid:
        return
    if marker is None:
        raise RootSuspended(
            f"the models root {path} lacks its marker {HOUSE}/{_MARKER}: is its disk mounted?",
            hint=f"mount it; {_WAIT}. If this folder is to be the root now: "
            "watcherd reconcile --adopt-root",
        )
    raise RootSuspended(
        f"{path} is another models root: its marker says {marker.uuid} of {marker.host}, "
        f"the registry knows {known_uuid}",
        hint="if this folder is to be the root now: watcherd reconcile --adopt-root",
    )


def read_marker(root_fd: int) -> Marker | None:
    """The root's marker; None where there is none. Raises RootSuspended where it is unreadable."""
    try:
        house_fd = os.open(HOUSE, _FOLDER, dir_fd=root_fd)
        try:
            marker_fd = os.open(
                _MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=house_fd
            )
        finally:
            os.close(house_fd)
        with open(marker_fd, "rb") as file:
            found = json.loads(file.read(1 << 16))
        return Marker(str(found["uuid"]), str(found["registry"]), str(found["host"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RootSuspended(
            f"the root's marker {HOUSE}/{_MARKER} cannot be read: {error}",
            hint="restore it, or: watcherd reconcile --adopt-root",
        ) from None


def write_marker(root_fd: int, marker: Marker) -> None:
    """Write the marker whole or not at all. Raises RootSuspended where we may not."""
    try:
        _write_marker(root_fd, marker)
    except OSError as error:
        raise RootSuspended(
            f"the root's marker {HOUSE}/{_MARKER} cannot be written: {error.strerror}",
            hint=f"let the user that watcherd runs as write in {HOUSE}",
        ) from None


def _write_marker(root_fd: int, marker: Marker) -> None:
    make_house(root_fd)
    house_fd = os.open(HOUSE, _FOLDER, dir_fd=root_fd)
    try:
        name = f"{_MARKER}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(name, flags, 0o664, dir_fd=house_fd), "wb") as file:
            file.write(json.dumps(asdict(marker), indent=2).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, _MARKER, src_dir_fd=house_fd, dst_dir_fd=house_fd)
        os.fsync(house_fd)
    finally:
        os.close(house_fd)


@contextmanager
def moving_files(root_fd: int) -> Iterator[None]:
    """Hold the turn to move files between the root and its trash.

    A daemon that prunes and a person's ``reconcile`` beside it must not take each other's
    half-moved artifact for one that a crash left behind.
    """
    try:
        make_house(root_fd)
        lock_fd = _open_lock(root_fd)
    except OSError as error:
        raise TrashError(
            f"{HOUSE}/{_TURN} cannot be opened: {error.strerror}",
            hint=f"let the user that watcherd runs as write in {HOUSE}",
        ) from None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock_fd)


def _open_lock(root_fd: int) -> int:
    house_fd = os.open(HOUSE, _FOLDER, dir_fd=root_fd)
    try:
        return os.open(_TURN, _LOCK, 0o664, dir_fd=house_fd)
    finally:
        os.close(house_fd)


def make_house(root_fd: int) -> None:
    """Make ``.watcherd`` with the root's own permissions, so that its group may use it too."""
    try:
        os.mkdir(HOUSE, stat.S_IMODE(os.fstat(root_fd).st_mode) | 0o700, dir_fd=root_fd)
    except FileExistsError:
        return
