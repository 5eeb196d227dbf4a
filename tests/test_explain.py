"""``explain``: what every path is, why it has a row or none, and what becomes of its model."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Saved, rows, watcherd
from tests.inline import Inline
from tests.test_cli import Done, call
from tests.test_scan import as_ordinary_user
from watcherd import reconciler as reconciler_room
from watcherd.registry import iso, ns_of

LSTM = "1h/BTC/LSTM"
HOUR = 3600.0

SETTINGS = """
[models]
ignore = ["old_*", "/attic"]
[watch]
settle = "{settle}"
[schedule]
prune = "1h"
[retention]
min_age = "{min_age}"
dry_run = {dry_run}
[[retention.rule]]
match = {{ format = "checkpoint" }}
max_to_keep = 2
{more}
"""


def configure(
    folder: Path,
    *,
    settle: str = "1ms",
    min_age: str = "0s",
    dry_run: bool = False,
    more: str = "",
) -> tuple[str, str]:
    """The words that name a settings file with these values."""
    file = folder / "config.toml"
    dry = str(dry_run).lower()
    file.write_text(SETTINGS.format(settle=settle, min_age=min_age, dry_run=dry, more=more))
    return ("--config", str(file))


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the child reads is read here: it is not what these tests are about."""
    monkeypatch.setattr(reconciler_room, "Child", lambda *_, **__: Inline())


class House:
    """A models root, its settings, and the program called upon them."""

    def __init__(self, root: Path, *config: str) -> None:
        self.root, self.config = root, config

    def __call__(self, *words: str) -> Done:
        return call(*self.config, "--root", str(self.root), *words)

    def explain(self, path: str) -> Any:
        done = self("--json", "explain", path)
        assert done.status == 0, done.err
        return done.json()

    def reconcile(self) -> None:
        assert self("reconcile").status in (0, 3)


def save_family(root: Path, saved: Saved, count: int, age: float = HOUR) -> None:
    """Checkpoints ``cp-1``, ``cp-2``, ... of one training, a second apart."""
    then = time.time() - age
    for step in range(1, count + 1):
        saved.write_checkpoint(root / f"{LSTM}/cp-{step}", step % 4)
        for path in (root / LSTM).glob(f"cp-{step}.*"):
            os.utime(path, (then + step, then + step))


# -- what every path is ----------------------------------------------------------------------------


def furnish(root: Path, saved: Saved) -> None:
    """One of each thing that people and trainers leave in a models root."""
    folder = root / LSTM
    save_family(root, saved, 3)
    saved.write_h5(folder / "m.h5")
    saved.write_h5(root / "stray/x.h5")
    saved.write_h5(root / "attic/1h/BTC/LSTM/a.h5")
    saved.write_h5(folder / "old_m.h5")
    saved.write_h5(root / ".cache/m.h5")
    (folder / "m.h5.watcherd.json").write_text('{"note": "good"}')
    (folder / "gone.h5.watcherd.json").write_text("{}")
    (folder / "checkpoint").write_text('model_checkpoint_path: "cp-3"')
    (root / "1h/checkpoint").write_text('model_checkpoint_path: "cp-9"')
    (root / "4h").mkdir()
    (root / "4h/checkpoint").write_bytes(b"\x93 something else")
    (folder / "text.h5").write_text("no HDF5")
    (folder / "graph.meta").write_bytes(b"left behind")
    (folder / "cp-4_temp").mkdir()
    (folder / "cp-4_temp/part-00000-of-00001.index").write_bytes(b"")
    (folder / "cp-5.index.tempstate9007199254740993").write_bytes(b"")
    (folder / f"checkpoint.tmp{'0f' * 16}").write_bytes(b"")
    (folder / "events.out.tfevents.1700000000.host").write_bytes(b"")
    (folder / "m.h5_graph.png").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    (folder / "best.h5").symlink_to("m.h5")
    (root / "1h/LINK").symlink_to("BTC")
    os.mkfifo(folder / "pipe.h5")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9.h5")).write_bytes(b"")
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    (root / os.fsdecode(b"caf\xe9/m.h5")).write_bytes(b"")
    save_model(root / "4h/ETH/GRU/served", saved)


