"""What needs Keras, in processes of its own: the others stay as lean as a shell."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

# Read when TensorFlow is imported, which is else as it comes.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import keras
import numpy as np

Saving = Callable[[int], Path]
"""Saves the model's next state, which bears a number; the file of it that is written last."""

UNITS = 64
BATCH = 128
BATCHES = 90
"""An epoch of a few seconds."""


def save(path: str) -> None:
    """One model, as ``.h5``."""
    _lstm().save(path)


def train(kinds: str, root: str, saves: str, folders: str, every: str) -> None:
    """Save models of these kinds in turn in so many folders, one every so many seconds; print
    where, and when each was whole."""
    model = _lstm()
    savings = [
        SAVINGS[kind](model, Path(root, f"1h/T{number}/LSTM"))
        for number in range(int(folders))
        for kind in kinds.split(",")
    ]
    began = time.monotonic()
    for number in range(int(saves)):
        time.sleep(max(began + number * float(every) - time.monotonic(), 0))
        model.layers[-1].bias.assign([float(number)])
        last = savings[number % len(savings)](number)
        path = str(last.relative_to(root)).removesuffix(".index")
        print(path, _changed_at(last), flush=True)


def fit(root: str) -> None:
    """Train for as long as somebody asks: see ``_Paced``."""
    model = _lstm(UNITS)
    folder = Path(root, "1h/BTCUSDT/LSTM")
    saves = [saving(model, folder) for saving in SAVINGS.values()]
    random = np.random.default_rng(0)
    moves = random.normal(size=(BATCH * BATCHES, 60, 8)).astype("float32")
    model.fit(
        moves, moves[:, -1, :1], batch_size=BATCH, epochs=sys.maxsize, verbose=0,
        callbacks=[_Paced(saves)],
    )  # fmt: skip


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


class _Paced(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is not typed
    """One epoch for each line of standard input, saved in its end where the line says ``save``;
    prints its seconds, those of its saves among them."""

    def __init__(self, savings: list[Saving]) -> None:
        super().__init__()
        self._savings = savings

    def on_train_begin(self, logs: Any = None) -> None:
        self._listen()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for saving in self._savings if self._is_saved else ():
            saving(epoch)
        print(time.perf_counter() - self._began, flush=True)
        self._listen()

    def _listen(self) -> None:
        line = sys.stdin.readline()
        self.model.stop_training = not line
        self._is_saved = line == "save\n"
        self._began = time.perf_counter()


def _save_h5(model: Any, folder: Path) -> Saving:
    """Each under a name of its own, as ``ModelCheckpoint`` saves ``model_{epoch}.h5``."""
    folder.mkdir(parents=True, exist_ok=True)

    def saving(number: int) -> Path:
        path = folder / f"model_{number}.h5"
        model.save(path)
        return path

    return saving


def _save_checkpoint(model: Any, folder: Path) -> Saving:
    """By a manager, which rewrites the state file; it keeps all, as each is to be seen."""
    import tensorflow as tf

    whole = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(whole, str(folder), max_to_keep=None)
    return lambda number: Path(manager.save(checkpoint_number=number) + ".index")


def _changed_at(path: Path) -> float:
    """When a file was last written or renamed, on the clock of ``time.monotonic``.

    An index is in place before its manager has cleaned up and returns.
    """
    return time.monotonic() - (time.time() - path.stat().st_ctime)


def _seconds_to_load(path: Path) -> float:
    started = time.perf_counter()
    keras.models.load_model(path, compile=False)
    return time.perf_counter() - started


def _lstm(units: int = 16) -> Any:
    """60 steps of 8 features, two layers of LSTM; compiled, and its optimizer's variables made:
    26 datasets."""
    layers = keras.layers
    recurrent = (layers.LSTM(units, return_sequences=True), layers.LSTM(units))
    model = keras.Sequential([layers.Input((60, 8)), *recurrent, layers.Dense(1)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


SAVINGS: Mapping[str, Callable[[Any, Path], Saving]] = {
    "h5": _save_h5,
    "checkpoint": _save_checkpoint,
}

TASKS: Mapping[str, Callable[..., None]] = {
    "save": save,
    "train": train,
    "fit": fit,
    "load": load,
    "checkpoint": checkpoint,
}

if __name__ == "__main__":
    TASKS[sys.argv[1]](*sys.argv[2:])
