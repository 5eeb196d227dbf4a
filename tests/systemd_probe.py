"""Run by the service's user under the service's restrictions: what may it do, and what not?

Prints one JSON object: attempt -> "allowed", or the error's name.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from watcherd.child import step_back

CLONE_NEWUSER = 0x10000000
"""sched.h."""
IOPRIO_GET = {"x86_64": 252, "aarch64": 31}
IDLE = 3 << 13
"""ioprio_set(2)."""

LIBC = ctypes.CDLL(None, use_errno=True)


def check(returned: int) -> None:
    """Raise the error of a call of the C library."""
    if returned < 0:
        raise OSError(ctypes.get_errno(), "")


def append_to(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def make(path: str) -> None:
    Path(path).touch()
    Path(path).unlink()


def make_setgid_folder(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o2770)
    os.chown(path, -1, os.getgid())
    os.rmdir(path)


def become_idle() -> None:
    step_back(8 << 30)
    assert os.getpriority(os.PRIO_PROCESS, 0) == 19
    number = IOPRIO_GET[os.uname().machine]
    assert LIBC.syscall(number, 1, 0) == IDLE


def find_lock(path: str) -> None:
    inode = os.stat(path).st_ino
    if f":{inode} " not in Path("/proc/locks").read_text():
        raise OSError(errno.ENOENT, "")


def see_processes_of_others() -> None:
    seen = {path.stat().st_uid for path in Path("/proc").glob("[0-9]*")}
    if seen == {os.getuid()}:
        raise OSError(errno.ENOENT, "")


def write_code() -> None:
    """What a just-in-time compiler does."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def lock_own_file(path: str) -> None:
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.unlink(path)


ATTEMPTS: dict[str, Callable[[], object]] = {
    "write a model elsewhere": lambda: append_to("/srv/other/model.h5"),
    "make a file in /etc": lambda: make("/etc/made"),
    "make a file in its settings' folder": lambda: make("/etc/watcherd/made"),
    "make a file in /var": lambda: make("/var/open/made"),
    "make a file in a home": lambda: make("/home/open/made"),
    "read a home": lambda: os.listdir("/home/open"),
    "make a file in the root": lambda: make("/srv/models/made"),
    "make a file in its state folder": lambda: make("/var/lib/watcherd/made"),
    "make a file in its runtime folder": lambda: make("made"),
    "lock a file of its own": lambda: lock_own_file("/srv/models/locked"),
    "make a setgid folder of its group": lambda: make_setgid_folder("/srv/models/folder"),
    "see who locks a model": lambda: find_lock("/srv/models/locked.h5"),
    "see other users' processes": see_processes_of_others,
    "speak to the network": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "speak to systemd": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "find a graphics card": lambda: os.stat("/dev/nvidia0"),
    "see the kernel's log": lambda: os.open("/dev/kmsg", os.O_RDONLY),
    "become root": lambda: os.setuid(0),
    "make a namespace": lambda: check(LIBC.unshare(CLONE_NEWUSER)),
    "take the processor for itself": lambda: os.sched_setscheduler(
        0, os.SCHED_RR, os.sched_param(1)
    ),
    "rename the machine": lambda: check(LIBC.sethostname(b"other", 5)),
    "write code and run it": write_code,
    "become idle": become_idle,
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "allowed"


if __name__ == "__main__":
    json.dump({name: outcome(attempt) for name, attempt in ATTEMPTS.items()}, sys.stdout)
    print()
