"""Real trainers that prune by themselves, killed and restarted, while the daemon prunes beside."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import RunningDaemon, rows, wait_until, watcherd

SETTINGS = """
[watch]
settle = "200ms"
[schedule]
prune = "1s"
[retention]
min_age = "0s"
min_free_space = "0B"
max_prune_fraction = 1.0
[[retention.rule]]
max_to_keep = 2
"""

MANAGER = """
import sys, time
import tensorflow as tf
folder = sys.argv[1]
step = tf.Variable(0)
checkpoint = tf.train.Checkpoint(step=step, weights=tf.Variable(tf.random.normal([50])))
manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=3)
latest = tf.train.latest_checkpoint(folder)
if latest:
    checkpoint.restore(latest).assert_existing_objects_matched()
print("resumed", latest, flush=True)
while True:
    step.assign_add(1)
    manager.save()
    print("saved", flush=True)
    time.sleep(0.2)
"""

SAVER = """
import sys, time
import tensorflow as tf
v1 = tf.compat.v1
v1.disable_eager_execution()
folder = sys.argv[1]
step = v1.train.get_or_create_global_step()
v1.get_variable("w", shape=(50,))
saver = v1.train.Saver(max_to_keep=3)
with v1.Session() as session:
    session.run(v1.global_variables_initializer())
    latest = tf.train.latest_checkpoint(folder)
    if latest:
        saver.restore(session, latest)
    print("resumed", latest, flush=True)
    while True:
        session.run(step.assign_add(1))
        saver.save(session, folder + "/model.ckpt", global_step=step)
        print("saved", flush=True)
        time.sleep(0.2)
"""
"""A Saver that was restarted has forgotten what it kept, and leaks it."""


NURSERY = """
import json, os, signal, sys
import tensorflow as tf
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for line in sys.stdin:
    code, folder, log = json.loads(line)
    if pid := os.fork():
        print(pid, flush=True)
        continue
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1), os.dup2(out, 2)
    sys.argv = ["-c", folder]
    exec(code, {"__name__": "__main__"})
    os._exit(0)
"""
"""Forks trainers: a TensorFlow that is loaded but has done nothing yet may be forked, and loading
it for each would take most of the test's time."""


class Nursery:
    """A process that starts trainers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def start(self, *order: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate("")


class Trainer:
    """A trainer's process, started anew whenever it was killed."""

    def __init__(self, nursery: Nursery, code: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.log = folder.with_suffix(".out")
        self._start = partial(nursery.start, code, str(folder), str(self.log))
        self._pid = self._start()

    @property
    def saves(self) -> int:
        return self.log.read_text().count("saved") if self.log.exists() else 0

    @property
    def errors(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "Error" in line]

    @property
    def is_running(self) -> bool:
        return Path(f"/proc/{self._pid}").exists()

    def wait_for_saves(self, count: int) -> None:
        target = self.saves + count

        def has_saved() -> bool:
            assert self.is_running, self.log.read_text()[-2000:]
            return self.saves >= target

        wait_until(has_saved, 60)

    def kill(self) -> None:
        assert self.is_running, self.log.read_text()[-2000:]
        os.kill(self._pid, signal.SIGKILL)
        wait_until(lambda: not self.is_running)

    def restart(self) -> None:
        self._pid = self._start()


def assert_latest_restores(trainer: Trainer) -> None:
    """What a trainer that starts now would resume from is there, whole."""
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(str(trainer.folder))
    assert latest is not None
    reader = tf.train.load_checkpoint(latest)
    assert all(reader.has_tensor(name) for name in reader.get_variable_to_shape_map())


def prefixes(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.index")}


@pytest.mark.parametrize(
    ("restarts", "saves"),
    [(1, 5), pytest.param(12, 30, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["short", "long"],
)
def test_beside_trainers_that_are_killed_and_restarted_the_latest_always_restores(
    root: Path, start_daemon: Callable[..., RunningDaemon], restarts: int, saves: int
) -> None:
    chance = random.Random(5)
    daemon = start_daemon(root, settings=SETTINGS)
    nursery = Nursery()
    trainers = [
        Trainer(nursery, MANAGER, root / "1h/BTC/MLP"),
        Trainer(nursery, SAVER, root / "1h/ETH/MLP"),
    ]
    try:
        for _ in range(restarts):
            for trainer in trainers:
                trainer.wait_for_saves(saves)
            for trainer in trainers:
                time.sleep(chance.random() * 0.3)  # at any moment of a save
                trainer.kill()
                assert_latest_restores(trainer)
                trainer.restart()
        for trainer in trainers:
            trainer.wait_for_saves(saves)
    finally:
        for trainer in trainers:
            trainer.kill()
        nursery.close()
    assert [trainer.errors for trainer in trainers] == [[], []]
    for trainer in trainers:
        wait_until(lambda trainer=trainer: len(prefixes(trainer.folder)) <= 3, 15)
        assert_latest_restores(trainer)
    assert rows(root, "SELECT * FROM history WHERE verb = 'pruned'")
    assert not [line for line in daemon.events("failure.raised") if line["level"] == "error"]
    watcherd(root, "reconcile")
