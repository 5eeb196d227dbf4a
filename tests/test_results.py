"""Results: recorded, told by names, of the content that they were measured on; and what is lost
when better content is overwritten."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.test_cli import call
from watcherd import journal, logs
from watcherd.errors import Refused, UsageError
from watcherd.naming import Naming, is_better
from watcherd.reconciler import Cycle, Reconciler
from watcherd.registry import By
from watcherd.registry import marks as books
from watcherd.registry.results import record
from watcherd.scope import Cause

ADA = By("ada@trainer1", Cause.REQUEST)
NOW = 1_790_000_000 * 1_000_000_000
FOLDER = "1h/BTC/LSTM"
PATH = f"{FOLDER}/m.h5"


@pytest.fixture
def reconciler(root: Path, saved: Saved) -> Iterator[Reconciler]:
    """With one model, number 1, at ``PATH``."""
    saved.write_h5(root / PATH)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        yield reconciler


def say(
    reconciler: Reconciler, context: Mapping[str, object] | None = None, **values: float
) -> Any:
    return record(reconciler.registry, 1, values, context, ADA, NOW)


def counting(root: Path) -> dict[str, float]:
    """What counts of model 1, as any client of the registry sees it."""
    (row,) = rows(root, "SELECT results FROM present_model WHERE model_id = 1")
    return dict(json.loads(row["results"]))


def results(root: Path) -> list[tuple[str, float, str]]:
    found = rows(root, "SELECT metric, value, source FROM result ORDER BY result_id")
    return [(row["metric"], row["value"], row["source"]) for row in found]


# -- record ----------------------------------------------------------------------------------------


def test_a_result_is_of_the_present_content_with_its_context(
    root: Path, reconciler: Reconciler
) -> None:
    assert say(reconciler, {"window": "2024"}, sharpe=1.31, mae=0.2) == {"sharpe": 1.31, "mae": 0.2}
    (content,) = rows(root, "SELECT fingerprint FROM model")
    found = rows(root, "SELECT * FROM result")
    assert {row["fingerprint"] for row in found} == {content["fingerprint"]}
    assert [json.loads(row["context"]) for row in found] == [{"window": "2024"}] * 2
    (line,) = rows(root, "SELECT actor, details FROM history WHERE verb = 'recorded'")
    assert (line["actor"], json.loads(line["details"])) == (
        ADA.actor,
        {
            "results": {"sharpe": 1.31, "mae": 0.2}, "context": {"window": "2024"},
            "fingerprint": content["fingerprint"], "source": "record",
        },
    )  # fmt: skip


def test_the_newest_value_of_a_metric_counts_and_the_older_ones_stay(
    root: Path, reconciler: Reconciler
) -> None:
    for sharpe in (1.0, 2.0, 1.5):
        say(reconciler, sharpe=sharpe)
    assert counting(root) == {"sharpe": 1.5}
    assert [value for _, value, _ in results(root)] == [1.0, 2.0, 1.5]


def test_a_script_may_say_the_same_twice(root: Path, reconciler: Reconciler) -> None:
    say(reconciler, sharpe=1.0, mae=0.2)
    revision = rows(root)[0]["revision"]
    assert say(reconciler, sharpe=1.0, mae=0.3) == {"mae": 0.3}
    assert say(reconciler, sharpe=1.0) == {}
    assert say(reconciler, {"window": "2025"}, sharpe=1.0) == {"sharpe": 1.0}, "another context"
    assert rows(root)[0]["revision"] == revision + 2


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_whole(
    root: Path, reconciler: Reconciler, odd: float
) -> None:
    with pytest.raises(UsageError, match="sharpe is"):
        say(reconciler, mae=0.1, sharpe=odd)
    assert results(root) == []
    assert call("--root", str(root), "record", "1", f"sharpe={odd}").status == 2


def test_a_model_without_known_content_has_no_results(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    (root / f"{FOLDER}/cp-1.data-00000-of-00001").write_bytes(b"a shard alone")
    reconcile(reconciler)
    with pytest.raises(Refused, match=f"{FOLDER}/cp-1 is incomplete"):
        record(reconciler.registry, 2, {"sharpe": 1.0}, None, ADA, NOW)
    assert call("--root", str(root), "record", "2", "sharpe=1").status == 11


def test_results_of_overwritten_content_count_no_more_until_it_is_back(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    say(reconciler, sharpe=1.31)
    overwrite(root, saved, reconciler, 1)
    assert counting(root) == {}
    overwrite(root, saved, reconciler, 0)
    assert counting(root) == {"sharpe": 1.31}


# -- names -----------------------------------------------------------------------------------------

TEMPLATE = "w.{epoch:02d}-{val_loss:.2f}.h5"


@pytest.mark.parametrize(
    ("name", "templates", "told"),
    [
        ("w.07-0.31.h5", (TEMPLATE,), {"val_loss": 0.31}),
        ("w.07-0.31.h5", (), {}),
        ("lstm_epoch_12-val_loss_0.031.h5", (), {"val_loss": 0.031}),
        ("0.9479_1.9483_51.6406.h5", (), {}),
        ("0.94_1.94.h5", ("{acc:.2f}_{mae:.2f}.h5",), {"acc": 0.94, "mae": 1.94}),
    ],
)
def test_a_metric_that_a_name_names_is_a_result(
    root: Path, saved: Saved, name: str, templates: tuple[str, ...], told: dict[str, float]
) -> None:
    saved.write_h5(root / FOLDER / name)
    with reconciler_of(root) as reconciler:
        reconciler.naming = Naming(names=templates)
        reconcile(reconciler)
        assert counting(root) == told
        assert {source for *_, source in results(root)} <= {"name"}


def test_a_name_tells_its_metrics_once_for_each_content(root: Path, saved: Saved) -> None:
    path = root / FOLDER / "w.07-0.31.h5"
    saved.write_h5(path)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        assert results(root) == []
        reconciler.naming = Naming(names=(TEMPLATE,))  # the settings name it from now on
        for _ in range(2):
            os.utime(path)
            reconcile(reconciler)
        assert results(root) == [("val_loss", 0.31, "name")]
        path = path.rename(path.with_name("w.08-0.29.h5"))
        reconcile(reconciler)
        assert counting(root) == {"val_loss": 0.29}
        saved.write_h5(path, 1)
        reconcile(reconciler)
        assert [value for _, value, _ in results(root)] == [0.31, 0.29, 0.29]


# -- the best overwritten --------------------------------------------------------------------------


def overwrite(root: Path, saved: Saved, reconciler: Reconciler, variant: int) -> Cycle:
    saved.write_h5(root / PATH, variant)
    return reconcile(reconciler)


def lost(cycle: Cycle) -> list[dict[str, object]]:
    return [dict(one.lost) for one in cycle.report.applied if one.lost]


@pytest.mark.parametrize(
    ("marks", "costs"),
    [
        pytest.param([], [], id="nothing was said of it"),
        pytest.param(
            [lambda r: record(r, 1, {"sharpe": 1.3}, None, ADA, NOW)],
            [{"results": {"sharpe": 1.3}}],
            id="a result that the new content has not",
        ),
        pytest.param([lambda r: books.pin(r, 1, ADA, NOW)], [{"pinned": True}], id="a pin"),
        pytest.param(
            [
                lambda r: books.set_alias(r, 1, "champion", ADA, NOW),
                lambda r: books.set_tag(r, 1, "run", "7", ADA, NOW),
            ],
            [{"aliases": ["champion"], "tags": ["run"]}],
            id="an alias and a tag",
        ),
        pytest.param([lambda r: books.note(r, 1, "x", ADA, NOW)], [], id="a note alone is no loss"),
    ],
)
def test_what_other_content_at_the_path_costs_is_told_once(
    root: Path, saved: Saved, reconciler: Reconciler, marks: list[Any], costs: list[dict[str, Any]]
) -> None:
    for mark in marks:
        mark(reconciler.registry)
    assert lost(overwrite(root, saved, reconciler, 1)) == costs
    assert lost(reconcile(reconciler)) == []
    (line,) = rows(root, "SELECT details FROM history WHERE verb = 'updated'")
    assert json.loads(line["details"]).get("lost") == (costs[0] if costs else None)


@pytest.mark.parametrize(
    ("metric", "old", "new", "is_lost"),
    [
        ("val_loss", 0.2, 0.3, True),
        ("val_loss", 0.3, 0.2, False),
        ("sharpe", 1.3, 0.9, True),
        ("sharpe", 0.9, 1.3, False),
        ("sharpe", 1.3, 1.3, False),
        ("alpha", 9.0, 1.0, False),
    ],
)
def test_a_result_is_lost_where_the_new_contents_is_worse(
    root: Path,
    saved: Saved,
    reconciler: Reconciler,
    metric: str,
    old: float,
    new: float,
    is_lost: bool,
) -> None:
    """The new content's own stands in the note that is written with it."""
    say(reconciler, **{metric: old})
    (root / f"{PATH}.watcherd.json").write_text(json.dumps({"results": {metric: new}}))
    told = lost(overwrite(root, saved, reconciler, 1))
    assert told == ([{"results": {metric: old}}] if is_lost else [])


