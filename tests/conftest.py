"""What tests share: models saved for real by Keras and TensorFlow, a models root, a daemon."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from watcherd import logs

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

settings.register_profile(
    "watcherd",
    deadline=None,  # real folders, a shared machine
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
settings.load_profile("watcherd")

VARIANTS = 4
"""Trainings of one architecture: equal in shape, different in content."""


@dataclass(frozen=True)
class Saved:
    """The bytes of models that Keras and TensorFlow saved: variant -> suffix -> content.

    A checkpoint's files do not name their prefix, so they may be written under any.
    """

    h5: tuple[bytes, ...]
    weights: tuple[bytes, ...]
    checkpoints: tuple[dict[str, bytes], ...]

    def write_h5(self, path: Path, variant: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.h5[variant])
        return path

    def write_checkpoint(self, prefix: Path, variant: int = 0) -> Path:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in self.checkpoints[variant].items():
            prefix.with_name(prefix.name + suffix).write_bytes(content)
        return prefix


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Small models, really saved, once a session."""
    import keras
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("saved")
    h5, weights, checkpoints = [], [], []
    for variant in range(VARIANTS):
        keras.utils.set_random_seed(variant)
        model = keras.Sequential(
            [keras.layers.Input((24, 5)), keras.layers.LSTM(3), keras.layers.Dense(1)]
        )
        model.compile("adam", "mse")
        model.save(folder / "model.h5")
        h5.append((folder / "model.h5").read_bytes())
        model.save_weights(folder / "model.weights.h5")
        weights.append((folder / "model.weights.h5").read_bytes())
        tf.train.Checkpoint(model=model).write(str(folder / "ckpt"))
        checkpoints.append(
            {path.name.removeprefix("ckpt"): path.read_bytes() for path in folder.glob("ckpt.*")}
        )
    return Saved(tuple(h5), tuple(weights), tuple(checkpoints))


@pytest.fixture(autouse=True)
def own_log() -> None:
    """A test that logs does so to its own output: what ran before may have closed its stream."""
    logs.configure(format="json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty models root."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def rows(
    root: Path, query: str = "SELECT * FROM model ORDER BY path", *values: Any
) -> list[dict[str, Any]]:
    """What any SQLite client sees in a root's registry."""
    connection = sqlite3.connect(f"file:{root}/.watcherd/registry.db?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query, values)]
    finally:
        connection.close()


def on_disk(root: Path) -> dict[str, str]:
    """Path -> state of the registry's rows that are on disk."""
    found = rows(
        root, "SELECT path, state FROM model WHERE state IN ('present', 'incomplete', 'unreadable')"
    )
    return {row["path"]: row["state"] for row in found}


def watcherd(
    root: Path, *words: str, check: bool = True, within: Sequence[str] = (), **more: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on a root, as a person would; ``within`` is one that runs it."""
    done = subprocess.run(
        [*within, sys.executable, "-m", "watcherd", "--root", str(root), *words],
        capture_output=True, text=True, timeout=120, **more,
    )  # fmt: skip
    if check and done.returncode:
        raise AssertionError(
            f"watcherd {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done


def wait_until(what: Callable[[], Any], seconds: float = 15, step: float = 0.02) -> Any:
    """The first truthy value of ``what``; fails after so many seconds with its last value."""
    give_up = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(step)
    return value


@dataclass
class RunningDaemon:
    """A real ``watcherd run`` on a root, and its log."""

    root: Path
    process: subprocess.Popen[bytes]
    log: Path
    _read: int = field(default=0)

    def lines(self) -> list[dict[str, Any]]:
        """Every log line so far."""
        text = self.log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == name]

    def wait_for(self, name: str, seconds: float = 20) -> dict[str, Any]:
        return wait_until(lambda: self.events(name), seconds)[-1]

    def settle(self, seconds: float = 30) -> None:
        """Wait until the registry equals the disk, by the program's own word."""
        watcherd(self.root, "status", "--wait", str(seconds))

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., RunningDaemon]]:
    """Starts daemons, and ends those that a test leaves running."""
    running: list[RunningDaemon] = []

    def start(
        root: Path,
        *words: str,
        ready: bool = True,
        settings: str | None = None,
        within: Sequence[str] = (),
        **environ: str,
    ) -> RunningDaemon:
        """``within`` is a command that runs another, ``environ`` what its environment has more."""
        log = tmp_path / f"daemon{len(running)}.log"
        command = [*within, sys.executable, "-m", "watcherd", "--root", str(root), *words]
        if settings is not None:
            file = tmp_path / f"config{len(running)}.toml"
            file.write_text(settings)
            command += ["--config", str(file)]
        with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
            process = subprocess.Popen(
                [*command, "run"], stdout=out, stderr=err, env={**os.environ, **environ}
            )
        daemon = RunningDaemon(root, process, log)
        running.append(daemon)
        if ready:
            daemon.wait_for("daemon.ready")
        return daemon

    yield start
    for daemon in running:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