def save_model(folder: Path, saved: Saved) -> None:
    """The names of a SavedModel, around a real checkpoint."""
    (folder / "variables").mkdir(parents=True)
    for suffix, content in saved.checkpoints[0].items():
        (folder / f"variables/variables{suffix}").write_bytes(content)
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, saved: Saved) -> House:
    """A furnished root whose registry is true to it, and which no test changes."""
    folder = tmp_path_factory.mktemp("house")
    (root := folder / "models").mkdir()
    furnish(root, saved)
    watcherd(root, *configure(folder), "reconcile", check=False)
    return House(root, *configure(folder))


class Thing(NamedTuple):
    """What is explained, and what must be said of it."""

    path: str
    kind: str
    what: str
    why: str = ""


THINGS = {
    "a model": Thing(f"{LSTM}/m.h5", "model", "an HDF5 file"),
    "a checkpoint, by its prefix": Thing(f"{LSTM}/cp-2", "model", "a checkpoint"),
    "a checkpoint's index": Thing(
        f"{LSTM}/cp-2.index", "part", f"the index of the checkpoint {LSTM}/cp-2"
    ),
    "a checkpoint's shard": Thing(
        f"{LSTM}/cp-2.data-00000-of-00001", "part", f"a shard of the checkpoint {LSTM}/cp-2"
    ),
    "a model's note": Thing(
        f"{LSTM}/m.h5.watcherd.json", "part", f"the note of the HDF5 file {LSTM}/m.h5"
    ),
    "a note without its model": Thing(
        f"{LSTM}/gone.h5.watcherd.json", "foreign", "the note of gone.h5, which is not there"
    ),
    "a SavedModel": Thing("4h/ETH/GRU/served", "model", "a SavedModel"),
    "the variables of a SavedModel": Thing(
        "4h/ETH/GRU/served/variables/variables.index",
        "part",
        "the index of the SavedModel 4h/ETH/GRU/served",
    ),
    "an unplaced model": Thing(
        "stray/x.h5", "model", "an HDF5 file", "{interval}/{ticker}/{type} needs 3 folders"
    ),
    "what is no model though named like one": Thing(f"{LSTM}/text.h5", "model", "an HDF5 file"),
    "a state file": Thing(
        f"{LSTM}/checkpoint", "state_file", "a state file", f"it names {LSTM}/cp-3: a trainer"
    ),
    "a state file that dangles": Thing(
        "1h/checkpoint", "state_file", "a state file", "it names 1h/cp-9, which is not there"
    ),
    "what only has a state file's name": Thing(
        "4h/checkpoint", "state_file", "a state file", "it names no checkpoint"
    ),
    "a graph alone": Thing(
        f"{LSTM}/graph.meta", "foreign", "the graph of the checkpoint graph, which is not there"
    ),
    "a folder for saving": Thing(
        f"{LSTM}/cp-4_temp", "temporary", "TensorFlow is saving cp-4", "*_temp"
    ),
    "a piece in it": Thing(
        f"{LSTM}/cp-4_temp/part-00000-of-00001.index", "temporary", f"in {LSTM}/cp-4_temp: "
    ),
    "a file being written": Thing(
        f"{LSTM}/cp-5.index.tempstate9007199254740993", "temporary", "TensorFlow is writing"
    ),
    "a state file being written": Thing(
        f"{LSTM}/checkpoint.tmp{'0f' * 16}", "temporary", "TensorFlow is writing"
    ),
    "an event log": Thing(f"{LSTM}/events.out.tfevents.1700000000.host", "foreign", "an event log"),
    "a picture": Thing(f"{LSTM}/m.h5_graph.png", "foreign", "a picture"),
    "any other file": Thing(f"{LSTM}/notes.txt", "foreign", "a file of no model", "its name"),
    "a symlink to a model": Thing(
        f"{LSTM}/best.h5", "symlink", "a symlink to m.h5", "no symlink below the models root"
    ),
    "a symlink to a folder": Thing("1h/LINK", "symlink", "a symlink to BTC"),
    "what lies behind a symlink": Thing(
        "1h/LINK/LSTM/m.h5", "symlink", "behind a symlink: 1h/LINK leads to BTC"
    ),
    "a pipe named like a model": Thing(
        f"{LSTM}/pipe.h5", "unfit", "no model", "not a regular file"
    ),
    "another pipe": Thing(f"{LSTM}/pipe", "unfit", "a pipe, a socket or a device"),
    "a name that is not UTF-8": Thing(
        os.fsdecode(LSTM.encode() + b"/caf\xe9.h5"), "unfit", "no model", "not UTF-8"
    ),
    "what lies in such a folder": Thing(
        os.fsdecode(b"caf\xe9/m.h5"), "unfit", "no model", "not UTF-8"
    ),
    "a hidden folder": Thing(".cache", "ignored", "a folder that is hidden", ".*"),
    "what lies in it": Thing(".cache/m.h5", "ignored", "in .cache: a folder that is hidden"),
    "an ignored file": Thing(
        f"{LSTM}/old_m.h5", "ignored", "a file that is ignored", "models.ignore has old_*"
    ),
    "what lies in an ignored folder": Thing(
        "attic/1h/BTC/LSTM/a.h5", "ignored", "in attic: ", "models.ignore has /attic"
    ),
    "our own folder": Thing(".watcherd/registry.db", "ignored", "watcherd's own"),
    "a folder": Thing("1h", "folder", "a folder with 5 models"),
    "an empty folder": Thing(LSTM.replace("LSTM", ""), "folder", "a folder with 5 models"),
    "a SavedModel's folder": Thing(
        "4h/ETH/GRU/served/variables", "folder", "a folder of the SavedModel 4h/ETH/GRU/served"
    ),
    "the root": Thing(".", "folder", "a folder with 7 models"),
    "what lies outside": Thing("/proc/self/stat", "outside", "outside the models root"),
}


