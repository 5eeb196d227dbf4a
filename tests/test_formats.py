"""`.keras` files, V1 checkpoints, SavedModels: made by Keras and TensorFlow, whole and broken."""

import io
import json
import os
import shutil
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import keras_files as made
from tests.conftest import on_disk, rows
from tests.inline import reconcile, reconciler_of
from watcherd import scan
from watcherd.listing import open_folder
from watcherd.naming import Naming
from watcherd.plan import Format, Outcome, Reading, Verb
from watcherd.readers import keras_zip, read
from watcherd.scope import ROOT, folders

PLACE = "1h/BTC/LSTM"
v1 = tf.compat.v1


def readings_of(root: Path) -> dict[str, Reading]:
    """Path -> reading of all that a scan of the root finds."""
    root_fd = os.open(root, os.O_RDONLY)
    try:
        with open_folder(root_fd, "") as folder_fd:
            artifacts = scan.scan(folder_fd, ROOT, Naming()).artifacts
    finally:
        os.close(root_fd)
    return {path: read(str(root), artifact) for path, artifact in artifacts.items()}


def only_reading(root: Path) -> Reading:
    (reading,) = readings_of(root).values()
    return reading


# -- what is saved ---------------------------------------------------------------------------------


def named(build: Callable[[], Any]) -> Any:
    """A model that has the same names whenever it is built."""
    keras.backend.clear_session()
    return build()


def save_keras(path: Path, build: Callable[[], Any] = made.lstm, optimizer: Any = "adam") -> Any:
    model = made.trained(named(build), optimizer)
    model.save(path)
    return model


def save_v1(prefix: Path, *, sharded: bool = False, meta: bool = True) -> None:
    """Variables with Adam's slots, trained for seven steps, as TensorFlow saved them at first."""
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("dense/kernel", (6, 4))
        bias = v1.get_variable("dense/bias", (4,), tf.float64)
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(kernel) + tf.cast(tf.reduce_sum(bias), tf.float32)
        v1.train.AdamOptimizer().minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        session.run(step.assign(made.STEPS))
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1, sharded=sharded)
        saver.save(session, str(prefix), write_meta_graph=meta)


