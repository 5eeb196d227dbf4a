"""What an HDF5 file tells: held against Keras, which wrote it, and against the C library."""

import gzip
import importlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from keras import layers

from tests import keras_files as made
from tests.keras_files import STEPS, reading_of, trained
from watcherd.artifact import Artifact, Form, Part, Role
from watcherd.plan import Description, Format, Outcome
from watcherd.readers import canonical, read, superblock
from watcherd.readers.fingerprint import SMALL
from watcherd.readers.source import (
    PAGE,
    PIECE_LIMIT,
    Changed,
    Incomplete,
    Unreadable,
    opened,
)

MODELS: dict[str, Callable[[], Any]] = {
    "sequential": made.dense,
    "lstm": made.lstm,
    "bidirectional gru": made.gru,
    "convolution": made.convolution,
    "functional, two inputs, a model within": made.two_inputs,
    "float16": made.under_policy("float16"),
    "bfloat16": made.under_policy("bfloat16"),
    "mixed precision": made.under_policy("mixed_float16"),
    "names split over attributes": made.long_names,
    "more than 500 datasets": made.many_layers,
    "custom layers": made.with_custom_layers,
}


KERAS_CANNOT_RELOAD = {
    "functional, two inputs, a model within",  # operations with constants (Keras 3.15)
    "bfloat16",  # HDF5 gives back opaque bytes
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hdf5")


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    """Each kind of model, compiled and trained for STEPS."""
    return trained(MODELS[request.param]())


@pytest.fixture(scope="module")
def lstm_h5(folder: Path) -> Path:
    trained(made.lstm()).save(folder / "lstm.h5")
    return folder / "lstm.h5"


def described(path: Path) -> Description:
    """What a complete file tells; its reason where it is not complete."""
    reading = reading_of(path.parent, path.name)
    assert reading.outcome is Outcome.COMPLETE, reading.reason
    return reading.description


def shapes(tensors: Any) -> Any:
    """Shapes as the registry has them: a list, or a list of lists for several."""
    return [list(each.shape) for each in tensors] if len(tensors) > 1 else list(tensors[0].shape)


# --- whole models -----------------------------------------------------------------------------


def test_a_whole_model_tells_what_keras_knows_of_it(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.h5")
    reading = reading_of(tmp_path, "model.h5")
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.H5), reading.reason
    assert told.keras_version == keras.__version__
    assert told.backend == "tensorflow"
    assert told.class_name == type(model).__name__
    assert told.depth == len(model.get_config()["layers"])
    assert told.parameters == model.count_params()
    assert told.variables == len(model.weights)
    assert told.dtype == model.weights[0].dtype
    assert told.step == STEPS
    assert json.loads(told.input_shape or "") == shapes(model.inputs)
    assert told.loss == "mse"
    assert json.loads(told.metrics or "") == ["mae"]


def test_output_shapes_are_those_of_keras_or_unknown(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5").output_shape
    custom = isinstance(model.layers[0], made.Registered)
    assert told is None if custom else json.loads(told or "null") == shapes(model.outputs)


def test_a_layer_s_tensor_may_be_given_by_name(tmp_path: Path) -> None:
    one, other = keras.Input((6, 2)), keras.Input((9, 3))
    hidden = keras.layers.Dense(4)(inputs=one)
    keras.layers.Dense(5)(hidden)
    model = keras.Model([one, other], [keras.layers.Dense(7)(inputs=other), hidden])
    model.save(tmp_path / "model.h5")
    assert described(tmp_path / "model.h5").output_shape == "[[null,9,7],[null,6,4]]"


def test_sizes_are_those_that_the_c_library_sees(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    seen = made.tensors_by_h5py(tmp_path / "model.h5", "model_weights")
    assert (told.parameters, told.variables) == (sum(size for size, _ in seen), len(seen))


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind not in KERAS_CANNOT_RELOAD])
def test_keras_builds_the_same_model_from_its_architecture(kind: str, tmp_path: Path) -> None:
    model = trained(MODELS[kind]())
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    made.rewritten(
        tmp_path / "model.h5", tmp_path / "again.h5", {"model_config": told.architecture}
    )
    first, again = (
        keras.models.load_model(
            tmp_path / name, compile=False, custom_objects={"Unregistered": made.Unregistered}
        )
        for name in ("model.h5", "again.h5")
    )
    assert again.get_config() == first.get_config()
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_only_what_keras_cannot_find_by_itself_is_a_custom_object(
    model: Any, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.h5")
    told = json.loads(described(tmp_path / "model.h5").custom_objects or "")
    own = [each for each in model.layers if isinstance(each, made.Registered)]
    assert told == sorted(type(each).__name__ for each in own)


@pytest.mark.parametrize("legacy", [False, True], ids=["2.11 optimizer", "2.10 optimizer"])
def test_a_model_of_keras_2_tells_what_keras_2_knows_of_it(tmp_path: Path, legacy: bool) -> None:
    import tf_keras

    kinds = tf_keras.optimizers.legacy if legacy else tf_keras.optimizers
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.LSTM(4, input_shape=(5, 3)), layers.Dense(1)])
    model.compile(kinds.Adam(1e-3), "mse", metrics=["mae"])
    model.train_on_batch(np.zeros((2, 5, 3)), np.zeros((2, 1)))
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    assert told.keras_version == tf_keras.__version__
    assert (told.class_name, told.depth) == ("Sequential", 3)  # its InputLayer is stored
    assert (told.input_shape, told.output_shape) == ("[null,5,3]", "[null,1]")
    assert told.parameters == model.count_params()
    assert told.step == 1
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.001)
    assert told.metrics == '["mae"]'


