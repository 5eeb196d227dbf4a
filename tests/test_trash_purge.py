"""Removing from the trash for good: what has to go, in which order, and what is written of it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.pruning import FOLDER, POLICY, names, prune, rename_host, restore, save, states
from watcherd import purging
from watcherd.artifact import FileFact, Part, Role
from watcherd.config.values import FreeSpace
from watcherd.errors import NoSuchModel, RootSuspended
from watcherd.plan import Record, State, Verb
from watcherd.pruner import Pruner
from watcherd.purging import EXPIRED, SHORT, choose
from watcherd.reconciler import Reconciler
from watcherd.registry import By, Direction, Intent
from watcherd.removal import remove
from watcherd.retention import Rule
from watcherd.scope import Cause
from watcherd.trashing import Meaning


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def pruner(reconciler: Reconciler) -> Pruner:
    return Pruner(reconciler, POLICY)


@pytest.fixture
def five(root: Path, saved: Saved, reconciler: Reconciler) -> list[str]:
    prefixes = save(root, saved, 5)
    reconcile(reconciler)
    return prefixes


def at_once(pruner: Pruner) -> Pruner:
    pruner.policy = replace(pruner.policy, trash_for=0.0)
    return pruner


# -- which ones ------------------------------------------------------------------------------------

HOUR = 3600 * 10**9
NOW = 1000 * HOUR


def intent(
    model_id: int,
    *,
    hours_ago: int = 1,
    left: int = 1,
    size: int = 10,
    verb: Verb = Verb.PRUNED,
    state: State = State.TRASHED,
    direction: Direction = Direction.OUT,
) -> Intent:
    part = Part(Role.H5, f"{model_id}.h5", FileFact(size, 1, 1, 1, 1))
    record = Record(model_id, 1, f"{model_id}.h5", state, None, (part,))
    then = NOW - hours_ago * HOUR
    return Intent(record, f"t/{model_id}", direction, (), verb, then, NOW + left * HOUR)


CHOICES: dict[str, tuple[list[Intent], int, list[tuple[int, str]]]] = {
    "what has expired": ([intent(1, left=-1), intent(2)], 0, [(1, EXPIRED)]),
    "what expires now": ([intent(1, left=0)], 0, [(1, EXPIRED)]),
    "nothing where enough is free": ([intent(1), intent(2)], -5, []),
    "the oldest where space is short": (
        [intent(1, hours_ago=1), intent(2, hours_ago=9)], 10, [(2, SHORT)],
    ),
    "no more than is needed": (
        [intent(1, hours_ago=3), intent(2, hours_ago=2), intent(3)], 15, [(1, SHORT), (2, SHORT)],
    ),
    "what expired counts first": ([intent(1, left=-1), intent(2)], 10, [(1, EXPIRED)]),
    "what rules pruned before what persons deleted": (
        [intent(1, hours_ago=9, verb=Verb.DELETED), intent(2)], 10, [(2, SHORT)],
    ),
    "what persons deleted in the end": (
        [intent(1, hours_ago=9, verb=Verb.DELETED), intent(2)], 20, [(2, SHORT), (1, SHORT)],
    ),
    "never what is on its way back": ([intent(1, left=-1, direction=Direction.BACK)], 99, []),
    "never what a crash left half moved": ([intent(1, left=-1, state=State.PRESENT)], 99, []),
    "nothing of a clock set back a year": (
        [intent(1, hours_ago=-8760, left=8761)], 0, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_what_has_to_go(name: str) -> None:
    held, lacking, expected = CHOICES[name]
    chosen = choose(held, now=NOW, lacking=lacking)
    assert [(one.intent.record.model_id, one.reason) for one in chosen] == expected


# -- doing it --------------------------------------------------------------------------------------


def test_what_expired_is_gone_and_its_row_marks_and_history_stay(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    prune(at_once(pruner))
    held = [root / row["trash_path"] for row in rows(root, "SELECT * FROM trash")]
    emptied = pruner.purge(Cause.TIMER)
    assert [one.path for one in emptied.purged] == five[:3]
    assert [one.reason for one in emptied.purged] == [EXPIRED] * 3
    assert not any(folder.exists() for folder in held)
    assert states(root)["ckpt-1"] == "deleted"
    assert rows(root, "SELECT * FROM trash") == []
    told = rows(root, "SELECT * FROM history WHERE verb = 'purged' ORDER BY history_id")
    assert [line["path"] for line in told] == five[:3]
    assert {line["cause"] for line in told} == {"timer"}
    details = [json.loads(line["details"]) for line in told]
    assert sum(one["bytes_freed"] for one in details) == emptied.bytes_freed > 0


def test_what_was_purged_cannot_be_restored_and_that_is_said(
    five: list[str], pruner: Pruner
) -> None:
    prune(at_once(pruner))
    (gone, *_) = pruner.purge(Cause.TIMER).purged
    with pytest.raises(NoSuchModel, match="is not in the trash any more: it was purged"):
        restore(pruner, gone.model_id)


def test_purging_twice_is_the_same_as_once(five: list[str], pruner: Pruner) -> None:
    prune(at_once(pruner))
    pruner.purge(Cause.TIMER)
    assert pruner.purge(Cause.TIMER).purged == []


def test_what_has_time_left_stays(root: Path, five: list[str], pruner: Pruner) -> None:
    prune(pruner)
    assert pruner.purge(Cause.TIMER).purged == []
    assert states(root)["ckpt-1"] == "trashed"


def test_a_full_disk_is_purged_early_as_far_as_needed(
    root: Path, five: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune(pruner)
    pruner.policy = replace(pruner.policy, min_free_space=FreeSpace(share=0.5))
    monkeypatch.setattr(purging, "measure_space", lambda _: (499, 1000))
    monkeypatch.setattr("watcherd.pruner.measure_space", lambda _: (499, 1000))
    emptied = pruner.purge(Cause.TIMER)
    assert [(one.path, one.reason) for one in emptied.purged] == [(five[0], SHORT)]
    assert states(root)["ckpt-2"] == "trashed"


def test_a_dry_run_by_settings_purges_nothing(five: list[str], pruner: Pruner) -> None:
    prune(at_once(pruner))
    pruner.policy = replace(pruner.policy, dry_run=True)
    assert pruner.purge(Cause.TIMER).purged == []


def test_another_host_than_the_markers_never_purges(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    prune(at_once(pruner))
    rename_host(root, "elsewhere")
    assert pruner.purge(Cause.TIMER).purged == []


def test_what_was_removed_from_the_trash_by_hand_says_so_and_the_others_go_on(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    prune(at_once(pruner))
    first, second, _ = rows(root, "SELECT * FROM trash ORDER BY model_id")
    shutil.rmtree(root / first["trash_path"])
    with pytest.raises(Exception, match="no longer whole in the trash"):
        restore(pruner, first["model_id"])
    emptied = pruner.purge(Cause.TIMER)
    assert [one.bytes_freed > 0 for one in emptied.purged] == [False, True, True]
    assert states(root)["ckpt-1"] == "deleted"
    with pytest.raises(NoSuchModel, match="is not in the trash"):
        restore(pruner, second["model_id"])


def test_what_was_moved_back_by_hand_is_never_purged(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    prune(at_once(pruner))
    (first, *_) = rows(root, "SELECT * FROM trash ORDER BY model_id")
    for file in (root / first["trash_path"]).glob("ckpt-*"):
        file.rename(root / FOLDER / file.name)
    reconcile(reconciler)
    assert states(root)["ckpt-1"] == "present"
    pruner.purge(Cause.TIMER)
    assert states(root)["ckpt-1"] == "present"
    assert {"ckpt-1.index"} <= names(root / FOLDER)


def test_one_that_cannot_be_purged_costs_only_itself(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    """A symlink stands in place of its folder in the trash."""
    prune(at_once(pruner))
    (first, *_) = rows(root, "SELECT * FROM trash ORDER BY model_id")
    folder = root / first["trash_path"]
    aside = folder.rename(root / "aside")
    folder.symlink_to(aside)
    emptied = pruner.purge(Cause.TIMER)
    assert [one.path for one in emptied.purged] == five[1:3]
    assert "is a symlink" in emptied.failed[five[0]]
    assert states(root)["ckpt-1"] == "trashed"
    assert len(list(aside.iterdir())) == 3, "index, shard and manifest"


def test_broken_off_between_the_files_and_the_registry_the_next_purge_says_the_rest(
    root: Path, five: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    prune(at_once(pruner))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(purging, "note_purged", stop)
    with pytest.raises(KeyboardInterrupt):
        pruner.purge(Cause.TIMER)
    monkeypatch.undo()
    assert states(root)["ckpt-1"] == "trashed"
    assert len(pruner.purge(Cause.TIMER).purged) == 3
    assert states(root)["ckpt-1"] == "deleted"


def test_our_own_folder_removed_by_hand_suspends_everything(
    root: Path, saved: Saved, tmp_path: Path
) -> None:
    save(root, saved, 5)
    with reconciler_of(root, url=f"sqlite:///{tmp_path}/registry.db") as reconciler:
        reconcile(reconciler)
        pruner = at_once(Pruner(reconciler, POLICY))
        assert len(prune(pruner)) == 3
        shutil.rmtree(root / ".watcherd")
        with pytest.raises(RootSuspended, match="lacks its marker"):
            pruner.purge(Cause.TIMER)
        pruner.policy = replace(pruner.policy, rules=(Rule(1),))
        with pytest.raises(RootSuspended, match="lacks its marker"):
            pruner.prune(Cause.TIMER)
        assert len(names(root / FOLDER)) == 4, "the two that were kept"


def test_a_clock_set_back_a_year_prunes_nothing(
    root: Path, five: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    year = 365 * 24 * HOUR
    monkeypatch.setattr("watcherd.pruner.time.time_ns", lambda now=time.time_ns: now() - year)
    pruned = pruner.prune(Cause.TIMER)
    assert pruned.trashed == ()
    assert all("dated in the future" in one.reasons for one in pruned.verdicts)


# -- by a person -----------------------------------------------------------------------------------


def by_hand(pruner: Pruner, path: str, *, force: bool = False) -> dict[int, str]:
    """Removes one as ``rm`` does; what holds or hinders it."""
    (row,) = rows(Path(pruner.reconciler.root.path), "SELECT * FROM model WHERE path = ?", path)
    meaning = Meaning(Verb.DELETED, 3600.0, By("ada@trainer1", Cause.REQUEST), force)
    removed = remove(pruner.reconciler, [row["model_id"]], meaning)
    return {one: error.message for one, error in (removed.refused | removed.failed).items()}


def test_a_person_removes_even_the_newest_and_the_history_says_who(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    assert by_hand(pruner, five[4]) == {}
    assert states(root)["ckpt-5"] == "trashed"
    (line,) = rows(root, "SELECT * FROM history WHERE verb = 'deleted'")
    assert (line["path"], line["actor"], line["cause"]) == (five[4], "ada@trainer1", "request")
    (held,) = rows(root, "SELECT * FROM trash")
    assert held["verb"] == "deleted"
    restore(pruner, line["model_id"])
    assert states(root)["ckpt-5"] == "present"


HOLDS = {
    "pinned": "UPDATE model SET pinned = 1 WHERE path = ?",
    "the alias champion": "INSERT INTO alias SELECT 'champion', model_id FROM model WHERE path = ?",
}


@pytest.mark.parametrize("reason", HOLDS)
def test_what_is_marked_is_refused_unless_the_person_insists(
    root: Path, five: list[str], pruner: Pruner, reason: str
) -> None:
    with pruner.reconciler.registry.writing() as connection:
        connection.exec_driver_sql(HOLDS[reason], (five[0],))
    (why,) = by_hand(pruner, five[0]).values()
    assert reason in why
    assert states(root)["ckpt-1"] == "present"
    assert by_hand(pruner, five[0], force=True) == {}
    assert states(root)["ckpt-1"] == "trashed"


def test_what_a_trainer_resumes_from_is_refused_unless_the_person_insists(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    (root / FOLDER / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (why,) = by_hand(pruner, five[0]).values()
    assert "a trainer resumes from it" in why
    assert by_hand(pruner, five[0], force=True) == {}


def test_what_is_not_there_cannot_be_removed(root: Path, five: list[str], pruner: Pruner) -> None:
    prune(pruner)
    (why,) = by_hand(pruner, five[0]).values()
    assert "it is trashed, nothing is there to remove" in why


def test_an_incomplete_one_can_be_removed_by_a_person_and_never_by_a_rule(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    next(root.glob(f"{five[0]}.data*")).unlink()
    reconcile(reconciler)
    assert states(root)["ckpt-1"] == "incomplete"
    pruner.policy = replace(pruner.policy, rules=(Rule(1),), max_prune_fraction=1.0)
    assert five[0] not in [one.candidate.path for one in prune(pruner)]
    assert by_hand(pruner, five[0]) == {}
    assert states(root)["ckpt-1"] == "trashed"
