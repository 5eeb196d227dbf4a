"""What the benchmarks share: folders of their own, medians, processes, the rows of the table."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RUNS = 3
"""Of which the median counts, unless a benchmark takes more."""
PATIENCE = 120.0
"""Seconds after which something waited for has failed."""
WATCHERD = (sys.executable, "-m", "watcherd")
TRAINING = (sys.executable, "-m", "benchmarks.training")
"""By command only: nobody else imports Keras."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, and what it is measured by."""

    what: str
    ours: float
    unit: str
    yardstick: str = ""
    theirs: float | None = None
    """In the same unit."""


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder that nothing else uses, below ``$TMPDIR``."""
    with tempfile.TemporaryDirectory(prefix="watcherd-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def median_of(measure: Callable[[Path], float], runs: int = RUNS) -> float:
    """The median of so many runs, each in a folder of its own."""

    def once() -> float:
        with fresh_folder() as folder:
            return measure(folder)

    return median(once() for _ in range(runs))


def run(*command: str) -> str:
    """A whole process; what it wrote to standard output. Raises CalledProcessError."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except subprocess.CalledProcessError as error:
        error.add_note(error.stderr)
        raise


def seconds_of(*command: str, runs: int = 1) -> float:
    """Wall-clock seconds of a whole process, its output thrown away; the median of its runs."""

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    return median(once() for _ in range(runs))


def peak_of(*command: str) -> float:
    """MB that a whole process and those that it starts take together at their peak."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        # One that ends while it is looked at has nothing more to tell.
        with suppress(FileNotFoundError, ProcessLookupError):
            peak = max(peak, proportional_mb(_with_programs_of_their_own(process.pid)))
        time.sleep(0.005)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak


def watcherd(root: Path, *words: str) -> tuple[str, ...]:
    """A command of the program upon a root."""
    return (*WATCHERD, "--root", str(root), *words)


def wait_until(holds: Callable[[], bool], step: float = 0.01) -> None:
    """Wait for something to hold; raises TimeoutError."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {PATIENCE:.0f} s")
        time.sleep(step)


def events_in(log: Path) -> list[str]:
    """The events of a daemon's log so far."""
    return [json.loads(line)["event"] for line in log.read_text().splitlines(keepends=True)
            if line.endswith("\n")]  # fmt: skip


@contextmanager
def running_daemon(root: Path, until: str = "cycle.done") -> Iterator[int]:
    """A daemon that has logged an event, by default that its first full scan has finished; its
    process id."""
    root.mkdir(exist_ok=True)
    log = root.with_name("daemon.log")
    with log.open("wb") as out:
        daemon = subprocess.Popen(watcherd(root, "run"), stdout=out)
    try:
        wait_until(lambda: until in events_in(log))
        yield daemon.pid
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)


def processes_of(pid: int) -> list[int]:
    """A process and all that it started, directly or not (proc_pid_task_tid_children(5))."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    started = [
        int(child)
        for task in found.parent.parent.iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in started for each in processes_of(child))]


def _with_programs_of_their_own(pid: int) -> list[int]:
    """A process and all that it started, but for those that have yet to run their program: until
    then their memory is its own, shared by vfork(2), and would be counted twice."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    started = (one for one in processes_of(pid) if one != pid)
    return [pid, *(one for one in started if Path(f"/proc/{one}/cmdline").read_bytes() != command)]


def resident_mb(pids: Sequence[int]) -> float:
    """Resident memory in MB, shared pages counted once for each process (proc_pid_statm(5))."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def proportional_mb(pids: Sequence[int]) -> float:
    """The same, shared pages counted once in all (proc_pid_smaps(5), Pss)."""
    return sum(_pss_kb(Path(f"/proc/{pid}/smaps_rollup")) for pid in pids) / 1e3


def _pss_kb(rollup: Path) -> int:
    lines = rollup.read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time used so far, in seconds (proc_pid_stat(5), fields 14 and 15)."""
    ticks = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return ticks / os.sysconf("SC_CLK_TCK")