def two_inputs_of_keras_2(k: Any) -> Any:
    prices, volume = k.Input((6, 2), name="prices"), k.Input((3,), name="volume")
    inner = k.Sequential([k.layers.LSTM(4, input_shape=(6, 2))], name="inner")
    joined = k.layers.Concatenate()([inner(prices), volume])
    ends = [k.layers.Dense(1, name="up")(joined), k.layers.Dense(2, name="size")(joined)]
    return k.Model([prices, volume], ends)


KINDS_OF_KERAS_2: dict[str, Callable[[Any], Any]] = {
    "bidirectional gru": lambda k: k.Sequential(
        [k.layers.Bidirectional(k.layers.GRU(3), input_shape=(6, 2)), k.layers.Dense(1)]
    ),
    "two inputs and outputs, a model within": two_inputs_of_keras_2,
    "names split over attributes": lambda k: k.Sequential(
        [k.layers.Dense(1, name=f"d{n}_{'x' * 1700}", input_shape=(1,)) for n in range(40)]
    ),
    "float16": lambda k: k.Sequential([k.layers.Dense(2, input_shape=(3,), dtype="float16")]),
}


@pytest.mark.parametrize("kind", KINDS_OF_KERAS_2)
def test_models_of_keras_2_are_told_as_keras_2_and_the_c_library_see_them(
    kind: str, tmp_path: Path
) -> None:
    import tf_keras

    model = KINDS_OF_KERAS_2[kind](tf_keras)
    rate = tf_keras.optimizers.schedules.CosineDecay(0.1, 100)
    model.compile(tf_keras.optimizers.SGD(rate), "mse")
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    assert told.depth == len(model.get_config()["layers"])
    assert told.input_shape == canonical.dump(shapes(model.inputs))
    assert told.output_shape == canonical.dump(shapes(model.outputs))
    stored = made.tensors_by_h5py(tmp_path / "model.h5", "model_weights")
    assert told.parameters == model.count_params() == sum(elements for elements, _ in stored)
    assert (told.variables, {told.dtype}) == (len(stored), {dtype for _, dtype in stored})
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("SGD", None)
    assert json.loads(told.optimizer.config)["learning_rate"]["class_name"] == "CosineDecay"


# --- optimizers -------------------------------------------------------------------------------

OPTIMIZERS = ["Adam", "AdamW", "SGD", "RMSprop", "Nadam", "Adagrad", "Adadelta", "Ftrl", "Lion"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_told_with_its_settings(name: str, tmp_path: Path) -> None:
    optimizer = getattr(keras.optimizers, name)(0.003)
    trained(made.dense(), optimizer).save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5").optimizer
    assert told is not None
    assert (told.optimizer_type, told.learning_rate) == (name, 0.003)
    settings = {key: value for key, value in optimizer.get_config().items() if value is not None}
    del settings["name"]
    assert json.loads(told.config) == canonical.rounded(settings)


def test_a_number_and_its_float32_image_make_one_optimizer(tmp_path: Path) -> None:
    for name, rate in (("plain.h5", 0.001), ("image.h5", float(np.float32(0.001)))):
        trained(made.dense(), keras.optimizers.Adam(rate)).save(tmp_path / name)
    assert described(tmp_path / "plain.h5").optimizer == described(tmp_path / "image.h5").optimizer


def test_a_schedule_stands_in_the_config_and_leaves_the_learning_rate_open(tmp_path: Path) -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.9)
    trained(made.dense(), keras.optimizers.SGD(schedule, momentum=0.9)).save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5").optimizer
    assert told is not None
    assert (told.optimizer_type, told.learning_rate) == ("SGD", None)
    rate = json.loads(told.config)["learning_rate"]
    assert rate["class_name"] == "ExponentialDecay"
    assert rate["config"]["initial_learning_rate"] == 0.1


def test_of_a_loss_scaling_optimizer_the_one_that_learns_is_told(tmp_path: Path) -> None:
    trained(made.under_policy("mixed_float16")()).save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.001)
    assert told.step == STEPS


def test_a_model_that_was_never_compiled_tells_no_optimizer(tmp_path: Path) -> None:
    made.dense().save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    assert (told.optimizer, told.loss, told.metrics, told.step) == (None, None, None, None)


# --- weights ----------------------------------------------------------------------------------


def test_weights_of_the_new_layout_tell_sizes_steps_and_optimizer(
    model: Any, tmp_path: Path
) -> None:
    model.save_weights(tmp_path / "model.weights.h5")
    reading = reading_of(tmp_path, "model.weights.h5")
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.WEIGHTS_H5)
    assert (told.parameters, told.variables) == (model.count_params(), len(model.weights))
    assert told.dtype == model.weights[0].dtype
    assert told.step == STEPS
    assert told.optimizer is not None
    assert (told.optimizer.optimizer_type, told.optimizer.learning_rate) == ("Adam", 0.001)


def test_weights_of_a_subclassed_model_lie_under_its_attributes(tmp_path: Path) -> None:
    model = trained(made.subclassed())
    model.save_weights(tmp_path / "model.weights.h5")
    told = described(tmp_path / "model.weights.h5")
    assert (told.parameters, told.variables) == (model.count_params(), len(model.weights))


def test_of_several_optimizers_none_has_parameters(tmp_path: Path) -> None:
    """As of two nets that train against each other: only one optimizer has the usual name."""
    model = trained(made.subclassed())
    model.adversary = keras.optimizers.SGD(0.1, momentum=0.9)
    model.adversary.build(model.trainable_variables)
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5", locking=False) as file:
        assert "adversary" in file
    told = described(tmp_path / "model.weights.h5")
    assert (told.parameters, told.variables) == (model.count_params(), len(model.weights))


