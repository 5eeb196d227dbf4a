"""Named examples of the cycle on real folders: each was a row that lied or a look without end."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.conftest import Saved, on_disk, rows, watcherd
from tests.inline import Inline, reconcile, reconciler_of
from watcherd import scan
from watcherd.child import Broken
from watcherd.errors import RootSuspended
from watcherd.listing import signed
from watcherd.naming import Naming
from watcherd.plan import Change
from watcherd.reconciler import Reconciler
from watcherd.registry import Filter, Mode, Registry, changes
from watcherd.registry.candidates import load_candidates
from watcherd.registry.links import load_links
from watcherd.scope import ROOT, folders, tree
from watcherd.wiring import know_root

FOLDER = "1h/BTC/LSTM"


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


def settled(reconciler: Reconciler) -> bool:
    """Whether nothing is left to do, to look at again, or to wait for."""
    cycle = reconcile(reconciler)
    return not (cycle.plan.changes or cycle.unfinished or cycle.plan.settling)


def test_a_file_moved_away_with_a_symlink_left_in_its_place_is_moved(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    old = saved.write_h5(root / FOLDER / "m.h5")
    reconcile(reconciler)
    new = root / "store/m.h5"
    new.parent.mkdir()
    old.rename(new)
    old.symlink_to(new)
    reconcile(reconciler)
    (row,) = rows(root)
    assert (row["path"], row["state"]) == ("store/m.h5", "present")
    assert settled(reconciler)


def test_what_moved_to_a_folder_that_is_yet_to_be_looked_at_is_not_called_missing(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """Of a folder made a moment before no event told what was moved there: it was not watched."""
    old = saved.write_h5(root / FOLDER / "m.h5")
    reconcile(reconciler)
    new = root / "4h/ETH/GRU/m.h5"
    new.parent.mkdir(parents=True)
    old.rename(new)
    reconciler.coming = lambda: tree("4h")
    assert dict(reconcile(reconciler, folders([FOLDER])).counts) == {"moved": 1}
    assert settled(reconciler)


def test_what_is_yet_to_be_looked_at_is_left_for_later_where_it_is_more_than_a_slice(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """It would be held in memory as a whole; the row comes back when it is found there."""
    old = saved.write_h5(root / FOLDER / "m.h5")
    reconcile(reconciler)
    for number in (1, 2):
        saved.write_h5(root / f"4h/ETH/GRU/run-{number}/m.h5", number)
    old.rename(root / "4h/ETH/GRU/run-2/moved.h5")
    reconciler.coming, reconciler.slice = lambda: tree("4h"), 1
    assert dict(reconcile(reconciler, folders([FOLDER])).counts) == {"missing": 1}
    reconcile(reconciler)
    assert rows(root, "SELECT path FROM model WHERE model_id = 1") == [
        {"path": "4h/ETH/GRU/run-2/moved.h5"}
    ]


def test_a_graph_that_stays_behind_is_no_model(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    prefix = saved.write_checkpoint(root / FOLDER / "ckpt-1")
    prefix.with_name("ckpt-1.meta").write_bytes(b"graph")
    reconcile(reconciler)
    for suffix in (".index", ".data-00000-of-00001"):
        prefix.with_name(prefix.name + suffix).unlink()
    reconcile(reconciler)
    assert [row["state"] for row in rows(root)] == ["missing"]
    assert settled(reconciler)


def test_a_checkpoint_moved_without_its_graph_is_moved(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    prefix = saved.write_checkpoint(root / FOLDER / "ckpt-1")
    prefix.with_name("ckpt-1.meta").write_bytes(b"graph")
    reconcile(reconciler)
    (root / "moved").mkdir()
    for suffix in (".index", ".data-00000-of-00001"):
        prefix.with_name(prefix.name + suffix).rename(root / "moved" / f"ckpt-1{suffix}")
    reconcile(reconciler)
    assert [(row["path"], row["state"]) for row in rows(root)] == [("moved/ckpt-1", "present")]
    assert settled(reconciler)


def test_a_temporary_folder_left_by_a_killed_trainer_does_not_keep_a_row_alive(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    prefix = saved.write_checkpoint(root / FOLDER / "ckpt-1")
    (root / FOLDER / "ckpt-1_temp").mkdir()
    reconcile(reconciler)
    (row,) = rows(root)
    assert row["state"] == "incomplete"
    assert "ckpt-1_temp" in row["reason"]
    for suffix in (".index", ".data-00000-of-00001"):
        prefix.with_name(prefix.name + suffix).unlink()
    reconcile(reconciler)
    assert [row["state"] for row in rows(root)] == ["missing"]
    assert settled(reconciler)


def test_a_checkpoint_is_complete_once_its_temporary_folder_is_gone(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    saved.write_checkpoint(root / FOLDER / "ckpt-1")
    (root / FOLDER / "ckpt-1_temp").mkdir()
    reconcile(reconciler)
    (root / FOLDER / "ckpt-1_temp").rmdir()
    reconcile(reconciler)
    assert on_disk(root) == {f"{FOLDER}/ckpt-1": "present"}
    verbs = [row["verb"] for row in rows(root, "SELECT verb FROM history")]
    assert verbs == ["incomplete", "completed"]


@pytest.mark.parametrize("ignore", ["*/m.h5", f"{FOLDER}", "*/ckpt-1.*"])
def test_what_the_settings_ignore_by_now_is_left_alone(
    root: Path, reconciler: Reconciler, saved: Saved, ignore: str
) -> None:
    saved.write_h5(root / FOLDER / "m.h5")
    saved.write_checkpoint(root / FOLDER / "ckpt-1")
    reconcile(reconciler)
    reconciler.naming = Naming(ignore=(ignore,))
    reconcile(reconciler)
    assert settled(reconciler)
    assert set(on_disk(root).values()) == {"present"}


def test_a_folder_whose_name_is_no_text_is_passed_over_also_when_an_event_names_it(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    odd = os.fsencode(root) + b"/1h/\xff\xfe"
    os.makedirs(odd)
    shutil.copy(saved.write_h5(root / FOLDER / "m.h5"), os.fsdecode(odd) + "/x.h5")
    cycle = reconcile(reconciler, tree("1h/\udcff\udcfe"))
    assert str(cycle.scope) == "1h"
    reconcile(reconciler)
    assert on_disk(root) == {f"{FOLDER}/m.h5": "present"}


def test_a_time_beyond_what_sqlite_stores_is_registered_all_the_same(
    root: Path, reconciler: Reconciler, saved: Saved, tmp_path: Path
) -> None:
    path = saved.write_h5(root / FOLDER / "m.h5")
    os.utime(path, ns=(1 << 66, 1 << 66))
    reconciler.looks.clear()
    reconcile(reconciler)
    reconcile(reconciler)  # a time in the future settles by two equal looks
    assert on_disk(root) == {f"{FOLDER}/m.h5": "present"}
    assert settled(reconciler)


def test_a_scope_of_hundreds_of_trees_is_looked_at(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    names = [f"1h/T{number}" for number in range(600)]
    for name in names[:3]:
        saved.write_h5(root / name / "LSTM/m.h5")
    reconcile(reconciler, tree(*names))
    assert len(on_disk(root)) == 3


class Dying(Inline):
    """A child that dies of one file, or of nothing in particular."""

    def __init__(self, times: int, *, by_itself: bool) -> None:
        self.times, self.by_itself = times, by_itself

    def map(self, items: object) -> Iterator[object]:  # type: ignore[override]  # scripted
        for result, (_, artifact) in zip(super().map(items), items, strict=True):  # type: ignore[arg-type,call-overload]
            if artifact.path.endswith("bad.h5") and self.times:
                self.times -= 1
                yield Broken("it died", self.by_itself)
            else:
                yield result


@pytest.mark.parametrize(
    ("times", "by_itself", "state"),
    [(1, True, "present"), (2, True, "unreadable"), (5, False, None)],
)
def test_one_death_of_a_child_proves_nothing_about_a_file_and_two_do(
    root: Path, reconciler: Reconciler, saved: Saved, times: int, by_itself: bool, state: str | None
) -> None:
    reconciler.child = Dying(times, by_itself=by_itself)  # type: ignore[assignment]  # scripted
    saved.write_h5(root / FOLDER / "bad.h5")
    saved.write_h5(root / FOLDER / "good.h5", 1)
    assert reconcile(reconciler).unfinished == (f"{FOLDER}/bad.h5",)
    reconcile(reconciler)
    expected = {f"{FOLDER}/good.h5": "present"} | ({f"{FOLDER}/bad.h5": state} if state else {})
    assert on_disk(root) == expected


def test_new_rules_for_names_reach_the_rows_that_are_there(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    saved.write_h5(root / FOLDER / "w.03-0.5.h5")
    reconcile(reconciler)
    reconciler.naming = Naming(
        layouts=("{ticker}/{interval}/{type}", "{interval}/{ticker}/{type}"),
        names=("w.{epoch:02d}-{val_loss:.1f}.h5",),
        types=("GRU",),
    )
    reconcile(reconciler)
    (row,) = rows(root)
    assert row["type"] is None
    assert "LSTM" in row["unplaced"]
    assert settled(reconciler)
    verbs = [row["verb"] for row in rows(root, "SELECT verb FROM history")]
    assert verbs == ["registered"]


def test_rows_that_others_place_by_other_rules_in_the_middle_of_a_look_are_placed_anew_by_the_next(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    saved.write_h5(root / FOLDER / "m.h5")
    reconcile(reconciler)
    for number in (1, 2):
        saved.write_h5(root / f"1h/ETH/LSTM/run-{number}/m.h5", number)

    def interfere() -> None:
        reconciler.between = lambda: None
        with reconciler_of(root) as other:
            other.naming = Naming(layouts=("{ticker}/{interval}/{type}",))
            reconcile(other)
        reconcile(reconciler, folders(["1d"]))

    reconciler.slice, reconciler.between = 1, interfere
    reconcile(reconciler)
    assert None in {row["interval"] for row in rows(root)}
    reconcile(reconciler)
    assert {row["interval"] for row in rows(root)} == {"1h"}


def test_trainings_of_one_script_are_of_one_architecture_however_keras_numbers_their_layers(
    root: Path, reconciler: Reconciler
) -> None:
    import keras

    for epoch in range(1, 4):
        model = keras.Sequential([keras.layers.Input((6, 2)), keras.layers.LSTM(2)])
        path = root / FOLDER / f"w.epoch-{epoch}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    other = keras.Sequential([keras.layers.Input((6, 2)), keras.layers.LSTM(3)])
    other.save(root / FOLDER / "w.epoch-4.h5")
    reconcile(reconciler)
    found = load_candidates(reconciler.registry, reconciler.root.root_id, ())
    groups = {one.step: one.group for one in found}
    assert groups[1] == groups[2] == groups[3] != groups[4]


# -- roots -----------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Registry]:
    """One registry of several roots."""
    with Registry(f"sqlite:///{tmp_path}/shared.db", Mode.CREATE) as registry:
        yield registry


def used(registry: Registry, root: Path, saved: Saved, variant: int = 0) -> Reconciler:
    """A root with a model, known and marked."""
    saved.write_h5(root / FOLDER / "m.h5", variant)
    with reconciler_of(root, url=registry.url) as reconciler:
        reconciler.root = know_root(registry, root)
        reconcile(reconciler)
        return reconciler


def test_a_root_that_moved_as_a_whole_is_known_by_its_marker(
    shared: Registry, tmp_path: Path, saved: Saved
) -> None:
    before = used(shared, tmp_path / "a", saved).root
    (tmp_path / "a").rename(tmp_path / "b")
    after = know_root(shared, tmp_path / "b")
    assert after == replace(before, path=str(tmp_path / "b"))


def test_two_roots_that_swap_their_places_stay_apart(
    shared: Registry, tmp_path: Path, saved: Saved
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    ids = [used(shared, place, saved, n).root.root_id for n, place in enumerate((a, b))]
    a.rename(tmp_path / "c")
    b.rename(a)
    (tmp_path / "c").rename(b)
    assert [know_root(shared, place).root_id for place in (b, a)] == ids


def test_a_copy_of_a_root_is_not_taken_for_it(
    shared: Registry, tmp_path: Path, saved: Saved
) -> None:
    used(shared, tmp_path / "a", saved)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    with pytest.raises(RootSuspended, match="is it a copy"):
        know_root(shared, tmp_path / "copy")


def test_a_folder_that_was_a_mount_point_and_is_none_is_a_blind_spot(
    root: Path, saved: Saved, tmp_path: Path
) -> None:
    """Really mounted and unmounted, in a mount namespace of its own."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("may not make mount namespaces")
    url = f"sqlite:///{tmp_path}/registry.db"
    content = saved.write_h5(tmp_path / "m.h5")
    reconciled = f"{sys.executable} -m watcherd --root {root} --registry {url} reconcile"
    script = f"""
        set -e
        mkdir -p {root}/1h/BTC {root}/4h/BTC/LSTM
        cp {content} {root}/4h/BTC/LSTM/
        mount -t tmpfs none {root}/1h/BTC
        mkdir {root}/1h/BTC/LSTM
        cp {content} {root}/1h/BTC/LSTM/
        {reconciled}
        umount {root}/1h/BTC
        rm {root}/4h/BTC/LSTM/m.h5
        {reconciled} || test $? = 3
    """
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1h/BTC: a mount point that is none now" in done.stdout
    with Registry(url) as registry:
        states = {row["path"]: row["state"] for row in registry.models(Filter(states=()))}
    assert states == {"1h/BTC/LSTM/m.h5": "present", "4h/BTC/LSTM/m.h5": "missing"}


