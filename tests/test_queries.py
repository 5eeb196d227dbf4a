"""Asking the registry: filters, conditions, order, the best of each group, counts, history."""

import json
import operator
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.asked import add, make, record, url_of, write
from tests.test_cli import Done, call
from watcherd.errors import UsageError
from watcherd.registry import Best, Filter, Question, Registry
from watcherd.registry.history import list_history
from watcherd.registry.queries import count_models, find_model, list_models
from watcherd.registry.question import mode_of
from watcherd.registry.ranking import count_groups
from watcherd.registry.terms import condition

A, B, C, D, COPY, GONE, LOOSE = (
    "1h/BTC/LSTM/a.h5", "1h/BTC/LSTM/b.h5", "15m/ETH/GRU/c.h5", "1d/ETH/LSTM/d.h5",
    "1h/BTC/ensemble_average/a.h5", "1h/BTC/LSTM/gone.h5", "loose.h5",
)  # fmt: skip


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without models: making its schema takes longer than most of these tests."""
    return make(tmp_path_factory.mktemp("asked") / "registry.db")


@pytest.fixture
def file(tmp_path: Path, empty: Path) -> Path:
    return Path(shutil.copyfile(empty, tmp_path / "registry.db"))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """Seven models that no test changes."""
    file = Path(shutil.copyfile(empty, tmp_path_factory.mktemp("known") / "registry.db"))
    config = '{"learning_rate":0.001,"beta_1":0.9,"amsgrad":true,"rate":{"class_name":"Cosine"}}'
    write(file, "INSERT INTO optimizer VALUES (1, 'Adam', 0.001, ?, 'x')", config)
    write(file, "INSERT INTO optimizer VALUES (2, 'SGD', 0.1, '{\"momentum\":0.9}', 'y')")
    write(file, "INSERT INTO architecture VALUES (7, '{}', 'abcd1234', 'feed5678')")
    a = add(
        file, A, interval_seconds=3600, step=10, size_bytes=300, optimizer_id=1,
        optimizer_type="Adam", class_name="Sequential", architecture_id=7, note="it's \"good\"",
        tags={"stage": "live", "best": None}, results={"sharpe": 1.5, "loss": 0.2},
        stale={"sharpe": 9.0}, loss="mse",
    )  # fmt: skip
    add(
        file, B, interval_seconds=3600, step=9, size_bytes=200, optimizer_id=2,
        optimizer_type="SGD", class_name="Functional", tags={"stage": "old"},
        results={"sharpe": 2.5},
    )  # fmt: skip
    add(file, C, interval_seconds=900, size_bytes=400, results={"sharpe": 0.5})
    add(file, D, interval_seconds=86400, step=2, stale={"sharpe": 99.0})
    add(file, COPY, copy_of=a, type=None, ensemble_type="ensemble_average", interval_seconds=3600)
    add(file, GONE, state="missing", interval_seconds=3600)
    add(file, LOOSE, unplaced="no layout", model_name="'; DROP TABLE model; --")
    return file


def listed(file: Path, question: Question) -> list[str]:
    with Registry(url_of(file)) as registry, registry.reading() as connection:
        rows = list_models(connection, question)
        if question.limit is None:
            total = (len(rows), sum(row["size_bytes"] for row in rows))
            assert count_models(connection, question) == total
        return [row["path"] for row in rows]


def at(file: Path, *words: str) -> Done:
    return call("--root", "/nowhere", "--registry", url_of(file), *words)


# -- which -----------------------------------------------------------------------------------------

FILTERS: dict[str, tuple[Filter, set[str]]] = {
    "present models that are no copies": (Filter(), {A, B, C, D, LOOSE}),
    "copies alone": (Filter(ensemble=True), {COPY}),
    "every state": (Filter(states=()), {A, B, C, D, LOOSE, GONE}),
    "unplaced": (Filter(unplaced=True), {LOOSE}),
    "a tag": (Filter(tags=("stage",)), {A, B}),
    "a tag of a value": (Filter(tags=("stage=live",)), {A}),
    "a tag without a value": (Filter(tags=("best",)), {A}),
    "a tag whose value is not that": (Filter(tags=("best=",)), set()),
    "several tags": (Filter(tags=("stage", "best")), {A}),
    "an architecture by its id": (Filter(architecture="7"), {A}),
    "an architecture by its hash": (Filter(architecture="abcd"), {A}),
    "an architecture by its likeness": (Filter(architecture="feed5678"), {A}),
    "an architecture by a glob for its class": (Filter(architecture="seq*"), {A}),
    "an architecture that is not": (Filter(architecture="8"), set()),
    "a letter is the class, no hash": (Filter(architecture="a"), set()),
    "an optimizer": (Filter(optimizer="adam"), {A}),
    "several at once": (Filter(interval="1h", tags=("stage",), where=("step < 10",)), {B}),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_leaves(known: Path, name: str) -> None:
    chosen, paths = FILTERS[name]
    assert set(listed(known, Question(chosen))) == paths


CONDITIONS: dict[str, set[str]] = {
    "size_bytes > 200": {A, C},
    "size_bytes>=200": {A, B, C},
    "size_bytes = 200.0": {B},
    "size_bytes != 100": {A, B, C},
    "size_bytes < 9223372036854775808": {A, B, C, D, LOOSE},
    "size_bytes < 1e400": {A, B, C, D, LOOSE},
    "step is null": {C, LOOSE},
    "step IS NOT NULL": {A, B, D},
    "step != 10": {B, C, D, LOOSE},
    "ticker = BTC": {A, B},
    "ticker = btc": set(),
    "ticker ~ b?c": {A, B},
    "interval ~ 1?": {A, B, D},
    "interval ~ 1H": set(),
    "path ~ */LSTM/*": {A, B, D},
    "learning_rate = 0.001": {A},
    "learning_rate >= 1e-3": {A, B},
    "optimizer.beta_1 > 0.8": {A},
    "optimizer.amsgrad = true": {A},
    "optimizer.amsgrad != true": {B, C, D, LOOSE},
    "optimizer.momentum is not null": {B},
    "optimizer.beta_1 ~ 0.?": {A},
    "optimizer.nothing is null": {A, B, C, D, LOOSE},
    "sharpe > 1": {A, B},
    "sharpe is null": {D, LOOSE},
    "sharpe < inf": {A, B, C},
    "loss = mse": {A},
    "result.loss < 1": {A},
    "result.never > 1": set(),
    'note = it\'s "good"': {A},
    "model_name = '; DROP TABLE model; --": {LOOSE},
    "note = x' OR 'a' = 'a": set(),
    "modified_at >= 2026-01-01": {A, B, C, D, LOOSE},
    "modified_at < 2026": set(),
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_leaves(known: Path, text: str) -> None:
    assert set(listed(known, Question(Filter(where=(text,))))) == CONDITIONS[text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no condition"),
        ("sharpe", "no condition"),
        ("> 1", "no condition"),
        ("sharpe is nothing", "no condition"),
        ("step ~ 1*", "step is a number"),
        ("step = ten", "'ten' is none"),
        ("sharpe > nan", "'nan' is none"),
        ("sharpe >", "'' is none"),
        ("colour = red", "sharpe"),
        ("optimizer. = 1", "optimizer.KEY"),
        ('optimizer.a"b = 1', "optimizer.KEY"),
        ("1; DROP TABLE model = 1", "model_id"),
        ("step = \udcff", "UTF-8"),
    ],
)
def test_a_condition_that_makes_no_sense_says_why_and_what_is_possible(
    known: Path, text: str, said: str
) -> None:
    done = at(known, "list", "--where", text)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert "  → " in done.err


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@given(
    word=st.sampled_from(sorted(COMPARED)),
    number=st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False)),
)
def test_numbers_compare_as_in_python(known: Path, word: str, number: float) -> None:
    found = listed(known, Question(Filter(where=(f"size_bytes {word} {number}",))))
    sizes = {A: 300, B: 200, C: 400, D: 100, LOOSE: 100}
    assert set(found) == {path for path, size in sizes.items() if COMPARED[word](size, number)}


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_is_a_value_and_nothing_else(known: Path, text: str) -> None:
    asked = Filter(ticker=text, architecture=text, tags=(text,), where=(f"note = {text}",))
    assert listed(known, Question(asked)) == []


@given(name=st.text(), word=st.sampled_from(["=", "<", "~", "is null"]), value=st.text())
def test_any_condition_is_understood_or_a_usage_error(
    known: Path, name: str, word: str, value: str
) -> None:
    registry = Registry(url_of(known))
    # What the error says, the table above tells.
    with registry, registry.reading() as connection, suppress(UsageError):
        condition(connection, f"{name} {word} {value}")


# -- in which order --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "paths"),
    [
        (None, [C, D, A, B, LOOSE]),
        ("path", [C, D, A, B, LOOSE]),
        ("-path", [LOOSE, B, A, D, C]),
        ("step", [D, B, A, C, LOOSE]),
        ("-step", [A, B, D, C, LOOSE]),
        ("interval", [C, A, B, D, LOOSE]),
        ("-interval", [D, A, B, C, LOOSE]),
        ("-sharpe", [B, A, C, D, LOOSE]),
        ("result.sharpe", [C, A, B, D, LOOSE]),
        ("learning_rate", [A, B, C, D, LOOSE]),
        ("optimizer.momentum", [B, C, D, A, LOOSE]),
    ],
)
def test_models_are_sorted_and_what_is_unknown_comes_last(
    known: Path, sort: str | None, paths: list[str]
) -> None:
    found = listed(known, Question(sort=sort))
    assert sorted(found) == sorted(paths)
    assert [path for path in found if path != LOOSE] == [path for path in paths if path != LOOSE]


def test_checkpoints_are_in_the_order_in_which_people_count(file: Path) -> None:
    for step in (10, 9, 100):
        add(file, f"1h/B/L/ckpt-{step}", step=step, family="1h/B/L/ckpt-*")
    assert listed(file, Question()) == [f"1h/B/L/ckpt-{step}" for step in (9, 10, 100)]


# -- the best --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "paths"),
    [
        ("sharpe", [B]),
        ("sharpe:max", [B]),
        ("sharpe:min", [C]),
        ("sharpe:max --per ticker", [B, C]),
        ("sharpe:min --per ticker,type", [C, A]),
        ("sharpe --per type --sort path", [C, B]),
        ("sharpe --per ticker --limit 1", [B]),
        ("sharpe --ticker eth", [C]),
        ("sharpe --where optimizer.beta_1=0.9", [A]),
        ("loss --state all", [A]),
    ],
)
def test_the_best_of_each_group_is_listed_best_first(
    known: Path, words: str, paths: list[str]
) -> None:
    done = at(known, "--json", "list", "--best", *words.split())
    assert [row["path"] for row in done.json()] == paths


@pytest.mark.parametrize(
    "words",
    [
        "--best never",
        "--best sharp",
        "--best sharpe --per colour",
        "--best sharpe --per ,",
        "--per ticker",
        "--best sharpe --by ticker",
        "--by colour",
        "--by ticker --sort step",
        "--sort colour",
    ],
)
def test_a_group_or_result_that_is_not_known_is_an_error_with_what_is(
    known: Path, words: str
) -> None:
    done = at(known, "list", *words.split())
    assert (done.status, done.out) == (2, "")
    assert "  → " in done.err


def test_of_many_results_those_that_may_have_been_meant_are_told(file: Path) -> None:
    add(file, "1h/BTC/LSTM/a.h5", results={f"a\n{n}": n for n in range(20)} | {"sharpe": 1.0})
    done = at(file, "list", "--best", "sharp")
    _, hint = done.err.splitlines()
    assert "did you mean sharpe? there are: a\\n0, a\\n1, " in hint
    assert hint.endswith(", ...")


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("sharpe", "max"), ("val_accuracy", "max"), ("auc", "max"), ("glossy", "max"),
        ("loss", "min"), ("val_loss", "min"), ("RMSE", "min"), ("mean_absolute_error", "min"),
    ],
)  # fmt: skip
def test_a_metric_s_name_tells_which_way_it_is_better(metric: str, mode: str) -> None:
    assert mode_of(metric) == mode


def test_the_mode_is_what_stands_behind_the_last_colon() -> None:
    assert Best.of("f1:0.5:min") == Best("f1:0.5", "min")
    assert Best.of("f1:0.5") == Best("f1:0.5", "max")


MODELS = st.lists(
    st.tuples(
        st.sampled_from(["BTC", "ETH", None]),  # ticker
        st.lists(st.integers(0, 3), max_size=3),  # results of the present content, in turn
        st.lists(st.integers(0, 9), max_size=2),  # of earlier content
        st.sampled_from(["2026-01-01", "2026-01-02"]),  # modified
    ),
    max_size=8,
)


@settings(max_examples=40)
@given(models=MODELS, mode=st.sampled_from(["min", "max"]))
def test_the_newest_current_result_ranks_then_the_newer_model_then_the_first_path(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, models: list[Any], mode: Any
) -> None:
    file = Path(shutil.copyfile(empty, tmp_path_factory.getbasetemp() / "ranked.db"))
    other = add(file, "x/x/x/other", state="missing")
    record(file, other, "earlier content", "sharpe", 1)
    expected: dict[str | None, tuple[Any, ...]] = {}
    for number, (ticker, current, stale, day) in enumerate(models):
        path = f"1h/{number}.h5"
        mark = f"mark-{number}"
        model_id = add(file, path, fingerprint=mark, ticker=ticker, modified_at=day)
        for content, values in ((mark, current), ("earlier content", stale)):
            for value in values:
                record(file, model_id, content, "sharpe", value)
        if current:
            value = current[-1] if mode == "min" else -current[-1]
            rank = (value, -int(day[-1]), path)
            expected[ticker] = min(expected.get(ticker, rank), rank)
    found = listed(file, Question(best=Best("sharpe", mode, ("ticker",))))
    assert sorted(found) == sorted(rank[2] for rank in expected.values())


def test_a_result_of_other_content_counts_nowhere(known: Path) -> None:
    """D's one result, the highest of all, is of content that was overwritten."""
    assert D not in listed(known, Question(best=Best("sharpe", "max", ("path",))))
    assert D not in listed(known, Question(Filter(where=("sharpe is not null",))))
    (row,) = at(known, "--json", "list", "--where", f"path = {D}").json()
    assert row["results"] == {}
    assert "99" not in at(known, "list", "--sort", "-sharpe").out
    with closing(sqlite3.connect(known)) as connection:
        query = "SELECT results FROM present_model WHERE path = ?"
        (told,) = connection.execute(query, (D,)).fetchone()
    assert json.loads(told) == {}


