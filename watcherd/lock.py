"""One daemon a registry: an advisory lock on a file of our own, which the kernel drops with us.

The kernel's locks may end at the host (a network file system can be mounted so). So the file names
its holder, who renews its mtime, and empties it in the end: the name of another host in a file that
was renewed of late is as good as a lock.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watcherd.errors import Refused, RegistryError

TRIES, PAUSE = 20, 0.05
"""A second together, in seconds."""

RENEW = 600.0
"""Seconds between two signs of life in the file."""

STALE = 3 * RENEW
"""Seconds after which another host's daemon, which left its name, is believed to have died."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Held:
    """A lock that we hold."""

    lock_fd: int
    _renewed_at: float

    def renew(self, now: float) -> None:
        """Show other hosts that we live; ``now`` is monotonic, in seconds."""
        if now - self._renewed_at >= RENEW:
            self._renewed_at = now
            os.utime(self.lock_fd)


@contextmanager
def hold(path: Path, **more: str) -> Iterator[Held]:
    """Hold the lock; ``more`` is said in the file beside who holds it.

    Raises Refused, naming the holder, where another process does, and RegistryError.
    """
    try:
        lock_fd = os.open(path, _FLAGS, 0o664)
    except OSError as error:
        raise RegistryError(
            f"{path} cannot be opened: {error.strerror}",
            hint="run as the user that owns it, or give this user's group write permission",
        ) from None
    try:
        _take(lock_fd, path)
        _write(lock_fd, json.dumps({**_self(), **more}))
        yield Held(lock_fd, time.monotonic())
        _write(lock_fd, "")
    finally:
        os.close(lock_fd)


def _take(lock_fd: int, path: Path) -> None:
    is_taken, said = _is_taken(lock_fd), _parse(os.pread(lock_fd, 4096, 0))
    if not is_taken:
        raise Refused(
            f"another watcherd runs here: {_named(said)}",
            hint=f"it holds {path}; watcherd status shows what it does",
        )
    age = time.time() - os.fstat(lock_fd).st_mtime
    if said.get("host", socket.gethostname()) != socket.gethostname() and age < STALE:
        raise Refused(
            f"another watcherd runs here: {_named(said)}, by what it wrote {age:.0f} s ago",
            hint=f"if it does not run any more, remove {path} or wait {STALE / 60:.0f} minutes",
        )


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


def _write(lock_fd: int, text: str) -> None:
    """A full disk is no reason to fail: the kernel's lock holds without a name in the file, too."""
    os.ftruncate(lock_fd, 0)
    with suppress(OSError):
        os.pwrite(lock_fd, text.encode(), 0)


def is_held(path: Path) -> bool:
    """Whether a daemon runs. A lock that may not be tried is believed to be held."""
    try:
        lock_fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
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


def read(path: Path) -> dict[str, Any]:
    """What the holder wrote; empty where nobody did."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def holder(path: Path) -> str:
    """The holder's process and host, for people."""
    return _named(read(path))


def _self() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _parse(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _named(said: dict[str, Any]) -> str:
    if "pid" in said and "host" in said:
        return f"process {said['pid']} on {said['host']}"
    return "a process that is just starting"
