"""``show``: a model on a card, its layers as Keras would tell them, and what its optimizer was."""

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tests.asked import add, make, url_of, write
from tests.conftest import Saved, rows
from tests.inline import reconcile, reconciler_of
from tests.test_cli import call
from watcherd.readers.canonical import float32
from watcherd.readers.summary import DEEPEST, layers
from watcherd.render.cells import ago, ago_ns, new_table
from watcherd.render.fitting import Column, Fitting

# -- layers ----------------------------------------------------------------------------------------


def flat(model: Any, depth: int = 0) -> list[tuple[Any, ...]]:
    """A model's layers by Keras' own word, those of models in it after each."""
    told: list[tuple[Any, ...]] = []
    for layer in model.layers:
        shape = layer.output.shape if hasattr(layer.output, "shape") else layer.output[0].shape
        told.append((layer.name, type(layer).__name__, list(shape), layer.count_params(), depth))
        if hasattr(layer, "layers"):
            told += flat(layer, depth + 1)
    return told


def sequential(*builders: Callable[[Any], Any], shape: tuple[int, ...] = (24, 5)) -> Any:
    """Builds the layers from a Keras, new or old."""

    def build(k: Any) -> Any:
        return k.Sequential([k.layers.Input(shape), *(one(k.layers) for one in builders)])

    return build


def functional(k: Any) -> Any:
    """Two inputs, a model that is a layer, and layers that join."""
    inner = k.Sequential([k.layers.Input((5,)), k.layers.Dense(4), k.layers.Dense(3)], name="head")
    series, static = k.layers.Input((24, 5), name="series"), k.layers.Input((5,), name="static")
    summed = k.layers.LSTM(5)(series)
    joined = k.layers.Concatenate()([inner(summed), k.layers.Dense(2)(static)])
    return k.Model([series, static], [k.layers.Dense(1, name="price")(joined)])


def attentive(k: Any) -> Any:
    series = k.layers.Input((24, 6))
    seen = k.layers.MultiHeadAttention(2, 3)(series, series)
    joined = k.layers.LayerNormalization()(k.layers.Add()([series, seen]))
    return k.Model(series, k.layers.Dense(1)(k.layers.GlobalAveragePooling1D()(joined)))


BOTH: dict[str, Callable[[Any], Any]] = {
    "LSTM": sequential(lambda k: k.LSTM(7), lambda k: k.Dense(1)),
    "LSTM without bias": sequential(lambda k: k.LSTM(7, use_bias=False)),
    "GRU": sequential(lambda k: k.GRU(7, return_sequences=True), lambda k: k.SimpleRNN(3)),
    "GRU as of Keras 1": sequential(lambda k: k.GRU(7, reset_after=False)),
    "both ways": sequential(
        lambda k: k.Bidirectional(k.LSTM(6, return_sequences=True)),
        lambda k: k.TimeDistributed(k.Dense(2, use_bias=False)),
        lambda k: k.Flatten(),
        lambda k: k.Dropout(0.1),
    ),
    "convolutions": sequential(
        lambda k: k.Conv1D(8, 3, padding="causal"),
        lambda k: k.BatchNormalization(),
        lambda k: k.MaxPooling1D(),
        lambda k: k.SeparableConv1D(4, 3),
        lambda k: k.LayerNormalization(),
        lambda k: k.GlobalMaxPooling1D(),
    ),
    "images": sequential(
        lambda k: k.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
        lambda k: k.BatchNormalization(scale=False),
        lambda k: k.Conv2D(6, (1, 3)),
        lambda k: k.Flatten(),
        shape=(16, 16, 3),
    ),
    "words": sequential(
        lambda k: k.Embedding(50, 4), lambda k: k.LSTM(3), lambda k: k.Dense(2), shape=(10,)
    ),
    "several inputs, and a model in it": functional,
}


