"""Registering models for the first time, against ``keras.models.load_model``."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.harness import TRAINING, Row, fresh_folder, median_of, run, seconds_of, watcherd
from benchmarks.samples import Sample, fill, lstm_file

MODELS = 20_000
LOADED = 20
"""By Keras, which needs no more for a steady figure."""


def measure(scale: float) -> Iterator[Row]:
    """A whole ``watcherd reconcile`` of a root that no registry knew."""
    count = int(MODELS * scale)
    with fresh_folder() as folder:
        sample = lstm_file(folder)
    seconds = median_of(partial(_register, sample, count))
    loads = 1 / median_of(partial(_load, sample))
    yield Row(
        f"first registration of {count:,} LSTM .h5", count / seconds, "models/s",
        "load_model", loads,
    )  # fmt: skip


def _register(sample: Sample, count: int, folder: Path) -> float:
    root = folder / "models"
    fill(root, sample, count)
    return seconds_of(*watcherd(root, "reconcile"))


def _load(sample: Sample, folder: Path) -> float:
    """Seconds a model, without those of importing Keras."""
    for number in range(LOADED):
        sample.write(folder / f"{number}.h5", number)
    return float(run(*TRAINING, "load", str(folder)))