class Forecast(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A model that is none of Keras'."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.ones((5, 3)))
        self.bias = tf.Variable(tf.zeros((3,)))

    @tf.function(input_signature=[tf.TensorSpec((None, 5))])  # type: ignore[untyped-decorator]  # TensorFlow is untyped
    def __call__(self, inputs: Any) -> Any:
        return inputs @ self.kernel + self.bias


def save_module(folder: Path) -> None:
    tf.saved_model.save(Forecast(), str(folder))


def save_builder(folder: Path) -> None:
    """As TensorFlow 1 did, and TensorFlow Serving's examples still do."""
    with tf.Graph().as_default(), v1.Session() as session, warnings.catch_warnings():
        v1.get_variable("kernel", (5, 3))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [v1.saved_model.tag_constants.SERVING])
        builder.save()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each, to be copied."""
    folder = tmp_path_factory.mktemp("samples")
    save_keras(folder / "lstm.keras")
    for name in ("single", "sharded"):
        (folder / name).mkdir()
        save_v1(folder / name / "export", sharded=name == "sharded")
    save_module(folder / "module")
    return folder


@pytest.fixture
def place(root: Path) -> Path:
    folder = root / PLACE
    folder.mkdir(parents=True)
    return folder


# -- .keras ----------------------------------------------------------------------------------------

MODELS: dict[str, Callable[[], Any]] = {
    "dense": made.dense,
    "lstm": made.lstm,
    "gru": made.gru,
    "convolution": made.convolution,
    "two inputs": made.two_inputs,
    "many layers": made.many_layers,
    "float16": made.under_policy("float16"),
    "mixed": made.under_policy("mixed_float16"),
}


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_a_keras_file_tells_what_keras_knows(root: Path, build: Callable[[], Any]) -> None:
    model = save_keras(root / "a.keras", build)
    reading = only_reading(root)
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.KERAS)
    assert told.keras_version == keras.__version__
    assert told.class_name == type(model).__name__
    assert told.depth == len(model.get_config()["layers"])
    assert told.parameters == sum(
        int(np.prod(each.shape)) for each in model.weights if "seed" not in each.path
    )
    assert told.variables == len([each for each in model.weights if "seed" not in each.path])
    assert told.step == made.STEPS
    assert told.loss == "mse"
    assert told.optimizer
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.001)


def test_a_keras_file_and_a_whole_h5_tell_the_same(root: Path) -> None:
    model = save_keras(root / "a.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(root / "a.h5")
    zipped, h5 = (readings_of(root)[name].description for name in ("a.keras", "a.h5"))
    for field in ("class_name", "depth", "input_shape", "output_shape", "parameters", "step"):
        assert getattr(zipped, field) == getattr(h5, field), field
    assert zipped.optimizer == h5.optimizer


def test_a_subclassed_model_is_described_by_its_weights(root: Path) -> None:
    model = made.trained(made.subclassed())
    model.save(root / "a.keras")
    told = only_reading(root).description
    assert (told.class_name, told.depth) == ("Subclassed", None)
    assert told.parameters == model.count_params()
    assert told.custom_objects
    assert "Subclassed" in json.loads(told.custom_objects)


def test_the_shape_behind_people_s_own_layers_is_known(root: Path) -> None:
    """Keras 3 stores here what it built each layer with, and in no HDF5 file."""
    save_keras(root / "a.keras", made.with_custom_layers)
    assert only_reading(root).description.output_shape == "[null,1]"


def test_a_schedule_stands_in_the_config_of_a_keras_file(root: Path) -> None:
    steps = keras.optimizers.schedules.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    save_keras(root / "a.keras", optimizer=keras.optimizers.SGD(steps))
    told = only_reading(root).description.optimizer
    assert told
    assert (told.optimizer_type, told.learning_rate) == ("SGD", None)
    assert json.loads(told.config)["learning_rate"]["config"]["values"] == [0.1, 0.01, 0.001]


@keras.saving.register_keras_serializable("Forecast")
class Halving(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # untyped
    def __call__(self, step: Any) -> Any:
        return 0.5**step

    def get_config(self) -> dict[str, Any]:
        return {}


@keras.saving.register_keras_serializable("Forecast")
class Hits(keras.metrics.MeanMetricWrapper):  # type: ignore[misc]  # untyped
    def __init__(self, name: str = "hits", **options: Any) -> None:
        super().__init__(direction, name=name, **options)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def direction(truth: Any, forecast: Any) -> Any:
    return keras.ops.mean(keras.ops.sign(truth) != keras.ops.sign(forecast))


def test_of_what_a_model_was_compiled_with_its_makers_own_is_a_custom_object(root: Path) -> None:
    model = made.dense()
    metrics = [Hits(), "mae", keras.metrics.RootMeanSquaredError()]
    made.trained(model, keras.optimizers.SGD(Halving()), loss=direction, metrics=metrics)
    model.save(root / "own.keras")
    made.trained(model, loss=keras.losses.mean_squared_error, metrics=[keras.losses.Huber()])
    model.save(root / "keras's.keras")
    told = {path: one.description.custom_objects for path, one in readings_of(root).items()}
    assert told == {"own.keras": '["Halving","Hits","direction"]', "keras's.keras": "[]"}


def test_two_saves_of_one_architecture_share_it(root: Path) -> None:
    for number in range(2):
        keras.utils.set_random_seed(number)
        save_keras(root / f"{number}.keras", optimizer=("adam", "sgd")[number])
    one, two = readings_of(root).values()
    assert one.description.architecture == two.description.architecture
    assert one.fingerprint != two.fingerprint


def test_keras_can_load_the_architecture(root: Path) -> None:
    model = save_keras(root / "a.keras", made.two_inputs)
    config = json.loads(only_reading(root).description.architecture or "")
    assert keras.saving.deserialize_keras_object(config).count_params() == model.count_params()


def test_a_keras_file_of_keras_2(root: Path) -> None:
    import tf_keras

    layers = [tf_keras.layers.LSTM(3, input_shape=(24, 5)), tf_keras.layers.Dense(1)]
    model = tf_keras.Sequential(layers)
    model.compile("adam", "mse")
    model.save(root / "a.keras")
    reading = only_reading(root)
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.KERAS)
    assert told.keras_version == tf_keras.__version__
    assert (told.parameters, told.input_shape) == (model.count_params(), "[null,24,5]")
    assert told.optimizer
    assert told.optimizer.optimizer_type == "Adam"


def repacked(source: Path, target: Path, **content: bytes | None) -> None:
    """The archive with every member compressed, and some replaced or, as None, left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = content.get(name.partition(".")[0], old.read(name))
            if data is not None:
                new.writestr(name, data)


