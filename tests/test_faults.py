"""What befalls the daemon beside its root: it says so once, waits or does with less, and afterwards
the registry equals the disk."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import VARIANTS, RunningDaemon, Saved, on_disk, wait_until, watcherd
from tests.namespace import HOUSE, has_namespaces, namespace
from tests.test_root_faults import WITHOUT_PRIVILEGE
from tests.test_supervision import readers_of
from tests.truth import truth
from watcherd.reconciler import READING

Start = Callable[..., RunningDaemon]
QUICK = '[watch]\nsettle = "100ms"\n'


def failures(daemon: RunningDaemon) -> list[str]:
    return [line["error"] for line in daemon.events("failure.raised")]


def count(registry: Path) -> int:
    with closing(sqlite3.connect(f"file:{registry}?mode=ro", uri=True, timeout=10)) as connection:
        query = "SELECT count(*) FROM model WHERE state = 'present'"
        found: int = connection.execute(query).fetchone()[0]
        return found


# -- the registry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [("registry.db",), ("registry.db-wal", "registry.db-shm")])
def test_a_registry_that_is_removed_or_loses_its_log_is_opened_anew(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved, lost: tuple[str, ...]
) -> None:
    registry = tmp_path / "registry.db"
    daemon = start_daemon(root, "--registry", f"sqlite:///{registry}", settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    for name in lost:
        (tmp_path / name).unlink()
    daemon.wait_for("failure.ended")
    (failure,) = daemon.events("failure.raised")
    what = f"the registry sqlite:///{registry} was removed or replaced while in use"
    assert failure["error"] == what
    assert "copy" in failure["hint"]
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    wait_until(lambda: registry.exists() and count(registry) == 2)
    assert not daemon.events("model.missing")


def test_a_root_that_lost_all_that_is_ours_goes_on_at_a_persons_word(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    shutil.rmtree(root / ".watcherd")
    assert "lacks its marker" in daemon.wait_for("root.suspended")["error"]
    watcherd(root, "reconcile", "--adopt-root")
    daemon.wait_for("root.resumed")
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    wait_until(lambda: on_disk(root) == truth(root) and len(truth(root)) == 2)


def test_a_registry_on_a_full_disk_is_waited_for(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    if not has_namespaces():
        pytest.skip("no mount namespaces here")
    disk = tmp_path / "disk"
    disk.mkdir()
    with namespace() as within:
        within.run("mount", "-t", "tmpfs", "-o", "size=2m", "none", disk)
        url = f"sqlite:///{disk}/registry.db"
        daemon = start_daemon(root, "--registry", url, settings=QUICK, within=within.enter)
        daemon.wait_for("cycle.done")
        within.run("sh", "-c", f"dd if=/dev/zero of={disk}/ballast bs=4k status=none; true")
        for number in range(4):
            saved.write_h5(root / f"1h/BTC/LSTM/{number}.h5", number)
        daemon.wait_for("failure.raised")
        within.run("rm", disk / "ballast")
        daemon.wait_for("failure.ended")
        wait_until(lambda: len(daemon.events("model.registered")) == 4)
    assert failures(daemon) == [f"no space left for the registry {url}"]


SHORT = """
[watch]
settle = "100ms"
[retention]
min_age = "0s"
min_free_space = "100kB"
[[retention.rule]]
max_to_keep = 1
"""
"""Room for some five models."""


def test_on_a_full_disk_what_is_in_the_trash_makes_room(
    root: Path, tmp_path: Path, start_daemon: Start, saved: Saved
) -> None:
    """For the registry, too, which lies there: by a person's purge, by a prune that fails, and by
    a daemon that starts when all is full."""
    if not has_namespaces():
        pytest.skip("no mount namespaces here")
    config = tmp_path / "short.toml"
    config.write_text(SHORT)
    with namespace() as within:
        within.run("mount", "-t", "tmpfs", "-o", "size=2m", "none", root)
        disk = within.seen(root)
        enter = {"within": within.enter, "check": False}

        def command(*words: str) -> int:
            return watcherd(root, "--config", str(config), *words, **enter).returncode

        def fill() -> None:
            within.run("sh", "-c", f"dd if=/dev/zero bs=4k status=none >>{root}/ballast; true")

        for number in range(20):
            saved.write_h5(disk / f"1h/BTC/LSTM/epoch-{number}.h5", number % VARIANTS)
        assert command("reconcile") == command("prune") == 0
        saved.write_h5(disk / "1h/BTC/LSTM/new.h5")
        fill()
        assert command("trash", "purge", *"123456") == 0
        fill()
        held = len(list((disk / ".watcherd/trash").iterdir()))
        assert command("prune") == 1
        assert len(list((disk / ".watcherd/trash").iterdir())) < held
        fill()
        daemon = start_daemon(root, settings=SHORT, within=within.enter)
        daemon.wait_for("trash.purged")
        assert daemon.wait_for("model.registered")["path"] == "1h/BTC/LSTM/new.h5"


def test_a_registry_that_may_only_be_read_ends_it_with_a_next_step(
    root: Path, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.db"
    url = f"sqlite:///{registry}"
    watcherd(root, "--registry", url, "reconcile")
    registry.chmod(0o444)
    tmp_path.chmod(0o555)
    words = ["--root", str(root), "--registry", url, "run"]
    try:
        done = subprocess.run(
            [*WITHOUT_PRIVILEGE, sys.executable, "-m", "watcherd", *words],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    finally:
        tmp_path.chmod(0o755)
    assert done.returncode == 1
    assert "may only be read by this user" in done.stderr
    assert "→ run as the user that owns it" in done.stderr


# -- the process -----------------------------------------------------------------------------------


@pytest.mark.long
def test_without_descriptors_it_waits_for_some(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    pid = daemon.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, most))
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    said = wait_until(lambda: daemon.events("root.suspended") + daemon.events("failure.raised"), 10)
    assert "Too many open files" in said[0]["error"]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    wait_until(lambda: on_disk(root) == truth(root) and len(truth(root)) == 2)
    assert not daemon.events("model.missing")
    assert daemon.process.poll() is None


@pytest.mark.long
def test_a_reader_that_is_killed_costs_nothing(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    for reader in readers_of(daemon):
        os.kill(reader, signal.SIGKILL)
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    wait_until(lambda: on_disk(root) == truth(root) and len(truth(root)) == 2)
    assert not daemon.events("model.unreadable")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_reader_that_is_stopped_makes_it_end_and_the_next_start_makes_up_for_it(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    """Nothing comes of a child that took no task; its silence is as long as a reading may be."""
    daemon = start_daemon(root, settings=QUICK, WATCHDOG_USEC="5000000")
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    for reader in readers_of(daemon):
        os.kill(reader, signal.SIGSTOP)
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    assert daemon.process.wait(READING + 60) == 1
    assert failures(daemon) == ["no sign of life for 5 s: worker"]
    again = start_daemon(root, settings=QUICK)
    again.settle()
    assert on_disk(root) == truth(root)


@pytest.mark.long
def test_a_minute_of_standstill_is_made_up_for(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    """It is not taken for a thread that hangs, nor its watch for one that is deaf."""
    daemon = start_daemon(root, settings=QUICK, WATCHDOG_USEC="10000000")
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    daemon.wait_for("model.registered")
    daemon.process.send_signal(signal.SIGSTOP)
    saved.write_h5(root / "1h/BTC/LSTM/b.h5", 1)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(65)
    daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: len(daemon.events("model.registered")) == 2, 10)
    assert not daemon.events("watch.lost")
    assert daemon.process.poll() is None


@pytest.mark.parametrize(
    "before",
    [
        pytest.param('chmod 0 "$0"; ', id="one that its user may not enter"),
        pytest.param('rmdir "$0"; ', id="one that is gone"),
    ],
)
def test_it_works_from_any_folder(root: Path, tmp_path: Path, saved: Saved, before: str) -> None:
    """``sudo -u`` leaves whoever uses it in a home that is another's."""
    home = tmp_path / "home"
    home.mkdir()
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    enter = ("sh", "-c", f'cd "$0"; {before}exec "$@"', str(home), *WITHOUT_PRIVILEGE)
    done = watcherd(root, "reconcile", within=enter, env={**os.environ, "PYTHONPATH": str(HOUSE)})
    assert on_disk(root) == {"1h/BTC/LSTM/a.h5": "present"}
    assert done.stderr == ""


