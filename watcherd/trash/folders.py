"""Folders below the models root: opened and made one path component at a time.

No symlink is ever followed, whatever anyone swaps meanwhile: every component is opened relative to
the descriptor of the one above with O_NOFOLLOW (openat(2)); openat2(2) would do it in one call, but
containers forbid it. A descriptor stays with its folder when that is renamed.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from watcherd.artifact import FileFact, fact_from
from watcherd.trash import calls
from watcherd.trash.faults import explain, explained

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FILE = -1
"""As a size: fits no fact that anyone decided upon."""


def open_folder(root_fd: int, path: str) -> int | None:
    """A folder's descriptor, which the caller closes; None where it is absent.

    Raises TrashError where nothing can be said: a symlink on the way, no permission.
    """
    try:
        return _walk(root_fd, path, open_below)
    except FileNotFoundError:
        return None


def make_folder(root_fd: int, path: str) -> int:
    """As ``open_folder``; what is absent is made like the folder above it (owner, group, mode)."""
    return _walk(root_fd, path, make_below)


def look(folder: int, name: str) -> FileFact | None:
    """The facts of one file now; None where it is absent. What is no regular file fits nothing."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    fact = fact_from(found)
    return fact if stat.S_ISREG(found.st_mode) else fact._replace(size=_NO_FILE)


def dress(folder: int, like: int, allowed: int) -> None:
    """Give a new folder the owner, group and mode of another, as far as we may.

    ``allowed`` masks the mode; the owner keeps all rights, because we may be the owner and have to
    write there. Where the group cannot be given, no group gets any rights: the bits would count for
    another one.
    """
    wanted = os.fstat(like)
    mode = stat.S_IMODE(wanted.st_mode) & allowed | stat.S_IRWXU
    if not _hand_over(folder, wanted):
        mode &= ~stat.S_IRWXG
    with suppress(PermissionError):
        calls.change_mode(folder, mode)


def dress_file(file: int, like: int) -> None:
    """Give a new file the owner, group and mode of another, as ``dress`` does a folder."""
    wanted = os.fstat(like)
    mode = stat.S_IMODE(wanted.st_mode) & 0o777
    if not _hand_over(file, wanted):
        mode &= ~stat.S_IRWXG
    with suppress(PermissionError):
        calls.change_mode(file, mode)


def _hand_over(folder: int, wanted: os.stat_result) -> bool:
    for user in (wanted.st_uid, -1):
        with suppress(OSError):  # EPERM, or EINVAL for a user unknown in this container
            calls.change_owner(folder, user, wanted.st_gid)
            return True
    return False


def _walk(root_fd: int, path: str, step: Callable[[int, str], int]) -> int:
    with explained(path):
        descriptor = os.dup(root_fd)
    names = path.split("/") if path else []
    for depth, name in enumerate(names, start=1):
        above = descriptor
        try:
            descriptor = step(above, name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise explain("/".join(names[:depth]), error) from error
        finally:
            os.close(above)
    return descriptor


def open_below(above: int, name: str) -> int:
    """One component of a path. Raises OSError, FileNotFoundError where it is absent."""
    return os.open(name, _FOLDER, dir_fd=above)


def make_below(above: int, name: str) -> int:
    """As ``open_below``; what is absent is made like the folder above it (owner, group, mode)."""
    try:
        return open_below(above, name)
    except FileNotFoundError:
        with suppress(FileExistsError):
            calls.make_folder(above, name, stat.S_IMODE(os.fstat(above).st_mode))
        made = open_below(above, name)
        dress(made, above, 0o7777)
        return made