def save_old_weights(model: Any, path: Path) -> None:
    """As Keras 1 and 2 do, by the function that Keras 3 kept for whole models."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


def test_weights_of_the_old_layout_tell_sizes_and_version(model: Any, tmp_path: Path) -> None:
    save_old_weights(model, tmp_path / "weights.h5")
    reading = reading_of(tmp_path, "weights.h5")
    told = reading.description
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.WEIGHTS_H5)
    assert (told.parameters, told.variables) == (model.count_params(), len(model.weights))
    assert (told.keras_version, told.backend) == (keras.__version__, "tensorflow")
    assert (told.class_name, told.architecture, told.step) == (None, None, None)


def test_long_names_are_really_split_over_attributes(tmp_path: Path) -> None:
    save_old_weights(made.long_names(), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5", locking=False) as file:
        assert "layer_names0" in file.attrs
        assert "layer_names" not in file.attrs


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5"])
def test_weights_of_keras_2_leave_out_metrics_and_optimizer(name: str, tmp_path: Path) -> None:
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Dense(3, input_shape=(4,))])
    model.compile("adam", "mse", metrics=["mae"])
    model.train_on_batch(np.zeros((2, 4)), np.zeros((2, 3)))
    model.save_weights(tmp_path / name)
    told = described(tmp_path / name)
    assert (told.parameters, told.variables) == (15, 2)
    assert told.step == (1 if name == "w.weights.h5" else None)


# --- the format is told by content --------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", "model.H5", "no suffix"])
def test_a_whole_model_is_one_under_any_name(name: str, lstm_h5: Path, tmp_path: Path) -> None:
    shutil.copy(lstm_h5, tmp_path / name)
    assert reading_of(tmp_path, name).format is Format.H5


def write_table(file: h5py.File) -> None:
    file["table"] = np.zeros(10)
    file.attrs["PYTABLES_FORMAT_VERSION"] = "2.1"


def write_layers(file: h5py.File) -> None:
    file["layers/sea_floor"] = np.zeros((3, 4))


def write_group_named_vars(file: h5py.File) -> None:
    file.create_group("vars")["temperature"] = np.zeros(9)
    file["grid"] = np.zeros(9)


@pytest.mark.parametrize("write", [write_table, write_layers, write_group_named_vars])
def test_other_hdf5_is_no_keras_model(write: Callable[[h5py.File], None], tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        write(file)
    reading = reading_of(tmp_path, "data.h5")
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.HDF5)
    assert reading.description == Description()


def zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("metadata.json", "{}")
    return held.getvalue()


def saved_by_numpy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    return held.getvalue()


NOT_HDF5 = {
    "a pickle": (pickle.dumps({"scaler": 1}), "pickle"),
    "an old pickle": (pickle.dumps([1.5] * 9, protocol=2), "pickle"),
    "a git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "git lfs",
    ),
    "a zip archive": (zipped(), "zip archive"),
    "a gzip stream": (gzip.compress(b"model"), "gzip"),
    "a NumPy array": (saved_by_numpy(), "NumPy"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "web page"),
    "text": ("größer\n".encode() * 60, "text, not HDF5"),
    "anything": (b"\x7fELF\0\1\2\3" * 9, "7f 45 4c 46"),
}


@pytest.mark.parametrize("kind", NOT_HDF5)
def test_what_is_no_hdf5_is_unreadable_and_named(kind: str, tmp_path: Path) -> None:
    content, word = NOT_HDF5[kind]
    (tmp_path / "model.h5").write_bytes(content)
    reading = reading_of(tmp_path, "model.h5")
    assert reading.outcome is Outcome.UNREADABLE
    assert word in (reading.reason or "")


# --- saves that never finished ------------------------------------------------------------------


def test_every_truncation_is_an_incomplete_save(lstm_h5: Path, tmp_path: Path) -> None:
    whole = lstm_h5.read_bytes()
    places = {*range(100), *range(0, len(whole), 4096), len(whole) // 2, len(whole) - 1}
    for place in sorted(places):
        (tmp_path / "model.h5").write_bytes(whole[:place])
        reading = reading_of(tmp_path, "model.h5")
        assert reading.outcome is Outcome.INCOMPLETE, (place, reading.reason)
        assert reading.reason, place


def test_a_reason_names_both_sizes(lstm_h5: Path, tmp_path: Path) -> None:
    whole = lstm_h5.read_bytes()
    (tmp_path / "model.h5").write_bytes(whole[:5000])
    reason = reading_of(tmp_path, "model.h5").reason or ""
    assert "5,000" in reason
    assert f"{len(whole):,}" in reason


BEGINNINGS = {
    "nothing": b"",
    "only zeros": bytes(70_000),
    "half a signature": b"\x89HDF",
    "zeros where the header belongs": bytes(2048) + b"SNOD" * 100,
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_save_that_has_only_begun_is_incomplete(kind: str, tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(BEGINNINGS[kind])
    assert reading_of(tmp_path, "model.h5").outcome is Outcome.INCOMPLETE


KILLED = {
    "as soon as it was open": "",
    "in the middle of the weights": "file['weights'] = numpy.zeros(10**5)",
    "after a flush, at the next weights": (
        "file['a'] = numpy.zeros(1000); file.flush(); file['b'] = numpy.zeros(10**5)"
    ),
}


@pytest.mark.parametrize("library", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("moment", KILLED)
def test_what_a_killed_writer_leaves_is_incomplete(
    moment: str, library: str, tmp_path: Path
) -> None:
    writer = f"""
        import h5py, numpy, os, signal
        file = h5py.File("model.h5", "w", libver={library!r})
        {KILLED[moment]}
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(writer)], cwd=tmp_path)
    assert done.returncode == -9
    reading = reading_of(tmp_path, "model.h5")
    assert reading.outcome is Outcome.INCOMPLETE, reading.reason