def test_an_archive_that_someone_compressed_tells_the_same(samples: Path, root: Path) -> None:
    shutil.copy(samples / "lstm.keras", root / "a.keras")
    repacked(samples / "lstm.keras", root / "b.keras")
    one, two = readings_of(root).values()
    assert one.description == two.description
    assert one.fingerprint != two.fingerprint


def test_large_compressed_weights_leave_the_sizes_unknown(
    samples: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras_zip, "UNPACKED_LIMIT", 10_000)
    repacked(samples / "lstm.keras", root / "a.keras")
    reading = only_reading(root)
    assert reading.outcome is Outcome.COMPLETE
    assert (reading.description.parameters, reading.description.depth) == (None, 4)


def test_hdf5_under_the_name_is_told_by_its_content(root: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.dense().save(root / "whole.h5")
    made.dense().save_weights(root / "a.weights.h5")
    (root / "whole.h5").rename(root / "whole.keras")
    (root / "a.weights.h5").rename(root / "weights.keras")
    found = {path: reading.format for path, reading in readings_of(root).items()}
    assert found == {"whole.keras": Format.H5, "weights.keras": Format.WEIGHTS_H5}


@pytest.mark.parametrize("share", [0, 0.00001, 0.0001, 0.1, 0.5, 0.9, 0.999, 0.99999])
def test_a_keras_file_that_breaks_off_is_incomplete(
    samples: Path, root: Path, share: float
) -> None:
    content = (samples / "lstm.keras").read_bytes()
    (root / "a.keras").write_bytes(content[: int(len(content) * share)])
    reading = only_reading(root)
    assert reading.outcome is Outcome.INCOMPLETE
    assert reading.reason


@pytest.mark.parametrize(
    ("member", "outcome", "why"),
    [
        ("model", Outcome.INCOMPLETE, "model.weights.h5"),
        ("config", Outcome.INCOMPLETE, "config.json"),
        ("metadata", Outcome.INCOMPLETE, "metadata.json"),
    ],
)
def test_an_archive_without_one_of_its_members(
    samples: Path, root: Path, member: str, outcome: Outcome, why: str
) -> None:
    repacked(samples / "lstm.keras", root / "a.keras", **{member: None})
    reading = only_reading(root)
    assert reading.outcome is outcome
    assert why in str(reading.reason)


def _zip_of(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return content.getvalue()


NOT_KERAS = {
    "another zip": (_zip_of(a__txt=b"x"), "no Keras model"),
    "an empty zip": (_zip_of(), "damaged"),
    "a git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "text": (b"not a model at all", "text"),
    "a config that is no JSON": (
        _zip_of(config__json=b"{", metadata__json=b"{}", model__weights__h5=b""),
        "config.json is no JSON",
    ),
    "a config without end": (
        _zip_of(
            config__json=b"[" * 100_000 + b"]" * 100_000,
            metadata__json=b"{}",
            model__weights__h5=b"",
        ),
        "no end",
    ),
    "weights that are none": (
        _zip_of(config__json=b"{}", metadata__json=b"{}", model__weights__h5=b"pickle?"),
        "model.weights.h5",
    ),
}


@pytest.mark.parametrize(("content", "why"), NOT_KERAS.values(), ids=NOT_KERAS)
def test_what_is_no_keras_model_is_unreadable(root: Path, content: bytes, why: str) -> None:
    (root / "a.keras").write_bytes(content)
    reading = only_reading(root)
    assert reading.outcome is Outcome.UNREADABLE, reading.reason
    assert why in str(reading.reason)


@pytest.mark.parametrize("lies", [False, True], ids=["as large as it says", "larger than it says"])
def test_a_zip_bomb_costs_little(samples: Path, root: Path, lies: bool) -> None:
    bomb = root / "a.keras"
    repacked(samples / "lstm.keras", bomb, config=b" " * (200 << 20))
    if lies:
        content = bytearray(bomb.read_bytes())
        for at in _directory_entries(content, b"config.json"):
            struct.pack_into("<I", content, at + 24, 1000)
        bomb.write_bytes(content)
    tracemalloc.start()
    try:
        reading = only_reading(root)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reading.outcome is Outcome.UNREADABLE
    assert peak < 20 << 20


def _directory_entries(content: bytearray, name: bytes) -> list[int]:
    """Where an archive's directory (APPNOTE 4.3.12) has a member."""
    found, at = [], content.find(b"PK\x01\x02")
    while at >= 0:
        if content[at + 46 :].startswith(name):
            found.append(at)
        at = content.find(b"PK\x01\x02", at + 4)
    return found


def test_a_directory_without_end_is_not_read(root: Path) -> None:
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 9, 9, 5 << 20, 4, 0)
    (root / "a.keras").write_bytes(b"PK\x03\x04" + b"\0" * (6 << 20) + end)
    reading = only_reading(root)
    assert reading.outcome is Outcome.UNREADABLE
    assert "directory" in str(reading.reason)


# -- V1 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["single", "sharded"])
def test_a_v1_checkpoint_tells_what_tensorflow_reads(samples: Path, kind: str) -> None:
    found = readings_of(samples / kind)
    assert list(found) == ["export"]
    reading, told = found["export"], found["export"].description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.CHECKPOINT_V1)
    pattern = "export" if kind == "single" else "export-?????-of-00001"
    shapes = tf.train.load_checkpoint(str(samples / kind / pattern)).get_variable_to_shape_map()
    assert told.variables == len(shapes)
    assert told.parameters == 6 * 4 + 4
    assert told.step == made.STEPS
    assert told.optimizer
    assert told.optimizer.optimizer_type == "Adam"


