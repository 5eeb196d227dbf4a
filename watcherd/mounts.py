"""Mount points below the models root, by the kernel's own list (proc_pid_mountinfo(5)).

Device numbers would not do: a bind mount has its file system's own, and NFS and btrfs change them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_MOUNT_POINT = 4
"""The field that names it, with spaces and the like escaped as octal."""

_SILENT = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|fuse(?!blk|ctl)\b.*|9p|virtiofs|lustre|ceph|afs|gpfs|beegfs|glusterfs"
    r"|gfs2?|ocfs2|orangefs|pvfs2|coda|vboxsf|vmhgfs|prl_fs|drvfs"
)
"""File systems that others write to behind the kernel's back: it has no event for that (inotify(7),
"Limitations and caveats"). ``fuseblk`` is a disk of our own."""


def mounts_below(root: str) -> frozenset[str]:
    """The mount points below a root, as paths below it. None are known where /proc is hidden."""
    prefix = root.rstrip("/") + "/"
    points = (point for point, _ in _mounts())
    return frozenset(point[len(prefix) :] for point in points if point.startswith(prefix))


def silent_below(root: str) -> dict[str, str]:
    """Where a root, and what is mounted below it, lies on a file system that tells of no changes
    made elsewhere: path below the root (``""`` is itself) -> the file system's type."""
    prefix = root.rstrip("/") + "/"
    types: dict[str, str] = {}
    nearest = ""
    for point, kind in _mounts():  # of several at one point the last one is on top
        if point.startswith(prefix):
            types[point[len(prefix) :]] = kind
        elif prefix.startswith(point.rstrip("/") + "/") and len(point) >= len(nearest):
            nearest, types[""] = point, kind
    return {place: kind for place, kind in types.items() if _SILENT.fullmatch(kind)}


def _mounts() -> Iterator[tuple[str, str]]:
    """Each mount point with its file system's type, in the order of mounting."""
    try:
        lines = MOUNTINFO.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        mounted, _, system = line.partition(b" - ")  # optional fields stand in between
        yield _unescape(mounted.split(b" ")[_MOUNT_POINT]), system.split(b" ")[0].decode()


def _unescape(field: bytes) -> str:
    raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field)
    return raw.decode("utf-8", "surrogateescape")