# -- counts ----------------------------------------------------------------------------------------


def test_groups_are_counted_in_the_order_of_their_keys(known: Path) -> None:
    assert at(known, "--json", "list", "--by", "interval,ticker").json() == [
        {"interval": "15m", "ticker": "ETH", "models": 1, "size_bytes": 400},
        {"interval": "1h", "ticker": "BTC", "models": 2, "size_bytes": 500},
        {"interval": "1d", "ticker": "ETH", "models": 1, "size_bytes": 100},
        {"interval": None, "ticker": None, "models": 1, "size_bytes": 100},
    ]
    said = at(known, "list", "--by", "interval, ticker").out
    assert "4 groups: 5 models, 1.1 kB" in said


@pytest.mark.parametrize("sort", ["-models", "size_bytes", "-ticker"])
def test_groups_are_sorted_and_limited_too(known: Path, sort: str) -> None:
    question = Question(sort=sort, limit=2)
    with Registry(url_of(known)) as registry, registry.reading() as connection:
        found = count_groups(connection, question, ["ticker"])
    name = sort.removeprefix("-")
    values = [row[name] for row in found]
    assert len(values) == 2
    assert values == sorted(values, reverse=sort.startswith("-"))


@given(keys=st.lists(st.sampled_from(["interval", "ticker", "type", "format"]), min_size=1))
def test_groups_hold_every_model_once(known: Path, keys: list[str]) -> None:
    with Registry(url_of(known)) as registry, registry.reading() as connection:
        rows = count_groups(connection, Question(), keys)
        total = (sum(row["models"] for row in rows), sum(row["size_bytes"] for row in rows))
        assert total == count_models(connection, Question())


