"""The system calls that change the disk: one small function each, and no other place has any.

Names are base names, relative to directory descriptors that were opened without following a
symlink. Every function raises OSError. The tests stop the program after each call of this list.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Callable
from functools import partial

__all__ = [
    "change_mode",
    "change_owner",
    "copy",
    "create",
    "give",
    "link",
    "make_folder",
    "publish",
    "remove",
    "remove_folder",
    "rename",
    "rename_noreplace",
    "sync",
    "take",
    "write",
]

_RENAME_NOREPLACE = 1
"""linux/fs.h."""
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
"""Its number where the C library is older than its wrapper (glibc 2.28): the two machines that
TensorFlow is built for."""
_UNABLE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""renameat2(2): EINVAL where the file system has no RENAME_NOREPLACE (NFS, older ZFS, FUSE)."""
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""fsync(2) of a folder where the file system has no such thing: there is nothing to wait for."""

_NO_RANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""copy_file_range(2) between file systems, or where one of them knows no such thing."""
_CHUNK = 1 << 20


def take(place: int, name: str, trash: int) -> None:
    """Move a file out of its folder into ours, never over another.

    Without RENAME_NOREPLACE a plain rename does: nobody else writes into our folder. Removing the
    first of two links would not: the trainer may have put a new file under that name meanwhile.
    The link is made and dropped before, because what we couldn't give back we do not take.
    """
    try:
        rename_noreplace(place, name, trash)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        link(place, name, trash)
        remove(trash, name)
        rename(place, name, trash)


def give(trash: int, name: str, place: int) -> None:
    """Move a file out of our folder into the user's, never over another.

    Without RENAME_NOREPLACE by link and unlink: linkat(2) fails with EEXIST, and nobody else puts
    a new file under the name in our folder. A stop in between leaves two names of one file.
    """
    try:
        rename_noreplace(trash, name, place)
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        link(trash, name, place)
        remove(trash, name)


def link(source: int, name: str, target: int) -> None:
    """linkat(2). EPERM says that the file system has no hard links, or that they are forbidden
    for other users' files (proc(5), fs.protected_hardlinks): EOPNOTSUPP, as there is no way."""
    try:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), name) from error


def rename(source: int, name: str, target: int) -> None:
    """renameat(2): replaces, so only for a name in our own folder that has just been free."""
    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


def rename_noreplace(source: int, name: str, target: int) -> None:
    """renameat2(2) with RENAME_NOREPLACE; EEXIST where the name is taken."""
    raw = os.fsencode(name)
    if _renameat2(source, raw, target, raw, _RENAME_NOREPLACE) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


def publish(folder: int, draft: str, name: str) -> None:
    """Put a finished draft of ours under its name, in one step."""
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def create(folder: int, name: str) -> int:
    """A new file of ours, open for writing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(name, flags, 0o600, dir_fd=folder)


def write(descriptor: int, data: bytes) -> None:
    """All of it: write(2) may take less at once."""
    while data:
        data = data[os.write(descriptor, data) :]


def copy(source: int, target: int, size: int) -> int:
    """Up to ``size`` bytes from where both stand; returns how many. copy_file_range(2) shares them
    on disk where the file system can (btrfs, XFS), else copies within the kernel."""
    try:
        return os.copy_file_range(source, target, size)
    except OSError as error:
        if error.errno not in _NO_RANGE:
            raise
        data = os.read(source, min(size, _CHUNK))
        write(target, data)
        return len(data)


def remove(folder: int, name: str) -> None:
    """unlinkat(2)."""
    os.unlink(name, dir_fd=folder)


def make_folder(folder: int, name: str, mode: int) -> None:
    """mkdirat(2); the umask takes from the mode."""
    os.mkdir(name, mode, dir_fd=folder)


def remove_folder(folder: int, name: str) -> None:
    """unlinkat(2) with AT_REMOVEDIR: an empty folder only."""
    os.rmdir(name, dir_fd=folder)


def change_owner(descriptor: int, user: int, group: int) -> None:
    """fchown(2); -1 leaves one as it is."""
    os.fchown(descriptor, user, group)


def change_mode(descriptor: int, mode: int) -> None:
    """fchmod(2)."""
    os.fchmod(descriptor, mode)


def sync(descriptor: int) -> None:
    """fsync(2)."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _find_renameat2() -> Callable[[int, bytes, int, bytes, int], int]:
    """The C library's wrapper or the bare system call; syscall(2) answers -1 with ENOSYS."""
    library = ctypes.CDLL(None, use_errno=True)
    kinds = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if hasattr(library, "renameat2"):
        library.renameat2.argtypes = kinds
        return library.renameat2
    library.syscall.argtypes = (ctypes.c_long, *kinds)
    return partial(library.syscall, _RENAMEAT2.get(platform.machine(), -1))


_renameat2 = _find_renameat2()