def test_a_person_may_adopt_another_folder_as_the_root(
    root: Path, tmp_path: Path, saved: Saved
) -> None:
    url = ("--registry", f"sqlite:///{tmp_path}/registry.db")
    saved.write_h5(root / FOLDER / "m.h5")
    watcherd(root, *url, "reconcile")
    shutil.rmtree(root)
    saved.write_h5(root / FOLDER / "m.h5")
    refused = watcherd(root, *url, "reconcile", check=False)
    assert (refused.returncode, "lacks its marker" in refused.stderr) == (10, True)
    adopted = watcherd(root, *url, "reconcile", "--adopt-root")
    assert "adopted" in adopted.stderr
    assert "known was" in adopted.stderr
    assert (root / ".watcherd/root.json").exists()
    history = json.loads(watcherd(root, *url, "history", "--json").stdout)
    assert [line["verb"] for line in history] == ["registered", "adopted"]
    assert watcherd(root, *url, "reconcile").returncode == 0


@pytest.mark.parametrize("number", [5, (1 << 63) - 1, 1 << 63, (1 << 64) - 5])
def test_an_inode_number_of_64_bits_fits_sqlite_and_stays_itself(number: int) -> None:
    assert -(1 << 63) <= signed(number) < 1 << 63
    assert signed(number) % (1 << 64) == number