@pytest.mark.parametrize("version", ["keras", "tf_keras"])
@pytest.mark.parametrize("name", BOTH)
def test_layers_are_told_as_keras_tells_them(name: str, version: str) -> None:
    model = BOTH[name](importlib.import_module(version))
    told = layers(model.to_json())
    found = [
        (one.name, one.class_name, one.output_shape, one.parameters, one.depth) for one in told
    ]
    by_keras = flat(model)
    if version == "tf_keras" and hasattr(model.layers[0], "units"):
        # Keras 2 hides a Sequential's input layer, and stores it.
        found = [one for one in found if one[1] != "InputLayer"]
    assert [one[:2] + one[3:] for one in found if one[1] != "InputLayer"] == [
        one[:2] + one[3:] for one in by_keras if one[1] != "InputLayer"
    ]
    shapes = {one[0]: one[2] for one in by_keras}
    assert all(one[2] == shapes[one[0]] for one in found if one[0] in shapes)
    assert sum(one.parameters or 0 for one in told if not one.depth) == model.count_params()


def test_an_attention_s_weights_are_told_and_its_shape_is_not() -> None:
    import keras

    model = attentive(keras)
    told = {one.class_name: one for one in layers(model.to_json())}
    (attention,) = [one for one in model.layers if isinstance(one, keras.layers.MultiHeadAttention)]
    assert told["MultiHeadAttention"].parameters == attention.count_params()
    assert told["MultiHeadAttention"].output_shape is None


def nested(depth: int) -> str:
    config: Any = {"class_name": "Dense", "config": {"name": "d", "units": 1}}
    for _ in range(depth):
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    return json.dumps(config)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ("no JSON", 0),
        ("[]", 0),
        ('{"config": {"layers": 7}}', 0),
        ('{"config": {"layers": [7, null, {}]}}', 1),
        ('{"config": [{"class_name": "Dense", "config": {"name": "a", "output_dim": 3}}]}', 1),
        ('{"config": {"layers": [{"class_name": "Dense", "config": {"units": "x"}}]}}', 1),
        ('{"config": {"layers": [{"class_name": "My>Own", "config": {"name": "own"}}]}}', 1),
        (nested(3), 3),
        (nested(DEEPEST + 5), DEEPEST + 1),
        ("[" * 100_000, 0),
    ],
)  # fmt: skip
def test_a_config_of_another_form_costs_its_layers_and_no_more(config: str, count: int) -> None:
    assert len(layers(config)) == count


# -- optimizers and architectures ------------------------------------------------------------------

ODD: dict[str, dict[str, Any]] = {
    "Adam": {
        "learning_rate": 3e-4,
        "beta_1": 0.8,
        "beta_2": 0.99,
        "epsilon": 1e-6,
        "amsgrad": True,
    },
    "AdamW": {"learning_rate": 0.002, "weight_decay": 0.03, "beta_1": 0.85},
    "Nadam": {"learning_rate": 0.004, "beta_2": 0.995},
    "Adamax": {"learning_rate": 0.005},
    "SGD": {"learning_rate": 0.05, "momentum": 0.7, "nesterov": True, "clipnorm": 0.5},
    "RMSprop": {"learning_rate": 0.006, "rho": 0.8, "centered": True},
    "Adagrad": {"learning_rate": 0.007, "initial_accumulator_value": 0.2},
    "Ftrl": {"learning_rate": 0.008, "l1_regularization_strength": 0.01},
}
ADAMS = ("Adam", "AdamW", "Nadam", "Adamax")
CALLED = ("name", "jit_compile", "is_legacy_optimizer")
"""What names or compiles an optimizer, and says nothing of its training."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A root with one model for each optimizer, registered; and what Keras says of each."""
    import keras

    root = tmp_path_factory.mktemp("trained")
    told = {}
    for name, settings in ODD.items():
        model = BOTH["LSTM"](keras)
        model.compile(getattr(keras.optimizers, name)(**settings), "mse")
        path = root / f"1h/BTC/LSTM/{name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
        told[name] = (model.optimizer.get_config(), model.to_json())
    model.save(root / "1h/BTC/LSTM/whole.keras")
    told["whole"] = told["Ftrl"]
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    return root, told