def test_a_file_marked_as_open_for_writing_is_incomplete(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w", libver="latest") as file:
        file["weights"] = np.zeros(100)
        file.flush()
        reading = reading_of(tmp_path, "model.h5")
        assert (reading.outcome, "writing" in (reading.reason or "")) == (Outcome.INCOMPLETE, True)
    assert reading_of(tmp_path, "model.h5").outcome is Outcome.COMPLETE


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize(
    ("version", "place", "base"), [(0, 13, 24), (1, 13, 28), (2, 9, 12), (3, 9, 12)]
)
def test_the_end_of_a_file_is_named_after_two_addresses(
    version: int, place: int, base: int, width: int
) -> None:
    """HDF5 File Format Specification 3.0, section II.A."""
    head = bytearray(96)
    head[8], head[place] = version, width
    head[base + 2 * width : base + 3 * width] = (54_321).to_bytes(width, "little")
    assert superblock.parse(bytes(head)) == (54_321, False)
    with pytest.raises(Incomplete):
        superblock.parse(bytes(head[: base + 3 * width - 1]))


@pytest.mark.parametrize(("place", "value"), [(8, 4), (13, 0), (13, 7)])
def test_a_superblock_that_does_not_exist_is_damage(place: int, value: int) -> None:
    head = bytearray(96)
    head[13] = 8
    head[place] = value
    with pytest.raises(Unreadable):
        superblock.parse(bytes(head))


@pytest.mark.parametrize("library", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("user_block", [0, 512, 4096])
def test_every_superblock_that_h5py_writes_is_known(
    user_block: int, library: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "data.h5", "w", libver=library, userblock_size=user_block) as file:
        file.attrs["layer_names"] = ["dense"]
        file["dense/kernel:0"] = np.zeros((3, 4))
    reading = reading_of(tmp_path, "data.h5")
    assert (reading.outcome, reading.format) == (Outcome.COMPLETE, Format.WEIGHTS_H5)
    assert reading.description.parameters == 12


# --- configs of every age -----------------------------------------------------------------------


def configured(tmp_path: Path, lstm_h5: Path, model: Any, training: Any = None) -> Description:
    """What a file with these configs tells."""
    attributes = {"model_config": model, "training_config": training}
    texts = {key: None if value is None else json.dumps(value) for key, value in attributes.items()}
    return described(made.rewritten(lstm_h5, tmp_path / "model.h5", texts))


LAYER = {"class_name": "Dense", "config": {"name": "d", "units": 2, "batch_input_shape": [None, 5]}}
INPUT_3 = {"class_name": "InputLayer", "config": {"name": "a", "batch_shape": [None, 5]}}
INPUT_2 = {"class_name": "InputLayer", "config": {"name": "b", "batch_input_shape": [32, 7, 1]}}
PLAIN = {"class_name": "Dense", "config": {"name": "d", "units": 2}}

CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Keras 1 and 2.0: layers as a bare list": (
        {"class_name": "Sequential", "config": [LAYER, PLAIN]},
        {"depth": 2, "input_shape": "[null,5]", "output_shape": "[null,2]"},
    ),
    "Keras 1: other names for settings": (
        {
            "class_name": "Sequential",
            "config": [
                {"class_name": "LSTM", "config": {"output_dim": 9, "return_sequences": False,
                 "batch_input_shape": [None, 4, 3]}},
                {"class_name": "MaxoutDense", "config": {"output_dim": 4}},
            ],
        },
        {"depth": 2, "input_shape": "[null,4,3]", "output_shape": None, "custom_objects": "[]"},
    ),
    "one input, named alone": (
        {"class_name": "Functional", "config": {"layers": [INPUT_3], "input_layers": ["a", 0, 0],
         "output_layers": ["a", 0, 0]}},
        {"class_name": "Functional", "depth": 1, "input_shape": "[null,5]"},
    ),
    "several inputs": (
        {"class_name": "Model", "config": {"layers": [INPUT_3, INPUT_2],
         "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": []}},
        {"class_name": "Model", "input_shape": "[[null,5],[32,7,1]]"},
    ),
    "inputs by key": (
        {"class_name": "Functional", "config": {"layers": [INPUT_3, INPUT_2],
         "input_layers": {"x": ["b", 0, 0]}, "output_layers": {}}},
        {"input_shape": "[32,7,1]"},
    ),
    "a shape known from building": (
        {"class_name": "Sequential", "config": {"layers": [PLAIN], "build_input_shape": [None, 6]}},
        {"input_shape": "[null,6]", "output_shape": "[null,2]"},
    ),
    "a subclass with a build config": (
        {"class_name": "Mine>Net", "config": {}, "build_config": {"input_shape": [None, 3]}},
        {"class_name": "Mine>Net", "depth": None, "input_shape": "[null,3]",
         "custom_objects": '["Net"]'},
    ),
    "a policy object for a dtype": (
        {"class_name": "Sequential", "config": {"layers": [LAYER], "dtype": {"module": "keras",
         "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}}},
        {"custom_objects": "[]"},
    ),
    "a function and a class of one's own inside layers": (
        {"class_name": "Sequential", "config": {"layers": [
            {"class_name": "Dense", "config": {"units": 1,
             "activation": {"module": "builtins", "class_name": "function", "config": "swoosh",
                            "registered_name": "function"},
             "kernel_initializer": {"module": "mine.init", "class_name": "Sparse", "config": {},
                                    "registered_name": "Sparse"}}},
            {"class_name": "RNN", "config": {"cell": {"class_name": "MyCell", "config": {}}}},
        ]}},
        {"custom_objects": '["MyCell","Sparse","swoosh"]'},
    ),
    "an initializer that was registered under a package": (
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"units": 1,
         "kernel_initializer": {"class_name": "Mine>Sparse", "config": {}},
         "bias_initializer": {"class_name": "Zeros", "config": {}}}}]},
        {"custom_objects": '["Sparse"]'},
    ),
    "a shared layer, whose second use is not its first": (
        {"class_name": "Model", "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4, 2]},
                 "name": "a", "inbound_nodes": []},
                {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 6, 2]},
                 "name": "b", "inbound_nodes": []},
                {"class_name": "Dense", "config": {"units": 3}, "name": "shared",
                 "inbound_nodes": [[["a", 0, 0, {}]], [["b", 0, 0, {}]]]},
                {"class_name": "Flatten", "config": {}, "name": "flat",
                 "inbound_nodes": [[["shared", 1, 0, {}]]]},
            ],
            "input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["flat", 0, 0]]}},
        {"depth": 4, "output_shape": None},
    ),
    "operations, and a layer of the same name": (
        {"class_name": "Functional", "config": {"layers": [
            {"class_name": "GetItem", "config": {"name": "get_item"}},
            {"class_name": "Normalize", "config": {"name": "mine", "trainable": True}},
        ]}},
        {"depth": 2, "custom_objects": '["Normalize"]'},
    ),
    "nothing that Keras would write": ([1, "two", {"class_name": 3}], {"class_name": None}),
    "layers that are none": ({"class_name": "Sequential", "config": {"layers": [7, None]}},
                             {"depth": None, "input_shape": None}),
}  # fmt: skip


