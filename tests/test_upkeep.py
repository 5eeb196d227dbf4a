"""Care of the registry: copies of it, and the dropping of what nobody will ask for any more.

I9 holds after a compaction, too: path, state and marks follow from the history that is left.
"""

import io
import json
import re
import resource
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests import asked
from tests.conftest import RunningDaemon, Saved, rows, watcherd
from tests.inline import reconcile, reconciler_of
from tests.test_cli import SETTINGS, call
from tests.test_cycle_properties import (
    EXAMPLES,
    empty_registry,  # noqa: F401  a fixture
    in_new_root,  # noqa: F401  a fixture
)
from tests.test_marks import ACTS, ADA, NOW, PLACES, _act, marks_of, replay
from watcherd import logs
from watcherd.config import FreeSpace, load
from watcherd.errors import RegistryError
from watcherd.purging import has_room
from watcherd.registry import By, Mode, Registry, compaction, copies, iso, ns_of, summaries
from watcherd.registry.compaction import GOES_ALONG, HOLDS, drop_history, forget_missing
from watcherd.registry.copies import KEPT, back_up, is_behind, list_copies
from watcherd.registry.marks import pin, set_alias, set_tag
from watcherd.registry.results import record
from watcherd.registry.tables import metadata, model
from watcherd.scope import Cause
from watcherd.session import Session, open_session
from watcherd.upkeep import DAY, Care, Upkeep, _words_of, is_due

S = 1_000_000_000
LSTM = "1h/BTC/LSTM"
TIMER = By("daemon", Cause.TIMER)
LATER = 4_000_000_000 * S
"""After anything that a test does."""


def nothing() -> None:
    """Nobody waits."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A registry with one root, and a model that was registered."""
    made = asked.make(tmp_path / "registry.db")
    told(made, asked.add(made, f"{LSTM}/a.h5"), "registered")
    return made


@pytest.fixture
def registry(file: Path) -> Iterator[Registry]:
    with Registry(asked.url_of(file), Mode.WRITE) as registry:
        yield registry


def told(file: Path, model_id: int | None, verb: str, at: str = asked.AT, **details: Any) -> int:
    """A line of the history."""
    return asked.write(
        file,
        "INSERT INTO history (at, model_id, path, verb, cause, actor, details)"
        " VALUES (?, ?, 'p', ?, 'event', 'daemon', ?)",
        *(at, model_id, verb, json.dumps(details) if details else None),
    )  # fmt: skip


