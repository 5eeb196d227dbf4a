"""From the end of a save to its row in the registry, as another SQLite client sees it."""

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import quantiles

from benchmarks.harness import PATIENCE, TRAINING, Row, fresh_folder, running_daemon
from benchmarks.samples import SETTLE, fill_lean

SAVES = 60
FOLDERS = 12
FILES = 100_000
"""To be registered for the first time meanwhile: a minute's work or more."""
SAVED = "SELECT path FROM present_model WHERE interval = '1h'"
BETWEEN = 0.15
"""Seconds from one save to the next: several are always settling."""
LOOK = 0.002
"""Seconds between two looks at the registry."""


def measure(scale: float) -> Iterator[Row]:
    """``settle`` is waited for in any case, so it is the yardstick."""
    saves = max(int(SAVES * scale), 2)
    with fresh_folder() as folder, running_daemon(folder / "models"):
        latencies = _follow(folder / "models", saves)
    yield from _percentiles(latencies, "save closed to row visible")
    files = int(FILES * scale)
    with fresh_folder() as folder:
        fill_lean(folder / "models", files, interval="1d")
        with running_daemon(folder / "models", until="daemon.ready"):
            latencies = _follow(folder / "models", saves)
            if '"scope": "root"' in (folder / "daemon.log").read_text():
                raise AssertionError("the first scan was over: this measures something else")
    yield from _percentiles(latencies, f"the same during a first scan of {files:,} files")


def _percentiles(latencies: list[float], what: str) -> Iterator[Row]:
    found = quantiles(latencies, n=100, method="inclusive")
    for percent in (50, 99):
        yield Row(
            f"{what}, p{percent} of {len(latencies)}", found[percent - 1], "s", "settle", SETTLE
        )


def _follow(root: Path, saves: int) -> list[float]:
    """Seconds for each save by another process, whose clock is ours: CLOCK_MONOTONIC."""
    command = (*TRAINING, "train", *map(str, (root, saves, FOLDERS, BETWEEN)))
    trainer = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    seen = _seen(root, saves)
    said, _ = trainer.communicate()
    closed = dict(line.split() for line in said.splitlines())
    return [seen[path] - float(at) for path, at in closed.items()]


def _seen(root: Path, count: int) -> dict[str, float]:
    """Path -> when its row was first visible."""
    seen: dict[str, float] = {}
    give_up = time.monotonic() + PATIENCE
    registry = f"file:{root}/.watcherd/registry.db?mode=ro"
    with closing(sqlite3.connect(registry, uri=True, timeout=10)) as connection:
        while len(seen) < count:
            now = time.monotonic()
            for (path,) in connection.execute(SAVED):
                seen.setdefault(path, now)
            if now > give_up:
                raise TimeoutError(f"{len(seen)} of {count} saves were registered")
            time.sleep(LOOK)
    return seen
