"""Pruning under faults: other file systems, no permission, a full disk; one item costs itself."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.pruning import FOLDER, POLICY, prune, restore, save, states
from watcherd import journal, logs
from watcherd.errors import WatcherdError
from watcherd.pruner import Pruner
from watcherd.reconciler import Reconciler
from watcherd.registry.verdicts import keep_verdicts
from watcherd.retention import Rule
from watcherd.scope import Cause
from watcherd.trash import calls


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def pruner(reconciler: Reconciler) -> Pruner:
    return Pruner(reconciler, replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0))


@pytest.fixture
def three(root: Path, saved: Saved, reconciler: Reconciler) -> list[str]:
    prefixes = save(root, saved, 3)
    reconcile(reconciler)
    return prefixes


FAULTS = {
    errno.EXDEV: "lies on another file system than the trash",
    errno.EACCES: "may not be moved or read by this user",
    errno.EROFS: "lies on a read-only file system",
    errno.ENOSPC: "the disk is full",
}


@pytest.mark.parametrize("code", FAULTS, ids=errno.errorcode.get)
def test_one_that_cannot_be_moved_fails_with_its_reason_and_the_others_go(
    root: Path, three: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    rename, create = calls.rename_noreplace, calls.create
    failing: list[str] = []

    def refuse(source: int, name: str, target: int) -> None:
        if name == "ckpt-1.index" and code != errno.ENOSPC:
            raise OSError(code, os.strerror(code))
        rename(source, name, target)

    def refuse_once(folder: int, name: str) -> int:
        if code == errno.ENOSPC and not failing:
            failing.append(name)
            raise OSError(code, os.strerror(code))
        return create(folder, name)

    monkeypatch.setattr(calls, "rename_noreplace", refuse)
    monkeypatch.setattr(calls, "create", refuse_once)
    pruned = pruner.prune(Cause.TIMER)
    ((verdict, why),) = pruned.failed
    assert verdict.candidate.path == three[0]
    assert FAULTS[code] in why
    assert [one.candidate.path for one in pruned.trashed] == [three[1]]
    assert states(root) == {"ckpt-1": "present", "ckpt-2": "trashed", "ckpt-3": "present"}
    assert len(rows(root, "SELECT * FROM trash")) == 1


def test_a_failing_one_is_told_when_it_begins_and_when_it_ends(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    take = calls.take

    def refuse(place: int, name: str, trash: int) -> None:
        if name.startswith("ckpt-1"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        take(place, name, trash)

    monkeypatch.setattr(calls, "take", refuse)
    logs.configure(format="json")
    known: dict[str, str] = {}
    for _ in range(3):
        pruned = pruner.prune(Cause.TIMER)
        known = journal.tell_prune(pruned, reconciler.registry, Cause.TIMER, known)
    monkeypatch.undo()
    pruned = pruner.prune(Cause.TIMER)
    known = journal.tell_prune(pruned, reconciler.registry, Cause.TIMER, known)
    out = capsys.readouterr().out
    assert out.count('"failure.raised"') == 1
    assert out.count('"failure.ended"') == 1
    assert known == {}


# -- what is remembered of a run -------------------------------------------------------------------


def verdicts(root: Path) -> list[dict[str, object]]:
    return rows(root, "SELECT * FROM verdict ORDER BY model_id")


def test_verdicts_are_kept_and_a_steady_state_writes_nothing(
    root: Path, three: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    prune(pruner)
    prune(pruner)
    first = verdicts(root)
    assert [one["keep"] for one in first] == [0, 0, 1]
    with closing(sqlite3.connect(root / ".watcherd/registry.db")) as other:
        # Changes with every commit of another connection (sqlite.org/pragma.html).
        version = "PRAGMA data_version"
        before = other.execute(version).fetchone()
        said = pruner.decide()
        keep_verdicts(reconciler.registry, reconciler.root.root_id, said, time.time_ns())
        assert other.execute(version).fetchone() == before
    assert verdicts(root) == first


def test_what_no_rule_matches_any_more_is_forgotten_and_why_something_went_is_not(
    root: Path, three: list[str], pruner: Pruner
) -> None:
    prune(pruner)
    pruner.policy = replace(pruner.policy, rules=(Rule(1, {"ticker": "ETH"}),))
    prune(pruner)
    assert [(one["model_id"], one["keep"]) for one in verdicts(root)] == [(1, 0), (2, 0)]


def test_a_person_who_only_asks_leaves_no_verdicts(
    root: Path, three: list[str], pruner: Pruner
) -> None:
    prune(pruner, dry_run=True)
    assert verdicts(root) == []


# -- a symlink race --------------------------------------------------------------------------------


def race(root: Path, saved: Saved, pruner: Pruner, seconds: float) -> tuple[int, int]:
    """Folders are swapped for links to outside all the time; how often that was met, and not."""
    from tests.test_trash import RENAME_EXCHANGE, contents

    outside = root.parent / "outside"
    shutil.copytree(root / "1h/BTC", outside, copy_function=os.link)
    (root / "swap").symlink_to(outside)
    before = contents(outside)
    root_fd, over = os.open(root, os.O_RDONLY), threading.Event()

    def swap() -> None:
        while not over.wait(0.002):
            for _there_and_back in range(2):
                calls._renameat2(root_fd, b"1h/BTC", root_fd, b"swap", RENAME_EXCHANGE)
                time.sleep(0.001)

    thread = threading.Thread(target=swap)
    thread.start()
    moved = refused = 0
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            with suppress(WatcherdError):
                pruned = pruner.prune(Cause.TIMER)
                moved += len(pruned.trashed)
                refused += len(pruned.failed) + any(cycle.blind for cycle in pruned.cycles)
            ids = [row["model_id"] for row in rows(root, "SELECT model_id FROM trash")]
            for model_id in ids:
                try:
                    restore(pruner, model_id)
                except WatcherdError:
                    refused += 1
            with pruner.reconciler.registry.writing() as connection:
                connection.exec_driver_sql("UPDATE model SET pinned = 0")
    finally:
        over.set()
        thread.join()
        os.close(root_fd)
    assert contents(outside) == before
    return moved, refused


@pytest.mark.parametrize(
    "seconds", [3.0, pytest.param(60.0, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
def test_folders_swapped_for_links_while_it_prunes_never_lead_outside(
    root: Path, saved: Saved, three: list[str], pruner: Pruner, seconds: float
) -> None:
    moved, _ = race(root, saved, pruner, seconds)
    assert moved > 0
    reconcile(pruner.reconciler)
    for prefix in three:
        whole_in_place = len(list(root.glob(f"{prefix}.*"))) == 2
        whole_in_trash = len(list(root.glob(f".watcherd/trash/*/{Path(prefix).name}.*"))) == 2
        assert whole_in_place != whole_in_trash


def test_a_mount_below_the_root_keeps_its_models_and_the_others_go(
    root: Path, saved: Saved
) -> None:
    """A real one, in a mount namespace of its own."""
    save(root, saved, 3)
    inner = root / "4h/ETH/LSTM"
    inner.mkdir(parents=True)
    run = f"""
mount -t tmpfs none {root}/4h || exit 77
mkdir -p {inner}
cp -p {root}/{FOLDER}/* {inner}
export W="{sys.executable} -m watcherd --root {root} --config {root.parent}/config.toml"
$W reconcile >/dev/null && $W --json prune --yes
"""
    (root.parent / "config.toml").write_text(
        '[retention]\nmin_age = "0s"\nmin_free_space = "0B"\n[[retention.rule]]\nmax_to_keep = 1\n'
    )
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", run], capture_output=True, text=True, check=False
    )
    if done.returncode in (1, 77) and "unshare" in done.stderr + done.stdout:
        pytest.skip("no mount namespaces here")
    said = json.loads(done.stdout)
    failed = {one["path"]: one["error"] for one in said["verdicts"] if one["error"]}
    assert done.returncode == 3
    assert set(failed) == {"4h/ETH/LSTM/ckpt-1", "4h/ETH/LSTM/ckpt-2"}
    assert all("4h is another mount" in why for why in failed.values())
    assert said["removed"] == 2