def ask(file: Path, query: str) -> list[Any]:
    """What any SQLite client sees."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def names(file: Path) -> set[str]:
    """What lies beside a registry, of it and its copies."""
    return {path.name for path in file.parent.iterdir()} - {"registry.db-wal", "registry.db-shm"}


def pins(file: Path) -> list[int]:
    return [row[0] for row in ask(file, "SELECT model_id FROM model WHERE pinned")]


# -- copies ----------------------------------------------------------------------------------------

NOON = ns_of("2026-01-31T12:00:00.000Z")
NAME = "registry.db.backup-20260131T120000Z"


def test_a_copy_is_a_registry_of_its_own_with_what_the_write_ahead_log_held(
    file: Path, registry: Registry
) -> None:
    pin(registry, 1, ADA, NOW)
    copy = back_up(file, now=NOON)
    assert (copy.path.name, copy.made_ns) == (NAME, NOON)
    assert copy.size_bytes == copy.path.stat().st_size
    assert pins(copy.path) == [1]
    assert names(file) == {"registry.db", NAME}
    assert (copy.path.stat().st_mode, file.stat().st_mode) == (file.stat().st_mode,) * 2


def test_writers_are_not_kept_waiting_and_the_copy_is_of_one_moment(
    file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "STEPS", 50)
    begun = []

    def say() -> None:
        set_tag(registry, 1, str(len(begun)), None, ADA, NOW)  # waits for no lock, or it would fail
        begun.append(1)

    asked.write(file, "PRAGMA busy_timeout = 0")
    copy = back_up(file, now=NOON, between=say)
    assert len(begun) > 5
    assert ask(file, "SELECT count(*) FROM tag") == [(len(begun),)]
    assert ask(copy.path, "SELECT count(*) FROM tag") == ask(
        copy.path, "SELECT count(*) FROM history WHERE verb = 'tagged'"
    )
    assert ask(copy.path, "PRAGMA integrity_check") == [("ok",)]


class Signal(BaseException):
    """As a handler of a signal raises it."""


def test_what_comes_in_between_ends_the_copying_and_leaves_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "STEPS", 50)

    def end() -> None:
        raise Signal

    with pytest.raises(Signal):
        back_up(file, now=NOON, between=end)
    assert names(file) == {"registry.db"}


def test_a_signal_that_comes_while_sqlite_is_at_work_ends_the_copying(file: Path) -> None:
    asked.write(file, "CREATE TABLE large (content)")
    asked.write(
        file,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        " INSERT INTO large SELECT hex(randomblob(40)) FROM n",
    )

    def end(*_: object) -> None:
        raise Signal

    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Signal):
            back_up(file, now=NOON)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert names(file) == {"registry.db"}


def test_a_copy_that_does_not_hold_what_its_tables_promise_is_none(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE model SET state = 'odd'")
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        back_up(file, now=NOON)
    assert names(file) == {"registry.db"}


STRANGERS = (
    "registry.db.before-0002.1790000000",
    "registry.db.backup-mine",
    "registry.db.backup-20260101T000000Z.gz",
    "other.db.backup-20260101T000000Z",
    "registry.db.backup-20990101T000000Z",  # by a clock that was wrong
)


def test_the_last_seven_are_kept_and_nothing_else_is_removed(file: Path) -> None:
    for name in STRANGERS:
        (file.parent / name).write_bytes(b"")
    folder = file.with_name("registry.db.backup-20250101T000000Z")
    folder.mkdir()
    made = [back_up(file, now=NOON + day * int(DAY) * S).path.name for day in range(KEPT + 2)]
    assert names(file) == {"registry.db", folder.name, *STRANGERS, *made[2:]}
    now = NOON + 30 * int(DAY) * S
    assert [one.path.name for one in list_copies(file, now=now)] == made[2:]


def test_what_a_kill_left_of_a_copy_goes_with_the_next(file: Path) -> None:
    file.with_name(f"{NAME}.4711").write_bytes(b"half a copy")
    back_up(file, now=NOON + S)
    assert names(file) == {"registry.db", "registry.db.backup-20260131T120001Z"}


def test_a_copy_is_behind_once_anything_is_said(file: Path, registry: Registry) -> None:
    copy = back_up(file, now=NOON).path
    assert not is_behind(copy, file)
    asked.write(file, "UPDATE folder SET fingerprint = NULL")
    assert not is_behind(copy, file), "the disk tells that anew"
    pin(registry, 1, ADA, NOW)
    assert is_behind(copy, file)
    copy.write_bytes(b"damaged")
    assert is_behind(copy, file)


@pytest.mark.parametrize(
    ("size", "free", "floor", "is_made"),
    [
        pytest.param(5, 100, 95, True, id="what has to stay free does"),
        pytest.param(6, 100, 95, False, id="it would not"),
        pytest.param(1, 100, 500, True, id="a hundredth of what is free is never missed"),
        pytest.param(2, 100, 500, False, id="more of it might be"),
        pytest.param(101, 100, 0, False, id="there is no room at all"),
    ],
)
def test_a_copy_needs_room(size: int, free: int, floor: int, is_made: bool) -> None:
    assert has_room(size, free=free, floor=floor) is is_made


@pytest.mark.parametrize(
    ("hours", "due"), [(None, True), (1, False), (23, False), (24, True), (1000, True)]
)
def test_a_copy_is_due_when_the_newest_is_a_day_old(hours: int | None, due: bool) -> None:
    old = [copies.Copy(Path("c"), NOON - hours * 3600 * S, 1)] if hours is not None else []
    # The job that is to see it comes a moment early.
    assert is_due(old, DAY, now=NOON - S) is due


# -- the job ---------------------------------------------------------------------------------------

CARE = Care(backup=DAY, forget_missing=None, history_for=None, min_free_space=FreeSpace(0))


def test_a_copy_is_made_where_one_is_due_and_something_was_said_since(
    file: Path, registry: Registry
) -> None:
    upkeep = Upkeep(registry, CARE, "daemon")
    first = upkeep.back_up(nothing)
    assert first
    pin(registry, 1, ADA, NOW)
    assert upkeep.back_up(nothing) is None, "not due"
    old = first.copy.path.rename(file.with_name(NAME))
    second = upkeep.back_up(nothing)
    assert second
    assert pins(second.copy.path) == [1]
    second.copy.path.rename(old)
    assert upkeep.back_up(nothing) is None, "nothing new"


def test_of_an_empty_registry_there_is_no_copy(tmp_path: Path) -> None:
    made = asked.make(tmp_path / "registry.db")
    with Registry(asked.url_of(made), Mode.WRITE) as registry:
        assert Upkeep(registry, CARE, "daemon").back_up(nothing) is None


def test_a_copy_for_which_the_disk_has_no_room_is_not_begun(file: Path, registry: Registry) -> None:
    free = shutil.disk_usage(file.parent).free
    with file.open("r+b") as large:
        large.truncate(free // 50)  # a hole: of no weight
    Upkeep(registry, CARE, "daemon")._refuse_narrow(file)
    narrow = replace(CARE, min_free_space=FreeSpace(share=1.0))
    with pytest.raises(RegistryError, match="min_free_space"):
        Upkeep(registry, narrow, "daemon").back_up(nothing)
    assert names(file) == {"registry.db"}


def test_of_another_database_than_sqlite_no_copy_is_made_and_that_is_said(
    registry: Registry,
) -> None:
    registry.url = "postgresql://ada@db/models"
    with pytest.raises(RegistryError, match="not SQLite"):
        Upkeep(registry, CARE, "daemon").back_up(nothing)


@pytest.mark.parametrize(
    ("care", "seconds"),
    [
        pytest.param(CARE, 3600, id="once an hour, so that what failed is tried again"),
        pytest.param(replace(CARE, backup=60.0), 60, id="more often where copies are to be"),
        pytest.param(replace(CARE, backup=None), None, id="never, where nothing is asked for"),
        pytest.param(replace(CARE, backup=None, history_for=1.0), 3600, id="history alone"),
    ],
)
def test_it_is_looked_what_is_due(care: Care, seconds: int | None) -> None:
    assert (care.timing and care.timing.seconds) == seconds


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """As on a disk that is full: writing beyond so many bytes of a file fails (setrlimit(2))."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_same_trouble_is_told_in_the_same_words_whatever_the_copy_is_called(
    file: Path, registry: Registry
) -> None:
    (target := file.with_name("a folder")).mkdir()
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.Error) as found:
        connection.execute("VACUUM INTO ?", (str(target),))
    assert str(target) in str(found.value)
    assert _words_of(found.value) == "unable to open database"


