"""What a refusing operating system says, in words for a person: what, where, what to do next."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from watcherd.errors import TrashError

_OWNER = "Run the command as the owner of the folder, or let the group write to it (chmod g+w)."
_WORDS = {
    errno.EXDEV: (
        "lies on another file system than the trash",
        "Remove it by hand, or watch that mount as a models root of its own.",
    ),
    errno.EACCES: ("may not be moved or read by this user", _OWNER),
    errno.EPERM: ("may not be moved or read by this user", _OWNER),
    errno.EROFS: ("lies on a read-only file system", "Mount it writable, then try again."),
    errno.ENOSPC: (
        "cannot be written, the disk is full",
        "Free some space on its disk.",
    ),
    errno.EDQUOT: (
        "cannot be written, the quota is used up",
        "Free some space, or raise the quota.",
    ),
    errno.EEXIST: ("is in the way", "Move it aside, then try again."),
    errno.ENOENT: ("is gone", "Someone removed it meanwhile; `watcherd reconcile` records that."),
    errno.ENOTDIR: ("is a symlink or a file where a folder was", "Links are never followed."),
    errno.ELOOP: ("is a symlink", "Links are never followed: put the folder itself there."),
    errno.EOPNOTSUPP: (
        "lies on a file system that lets this user neither rename without replacing nor link",
        "Run the command as the owner of the file, or remove the file by hand.",
    ),
}


def explain(path: str, error: OSError) -> TrashError:
    """The error that tells a person what the system call said of a path below the root."""
    words, hint = _WORDS.get(error.errno or 0, (f"{error.strerror or error}", ""))
    return TrashError(f"{path or 'the models root'}: {words}", hint=hint)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turns an OSError into the TrashError about this path."""
    try:
        yield
    except OSError as error:
        raise explain(path, error) from error
