"""The Python door: typed answers, models opened without harm to their trainers, and its page."""

import json
import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.asked import add, make, record, url_of
from tests.conftest import Saved
from tests.inline import reconcile, reconciler_of
from watcherd import Registry
from watcherd.errors import NoSuchModel, Refused, RegistryError, UsageError, WatcherdError

PAGE = Path(__file__).parents[1] / "docs" / "python.md"

BTC, BTC_OLD, ETH = (
    "1h/BTCUSDT/LSTM/lstm_b.h5", "1h/BTCUSDT/LSTM/lstm_a.h5", "1h/ETHUSDT/LSTM/lstm_a.h5",
)  # fmt: skip
WEIGHTS, CHECKPOINT, ZIP, DISGUISED, LAMBDA, TABLE, GRAPH = (
    "1h/BTCUSDT/GRU/w.weights.h5", "1h/BTCUSDT/GRU/ckpt-1", "1h/BTCUSDT/GRU/z.keras",
    "1h/BTCUSDT/GRU/d.keras", "4h/X/GRU/lambda.h5", "4h/X/GRU/table.h5", "4h/X/GRU/saved",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, saved: Saved) -> Path:
    """Models of every kind, registered, three of them back-tested."""
    import h5py
    import keras
    import tensorflow as tf

    root = tmp_path_factory.mktemp("door") / "models"
    for variant, path in enumerate((BTC_OLD, BTC, ETH)):
        saved.write_h5(root / path, variant)
    (root / WEIGHTS).parent.mkdir(parents=True)
    (root / WEIGHTS).write_bytes(saved.weights[0])
    saved.write_checkpoint(root / CHECKPOINT, 1)
    (root / DISGUISED).write_bytes(saved.h5[3])
    compiled = keras.models.load_model(root / ETH, compile=False)
    compiled.compile("adam", "mse")
    compiled.save(root / ZIP)
    (root / LAMBDA).parent.mkdir(parents=True)
    layers = keras.layers
    keras.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x * 2)]).save(root / LAMBDA)
    with h5py.File(root / TABLE, "w") as file:
        file["prices"] = [1.0]
    tf.saved_model.save(tf.Module(), str(root / GRAPH))
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    for path, sharpe in ((BTC_OLD, 0.4), (BTC, 1.31), (ETH, 1.4)):
        backtest(root, path, sharpe)
    return root


def backtest(root: Path, path: str, sharpe: float) -> None:
    file = root / ".watcherd/registry.db"
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT model_id, fingerprint FROM model WHERE path = ?"
        model_id, mark = connection.execute(query, (path,)).fetchone()
    record(file, model_id, mark, "sharpe", sharpe)


@pytest.fixture
def registry(root: Path) -> Registry:
    return Registry(root)


# -- asking ----------------------------------------------------------------------------------------


def test_a_model_is_a_frozen_value_of_the_registry_s_columns(
    root: Path, registry: Registry
) -> None:
    (model,) = registry.list(where=f"path = {BTC}")
    assert model.absolute_path == root / BTC
    assert (model.interval, model.ticker, model.type) == ("1h", "BTCUSDT", "LSTM")
    assert (model.input_shape, model.output_shape) == ((None, 24, 5), (None, 1))
    assert (model.optimizer_type, model.learning_rate) == ("Adam", 0.001)
    assert model.optimizer_config is not None
    assert model.optimizer_config["beta_1"] == 0.9
    assert model.modified_at.tzinfo is not None
    assert abs(model.modified_at.timestamp() - (root / BTC).stat().st_mtime) < 0.01
    assert (model.pinned, model.verified) == (False, None)
    assert model.results == {"sharpe": 1.31}
    with pytest.raises(FrozenInstanceError):
        model.path = "x"  # type: ignore[misc]  # that it cannot be done is the point
    assert len({model, *registry.list(where=f"path = {BTC}")}) == 1


def test_models_are_listed_filtered_and_sorted_as_by_the_command(registry: Registry) -> None:
    assert [one.path for one in registry.list(type="lstm", sort="-sharpe")] == [ETH, BTC, BTC_OLD]
    assert [one.path for one in registry.list(where=["sharpe > 1", "ticker ~ btc*"])] == [BTC]
    assert [one.path for one in registry.list(type="LSTM", limit=1)] == [BTC_OLD]
    assert registry.list(tag="none", state="all") == ()
    assert registry.list(state=["missing", "trashed"]) == ()
    with pytest.raises(UsageError, match="colour"):
        registry.list(where="colour = red")
    with pytest.raises(UsageError, match="no such state: gone") as caught:
        registry.list(state=["missing", "gone"])
    assert "trashed" in caught.value.hint
    with pytest.raises(UsageError, match="no -1 models"):
        registry.list(limit=-1)
    with pytest.raises(TypeError):
        registry.list(colour="red")  # type: ignore[call-arg]  # a checker finds it, too


