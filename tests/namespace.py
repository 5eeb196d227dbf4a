"""A mount namespace of its own: what is mounted in it, nobody else sees."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).parents[1]
"""Where programs find the project, as they do outside."""


@dataclass(frozen=True)
class Namespace:
    """Lives as long as the process that holds it."""

    pid: int
    enter: tuple[str, ...]
    """The command that runs another one within."""

    def seen(self, path: Path) -> Path:
        """Where a path within is for those outside: proc_pid_root(5)."""
        return Path(f"/proc/{self.pid}/root{path}")

    def run(self, *words: object) -> str:
        """Run a command within; fails where it does."""
        command = [*self.enter, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def bind(self, source: Path, place: Path) -> None:
        """Have a folder appear at another place."""
        self.run("mount", "--bind", source, place)


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Made by whoever runs the tests: as root plainly, else in a user namespace, too."""
    holder = subprocess.Popen(
        [*_unshare(), "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    flags = ("-m",) if _can_plainly() else ("-U", "-m", "--preserve-credentials")
    try:
        enter = ("nsenter", *flags, f"--wd={HOUSE}", "-t", str(holder.pid))
        yield Namespace(holder.pid, enter)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()


def _unshare() -> tuple[str, ...]:
    return ("unshare", "-m" if _can_plainly() else "-Urm")


def _can_plainly() -> bool:
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


def has_namespaces() -> bool:
    """Whether this machine allows them."""
    if not (shutil.which("unshare") and shutil.which("nsenter")):
        return False
    trial = [*_unshare(), "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True).returncode == 0
