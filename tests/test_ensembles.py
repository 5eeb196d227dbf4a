"""Ensembles: copies of models in folders of their own, and whose copies they are.

What is a copy of what is told by the disk: the same interval and ticker, the same name, the same
content. Real files, real SQLite; what a person does here is done with cp, mv and rm.
"""

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.pruning import POLICY, save
from tests.test_cli import call
from tests.test_cycle_properties import (
    EXAMPLES,
    empty_registry,  # noqa: F401  a fixture
    in_new_root,  # noqa: F401  a fixture
)
from tests.test_marks import marks_of, replay
from tests.test_migrations import registry_of
from watcherd import ensembling, journal, logs, removal, render
from watcherd.child import io_priority
from watcherd.config import FreeSpace
from watcherd.errors import NoSuchModel, Refused, TrashError, UsageError
from watcherd.naming import Naming
from watcherd.plan import Verb
from watcherd.pruner import Pruner
from watcherd.purging import measure_space
from watcherd.reconciler import Reconciler
from watcherd.registry import By, copying
from watcherd.registry import marks as books
from watcherd.registry.copying import Meant
from watcherd.registry.intents import Removal
from watcherd.retention import Rule
from watcherd.scope import ROOT, Cause, Request, folders
from watcherd.trash import calls
from watcherd.trashing import CHANGED, Meaning, bring_back, move_out

BTC = "1h/BTC"
LSTM, GRU = f"{BTC}/LSTM", f"{BTC}/GRU"
AVERAGE, VOTE = f"{BTC}/ensemble_average", f"{BTC}/ensemble_vote"
MODEL, COPY, VOTED = f"{LSTM}/a.h5", f"{AVERAGE}/a.h5", f"{VOTE}/a.h5"
ADA, BOB = (By(f"{name}@trainer1", Cause.REQUEST) for name in ("ada", "bob"))
NOBODY = 65534
RM = Meaning(Verb.DELETED, 3600.0, ADA)
FORCE = Meaning(Verb.DELETED, 3600.0, ADA, force=True)


@pytest.fixture
def reconciler(root: Path, empty_registry: Path) -> Iterator[Reconciler]:  # noqa: F811  the fixture
    (root / ".watcherd").mkdir()
    shutil.copyfile(empty_registry, root / ".watcherd/registry.db")  # quicker than making one
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def one(root: Path, saved: Saved, reconciler: Reconciler) -> int:
    """A model that is known; its id."""
    saved.write_h5(root / MODEL)
    reconcile(reconciler)
    return id_at(root, MODEL)


def cp(root: Path, source: str, target: str) -> None:
    """As ``cp -p``, for a file or for all files of a checkpoint prefix."""
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    for file in files_of(root, source):
        shutil.copy2(file, named_after(root, file, source, target))


def mv(root: Path, source: str, target: str) -> None:
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    for file in files_of(root, source):
        file.rename(named_after(root, file, source, target))


def rm(root: Path, path: str) -> None:
    for file in files_of(root, path):
        file.unlink()


def named_after(root: Path, file: Path, source: str, target: str) -> Path:
    return Path(f"{root / target}{str(file).removeprefix(str(root / source))}")


def files_of(root: Path, path: str) -> list[Path]:
    if (root / path).is_file():
        return [root / path]
    return sorted((root / path).parent.glob(f"{Path(path).name}.*"))


def id_at(root: Path, path: str) -> int:
    """Of the newest row of a path."""
    found = rows(root, "SELECT model_id FROM model WHERE path = ? ORDER BY model_id", path)
    return int(found[-1]["model_id"])


LIVE = "('present', 'incomplete', 'unreadable')"


def copies(root: Path) -> dict[str, tuple[str | None, int | None]]:
    """What lies in ensembles: path -> the model's path, and whether it is of the same content."""
    found = rows(
        root,
        "SELECT copy.path, source.path AS source,"
        " CASE WHEN source.model_id IS NULL THEN NULL"
        " ELSE copy.fingerprint IS source.fingerprint END AS same"
        " FROM model AS copy LEFT JOIN model AS source ON source.model_id = copy.copy_of"
        f" WHERE copy.type IS NULL AND copy.ensemble_type IS NOT NULL AND copy.state IN {LIVE}",
    )
    return {row["path"]: (row["source"], row["same"]) for row in found}


def flags(root: Path, path: str) -> tuple[int, str | None]:
    """``ensemble`` and ``ensemble_type`` of a model."""
    query = "SELECT ensemble, ensemble_type FROM model WHERE model_id = ?"
    (row,) = rows(root, query, id_at(root, path))
    return row["ensemble"], row["ensemble_type"]


def told(root: Path, *columns: str) -> list[Any]:
    """The history's lines of ensembles, oldest first: verb, model's path, ensemble; and more."""
    found = rows(root, "SELECT * FROM history WHERE verb LIKE '%ensembled' ORDER BY history_id")
    return [
        (
            row["verb"],
            row["path"],
            json.loads(row["details"])["ensemble_type"],
            *(row[name] for name in columns),
        )
        for row in found
    ]


def assert_books_agree(root: Path) -> None:
    """View, flags and history tell of the same bonds as the rows."""
    live = rows(
        root, f"SELECT copy_of, ensemble_type FROM model WHERE copy_of NOT NULL AND state IN {LIVE}"
    )
    bonds = Counter((row["copy_of"], row["ensemble_type"]) for row in live)
    lines: Counter[tuple[int, str]] = Counter()
    for row in rows(root, "SELECT * FROM history WHERE verb LIKE '%ensembled'"):
        kind = json.loads(row["details"])["ensemble_type"]
        lines[row["model_id"], kind] += 1 if row["verb"] == "ensembled" else -1
    assert +lines == bonds
    assert min(lines.values(), default=0) >= 0
    for row in rows(root, "SELECT * FROM model WHERE type IS NOT NULL OR copy_of IS NULL"):
        kinds = sorted({kind for model_id, kind in bonds if model_id == row["model_id"]})
        assert row["ensemble"] == bool(kinds), row["path"]
        if row["type"]:
            assert row["ensemble_type"] == (", ".join(kinds) or None), row["path"]
    known = {row["model_id"] for row in rows(root, "SELECT model_id FROM present_model")}
    assert not known & {row["model_id"] for row in rows(root) if row["copy_of"]}


def intents(root: Path) -> list[dict[str, Any]]:
    return rows(root, "SELECT * FROM copying")


def leftovers(root: Path) -> set[str]:
    """What lies in the trash folder, and the registry does not know of."""
    known = {Path(row["trash_path"]).name for row in rows(root, "SELECT trash_path FROM trash")}
    folder = root / ".watcherd/trash"
    return set(os.listdir(folder)) - known if folder.is_dir() else set()


def leftovers_told(root: Path, *, trashed: int) -> dict[str, str]:
    """Those that ``status`` lists; or the names of as many as it knows to be in the trash."""
    assert len(rows(root, "SELECT * FROM trash")) == trashed
    said = call("--root", str(root), "--json", "status").json()["survey"]["leftovers"]
    if trashed:
        assert said == []
        return {row["trash_path"]: "" for row in rows(root, "SELECT trash_path FROM trash")}
    return {one["path"]: one["what"] for one in said}


