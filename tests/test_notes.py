"""The note beside a model, ``<artifact>.watcherd.json``: read with it, and wherever it goes."""

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningDaemon, Saved, on_disk, rows, wait_until, watcherd
from tests.inline import reconcile, reconciler_of
from tests.test_scan import as_ordinary_user
from watcherd import journal, logs
from watcherd.artifact import Artifact, Form, Part, Role, fact_from
from watcherd.cli.places import scope_of
from watcherd.naming import unfit_as_companion
from watcherd.plan import Note, Verb
from watcherd.readers import note as reader
from watcherd.reconciler import Reconciler
from watcherd.registry import By
from watcherd.registry import marks as books
from watcherd.removal import remove
from watcherd.scope import Cause
from watcherd.trashing import Meaning, bring_back

ADA = By("ada@trainer1", Cause.REQUEST)
NOW = 1_790_000_000 * 1_000_000_000
FOLDER = "1h/BTC/LSTM"
PATH = f"{FOLDER}/m.h5"


@pytest.fixture
def reconciler(root: Path) -> Iterator[Reconciler]:
    with reconciler_of(root) as reconciler:
        yield reconciler


@pytest.fixture
def one(root: Path, saved: Saved, reconciler: Reconciler) -> Path:
    """One model, number 1, at ``PATH``; its note's path."""
    saved.write_h5(root / PATH)
    reconcile(reconciler)
    return root / f"{PATH}.watcherd.json"


def write(file: Path, **said: object) -> None:
    file.write_text(json.dumps(said))


def model(root: Path, model_id: int = 1) -> dict[str, Any]:
    (row,) = rows(root, "SELECT * FROM model WHERE model_id = ?", model_id)
    return row


def tags(root: Path, model_id: int = 1) -> dict[str, tuple[str | None, str]]:
    found = rows(root, "SELECT * FROM tag WHERE model_id = ? ORDER BY key", model_id)
    return {row["key"]: (row["value"], row["source"]) for row in found}


def counting(root: Path) -> dict[str, float]:
    (row,) = rows(root, "SELECT results FROM present_model WHERE model_id = 1")
    return dict(json.loads(row["results"]))


def files(root: Path, model_id: int = 1) -> dict[str, str]:
    """Name -> role."""
    found = rows(root, "SELECT * FROM model_file WHERE model_id = ?", model_id)
    return {Path(row["path"]).name: row["role"] for row in found}


def verbs(root: Path) -> list[str]:
    return [row["verb"] for row in rows(root, "SELECT verb FROM history ORDER BY history_id")]


# -- reading ---------------------------------------------------------------------------------------


def read(tmp_path: Path, content: bytes, form: Form = Form.HDF5) -> Note | None:
    """The note of an artifact, with this content."""
    file = tmp_path / "m.watcherd.json"
    file.write_bytes(content)
    part = Part(Role.NOTE, file.name, fact_from(file.lstat()))
    return reader.read(str(tmp_path), Artifact("m", form, (part,)))


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ("{}", Note()),
        ('{"results": {"sharpe": 1.3, "mae": 2}}', Note(results={"sharpe": 1.3, "mae": 2.0})),
        ('{"tags": {"a": "b", "c": null, "d": 7}}', Note(tags={"a": "b", "c": None, "d": "7"})),
        ('{"tags": {"best": true}, "note": "비"}', Note(tags={"best": "true"}, text="비")),
        ('{"companions": ["a.x", "b c", "a.x"]}', Note(companions=("a.x", "b c"))),
        ('{"results": null, "tags": null, "note": null, "companions": null}', Note()),
        ('{"trainer": {"anything": [1]}}', Note()),
    ],
)
def test_what_a_note_says(tmp_path: Path, content: str, note: Note) -> None:
    assert read(tmp_path, content.encode()) == note