@pytest.mark.parametrize("age", CONFIGS)
def test_a_config_tells_what_it_can(age: str, tmp_path: Path, lstm_h5: Path) -> None:
    config, expected = CONFIGS[age]
    told = configured(tmp_path, lstm_h5, config)
    assert {key: getattr(told, key) for key in expected} == expected


TRAININGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lr for learning_rate": (
        {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.0010000000474974513,
         "beta_1": 0.8999999761581421, "decay": 0.0}}},
        {"optimizer_type": "Adam", "learning_rate": 0.001,
         "config": '{"beta_1":0.9,"decay":0.0,"learning_rate":0.001}'},
    ),
    "a package before the class": (
        {"optimizer_config": {"class_name": "Custom>Adam", "config": {"learning_rate": 0.5,
         "name": "Adam", "is_legacy_optimizer": False, "jit_compile": True, "weight_decay": None}}},
        {"optimizer_type": "Adam", "learning_rate": 0.5, "config": '{"learning_rate":0.5}'},
    ),
    "a plain string": (
        {"optimizer": "adam"},
        {"optimizer_type": "Adam", "learning_rate": None, "config": "{}"},
    ),
    "an optimizer of one's own": (
        {"optimizer_config": {"class_name": "Mine>Drift", "config": {"learning_rate": 1}}},
        {"optimizer_type": "Drift", "learning_rate": 1.0, "config": '{"learning_rate":1}'},
    ),
    "numbers that are none": (
        {"optimizer_config": {"class_name": "SGD", "config": {"learning_rate": float("nan"),
         "momentum": float("inf"), "nesterov": True}}},
        {"optimizer_type": "SGD", "learning_rate": None, "config": '{"nesterov":true}'},
    ),
}  # fmt: skip


@pytest.mark.parametrize("age", TRAININGS)
def test_an_optimizer_of_any_age_takes_one_form(age: str, tmp_path: Path, lstm_h5: Path) -> None:
    training, expected = TRAININGS[age]
    told = configured(tmp_path, lstm_h5, {"class_name": "Sequential", "config": []}, training)
    assert told.optimizer is not None
    assert {key: getattr(told.optimizer, key) for key in expected} == expected


def test_an_absent_optimizer_is_none(tmp_path: Path, lstm_h5: Path) -> None:
    trainings: list[Any] = [{}, {"optimizer_config": None}, {"optimizer_config": {"config": {}}}, 3]
    for training in trainings:
        assert configured(tmp_path, lstm_h5, {"config": []}, training).optimizer is None


HUBER = {"class_name": "Huber", "config": {"name": "huber_loss", "delta": 1.0}}
LOSSES: dict[str, tuple[Any, str | None]] = {
    "a name": ("mse", "mse"),
    "an object": (HUBER, "Huber"),
    "a list for several outputs": (["mse", HUBER], '["mse","Huber"]'),
    "a loss by output": ({"up": HUBER, "size": "mae"}, '{"size":"mae","up":"Huber"}'),
    "a function": ({"class_name": "function", "config": "quantile"}, "quantile"),
    "none": (None, None),
}
MEAN = {"class_name": "MeanMetricWrapper", "config": {"name": "acc", "fn": "binary_accuracy"}}
METRICS: dict[str, tuple[Any, str | None]] = {
    "names": (["accuracy", "mae"], '["accuracy","mae"]'),
    "objects, by their own names": ([MEAN, {"class_name": "AUC", "config": {}}], '["acc","AUC"]'),
    "nested, each once": ([["mae"], [MEAN, "mae"]], '["mae","acc"]'),
    "by output": ({"up": "mae", "size": ["mse"]}, '["mae","mse"]'),
    "no list at all": (None, None),
}


@pytest.mark.parametrize("form", LOSSES)
def test_a_loss_is_told_by_name(form: str, tmp_path: Path, lstm_h5: Path) -> None:
    stored, expected = LOSSES[form]
    assert configured(tmp_path, lstm_h5, {"config": []}, {"loss": stored}).loss == expected


