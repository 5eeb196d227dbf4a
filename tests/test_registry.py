"""The registry: what it refuses, what it shares, and what a plan becomes in it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.conftest import Saved, rows, watcherd
from tests.inline import reconcile, reconciler_of
from tests.test_cli import call
from tests.test_scan import as_ordinary_user
from watcherd import meeting as meeting_room
from watcherd.artifact import Artifact, FileFact, Form, Part, Role
from watcherd.errors import RegistryBusy, RegistryError
from watcherd.naming import Naming
from watcherd.plan import (
    Change,
    Description,
    Format,
    Optimizer,
    Outcome,
    Plan,
    Reading,
    Record,
    Report,
    State,
    Verb,
)
from watcherd.registry import Filter, Mode, Registry, Writer, engine, iso, ns_of
from watcherd.registry.tables import metadata
from watcherd.root import Marker, write_marker
from watcherd.scope import ROOT, Cause, folders, tree

NS = 1_000_000_000
NOW = 1_790_000_000 * NS

# -- builders --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def new_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry that knows nothing."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    return path


@pytest.fixture
def file(tmp_path: Path, new_registry: Path) -> Path:
    """A new registry's file."""
    return Path(shutil.copyfile(new_registry, tmp_path / "registry.db"))


@pytest.fixture
def registry(file: Path) -> Iterator[Registry]:
    with Registry(f"sqlite:///{file}", Mode.CREATE) as registry:
        registry.add_root("/srv/models")
        yield registry


def artifact(path: str, inode: int = 1, **facts: int) -> Artifact:
    fact = FileFact(size=1, mtime_ns=NOW, ctime_ns=NOW, inode=inode, device=1)._replace(**facts)
    return Artifact(path, Form.HDF5, (Part(Role.H5, path, fact),))


def read(content: str = "content", **told: Any) -> Reading:
    return Reading(
        Outcome.COMPLETE, Format.H5, fingerprint=content, description=Description(**told)
    )


def new(path: str, inode: int = 1, **told: Any) -> Change:
    return Change(Verb.REGISTERED, path, None, artifact(path, inode), read(path, **told))


def moved(record: Record, path: str) -> Change:
    return Change(Verb.MOVED, path, record, artifact(path), read())


def lost(record: Record) -> Change:
    return Change(Verb.MISSING, record.path, record, None, None)


def updated(record: Record, content: str) -> Change:
    return Change(Verb.UPDATED, record.path, record, artifact(record.path), read(content))


def apply(
    registry: Registry, *changes: Change, holds: Callable[[Change], bool] = lambda _: True
) -> Report:
    writer = Writer(1, Naming(), Cause.REQUEST, "test", NOW, b"stamp")
    return registry.apply(Plan(changes), writer, holds)


def known(registry: Registry) -> dict[str, Record]:
    return {record.path: record for record in registry.load(1, ROOT)}


def states(registry: Registry) -> dict[str, str]:
    return {row["path"]: row["state"] for row in registry.models(Filter(states=()))}


@contextmanager
def plain(file: Path) -> Iterator[sqlite3.Connection]:
    """As any SQLite client."""
    with closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as connection:
        yield connection


# -- a registry that cannot be used ----------------------------------------------------------------

HOUSE = ".watcherd"


@pytest.fixture
def used(root: Path, saved: Saved, new_registry: Path) -> Path:
    """A models root whose registry knows one model."""
    (root / HOUSE).mkdir()
    shutil.copyfile(new_registry, root / HOUSE / "registry.db")
    saved.write_h5(root / "1h/BTC/LSTM/m.h5")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    return root


def _garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)


def _text(path: Path) -> None:
    path.write_text("not a database\n")


def _header_only(path: Path) -> None:
    os.truncate(path, 100)


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def _scrambled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _newer(path: Path) -> None:
    with plain(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def _another_programs(path: Path) -> None:
    path.unlink()
    with plain(path) as connection:
        connection.execute("CREATE TABLE model (id INTEGER PRIMARY KEY, theirs TEXT)")
        connection.execute("INSERT INTO model VALUES (1, 'precious')")


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "garbage": (_garbage, "not an SQLite database"),
    "text": (_text, "not an SQLite database"),
    "cut off after its header": (_header_only, "damaged"),
    "truncated": (_truncated, "damaged"),
    "scrambled": (_scrambled, "damaged"),
    "a folder": (_folder, "cannot be read"),
    "of a newer version": (_newer, "made by a newer watcherd"),
    "another program's, with a table of ours": (_another_programs, "model"),
}


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def is_clear(error: str, path: Path) -> bool:
    """One error: what happened, to what; and one next step."""
    first, *rest = error.rstrip().splitlines()
    return (
        first.startswith("watcherd: ")
        and str(path) in first
        and len(rest) == 1
        and rest[0].startswith("  → ")
        and len(rest[0]) > 20
    )


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("command", ["list", "reconcile"])
def test_a_registry_that_cannot_be_used_is_one_clear_error_and_stays_as_it_is(
    used: Path, kind: str, command: str
) -> None:
    damage, words = DAMAGE[kind]
    file = used / HOUSE / "registry.db"
    damage(file)
    before = contents(used / HOUSE)
    done = call("--root", str(used), command)
    assert done.status == 1
    assert done.out == ""
    assert words in done.err
    assert is_clear(done.err, file), done.err
    assert without_counters(contents(used / HOUSE)) == without_counters(before)