def test_a_v1_checkpoint_in_several_shards(place: Path, root: Path) -> None:
    _save_v1_in_shards(place / "model-70")
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.CHECKPOINT_V1)
    assert (reading.description.parameters, reading.description.variables) == (3 * 24, 3)
    (place / "model-70-00001-of-00003").unlink()
    broken = only_reading(root)
    assert broken.outcome is Outcome.INCOMPLETE
    assert "1 of 3 shards missing" in str(broken.reason)
    assert broken.fingerprint != reading.fingerprint


def _save_v1_in_shards(prefix: Path) -> None:
    """One shard for each processor that holds variables."""
    settings = v1.ConfigProto(device_count={"CPU": 3})
    with tf.Graph().as_default(), v1.Session(config=settings) as session:
        shards = []
        for number in range(3):
            variable = v1.get_variable(f"layer_{number}/kernel", (6, 4))
            session.run(variable.initializer)
            shards.append(session.run(variable))
    # Saver shards by task; its own operation writes one shard at a time.
    for number, value in enumerate(shards):
        name = f"{prefix}-{number:05d}-of-00003"
        tf.raw_ops.Save(
            filename=name, tensor_names=[f"layer_{number}/kernel"], data=[tf.constant(value)]
        )
    prefix.with_name(prefix.name + ".meta").write_bytes(b"")


def test_a_large_variable_leaves_a_v1_checkpoints_state_known(root: Path) -> None:
    tf.raw_ops.Save(
        filename=str(root / "big"),
        tensor_names=["a", "b"],
        data=[tf.zeros((2_000_000,)), tf.zeros((3,))],
    )
    (root / "big.meta").write_bytes(b"")
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.CHECKPOINT_V1)


def test_a_v1_checkpoint_that_breaks_off_is_incomplete(samples: Path, root: Path) -> None:
    content = (samples / "single" / "export").read_bytes()
    (root / "export.meta").write_bytes(b"")
    for size in (0, 20, len(content) // 2, len(content) - 1):
        (root / "export").write_bytes(content[:size])
        reading = only_reading(root)
        assert reading.outcome is Outcome.INCOMPLETE, size
        assert reading.format is Format.CHECKPOINT_V1


def test_another_file_beside_a_graph_is_unreadable(root: Path) -> None:
    (root / "train").write_bytes(b"a,b,c\n1,2,3\n" * 10)
    (root / "train.meta").write_bytes(b"")
    reading = only_reading(root)
    assert reading.outcome is Outcome.UNREADABLE
    assert "a,b,c" in str(reading.reason)


# -- SavedModels -----------------------------------------------------------------------------------


def test_a_saved_model_is_one_row_its_folder(place: Path, root: Path) -> None:
    save_module(place / "export" / "1")
    with reconciler_of(root) as reconciler:
        (change,) = reconcile(reconciler).changes
        assert (change.verb, change.path) == (Verb.REGISTERED, f"{PLACE}/export/1")
        assert not reconcile(reconciler).plan.changes
    (row,) = rows(root)
    files = [path for path in (place / "export").rglob("*") if path.is_file()]
    assert (row["format"], row["state"]) == ("saved_model", "present")
    assert row["model_name"] == "export/1"
    assert (row["files"], row["size_bytes"]) == (
        len(files),
        sum(file.stat().st_size for file in files),
    )
    assert (row["parameters"], row["variables"]) == (18, 3)  # the object graph is one, too


def test_a_saved_model_of_tensorflow_1(root: Path) -> None:
    save_builder(root / "export")
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.SAVED_MODEL)
    assert (reading.description.parameters, reading.description.variables) == (15, 1)


