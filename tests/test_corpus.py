"""The corpus, laid out below a models root: after one cycle the registry says what its index says.

Files that other people's programs wrote; how INDEX.tsv maps to the registry stands beside it.
"""

import csv
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import rows as registered
from tests.inline import reconcile, reconciler_of
from watcherd.plan import Verb
from watcherd.readers import optimizers
from watcherd.readers.canonical import float32

CORPUS = Path(
    os.environ.get("WATCHERD_CORPUS") or Path(__file__).resolve().parents[2] / "shared" / "corpus"
)
if not (CORPUS / "INDEX.tsv").exists():
    pytest.skip("the corpus is not here; WATCHERD_CORPUS may name it", allow_module_level=True)
PLACE = "1h/X"
"""Where the corpus lies below the root: each repository is a type."""
FORMATS = {
    "h5-model": "h5",
    "h5-weights": "weights_h5",
    "h5-other": "hdf5",
    "ckpt-v2": "checkpoint",
    "ckpt-v1": "checkpoint_v1",
    "keras": "keras",
    "savedmodel": "saved_model",
}
UNREADABLE = ("not-hdf5", "lfs-pointer")
NO_ARTIFACT = ("ckpt-state", "not-tf", "other")
SLOTS = {
    "slots:m|v": "Adam",
    "slots:momentum": "SGD",
    "slots:Adam|Adam_1": "Adam",
    "slots:RMSProp|RMSProp_1": "RMSprop",
    "slots:Ftrl|Ftrl_1": "Ftrl",
}
"""What INDEX saw of a checkpoint's optimizer -> its type."""
Row = dict[str, str]


@dataclass(frozen=True)
class Truth:
    """One artifact by INDEX."""

    path: str
    files: tuple[Row, ...]

    @property
    def told(self) -> Row:
        """The row that describes it: a SavedModel's graph, a checkpoint's index."""
        roles = ("saved_model.pb", "index", "v1-data")
        ranked = [row for role in roles for row in self.files if row["role"] == role]
        return ranked[0] if ranked else self.files[0]

    @property
    def kind(self) -> str:
        return self.told["kind"]

    @property
    def is_checkpoint(self) -> bool:
        return self.kind in ("ckpt-v2", "ckpt-v1", "savedmodel")

    @property
    def state(self) -> str:
        if self.kind in UNREADABLE:
            return "unreadable"
        if self.kind == "savedmodel" and self.told["role"] != "saved_model.pb":
            return "incomplete"  # INDEX judges the variables alone; the graph is not in the corpus
        return "incomplete" if self.told["complete"] == "no" else "present"


