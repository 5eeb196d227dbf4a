"""How the cost of a look at an unchanged root grows with its files, against ``find``.

``python -m benchmarks.scale FILE.svg`` draws it for ten thousand, a hundred thousand and a million
files; the first registration of so many takes a quarter of an hour.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.harness import Row, fresh_folder, peak_of, run, seconds_of, watcherd
from benchmarks.samples import IN_FOLDER, SETTLE, fill_lean
from benchmarks.unchanged import FACTS

SIZES = (1_000, 10_000, 100_000)
LOOKS = 5


class Point(NamedTuple):
    """What one root costs: seconds, and MB at the peak of all processes."""

    files: int
    find: float
    look: float
    memory: float
    one: float
    """Of one changed file, looked for by its folder."""


def measure(scale: float) -> Iterator[Row]:
    """Whole processes, on roots of a thousand, ten thousand and a hundred thousand files."""
    for size in SIZES:
        point = _measure(int(size * scale))
        what = f"{point.files:,} files in {point.files // IN_FOLDER:,} folders"
        yield Row(f"{what}, unchanged: reconcile", point.look, "s", "find", point.find)
        yield Row(f"{what}, unchanged: all processes at their peak", point.memory, "MB")
        yield Row(f"{what}, one changed: reconcile FOLDER", point.one, "s")


def _measure(files: int) -> Point:
    with fresh_folder() as folder:
        root = folder / "models"
        fill_lean(root, files)
        run(*watcherd(root, "reconcile"))
        looks = [_look(root) for _ in range(LOOKS)]
        find, look, memory = (median(each) for each in zip(*looks, strict=True))
        return Point(files, find, look, memory, median(_change_one(root) for _ in range(LOOKS)))


def _look(root: Path) -> tuple[float, float, float]:
    """Seconds of find and of a whole reconcile; MB of all its processes at their peak."""
    find = seconds_of("find", str(root), *FACTS)
    return find, seconds_of(*watcherd(root, "reconcile")), peak_of(*watcherd(root, "reconcile"))


def _change_one(root: Path) -> float:
    path = root / "1h/T1/LSTM/model_50.h5"
    path.write_bytes(path.read_bytes() + b"+")
    old = time.time() - 60
    os.utime(path, (old, old))
    time.sleep(SETTLE + 0.1)  # ctime is now whatever mtime says
    return seconds_of(*watcherd(root, "reconcile", str(path.parent)))


def draw(points: Sequence[Point], file: Path) -> None:
    """Seconds and megabytes over the number of files, both axes logarithmic."""
    from matplotlib import pyplot

    files = [point.files for point in points]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.loglog(files, [point.look for point in points], "o-", label="watcherd reconcile")
    left.loglog(files, [point.find for point in points], "s--", label="find -printf")
    left.loglog(files, [point.one for point in points], "^:", label="one changed file, its folder")
    left.set(xlabel="files", ylabel="seconds", title="a look at an unchanged root")
    left.legend()
    right.semilogx(files, [point.memory for point in points], "o-")
    right.set(xlabel="files", ylabel="MB, all processes", title="memory at its peak", ylim=(0, 160))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    draw([_measure(size * 10) for size in SIZES], Path(sys.argv[1]))