@pytest.mark.parametrize("build", [made.dense, made.lstm, made.gru])  # with no seed, one, several
def test_a_saved_model_that_keras_3_exports(root: Path, build: Callable[[], Any]) -> None:
    model = named(build)
    model.export(root / "export", verbose=False)
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.SAVED_MODEL)
    assert reading.description.parameters == model.count_params()


def test_a_saved_model_of_keras_2_tells_its_layers(root: Path) -> None:
    import tf_keras

    layers = [tf_keras.layers.LSTM(3, input_shape=(24, 5)), tf_keras.layers.Dense(1)]
    model = tf_keras.Sequential(layers)
    model.compile(tf_keras.optimizers.Adam(0.01), "mse")
    model.fit(np.zeros((4, 24, 5)), np.zeros((4, 1)), batch_size=2, verbose=0)
    model.save(root / "export", save_format="tf")
    reading = only_reading(root)
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.SAVED_MODEL)
    assert (told.keras_version, told.backend) == (tf_keras.__version__, "tensorflow")
    assert (told.class_name, told.input_shape) == ("Sequential", "[null,24,5]")
    assert told.parameters == model.count_params()
    assert (told.step, told.loss) == (2, "mse")
    assert told.optimizer
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.01)


def test_a_saved_model_without_variables_is_whole(root: Path) -> None:
    with tf.Graph().as_default(), v1.Session() as session:
        inputs = v1.placeholder(tf.float32, (None, 5), "x")
        v1.saved_model.simple_save(session, str(root / "a"), {"x": inputs}, {"y": inputs * 2})
    shutil.rmtree(root / "a" / "variables", ignore_errors=True)
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.SAVED_MODEL)


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _cut(name: str, share: float = 0.5) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, int((folder / name).stat().st_size * share))


def _remove_variables(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


def _begin_variables(folder: Path) -> None:
    (folder / "variables" / "variables_temp").mkdir()


SHARD = "variables/variables.data-00000-of-00001"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no graph": (_remove("saved_model.pb"), "saved_model.pb is missing"),
    "an empty graph": (_cut("saved_model.pb", 0), "empty"),
    "a graph cut in half": (_cut("saved_model.pb"), "truncated"),
    "no index": (_remove("variables/variables.index"), "variables.index is missing"),
    "an index cut in half": (_cut("variables/variables.index"), "variables.index"),
    "no shard": (_remove(SHARD), "shard 1 of 1 is missing"),
    "a shard cut in half": (_cut(SHARD), "too short"),
    "no variables": (_remove_variables, "variables.index is missing"),
    "a save under way": (_begin_variables, "variables_temp is still there"),
}


@pytest.mark.parametrize(("break_", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_saved_model_is_incomplete(
    samples: Path, root: Path, break_: Callable[[Path], None], why: str
) -> None:
    shutil.copytree(samples / "module", root / "a")
    break_(root / "a")
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.INCOMPLETE, Format.SAVED_MODEL)
    assert why in str(reading.reason)


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"\x08\x01", b"\0" * 99, b"text"]
)
def test_a_graph_that_is_none_is_unreadable(samples: Path, root: Path, content: bytes) -> None:
    shutil.copytree(samples / "module", root / "a")
    (root / "a" / "saved_model.pb").write_bytes(content)
    reading = only_reading(root)
    assert (reading.outcome, reading.format) == (Outcome.UNREADABLE, Format.SAVED_MODEL)


def test_a_git_lfs_pointer_in_place_of_a_graph_is_named(root: Path) -> None:
    (root / "export").mkdir()
    (root / "export/saved_model.pb").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "run: git lfs pull" in (only_reading(root).reason or "")