def test_a_table_has_a_page_and_tells_what_is_left_and_json_has_all(file: Path) -> None:
    for number in range(203):
        add(file, f"1h/BTC/LSTM/{number:03}.h5")
    said = at(file, "list").out
    assert "199.h5" in said
    assert "200.h5" not in said
    assert "the first 200 of 203 models, 20 kB in all" in said
    assert "203 models, 20 kB" in at(file, "list", "--limit", "203").out
    assert len(at(file, "--json", "list").json()) == 203


# -- history ---------------------------------------------------------------------------------------


def happen(file: Path, at: str, model_id: int = 1, verb: str = "updated", **more: Any) -> int:
    row = {"at": at, "model_id": model_id, "path": "p", "verb": verb, "cause": "event",
           "actor": "daemon", **more}  # fmt: skip
    names, holes = ", ".join(row), ", ".join("?" * len(row))
    return write(file, f"INSERT INTO history ({names}) VALUES ({holes})", *row.values())


def test_history_is_in_the_order_of_what_happened_also_where_the_clock_went_back(
    file: Path,
) -> None:
    add(file, "a")
    days = ["2026-01-01", "2026-01-03", "2026-01-02", "2026-01-04"]
    for day in days:
        happen(file, f"{day}T00:00:00.000Z")
    with Registry(url_of(file)) as registry, registry.reading() as connection:
        since = list_history(connection, since="2026-01-02")
        newest = list_history(connection, limit=2)
        after = list_history(connection, after=2, model_id=1)
    assert [row["at"][:10] for row in since] == days[1:]
    assert [row["at"][:10] for row in newest] == days[2:]
    assert [row["history_id"] for row in after] == [3, 4]


