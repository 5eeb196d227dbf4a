"""Moving ten thousand checkpoints to the trash by rule, and back, against bare renames.

The whole way: decide, look again, intent, manifest, moves, and the cycle that sees them.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.harness import RUNS, TRAINING, Row, fresh_folder, run
from watcherd.config import load
from watcherd.pruner import Policy, Pruner
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Mode
from watcherd.retention import Rule
from watcherd.scope import ROOT, Cause, Request
from watcherd.trashing import bring_back
from watcherd.wiring import reconciling

MODELS = 10_000
IN_FOLDER = 50
POLICY = Policy(
    rules=(Rule(1),),
    dry_run=False,
    min_age=0.0,
    trash_for=3600.0,
    max_prune_count=MODELS,
    max_prune_fraction=1.0,
)


def measure(scale: float) -> Iterator[Row]:
    """Models a second, out and back; the yardstick moves the same files by rename(2) alone."""
    count = int(MODELS * scale)
    with fresh_folder() as folder:
        run(*TRAINING, "checkpoint", str(folder / "ckpt"))
        parts = {path.suffix: path.read_bytes() for path in folder.glob("ckpt.*")}
    taken = [_out_and_back(count, parts) for _ in range(RUNS)]
    out, back, bare = (count / median(seconds) for seconds in zip(*taken, strict=True))
    yield Row(f"trashing {count:,} three-file checkpoints", out, "models/s", "rename", bare)
    yield Row(f"restoring {count:,} of them", back, "models/s", "rename", bare)


def _out_and_back(count: int, parts: dict[str, bytes]) -> tuple[float, float, float]:
    """Seconds to trash them, to restore them, and to rename all their files."""
    with fresh_folder() as folder:
        root = folder / "models"
        _save(root, count, parts)
        settings = load(root=root, environ={})
        with reconciling(settings, "benchmark", mode=Mode.CREATE) as reconciler:
            time.sleep(settings.watch.settle)
            reconciler.cycle(Request(ROOT, Cause.REQUEST))
            out, ids = _trash(reconciler, count)
            back = _restore(reconciler, ids)
        return out, back, _rename_all(root)


def _save(root: Path, count: int, parts: dict[str, bytes]) -> None:
    """One more in each folder than is to go; each a second younger than the one before."""
    then = time.time() - 10 * count
    for number in range(count + count // IN_FOLDER):
        folder = root / f"1h/T{number // (IN_FOLDER + 1)}/LSTM"
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in parts.items():
            path = folder / f"ckpt-{number}{suffix}"
            path.write_bytes(content)
            os.utime(path, (then + number, then + number))


def _trash(reconciler: Reconciler, count: int) -> tuple[float, list[int]]:
    started = time.perf_counter()
    pruned = Pruner(reconciler, POLICY).prune(Cause.REQUEST, yes=True)
    seconds = time.perf_counter() - started
    assert len(pruned.trashed) == count, pruned.failed[:3]
    return seconds, [verdict.candidate.model_id for verdict in pruned.trashed]


def _restore(reconciler: Reconciler, ids: list[int]) -> float:
    """Without the time that what came back settles, which no speed makes shorter."""
    started = time.perf_counter()
    moved = bring_back(reconciler, ids, By("benchmark", Cause.REQUEST))
    seconds = time.perf_counter() - started
    assert len(moved.done) == len(ids), list(moved.failed.items())[:3]
    return seconds - reconciler.settle


def _rename_all(root: Path) -> float:
    files = [path for path in root.rglob("ckpt-*") if path.is_file()]
    aside = root / "aside"
    aside.mkdir()
    started = time.perf_counter()
    for path in files:
        os.rename(path, aside / path.name)
    return time.perf_counter() - started
