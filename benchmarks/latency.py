"""From the end of a save to its row in the registry, as another SQLite client sees it."""

import json
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import quantiles

from benchmarks.harness import (
    PATIENCE,
    TRAINING,
    Row,
    events_in,
    fresh_folder,
    running_daemon,
    wait_until,
)
from benchmarks.samples import SETTLE, fill_lean

SAVES = 60
EVERY = 0.2
"""Seconds from one save to the next: several are always settling."""
BUSY_SAVES = 500
BUSY_EVERY = 0.05
FOLDERS = 12
FILES = 100_000
"""To be registered for the first time meanwhile: a minute's work or more."""
SAVED = "SELECT path FROM present_model WHERE interval = '1h'"
REGISTERED = "SELECT path, count(*) FROM history WHERE verb = 'registered' GROUP BY path"
LOOK = 0.002
"""Seconds between two looks at the registry."""

Times = dict[str, float]
"""Path of a model -> seconds of ``time.monotonic``, which all processes share."""


def measure(scale: float) -> Iterator[Row]:
    """``settle`` is waited for in any case, so it is the yardstick."""
    saves, busy = (max(int(count * scale), 4) for count in (SAVES, BUSY_SAVES))
    with fresh_folder() as folder, running_daemon(folder / "models"):
        latencies, _ = _follow(folder / "models", "h5", saves, EVERY)
    yield from _percentiles(latencies, "save closed to row visible")
    with fresh_folder() as folder, running_daemon(folder / "models"):
        latencies, rate = _follow(folder / "models", "h5,checkpoint", busy, BUSY_EVERY)
    yield from _percentiles(latencies, f"the same at {rate:.1f} saves/s of .h5 and checkpoints")
    files = int(FILES * scale)
    with fresh_folder() as folder:
        fill_lean(folder / "models", files, interval="1d")
        with running_daemon(folder / "models", until="daemon.ready"):
            latencies, _ = _follow(folder / "models", "h5", saves, EVERY)
            if '"scope": "root"' in (folder / "daemon.log").read_text():
                raise AssertionError("the first scan was over: this measures something else")
    yield from _percentiles(latencies, f"the same during a first scan of {files:,} files")


def _percentiles(latencies: list[float], what: str) -> Iterator[Row]:
    found = quantiles(latencies, n=100, method="inclusive")
    for percent in (50, 99):
        yield Row(
            f"{what}, p{percent} of {len(latencies)}", found[percent - 1], "s", "settle", SETTLE
        )


def _follow(root: Path, kinds: str, saves: int, every: float) -> tuple[list[float], float]:
    """Seconds for each save by another process, and how many it did in one.

    A checkpoint is saved when its index is in place.
    """
    command = (*TRAINING, "train", kinds, *map(str, (root, saves, FOLDERS, every)))
    trainer = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    seen = _seen(root, saves)
    said, _ = trainer.communicate()
    closed = {path: float(at) for path, at in map(str.split, said.splitlines())}
    _check(root, closed)
    rate = (saves - 1) / (max(closed.values()) - min(closed.values()))
    return [seen[path] - at for path, at in closed.items()], rate


def _seen(root: Path, count: int) -> Times:
    """When each row was first visible. Until somebody has committed there is nothing to ask for,
    and whoever asked all the same would take a processor from those who are measured."""
    seen: Times = {}
    give_up = time.monotonic() + PATIENCE
    registry = f"file:{root}/.watcherd/registry.db?mode=ro"
    with closing(sqlite3.connect(registry, uri=True, timeout=10)) as connection:
        version = None
        while len(seen) < count:
            before, version = version, connection.execute("PRAGMA data_version").fetchone()
            now = time.monotonic()
            for (path,) in connection.execute(SAVED) if version != before else ():
                seen.setdefault(path, now)
            if now > give_up:
                raise TimeoutError(f"{len(seen)} of {count} saves were registered")
            time.sleep(LOOK)
    return seen


def _check(root: Path, saved: Times) -> None:
    """Each save was registered once, by the history and by the log."""
    log = root.with_name("daemon.log")
    wait_until(lambda: events_in(log).count("model.registered") >= len(saved))
    lines = map(json.loads, log.read_text().splitlines())
    logged = Counter(line["path"] for line in lines if line["event"] == "model.registered")
    for what, found in (("history", registrations(root)), ("log", logged)):
        wrong = {path: found.get(path, 0) for path in saved if found.get(path, 0) != 1}
        if wrong:
            raise AssertionError(f"not registered once by the {what}: {wrong}")


def registrations(root: Path) -> dict[str, int]:
    """Path -> how often the history says that a model was registered there."""
    registry = f"file:{root}/.watcherd/registry.db?mode=ro"
    with closing(sqlite3.connect(registry, uri=True, timeout=10)) as connection:
        return dict(connection.execute(REGISTERED).fetchall())