def test_a_page_of_history_is_the_newest_of_it_and_json_has_all(file: Path) -> None:
    add(file, "a")
    now = datetime.now(UTC)
    for minute in range(205, 0, -1):
        happen(file, f"{now - timedelta(minutes=minute):%Y-%m-%dT%H:%M:%S}.000Z")
    said = at(file, "history").out
    assert "the newest 200: 200 updated" in said
    assert "1 min ago" in said
    assert "205 updated" in at(file, "history", "--since", "1d").out
    assert len(at(file, "--json", "history").json()) == 205


def test_a_moved_model_s_history_shows_both_its_paths(file: Path) -> None:
    add(file, "1h/BTC/LSTM/new.h5")
    happen(file, "2026-01-01", verb="moved", path="1h/BTC/LSTM/new.h5", from_path="1h/old.h5")
    said = " ".join(at(file, "history", "1h/old.h5").out.split())
    assert "1h/old.h5 → 1h/BTC/LSTM/new.h5" in said


# -- what serves a query ---------------------------------------------------------------------------

PLANS = {
    "list": ("model_in_order", lambda c: list_models(c, Question(limit=9))),
    "list --sort METRIC": ("result_of_metric", lambda c: list_models(c, Question(sort="-sharpe"))),
    "list --best METRIC": (
        "COVERING INDEX result_of_metric",
        lambda c: list_models(c, Question(best=Best("sharpe", "max", ("ticker",)))),
    ),
    "history --since": ("history_at (at>?)", lambda c: list_history(c, since="2026")),
    "history --since --limit": ("history_at", lambda c: list_history(c, since="2026", limit=9)),
    "show MODEL": ("model_copied", lambda c: find_model(c, 1)),
    "history MODEL": ("history_of_model", lambda c: list_history(c, model_id=1)),
}