@pytest.mark.parametrize("name", THINGS)
def test_everything_on_disk_is_told_for_what_it_is(house: House, name: str) -> None:
    thing = THINGS[name]
    said = house.explain(thing.path)
    assert said["kind"] == thing.kind
    assert thing.what in said["what"]
    assert thing.why in " ".join(said["reasons"])
    if said["kind"] in ("model", "part"):
        assert said["model"] is not None
    elif said["kind"] != "folder":
        assert said["reasons"], "why it has no row"


def test_every_file_is_a_part_of_a_model_or_told_why_not(house: House) -> None:
    known = {row["path"] for row in rows(house.root, "SELECT path FROM model_file")}
    files = (path.relative_to(house.root) for path in house.root.rglob("*") if path.is_file())
    for path in map(str, files):
        said = house.explain(path)
        is_part = said["kind"] in ("model", "part") and not path.startswith(".watcherd")
        assert is_part == (path in known), said


def test_without_a_registry_the_disk_alone_tells(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    furnish(root, saved)
    for thing in THINGS.values():
        if ".watcherd" not in thing.path:
            said = house.explain(thing.path)
            assert (said["kind"], said["model"]) == (thing.kind, None)
            if thing.kind in ("model", "part", "folder"):
                assert "there is no registry yet" in said["reasons"][0]
    assert not (root / ".watcherd").exists()


@pytest.mark.parametrize("name", ["nothing", "1h/BTC/LSTM/cp-77", "/nowhere/m.h5", "77", ""])
def test_what_is_neither_on_disk_nor_in_the_registry_is_no_model(house: House, name: str) -> None:
    done = house("explain", name)
    assert (done.status, done.out) == (12, "")
    assert "neither on disk nor in the registry" in done.err


def test_a_folder_tells_its_models_its_blind_spots_and_what_was_left_over(
    house: House, root: Path, saved: Saved
) -> None:
    saved.write_h5(root / f"{LSTM}/m.h5")
    saved.write_h5(root / "1h/SHUT/LSTM/m.h5")
    old = root / f"{LSTM}/cp-4_temp"
    old.mkdir()
    (root / f"{LSTM}/cp-5_temp").mkdir()
    os.utime(old, (1_700_000_000, 1_700_000_000))
    (root / "1h/SHUT").chmod(0)
    try:
        done = as_ordinary_user(
            "-m", "watcherd", "--root", str(root), "--json", "explain", "1h", cwd=os.getcwd()
        )
    finally:
        (root / "1h/SHUT").chmod(0o755)
    said = json.loads(done.stdout)
    assert said["survey"]["blind"] == {"1h/SHUT": "cannot be read: Permission denied"}
    assert [one["path"] for one in said["survey"]["leftovers"]] == [f"{LSTM}/cp-4_temp"]


def test_under_a_blind_spot_nothing_can_be_said(root: Path, saved: Saved) -> None:
    saved.write_h5(root / "1h/SHUT/LSTM/m.h5")
    watcherd(root, "reconcile")
    (root / "1h/SHUT").chmod(0)
    try:
        done = as_ordinary_user(
            "-m", "watcherd", "--root", str(root), "--json", "explain", "1h/SHUT/LSTM/m.h5"
        )
    finally:
        (root / "1h/SHUT").chmod(0o755)
    said = json.loads(done.stdout)
    assert (said["kind"], said["what"]) == ("blind", "under a blind spot: 1h/SHUT")
    assert said["reasons"][0] == "cannot be read: Permission denied"
    assert said["model"]["state"] == "present"
    assert said["differs"] == []


def test_nothing_is_written_and_nothing_needs_to_be(house: House) -> None:
    before = stamps(house.root)
    for thing in THINGS.values():
        house("explain", thing.path)
    assert stamps(house.root) == before
    done = as_ordinary_user(
        "-m", "watcherd", "--root", str(house.root), "explain", f"{LSTM}/cp-2",
        cwd=os.getcwd(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_ctime_ns) for path in root.rglob("*")}


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_the_terminal(house: House, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for thing in THINGS.values():
        lines = house("explain", thing.path).out.splitlines()
        assert max(map(len, lines)) <= max(columns, len(lines[0]))


# -- by which name ---------------------------------------------------------------------------------

NAMES: dict[str, Callable[[House, int], str]] = {
    "its path from the root": lambda house, _: f"{LSTM}/cp-2",
    "its whole path": lambda house, _: str(house.root / LSTM / "cp-2"),
    "its id": lambda house, number: str(number),
    "its alias": lambda house, _: "1h/BTC/LSTM@champion",
    "its prefix in its folder": lambda house, _: "cp-2",
    "a file in its folder": lambda house, _: "cp-2.index",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_may_be_called(
    root: Path, saved: Saved, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(root, *configure(root.parent))
    save_family(root, saved, 3)
    house.reconcile()
    house("alias", f"{LSTM}/cp-2", "champion")
    number = {row["path"]: row["model_id"] for row in rows(root)}[f"{LSTM}/cp-2"]
    monkeypatch.chdir(root / LSTM)
    assert house.explain(NAMES[name](house, number))["model"]["model_id"] == number


# -- what the registry does not know yet -----------------------------------------------------------


def test_what_was_saved_a_moment_ago_settles(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent, settle="1h"))
    saved.write_h5(root / f"{LSTM}/m.h5")
    written = (root / f"{LSTM}/m.h5").stat().st_ctime_ns
    said = house.explain(f"{LSTM}/m.h5")
    due = iso(written + int(HOUR * 1e9))
    assert f"it changed at {iso(written)}, and is judged at {due}" in said["reasons"][0]


def test_a_model_that_changes_keeps_its_row_until_it_is_judged(root: Path, saved: Saved) -> None:
    saved.write_h5(root / f"{LSTM}/m.h5")
    House(root, *configure(root.parent)).reconcile()
    saved.write_h5(root / f"{LSTM}/m.h5", 1)
    said = House(root, *configure(root.parent, settle="1h")).explain(f"{LSTM}/m.h5")
    assert (said["model"]["state"], said["reasons"]) == ("present", [])
    (differs,) = said["differs"]
    assert differs.startswith("it changed at ")
    assert "and is judged at " in differs


def test_what_no_look_has_seen_yet_has_no_row(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    house.reconcile()
    saved.write_h5(root / f"{LSTM}/m.h5")
    said = house.explain(f"{LSTM}/m.h5")
    assert "no row yet: watcherd reconcile" in said["reasons"][0]
    assert said["disk"]["size_bytes"] == (root / f"{LSTM}/m.h5").stat().st_size


def test_what_changed_or_went_since_is_told_file_by_file(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    save_family(root, saved, 1)
    saved.write_h5(root / f"{LSTM}/m.h5")
    house.reconcile()
    (root / f"{LSTM}/cp-1.index").unlink()
    (root / f"{LSTM}/m.h5").write_text("short")
    os.utime(root / f"{LSTM}/m.h5", (1_700_000_000, 1_700_000_000))
    assert house.explain(f"{LSTM}/cp-1")["differs"] == [f"{LSTM}/cp-1.index is gone"]
    (differs,) = house.explain(f"{LSTM}/m.h5")["differs"]
    assert f"{LSTM}/m.h5 has 5 bytes of 2023-11-14T22:13:20.000Z; the registry" in differs
    (root / f"{LSTM}/m.h5").unlink()
    said = house.explain(f"{LSTM}/m.h5")
    assert (said["what"], said["differs"]) == (
        "a model that is not on disk",
        ["it is gone: the next look notes it"],
    )


# -- what becomes of it ----------------------------------------------------------------------------


def test_its_verdict_is_the_one_that_pruning_gives(root: Path, saved: Saved) -> None:
    more = 'keep_tags = ["champion"]\nkeep_within = "30m"'
    house = House(root, *configure(root.parent, more=more))
    save_family(root, saved, 7)
    saved.write_h5(root / f"{LSTM}/m.h5")
    (root / f"{LSTM}/checkpoint").write_text('model_checkpoint_path: "cp-2"')
    (root / f"{LSTM}/cp-link").symlink_to("cp-4.index")
    house.reconcile()
    house("pin", f"{LSTM}/cp-1")
    house("tag", f"{LSTM}/cp-3", "champion")
    verdicts = house("--json", "prune", "--dry-run").json()["verdicts"]
    assert {one["verdict"] for one in verdicts} == {"keep", "remove"}
    for one in verdicts:
        fate = house.explain(one["path"])["fate"]
        assert fate["standing"] == {"keep": "kept", "remove": "leaving"}[one["verdict"]]
        assert fate["reasons"] == one["reasons"]


@pytest.mark.parametrize(
    ("keeps", "seconds"),
    [({"min_age": "1h"}, HOUR), ({"more": 'keep_within = "2h"'}, 2 * HOUR)],
    ids=["min_age", "keep_within"],
)
def test_what_time_alone_keeps_goes_when_that_time_is_over(
    root: Path, saved: Saved, keeps: dict[str, str], seconds: float
) -> None:
    house = House(root, *configure(root.parent, **keeps))
    save_family(root, saved, 4, age=0.0 if "min_age" in keeps else HOUR)
    house.reconcile()
    row = {row["path"]: row for row in rows(root)}[f"{LSTM}/cp-1"]
    since = row["modified_at"] if "more" in keeps else max(row["modified_at"], row["placed_at"])
    fate = house.explain(f"{LSTM}/cp-1")["fate"]
    assert (fate["standing"], fate["until"]) == ("kept", iso(ns_of(since) + int(seconds * 1e9)))
    assert "max_to_keep 4 of 2" in fate["then"]
    assert house.explain(f"{LSTM}/cp-4")["fate"]["until"] is None, "others keep it as well"


def test_what_time_alone_kept_but_is_held_has_no_such_end(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent, min_age="1h"))
    save_family(root, saved, 4, age=0.0)
    (root / f"{LSTM}/best").symlink_to("cp-1.index")
    house.reconcile()
    fate = house.explain(f"{LSTM}/cp-1")["fate"]
    assert (fate["standing"], fate["until"]) == ("kept", None)
    assert any("symlink" in reason for reason in fate["reasons"])


IDLE = {
    "no daemon": ({}, "no daemon runs: watcherd prune does it"),
    "a dry run": ({"dry_run": True}, "retention.dry_run is true: nothing moves"),
}


@pytest.mark.parametrize("name", IDLE)
def test_what_would_go_and_does_not_is_told_why(root: Path, saved: Saved, name: str) -> None:
    values, why = IDLE[name]
    house = House(root, *configure(root.parent, **values))
    save_family(root, saved, 3)
    house.reconcile()
    fate = house.explain(f"{LSTM}/cp-1")["fate"]
    assert (fate["standing"], fate["until"]) == ("leaving", None)
    assert fate["rule"] == "retention.rule[0], which matches format checkpoint"
    assert why in fate["notes"]


def test_a_model_in_the_trash_and_what_came_after(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    save_family(root, saved, 3)
    house.reconcile()
    assert house("prune", "--yes").status == 0
    said = house.explain(f"{LSTM}/cp-1")
    fate = said["fate"]
    assert (said["what"], fate["standing"]) == ("a model that is not on disk", "trashed")
    assert fate["reasons"] == ["max_to_keep 3 of 2"]
    assert ns_of(fate["until"]) - ns_of(fate["since"]) == 3 * 24 * HOUR * 1e9
    (entry,) = (root / ".watcherd/trash").iterdir()
    inside = house.explain(str((entry / "cp-1.index").relative_to(root)))
    assert inside["what"] == f"in the trash, with model {said['model']['model_id']}"
    assert house("trash", "purge", "--all").status == 0
    fate = house.explain(f"{LSTM}/cp-1")["fate"]
    assert (fate["standing"], fate["reasons"]) == ("deleted", ["max_to_keep 3 of 2"])
    assert fate["notes"][0].startswith("purged from the trash at ")
    assert socket.gethostname() in fate["actor"]


def test_a_model_that_went_by_itself(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    saved.write_h5(root / f"{LSTM}/m.h5").with_name("n.h5").write_text("")
    house.reconcile()
    (root / f"{LSTM}/m.h5").unlink()
    house.reconcile()
    fate = house.explain(f"{LSTM}/m.h5")["fate"]
    (line,) = rows(root, "SELECT * FROM history WHERE verb = 'missing'")
    assert (fate["standing"], fate["since"]) == ("missing", line["at"])
    saved.write_h5(root / f"{LSTM}/m.h5", 1)
    assert house.explain(f"{LSTM}/m.h5")["differs"] == [f"there is something at {LSTM}/m.h5 again"]


def test_the_old_path_of_a_model_says_where_it_went(root: Path, saved: Saved) -> None:
    house = House(root, *configure(root.parent))
    saved.write_h5(root / f"{LSTM}/m.h5")
    house.reconcile()
    (root / f"{LSTM}/m.h5").rename(root / f"{LSTM}/n.h5")
    house.reconcile()
    said = house.explain(f"{LSTM}/m.h5")
    (line,) = rows(root, "SELECT * FROM history WHERE verb = 'moved'")
    assert (said["what"], said["reasons"]) == (
        f"a model that was here: {LSTM}/n.h5",
        [f"it moved at {line['at']}"],
    )
    assert (said["model"]["path"], said["differs"]) == (f"{LSTM}/n.h5", [])


def test_while_the_root_is_away_the_registry_alone_speaks(root: Path, saved: Saved) -> None:
    url = f"sqlite:///{root.parent}/registry.db"
    house = House(root, *configure(root.parent), "--registry", url)
    saved.write_h5(root / f"{LSTM}/m.h5")
    house.reconcile()
    root.rename(root.with_name("away"))
    done = house("--json", "explain", f"{LSTM}/m.h5")
    assert done.status == 10
    assert (done.json()["kind"], done.json()["model"]["state"]) == ("blind", "present")
    assert "is not there" in done.json()["reasons"][0]
    assert (house("explain", "1h/other.h5").status, house("explain", "1h").status) == (10, 10)
