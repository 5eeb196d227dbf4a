"""Mount points below the models root, by the kernel's own list (proc_pid_mountinfo(5)).

Device numbers would not do: a bind mount has its file system's own, and NFS and btrfs change them.
"""

import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_MOUNT_POINT = 4
"""The field that names it, with spaces and the like escaped as octal."""


def mounts_below(root: str) -> frozenset[str]:
    """The mount points below a root, as paths below it. None are known where /proc is hidden."""
    try:
        lines = MOUNTINFO.read_bytes().splitlines()
    except OSError:
        return frozenset()
    points = (_unescape(line.split(b" ")[_MOUNT_POINT]) for line in lines)
    prefix = root.rstrip("/") + "/"
    return frozenset(point[len(prefix) :] for point in points if point.startswith(prefix))


def _unescape(field: bytes) -> str:
    raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), field)
    return raw.decode("utf-8", "surrogateescape")
