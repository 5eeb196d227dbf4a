"""Reconciling a root where nothing changed, against ``find`` reading the same facts."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.harness import Row, fresh_folder, run, seconds_of, watcherd
from benchmarks.samples import fill, small_file
from watcherd.config import load
from watcherd.reconciler import Reconciler
from watcherd.scope import ROOT, Cause, Request
from watcherd.wiring import reconciling

FILES = 20_000
LOOKS = 5
"""Of each, in turn, upon one root: that it does not change is the point."""
FACTS = ("-type", "f", "-printf", r"%D %i %s %T@ %p\n")
"""What a scan reads too: one lstat(2) a file."""


def measure(scale: float) -> Iterator[Row]:
    """The cycle as the daemon's timer runs it, and a whole ``watcherd reconcile``."""
    count = int(FILES * scale)
    with fresh_folder() as folder:
        root = folder / "models"
        fill(root, small_file(folder), count)
        run(*watcherd(root, "reconcile"))
        find, cycle, whole = (median(looks) for looks in zip(*_looks(root), strict=True))
    yield Row(f"unchanged {count:,} files: a cycle in the daemon", cycle, "s", "find", find)
    yield Row(f"unchanged {count:,} files: watcherd reconcile", whole, "s", "find", find)


def _looks(root: Path) -> Iterator[tuple[float, float, float]]:
    """Seconds of find, of a cycle, and of a whole command."""
    with reconciling(load(root=root, environ={}), "benchmark") as reconciler:
        for _ in range(LOOKS):
            yield (
                seconds_of("find", str(root), *FACTS),
                _cycle(reconciler),
                seconds_of(*watcherd(root, "reconcile")),
            )


def _cycle(reconciler: Reconciler) -> float:
    cycle = reconciler.cycle(Request(ROOT, Cause.TIMER))
    if cycle.plan.changes:
        raise AssertionError("something changed: this measures something else")
    return cycle.seconds
