"""One daemon a registry: an advisory lock on a file of our own, which the kernel drops with us."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watcherd.errors import Refused, RegistryError

TRIES, PAUSE = 20, 0.05
"""A second together, in seconds."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock. Raises Refused, naming the holder, where another process does."""
    try:
        lock_fd = os.open(path, _FLAGS, 0o664)
    except OSError as error:
        raise RegistryError(
            f"{path} cannot be opened: {error.strerror}",
            hint="run as the user that owns it, or give this user's group write permission",
        ) from None
    try:
        if not _is_taken(lock_fd):
            raise Refused(
                f"another watcherd runs here: {_holder(lock_fd)}",
                hint=f"it holds {path}; watcherd status shows what it does",
            )
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, json.dumps(_self()).encode(), 0)
        yield
    finally:
        os.close(lock_fd)


def _is_taken(lock_fd: int) -> bool:
    """Take the lock. A ``status`` that looks whether it is held holds it for a moment itself."""
    for _ in range(TRIES):
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE)
        else:
            return True
    return False


def is_held(path: Path) -> bool:
    """Whether a daemon runs. A lock that may not be tried is believed to be held."""
    try:
        lock_fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock_fd)
    return False


def _self() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _holder(lock_fd: int) -> str:
    try:
        found = json.loads(os.pread(lock_fd, 4096, 0))
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that is just starting"