def same(found: Any, told: Any) -> bool:
    return found == told or (isinstance(told, float) and math.isclose(found, float32(told)))


@pytest.mark.parametrize("name", ADAMS)
def test_adam_opt_equals_what_keras_says(trained: tuple[Path, dict[str, Any]], name: str) -> None:
    root, told = trained
    query = "SELECT adam_opt.* FROM model JOIN adam_opt USING (optimizer_id) WHERE model_name = ?"
    (found,) = rows(root, query, name)
    config = told[name][0]
    for column, key in (
        ("learning_rate", "learning_rate"), ("decay", "weight_decay"), ("b1", "beta_1"),
        ("b2", "beta_2"), ("epsilon", "epsilon"), ("amsgrad", "amsgrad"),
    ):  # fmt: skip
        assert same(found[column], config.get(key)), column


@pytest.mark.parametrize("name", ODD)
def test_an_optimizer_s_settings_are_those_that_keras_says(
    trained: tuple[Path, dict[str, Any]], name: str
) -> None:
    root, told = trained
    query = "SELECT optimizer.* FROM model JOIN optimizer USING (optimizer_id) WHERE model_name = ?"
    (found,) = rows(root, query, name)
    config = {
        key: value
        for key, value in told[name][0].items()
        if value is not None and key not in CALLED
    }
    stored = json.loads(found["config"])
    assert found["optimizer_type"] == name
    assert stored.keys() == config.keys()
    assert all(same(stored[key], value) for key, value in config.items())
    assert same(found["learning_rate"], ODD[name]["learning_rate"])


@pytest.mark.parametrize("name", ["Adam", "whole"])
def test_an_architecture_rebuilds_the_model(
    trained: tuple[Path, dict[str, Any]], name: str
) -> None:
    """Of an ``.h5`` and of a ``.keras`` file, which store two dialects."""
    import keras

    root, told = trained
    query = "SELECT * FROM model JOIN architecture USING (architecture_id) WHERE model_name = ?"
    (found,) = rows(root, query, name)
    rebuilt = keras.Sequential.from_config(json.loads(found["config"])["config"])
    assert json.loads(rebuilt.to_json())["config"] == json.loads(told[name][1])["config"]


# -- the card --------------------------------------------------------------------------------------


def shown(root: Path, name: str) -> dict[str, Any]:
    return dict(call("--root", str(root), "--json", "show", name).json())


def test_weights_show_which_architectures_fit_and_how_sure_that_is(
    root: Path, saved: Saved
) -> None:
    for number in range(2):
        saved.write_h5(root / f"1h/BTC/LSTM/{number}.h5", number)
    (root / "1h/BTC/LSTM/own.weights.h5").write_bytes(saved.weights[2])
    saved.write_checkpoint(root / "1h/BTC/LSTM/ckpt-1", 3)
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
    (fit,) = shown(root, "1h/BTC/LSTM/own.weights.h5")["fits"]
    assert (fit["class_name"], fit["models"]) == ("Sequential", 2)
    assert fit["agrees"] == ["parameters", "variables"]
    (fit,) = shown(root, "1h/BTC/LSTM/ckpt-1")["fits"]
    assert fit["agrees"] == ["parameters"]
    assert shown(root, "1h/BTC/LSTM/0.h5")["fits"] == []
    said = call("--root", str(root), "show", "1h/BTC/LSTM/own.weights.h5").out
    assert "as many parameters and variables; shapes of variables are not compared" in " ".join(
        said.split()
    )


