"""A registry of an earlier version comes up to date, and a copy of it stays."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from watcherd.errors import RegistryError
from watcherd.registry import Mode, Registry, schema

MIGRATIONS = Path(schema.__file__).with_name("migrations")


def registry_of(revision: str, path: Path) -> Path:
    """A registry as the version of that schema left it, with one tag in its write-ahead log."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    return path


def add_tag(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("INSERT INTO tag (model_id, key, value) VALUES (1, 'k', 'v')")
    connection.commit()


def tags(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT key, value FROM tag").fetchall()


def test_the_copy_before_a_migration_holds_what_the_write_ahead_log_held(tmp_path: Path) -> None:
    path = registry_of("0001", tmp_path / "registry.db")
    with closing(sqlite3.connect(path)) as other:
        add_tag(other)  # and stays open: nothing has moved from the log into the file
        Registry(f"sqlite:///{path}", Mode.CREATE).close()
    (copy,) = tmp_path.glob("registry.db.before-*")
    assert tags(copy) == [("k", "v")] == tags(path)


def test_marks_of_an_earlier_version_are_a_persons(tmp_path: Path) -> None:
    path = registry_of("0001", tmp_path / "registry.db")
    with closing(sqlite3.connect(path)) as other:
        add_tag(other)
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT source FROM tag").fetchall() == [("person",)]
        assert connection.execute("SELECT * FROM present_model").fetchall() == []


def test_only_run_and_reconcile_migrate(tmp_path: Path) -> None:
    path = registry_of("0001", tmp_path / "registry.db")
    for mode in (Mode.READ, Mode.WRITE):
        with pytest.raises(RegistryError, match="has schema 0001"):
            Registry(f"sqlite:///{path}", mode)
    assert not list(tmp_path.glob("*.before-*"))


def test_without_a_copy_nothing_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = registry_of("0001", tmp_path / "registry.db")
    monkeypatch.setattr("time.time", lambda: 1)
    (tmp_path / f"registry.db.before-{schema.HEAD}.1").mkdir()  # its name is taken by a folder
    with pytest.raises(RegistryError, match="no copy"):
        Registry(f"sqlite:///{path}", Mode.CREATE)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)


def test_every_folder_of_an_earlier_version_is_looked_at_anew(tmp_path: Path) -> None:
    """It knew nothing of symlinks, which hold back a prune, and of notes."""
    path = registry_of("0001", tmp_path / "registry.db")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("PRAGMA foreign_keys=OFF")
        other.execute("INSERT INTO folder VALUES (1, '1h/BTC/LSTM', x'00')")
    Registry(f"sqlite:///{path}", Mode.CREATE).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT path, fingerprint FROM folder").fetchall() == [
            ("1h/BTC/LSTM", None)
        ]