@pytest.mark.parametrize(
    ("content", "note", "fault"),
    [
        ('{"results": {"a": NaN, "b": 1}}', Note(results={"b": 1.0}), "results.a is not finite"),
        ('{"results": {"a": 1e999}}', Note(), "results.a is not finite"),
        ('{"results": {"a": 1%s}}' % ("0" * 400), Note(), "results.a is not finite"),
        ('{"results": {"a": "1"}}', Note(), "results.a is no number"),
        ('{"results": {"a": true}}', Note(), "results.a is no number"),
        ('{"results": {"": 1}}', Note(), "not of 1 to 1,000 characters"),
        ('{"results": [1]}', Note(), "results is no object"),
        ('{"tags": {"a": [], "b": "c"}}', Note(tags={"b": "c"}), "tags.a is no text"),
        (r'{"tags": {"\ud800": "x"}}', Note(), "not UTF-8"),
        ('{"note": 5}', Note(), "note is no text"),
        (r'{"note": "\ud800"}', Note(), "note is no text"),
        ('{"companions": "a"}', Note(), "companions is no list"),
        ('{"companions": ["../a", 5]}', Note(), "companion '../a' is no plain name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_costs_only_itself(
    tmp_path: Path, content: str, note: Note, fault: str
) -> None:
    found = read(tmp_path, content.encode())
    assert found
    assert fault in (found.fault or "")
    assert (found.results, found.tags, found.companions) == (note.results, note.tags, ())
    assert found.is_readable


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no JSON"),
        (b'{"tags": {"a"', "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "nests too deep"),
        (b'{"a":' * 100_000, "nests too deep"),
        (b'{"results": {"a": 1%s}}' % (b"0" * 5000), "no JSON"),
        (b"[1, 2]", "no JSON object"),
        (b"[]" + b" " * (1 << 20), "1,048,576"),
    ],
)
def test_of_what_is_no_note_nothing_is_told(tmp_path: Path, content: bytes, fault: str) -> None:
    found = read(tmp_path, content)
    assert found
    assert fault in (found.fault or "")
    assert found == Note(fault=found.fault, is_readable=False)


def test_a_note_is_bounded_in_what_it_says(tmp_path: Path) -> None:
    many = {str(number): number for number in range(2_000)}
    said = {"results": many, "tags": many, "companions": list(many)}
    found = read(tmp_path, json.dumps(said).encode())
    assert found
    assert {len(found.results), len(found.tags), len(found.companions)} == {1_000}
    assert len(found.fault or "") < 1_000
    odd = read(tmp_path, json.dumps({"tags": {"x" * 500 + str(n): [] for n in range(99)}}).encode())
    assert odd
    assert (odd.fault or "").endswith("and 94 more")
    assert len(odd.fault or "") < 1_000


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("scaler.x", None), ("vocab 1.txt", None), ("스케일러", None), ("checkpoint.json", None),
        ("", "plain"), (".", "plain"), ("..", "plain"), ("a/b", "plain"), ("a\0", "plain"),
        ("\udcff", "plain"), ("b.h5", "model's own"), ("p.index", "model's own"),
        ("p.data-00000-of-00001", "model's own"), ("saved_model.pb", "model's own"),
        ("m.h5.watcherd.json", "note"), (".hidden", "hidden"),
        ("events.out.tfevents.1.host", "hidden"), ("manifest.json", "trash"),
    ],
)  # fmt: skip
def test_which_names_may_be_companions(name: str, why: str | None) -> None:
    told = unfit_as_companion(name)
    assert told is None if why is None else why in (told or "")


def test_a_saved_model_has_its_companions_in_its_own_folder(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"companions": ["a"]}', Form.SAVED_MODEL)
    assert found
    assert (found.companions, "assets.extra" in (found.fault or "")) == ((), True)


# -- what it says is in the registry ---------------------------------------------------------------


def test_a_note_is_read_with_its_model(root: Path, saved: Saved, reconciler: Reconciler) -> None:
    saved.write_checkpoint(root / f"{FOLDER}/cp-1")
    write(
        root / f"{FOLDER}/cp-1.watcherd.json", results={"sharpe": 1.3}, tags={"run": "7"}, note="x"
    )
    reconcile(reconciler)
    assert (tags(root), model(root)["note"], counting(root)) == (
        {"run": ("7", "note")}, "x", {"sharpe": 1.3},
    )  # fmt: skip
    assert verbs(root) == ["registered", "tagged", "noted", "recorded"]
    told = rows(root, "SELECT DISTINCT actor, cause FROM history")
    assert told == [{"actor": "test", "cause": "request"}]
    assert reconcile(reconciler).plan.changes == ()