# --- what is a copy of what ----------------------------------------------------------------------


def test_a_file_of_the_same_name_and_content_is_the_models_copy(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    assert copies(root) == {COPY: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "ensemble_average")
    assert told(root) == [("ensembled", MODEL, "ensemble_average")]
    assert rows(root, "SELECT * FROM ensemble_member") == [
        {"model_id": one, "ensemble_type": "ensemble_average", "copy_path": COPY, "same_content": 1}
    ]
    assert [row["path"] for row in rows(root, "SELECT path FROM present_model")] == [MODEL]
    cp(root, MODEL, VOTED)
    reconcile(reconciler)
    assert flags(root, MODEL) == (1, "ensemble_average, ensemble_vote")
    rm(root, COPY)
    reconcile(reconciler)
    assert flags(root, MODEL) == (1, "ensemble_vote")
    rm(root, VOTED)
    reconcile(reconciler)
    assert flags(root, MODEL) == (0, None)
    assert_books_agree(root)


def test_of_equal_names_in_two_types_the_content_decides(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    for number, place in enumerate((LSTM, GRU)):
        saved.write_h5(root / place / "a.h5", number)
    cp(root, f"{GRU}/a.h5", COPY)
    cp(root, f"{LSTM}/a.h5", VOTED)
    reconcile(reconciler)
    assert copies(root) == {COPY: (f"{GRU}/a.h5", 1), VOTED: (f"{LSTM}/a.h5", 1)}
    assert_books_agree(root)


@pytest.mark.parametrize("place", [LSTM, GRU])
def test_of_equal_names_and_content_the_one_that_was_meant_else_the_older(
    root: Path, saved: Saved, reconciler: Reconciler, place: str
) -> None:
    for folder in (LSTM, GRU):  # LSTM is the older
        saved.write_h5(root / folder / "a.h5")
        reconcile(reconciler)
    cp(root, f"{GRU}/a.h5", VOTED)
    meant = f"{place}/a.h5"
    ensembling.add(reconciler, [id_at(root, meant)], "ensemble_average", ADA)
    reconcile(reconciler)
    assert copies(root) == {COPY: (meant, 1), VOTED: (MODEL, 1)}
    reconciler.cycle(Request(ROOT, Cause.REQUEST), reread=True)
    assert copies(root)[COPY] == (meant, 1), "what was meant still holds"
    assert_books_agree(root)


def test_a_copy_that_was_seen_before_its_model_is_joined_when_the_model_is(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    for path in (MODEL, COPY):
        saved.write_h5(root / path)
    reconcile(reconciler, folders([AVERAGE]))
    assert copies(root) == {COPY: (None, None)}
    reconcile(reconciler, folders([LSTM]))
    assert copies(root) == {COPY: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "ensemble_average")
    assert_books_agree(root)


STRANGERS = {
    "another name": (f"{AVERAGE}/other.h5", 0),
    "another content": (COPY, 1),
    "another ticker": ("1h/ETH/ensemble_average/a.h5", 0),
    "another interval": ("4h/BTC/ensemble_average/a.h5", 0),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_what_matches_no_model_is_a_model_of_its_own_and_that_is_said(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, stranger: str
) -> None:
    path, variant = STRANGERS[stranger]
    saved.write_h5(root / path, variant)
    reconcile(reconciler)
    assert copies(root) == {path: (None, None)}
    assert {row["path"] for row in rows(root, "SELECT path FROM present_model")} == {MODEL, path}
    assert flags(root, MODEL) == (0, None)
    assert "of no model" in call("--root", str(root), "show", path).out
    assert "a model of its own" in call("--root", str(root), "ensemble", "list").out


def test_folders_within_the_type_folder_need_not_be_kept(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    """Of two equal ones, that whose name agrees to the longest."""
    for folder in (f"{LSTM}/v1", f"{LSTM}/v2"):
        saved.write_h5(root / folder / "a.h5")
    for path in (COPY, f"{VOTE}/v2/a.h5"):
        saved.write_h5(root / path)
    reconcile(reconciler)
    assert copies(root) == {
        COPY: (f"{LSTM}/v1/a.h5", 1),
        f"{VOTE}/v2/a.h5": (f"{LSTM}/v2/a.h5", 1),
    }


KINDS = ["checkpoint", "keras", "saved_model", "h5 with a note"]


def save_kind(root: Path, saved: Saved, kind: str) -> str:
    """A model of another kind than a lone file; its path."""
    if kind == "checkpoint":
        saved.write_checkpoint(root / LSTM / "ckpt-1")
        return f"{LSTM}/ckpt-1"
    if kind == "h5 with a note":
        saved.write_h5(root / MODEL)
        (root / f"{MODEL}.watcherd.json").write_text('{"companions": ["scaler.x"]}')
        (root / LSTM / "scaler.x").write_bytes(b"a scaler")
        return MODEL
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    (root / LSTM).mkdir(parents=True)
    path = f"{LSTM}/m" if kind == "saved_model" else f"{LSTM}/m.keras"
    tf.saved_model.save(model, str(root / path)) if kind == "saved_model" else model.save(
        root / path
    )
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_are_copied_whole_and_taken_out(
    root: Path, saved: Saved, reconciler: Reconciler, kind: str
) -> None:
    path = save_kind(root, saved, kind)
    reconcile(reconciler)
    (model_id,) = (row["model_id"] for row in rows(root))
    before = files_below(root / LSTM)
    copied = ensembling.add(reconciler, [model_id], "ensembly_average", ADA)
    assert copied.failed == {}
    copy = copied.done[model_id]
    assert copies(root) == {copy: (path, 1)}
    assert copy == f"{BTC}/ensembly_average/{Path(path).name}"
    assert files_below(root / LSTM) == before
    assert files_below(root / BTC / "ensembly_average") == before
    assert ensembling.take_out(reconciler, [model_id], None, RM).done == {model_id}
    assert copies(root) == {}
    assert files_below(root / LSTM) == before
    assert not intents(root)
    assert not leftovers(root)


def files_below(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# --- what becomes of a copy ----------------------------------------------------------------------


def test_a_model_trained_anew_leaves_its_copy_out_of_date_and_that_is_told_once(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(format="json")
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    for variant in (1, 2):
        saved.write_h5(root / MODEL, variant)
        journal.tell_cycle(reconcile(reconciler), reconciler.registry)
        assert copies(root) == {COPY: (MODEL, 0)}
    warned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (outdated,) = [line for line in warned if line["event"] == "ensemble.outdated"]
    assert outdated["level"] == "warning"
    assert (outdated["model_id"], outdated["copy_path"]) == (one, COPY)
    assert flags(root, MODEL) == (1, "ensemble_average")
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    assert copies(root) == {COPY: (MODEL, 1)}
    assert_books_agree(root)


@pytest.mark.parametrize("looks", [(), (LSTM, AVERAGE), (AVERAGE, LSTM)])
def test_a_copy_is_known_although_its_model_was_trained_anew_before_it_was_seen(
    root: Path,
    saved: Saved,
    reconciler: Reconciler,
    one: int,
    looks: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(format="json")
    cp(root, MODEL, COPY)
    saved.write_h5(root / MODEL, 1)
    for scope in (*(folders([look]) for look in looks), ROOT):
        journal.tell_cycle(reconcile(reconciler, scope), reconciler.registry)
    assert copies(root) == {COPY: (MODEL, 0)}
    assert flags(root, MODEL) == (1, "ensemble_average")
    assert told(root) == [("ensembled", MODEL, "ensemble_average")]
    warned = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (outdated,) = [line for line in warned if line["event"] == "ensemble.outdated"]
    assert (outdated["model_id"], outdated["copy_path"]) == (one, COPY)
    assert_books_agree(root)


@pytest.mark.parametrize("looks", [(), (LSTM, AVERAGE), (AVERAGE, LSTM)])
def test_a_copy_is_known_although_its_model_was_gone_before_it_was_seen(
    root: Path, reconciler: Reconciler, one: int, looks: tuple[str, ...]
) -> None:
    cp(root, MODEL, COPY)
    rm(root, MODEL)
    for scope in (*(folders([look]) for look in looks), ROOT):
        reconcile(reconciler, scope)
    assert copies(root) == {COPY: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "ensemble_average")
    assert told(root) == [("ensembled", MODEL, "ensemble_average")]
    assert_books_agree(root)


def test_content_decides_in_whatever_order_things_are_seen(
    root: Path, saved: Saved, reconciler: Reconciler, one: int
) -> None:
    """Its model was trained anew; what it was copied from is found under another type later."""
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    saved.write_h5(root / MODEL, 1)
    reconcile(reconciler)
    saved.write_h5(root / GRU / "a.h5", 0)
    reconcile(reconciler)
    assert copies(root) == {COPY: (f"{GRU}/a.h5", 1)}
    assert_books_agree(root)


MOVES = {
    "between ensembles": (VOTED, MODEL, (1, "ensemble_vote")),
    "to another ticker": ("1h/ETH/ensemble_average/a.h5", None, (0, None)),
    "to another name": (f"{AVERAGE}/b.h5", MODEL, (1, "ensemble_average")),
    "out of the ensemble": (f"{GRU}/a.h5", "no copy", (0, None)),
    "out of all places": ("loose/a.h5", "no copy", (0, None)),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_copy_that_moves(root: Path, reconciler: Reconciler, one: int, move: str) -> None:
    to, source, flagged = MOVES[move]
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    copy_id = id_at(root, COPY)
    mv(root, COPY, to)
    reconcile(reconciler)
    assert id_at(root, to) == copy_id
    assert copies(root).get(to, ("no copy",))[0] == source
    assert flags(root, MODEL) == flagged
    assert_books_agree(root)
    mv(root, to, COPY)
    reconcile(reconciler)
    assert copies(root) == {COPY: (MODEL, 1)}
    assert_books_agree(root)


def test_a_ticker_folder_that_is_renamed_keeps_its_copies(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    (root / BTC).rename(root / "1h/XBT")
    reconcile(reconciler)
    model, copy = (path.replace("BTC", "XBT") for path in (MODEL, COPY))
    assert copies(root) == {copy: (model, 1)}
    assert told(root) == [("ensembled", MODEL, "ensemble_average")]
    assert_books_agree(root)


def test_a_copy_outlives_its_model_and_is_its_copy_when_that_returns(
    root: Path, saved: Saved, reconciler: Reconciler, one: int
) -> None:
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    rm(root, MODEL)
    reconcile(reconciler)
    assert copies(root) == {COPY: (MODEL, 1)}
    listed = call("--root", str(root), "ensemble", "list")
    assert "its model is missing" in listed.out
    saved.write_h5(root / MODEL)
    reconcile(reconciler)
    assert id_at(root, MODEL) == one
    assert copies(root) == {COPY: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "ensemble_average")
    assert_books_agree(root)


def test_a_model_that_moves_into_an_ensemble_has_no_copies_there(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    """It is a member then, and another member is no copy of it."""
    cp(root, MODEL, COPY)
    reconcile(reconciler)
    mv(root, MODEL, VOTED)
    reconcile(reconciler)
    assert copies(root) == {COPY: (None, None), VOTED: (None, None)}
    assert_books_agree(root)


def test_other_rules_for_names_place_all_anew(
    root: Path, saved: Saved, reconciler: Reconciler, one: int
) -> None:
    path = f"{BTC}/stacked/a.h5"
    for copy in (COPY, path):
        cp(root, MODEL, copy)
    reconcile(reconciler)
    assert copies(root) == {COPY: (MODEL, 1)}
    reconciler.naming = Naming(ensembles=("stacked",))
    reconcile(reconciler)
    assert copies(root) == {path: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "stacked")
    assert told(root)[1:] == [
        ("unensembled", MODEL, "ensemble_average"), ("ensembled", MODEL, "stacked"),
    ]  # fmt: skip
    assert_books_agree(root)
    reconciler.naming = Naming(ensembles=("nothing",))
    reconcile(reconciler)
    assert copies(root) == {}
    assert_books_agree(root)


# --- ensemble add --------------------------------------------------------------------------------


def test_what_was_copied_bears_the_model_s_content_name_and_mode(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    (root / MODEL).chmod(0o640)
    reconcile(reconciler)
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert (copied.done, copied.failed) == ({one: COPY}, {})
    assert (root / COPY).read_bytes() == (root / MODEL).read_bytes()
    assert (root / COPY).stat().st_mode == (root / MODEL).stat().st_mode
    assert (root / COPY).stat().st_ino != (root / MODEL).stat().st_ino
    assert told(root, "actor", "cause") == [
        ("ensembled", MODEL, "ensemble_average", "ada@trainer1", "request")
    ]
    assert not intents(root)
    assert not leftovers(root)


Before = Callable[[Path, Saved, Reconciler], None]


def _save(path: str, variant: int) -> Before:
    return lambda root, saved, _: saved.write_h5(root / path, variant) and None


def _break(root: Path, _saved: Saved, reconciler: Reconciler) -> None:
    os.truncate(root / MODEL, 1000)


def _link(path: str) -> Before:
    def link(root: Path, _saved: Saved, _reconciler: Reconciler) -> None:
        (root / "elsewhere").mkdir()
        (root / path).symlink_to(root / "elsewhere")

    return link


def _folder(root: Path, _saved: Saved, _reconciler: Reconciler) -> None:
    (root / COPY).mkdir(parents=True)


def _dangling(root: Path, _saved: Saved, _reconciler: Reconciler) -> None:
    (root / AVERAGE).mkdir()
    (root / COPY).symlink_to("nowhere")


def _ignore(_root: Path, _saved: Saved, reconciler: Reconciler) -> None:
    reconciler.naming = Naming(ignore=("ensemble_average",))


REFUSED: dict[str, tuple[Before, str, str, type[Exception], str]] = {
    "a foreign file in the way": (
        _save(COPY, 1), MODEL, "ensemble_average", TrashError, "ever overwritten"),
    "a folder in the way": (_folder, MODEL, "ensemble_average", TrashError, "overwritten"),
    "a link in the way": (_dangling, MODEL, "ensemble_average", TrashError, "overwritten"),
    "an incomplete model": (_break, MODEL, "ensemble_average", TrashError, "is incomplete"),
    "a copy": (_save(COPY, 0), COPY, "ensemble_vote", TrashError, "in an ensemble itself"),
    "an unplaced one": (
        _save("loose/b.h5", 1), "loose/b.h5", "ensemble_vote", TrashError, "no type"),
    "no ensemble": (lambda *_: None, MODEL, "LSTM", UsageError, "'LSTM' is no ensemble"),
    "a path": (lambda *_: None, MODEL, "ensemble_a/../b", UsageError, "is no ensemble"),
    "an ignored folder": (_ignore, MODEL, "ensemble_average", UsageError, "ignore"),
    "a symlink in place of the ensemble": (
        _link(AVERAGE), MODEL, "ensemble_average", TrashError, "symlink"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_and_nothing_is_touched(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, case: str
) -> None:
    before, path, kind, error, words = REFUSED[case]
    before(root, saved, reconciler)
    reconcile(reconciler)
    files, known = files_below(root / "1h"), copies(root)
    model_id = id_at(root, path)
    copied = ensembling.add(reconciler, [model_id], kind, ADA)
    assert copied.done == {}
    assert isinstance(copied.failed[model_id], error)
    assert words in copied.failed[model_id].message
    assert files_below(root / "1h") == files
    assert copies(root) == known
    assert not intents(root)
    assert not leftovers(root)


def test_nothing_is_copied_through_a_symlink_in_place_of_the_ticker(
    root: Path, reconciler: Reconciler, one: int, tmp_path: Path
) -> None:
    (root / BTC).rename(tmp_path / "BTC")
    (root / BTC).symlink_to(tmp_path / "BTC")
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert "symlink" in copied.failed[one].message
    assert not (tmp_path / "BTC/ensemble_average").exists()
    assert not intents(root)
    assert not leftovers(root)


def while_calling(
    monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None], *, at: int = 1
) -> None:
    """Do something at the moment before the n-th call of one that changes the disk."""
    real, seen = getattr(calls, name), []

    def wrapped(*words: Any) -> Any:
        seen.append(name)
        if len(seen) == at:
            act()
        return real(*words)

    monkeypatch.setattr(calls, name, wrapped)


@pytest.mark.parametrize("kind", ["h5", "checkpoint"])
def test_a_file_that_appears_in_the_way_at_the_last_moment_stays_and_nothing_is_left(
    root: Path, saved: Saved, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = MODEL if kind == "h5" else f"{LSTM}/ckpt-1"
    (saved.write_h5 if kind == "h5" else saved.write_checkpoint)(root / path)
    reconcile(reconciler)
    # Of a checkpoint, the index comes last: the shard is there already.
    blocker = root / AVERAGE / ("a.h5" if kind == "h5" else "ckpt-1.index")
    block = lambda: blocker.write_text("of another")  # noqa: E731  a name for what happens
    while_calling(monkeypatch, "rename_noreplace", block, at=1 if kind == "h5" else 2)
    copied = ensembling.add(reconciler, [id_at(root, path)], "ensemble_average", ADA)
    assert "in the way" in copied.failed[id_at(root, path)].message or kind == "checkpoint"
    monkeypatch.undo()
    assert files_below(root / AVERAGE) == {blocker.name: b"of another"}
    reconcile(reconciler)
    assert not intents(root)
    assert not leftovers(root)


def test_a_model_that_changes_while_it_is_copied_is_left_alone(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_calling(monkeypatch, "copy", lambda: saved.write_h5(root / MODEL, 1) and None, at=2)
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert "changed while it was to be copied" in copied.failed[one].message
    assert not (root / AVERAGE).exists()
    assert (root / MODEL).read_bytes() == saved.h5[1]
    assert not intents(root)
    assert not leftovers(root)


FULL = ["create", "copy", "write", "sync", "make_folder"]


@pytest.mark.parametrize("name", FULL)
def test_where_the_disk_is_full_that_is_said_and_nothing_is_left(
    root: Path, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    while_calling(monkeypatch, name, fail)
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert "the disk is full" in copied.failed[one].message
    monkeypatch.undo()
    assert not (root / COPY).exists()
    reconcile(reconciler)
    assert not intents(root)
    assert not leftovers(root)


def test_an_ensemble_where_this_user_may_not_write_is_left_as_it_is(
    tmp_path: Path, saved: Saved
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    root = tmp_path / "models"
    saved.write_h5(root / MODEL)
    (root / AVERAGE).mkdir()
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(root / AVERAGE, 0, 0)
    os.seteuid(NOBODY)
    try:
        with reconciler_of(root) as reconciler:
            copied = ensembling.add(reconciler, [1], "ensemble_average", ADA)
            reconcile(reconciler)
    finally:
        os.seteuid(0)
    assert "may not be moved or read by this user" in copied.failed[1].message
    assert list((root / AVERAGE).iterdir()) == []
    assert not intents(root)
    assert not leftovers(root)


def test_what_is_on_its_way_there_already_is_not_copied_a_second_time(
    root: Path, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused, and does not take the first one's intent along."""
    second: list[ensembling.Copied] = []

    def add_as_well() -> None:
        with reconciler_of(root) as other:
            other.naming = reconciler.naming
            second.append(ensembling.add(other, [one], "ensemble_average", BOB))

    while_calling(monkeypatch, "copy", add_as_well)
    assert ensembling.add(reconciler, [one], "ensemble_average", ADA).failed == {}
    assert "on its way there" in second[0].failed[one].message
    assert copies(root) == {COPY: (MODEL, 1)}
    assert told(root, "actor") == [("ensembled", MODEL, "ensemble_average", ADA.actor)]
    assert not intents(root)
    assert not leftovers(root)


def test_a_cycle_beside_it_leaves_a_copy_in_the_making_alone(
    root: Path, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> None:
        with reconciler_of(root) as other:
            reconcile(other)

    for name in ("copy", "write", "sync", "publish"):
        while_calling(monkeypatch, name, look)
    assert ensembling.add(reconciler, [one], "ensemble_average", ADA).failed == {}
    assert copies(root) == {COPY: (MODEL, 1)}
    assert told(root, "actor") == [("ensembled", MODEL, "ensemble_average", ADA.actor)]
    assert not intents(root)
    assert not leftovers(root)


def test_who_meant_a_copy_is_known_although_an_earlier_one_of_its_path_is_in_the_trash(
    root: Path, saved: Saved, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its model is written anew in the registry meanwhile, as a state file names it."""
    path = f"{LSTM}/ckpt-1"
    saved.write_checkpoint(root / path)
    reconcile(reconciler)
    ensembling.add(reconciler, [1], "ensemble_average", ADA)
    ensembling.take_out(reconciler, [1], None, RM)

    def name_it() -> None:
        (root / LSTM / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"')
        with reconciler_of(root) as other:
            assert reconcile(other).plan.changes

    while_calling(monkeypatch, "copy", name_it)
    assert ensembling.add(reconciler, [1], "ensemble_average", BOB).failed == {}
    assert told(root, "actor")[-1] == ("ensembled", path, "ensemble_average", BOB.actor)


def test_while_it_is_copied_trainers_are_served_first_at_the_disk(
    root: Path, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = io_priority(), []
    if before < 0:
        pytest.skip("ioprio_get(2) says nothing here")
    while_calling(monkeypatch, "copy", lambda: seen.append(io_priority()))
    assert ensembling.add(reconciler, [one], "ensemble_average", ADA).failed == {}
    assert seen == [2 << 13 | 7], "best effort, the last of its levels"
    assert io_priority() == before


def test_no_rule_removes_a_model_whose_copy_is_on_its_way(
    root: Path, saved: Saved, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by its decision, nor by one that was made before."""
    prefixes = save(root, saved, 4)
    reconcile(reconciler)
    oldest = id_at(root, prefixes[0])
    (row,) = rows(root, "SELECT revision FROM model WHERE model_id = ?", oldest)
    decided = Removal(oldest, prefixes[0], row["revision"], ("max_to_keep",))
    rule = Meaning(Verb.PRUNED, 3600.0, BOB)
    kept: list[str] = []

    def prune() -> None:
        with reconciler_of(root) as other:
            assert move_out(other, [decided], rule).failed == {oldest: CHANGED}
            pruner = Pruner(other, replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0))
            kept.extend(one.candidate.path for one in pruner.prune(Cause.REQUEST).verdicts.kept)

    while_calling(monkeypatch, "copy", prune)
    assert ensembling.add(reconciler, [oldest], "ensemble_average", ADA).failed == {}
    assert set(kept) == {prefixes[0], prefixes[3]}
    assert copies(root) == {f"{AVERAGE}/ckpt-1": (prefixes[0], 1)}


def test_a_stranger_that_comes_to_a_copy_s_path_meanwhile_does_not_take_its_intent(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the intent what lies in our folder is found, should its maker die."""
    left: list[int] = []

    def come() -> None:
        saved.write_h5(root / COPY, 2)
        with reconciler_of(root) as other:
            reconcile(other)
        left.append(len(intents(root)))

    while_calling(monkeypatch, "sync", come)
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert "in the way" in copied.failed[one].message
    assert left == [1]
    assert (root / COPY).read_bytes() == saved.h5[2]
    assert not intents(root)
    assert not leftovers(root)


def test_what_is_there_already_with_its_content_is_no_error(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    cp(root, MODEL, COPY)
    before = (root / COPY).stat()
    copied = ensembling.add(reconciler, [one], "ensemble_average", ADA)
    assert (copied.done, copied.already, copied.failed) == ({one: COPY}, {one}, {})
    assert (root / COPY).stat() == before


def save_with_companion(root: Path, saved: Saved, path: str, variant: int) -> None:
    saved.write_h5(root / path, variant)
    (root / f"{path}.watcherd.json").write_text('{"companions": ["scaler.x"]}')


def test_models_that_share_a_companion_share_it_in_their_ensemble(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    for number, name in enumerate("abc"):
        place = GRU if name == "c" else LSTM
        save_with_companion(root, saved, f"{place}/{name}.h5", number)
        (root / place / "scaler.x").write_bytes(b"another" if name == "c" else b"a scaler")
    reconcile(reconciler)
    ids = [id_at(root, path) for path in (MODEL, f"{LSTM}/b.h5", f"{GRU}/c.h5")]
    copied = ensembling.add(reconciler, ids, "ensemble_average", ADA)
    assert set(copied.done) == set(ids[:2])
    words = f"{AVERAGE}/scaler.x: another file is there already, and {GRU}/scaler.x is to accompany"
    assert words in copied.failed[ids[2]].message
    assert set(copies(root)) == {COPY, f"{AVERAGE}/b.h5"}
    removal.remove(reconciler, [ids[0]], RM)
    assert (root / AVERAGE / "scaler.x").exists(), "the other copy has it, too"
    removal.remove(reconciler, [ids[1]], RM)
    assert files_below(root / AVERAGE) == {}


def test_nothing_is_copied_that_would_take_the_space_that_is_to_stay_free(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    """A companion that is said to be large, and takes no space by itself."""
    save_with_companion(root, saved, MODEL, 0)
    free, _ = measure_space(str(root))
    with (root / LSTM / "scaler.x").open("wb") as sparse:
        sparse.truncate(free // 50)
    reconcile(reconciler)
    copied = ensembling.add(reconciler, [1], "ensemble_average", ADA, FreeSpace(share=1.0))
    assert "less than retention.min_free_space" in copied.failed[1].message
    assert "free some disk space" in copied.failed[1].hint
    assert not (root / AVERAGE).exists()
    assert not intents(root)
    assert not leftovers(root)


def test_a_model_that_is_removed_while_it_is_copied_leaves_no_half_copy(
    root: Path, saved: Saved, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.write_checkpoint(root / LSTM / "ckpt-1")
    reconcile(reconciler)
    model_id = id_at(root, f"{LSTM}/ckpt-1")

    def remove() -> None:
        with reconciler_of(root) as other:
            refused = removal.remove(other, [model_id], RM).refused
            assert "on its way into an ensemble" in refused[model_id].message
            assert removal.remove(other, [model_id], FORCE).done == {model_id}

    while_calling(monkeypatch, "copy", remove)
    copied = ensembling.add(reconciler, [model_id], "ensemble_average", ADA)
    reconcile(reconciler)
    assert not copied.done or copies(root) == {f"{AVERAGE}/ckpt-1": (f"{LSTM}/ckpt-1", 1)}
    assert bool(copied.done) == (root / AVERAGE / "ckpt-1.index").exists()
    assert copied.done or not (root / AVERAGE).exists()
    assert not intents(root)
    assert not leftovers(root)


def _arrived(root: Path, saved: Saved) -> None:
    saved.write_h5(root / COPY)


def _gone(root: Path, saved: Saved) -> None:
    """The copy was removed by hand before anyone saw it."""


def _a_folder_there(root: Path, saved: Saved) -> None:
    (root / COPY).mkdir(parents=True)


def _a_link_there(root: Path, saved: Saved) -> None:
    (root / "elsewhere").mkdir()
    (root / AVERAGE).symlink_to(root / "elsewhere")


def _half_made(root: Path, saved: Saved) -> None:
    saved.write_h5(root / ".watcherd/trash/20260101T000000000-1-copy/a.h5").chmod(0o600)


def _no_model(root: Path, saved: Saved) -> None:
    _half_made(root, saved)
    (root / MODEL).unlink()


AFTER_A_CRASH = [_arrived, _gone, _a_folder_there, _a_link_there, _half_made, _no_model]


@pytest.mark.parametrize("left", AFTER_A_CRASH)
def test_an_intent_that_a_crash_left_goes_with_the_next_look(
    root: Path, saved: Saved, reconciler: Reconciler, one: int, left: Callable[[Path, Saved], None]
) -> None:
    meant = Meant(COPY, one, ".watcherd/trash/20260101T000000000-1-copy", BOB.actor)
    assert copying.mean(reconciler.registry, reconciler.root.root_id, meant)
    left(root, saved)
    reconcile(reconciler)
    assert not intents(root)
    assert not leftovers(root)
    assert copies(root) == ({COPY: (MODEL, 1)} if left is _arrived else {})
    assert {line[-1] for line in told(root, "actor")} == ({BOB.actor} if copies(root) else set())


def test_an_intent_is_not_kept_by_a_file_that_is_no_part_of_such_a_model(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    """A file may bear the name that is a checkpoint's prefix."""
    saved.write_checkpoint(root / LSTM / "best")
    (root / AVERAGE).mkdir()
    (root / AVERAGE / "best").write_text("how the vote went")
    reconcile(reconciler)
    meant = Meant(f"{AVERAGE}/best", 1, ".watcherd/trash/20260101T000000000-1-copy", BOB.actor)
    copying.mean(reconciler.registry, reconciler.root.root_id, meant)
    reconcile(reconciler)
    assert not intents(root)


def test_an_intent_is_forgotten_and_not_the_one_that_took_its_place(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    old, new = (Meant(COPY, one, f".watcherd/trash/{n}-1-copy", ADA.actor) for n in (1, 2))
    registry, root_id = reconciler.registry, reconciler.root.root_id
    copying.mean(registry, root_id, new)
    copying.forget(registry, root_id, [old])
    assert copying.list_all(registry, root_id) == [new]


def test_what_the_registry_does_not_know_in_the_trash_is_listed_and_never_removed(
    root: Path, reconciler: Reconciler, one: int
) -> None:
    removal.remove(reconciler, [one], RM)
    (known,) = leftovers_told(root, trashed=1)
    with closing(sqlite3.connect(root / ".watcherd/registry.db")) as connection, connection:
        connection.execute("DELETE FROM trash")
    (root / ".watcherd/trash/odd").mkdir()
    assert call("--root", str(root), "trash", "purge", "--all").status == 0
    said = leftovers_told(root, trashed=0)
    assert said == {
        known: f"in the trash, and not in the registry: by its manifest it is {MODEL}",
        ".watcherd/trash/odd": "in the trash, and neither the registry nor a manifest knows "
        "what it is",
    }


# --- out of ensembles, with its model, and back --------------------------------------------------


@pytest.fixture
def both(root: Path, reconciler: Reconciler, one: int) -> int:
    """A model in two ensembles; its id."""
    for kind in ("ensemble_average", "ensemble_vote"):
        assert ensembling.add(reconciler, [one], kind, ADA).done
    assert set(copies(root)) == {COPY, VOTED}
    return one


def test_a_copy_that_lies_in_another_ensemble_than_the_one_named_stays(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    copy = id_at(root, COPY)
    removed = ensembling.take_out(reconciler, [copy], "ensemble_vote", RM)
    words = "it lies in ensemble_average, not in ensemble_vote"
    assert words in removed.failed[copy].message
    assert set(copies(root)) == {COPY, VOTED}


TAKEN_OUT = {
    "all": (MODEL, None, set()),
    "one ensemble": (MODEL, "ensemble_vote", {COPY}),
    "the copy by its own path": (COPY, None, {VOTED}),
}


@pytest.mark.parametrize("case", TAKEN_OUT)
def test_copies_are_taken_out(root: Path, reconciler: Reconciler, both: int, case: str) -> None:
    path, kind, left = TAKEN_OUT[case]
    removed = ensembling.take_out(reconciler, [id_at(root, path)], kind, RM)
    assert removed.done == {id_at(root, path)}
    assert set(copies(root)) == left
    assert (root / MODEL).exists()
    assert {path for path in (COPY, VOTED) if (root / path).exists()} == left
    assert_books_agree(root)
    assert {line[-1] for line in told(root, "actor") if line[0] == "unensembled"} == {ADA.actor}


def test_what_has_no_copy_there_is_told(root: Path, reconciler: Reconciler, one: int) -> None:
    for kind, words in (("ensemble_vote", "the ensemble ensemble_vote"), (None, "any ensemble")):
        removed = ensembling.take_out(reconciler, [one], kind, RM)
        assert isinstance(removed.failed[one], NoSuchModel)
        assert f"no copy in {words}" in removed.failed[one].message


def test_a_removed_model_takes_its_copies_along_and_they_come_back_with_it(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    before = files_below(root / "1h")
    assert removal.remove(reconciler, [both], RM).done == {
        both, id_at(root, COPY), id_at(root, VOTED),
    }  # fmt: skip
    assert files_below(root / "1h") == {}
    assert copies(root) == {}
    assert_books_agree(root)
    restored = removal.restore(reconciler, [both], ADA)
    assert restored.failed == {}
    assert files_below(root / "1h") == before
    assert copies(root) == {COPY: (MODEL, 1), VOTED: (MODEL, 1)}
    assert flags(root, MODEL) == (1, "ensemble_average, ensemble_vote")
    pinned = {row["path"] for row in rows(root, "SELECT path FROM model WHERE pinned = 1")}
    assert pinned == {MODEL}
    assert_books_agree(root)
    assert not leftovers(root)


def test_only_the_copies_that_went_with_it_come_back(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    ensembling.take_out(reconciler, [both], "ensemble_vote", RM)
    removal.remove(reconciler, [both], RM)
    removal.restore(reconciler, [both], ADA)
    assert copies(root) == {COPY: (MODEL, 1)}
    assert not (root / VOTED).exists()
    assert_books_agree(root)


def test_a_copy_that_a_person_took_out_for_good_does_not_come_back_with_its_model(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    """Though it had been in the trash with it before."""
    copy = id_at(root, COPY)
    removal.remove(reconciler, [both], RM)
    removal.restore(reconciler, [copy], ADA)
    ensembling.take_out(reconciler, [copy], None, RM)
    restored = removal.restore(reconciler, [both], ADA)
    assert restored.copies == {both: [VOTED]}
    assert set(copies(root)) == {VOTED}
    assert_books_agree(root)


def test_a_restore_that_was_broken_off_can_be_repeated(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    """The model came back and its copies did not."""
    removal.remove(reconciler, [both], RM)
    assert bring_back(reconciler, [both], ADA).done == {both}
    assert copies(root) == {}
    restored = removal.restore(reconciler, [both], ADA)
    assert (restored.failed, restored.copies) == ({}, {both: [COPY, VOTED]})
    assert set(copies(root)) == {COPY, VOTED}
    again = removal.restore(reconciler, [both], ADA)
    assert "is not in the trash" in again.failed[both].message


def _retrain_copy(root: Path, saved: Saved) -> None:
    saved.write_h5(root / COPY, 3)


def _retrain_model(root: Path, saved: Saved) -> None:
    saved.write_h5(root / MODEL, 3)


def _retrain_copy_of_none(root: Path, saved: Saved) -> None:
    saved.write_h5(root / COPY, 3)
    rm(root, MODEL)


def _break_copy(root: Path, saved: Saved) -> None:
    os.truncate(root / COPY, 1000)


@pytest.mark.parametrize(
    "part", [_retrain_copy, _retrain_model, _retrain_copy_of_none, _break_copy]
)
def test_a_copy_of_other_content_holds_its_model_unless_a_person_insists(
    root: Path, saved: Saved, reconciler: Reconciler, both: int, part: Callable[[Path, Saved], None]
) -> None:
    """It may be the only one that there is."""
    part(root, saved)
    reconcile(reconciler)
    before = files_below(root / "1h")
    refused = removal.remove(reconciler, [both], RM)
    assert (refused.done, set(refused.refused)) == (set(), {both})
    assert f"its copy {COPY} has other content" in refused.refused[both].message
    assert "--force" in refused.refused[both].hint
    assert f"watcherd ensemble remove {COPY}" in refused.refused[both].hint
    assert files_below(root / "1h") == before
    by_name = [both, id_at(root, COPY), id_at(root, VOTED)]
    assert removal.remove(reconciler, by_name, RM).refused == {}
    assert files_below(root / "1h") == {}


def test_where_two_models_have_one_alias_in_mind_copies_make_no_difference(
    root: Path, saved: Saved, reconciler: Reconciler, both: int
) -> None:
    saved.write_h5(root / LSTM / "b.h5", 1)
    reconcile(reconciler)
    books.set_alias(reconciler.registry, both, "best", ADA, 1)
    with pytest.raises(Refused, match="is model"):
        books.set_alias(reconciler.registry, id_at(root, f"{LSTM}/b.h5"), "best", ADA, 1)


def test_a_pinned_copy_holds_its_model_unless_a_person_insists(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    books.pin(reconciler.registry, id_at(root, VOTED), ADA, 1)
    refused = removal.remove(reconciler, [both], RM)
    assert (refused.done, set(refused.refused)) == (set(), {both})
    assert f"its copy {VOTED}: it is pinned" in refused.refused[both].message
    assert set(files_below(root / "1h")) == {"BTC/LSTM/a.h5"} | {
        path.removeprefix("1h/") for path in (COPY, VOTED)
    }
    assert removal.remove(reconciler, [both], FORCE).done >= {both}
    assert files_below(root / "1h") == {}


def test_rm_of_a_model_that_is_gone_takes_what_is_left_of_it_its_copies(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    rm(root, MODEL)
    reconcile(reconciler)
    removed = removal.remove(reconciler, [both], RM)
    assert (removed.failed, removed.refused) == ({}, {})
    assert removed.done == {id_at(root, COPY), id_at(root, VOTED)}
    assert files_below(root / "1h") == {}
    assert (
        "nothing is there to remove" in removal.remove(reconciler, [both], RM).failed[both].message
    )


def test_what_is_purged_with_its_copies_is_deleted(
    root: Path, reconciler: Reconciler, both: int
) -> None:
    removal.remove(reconciler, [both], RM)
    done = call("--root", str(root), "trash", "purge", "--all", "--json")
    assert done.status == 0
    assert {row["state"] for row in rows(root)} == {"deleted"}
    assert not os.listdir(root / ".watcherd/trash")
    reconcile(reconciler)
    assert_books_agree(root)


def test_no_rule_removes_a_model_in_an_ensemble_or_its_copy(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    prefixes = save(root, saved, 4)
    reconcile(reconciler)
    oldest = id_at(root, prefixes[0])
    assert ensembling.add(reconciler, [oldest], "ensemble_average", ADA).done
    pruner = Pruner(reconciler, replace(POLICY, rules=(Rule(1),), max_prune_fraction=1.0))
    gone = {verdict.candidate.path for verdict in pruner.prune(Cause.REQUEST).trashed}
    assert gone == set(prefixes[1:3])


# --- what people and scripts are told ------------------------------------------------------------


def test_the_commands_tell_scripts_what_they_did(root: Path, saved: Saved) -> None:
    saved.write_h5(root / MODEL)
    config = root.with_name("config.toml")
    config.write_text(f'[models]\nroot = "{root}"\n[watch]\nsettle = "10ms"')
    program = ("--config", str(config), "--json")
    assert call(*program, "reconcile").status == 0
    add = call(*program, "ensemble", "add", MODEL, "nothing", "--type", "ensemble_average")
    assert add.status == 3
    copied, unknown = add.json()
    assert copied == {
        "model": MODEL, "model_id": 1, "copied": True, "error": None, "copy_path": COPY,
        "already": False,
    }  # fmt: skip
    assert (unknown["copied"], unknown["copy_path"]) == (False, None)
    (listed,) = call(*program, "ensemble", "list").json()
    assert listed == {
        "interval": "1h", "ticker": "BTC", "ensemble_type": "ensemble_average", "model_id": 1,
        "path": MODEL, "state": "present", "copy_id": 2, "copy_path": COPY, "same_content": 1,
        "size_bytes": len(saved.h5[0]),
    }  # fmt: skip
    for option, count in (("--type", 0), ("--ticker", 0), ("--interval", 0)):
        assert len(call(*program, "ensemble", "list", option, "x*").json()) == count
    assert call(*program, "show", MODEL).json()["copies"] == [COPY]
    assert call(*program, "show", COPY).json()["copy_of"] == 1
    (again,) = call(*program, "ensemble", "add", MODEL, "--type", "ensemble_average").json()
    assert (again["copied"], again["already"]) == (True, True)
    assert call(*program, "ensemble", "add", MODEL, "--type", "LSTM").status == 2
    (removed,) = call(*program, "ensemble", "remove", MODEL).json()
    assert removed == {
        "model": MODEL, "model_id": 1, "removed": True, "error": None, "copies": [COPY],
    }  # fmt: skip
    assert call(*program, "ensemble", "remove", MODEL).status == 12
    assert call(*program, "ensemble", "list").json() == []


TOLD = {
    "a copy went with it": ("removed", [COPY], {1}, f"moved to the trash, with its copy {COPY}"),
    "its copies alone went": (
        "removed", [COPY, VOTED], set(), f"its copies {COPY}, {VOTED} moved to the trash"),
    "it went": ("removed", [], {1}, "moved to the trash"),
    "the copy that was named went": ("removed", [], set(), "moved to the trash"),
    "a copy came with it": (
        "restored", [COPY], {1},
        f"back in its place, with its copy {COPY}, and pinned: no rule removes it"),
    "its copy alone came": ("restored", [COPY], set(), f"its copy {COPY} back in place"),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_people_are_told_which_copies_went_and_came(case: str) -> None:
    done, its, themselves, words = TOLD[case]
    row = {"model": MODEL, "model_id": 1, done: True, "error": None, "copies": its}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render.moved_text([row], done, themselves))
    assert captured.get() == f"{MODEL}: {words}\n"


def test_rm_names_the_copies_that_it_takes(root: Path, reconciler: Reconciler, both: int) -> None:
    assert call("--root", str(root), "rm", MODEL).out == (
        f"{MODEL}: moved to the trash, with its copies {COPY}, {VOTED}\n"
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_fits_the_terminal_and_tells_names_whole(
    root: Path, saved: Saved, reconciler: Reconciler, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    long = f"{LSTM}/a_rather_long_name_for_a_model-{'x' * 60}.h5"
    for path, variant in ((MODEL, 0), (long, 1), (COPY, 0), (f"{AVERAGE}/stranger.h5", 2)):
        saved.write_h5(root / path, variant)
    cp(root, long, f"{AVERAGE}/{Path(long).name}")
    reconcile(reconciler)
    saved.write_h5(root / MODEL, 3)
    reconcile(reconciler)
    out = call("--root", str(root), "ensemble", "list").out
    assert max(map(len, out.splitlines())) <= width
    for words in ("out of date", "same content", "3 models in 1 ensemble"):
        assert words in out
    assert "a model of" in out
    assert "…" not in out


NAMES = [
    "two\nlines",
    'it\'s "quoted"',
    "[bold]x",
    "비트코인",
    "\x1b[31mred",
    "*?[a]",
    "a;b",
]


def test_names_are_taken_and_shown_as_they_are(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    for name in NAMES:
        saved.write_h5(root / LSTM / f"{name}.h5")
    reconcile(reconciler)
    made = {}
    for name in NAMES:
        path, kind = f"{LSTM}/{name}.h5", f"ensemble_{name}"
        assert ensembling.add(reconciler, [id_at(root, path)], kind, ADA).failed == {}
        made[f"{BTC}/{kind}/{name}.h5"] = (path, 1)
    assert copies(root) == made
    out = call("--root", str(root), "ensemble", "list").out
    assert "\x1b" not in out
    assert out.count("same content") == len(NAMES)
    ids = [id_at(root, source) for source, _ in made.values()]
    assert removal.remove(reconciler, ids, RM).failed == {}
    assert copies(root) == {}
    assert removal.restore(reconciler, ids, ADA).failed == {}
    assert copies(root) == made


def test_two_roots_in_one_registry_know_nothing_of_each_other(tmp_path: Path, saved: Saved) -> None:
    url = f"sqlite:///{tmp_path}/both.db"
    roots = [tmp_path / name for name in ("a", "b")]
    for root in roots:
        saved.write_h5(root / MODEL)
        saved.write_h5(root / COPY)
    for root in roots:
        with reconciler_of(root, url=url) as reconciler:
            reconcile(reconciler)
    with closing(sqlite3.connect(tmp_path / "both.db")) as connection:
        pairs = "SELECT m.root_id, s.root_id FROM model m JOIN model s ON s.model_id = m.copy_of"
        assert connection.execute(pairs).fetchall() == [(1, 1), (2, 2)]


def test_a_registry_of_an_earlier_version_learns_of_its_ensembles_by_the_next_whole_look(
    root: Path, saved: Saved
) -> None:
    saved.write_h5(root / MODEL)
    saved.write_h5(root / COPY)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    as_of_0001(root / ".watcherd/registry.db")
    with reconciler_of(root) as reconciler:
        assert copies(root) == {COPY: (None, None)}
        reconcile(reconciler)
        assert copies(root) == {COPY: (MODEL, 1)}
        assert_books_agree(root)


def as_of_0001(path: Path) -> None:
    """The same rows in the tables of that version, which concluded nothing of ensembles."""
    new = path.with_name("new.db")
    path.rename(new)
    registry_of("0001", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("ATTACH ? AS new", (str(new),))
        for table in ("root", "folder", "optimizer", "architecture", "model", "model_file"):
            old = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            names = ", ".join(f'"{name}"' for name in old)
            connection.execute(
                f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}"
            )
        connection.execute("UPDATE model SET copy_of = NULL, ensemble = 0")
        connection.execute("UPDATE model SET ensemble_type = NULL WHERE type IS NOT NULL")
    for file in path.parent.glob("new.db*"):
        file.unlink()


# --- whatever happens, and however it is looked at ------------------------------------------------

TICKERS, TYPES, ENSEMBLES = ("BTC", "ETH"), ("LSTM", "GRU"), ("ensemble_average", "ensemble_vote")
PLACES = st.builds(
    "1h/{}/{}/{}.h5".format,
    st.sampled_from(TICKERS),
    st.sampled_from(TYPES + ENSEMBLES),
    st.sampled_from("ab"),
)
SCOPES = st.one_of(
    st.just(ROOT),
    st.lists(PLACES.map(lambda path: path.rpartition("/")[0]), min_size=1, max_size=3).map(folders),
)
ACTS = st.one_of(
    st.tuples(st.sampled_from(["cp", "cp", "mv"]), PLACES, PLACES),
    st.tuples(st.just("save"), PLACES, st.integers(0, 1)),
    st.tuples(st.just("rm"), PLACES, st.none()),
)


def act(root: Path, saved: Saved, verb: str, at: str, to: Any) -> None:
    """What is impossible at this moment does not happen."""
    if verb == "save":
        saved.write_h5(root / at, to)
    elif (root / at).exists() and at != to:
        rm(root, at) if verb == "rm" else {"cp": cp, "mv": mv}[verb](root, at, to)


def assert_told_as_the_disk_tells(root: Path) -> None:
    """What lies in an ensemble is a copy of a model of its interval and ticker.

    Where models of its name and content are on disk there, it is a copy of one of that content; and
    of one of these, unless another of that content has ever been there, whose copy it may have
    been before. Up to date is what has the bytes of its model. Where the disk leaves it open, which
    one depends on what was there first.
    """
    content = {
        row["path"]: (root / row["path"]).read_bytes()
        for row in rows(root)
        if row["state"] == "present"
    }
    marks = {
        row["fingerprint"]: content[row["path"]]
        for row in rows(root)
        if row["path"] in content and row["state"] == "present"
    }
    models = [row for row in rows(root) if row["type"]]
    by_id = {row["model_id"]: row for row in rows(root)}
    for row in rows(root):
        if row["state"] != "present" or row["type"]:
            continue
        its = content[row["path"]]
        near = [
            m for m in models if m["ticker"] == row["ticker"] and marks.get(m["fingerprint"]) == its
        ]
        fits = {
            m["model_id"]
            for m in near
            if m["state"] == "present" and m["model_name"] == row["model_name"]
        }
        source = by_id.get(row["copy_of"])
        if fits:
            assert source, row["path"]
            assert marks[source["fingerprint"]] == its, row["path"]
        if fits and {m["model_id"] for m in near} == fits:
            assert row["copy_of"] in fits, row["path"]
        if source:
            assert (source["ticker"], source["interval"]) == (row["ticker"], row["interval"])
            assert source["type"] or source["state"] != "present", "no copy of a copy"
    for path, (source_path, same) in copies(root).items():
        if source_path in content:
            assert same == (content[path] == content[source_path]), path


STORIES = st.lists(st.tuples(ACTS, SCOPES), max_size=10)


def assert_right_after(root: Path, saved: Saved, acts: list[Any]) -> None:
    with reconciler_of(root) as reconciler:
        for (verb, at, to), scope in acts:
            act(root, saved, verb, at, to)
            reconcile(reconciler, scope)
        reconcile(reconciler)
        assert reconcile(reconciler).plan.changes == ()
        assert_told_as_the_disk_tells(root)
        assert_books_agree(root)
        models, replayed = marks_of(reconciler.registry), replay(reconciler.registry)
        assert {model_id: replayed[model_id] for model_id in models} == models, "I9"
        event(f"{len(copies(root))} in ensembles")


@settings(max_examples=EXAMPLES // 20)
@given(acts=STORIES)
def test_whatever_happens_the_registry_tells_of_copies_as_the_disk_does(
    in_new_root: Callable[..., None],  # noqa: F811  the fixture
    acts: list[Any],
) -> None:
    in_new_root(lambda root, saved: assert_right_after(root, saved, acts))


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=EXAMPLES * 5)
@given(acts=STORIES)
def test_whatever_happens_a_thousand_times(
    in_new_root: Callable[..., None],  # noqa: F811  the fixture
    acts: list[Any],
) -> None:
    in_new_root(lambda root, saved: assert_right_after(root, saved, acts))
