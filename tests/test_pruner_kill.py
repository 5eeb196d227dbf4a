"""kill -9 after every system call that changes the disk, of a prune and of a restore.

Afterwards, by the ordinary cycle, each of three three-file checkpoints is whole in its place or
whole in the trash, and what is in the trash comes back byte by byte.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.pruning import POLICY, prune, restore, save
from tests.test_trash import hooked
from watcherd.pruner import Pruner
from watcherd.retention import Rule

RULES = replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0)
CHANGING = (
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,openat,write,"
    "pwrite64,ftruncate,fchmod,fchown,fchownat"
)
PROGRAM = """
import sys
from pathlib import Path
from tests.inline import reconciler_of
from watcherd.pruner import Policy, Pruner
from watcherd.registry import By
from watcherd.retention import Rule
from watcherd.scope import Cause
from watcherd.trashing import bring_back
policy = Policy((Rule(1),), False, 0.0, 3600.0, 100, 1.0)
with reconciler_of(Path(sys.argv[2])) as reconciler:
    if sys.argv[1] == "prune":
        Pruner(reconciler, policy).prune(Cause.REQUEST)
    else:
        bring_back(reconciler, [1, 2, 3], By("test", Cause.REQUEST))
"""
"""Lean: strace takes its time."""


def trashed(root: Path) -> list[int]:
    return [row["model_id"] for row in rows(root, "SELECT model_id FROM trash ORDER BY 1")]


def make(root: Path, saved: Saved, verb: str) -> dict[str, bytes]:
    """A root with four checkpoints, of which three are to go, or have gone; their contents."""
    root.mkdir()
    save(root, saved, 4, graph=True)
    before = contents(root)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        if verb == "restore":
            assert len(prune(Pruner(reconciler, RULES))) == 3
            assert trashed(root) == [1, 2, 3]
    return before


def contents(root: Path) -> dict[str, bytes]:
    """Name -> content of every file of a checkpoint, wherever it lies."""
    found = [path for path in root.rglob("ckpt-*") if path.is_file()]
    assert len({path.name for path in found}) == len(found), "each is in one place"
    return {path.name: path.read_bytes() for path in found}


def assert_whole(root: Path, before: dict[str, bytes]) -> None:
    """Repaired by the ordinary cycle; then all of it comes back."""
    import tensorflow as tf

    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        assert reconcile(reconciler).plan.changes == ()
        assert contents(root) == before
        for row in rows(root, "SELECT * FROM model LEFT JOIN trash USING (model_id)"):
            in_place = len(list(root.glob(f"{row['path']}.*")))
            in_trash = (
                len(list(root.glob(f"{row['trash_path']}/ckpt-*"))) if row["trash_path"] else 0
            )
            assert (row["state"], in_place, in_trash) in [("present", 3, 0), ("trashed", 0, 3)]
        restore(Pruner(reconciler, RULES), *trashed(root))
        assert contents(root) == before
        for row in rows(root):
            assert row["state"] == "present"
            assert tf.train.load_checkpoint(str(root / row["path"])).get_variable_to_shape_map()


class Killed(BaseException):
    """As kill -9: nobody tidies up, and nothing changes the disk any more."""


@pytest.mark.parametrize("verb", ["prune", "restore"])
@pytest.mark.parametrize(
    "every", [9, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_broken_off_after_any_call_of_ours_each_is_whole(
    tmp_path: Path, saved: Saved, verb: str, every: int
) -> None:
    last, is_broken_off = 1, True
    while is_broken_off:
        root = tmp_path / f"models{last}"
        before = make(root, saved, verb)
        is_broken_off = _break_off(root, verb, last)
        assert_whole(root, before)
        last += every
    assert last > 20


def _break_off(root: Path, verb: str, last: int) -> bool:
    """Whether it was still under way after so many calls."""

    def hook(_name: str, n: int, done: bool) -> None:
        if n > last:
            raise Killed

    try:
        with reconciler_of(root) as reconciler, hooked(hook):
            act(verb, root, Pruner(reconciler, RULES))
    except Killed:
        return True
    return False


def act(verb: str, root: Path, pruner: Pruner) -> None:
    if verb == "prune":
        prune(pruner)
    else:
        restore(pruner, *trashed(root))


def run(root: Path, verb: str, *strace: str) -> int:
    """The same in a process of its own, under strace; its status."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    words = [
        "strace",
        "-f",
        "-qq",
        *strace,
        sys.executable,
        "-B",
        "-c",
        PROGRAM,
        verb,
        str(root),
    ]
    return subprocess.run(words, env=env, capture_output=True, check=False).returncode


def changing_calls(root: Path, verb: str, log: Path) -> list[tuple[str, int]]:
    """Each system call that changes something below the root: its name, and the how manieth."""
    # --seccomp-bpf is quicker, but knows no injection.
    tracing = ("--seccomp-bpf", "-y", "-o", str(log), "-e", f"trace={CHANGING}")
    assert run(root, verb, *tracing) == 0
    seen: Counter[str] = Counter()
    found = []
    for line in log.read_text().splitlines():
        name = re.sub(r"^\d+ +", "", line).partition("(")[0]
        seen[name] += 1
        is_ours = f"{root}/" in line and (name != "openat" or "O_CREAT" in line)
        if is_ours and " = -1 " not in line:
            found.append((name, seen[name]))
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace here to kill with")
@pytest.mark.parametrize("verb", ["prune", "restore"])
@pytest.mark.parametrize(
    "most", [1, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_kill_9_at_any_system_call_leaves_each_whole(
    tmp_path: Path, saved: Saved, verb: str, most: int
) -> None:
    """Those of SQLite, too. The signal comes as the call is entered: after the one before it."""
    make(tmp_path / "traced", saved, verb)
    calls = changing_calls(tmp_path / "traced", verb, tmp_path / "log")
    assert len(calls) > 30
    kills = 0
    step = max(len(calls) // (most + 1), 1)
    chosen = calls[step - 1 :: step][:most]
    for n, (name, nth) in enumerate(chosen):
        root = tmp_path / f"kill{n:04}"
        before = make(root, saved, verb)
        status = run(
            root, verb, "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={nth}"
        )
        kills += status != 0
        assert_whole(root, before)
        shutil.rmtree(root)
    assert kills > 0.9 * len(chosen), "but for calls that are made in other numbers each time"
