"""Real trainers save beside a running daemon; what the registry says is what they would say."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunningDaemon, rows, wait_until

SETTLE = 1.0
IN_TIME = SETTLE + 1.0
"""Seconds from the end of a save to its row."""


def lstm(units: int = 4) -> Any:
    import keras

    model = keras.Sequential(
        [keras.layers.Input((24, 5)), keras.layers.LSTM(units), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.Adam(0.002, epsilon=1e-6), loss="mae", metrics=["mse"])
    return model


def row_of(root: Path, path: str) -> dict[str, Any]:
    """Its one row, once it is present; fails where that takes longer than it may."""
    query = "SELECT * FROM model WHERE path = ?"
    wait_until(lambda: [r for r in rows(root, query, path) if r["state"] == "present"], IN_TIME)
    (row,) = rows(root, query, path)
    return row


def optimizer_of(root: Path, row: dict[str, Any]) -> dict[str, Any]:
    (found,) = rows(root, "SELECT * FROM adam_opt WHERE optimizer_id = ?", row["optimizer_id"])
    return found


@pytest.fixture
def daemon(root: Path, start_daemon: Callable[..., RunningDaemon]) -> RunningDaemon:
    return start_daemon(root)


def test_a_saved_model_has_one_row_with_what_keras_says_of_it(
    root: Path, daemon: RunningDaemon
) -> None:
    model = lstm()
    path = root / "1h/BTCUSDT/LSTM/lstm_a.h5"
    path.parent.mkdir(parents=True)
    model.save(path)

    row = row_of(root, "1h/BTCUSDT/LSTM/lstm_a.h5")
    import keras

    assert (row["interval"], row["interval_seconds"]) == ("1h", 3600)
    assert (row["ticker"], row["type"], row["model_name"]) == ("BTCUSDT", "LSTM", "lstm_a")
    assert (row["format"], row["files"], row["size_bytes"]) == ("h5", 1, path.stat().st_size)
    assert (row["keras_version"], row["backend"]) == (keras.__version__, "tensorflow")
    assert (row["class_name"], row["depth"]) == ("Sequential", 3)
    assert row["parameters"] == model.count_params()
    assert row["variables"] == len(model.weights)
    assert json.loads(row["input_shape"]) == list(model.input_shape)
    assert json.loads(row["output_shape"]) == list(model.output_shape)
    assert (row["loss"], json.loads(row["metrics"])) == ("mae", ["mse"])
    assert row["optimizer_type"] == "Adam"
    adam = optimizer_of(root, row)
    assert adam["learning_rate"] == pytest.approx(0.002, rel=1e-6)
    assert (adam["b1"], adam["b2"]) == (model.optimizer.beta_1, model.optimizer.beta_2)
    assert adam["epsilon"] == pytest.approx(1e-6)
    (architecture,) = rows(
        root, "SELECT * FROM architecture WHERE architecture_id = ?", row["architecture_id"]
    )
    rebuilt = keras.Sequential.from_config(json.loads(architecture["config"])["config"])
    assert rebuilt.count_params() == model.count_params()
    assert [line["path"] for line in daemon.events("model.registered")] == [row["path"]]


def test_saved_weights_are_a_model_of_their_own_kind(root: Path, daemon: RunningDaemon) -> None:
    model = lstm(5)
    path = root / "4h/ETHUSDT/LSTM/w.weights.h5"
    path.parent.mkdir(parents=True)
    model.save_weights(path)
    row = row_of(root, "4h/ETHUSDT/LSTM/w.weights.h5")
    assert (row["format"], row["model_name"]) == ("weights_h5", "w")
    assert (row["parameters"], row["variables"]) == (model.count_params(), len(model.weights))


def test_a_checkpoint_manager_is_followed_and_its_own_deletions_are_normal(
    root: Path, daemon: RunningDaemon
) -> None:
    import tensorflow as tf

    model = lstm()
    folder = root / "1d/SOLUSDT/LSTM"
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)
    for number in range(1, 5):
        manager.save()
        row = row_of(root, f"1d/SOLUSDT/LSTM/ckpt-{number}")
        assert (row["format"], row["files"], row["step"]) == ("checkpoint", 2, number)
        variables = tf.train.list_variables(str(folder / f"ckpt-{number}"))
        kept = [name for name, _ in variables if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
        assert row["variables"] in (len(variables), len(kept))
        assert row["parameters"] == model.count_params()
    daemon.settle()
    states = {row["path"].rpartition("-")[2]: row["state"] for row in rows(root)}
    assert states == {"1": "missing", "2": "missing", "3": "present", "4": "present"}
    resumed = rows(root, "SELECT path FROM model WHERE resume = 1")
    assert [row["path"] for row in resumed] == ["1d/SOLUSDT/LSTM/ckpt-4"]
    assert len(daemon.events("model.registered")) == 4
    assert not daemon.events("model.incomplete")


def test_a_saver_of_tensorflow_1_is_one_row_with_its_graph(
    root: Path, daemon: RunningDaemon
) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = root / "1w/BTCUSDT/MLP"
    folder.mkdir(parents=True)
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", shape=(7, 3))
        v1.get_variable("b", shape=(3,))
        step = v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        session.run(step.assign(1234))
        v1.train.Saver().save(session, str(folder / "model.ckpt"), global_step=step)
    row = row_of(root, "1w/BTCUSDT/MLP/model.ckpt-1234")
    assert (row["step"], row["variables"], row["parameters"]) == (1234, 3, 7 * 3 + 3)
    daemon.settle()
    (row,) = rows(root)
    files = rows(root, "SELECT role FROM model_file ORDER BY role")
    assert [file["role"] for file in files] == ["graph", "index", "shard"]
    assert row["files"] == 3
    assert len(daemon.events("model.registered")) == 1


def test_overwrites_in_place_are_never_unreadable_and_never_missing(
    root: Path, daemon: RunningDaemon
) -> None:
    """By two trainers' ways: Keras empties the file and writes it anew, under the same path."""
    model = lstm(16)
    path = root / "1h/BTCUSDT/LSTM/best.h5"
    path.parent.mkdir(parents=True)
    model.save(path)
    first = row_of(root, "1h/BTCUSDT/LSTM/best.h5")
    for number in range(12):
        model.layers[-1].bias.assign([float(number)])
        model.save(path)
        # Pauses around `settle`, so that looks fall before, into and after saves.
        time.sleep((0.02, 0.3, 0.9, 1.1)[number % 4])
    daemon.settle()
    row = row_of(root, "1h/BTCUSDT/LSTM/best.h5")
    assert row["model_id"] == first["model_id"]
    assert row["fingerprint"] != first["fingerprint"]
    verbs = {line["verb"] for line in rows(root, "SELECT verb FROM history")}
    assert verbs == {"registered", "updated"}


