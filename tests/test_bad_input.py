"""Whatever lies in the models root costs itself at most: its own row, and never a neighbour's.

A row says why in words for a person, or there is none; the cycle goes on, and is done with it.
"""

import ctypes
import json
import os
import pickle
import platform
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import h5py
import pytest

from tests.conftest import Saved, wait_until, watcherd
from tests.inline import Inline, reconcile, reconciler_of
from tests.test_scan import as_ordinary_user, listening_at
from watcherd import child as child_room
from watcherd.child import Broken, Child
from watcherd.errors import WatcherdError
from watcherd.naming import Naming
from watcherd.plan import Reading, Verb
from watcherd.readers.batch import Job, read_batch
from watcherd.readers.batch import prepare as prepare_reading
from watcherd.reconciler import Reconciler
from watcherd.registry import Filter, Mode, Registry, Row
from watcherd.registry.candidates import load_candidates
from watcherd.scope import ROOT, Cause, Request

GOOD = ("1h/BTC/LSTM/good.h5", "1h/BTC/LSTM/good-1", "4h/ETH/GRU/good.h5")
"""Neighbours that nothing may cost their rows."""
BAD = "1h/BTC/LSTM/bad"

Write = Callable[[Path, Saved], object]
"""Puts something at a path, of which the suffix is left to it."""


@pytest.fixture(scope="session")
def new_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that knows nothing: making its schema takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    return path


@pytest.fixture
def neighbours(root: Path, saved: Saved, new_registry: Path) -> Path:
    """A models root with three good models that a new registry will know."""
    (root / ".watcherd").mkdir()
    shutil.copyfile(new_registry, root / ".watcherd/registry.db")
    saved.write_h5(root / GOOD[0])
    saved.write_checkpoint(root / GOOD[1], 1)
    saved.write_h5(root / GOOD[2], 2)
    return root


def books(reconciler: Reconciler) -> dict[str, Row]:
    """Path -> row of all that the registry knows; the neighbours, which must be there, left out."""
    found = {row["path"]: row for row in reconciler.registry.models(Filter(states=()))}
    good = {path: found.pop(path, {"state": "unknown"})["state"] for path in GOOD}
    assert good == dict.fromkeys(GOOD, "present"), "a neighbour was made to pay"
    return found


def is_for_a_person(reason: str | None) -> bool:
    """Words, and neither a bare exception nor an unfinished sentence."""
    return bool(reason) and " " in str(reason) and not str(reason).rstrip().endswith(":")


# -- files that are not what their names say -------------------------------------------------------


def _h5(content: bytes) -> Write:
    return lambda at, saved: at.with_name(at.name + ".h5").write_bytes(content)