@pytest.mark.parametrize("form", METRICS)
def test_metrics_are_told_by_name(form: str, tmp_path: Path, lstm_h5: Path) -> None:
    stored, expected = METRICS[form]
    assert configured(tmp_path, lstm_h5, {"config": []}, {"metrics": stored}).metrics == expected


LAYERS: dict[str, tuple[tuple[int | None, ...], Callable[[], Any]]] = {
    "causal convolution": ((48, 5), lambda: layers.Conv1D(8, 3, padding="causal")),
    "valid convolution, dilated": ((48, 5), lambda: layers.Conv1D(8, 3, dilation_rate=4)),
    "same convolution, strided": ((9, 7, 3), lambda: layers.Conv2D(4, 3, 2, padding="same")),
    "convolution over any length": ((None, 5), lambda: layers.Conv1D(8, 3)),
    "separable convolution": ((9, 7, 3), lambda: layers.SeparableConv2D(4, (3, 2))),
    "pooling": ((49, 5), lambda: layers.MaxPooling1D(3, strides=2)),
    "same pooling": ((7, 9, 2), lambda: layers.AveragePooling2D(2, padding="same")),
    "global pooling": ((7, 9, 2), lambda: layers.GlobalAveragePooling2D()),
    "kept dimensions": ((7, 9, 2), lambda: layers.GlobalMaxPooling2D(keepdims=True)),
    "gru": ((24, 5), lambda: layers.GRU(6)),
    "rnn over sequences": ((None, 5), lambda: layers.SimpleRNN(6, return_sequences=True)),
    "both ways": ((24, 5), lambda: layers.Bidirectional(layers.LSTM(6))),
    "both ways, added": (
        (24, 5),
        lambda: layers.Bidirectional(layers.LSTM(6), merge_mode="sum"),
    ),
    "both ways, apart": (
        (24, 5),
        lambda: layers.Bidirectional(layers.LSTM(6), merge_mode=None),
    ),
    "each time step": ((24, 5), lambda: layers.TimeDistributed(layers.Dense(3))),
    "flat": ((24, 5), lambda: layers.Flatten()),
    "repeated": ((5,), lambda: layers.RepeatVector(7)),
    "reshaped": ((24, 5), lambda: layers.Reshape((6, -1, 2))),
    "embedded": ((24,), lambda: layers.Embedding(100, 8)),
    "masked": ((24, 5), lambda: layers.Masking()),
    "a layer without a rule": ((8, 8, 3), lambda: layers.UpSampling2D()),
}
UNTOLD = {"kept dimensions", "both ways, apart", "a layer without a rule"}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_makes_of_a_shape_what_keras_makes_of_it(kind: str, tmp_path: Path) -> None:
    shape, layer = LAYERS[kind]
    model = keras.Sequential([keras.layers.Input(shape), layer()])
    model.save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5").output_shape
    assert told == (None if kind in UNTOLD else canonical.dump(shapes(model.outputs)))


@pytest.mark.parametrize("version", ["keras", "tf_keras"])
def test_a_model_may_end_in_a_model(version: str, tmp_path: Path) -> None:
    """As an autoencoder does, that is made of two models."""
    k = importlib.import_module(version)
    prices, code = k.Input((3,)), k.Input((2,))
    encoder = k.Model(prices, k.layers.Dense(2)(prices))
    decoder = k.Model(code, k.layers.Dense(3)(code))
    k.Model(prices, decoder(encoder(prices))).save(tmp_path / "model.h5")
    told = described(tmp_path / "model.h5")
    assert (told.input_shape, told.output_shape) == ("[null,3]", "[null,3]")


def test_infinities_and_nan_do_not_break_the_architecture(tmp_path: Path, lstm_h5: Path) -> None:
    layer = {"class_name": "Masking", "config": {"mask_value": float("nan"), "x": [1e999, 0.1]}}
    told = configured(tmp_path, lstm_h5, {"class_name": "Sequential", "config": [layer]})

    def refuse(token: str) -> None:
        raise AssertionError(token)

    kept = json.loads(told.architecture or "", parse_constant=refuse)
    assert kept["config"][0]["config"] == {"mask_value": None, "x": [None, 0.1]}


TEXTS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "bytes": str.encode,
    "bytes of fixed length": lambda text: np.bytes_(text.encode()),
    "an array of one": lambda text: np.array([text.encode()]),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_attributes_may_be_stored_in_any_way(kind: str, tmp_path: Path, lstm_h5: Path) -> None:
    config = json.dumps({"class_name": "Sequential", "config": [LAYER]})
    stored = {"model_config": TEXTS[kind](config), "keras_version": TEXTS[kind]("2.0.5")}
    told = described(made.rewritten(lstm_h5, tmp_path / "model.h5", stored))
    assert (told.keras_version, told.depth) == ("2.0.5", 1)


@pytest.mark.parametrize(
    ("name", "stored", "word"),
    [
        ("model_config", "{broken", "no JSON"),
        ("training_config", "", "no JSON"),
        ("model_config", 3.5, "no text"),
        ("model_config", "[" * 100_000, ""),
    ],
    ids=["broken JSON", "empty JSON", "a number", "100,000 levels deep"],
)
def test_a_config_that_is_none_makes_the_model_unreadable(
    name: str, stored: Any, word: str, tmp_path: Path, lstm_h5: Path
) -> None:
    made.rewritten(lstm_h5, tmp_path / "model.h5", {name: stored})
    reading = reading_of(tmp_path, "model.h5")
    assert reading.outcome is Outcome.UNREADABLE
    assert word in (reading.reason or "")


