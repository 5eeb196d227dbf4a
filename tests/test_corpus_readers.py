"""Every model file of the corpus, written by other people's programs, against its ground truth."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.keras_files import artifact_at
from watcherd.plan import Format, Outcome, Reading
from watcherd.readers import optimizers, read
from watcherd.readers.canonical import float32, rounded

CORPUS = Path(
    os.environ.get("WATCHERD_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus"
)
if not (CORPUS / "INDEX.tsv").exists():
    pytest.skip("the corpus is not here; WATCHERD_CORPUS may name it", allow_module_level=True)
FORMATS = {
    "h5-model": Format.H5,
    "h5-weights": Format.WEIGHTS_H5,
    "h5-other": Format.HDF5,
    "ckpt-v2": Format.CHECKPOINT,
    "not-hdf5": None,
    "lfs-pointer": None,
}
Row = dict[str, str]


def table() -> list[Row]:
    """The rows of INDEX.tsv that are one artifact each: HDF5 files and checkpoints' indices."""
    with (CORPUS / "INDEX.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        row
        for row in rows
        if row["kind"] in FORMATS and (row["kind"] != "ckpt-v2" or row["role"] == "index")
    ]


ROWS = table()
pytestmark = pytest.mark.skipif(not ROWS, reason=f"no corpus at {CORPUS}")


@pytest.fixture(params=ROWS, ids=[row["path"] for row in ROWS])
def row(request: pytest.FixtureRequest) -> Row:
    found: Row = request.param
    return found


@pytest.fixture
def reading(row: Row) -> Reading:
    path = row["path"].removesuffix(".index") if row["kind"] == "ckpt-v2" else row["path"]
    return read(str(CORPUS), artifact_at(CORPUS, path))


def told_as_json(text: str | None) -> Any:
    return None if not text else json.loads(text)


def test_its_outcome_and_format(row: Row, reading: Reading) -> None:
    wanted = FORMATS[row["kind"]]
    assert reading.format is wanted, reading.reason
    if wanted is None:
        assert reading.outcome is Outcome.UNREADABLE
    else:
        whole = row["complete"] in ("yes", "")  # INDEX judges checkpoints only
        assert reading.outcome is (Outcome.COMPLETE if whole else Outcome.INCOMPLETE)


def test_what_wrote_it(row: Row, reading: Reading) -> None:
    told = reading.description
    assert (told.keras_version or "") == row["keras_version"]
    assert (told.backend or "") == row["backend"]
    assert (told.class_name or "") == row["class_name"]


def test_its_layers_and_shapes(row: Row, reading: Reading) -> None:
    told = reading.description
    assert str(told.depth or "") == row["n_layers"]
    assert told_as_json(told.input_shape) == told_as_json(row["input_shape"])


def test_its_sizes(row: Row, reading: Reading) -> None:
    told = reading.description
    if row["kind"] == "ckpt-v2":
        assert told.variables == int(row["n_variables"])
        assert told.parameters is not None
        assert 0 < told.parameters <= int(row["n_params"])  # INDEX counts an optimizer's, too
    elif row["n_params"]:
        assert (told.parameters, told.variables) == (int(row["n_params"]), int(row["n_tensors"]))
    else:
        assert told.parameters is None


def test_its_dtype(row: Row, reading: Reading) -> None:
    assert (reading.description.dtype or "") == row["dtype"].partition("x")[0]


def test_its_training_steps(row: Row, reading: Reading) -> None:
    assert str(reading.description.step or "") == row["step"]


def test_its_loss(row: Row, reading: Reading) -> None:
    assert reading.description.loss == told_as_json(row["loss"])


SLOTS = {
    "slots:m|v": "Adam",
    "slots:momentum": "SGD",
    "slots:Adam|Adam_1": "Adam",
    "slots:RMSProp|RMSProp_1": "RMSprop",
}
"""What INDEX saw of a checkpoint's optimizer -> its type."""


def test_its_optimizer(row: Row, reading: Reading) -> None:
    told = reading.description.optimizer
    assert (told.optimizer_type if told else "") == SLOTS.get(row["optimizer"], row["optimizer"])
    settings = told_as_json(row["opt_hparams"])
    if told and settings:
        named = {key.rpartition("/")[2]: value for key, value in settings.items()}
        assert told == optimizers.of(told.optimizer_type, named)
        assert json.loads(told.config)["learning_rate"] == told.learning_rate
    if told and row["lr"]:
        assert told.learning_rate == float32(float(row["lr"]))


PARAMETERS = {
    "training_1/cp.ckpt": (157_808 - 5) // 3,  # weights, m and v; five scalars
    "lso_ckpt_tf2.2/ckpt": 2 * 2 + 2,
    "modelmr1.ckpt": (145_953 - 18) // 3,  # nine Adams, two powers of beta each
    "modelr1.ckpt": (132_993 - 18) // 3,
    "acrobot.ckpt": 639 // 3,
    "cartpole.ckpt": 546 // 3,
}
"""Checkpoints with an optimizer's state: how many parameters remain without it."""


@pytest.mark.parametrize("prefix", PARAMETERS)
def test_an_optimizers_state_is_no_parameter(prefix: str) -> None:
    rows = [row for row in ROWS if row["path"].endswith(f"/{prefix}.index")]
    assert rows
    for row in rows:
        reading = read(str(CORPUS), artifact_at(CORPUS, row["path"].removesuffix(".index")))
        assert reading.description.parameters == PARAMETERS[prefix]


def test_equal_content_and_nothing_else_has_equal_fingerprints() -> None:
    marks: dict[str, set[str]] = {}
    for row in ROWS:
        path = row["path"].removesuffix(".index") if row["kind"] == "ckpt-v2" else row["path"]
        mark = read(str(CORPUS), artifact_at(CORPUS, path)).fingerprint
        marks.setdefault(row["sha256"], set()).add(str(mark))
    assert all(len(each) == 1 for each in marks.values())
    assert len(set.union(*marks.values())) == len(marks)


def test_rounding_leaves_the_corpus_numbers_what_they_are_in_float32() -> None:
    rates = [float(row["lr"]) for row in ROWS if row["lr"]]
    assert rates
    assert all(rounded(rate) == pytest.approx(rate, rel=1e-7) for rate in rates)