def test_the_best_of_each_group_comes_best_first(registry: Registry) -> None:
    assert [one.path for one in registry.best("sharpe", per="ticker")] == [ETH, BTC]
    assert [one.path for one in registry.best("sharpe", mode="min")] == [BTC_OLD]
    assert registry.best("sharpe", per=["interval", "type"], ticker="none") == ()
    with pytest.raises(UsageError, match="'minimum'"):
        registry.best("sharpe", mode="minimum")  # type: ignore[arg-type]  # a checker finds it, too


def test_the_latest_of_a_family_is_the_newest_then_the_highest_step(tmp_path: Path) -> None:
    file = make(tmp_path / "registry.db")
    family = "1h/B/L/[cp]-*"
    for step, day in ((9, 1), (1, 2), (3, 2), (2, 2)):
        at = f"2026-01-0{day}T00:00:00.000Z"
        add(file, f"1h/B/L/[cp]-{step}", family=family, step=step, modified_at=at)
    add(file, "1h/B/L/other", family="1h/B/L/other", modified_at="2026-02-01T00:00:00.000Z")
    latest = Registry(url_of(file)).latest(family)
    assert latest is not None
    assert latest.step == 3
    assert Registry(url_of(file)).latest("1h/B/L/*") is None


@pytest.mark.parametrize(
    "since", [timedelta(hours=1), "1h", datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01"]
)
def test_changes_are_told_since_a_time(registry: Registry, root: Path, since: Any) -> None:
    changes = registry.changes(since)
    assert {one.verb for one in changes} == {"registered"}
    assert len(changes) == len(registry.list())
    assert changes[0].details is not None
    assert changes[0].details["state"] == "present"
    assert changes[0].at > datetime.now(UTC) - timedelta(hours=1)
    assert registry.changes(datetime.now(UTC) + timedelta(days=1)) == ()


def test_a_frame_has_a_row_a_model_and_a_column_a_result(registry: Registry) -> None:
    pytest.importorskip("pandas")
    frame = registry.frame(type="LSTM", sort="-sharpe")
    assert list(frame["path"]) == [ETH, BTC, BTC_OLD]
    assert list(frame["result.sharpe"]) == [1.4, 1.31, 0.4]
    assert frame.groupby("ticker")["result.sharpe"].max().to_dict() == {
        "BTCUSDT": 1.31, "ETHUSDT": 1.4,
    }  # fmt: skip
    assert registry.frame(ticker="none").empty


def test_without_pandas_a_frame_says_what_to_do(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # as where it is not installed
    with pytest.raises(Refused) as caught:
        registry.frame()
    assert "pip install pandas" in caught.value.hint


# -- which registry --------------------------------------------------------------------------------


def test_a_registry_is_found_by_its_root_its_url_or_the_root_s_marker(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{root}/.watcherd/registry.db"
    count = len(Registry(root).list())
    assert len(Registry(str(root)).list()) == len(Registry(url).list()) == count
    elsewhere = tmp_path / "models"
    (elsewhere / ".watcherd").mkdir(parents=True)
    marker = {"uuid": "x", "registry": url, "host": "h"}
    (elsewhere / ".watcherd/root.json").write_text(json.dumps(marker))
    assert len(Registry(elsewhere).list()) == count
    monkeypatch.setenv("HOME", str(root.parent))
    assert len(Registry(f"~/{root.name}").list()) == count


@pytest.mark.parametrize("place", ["nowhere", "sqlite:////nowhere/registry.db"])
def test_where_no_registry_is_that_is_said_at_once(place: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry(place)
    assert "watcherd reconcile" in caught.value.hint


def test_each_question_is_asked_of_the_present_state(tmp_path: Path) -> None:
    file = make(tmp_path / "registry.db")
    registry = Registry(url_of(file))
    assert registry.list() == ()
    add(file, "1h/B/L/new.h5")
    assert [one.path for one in registry.list()] == ["1h/B/L/new.h5"]


def test_importing_watcherd_costs_nothing_and_the_door_no_tensorflow() -> None:
    script = (
        "import sys, watcherd\n"
        "print([name for name in sys.modules if name.startswith('watcherd.')])\n"
        "from watcherd import Registry\n"
        "heavy = {'tensorflow', 'keras', 'h5py', 'pandas', 'numpy', 'watcherd.reconciler'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n[]\n"


def test_a_mistyped_name_is_told_as_of_any_module() -> None:
    with pytest.raises(ImportError, match="Regisrty"):
        from watcherd import Regisrty  # type: ignore[attr-defined]  # noqa: F401  # mistyped


# -- opening ---------------------------------------------------------------------------------------

SERIES = np.linspace(-1, 1, 2 * 24 * 5, dtype="float32").reshape(2, 24, 5)


@pytest.mark.parametrize("path", [BTC, ZIP, DISGUISED])
def test_a_whole_model_predicts_as_the_one_that_was_saved(
    root: Path, registry: Registry, path: str
) -> None:
    import keras

    content = (root / path).read_bytes()
    known = root.parent / ("known.keras" if content[:2] == b"PK" else "known.h5")
    known.write_bytes(content)
    expected = keras.models.load_model(known, compile=False)(SERIES)
    (model,) = registry.list(where=f"path = {path}")
    for named in (model, model.model_id, path, root / path):
        opened = registry.open_model(named)
        assert np.allclose(opened(SERIES), expected)
    assert not opened.compiled


def test_a_model_is_compiled_for_those_who_ask_for_it(registry: Registry) -> None:
    assert registry.open_model(ZIP, compile=True).compiled


def test_weights_are_opened_with_the_architecture_that_their_user_names(
    root: Path, registry: Registry
) -> None:
    with pytest.raises(Refused) as caught:
        registry.open_model(WEIGHTS)
    (model,) = registry.list(where=f"path = {BTC_OLD}")
    assert f"{model.architecture_id} (Sequential, of 4 models); " in caught.value.hint
    assert caught.value.hint.endswith("(Sequential, of 1 model)")
    opened = registry.open_model(WEIGHTS, architecture=model.architecture_id)
    # The weights are of the training whose whole model was saved there.
    expected = registry.open_model(BTC_OLD)(SERIES)
    assert np.allclose(opened(SERIES), expected)
    with pytest.raises(Refused, match="no architecture 99"):
        registry.open_model(WEIGHTS, architecture=99)


def test_a_checkpoint_is_opened_with_tensorflow_s_reader(root: Path, registry: Registry) -> None:
    reader = registry.open_model(CHECKPOINT)
    shapes = reader.get_variable_to_shape_map()
    (name,) = [name for name in shapes if shapes[name] == [5, 12] and "OPTIMIZER" not in name]
    model = registry.open_model(BTC)  # of the same training
    assert np.allclose(reader.get_tensor(name), model.layers[0].cell.kernel.numpy())


def test_a_saved_model_is_a_program_and_opened_for_those_who_trust_it(registry: Registry) -> None:
    with pytest.raises(Refused) as caught:
        registry.open_model(GRAPH)
    assert "safe_mode=False" in caught.value.hint
    assert registry.open_model(GRAPH, safe_mode=False) is not None


def test_code_that_comes_with_a_model_is_not_run(registry: Registry) -> None:
    with pytest.raises(ValueError, match="Lambda"):
        registry.open_model(LAMBDA)


def test_what_is_no_model_is_not_opened(registry: Registry) -> None:
    with pytest.raises(Refused, match="no model of Keras"):
        registry.open_model(TABLE)
    with pytest.raises(NoSuchModel):
        registry.open_model("1h/none.h5")
    with pytest.raises(NoSuchModel):
        registry.open_model(99)


@pytest.fixture
def single(tmp_path: Path, saved: Saved) -> Path:
    """A root with one model that a test may change."""
    root = tmp_path / "models"
    saved.write_h5(root / BTC)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    return root


def test_what_changed_since_the_registry_looked_is_refused(single: Path, saved: Saved) -> None:
    registry = Registry(single)
    (model,) = registry.list()
    saved.write_h5(single / BTC, 1)
    with pytest.raises(Refused, match="not what the registry knows") as caught:
        registry.open_model(model)
    assert "watcherd reconcile" in caught.value.hint
    with reconciler_of(single) as reconciler:
        reconcile(reconciler)
    with pytest.raises(Refused, match="overwritten since it was listed"):
        registry.open_model(model)
    assert registry.open_model(model.model_id) is not None
    (single / BTC).unlink()
    with pytest.raises(Refused, match="cannot be read"):
        registry.open_model(BTC)
    with reconciler_of(single) as reconciler:
        reconcile(reconciler)
    with pytest.raises(Refused, match="missing"):
        registry.open_model(BTC)


def test_a_trainer_saves_undisturbed_while_its_model_is_opened(single: Path, saved: Saved) -> None:
    """An ordinary reader's lock makes every other save fail, and empties the file."""
    import keras

    registry = Registry(single)
    model = keras.models.load_model(single / BTC, compile=False)
    ended = threading.Event()
    tries = 0

    def open_it() -> None:
        nonlocal tries
        while not ended.is_set():
            with suppress(WatcherdError):  # it is not what the registry knows: it is being saved
                registry.open_model(BTC)
            tries += 1

    reader = threading.Thread(target=open_it)
    reader.start()
    try:
        for _ in range(60):
            model.save(single / BTC)
    finally:
        ended.set()
        reader.join()
    assert tries > 5


# -- the page --------------------------------------------------------------------------------------


def test_the_page_s_examples_do_what_they_say(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block.replace("/srv/models", str(root)), str(PAGE), "exec"), names)
    (told,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().out == told
    assert [one.path for one in names["good"]] == [BTC]
    assert names["recent"]


def test_the_page_lists_every_method_and_filter() -> None:
    from watcherd.door import Filters

    page = PAGE.read_text(encoding="utf-8")
    methods = re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)
    assert sorted(methods) == sorted(name for name in vars(Registry) if not name.startswith("_"))
    told = page[
        page.index("(commands.md#watcherd-list): ") : page.index(
            "`state`, `tag`, `where` and `per`"
        )
    ]
    assert set(re.findall(r"`(\w+)`", told)) == set(Filters.__annotations__)