@pytest.fixture
def session(root: Path, saved: Saved, tmp_path: Path) -> Iterator[Session]:
    """Of a registry with a model that is missing, of which nothing is to be kept."""
    config = tmp_path / "config.toml"
    config.write_text('[registry]\nforget_missing = "1ms"\n')
    path = saved.write_h5(root / LSTM / "a.h5")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        path.unlink()
        reconcile(reconciler)
        found = load(config=config, root=root, environ={})
        with open_session(found, reconciler) as session, session._footing.stood_upon():
            yield session


def events(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_copy_that_fails_is_told_once_and_once_when_it_is_over_and_costs_no_row(
    session: Session, root: Path
) -> None:
    logs.configure(format="json", stream=(out := io.StringIO()))
    with no_file_above(20_000):
        session._keep_up()
        session._keep_up()
    assert [line["event"] for line in events(out)] == ["failure.raised"]
    assert "no copy of the registry" in events(out)[0]["error"]
    assert [row["state"] for row in rows(root)] == ["missing"]
    session._keep_up()
    assert [line["event"] for line in events(out)[1:]] == [
        "registry.copied", "failure.ended", "registry.compacted",
    ]  # fmt: skip
    assert rows(root) == []
    copy = Path(events(out)[1]["path"])
    assert ask(copy, "SELECT state FROM model") == [("missing",)], "it was copied before it went"


def test_what_nobody_foresaw_ends_no_daemon(session: Session) -> None:
    logs.configure(format="json", stream=(out := io.StringIO()))

    def fail() -> None:
        raise ValueError("odd")

    assert [session._try(fail), session._try(fail)] == [False, False]
    (line,) = events(out)
    assert "odd" in line["error"]
    assert "Traceback" in line["exception"]


def test_a_daemon_copies_after_its_first_look_and_status_shows_it(
    root: Path, saved: Saved, start_daemon: Callable[..., RunningDaemon]
) -> None:
    saved.write_h5(root / LSTM / "a.h5")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    daemon = start_daemon(root)
    line = daemon.wait_for("registry.copied")
    copy = Path(line["path"])
    assert ask(copy, "SELECT path FROM model") == [(f"{LSTM}/a.h5",)]
    said = json.loads(watcherd(root, "status", "--json").stdout)
    assert (said["copy"]["path"], said["copy"]["size_bytes"]) == (str(copy), line["size_bytes"])
    assert 0 < ns_of(said["schedule"]["upkeep"]) / 1e9 - time.time() <= 3600
    assert copy.name in watcherd(root, "status").stdout.replace("\n", "").replace(" ", "")
    daemon.stop()
    daemon = start_daemon(root)
    saved.write_h5(root / LSTM / "b.h5")
    daemon.settle()
    assert daemon.events("registry.copied") == [], "the last one is of today"


def test_a_registry_restored_from_a_copy_equals_the_disk_and_prunes_at_a_word_only(
    root: Path, saved: Saved, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(SETTINGS)
    at = ("--root", str(root), "--config", str(config), "--json")
    for step in (1, 2):
        saved.write_checkpoint(root / f"{LSTM}/cp-{step}", step)
    assert call(*at, "reconcile").status == 0
    call(*at, "tag", f"{LSTM}/cp-2", "before")
    home = root / ".watcherd" / "registry.db"
    copy = back_up(home, now=time.time_ns()).path
    call(*at, "pin", f"{LSTM}/cp-1")  # which the copy does not know
    saved.write_checkpoint(root / f"{LSTM}/cp-3", 3)
    assert call(*at, "reconcile").status == 0
    # As docs/registry.md, "When it is damaged", has it.
    home.write_bytes(b"not what it was")
    assert call(*at, "list").status == 1
    for path in home.parent.glob("registry.db*"):
        if path != copy:
            path.unlink()
    shutil.copyfile(copy, home)
    assert call(*at, "reconcile").status == 0
    assert call(*at, "reconcile", "--dry-run").status == 0, "nothing differs"
    assert [row["path"] for row in rows(root)] == [f"{LSTM}/cp-{step}" for step in (1, 2, 3)]
    assert [row["key"] for row in rows(root, "SELECT * FROM tag")] == ["before"]
    done = call(*at, "prune")
    assert (done.status, rows(root, "SELECT * FROM trash")) == (11, [])
    assert "--yes" in done.err
    assert call(*at, "prune", "--yes").status == 0


# -- models that are gone --------------------------------------------------------------------------

GONE = {"state": "missing"}
CUT = ns_of("2026-06-01T00:00:00.000Z")

ROWS: dict[str, tuple[bool, dict[str, Any], Callable[[Path, int], object]]] = {
    "missing": (False, GONE, lambda file, one: None),
    "deleted": (False, {"state": "deleted"}, lambda file, one: None),
    "present": (True, {}, lambda file, one: None),
    "unreadable": (True, {"state": "unreadable"}, lambda file, one: None),
    "trashed": (True, {"state": "trashed"}, lambda file, one: None),
    "missing since yesterday": (
        True, GONE, lambda file, one: told(file, one, "missing", iso(CUT + S)),
    ),
    "spoken of since": (True, GONE, lambda file, one: told(file, one, "unpinned", iso(CUT))),
    "pinned": (True, GONE | {"pinned": 1}, lambda file, one: None),
    "with a person's words": (True, GONE | {"note": "keep"}, lambda file, one: None),
    "with words of the note that lay beside it": (
        False, GONE | {"note": "old", "note_said": '{"note": "old"}'}, lambda file, one: None,
    ),
    "with a person's tag": (
        True, GONE,
        lambda file, one: asked.write(file, "INSERT INTO tag (model_id, key) VALUES (?, 'x')", one),
    ),
    "with a tag of its note": (
        False, GONE,
        lambda file, one: asked.write(
            file, "INSERT INTO tag (model_id, key, source) VALUES (?, 'x', 'note')", one
        ),
    ),
    "with an alias": (
        True, GONE, lambda file, one: asked.write(file, "INSERT INTO alias VALUES ('best', ?)", one)
    ),
    "with a recorded result": (
        True, GONE, lambda file, one: asked.record(file, one, "content", "sharpe", 1.0),
    ),
    "with a result of its name": (
        False, GONE,
        lambda file, one: asked.write(
            file,
            "INSERT INTO result (model_id, metric, source, recorded_at)"
            " VALUES (?, 'a', 'name', 'b')",
            one,
        ),
    ),
    "with a verdict": (
        False, GONE,
        lambda file, one: asked.write(file, "INSERT INTO verdict VALUES (?, 'a', 0, '[]')", one),
    ),
    "in the trash": (
        True, {"state": "deleted"},
        lambda file, one: asked.write(
            file,
            "INSERT INTO trash (model_id, trash_path, trashed_at, reasons)"
            " VALUES (?, 't', 'a', '[]')",
            one,
        ),
    ),
    "with a copy": (
        True, GONE, lambda file, one: asked.add(file, "1h/BTC/ensemble_a/a.h5", copy_of=one)
    ),
    "being copied": (
        True, GONE,
        lambda file, one: asked.write(
            file, "INSERT INTO copying VALUES (1, 'c', ?, 't', 'ada')", one
        ),
    ),
    "of which there is no line": (
        True, GONE,
        lambda file, one: asked.write(file, "UPDATE model SET note = 'no line' WHERE 0"),
    ),
}  # fmt: skip


def test_what_is_unmarked_and_gone_for_long_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    file = asked.make(tmp_path / "registry.db")
    ids = {}
    for name, (_, columns, more) in ROWS.items():
        ids[name] = asked.add(file, f"{LSTM}/{name}", **columns)
        if name != "of which there is no line":
            told(file, ids[name], "registered")
        more(file, ids[name])
    with Registry(asked.url_of(file), Mode.WRITE) as registry:
        done = forget_missing(registry, CUT, TIMER, NOW, nothing)
    left = {row[0] for row in ask(file, "SELECT model_id FROM model")}
    assert {name: ids[name] in left for name in ROWS} == {name: ROWS[name][0] for name in ROWS}
    gone = set(ids.values()) - left
    assert (done.models, done.lines) == (len(gone), len(gone))
    for table in (*GOES_ALONG, *HOLDS):
        of = {row[0] for row in ask(file, f"SELECT model_id FROM {table.name}")}
        assert of & gone == set(), table.name
    (line,) = ask(file, "SELECT model_id, path, actor, details FROM history WHERE cause = 'timer'")
    assert line[:3] == (None, "", "daemon")
    assert json.loads(line[3]) == {"before": iso(CUT), "models": len(gone), "lines": len(gone)}


def test_every_table_that_refers_to_a_model_either_holds_it_or_goes_with_it() -> None:
    referring = {
        table
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.column is model.c.model_id
    }
    assert referring - {model} == {*GOES_ALONG, *HOLDS}


def test_an_id_is_never_given_again(root: Path, saved: Saved) -> None:
    with reconciler_of(root) as reconciler:
        for _ in range(2):
            path = saved.write_h5(root / LSTM / "a.h5")
            reconcile(reconciler)
            path.unlink()
            reconcile(reconciler)
            forget_missing(reconciler.registry, LATER, TIMER, NOW, nothing)
            assert rows(root) == []
        saved.write_h5(path)
        reconcile(reconciler)
        assert [row["model_id"] for row in rows(root)] == [3]


def test_a_mark_that_comes_in_between_keeps_a_model(
    file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.write(file, "UPDATE model SET state = 'missing'")
    look = compaction._candidates

    def look_and_wait(*asked_for: Any) -> list[int]:
        found = look(*asked_for)
        for one in found:
            pin(registry, one, ADA, NOW)
        return found

    monkeypatch.setattr(compaction, "_candidates", look_and_wait)
    assert forget_missing(registry, LATER, TIMER, NOW, nothing).models == 0
    assert pins(file) == [1]


def test_many_go_in_transactions_with_one_line_for_all(
    file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "CHUNK", 2)
    for number in range(5):
        told(file, asked.add(file, f"{LSTM}/{number}.h5", **GONE), "registered")
    pauses = []
    done = forget_missing(registry, CUT, TIMER, NOW, lambda: pauses.append(1))
    assert (done.models, len(pauses)) == (5, 3)
    ((details,),) = ask(file, "SELECT details FROM history WHERE verb = 'compacted'")
    assert json.loads(details)["models"] == 5


def test_history_refuses_everybody_else_before_and_after(file: Path, registry: Registry) -> None:
    told(file, 1, "updated")
    assert drop_history(registry, CUT, TIMER, NOW, nothing).lines == 2
    for statement in ("DELETE FROM history", "UPDATE history SET verb = 'x'"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            asked.write(file, statement)


def test_a_compaction_that_breaks_off_leaves_history_and_its_guard(
    file: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ask(file, "SELECT * FROM history")
    schema = ask(file, "SELECT * FROM sqlite_master ORDER BY name")

    def fail(*_: Any, **__: Any) -> None:
        raise Signal

    monkeypatch.setattr(compaction._Telling, "add", fail)
    with pytest.raises(Signal):
        drop_history(registry, CUT, TIMER, NOW, nothing)
    assert ask(file, "SELECT * FROM history") == before
    assert ask(file, "SELECT * FROM sqlite_master ORDER BY name") == schema
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        asked.write(file, "DELETE FROM history")


# -- old history -----------------------------------------------------------------------------------


def test_a_line_stands_for_all_that_went_before_it(file: Path, registry: Registry) -> None:
    pin(registry, 1, ADA, NOW)
    set_tag(registry, 1, "stage", "live", ADA, NOW)
    set_alias(registry, 1, "best", ADA, NOW)
    record(registry, 1, {"sharpe": 1.5}, None, ADA, NOW)
    told(file, None, "adopted")
    drop_history(registry, LATER, TIMER, NOW + S, nothing)
    line, run = registry.history()
    assert (line["verb"], line["path"], line["actor"]) == ("compacted", f"{LSTM}/a.h5", "daemon")
    assert line["details"] == {
        "state": "present",
        "since": iso(NOW),
        "fingerprint": registry.find(1)["fingerprint"],
        "pinned": True,
        "tags": [{"key": "stage", "value": "live", "source": "person"}],
        "aliases": ["best"],
        "results": {"sharpe": 1.5},
    }
    assert (run["model_id"], run["details"]["lines"]) == (None, 6)


def test_it_stays_for_as_long_as_nothing_else_happens(file: Path, registry: Registry) -> None:
    drop_history(registry, LATER, TIMER, NOW, nothing)
    kept = registry.history()
    assert drop_history(registry, LATER, TIMER, NOW + S, nothing).lines == 0
    assert registry.history() == kept
    pin(registry, 1, ADA, NOW)
    assert drop_history(registry, LATER, TIMER, NOW + S, nothing).lines == 2
    of_model = registry.history(model_id=1)
    assert [(line["verb"], line["at"]) for line in of_model] == [("compacted", iso(NOW + S))]
    assert of_model[0]["details"]["pinned"]


def test_a_model_that_lives_has_one_such_line_for_many_days(file: Path, registry: Registry) -> None:
    days = [NOW + day * int(DAY) * S for day in range(6)]
    for at in days:
        told(file, 1, "updated", iso(at), state="present")
    for at in days[1:5]:
        drop_history(registry, at, TIMER, days[-1], nothing)
    verbs = [line["verb"] for line in registry.history(model_id=1)]
    assert verbs == ["updated", "updated", "compacted"]


def test_how_long_a_model_is_gone_is_known_after_its_history_went(
    file: Path, registry: Registry
) -> None:
    asked.write(file, "UPDATE model SET state = 'missing'")
    told(file, 1, "missing", iso(NOW))
    drop_history(registry, LATER, TIMER, LATER, nothing)
    assert forget_missing(registry, NOW, TIMER, LATER, nothing).models == 0
    assert forget_missing(registry, NOW + S, TIMER, LATER, nothing).models == 1


def test_no_compaction_reads_all_of_the_history(registry: Registry) -> None:
    with registry.reading() as connection:
        statements: list[tuple[str, Any]] = []
        sqlalchemy.event.listen(
            registry._engine,
            "before_cursor_execute",
            lambda _, __, statement, values, *___: statements.append((statement, values)),
        )
        compaction._old_lines(registry, iso(CUT), ("", 0))
        compaction._candidates(registry, model.c.model_id > 0, iso(CUT))
        summaries.summarise(connection, [1], TIMER, NOW)
        summaries.summed_up_to(connection, [1])
        plans = [
            " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", of))
            for one, of in list(statements)
        ]
    assert len(plans) >= 6
    assert [plan for plan in plans if re.search(r"SCAN (?!copying)", plan)] == []
    assert sum("history_summed" in plan for plan in plans) == 2


def unfolded(line: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines that a model's ``compacted`` stands for (docs/registry.md, "Replaying it")."""
    said = line["details"]
    marks = [
        *([("pinned", {})] if said.get("pinned") else []),
        *([("noted", {"note": said["note"]})] if "note" in said else []),
        *(("tagged", one) for one in said.get("tags", ())),
        *(("aliased", {"alias": name}) for name in said.get("aliases", ())),
    ]
    for verb, details in [("registered", {"state": said["state"]}), *marks]:
        yield line | {"verb": verb, "details": details}


class Left:
    """A registry's history as far as it counts: of each model from its last ``compacted`` on."""

    def __init__(self, registry: Registry) -> None:
        self._lines = [line for line in registry.history() if line["model_id"] is not None]

    def history(self) -> Iterator[dict[str, Any]]:
        last = {
            line["model_id"]: line["history_id"]
            for line in self._lines
            if line["verb"] == "compacted"
        }
        for line in self._lines:
            if line["history_id"] == last.get(line["model_id"]):
                yield from unfolded(line)
            elif line["history_id"] > last.get(line["model_id"], 0):
                yield line


COMPACT = st.tuples(st.just("compact"), st.floats(0, 1))


@settings(max_examples=EXAMPLES // 10)
@given(
    acts=st.lists(
        st.tuples(st.sampled_from(PLACES), st.one_of(ACTS, ACTS, ACTS, COMPACT)),
        min_size=4, max_size=14,
    ),
)  # fmt: skip
def test_i9_path_state_and_marks_follow_from_the_history_that_is_left(
    in_new_root: Callable[..., None],  # noqa: F811  the fixture
    acts: list[tuple[str, tuple[Any, ...]]],
) -> None:
    def check(root: Path, saved: Saved) -> None:
        with reconciler_of(root) as reconciler:
            saved.write_h5(root / PLACES[0])
            reconcile(reconciler)
            for place, (verb, *words) in [*acts, ("", ("compact", 1.0))]:
                if verb != "compact":
                    _act(reconciler, root, saved, place, verb, words)
                    continue
                compact(reconciler.registry, *words)
                assert replay(Left(reconciler.registry)) == marks_of(reconciler.registry)  # type: ignore[arg-type]  # all that it asks of a registry

    in_new_root(check)


def compact(registry: Registry, share: float) -> None:
    """Drop a share of the history, by time."""
    times = sorted(line["at"] for line in registry.history())
    before = ns_of(times[min(int(share * len(times)), len(times) - 1)]) + S // 1000
    dropped = drop_history(registry, before, TIMER, time.time_ns(), nothing)
    event(f"{min(dropped.lines, 3)} lines dropped")
    again = drop_history(registry, before, TIMER, time.time_ns(), nothing)
    assert again.lines == 0