def table() -> list[Row]:
    with (CORPUS / "INDEX.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def artifact_of(row: Row) -> str | None:
    """The path of the artifact that a file belongs to; None where it belongs to none."""
    path, kind = row["path"], row["kind"]
    if kind in NO_ARTIFACT or (kind == "orphan" and row["role"] == "meta"):
        return None
    if kind == "savedmodel":
        return re.sub(r"(/variables)?/[^/]+$", "", path)
    if kind in ("ckpt-v2", "ckpt-v1", "orphan"):
        return re.sub(r"(\.index|\.meta|(\.data)?-\d{5}-of-\d{5})$", "", path)
    return path


def truths() -> list[Truth]:
    found: dict[str, list[Row]] = {}
    for row in table():
        if path := artifact_of(row):
            found.setdefault(path, []).append(row)
    return [Truth(path, tuple(files)) for path, files in found.items()]


TRUTHS = truths()
pytestmark = pytest.mark.skipif(not TRUTHS, reason=f"no corpus at {CORPUS}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models root that holds the corpus, after one cycle."""
    root = tmp_path_factory.mktemp("corpus") / "models"
    for row in table():
        target = root / PLACE / row["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CORPUS / row["path"], target)
    with reconciler_of(root) as reconciler:
        first = reconcile(reconciler)
        assert {change.verb for change in first.changes} <= {
            Verb.REGISTERED,
            Verb.INCOMPLETE,
            Verb.UNREADABLE,
        }
        assert not first.unfinished
        assert not first.blind
        again = reconcile(reconciler)
        assert not again.plan.changes, "a second cycle finds nothing"
    return root


@pytest.fixture(scope="module")
def models(root: Path) -> dict[str, dict[str, Any]]:
    query = (
        "SELECT model.*, learning_rate, config FROM model LEFT JOIN optimizer USING (optimizer_id)"
    )
    return {row["path"].removeprefix(f"{PLACE}/"): row for row in registered(root, query)}


@pytest.fixture(params=TRUTHS, ids=[truth.path for truth in TRUTHS])
def truth(request: pytest.FixtureRequest) -> Truth:
    found: Truth = request.param
    return found


@pytest.fixture
def model(truth: Truth, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    assert truth.path in models, f"{truth.kind} without a row"
    return models[truth.path]


def value(text: str) -> Any:
    """A JSON column of INDEX."""
    return json.loads(text) if text else None


def shape(text: str) -> Any:
    """An input shape; SavedModels have marked tuples in their JSON."""
    told = value(text)
    return told["items"] if isinstance(told, dict) else told


def test_nothing_else_has_a_row(models: dict[str, dict[str, Any]]) -> None:
    assert models.keys() == {truth.path for truth in TRUTHS}


def test_rows_and_files_that_are_no_artifacts_are_all_files(root: Path) -> None:
    parts = [row["path"] for row in registered(root, "SELECT path FROM model_file")]
    assert len(parts) == len(set(parts))
    others = {f"{PLACE}/{row['path']}" for row in table() if artifact_of(row) is None}
    on_disk = {str(path.relative_to(root)) for path in (root / "1h").rglob("*") if path.is_file()}
    assert set(parts) | others == on_disk
    assert not set(parts) & others


def test_its_state_and_format(truth: Truth, model: dict[str, Any]) -> None:
    assert model["state"] == truth.state, model["reason"]
    assert bool(model["reason"]) == (truth.state != "present")
    if truth.kind in FORMATS:
        assert model["format"] == FORMATS[truth.kind]


def test_its_files_and_bytes(truth: Truth, model: dict[str, Any]) -> None:
    assert model["files"] == len(truth.files)
    assert model["size_bytes"] == sum(int(row["size"]) for row in truth.files)


def test_what_wrote_it(truth: Truth, model: dict[str, Any]) -> None:
    for column in ("keras_version", "backend", "class_name"):
        assert (model[column] or "") == truth.told[column]


def test_its_layers_and_input_shape(truth: Truth, model: dict[str, Any]) -> None:
    told = truth.told
    assert str(model["depth"] or "") == told["n_layers"]
    assert value(model["input_shape"]) == shape(told["input_shape"])


def test_its_parameters_and_variables(truth: Truth, model: dict[str, Any]) -> None:
    told = truth.told
    if truth.is_checkpoint and told["n_variables"]:
        assert model["variables"] == int(told["n_variables"])
        # INDEX counts an optimizer's state, too
        assert 0 < model["parameters"] <= int(told["n_params"])
    elif told["n_params"]:
        assert (model["parameters"], model["variables"]) == (
            int(told["n_params"]),
            int(told["n_tensors"]),
        )
    else:
        assert model["parameters"] is None


def test_its_step(truth: Truth, model: dict[str, Any]) -> None:
    """Training steps by its own count, unless its name has them."""
    if model["family"] == f"{PLACE}/{truth.path}":
        assert str(model["step"] or "") == truth.told["step"]
    elif truth.is_checkpoint:
        assert str(model["step"]) == truth.told["step"]


def test_its_optimizer(truth: Truth, model: dict[str, Any]) -> None:
    told = truth.told
    kind = SLOTS.get(told["optimizer"], told["optimizer"])
    assert (model["optimizer_type"] or "") == kind
    settings = value(told["opt_hparams"])
    if kind and settings:
        named = {key.rpartition("/")[2]: setting for key, setting in settings.items()}
        wanted = optimizers.of(kind, named)
        assert json.loads(model["config"]) == json.loads(wanted.config)
        assert model["learning_rate"] == wanted.learning_rate
    if kind and value(told["lr"]):
        assert model["learning_rate"] == float32(float(told["lr"]))


def test_its_loss(truth: Truth, model: dict[str, Any]) -> None:
    if truth.told["loss"]:
        assert model["loss"] == value(truth.told["loss"])
