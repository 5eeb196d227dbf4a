"""Commands as whole processes, against Python doing as little as possible of the same."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import WATCHERD, Row, fresh_folder, run, seconds_of, watcherd
from benchmarks.samples import fill, small_file

MODELS = 100
STARTS = 7

BARE_LIST = """
import sqlite3, sys
for row in sqlite3.connect(f"file:{sys.argv[1]}/.watcherd/registry.db?mode=ro", uri=True).execute(
    "SELECT model_id, path, format, state, step, parameters, size_bytes, modified_at FROM model"
):
    print(*row)
"""


def measure(scale: float) -> Iterator[Row]:
    """``--help`` and ``list``."""
    help_ = seconds_of(*WATCHERD, "--help", runs=STARTS)
    bare = seconds_of(sys.executable, "-c", "pass", runs=STARTS)
    yield Row("watcherd --help", help_, "s", "python -c pass", bare)
    with fresh_folder() as folder:
        yield _list(folder, max(int(MODELS * scale), 1))


def _list(folder: Path, count: int) -> Row:
    root = folder / "models"
    fill(root, small_file(folder), count)
    run(*watcherd(root, "reconcile"))
    ours = seconds_of(*watcherd(root, "list"), runs=STARTS)
    bare = seconds_of(sys.executable, "-c", BARE_LIST, str(root), runs=STARTS)
    return Row(f"watcherd list, {count} models", ours, "s", "python and sqlite3", bare)