@pytest.mark.parametrize("name", PLANS)
def test_an_index_serves(known: Path, name: str) -> None:
    """A guard against a plan that reads ten million lines: the figures are the benchmarks'."""
    index, ask = PLANS[name]
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            asked = connection.connection.cursor().execute(
                f"EXPLAIN QUERY PLAN {statement}", values
            )
            plans.extend(row[3] for row in asked)

    with Registry(url_of(known)) as registry, registry.reading() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        ask(connection)
    assert any(index in plan for plan in plans), plans


# -- the views -------------------------------------------------------------------------------------


def test_a_web_form_asks_step_by_step_as_one_who_may_only_read(known: Path) -> None:
    known.chmod(0o444)
    with closing(sqlite3.connect(f"file:{known}?mode=ro", uri=True)) as connection:

        def ask(query: str, *values: str) -> list[Any]:
            return connection.execute(query, values).fetchall()

        (plan,) = ask("EXPLAIN QUERY PLAN SELECT DISTINCT interval FROM present_model")
        assert "model_placed" in plan[3]
        intervals = ask("SELECT DISTINCT interval FROM present_model ORDER BY interval_seconds")
        assert intervals == [(None,), ("15m",), ("1h",), ("1d",)]
        query = "SELECT DISTINCT ticker FROM present_model WHERE interval = ?"
        assert ask(query, "1h") == [("BTC",)]
        query = "SELECT DISTINCT type FROM present_model WHERE interval = ? AND ticker = ?"
        assert ask(query, "1h", "BTC") == [("LSTM",)]
        query = (
            "SELECT absolute_path, learning_rate, json_extract(optimizer_config, '$.beta_1'),"
            " json_extract(results, '$.sharpe') FROM present_model"
            " WHERE interval = ? AND ticker = ? AND type = ? ORDER BY path"
        )
        assert ask(query, "1h", "BTC", "LSTM") == [
            (f"/srv/models/{A}", 0.001, 0.9, 1.5),
            (f"/srv/models/{B}", 0.1, None, 2.5),
        ]
    known.chmod(0o644)