def _truncated_h5(at: Path, saved: Saved) -> None:
    _h5(saved.h5[0][: len(saved.h5[0]) // 2])(at, saved)


def _longer_h5(at: Path, saved: Saved) -> None:
    _h5(saved.h5[0] + b"more")(at, saved)


def _scrambled_h5(at: Path, saved: Saved) -> None:
    content = saved.h5[0]
    _h5(content[:96] + bytes(len(content) - 96))(at, saved)


def _table_h5(at: Path, saved: Saved) -> None:
    with h5py.File(at.with_name(at.name + ".h5"), "w") as file:
        file["prices"] = range(10)


def _checkpoint(*suffixes: str, **cut: int) -> Write:
    """A real checkpoint's files of these suffixes, each cut to so many bytes."""

    def write(at: Path, saved: Saved) -> None:
        for suffix, content in saved.checkpoints[0].items():
            kind = suffix.split(".")[1][:5]
            if kind in suffixes:
                at.with_name(at.name + suffix).write_bytes(content[: cut.get(kind)])

    return write


def _two_shards_of_three(at: Path, saved: Saved) -> None:
    _checkpoint("index", "data-")(at, saved)
    first = at.with_name(at.name + ".data-00000-of-00001")
    first.rename(at.with_name(at.name + ".data-00000-of-00003"))
    at.with_name(at.name + ".data-00002-of-00003").write_bytes(b"x" * 10)


FILES: dict[str, tuple[Write, str, str]] = {
    "text": (_h5(b"not a model"), "unreadable", "text, not HDF5"),
    "a pickle": (_h5(pickle.dumps({"w": [1.0]})), "unreadable", "pickle"),
    "a git-lfs pointer": (_h5(b"version https://git-lfs.github.com/spec/v1"), "unreadable", "lfs"),
    "a zip": (_h5(b"PK\x03\x04" + bytes(100)), "unreadable", "zip"),
    "random bytes": (_h5(b"\xfe\xdc\xba\x98" * 100), "unreadable", "neither HDF5"),
    "escape sequences": (_h5(b"\x1b[2J\x1b[31mred"), "unreadable", ""),
    "another program's HDF5": (_table_h5, "present", ""),
    "an empty file": (_h5(b""), "incomplete", "empty"),
    "one byte": (_h5(b"\x89"), "incomplete", "only begun"),
    "zeros": (_h5(bytes(5000)), "incomplete", "zeros"),
    "a truncated model": (_truncated_h5, "incomplete", "never finished"),
    "a model with more behind it": (_longer_h5, "incomplete", "never finished"),
    "a model of which pages are lost": (_scrambled_h5, "unreadable", "damaged"),
    "an index without its shard": (_checkpoint("index"), "incomplete", "data-00000-of-00001"),
    "a shard without its index": (_checkpoint("data-"), "incomplete", ".index is missing"),
    "a truncated index": (_checkpoint("index", "data-", index=100), "incomplete", "index"),
    "an empty index": (_checkpoint("index", "data-", index=0), "incomplete", "index"),
    "a truncated shard": (_checkpoint("index", "data-", **{"data-": 10}), "incomplete", "10"),
    "an empty shard": (_checkpoint("index", "data-", **{"data-": 0}), "incomplete", "data-"),
    "shards of another number": (_two_shards_of_three, "incomplete", ""),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_cannot_be_a_model_gets_a_row_with_a_reason(
    neighbours: Path, saved: Saved, kind: str
) -> None:
    write, state, words = FILES[kind]
    write(neighbours / BAD, saved)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        (row,) = books(reconciler).values()
        assert row["state"] == state
        assert words in (row["reason"] or "")
        assert is_for_a_person(row["reason"]) == (state != "present")
        assert str(row["reason"]).isprintable()
        again = reconcile(reconciler)
        assert again.plan.changes == ()
        assert again.unfinished == ()


@pytest.mark.parametrize("kind", [kind for kind, (_, state, _) in FILES.items() if state[0] != "p"])
def test_once_it_is_whole_it_is_present(neighbours: Path, saved: Saved, kind: str) -> None:
    FILES[kind][0](neighbours / BAD, saved)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        for file in neighbours.glob(f"{BAD}.*"):
            file.unlink()
        (path,) = books(reconciler)
        if path.endswith(".h5"):
            saved.write_h5(neighbours / path, 3)
        else:
            saved.write_checkpoint(neighbours / path, 3)
        (change,) = reconcile(reconciler).plan.events
        assert change.verb in (Verb.UPDATED, Verb.COMPLETED)
        assert books(reconciler)[path]["state"] == "present"
        assert books(reconciler)[path]["reason"] is None


# -- content that a registry cannot hold -----------------------------------------------------------

CONFIG: dict[str, Any] = {
    "class_name": "Sequential",
    "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {"units": 3}}]},
}
TRAINING: dict[str, Any] = {
    "loss": "mse",
    "optimizer_config": {"class_name": "Adam", "config": {"learning_rate": 0.001}},
}


def _attributes(**attributes: Any) -> Write:
    def write(at: Path, saved: Saved) -> None:
        with h5py.File(at.with_name(at.name + ".h5"), "w") as file:
            file.attrs.update(
                {"model_config": json.dumps(CONFIG), "training_config": json.dumps(TRAINING)}
            )
            file.create_group("model_weights")
            file.attrs.update(attributes)

    return write


def _optimizer(**settings: Any) -> Write:
    config = {"class_name": "Adam", "config": settings}
    return _attributes(training_config=json.dumps(TRAINING | {"optimizer_config": config}))


def _huge_shapes(at: Path, saved: Saved) -> None:
    _attributes()(at, saved)
    with h5py.File(at.with_name(at.name + ".h5"), "a") as file:
        for number in range(9):
            file["model_weights"].create_dataset(
                f"w{number}", shape=(2**30, 2**31), chunks=(1, 1), dtype="f4"
            )


def _steps(count: Any, dtype: str) -> Write:
    def write(at: Path, saved: Saved) -> None:
        _attributes()(at, saved)
        with h5py.File(at.with_name(at.name + ".h5"), "a") as file:
            group = file.create_group("optimizer_weights")
            group.attrs["weight_names"] = [b"iterations:0"]
            group.create_dataset("iterations:0", data=count, dtype=dtype)

    return write


CONTENTS: dict[str, Write] = {
    "half a surrogate pair": _attributes(
        model_config=json.dumps(CONFIG | {"class_name": "\ud800"}), keras_version=b"3.\xed\xb0\x80"
    ),
    "half a pair in an optimizer": _optimizer(learning_rate="\udfff", name="\ud800"),
    "half a pair for an optimizer's class": _attributes(
        training_config='{"optimizer_config": {"class_name": "\\ud83d", "config": {}}}'
    ),
    "a NUL character": _attributes(model_config=json.dumps(CONFIG | {"class_name": "a\0b"})),
    "escape sequences": _attributes(
        model_config=json.dumps(CONFIG | {"class_name": "\x1b[2J"}), keras_version="\x1b[31m"
    ),
    "bytes that are not UTF-8": _attributes(keras_version=b"\xff\xfe", backend=b"\x80"),
    "a learning rate that is no number": _optimizer(learning_rate=float("nan")),
    "an endless learning rate": _optimizer(learning_rate=float("inf")),
    "a learning rate of 300 digits": _optimizer(learning_rate=10**299),
    "a learning rate beyond any float": _optimizer(learning_rate=10**500),
    "more parameters than 63 bits count": _huge_shapes,
    "steps of 64 bits": _steps(2**64 - 1, "u8"),
    "steps below zero": _steps(-5, "i8"),
    "steps that are no number": _steps(float("nan"), "f8"),
    "a config that is no JSON": _attributes(model_config="{"),
    "a config that is a number": _attributes(model_config="1e999"),
    "a config that nests without end": _attributes(model_config="[" * 60_000),
    "a config that is a list of nothing": _attributes(model_config="[null, [], {}, 7]"),
    "layers that are no list": _attributes(
        model_config='{"class_name": [], "config": {"layers": {"a": {"layers": 5}}}}'
    ),
    "training settings of the wrong kind": _attributes(
        training_config='{"loss": {"a": [1, {}]}, "metrics": 5, "optimizer_config": [[]]}'
    ),
    "attributes that are numbers": _attributes(model_config=7, keras_version=3.5, backend=[1, 2]),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_no_content_keeps_a_registry_from_being_written(
    neighbours: Path, saved: Saved, kind: str
) -> None:
    CONTENTS[kind](neighbours / BAD, saved)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        (row,) = books(reconciler).values()
        assert row["state"] in ("present", "unreadable")
        assert is_for_a_person(row["reason"]) == (row["state"] == "unreadable")
        json.dumps(reconciler.registry.find(row["model_id"]), allow_nan=False).encode()
        assert reconcile(reconciler).plan.changes == ()


# -- things that are no files ----------------------------------------------------------------------


def test_pipes_sockets_folders_symlinks_and_odd_names_get_no_row(
    neighbours: Path, saved: Saved, tmp_path: Path
) -> None:
    place = neighbours / "1h/BTC/LSTM"
    saved.write_h5(tmp_path / "outside/m.h5", 3)
    os.mkfifo(place / "pipe.h5")
    os.mkfifo(place / "pipe.index")
    (place / "folder.h5").mkdir()
    (place / "link.h5").symlink_to(tmp_path / "outside/m.h5")
    (place / "link").symlink_to(tmp_path / "outside")
    (place / "self.h5").symlink_to("self.h5")
    saved.write_h5(place / os.fsdecode(b"not utf8 \xff.h5"), 3)
    saved.write_h5(neighbours / os.fsdecode(b"\xff\xfe/1h/m.h5"), 3)
    with listening_at(place / "socket.h5"), reconciler_of(neighbours) as reconciler:
        cycle = reconcile(reconciler)
        assert books(reconciler) == {}
        assert not cycle.blind
        assert reconcile(reconciler).plan.changes == ()


def test_a_folder_with_the_name_of_a_model_holds_models(neighbours: Path, saved: Saved) -> None:
    saved.write_h5(neighbours / "1h/BTC/m.h5/n.h5", 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        (row,) = books(reconciler).values()
        assert (row["path"], row["type"], row["state"]) == ("1h/BTC/m.h5/n.h5", "m.h5", "present")


@pytest.mark.parametrize("now", ["pipe", "folder", "symlink", "nothing"])
@pytest.mark.parametrize("name", ["bad.h5", "bad-1"])
def test_a_model_that_something_else_replaced_is_missing(
    neighbours: Path, saved: Saved, tmp_path: Path, name: str, now: str
) -> None:
    place = neighbours / "1h/BTC/LSTM" / name
    saved.write_h5(place, 3) if name.endswith("h5") else saved.write_checkpoint(place, 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        for path in sorted(place.parent.glob(f"{name}*")):
            put(now, path)
        cycle = reconcile(reconciler)
        assert cycle.unfinished == ()
        assert books(reconciler)[f"1h/BTC/LSTM/{name}"]["state"] == "missing"
        assert reconcile(reconciler).plan.changes == ()


def put(what: str, path: Path) -> None:
    """Put something in the place of a file; the file lives on, so that its inode is not reused."""
    path.rename(path.parent.parent / f"{path.name}.aside")
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "symlink":
            path.symlink_to(path.parent.parent / f"{path.name}.aside")


@pytest.mark.parametrize("now", ["pipe", "folder"])
def test_a_model_whose_inode_something_else_was_given_is_missing(
    neighbours: Path, saved: Saved, now: str
) -> None:
    """ext4 hands a freed inode to what is made next."""
    path = saved.write_h5(neighbours / f"{BAD}.h5", 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        put(now, path)
        with reconciler.registry.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE model_file SET inode = ? WHERE path = ?",
                (path.lstat().st_ino, f"{BAD}.h5"),
            )
        assert reconcile(reconciler).unfinished == ()
        assert books(reconciler)[f"{BAD}.h5"]["state"] == "missing"


# -- names -----------------------------------------------------------------------------------------

ODD = {
    "newline": "a\nb",
    "carriage return": "a\rb",
    "tab": "a\tb",
    "escape": "\x1b[31mred\x1b[0m",
    "bell": "\x07",
    "single quote": "it's",
    "double quote": 'say "hi"',
    "SQL": "x'); DROP TABLE model; --",
    "brackets": "[a-z]",
    "markup": "[red]x",
    "glob": "*?",
    "percent": "100%d%",
    "backslash": "a\\b",
    "spaces": " a  b ",
    "dash": "-rf",
    "Korean": "비트코인",
    "right to left": "abc\u202efed",
    "combining": "e\u0301",
    "emoji": "🚀",
    "240 bytes": "x" * 240,
    "dots": "...a..b",
    "braces": "{ticker}",
}


@pytest.mark.parametrize("kind", ODD)
def test_any_name_is_registered_as_it_is(neighbours: Path, saved: Saved, kind: str) -> None:
    odd = ODD[kind]
    hidden = odd.startswith(".")
    path, prefix = f"1h/{odd}/LSTM/{odd}.h5", f"1h/{odd}/LSTM/{odd[:200]}-1"
    saved.write_h5(neighbours / path, 3)
    saved.write_checkpoint(neighbours / prefix, 2)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        expected = {} if hidden else {path: "present", prefix: "present"}
        found = books(reconciler)
        assert {path: row["state"] for path, row in found.items()} == expected
        assert {row["ticker"] for row in found.values()} == ({odd} if not hidden else set())
        assert reconcile(reconciler).plan.changes == ()
        shutil.rmtree(neighbours / "1h" / odd)
        reconcile(reconciler)
        assert {row["state"] for row in books(reconciler).values()} <= {"missing"}


def test_names_that_differ_only_in_case_are_different_models(
    neighbours: Path, saved: Saved
) -> None:
    paths = {"1h/btc/LSTM/m.h5", "1h/btc/LSTM/M.h5", "1h/Btc/LSTM/m.h5", "1h/btc/LSTM/m.H5"}
    for variant, path in enumerate(sorted(paths)):
        saved.write_h5(neighbours / path, variant)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        assert {row["state"] for row in books(reconciler).values()} == {"present"}
        assert set(books(reconciler)) == paths


def test_a_model_a_hundred_folders_down_is_registered(neighbours: Path, saved: Saved) -> None:
    path = "/".join(f"d{number}" for number in range(100)) + "/m.h5"
    saved.write_h5(neighbours / path, 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        assert books(reconciler)[path]["state"] == "present"


def test_a_path_longer_than_the_system_takes_costs_only_itself(
    neighbours: Path, saved: Saved
) -> None:
    """Longer than PATH_MAX: it can be made, and be listed, folder by folder only."""
    folder_fd = os.open(neighbours, os.O_RDONLY)
    for _ in range(50):
        os.mkdir("d" * 100, dir_fd=folder_fd)
        below_fd = os.open("d" * 100, os.O_RDONLY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = below_fd
    with open(os.open("m.h5", os.O_CREAT | os.O_WRONLY, dir_fd=folder_fd), "wb") as file:
        file.write(saved.h5[3])
    os.close(folder_fd)
    with reconciler_of(neighbours) as reconciler:
        cycle = reconcile(reconciler)
        rows = books(reconciler)
        assert {row["state"] for row in rows.values()} <= {"present"}
        assert rows or all("too long" in why for why in cycle.blind.values())
        assert bool(rows) != bool(cycle.blind)
    shutil.rmtree(neighbours / ("d" * 100))


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(0, id="1970"),
        pytest.param(-1_000_000_000, id="1938"),
        pytest.param(9_000_000_000, id="2255"),
        pytest.param(13_000_000_000, id="2381"),
    ],
)
def test_a_model_of_any_age_costs_no_neighbour_its_row(
    neighbours: Path, saved: Saved, seconds: int
) -> None:
    """ext4 counts to the year 2446; in 2262 the nanoseconds since 1970 outgrow 63 bits."""
    path = saved.write_h5(neighbours / f"{BAD}.h5", 3)
    os.utime(path, (seconds, seconds))
    assert path.stat().st_mtime == seconds, "this file system keeps no such times"
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        assert books(reconciler)[f"{BAD}.h5"]["state"] == "present"
        assert reconcile(reconciler).plan.changes == ()
        load_candidates(reconciler.registry, reconciler.root.root_id, ())


# -- what comes and goes while we look -------------------------------------------------------------


class Meanwhile(Inline):
    """Reads as ever, but something happens between the scan and the reading."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._acts = [act]

    def map(self, items: Sequence[Job]) -> Iterator[Reading]:
        while self._acts:
            self._acts.pop()()
        return super().map(items)


MEANWHILE: dict[str, tuple[Callable[[Path, Saved], object], str | None]] = {
    "vanishes": (lambda path, saved: path.unlink(), None),
    "vanishes with its folder": (lambda path, saved: shutil.rmtree(path.parent), None),
    "is written to": (lambda path, saved: path.write_bytes(saved.h5[2]), "present"),
    "is emptied": (lambda path, saved: os.truncate(path, 0), "incomplete"),
    "becomes a symlink": (lambda path, saved: put("symlink", path), None),
    "becomes a folder": (lambda path, saved: put("folder", path), None),
    "becomes a pipe": (lambda path, saved: put("pipe", path), None),
}


@pytest.mark.parametrize("kind", MEANWHILE)
def test_what_a_model_becomes_between_scan_and_reading_is_seen_by_the_next_look(
    neighbours: Path, saved: Saved, kind: str
) -> None:
    act, state = MEANWHILE[kind]
    path = saved.write_h5(neighbours / "1h/X/LSTM/bad.h5", 3)
    with reconciler_of(neighbours) as reconciler:
        reconciler.child = cast(Any, Meanwhile(lambda: act(path, saved)))
        first = reconcile(reconciler)
        assert first.unfinished == ("1h/X/LSTM/bad.h5",)
        assert books(reconciler) == {}
        assert reconcile(reconciler).unfinished == ()
        found = {path: row["state"] for path, row in books(reconciler).items()}
        assert found.get("1h/X/LSTM/bad.h5") == state


@pytest.mark.parametrize("kind", MEANWHILE)
def test_a_known_model_is_not_called_anything_else_meanwhile(
    neighbours: Path, saved: Saved, kind: str
) -> None:
    act, state = MEANWHILE[kind]
    path = saved.write_h5(neighbours / "1h/X/LSTM/bad.h5", 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        known = books(reconciler)["1h/X/LSTM/bad.h5"]
        saved.write_h5(path, 1)
        reconciler.child = cast(Any, Meanwhile(lambda: act(path, saved)))
        reconcile(reconciler)
        assert books(reconciler)["1h/X/LSTM/bad.h5"] == known
        assert reconcile(reconciler).unfinished == ()
        after = books(reconciler)["1h/X/LSTM/bad.h5"]
        assert after["state"] == (state or "missing")
        assert after["model_id"] == known["model_id"]


# -- what is left over -----------------------------------------------------------------------------


@pytest.mark.parametrize("left", [".meta", "_temp"])
def test_a_checkpoint_of_which_only_a_remainder_is_left_is_missing(
    neighbours: Path, saved: Saved, left: str
) -> None:
    """``P.meta`` alone is no artifact, and neither is ``P_temp``: what had them is gone."""
    saved.write_checkpoint(neighbours / BAD, 3)
    if left == ".meta":
        (neighbours / f"{BAD}.meta").write_bytes(b"graph")
    else:
        (neighbours / f"{BAD}_temp").mkdir()
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        assert books(reconciler)[BAD]["state"] in ("present", "incomplete")
        for path in neighbours.glob(f"{BAD}.[id]*"):
            path.unlink()
        assert reconcile(reconciler).unfinished == ()
        assert books(reconciler)[BAD]["state"] == "missing"
        assert reconcile(reconciler).plan.changes == ()


@pytest.mark.parametrize("name", ["old_m.h5", "old_ckpt-1"])
def test_a_known_model_that_the_settings_ignore_from_now_on_is_settled_in_one_cycle(
    neighbours: Path, saved: Saved, name: str
) -> None:
    place = neighbours / "1h/BTC/LSTM" / name
    saved.write_h5(place, 3) if name.endswith("h5") else saved.write_checkpoint(place, 3)
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        reconciler.naming = Naming(ignore=("old_*",))
        assert reconcile(reconciler).unfinished == ()
        again = reconcile(reconciler)
        assert again.plan.changes == ()
        assert again.unfinished == ()


# -- as a user without root's privileges -----------------------------------------------------------


def test_what_may_not_be_read_is_named_and_leaves_rows_and_neighbours_alone(
    neighbours: Path, saved: Saved, tmp_path: Path
) -> None:
    words = ("--root", str(neighbours), "--registry", f"sqlite:///{tmp_path}/registry.db")
    shut = ["1h/SHUT/LSTM/known.h5", "1h/BTC/LSTM/known.h5"]
    for variant, path in enumerate(shut):
        saved.write_h5(neighbours / path, variant)
    watcherd(neighbours, *words[2:], "reconcile")
    for path in ("1h/SHUT/LSTM/new.h5", "1h/BTC/LSTM/new.h5"):
        saved.write_h5(neighbours / path, 3)
    saved.write_h5(neighbours / "1h/BTC/LSTM/fine.h5", 3)
    (neighbours / "1h/SHUT").chmod(0)
    for name in ("known.h5", "new.h5"):
        (neighbours / "1h/BTC/LSTM" / name).chmod(0)
    try:
        done = as_ordinary_user("-m", "watcherd", *words, "--json", "reconcile")
        listed = as_ordinary_user("-m", "watcherd", *words, "--json", "list", "--state", "all")
    finally:
        (neighbours / "1h/SHUT").chmod(0o755)
    said = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert set(said["blind"]) == {"1h/SHUT", "1h/BTC/LSTM/known.h5", "1h/BTC/LSTM/new.h5"}
    assert all("ermission" in why for why in said["blind"].values())
    assert [one["path"] for one in said["changes"]] == ["1h/BTC/LSTM/fine.h5"]
    states = {row["path"]: row["state"] for row in json.loads(listed.stdout)}
    assert states == dict.fromkeys([*GOOD, *shut, "1h/BTC/LSTM/fine.h5"], "present")


def test_a_place_behind_a_shut_door_may_be_asked_for(
    neighbours: Path, saved: Saved, tmp_path: Path
) -> None:
    words = ("--root", str(neighbours), "--registry", f"sqlite:///{tmp_path}/registry.db")
    saved.write_h5(neighbours / "1h/SHUT/LSTM/m.h5", 3)
    (neighbours / "1h/SHUT").chmod(0)
    try:
        done = as_ordinary_user("-m", "watcherd", *words, "reconcile", "1h/SHUT/LSTM/m.h5")
    finally:
        (neighbours / "1h/SHUT").chmod(0o755)
    assert done.returncode == 3, done.stderr
    assert "not looked at: 1h/SHUT" in done.stdout


def test_one_run_over_everything_at_once_ends_well_and_says_what_it_saw(
    neighbours: Path, saved: Saved
) -> None:
    for number, kind in enumerate(FILES):
        FILES[kind][0](neighbours / f"{BAD}{number}", saved)
    os.mkfifo(neighbours / "pipe.h5")
    (neighbours / "1h/BTC/LSTM/link.h5").symlink_to("good.h5")
    saved.write_h5(neighbours / os.fsdecode(b"\xff.h5"))
    saved.write_h5(neighbours / "1h/a\nb/LSTM/[x].h5", 3)
    done = watcherd(neighbours, "--json", "reconcile")
    said = json.loads(done.stdout)
    assert done.stderr == ""
    assert len(said["changes"]) == len(FILES) + len(GOOD) + 1
    for change in said["changes"]:
        assert change["state"] == "present" or is_for_a_person(change["reason"])
    again = json.loads(watcherd(neighbours, "--json", "reconcile").stdout)
    assert (again["changes"], again["settling"], again["blind"]) == ([], [], {})


# -- a child that dies of what it reads ------------------------------------------------------------


class TwoWords(Exception):
    """Cannot be unpickled: it wants two words, and pickle has one."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def echo(items: list[Any]) -> list[Any]:
    """Each item again; unless it says what to do instead."""
    return [_ACTS[item]() if item in _ACTS else item for item in items]


def _loop() -> None:
    while True:
        pass


def _raise(error: BaseException) -> None:
    raise error


_ACTS: dict[Any, Callable[[], object]] = {
    "exit": lambda: os._exit(7),
    "exit as if well": lambda: os._exit(0),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "endless loop": _loop,
    "all memory": lambda: len(bytearray(64 << 30)),
    "MemoryError": lambda: _raise(MemoryError()),
    "RecursionError": lambda: _raise(RecursionError("too deep")),
    "StopIteration": lambda: _raise(StopIteration()),
    "SystemExit": lambda: _raise(SystemExit(3)),
    "an error that cannot come back": lambda: _raise(TwoWords("a", "b")),
    "a result that cannot come back": lambda: lambda: None,
    "pid": os.getpid,
    "nice": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "ioprio": lambda: ctypes.CDLL(None).syscall(252, 1, 0) >> 13,
    "GPU": lambda: os.environ.get("CUDA_VISIBLE_DEVICES"),
    "Ctrl-C": lambda: signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    "core": lambda: resource.getrlimit(resource.RLIMIT_CORE)[0],
    "memory": lambda: resource.getrlimit(resource.RLIMIT_AS)[0],
    "prepared": lambda: _PREPARED,
}
_PREPARED: list[str] = []


def prepare() -> None:
    _PREPARED.append("once")


def fail_to_prepare() -> None:
    raise RuntimeError("this child cannot start")


def die_before_the_first() -> None:
    os._exit(9)


def call_and_loop(items: list[Any]) -> list[Any]:
    """Tells its parent that it has begun, then never ends."""
    os.kill(os.getppid(), signal.SIGUSR1)
    _loop()
    return items


@pytest.fixture(scope="module")
def echoing() -> Iterator[Child[Any, Any]]:
    child = Child[Any, Any](echo, seconds=1, prepare=prepare)
    yield child
    child.close()


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 173])
def test_results_come_in_the_order_of_the_items(echoing: Child[Any, Any], count: int) -> None:
    items = [f"item {number}" for number in range(count)]
    assert list(echoing.map(items)) == items


def test_several_workers_keep_the_order_too() -> None:
    child = Child[Any, Any](echo, workers=2)
    try:
        assert list(child.map(list(range(420)))) == list(range(420))
    finally:
        child.close()


DEADLY = {
    "exit": "died of it (exit status 7)",
    "exit as if well": "",
    "SIGKILL": "died of it",
    "SIGSEGV": "died of it",
    "endless loop": "more than 1 s",
    "all memory": "memory",
    "MemoryError": "memory",
    "RecursionError": "too deep",
    "StopIteration": "",
    "an error that cannot come back": "",
    "a result that cannot come back": "",
}
"""What an item does to its child -> words of the reason."""


def test_a_hostile_item_costs_its_own_result_and_no_neighbour_s(echoing: Child[Any, Any]) -> None:
    items = ["first", *(one for each in DEADLY for one in (each, f"after {each}"))]
    results = dict(zip(items, echoing.map(items), strict=True))
    broken = {each: results.pop(each) for each in DEADLY}
    assert results == {each: each for each in results}
    assert {each: type(one) for each, one in broken.items()} == dict.fromkeys(DEADLY, Broken)
    for each, words in DEADLY.items():
        assert words in broken[each].reason
    assert list(echoing.map(["next"])) == ["next"], "the child, or another, goes on"


def test_a_child_that_wants_to_end_ends_nobody_else(echoing: Child[Any, Any]) -> None:
    before, broken = echoing.map(["before", "SystemExit"])
    assert before == "before"
    assert isinstance(broken, Broken)


@pytest.mark.parametrize(
    "hostile",
    [
        "MemoryError",
        pytest.param(
            "StopIteration",
        ),
    ],
)
def test_what_broke_it_is_said_in_words(echoing: Child[Any, Any], hostile: str) -> None:
    (broken,) = echoing.map([hostile])
    assert is_for_a_person(broken.reason)


def test_a_hostile_item_among_many_costs_only_its_own_batch_a_second_try(
    echoing: Child[Any, Any],
) -> None:
    items: list[Any] = [f"item {number}" for number in range(120)]
    items[60] = "exit"
    results = list(echoing.map(items))
    assert isinstance(results.pop(60), Broken)
    del items[60]
    assert results == items


@pytest.mark.parametrize("cause", [fail_to_prepare, die_before_the_first])
def test_a_child_that_cannot_even_start_makes_no_model_unreadable(
    neighbours: Path, saved: Saved, cause: Callable[[], None]
) -> None:
    """A broken installation, or a machine without memory, says nothing about any file."""
    with reconciler_of(neighbours) as reconciler:
        reconcile(reconciler)
        saved.write_h5(neighbours / GOOD[0], 3)
        reconciler.child = Child(read_batch, seconds=1, prepare=cause)
        for _ in range(2):
            with suppress(WatcherdError):
                reconcile(reconciler)
        reconciler.close()
        assert books(reconciler) == {}, "nor anything else that it is not"
        reconciler.child = cast(Any, Inline())
        assert [one.verb for one in reconcile(reconciler).changes] == [Verb.UPDATED]


def test_a_child_killed_while_idle_is_replaced(echoing: Child[Any, Any]) -> None:
    (pid,) = echoing.map(["pid"])
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    assert list(echoing.map(["a", "b"])) == ["a", "b"]


def children() -> set[int]:
    task = Path("/proc/self/task")
    found: set[int] = set()
    for each in task.iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found.update(map(int, (each / "children").read_text().split()))
    return found


def test_nothing_is_started_before_it_is_needed_and_closing_ends_it() -> None:
    before = children()
    child = Child[Any, Any](echo)
    child.close()
    assert list(child.map([])) == []
    assert children() == before
    (first,) = child.map(["pid"])
    assert Path(f"/proc/{first}").exists()
    child.close()
    wait_until(lambda: not Path(f"/proc/{first}").exists())
    child.close()
    (second,) = child.map(["pid"])
    assert second != first, "a closed one starts another"
    child.close()


def test_warming_starts_a_child_that_the_first_item_then_finds() -> None:
    child = Child[Any, Any](echo, prepare=prepare)
    before = children()
    child.warm()
    wait_until(lambda: children() - before)
    pid, prepared = child.map(["pid", "prepared"])
    assert pid in children()
    assert prepared == ["once"]
    child.close()


class Interrupted(BaseException):
    """As the daemon's, which a signal raises in the middle of a cycle."""


def test_a_child_in_an_endless_loop_is_ended_at_once_when_we_are_told_to_end() -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    child = Child[Any, Any](call_and_loop, seconds=100)
    before, handler = children(), signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            list(child.map([1, 2]))
        looping = children() - before
        child.close()
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in looping), 5)
    finally:
        signal.signal(signal.SIGUSR1, handler)


def test_a_child_gives_way_to_everyone(echoing: Child[Any, Any]) -> None:
    asked = ["nice", "GPU", "Ctrl-C", "core", "memory"]
    assert list(echoing.map(asked)) == [19, "-1", True, 0, 4 << 30]
    if platform.machine() == "x86_64":
        assert list(echoing.map(["ioprio"])) == [3], "the idle class of ioprio_get(2)"


def test_a_batch_is_small_enough_for_the_tables_above() -> None:
    assert child_room.BATCH == 50


def read_or_die(jobs: list[Job]) -> list[Reading]:
    """Reads as ever; but some names are a parser's death."""
    for _, artifact in jobs:
        name = artifact.path.rpartition("/")[2].removesuffix(".h5")
        if name in _ACTS:
            _ACTS[name]()
    return read_batch(jobs)


def test_a_model_that_kills_its_reader_is_unreadable_and_nothing_else_is(
    neighbours: Path, saved: Saved
) -> None:
    hostile = {f"1h/BTC/LSTM/{name}.h5" for name in ("SIGKILL", "endless loop")}
    for path in hostile:
        saved.write_h5(neighbours / path, 3)
    with reconciler_of(neighbours) as reconciler:
        reconciler.child = Child(read_or_die, seconds=1, prepare=prepare_reading)
        reconciler.cycle_until_settled(Request(ROOT, Cause.REQUEST), patience=60)
        rows = books(reconciler)
        assert set(rows) == hostile
        for row in rows.values():
            assert row["state"] == "unreadable"
            assert row["reason"].startswith("reading it failed: ")
        again = reconcile(reconciler)
        reconciler.close()
        assert again.plan.changes == (), "it is not tried again and again"
