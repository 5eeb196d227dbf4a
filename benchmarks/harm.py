"""What a training job notices of the daemon: the time of its epochs, and the processor it shares.

A real Keras loop trains an LSTM in one process, as TensorFlow comes, and saves an ``.h5`` and a
checkpoint into the watched root at the end of each epoch. The daemon is there all the while, but
for every second epoch it and its children are stopped (SIGSTOP). So both kinds of epochs are of one
training, seconds apart, and differ in nothing else: with, without, without, with, and so on, that
what the machine does besides falls on both.

Stopped, and not ended: its start is work that a daemon has once in months. What is saved while it
is stopped its inbox in the kernel keeps, and it is registered when the daemon goes on. So the
epochs with it bear the work for the saves of both kinds, twice their own: the ratio is rather too
large than too small. What it does not show is what the kernel spends on an event, some microseconds
a file, and the daemon's memory (see ``footprint``).

Measured twice: with all processors, and with the trainer and the daemon bound to one, where each
moment that the daemon takes is the trainer's. Between saves: training goes on, and all that was
saved is registered.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks.harness import (
    TRAINING,
    Row,
    cpu_seconds,
    fresh_folder,
    processes_of,
    running_daemon,
    wait_until,
)
from benchmarks.latency import registrations

PAIRS = 12
SAVES = 2
"""In the end of an epoch."""
WARM = 2
"""Epochs that do not count: TensorFlow traces its graph in the first, and caches fill."""
BETWEEN = 8
"""Epochs without a save."""
LONGER, BUSY = 3.0, 1.0
"""Percent that are allowed: of an epoch's time, and of a processor between saves."""

Epoch = Callable[[bool], float]
"""Train for one, saved in its end or not; its seconds."""


class Pair(NamedTuple):
    """Two epochs next to each other, in seconds."""

    beside: float
    alone: float

    @property
    def longer(self) -> float:
        """Percent by which the daemon makes an epoch longer."""
        return (self.beside / self.alone - 1) * 100


@dataclass(frozen=True, slots=True)
class Harm:
    """Of one training: the pairs, and percent of a processor that the daemon took."""

    pairs: Sequence[Pair]
    registered: int
    """Models, while the pairs were trained; those of the last epochs settle later."""
    saving: float
    """In the epochs beside it."""
    between: float
    """While nothing was saved."""


def measure(scale: float) -> Iterator[Row]:
    """With all processors, and with one."""
    pairs = max(int(PAIRS * scale), 2)
    yield from _rows(_train(pairs), "on all processors")
    with _bound_to_one():
        yield from _rows(_train(pairs), "on one processor")


def _rows(harm: Harm, where: str) -> Iterator[Row]:
    longer = [pair.longer for pair in harm.pairs]
    low, middle, high = quantiles(longer, n=4, method="inclusive")
    beside, alone = (median(seconds) for seconds in zip(*harm.pairs, strict=True))
    pairs = f"{len(longer)} pairs, quartiles {low:+.1f} and {high:+.1f} %"
    yield Row(f"an epoch and its saves, {where}", beside, "s", "daemon stopped", alone)
    yield Row(f"… longer by ({pairs})", middle, "%", "allowed", LONGER)
    saved = float(SAVES * 2 * len(longer))
    yield Row("… registered while it trained", harm.registered, "models", "saved", saved)
    yield Row("… processor of the daemon, saves twice an epoch", harm.saving, "%")
    yield Row("… processor of the daemon, between saves", harm.between, "%", "allowed", BUSY)


def _train(pairs: int) -> Harm:
    with (
        fresh_folder() as folder,
        running_daemon(folder / "models") as daemon,
        _trainer(folder / "models") as train,
    ):
        for _ in range(WARM):
            train(True)
        _await(folder / "models", WARM)
        before = cpu_seconds(processes_of(daemon))
        found = [_pair(train, daemon, number % 2 == 0) for number in range(pairs)]
        saving = cpu_seconds(processes_of(daemon)) - before
        registered = len(registrations(folder / "models")) - SAVES * WARM
        _await(folder / "models", WARM + 2 * pairs)
        before = cpu_seconds(processes_of(daemon))
        seconds = sum(train(False) for _ in range(BETWEEN))
        between = cpu_seconds(processes_of(daemon)) - before
    beside = sum(pair.beside for pair in found)
    return Harm(found, registered, saving / beside * 100, between / seconds * 100)


def _await(root: Path, epochs: int) -> None:
    """Wait until all that so many epochs saved is registered."""
    wait_until(lambda: len(registrations(root)) == SAVES * epochs)


def _pair(train: Epoch, daemon: int, beside_first: bool) -> Pair:
    def alone() -> float:
        with _stopped(daemon):
            return train(True)

    if beside_first:
        return Pair(train(True), alone())
    before = alone()
    return Pair(train(True), before)


@contextmanager
def _trainer(root: Path) -> Iterator[Epoch]:
    """A training that goes on an epoch at a time."""
    command = (*TRAINING, "fit", str(root))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        ask, told = process.stdin, process.stdout
        assert ask is not None
        assert told is not None

        def train(saved: bool) -> float:
            print("save" if saved else "", file=ask, flush=True)
            return float(told.readline())

        yield train


@contextmanager
def _stopped(daemon: int) -> Iterator[None]:
    group = processes_of(daemon)
    _send(signal.SIGSTOP, group)
    try:
        yield
    finally:
        _send(signal.SIGCONT, group)


def _send(number: signal.Signals, group: Sequence[int]) -> None:
    for pid in group:
        os.kill(pid, number)


@contextmanager
def _bound_to_one() -> Iterator[None]:
    """This process, and those that it starts: see sched_setaffinity(2)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
