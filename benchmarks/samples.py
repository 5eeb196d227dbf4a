"""Real files to measure with: saved once by Keras or h5py, then copied with one value changed."""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py

from benchmarks.harness import TRAINING, run

IN_FOLDER = 50
"""Models in one folder."""
SETTLE = 1.0
"""Seconds: the program's default."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An HDF5 file's bytes, and where four of them may be any value."""

    content: bytes
    offset: int

    def write(self, path: Path, number: int) -> None:
        """A copy whose content, and so fingerprint, no other number has."""
        changed = bytearray(self.content)
        changed[self.offset : self.offset + 4] = struct.pack("<f", float(number))
        path.write_bytes(changed)


def lstm_file(folder: Path) -> Sample:
    """An LSTM forecaster with its optimizer's state, as ``model.save("....h5")`` writes it."""
    path = folder / "sample.h5"
    run(*TRAINING, "save", str(path))
    return _sample(path, "model_weights")


def small_file(folder: Path) -> Sample:
    """The smallest HDF5 file that holds a value: about 2 kB, and no Keras model."""
    path = folder / "sample.h5"
    with h5py.File(path, "w") as file:
        file["value"] = [0.0]
    return _sample(path, "/")


def _sample(path: Path, group: str) -> Sample:
    with h5py.File(path, "r", locking=False) as file:
        found: list[h5py.Dataset] = []
        file[group].visititems(
            lambda _, member: found.append(member) if isinstance(member, h5py.Dataset) else None
        )
        return Sample(path.read_bytes(), found[0].id.get_offset())


def places(root: Path, count: int, in_folder: int = IN_FOLDER) -> Iterator[Path]:
    """So many paths below a root, in folders of interval, ticker and type, which are made."""
    for number in range(count):
        folder = root / f"1h/T{number // in_folder}/LSTM"
        if number % in_folder == 0:
            folder.mkdir(parents=True)
        yield folder / f"model_{number}.h5"


def fill(root: Path, sample: Sample, count: int) -> None:
    """Write so many copies, and wait until they are quiet enough to be judged."""
    for number, path in enumerate(places(root, count)):
        sample.write(path, number)
    time.sleep(SETTLE + 0.1)


def fill_lean(root: Path, files: int, interval: str = "1h") -> None:
    """Many files fast: a few bytes each, which no reader accepts; what they hold costs no look."""
    for number in range(files):
        folder = root / f"{interval}/T{number // IN_FOLDER}/LSTM"
        if number % IN_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"model_{number}.h5").write_bytes(b"%d" % number)
    time.sleep(SETTLE + 0.1)