@pytest.mark.parametrize(
    ("shape", "batch_size", "time_steps"),
    [
        ("[null,60,8]", None, 60),
        ("[32,60,8]", 32, 60),
        ("[null,5]", None, None),
        ("[[16,24,5],[16,3]]", 16, 24),
        ("[null,32,32,3]", None, None),
        (None, None, None),
    ],
)
def test_batch_size_and_time_steps_come_from_the_first_input(
    file: Path, shape: str | None, batch_size: int | None, time_steps: int | None
) -> None:
    add(file, "a", input_shape=shape)
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT batch_size, time_steps FROM present_model"
        assert connection.execute(query).fetchall() == [(batch_size, time_steps)]


def test_the_newest_result_of_each_metric_is_the_view_s(file: Path) -> None:
    model_id = add(file, "a", fingerprint="now", results={"sharpe": 1, "loss": 0.5})
    record(file, model_id, "now", "sharpe", 0.7)
    record(file, model_id, "before", "sharpe", 9)
    with closing(sqlite3.connect(file)) as connection:
        (told,) = connection.execute("SELECT results FROM present_model").fetchone()
    assert json.loads(told) == {"sharpe": 0.7, "loss": 0.5}


def test_a_question_imports_nothing_that_knows_the_disk(known: Path) -> None:
    """A question is as fast as what it imports."""
    script = (
        "import sys; sys.argv = ['watcherd', *sys.argv[1:]]\n"
        "from watcherd.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "slow = {'watcherd.reconciler', 'watcherd.pruner', 'pyfive', 'alembic', 'keras'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    for words in (["list"], ["history"], ["show", "1"]):
        command = [
            sys.executable,
            "-c",
            script,
            "--root",
            "/x",
            "--registry",
            url_of(known),
            *words,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert done.stderr == "[]\n", words