def test_the_files_own_facts_are_not_the_notes(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    before = model(root)
    write(one, companions=["big.x"])
    (one.parent / "big.x").write_bytes(b"x" * 100_000)
    os.utime(one, ns=(2_000_000_000 * 10**9, 2_000_000_000 * 10**9))
    reconcile(reconciler)
    assert files(root) == {"m.h5": "h5", one.name: "note", "big.x": "companion"}
    after = model(root)
    for column in ("modified_at", "size_bytes", "files", "fingerprint", "changed_at", "placed_at"):
        assert after[column] == before[column], column


def test_what_differs_from_its_last_words_is_told_and_no_more(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    steps: list[tuple[dict[str, Any], list[str]]] = [
        ({"tags": {"a": "1", "b": None}}, ["tagged", "tagged"]),
        ({"tags": {"a": "1", "b": None}, "note": "x"}, ["noted"]),
        ({"tags": {"a": "2"}, "note": "x"}, ["untagged", "tagged"]),
        ({"tags": {"a": "2"}, "results": {"sharpe": 1}}, ["noted", "recorded"]),
        ({"tags": {"a": "2"}, "results": {"sharpe": 1, "mae": 2}}, ["recorded"]),
        ({"results": {"sharpe": 1}}, ["untagged"]),
        ({}, []),
    ]
    for said, told in steps:
        before = verbs(root)
        write(one, **said)
        reconcile(reconciler)
        assert verbs(root)[len(before) :] == told, said
    assert counting(root) == {"sharpe": 1, "mae": 2}, "results are only added"
    recorded = rows(root, "SELECT details FROM history WHERE verb = 'recorded'")
    assert [json.loads(row["details"])["results"] for row in recorded] == [
        {"sharpe": 1.0}, {"mae": 2.0},
    ]  # fmt: skip


def test_a_note_that_is_gone_says_nothing_any_more(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    write(one, tags={"a": "1"}, note="x", results={"sharpe": 1})
    reconcile(reconciler)
    one.unlink()
    reconcile(reconciler)
    assert (tags(root), model(root)["note"], counting(root)) == ({}, None, {"sharpe": 1})
    assert files(root) == {"m.h5": "h5"}


def test_a_persons_tag_never_goes_by_a_note(root: Path, reconciler: Reconciler, one: Path) -> None:
    books.set_tag(reconciler.registry, 1, "mine", "1", ADA, NOW)
    write(one, tags={"mine": "2", "ours": "3", "its": "4"})
    reconcile(reconciler)
    books.set_tag(reconciler.registry, 1, "ours", "3", ADA, NOW)
    assert tags(root) == {"its": ("4", "note"), "mine": ("1", "person"), "ours": ("3", "person")}
    write(one)
    reconcile(reconciler)
    assert tags(root) == {"mine": ("1", "person"), "ours": ("3", "person")}


def test_what_a_person_took_away_does_not_come_back_by_the_same_words(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    write(one, tags={"a": "1"}, note="x")
    reconcile(reconciler)
    books.drop_tag(reconciler.registry, 1, "a", ADA, NOW)
    books.note(reconciler.registry, 1, "mine", ADA, NOW)
    write(one, tags={"a": "1"}, note="x", results={"sharpe": 1})
    reconcile(reconciler)
    assert (tags(root), model(root)["note"]) == ({}, "mine")
    write(one)
    reconcile(reconciler)
    assert model(root)["note"] == "mine", "the last word counts"


def test_a_broken_note_costs_the_model_nothing_and_its_last_words_stand(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    write(one, tags={"a": "1"}, companions=["s.x"])
    (one.parent / "s.x").write_text("s")
    reconcile(reconciler)
    one.write_text('{"tags": ')
    cycles = [reconcile(reconciler)]
    assert (tags(root), model(root)["state"]) == ({"a": ("1", "note")}, "present")
    assert "no JSON" in model(root)["note_fault"]
    assert files(root)["s.x"] == "companion"
    os.utime(one)
    cycles.append(reconcile(reconciler))
    logs.configure(format="json", stream=(out := io.StringIO()))
    for cycle in cycles:
        journal.tell_cycle(cycle, reconciler.registry)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "note.refused"]
    assert (line["level"], line["path"]) == ("warning", PATH)
    assert "no JSON" in line["error"]
    write(one, tags={"a": "2"})
    reconcile(reconciler)
    assert (tags(root), model(root)["note_fault"]) == ({"a": ("2", "note")}, None)


READ = """
import sys
from pathlib import Path
from watcherd.artifact import Artifact, Form, Part, Role, fact_from
from watcherd.readers import read
def part(role, name):
    return Part(role, name, fact_from(Path(sys.argv[1], name).lstat()))
parts = [part(Role.H5, "m.h5"), part(Role.NOTE, "m.h5.watcherd.json")]
reading = read(sys.argv[1], Artifact("m.h5", Form.HDF5, tuple(parts)))
print(reading.outcome, reading.note.is_readable, reading.note.fault)
"""


def test_a_note_that_may_not_be_read_hides_no_model(tmp_path: Path, saved: Saved) -> None:
    note = saved.write_h5(tmp_path / "m.h5").with_name("m.h5.watcherd.json")
    write(note, tags={"a": "1"})
    note.chmod(0o000)
    done = as_ordinary_user("-c", READ, str(tmp_path))
    assert done.stdout == "complete False it cannot be read: Permission denied\n", done.stderr


def test_a_folder_or_a_symlink_of_its_name_is_no_note(root: Path, saved: Saved) -> None:
    saved.write_h5(root / PATH)
    note = root / f"{PATH}.watcherd.json"
    note.mkdir()
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        assert on_disk(root) == {PATH: "present"}
        assert files(root) == {"m.h5": "h5"}
        note.rmdir()
        note.symlink_to("elsewhere.json")
        reconcile(reconciler)
        assert files(root) == {"m.h5": "h5"}


def test_a_note_by_itself_is_no_model(root: Path, reconciler: Reconciler, one: Path) -> None:
    write(one.with_name("gone.h5.watcherd.json"), tags={"a": "1"})
    reconcile(reconciler)
    assert on_disk(root) == {PATH: "present"}
    write(one, tags={"a": "1"}, companions=["s.x"])
    one.with_name("s.x").write_text("s")
    reconcile(reconciler)
    (root / PATH).unlink()
    reconcile(reconciler)
    assert model(root)["state"] == "missing", "a note that stays behind is no model"


# -- results are of content ------------------------------------------------------------------------


def test_what_a_note_says_is_of_the_content_it_was_written_for(
    root: Path, saved: Saved, reconciler: Reconciler, one: Path
) -> None:
    write(one, results={"sharpe": 1.3})
    reconcile(reconciler)
    saved.write_h5(root / PATH, 1)
    reconcile(reconciler)
    assert counting(root) == {}, "the note is the old content's"
    time.sleep(0.002)
    write(one, results={"sharpe": 1.3})
    reconcile(reconciler)
    assert counting(root) == {"sharpe": 1.3}, "written again, with the same words"


def test_a_note_that_came_before_its_model_was_whole_counts_once_it_is(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    place = saved.write_h5(root / PATH)
    place.write_bytes(saved.h5[0][:1000])
    write(root / f"{PATH}.watcherd.json", results={"sharpe": 1.3}, tags={"a": "1"})
    reconcile(reconciler)
    assert (rows(root, "SELECT * FROM result"), tags(root)) == ([], {"a": ("1", "note")})
    saved.write_h5(root / PATH)
    reconcile(reconciler)
    assert counting(root) == {"sharpe": 1.3}


# -- it goes where its model goes ------------------------------------------------------------------


def trash(reconciler: Reconciler, *ids: int) -> list[int]:
    by = By("ada@trainer1", Cause.REQUEST)
    return list(remove(reconciler, ids, Meaning(Verb.DELETED, 3600.0, by, force=True)).done)


def restore(reconciler: Reconciler, *ids: int) -> None:
    assert not bring_back(reconciler, ids, ADA).failed


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_note_and_companions_go_to_the_trash_with_the_model_and_return(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    write(one, tags={"a": "1"}, note="x", companions=["scaler.x", "absent.x"])
    (one.parent / "scaler.x").write_text("scaler")
    (one.parent / "other.x").write_text("other")
    reconcile(reconciler)
    before = (tags(root), model(root)["note"], files(root))
    trash(reconciler, 1)
    assert names(one.parent) == {"other.x"}
    assert (tags(root), model(root)["note"]) == before[:2]
    restore(reconciler, 1)
    assert names(one.parent) == {"m.h5", one.name, "scaler.x", "other.x"}
    assert (tags(root), model(root)["note"], files(root)) == before
    assert (one.parent / "scaler.x").read_text() == "scaler"


def test_a_companion_of_several_models_stays_until_the_last_one_goes(
    root: Path, saved: Saved, reconciler: Reconciler, one: Path
) -> None:
    for number, name in enumerate(("m.h5", "n.h5", "o.h5")):
        saved.write_h5(one.with_name(name), number)
        write(one.with_name(f"{name}.watcherd.json"), companions=["scaler.x"])
    (one.parent / "scaler.x").write_text("scaler")
    reconcile(reconciler)
    trash(reconciler, 1)
    assert names(one.parent) >= {"scaler.x", "n.h5", "o.h5"}
    restore(reconciler, 1)
    assert files(root)["scaler.x"] == "companion"
    trash(reconciler, 1, 2)
    assert "scaler.x" in names(one.parent)
    trash(reconciler, 3)
    assert names(one.parent) == set()
    restore(reconciler, 3)
    assert "scaler.x" in names(one.parent)


def test_a_move_takes_the_note_along_and_says_nothing_anew(
    root: Path, reconciler: Reconciler, one: Path
) -> None:
    write(one, tags={"a": "1"}, results={"sharpe": 1}, companions=["s.x"])
    (one.parent / "s.x").write_text("s")
    reconcile(reconciler)
    before = verbs(root)
    one.parent.rename(root / "1h/BTC/GRU")
    reconcile(reconciler)
    assert verbs(root) == [*before, "moved"]
    assert files(root) == {"m.h5": "h5", one.name: "note", "s.x": "companion"}
    assert model(root)["type"] == "GRU"


def test_companions_come_change_and_go_without_the_model_being_read_again(
    root: Path, reconciler: Reconciler, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(one, companions=["s.x"])
    reconcile(reconciler)
    revision = model(root)["revision"]
    monkeypatch.setattr(reconciler.child, "map", lambda jobs: iter([]) if not jobs else 1 / 0)
    place = one.with_name("s.x")
    for content in ("a", "longer", None):
        place.write_text(content) if content else place.unlink()
        cycle = reconcile(reconciler)
        assert [change.is_aside for change in cycle.plan.changes] == [True]
        sizes = rows(root, "SELECT size_bytes FROM model_file WHERE role = 'companion'")
        assert [row["size_bytes"] for row in sizes] == ([len(content)] if content else [])
        assert reconcile(reconciler).plan.changes == ()
    assert model(root)["revision"] == revision + 3


def test_what_is_a_models_own_is_no_companion_whatever_a_note_says(
    root: Path, saved: Saved, reconciler: Reconciler, one: Path
) -> None:
    saved.write_checkpoint(root / f"{FOLDER}/cp-1")
    (one.parent / "checkpoint").write_text('model_checkpoint_path: "cp-1"\n')
    (one.parent / "link.x").symlink_to("m.h5")
    write(one, companions=["cp-1.index", "checkpoint", "link.x", "m.h5", one.name, "../x"])
    reconcile(reconciler)
    assert files(root) == {"m.h5": "h5", one.name: "note"}


# -- SavedModels and the daemon --------------------------------------------------------------------


def write_saved_model(folder: Path, saved: Saved) -> None:
    """Its variables alone: the rest of its save is to come, and it has its row already."""
    (folder / "variables").mkdir(parents=True)
    for suffix, content in saved.checkpoints[0].items():
        (folder / f"variables/variables{suffix}").write_bytes(content)


def test_the_note_of_a_saved_model_lies_beside_its_folder(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    write_saved_model(root / FOLDER / "export", saved)
    write(root / f"{FOLDER}/export.watcherd.json", tags={"a": "1"})
    reconcile(reconciler)
    assert tags(root) == {"a": ("1", "note")}
    assert files(root)["export.watcherd.json"] == "note"
    write(root / f"{FOLDER}/export.watcherd.json", tags={"a": "22"})
    reconcile(reconciler, scope_of(root, [Path(f"{FOLDER}/export.watcherd.json")]))
    assert tags(root) == {"a": ("22", "note")}


def test_a_daemon_sees_a_note_that_is_written_later(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    saved.write_h5(root / PATH)
    write_saved_model(root / FOLDER / "export", saved)
    daemon = start_daemon(root, settings='[watch]\nsettle = "100ms"\n')
    wait_until(lambda: len(on_disk(root)) == 2)
    for name in ("m.h5", "export"):
        write(root / f"{FOLDER}/{name}.watcherd.json", tags={"by": name}, companions=["s.x"])
    wait_until(lambda: len(rows(root, "SELECT * FROM tag")) == 2)
    (root / FOLDER / "s.x").write_text("no event is told of a companion")
    watcherd(root, "status", "--wait", "20")
    assert daemon.wait_for("note.refused")["path"] == f"{FOLDER}/export"
    told = rows(root, "SELECT actor FROM history WHERE verb = 'tagged'")
    assert [row["actor"] for row in told] == ["daemon"] * 2
