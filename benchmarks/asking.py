"""Questions asked of a large registry, as whole processes, against Python's own sqlite3."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Row, fresh_folder, seconds_of, watcherd
from watcherd.registry import Mode, Registry

MODELS = 100_000
LINES = 1_000_000
"""Of the history, over a year: ``--scale 10`` makes the ten million that a busy root may have."""
RUNS = 5

QUESTIONS = {
    "100 in the order of their paths": "--limit 100",
    "one ticker by learning rate": "--ticker t17 --sort learning_rate --limit 100",
    "a glob upon families": "--family */lstm/*-9?-* --sort -size_bytes --limit 100",
    "the best first by sharpe": "--sort -sharpe --limit 100",
    "the best sharpe of each ticker": "--best sharpe:max --per ticker",
    "counts by interval and type": "--by interval,type",
}
"""What is asked of ``watcherd list`` -> its options."""

BARE = """
import sqlite3, sys
rows = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2])
for row in rows:
    print(*row)
"""
BARE_LIST = "SELECT model_id, path, state, size_bytes FROM model ORDER BY path LIMIT 100"
BARE_HISTORY = (
    "SELECT at, verb, path FROM history "
    "WHERE at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour') ORDER BY at"
)

FILL = Path(__file__).with_name("registry.sql")


def measure(scale: float) -> Iterator[Row]:
    """``list`` with filters and sorts, and ``history --since``."""
    with fresh_folder() as folder:
        root = folder / "models"
        file = make(root, int(MODELS * scale), int(LINES * scale))
        bare = _bare(file, BARE_LIST)
        for what, words in QUESTIONS.items():
            ours = seconds_of(*watcherd(root, "list", *words.split()), runs=RUNS)
            yield Row(f"list, {what}", ours, "s", "python and sqlite3: 100 by path", bare)
        ours = seconds_of(*watcherd(root, "history", "--since", "1h"), runs=RUNS)
        yield Row(
            f"history --since 1h of {int(LINES * scale):,}", ours, "s",
            "python and sqlite3", _bare(file, BARE_HISTORY),
        )  # fmt: skip


def make(root: Path, models: int, lines: int) -> Path:
    """A registry of so many models and lines of history, without any file of theirs."""
    file = root / ".watcherd/registry.db"
    Registry(f"sqlite:///{file}", Mode.CREATE).close()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(FILL.read_text().format(models=models, lines=lines))
        connection.commit()
    return file


def _bare(file: Path, query: str) -> float:
    return seconds_of(sys.executable, "-c", BARE, str(file), query, runs=RUNS)