TRAINER = """
import sys, time, h5py, numpy as np
path, saves = sys.argv[1], int(sys.argv[2])
weights = np.random.default_rng(0).random((60, 60))
failed = 0
print("saving", flush=True)
for number in range(saves):
    try:
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = "3.15.1"
            file.attrs["layer_names"] = [b"dense"]
            file.create_dataset("dense/kernel", data=weights + number)
    except OSError:
        failed += 1
    time.sleep((0, 0.011, 0.03, 0.02)[number % 4])  # around the daemon's settle
print(failed)
"""


def save_in_a_loop(path: Path, saves: int) -> subprocess.Popen[str]:
    """A trainer whose HDF5 insists on its lock, as the strictest environment sets it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(path), str(saves)],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE"},
    )  # fmt: skip
    assert trainer.stdout is not None
    assert trainer.stdout.readline() == "saving\n"
    return trainer


def failed_saves(trainer: subprocess.Popen[str]) -> int:
    out, _ = trainer.communicate(timeout=100)
    return int(out)


def test_no_save_fails_under_the_daemons_eyes(
    root: Path, start_daemon: Callable[..., RunningDaemon]
) -> None:
    """The shortest settle, so that it reads the file as often as it can while it is written."""
    daemon = start_daemon(root, settings='[watch]\nsettle = "10ms"\n')
    path = root / "1h/BTCUSDT/LSTM/loop.h5"
    trainer = save_in_a_loop(path, 400)
    assert failed_saves(trainer) == 0
    daemon.settle()
    looks = len([line for line in daemon.lines() if line["event"] == "model.updated"])
    assert looks > 3, "the daemon did read it meanwhile"
    assert rows(root)[0]["state"] == "present"


def test_a_plain_h5py_reader_in_its_place_makes_saves_fail(tmp_path: Path) -> None:
    """The same trainer: this shows that the test above can fail."""
    import h5py

    path = tmp_path / "loop.h5"
    trainer = save_in_a_loop(path, 200)
    while trainer.poll() is None:
        # What it reads of a file being written is not its trouble here.
        with suppress(OSError, KeyError, RuntimeError), h5py.File(path, "r") as file:
            list(file.attrs)
    assert failed_saves(trainer) > 0
