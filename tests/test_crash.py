"""Stopped anywhere, deaf for a while, killed again and again: afterwards registry = disk."""

import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import h5py
import pytest

from tests.conftest import VARIANTS, RunningDaemon, Saved, on_disk, rows, wait_until
from tests.truth import truth

NO_TIMER = '[schedule]\nreconcile = "off"\n[watch]\nsettle = "200ms"\n'


@pytest.mark.timeout(300)
def test_twenty_thousand_files_written_while_it_was_stopped_are_all_registered(
    root: Path, start_daemon: Callable[..., RunningDaemon], tmp_path: Path
) -> None:
    """The kernel's queue holds 16,384 events: it overflows, and nothing but the disk can tell."""
    places = [root / f"1h/T{number}/LSTM" for number in range(500)]
    for place in places:
        place.mkdir(parents=True)
    daemon = start_daemon(root, settings=NO_TIMER)
    with h5py.File(tmp_path / "small.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    content = (tmp_path / "small.h5").read_bytes()
    daemon.process.send_signal(signal.SIGSTOP)
    for number in range(20_000):
        (places[number % 500] / f"m{number}.h5").write_bytes(content)
    daemon.process.send_signal(signal.SIGCONT)

    count = "SELECT count(*) AS n FROM model WHERE state = 'present'"
    wait_until(lambda: rows(root, count)[0]["n"] == 20_000, 120, step=0.2)
    assert len(daemon.events("watch.overflow")) == 1
    assert on_disk(root) == truth(root)
    assert not [line for line in daemon.lines() if line.get("cause") == "timer"]


def churn(root: Path, saved: Saved, chance: random.Random) -> None:
    """One thing that trainers and people do."""
    place = root / f"{chance.choice(['1h', '4h'])}/{chance.choice('ABC')}/LSTM"
    name, variant = chance.choice("xyz"), chance.randrange(VARIANTS)
    with suppress(FileNotFoundError, OSError):
        match chance.randrange(6):
            case 0 | 1:
                saved.write_h5(place / f"{name}.h5", variant)
            case 2:
                saved.write_checkpoint(place / f"ckpt-{chance.randrange(5)}", variant)
            case 3:
                (place / f"{name}.h5").rename(place.parent / "LSTM" / f"{chance.choice('xyz')}.h5")
            case 4:
                for path in place.glob(f"ckpt-{chance.randrange(5)}.*"):
                    path.unlink()
            case 5:
                shutil.rmtree(place)


@pytest.mark.parametrize(
    "kills", [5, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def test_killed_again_and_again_under_churn_it_is_right_after_each_restart(
    root: Path, start_daemon: Callable[..., RunningDaemon], saved: Saved, kills: int
) -> None:
    chance = random.Random(20)
    for _ in range(kills):
        daemon = start_daemon(root, settings=NO_TIMER)
        moments = chance.randrange(5, 120)
        for _ in range(moments):
            churn(root, saved, chance)
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        with closing(sqlite3.connect(root / ".watcherd/registry.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        churn(root, saved, chance)
        daemon = start_daemon(root, settings=NO_TIMER)
        daemon.settle()
        assert on_disk(root) == truth(root)
        daemon.stop(signal.SIGKILL)


def test_a_killed_daemon_leaves_no_child_behind(
    root: Path, start_daemon: Callable[..., RunningDaemon], saved: Saved
) -> None:
    daemon = start_daemon(root, settings=NO_TIMER)
    saved.write_h5(root / "1h/BTC/LSTM/m.h5")
    daemon.wait_for("model.registered")
    children = descendants(daemon.process.pid)
    assert children, "models are read in a child"
    daemon.stop(signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def test_models_are_read_at_idle_priority_and_without_a_gpu(
    root: Path, start_daemon: Callable[..., RunningDaemon], saved: Saved
) -> None:
    daemon = start_daemon(root, settings=NO_TIMER)
    saved.write_h5(root / "1h/BTC/LSTM/m.h5")
    daemon.wait_for("model.registered")
    (reader,) = [pid for pid in descendants(daemon.process.pid) if os.getpriority(0, pid) == 19]
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert "numpy" not in maps, "what parses models is loaded in the child only"
    assert "numpy" in Path(f"/proc/{reader}/maps").read_text()