def test_a_config_ten_thousand_levels_deep_is_read_or_refused(
    tmp_path: Path, lstm_h5: Path
) -> None:
    deep = '{"config":' * 10_000 + "[]" + "}" * 10_000
    made.rewritten(lstm_h5, tmp_path / "model.h5", {"model_config": deep})
    reading = reading_of(tmp_path, "model.h5")
    assert reading.outcome in (Outcome.UNREADABLE, Outcome.COMPLETE)
    assert reading.outcome is Outcome.COMPLETE or reading.reason


# --- harm ---------------------------------------------------------------------------------------


def test_a_reader_at_work_leaves_the_file_to_its_trainer(lstm_h5: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(lstm_h5, path)
    (part,) = made.artifact_at(tmp_path, path.name).parts
    with opened(str(tmp_path), part) as source:
        source.stream().read(4096)
        trained(made.lstm()).save(path)  # takes an exclusive lock and truncates
        with pytest.raises(Changed):
            source.check()
    assert reading_of(tmp_path, path.name).outcome is Outcome.COMPLETE


def test_a_file_that_its_trainer_has_locked_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w", locking=True) as file:
        file["weights"] = np.zeros(9)
        file.flush()
        assert reading_of(tmp_path, "model.h5").outcome is Outcome.COMPLETE


def opened_by_reading(folder: Path) -> list[str]:
    """The paths below a folder that a fresh interpreter opens to read its ``model.h5``."""
    script = f"""
        import pickle, sys
        from watcherd.readers import hdf5, read
        artifact = pickle.loads(sys.stdin.buffer.read())
        seen = []
        sys.addaudithook(lambda event, args: seen.append(str(args[0])) if event == "open" else 0)
        read({str(folder)!r}, artifact)
        print("\\n".join(path for path in seen if path.startswith({str(folder)!r})))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=pickle.dumps(made.artifact_at(folder, "model.h5")), capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode().split()


def test_one_path_is_opened_and_only_once(lstm_h5: Path, tmp_path: Path) -> None:
    shutil.copy(lstm_h5, tmp_path / "model.h5")
    assert opened_by_reading(tmp_path) == [str(tmp_path / "model.h5")]


def test_a_link_into_another_file_is_never_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
        file["dense"] = h5py.ExternalLink("secret.h5", "/weights")
        file.create_dataset("outside", 3, "f4", external=[("secret.h5", 0, 12)])
    assert opened_by_reading(tmp_path) == [str(tmp_path / "model.h5")]
    reading = reading_of(tmp_path, "model.h5")
    assert (reading.outcome, reading.description.parameters) == (Outcome.UNREADABLE, None)
    assert "links into other files" in (reading.reason or "")


def test_links_in_circles_come_to_an_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "hard.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
        file.create_group("dense")["again"] = file["/"]
        file["dense/kernel:0"] = np.zeros((2, 3))
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file.attrs["layer_names"] = ["dense"]
        file["dense"] = h5py.SoftLink("/dense")
    assert described(tmp_path / "hard.h5").parameters == 6
    assert reading_of(tmp_path, "soft.h5").outcome is Outcome.UNREADABLE


def test_a_huge_attribute_is_refused(tmp_path: Path, lstm_h5: Path) -> None:
    made.rewritten(lstm_h5, tmp_path / "model.h5", {"model_config": '"' + "x" * (65 << 20) + '"'})
    assert reading_of(tmp_path, "model.h5").outcome is Outcome.UNREADABLE


def test_a_parser_gets_no_more_than_the_file_and_one_piece(tmp_path: Path) -> None:
    (tmp_path / "model.h5").touch()
    os.truncate(tmp_path / "model.h5", PIECE_LIMIT + PAGE)
    (part,) = made.artifact_at(tmp_path, "model.h5").parts
    with opened(str(tmp_path), part) as source:
        with pytest.raises(Unreadable):
            source.stream().read(PIECE_LIMIT + PAGE)
        stream = source.stream()
        for _ in range(2):
            stream.seek(0)
            stream.read(PIECE_LIMIT)
        stream.seek(0)
        with pytest.raises(Unreadable):
            stream.read(PIECE_LIMIT)


def test_the_daemon_never_imports_what_reads_hdf5() -> None:
    script = "import watcherd.readers.batch, sys; print({'pyfive', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n"


# --- what changes, what cannot be looked at -----------------------------------------------------


def test_a_file_other_than_scanned_has_changed(lstm_h5: Path, tmp_path: Path) -> None:
    shutil.copy(lstm_h5, tmp_path / "model.h5")
    artifact = made.artifact_at(tmp_path, "model.h5")
    os.utime(tmp_path / "model.h5")
    assert read(str(tmp_path), artifact).outcome is Outcome.CHANGED
    (tmp_path / "model.h5").unlink()
    assert read(str(tmp_path), artifact).outcome is Outcome.CHANGED


def test_a_symlink_is_not_followed_even_to_the_file_that_was_scanned(
    lstm_h5: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.h5").symlink_to(lstm_h5)
    part = Part(Role.H5, "model.h5", made.fact_of(lstm_h5))
    artifact = Artifact("model.h5", Form.HDF5, (part,))
    assert read(str(tmp_path), artifact).outcome is Outcome.CHANGED


def test_a_file_that_changes_while_it_is_read_is_noticed(lstm_h5: Path, tmp_path: Path) -> None:
    shutil.copy(lstm_h5, tmp_path / "model.h5")
    (part,) = made.artifact_at(tmp_path, "model.h5").parts
    with opened(str(tmp_path), part) as source:
        with (tmp_path / "model.h5").open("ab") as file:
            file.write(b"more")
        with pytest.raises(Changed):
            source.check()


def test_a_fifo_is_refused_and_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.h5")
    part = Part(Role.H5, "model.h5", made.fact_of(tmp_path / "model.h5"))
    reading = read(str(tmp_path), Artifact("model.h5", Form.HDF5, (part,)))
    assert reading.outcome is Outcome.UNREADABLE
    assert "regular file" in (reading.reason or "")


def test_what_may_not_be_read_is_denied(lstm_h5: Path, tmp_path: Path) -> None:
    shutil.copy(lstm_h5, tmp_path / "model.h5")
    (tmp_path / "model.h5").chmod(0)
    script = f"""
        import os, pickle, sys
        from watcherd.readers import hdf5, read
        if os.geteuid() == 0:  # root may read anything
            os.seteuid(65534)
        reading = read({str(tmp_path)!r}, pickle.loads(sys.stdin.buffer.read()))
        print(reading.outcome, reading.reason)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=pickle.dumps(made.artifact_at(tmp_path, "model.h5")), capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(b"denied no permission")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_an_input_output_error_is_the_disks_fault() -> None:
    part = Part(Role.H5, "mem", made.fact_of(Path("/proc/self/mem")))  # EIO at address 0
    reading = read("/proc/self", Artifact("mem", Form.HDF5, (part,)))
    assert reading.outcome is Outcome.DENIED
    assert os.strerror(5) in (reading.reason or "")


# --- fingerprints -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, SMALL - 1, SMALL, SMALL + 1, 10 * SMALL])
def test_a_fingerprint_sees_the_size_and_both_ends(size: int, tmp_path: Path) -> None:
    content = random.Random(size).randbytes(size)
    variants = {"same": content, "longer": content + b"\0"}
    if size:
        variants["first"] = bytes([content[0] ^ 1]) + content[1:]
        variants["last"] = content[:-1] + bytes([content[-1] ^ 1])
    (tmp_path / "model.h5").write_bytes(content)
    mark = reading_of(tmp_path, "model.h5").fingerprint
    for name, other in variants.items():
        (tmp_path / name).write_bytes(other)
        assert (reading_of(tmp_path, name).fingerprint == mark) == (name == "same"), name


def test_a_fingerprint_tells_sizes_of_equal_blocks_apart(tmp_path: Path) -> None:
    for name, blocks in (("a.h5", 10), ("b.h5", 11)):
        (tmp_path / name).write_bytes(bytes(blocks * SMALL))
    marks = {reading_of(tmp_path, name).fingerprint for name in ("a.h5", "b.h5")}
    assert len(marks) == 2


def test_training_on_changes_the_fingerprint(tmp_path: Path) -> None:
    model = trained(made.lstm())
    model.save(tmp_path / "before.h5")
    model.set_weights([weight + 1e-3 for weight in model.get_weights()])
    model.save(tmp_path / "after.h5")
    before, after = (reading_of(tmp_path, name) for name in ("before.h5", "after.h5"))
    assert made.fact_of(tmp_path / "before.h5").size == made.fact_of(tmp_path / "after.h5").size
    assert before.fingerprint != after.fingerprint
    assert before.description == after.description


# --- canonical JSON -----------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
@example(0.00010000000474974513)  # needs all nine digits
def test_float32_gives_the_shortest_number_with_the_same_image(value: float) -> None:
    short = canonical.float32(value)
    assert short == float(str(np.float32(value)))
    assert struct.pack("f", short) == struct.pack("f", value + 0.0)
    assert canonical.float32(short) == short


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float32_never_loses_a_number(value: float) -> None:
    assert canonical.float32(value) == pytest.approx(value, rel=1e-6)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20,
))  # fmt: skip
def test_canonical_json_has_one_spelling(value: Any) -> None:
    text = canonical.dump(canonical.parse(json.dumps(value)))
    assert canonical.dump(canonical.parse(text)) == text
    assert canonical.dump(canonical.rounded(canonical.parse(text))).isascii()