# -- folders that are what they were ---------------------------------------------------------------


def test_a_model_that_comes_and_goes_between_two_looks_at_the_root_is_missing(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """Its folder's listing is then what it was, to the last byte."""
    saved.write_h5(root / FOLDER / "a.h5")
    reconcile(reconciler)
    fleeting = saved.write_h5(root / FOLDER / "b.h5", 1)
    reconcile(reconciler, folders([FOLDER]))
    fleeting.unlink()
    reconcile(reconciler)
    assert on_disk(root) == {f"{FOLDER}/a.h5": "present"}


def test_a_folder_whose_rows_another_writes_meanwhile_is_not_called_equal_to_an_older_listing(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """The folder beside it is large: others pass while this one waits to be remembered."""
    for number in range(3):
        saved.write_h5(root / FOLDER / f"m{number}.h5", number)
    saved.write_h5(root / "1h/ETH/LSTM/a.h5")
    fleeting = root / "1h/ETH/LSTM/b.h5"

    def save() -> None:
        saved.write_h5(fleeting, 1)
        reconcile(reconciler, folders(["1h/ETH/LSTM"]))

    reconciler.slice, reconciler.between = 2, save
    reconcile(reconciler)
    assert f"1h/ETH/LSTM/{fleeting.name}" in on_disk(root)
    reconciler.between = lambda: None
    fleeting.unlink()
    reconcile(reconciler)
    assert f"1h/ETH/LSTM/{fleeting.name}" not in on_disk(root)


@pytest.mark.parametrize("most", [1, 1000])
def test_a_folder_that_is_gone_with_its_models_is_forgotten(
    most: int, root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """A trainer may make one for every run, for years."""
    reconciler.slice = most
    for number in range(3):
        saved.write_h5(root / f"{FOLDER}/run{number}/m.h5", number)
    reconcile(reconciler)
    shutil.rmtree(root / FOLDER / "run0")
    shutil.rmtree(root / FOLDER / "run1")
    reconcile(reconciler)
    assert set(reconciler.registry.fingerprints(1, ROOT)) == {f"{FOLDER}/run2"}


@pytest.mark.parametrize("stop", range(4))
def test_a_look_at_the_root_that_breaks_off_leaves_nothing_unseen_for_the_next(
    stop: int, root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    gone = saved.write_h5(root / FOLDER / "gone.h5")
    reconcile(reconciler)
    gone.unlink()
    for number in range(4):
        saved.write_h5(root / f"{FOLDER}/{number}/m.h5", number)
    saved.write_h5(root / FOLDER / "m.h5")
    turns = iter(range(9))

    def break_off() -> None:
        if next(turns) == stop:
            raise RootSuspended("the disk is gone")

    reconciler.slice, reconciler.between = 1, break_off
    with pytest.raises(RootSuspended):
        reconcile(reconciler)
    reconcile(reconciler)
    assert len(on_disk(root)) == 5
    assert settled(reconciler)


# -- symlinks --------------------------------------------------------------------------------------


def test_a_folder_that_became_a_symlink_hides_its_models_for_as_long_as_it_is_one(
    root: Path, reconciler: Reconciler, saved: Saved, tmp_path: Path
) -> None:
    saved.write_h5(root / FOLDER / "a.h5")
    saved.write_h5(root / FOLDER / "run/b.h5", 1)
    reconcile(reconciler)
    (root / FOLDER / "run").rename(tmp_path / "other disk")
    (root / FOLDER / "run").symlink_to(tmp_path / "other disk")
    for _ in range(3):
        assert settled(reconciler)
        assert "symlink" in reconcile(reconciler).blind[f"{FOLDER}/run"]
    assert on_disk(root) == {f"{FOLDER}/a.h5": "present", f"{FOLDER}/run/b.h5": "present"}
    (root / FOLDER / "run").unlink()
    (tmp_path / "other disk").rename(root / FOLDER / "run")
    assert reconcile(reconciler).blind == {}


def test_links_are_remembered_and_forgotten_with_their_folder(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    model = saved.write_h5(root / FOLDER / "m.h5")
    (root / "best.h5").symlink_to(f"{FOLDER}/m.h5")
    (root / "1h/BTC/newest").symlink_to(model.parent)
    (root / "1h/BTC/outside").symlink_to("/")
    reconcile(reconciler)
    assert links_of(reconciler) == {"best.h5", "1h/BTC/newest", "1h/BTC/outside"}
    assert scan.targets_of(str(root), links_of(reconciler)) == {
        "best.h5": f"{FOLDER}/m.h5",
        "1h/BTC/newest": FOLDER,
    }
    (root / "best.h5").unlink()
    reconcile(reconciler, folders([""]))
    assert "best.h5" not in links_of(reconciler)
    shutil.rmtree(root / "1h/BTC")
    reconcile(reconciler)
    assert not links_of(reconciler)


def test_a_link_in_a_folder_that_is_what_it_was_stays_known(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    saved.write_h5(root / FOLDER / "m.h5")
    (root / FOLDER / "best.h5").symlink_to("m.h5")
    for _ in range(3):
        reconcile(reconciler)
    assert links_of(reconciler) == {f"{FOLDER}/best.h5"}


def test_a_link_to_a_link_leads_where_the_last_one_leads(root: Path) -> None:
    (root / "m.h5").write_bytes(b"")
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("m.h5")
    (root / "circle").symlink_to("circle")
    (root / "nowhere").symlink_to("gone.h5")
    links = ["a", "b", "circle", "nowhere", "m.h5"]
    assert scan.targets_of(str(root), links) == {"a": "m.h5", "b": "m.h5"}


def links_of(reconciler: Reconciler) -> frozenset[str]:
    return load_links(reconciler.registry, reconciler.root.root_id)


# -- a long look -----------------------------------------------------------------------------------


def test_what_a_writer_locked_after_a_long_look_began_is_not_yet_told(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    for number in range(3):
        saved.write_h5(root / f"1h/T{number}/LSTM/m.h5", number)
    last = root / "1h/T0/LSTM/m.h5"
    writers: list[subprocess.Popen[str]] = []

    def lock() -> None:
        if not writers:
            writers.append(locking(last))

    reconciler.slice, reconciler.between = 1, lock
    cycle = reconcile(reconciler)
    for writer in writers:
        writer.communicate()
    assert cycle.unfinished == ("1h/T0/LSTM/m.h5",)
    assert len(on_disk(root)) == 2


def locking(path: Path) -> subprocess.Popen[str]:
    """A process that holds a file as HDF5 does while it writes, until its input ends."""
    script = (
        "import fcntl, sys; held = open(sys.argv[1]); fcntl.flock(held, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.readline()
    return writer


# -- one large folder ------------------------------------------------------------------------------


def test_a_large_folder_is_registered_in_pieces_and_others_pass_between(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    for number in range(7):
        saved.write_h5(root / FOLDER / f"m{number}.h5", number % 4)
    registered: list[int] = []
    reconciler.slice = 3
    reconciler.between = lambda: registered.append(len(on_disk(root)))
    cycle = reconcile(reconciler, folders([FOLDER]))
    assert registered == [3, 6]
    assert (cycle.folders, cycle.artifacts, cycle.counts["registered"]) == (1, 7, 7)
    assert settled(reconciler)


def test_who_passes_between_is_not_passed_by_another(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    """A burst of small saves must not pile cycle upon cycle."""
    for number in range(4):
        saved.write_h5(root / FOLDER / f"m{number}.h5", number)
        saved.write_h5(root / f"1h/ETH/LSTM/m{number}.h5", number)
    deep: list[str] = []

    def pass_by() -> None:
        deep.append("in")
        reconcile(reconciler, folders(["1h/ETH/LSTM"]))
        deep.append("out")

    reconciler.slice = 1
    reconciler.between = pass_by
    reconcile(reconciler, folders([FOLDER]))
    assert deep[:4] == ["in", "out"] * 2
    assert len(on_disk(root)) == 8


def test_what_was_registered_between_is_left_out_in_one_transaction(
    root: Path, reconciler: Reconciler, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the rows' own conflicts, each of ten thousand would cost a dozen."""
    for number in range(4):
        saved.write_h5(root / FOLDER / f"m{number}.h5", number)
    batches: list[int] = []
    write = changes.write

    def counted(connection: Connection, batch: Sequence[Change], *more: Any) -> Any:
        batches.append(len(batch))
        return write(connection, batch, *more)

    monkeypatch.setattr(changes, "write", counted)

    def register() -> None:
        reconcile(reconciler, folders([FOLDER]))

    reconciler.slice, reconciler.between = 2, register
    cycle = reconcile(reconciler, folders([FOLDER]))
    assert sorted(cycle.unfinished) == [f"{FOLDER}/m2.h5", f"{FOLDER}/m3.h5"]
    assert batches == [2, 2, 2]
    assert len(on_disk(root)) == 4


def test_models_moved_into_a_large_folder_keep_their_rows(
    root: Path, reconciler: Reconciler, saved: Saved
) -> None:
    for number in range(4):
        saved.write_h5(root / FOLDER / f"m{number}.h5", number)
    reconcile(reconciler)
    before = {row["fingerprint"]: row["model_id"] for row in rows(root)}
    (root / FOLDER).rename(root / "1h/BTC/GRU")
    reconciler.slice = 1
    cycle = reconcile(reconciler)
    assert cycle.counts == {"moved": 4}
    assert {row["fingerprint"]: row["model_id"] for row in rows(root)} == before
