"""What the tests of pruning share: checkpoints as a trainer leaves them, and short words."""

import json
import os
import time
from pathlib import Path

from tests.conftest import VARIANTS, Saved, rows
from watcherd.plan import Verdict
from watcherd.pruner import Policy, Pruner
from watcherd.registry import By
from watcherd.retention import Rule
from watcherd.scope import Cause
from watcherd.trashing import bring_back

FOLDER = "1h/BTC/LSTM"
MARKER = ".watcherd/root.json"
POLICY = Policy(
    rules=(Rule(2),), dry_run=False, min_age=0.0, trash_for=3600.0,
    max_prune_count=100, max_prune_fraction=0.5,
)  # fmt: skip


def save(
    root: Path, saved: Saved, count: int, folder: str = FOLDER, graph: bool = False
) -> list[str]:
    """Checkpoints of one family, a second apart, the newest last; their prefixes."""
    prefixes = [f"{folder}/ckpt-{number}" for number in range(1, count + 1)]
    then = time.time() - 1000
    for number, prefix in enumerate(prefixes):
        saved.write_checkpoint(root / prefix, number % VARIANTS)
        if graph:
            (root / f"{prefix}.meta").write_bytes(b"a graph, as Saver leaves it")
        for path in root.glob(f"{prefix}.*"):
            os.utime(path, (then + number, then + number))
    return prefixes


def states(root: Path) -> dict[str, str]:
    return {Path(row["path"]).name: row["state"] for row in rows(root)}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "checkpoint"}


def rename_host(root: Path, host: str) -> None:
    """As a root that another host's daemon prunes."""
    marker = json.loads((root / MARKER).read_text())
    (root / MARKER).write_text(json.dumps({**marker, "host": host}))


def prune(pruner: Pruner, **more: bool) -> list[Verdict]:
    return list(pruner.prune(Cause.REQUEST, **more).trashed)


def restore(pruner: Pruner, *ids: int) -> None:
    """Raises what the first of them failed for."""
    moved = bring_back(pruner.reconciler, ids, By(pruner.reconciler.actor, Cause.REQUEST))
    for error in moved.failed.values():
        raise error