SHAPE = [None, 60, 8]
CONFIG = json.dumps(
    {
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": [
                {
                    "class_name": "InputLayer",
                    "config": {"name": "in", "batch_shape": [None, 60, 8]},
                },
                {"class_name": "My>Gate", "config": {"name": "gate"}},
                {"class_name": "Dense", "config": {"name": "out", "units": 1}},
            ],
        },
    }
)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A registry with one model of which everything is known."""
    file = make(tmp_path / "registry.db")
    write(file, "INSERT INTO optimizer VALUES (1, 'Adam', 0.001, ?, 'x')",
          '{"beta_1":0.9,"learning_rate":0.001}')  # fmt: skip
    write(file, "INSERT INTO architecture VALUES (1, ?, 'h', 'l')", CONFIG)
    model_id = add(
        file, "1h/BTC/LSTM/a.h5", optimizer_id=1, optimizer_type="Adam", architecture_id=1,
        class_name="Sequential", keras_version="3.15.1", backend="tensorflow",
        input_shape="[null,60,8]", output_shape="[null,1]", parameters=5281, variables=9,
        dtype="float32", pinned=1, resume=1, note="the \x1b[31mold\n one", step=12000,
        custom_objects='["Gate"]', metrics='["mae"]', size_bytes=34_000,
        tags={"stage": "live", "best": None}, results={"sharpe": 1.31}, stale={"sharpe": 2.5},
    )  # fmt: skip
    write(file, "INSERT INTO alias VALUES ('champion', ?)", model_id)
    write(file, "INSERT INTO model_file VALUES (?, 'h5', '1h/BTC/LSTM/a.h5', 34000, 0, 0, 1, 1)",
          model_id)  # fmt: skip
    add(file, "1h/BTC/ensemble_average/a.h5", copy_of=model_id)
    return file


def card_of(file: Path, monkeypatch: pytest.MonkeyPatch, width: int = 100) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    done = call("--root", "/nowhere", "--registry", url_of(file), "show", "1")
    assert done.status == 0
    return done.out


def test_a_card_tells_everything_that_is_known(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [" ".join(line.split()) for line in card_of(card, monkeypatch).splitlines()]
    for line in (
        "1h/BTC/LSTM/a.h5 present model 1",
        "file /srv/models/1h/BTC/LSTM/a.h5",
        "size 34 kB in 1 file",
        "pinned no rule removes it",
        "alias champion",
        "tags best, stage=live",
        r"note the \x1b[31mold\n one",
        "resume a state file names it: a trainer resumes from it",
        "placement 1h / BTC / LSTM",
        "step 12,000",
        "copies 1h/BTC/ensemble_average/a.h5",
        "format h5 Sequential",
        "keras 3.15.1 on tensorflow",
        "shapes [–,60,8] → [–,1]",
        "weights 5,281 parameters, 9 variables, float32",
        "custom objects Gate",
        "optimizer Adam: learning_rate 0.001, beta_1 0.9",
        "sharpe 1.31 2026-01-01 record",
        "sharpe 2.5 2026-01-01 record of earlier content: it counts no more",
        "h5 1h/BTC/LSTM/a.h5 34 kB 1970-01-01",
        "in InputLayer [–, 60, 8] 0",
        "gate Gate ? ?",
        "0 parameters, and what the config does not tell",
    ):
        assert line in said, line


LAST = {
    "show 1": "what the config does not tell",
    "list": "2020-11-01",
    "list --sort -sharpe": "2020-11-01",
    "list --by ticker": "100 B",
}
"""Command -> what stands at the end of a line, and would be cut from one that is too long."""


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", LAST)
def test_what_is_told_fits_the_terminal(
    card: Path, monkeypatch: pytest.MonkeyPatch, words: str, width: int
) -> None:
    add(card, f"1h/한국/{'long' * 20}.h5", results={"sharpe": -0.5}, modified_at="2020-11-01")
    monkeypatch.setenv("COLUMNS", str(width))
    done = call("--root", "/nowhere", "--registry", url_of(card), *words.split())
    assert max(map(cell_len, done.out.splitlines())) <= width
    assert LAST[words] in done.out


def test_a_long_name_leaves_room_for_what_stands_beside_it(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = add(card, "1h/BTC/LSTM/b.h5", results={"sharpe_" * 30: 1.25})
    monkeypatch.setenv("COLUMNS", "60")
    assert "1.25" in call("--root", "/nowhere", "--registry", url_of(card), "show", str(one)).out
    console = Console(width=60)
    table = new_table("layer", "class", "output", "parameters")
    table.add_row("bidirectional_" * 5, "Bidirectional", "[–, 60, 128]", "5,281")
    with console.capture() as captured:
        console.print(table)
    assert "Bidirectional  [–, 60, 128]  5,281" in captured.get()


def test_a_config_that_cannot_be_read_costs_the_layers_alone(
    card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(card, "UPDATE architecture SET config = 'damaged'")
    said = card_of(card, monkeypatch)
    assert "layers" not in said
    assert "5,281 parameters" in said


NOW = 1_790_000_000 * 10**9
"""2026-09-21T14:13:20Z."""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s ago"), (59, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
        (3600, "1 h ago"), (86_399, "23 h ago"), (86_400, "1 d ago"), (30 * 86_400, "2026-08-22"),
        (-90, "in 1 min"), (-3600, "in 1 h"), (-5400, "in 1 h 30 min"),
        (-3 * 86_400 + 60, "in 2 d 23 h"), (-86_400 - 60, "in 1 d"), (-40 * 86_400, "2026-10-31"),
    ],
)  # fmt: skip
def test_a_time_is_told_as_people_do(seconds: int, said: str) -> None:
    assert ago_ns(NOW - seconds * 10**9, NOW) == said


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_a_time_that_no_file_should_have_is_its_date(at: str) -> None:
    assert ago(at, NOW) == at[:10]


@pytest.mark.parametrize("ns", [-(2**63), 2**63 - 1])
def test_a_file_s_time_may_be_any_number(ns: int) -> None:
    assert ago_ns(ns, NOW)


# -- tables ----------------------------------------------------------------------------------------


def fitted(width: int, *rows: dict[str, str]) -> list[str]:
    """The lines of a table with a column for each key; a path and a why wrap."""
    columns = [Column(name, lambda row, name=name: Text(row[name])) for name in rows[0]]  # type: ignore[misc]  # a default binds the name
    console = Console(width=width)
    with console.capture() as captured:
        console.print(Fitting(columns, rows))
    return captured.get().splitlines()


def test_a_column_that_says_nothing_of_any_row_is_left_out() -> None:
    rows = ({"id": "1", "step": "", "note": ""}, {"id": "2", "step": "", "note": "x"})
    titles, _, *lines = fitted(80, *rows)
    assert titles.split() == ["id", "note"]
    assert lines == ["1", "2   x"]


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [
        ("why", "the newest of its family", ["the newest of", "its family"]),
        ("why", "max_to_keep 2 of 5", ["max_to_keep 2", "of 5"]),
        ("why", "unbelievablylongword", ["unbelievablylon", "gword"]),
        ("path", "1h/BTCUSDT/LSTM/epoch-0001.h5", ["1h/BTCUSDT/LSTM/", "epoch-0001.h5"]),
        ("path", "a.h5 → 4h/ETHUSDT/GRU/a.h5", ["a.h5 →", "4h/ETHUSDT/GRU/a.h5"]),
        ("path", "1h/학습학습학습학습/모델.h5", ["1h/학습학습학습학습/", "모델.h5"]),
    ],
)
def test_what_is_too_long_wraps_at_words_and_at_folders_of_paths(
    column: str, text: str, said: list[str]
) -> None:
    width = {"why": 15, "path": 24}[column]
    _, _, *lines = fitted(width, {column: text})
    assert lines == said


def test_a_line_of_a_table_ends_with_its_last_word() -> None:
    rows = ({"id": "1", "path": "a/b.h5", "why": "of late"}, {"id": "22", "path": "c", "why": ""})
    assert all(line == line.rstrip() for line in fitted(40, *rows))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_tables_of_a_card_have_no_padding_at_their_ends(
    card: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    said = card_of(card, monkeypatch, width).removesuffix("\n").split("\n")
    assert [line for line in said if line != line.rstrip()] == []
