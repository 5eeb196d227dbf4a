"""What one folder holds, as plain tuples: names, facts, and one fingerprint of them all.

Nothing but the standard library is imported, and little of it: ``python -I -S`` runs this file as
a lean process beside a program that has much more loaded (see ``serve``).
"""

import errno
import hashlib
import marshal
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

Row = tuple[str, str, int, int, int, int, int]
"""name, kind, size, mtime_ns, ctime_ns, inode, device of one name that is no folder."""
FILE, LINK, OTHER = "f", "l", "o"
"""Kinds: a regular file, a symlink, anything else (a pipe, a socket, a device)."""

Listing = tuple[int, list[str], list[Row], bytes]
"""The folder's mtime_ns, the names of the folders in it, its rows, and a fingerprint of both."""
Found = Listing
"""The same; where the fingerprint was known, of the rows only those of symlinks: they hide folders
whose models lie behind them."""
Wanted = tuple[str, bytes | None]
"""A folder below the root, and the fingerprint that its listing is known by."""
Answer = tuple[str, Found | int]
"""The folder, and what is in it; or the errno why nobody can say."""

PROTOCOL = "2"
"""What both sides must speak: the package may be upgraded under a running daemon, which then
starts the new file. Counts up when a message changes."""
WORD = 4
"""Bytes that tell the length of a message between two processes; little-endian."""

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
"""What SQLite's integers hold."""

_FORMAT, _REGULAR = 0o170000, 0o100000
"""S_IFMT and S_IFREG of inode(7): a million calls of stat.S_ISREG take a tenth of a second."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def list_folder(folder_fd: int) -> Listing:
    """Everything in a folder. What vanishes while it is listed is left out. Raises OSError."""
    folders: list[str] = []
    rows: list[Row] = []
    with os.scandir(folder_fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            try:
                # Through the folder's descriptor: fstatat(2), as scandir was given one.
                rows.append(_row(entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    rows.sort()
    folders.sort()
    # After the listing: a name that came or went meanwhile makes the folder young.
    mtime_ns = os.fstat(folder_fd).st_mtime_ns
    return mtime_ns, folders, rows, fingerprint(folders, rows)


def look_at(root_fd: int, wanted: Wanted) -> Found:
    """What a folder below the root holds; but for symlinks, no rows where they are known.

    Raises OSError.
    """
    path, known = wanted
    with open_folder(root_fd, path) as folder_fd:
        mtime_ns, folders, rows, found = list_folder(folder_fd)
    if found == known:
        rows = [row for row in rows if row[1] == LINK]
    return mtime_ns, folders, rows, found


def fingerprint(folders: list[str], rows: list[Row]) -> bytes:
    """Of both in their order. marshal's version 2 is stable between Pythons; newer are not."""
    return hashlib.blake2b(marshal.dumps((folders, rows), 2), digest_size=16).digest()


def _row(name: str, found: os.stat_result) -> Row:
    mode, mtime_ns, ctime_ns = found.st_mode, found.st_mtime_ns, found.st_ctime_ns
    inode, device = found.st_ino, found.st_dev
    if not (_LEAST < mtime_ns < _MOST and _LEAST < ctime_ns < _MOST):
        mtime_ns, ctime_ns = storable(mtime_ns), storable(ctime_ns)
    if inode > _MOST or device > _MOST:
        inode, device = signed(inode), signed(device)
    kind = FILE if mode & _FORMAT == _REGULAR else _kind(mode)
    return name, kind, found.st_size, mtime_ns, ctime_ns, inode, device


def _kind(mode: int) -> str:
    return LINK if stat.S_ISLNK(mode) else OTHER


def signed(number: int) -> int:
    """As SQLite stores it: inode numbers of CIFS and FUSE use all 64 bits."""
    return number - (1 << 64) if number >> 63 else number


def storable(ns: int) -> int:
    """A time within 64 bits, as SQLite stores it: from the year 1677 to 2262.

    tmpfs, btrfs and ZFS keep times far beyond; nothing is known of such a one but that it is odd.
    """
    return min(max(ns, -(1 << 63)), (1 << 63) - 1)


def serve(root_fd: int) -> None:
    """Answer lists of ``Wanted`` on standard input by lists of ``Answer``, until it ends."""
    while wanted := receive(sys.stdin.fileno()):
        send(sys.stdout.fileno(), [_answer(root_fd, one) for one in wanted])


def _answer(root_fd: int, wanted: Wanted) -> Answer:
    try:
        return wanted[0], look_at(root_fd, wanted)
    except OSError as error:
        return wanted[0], error.errno or errno.EIO


def send(pipe_fd: int, message: list[Wanted] | list[Answer]) -> None:
    """Write a message whole. Raises BrokenPipeError."""
    content = marshal.dumps(message, 2)
    left = memoryview(len(content).to_bytes(WORD, "little") + content)
    while left:
        left = left[os.write(pipe_fd, left) :]


def receive(pipe_fd: int) -> list:  # type: ignore[type-arg]  # what the other side sent
    """Read a message whole; empty where the other side has ended."""
    length = int.from_bytes(_read(pipe_fd, WORD), "little")
    content = _read(pipe_fd, length)
    return marshal.loads(content) if length and len(content) == length else []


def _read(pipe_fd: int, count: int) -> bytes:
    parts = []
    while count and (part := os.read(pipe_fd, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


if __name__ == "__main__" and sys.argv[2:] == [PROTOCOL]:
    serve(int(sys.argv[1]))
