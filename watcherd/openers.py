"""Who has a file open, or locks it: by the kernel's own lists, and without touching the file.

One pass over ``/proc`` for any number of files. Processes of other users and other containers are
seen as far as this user is permitted to: what is not seen is no proof that nobody is there.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from watcherd.artifact import Part
from watcherd.proof import MARK

PROC = Path("/proc")

_LOCK = re.compile(
    rb"^\d+: +\w+ +\w+ +(?P<kind>\w+) +(?P<pid>-?\d+) "
    rb"(?P<major>[0-9a-f]+):(?P<minor>[0-9a-f]+):(?P<inode>\d+) ",
    re.MULTILINE,
)
"""A line of proc_locks(5): ``1: FLOCK ADVISORY WRITE 708 08:02:1234 0 EOF``; numbers in hex."""
_GONE = " (deleted)"
"""What the kernel puts behind the name of an open file that has none any more."""


class Place(NamedTuple):
    """A file by its numbers."""

    device: int
    inode: int


def find_openers(parts: Iterable[Part], proc: Path = PROC) -> dict[str, str]:
    """Path of each part that another process holds -> how, in words for a person."""
    wanted = {Place(part.fact.device, part.fact.inode): part.path for part in parts}
    if not wanted:
        return {}
    return _locked(wanted, read_locks(proc), proc) | _open(wanted, proc)


def find_lockers(parts: Iterable[Part], locks: Mapping[Place, int]) -> dict[str, str]:
    """Path of each part that is locked by another process -> how, in words for a person."""
    return _locked({Place(one.fact.device, one.fact.inode): one.path for one in parts}, locks)


def read_locks(proc: Path = PROC, *, writers_only: bool = False) -> dict[Place, int]:
    """Every file that is locked -> a process that holds it. None are known where /proc is hidden.

    It takes some 12 ms, for which the kernel waits, and nobody who locks or unlocks.

    The process is 0 or less where it is none of this container's, or where a lock has no owner.
    """
    try:
        text = (proc / "locks").read_bytes()
    except OSError:
        return {}
    return {
        Place(os.makedev(int(one["major"], 16), int(one["minor"], 16)), int(one["inode"])): int(
            one["pid"]
        )
        for one in _LOCK.finditer(text)
        if one["kind"] == b"WRITE" or not writers_only
    }


def _locked(
    wanted: Mapping[Place, str], locks: Mapping[Place, int], proc: Path = PROC
) -> dict[str, str]:
    by_inode = {place.inode: (place, path) for place, path in wanted.items()}
    found = {}
    for locked, pid in locks.items():
        place, path = by_inode.get(locked.inode, (None, ""))
        if place is not None and _is_same_device(place, locked) and pid != os.getpid():
            found[path] = f"locked by {_process(pid, proc)}"
    return found


def _is_same_device(seen: Place, locked: Place) -> bool:
    """btrfs and overlays show one number by lstat(2) and another here, both without a major one."""
    return seen.device == locked.device or not (os.major(seen.device) or os.major(locked.device))


def _open(wanted: Mapping[Place, str], proc: Path) -> dict[str, str]:
    """By descriptors. stat(2) of one may hang on a dead file server: only names that fit are
    asked, and a name is the same in every container."""
    names = {path.rpartition("/")[2] for path in wanted.values()}
    found = {}
    for pid in _processes(proc):
        for descriptor in _descriptors(proc / str(pid) / "fd", names):
            path = wanted.get(descriptor)
            if path is not None and not _verifies(pid, proc):
                found[path] = f"open in {_process(pid, proc)}"
    return found


def _verifies(pid: int, proc: Path) -> bool:
    """Whether it is one of ours, of any daemon or command, that has TensorFlow open models: it
    takes no lock, and what it said of a model that went meanwhile is not written.

    Whose descriptors may be seen, its environment may, too (proc_pid_environ(5)).
    """
    with suppress(OSError):
        environ = (proc / str(pid) / "environ").read_bytes()
        return any(one.startswith(f"{MARK}=".encode()) for one in environ.split(b"\0"))
    return False


def _processes(proc: Path) -> Iterator[int]:
    with suppress(OSError):
        yield from (int(n) for n in os.listdir(proc) if n.isdecimal() and int(n) != os.getpid())


def _descriptors(folder: Path, names: set[str]) -> Iterator[Place]:
    """What a process has open under one of the names; a process may end meanwhile."""
    try:
        descriptors = os.listdir(folder)
    except OSError:
        return
    for descriptor in descriptors:
        with suppress(OSError):
            target = os.readlink(f"{folder}/{descriptor}").removesuffix(_GONE)
            if target.rpartition("/")[2] in names:
                found = os.stat(f"{folder}/{descriptor}")
                yield Place(found.st_dev, found.st_ino)


def _process(pid: int, proc: Path) -> str:
    if pid <= 0:
        return "a process elsewhere"
    with suppress(OSError):
        return f"process {pid} ({(proc / str(pid) / 'comm').read_text().strip()})"
    return f"process {pid}"