def without_counters(found: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Without what an SQLite file's header says of itself: who wrote last, and in which mode."""
    return {
        name: content and content[:18] + content[20:24] + content[28:92] + content[100:]
        for name, content in found.items()
    }


@pytest.mark.parametrize("kind", ["of a newer version", "another program's, with a table of ours"])
def test_what_is_not_ours_to_write_keeps_its_journal_mode_too(used: Path, kind: str) -> None:
    """Left in WAL mode, users who may only read could not read it any more."""
    file = used / HOUSE / "registry.db"
    DAMAGE[kind][0](file)
    before = file.read_bytes()
    assert call("--root", str(used), "reconcile").status == 1
    assert file.read_bytes() == before


@pytest.mark.parametrize("kind", ["garbage", "truncated", "of a newer version"])
def test_the_daemon_does_not_start_upon_it(used: Path, kind: str) -> None:
    damage, words = DAMAGE[kind]
    file = used / HOUSE / "registry.db"
    damage(file)
    before = contents(used / HOUSE)
    done = watcherd(used, "run", check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert is_clear(done.stderr, file), done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == []
    assert without_counters(contents(used / HOUSE)) == without_counters(before)


def test_damage_that_only_a_query_meets_is_the_same_clear_error(used: Path) -> None:
    file = used / HOUSE / "registry.db"
    with plain(file) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'model'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    before = contents(used / HOUSE)
    for command in ("list", "reconcile --reread"):
        done = call("--root", str(used), *command.split())
        assert (done.status, done.out) == (1, "")
        assert "damaged" in done.err
        assert is_clear(done.err, file)
    assert without_counters(contents(used / HOUSE)) == without_counters(before)


@pytest.mark.parametrize("missing", ["the file", "its folder"])
def test_a_missing_registry_is_made_by_reconcile_alone(used: Path, missing: str) -> None:
    file = used / HOUSE / "registry.db"
    file.unlink() if missing == "the file" else shutil.rmtree(used / HOUSE)
    before = contents(used)
    for command in (["list"], ["show", "1"], ["history"], ["status"]):
        done = call("--root", str(used), *command)
        assert (done.status, done.out) == (1, "")
        assert "there is no registry at" in done.err
        assert "watcherd reconcile makes one" in done.err
        assert is_clear(done.err, file)
        assert contents(used) == before
    assert call("--root", str(used), "reconcile").status == 0
    assert [row["path"] for row in rows(used)] == ["1h/BTC/LSTM/m.h5"]


def test_an_empty_file_becomes_a_registry(used: Path) -> None:
    """SQLite calls it an empty database; it is what a crash before the first write leaves."""
    file = used / HOUSE / "registry.db"
    file.write_bytes(b"")
    done = call("--root", str(used), "list")
    assert (done.status, done.out) == (1, "")
    assert "watcherd reconcile" in done.err
    assert file.read_bytes() == b""
    assert call("--root", str(used), "reconcile").status == 0
    assert len(rows(used)) == 1


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("nonsense", 78, "registry.url"),
        ("sqlite://", 78, "registry.url"),
        pytest.param(
            "nosuchdatabase://host/name", 78, "registry.url",
        ),
        pytest.param(
            "postgresql://localhost/x", 1, "psycopg",
        ),
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere_is_a_clear_error(
    used: Path, url: str, status: int, words: str
) -> None:
    done = call("--root", str(used), "--registry", url, "list")
    assert done.status == status
    assert done.out == ""
    assert words in done.err


def test_its_folder_is_made_where_it_can_be_and_else_that_is_said(
    used: Path, tmp_path: Path
) -> None:
    fine = tmp_path / "new/folder/registry.db"
    assert call("--root", str(used), "--registry", f"sqlite:///{fine}", "reconcile").status == 0
    (tmp_path / "file").write_text("")
    bad = tmp_path / "file/folder/registry.db"
    done = call("--root", str(used), "--registry", f"sqlite:///{bad}", "reconcile")
    assert (done.status, done.out) == (1, "")
    assert is_clear(done.err, bad.parent)


def test_odd_characters_in_its_path_are_part_of_the_path(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "100%41?mode=memory#x [한]" / "registry.db"
    file.parent.mkdir()
    with Registry(f"sqlite:///{file}".replace("?", "%3F"), Mode.CREATE) as registry:
        made = engine.path_of(registry.url)
    assert made is not None
    assert made.exists()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == []


# -- as a user who may only read -------------------------------------------------------------------


@contextmanager
def modes(used: Path, folder: int, file: int) -> Iterator[None]:
    house = used / HOUSE
    for path in house.iterdir():
        path.chmod(file)
    house.chmod(folder)
    try:
        yield
    finally:
        house.chmod(0o755)
        for path in house.iterdir():
            path.chmod(0o644)


READ_ONLY = [(0o555, 0o444), (0o755, 0o444), (0o555, 0o644)]


@pytest.mark.parametrize(("folder", "file"), READ_ONLY)
def test_a_user_who_may_only_read_it_reads_it_and_is_told_when_he_would_write(
    used: Path, folder: int, file: int
) -> None:
    before = contents(used / HOUSE)
    with modes(used, folder, file):
        read = as_ordinary_user("-m", "watcherd", "--root", str(used), "--json", "list")
        wrote = as_ordinary_user("-m", "watcherd", "--root", str(used), "reconcile")
    assert read.returncode == 0, read.stderr
    assert [row["path"] for row in json.loads(read.stdout)] == ["1h/BTC/LSTM/m.h5"]
    assert (wrote.returncode, wrote.stdout) == (1, "")
    assert "may only be read by this user" in wrote.stderr
    assert is_clear(wrote.stderr, used / HOUSE / "registry.db")
    assert contents(used / HOUSE) == before


def test_the_daemon_of_a_user_who_may_only_read_it_does_not_start(used: Path) -> None:
    with modes(used, 0o555, 0o444):
        done = as_ordinary_user("-m", "watcherd", "--root", str(used), "run")
    assert done.returncode == 1
    assert is_clear(done.stderr, used / HOUSE / "registry.db")


@pytest.mark.parametrize("command", ["list", "reconcile", "run"])
def test_a_user_who_may_not_read_it_is_told_so(used: Path, command: str) -> None:
    with modes(used, 0o755, 0o000):
        (used / HOUSE / "root.json").chmod(0o644)
        done = as_ordinary_user("-m", "watcherd", "--root", str(used), command)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert is_clear(done.stderr, used / HOUSE / "registry.db")


@pytest.mark.parametrize("command", ["list", "status"])
def test_a_user_who_may_not_enter_its_folder_is_told_so(used: Path, command: str) -> None:
    with modes(used, 0o000, 0o644):
        done = as_ordinary_user("-m", "watcherd", "--root", str(used), command)
    assert done.returncode == 1
    assert is_clear(done.stderr, used / HOUSE)


def test_where_none_can_be_made_the_folder_is_named_and_what_to_do(
    used: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shut"
    folder.mkdir(mode=0o555)
    url = f"sqlite:///{folder}/registry.db"
    done = as_ordinary_user("-m", "watcherd", "--root", str(used), "--registry", url, "reconcile")
    assert done.returncode == 1
    assert is_clear(done.stderr, folder)
    assert any(word in done.stderr for word in ("permission", "may write", "user"))


def test_one_who_may_only_read_reads_what_a_killed_daemon_left(used: Path, saved: Saved) -> None:
    """The write-ahead log is still there, and holds the newest rows."""
    saved.write_h5(used / "1h/BTC/LSTM/n.h5", 1)
    done = subprocess.run([sys.executable, "-c", DIE_AFTER_ONE_CYCLE, str(used)])
    assert done.returncode == -signal.SIGKILL
    assert (used / HOUSE / "registry.db-wal").stat().st_size
    with modes(used, 0o555, 0o444):
        listed = as_ordinary_user("-m", "watcherd", "--root", str(used), "--json", "list")
    assert listed.returncode == 0, listed.stderr
    assert len(json.loads(listed.stdout)) == 2


DIE_AFTER_ONE_CYCLE = """
import os, signal, sys
from pathlib import Path
from tests.inline import reconcile, reconciler_of
with reconciler_of(Path(sys.argv[1])) as reconciler:
    reconcile(reconciler)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_closed_it_needs_nothing_but_its_one_file(used: Path) -> None:
    file = used / HOUSE / "registry.db"
    assert not list(file.parent.glob("registry.db-*"))
    assert file.read_bytes()[18:20] == b"\x01\x01", "the format's read and write version: no WAL"


def test_closing_leaves_one_in_use_as_it_is(file: Path) -> None:
    url = f"sqlite:///{file}"
    with Registry(url, Mode.CREATE) as stays:
        Registry(url, Mode.WRITE).close()
        stays.add_root("/srv/models")
        assert file.with_name("registry.db-wal").exists()
        with Registry(url) as reader:
            assert reader.root("/srv/models") is not None
    assert not file.with_name("registry.db-wal").exists()


# -- locked ----------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_locked_one_is_read_and_not_written_and_says_so(used: Path, saved: Saved) -> None:
    file = used / HOUSE / "registry.db"
    saved.write_h5(used / "1h/BTC/LSTM/n.h5", 1)
    with plain(file) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("BEGIN IMMEDIATE")
        assert call("--root", str(used), "list").status == 0
        done = call("--root", str(used), "reconcile")
        other.execute("ROLLBACK")
    assert (done.status, done.out) == (1, "")
    assert "locked by another process" in done.err
    assert is_clear(done.err, file)
    assert len(rows(used)) == 1
    assert call("--root", str(used), "reconcile").status == 0
    assert len(rows(used)) == 2


def test_one_that_another_process_writes_just_now_is_waited_for_when_it_is_opened(
    file: Path,
) -> None:
    """SQLite itself does not wait where the journal's mode is to change."""
    opened: list[Registry] = []
    opening = threading.Thread(
        target=lambda: opened.append(Registry(f"sqlite:///{file}", Mode.WRITE))
    )
    with plain(file) as other:
        other.execute("BEGIN IMMEDIATE")
        opening.start()
        opening.join(0.5)
        assert opening.is_alive(), "it neither failed nor passed the other by"
        other.execute("ROLLBACK")
    opening.join(30)
    assert len(opened) == 1
    opened[0].close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("command", ["list", "reconcile", "history"])
def test_one_that_is_locked_for_good_is_a_clear_error(used: Path, command: str) -> None:
    file = used / HOUSE / "registry.db"
    with plain(file) as other:
        other.execute("BEGIN EXCLUSIVE")
        done = call("--root", str(used), command)
        other.execute("ROLLBACK")
    assert (done.status, done.out) == (1, "")
    assert is_clear(done.err, file)


@pytest.mark.usefixtures("impatient")
def test_a_writer_beside_another_waits_and_then_says_busy(file: Path) -> None:
    url = f"sqlite:///{file}"
    with (
        Registry(url, Mode.CREATE) as one,
        Registry(url, Mode.CREATE) as other,
        one.writing(),
        pytest.raises(RegistryBusy),
    ):
        other.add_root("/srv/models")


def test_a_full_disk_is_a_clear_error_and_leaves_it_whole(registry: Registry, file: Path) -> None:
    with registry.writing() as connection:
        (pages,) = connection.exec_driver_sql("PRAGMA page_count").one()
    with registry._engine.connect() as connection:  # a limit of one connection, kept by the pool
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(RegistryError, match="no space left") as caught:
        apply(registry, *(new(f"1h/BTC/LSTM/{n}.h5", n) for n in range(400)))
    assert "disk space" in caught.value.hint
    assert known(registry) == {}
    with plain(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# -- the schema ------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_tables_say(registry: Registry) -> None:
    with registry.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_what_alembic_does_not_compare_is_as_the_tables_say_too(registry: Registry) -> None:
    """Partial indexes, checks, and which ids are never given again."""
    with registry.reading() as connection:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        made = {row.name: row.sql or "" for row in found}
    assert "UNIQUE" in made["model_on_disk"]
    assert "WHERE state IN ('present', 'incomplete', 'unreadable')" in made["model_on_disk"]
    assert "AUTOINCREMENT" in made["model"]
    assert "AUTOINCREMENT" in made["history"]
    assert "CHECK (state IN" in made["model"]
    assert {"present_model", "adam_opt", "ensemble_member"} <= set(made)


def test_history_can_only_grow(registry: Registry) -> None:
    apply(registry, new("1h/BTC/LSTM/m.h5"))
    for statement in (
        "UPDATE history SET verb = 'x'",
        "DELETE FROM history",
        "UPDATE history SET history_id = history_id + 1",
    ):
        with (
            pytest.raises(DBAPIError, match="append-only"),
            registry._engine.begin() as connection,
        ):
            connection.exec_driver_sql(statement)
    assert [row["verb"] for row in registry.history()] == ["registered"]


def test_history_cannot_be_replaced_either(registry: Registry, file: Path) -> None:
    apply(registry, new("1h/BTC/LSTM/m.h5"))
    with plain(file) as connection, pytest.raises(sqlite3.Error):
        connection.execute(
            "INSERT OR REPLACE INTO history (history_id, at, path, verb, cause, actor)"
            " VALUES (1, '', '', 'forged', '', '')"
        )
    assert [row["verb"] for row in registry.history()] == ["registered"]


def test_two_rows_on_disk_for_one_path_are_refused_and_any_number_of_lost_ones_is_not(
    registry: Registry,
) -> None:
    for _ in range(3):
        apply(registry, new("1h/BTC/LSTM/m.h5"))
        apply(registry, lost(known(registry)["1h/BTC/LSTM/m.h5"]))
    apply(registry, new("1h/BTC/LSTM/m.h5"))
    for state in ("present", "incomplete", "unreadable"):
        with pytest.raises(IntegrityError), registry.writing() as connection:
            connection.exec_driver_sql("UPDATE model SET state = ? WHERE model_id = 1", (state,))
    with pytest.raises(IntegrityError), registry.writing() as connection:
        connection.exec_driver_sql("UPDATE model SET state = 'gone' WHERE model_id = 1")


def test_a_change_that_would_make_a_second_row_is_dropped_and_named(registry: Registry) -> None:
    apply(registry, new("a.h5"))
    report = apply(registry, new("a.h5"), new("b.h5", 2))
    assert report.dropped == ("a.h5",)
    assert [one.change.path for one in report.applied] == ["b.h5"]
    assert states(registry) == {"a.h5": "present", "b.h5": "present"}


def test_tables_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "shared.db"
    theirs = [
        "CREATE TABLE trades (id INTEGER PRIMARY KEY, price REAL)",
        "INSERT INTO trades VALUES (1, 2.5)",
        "CREATE INDEX by_price ON trades (price)",
        "CREATE VIEW dear AS SELECT * FROM trades WHERE price > 1",
        "CREATE TRIGGER t AFTER INSERT ON trades BEGIN SELECT 1; END",
    ]
    with plain(file) as connection:
        for statement in theirs:
            connection.execute(statement)
        before = connection.execute("SELECT * FROM sqlite_master").fetchall()
    with Registry(f"sqlite:///{file}", Mode.CREATE) as registry:
        registry.add_root("/srv/models")
        apply(registry, new("a.h5"))
    with plain(file) as connection:
        after = connection.execute("SELECT * FROM sqlite_master").fetchall()
        assert connection.execute("SELECT * FROM dear").fetchall() == [(1, 2.5)]
    assert set(before) <= set(after)


def test_opening_it_again_changes_nothing(file: Path) -> None:
    before = file.read_bytes()[40:44]  # the schema's cookie: it changes with every change
    for mode in (Mode.CREATE, Mode.WRITE, Mode.READ):
        Registry(f"sqlite:///{file}", mode).close()
    assert file.read_bytes()[40:44] == before
    assert [path.name for path in file.parent.glob("registry.db*")] == ["registry.db"]


# -- what models share -----------------------------------------------------------------------------

ADAM = Optimizer("Adam", 0.001, '{"beta_1":0.9,"learning_rate":0.001}')


def test_fifty_models_with_one_adam_share_its_row_and_their_architecture(
    registry: Registry,
) -> None:
    fifty = [new(f"{n}.h5", n, optimizer=ADAM, architecture='{"a":1}') for n in range(50)]
    apply(registry, *fifty[:20])
    apply(registry, *fifty[20:])
    with registry.reading() as connection:
        count = "SELECT (SELECT count(*) FROM optimizer), (SELECT count(*) FROM architecture)"
        assert connection.exec_driver_sql(count).one() == (1, 1)
        (adam,) = connection.exec_driver_sql("SELECT * FROM adam_opt").mappings().all()
    assert (adam["learning_rate"], adam["b1"], adam["amsgrad"]) == (0.001, 0.9, None)
    assert {row["learning_rate"] for row in registry.models(Filter())} == {0.001}


def test_optimizers_of_other_settings_or_types_have_rows_of_their_own(registry: Registry) -> None:
    others = [
        ADAM,
        replace(ADAM, config='{"learning_rate":0.001}'),
        replace(ADAM, optimizer_type="AdamW"),
        replace(ADAM, learning_rate=None, config='{"learning_rate":{"class_name":"Cosine"}}'),
    ]
    apply(registry, *(new(f"{n}.h5", n, optimizer=one) for n, one in enumerate(others)))
    assert len({row["optimizer_id"] for row in registry.models(Filter())}) == len(others)


def test_really_saved_models_share_too(root: Path, saved: Saved) -> None:
    for number in range(50):
        saved.write_h5(root / f"1h/BTC/LSTM/m{number}.h5", number % 4)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    assert len(rows(root)) == 50
    assert len(rows(root, "SELECT * FROM optimizer")) == 1
    assert len(rows(root, "SELECT * FROM adam_opt")) == 1
    assert {row["learning_rate"] for row in rows(root, "SELECT * FROM present_model")} == {0.001}


# -- apply -----------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_loaded(registry: Registry) -> None:
    parts = (
        Part(Role.SHARD, "a/c-1.data-00000-of-00001", FileFact(1, 2, 3, -4, 5)),
        Part(Role.INDEX, "a/c-1.index", FileFact(2**62, -(2**62), 0, 2**63 - 1, -(2**63))),
        Part(Role.GRAPH, "a/c-1.meta", FileFact(0, 0, 0, 0, 0)),
    )
    seen = Artifact("a/c-1", Form.CHECKPOINT, parts)
    reading = Reading(Outcome.COMPLETE, Format.CHECKPOINT, fingerprint="f")
    apply(registry, replace(new("x"), path="a/c-1", artifact=seen, reading=reading, resume=True))
    (record,) = registry.load(1, ROOT)
    assert record.parts == parts
    assert (record.path, record.state, record.fingerprint) == ("a/c-1", State.PRESENT, "f")
    assert record.resume


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        (ROOT, {"0.h5", "a/1.h5", "a/b/2.h5", "a-/3.h5", "a0/4.h5", "ab/5.h5"}),
        (tree("a"), {"a/1.h5", "a/b/2.h5"}),
        (folders(["a"]), {"a/1.h5"}),
        (folders([""]), {"0.h5"}),
        (tree("a/b") | folders(["ab"]), {"a/b/2.h5", "ab/5.h5"}),
        (tree(*(f"none{n}" for n in range(1500))) | tree("a"), {"a/1.h5", "a/b/2.h5"}),
        (folders(f"none{n}" for n in range(1500)), set()),
    ],
    ids=["root", "tree", "folder", "the root's own", "both", "1,500 trees", "1,500 folders"],
)
def test_only_the_rows_of_the_scope_are_loaded(
    registry: Registry, scope: Any, paths: set[str]
) -> None:
    for number, path in enumerate(["0.h5", "a/1.h5", "a/b/2.h5", "a-/3.h5", "a0/4.h5", "ab/5.h5"]):
        apply(registry, new(path, number))
    assert {record.path for record in registry.load(1, scope)} == paths
    assert all(scope.covers(record.path.rpartition("/")[0]) for record in registry.load(1, scope))


def test_a_change_that_the_disk_no_longer_holds_is_dropped_and_named(registry: Registry) -> None:
    report = apply(registry, new("a.h5"), new("b.h5", 2), holds=lambda one: one.path == "a.h5")
    assert report.dropped == ("b.h5",)
    assert states(registry) == {"a.h5": "present"}
    assert [row["path"] for row in registry.history()] == ["a.h5"]


@pytest.mark.parametrize(
    "late",
    [lambda one: updated(one, "late"), lost, lambda one: moved(one, "b.h5")],
    ids=["updated", "missing", "moved"],
)
def test_a_change_of_a_row_that_another_changed_since_is_dropped_and_named(
    registry: Registry, late: Callable[[Record], Change]
) -> None:
    apply(registry, new("a.h5"))
    seen = known(registry)["a.h5"]
    apply(registry, updated(seen, "first"))
    report = apply(registry, late(seen))
    assert report.dropped == (late(seen).path,)
    assert report.applied == ()
    assert known(registry)["a.h5"].fingerprint == "first"
    assert [row["verb"] for row in registry.history()] == ["registered", "updated"]


def test_a_change_of_a_row_that_is_no_more_is_dropped_and_named(registry: Registry) -> None:
    apply(registry, new("a.h5"))
    ghost = replace(known(registry)["a.h5"], model_id=77)
    assert apply(registry, updated(ghost, "x")).dropped == ("a.h5",)


def test_two_models_swap_their_paths_in_one_plan(registry: Registry) -> None:
    apply(registry, new("a.h5", 1), new("b.h5", 2))
    a, b = known(registry)["a.h5"], known(registry)["b.h5"]
    assert apply(registry, moved(a, "b.h5"), moved(b, "a.h5")).dropped == ()
    after = known(registry)
    assert (after["a.h5"].model_id, after["b.h5"].model_id) == (b.model_id, a.model_id)
    assert [(row["from_path"], row["path"]) for row in registry.history()[2:]] == [
        ("a.h5", "b.h5"), ("b.h5", "a.h5")
    ]  # fmt: skip


def test_a_chain_of_moves_a_loss_and_a_newcomer_fit_into_one_plan(registry: Registry) -> None:
    """a → b → c → d, whose model is lost, and something new is at a."""
    apply(registry, *(new(f"{name}.h5", at) for at, name in enumerate("abcd")))
    a, b, c, d = (known(registry)[f"{name}.h5"] for name in "abcd")
    changes = [new("a.h5", 9), moved(a, "b.h5"), moved(c, "d.h5"), lost(d), moved(b, "c.h5")]
    assert apply(registry, *changes).dropped == ()
    ids = {path: record.model_id for path, record in known(registry).items()}
    assert ids == {"a.h5": 5, "b.h5": a.model_id, "c.h5": b.model_id, "d.h5": c.model_id}
    assert registry.find(d.model_id)["state"] == "missing"  # type: ignore[index]  # it is there


def test_half_a_swap_costs_the_other_half_and_no_neighbour(registry: Registry) -> None:
    apply(registry, new("a.h5", 1), new("b.h5", 2))
    a, b = known(registry)["a.h5"], known(registry)["b.h5"]
    report = apply(
        registry, moved(a, "b.h5"), moved(b, "a.h5"), new("c.h5", 3),
        holds=lambda one: one.path != "a.h5",
    )  # fmt: skip
    assert set(report.dropped) == {"a.h5", "b.h5"}
    assert {path: one.model_id for path, one in known(registry).items()} == {
        "a.h5": a.model_id, "b.h5": b.model_id, "c.h5": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        artifact("odd.h5", inode=2**64),
        artifact("odd.h5", mtime_ns=2**63),
        artifact("\udcff.h5"),
    ],
    ids=["inode", "time", "name"],
)
def test_what_sqlite_cannot_hold_costs_only_itself(registry: Registry, odd: Artifact) -> None:
    strange = replace(new("x"), path=odd.path, artifact=odd)
    report = apply(registry, new("a.h5"), strange, new("b.h5", 2))
    assert report.dropped == (odd.path,)
    assert set(states(registry)) == {"a.h5", "b.h5"}


def test_a_plan_of_two_thousand_changes_is_applied_whole(registry: Registry) -> None:
    paths = [f"1h/T{n % 40}/LSTM/m{n}.h5" for n in range(2000)]
    report = apply(registry, *(new(path, n) for n, path in enumerate(paths)))
    assert len(report.applied) == 2000
    assert len({one.model_id for one in report.applied}) == 2000
    before = known(registry)
    assert {one.model_id: path for path, one in before.items()} == {
        one.model_id: one.change.path for one in report.applied
    }
    report = apply(registry, *(moved(one, f"moved/{path}") for path, one in before.items()))
    assert (len(report.applied), report.dropped) == (2000, ())
    after = known(registry)
    assert {one.model_id: path for path, one in after.items()} == {
        one.model_id: f"moved/{path}" for path, one in before.items()
    }
    assert len(registry.history()) == 4000


def test_no_statement_grows_with_the_plan(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes 32,766 variables in one statement as it comes, 999 before 3.32: a whole tree
    that is removed is a larger plan."""
    apply(registry, *(new(f"{n}.h5", n) for n in range(1500)))
    make = sqlite3.connect

    def limited(*words: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = make(*words, **more)
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    with Registry(registry.url, Mode.WRITE) as small:
        report = apply(small, *map(lost, known(small).values()))
        assert (len(report.applied), report.dropped) == (1500, ())
        kin = small.find_kin(1, [(artifact(f"{n}.h5", n), f"{n}.h5") for n in range(1500)])
        assert len(kin.lost) == 1500
        assert len(small.places_of([record.model_id for record in kin.lost])) == 1500


def test_a_copy_is_sought_on_every_other_file_system_than_its_own(registry: Registry) -> None:
    """New models are looked at together, wherever they lie."""
    on_two = [
        new("a.h5", 1),
        replace(new("far/b.h5", 2), artifact=artifact("far/b.h5", 2, device=2)),
    ]
    apply(registry, *on_two)
    kin = registry.find_kin(
        1,
        [
            (artifact("far/a.h5", 3, device=2), "a.h5"),
            (artifact("b.h5", 4), "far/b.h5"),
            (artifact("twin.h5", 5), "a.h5"),
        ],
    )
    assert {record.path for record in kin.elsewhere} == {"a.h5", "far/b.h5"}
    near = registry.find_kin(1, [(artifact("twin.h5", 5), "a.h5")])
    assert near.elsewhere == (), "of two equal ones on one file system neither came from the other"


@pytest.mark.parametrize("at", [300, 1300])
def test_killed_in_the_middle_of_a_plan_it_holds_whole_batches_and_no_more(
    file: Path, at: int
) -> None:
    done = subprocess.run([sys.executable, "-c", DIE_WHILE_APPLYING, f"sqlite:///{file}", str(at)])
    assert done.returncode == -signal.SIGKILL
    with plain(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("model", "model_file", "history")
        ]
    whole = (at - 1) // 500 * 500
    assert counts == [whole, whole, whole]
    with Registry(f"sqlite:///{file}", Mode.CREATE) as registry:
        left = [new(f"{n}.h5", n) for n in range(whole, 2000)]
        assert apply(registry, *left).dropped == ()
        assert len(known(registry)) == 2000


DIE_WHILE_APPLYING = """
import os, signal, sys
from tests.test_registry import apply, new
from watcherd.registry import Mode, Registry
asked = []
def holds(change):
    asked.append(change)
    if len(asked) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return True
registry = Registry(sys.argv[1], Mode.CREATE)
registry.add_root("/srv/models")
apply(registry, *(new(f"{n}.h5", n) for n in range(2000)), holds=holds)
"""


def test_an_error_in_the_middle_of_a_batch_leaves_nothing_of_it(registry: Registry) -> None:
    def holds(change: Change) -> bool:
        if change.path == "250.h5":
            raise ZeroDivisionError
        return True

    with pytest.raises(ZeroDivisionError):
        apply(registry, *(new(f"{n}.h5", n) for n in range(400)), holds=holds)
    assert states(registry) == {}
    apply(registry, new("a.h5"))
    assert states(registry) == {"a.h5": "present"}


# -- two at once -----------------------------------------------------------------------------------


def test_two_processes_that_reconcile_at_once_end_with_one_row_a_path(
    used: Path, saved: Saved
) -> None:
    root = used
    for number in range(59):
        saved.write_h5(root / f"1h/T{number % 5}/LSTM/m{number}.h5", number % 4)
    command = [sys.executable, "-m", "watcherd", "--root", str(root), "--json", "reconcile"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert len({row["path"] for row in rows(root)}) == len(rows(root)) == 60
    assert len(rows(root, "SELECT * FROM root")) == 1
    assert len(rows(root, "SELECT * FROM history WHERE verb = 'registered'")) == 60
    changes = [change for out, _ in said for change in json.loads(out)["changes"]]
    assert len(changes) == 59, "each says what it did, and nothing twice"
    again = watcherd(root, "--json", "reconcile", "--dry-run")
    assert json.loads(again.stdout)["changes"] == []


def test_two_threads_that_reconcile_through_every_change_never_disagree(
    root: Path, saved: Saved
) -> None:
    """Each with a registry of its own, as the daemon and a command beside it."""
    paths = [root / f"1h/T{n}/LSTM/m.h5" for n in range(12)]
    rounds: list[Callable[[int, Path], object]] = [
        lambda n, path: saved.write_h5(path, n % 4),
        lambda n, path: saved.write_h5(path, (n + 1) % 4),
        lambda n, path: path.rename(path.with_name("n.h5")),
        lambda n, path: path.with_name("n.h5").unlink(),
        lambda n, path: saved.write_h5(path.with_name("n.h5"), (n + 1) % 4),
    ]
    with reconciler_of(root) as first:
        saved.write_h5(root / "1h/FIRST/LSTM/m.h5")
        reconcile(first)
    with reconciler_of(root) as one, reconciler_of(root) as other:
        for act in rounds:
            for number, path in enumerate(paths):
                act(number, path)
            at_once(lambda: reconcile(one), lambda: reconcile(other))
            assert reconcile(one).plan.changes == ()
            assert reconcile(other).plan.changes == ()
        found = rows(root)
    assert len({row["path"] for row in found}) == len(found) == 13
    assert {row["state"] for row in found} == {"present"}
    verbs = [row["verb"] for row in rows(root, "SELECT verb FROM history")]
    assert {verb: verbs.count(verb) for verb in set(verbs)} == {
        "registered": 13, "updated": 12, "moved": 12, "missing": 12, "returned": 12
    }  # fmt: skip


def at_once(*acts: Callable[[], object]) -> None:
    """Run them in threads that start together; raises what the first of them raises."""
    barrier = threading.Barrier(len(acts))
    raised: list[BaseException] = []

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            act()
        except BaseException as error:  # noqa: BLE001  raised again below
            raised.append(error)

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


class Slow(Registry):
    """Waits for another before it begins to write."""

    barrier: threading.Barrier

    @contextmanager
    def writing(self) -> Iterator[Any]:
        self.barrier.wait(10)
        with super().writing() as connection:
            yield connection


def test_two_that_meet_a_root_at_once_know_it_by_one_row(file: Path) -> None:
    barrier = threading.Barrier(2)
    with Slow(f"sqlite:///{file}", Mode.CREATE) as one, Slow(one.url, Mode.CREATE) as other:
        one.barrier = other.barrier = barrier
        at_once(lambda: one.add_root("/srv/models"), lambda: other.add_root("/srv/models"))
        with one.reading() as connection:
            count = connection.exec_driver_sql("SELECT count(*) FROM root").scalar()
        assert count == 1
        assert one.root("/srv/models") == other.root("/srv/models")


def test_two_that_mark_a_new_root_at_once_agree_on_one_marker(
    root: Path, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier, turn = threading.Barrier(2), threading.Lock()

    def write_at_once(root_fd: int, marker: Marker) -> None:
        with suppress(threading.BrokenBarrierError):  # who waits for a lock never comes
            barrier.wait(2)
        with turn:  # threads share the number by which processes tell their drafts apart
            write_marker(root_fd, marker)

    monkeypatch.setattr(meeting_room, "write_marker", write_at_once)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    with reconciler_of(root) as one, reconciler_of(root) as other:
        at_once(lambda: reconcile(one), lambda: reconcile(other))
        saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
        reconcile(one)
        reconcile(other)
    (row,) = rows(root, "SELECT * FROM root")
    assert row["uuid"] == json.loads((root / HOUSE / "root.json").read_text())["uuid"]


def test_a_marker_that_another_process_of_this_registry_wrote_confirms_pruning_too(
    root: Path, saved: Saved
) -> None:
    """A daemon that waits for its first model, and a reconcile beside it that registers that."""
    with reconciler_of(root) as daemon, reconciler_of(root) as person:
        saved.write_h5(root / "1h/BTC/LSTM/a.h5")
        reconcile(person)
        saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
        reconcile(daemon)
    (row,) = rows(root, "SELECT * FROM root")
    assert row["prune_confirmed"] == 1


def test_a_reader_sees_one_state_while_another_writes(registry: Registry) -> None:
    apply(registry, new("a.h5"))
    with Registry(registry.url) as reader, reader.reading() as connection:
        count = "SELECT count(*) FROM model"
        assert connection.exec_driver_sql(count).scalar() == 1
        apply(registry, new("b.h5", 2))
        assert connection.exec_driver_sql(count).scalar() == 1
    with Registry(registry.url) as reader:
        assert len(reader.models(Filter())) == 2


# -- filters ---------------------------------------------------------------------------------------

TICKERS = ("BTCUSDT", "btc[1]", "ÄPFEL", "ЯКОРЬ", "한국", "a*b", "100%", "under_score")


@pytest.fixture
def many(registry: Registry) -> Registry:
    apply(registry, *(new(f"1h/{name}/LSTM/m.h5", at) for at, name in enumerate(TICKERS)))
    apply(registry, new("1m/X/LSTM/m.h5", 50), new("1M/X/GRU/m.h5", 51), new("loose.h5", 52))
    return registry


@pytest.mark.parametrize(
    ("chosen", "tickers"),
    [
        (Filter(ticker="btc*"), {"BTCUSDT", "btc[1]"}),
        (Filter(ticker="BTC[[]1]"), {"btc[1]"}),
        (Filter(ticker="btcusdt"), {"BTCUSDT"}),
        (Filter(ticker="?00%"), {"100%"}),
        (Filter(ticker="한*"), {"한국"}),
        (Filter(ticker="under?score"), {"under_score"}),
        (Filter(ticker=""), set()),
        (Filter(ticker="'; DROP TABLE model; --"), set()),
        pytest.param(Filter(ticker="ÄPFEL"), {"ÄPFEL"}),
        pytest.param(Filter(ticker="äpfel"), {"ÄPFEL"}),
        pytest.param(Filter(ticker="Я*"), {"ЯКОРЬ"}),
        (Filter(interval="1m"), {"X"}),
        (Filter(interval="1?", type="gru"), {"X"}),
        (Filter(unplaced=True), {None}),
        (Filter(states=("missing",)), set()),
    ],
    ids=str,
)
def test_filters_are_globs_that_ignore_case_but_in_intervals(
    many: Registry, chosen: Filter, tickers: set[str | None]
) -> None:
    assert {row["ticker"] for row in many.models(chosen)} == tickers


def test_a_minute_is_no_month(many: Registry) -> None:
    assert [row["path"] for row in many.models(Filter(interval="1m"))] == ["1m/X/LSTM/m.h5"]
    assert [row["path"] for row in many.models(Filter(interval="1M"))] == ["1M/X/GRU/m.h5"]


# -- times -----------------------------------------------------------------------------------------

YEARS = st.integers(-62_135_596_800 * NS, 253_402_300_800 * NS - 1)
"""From the year 1 to the year 9999."""


@given(ns=st.integers(0, 253_402_300_800 * NS - 1))
def test_a_time_comes_back_to_the_millisecond(ns: int) -> None:
    assert ns_of(iso(ns)) == ns - ns % 1_000_000


@given(ns=YEARS)
def test_a_time_before_1970_does_too(ns: int) -> None:
    assert ns_of(iso(ns)) == ns - ns % 1_000_000


@given(one=YEARS, other=YEARS)
def test_times_sort_as_text_as_they_do_as_numbers(one: int, other: int) -> None:
    if one <= other:
        assert iso(one) <= iso(other)
    else:
        assert iso(one) >= iso(other)


@given(ns=st.integers(-(2**70), 2**70))
def test_any_time_is_text_of_one_length(ns: int) -> None:
    text = iso(ns)
    assert len(text) == len("2026-01-31T23:59:59.123Z")
    assert iso(min(max(ns, -62_135_596_800 * NS), 253_402_300_800 * NS - 1))[:19] == text[:19]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_769_903_999_123_999_999, "2026-01-31T23:59:59.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800 * NS, "0001-01-01T00:00:00.000Z"),
        (2**80, "9999-12-31T23:59:59."),
    ],
)
def test_a_time_reads_like_this(ns: int, text: str) -> None:
    assert iso(ns).startswith(text)
