"""A registry written row by row, to be asked: what is in it, each test says in a line."""

import itertools
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from watcherd.registry import Mode, Registry

AT = "2026-01-01T00:00:00.000Z"
ROOT = "/srv/models"


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def make(file: Path) -> Path:
    """A registry with one root and no model."""
    Registry(url_of(file), Mode.CREATE).close()
    write(file, "INSERT INTO root (root_id, path) VALUES (1, ?)", ROOT)
    return file


def write(file: Path, statement: str, *values: Any) -> int:
    """Run a statement; returns the row's number. No test here pulls a plug: nothing is synced."""
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        return int(connection.execute(statement, values).lastrowid or 0)


_numbers = itertools.count(1)


def add(
    file: Path,
    path: str,
    *,
    results: Mapping[str, float | None] | None = None,
    stale: Mapping[str, float] | None = None,
    tags: Mapping[str, str | None] | None = None,
    **columns: Any,
) -> int:
    """A model at ``interval/ticker/type/name``; ``stale`` are results of earlier content."""
    place = [*path.split("/")[:-1], None, None, None]
    mark = f"content-{next(_numbers)}"
    row = {
        "root_id": 1,
        "path": path,
        "folder": path.rpartition("/")[0],
        "model_name": path.rpartition("/")[2],
        "interval": place[0],
        "ticker": place[1],
        "type": place[2],
        "format": "h5",
        "family": path,
        "state": "present",
        "size_bytes": 100,
        "files": 1,
        "fingerprint": mark,
        **dict.fromkeys(("modified_at", "first_seen_at", "placed_at", "changed_at"), AT),
    } | columns
    names, holes = ", ".join(row), ", ".join("?" * len(row))
    model_id = write(file, f"INSERT INTO model ({names}) VALUES ({holes})", *row.values())
    for told, content in ((stale or {}, "earlier content"), (results or {}, row["fingerprint"])):
        for metric, value in told.items():
            record(file, model_id, content, metric, value)
    for key, value in (tags or {}).items():
        write(file, "INSERT INTO tag (model_id, key, value) VALUES (?, ?, ?)", model_id, key, value)
    return model_id


def record(file: Path, model_id: int, content: str, metric: str, value: float | None) -> None:
    """A result of some content."""
    write(
        file,
        "INSERT INTO result (model_id, fingerprint, metric, value, source, recorded_at)"
        " VALUES (?, ?, ?, ?, 'record', ?)",
        *(model_id, content, metric, value, AT),
    )  # fmt: skip
