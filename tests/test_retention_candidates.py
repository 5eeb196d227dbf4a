"""What retention is told of each model by the registry: its row, marks, tags and results."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from watcherd.plan import Candidate, State
from watcherd.registry import Mode, Registry, ns_of
from watcherd.registry.candidates import load_candidates

FOLDER = "1h/BTC/LSTM"
AT = "2026-11-20T12:00:00.123Z"
LATER = "2026-11-20T13:00:00.456Z"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def registry(place: Path) -> Iterator[Registry]:
    with Registry(f"sqlite:///{place}", Mode.CREATE) as registry:
        registry.add_root("/srv/models")
        yield registry


@pytest.fixture
def write(place: Path, registry: Registry) -> Iterator[Any]:
    """Writes rows as any SQLite client could."""

    def insert(table: str, **columns: object) -> int:
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        done = client.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values())
        )
        client.commit()
        return int(done.lastrowid or 0)

    with closing(sqlite3.connect(place)) as client:
        yield insert


def row(number: int, **more: object) -> dict[str, object]:
    """A checkpoint's row."""
    return {
        "root_id": 1, "path": f"{FOLDER}/ckpt-{number}", "folder": FOLDER,
        "model_name": f"ckpt-{number}", "interval": "1h", "interval_seconds": 3600, "ticker": "BTC",
        "type": "LSTM", "format": "checkpoint", "family": f"{FOLDER}/ckpt-*", "step": number,
        "state": "present", "size_bytes": 1000 + number, "files": 2, "fingerprint": f"f{number}",
        "modified_at": AT, "first_seen_at": AT, "placed_at": LATER, "changed_at": AT,
    } | more  # fmt: skip


def found(registry: Registry, *metrics: str) -> list[Candidate]:
    return list(load_candidates(registry, 1, metrics))


def test_a_row_is_a_candidate_field_by_field(registry: Registry, write: Any) -> None:
    write("architecture", config="{}", config_hash="h", likeness="alike")
    write("model", **row(7, architecture_id=1, revision=3))
    assert found(registry) == [
        Candidate(
            model_id=1, path=f"{FOLDER}/ckpt-7", interval="1h", ticker="BTC", type="LSTM",
            format="checkpoint", family=f"{FOLDER}/ckpt-*", architecture="alike", step=7,
            state=State.PRESENT, modified_ns=ns_of(AT), seen_ns=ns_of(LATER), size_bytes=1007,
            revision=3,
        )
    ]  # fmt: skip


def test_what_is_not_known_is_none(registry: Registry, write: Any) -> None:
    nowhere = dict.fromkeys(("interval", "interval_seconds", "ticker", "type", "step"))
    write("model", **row(7, **nowhere))
    (one,) = found(registry)
    assert (one.interval, one.ticker, one.type, one.step, one.architecture) == (None,) * 5


def test_all_that_is_on_disk_is_there_by_path_and_copies_are_not(
    registry: Registry, write: Any
) -> None:
    states = ("present", "missing", "incomplete", "trashed", "unreadable", "deleted")
    for step, state in enumerate(states, 1):
        write("model", **row(9 - step, state=state))
    registry.add_root("/srv/others")
    write("model", **row(1, root_id=2))
    write("model", **row(1, path="1h/BTC/ensemble_a/ckpt-1", copy_of=1, ensemble_type="ensemble_a"))
    assert [(one.path[-1], one.state) for one in found(registry)] == [
        ("4", State.UNREADABLE),
        ("6", State.INCOMPLETE),
        ("8", State.PRESENT),
    ]


@pytest.mark.parametrize(
    ("column", "value", "mark"),
    [
        ("pinned", 1, "pinned"),
        ("resume", 1, "resume"),
        ("ensemble", 1, "ensemble"),
        ("ensemble_type", "ensemble_a", "ensemble"),
    ],
)
def test_a_mark_of_a_row_is_one_of_its_candidate(
    registry: Registry, write: Any, column: str, value: object, mark: str
) -> None:
    write("model", **row(1, **{column: value}))
    write("model", **row(2))
    marked, other = found(registry)
    marks = ("resume", "pinned", "aliased", "ensemble")
    assert [name for name in marks if getattr(marked, name)] == [mark]
    assert not any(getattr(other, name) for name in marks)


def test_aliases_and_tags_are_those_of_the_model(registry: Registry, write: Any) -> None:
    for step in (1, 2, 3):
        write("model", **row(step))
    write("alias", alias="production", model_id=2)
    write("tag", model_id=1, key="stage", value="live")
    write("tag", model_id=1, key="champion", value=None)
    write("tag", model_id=3, key="stage", value="live")
    one, two, three = found(registry)
    assert [each.aliased for each in (one, two, three)] == [False, True, False]
    assert one.tags == {"stage": "live", "champion": None}
    assert (two.tags, three.tags) == ({}, {"stage": "live"})


def scored(write: Any, metric: str, value: float | None, **more: object) -> None:
    told = {"model_id": 1, "fingerprint": "f1", "source": "record", "recorded_at": AT}
    write("result", metric=metric, value=value, **(told | more))


def test_only_the_metrics_asked_for_are_told(registry: Registry, write: Any) -> None:
    write("model", **row(1))
    write("model", **row(2))
    scored(write, "loss", 0.5)
    scored(write, "sharpe", 1.5)
    scored(write, "other", 2.5)
    assert [one.results for one in found(registry)] == [{}, {}]
    assert [one.results for one in found(registry, "loss", "sharpe")] == [
        {"loss": 0.5, "sharpe": 1.5},
        {},
    ]


def test_the_newest_result_of_the_present_content_counts(registry: Registry, write: Any) -> None:
    write("model", **row(1))
    scored(write, "loss", 0.5)
    scored(write, "loss", 0.75)
    scored(write, "loss", 0.1, fingerprint="of what was overwritten")
    scored(write, "loss", 0.2, fingerprint=None)
    assert found(registry, "loss")[0].results == {"loss": 0.75}


def test_stale_results_are_none(registry: Registry, write: Any) -> None:
    write("model", **row(1, fingerprint=None))
    scored(write, "loss", 0.1)
    scored(write, "loss", 0.2, fingerprint=None)
    assert found(registry, "loss")[0].results == {}


def test_nan_is_a_result_though_sqlite_writes_it_as_null(registry: Registry, write: Any) -> None:
    write("model", **row(1))
    scored(write, "loss", float("nan"))
    assert isnan(found(registry, "loss")[0].results["loss"])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_a_damaged_time_costs_nothing_but_its_precision(
    registry: Registry, write: Any, at: str
) -> None:
    write("model", **row(1, modified_at=at, placed_at=at))
    (one,) = found(registry)
    assert (one.modified_ns > 0) == at.startswith("9")
