"""What a daemon that waits costs: memory and processor time."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.harness import (
    RUNS,
    Row,
    cpu_seconds,
    fresh_folder,
    processes_of,
    resident_mb,
    run,
    running_daemon,
)

FOLDERS = 2_000
IDLE = 10.0
"""Seconds."""

BARE_TENSORFLOW = """
import resource, tensorflow
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(scale: float) -> Iterator[Row]:
    """Of several daemons at once, each on a root of its own: they only wait."""
    tensorflow = int(run(sys.executable, "-c", BARE_TENSORFLOW)) * 1024 / 1e6
    rows = []
    for count in (0, int(FOLDERS * scale)):
        alone, together, busy = _wait(count)
        where = f"{count:,} folders watched" if count else "an empty root"
        rows += [
            Row(f"memory, {where}: daemon", alone, "MB", "import tensorflow", tensorflow),
            Row(f"memory, {where}: with its child", together, "MB",
                "import tensorflow", tensorflow),
            Row(f"processor while idle, {where}", busy, "%"),
        ]  # fmt: skip
    yield from rows


def _wait(folders: int) -> tuple[float, float, float]:
    """Medians: MB of the daemon, MB of all its processes, percent of one processor while idle."""
    with ExitStack() as stack:
        daemons = [
            stack.enter_context(running_daemon(_root(stack.enter_context(fresh_folder()), folders)))
            for _ in range(RUNS)
        ]
        # Started in the background, as soon as the daemon is ready.
        time.sleep(2)
        groups = [processes_of(pid) for pid in daemons]
        before = [cpu_seconds(group) for group in groups]
        time.sleep(IDLE)
        used = [cpu_seconds(group) - was for group, was in zip(groups, before, strict=True)]
        return (
            median(resident_mb([pid]) for pid in daemons),
            median(resident_mb(group) for group in groups),
            median(used) / IDLE * 100,
        )


def _root(folder: Path, folders: int) -> Path:
    for number in range(folders):
        (folder / f"models/1h/T{number}/LSTM").mkdir(parents=True)
    return folder / "models"
