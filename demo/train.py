"""The demo's training job: small forecasters of a random walk, saved as a trainer saves them.

It knows nothing of watcherd. Each model has one ``.h5`` that is overwritten in place when the
validation loss gets better, and a TensorFlow checkpoint for every epoch, none of which it removes.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when TensorFlow is imported. Without oneDNN it starts sooner and says less.
os.environ.update(
    TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="-1"
)  # fmt: skip

import absl.logging
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console

FORECASTERS = (
    ("1h", "BTCUSDT", "LSTM"),
    ("1h", "ETHUSDT", "GRU"),
    ("4h", "BTCUSDT", "GRU"),
    ("4h", "ETHUSDT", "LSTM"),
)
STEPS_BACK = 24
"""Of the walk, from which the next is forecast."""
SECONDS = 40.0
"""After which no further round of epochs begins."""
PACE = 1.0
"""Seconds from one epoch to the next, so that a person can follow."""

console = Console(highlight=False)


def main(root: Path) -> None:
    """Train all forecasters in turn, an epoch at a time."""
    absl.logging.set_verbosity(absl.logging.ERROR)
    keras.utils.set_random_seed(1)
    started = time.monotonic()
    jobs = [begin(root, *names, seed) for seed, names in enumerate(FORECASTERS)]
    epoch = 0
    while time.monotonic() - started < SECONDS:
        for job in jobs:
            due = time.monotonic() + PACE
            train(job, epoch)
            time.sleep(max(0.0, due - time.monotonic()))
        epoch += 1
    say(f"done after {epoch} epochs of {len(jobs)} models")


@dataclass(frozen=True)
class Job:
    """One model in training, and how it is saved."""

    name: str
    model: Any
    windows: tuple[Any, Any]
    """Inputs (samples, steps, 1) and targets (samples, 1)."""
    best: Any
    """Overwrites the ``.h5`` when the validation loss is the lowest so far."""
    checkpoints: Any
    """Saves every epoch, and keeps all."""


def begin(root: Path, interval: str, ticker: str, kind: str, seed: int) -> Job:
    """A fresh model of one interval and ticker, in its folder below the models root."""
    folder = root / interval / ticker / kind
    model = keras.Sequential(
        [
            keras.layers.Input((STEPS_BACK, 1)),
            getattr(keras.layers, kind)(8),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    state = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    return Job(
        name=f"{interval}/{ticker}/{kind}",
        model=model,
        windows=windows_of(random_walk(seed)),
        best=keras.callbacks.ModelCheckpoint(
            folder / f"{kind.lower()}.h5", monitor="val_loss", save_best_only=True
        ),
        checkpoints=tf.train.CheckpointManager(state, str(folder), max_to_keep=None),
    )


def train(job: Job, epoch: int) -> None:
    """One epoch; saves what it gave, and says so."""
    before = job.best.best
    said = job.model.fit(
        *job.windows, validation_split=0.25, batch_size=16, callbacks=[job.best], verbose=0,
        epochs=epoch + 1, initial_epoch=epoch,
    )  # fmt: skip
    prefix = job.checkpoints.save()
    (loss,) = said.history["val_loss"]
    file = Path(job.best.filepath).name
    verdict = f"best so far: {file} saved" if job.best.best != before else f"no better: {file} kept"
    say(f"{job.name:<15} epoch {epoch + 1:>2}  val_loss {loss:.4f}  {verdict}, {Path(prefix).name}")


def random_walk(seed: int, steps: int = 600) -> Any:
    """A price without a cause, of mean 0 and deviation 1; (steps,)."""
    walk = np.random.default_rng(seed).normal(size=steps).cumsum()
    return ((walk - walk.mean()) / walk.std()).astype("float32")


def windows_of(walk: Any) -> tuple[Any, Any]:
    """What stood before each step: (samples, STEPS_BACK, 1), and the step: (samples, 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(walk, STEPS_BACK + 1)
    return windows[:, :-1, None], windows[:, -1:]


def say(text: str) -> None:
    """A line of this process, not to be taken for one of the daemon's."""
    console.print(f"[reverse cyan] trainer [/] {text}", soft_wrap=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