# --- damage -------------------------------------------------------------------------------------


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """The file with some bytes changed; half the time its header still counts on its length."""
    content = bytearray(whole)
    for _ in range(chance.choice((1, 2, 8, 64))):
        place = chance.randrange(len(content))
        place = min(place, chance.randrange(1, 8192)) if chance.random() < 0.5 else place
        other = chance.randrange(len(content))
        content[place : place + 8] = chance.choice(
            [
                chance.randbytes(8),
                bytes(8),
                b"\xff" * 8,
                other.to_bytes(8, "little"),
                content[other : other + 8].ljust(8, b"\0"),
            ]
        )[: len(content) - place]
    if chance.random() < 0.1:
        del content[chance.randrange(len(content)) :]
    if chance.random() < 0.8 and len(content) > 48 and content[:9] == b"\x89HDF\r\n\x1a\n\0":
        content[40:48] = len(content).to_bytes(8, "little")
    return bytes(content)


def test_no_damage_is_more_than_an_outcome(lstm_h5: Path, tmp_path: Path) -> None:
    trained(made.dense()).save_weights(tmp_path / "whole.weights.h5")
    trained(made.dense()).save(tmp_path / "whole.h5")
    originals = [
        path.read_bytes() for path in (tmp_path / "whole.h5", tmp_path / "whole.weights.h5")
    ]
    seen = set()
    for seed in range(400):
        chance = random.Random(seed)
        (tmp_path / "model.h5").write_bytes(damaged(chance.choice(originals), chance))
        reading = reading_of(tmp_path, "model.h5")
        seen.add(reading.outcome)
        assert (reading.reason is None) == (reading.outcome is Outcome.COMPLETE), seed
        assert reading.fingerprint, seed
    assert seen == {Outcome.COMPLETE, Outcome.INCOMPLETE, Outcome.UNREADABLE}
