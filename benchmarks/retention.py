"""Deciding upon a million models in 25,000 families: read from the registry, judged, and dropped.

``python -m benchmarks.retention REGISTRY RULES`` is one such decision, in a process of its own.
"""

import json
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.harness import Row, fresh_folder, run
from watcherd.registry import Mode, Registry
from watcherd.registry.candidates import load_candidates
from watcherd.retention import Best, Rule, decide, metrics_of

MODELS = 1_000_000
IN_FAMILY = 40
NOW = 1_800_000_000 * 1_000_000_000

RULES = {
    "max_to_keep alone": (Rule(max_to_keep=5),),
    "every keep there is": (
        Rule(
            max_to_keep=5,
            keep_checkpoint_every_n_hours=12,
            keep_every_n_steps=5000,
            keep_within=3600,
            keep_daily=7,
            keep_weekly=4,
            keep_monthly=6,
            keep_tags=("champion",),
            keep_best=Best("val_loss", "min", 3),
        ),
    ),
}

FILL = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
INSERT INTO root (root_id, path) VALUES (1, '/srv/models');
WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < {models}),
named AS (
    SELECT n, n / {family} AS run, n % {family} * 500 AS step,
        '1h/T' || (n / {family} / 4) || '/LSTM' AS folder,
        strftime('%Y-%m-%dT%H:%M:%fZ', 1700000000 + n % {family} * 3600 + abs(random()) % 600000
            / 1000.0, 'unixepoch') AS at
    FROM counted
)
INSERT INTO model (model_id, root_id, path, folder, model_name, interval, ticker, type, format,
    family, step, state, size_bytes, files, fingerprint, modified_at, first_seen_at, placed_at,
    changed_at)
SELECT n + 1, 1, folder || '/run' || run || '-' || step, folder, 'run' || run, '1h',
    'T' || (run / 4), 'LSTM', 'checkpoint', folder || '/run' || run || '-*', step, 'present',
    34000 + abs(random()) % 5000, 3, hex(randomblob(16)), at, at, at, at
FROM named;
INSERT INTO result (model_id, fingerprint, metric, value, source, recorded_at)
SELECT model_id, fingerprint, 'val_loss', abs(random()) / 1e19, 'name', modified_at FROM model;
"""
"""Checkpoints saved each hour, each with a result of its own: no two share a number."""


def measure(scale: float) -> Iterator[Row]:
    """Seconds to read and to decide, and the peak of the whole process."""
    count = int(MODELS * scale)
    with fresh_folder() as folder:
        place = folder / "registry.db"
        _fill(place, count)
        for name in RULES:
            decided = json.loads(
                run(sys.executable, "-m", "benchmarks.retention", str(place), name)
            )
            what = f"{count:,} models in {count // IN_FAMILY:,} families, {name}"
            yield Row(f"{what}: read from the registry", decided["read"], "s")
            yield Row(f"{what}: decide", decided["decide"], "s")
            yield Row(f"{what}: the process at its peak", decided["peak"], "MB")


def _fill(place: Path, count: int) -> None:
    Registry(f"sqlite:///{place}", Mode.CREATE).close()
    with closing(sqlite3.connect(place)) as registry:
        registry.executescript(FILL.format(models=count, family=IN_FAMILY))


def _decide(place: str, rules: tuple[Rule, ...]) -> dict[str, float]:
    started = time.perf_counter()
    with Registry(f"sqlite:///{place}", Mode.READ) as registry:
        candidates = load_candidates(registry, 1, metrics_of(rules))
    read = time.perf_counter()
    verdicts = decide(candidates, rules, now=NOW)
    done = time.perf_counter()
    if not 0 < len(verdicts.removing) < len(verdicts):
        raise AssertionError("this measures something else")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"read": read - started, "decide": done - read, "peak": peak}


if __name__ == "__main__":
    print(json.dumps(_decide(sys.argv[1], RULES[sys.argv[2]])))