def test_a_fingerprint_holds_graph_and_variables(samples: Path, root: Path) -> None:
    for name in "abc":
        shutil.copytree(samples / "module", root / name)
    with (root / "b" / "saved_model.pb").open("ab") as graph:
        graph.write(b"\x08\x01")  # the schema's version once more, which protobuf allows
    module = Forecast()
    module.bias.assign(tf.ones((3,)))
    tf.saved_model.save(module, str(root / "d"))
    shutil.copy(root / "a" / "saved_model.pb", root / "d" / "saved_model.pb")
    marks = {path: reading.fingerprint for path, reading in readings_of(root).items()}
    assert marks["a"] == marks["c"]
    assert len(set(marks.values())) == 3


# -- all of them, in a registry --------------------------------------------------------------------


def test_each_is_registered_once_and_rewritten_in_place(samples: Path, place: Path) -> None:
    root = place.parents[2]
    shutil.copytree(samples, place, dirs_exist_ok=True)
    with reconciler_of(root) as reconciler:
        assert {change.verb for change in reconcile(reconciler).changes} == {Verb.REGISTERED}
        names = ("lstm.keras", "module", "sharded/export", "single/export")
        assert on_disk(root) == {f"{PLACE}/{name}": "present" for name in names}
        save_keras(place / "lstm.keras")
        shutil.rmtree(place / "single")
        changes = {change.path: change.verb for change in reconcile(reconciler).changes}
        assert changes == {
            f"{PLACE}/lstm.keras": Verb.UPDATED,
            f"{PLACE}/single/export": Verb.MISSING,
        }


def test_a_look_at_its_own_folder_alone_finds_a_saved_model_again(
    samples: Path, place: Path
) -> None:
    root = place.parents[2]
    shutil.copytree(samples / "module", place / "a")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        for folder in ("", "/a", "/a/variables", "/a/assets"):
            cycle = reconcile(reconciler, folders([f"{PLACE}{folder}"]))
            assert not cycle.changes, folder
            assert not cycle.unfinished, folder
    assert on_disk(root) == {f"{PLACE}/a": "present"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("module", "module", "moved"),
        ("single", "single/export", "moved/export"),
        ("lstm.keras", "lstm.keras", "moved"),
    ],
)
def test_a_model_that_moves_keeps_its_row(
    samples: Path, place: Path, name: str, old: str, new: str
) -> None:
    root = place.parents[2]
    copy = shutil.copytree if (samples / name).is_dir() else shutil.copy
    copy(samples / name, place / name)
    new = f"{new}.keras" if name.endswith(".keras") else new
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        (place / name).rename(place / new.partition("/")[0])
        (change,) = reconcile(reconciler).changes
        assert (change.verb, change.path) == (Verb.MOVED, f"{PLACE}/{new}")
        assert change.from_path == f"{PLACE}/{old}"
        target = place / new.partition("/")[0]
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        (change,) = reconcile(reconciler).changes
        assert (change.verb, change.path) == (Verb.MISSING, f"{PLACE}/{new}")


def test_a_saved_model_that_is_saved_again_in_place_is_updated(place: Path) -> None:
    root = place.parents[2]
    save_module(place / "a")
    with reconciler_of(root) as reconciler:
        reconcile(reconciler)
        module = Forecast()
        module.bias.assign(tf.ones((3,)))
        tf.saved_model.save(module, str(place / "a"))
        (change,) = reconcile(reconciler, folders([f"{PLACE}/a"])).changes
    assert (change.verb, change.path) == (Verb.UPDATED, f"{PLACE}/a")


# -- damage ----------------------------------------------------------------------------------------

DAMAGED = {
    "keras": ("lstm.keras", ["lstm.keras"]),
    "checkpoint_v1": ("single", ["single/export"]),
    "saved_model": ("module", ["module/saved_model.pb", "module/variables/variables.index"]),
}


@pytest.mark.parametrize("kind", DAMAGED)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_ends_as_a_state_with_a_reason(
    samples: Path, tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    name, files = DAMAGED[kind]
    root = tmp_path_factory.mktemp("damaged")
    copy = shutil.copytree if (samples / name).is_dir() else shutil.copy
    copy(samples / name, root / name)
    victim = root / data.draw(st.sampled_from(files))
    content = bytearray(victim.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    victim.write_bytes(content)
    for reading in readings_of(root).values():
        assert reading.outcome in (Outcome.COMPLETE, Outcome.INCOMPLETE, Outcome.UNREADABLE)
        assert bool(reading.reason) == (reading.outcome is not Outcome.COMPLETE)
    shutil.rmtree(root)
