"""What needs Keras, in processes of its own: the others stay as lean as a shell."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

# Read when TensorFlow is imported.
os.environ.update(
    TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="-1"
)  # fmt: skip

import keras


def save(path: str) -> None:
    """One model, as ``.h5``."""
    _lstm().save(path)


def train(root: str, saves: str, folders: str, pause: str) -> None:
    """Save models in turn in so many folders; print where, and when each save was closed."""
    model = _lstm()
    for number in range(int(saves)):
        path = f"1h/T{number % int(folders)}/LSTM/model_{number}.h5"
        model.save(Path(root, path))
        print(path, time.monotonic(), flush=True)
        time.sleep(float(pause))


def load(folder: str) -> None:
    """Load all models of a folder; print the median of their seconds."""
    print(median(_seconds_to_load(path) for path in Path(folder).iterdir()))


def checkpoint(prefix: str) -> None:
    """One checkpoint of three files: index, shard, and the graph that ``Saver`` adds."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", shape=(100,))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, prefix)


def _seconds_to_load(path: Path) -> float:
    started = time.perf_counter()
    keras.models.load_model(path, compile=False)
    return time.perf_counter() - started


def _lstm() -> Any:
    """60 steps of 8 features, two layers of 16 units; compiled, and its optimizer's variables made:
    26 datasets."""
    layers = keras.layers
    recurrent = (layers.LSTM(16, return_sequences=True), layers.LSTM(16))
    model = keras.Sequential([layers.Input((60, 8)), *recurrent, layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


TASKS: Mapping[str, Callable[..., None]] = {
    "save": save,
    "train": train,
    "load": load,
    "checkpoint": checkpoint,
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](*sys.argv[2:])