def test_a_save_that_is_seen_half_done_is_one_overwrite(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    books.pin(reconciler.registry, 1, ADA, NOW)
    (root / PATH).write_bytes(saved.h5[1][:1000])
    assert lost(reconcile(reconciler)) == [{"pinned": True}]
    assert lost(overwrite(root, saved, reconciler, 1)) == []


def test_another_model_that_is_moved_upon_it_overwrites_it_too(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    saved.write_h5(root / f"{FOLDER}/new.h5", 1)
    reconcile(reconciler)
    books.set_alias(reconciler.registry, 1, "champion", ADA, NOW)
    (root / f"{FOLDER}/new.h5").rename(root / PATH)
    cycle = reconcile(reconciler)
    assert {str(change.verb) for change in cycle.changes} == {"moved", "missing"}
    assert lost(cycle) == [{"aliases": ["champion"]}]


def test_what_is_moved_away_or_deleted_is_not_overwritten(
    root: Path, reconciler: Reconciler
) -> None:
    books.pin(reconciler.registry, 1, ADA, NOW)
    (root / PATH).rename(root / f"{FOLDER}/n.h5")
    assert lost(reconcile(reconciler)) == []
    (root / f"{FOLDER}/n.h5").unlink()
    assert lost(reconcile(reconciler)) == []


def test_the_loss_is_a_warning_in_the_log_with_what_was_lost(
    root: Path, saved: Saved, reconciler: Reconciler
) -> None:
    say(reconciler, sharpe=1.31)
    cycle = overwrite(root, saved, reconciler, 1)
    logs.configure(format="json", stream=(out := io.StringIO()))
    for told in (cycle, reconcile(reconciler)):
        journal.tell_cycle(told, reconciler.registry)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "model.overwritten"]
    assert (line["level"], line["model_id"], line["path"], line["lost"]) == (
        "warning", 1, PATH, {"results": {"sharpe": 1.31}},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("loss", "less"), ("val_loss", "less"), ("dense_1_mae", "less"), ("RMSE", "less"),
        ("mean_absolute_error", "less"), ("binary_crossentropy", "less"), ("max_drawdown", "less"),
        ("accuracy", "more"), ("val_binary_accuracy", "more"), ("auc", "more"), ("f1", "more"),
        ("sharpe", "more"), ("total_return", "more"), ("f1_score", "more"),
        ("alpha", "neither"), ("lossless", "neither"), ("", "neither"),
    ],
)  # fmt: skip
def test_a_metrics_name_tells_which_value_is_better(metric: str, wanted: str) -> None:
    better = {"less": (True, False), "more": (False, True), "neither": (False, False)}
    assert (is_better(metric, 1, 2), is_better(metric, 2, 1)) == better[wanted]
    assert not is_better(metric, 1, 1)
