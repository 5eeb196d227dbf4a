"""Pruning and restoring on real folders: what goes, what stays, and what is said about it."""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.pruning import (
    FOLDER,
    MARKER,
    POLICY,
    names,
    prune,
    rename_host,
    restore,
    save,
    states,
)
from watcherd import trash
from watcherd.errors import NoSuchModel, Refused, TrashError
from watcherd.naming import Naming
from watcherd.pruner import Pruner
from watcherd.reconciler import Reconciler
from watcherd.retention import Rule, Verdicts
from watcherd.root import read_marker
from watcherd.scope import ROOT, Cause


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def pruner(reconciler: Reconciler) -> Pruner:
    return Pruner(reconciler, POLICY)


@pytest.fixture
def five(root: Path, saved: Saved, reconciler: Reconciler) -> list[str]:
    """Five checkpoints of one family, the newest last, as a trainer leaves them."""
    prefixes = save(root, saved, 5)
    reconcile(reconciler)
    return prefixes


def test_all_but_the_newest_two_go_to_the_trash(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    before = {path.name: path.read_bytes() for path in (root / FOLDER).iterdir()}
    pruned = pruner.prune(Cause.TIMER)
    assert [one.candidate.path for one in pruned.trashed] == five[:3]
    assert pruned.bytes_freed == sum(
        len(content) for name, content in before.items() if name[5] in "123"
    )
    assert names(root / FOLDER) == {name for name in before if name[5] in "45"}
    assert states(root) == {
        "ckpt-1": "trashed", "ckpt-2": "trashed", "ckpt-3": "trashed",
        "ckpt-4": "present", "ckpt-5": "present",
    }  # fmt: skip
    for row in rows(root, "SELECT * FROM trash"):
        assert json.loads(row["reasons"])[0].startswith("max_to_keep")
        files = names(root / row["trash_path"]) - {"manifest.json"}
        assert {name: (root / row["trash_path"] / name).read_bytes() for name in files} == {
            name: before[name] for name in files
        }
    told = rows(root, "SELECT cause, details FROM history WHERE verb = 'pruned'")
    assert [row["cause"] for row in told] == ["timer"] * 3
    assert all("max_to_keep" in json.loads(row["details"])["reasons"][0] for row in told)


def test_what_was_pruned_is_settled_at_once_and_nothing_is_left_to_do(
    five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    prune(pruner)
    assert reconcile(reconciler).plan.changes == ()
    assert prune(pruner) == []


def test_a_dry_run_moves_nothing_and_lists_what_the_run_then_does(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    promised = [one.candidate.path for one in pruner.prune(Cause.REQUEST, dry_run=True).removing]
    assert set(states(root).values()) == {"present"}
    assert [one.candidate.path for one in prune(pruner)] == promised


NAMED = Naming(names=("model_{epoch}.h5",))
"""Makes one family of names that are one each without it."""


def test_a_dry_run_by_other_settings_applies_their_rules_and_leaves_every_row_as_it_is(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    """Families are those of the settings that the root is kept by."""
    for number in range(3):
        saved.write_h5(root / FOLDER / f"model_{number}.h5", number)
    reconciler.naming = NAMED
    reconcile(reconciler)
    before = rows(root)
    with reconciler_of(root) as other:
        pruner = Pruner(other, POLICY)
        pruner.look(ROOT, Cause.REQUEST, dry_run=True)
        pruned = pruner.prune(Cause.REQUEST, dry_run=True)
    assert [one.candidate.path for one in pruned.removing] == [f"{FOLDER}/model_0.h5"]
    assert rows(root) == before


def test_what_others_had_placed_by_other_settings_is_placed_anew_before_anything_goes(
    root: Path, saved: Saved, reconciler: Reconciler, pruner: Pruner
) -> None:
    """Else a family of theirs would lose what is none by the daemon's own."""
    for number in range(3):
        saved.write_h5(root / FOLDER / f"model_{number}.h5", number)
    reconcile(reconciler)
    with reconciler_of(root) as other:
        other.naming = NAMED
        reconcile(other)
    assert prune(pruner) == []


def test_what_the_state_file_names_is_kept(root: Path, five: list[str], pruner: Pruner) -> None:
    (root / FOLDER / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    prune(pruner)
    assert states(root)["ckpt-1"] == "present"


def test_a_state_file_written_after_the_last_look_still_counts(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    """The candidates' folders are looked at again before anything is decided."""
    reconcile(reconciler)
    (root / FOLDER / "checkpoint").write_text('model_checkpoint_path: "/old/place/ckpt-2"\n')
    assert f"{FOLDER}/ckpt-2" not in [one.candidate.path for one in prune(pruner)]


def test_young_checkpoints_are_kept(
    root: Path, saved: Saved, pruner: Pruner, reconciler: Reconciler
) -> None:
    for number in range(1, 6):
        saved.write_checkpoint(root / f"{FOLDER}/ckpt-{number}", number % 4)
    reconcile(reconciler)
    pruner.policy = replace(POLICY, min_age=60.0)
    assert prune(pruner) == []


def test_a_checkpoint_that_its_trainer_rewrote_since_the_decision_is_not_touched(
    root: Path, five: list[str], saved: Saved, pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6. The rewrite falls between the decision and the move."""
    apply_rules = pruner._apply_rules
    calls = []

    def decide_then_rewrite(held: Mapping[str, str]) -> Verdicts:
        verdicts = apply_rules(held)
        calls.append(verdicts)
        if len(calls) == 2:
            saved.write_checkpoint(root / five[0], 3)
        return verdicts

    monkeypatch.setattr(pruner, "_apply_rules", decide_then_rewrite)
    pruned = pruner.prune(Cause.TIMER)
    assert [one.candidate.path for one in pruned.trashed] == five[1:3]
    ((verdict, why),) = pruned.failed
    assert verdict.candidate.path == five[0]
    assert "changed since the decision" in why
    assert states(root)["ckpt-1"] == "present"
    assert rows(root, "SELECT * FROM trash WHERE model_id = ?", verdict.candidate.model_id) == []


def test_a_checkpoint_that_is_being_saved_again_is_kept(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    """TensorFlow's temporary folder beside it is young: what is settling is no candidate."""
    reconciler.settle = 60.0
    (root / f"{five[0]}_temp").mkdir()
    pruned = pruner.prune(Cause.TIMER)
    assert [one.candidate.path for one in pruned.trashed] == five[1:3]
    kept = next(one for one in pruned.verdicts if one.candidate.path == five[0])
    assert "it is changing" in kept.reasons


def test_a_symlink_left_in_place_of_the_newest_does_not_let_the_others_go(
    root: Path, five: list[str], pruner: Pruner, tmp_path: Path, reconciler: Reconciler
) -> None:
    pruner.policy = replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0)
    for path in root.glob(f"{five[4]}.*"):
        aside = tmp_path / path.name
        path.rename(aside)
        path.symlink_to(aside)
    reconcile(reconciler)
    assert [one.candidate.path for one in prune(pruner)] == five[:3]
    assert states(root)["ckpt-4"] == "present"


def test_a_state_file_that_cannot_be_read_protects_all_of_its_folder(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    (root / FOLDER / "checkpoint").symlink_to("somewhere")
    assert prune(pruner) == []


def test_saved_anew_where_it_was_pruned_both_are_known(
    root: Path, five: list[str], saved: Saved, pruner: Pruner, reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The trainer writes the path again before the cycle that sees the pruning."""
    move_out = trash.move_out

    def then_save(root_fd: int, entry: trash.Entry, *words: object, **more: bool) -> None:
        move_out(root_fd, entry, *words, **more)  # type: ignore[arg-type]  # passed on
        if entry.path == five[0]:
            saved.write_checkpoint(root / five[0], 3)

    monkeypatch.setattr(trash, "move_out", then_save)
    pruner.prune(Cause.TIMER)
    found = rows(root, "SELECT model_id, state FROM model WHERE path = ? ORDER BY 1", five[0])
    assert [row["state"] for row in found] == ["trashed", "present"]
    (intent,) = rows(root, "SELECT * FROM trash WHERE model_id = ?", found[0]["model_id"])
    assert (root / intent["trash_path"] / "ckpt-1.index").exists()


def test_a_hard_link_to_a_trashed_file_is_another_model(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    prune(pruner)
    (intent,) = rows(root, "SELECT * FROM trash WHERE trash_path LIKE '%-1'")
    for path in (root / intent["trash_path"]).glob("ckpt-1.*"):
        os.link(path, root / FOLDER / path.name.replace("ckpt-1", "linked-1"))
    reconcile(reconciler)
    assert states(root)["ckpt-1"] == "trashed"
    assert states(root)["linked-1"] == "present"
    assert len(rows(root, "SELECT * FROM trash")) == 3


def test_restored_with_other_inodes_as_from_a_backup_it_is_the_same_model_and_pinned(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    (before,) = rows(root, "SELECT model_id FROM model WHERE path = ?", five[0])
    prune(pruner)
    (intent,) = rows(root, "SELECT * FROM trash WHERE model_id = ?", before["model_id"])
    place = root / intent["trash_path"]
    for path in place.glob("ckpt-1.*"):
        (root / FOLDER / path.name).write_bytes(path.read_bytes())
    shutil.rmtree(place)
    reconcile(reconciler)
    (row,) = rows(root, "SELECT * FROM model WHERE path = ?", five[0])
    assert (row["model_id"], row["state"], row["pinned"]) == (before["model_id"], "present", 1)


def test_a_mass_of_models_goes_only_with_a_persons_yes(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    pruner.policy = replace(POLICY, max_prune_count=2, max_prune_fraction=0.5)
    with pytest.raises(Refused, match="3 of 5 models would be removed") as refused:
        pruner.prune(Cause.TIMER)
    assert "--yes" in refused.value.hint
    assert set(states(root).values()) == {"present"}
    assert len(prune(pruner, yes=True)) == 3


def test_more_than_the_count_but_less_than_the_fraction_is_no_mass(
    five: list[str], pruner: Pruner
) -> None:
    pruner.policy = replace(POLICY, max_prune_count=2, max_prune_fraction=0.7)
    assert len(prune(pruner)) == 3


def test_a_new_registry_on_a_root_that_was_in_use_never_prunes_before_a_person_says_so(
    root: Path, five: list[str], tmp_path: Path
) -> None:
    """Marks that the lost registry held are not known here."""
    with reconciler_of(root, url=f"sqlite:///{tmp_path}/new.db") as other:
        reconcile(other)
        with pytest.raises(Refused, match="in use before this registry was made"):
            Pruner(other, POLICY).prune(Cause.TIMER)
        assert len(prune(Pruner(other, POLICY), yes=True)) == 3
        assert other.root.prune_confirmed


def test_what_a_person_said_beside_it_a_running_daemon_knows_at_its_next_run(
    root: Path, five: list[str], tmp_path: Path
) -> None:
    """Both have the registry open that met the root already marked."""
    url = f"sqlite:///{tmp_path}/new.db"
    with reconciler_of(root, url=url) as daemon:
        reconcile(daemon)
        with pytest.raises(Refused, match="in use before this registry was made"):
            Pruner(daemon, POLICY).prune(Cause.TIMER)
        with reconciler_of(root, url=url) as person:
            Pruner(person, replace(POLICY, rules=(Rule(4),))).prune(Cause.REQUEST, yes=True)
        assert len(prune(Pruner(daemon, POLICY))) == 2


def test_what_a_person_says_beside_a_daemon_that_prunes_holds_for_it_too(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler
) -> None:
    with reconciler_of(root) as person:
        person.adopt_root()
    with pytest.raises(Refused, match="in use before"):
        pruner.prune(Cause.TIMER)
    with reconciler_of(root) as person:
        keeping = replace(POLICY, rules=(replace(POLICY.rules[0], max_to_keep=99),))
        assert not prune(Pruner(person, keeping), yes=True), "nothing is to go today"
    assert len(prune(pruner)) == 3


def test_a_root_that_bears_no_marker_is_never_pruned_and_the_next_step_is_told(
    root: Path, saved: Saved, tmp_path: Path
) -> None:
    """As one that may only be read."""
    for step in (1, 2):
        saved.write_checkpoint(root / f"{FOLDER}/ckpt-{step}", step)
    shutil.rmtree(root / ".watcherd", ignore_errors=True)
    (root / ".watcherd").write_text("in the way")
    with reconciler_of(root, url=f"sqlite:///{tmp_path}/elsewhere.db") as reader:
        reconcile(reader)
        with pytest.raises(Refused, match="has no marker") as refused:
            Pruner(reader, replace(POLICY, rules=(Rule(1),))).prune(Cause.TIMER, yes=True)
    assert f"write in {root}/.watcherd" in refused.value.hint


def test_another_host_than_the_markers_never_prunes(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    rename_host(root, "elsewhere")
    with pytest.raises(Refused, match="only elsewhere prunes"):
        pruner.prune(Cause.TIMER, yes=True)


def test_who_adopts_a_root_prunes_it_from_now_on_and_the_host_before_does_not(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler, tmp_path: Path
) -> None:
    rename_host(root, "elsewhere")
    with reconciler_of(root, url=f"sqlite:///{tmp_path}/new.db") as other:
        other.adopt_root()
        reconcile(other)
        assert len(prune(Pruner(other, POLICY), yes=True)) == 3
    assert json.loads((root / MARKER).read_text())["host"] == socket.gethostname()


def test_restored_it_is_whole_pinned_and_the_same_model(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    import tensorflow as tf

    before = {path.name: path.read_bytes() for path in root.glob(f"{five[0]}.*")}
    ids = {row["path"]: row["model_id"] for row in rows(root)}
    prune(pruner)
    restore(pruner, ids[five[0]])
    (row,) = rows(root, "SELECT * FROM model WHERE path = ?", five[0])
    assert (row["model_id"], row["state"], row["pinned"]) == (ids[five[0]], "present", 1)
    assert {path.name: path.read_bytes() for path in root.glob(f"{five[0]}.*")} == before
    assert tf.train.load_checkpoint(str(root / five[0])).get_variable_to_shape_map()
    assert rows(root, "SELECT * FROM trash WHERE model_id = ?", row["model_id"]) == []
    told = rows(root, "SELECT verb, actor, cause FROM history WHERE model_id = ?", row["model_id"])
    assert [line["verb"] for line in told] == ["registered", "pruned", "restored", "pinned"]
    assert (told[-1]["actor"], told[-1]["cause"]) == ("test", "request")
    assert prune(pruner) == [], "it is pinned"


def test_restore_refuses_to_overwrite_and_says_what_is_in_the_way(
    root: Path, five: list[str], saved: Saved, pruner: Pruner, reconciler: Reconciler
) -> None:
    model_id = rows(root, "SELECT model_id FROM model WHERE path = ?", five[0])[0]["model_id"]
    prune(pruner)
    saved.write_checkpoint(root / five[0], 2)
    with pytest.raises(TrashError, match="in the way"):
        restore(pruner, model_id)
    reconcile(reconciler)
    found = rows(root, "SELECT model_id, state FROM model WHERE path = ?", five[0])
    assert {row["state"] for row in found} == {"trashed", "present"}
    with pytest.raises(NoSuchModel):
        restore(pruner, next(r["model_id"] for r in found if r["state"] == "present"))


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_i5_broken_off_after_any_file_the_next_cycle_ends_whole(
    root: Path, five: list[str], pruner: Pruner, reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch, moved: int,
) -> None:  # fmt: skip
    """Killed between the intent and the last rename: whole in its place, or whole in the trash."""
    from watcherd.trash import calls

    take, taken = calls.take, []

    class Killed(BaseException):
        pass

    def take_some(*words: object) -> None:
        if len(taken) == moved:
            raise Killed
        taken.append(words)
        take(*words)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(calls, "take", take_some)
    with pytest.raises(Killed):
        pruner.prune(Cause.TIMER)
    monkeypatch.undo()
    reconcile(reconciler)
    assert reconcile(reconciler).plan.changes == ()
    files = {path.name for path in root.glob(f"{five[0]}.*")}
    state = states(root)["ckpt-1"]
    intents = rows(root, "SELECT * FROM trash")
    if state == "present":
        assert len(files) == 2
        assert intents == []
    else:
        assert (state, files, len(intents)) == ("trashed", set(), 1)
        assert len(names(root / intents[0]["trash_path"])) == 3, "index, shard and manifest"


def test_a_reconcile_beside_a_prune_takes_nothing_half_moved_for_a_crash(
    root: Path, five: list[str], pruner: Pruner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the intent and the first rename, and waits for its turn."""
    from watcherd.trash import calls

    take = calls.take
    beside: list[threading.Thread] = []

    def reconcile_beside() -> None:
        with reconciler_of(root) as other:
            reconcile(other)

    def take_slowly(*words: object) -> None:
        if not beside:
            beside.append(threading.Thread(target=reconcile_beside))
            beside[0].start()
            beside[0].join(0.3)
            assert beside[0].is_alive(), "it waits for its turn"
        take(*words)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(calls, "take", take_slowly)
    assert len(prune(pruner)) == 3
    beside[0].join()
    assert sorted(states(root).values()) == ["present"] * 2 + ["trashed"] * 3
    assert len(rows(root, "SELECT * FROM trash")) == 3


def test_the_manifest_tells_what_it_was_for_the_day_when_the_registry_is_lost(
    root: Path, five: list[str], pruner: Pruner
) -> None:
    prune(pruner)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listed = trash.list_trash(root_fd)
        assert read_marker(root_fd) is not None
    finally:
        os.close(root_fd)
    assert {one.entry.path for one in listed if one.entry} == set(five[:3])


# -- the other formats -----------------------------------------------------------------------------


def _save_models(folder: Path, count: int) -> list[Path]:
    """SavedModels with an asset, as ``tf.saved_model.save`` writes them."""
    import tensorflow as tf

    saved = []
    for number in range(1, count + 1):
        module = tf.Module()
        module.weight = tf.Variable([float(number)])
        vocabulary = folder.parent / "words.txt"
        vocabulary.parent.mkdir(parents=True, exist_ok=True)
        vocabulary.write_text("a\nb\n")
        module.asset = tf.saved_model.Asset(str(vocabulary))
        saved.append(folder / f"export.epoch-{number}")
        tf.saved_model.save(module, str(saved[-1]))
        vocabulary.unlink()
    return saved


def _save_v1(folder: Path, count: int, *, sharded: bool) -> list[Path]:
    """V1 checkpoints, as ``Saver`` writes them with that version."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", shape=(7, 3))
        saver = v1.train.Saver(max_to_keep=0, write_version=v1.train.SaverDef.V1, sharded=sharded)
        session.run(v1.global_variables_initializer())
        for number in range(1, count + 1):
            prefix = folder / "model.ckpt"
            saver.save(session, str(prefix), global_step=number, latest_filename="state")
            saved.append(prefix.with_name(f"model.ckpt-{number}"))
    (folder / "state").unlink()
    return saved


def _open_model(path: Path) -> object:
    import tensorflow as tf

    return tf.saved_model.load(str(path)).weight.numpy()


def _open_v1(path: Path) -> object:
    import tensorflow as tf

    found = [str(path)] if path.exists() else [f"{path}-?????-of-?????"]
    return tf.compat.v1.train.NewCheckpointReader(found[0]).get_tensor("w")


FORMATS = {
    "saved_model": (_save_models, _open_model),
    "checkpoint_v1": (lambda folder, n: _save_v1(folder, n, sharded=False), _open_v1),
    "checkpoint_v1, sharded": (lambda folder, n: _save_v1(folder, n, sharded=True), _open_v1),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_other_formats_go_and_come_back_as_tensorflow_opens_them(
    root: Path, pruner: Pruner, reconciler: Reconciler, name: str
) -> None:
    save_some, open_it = FORMATS[name]
    saved = save_some(root / FOLDER, 3)
    for number, path in enumerate(saved):
        for file in [*path.parent.glob(f"{path.name}*"), *path.rglob("*")]:
            os.utime(file, (time.time() - 1000 + number,) * 2)
    reconcile(reconciler)
    assert {row["format"] for row in rows(root)} == {name.partition(",")[0]}
    before = contents(root / FOLDER)
    pruner.policy = replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0)
    assert [one.candidate.path for one in prune(pruner)] == [
        path.relative_to(root).as_posix() for path in saved[:2]
    ]
    assert not [path for path in (root / FOLDER).iterdir() if path.name.startswith(saved[0].name)]
    assert reconcile(reconciler).plan.changes == ()
    assert prune(pruner) == []
    restore(pruner, *(row["model_id"] for row in rows(root, "SELECT * FROM trash")))
    assert {row["state"] for row in rows(root)} == {"present"}
    assert contents(root / FOLDER) == before
    for path in saved:
        assert open_it(path) is not None


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