# -- what happens on the disk ----------------------------------------------------------------------


def blind_of(root: Path) -> dict[str, str]:
    """As the daemon itself tells it."""
    said: dict[str, str] = json.loads((root / ".watcherd/daemon.json").read_text())["blind"]
    return said


@pytest.mark.parametrize("place", ["1h/BTC", "1h/BTC/LSTM", "1h/BTC/LSTM/a.h5"])
def test_what_may_not_be_read_is_told_once_and_looked_at_when_it_may(
    root: Path, start_daemon: Start, saved: Saved, place: str
) -> None:
    path = saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    quick = QUICK + 'poll = "500ms"\n'
    daemon = start_daemon(root, settings=quick, within=WITHOUT_PRIVILEGE)
    daemon.wait_for("model.registered")
    mode = (root / place).stat().st_mode
    (root / place).chmod(0)
    path.write_bytes(saved.h5[1])
    assert daemon.wait_for("blind.found")["reason"]
    (root / place).chmod(mode)
    daemon.wait_for("model.updated")
    daemon.wait_for("blind.cleared")
    wait_until(lambda: blind_of(root) == {})
    assert len(daemon.events("blind.found")) == 1
    assert not daemon.events("model.missing")


@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["shut", "listed but not entered"])
def test_a_folder_that_is_shut_stays_a_blind_spot_whatever_happens_beside_it(
    root: Path, start_daemon: Start, saved: Saved, mode: int
) -> None:
    saved.write_h5(root / "1h/BTC/LSTM/a.h5")
    (root / "1h/BTC/LSTM").chmod(mode)
    daemon = start_daemon(root, settings=QUICK, within=WITHOUT_PRIVILEGE)
    assert daemon.wait_for("blind.found")["path"] == "1h/BTC/LSTM"
    saved.write_h5(root / "1h/BTC/loose.h5", 1)
    daemon.wait_for("model.registered")
    assert not daemon.events("blind.cleared")
    assert blind_of(root).keys() == {"1h/BTC/LSTM"}
    (root / "1h/BTC/LSTM").rename(root / "1h/BTC/GRU")
    wait_until(lambda: blind_of(root).keys() == {"1h/BTC/GRU"})
    (root / "1h/BTC/GRU").chmod(0o755)


def test_twelve_hundred_folders_at_once_make_a_short_log_of_valid_lines(
    root: Path, start_daemon: Start
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    for number in range(1221):
        (root / f"{number % 11}/{number % 37}/{number}").mkdir(parents=True)
    folders = sum(1 for _ in os.walk(root)) - 1  # but .watcherd
    said = root / ".watcherd/daemon.json"
    wait_until(lambda: json.loads(said.read_text())["coverage"]["watched"] == folders)
    assert daemon.lines()
    assert daemon.log.stat().st_size < 200_000
    assert daemon.log.with_suffix(".err").read_text() == ""


@pytest.mark.long
def test_what_appears_and_vanishes_at_once_leaves_nothing(
    root: Path, start_daemon: Start, saved: Saved
) -> None:
    daemon = start_daemon(root, settings=QUICK)
    for number in range(500):
        saved.write_h5(root / "1h/BTC/LSTM/a.h5", number % 4)
        (root / "1h/BTC/LSTM/a.h5").unlink()
    saved.write_h5(root / "1h/BTC/LSTM/b.h5")
    daemon.settle()
    assert on_disk(root) == {"1h/BTC/LSTM/b.h5": "present"}
    assert not failures(daemon)
